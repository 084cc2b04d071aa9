package tools

import (
	"context"
	"slices"

	"heffl-mcp/heffl"
	"heffl-mcp/workspace"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/mark3labs/mcp-go/mcp"
)

// A Caller is who a call is from, where one server serves many.
type Caller struct {
	Name     string // stable and safe to log; empty: nobody in particular
	Key      string // the API key that came with the request; empty: the server's own
	ReadOnly bool   // may call only what changes nothing
}

// maxCallers bounds how many keys the server keeps what it knows of. For others, and for who was
// away for long, it reads again.
const maxCallers = 1000

// callers keeps what belongs to one key: its client with its rate limit, its workspace, its part of
// the journal. Nothing of it is shared between two keys.
type callers struct {
	base *Deps
	kept *lru.Cache[string, *Deps]
}

func newCallers(base *Deps) *callers {
	kept, _ := lru.New[string, *Deps](maxCallers) // it fails on a size below 1
	return &callers{base, kept}
}

// of is what the tools work with for a key.
func (c *callers) of(key string) *Deps {
	if key == "" {
		return c.base
	}
	id := Tenant(key, c.base.Heffl.BaseURL) // so that the table holds no keys but where they are used
	if d, ok := c.kept.Get(id); ok {
		return d
	}
	d := *c.base
	client := *c.base.Heffl
	client.Key, client.Budget = key, new(heffl.Budget)
	d.Heffl, d.Tenant, d.Workspace, d.fieldSchemas = &client, id, workspace.New(&client, workspace.Options{}), new(fieldSchemas)
	if before, ok, _ := c.kept.PeekOrAdd(id, &d); ok {
		return before // another call of theirs came first
	}
	return &d
}

// caller is who a call is from.
func (d *Deps) caller(ctx context.Context) Caller {
	if d.Caller == nil {
		return Caller{}
	}
	return d.Caller(ctx)
}

// A Desk is what there is for who a request is from.
type Desk struct {
	Workspace *workspace.Workspace                                    // what their key can see
	May       func(tool string) bool                                  // whether a tool is there for them
	Allowed   func(context.Context, workspace.Kind) ([]string, error) // IDs of the pipelines, or users, that tools may work with when they write; nil means all
}

// DeskOf is what there is for who a request is from, for what is served beside the tools.
func (s *Server) DeskOf(ctx context.Context) Desk {
	who := s.deps.caller(ctx)
	d := s.deps.callers.of(who.Key)
	may := func(name string) bool {
		i := slices.IndexFunc(all, func(t tool) bool { return t.Name == name })
		return i >= 0 && d.serves(name) && (!who.ReadOnly || all[i].Effect == ReadOnly)
	}
	return Desk{Workspace: d.Workspace, May: may, Allowed: d.allowedOf}
}

// Serves says whether a tool is served, if not to everybody.
func (s *Server) Serves(tool string) bool { return s.deps.serves(tool) }

// permitted are the tools that a caller may see and call.
func (d *Deps) permitted(ctx context.Context, tools []mcp.Tool) []mcp.Tool {
	if !d.caller(ctx).ReadOnly {
		return tools
	}
	var harmless []mcp.Tool
	for _, t := range tools {
		if t.Annotations.ReadOnlyHint != nil && *t.Annotations.ReadOnlyHint {
			harmless = append(harmless, t)
		}
	}
	return harmless
}
