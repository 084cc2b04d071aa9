package serve_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"heffl-mcp/serve"
)

// issuer is one that a test can put out of order.
type issuer struct {
	t   testing.TB
	url string

	mu       sync.Mutex
	keys     jose.JSONWebKeySet
	fail     func(w http.ResponseWriter, r *http.Request) // nil: it is well
	requests map[string]int                               // by path
}

const audience = "https://crm.example.com/mcp"

// rsaKey is one for all tests: making one takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newIssuer(t testing.TB, url string) *issuer {
	i := &issuer{t: t, url: url, requests: make(map[string]int)}
	i.publish("rsa", rsaKey().Public())
	return i
}

// serveIssuer is one on a listener of its own.
func serveIssuer(t testing.TB) *issuer {
	t.Helper()
	i := newIssuer(t, "")
	srv := httptest.NewServer(i)
	t.Cleanup(srv.Close)
	i.url = srv.URL
	return i
}

func (i *issuer) publish(id string, public crypto.PublicKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys.Keys = append(i.keys.Keys, jose.JSONWebKey{Key: public, KeyID: id, Use: "sig"})
}

func (i *issuer) withdraw(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys.Keys = slices.DeleteFunc(i.keys.Keys, func(k jose.JSONWebKey) bool { return k.KeyID == id })
}

// breakWith makes the issuer answer so; with nil it is well again.
func (i *issuer) breakWith(fail func(http.ResponseWriter, *http.Request)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fail = fail
}

func (i *issuer) count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[path]
}

const discovery, keysPath = "/.well-known/openid-configuration", "/keys"

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests[r.URL.Path]++
	fail, keys := i.fail, jose.JSONWebKeySet{Keys: slices.Clone(i.keys.Keys)}
	i.mu.Unlock()
	if r.Header.Get("Authorization") != "" {
		i.t.Error("the issuer gets somebody's token")
	}
	if fail != nil {
		fail(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case discovery:
		json.NewEncoder(w).Encode(map[string]any{
			"issuer": i.url, "jwks_uri": i.url + keysPath, "authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		})
	case keysPath:
		json.NewEncoder(w).Encode(keys)
	default:
		http.NotFound(w, r)
	}
}

// RoundTrip makes the issuer a transport, for fake time.
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

type claims map[string]any

// claims are those of a good token, but for changes; nil takes a claim out.
func (i *issuer) claims(change claims) claims {
	c := claims{
		"iss": i.url, "sub": "ada|4711", "aud": audience, "scope": "openid deals:read deals:write",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func (i *issuer) token(change claims) string {
	return sign(i.t, jose.RS256, "rsa", rsaKey(), i.claims(change))
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, id string, key any, c claims) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id}}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// unsigned is a token by hand, with a signature of any kind.
func unsigned(t testing.TB, header string, c claims, signature string) string {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(header)) + "." + b64(payload) + "." + signature
}

func newOIDC(t testing.TB, i *issuer, transport http.RoundTripper) *serve.OIDC {
	t.Helper()
	o, err := serve.NewOIDC(i.url, audience, transport)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// entry is what comes of a call with a token.
type entry struct {
	Status               int
	Answer, Code, Reason string
	RetryAfter           string
}

func (w *web) enter(token string) (e entry) {
	w.t.Helper()
	resp := w.as(token).do(w.t.Context(), "POST", "/mcp", strings.NewReader(who))
	defer resp.Body.Close()
	challenge := resp.Header.Get("WWW-Authenticate")
	return entry{
		Status: resp.StatusCode, Answer: strings.Join(slices.Collect(messages(w.t, resp)), " "),
		Code: param(challenge, "error"), Reason: param(challenge, "error_description"), RetryAfter: resp.Header.Get("Retry-After"),
	}
}

func param(challenge, name string) string {
	_, rest, _ := strings.Cut(challenge, " "+name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func TestOIDC(t *testing.T) {
	t.Parallel()
	i := serveIssuer(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.publish("ec", ec.Public())
	i.publish("ed", edPublic)
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	var log logBuffer
	w := serveHTTP(t, &serve.HTTP{MCP: guardedToy().MCPServer, Log: log.logger(), OIDC: newOIDC(t, i, nil)})

	let := func(as string) entry { return entry{Status: 200, Answer: "1: " + as} }
	deny := func(status int, code, reason string) entry {
		return entry{Status: status, Answer: "null: error -32600 " + reason, Code: code, Reason: reason}
	}
	bad := deny(401, "invalid_token", "this is no access token of "+i.url+" for "+audience)
	expired := deny(401, "invalid_token", "the access token has expired")
	scopeless := deny(403, "insufficient_scope", "the access token has none of the scopes deals:read deals:write")
	now := time.Now()
	good := i.token(nil)
	head, tail, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(tail, ".")
	other, _, _ := strings.Cut(strings.SplitN(i.token(claims{"sub": "eve"}), ".", 2)[1], ".")
	for _, test := range []struct {
		name, token string
		want        entry
	}{
		{"good", good, let("ada|4711 [deals:read deals:write]")},
		{"for several audiences", i.token(claims{"aud": []string{"x", audience}}), let("ada|4711 [deals:read deals:write]")},
		{"read only", i.token(claims{"scope": "profile deals:read"}), let("ada|4711 [deals:read]")},
		{"read only, as a list", i.token(claims{"scope": nil, "scp": []string{"deals:read", "x"}}), let("ada|4711 [deals:read]")},
		{"scp as a string", i.token(claims{"scope": nil, "scp": "deals:write deals:read"}), let("ada|4711 [deals:read deals:write]")},
		{"scopes in both", i.token(claims{"scope": "deals:write", "scp": []string{"deals:read"}}), let("ada|4711 [deals:read deals:write]")},
		{"ECDSA", sign(t, jose.ES256, "ec", ec, i.claims(nil)), let("ada|4711 [deals:read deals:write]")},
		{"Ed25519", sign(t, jose.EdDSA, "ed", ed, i.claims(nil)), let("ada|4711 [deals:read deals:write]")},
		{"PSS", sign(t, jose.PS256, "rsa", rsaKey(), i.claims(nil)), let("ada|4711 [deals:read deals:write]")},
		{"a long subject", i.token(claims{"sub": strings.Repeat("é", 80)}), let(strings.Repeat("é", 64) + "-4d214f0a [deals:read deals:write]")},
		{"a subject for terminals", i.token(claims{"sub": "a\x1b[31m\n\u202eb"}), let("a_[31m__b-d920ff0a [deals:read deals:write]")},
		{"a token for a while still to come, within what clocks differ", i.token(claims{"nbf": now.Add(time.Minute).Unix()}), let("ada|4711 [deals:read deals:write]")},

		{"no scope", i.token(claims{"scope": nil}), scopeless},
		{"other scopes", i.token(claims{"scope": "openid deals:readx xdeals:write DEALS:READ"}), scopeless},
		{"scopes in one word", i.token(claims{"scope": []string{"deals:read deals:write"}}), scopeless},
		{"expired", i.token(claims{"exp": now.Add(-time.Minute).Unix()}), expired},
		{"no expiry", i.token(claims{"exp": nil}), expired},
		{"not yet valid", i.token(claims{"nbf": now.Add(time.Hour).Unix()}), bad},
		{"another issuer", i.token(claims{"iss": "https://evil.example"}), bad},
		{"an issuer with a slash", i.token(claims{"iss": i.url + "/"}), bad},
		{"no issuer", i.token(claims{"iss": nil}), bad},
		{"another audience", i.token(claims{"aud": "https://crm.example.com/"}), bad},
		{"no audience", i.token(claims{"aud": nil}), bad},
		{"no subject", i.token(claims{"sub": nil}), bad},
		{"a scope that is a number", i.token(claims{"scope": 7}), bad},
		{"alg none", unsigned(t, `{"alg":"none","kid":"rsa"}`, i.claims(nil), ""), bad},
		{"alg none with a signature", unsigned(t, `{"alg":"none","kid":"rsa"}`, i.claims(nil), signature), bad},
		{"alg None", unsigned(t, `{"alg":"None","kid":"rsa"}`, i.claims(nil), ""), bad},
		{"HS256 with the public key", sign(t, jose.HS256, "rsa", public, i.claims(nil)), bad},
		{"HS256 with the public key's bytes", sign(t, jose.HS256, "rsa", der, i.claims(nil)), bad},
		{"a stranger's key", sign(t, jose.ES256, "ec", stranger, i.claims(nil)), bad},
		{"a stranger's key under no name", sign(t, jose.ES256, "", stranger, i.claims(nil)), bad},
		{"a key of the wrong kind", sign(t, jose.ES256, "rsa", stranger, i.claims(nil)), bad},
		{"another's claims", head + "." + other + "." + signature, bad},
		{"no signature", head + "." + payload + ".", bad},
		{"two parts", head + "." + payload, bad},
		{"not a JWT", "not-a-jwt-at-all", bad},
		{"its own key", unsigned(t, `{"alg":"RS256","jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}}`, i.claims(nil), signature), bad},
	} {
		if diff := cmp.Diff(test.want, w.enter(test.token)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	if text := log.String(); strings.Contains(text, signature) || strings.Contains(text, payload) {
		t.Errorf("the log has tokens in it: %s", text)
	}
	if got := i.count(discovery); got != 1 {
		t.Errorf("the issuer was asked %d times where its keys are, want once", got)
	}
}

// A tool that only reads takes one scope, all others take the other.
func TestScopes(t *testing.T) {
	t.Parallel()
	i := serveIssuer(t)
	toy := guardedToy()
	var log logBuffer
	web := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer, Log: log.logger(), OIDC: newOIDC(t, i, nil), Tokens: adaAndBob(t)})
	const listTools = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	asks := func(method string) string { return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{}}` }
	for _, test := range []struct {
		token, body string
		lacks       string
	}{
		{i.token(claims{"scope": "deals:read"}), who, ""},
		{i.token(claims{"scope": "deals:read"}), listTools, ""},
		{i.token(claims{"scope": "deals:read"}), call(`1`, "nope", `{}`), ""},
		{i.token(claims{"scope": "deals:read"}), add(`1`, 1, 2), "1: error -32600 add needs the scope deals:write, which the access token does not have"},
		{i.token(claims{"scope": "deals:write"}), add(`1`, 1, 2), ""},
		{i.token(claims{"scope": "deals:write"}), listTools, ""},
		{i.token(claims{"scope": "deals:write"}), who, "1: error -32600 who needs the scope deals:read, which the access token does not have"},
		{i.token(claims{"scope": "deals:read"}), asks("resources/read"), ""},
		{i.token(claims{"scope": "deals:write"}), asks("resources/read"), "1: error -32600 resources/read needs the scope deals:read, which the access token does not have"},
		{i.token(claims{"scope": "deals:write"}), asks("prompts/get"), "1: error -32600 prompts/get needs the scope deals:read, which the access token does not have"},
		{i.token(claims{"scope": "deals:write"}), asks("completion/complete"), "1: error -32600 completion/complete needs the scope deals:read, which the access token does not have"},
		{i.token(claims{"scope": "deals:write"}), asks("prompts/list"), ""},
		{i.token(nil), who, ""},
		{i.token(nil), add(`1`, 1, 2), ""},
		{ada, who, ""},
		{ada, add(`1`, 1, 2), ""},
	} {
		w := web.as(test.token)
		_, message := w.sse()
		for _, path := range []string{"/mcp", message} {
			resp := w.do(t.Context(), "POST", path, strings.NewReader(test.body))
			got := slices.Collect(messages(t, resp))
			resp.Body.Close()
			challenge := resp.Header.Get("WWW-Authenticate")
			if test.lacks == "" {
				if resp.StatusCode/100 != 2 || challenge != "" {
					t.Errorf("POST %s %s = %s %q, want it let in", path, test.body, resp.Status, got)
				}
				continue
			}
			scope := "deals:read"
			if strings.Contains(test.lacks, "deals:write") {
				scope = "deals:write"
			}
			if resp.StatusCode != 403 || !slices.Equal(got, []string{test.lacks}) || param(challenge, "error") != "insufficient_scope" || param(challenge, "scope") != scope {
				t.Errorf("POST %s %s = %s %q, WWW-Authenticate %s; want 403 %q for the scope %s", path, test.body, resp.Status, got, challenge, test.lacks, scope)
			}
		}
	}
	for _, line := range []string{"tool=add caller=ada|4711 scope=deals:write", "tool=who caller=ada|4711 scope=deals:read"} {
		if n := strings.Count(log.String(), `msg="a call may not be made" `+line); n != 2 {
			t.Errorf("the log has %q %d times, want it once over each transport: %s", line, n, log.String())
		}
	}
}

// Tokens and access tokens may be let in by the same server.
func TestOIDCBesideTokens(t *testing.T) {
	t.Parallel()
	i := serveIssuer(t)
	w := serveHTTP(t, &serve.HTTP{MCP: guardedToy().MCPServer, OIDC: newOIDC(t, i, nil), Tokens: adaAndBob(t), KeyPerRequest: true}).with(serve.KeyHeader, "hk_1")
	for token, want := range map[string]entry{
		ada:                           {Status: 200, Answer: "1: " + adaName + " with hk_1"},
		i.token(claims{"sub": "cid"}): {Status: 200, Answer: "1: cid [deals:read deals:write] with hk_1"},
	} {
		if diff := cmp.Diff(want, w.enter(token)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if got := w.enter("neither-of-the-two"); got.Status != 401 {
		t.Errorf("an unknown token = %v, want 401", got)
	}
	if got := w.with(serve.KeyHeader, "").enter(ada); got.Status != 401 {
		t.Errorf("no key = %v, want 401", got)
	}
}

func TestOIDCMetadata(t *testing.T) {
	t.Parallel()
	i := serveIssuer(t)
	metadata := func(resource string) string {
		return fmt.Sprintf(`{"resource":%q,"authorization_servers":[%q],"scopes_supported":["deals:read","deals:write"],"bearer_methods_supported":["header"]}`, resource, i.url)
	}
	named, err := serve.NewOIDC(i.url, "heffl", nil)
	if err != nil {
		t.Fatal(err)
	}
	const at = "/.well-known/oauth-protected-resource"
	for _, test := range []struct {
		name, host string
		oidc       *serve.OIDC
		base       string              // of the address in challenges
		resources  func(string) string // by path
	}{
		{"an audience that is a URL", "crm.example.com", newOIDC(t, i, nil), "https://crm.example.com", func(string) string { return audience }},
		{"another host", "localhost:8080", newOIDC(t, i, nil), "http://localhost:8080", func(string) string { return audience }},
		{"an audience that is a name", "crm.example.com", named, "http://crm.example.com", func(path string) string { return "http://crm.example.com" + path }},
	} {
		w := onAddress(t, &serve.HTTP{MCP: newToy().MCPServer, OIDC: test.oidc}, "192.0.2.1:80").with("Host", test.host)
		for _, path := range []string{"", "/mcp", "/sse"} {
			resp := w.do(t.Context(), "GET", at+path, nil)
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := metadata(test.resources(path)); resp.StatusCode != 200 || string(body) != want || err != nil || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: GET %s = %s %s, want %s", test.name, at+path, resp.Status, body, want)
			}
			if status, _ := w.get("HEAD", at+path); status != 200 {
				t.Errorf("HEAD %s = %d, want 200", at+path, status)
			}
			if status, _ := w.get("POST", at+path); status != 401 {
				t.Errorf("POST %s = %d, want 401", at+path, status)
			}
		}
		for path, resource := range map[string]string{"/mcp": "/mcp", "/sse": "/sse", "/message": "/sse", "/admin": ""} {
			_, header := w.get("POST", path)
			want := fmt.Sprintf(`Bearer resource_metadata="%s%s%s", scope="deals:read deals:write"`, test.base, at, resource)
			if got := header.Get("WWW-Authenticate"); got != want {
				t.Errorf("%s: POST %s asks for %s, want %s", test.name, path, got, want)
			}
		}
	}
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer, Tokens: adaAndBob(t)}).as(ada)
	if status, _ := w.get("GET", at); status != 404 {
		t.Errorf("GET %s without an issuer = %d, want 404", at, status)
	}
	if i.count(discovery) != 0 {
		t.Error("the issuer was asked though nobody had a token")
	}
}

// offline is an issuer that is asked without a network, and the server that asks it, in fake time.
func offline(t *testing.T) (*issuer, *web, *logBuffer, func()) {
	t.Helper()
	i := newIssuer(t, "https://login.example.com/")
	i.url = strings.TrimSuffix(i.url, "/")
	log := new(logBuffer)
	ctx, stop := context.WithCancel(t.Context())
	w, _, end := start(t, ctx, &serve.HTTP{MCP: guardedToy().MCPServer, Log: log.logger(), OIDC: newOIDC(t, i, i)})
	return i, w, log, func() {
		stop()
		if err := <-end; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	}
}

var away = entry{Status: 503, Answer: "null: error -32600 access tokens cannot be checked now; try again soon", RetryAfter: "5"}

// An issuer that is out of order is nobody's fault, and is asked again.
func TestOIDCIssuerFails(t *testing.T) {
	rsaKey()
	t.Parallel()
	for name, fail := range map[string]func(http.ResponseWriter, *http.Request){
		"503": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 503) },
		"503 with a good answer": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			io.WriteString(w, `{"issuer":"https://login.example.com","jwks_uri":"https://login.example.com/keys"}`)
		},
		"a page":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<p>hello") },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "https://evil.example/", 302) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"issuer":"https://login.example.com","jwks_uri":"https://login.example.com/keys","x":"`+strings.Repeat("x", 1<<20)+`"}`)
		},
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"another": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"issuer":"https://evil.example","jwks_uri":"https://login.example.com/keys"}`)
		},
		"no keys": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"issuer":"https://login.example.com"}`)
		},
		"plain": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"issuer":"https://login.example.com","jwks_uri":"http://login.example.com/keys"}`)
		},
		"odd types": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"issuer":"https://login.example.com","jwks_uri":7}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i, w, log, stop := offline(t)
				i.breakWith(fail)
				for range 3 {
					if diff := cmp.Diff(away, w.enter(i.token(nil))); diff != "" {
						t.Errorf("while the issuer is out of order (-want +got):\n%s", diff)
					}
				}
				if got := i.count(discovery); got != 1 {
					t.Errorf("the issuer was asked %d times at once, want once", got)
				}
				if !strings.Contains(log.String(), "level=ERROR msg=\"access tokens cannot be checked\"") {
					t.Errorf("log = %q, want what is wrong", log.String())
				}
				if status, _ := w.get("GET", "/healthz"); status != 200 {
					t.Errorf("GET /healthz = %d, want 200", status)
				}
				i.breakWith(nil)
				time.Sleep(10 * time.Second)
				if got := w.enter(i.token(nil)); got.Status != 200 {
					t.Errorf("when the issuer is well again: %v, want 200", got)
				}
				stop()
			})
		})
	}
}

// Many wait for one answer, each no longer than the others.
func TestOIDCIssuerHangs(t *testing.T) {
	rsaKey()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i, w, _, stop := offline(t)
		i.breakWith(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		token, begin := i.token(nil), time.Now()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if got := w.enter(token); got.Status != 503 {
					t.Errorf("while the issuer hangs: %v, want 503", got)
				}
			})
		}
		all.Wait()
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("an answer took %v, want 5s at most", took)
		}
		// One that gives up leaves its place to the next, and says nothing of the issuer.
		time.Sleep(10 * time.Second)
		gone, hangUp := context.WithTimeout(t.Context(), time.Second)
		defer hangUp()
		r, err := http.NewRequestWithContext(gone, "GET", w.url+"/sse", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		if resp, err := w.client.Do(r); err == nil {
			resp.Body.Close()
			t.Errorf("a request that gave up = %s", resp.Status)
		}
		synctest.Wait()
		i.breakWith(nil)
		if got := w.enter(token); got.Status != 200 {
			t.Errorf("when the issuer is well again: %v, want 200", got)
		}
		stop()
	})
}

func TestOIDCKeysChange(t *testing.T) {
	rsaKey()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i, w, _, stop := offline(t)
		next, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signed := func() string { return sign(t, jose.ES256, "next", next, i.claims(nil)) }
		want := func(when, token string, status int) {
			t.Helper()
			if got := w.enter(token); got.Status != status {
				t.Errorf("%s: %v, want %d", when, got, status)
			}
		}
		want("the first key", i.token(nil), 200)
		want("an unknown key", signed(), 401)
		i.publish("next", next.Public())
		time.Sleep(10 * time.Second)
		want("the new key", signed(), 200)
		want("the old key beside it", i.token(nil), 200)

		// Whatever keys tokens claim, the issuer is not bothered.
		before := i.count(keysPath)
		time.Sleep(10 * time.Second)
		for n := range 100 {
			want("a made-up key", sign(t, jose.ES256, fmt.Sprint("made-up-", n), next, i.claims(nil)), 401)
		}
		if got := i.count(keysPath) - before; got != 1 {
			t.Errorf("100 made-up keys led to %d requests to the issuer, want 1", got)
		}

		// While the issuer is away, what is known goes on, and what is not known may be good.
		i.breakWith(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 503) })
		time.Sleep(10 * time.Second)
		want("a known key while the issuer is away", i.token(nil), 200)
		want("an unknown key while the issuer is away", sign(t, jose.ES256, "later", next, i.claims(nil)), 503)
		time.Sleep(2 * time.Hour)
		want("a known key while the issuer is away for long", i.token(nil), 200)
		i.breakWith(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"keys":[{"kty":"RSA"}]}`) })
		time.Sleep(10 * time.Second)
		want("an unknown key among bad ones", sign(t, jose.ES256, "later", next, i.claims(nil)), 503)

		// A key that the issuer takes back is no good any more, within the hour.
		i.breakWith(nil)
		i.withdraw("rsa")
		time.Sleep(time.Hour + 10*time.Second)
		want("a key that was taken back", i.token(nil), 401)
		want("the other key", signed(), 200)
		stop()
	})
}

func TestOIDCTokensExpire(t *testing.T) {
	rsaKey()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i, w, _, stop := offline(t)
		token := i.token(claims{"exp": time.Now().Add(time.Minute).Unix(), "nbf": time.Now().Unix()})
		if got := w.enter(token); got.Status != 200 {
			t.Errorf("a new token: %v, want 200", got)
		}
		time.Sleep(time.Minute + time.Second)
		if got := w.enter(token); got.Status != 401 || got.Reason != "the access token has expired" {
			t.Errorf("after a minute: %v, want 401", got)
		}
		stop()
	})
}

// A client that has got itself a new token is still who it was.
func TestOIDCSessionOutlivesToken(t *testing.T) {
	t.Parallel()
	i := serveIssuer(t)
	all := serveHTTP(t, &serve.HTTP{MCP: guardedToy().MCPServer, OIDC: newOIDC(t, i, nil)})
	events, message := all.as(i.token(claims{"jti": "1"})).sse()
	if status, got := all.as(i.token(claims{"jti": "2", "scope": "deals:read"})).post(message, who); status != 202 {
		t.Errorf("POST with a newer token = %d %q, want 202", status, got)
	}
	events.want("1: ada|4711 [deals:read]")
	if status, _ := all.as(i.token(claims{"sub": "ada|4712"})).post(message, who); status != 404 {
		t.Errorf("POST of another = %d, want 404", status)
	}
}

func TestNewOIDC(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ issuer, audience, want string }{
		{"https://login.example.com/", "heffl", ""},
		{"https://login.example.com/realms/x", audience, ""},
		{"http://127.0.0.1:8080", "heffl", ""},
		{"http://localhost", "heffl", ""},
		{"http://login.example.com", "heffl", "the OIDC issuer must begin with https:// (http:// is for loopback addresses only)"},
		{"ftp://login.example.com", "heffl", "the OIDC issuer must begin with https:// (http:// is for loopback addresses only)"},
		{"login.example.com", "heffl", "the OIDC issuer is not an absolute URL such as https://login.example.com/"},
		{"https://", "heffl", "the OIDC issuer is not an absolute URL such as https://login.example.com/"},
		{"", "heffl", "the OIDC issuer is not an absolute URL such as https://login.example.com/"},
		{"https://a:b@login.example.com", "heffl", "the OIDC issuer has a user name, a query or a fragment, which it must not have"},
		{"https://login.example.com?x", "heffl", "the OIDC issuer has a user name, a query or a fragment, which it must not have"},
		{"https://login.example.com", "", "the OIDC audience must be the name that the issuer has for this server, without spaces"},
		{"https://login.example.com", "a b", "the OIDC audience must be the name that the issuer has for this server, without spaces"},
	} {
		got := ""
		if _, err := serve.NewOIDC(test.issuer, test.audience, nil); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("NewOIDC(%q, %q) = %q, want %q", test.issuer, test.audience, got, test.want)
		}
	}
}
