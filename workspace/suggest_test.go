package workspace_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/workspace"
)

// TestSuggest holds what is suggested of each kind, that only what can be used is, and that each suggestion names one thing.
func TestSuggest(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Options{RateLimit: -1})
	t.Cleanup(func() { sb.Close() })
	w := workspace.New(&heffl.Client{BaseURL: sandbox.BaseURL, Key: "any", HTTP: sb.HTTPClient()}, workspace.Options{})
	for _, test := range []struct {
		kind  workspace.Kind
		typed string
		scope workspace.Scope
		want  string // all of them, or what is among them after "..."
	}{
		{workspace.Pipeline, "", workspace.Scope{}, "Sales, Enterprise"},
		{workspace.Pipeline, "ENT", workspace.Scope{}, "Enterprise"},
		{workspace.Stage, "won", workspace.Scope{}, "dps_won, dps_ent_won"},
		{workspace.Stage, "won", workspace.Scope{Pipeline: "dpl_sales"}, "Won"},
		{workspace.User, "omar", workspace.Scope{}, "Omar Nasser, Omar Khalid"},
		{workspace.Client, "falcon", workspace.Scope{}, "muscat@falcon.example, dubai@falcon.example"},
		{workspace.Client, "chloé", workspace.Scope{}, "Chloé Dubois"},
		{workspace.Client, "nobody at all", workspace.Scope{}, ""},
		{workspace.Deal, "noor", workspace.Scope{}, "DEAL003"},
		{workspace.CustomField, "seats", workspace.Scope{}, "Seats"},
		{workspace.CustomField, "security", workspace.Scope{}, ""},
		{workspace.CustomField, "security", workspace.Scope{Pipeline: "dpl_enterprise"}, "Security review"},
	} {
		words, _, err := w.Suggest(t.Context(), test.kind, test.typed, test.scope)
		if got := strings.Join(words, ", "); err != nil || got != test.want {
			t.Errorf("Suggest(%s, %q, %+v) = %s, %v; want %s", test.kind, test.typed, test.scope, got, err, test.want)
		}
		for _, word := range words {
			if m, err := w.Resolve(t.Context(), test.kind, word, test.scope); err != nil {
				t.Errorf("the suggestion %q for a %s names %+v, %v", word, test.kind, m, err)
			}
		}
	}
	some := workspace.New(&heffl.Client{BaseURL: sandbox.BaseURL, Key: "any", HTTP: &http.Client{Transport: answering(
		`{"data":[{"id":"usr_ada","name":"Ada"},{"id":"usr_bo","name":"Bo","isActive":false},{"id":"usr_cy","name":"ADA","email":"cy@heffl.example"}]}`)}}, workspace.Options{})
	words, more, err := some.Suggest(t.Context(), workspace.User, "", workspace.Scope{})
	if got := strings.Join(words, ", "); err != nil || more || got != "usr_ada, cy@heffl.example" {
		t.Errorf("of two users of one name and an inactive one are suggested %s, more %v, %v", got, more, err)
	}
}

// answering is a Heffl with one answer.
type answering string

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(a)))}, nil
}
