package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// An office is a Heffl with a workspace for each key, in which every ID and name has the word of its user.
type office struct {
	t     testing.TB
	words map[string]string // by key

	mu   sync.Mutex
	made map[string][]string // bodies of POST /deals, by word
}

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("X-Api-Key")
	word := o.words[key]
	switch {
	case r.Method == http.MethodHead && key == "":
		w.WriteHeader(http.StatusNotFound) // the server asks whether Heffl is there
	case word == "":
		o.t.Errorf("%s %s with the key %q, which is nobody's", r.Method, r.URL.Path, key)
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method == http.MethodPost:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		o.mu.Lock()
		o.made[word] = append(o.made[word], string(body))
		id := fmt.Sprintf("dl_%s_%d", word, len(o.made[word]))
		o.mu.Unlock()
		fmt.Fprintf(w, `{"id":%q,"title":"Same words","pipelineId":"dpl_%s"}`, id, word)
	case strings.HasSuffix(r.URL.Path, "/pipelines"):
		fmt.Fprintf(w, `{"data":[{"id":"dpl_%s","name":"Sales","stages":[]},{"id":"dpl_%[1]s_2","name":"Only %[1]s","stages":[]}]}`, word)
	case strings.HasSuffix(r.URL.Path, "/companies"):
		fmt.Fprintf(w, `{"data":[{"id":"clt_%s","name":"Acme"}]}`, word)
	case strings.HasSuffix(r.URL.Path, "/custom-fields"):
		fmt.Fprintf(w, `{"data":[{"key":"cf_%s","label":"Region","type":"TEXT"}]}`, word)
	default:
		io.WriteString(w, `{"data":[]}`)
	}
}

// TestManyUsers lets two users at once onto one server without a key, each over both ways in, with the same words:
// each gets what is in its own workspace, once, and nothing tells of the other, or of a key.
func TestManyUsers(t *testing.T) {
	t.Parallel()
	users := map[string]string{"quokka": secrets["letters"], "wombat": secrets["symbols"]}
	o := &office{t: t, words: map[string]string{}, made: map[string][]string{}}
	for word, key := range users {
		o.words[key] = word
	}
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	env := []string{upstream(t, o)[1], "HEFFL_MCP_STATE=" + journals["SQLite"](t), "HEFFL_MCP_LOG_LEVEL=debug", "HEFFL_MCP_AUDIT=" + file}
	p, at := serveHTTP(t, env)

	if status, body := at.get(t, "/sse"); status != 401 {
		t.Errorf("GET /sse without a key = %d %s, want 401", status, body)
	}
	if err := connected(at).ping(bounded(t)); err == nil || !strings.Contains(err.Error(), "401 Unauthorized") || !strings.Contains(err.Error(), "X-Heffl-Api-Key") {
		t.Errorf("a request without a key = %v, want 401 that names the header", err)
	}

	wires := map[string]*recorder{}
	var all sync.WaitGroup
	for word, key := range users {
		wires[word] = &recorder{next: at.http.Transport}
		its := at
		its.http = &http.Client{Transport: wires[word]}
		its = its.with("X-Heffl-Api-Key", key)
		for _, transport := range []string{"http", "sse"} {
			all.Go(func() {
				s := connected(its)
				if transport == "sse" {
					s = new(plain)
					if err := s.overSSE(bounded(t), its); err != nil {
						t.Error(err)
						return
					}
				}
				useOffice(t, s, word)
				list, err := s.tools(bounded(t))
				if err != nil || strings.Contains(string(list), "quokka") || strings.Contains(string(list), "wombat") {
					t.Errorf("tools/list as %s = %s, %v; want the same for all", word, list, err)
				}
				if err := s.close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	metrics := at.metrics(t)
	if got := metrics[`heffl_mcp_calls_total{outcome="invalid",tool="create_deal"}`]; got != "4" {
		t.Errorf("refused calls in the metrics = %q, want 4, one of each", got)
	}
	if _, known := metrics["heffl_mcp_heffl_budget_left"]; known {
		t.Error("the metrics tell of a rate limit of the server's own key, but it has none")
	}
	_, shown := at.get(t, "/metrics")
	if status, body := at.get(t, "/readyz"); status != 200 {
		t.Errorf("GET /readyz = %d %s, want 200", status, body)
	}
	at.http.CloseIdleConnections()
	p.terminate(t)
	p.exit(t, 0)

	audited := string(read(t, file))
	tenants, callers, owners := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, line := range auditLines(t, file) {
		if line.Object == "" {
			continue
		}
		word := strings.Split(line.Object, "_")[1]
		tenants[line.Tenant], callers[line.Caller], owners[line.Tenant+line.Caller+word] = true, true, true
	}
	if len(tenants) != 2 || len(callers) != 2 || len(owners) != 2 {
		t.Errorf("the audit has tenants %v, callers %v, and of whom they made what %v; want two of each:\n%s", tenants, callers, owners, audited)
	}
	for word, key := range users {
		want := []string{fmt.Sprintf(`{"title":"Same words","clientId":"clt_%s","pipelineId":"dpl_%[1]s","cf_%[1]s":"north"}`, word)}
		if diff := cmp.Diff(want, o.made[word]); diff != "" {
			t.Errorf("deals of %s (-want +got):\n%s", word, diff)
		}
		for other, wire := range wires {
			if seen := strings.Contains(wire.seen.String(), word); seen != (word == other) {
				t.Errorf("answers to %s tell of %s: %v", other, word, seen)
			}
			scan(t, key, "an answer", wire.seen.String())
		}
		scan(t, key, "the log", p.err.String())
		scan(t, key, "the metrics", shown)
		scan(t, key, "the audit", audited)
		scan(t, key, "the journal", listing(t, env, "--json"))
	}
	if done := records(t, env); len(done) != 2 {
		t.Errorf("the journal has %+v, want two deals", done)
	}
}

// useOffice does what a user does there, and finds nothing but what is the user's own.
func useOffice(t *testing.T, s session, word string) {
	const same = `{"title":"Same words","clientId":"Acme","pipelineId":"Sales","Region":"north"}`
	for range 3 {
		if r := called(t, s, "create_deal", same); r.IsError || toldBy(t, r).ID != "dl_"+word+"_1" {
			t.Errorf("create_deal as %s = %s, want its own first deal", word, r.text())
		}
	}
	if r := called(t, s, "create_deal", `{"title":"x","clientId":"Acme","pipelineId":"Nowhere"}`); !r.IsError || !strings.Contains(r.text(), "Only "+word) {
		t.Errorf("create_deal in a pipeline that %s does not have = %s, want those that there are", word, r.text())
	}
	if r := called(t, s, "describe_workspace", `{}`); r.IsError || !strings.Contains(r.text(), "Only "+word) {
		t.Errorf("describe_workspace as %s = %s, want its own pipelines", word, r.text())
	}
	for _, asked := range []struct {
		method string
		params map[string]any
		want   string
	}{
		{"resources/read", map[string]any{"uri": "heffl://workspace"}, "Only " + word},
		{"resources/read", map[string]any{"uri": "heffl://pipelines/Sales"}, "dpl_" + word},
		{"resources/read", map[string]any{"uri": "heffl://journal"}, "dl_" + word + "_1"},
		{"prompts/get", map[string]any{"name": "deal_from_chat", "arguments": map[string]string{"chat": "five seats"}}, "Only " + word},
		{"completion/complete", map[string]any{"ref": map[string]string{"type": "ref/prompt", "name": "deal_from_chat"}, "argument": map[string]string{"name": "pipeline", "value": "only"}}, "Only " + word},
		{"completion/complete", map[string]any{"ref": map[string]string{"type": "ref/resource", "uri": "heffl://pipelines/{id}"}, "argument": map[string]string{"name": "id", "value": "only"}}, "Only " + word},
	} {
		got, err := s.(*plain).request(bounded(t), asked.method, asked.params)
		if err != nil || !strings.Contains(string(got), asked.want) {
			t.Errorf("%s %v as %s = %s, %v; want %q in it", asked.method, asked.params, word, got, err, asked.want)
		}
	}
}

// TestOwnKeyAlone holds that a server with a key of its own uses no other.
func TestOwnKeyAlone(t *testing.T) {
	t.Parallel()
	o := &office{t: t, words: map[string]string{"test-key": "quokka"}, made: map[string][]string{}}
	_, at := serveHTTP(t, upstream(t, o))
	useOffice(t, connected(at.with("X-Heffl-Api-Key", "hk_of_somebody_else")), "quokka")
}

// TestReadOnlyToken holds that who has an access token to read with sees and calls nothing else.
func TestReadOnlyToken(t *testing.T) {
	t.Parallel()
	access := issuer(t)
	_, at := serveHTTP(t, []string{"HEFFL_SANDBOX=true", "HEFFL_MCP_OIDC_ISSUER=" + access.url, "HEFFL_MCP_OIDC_AUDIENCE=heffl"})
	for scope, may := range map[string]bool{"deals:read": false, "deals:read deals:write": true} {
		s := connected(at.with("Authorization", "Bearer "+access.token(t, scope)))
		list, err := s.tools(bounded(t))
		if err != nil || !strings.Contains(string(list), `"find_deals"`) || strings.Contains(string(list), `"create_deal"`) != may {
			t.Errorf("tools/list with %s = %s, %v; create_deal is to be there: %v", scope, list, err, may)
		}
		if r := called(t, s, "find_deals", `{"query":"x"}`); r.IsError {
			t.Errorf("find_deals with %s = %s", scope, r.text())
		}
		if _, err := s.call(bounded(t), "create_deal", deal(t, "Rollout")); (err == nil) != may {
			t.Errorf("create_deal with %s: %v; it may: %v", scope, err, may)
		}
	}
}

// An access is an issuer of access tokens.
type access struct {
	url string
	key ed25519.PrivateKey
}

func issuer(t testing.TB) *access {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &access{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"%[1]s/keys","authorization_endpoint":"%[1]s/authorize","token_endpoint":"%[1]s/token"}`, a.url)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "1", Algorithm: "EdDSA", Use: "sig"}}})
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	a.url = srv.URL
	return a
}

// token is a good one with a scope.
func (a *access) token(t testing.TB, scope string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: a.key, KeyID: "1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := fmt.Sprintf(`{"iss":%q,"sub":"ada","aud":"heffl","scope":%q,"exp":%d}`, a.url, scope, time.Now().Add(time.Hour).Unix())
	signed, err := signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
