package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"heffl-mcp/rawjson"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// argumentsKey is where the context of a call has its arguments.
type argumentsKey struct{}

// prepare has the tools of a server get their arguments from the context of the call: see takeArguments. A server that
// is served in several ways is prepared for each, which does it no harm.
func prepare(mcp *server.MCPServer) { mcp.Use(handOver) }

// handOver gives a tool the bytes that the client sent. A tool that has its schema as JSON is taken to read them itself;
// for others they are decoded, as far as encoding/json can: over a number that no float64 holds, like 1e309, it gives up.
func handOver(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		arguments, ok := ctx.Value(argumentsKey{}).(json.RawMessage)
		if !ok {
			return next(ctx, req)
		}
		req.Params.RawArguments, req.Params.Arguments = arguments, nil
		if tool := server.ServerFromContext(ctx).GetTool(req.Params.Name); tool == nil || tool.Tool.RawInputSchema == nil {
			var decoded any
			if json.Unmarshal(arguments, &decoded) == nil {
				req.Params.Arguments = decoded
			}
		}
		return next(ctx, req)
	}
}

// takeArguments takes the arguments out of a tools/call, which is valid JSON. mcp-go decodes a message some ten times, and
// refuses a call over a number that no float64 holds; so it gets the call without them, and the tool gets them byte for byte. A
// message that says something twice, where mcp-go would take the last, is refused. The message stays as it is where
// whole says so of the tool, and where it asks for a task, which mcp-go runs around all middleware.
func (e *envelope) takeArguments(message []byte, whole func(tool string) bool) (rest []byte, _ *fault) {
	params := [1]span{e.params}
	if params[0].to == 0 {
		if _, bad := locate(message, span{0, len(message)}, "the message", []string{"params"}, params[:]); bad != "" {
			return nil, &fault{e.ID, mcp.INVALID_PARAMS, bad}
		}
	}
	var in [4]span
	others, bad := locate(message, params[0], "params", []string{"arguments", "_meta", "name", "task"}, in[:])
	if bad != "" {
		return nil, &fault{e.ID, mcp.INVALID_PARAMS, bad}
	}
	var tool string
	if in[2].to > 0 && whole != nil {
		_ = json.Unmarshal(in[2].of(message), &tool) // what is no name, mcp-go refuses
	}
	if in[0].to == 0 || in[3].to > 0 || whole != nil && whole(tool) {
		return message, nil
	}
	e.arguments, e.meta = in[0].of(message), in[1].of(message)
	if name := in[2].of(message); !others && e.params.to > 0 && legacy(e.meta) && len(name) > 2 && name[0] == '"' && bytes.IndexByte(name, '\\') < 0 {
		e.tool = string(name[1 : len(name)-1])
	}
	return in[0].replace(message, []byte("{}")), nil
}

// inHeaders reports whether a tool has arguments that clients repeat in headers, with which mcp-go compares them:
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports
func (s *site) inHeaders(tool string) bool {
	t := s.mcp.GetTool(tool)
	if t == nil {
		return false
	}
	schema := t.Tool.RawInputSchema
	if schema == nil {
		schema = encoded(t.Tool.InputSchema)
	}
	return bytes.Contains(schema, []byte("x-mcp-header"))
}

// encoded is a value that cannot fail to encode.
func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// legacy reports whether the _meta of a request, empty if there is none, says of no revision that it is the request's: since
// 2026-07-28 each says so.
func legacy(meta []byte) bool {
	return !bytes.Contains(meta, []byte(mcp.MetaKeyProtocolVersion)) && bytes.IndexByte(meta, '\\') < 0 // which may hide it
}

// locate finds the members of an object by name, and whether there are others. Anything but an object has none. It returns what
// is wrong where encoding/json would take another member for one of them: a repeated one, or one that differs in case.
func locate(text []byte, in span, what string, names []string, places []span) (others bool, wrong string) {
	for o := rawjson.In(text[:in.to], in.from); o.Next(); {
		i := slices.IndexFunc(names, func(n string) bool { return bytes.EqualFold(o.Name, []byte(n)) })
		switch {
		case i < 0:
			others = true
		case string(o.Name) != names[i]:
			return others, fmt.Sprintf("%q in %s must be written %q", o.Name, what, names[i])
		case places[i].to > 0:
			return others, fmt.Sprintf("%s has more than one %q; send it once", what, o.Name)
		default:
			places[i] = span{o.From, o.To}
		}
	}
	return others, ""
}

// span is the place of a value in a text; zero when there is none.
type span struct{ from, to int }

func (s span) of(text []byte) []byte { return text[s.from:s.to] }

func (s span) replace(text, with []byte) []byte {
	return slices.Concat(text[:s.from], with, text[s.to:])
}
