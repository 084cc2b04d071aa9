package mcpspec_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"heffl-mcp/internal/mcpspec"
)

func handshake(revision string) []string {
	return []string{
		`> {"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`,
		`< {"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"` + revision + `","capabilities":{},"serverInfo":{"name":"a","version":"1"}}}`,
	}
}

func request(revision, method string) string {
	return fmt.Sprintf(`> {"jsonrpc":"2.0","id":2,"method":%q,"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":%q}}}`, method, revision)
}

const legacyCall = `> {"jsonrpc":"2.0","id":2,"method":"tools/call","params":{}}`

// conversations are lines that the client sends (>) and that come back (<); the last is the one that is judged.
var conversations = []struct {
	name  string
	lines []string
	want  string // part of what is said of the last line; empty where it is as it should be
}{
	{"a handshake", handshake("2025-06-18"), ""},
	{"of the oldest revision", handshake("2024-11-05"), ""},
	{"a call", append(handshake("2025-11-25"), legacyCall, `< {"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"a"}]}}`), ""},
	{"a call without a handshake", []string{legacyCall, `< {"jsonrpc":"2.0","id":2,"result":{"content":[]}}`}, ""},
	{"a modern call", []string{request("2026-07-28", "tools/call"), `< {"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","content":[]}}`}, ""},
	{"an error", []string{legacyCall, `< {"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"no"}}`}, ""},
	{"an error without an id", []string{`> {"jsonrpc"`, `< {"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}`}, ""},
	{"progress", append(handshake("2025-11-25"), `< {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}`), ""},
	{"a ping from the server", append(handshake("2025-11-25"), `< {"jsonrpc":"2.0","id":9,"method":"ping"}`), ""},

	{"no JSON", []string{`< hello`}, "invalid character"},
	{"a server without a version", []string{handshake("2025-06-18")[0], `< {"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"a"}}}`}, "missing property 'version'"},
	{"content without a type", append(handshake("2025-11-25"), legacyCall, `< {"jsonrpc":"2.0","id":2,"result":{"content":[{"text":"a"}]}}`), "CallToolResult of 2025-11-25"},
	{"structured content in a list", append(handshake("2025-11-25"), legacyCall, `< {"jsonrpc":"2.0","id":2,"result":{"content":[],"structuredContent":[]}}`), "want object"},
	{"the same, where it may be", []string{request("2026-07-28", "tools/call"), `< {"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","content":[],"structuredContent":[]}}`}, ""},
	{"a modern call without a type of result", []string{request("2026-07-28", "tools/call"), `< {"jsonrpc":"2.0","id":2,"result":{"content":[]}}`}, "missing property 'resultType'"},
	{"a list without a time to live", []string{request("2026-07-28", "tools/list"), `< {"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","tools":[]}}`}, "missing properties 'cacheScope', 'ttlMs'"},
	{"a tool without a schema", append(handshake("2025-03-26"), `> {"jsonrpc":"2.0","id":3,"method":"tools/list"}`, `< {"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"a"}]}}`), "missing property 'inputSchema'"},
	{"an error of no code", []string{legacyCall, `< {"jsonrpc":"2.0","id":2,"error":{"message":"no"}}`}, "missing property 'code'"},
	{"a code in words, without an id", []string{`< {"jsonrpc":"2.0","id":null,"error":{"code":"x","message":"no"}}`}, "want integer"},
	{"JSON-RPC 1", []string{legacyCall, `< {"jsonrpc":"1.0","id":2,"result":{"content":[]}}`}, "must be '2.0'"},
	{"an answer to nobody", []string{legacyCall, `< {"jsonrpc":"2.0","id":3,"result":{"content":[]}}`}, "no request with id 3"},
	{"another spelling of the id", []string{legacyCall, `< {"jsonrpc":"2.0","id":2.0,"result":{"content":[]}}`}, "no request with id 2.0"},
	{"a second answer", []string{legacyCall, `< {"jsonrpc":"2.0","id":2,"result":{"content":[]}}`, `< {"jsonrpc":"2.0","id":2,"result":{"content":[]}}`}, "no request with id 2"},
	{"a result of what is not there any more", []string{request("2026-07-28", "ping"), `< {"jsonrpc":"2.0","id":2,"result":{"resultType":"complete"}}`}, "no method ping"},
	{"a result of what was never there", append(handshake("2025-11-25"), `> {"jsonrpc":"2.0","id":2,"method":"deals/make"}`, `< {"jsonrpc":"2.0","id":2,"result":{}}`), "no method deals/make"},
	{"a notification that is none", append(handshake("2025-11-25"), `< {"jsonrpc":"2.0","method":"notifications/deals"}`), `no notification "notifications/deals"`},
	{"progress of nothing", append(handshake("2025-11-25"), `< {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}`), "missing property 'progressToken'"},
	{"a request from a modern server", []string{request("2026-07-28", "tools/call"), `< {"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{}}`}, "sends no requests"},
}

func TestConversation(t *testing.T) {
	t.Parallel()
	for _, test := range conversations {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var c mcpspec.Conversation
			for i, line := range test.lines {
				side, message, _ := strings.Cut(line, " ")
				if side == ">" {
					c.Sent([]byte(message))
					continue
				}
				err := c.Received([]byte(message))
				if i < len(test.lines)-1 {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("Received(%s) = %v, want %q", message, err, test.want)
				}
			}
		})
	}
}

// TestTap has a server say good and bad things in each way that HTTP has.
func TestTap(t *testing.T) {
	t.Parallel()
	good, bad := `{"jsonrpc":"2.0","id":2,"result":{"content":[]}}`, `{"jsonrpc":"2.0","id":2,"result":{}}`
	for _, test := range []struct {
		name, kind, body string
		reports          int
	}{
		{"JSON", "application/json", good, 0},
		{"JSON of a wrong form", "application/json", bad, 1},
		{"events", "text/event-stream", "event: message\ndata: " + good + "\n\n", 0},
		{"events of a wrong form", "text/event-stream", ": hello\n\nevent: message\ndata: " + bad + "\n\n", 1},
		{"two answers", "text/event-stream", "data: " + good + "\n\ndata: " + good + "\n\n", 1},
		{"text", "text/plain", "ok", 0},
	} {
		var reports []error
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, err := io.ReadAll(r.Body); err != nil || string(body) != legacyCall[2:] {
				t.Errorf("%s: the server got %q, %v, want the call", test.name, body, err)
			}
			w.Header().Set("Content-Type", test.kind)
			io.WriteString(w, test.body)
		}))
		c := &http.Client{Transport: &mcpspec.Tap{Transport: srv.Client().Transport, Report: func(err error) { reports = append(reports, err) }}}
		resp, err := c.Post(srv.URL+"/mcp", "application/json", strings.NewReader(legacyCall[2:]))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		srv.Close()
		if string(got) != test.body || err != nil {
			t.Errorf("%s: the client got %q, %v, want %q", test.name, got, err, test.body)
		}
		if len(reports) != test.reports {
			t.Errorf("%s: reported %v, want %d reports", test.name, reports, test.reports)
		}
	}
}

// TestTapOfHTTPSSE holds that an answer on a stream is taken for that to what was posted to its address.
func TestTapOfHTTPSSE(t *testing.T) {
	t.Parallel()
	posted := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
			close(posted)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: endpoint\ndata: /message?sessionId=X\n\n")
		_ = http.NewResponseController(w).Flush()
		<-posted
		for range 2 {
			fmt.Fprint(w, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"content\":[]}}\n\n")
		}
	}))
	defer srv.Close()
	var reports []error
	c := &http.Client{Transport: &mcpspec.Tap{Transport: srv.Client().Transport, Report: func(err error) { reports = append(reports, err) }}}
	stream, err := c.Get(srv.URL + "/sse")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	resp, err := c.Post(srv.URL+"/message?sessionId=X", "application/json", strings.NewReader(legacyCall[2:]))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := io.ReadAll(stream.Body); err != nil {
		t.Fatal(err)
	}
	if len(reports) != 1 || !strings.Contains(reports[0].Error(), "no request with id 2") {
		t.Errorf("reported %v, want the second answer alone", reports)
	}
}

// TestPipes has a server of lines say one thing well and one badly, in pieces.
func TestPipes(t *testing.T) {
	t.Parallel()
	var reports []error
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	in, out := mcpspec.Pipes(inW, outR, func(err error) { reports = append(reports, err) })
	go func() {
		defer outW.Close()
		got, err := io.ReadAll(inR)
		if want := legacyCall[2:] + "\n"; string(got) != want || err != nil {
			t.Errorf("the server got %q, %v, want %q", got, err, want)
		}
		for _, part := range []string{`{"jsonrpc":"2.0",`, `"id":2,"result":{"content":[]}}` + "\n\n" + `{"jsonrpc":"2.0","method":"nope"}`} {
			io.WriteString(outW, part)
		}
	}()
	io.WriteString(in, legacyCall[2:])
	io.WriteString(in, "\n")
	in.Close()
	if _, err := io.ReadAll(out); err != nil {
		t.Fatal(err)
	}
	if len(reports) != 1 || !strings.Contains(reports[0].Error(), `no notification "nope"`) {
		t.Errorf("reported %v, want the notification alone", reports)
	}
}
