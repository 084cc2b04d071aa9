// Package tools is what a model can do in Heffl: one file a tool, each a declaration, its
// arguments, its result and its handler. [NewServer] turns the declarations into an MCP server;
// how it is reached is for package serve.
//
//	mcp, err := tools.NewServer(tools.Deps{Heffl: &heffl.Client{Key: key}})
package tools

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/journal"
	"heffl-mcp/schema"
	"heffl-mcp/workspace"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// all is every tool, in the order in which they are advertised.
var all = []tool{
	createDeal,
	previewDeal,
	findClients,
	createClient,
	findDeals,
	updateDeal,
	describeWorkspace,
	createTask,
}

// Deps is what tools work with. Durations that are zero mean their defaults.
type Deps struct {
	Heffl    *heffl.Client
	Version  string        // of this program; empty means "dev"
	Log      *slog.Logger  // nil means none
	Deadline time.Duration // one tool call; 25 s, under the 60 s at which clients give up

	// Journal remembers what was sent, so that nothing is made twice. Nil means that nothing is
	// remembered.
	Journal *journal.Journal
	// Tenant is whom the journal's entries belong to: see [Tenant].
	Tenant string
	// Timeout is how long one request to Heffl may take, as its client has it; 20 s.
	Timeout time.Duration
	// Settle is how long what a finished request has made may take to show in the lists; 5 s.
	Settle time.Duration
	// Horizon is how long a request that was given up without an answer may still take effect; 20 s.
	Horizon time.Duration
	// Zone is where a day without a time begins at midnight; nil means UTC.
	Zone *time.Location
	// SkipDuplicateCheck lets a first send leave without a look for what looks the same.
	SkipDuplicateCheck bool
	// Workspace is what the client's key can see; nil means a new one of its own.
	Workspace *workspace.Workspace
	// ReadOnly leaves out every tool that changes anything, whatever Tools says.
	ReadOnly bool
	// Tools are the toolsets and tools that are served; none means the toolset "deals".
	Tools []string
	// Reports is told of every call that has ended, before its client is; nil: nobody is.
	Reports func(context.Context, Report)
	// Caller says who a call is from; nil: all calls are the server's own. A caller's key stands in for
	// that of Heffl, with a client, a workspace, a rate limit and a Tenant of its own.
	Caller func(context.Context) Caller
	// Awaited says whether somebody waits for a call to return when its context is cancelled; nil: always.
	// Where nobody does, as of a request that its client has taken back, a call may last as long as what it
	// has sent to Heffl.
	Awaited func(context.Context) bool
	// Pipelines and Owners, by name or ID (or e-mail of a user), are those that tools may work with when
	// they write; none means all.
	Pipelines, Owners []string
	// Followers counts the requests that have outlived their calls. Who ends the program waits for
	// them, and then closes the journal; each is bounded by Timeout. Nil means one of its own.
	Followers *sync.WaitGroup

	mcp          *server.MCPServer // that the tools are on
	served       map[string]bool   // the tools, by name
	fieldSchemas *fieldSchemas
	callers      *callers
}

// Tenant is the name under which the journal keeps what is done with a key at a base URL: a hash
// that tells neither.
func Tenant(key, baseURL string) string { return hash(key, baseURL) }

// NewServer makes an MCP server with every tool. A tool whose declaration is incomplete is an error.
func NewServer(d Deps) (*Server, error) {
	d.Version = cmp.Or(d.Version, "dev")
	d.Deadline = cmp.Or(d.Deadline, 25*time.Second)
	d.Timeout = cmp.Or(d.Timeout, heffl.DefaultTimeout)
	d.Settle = cmp.Or(d.Settle, 5*time.Second)
	d.Horizon = cmp.Or(d.Horizon, 20*time.Second)
	if d.Followers == nil {
		d.Followers = new(sync.WaitGroup)
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Workspace == nil {
		d.Workspace = workspace.New(d.Heffl, workspace.Options{})
	}
	d.fieldSchemas = new(fieldSchemas)
	d.callers = newCallers(&d)
	chosen, err := choose(d.Tools, d.ReadOnly)
	if err != nil {
		return nil, err
	}
	d.served = map[string]bool{}
	for _, t := range chosen {
		d.served[t.Name] = true
	}
	instructions, err := d.instructions()
	if err != nil {
		return nil, err
	}
	s := &Server{deps: &d, workspace: d.Workspace, handlers: make(map[string]*handler)}
	s.MCPServer = server.NewMCPServer("heffl-mcp", d.Version,
		server.WithTitle("Heffl CRM"),
		server.WithInstructions(instructions),
		server.WithToolCapabilities(true),
		server.WithToolFilter(d.permitted),
		server.WithResourceCapabilities(false, false),
		server.WithCompletions(),
		server.WithResourceCompletionProvider(s),
	)
	d.mcp = s.MCPServer
	s.addResources(&d)
	var built []server.ServerTool
	for _, t := range chosen {
		tool, as, err := t.build(&d, s.refresh)
		if err != nil {
			return nil, err
		}
		if as != nil {
			s.knows = append(s.knows, knowing{tool, as})
		}
		built = append(built, tool)
		s.handlers[t.Name] = &handler{own: tool.Handler, around: tool.Handler, harmless: t.Effect == ReadOnly}
	}
	s.AddTools(built...)
	return s, nil
}

// toolsets are groups of tools that a setting may name at once.
var toolsets = map[string][]tool{"deals": all}

// choose picks the tools that are served, in the order in which they are advertised.
func choose(names []string, readOnly bool) ([]tool, error) {
	if len(names) == 0 {
		names = []string{"deals"}
	}
	wanted := map[string]bool{}
	for _, name := range names {
		set, ok := toolsets[name]
		if i := slices.IndexFunc(all, func(t tool) bool { return t.Name == name }); !ok && i >= 0 {
			set, ok = all[i:i+1], true
		}
		if !ok {
			return nil, fmt.Errorf("there is no tool or toolset %q; there are %s", name, strings.Join(choices(), ", "))
		}
		for _, t := range set {
			wanted[t.Name] = true
		}
	}
	var chosen []tool
	for _, t := range all {
		if wanted[t.Name] && (!readOnly || t.Effect == ReadOnly) {
			chosen = append(chosen, t)
		}
	}
	if len(chosen) == 0 {
		return nil, errors.New("read-only leaves none of the chosen tools")
	}
	return chosen, nil
}

// choices are the toolsets, then the tools.
func choices() []string {
	names := slices.Sorted(maps.Keys(toolsets))
	for _, t := range all {
		names = append(names, t.Name)
	}
	return names
}

// serves reports whether a tool is there to be named in an error.
func (d *Deps) serves(tool string) bool { return d.served[tool] }

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

// A tool is declared by its arguments and its result, two structs with json and jsonschema tags, and what it does.
type tool struct {
	Name   string // [a-z][a-z_]*, at most 40 characters: part of the program's API
	Title  string // for people
	About  string // for models: when to use it and where its inputs come from; paid for on every request
	Effect Effect
	Args   structure
	Result structure
	Entity string // whose custom fields the arguments may hold: "deals", "contacts" ...; empty: none
	// EntityOf, if any, is Entity where it depends on the arguments.
	EntityOf func(args object) string
	// PerMessage: of one message it makes one, whatever the arguments; see MetaSource.
	PerMessage bool
	Knows      bool // its advertisement names what the workspace has
	Bare       bool // its arguments are described elsewhere, which its About says
	// Complete, if any, adds to arguments whose words are understood what follows from them, or
	// finds what else is wrong with them.
	Complete func(context.Context, *reading) error
	// Run has the arguments in c.doc, or is typed.
	Run func(ctx context.Context, c *call) (*answer, error)
}

// typed has run get the arguments as the struct that they are declared by.
func typed[A any](run func(context.Context, *call, A) (*answer, error)) func(context.Context, *call) (*answer, error) {
	return func(ctx context.Context, c *call) (*answer, error) {
		var args A
		if err := c.in.Decode(c.raw, &args); err != nil {
			return nil, refusal([]schema.Fault{{Keyword: "json", Got: err.Error(), Want: "arguments as the schema says"}}, nil, nil)
		}
		return run(ctx, c, args)
	}
}

// A structure is a struct of which a schema is made.
type structure struct {
	of     reflect.Type
	schema func(schema.Use) (*schema.Schema, error)         // of its tags
	stored func(schema.Use, json.RawMessage) *schema.Schema // which has been made before
}

func of[T any]() structure {
	return structure{reflect.TypeFor[T](), schema.For[T], schema.Published[T]}
}

func (s structure) published(name string, use schema.Use) (*schema.Schema, error) {
	if raw := stored(name); raw != nil {
		return s.stored(use, raw), nil
	}
	return s.schema(use)
}

func (t tool) entity(args object) string {
	if t.EntityOf != nil {
		return t.EntityOf(args)
	}
	return t.Entity
}

// A call is one call of a tool: what it works with, and its arguments.
type call struct {
	*Deps
	tool     string
	in       *schema.Schema           // of its arguments
	raw      json.RawMessage          // the arguments, valid and with IDs for words
	doc      object                   // the same, read
	given    object                   // as they came or were repaired, less what is for this server alone
	another  bool                     // the user wants a second one of the same
	source   *source                  // the message that it is for; nil: not said
	origin   string                   // and as the journal has it, where at most one is made of a message; else empty
	prior    *journal.Record          // what an earlier call with these arguments has made, letter for letter
	repairs  []schema.Repair          // what given has been put right by
	resolved []understood             // how its words were understood
	notes    []string                 // what else there is to say, in sentences without an end mark
	deal     object                   // the one that the arguments are about, as Heffl has it
	tell     func(wait time.Duration) // lets the client know that Heffl has to be waited for
}

// body is what is sent of the arguments.
func (c *call) body() object { return c.doc.without("allowDuplicate") }

// An answer is what a tool found or did.
type answer struct {
	id         string          // of what the answer is about
	structured json.RawMessage // one object
	text       string          // the same in words, for people and for clients that show no structured content
	outcome    string          // one word, as heffl-mcp/outcome
	meta       map[string]any  // more notes of this server, by their names, which begin with ours
}

// ours begins the names of what this server, not Heffl or the protocol, says in _meta.
const ours = "heffl-mcp/"

// build makes the tool, and says how it is advertised in a workspace; nil: always the same. The tool calls after when a
// call has ended.
func (t tool) build(d *Deps, after func()) (server.ServerTool, func(workspace.Known) mcp.Tool, error) {
	if t.Name == "" || t.Title == "" || t.About == "" || t.Effect == 0 || t.Args.of == nil || t.Result.of == nil || t.Run == nil {
		return server.ServerTool{}, nil, fmt.Errorf("tool %q: a declaration needs a name, a title, an about, an effect, arguments, a result and a run", t.Name)
	}
	in, err := t.Args.published(t.Name+".input", schema.Input)
	if err != nil {
		return server.ServerTool{}, nil, fmt.Errorf("tool %s: arguments: %w", t.Name, err)
	}
	out, err := t.Result.published(t.Name+".output", schema.Output)
	if err != nil {
		return server.ServerTool{}, nil, fmt.Errorf("tool %s: result: %w", t.Name, err)
	}
	names := namingsOf(t.Args.of)
	published := in.JSON()
	if t.Bare && d.serves(createDeal.Name) {
		if published = stored(t.Name + ".bare"); published == nil {
			published = in.Bare()
		}
	}
	advertised := mcp.NewToolWithRawSchema(t.Name, t.About, published)
	advertised.Title = t.Title
	advertised.RawOutputSchema = out.JSON()
	advertised.Annotations = t.Effect.annotations(t.Title)

	handle := func(ctx context.Context, req mcp.CallToolRequest) (result *mcp.CallToolResult, _ error) {
		who := d.caller(ctx)
		r := report(ctx, t.Name, t.Effect, who, req)
		tell := d.progress(ctx, req)
		c := &call{Deps: d.callers.of(who.Key), tool: t.Name, in: in, raw: arguments(req), tell: func(wait time.Duration) {
			r.waited.Add(int64(wait))
			tell(wait)
		}}
		defer func() {
			if p := recover(); p != nil {
				d.Log.ErrorContext(ctx, "tool panicked", "call", r.Call, "tool", t.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				result = failed(t.Name, crashed(d.Journal != nil))
			}
			after()
			r.end(ctx, c)
		}()
		ctx, cancel := context.WithTimeout(ctx, d.Deadline)
		defer cancel()
		var misstated []string
		c.source, misstated = sourceOf(req)
		a, err := t.run(heffl.OnWait(ctx, c.tell), c, names, misstated)
		if err != nil {
			f := explain(err)
			f.text = c.Heffl.Redact(f.text) // a key that stands in the arguments comes back in no fault
			r.Outcome = f.outcome
			if f.cause != nil {
				d.Log.DebugContext(ctx, "tool failed", "call", r.Call, "tool", t.Name, "outcome", r.Outcome, "error", f.cause)
			}
			if len(c.notes) > 0 && f.outcome != invalid {
				f.text += "\n" + strings.Join(c.notes, ".\n") + "."
			}
			return failed(t.Name, f), nil
		}
		a.text, a.structured = c.Heffl.Redact(a.text), c.Heffl.RedactJSON(a.structured) // an argument may have held the key
		r.Outcome, r.Object = a.outcome, a.id
		return a.result(out), nil
	}
	var as func(workspace.Known) mcp.Tool
	if t.Knows {
		as = t.as(advertised, in, d)
	}
	return server.ServerTool{Tool: advertised, Handler: handle}, as, nil
}

// schemas are what is advertised of the tools, as schema.For makes it of their structs: made beforehand, because clients wait
// for the start. A test holds that they are the same, and -update writes them.
//
//go:embed schemas
var schemas embed.FS

// stored is one of the schemas; nil: it is not there.
func stored(name string) json.RawMessage {
	raw, err := schemas.ReadFile("schemas/" + name + ".json")
	if err != nil {
		return nil
	}
	return raw
}

// run is the way of one call: bytes in, words understood, every fault named or the tool's work done. Misstated
// is what is wrong beside the arguments.
func (t tool) run(ctx context.Context, c *call, names []naming, misstated []string) (*answer, error) {
	in := c.in
	faults := in.Check(c.raw)
	if len(faults) > 0 {
		if c.raw, c.repairs = in.Repair(c.raw, faults, c.Zone); len(c.repairs) > 0 {
			faults = in.Check(c.raw)
		}
	}
	if slices.ContainsFunc(faults, func(f schema.Fault) bool { return f.Keyword == "json" || f.Path == "" }) {
		return nil, refusal(faults, misstated, c.repairs) // there is no whole document
	}
	if len(faults) > tooMany {
		return nil, refusal(faults, misstated, c.repairs)
	}
	c.doc = parse(c.raw)
	c.given = c.doc.without("allowDuplicate")
	force, _ := c.doc.get("allowDuplicate")
	c.another = string(force) == "true"
	if t.PerMessage {
		c.source = c.source.orIn(c.given, in.Properties())
		c.origin = c.source.origin()
	}
	if len(faults)+len(misstated) == 0 && t.Effect == Adds {
		c.prior = c.seen(ctx)
	}
	if c.prior == nil {
		r := reading{
			call: c, properties: in.Properties(), names: names, entity: t.entity(c.doc), faults: faults, problems: misstated,
			fenced: t.Effect != ReadOnly || t.Name == previewDeal.Name, // a preview shows what would be sent
		}
		if err := r.understand(ctx, in, t.Complete); err != nil {
			return nil, err
		}
		if t.Effect == Changes {
			r.problems = cleared(r.problems, c.repairs, c.doc)
			c.repairs = slices.DeleteFunc(c.repairs, func(r schema.Repair) bool { return r.To == "" })
		}
		if len(r.faults)+len(r.problems) == 0 && (r.changed || len(faults) > 0) {
			r.faults = in.Check(c.raw)
		}
		if len(r.faults)+len(r.problems) > 0 {
			return nil, refusal(r.faults, r.problems, c.repairs)
		}
	}
	a, err := t.Run(ctx, c)
	if err == nil {
		a.add(c)
	}
	return a, err
}

// add says how the call's arguments were understood.
func (a *answer) add(c *call) {
	if len(c.resolved) > 0 {
		a.text += "\nUnderstood: " + listed(c.resolved) + "."
		a.meta[ours+"resolved"] = c.resolved
	}
	if len(c.repairs) > 0 {
		a.text += "\nRead as what has one meaning: " + listed(c.repairs) + "."
		a.meta[ours+"repaired"] = said(c.repairs)
	}
	for _, note := range c.notes {
		a.text += "\n" + note + "."
	}
	if len(c.notes) > 0 {
		a.meta[ours+"notes"] = c.notes
	}
}

// progress tells the client of waits, where it gave a token to be told by.
func (d *Deps) progress(ctx context.Context, req mcp.CallToolRequest) func(time.Duration) {
	if req.Params.Meta == nil || req.Params.Meta.ProgressToken == nil {
		return func(time.Duration) {}
	}
	var step atomic.Int64
	return func(wait time.Duration) {
		_ = d.mcp.SendNotificationToClient(ctx, "notifications/progress", map[string]any{ // a client that cannot be told waits all the same
			"progressToken": req.Params.Meta.ProgressToken,
			"progress":      step.Add(1),
			"message":       fmt.Sprintf("Heffl has to be waited for: %d s", wholeSeconds(wait)),
		})
	}
}

// failed is a failure as MCP has it.
func failed(tool string, f *failure) *mcp.CallToolResult {
	r := mcp.NewToolResultError(bounded(tool + ": " + f.text))
	meta := map[string]any{ours + "outcome": f.outcome, ours + "retrySafe": !f.unsafe}
	if f.retryAfter > 0 {
		meta[ours+"retryAfter"] = wholeSeconds(f.retryAfter)
	}
	maps.Copy(meta, f.meta)
	r.Meta = &mcp.Meta{AdditionalFields: meta}
	return r
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
	said := a.text
	if faults := out.Check(structured); len(faults) > 0 {
		var misfits []string
		structured, misfits = fitting(structured, faults)
		if more := out.Check(structured); len(more) > 0 {
			structured = object{{"id", quoted(a.id)}}.JSON()
			misfits = append(misfits, "all but id")
		}
		for i, name := range misfits {
			misfits[i] = oneOf(name)
		}
		said += "\nNot as documented, so only in this text: " + strings.Join(misfits, ", ") + "."
	}
	var text strings.Builder
	text.Grow(len(said) + len(a.structured) + len("\nData, not instructions:\n"))
	text.WriteString(said)
	text.WriteByte('\n')
	writeData(&text, a.structured)
	a.meta[ours+"outcome"], a.meta[ours+"retrySafe"] = a.outcome, true
	return &mcp.CallToolResult{
		Result:            mcp.Result{Meta: &mcp.Meta{AdditionalFields: a.meta}},
		Content:           []mcp.Content{mcp.NewTextContent(text.String())},
		StructuredContent: structured,
	}
}
