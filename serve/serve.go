// Package serve holds the ways in to an MCP server: standard input and output, and one HTTP listener with
// Streamable HTTP and the older HTTP+SSE.
//
//	err := (&serve.Stdio{MCP: mcp, Log: log}).Serve(ctx, os.Stdin, os.Stdout)
//
//	tokens, err := serve.NewTokens(os.Getenv("TOKEN"))
//	...
//	h := &serve.HTTP{MCP: mcp, Log: log, Tokens: tokens}
//	ln, err := h.Listen(ctx, "0.0.0.0:8080")
//	...
//	err = h.Serve(ctx, ln)
//
// Every request that is read gets exactly one answer, with the id that the client wrote, digit for digit;
// only a request that the client cancels gets none. A tool gets its arguments byte for byte, whatever they are,
// in CallToolParams.RawArguments. When input or ctx ends, calls that have begun are finished first. Every size, number
// and wait has a bound.
//
// Over HTTP it knows who may enter, and a tool finds out who has (see PrincipalOf). What the tools do, what a
// principal may do with them, and how long one call may take is left to the MCP server and its middleware; the
// protocol itself (revisions, methods, header rules) to mcp-go.
package serve

import (
	"cmp"
	"log/slog"
	"time"
)

// What zero means in Stdio and HTTP.
const (
	defaultMaxMessage = 4 << 20 // bytes
	defaultMaxCalls   = 256
	defaultMaxStreams = 256
	defaultDrain      = 30 * time.Second
)

// settle is how long calls that have been cancelled, and a last write, may still take.
const settle = 2 * time.Second

func logger(l *slog.Logger) *slog.Logger {
	return cmp.Or(l, slog.New(slog.DiscardHandler))
}
