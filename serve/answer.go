package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Tools knows how calls of an MCP server's tools are handled, and so saves mcp-go from decoding an ordinary one four times
// over. A call is ordinary when it is of a revision before 2026-07-28, and its params are a name, arguments and perhaps
// _meta. All others, and errors of the protocol, stay mcp-go's.
//
// It is for a server without what mcp-go does around a call, unless Handler does the same: hooks, logs, traces, validation,
// tools of a session or that run as tasks, results that ask for input (and errors that do).
type Tools interface {
	// Handler is what mcp-go would have handle a call of a tool by whoever ctx belongs to, middleware and all. It is nil if
	// that is not known, or they may not call it: then mcp-go is asked.
	//
	// It gets its arguments in CallToolParams.RawArguments alone. The context has all that mcp-go puts there, but not the
	// server: server.ServerFromContext knows of none.
	Handler(ctx context.Context, tool string) server.ToolHandlerFunc
}

// core is what every way in has: who answers, and where failures are logged.
type core struct {
	mcp   *server.MCPServer
	tools Tools // nil: mcp-go knows
	log   *slog.Logger
}

// answer has a request of a session handled, and encodes what comes back; touch, if not nil, may change what comes of mcp-go
// first. A panic, or a result that is no JSON, becomes a neutral error, and is not ok.
func (c core) answer(ctx context.Context, s *session, env envelope, message []byte, touch func(mcp.JSONRPCMessage)) (f *frame, ok bool) {
	failed := func() (*frame, bool) { return fault{env.ID, mcp.INTERNAL_ERROR, internalError}.frame(), false }
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("panic while answering", "method", env.Method, "panic", v, "stack", string(debug.Stack()))
			f, ok = failed()
		}
	}()
	ctx = c.mcp.WithContext(ctx, s)
	r := c.direct(ctx, env)
	if r == nil {
		r = c.mcp.HandleMessage(env.of(ctx), message)
		if touch != nil {
			touch(r)
		}
	}
	f, err := responseFrame(env.ID, r)
	if err != nil {
		c.log.Error("cannot encode a response", "method", env.Method, "error", err)
		return failed()
	}
	return f, true
}

// noRevision is what mcp-go notes of a request that says nothing of its revision.
var noRevision = new(server.RequestProtocolInfo)

// direct answers an ordinary call of a tool that is known, as mcp-go would but for the id; nil: it is something else.
func (c core) direct(ctx context.Context, env envelope) mcp.JSONRPCMessage {
	if c.tools == nil || env.tool == "" {
		return nil
	}
	var meta *mcp.Meta
	if len(env.meta) > 0 && json.Unmarshal(env.meta, &meta) != nil {
		return nil
	}
	ctx = server.WithRequestProtocolInfo(ctx, noRevision)
	handle := c.tools.Handler(ctx, env.tool)
	if handle == nil {
		return nil
	}
	result, err := handle(ctx, mcp.CallToolRequest{
		Request: mcp.Request{Method: methodCall},
		Header:  make(http.Header),
		Params:  mcp.CallToolParams{Name: env.tool, RawArguments: env.arguments, Meta: meta},
	})
	if err == nil && result == nil {
		err = fmt.Errorf("tool '%s' handler returned no result", env.tool)
	}
	if err != nil {
		return mcp.JSONRPCError{JSONRPC: mcp.JSONRPC_VERSION, Error: mcp.NewJSONRPCErrorDetails(mcp.INTERNAL_ERROR, err.Error(), nil)}
	}
	return mcp.JSONRPCResponse{JSONRPC: mcp.JSONRPC_VERSION, Result: result}
}
