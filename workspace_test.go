package main

import (
	"context"
	"net/http"
	"strings"
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
