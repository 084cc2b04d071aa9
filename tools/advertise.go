package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/schema"
	"heffl-mcp/workspace"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// maxToolBytes bounds what one tool may cost a model: 1,200 tokens of four bytes.
const maxToolBytes = 4800

// A Server is an MCP server with tools. What it advertises names what the workspace has, once that
// is known: it never waits for the network to answer a client.
type Server struct {
	*server.MCPServer
	deps      *Deps
	workspace *workspace.Workspace

	handlers   map[string]*handler // by the names of the tools; see Handler
	middleware []server.ToolHandlerMiddleware

	mu    sync.Mutex
	knows []knowing // the tools whose advertisement depends on the workspace
	shown time.Time // when what is shown was read
}

// A knowing is a tool, and what it says of itself in a workspace.
type knowing struct {
	server.ServerTool
	as func(workspace.Known) mcp.Tool
}

// Learn reads what the advertised tools name: pipelines, and the custom fields of deals. Without
// it they are named after a call has needed them. Its error says why they could not be read; then
// nothing has changed.
func (s *Server) Learn(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("failed inside heffl-mcp: %v", v)
		}
	}()
	pipelines, err := s.workspace.Pipelines(ctx)
	if err != nil {
		return err
	}
	const few = 4 // pipelines whose own fields are worth a request each
	of := []string{""}
	if len(pipelines.Items) <= few {
		for _, p := range pipelines.Items {
			of = append(of, p.ID)
		}
	}
	for _, pipeline := range of {
		if _, err = s.workspace.Fields(ctx, pipeline); err != nil {
			break
		}
	}
	s.refresh()
	return err
}

// refresh advertises the tools anew if more has been read than they show.
func (s *Server) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.workspace.KnownAt().After(s.shown) {
		return
	}
	known := s.workspace.Known()
	s.shown = latest(known.Pipelines.At, known.Fields.At)
	var changed []server.ServerTool
	for i, k := range s.knows {
		tool := k.as(known)
		if string(tool.RawInputSchema) == string(k.Tool.RawInputSchema) && tool.Description == k.Tool.Description {
			continue
		}
		s.knows[i].Tool = tool
		changed = append(changed, s.knows[i].ServerTool)
	}
	if len(changed) > 0 {
		s.AddTools(changed...) // and tells the clients
	}
}

// as is the tool as it is advertised in a workspace: its own words, then as many custom fields as
// there is room for.
func (t tool) as(tool mcp.Tool, in *schema.Schema, d *Deps) func(workspace.Known) mcp.Tool {
	moreFields := " There are more custom fields."
	if d.serves(describeWorkspace.Name) {
		moreFields = " There are more custom fields: describe_workspace."
	}
	return func(known workspace.Known) mcp.Tool {
		described := describe(known)
		if names := names(known.Pipelines.Items, pipelineName); names != "" {
			tool.Description += " Pipelines here: " + names + "."
		}
		tool.RawInputSchema = in.With(nil, described)
		room := maxToolBytes - size(tool) - len(moreFields)
		var more []schema.Property
		left := false
		for _, p := range advertisedFields(known) {
			raw, _ := json.Marshal(map[string]any{p.Name: map[string]any{"type": p.Type, "description": p.Description}})
			cost := len(raw)
			if p.Type == "array" {
				cost += len(`,"items":{"type":"string"}`)
			}
			if cost > room {
				left = true
				continue
			}
			room -= cost
			more = append(more, p)
		}
		if left {
			tool.Description += moreFields
		}
		tool.RawInputSchema = in.With(more, described)
		return tool
	}
}

func size(t mcp.Tool) int {
	raw, _ := json.Marshal(t) // it marshals for every client
	return len(raw)
}

// maxStages bounds what the names of stages may cost, in bytes: there must be room for custom fields.
const maxStages = 800

// describe says what stages there are, as far as they go.
func describe(known workspace.Known) map[string]string {
	described := map[string]string{}
	var stages []string
	room := maxStages
	for _, p := range shortList(known.Pipelines.Items) {
		names := names(p.Stages, func(s heffl.Stage) string { return s.Name })
		of := fmt.Sprintf("%s: %s", label(p.Name), names)
		if names == "" || len(of) > room {
			continue
		}
		room -= len(of)
		stages = append(stages, of)
	}
	if len(stages) > 0 {
		described["stageId"] = "Stage, by name or ID; else the pipeline's first active one. " + strings.Join(stages, "; ")
	}
	return described
}

func pipelineName(p heffl.Pipeline) string { return p.Name }

// manyNames bounds how many things of a kind are named.
const manyNames = 8

func shortList[T any](things []T) []T { return things[:min(len(things), manyNames)] }

// names are the names of things, the first of them.
func names[T any](things []T, name func(T) string) string {
	var words []string
	for _, t := range shortList(things) {
		if n := label(name(t)); n != "" {
			words = append(words, n)
		}
	}
	s := strings.Join(words, ", ")
	if len(things) > manyNames {
		s += " and more"
	}
	return s
}

// label is a name that somebody gave in Heffl, made fit to stand in a description.
func label(s string) string { return line(s, 40) }

// propertyName is what every client takes for the name of a property.
var propertyName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)
})

// advertisedFields are the custom fields whose values a model can give, as properties.
func advertisedFields(known workspace.Known) []schema.Property {
	var fields []schema.Property
	for i, f := range known.Fields.Items {
		same := func(o workspace.Field) bool { return o.Key == f.Key }
		if slices.IndexFunc(known.Fields.Items, same) < i {
			continue
		}
		p := propertyOf(f)
		if len(f.Options) > 0 {
			p.Type = "string"
			if takesMany(f.Type) == always {
				p.Type = "array"
			}
		}
		if p.Type == "" || !propertyName().MatchString(p.Name) {
			continue
		}
		p.Description = label(f.Label)
		if len(f.Options) > 0 {
			p.Description += ": " + names(f.Options, func(o workspace.Option) string { return o.Label })
		}
		if p.Format == schema.Day {
			p.Description += ", as 2026-06-30"
		}
		inOne := !slices.ContainsFunc(known.Fields.Items[i+1:], same)
		if i := slices.IndexFunc(known.Pipelines.Items, func(p heffl.Pipeline) bool { return p.ID == f.Pipeline }); inOne && i >= 0 {
			p.Description += " (only in " + label(known.Pipelines.Items[i].Name) + ")"
		}
		fields = append(fields, p)
	}
	return fields
}
