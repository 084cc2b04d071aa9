// Package tools is what a model can do in Heffl: one file a tool, each a declaration, its
// arguments, its result and its handler. [NewServer] turns the declarations into an MCP server;
// how it is reached is for package serve.
//
//	mcp, err := tools.NewServer(tools.Deps{Heffl: &heffl.Client{Key: key}})
package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/schema"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// all is every tool, in the order in which they are advertised.
var all = []declaration{
	createDeal,
}

// Deps is what tools work with.
type Deps struct {
	Heffl    *heffl.Client
	Version  string        // of this program; empty means "dev"
	Log      *slog.Logger  // nil means none
	Deadline time.Duration // one tool call; zero means 25 s, under the 60 s at which clients give up
}

// NewServer makes an MCP server with every tool. A tool whose declaration is incomplete, or whose
// schema does not compile, is an error.
func NewServer(d Deps) (*server.MCPServer, error) {
	d.Version = cmp.Or(d.Version, "dev")
	d.Deadline = cmp.Or(d.Deadline, 25*time.Second)
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	s := server.NewMCPServer("heffl-mcp", d.Version,
		server.WithTitle("Heffl CRM"),
		server.WithToolCapabilities(false),
	)
	for _, t := range all {
		built, err := t.build(&d)
		if err != nil {
			return nil, err
		}
		if s.GetTool(built.Tool.Name) != nil {
			return nil, fmt.Errorf("tool %s is declared twice", built.Tool.Name)
		}
		s.AddTools(built)
	}
	return s, nil
}

// An Effect is what a tool does to the workspace. One word gives all four hints that MCP has.
type Effect int

const (
	_        Effect = iota // a tool must say
	ReadOnly               // changes nothing
	Adds                   // makes something new, and the same call again makes no second one
	Changes                // changes what is there; the same call again changes nothing more
	Destroys               // takes away
)

func (e Effect) annotations(title string) mcp.ToolAnnotation {
	hint := func(b bool) *bool { return &b }
	return mcp.ToolAnnotation{
		Title:           title,
		ReadOnlyHint:    hint(e == ReadOnly),
		DestructiveHint: hint(e == Changes || e == Destroys),
		IdempotentHint:  hint(e != Adds),
		OpenWorldHint:   hint(true), // Heffl is outside this program
	}
}

// A tool is declared by its arguments A and its result R, two structs with json and jsonschema
// tags, and what it does.
type tool[A, R any] struct {
	Name   string // [a-z][a-z_]*, at most 40 characters: part of the program's API
	Title  string // for people
	About  string // for models: when to use it and where its inputs come from; paid for on every request
	Effect Effect
	Run    func(context.Context, *call, A) (*answer, error)
}

// A declaration is a tool[A, R] of any A and R.
type declaration interface {
	build(*Deps) (server.ServerTool, error)
}

// A call is one call of a tool: what it works with, and its arguments, valid, as they came.
type call struct {
	*Deps
	raw json.RawMessage
}

// An answer is what a tool found or did.
type answer struct {
	structured json.RawMessage // one object
	text       string          // the same in words, for people and for clients that show no structured content
	meta       map[string]any  // notes of this server, by their names after heffl-mcp/
}

func (t tool[A, R]) build(d *Deps) (server.ServerTool, error) {
	if t.Name == "" || t.Title == "" || t.About == "" || t.Effect == 0 || t.Run == nil {
		return server.ServerTool{}, fmt.Errorf("tool %q: a declaration needs a name, a title, an about, an effect and a run", t.Name)
	}
	in, err := schema.For[A](schema.Input)
	if err != nil {
		return server.ServerTool{}, fmt.Errorf("tool %s: arguments: %w", t.Name, err)
	}
	out, err := schema.For[R](schema.Output)
	if err != nil {
		return server.ServerTool{}, fmt.Errorf("tool %s: result: %w", t.Name, err)
	}
	advertised := mcp.NewToolWithRawSchema(t.Name, t.About, in.JSON())
	advertised.Title = t.Title
	advertised.RawOutputSchema = out.JSON()
	advertised.Annotations = t.Effect.annotations(t.Title)

	handle := func(ctx context.Context, req mcp.CallToolRequest) (result *mcp.CallToolResult, _ error) {
		start := time.Now()
		defer func() {
			if p := recover(); p != nil {
				d.Log.ErrorContext(ctx, "tool panicked", "tool", t.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				result = mcp.NewToolResultError(t.Name + " failed inside heffl-mcp; its log has the cause. Nothing is known of what was done: look before calling again.")
			}
			d.Log.InfoContext(ctx, "tool called", "tool", t.Name, "ok", !result.IsError, "took", time.Since(start))
		}()
		ctx, cancel := context.WithTimeout(ctx, d.Deadline)
		defer cancel()
		return t.run(ctx, d, in, out, arguments(req)), nil
	}
	return server.ServerTool{Tool: advertised, Handler: handle}, nil
}

// run is the way of one call: bytes in, every fault named or the tool's work done, bytes out.
func (t tool[A, R]) run(ctx context.Context, d *Deps, in, out *schema.Schema, raw json.RawMessage) *mcp.CallToolResult {
	if _, faults := in.Check(raw); len(faults) > 0 {
		return mcp.NewToolResultError(refusal(t.Name, faults))
	}
	var args A
	if err := in.Decode(raw, &args); err != nil {
		return mcp.NewToolResultError(refusal(t.Name, []schema.Fault{{Keyword: "json", Got: err.Error(), Want: "arguments as the schema says"}}))
	}
	a, err := t.Run(ctx, &call{Deps: d, raw: raw}, args)
	if err != nil {
		return mcp.NewToolResultError(explain(t.Name, err))
	}
	return a.result(out)
}

// arguments are the bytes that the client sent. A client in this process may hand over a value
// instead; none at all is an empty object.
func arguments(req mcp.CallToolRequest) json.RawMessage {
	raw := req.Params.RawArguments
	if len(raw) == 0 && req.Params.Arguments != nil {
		raw, _ = json.Marshal(req.Params.Arguments) // it came through a JSON-typed API: it marshals
	}
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage("{}")
	}
	return raw
}

// result is the answer as MCP has it. A member of Heffl's answer that does not fit the declared
// schema would make clients throw the whole result away, deal and all: it is left out of the
// structured content and stays in the text.
func (a *answer) result(out *schema.Schema) *mcp.CallToolResult {
	structured := a.structured
	text := a.text + "\n" + string(a.structured)
	if _, faults := out.Check(structured); len(faults) > 0 {
		var misfits []string
		structured, misfits = without(structured, faults)
		text = fmt.Sprintf("%s\nNot of the documented type, so only in this text: %s.\n%s", a.text, strings.Join(misfits, ", "), a.structured)
	}
	r := &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(text)}, StructuredContent: structured}
	if len(a.meta) > 0 {
		r.Meta = &mcp.Meta{AdditionalFields: make(map[string]any, len(a.meta))}
		for k, v := range a.meta {
			r.Meta.AdditionalFields["heffl-mcp/"+k] = v
		}
	}
	return r
}
