package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

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
func takeArguments(message []byte, id json.RawMessage, whole func(tool string) bool) (rest []byte, arguments json.RawMessage, _ *fault) {
	var top [1]span
	if bad := locate(message, span{0, len(message)}, "the message", []string{"params"}, top[:]); bad != "" {
		return nil, nil, &fault{id, mcp.INVALID_PARAMS, bad}
	}
	var in [4]span
	if bad := locate(message, top[0], "params", []string{"arguments", "_meta", "name", "task"}, in[:]); bad != "" {
		return nil, nil, &fault{id, mcp.INVALID_PARAMS, bad}
	}
	var tool string
	if in[2].to > 0 && whole != nil {
		_ = json.Unmarshal(in[2].of(message), &tool) // what is no name, mcp-go refuses
	}
	if in[0].to == 0 || in[3].to > 0 || whole != nil && whole(tool) {
		return message, nil, nil
	}
	return in[0].replace(message, []byte("{}")), in[0].of(message), nil
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

// locate finds the members of an object by name. Anything but an object has none. It returns what is wrong
// where encoding/json would take another member for one of them: a repeated one, or one that differs in case.
func locate(text []byte, in span, what string, names []string, places []span) (wrong string) {
	for o := (object{text[:in.to], in.from}); ; {
		name, value, ok := o.member()
		if !ok {
			return ""
		}
		i := slices.IndexFunc(names, func(n string) bool { return bytes.EqualFold(name, []byte(n)) })
		switch {
		case i < 0:
		case string(name) != names[i]:
			return fmt.Sprintf("%q in %s must be written %q", name, what, names[i])
		case places[i].to > 0:
			return fmt.Sprintf("%s has more than one %q; send it once", what, name)
		default:
			places[i] = value
		}
	}
}

// span is the place of a value in a text; zero when there is none.
type span struct{ from, to int }

func (s span) of(text []byte) []byte { return text[s.from:s.to] }

func (s span) replace(text, with []byte) []byte {
	return slices.Concat(text[:s.from], with, text[s.to:])
}

// object reads one member of a JSON object after the other, without decoding the values. (encoding/json
// would hide that a member is repeated; its tokens are many times as slow.)
type object struct {
	text []byte // valid JSON as far as it is read
	next int    // the place of the object at first, then the end of the last member
}

// member is the next member; not ok after the last, or when there is no object.
func (o *object) member() (name []byte, value span, ok bool) {
	i := skipBlanks(o.text, o.next)
	if i == len(o.text) || o.text[i] != '{' && o.text[i] != ',' {
		return nil, span{}, false
	}
	i = skipBlanks(o.text, i+1)
	if o.text[i] == '}' {
		return nil, span{}, false
	}
	end := stringEnd(o.text, i)
	name = o.text[i+1 : end-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var unescaped string
		if json.Unmarshal(o.text[i:end], &unescaped) == nil {
			name = []byte(unescaped)
		}
	}
	colon := skipBlanks(o.text, end)
	value.from = skipBlanks(o.text, colon+1)
	value.to = valueEnd(o.text, value.from)
	o.next = value.to
	return name, value, true
}

func skipBlanks(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// stringEnd is the end of the string whose first quote is at i.
func stringEnd(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd is the end of the value that begins at i.
func valueEnd(text []byte, i int) int {
	depth := 0
	for i < len(text) {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // of what the value is in
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}
