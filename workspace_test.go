package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"heffl-mcp/heffl/sandbox"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestToolsNameWorkspace holds that clients get the tools before Heffl has said a word, are told when
// these name what the workspace has, and then find it there.
func TestToolsNameWorkspace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		transport, revision string
		told                bool // there is a way to tell the client
	}{
		{"stdio", "2025-11-25", true},
		{"stdio", "2026-07-28", false},
		{"sse", "2025-11-25", true},
		{"http", "2025-11-25", false}, // it has no stream
		{"http", "2026-07-28", false},
	} {
		t.Run(c.transport+"/"+c.revision, func(t *testing.T) {
			t.Parallel()
			ctx := bounded(t)
			sb := newSandbox(t, sandbox.Options{})
			silent := make(chan struct{})
			at, _ := placeOf(t, c.transport, upstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-silent:
					sb.ServeHTTP(w, r)
				case <-r.Context().Done():
				}
			})))
			heard := make(chan struct{}, 10)
			s, err := dialGoSDKWith(ctx, c.revision, at, &gosdk.ClientOptions{
				ToolListChangedHandler: func(context.Context, *gosdk.ToolListChangedRequest) { heard <- struct{}{} },
			})
			if err != nil {
				t.Fatal(err)
			}
			if list, err := s.tools(ctx); err != nil || !strings.Contains(string(list), `"create_deal"`) || strings.Contains(string(list), "Sales") {
				t.Errorf("tools/list while Heffl is silent = %s, %v; want the tools as they are everywhere", list, err)
			}
			close(silent)
			if c.told {
				select {
				case <-heard:
				case <-ctx.Done():
					t.Fatal("the client was not told that the tools have changed")
				}
			}
			for { // who is not told asks again
				list, err := s.tools(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(list), "Pipelines here: Sales, Enterprise.") && strings.Contains(string(list), `"cf_region"`) {
					break
				}
				if c.told {
					t.Fatalf("tools/list after the client was told = %s", list)
				}
			}
			if err := s.close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// TestAnswersBeforeLearning holds that a client on standard input has its first answer before Heffl is asked for anything.
func TestAnswersBeforeLearning(t *testing.T) {
	sb := newSandbox(t, sandbox.Options{})
	var requests atomic.Int64
	asked := make(chan struct{})
	for _, e := range append(upstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			close(asked)
		}
		sb.ServeHTTP(w, r)
	})), "HEFFL_MCP_STATE=off", noKeyring, "GOGC=100") { // so that the collector stays as it is for other tests
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	ctx := bounded(t)
	in, client := io.Pipe()
	first := &firstOut{requests: &requests, told: make(chan int64, 1)}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, nil, in, first, io.Discard) }()
	const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`
	if _, err := io.WriteString(client, initialize+"\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-first.told:
		if n > 0 {
			t.Errorf("%d requests to Heffl before the first answer, want none", n)
		}
	case <-ctx.Done():
		t.Fatal("initialize was not answered")
	}
	select {
	case <-asked:
	case <-ctx.Done():
		t.Error("Heffl was not asked after the first answer")
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("run() = %v", err)
	}
}

// firstOut tells how many requests there have been when something is first written to it.
type firstOut struct {
	requests *atomic.Int64
	told     chan int64
}

func (f *firstOut) Write(p []byte) (int, error) {
	select {
	case f.told <- f.requests.Load():
	default:
	}
	return len(p), nil
}
