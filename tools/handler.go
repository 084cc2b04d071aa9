package tools

import (
	"context"
	"slices"

	"github.com/mark3labs/mcp-go/server"
)

// A handler is what runs when a tool is called.
type handler struct {
	own      server.ToolHandlerFunc // without middleware
	around   server.ToolHandlerFunc // with it
	harmless bool                   // changes nothing
}

// Handler is what MCPServer would have handle a call of a tool by whoever ctx belongs to, for who can do without the rest
// of what MCPServer does. It is nil where there is no such tool for them.
func (s *Server) Handler(ctx context.Context, tool string) server.ToolHandlerFunc {
	h := s.handlers[tool]
	if h == nil || !h.harmless && s.deps.caller(ctx).ReadOnly {
		return nil
	}
	return h.around
}

// Use puts middleware around the handlers of all tools, within that which is there already. It is for before the server
// is served.
func (s *Server) Use(middleware ...server.ToolHandlerMiddleware) {
	s.MCPServer.Use(middleware...)
	s.middleware = append(s.middleware, middleware...)
	for _, h := range s.handlers {
		h.around = h.own
		for _, m := range slices.Backward(s.middleware) {
			h.around = m(h.around)
		}
	}
}
