package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"heffl-mcp/serve"
)

// Tokens of two users, and the names that they show up by.
const (
	ada, adaName = "adas-token-of-16-or-more", "token-9a5a7339"
	bob, bobName = "bobs-token-of-16-or-more", "token-ff1570d3"
)

// adaAndBob are the tokens of both.
func adaAndBob(t testing.TB) *serve.Tokens {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	write(t, path, ada+"\n"+bob+"\n")
	return readTokens(t, path)
}

func readTokens(t testing.TB, path string) *serve.Tokens {
	t.Helper()
	tokens, err := serve.ReadTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *web) as(token string) *web { return w.with("Authorization", "Bearer "+token) }

// get asks without a body, and gives the status and the headers.
func (w *web) get(method, path string, headers ...string) (int, http.Header) {
	w.t.Helper()
	resp := w.do(w.t.Context(), method, path, nil, headers...)
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode, resp.Header
}

// guardedToy is a toy with a tool that tells who is calling, and which credentials it can see.
func guardedToy() *toy {
	t := newToy()
	t.AddTool(mcp.NewTool("who", mcp.WithReadOnlyHintAnnotation(true)), func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		p, ok := serve.PrincipalOf(ctx)
		if !ok {
			return mcp.NewToolResultText("nobody"), nil
		}
		text := p.Name
		if p.Scopes != nil {
			text += fmt.Sprint(" ", p.Scopes)
		}
		if p.Key != "" {
			text += " with " + p.Key
		}
		for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", serve.KeyHeader} {
			if got := r.Header[name]; got != nil {
				text += fmt.Sprintf(", and sees %s %q", name, got)
			}
		}
		return mcp.NewToolResultText(text), nil
	})
	return t
}

var who = call(`1`, "who", `{}`)

// Each path and method needs a token, but for the few that are open.
func TestTokens(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: guardedToy().MCPServer, Tokens: adaAndBob(t)})
	for _, p := range paths {
		for _, method := range methods {
			open := method == "OPTIONS" || p.path == "/healthz" && (method == "GET" || method == "HEAD")
			for _, query := range []string{"", "?access_token=" + ada + "&token=" + ada, "?sessionId=" + ada} {
				status, header := w.get(method, p.path+query)
				if got := header["Www-Authenticate"]; open == (status == 401) || !open && !slices.Equal(got, []string{"Bearer"}) {
					t.Errorf("%s %s without a token = %d, WWW-Authenticate %q; open: %v", method, p.path+query, status, got, open)
				}
			}
		}
	}
	for _, user := range []struct{ token, name string }{{ada, adaName}, {bob, bobName}} {
		if status, got := w.as(user.token).post("/mcp", who); status != 200 || !slices.Equal(got, []string{"1: " + user.name}) {
			t.Errorf("call with the token of %s = %d %q", user.name, status, got)
		}
	}
	const malformed = `null: error -32600 the header Authorization must be there once, as: Bearer and the token`
	for _, test := range []struct{ header, want string }{
		{"bearer " + ada, ""},
		{"BEARER   " + ada + " ", ""},
		{"Bearer " + ada + "x", "null: error -32600 the token is not known"},
		{"Bearer " + ada[1:], "null: error -32600 the token is not known"},
		{"Bearer " + strings.ToUpper(ada), "null: error -32600 the token is not known"},
		{"Bearer x", "null: error -32600 the token is not known"},
		{"Bearer " + ada + " " + bob, malformed},
		{"Bearer " + ada + "," + bob, "null: error -32600 the token is not known"},
		{"Bearer ", malformed},
		{"Bearer", malformed},
		{"", malformed},
		{ada, malformed},
		{"Basic " + ada, malformed},
		{"Bearer\t" + ada, malformed},
		{"Bearer " + ada + "é", malformed},
	} {
		resp := w.do(t.Context(), "POST", "/mcp", strings.NewReader(who), "Authorization", test.header)
		got := slices.Collect(messages(t, resp))
		resp.Body.Close()
		if test.want == "" {
			if resp.StatusCode != 200 {
				t.Errorf("Authorization %q = %s, want 200", test.header, resp.Status)
			}
			continue
		}
		challenge := resp.Header.Get("WWW-Authenticate")
		_, description, _ := strings.Cut(test.want, "-32600 ")
		want := `Bearer error="invalid_token", error_description="` + description + `"`
		if resp.StatusCode != 401 || !slices.Equal(got, []string{test.want}) || challenge != want {
			t.Errorf("Authorization %q = %s %q, WWW-Authenticate %s; want 401 %q, %s", test.header, resp.Status, got, challenge, test.want, want)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.url+"/mcp", strings.NewReader(who))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + ada, "Bearer " + bob}}
	resp, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 401 {
		t.Errorf("two tokens = %s, want 401", resp.Status)
	}
}

func TestNewTokens(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ token, want string }{
		{"fifteen-chars-x", "the token has fewer than 16 characters; make one with: openssl rand -hex 32"},
		{" \t fifteen-chars-x \n", "the token has fewer than 16 characters; make one with: openssl rand -hex 32"},
		{"", "the token has fewer than 16 characters; make one with: openssl rand -hex 32"},
		{"sixteen chars ok", "the token contains a space or another character that is not visible ASCII"},
		{"sixteen-chars-ök", "the token contains a space or another character that is not visible ASCII"},
		{"sixteen-chars\n-ok", "the token contains a space or another character that is not visible ASCII"},
		{`sixteen"<&>\chars`, ""},
		{" sixteen-chars-ok\n", ""},
	} {
		got := ""
		if _, err := serve.NewTokens(test.token); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("NewTokens(%q) = %q, want %q", test.token, got, test.want)
		}
	}
}

func TestReadTokens(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	for _, test := range []struct{ text, want string }{
		{"", "the token file cannot be used: it has no token in it"},
		{"# " + ada + "\n\n \t\n", "the token file cannot be used: it has no token in it"},
		{ada + "\nshort\n", "the token file cannot be used: the token in line 2 has fewer than 16 characters; make one with: openssl rand -hex 32"},
		{"# both\n" + ada + " " + bob, "the token file cannot be used: the token in line 2 contains a space or another character that is not visible ASCII"},
		{strings.Repeat(ada+"\n", 50_000), "the token file cannot be used: it is longer than 1048576 bytes"},
		{"\ufeff# Windows\r\n\r\n  " + ada + "\t\r\n" + bob, ""},
	} {
		write(t, path, test.text)
		got := ""
		tokens, err := serve.ReadTokens(path)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("ReadTokens(%.40q) = %q, want %q", test.text, got, test.want)
		}
		if err != nil {
			continue
		}
		w := serveHTTP(t, &serve.HTTP{MCP: guardedToy().MCPServer, Tokens: tokens})
		for _, token := range []string{ada, bob} {
			if status, _ := w.as(token).post("/mcp", who); status != 200 {
				t.Errorf("call with a token of %q = %d, want 200", test.text, status)
			}
		}
	}
	if _, err := serve.ReadTokens(filepath.Join(path, "none")); err == nil || strings.Contains(err.Error(), path) {
		t.Errorf("ReadTokens(no file) = %v, want an error that does not show what may be a token", err)
	}
}

func TestTokenFileChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "tokens")
		write(t, path, ada)
		var log logBuffer
		ctx, stop := context.WithCancel(t.Context())
		w, _, end := start(t, ctx, &serve.HTTP{MCP: newToy().MCPServer, Log: log.logger(), Tokens: readTokens(t, path)})
		want := func(when string, adas, bobs int) {
			t.Helper()
			for token, want := range map[string]int{ada: adas, bob: bobs} {
				if status, _ := w.as(token).post("/mcp", ping(`1`)); status != want {
					t.Errorf("%s: call with %s = %d, want %d", when, token, status, want)
				}
			}
		}
		failures := func() int { return strings.Count(log.String(), "the token file cannot be used any more") }
		wantFailures := func(want int) {
			t.Helper()
			for range 3 { // a failure is told once
				time.Sleep(time.Second)
				w.as(ada).post("/mcp", ping(`1`))
			}
			if got := failures(); got != want {
				t.Errorf("the log tells of %d failures, want %d:\n%s", got, want, log.String())
			}
		}
		want("at first", 200, 401)
		write(t, path, "# now both\n"+ada+"\n"+bob)
		want("before a second has gone", 200, 401)
		time.Sleep(time.Second)
		want("after a second", 200, 200)
		write(t, path, "# Ada has left\n"+bob)
		time.Sleep(time.Second)
		want("after a token was taken out", 401, 200)
		for i, text := range []string{"", "short", "# none\n"} {
			write(t, path, text)
			wantFailures(i + 1)
			want(fmt.Sprintf("when the file is %q", text), 401, 200)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		wantFailures(4)
		want("without a file", 401, 200)
		write(t, path, ada)
		time.Sleep(time.Second)
		want("when the file is back", 200, 401)
		// What was wrong can be well again without a new size or time, as with a permission.
		write(t, path, ada[:8]+" "+ada[9:])
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		wantFailures(5)
		write(t, path, bob) // as long as the other
		if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		want("when the file is well again", 401, 200)
		if text := log.String(); failures() != 5 || strings.Contains(text, ada) || strings.Contains(text, bob) {
			t.Errorf("log = %s, want five failures and no token", text)
		}
		stop()
		if err := <-end; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
}

func TestPrincipalShowsItsNameAlone(t *testing.T) {
	t.Parallel()
	p := serve.Principal{Name: "ada", Scopes: []string{serve.ScopeRead}, Key: "secret-4711"}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+"\n", p)
		fmt.Fprintf(&out, verb+"\n", &p)
		fmt.Fprintf(&out, verb+"\n", []any{p, struct{ P serve.Principal }{p}})
	}
	for _, v := range []any{p, &p, struct{ P serve.Principal }{p}, map[string]any{"p": p}} {
		text, err := json.Marshal(v)
		if err != nil || !strings.Contains(string(text), `"ada"`) {
			t.Errorf("json.Marshal(%T) = %s, %v", v, text, err)
		}
		out.Write(text)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "p", p, "pointer", &p, "list", []serve.Principal{p}, "in", struct{ P serve.Principal }{p})
	}
	if text := out.String(); strings.Contains(text, "4711") || strings.Contains(text, "343731") {
		t.Errorf("the key shows in %s", text)
	}
	if got := p.String(); got != "ada" {
		t.Errorf("String() = %q, want ada", got)
	}
	all := serve.Principal{}
	if !p.May(serve.ScopeRead) || p.May(serve.ScopeWrite) || !all.May(serve.ScopeWrite) {
		t.Error("May: want read for ada, and all where scopes are nil")
	}
}

// What is asked of requests, and who they are from then.
func TestKeyPerRequest(t *testing.T) {
	t.Parallel()
	const key, keyName = "hk_live_4f9c2ab7", "key-96d63db6"
	type headers = []string
	both := headers{"Authorization", "Bearer " + ada, serve.KeyHeader, key}
	const needed = "null: error -32600 a Heffl API key is needed, in the header X-Heffl-Api-Key"
	const malformed = "null: error -32600 the header X-Heffl-Api-Key must be there once, with a Heffl API key and nothing else"
	for _, test := range []struct {
		name    string
		guard   serve.HTTP
		headers headers
		status  int
		want    string
	}{
		{"open", serve.HTTP{}, both, 200, "1: nobody"},
		{"a token", serve.HTTP{Tokens: adaAndBob(t)}, both, 200, "1: " + adaName},
		{"a key", serve.HTTP{KeyPerRequest: true}, both, 200, "1: " + keyName + " with " + key},
		{"a key of symbols", serve.HTTP{KeyPerRequest: true}, headers{serve.KeyHeader, `hk+"<live>"&4f9c/2ab7=d8%1e\60'35`}, 200, `1: key-1dd16eef with hk+"<live>"&4f9c/2ab7=d8%1e\60'35`},
		{"both", serve.HTTP{Tokens: adaAndBob(t), KeyPerRequest: true}, both, 200, "1: " + adaName + " with " + key},
		{"no key", serve.HTTP{KeyPerRequest: true}, both[:2], 401, needed},
		{"a token and no key", serve.HTTP{Tokens: adaAndBob(t), KeyPerRequest: true}, both[:2], 401, needed},
		{"a key and no token", serve.HTTP{Tokens: adaAndBob(t), KeyPerRequest: true}, both[2:], 401, "null: error -32600 a bearer token is needed, in the header Authorization"},
		{"an empty key", serve.HTTP{KeyPerRequest: true}, headers{serve.KeyHeader, ""}, 401, needed},
		{"two in one", serve.HTTP{KeyPerRequest: true}, headers{serve.KeyHeader, key + " " + key}, 401, malformed},
		{"an umlaut", serve.HTTP{KeyPerRequest: true}, headers{serve.KeyHeader, key + "ü"}, 401, malformed},
		{"a tab", serve.HTTP{KeyPerRequest: true}, headers{serve.KeyHeader, key + "\tx"}, 401, malformed},
		{"too long", serve.HTTP{KeyPerRequest: true}, headers{serve.KeyHeader, strings.Repeat("k", 1025)}, 401, malformed},
	} {
		var log logBuffer
		h := test.guard
		h.MCP, h.Log = guardedToy().MCPServer, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		w := serveHTTP(t, &h).with("Proxy-Authorization", "Basic x", "Cookie", "a=b")
		resp := w.do(t.Context(), "POST", "/mcp", strings.NewReader(who), test.headers...)
		got := slices.Collect(messages(t, resp))
		resp.Body.Close()
		if resp.StatusCode != test.status || !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s = %s %q, want %d %q", test.name, resp.Status, got, test.status, test.want)
		}
		if challenge := resp.Header.Get("WWW-Authenticate"); (resp.StatusCode == 401) != (challenge != "") {
			t.Errorf("%s = %s with WWW-Authenticate %q", test.name, resp.Status, challenge)
		}
		if text := log.String(); strings.Contains(text, key) || strings.Contains(text, ada) {
			t.Errorf("%s: the log has a secret in it: %s", test.name, text)
		}
	}
}

// Everything that is done for a request knows whose it is.
func TestPrincipalOf(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 100)
	note := func(ctx context.Context, what string) {
		p, _ := serve.PrincipalOf(ctx)
		seen <- what + " of " + p.Name + " with " + p.Key
	}
	hooks := &server.Hooks{}
	hooks.AddBeforeAny(func(ctx context.Context, _ any, method mcp.MCPMethod, _ any) { note(ctx, string(method)) })
	hooks.AddOnRegisterSession(func(ctx context.Context, _ server.ClientSession) { note(ctx, "stream") })
	m := server.NewMCPServer("toy", "1", server.WithHooks(hooks), server.WithToolCapabilities(true))
	w := serveHTTP(t, &serve.HTTP{MCP: m, Tokens: adaAndBob(t), KeyPerRequest: true}).as(ada).with(serve.KeyHeader, "hk_1")
	want := func(what string) {
		t.Helper()
		if got := receive(t, seen); got != what+" of "+adaName+" with hk_1" {
			t.Errorf("next = %q, want %s of %s with hk_1", got, what, adaName)
		}
	}
	w.post("/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	want("tools/list")
	w.listen(`1`)
	want("subscriptions/listen")
	events, message := w.sse()
	want("stream")
	w.post(message, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	want("tools/list")
	events.want("1: result")
}

// The address of an SSE session does not let anybody in but who opened it.
func TestSSEBelongsToItsPrincipal(t *testing.T) {
	t.Parallel()
	toy := guardedToy()
	all := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer, Tokens: adaAndBob(t), KeyPerRequest: true})
	one, two := all.as(ada).with(serve.KeyHeader, "hk_1"), all.as(bob).with(serve.KeyHeader, "hk_1")
	adas, adasURL := one.sse()
	bobs, bobsURL := two.sse()
	_, unknown := one.post("/message?sessionId=x", ping(`1`))
	for _, stranger := range []struct {
		name string
		*web
	}{
		{"another token", two}, {"another key", all.as(ada).with(serve.KeyHeader, "hk_2")},
	} {
		for _, body := range []string{who, call(`7`, "slow", `{}`), cancelNote(`7`)} {
			if status, got := stranger.post(adasURL, body); status != 404 || !slices.Equal(got, unknown) {
				t.Errorf("%s: POST %s = %d %q, want 404 %q", stranger.name, body, status, got, unknown)
			}
		}
	}
	// Both at once, with the same ids; each cancels its own.
	one.post(adasURL, call(`7`, "slow", `{"tag":"adas"}`))
	toy.wantStarted(t, "adas")
	two.post(bobsURL, call(`7`, "slow", `{"tag":"bobs"}`))
	toy.wantStarted(t, "bobs")
	two.post(bobsURL, cancelNote(`7`))
	if got := receive(t, toy.stopped); got != "bobs" {
		t.Errorf("stopped %q, want bobs", got)
	}
	close(toy.release)
	adas.want("7: released adas")
	one.post(adasURL, who)
	two.post(bobsURL, who)
	adas.want("1: " + adaName + " with hk_1")
	bobs.want("1: " + bobName + " with hk_1")
}

// One principal that holds all it can get leaves room for another.
func TestOnePrincipalTakesHalf(t *testing.T) {
	t.Parallel()
	toy := guardedToy()
	all := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer, Tokens: adaAndBob(t), MaxStreams: 8, MaxCalls: 4})
	one, two := all.as(ada), all.as(bob)
	var first *stream
	for i := range 4 {
		s := one.listen(fmt.Sprint(i))
		if first == nil {
			first = s
		}
	}
	for range 100 {
		if status, _ := one.get("GET", "/sse"); status != 503 {
			t.Fatalf("a fifth stream of eight = %d, want 503", status)
		}
	}
	two.listen(`1`)
	two.sse()
	first.resp.Body.Close()
	if receive(t, first.got) != "" {
		t.Error("a closed stream goes on")
	}
	// The place is free as soon as the server has found out.
	for status := 503; status == 503; {
		resp := one.do(t.Context(), "GET", "/sse", nil)
		status = resp.StatusCode
		defer resp.Body.Close()
	}

	answers := make(chan string, 2)
	for range 2 {
		go func() {
			_, got := one.post("/mcp", call(`1`, "slow", `{}`))
			answers <- strings.Join(got, " ")
		}()
	}
	toy.wantStarted(t, "", "")
	if status, _ := one.post("/mcp", who); status != 503 {
		t.Errorf("a third call of four = %d, want 503", status)
	}
	if status, _ := two.post("/mcp", who); status != 200 {
		t.Errorf("a call of another = %d, want 200", status)
	}
	close(toy.release)
	for range 2 {
		if got := receive(t, answers); got != "1: released " {
			t.Errorf("answer = %q", got)
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		all, _, end := start(t, ctx, &serve.HTTP{MCP: newToy().MCPServer, Tokens: adaAndBob(t), Rate: 30})
		// 7 at once, and then one every two seconds.
		want := func(w *web, what string, statuses ...int) {
			t.Helper()
			for i, want := range statuses {
				resp := w.do(t.Context(), "POST", "/mcp", strings.NewReader(ping(`1`)))
				got := slices.Collect(messages(t, resp))
				resp.Body.Close()
				if resp.StatusCode != want {
					t.Errorf("%s, request %d = %s, want %d", what, i+1, resp.Status, want)
				}
				const told = "null: error -32600 the limit of 30 requests a minute is reached; try again in 2 s"
				if retry := resp.Header.Get("Retry-After"); want == 429 && (retry != "2" || !slices.Equal(got, []string{told})) {
					t.Errorf("%s, request %d: Retry-After %q, %q; want 2, %q", what, i+1, retry, got, told)
				}
			}
		}
		want(all.as(ada), "Ada", 200, 200, 200, 200, 200, 200, 200, 429, 429)
		want(all.as(bob), "Bob", 200)
		want(all, "nobody", 401, 401, 401, 401, 401)
		want(all.as("a-token-that-nobody-has"), "a stranger", 401, 401, 429)
		time.Sleep(2 * time.Second)
		want(all.as(ada), "Ada after 2s", 200, 429)
		want(all, "nobody after 2s", 401, 429)
		for range 100 {
			if status, _ := all.get("GET", "/healthz"); status != 200 {
				t.Fatalf("GET /healthz = %d, want 200", status)
			}
		}
		time.Sleep(time.Hour)
		want(all.as(ada), "Ada after an hour", 200, 200, 200, 200, 200, 200, 200, 429)
		// What else is wrong with a request does not matter: it counts.
		time.Sleep(time.Hour)
		for range 7 {
			all.as(ada).get("GET", "/nowhere")
		}
		want(all.as(ada), "Ada after 7 bad requests", 429)
		stop()
		if err := <-end; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
}

// Where nobody has a name, addresses count.
func TestRateOfAddresses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := (&serve.HTTP{MCP: newToy().MCPServer, Rate: 1}).Handler()
		from := func(address string) int {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/mcp", strings.NewReader(ping(`1`)))
			r.Header.Set("Content-Type", "application/json")
			r.RemoteAddr = address
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		for range 5 {
			from("192.0.2.1:1")
			from("[2001:db8::1]:1")
		}
		got := map[string]int{}
		for _, address := range []string{
			"192.0.2.1:2", "[::ffff:192.0.2.1]:1", "192.0.2.2:1",
			"[2001:db8::2]:1", "[2001:db8::2%eth0]:1", "[2001:db8:0:1::1]:1", "nonsense",
		} {
			got[address] = from(address)
		}
		want := map[string]int{
			"192.0.2.1:2": 429, "[::ffff:192.0.2.1]:1": 429, "192.0.2.2:1": 200,
			"[2001:db8::2]:1": 429, "[2001:db8::2%eth0]:1": 429, "[2001:db8:0:1::1]:1": 200, "nonsense": 200,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("statuses (-want +got):\n%s", diff)
		}
	})
}

// However many strangers there are, what is known of principals stays.
func TestRateOfPrincipalsAmongStrangers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := (&serve.HTTP{MCP: newToy().MCPServer, Tokens: adaAndBob(t), Rate: 1}).Handler()
		from := func(address, token string) int {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/nowhere", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			r.RemoteAddr = address
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		for range 5 {
			from("192.0.2.1:1", ada)
		}
		for i := range 20_000 {
			from(fmt.Sprintf("10.0.%d.%d:1", i/256, i%256), "a-token-that-nobody-has")
		}
		if status := from("192.0.2.1:1", ada); status != 429 {
			t.Errorf("after 20,000 strangers a sixth request of Ada = %d, want 429", status)
		}
	})
}

// onAddress is h as if its listener had this address.
func onAddress(t testing.TB, h *serve.HTTP, local string) *web {
	t.Helper()
	next := h.Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tcpAddr(t, local))))
	}))
	t.Cleanup(srv.Close)
	return &web{t: t, url: srv.URL, client: tapped(t, srv.Client())}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	names := []string{"CRM.example.com", "10.1.2.3"}
	for _, test := range []struct {
		local string
		hosts []string
		want  map[string]bool // by Host
	}{
		{"192.0.2.1:80", nil, map[string]bool{"crm.example.com": true, "localhost": true, "evil.example": true}},
		{"192.0.2.1:80", names, map[string]bool{"crm.example.com": true, "Crm.Example.com:8080": true, "10.1.2.3": true, "localhost": false, "evil.example": false, "crm.example.com.evil.example": false}},
		{"127.0.0.1:80", nil, map[string]bool{"crm.example.com": false, "localhost": true, "[::1]:80": true}},
		{"127.0.0.1:80", names, map[string]bool{"crm.example.com": true, "localhost": true, "evil.example": false}},
	} {
		w := onAddress(t, &serve.HTTP{MCP: newToy().MCPServer, Hosts: test.hosts}, test.local)
		got := map[string]bool{}
		for host := range test.want {
			status, _ := w.post("/mcp", ping(`1`), "Host", host)
			if got[host] = status == 200; status != 200 && status != 403 {
				t.Errorf("Host %s on %s = %d, want 200 or 403", host, test.local, status)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("on %s for %q, let in by Host (-want +got):\n%s", test.local, test.hosts, diff)
		}
	}
}

// A page in the browser of somebody who has a token, or is on the same machine, gets nowhere.
func TestHostilePage(t *testing.T) {
	t.Parallel()
	const evil, good = "https://evil.example", "https://app.example.com"
	for _, local := range []string{"127.0.0.1:80", "192.0.2.1:80"} {
		w := onAddress(t, &serve.HTTP{MCP: guardedToy().MCPServer, Tokens: adaAndBob(t), AllowedOrigins: []string{good}}, local).as(ada)
		preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization"}
		for _, test := range []struct {
			name, method, path string
			headers            []string
			status             int
		}{
			{"a call", "POST", "/mcp", []string{"Origin", evil}, 403},
			{"a simple call", "POST", "/mcp", []string{"Origin", evil, "Content-Type", "text/plain"}, 403},
			{"a simple call of a page without origin", "POST", "/mcp", []string{"Origin", "null", "Content-Type", "text/plain"}, 403},
			{"a form", "POST", "/mcp", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
			{"text", "POST", "/mcp", []string{"Content-Type", "text/plain"}, 415},
			{"a message", "POST", "/message?sessionId=x", []string{"Origin", evil, "Content-Type", "text/plain"}, 403},
			{"a stream", "GET", "/sse", []string{"Origin", evil}, 403},
			{"whether it lives", "GET", "/healthz", []string{"Origin", evil}, 403},
			{"a preflight", "OPTIONS", "/mcp", slices.Concat([]string{"Origin", evil}, preflight), 403},
			{"a good preflight", "OPTIONS", "/mcp", slices.Concat([]string{"Origin", good, "Authorization", ""}, preflight), 204},
			{"a good page without a token", "POST", "/mcp", []string{"Origin", good, "Authorization", ""}, 401},
			{"a good page", "POST", "/mcp", []string{"Origin", good}, 200},
		} {
			resp := w.do(t.Context(), test.method, test.path, strings.NewReader(who), test.headers...)
			resp.Body.Close()
			if resp.StatusCode != test.status {
				t.Errorf("on %s, %s = %s, want %d", local, test.name, resp.Status, test.status)
			}
			origin := resp.Header.Get("Access-Control-Allow-Origin")
			if asked := slices.Contains(test.headers, good); asked != (origin == good) || !asked && origin != "" {
				t.Errorf("on %s, %s allows the origin %q", local, test.name, origin)
			}
			if resp.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("on %s, %s lets a browser send cookies", local, test.name)
			}
		}
	}
}

func TestListenGuarded(t *testing.T) {
	t.Parallel()
	issuer, err := serve.NewOIDC("https://login.example.com/", "heffl", nil)
	if err != nil {
		t.Fatal(err)
	}
	const open = "cannot listen on 0.0.0.0:0: it is not a loopback address, and nothing asks who may enter: set HEFFL_MCP_TOKEN, or --oidc-issuer, or take HEFFL_API_KEY away so that each request brings its own key; or use 127.0.0.1:0"
	for name, test := range map[string]struct {
		h    serve.HTTP
		addr string
		want string
	}{
		"open":           {serve.HTTP{}, "0.0.0.0:0", open},
		"open, IPv6":     {serve.HTTP{}, "[::]:0", strings.ReplaceAll(open, "0.0.0.0:0", "[::]:0")},
		"open, loopback": {serve.HTTP{}, "127.0.0.1:0", ""},
		"tokens":         {serve.HTTP{Tokens: adaAndBob(t)}, "0.0.0.0:0", ""},
		"issuer":         {serve.HTTP{OIDC: issuer}, "0.0.0.0:0", ""},
		"keys":           {serve.HTTP{KeyPerRequest: true}, "0.0.0.0:0", ""},
		"no port":        {serve.HTTP{KeyPerRequest: true}, "0.0.0.0", `cannot listen on "0.0.0.0": give a host and a port, like 127.0.0.1:8080`},
		"negative rate":  {serve.HTTP{Rate: -1}, "127.0.0.1:0", "the rate must be a number of requests a minute, or 0 for no limit"},
		"any origin":     {serve.HTTP{AllowedOrigins: []string{"*"}}, "127.0.0.1:0", `"*" is not a web origin such as https://app.example.com`},
		"a host":         {serve.HTTP{AllowedOrigins: []string{"app.example.com"}}, "127.0.0.1:0", `"app.example.com" is not a web origin such as https://app.example.com`},
		"a page":         {serve.HTTP{AllowedOrigins: []string{"https://app.example.com/a"}}, "127.0.0.1:0", `"https://app.example.com/a" is not a web origin such as https://app.example.com`},
		"good origins":   {serve.HTTP{AllowedOrigins: []string{"https://app.example.com/", "http://localhost:6274"}}, "127.0.0.1:0", ""},
		"an origin":      {serve.HTTP{Hosts: []string{"https://crm.example.com"}}, "127.0.0.1:0", `"https://crm.example.com" is not the name of a host such as crm.example.com`},
		"no host":        {serve.HTTP{Hosts: []string{""}}, "127.0.0.1:0", `"" is not the name of a host such as crm.example.com`},
		"any host":       {serve.HTTP{Hosts: []string{"*.example.com"}}, "127.0.0.1:0", `"*.example.com" is not the name of a host such as crm.example.com`},
		"good hosts":     {serve.HTTP{Hosts: []string{"crm.example.com", "CRM.example.com:8443", "10.0.0.1", "[::1]"}}, "127.0.0.1:0", ""},
		"half of TLS":    {serve.HTTP{TLSCert: "x"}, "127.0.0.1:0", "TLS needs both a certificate and its key"},
		"other half":     {serve.HTTP{TLSKey: "x"}, "127.0.0.1:0", "TLS needs both a certificate and its key"},
	} {
		ln, err := test.h.Listen(t.Context(), test.addr)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			ln.Close()
		}
		if got != test.want {
			t.Errorf("%s: Listen(%s) = %q, want %q", name, test.addr, got, test.want)
		}
	}
}
