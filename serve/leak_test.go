package serve_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/journal"
	"heffl-mcp/serve"
	"heffl-mcp/tools"
)

// A crowd is what many clients do to a server, well and badly: each round is one of each of their ways to come and go.
type crowd struct {
	web   *web   // as a principal
	calls []rpc  // each answered at once
	slow  rpc    // goes on until its context ends or it is released
	begun func() // waits until a slow call has begun
	let   func() // lets one end
	gone  func() // waits until one has seen that its client has gone
}

// An rpc is a call of a tool; args is JSON.
type rpc struct{ tool, args string }

func (c rpc) legacy(id string) string { return call(id, c.tool, c.args) }

func (c rpc) modern(id string) (body string, headers []string) {
	body = raw(id, fmt.Sprintf(`{"name":%q,"arguments":%s,"_meta":{"io.modelcontextprotocol/protocolVersion":%q,"io.modelcontextprotocol/clientCapabilities":{}}}`, c.tool, c.args, modern))
	return body, []string{"Mcp-Protocol-Version", modern, "Mcp-Method", "tools/call", "Mcp-Name", c.tool}
}

// round is one of each way.
func (c *crowd) round(t testing.TB) {
	w := c.web
	w.t = t
	want := func(what string, got, status int) {
		t.Helper()
		if got != status {
			t.Fatalf("%s = %d, want %d", what, got, status)
		}
	}
	status, _ := w.post("/mcp", initialize) // and no DELETE
	want("initialize", status, 200)
	events, message := w.sse()
	subscribed := w.listen(`"l"`)
	status, _ = w.post(message, initialize)
	want("initialize of SSE", status, 202)
	events.want(`"init": result`)
	for _, call := range c.calls {
		status, _ = w.post("/mcp", call.legacy(`1`))
		want(call.tool, status, 200)
		body, headers := call.modern(`1`)
		status, _ = w.post("/mcp", body, headers...)
		want(call.tool, status, 200)
		status, _ = w.post(message, call.legacy(`2`))
		want(call.tool+" of SSE", status, 202)
		answer := receive(t, events.got)
		for answer == "notifications/tools/list_changed" { // now they name what the workspace has
			answer = receive(t, events.got)
		}
		if !strings.HasPrefix(answer, "2: ") || strings.HasPrefix(answer, "2: error") {
			t.Fatalf("%s of SSE = %q", call.tool, answer)
		}
	}

	// A stream that its client leaves, with a call that goes on.
	status, _ = w.post(message, c.slow.legacy(`3`))
	want("a slow call of SSE", status, 202)
	c.begun()
	events.resp.Body.Close()
	subscribed.resp.Body.Close()
	c.let()

	// A client that cancels, and one that is not to be found any more.
	body, headers := c.slow.modern(`4`)
	c.leave(t, body, headers)
	c.gone()
	c.leave(t, c.slow.legacy(`5`), nil)
	c.let()

	for _, s := range []struct {
		method, path string
		status       int
		headers      []string
	}{
		{"POST", "/mcp", 401, []string{"Authorization", ""}},
		{"POST", "/mcp", 401, []string{"Authorization", "Bearer " + rand.Text()}},
		{"GET", "/sse", 401, []string{"Authorization", "Bearer " + rand.Text()}},
		{"GET", "/sse", 403, []string{"Origin", "https://" + rand.Text() + ".example"}},
		{"GET", "/sse", 403, []string{"Host", rand.Text() + ".example"}},
		{"GET", "/mcp", 405, []string{"Mcp-Session-Id", rand.Text()}},
		{"POST", "/message?sessionId=" + rand.Text(), 404, nil},
		{"POST", "/" + rand.Text(), 404, nil},
		{"POST", "/mcp", 400, nil}, // no JSON
		{"POST", "/mcp", 415, []string{"Content-Type", "text/plain"}},
	} {
		status, _ := w.get(s.method, s.path, s.headers...)
		want(s.method+" "+s.path, status, s.status)
	}
	for end := time.Now().Add(20 * time.Second); ; { // a stream ends a moment after its client has gone
		status, _ = w.get("POST", message)
		if status == 404 || time.Now().After(end) {
			want("POST "+message+" of a stream that has ended", status, 404)
			break
		}
		runtime.Gosched()
	}

	// Connections that end before their request does.
	for _, sent := range []string{"", "POST /mcp HTTP/1.1\r\nHost: loc", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer " + ada + "\r\nContent-Length: 50\r\n\r\n{"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, sent)
		conn.Close()
	}
}

// leave makes a slow call, and hangs up when it has begun.
func (c *crowd) leave(t testing.TB, body string, headers []string) {
	t.Helper()
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.web.url+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for pair := range slices.Chunk(slices.Concat(c.web.headers, headers), 2) {
		r.Header.Set(pair[0], pair[1])
	}
	end := make(chan error, 1)
	go func() {
		resp, err := c.web.client.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		end <- err
	}()
	c.begun()
	hangUp()
	if err := receive(t, end); err == nil {
		t.Fatal("a call that was hung up on was answered")
	}
}

// A use is what a process has in use.
type use struct {
	goroutines map[string]int // by what has started them
	files      int            // open ones; 0 where that is not to be had
	heap       int64          // bytes
}

var (
	startedBy = regexp.MustCompile(`(?m)^created by (.+?) in goroutine \d+$`)
	ofAClient = regexp.MustCompile(`net/http\.\(\*(conn|persistConn|connReader)\)|heffl-mcp/serve\.\(\*`)
)

// now is what is in use, but for the heap, and whether any of it is for a client.
func now() (u use, clients string) {
	buf := make([]byte, 1<<20)
	text := string(buf[:runtime.Stack(buf, true)])
	u.goroutines = map[string]int{}
	for _, m := range startedBy.FindAllStringSubmatch(text, -1) {
		u.goroutines[strings.Clone(m[1])]++
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.files = len(open)
	}
	if ofAClient.MatchString(text) {
		return u, text
	}
	return u, ""
}

// inUse waits until no client is left, and then for what is wanted; nil: for no more. After a while it takes what
// there is.
func inUse(t testing.TB, wanted *use) use {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	u, clients := now()
	for clients != "" || wanted != nil && (!maps.Equal(u.goroutines, wanted.goroutines) || u.files != wanted.files) {
		if ctx.Err() != nil {
			if wanted == nil {
				t.Fatalf("connections, or what serves them, are left:\n%s", clients)
			}
			break
		}
		runtime.Gosched()
		u, clients = now()
	}
	for used := int64(math.MaxInt64); used > u.heap; { // what pools and finalizers hold goes a little later
		used = cmp.Or(u.heap, used)
		var mem runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&mem)
		u.heap = int64(mem.HeapAlloc)
	}
	return u
}

// leaks fails if a server has more in use after a crowd than before.
func (c *crowd) leaks(t *testing.T, idle func()) {
	t.Helper()
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	come := func(rounds int) {
		t.Run("", func(t *testing.T) { // which takes along what the test itself keeps
			for range rounds {
				c.round(t)
			}
		})
		c.web.t = t
		idle()
	}
	come(30) // what is made once is there, and tables have their sizes
	before := inUse(t, nil)
	come(rounds)
	if t.Failed() {
		return
	}
	after := inUse(t, &before)
	if diff := gocmp.Diff(before.goroutines, after.goroutines); diff != "" {
		t.Errorf("goroutines, by what has started them (-before +after %d rounds):\n%s", rounds, diff)
	}
	if before.files != after.files {
		t.Errorf("%d files are open, %d before", after.files, before.files)
	}
	// Each round has one session of each kind, so that 1 KiB that one keeps is twice as much as this.
	grown, most := after.heap-before.heap, int64(rounds)*512
	if grown > most {
		t.Errorf("%d bytes more are in use after %d rounds, want at most %d", grown, rounds, most)
	}
	t.Logf("%d files and %d bytes are in use, %+d bytes after %d rounds", after.files, after.heap, grown, rounds)
}

// No other test runs meanwhile: what is measured belongs to the whole process.
func TestHTTPLeaksNothing(t *testing.T) {
	toy := newToy()
	w := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer, Tokens: adaAndBob(t), Rate: 1 << 30}).as(ada)
	c := &crowd{
		web: w, calls: []rpc{{"add", `{"a":1,"b":2}`}, {"raw", `{"a":1e309}`}, {"whoami", `{}`}}, slow: rpc{"slow", `{"tag":"x"}`},
		begun: func() { receive(t, toy.started) },
		let:   func() { toy.release <- struct{}{} },
		gone:  func() { receive(t, toy.stopped) },
	}
	c.leaks(t, w.client.CloseIdleConnections)
}

// The same with the real tools, a journal, and Heffl's stand-in behind.
func TestToolsLeakNothing(t *testing.T) {
	begun, let, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var sb atomic.Pointer[sandbox.Sandbox]
	fresh := func() { sb.Store(sandbox.New(sandbox.Options{RateLimit: -1})) } // one that has been used keeps what was asked of it
	fresh()
	upstream := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("search") == "slow" {
			begun <- struct{}{}
			select {
			case <-let:
			case <-r.Context().Done():
				gone <- struct{}{}
				return
			}
		}
		sb.Load().ServeHTTP(rw, r)
	}))
	t.Cleanup(upstream.Close)
	j, err := journal.New(":memory:", journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	m, err := tools.NewServer(tools.Deps{Heffl: &heffl.Client{BaseURL: upstream.URL + "/api/v2", Key: "key", HTTP: upstream.Client(), Budget: new(heffl.Budget)}, Journal: j})
	if err != nil {
		t.Fatal(err)
	}
	w := serveHTTP(t, &serve.HTTP{MCP: m.MCPServer, Tools: m, Tokens: adaAndBob(t), Rate: 1 << 30}).as(ada)
	c := &crowd{
		web: w, calls: []rpc{
			{"create_deal", `{"title":"One deal","clientId":"clt_northwind","pipelineId":"dpl_sales"}`},
			{"create_deal", `{"title":1}`},
			{"find_deals", `{"query":"One deal"}`},
			{"describe_workspace", `{}`},
		},
		slow:  rpc{"find_deals", `{"query":"slow"}`},
		begun: func() { receive(t, begun) },
		let:   func() { let <- struct{}{} },
		gone:  func() { receive(t, gone) },
	}
	c.leaks(t, func() {
		w.client.CloseIdleConnections()
		upstream.Client().CloseIdleConnections()
		fresh()
	})
}
