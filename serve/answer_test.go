package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"heffl-mcp/serve"
)

// known are tools of a server as serve.Tools has them.
type known struct {
	*server.MCPServer
	handlers map[string]server.ToolHandlerFunc
	asked    atomic.Int64 // calls that mcp-go was not asked to handle
}

// newKnown makes a server with tools that tell what they get, middleware around them, and one tool that nobody may call.
func newKnown() *known {
	k := &known{handlers: make(map[string]server.ToolHandlerFunc)}
	k.MCPServer = server.NewMCPServer("toy", "1", server.WithToolCapabilities(true), server.WithToolFilter(func(_ context.Context, tools []mcp.Tool) []mcp.Tool {
		return slices.DeleteFunc(slices.Clone(tools), func(t mcp.Tool) bool { return t.Name == "hidden" })
	}))
	around := func(next server.ToolHandlerFunc) server.ToolHandlerFunc {
		return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			result, err := next(context.WithValue(ctx, principal{}, "around "+req.Params.Name), req)
			if result != nil {
				result.Meta = mcp.NewMetaFromMap(map[string]any{"around": req.Params.Name})
			}
			return result, err
		}
	}
	k.Use(around)
	add := func(name string, handler server.ToolHandlerFunc) {
		k.AddTool(mcp.NewToolWithRawSchema(name, name, json.RawMessage(`{"type":"object"}`)), handler)
		if name != "hidden" {
			k.handlers[name] = around(handler)
		}
	}
	tells := func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s, _ := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo)
		var err error
		if req.Params.Meta != nil && req.Params.Meta.ProgressToken != nil {
			err = k.SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": req.Params.Meta.ProgressToken, "progress": 1})
		}
		got := []any{
			req.Method, req.Params.Name, string(req.Params.RawArguments), req.Params.Arguments, req.Params.Meta, req.Params.Task, req.Params.MultiRoundTripParams,
			req.Request.Params, req.Header, req.Header != nil, serve.HeaderOf(ctx, req)["X-Told"], ctx.Value(principal{}),
			server.IsModernRequest(ctx), server.RequestProtocolInfoFromContext(ctx), server.RequestProtocolVersion(ctx), s.Initialized(), s.GetClientInfo(),
		}
		text, encodeErr := json.Marshal(got)
		return mcp.NewToolResultText(string(text)), errors.Join(err, encodeErr)
	}
	add("tells", tells)
	add("é\u2028<", tells)
	add("hidden", tells)
	add("fails", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, errors.New("it \"fails\" <here>\n\u2028")
	})
	add("nothing", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil })
	add("panics", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { panic("secret-4711") })
	add("unencodable", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultStructured(map[string]any{"x": func() {}}, "text"), nil
	})
	return k
}

func (k *known) Handler(_ context.Context, tool string) server.ToolHandlerFunc {
	handler := k.handlers[tool]
	if handler != nil {
		k.asked.Add(1)
	}
	return handler
}

// ordinaryCalls, by their params, do without mcp-go; all others are its.
var ordinaryCalls = []string{
	`{"name":"tells","arguments":{"a":1e400,"b":"\u00e9","a":2}}`,
	` { "_meta" : { "progressToken" : 7.0 , "x" : [ 1e2 ] } , "arguments" : [ ] , "name" : "tells" } `,
	`{"name":"tells","arguments":null,"_meta":null}`,
	`{"name":"tells","arguments":{},"_meta":{}}`,
	`{"arguments":"text","name":"é` + "\u2028" + `<"}`,
	`{"name":"fails","arguments":{}}`,
	`{"name":"nothing","arguments":{}}`,
	`{"name":"panics","arguments":{}}`,
	`{"name":"unencodable","arguments":{}}`,
}

var oddCalls = []string{
	`{"name":"tells"}`,
	`{"name":"tell\u0073","arguments":{}}`,
	`{"name":"hidden","arguments":{}}`,
	`{"name":"unknown","arguments":{}}`,
	`{"name":"","arguments":{}}`,
	`{"name":5,"arguments":{}}`,
	`{"arguments":{}}`,
	`{"Name":"tells","arguments":{}}`,
	`{"name":"tells","name":"fails","arguments":{}}`,
	`{"name":"tells","arguments":{},"task":{"ttl":1}}`,
	`{"name":"tells","arguments":{},"task":null}`,
	`{"name":"tells","arguments":{},"requestState":"x"}`,
	`{"name":"tells","arguments":{},"inputResponses":{}}`,
	`{"name":"tells","arguments":{},"more":1}`,
	`{"name":"tells","arguments":{},"_meta":5}`,
	`{"name":"tells","arguments":{},"_meta":{"progressToken":1e400}}`,
	`{"name":"tells","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2025-06-18"}}`,
	`{"name":"tells","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}`,
	`{"name":"tells","arguments":{},"_meta":{"io.modelcontextprotocol\/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}`,
	`{"name":"tells","arguments":{"invalid":"` + "\xff" + `"}}`,
	`[]`, `null`, `5`,
}

// With or without mcp-go, a call gets the same answer, byte for byte, and its tool the same request.
func TestToolsAnswerAsMCPGo(t *testing.T) {
	t.Parallel()
	k, plain := newKnown(), newKnown()
	stdio := func(s *serve.Stdio, message string) string {
		t.Helper()
		var out bytes.Buffer
		if err := s.Serve(t.Context(), strings.NewReader(initialize+"\n"+message), &out); err != nil {
			t.Fatalf("Serve = %v, want nil", err)
		}
		return out.String()
	}
	ofKnown, ofPlain := (&serve.HTTP{MCP: k.MCPServer, Tools: k}).Handler(), (&serve.HTTP{MCP: plain.MCPServer}).Handler()
	for i, params := range append(slices.Clone(ordinaryCalls), oddCalls...) {
		for _, message := range []string{raw(`9007199254740993`, params), raw(`"\u00e9"`, params), strings.Replace(raw(`1`, params), `"id"`, `"more":1,"id"`, 1)} {
			before := k.asked.Load()
			got, want := stdio(&serve.Stdio{MCP: k.MCPServer, Tools: k}, message), stdio(&serve.Stdio{MCP: plain.MCPServer}, message)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer to %s (-mcp-go +ours):\n%s", message, diff)
			}
			wantAsked := int64(0)
			if i < len(ordinaryCalls) && !strings.Contains(message, "more") {
				wantAsked = 1
			}
			if asked := k.asked.Load() - before; asked != wantAsked {
				t.Errorf("%s went around mcp-go %d times, want %d", message, asked, wantAsked)
			}
			if diff := cmp.Diff(posted(t, ofPlain, message), posted(t, ofKnown, message)); diff != "" {
				t.Errorf("answer over HTTP to %s (-mcp-go +ours):\n%s", message, diff)
			}
		}
	}
}

// posted is the answer to a message over Streamable HTTP.
func posted(t testing.TB, h http.Handler, message string) string {
	r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/mcp", strings.NewReader(message))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Told", "yes")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return fmt.Sprintln(w.Code, w.Header(), w.Body)
}

// FuzzToolsAnswerAsMCPGo holds the same of any message.
func FuzzToolsAnswerAsMCPGo(f *testing.F) {
	for _, params := range append(slices.Clone(ordinaryCalls), oddCalls...) {
		f.Add([]byte(raw(`1`, params)))
	}
	k, plain := newKnown(), newKnown()
	ofKnown, ofPlain := (&serve.HTTP{MCP: k.MCPServer, Tools: k}).Handler(), (&serve.HTTP{MCP: plain.MCPServer}).Handler()
	f.Fuzz(func(t *testing.T, message []byte) {
		if bytes.Contains(message, []byte("subscriptions")) {
			return // which has no end
		}
		if diff := cmp.Diff(posted(t, ofPlain, string(message)), posted(t, ofKnown, string(message))); diff != "" {
			t.Errorf("answer to %s (-mcp-go +ours):\n%s", message, diff)
		}
	})
}
