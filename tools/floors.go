package tools

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"heffl-mcp/workspace"
)

// A floor is what the operator lets tools work with, of one kind: no argument gets below it. None
// means everything.
type floor struct {
	kind    workspace.Kind
	setting string
	allowed []string // names, e-mails or IDs, as in the settings
}

func (d *Deps) floors() []floor {
	return []floor{
		{workspace.Pipeline, "HEFFL_MCP_PIPELINES", d.Pipelines},
		{workspace.User, "HEFFL_MCP_OWNERS", d.Owners},
	}
}

// hold notes which of the arguments' pipelines and users the operator does not allow. The pipeline of
// a deal that the arguments are about counts as one of theirs.
func (r *reading) hold(ctx context.Context) error {
	for _, f := range r.floors() {
		if len(f.allowed) == 0 {
			continue
		}
		ids, names, err := r.allowed(ctx, f)
		if err != nil {
			return err
		}
		for i := range r.words {
			w := &r.words[i]
			id := w.match.ID
			if f.kind == workspace.Pipeline && w.kind == workspace.Deal {
				id = r.scope.pipeline
			} else if w.kind != f.kind {
				continue
			}
			if w.err == nil && !slices.Contains(ids, id) {
				r.problems = append(r.problems, fmt.Sprintf("%s: this server may only work with the %ss %s; ask the user, or who runs it", w.path, f.kind, strings.Join(names, ", ")))
			}
		}
	}
	return nil
}

// allowedOf are the IDs of what the floor of a kind allows; nil: there is none.
func (d *Deps) allowedOf(ctx context.Context, kind workspace.Kind) ([]string, error) {
	for _, f := range d.floors() {
		if f.kind == kind && len(f.allowed) > 0 {
			ids, _, err := d.allowed(ctx, f)
			return ids, err
		}
	}
	return nil, nil
}

// allowed are the IDs and names of what a floor allows.
func (d *Deps) allowed(ctx context.Context, f floor) (ids, names []string, err error) {
	for _, words := range f.allowed {
		m, err := d.Workspace.Resolve(ctx, f.kind, words, workspace.Scope{})
		if err != nil {
			g := *explain(err)
			g.text = fmt.Sprintf("nothing was sent, because %s names %s, which could not be told to be one %s (%s). Ask who runs this server.", f.setting, brief(quoted(words)), f.kind, reason(err))
			return nil, nil, &g
		}
		ids = append(ids, m.ID)
		names = append(names, nameAndID(m))
	}
	return ids, names, nil
}

func nameAndID(m workspace.Match) string {
	if m.Name == "" || m.Name == m.ID {
		return m.ID
	}
	return label(m.Name) + " (" + m.ID + ")"
}
