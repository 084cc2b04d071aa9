package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"heffl-mcp/serve"
)

// An event of a stream, as a browser would hand it out.
type event struct{ kind, data string }

var endOfLine = regexp.MustCompile("\r\n|\r|\n")

// eventsOf reads a stream by the letter: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
func eventsOf(stream string) (events []event) {
	lines := endOfLine.Split(strings.TrimPrefix(stream, "\ufeff"), -1)
	var e event
	for _, line := range lines[:len(lines)-1] { // what follows the last end of line is not yet a line
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if e.data != "" {
				e.data = strings.TrimSuffix(e.data, "\n")
				events = append(events, e)
			}
			e = event{}
		case field == "event":
			e.kind = value
		case field == "data":
			e.data += value + "\n"
		}
	}
	return events
}

// A sink is the http.ResponseWriter of a stream that stays open.
type sink struct {
	header http.Header
	wrote  chan struct{}

	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(int)     {}
func (s *sink) Flush()              {}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.wrote <- struct{}{}:
	default:
	}
	return s.buf.Write(p)
}

// events waits for n events.
func (s *sink) events(t *testing.T, n int) []event {
	t.Helper()
	for {
		s.mu.Lock()
		events := eventsOf(s.buf.String())
		s.mu.Unlock()
		if len(events) >= n {
			return events
		}
		receive(t, s.wrote)
	}
}

// FuzzEvents has a call with any id, progress token and arguments answered as events, on the POST itself and on a stream of
// HTTP+SSE, and holds that a client reads the same messages from both, with what it sent.
func FuzzEvents(f *testing.F) {
	f.Add([]byte(`1`), "p", "text")
	f.Add([]byte(`9007199254740993`), "\u2028\u2029\u0085", "a\rb\nc\r\nd")
	f.Add([]byte(`"a\u000adata: x"`), "data: {}\n\n", "\n\ndata: x\n\n")
	f.Add([]byte(`"é\ud83d\ude00"`), "<&>\x00", "event: endpoint\ndata: /x")
	f.Add([]byte(`-1.50e2`), "", ": comment")
	h := (&serve.HTTP{MCP: newToy().MCPServer}).Handler()
	post := func(t *testing.T, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	f.Fuzz(func(t *testing.T, id []byte, token, text string) {
		if id = bytes.TrimSpace(id); !json.Valid(id) || id[0] != '"' && !finite(id) {
			return // refused
		}
		said, _ := json.Marshal(text)
		asked, _ := json.Marshal(token)
		progress := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"progress","arguments":{"steps":2,"x":%s},"_meta":{"progressToken":%s}}}`, id, said, asked)
		echo := raw(string(id), fmt.Sprintf(`{"name":"raw","arguments":%s}`, said))
		check := func(what string, events []event) {
			t.Helper()
			if len(events) != 4 {
				t.Fatalf("%s: %d events for %s and %s, want 4: %q", what, len(events), progress, echo, events)
			}
			for i, e := range events {
				var m struct {
					ID     json.RawMessage
					Params struct{ ProgressToken *string }
					Result struct{ Content []struct{ Text string } }
				}
				if err := json.Unmarshal([]byte(e.data), &m); err != nil || e.kind != "message" {
					t.Fatalf("%s: event %d is %q, %v", what, i, e, err)
				}
				var want string
				_ = json.Unmarshal(asked, &want)
				switch {
				case i < 2 && (m.Params.ProgressToken == nil || *m.Params.ProgressToken != want):
					t.Errorf("%s: event %d is %q, want progress of %q", what, i, e.data, want)
				case i >= 2 && !sameID(m.ID, id):
					t.Errorf("%s: event %d is %q, want the answer to %s", what, i, e.data, id)
				case i == 3 && (len(m.Result.Content) != 1 || m.Result.Content[0].Text != string(said)):
					t.Errorf("%s: event %d is %q, want %s", what, i, e.data, said)
				}
			}
		}
		answer := post(t, "/mcp", progress)
		events := eventsOf(answer.Body.String())
		if kind := answer.Header().Get("Content-Type"); kind != "text/event-stream" {
			t.Fatalf("POST %s = %s, want events: %s", progress, kind, answer.Body)
		}
		check("POST /mcp", append(events, event{"message", post(t, "/mcp", echo).Body.String()}))

		ctx, leave := context.WithCancel(t.Context())
		s := &sink{header: make(http.Header), wrote: make(chan struct{}, 1)}
		left := make(chan struct{})
		go func() {
			defer close(left)
			h.ServeHTTP(s, httptest.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/sse", nil))
		}()
		to := s.events(t, 1)[0].data
		for i, message := range []string{initialize, progress, echo} {
			if w := post(t, to, message); w.Code != http.StatusAccepted {
				t.Fatalf("POST %s = %d %s", message, w.Code, w.Body)
			}
			s.events(t, []int{2, 5, 6}[i]) // one after the other
		}
		leave()
		<-left
		check("HTTP+SSE", s.events(t, 6)[2:])
	})
}

// sameID compares ids, numbers digit for digit.
func sameID(a, b []byte) bool {
	var x, y string
	return bytes.Equal(a, b) || json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}

func finite(number []byte) bool {
	_, err := strconv.ParseFloat(string(number), 64)
	return err == nil
}

// FuzzLongLine holds that a line which is too long to be read gets one answer, under no other id than its own, and that the
// next line is read as if nothing had been.
func FuzzLongLine(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":5,"method":"ping","params":{"x":"`), uint16(0), []byte(`"}}`))
	f.Add([]byte(`{"jsonrpc":"2.0","method":"ping","params":{"x":"`), uint16(20000), []byte(`","id":1},"id":"six"}`))
	f.Add([]byte(`{"method":"ping","params":{"x":"`), uint16(65000), []byte(`"},"id":5,"z":{"id":7}}`))
	f.Add([]byte(`{"method":"ping","params":{"x":"`), uint16(16384), []byte(`\",\"id\":5}"}}`))
	f.Add([]byte(`{"method":"ping","params":{"y":["`), uint16(16300), []byte(`",{"id":5}],"id":6}}`))
	f.Add([]byte(`["`), uint16(300), []byte(`",{"id":5}`))
	f.Add([]byte(`{"x":"`), uint16(20000), []byte(`", "id" : -7 } `+"\t"))
	toy := newToy().MCPServer
	f.Fuzz(func(t *testing.T, head []byte, n uint16, tail []byte) {
		const limit = 200
		line := slices.Concat(head, bytes.Repeat([]byte("x"), int(n)), tail)
		if len(line) <= limit || bytes.ContainsAny(line, "\r\n") {
			return // FuzzStdio
		}
		var out bytes.Buffer
		input := append(line, "\n"+ping(`"next"`)...)
		if err := (&serve.Stdio{MCP: toy, MaxLine: limit}).Serve(t.Context(), bytes.NewReader(input), &out); err != nil {
			t.Fatalf("Serve = %v", err)
		}
		answers := slices.Collect(bytes.Lines(out.Bytes()))
		if len(answers) != 2 || string(decode(t, answers[1]).ID) != `"next"` {
			t.Fatalf("the answers to %q are %q, want one, and that to the ping", input, answers)
		}
		refused := decode(t, answers[0])
		if refused.Error == nil || refused.Error.Code != -32600 {
			t.Errorf("the answer to %q is %s, want that it is too long", line, answers[0])
		}
		var members map[string]json.RawMessage
		if id := string(refused.ID); id != "null" && json.Unmarshal(line, &members) == nil && !slices.Contains(idsOf(line), id) {
			t.Errorf("the answer to %q has the id %s", line, id)
		}
	})
}

// idsOf are all that an object has for an id.
func idsOf(object []byte) (ids []string) {
	dec := json.NewDecoder(bytes.NewReader(object))
	_, _ = dec.Token()
	for dec.More() {
		name, _ := dec.Token()
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return ids
		}
		if name == "id" {
			var compact bytes.Buffer
			_ = json.Compact(&compact, value)
			ids = append(ids, compact.String())
		}
	}
	return ids
}

// What a page of this machine, or one that was allowed, is called. A browser writes nothing else in Origin.
var (
	ownOrigin = regexp.MustCompile(`(?i)^(https?://(localhost|([a-z0-9-]+\.)+localhost|127\.\d+\.\d+\.\d+|\[[0-9a-f:.]+\])(:\d*)?|https://app\.example\.com/?)$`)
	ownHost   = regexp.MustCompile(`(?i)^\[?(localhost|([a-z0-9-]+\.)+localhost|127\.\d+\.\d+\.\d+|[0-9a-f:.]+)\]?(:.*)?$`)
)

// FuzzOrigin holds that a request is let in from no other site's page, and under no other host's name, than those of this
// machine and those that were allowed.
func FuzzOrigin(f *testing.F) {
	for _, origin := range []string{"", "null", "http://localhost:3000", "https://127.0.0.1", "http://[::1]:1", "https://app.example.com", "https://APP.example.com/", "http://app.example.com", "http://localhost.evil.example", "http://evil.example#localhost", "http://localhost@evil.example", "http://localhost:80@evil.example", "http://127.0.0.1.evil.example", "file://localhost", "http://localhost/", "http://0.0.0.0", "http://[::ffff:127.0.0.1]", "http://2130706433"} {
		f.Add(origin, "localhost:8080")
	}
	for _, host := range []string{"evil.example", "127.0.0.1", "[::1]:80", "localhost.", "::1", "localhost:x", "localhost:8080:8080", "evil.example:localhost"} {
		f.Add("", host)
	}
	h := (&serve.HTTP{MCP: newToy().MCPServer, AllowedOrigins: []string{"https://app.example.com"}}).Handler()
	f.Fuzz(func(t *testing.T, origin, host string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/mcp", strings.NewReader(ping(`1`)))
		r.Header.Set("Content-Type", "application/json")
		r.Host = host
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == http.StatusForbidden {
			return
		}
		if origin != "" && !ownOrigin.MatchString(origin) {
			t.Errorf("the origin %q was let in: %d %s", origin, w.Code, w.Body)
		}
		if !ownHost.MatchString(host) {
			t.Errorf("the host %q was let in: %d %s", host, w.Code, w.Body)
		}
	})
}
