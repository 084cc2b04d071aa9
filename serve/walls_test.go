package serve_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"heffl-mcp/serve"
)

// Headers have a bound, and what is within it is served.
func TestHTTPRefusesLongHeaders(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	_, ln, end := start(t, ctx, &serve.HTTP{MCP: newToy().MCPServer})
	for _, test := range []struct {
		name, headers string
		status        int
	}{
		{"one of 60 KiB", "X-Long: " + strings.Repeat("x", 60<<10) + "\r\n", 200},
		{"one of 72 KiB", "X-Long: " + strings.Repeat("x", 72<<10) + "\r\n", 431},
		{"many", strings.Repeat("X-Many: x\r\n", 8<<10), 431},
		{"a path", "", 431},
	} {
		path := "/healthz"
		if test.name == "a path" {
			path += "?" + strings.Repeat("x", 72<<10)
		}
		c, err := ln.dial()
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n"+test.headers+"\r\n") // which the server need not read to its end
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if resp.Body.Close(); resp.StatusCode != test.status {
			t.Errorf("%s = %s, want %d", test.name, resp.Status, test.status)
		}
		c.Close()
	}
	stop()
	if err := receive(t, end); err != nil {
		t.Errorf("Serve = %v", err)
	}
}

// Since 2026-07-28 headers repeat what is in the body, for proxies to decide by. Those that say something else are
// refused, and nothing is called.
func TestHTTPRefusesHeadersThatDoNotFit(t *testing.T) {
	t.Parallel()
	toy := newToy()
	w := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer})
	body, _ := rpc{"slow", `{"tag":"x"}`}.modern(`1`)
	fits := map[string]string{"Mcp-Protocol-Version": modern, "Mcp-Method": "tools/call", "Mcp-Name": "slow"}
	for _, test := range []struct{ name, value string }{
		{"Mcp-Method", "tools/list"}, {"Mcp-Method", "tools/Call"}, {"Mcp-Method", ""},
		{"Mcp-Name", "add"}, {"Mcp-Name", "Slow"}, {"Mcp-Name", "slow, add"}, {"Mcp-Name", ""},
		{"Mcp-Protocol-Version", legacy}, {"Mcp-Protocol-Version", ""},
	} {
		var headers []string
		for name, value := range fits {
			if name == test.name {
				value = test.value
			}
			if value != "" {
				headers = append(headers, name, value)
			}
		}
		status, got := w.post("/mcp", body, headers...)
		if status != 400 || len(got) != 1 || !strings.HasPrefix(got[0], "1: error -32020 ") {
			t.Errorf("%s %q = %d %q, want 400 and the error of headers that do not match", test.name, test.value, status, got)
		}
	}
	if n := len(toy.started); n != 0 {
		t.Errorf("%d calls have begun, want none", n)
	}
}

// The name of a session is 26 random characters of 32: no two are the same, and no place in them is.
func TestSSENamesAreRandom(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer})
	form := regexp.MustCompile(`^/message\?sessionId=([A-Z2-7]{26})$`)
	names := map[string]bool{}
	var places [26]map[byte]int
	const many = 300
	for range many {
		ctx, leave := context.WithCancel(t.Context())
		resp := w.do(ctx, http.MethodGet, "/sse", nil)
		for path := range messages(t, resp) {
			m := form.FindStringSubmatch(path)
			if m == nil {
				t.Fatalf("a stream begins with %q", path)
			}
			names[m[1]] = true
			for i := range places {
				if places[i] == nil {
					places[i] = map[byte]int{}
				}
				places[i][m[1][i]]++
			}
			break
		}
		leave()
		resp.Body.Close()
	}
	if len(names) != many {
		t.Errorf("%d streams have %d names", many, len(names))
	}
	for i, seen := range places {
		if len(seen) < 24 { // of 32: by chance once in 10^60
			t.Errorf("place %d of the names has only %v", i, seen)
		}
	}
}

// One client that opens all the streams it may, and strangers who never send what they announce, keep nobody from
// calling; and when they have gone there is room again.
func TestHTTPFlood(t *testing.T) {
	t.Parallel()
	toy := newToy()
	w := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer, Tokens: adaAndBob(t)})
	address := strings.TrimPrefix(w.url, "http://")
	var slow []net.Conn
	for range 300 { // more than there may be calls
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", address)
		slow = append(slow, c)
	}
	var idle []*stream
	for range 128 {
		s, _ := w.as(ada).sse()
		idle = append(idle, s)
	}
	if status, header := w.as(ada).get("GET", "/sse"); status != 503 || header.Get("Retry-After") == "" {
		t.Errorf("one stream more than half of all = %d, Retry-After %q; want 503", status, header.Get("Retry-After"))
	}
	for _, who := range []string{ada, bob} {
		if _, got := w.as(who).post("/mcp", add(`1`, 1, 2)); len(got) != 1 || got[0] != "1: 3" {
			t.Errorf("a call during the flood = %q, want 3", got)
		}
	}
	events, message := w.as(bob).sse()
	if status, _ := w.as(bob).post(message, add(`2`, 2, 2)); status != 202 {
		t.Errorf("a call on another's stream = %d, want 202", status)
	}
	events.want("2: 4")
	toy.DeleteTools("slow") // all are told, and none is forgotten for its silence
	for _, s := range idle {
		s.resp.Body.Close()
	}
	for range 20 {
		w.as(ada).listen(`1`)
	}
	for _, c := range slow { // which had no place to give up
		io.WriteString(c, strings.Repeat("x", 99))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 401 {
			t.Fatalf("a stranger's request = %s, want 401", resp.Status)
		}
	}
}
