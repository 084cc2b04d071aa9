package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Handler lets call what MCPServer does, with the same result and through the same middleware.
func TestHandler(t *testing.T) {
	t.Parallel()
	m, err := NewServer(Deps{Heffl: inProcess(newSandbox(t)), Caller: callerOf})
	if err != nil {
		t.Fatal(err)
	}
	var way []string
	through := func(name string) server.ToolHandlerMiddleware {
		return func(next server.ToolHandlerFunc) server.ToolHandlerFunc {
			return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				way = append(way, name+" "+req.Params.Name)
				return next(ctx, req)
			}
		}
	}
	m.Use(through("one"), through("two"))
	m.Use(through("three"))
	names := []string{"unknown", ""}
	for _, t := range all {
		names = append(names, t.Name)
	}
	for _, readOnly := range []bool{false, true} {
		ctx := as(t.Context(), Caller{ReadOnly: readOnly})
		for _, name := range names {
			for _, arguments := range []string{`{}`, `{"query":"Northwind","titel":1}`, `{"query":"Northwind"}`, `{"id":"dl_1"}`} {
				way = nil
				message := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, name, arguments)
				reply, ok := m.HandleMessage(ctx, json.RawMessage(message)).(mcp.JSONRPCResponse)
				wantWay := slices.Clone(way)
				way = nil
				handle := m.Handler(ctx, name)
				if (handle != nil) != ok {
					t.Errorf("Handler(%q), read only %t, is there: %t; MCPServer calls it: %t", name, readOnly, handle != nil, ok)
				}
				if handle == nil || !ok {
					continue
				}
				got, err := handle(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{Name: name, RawArguments: json.RawMessage(arguments)}})
				if diff := cmp.Diff(inJSON(t, reply.Result), inJSON(t, got)); diff != "" || err != nil {
					t.Errorf("%s(%s): %v (-MCPServer +Handler)\n%s", name, arguments, err, diff)
				}
				if diff := cmp.Diff(wantWay, way); diff != "" || len(way) != 3 {
					t.Errorf("%s(%s) went through (-MCPServer +Handler)\n%s", name, arguments, diff)
				}
			}
		}
	}
}

func inJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
