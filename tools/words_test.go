package tools

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"

	"github.com/mark3labs/mcp-go/mcp"
	"golang.org/x/tools/txtar"
)

// TestWords plays the calls of testdata/words.txtar, each against a workspace that nothing is known
// of yet: what is sent of the user's words, and what the model reads. A group of calls may come with
// other answers than the sandbox's, as GROUP/PATH.
func TestWords(t *testing.T) {
	t.Parallel()
	const file = "words.txtar"
	archive, err := txtar.ParseFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for i, group := range archive.Files {
		if strings.Contains(group.Name, "/") {
			continue
		}
		answers := map[string]string{}
		for _, f := range archive.Files {
			if path, ok := strings.CutPrefix(f.Name, group.Name); ok && path != "" {
				answers[path] = string(f.Data)
			}
		}
		var played strings.Builder
		for line := range strings.Lines(string(group.Data)) {
			if args, ok := strings.CutPrefix(strings.TrimSpace(line), "call "); ok {
				fmt.Fprintf(&played, "call %s\n%s\n", args, playWords(t, args, answers))
			}
		}
		archive.Files[i].Data = []byte(played.String())
	}
	golden(t, file, txtar.Format(archive))
}

// playWords makes one call, and returns what was sent and what the model reads of how its words were
// understood.
func playWords(t *testing.T, args string, answers map[string]string) string {
	t.Helper()
	h := newHouse(t)
	h.answers = answers
	r := callTool(t, connectTo(t, Deps{Heffl: h.client(), SkipDuplicateCheck: true}), "create_deal", args)
	var b strings.Builder
	sent := writes(h.sb.Requests())
	for _, request := range sent {
		fmt.Fprintf(&b, "sent %s\n", request.Body)
	}
	if refused := notesOf(r)["heffl-mcp/outcome"] == invalid; refused != (len(sent) == 0) || len(sent) > 1 {
		t.Errorf("create_deal(%s): isError %t after %d requests: %s", args, r.IsError, len(sent), textOf(r))
	}
	if told := understoodIn(t, r); told != "" && !strings.Contains(textOf(r), "\nUnderstood: "+told+".\n") {
		t.Errorf("create_deal(%s): the text %q lacks what heffl-mcp/resolved says: %s", args, textOf(r), told)
	}
	for line := range strings.Lines(textOf(r)) {
		switch {
		case r.IsError, strings.HasPrefix(line, "Understood"), strings.HasPrefix(line, "Read as"):
		case strings.HasPrefix(line, "Created"), strings.HasPrefix(line, "Sent, but"), strings.HasPrefix(line, "{"):
			continue // that is no matter of words
		}
		b.WriteString(strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

// understoodIn is heffl-mcp/resolved in words.
func understoodIn(t *testing.T, r *mcp.CallToolResult) string {
	t.Helper()
	raw, _ := json.Marshal(notesOf(r)["heffl-mcp/resolved"])
	var list []understood
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatalf("heffl-mcp/resolved = %s: %v", raw, err)
	}
	return listed(list)
}

// A house is the sandbox behind a door that answers some requests by itself.
type house struct {
	sb      *sandbox.Sandbox
	answers map[string]string                           // by path
	meets   func(*http.Request) (*http.Response, error) // nil, or a nil response: as usual
}

func newHouse(tb testing.TB) *house { return &house{sb: newSandbox(tb)} }

func (h *house) client() *heffl.Client {
	return &heffl.Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: &http.Client{Transport: h}, Budget: new(heffl.Budget)}
}

func (h *house) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.meets != nil {
		if resp, err := h.meets(r); resp != nil || err != nil {
			return resp, err
		}
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/v2")
	if answer, ok := h.answers[path]; ok && r.Method == http.MethodGet {
		return answerOf(http.StatusOK, answer), nil
	}
	return h.sb.HTTPClient().Transport.RoundTrip(r)
}

func answerOf(status int, body string) *http.Response {
	w := httptest.NewRecorder()
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // into memory
	return w.Result()
}
