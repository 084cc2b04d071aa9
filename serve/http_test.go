package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/server"

	"heffl-mcp/internal/mcpspec"
	"heffl-mcp/serve"
)

// web is a running HTTP server and a client to it.
type web struct {
	t       testing.TB
	url     string
	client  *http.Client
	headers []string // pairs, of every request
}

// with is the same client, as one that sends these headers too.
func (w *web) with(headers ...string) *web {
	return &web{w.t, w.url, w.client, slices.Concat(w.headers, headers)}
}

func serveHTTP(t testing.TB, h *serve.HTTP) *web {
	t.Helper()
	srv := httptest.NewServer(h.Handler())
	t.Cleanup(srv.Close)
	return &web{t: t, url: srv.URL, client: tapped(t, srv.Client())}
}

// tapped is a client whose test fails where the server says what the protocol's schema has not.
func tapped(t testing.TB, c *http.Client) *http.Client {
	return &http.Client{Transport: &mcpspec.Tap{Transport: c.Transport, Report: func(err error) { t.Error(err) }}}
}

// do sends a request; headers are pairs, and override Content-Type: application/json.
func (w *web) do(ctx context.Context, method, path string, body io.Reader, headers ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, w.url+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for pair := range slices.Chunk(slices.Concat(w.headers, headers), 2) {
		if pair[0] == "Host" {
			r.Host = pair[1]
		}
		r.Header.Set(pair[0], pair[1])
	}
	resp, err := w.client.Do(r)
	if err != nil {
		w.t.Errorf("%s %s: %v", method, path, err)
		return &http.Response{Body: http.NoBody, Header: http.Header{}}
	}
	return resp
}

// post sends a message and gives the status and the messages that come back, in a short form.
func (w *web) post(path, body string, headers ...string) (status int, got []string) {
	w.t.Helper()
	resp := w.do(w.t.Context(), http.MethodPost, path, strings.NewReader(body), headers...)
	defer resp.Body.Close()
	for m := range messages(w.t, resp) {
		got = append(got, m)
	}
	return resp.StatusCode, got
}

// messages reads the messages of a response, JSON or events, as they come.
func messages(t testing.TB, resp *http.Response) func(func(string) bool) {
	return func(yield func(string) bool) {
		lines := bufio.NewReader(resp.Body)
		for {
			line, err := lines.ReadString('\n')
			data, isData := strings.CutPrefix(line, "data: ")
			if strings.HasPrefix(line, "{") || isData {
				if strings.HasPrefix(data, "/") {
					if !yield(strings.TrimSpace(data)) {
						return
					}
				} else if !yield(decode(t, []byte(data)).String()) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// stream is a response that stays open.
type stream struct {
	t    testing.TB
	resp *http.Response
	got  chan string // closed at the end
}

func (w *web) stream(method, path, body string, headers ...string) *stream {
	w.t.Helper()
	resp := w.do(w.t.Context(), method, path, strings.NewReader(body), headers...)
	for late := time.Now().Add(20 * time.Second); resp.StatusCode == http.StatusServiceUnavailable && time.Now().Before(late); {
		resp.Body.Close() // the places of those who have gone are free when the server has noticed
		resp = w.do(w.t.Context(), method, path, strings.NewReader(body), headers...)
	}
	s := &stream{w.t, resp, make(chan string, 1000)}
	if s.resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s = %s", method, path, s.resp.Status)
	}
	go func() {
		defer close(s.got)
		for m := range messages(w.t, s.resp) {
			s.got <- m
		}
	}()
	w.t.Cleanup(func() { s.resp.Body.Close() })
	return s
}

func (s *stream) want(messages ...string) {
	s.t.Helper()
	for _, want := range messages {
		if got := receive(s.t, s.got); got != want {
			s.t.Fatalf("next message = %q, want %q", got, want)
		}
	}
}

// sse opens a stream and gives the path to post to.
func (w *web) sse() (*stream, string) {
	w.t.Helper()
	s := w.stream(http.MethodGet, "/sse", "")
	path := receive(w.t, s.got)
	if !strings.HasPrefix(path, "/message?sessionId=") {
		w.t.Fatalf("GET /sse begins with %q, want the path to post to", path)
	}
	return s, path
}

// modernHeaders are those of a subscriptions/listen.
var modernHeaders = []string{"Mcp-Protocol-Version", modern, "Mcp-Method", "subscriptions/listen", "Accept", "application/json, text/event-stream"}

func (w *web) listen(id string) *stream {
	w.t.Helper()
	s := w.stream(http.MethodPost, "/mcp", listen(id, toolsChanged), modernHeaders...)
	s.want("notifications/subscriptions/acknowledged for " + id)
	return s
}

func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer})
	const internal = "error -32603 internal error; the server's log has the details"
	for _, test := range []struct {
		name, body string
		status     int
		want       []string
	}{
		{"a call", add(`1`, 1, 2), 200, []string{"1: 3"}},
		{"initialize", initialize, 200, []string{`"init": result`}},
		{"an exact id", add(`9007199254740993`, 1, 2), 200, []string{"9007199254740993: 3"}},
		{"an exact id of a stream", call(`1e3`, "progress", `{"steps":2}`), 200, []string{"notifications/progress 1", "notifications/progress 2", "1e3: done"}},
		{"an exact id of an error", `{"jsonrpc":"2.0","id":9007199254740993,"method":"nope"}`, 200, []string{"9007199254740993: error -32601 Method nope not found"}},
		{"a panic", call(`1`, "panics", `{}`), 500, []string{"1: " + internal}},
		{"a panic of an exact id", call(`9007199254740993`, "panics", `{}`), 500, []string{"9007199254740993: " + internal}},
		{"a panic in a stream", call(`1`, "progress", `{"steps":1,"panic":true}`), 200, []string{"notifications/progress 1", "1: " + internal}},
		{"a notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, 202, nil},
		{"a cancellation", cancelNote(`1`), 202, nil},
		{"a response", `{"jsonrpc":"2.0","id":1,"result":{}}`, 202, nil},
	} {
		status, got := w.post("/mcp", test.body)
		if test.name == "a panic in a stream" && status == 500 { // the notification was not written yet: as good
			test.status = 500
		}
		if diff := cmp.Diff(test.want, got); status != test.status || diff != "" {
			t.Errorf("%s = %d, want %d; messages (-want +got):\n%s", test.name, status, test.status, diff)
		}
	}
	for _, test := range refused {
		if status, got := w.post("/mcp", test.message); status != 400 || !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s: POST /mcp = %d %q, want 400 %q", test.name, status, got, test.want)
		}
	}
}

func TestHTTPLosesNoNotification(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer})
	var want []string
	for i := range 5 {
		want = append(want, fmt.Sprint("notifications/progress ", i+1))
	}
	want = append(want, "1: done")
	for range 200 {
		if _, got := w.post("/mcp", call(`1`, "progress", `{"steps":5}`)); !slices.Equal(got, want) {
			t.Fatalf("messages = %q, want %q", got, want)
		}
	}
	_, got := w.post("/mcp", call(`1`, "progress", `{"steps":5}`), "Accept", "application/json")
	if want := want[5:]; !slices.Equal(got, want) {
		t.Errorf("a client that takes no events got %q, want %q", got, want)
	}
}

func TestHTTPPassesContextValuesOn(t *testing.T) {
	t.Parallel()
	h := (&serve.HTTP{MCP: newToy().MCPServer}).Handler()
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), principal{}, r.Header.Get("X-Who"))))
	}))
	t.Cleanup(srv.Close)
	w := &web{t: t, url: srv.URL, client: tapped(t, srv.Client())}
	if _, got := w.post("/mcp", call(`1`, "principal", `{}`), "X-Who", "ada"); !slices.Equal(got, []string{"1: ada"}) {
		t.Errorf("POST /mcp = %q, want ada", got)
	}
	events, message := w.sse()
	w.post(message, call(`2`, "principal", `{}`), "X-Who", "bob")
	events.want("2: bob")
}

func TestHTTPPanicOutsideACall(t *testing.T) {
	t.Parallel()
	hooks := &server.Hooks{}
	hooks.AddOnRegisterSession(func(context.Context, server.ClientSession) { panic("secret-4711") })
	var log logBuffer
	w := serveHTTP(t, &serve.HTTP{MCP: server.NewMCPServer("toy", "1", server.WithHooks(hooks)), Log: log.logger()})
	resp := w.do(t.Context(), "GET", "/sse", nil)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 500 || strings.Contains(string(body), "secret") || err != nil {
		t.Errorf("GET /sse = %s %q, %v; want a neutral 500", resp.Status, body, err)
	}
	if text := log.String(); !strings.Contains(text, "path=/sse") || !strings.Contains(text, "http_test.go") {
		t.Errorf("log = %q, want the path and the stack", text)
	}
}

// Two clients without sessions use the same request id, and even the same session header.
func TestHTTPClientsShareNothing(t *testing.T) {
	t.Parallel()
	toy := newToy()
	w := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer})
	got := make(chan []string)
	go func() {
		_, m := w.post("/mcp", call(`1`, "slow", `{"tag":"mine"}`), "Mcp-Session-Id", "s")
		got <- m
	}()
	toy.wantStarted(t, "mine")
	for _, headers := range [][]string{nil, {"Mcp-Session-Id", "s"}} {
		if status, _ := w.post("/mcp", cancelNote(`1`), headers...); status != 202 {
			t.Errorf("notifications/cancelled = %d, want 202", status)
		}
		if _, m := w.post("/mcp", call(`1`, "progress", `{"steps":1}`), headers...); !slices.Equal(m, []string{"notifications/progress 1", "1: done"}) {
			t.Errorf("the other client got %q", m)
		}
	}
	close(toy.release)
	if m := receive(t, got); !slices.Equal(m, []string{"1: released mine"}) {
		t.Errorf("answer = %q, want that of an undisturbed call", m)
	}
}

// A lost connection cancels a call since 2026-07-28, and not before.
func TestHTTPDisconnect(t *testing.T) {
	t.Parallel()
	slow := raw(`1`, `{"name":"slow","arguments":{"tag":"x"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}`)
	for _, test := range []struct {
		name, body string
		headers    []string
		cancelled  bool
	}{
		{"no revision", call(`1`, "slow", `{"tag":"x"}`), nil, false},
		{legacy, call(`1`, "slow", `{"tag":"x"}`), []string{"Mcp-Protocol-Version", legacy}, false},
		{modern, slow, []string{"Mcp-Protocol-Version", modern, "Mcp-Method", "tools/call", "Mcp-Name", "slow"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				toy := newToy()
				ctx, stop := context.WithCancel(t.Context())
				w, _, end := start(t, ctx, &serve.HTTP{MCP: toy.MCPServer})
				calling, hangUp := context.WithCancel(t.Context())
				go func() {
					r, _ := http.NewRequestWithContext(calling, http.MethodPost, w.url+"/mcp", strings.NewReader(test.body))
					r.Header.Set("Content-Type", "application/json")
					for pair := range slices.Chunk(test.headers, 2) {
						r.Header.Set(pair[0], pair[1])
					}
					if resp, err := w.client.Do(r); err == nil {
						t.Errorf("POST /mcp = %s, want a call that goes on", resp.Status)
						resp.Body.Close()
					}
				}()
				toy.wantStarted(t, "x")
				hangUp()
				synctest.Wait()
				if got := len(toy.stopped) > 0; got != test.cancelled {
					t.Errorf("cancelled = %v, want %v", got, test.cancelled)
				}
				close(toy.release)
				stop()
				if err := <-end; err != nil {
					t.Errorf("Serve = %v, want nil", err)
				}
			})
		})
	}
}

func TestHTTPRefusesUnknownRevisions(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer})
	const all = "2026-07-28, 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05"
	for _, test := range []struct {
		revision, body string
		status         int
		want           []string
	}{
		{"1999-01-01", add(`7`, 1, 2), 400, []string{`7: error -32600 MCP-Protocol-Version "1999-01-01" is not supported; there are ` + all}},
		{"1", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, 400, []string{`null: error -32600 MCP-Protocol-Version "1" is not supported; there are ` + all}},
		{"1999-01-01", initialize, 200, []string{`"init": result`}},
		{"2025-03-26", add(`7`, 1, 2), 200, []string{"7: 3"}},
	} {
		resp := w.do(t.Context(), "POST", "/mcp", strings.NewReader(test.body), "Mcp-Protocol-Version", test.revision)
		got := slices.Collect(messages(t, resp))
		resp.Body.Close()
		if resp.StatusCode != test.status || !slices.Equal(got, test.want) {
			t.Errorf("POST %s in %s = %s %q, want %d %q", test.body, test.revision, resp.Status, got, test.status, test.want)
		}
	}
}

func TestHTTPListen(t *testing.T) {
	t.Parallel()
	toy := newToy()
	w := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer})
	one, two := w.listen(`"one"`), w.listen(`9007199254740993`)
	toy.DeleteTools("add")
	one.want(`notifications/tools/list_changed for "one"`)
	two.want("notifications/tools/list_changed for 9007199254740993")
}

// paths are all that there are, with the one method that each takes.
var paths = []struct{ path, method string }{
	{"/mcp", "POST"}, {"/sse", "GET"}, {"/message", "POST"}, {"/healthz", "GET"}, {"/", ""}, {"/mcp/", ""}, {"/admin", ""},
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

func TestHTTPRefusesStrangers(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer, AllowedOrigins: []string{"https://App.example.com/"}})
	for _, p := range paths {
		for _, method := range methods {
			for _, strange := range [][]string{
				{"Origin", "https://evil.example"}, {"Origin", "null"}, {"Origin", ""}, {"Origin", "*"},
				{"Origin", "http://localhost.evil.example"}, {"Origin", "http://localhost@evil.example"},
				{"Origin", "http://evil.example/localhost"}, {"Origin", "https://app.example.com.evil.example"},
				{"Origin", "http://app.example.com"}, {"Origin", "file://localhost"},
				{"Host", "evil.example"}, {"Host", "localhost.evil.example:80"}, {"Host", "10.0.0.1"},
			} {
				resp := w.do(t.Context(), method, p.path, nil, strange...)
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 403 || resp.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%s %s with %q = %s %s, want 403 with JSON", method, p.path, strange, resp.Status, resp.Header.Get("Content-Type"))
				}
				if got := resp.Header["Access-Control-Allow-Origin"]; got != nil {
					t.Errorf("%s %s with %q allows the origin %q", method, p.path, strange, got)
				}
			}
		}
	}
	if _, got := w.post("/mcp", add(`1`, 1, 2), "Origin", "https://evil.example"); !slices.Equal(got, []string{`null: error -32600 requests from the origin "https://evil.example" are not allowed`}) {
		t.Errorf("the body of a 403 = %q", got)
	}
}

func TestHTTPLetsIn(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer, AllowedOrigins: []string{"https://App.example.com/"}})
	for _, origin := range []string{
		"https://app.example.com", "http://localhost:6274", "http://localhost", "https://LOCALHOST", "http://127.0.0.1:80", "http://[::1]:80",
	} {
		resp := w.do(t.Context(), "POST", "/mcp", strings.NewReader(add(`1`, 1, 2)), "Origin", origin)
		resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != 200 || got != origin {
			t.Errorf("call from %s = %s, allowed origin %q; want 200 and its own", origin, resp.Status, got)
		}
		resp = w.do(t.Context(), "OPTIONS", "/mcp", nil, "Origin", origin,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,mcp-param-x")
		resp.Body.Close()
		got := map[string]string{}
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
				got[name] = resp.Header.Get(name)
			}
		}
		want := map[string]string{
			"Access-Control-Allow-Origin":   origin,
			"Access-Control-Allow-Methods":  "POST",
			"Access-Control-Allow-Headers":  "content-type,mcp-param-x",
			"Access-Control-Expose-Headers": "Retry-After, WWW-Authenticate",
			"Access-Control-Max-Age":        "600",
			"Vary":                          "Origin",
		}
		if diff := cmp.Diff(want, got); resp.StatusCode != 204 || diff != "" {
			t.Errorf("preflight from %s = %s; headers (-want +got):\n%s", origin, resp.Status, diff)
		}
	}
	for _, host := range []string{"localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:8080", "[::1]"} {
		if status, _ := w.post("/mcp", add(`1`, 1, 2), "Host", host); status != 200 {
			t.Errorf("call with Host %s = %d, want 200", host, status)
		}
	}
}

func TestHTTPRoutes(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer})
	for _, p := range paths {
		for _, method := range methods {
			want, allow := 405, p.method+", OPTIONS"
			switch {
			case p.method == "":
				want, allow = 404, ""
			case method == "OPTIONS":
				want = 204
			case method == p.method, method == "HEAD" && p.path == "/healthz":
				continue
			}
			resp := w.do(t.Context(), method, p.path, nil)
			resp.Body.Close()
			if got := resp.Header.Get("Allow"); resp.StatusCode != want || got != allow {
				t.Errorf("%s %s = %s, Allow %q; want %d, %q", method, p.path, resp.Status, got, want, allow)
			}
		}
	}
	resp := w.do(t.Context(), "GET", "/healthz", nil)
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || string(body) != "ok\n" || err != nil {
		t.Errorf("GET /healthz = %s %q, %v", resp.Status, body, err)
	}
	if resp := w.do(t.Context(), "HEAD", "/healthz", nil); resp.StatusCode != 200 {
		t.Errorf("HEAD /healthz = %s", resp.Status)
	}
	if _, got := w.post("/", "{}"); len(got) != 1 || !strings.Contains(got[0], "/mcp") || !strings.Contains(got[0], "/sse") {
		t.Errorf("POST / = %q, want the paths that there are", got)
	}
}

func TestHTTPRefusesBodies(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer, MaxBody: 1000})
	events, message := w.sse()
	for _, path := range []string{"/mcp", message} {
		for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", "application/json;="} {
			if status, got := w.post(path, add(`1`, 1, 2), "Content-Type", media); status != 415 || len(got) != 1 {
				t.Errorf("POST %s as %q = %d %q, want 415", path, media, status, got)
			}
		}
		large := add(`1`, 1, 2) + strings.Repeat(" ", 1000)
		if status, got := w.post(path, large); status != 413 || !slices.Equal(got, []string{"null: error -32600 the body is longer than 1000 bytes"}) {
			t.Errorf("POST %s of %d bytes = %d %q, want 413", path, len(large), status, got)
		}
		resp := w.do(t.Context(), "POST", path, io.MultiReader(strings.NewReader(large))) // of unknown length
		resp.Body.Close()
		if resp.StatusCode != 413 {
			t.Errorf("POST %s in chunks = %s, want 413", path, resp.Status)
		}
	}
	for _, path := range []string{"/message", "/message?sessionId=x"} {
		if status, _ := w.post(path, add(`1`, 1, 2)); status != 404 {
			t.Errorf("POST %s = %d, want 404", path, status)
		}
	}
	w.post(message, ping(`9`), "Content-Type", "application/json; charset=utf-8")
	events.want("9: result") // and nothing before
}

func TestHTTPLimits(t *testing.T) {
	t.Parallel()
	toy := newToy()
	w := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer, MaxCalls: 2, MaxStreams: 2})
	busy := func(method, path, body string, headers ...string) {
		t.Helper()
		resp := w.do(t.Context(), method, path, strings.NewReader(body), headers...)
		resp.Body.Close()
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s = %s, Retry-After %q; want 503 with it", method, path, resp.Status, resp.Header.Get("Retry-After"))
		}
	}
	events, message := w.sse()
	w.listen(`1`)
	busy("GET", "/sse", "")
	busy("POST", "/mcp", listen(`2`, toolsChanged), modernHeaders...)

	answered := make(chan []string)
	go func() {
		_, got := w.post("/mcp", call(`1`, "slow", `{}`))
		answered <- got
	}()
	w.post(message, call(`2`, "slow", `{}`))
	toy.wantStarted(t, "", "")
	busy("POST", "/mcp", ping(`3`))
	busy("POST", message, ping(`3`))
	close(toy.release)
	if got := receive(t, answered); !slices.Equal(got, []string{"1: released "}) {
		t.Errorf("answer = %q", got)
	}
	events.want("2: released ")
}

func TestSSE(t *testing.T) {
	t.Parallel()
	toy := newToy()
	w := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer})
	one, oneURL := w.sse()
	two, twoURL := w.sse()
	post := func(url, body string, want int) {
		t.Helper()
		if status, got := w.post(url, body); status != want {
			t.Errorf("POST %s = %d %q, want %d", body, status, got, want)
		}
	}
	post(oneURL, initialize, 202)
	one.want(`"init": result`)
	post(oneURL, call(`9007199254740993`, "progress", `{"steps":2}`), 202)
	one.want("notifications/progress 1", "notifications/progress 2", "9007199254740993: done")
	post(oneURL, call(`2`, "panics", `{}`), 202)
	one.want("2: error -32603 internal error; the server's log has the details")
	post(oneURL, listen(`3`, toolsChanged), 202)
	one.want("3: error -32601 subscriptions/listen is served at /mcp")
	post(oneURL, add(`4`, 1, 2)+" trailing", 400)
	post(oneURL, `{"jsonrpc":"2.0","id":1,"result":{}}`, 202)

	// The same id for two clients; one cancels its own.
	post(oneURL, call(`5`, "slow", `{"tag":"one"}`), 202)
	toy.wantStarted(t, "one")
	post(twoURL, call(`5`, "slow", `{"tag":"two"}`), 202)
	toy.wantStarted(t, "two")
	post(oneURL, cancelNote(`5`), 202)
	if got := receive(t, toy.stopped); got != "one" {
		t.Errorf("stopped %q, want one", got)
	}
	toy.DeleteTools("add")
	one.want("notifications/tools/list_changed")
	close(toy.release)
	two.want("5: released two")
	post(oneURL, ping(`6`), 202)
	one.want("6: result")
}

// start runs Serve on a listener in memory, for fake time.
func start(t testing.TB, ctx context.Context, h *serve.HTTP) (*web, *memory, chan error) {
	t.Helper()
	ln := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	end := make(chan error, 1)
	go func() { end <- h.Serve(ctx, ln) }()
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return ln.dial() }}
	t.Cleanup(tr.CloseIdleConnections)
	return &web{t: t, url: "http://localhost", client: tapped(t, &http.Client{Transport: tr})}, ln, end
}

type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (m *memory) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func TestHTTPShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		toy := newToy()
		ctx, stop := context.WithCancel(t.Context())
		w, _, end := start(t, ctx, &serve.HTTP{MCP: toy.MCPServer})
		events, message := w.sse()
		idle, _ := w.sse()
		subscribed := w.listen(`"l"`)
		answered := make(chan []string, 1)
		go func() {
			_, got := w.post("/mcp", call(`1`, "slow", `{}`))
			answered <- got
		}()
		w.post(message, call(`2`, "slow", `{}`))
		synctest.Wait()
		begin := time.Now()
		stop()
		time.Sleep(20 * time.Second)
		select {
		case err := <-end:
			t.Fatalf("Serve = %v while calls are in flight", err)
		default:
		}
		close(toy.release)
		if err := <-end; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
		if took := time.Since(begin); took > 21*time.Second {
			t.Errorf("Serve went on for %v after the calls", took-20*time.Second)
		}
		if got := <-answered; !slices.Equal(got, []string{"1: released "}) {
			t.Errorf("answer = %q", got)
		}
		events.want("2: released ", "") // and the end
		idle.want("")
		subscribed.want(`"l": complete, end of "l"`, "")
		if len(toy.stopped) != 0 {
			t.Error("a call was cancelled")
		}
	})
}

func TestHTTPShutdownHasABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		toy := newToy()
		ctx, stop := context.WithCancel(t.Context())
		w, ln, end := start(t, ctx, &serve.HTTP{MCP: toy.MCPServer, Drain: 10 * time.Second})
		events, message := w.sse()
		w.post(message, call(`1`, "slow", `{"tag":"sse"}`))
		toy.wantStarted(t, "sse")
		go w.client.Post(w.url+"/mcp", "application/json", strings.NewReader(call(`2`, "slow", `{"tag":"post"}`)))
		toy.wantStarted(t, "post")
		silent, err := ln.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		begin := time.Now()
		stop()
		if err := <-end; err == nil || !strings.Contains(err.Error(), "cut off calls") {
			t.Errorf("Serve = %v, want that it cut off calls", err)
		}
		if took := time.Since(begin); took > 16*time.Second {
			t.Errorf("Serve took %v after stop, want 10s and a little", took)
		}
		got := []string{<-toy.stopped, <-toy.stopped}
		slices.Sort(got)
		if want := []string{"post", "sse"}; !slices.Equal(got, want) {
			t.Errorf("stopped %q, want %q", got, want)
		}
		for range events.got {
		}
	})
}

func TestHTTPSlowClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		w, ln, end := start(t, ctx, &serve.HTTP{MCP: newToy().MCPServer})
		for _, test := range []struct {
			name, sent string
			wait       time.Duration
			want       string
		}{
			{"header", "POST /mcp HTTP/1.1\r\nHost: localhost\r\n", 10 * time.Second, ""},
			{"body", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{", 30 * time.Second, "HTTP/1.1 400 Bad Request"},
			{"body of a stranger", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nContent-Length: 50\r\n\r\n{", 10 * time.Second, "HTTP/1.1 403 Forbidden"},
			{"body that nobody wants", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", 10 * time.Second, "HTTP/1.1 200 OK"},
		} {
			c, err := ln.dial()
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			io.WriteString(c, test.sent)
			got, err := io.ReadAll(c)
			if err != nil && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("slow %s: %v", test.name, err)
			}
			if took := time.Since(begin); took != test.wait {
				t.Errorf("slow %s: connection closed after %v, want %v", test.name, took, test.wait)
			}
			if status, _, _ := strings.Cut(string(got), "\r\n"); status != test.want {
				t.Errorf("slow %s = %q, want %q", test.name, status, test.want)
			}
		}
		// A stream whose client does not read what is written to it.
		c, err := ln.dial()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
		lines, message := bufio.NewScanner(c), ""
		for message == "" && lines.Scan() {
			_, message, _ = strings.Cut(lines.Text(), "data: ")
		}
		if status, got := w.post(message, ping(`1`)); status != 202 {
			t.Errorf("POST %s = %d %q, want 202", message, status, got)
		}
		time.Sleep(31 * time.Second)
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a stream that was not read for 31s: Read = %d, %v, want %v", n, err, io.EOF)
		}
		stop()
		if err := <-end; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
}

func TestHTTPStreamsStayOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		toy := newToy()
		ctx, stop := context.WithCancel(t.Context())
		w, _, end := start(t, ctx, &serve.HTTP{MCP: toy.MCPServer})
		events, message := w.sse()
		subscribed := w.listen(`1`)
		w.post(message, initialize)
		events.want(`"init": result`)
		time.Sleep(24 * time.Hour)
		toy.DeleteTools("add")
		events.want("notifications/tools/list_changed")
		subscribed.want("notifications/tools/list_changed for 1")
		stop()
		if err := <-end; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
}

// streams are the requests whose answers stay open.
var streams = []struct {
	name, method, path, body string
	headers                  []string
}{
	{"GET /sse", "GET", "/sse", "", nil},
	{"subscriptions/listen", "POST", "/mcp", listen(`1`, toolsChanged), modernHeaders},
	{"a call that has told of its progress", "POST", "/mcp", call(`1`, "progress", `{"steps":1,"wait":true}`), nil},
}

func TestHTTPKeepsSilentStreamsAlive(t *testing.T) {
	t.Parallel()
	for _, test := range streams {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				toy := newToy()
				ctx, stop := context.WithCancel(t.Context())
				w, _, end := start(t, ctx, &serve.HTTP{MCP: toy.MCPServer})
				begin := time.Now()
				resp := w.do(t.Context(), test.method, test.path, strings.NewReader(test.body), test.headers...)
				var got []string
				for lines := bufio.NewScanner(resp.Body); len(got) < 3 && lines.Scan(); {
					if strings.HasPrefix(lines.Text(), ":") {
						got = append(got, fmt.Sprint(lines.Text(), " after ", time.Since(begin)))
					}
				}
				want := []string{": keep-alive after 25s", ": keep-alive after 50s", ": keep-alive after 1m15s"}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("comments (-want +got):\n%s", diff)
				}
				resp.Body.Close()
				close(toy.release)
				stop()
				if err := <-end; err != nil {
					t.Errorf("Serve = %v, want nil", err)
				}
			})
		})
	}
}

// A client that neither reads nor hangs up is found out, and gives its place free.
func TestHTTPVanishedClients(t *testing.T) {
	t.Parallel()
	for _, test := range streams[:2] {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				w, ln, end := start(t, ctx, &serve.HTTP{MCP: newToy().MCPServer, MaxStreams: 1})
				c, err := ln.dial()
				if err != nil {
					t.Fatal(err)
				}
				r, err := http.NewRequestWithContext(ctx, test.method, w.url+test.path, strings.NewReader(test.body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				for pair := range slices.Chunk(test.headers, 2) {
					r.Header.Set(pair[0], pair[1])
				}
				if err := r.Write(c); err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(c)
				for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: ") {
				}
				time.Sleep(25*time.Second + 29*time.Second)
				if status, _ := w.post("/mcp", listen(`2`, toolsChanged), modernHeaders...); status != 503 {
					t.Errorf("a second stream before the first has failed = %d, want 503", status)
				}
				time.Sleep(2 * time.Second)
				w.listen(`2`)
				if n, err := c.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("Read after 56s = %d, %v, want %v", n, err, io.EOF)
				}
				stop()
				if err := <-end; err != nil {
					t.Errorf("Serve = %v, want nil", err)
				}
			})
		})
	}
}

// The bubble fails the test if any goroutine is left.
func TestHTTPLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		toy := newToy()
		ctx, stop := context.WithCancel(t.Context())
		w, _, end := start(t, ctx, &serve.HTTP{MCP: toy.MCPServer, MaxStreams: 2, MaxCalls: 1})
		for i := range 100 { // more than the limits allow at once
			events, message := w.sse()
			subscribed := w.listen(fmt.Sprint(i))
			w.post(message, call(`1`, "progress", `{"steps":3}`))
			synctest.Wait()
			if _, got := w.post("/mcp", add(`1`, i, 1)); !slices.Equal(got, []string{fmt.Sprintf("1: %d", i+1)}) {
				t.Fatalf("round %d: answer = %q", i, got)
			}
			events.resp.Body.Close()
			subscribed.resp.Body.Close()
			synctest.Wait()
		}
		// A call whose client has gone goes on, and its answer is dropped.
		events, message := w.sse()
		w.post(message, call(`1`, "slow", `{}`))
		toy.wantStarted(t, "")
		events.resp.Body.Close()
		synctest.Wait()
		close(toy.release)
		stop()
		if err := <-end; err != nil {
			t.Errorf("Serve = %v", err)
		}
		if len(toy.stopped) != 0 {
			t.Error("the call was cancelled")
		}
	})
}

func TestHTTPServeFails(t *testing.T) {
	t.Parallel()
	ln := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	ln.Close()
	if err := (&serve.HTTP{MCP: newToy().MCPServer}).Serve(t.Context(), ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve on a closed listener = %v, want %v", err, net.ErrClosed)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	taken, err := serve.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct{ addr, want string }{
		{"0.0.0.0:8080", "cannot listen on 0.0.0.0:8080: without authentication only a loopback address is allowed; use 127.0.0.1:8080"},
		{":8080", "cannot listen on :8080: without authentication only a loopback address is allowed; use 127.0.0.1:8080"},
		{"[::]:80", "cannot listen on [::]:80: without authentication only a loopback address is allowed; use 127.0.0.1:80"},
		{"192.168.0.1:80", "cannot listen on 192.168.0.1:80: without authentication only a loopback address is allowed; use 127.0.0.1:80"},
		{"localhost.example:80", "cannot listen on localhost.example:80: without authentication only a loopback address is allowed; use 127.0.0.1:80"},
		{"8080", `cannot listen on "8080": give a host and a port, like 127.0.0.1:8080`},
		{taken.Addr().String(), "cannot listen on " + taken.Addr().String() + ": the port is in use; stop the program that has it or choose another port"},
	} {
		if ln, err := serve.Listen(t.Context(), test.addr); err == nil {
			ln.Close()
			t.Errorf("Listen(%s) = no error, want %q", test.addr, test.want)
		} else if err.Error() != test.want {
			t.Errorf("Listen(%s) = %q, want %q", test.addr, err, test.want)
		}
	}
	for _, addr := range []string{"localhost:0", "LOCALHOST:0", "127.0.0.2:0"} {
		ln, err := serve.Listen(t.Context(), addr)
		if err != nil {
			t.Errorf("Listen(%s) = %v", addr, err)
			continue
		}
		ln.Close()
	}
}

// Over real TCP, with the log watched: panics are in it with their stack, and clients see nothing of them.
func TestHTTPLogsPanics(t *testing.T) {
	t.Parallel()
	var log logBuffer
	ln, err := serve.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- (&serve.HTTP{MCP: newToy().MCPServer, Log: log.logger()}).Serve(ctx, ln) }()
	resp, err := http.Post("http://"+ln.Addr().String()+"/mcp", "application/json", strings.NewReader(call(`1`, "panics", `{}`)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if resp.Body.Close(); err != nil || bytes.Contains(body, []byte("secret")) {
		t.Errorf("the answer to a panic = %q, %v", body, err)
	}
	if text := log.String(); !strings.Contains(text, "method=tools/call") || !strings.Contains(text, "toy_test.go") {
		t.Errorf("log = %q, want the method and the stack", text)
	}
	stop()
	if err := receive(t, end); err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func tcpAddr(t testing.TB, addr string) net.Addr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
