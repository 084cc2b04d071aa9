package prompts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heffl-mcp/workspace"
)

// A desk is what one caller has before them.
type desk struct {
	who      Caller
	pipeline string // the ID of the one that was chosen; empty: none
}

// hold says whether what a user has chosen is there, and may be worked with. Where that cannot be looked up, the tools say
// it later.
func (d *desk) hold(ctx context.Context, a argument, value string) error {
	if a.Kind == workspace.Client { // who is not there yet is made
		return nil
	}
	m, err := d.who.Workspace.Resolve(ctx, a.Kind, value, workspace.Scope{Pipeline: d.pipeline})
	if u, ok := errors.AsType[*workspace.UnresolvedError](err); ok {
		return fmt.Errorf("%s: %s", a.Name, unresolved(u))
	}
	allowed, floorErr := d.allowed(ctx, a.Kind)
	switch {
	case floorErr != nil:
		return floorErr
	case err != nil && allowed != nil:
		return fmt.Errorf("%s: it could not be looked up whether this server may work with it; try again", a.Name)
	case err != nil:
		return nil //nolint:nilerr // so it is left to the tools
	case allowed != nil && !slices.Contains(allowed, m.ID):
		return fmt.Errorf("%s: this server may only work with the %ss %s", a.Name, a.Kind, strings.Join(allowed, ", "))
	}
	if a.Kind == workspace.Pipeline {
		d.pipeline = m.ID
	}
	return nil
}

func (d *desk) allowed(ctx context.Context, kind workspace.Kind) ([]string, error) {
	if d.who.Allowed == nil {
		return nil, nil
	}
	return d.who.Allowed(ctx, kind)
}

// unresolved says what there is instead of what was given.
func unresolved(u *workspace.UnresolvedError) string {
	var near []string
	for _, c := range u.Candidates {
		near = append(near, oneLine(c.Name)+" ("+c.ID+")")
	}
	text := oneLine(u.Error())
	if len(near) > 0 {
		text += "; there are " + strings.Join(near, ", ")
	}
	return text
}

const (
	maxPipelines = 12
	maxFields    = 40
	maxOptions   = 15
	maxLabel     = 80 // characters
)

// describe is what a deal can be put into: the pipelines that may be used, with their stages, and the custom fields. Nil: it
// cannot be read now.
func (d *desk) describe(ctx context.Context) *block {
	pipelines, err := d.who.Workspace.Pipelines(ctx)
	if err != nil {
		return nil
	}
	allowed, err := d.allowed(ctx, workspace.Pipeline)
	if err != nil {
		return nil
	}
	var b strings.Builder
	var ids []string
	b.WriteString("Pipelines, each with its stages:\n")
	for _, p := range pipelines.Items {
		if !p.Active || allowed != nil && !slices.Contains(allowed, p.ID) || d.pipeline != "" && p.ID != d.pipeline {
			continue
		}
		if ids = append(ids, p.ID); len(ids) > maxPipelines {
			continue
		}
		var stages []string
		for _, s := range p.Stages {
			stages = append(stages, label(s.Name))
		}
		fmt.Fprintf(&b, "- %s (%s): %s\n", label(p.Name), p.ID, strings.Join(stages, ", "))
	}
	if more := len(ids) - maxPipelines; more > 0 {
		fmt.Fprintf(&b, "- and %d more\n", more)
	}
	d.fields(ctx, &b, ids[:min(len(ids), maxPipelines)])
	d.owners(ctx, &b)
	text, _ := visible(b.String())
	return &block{Label: "WORKSPACE", text: strings.TrimSpace(text)}
}

// fields lists the custom fields of deals, and of the pipelines where they are few.
func (d *desk) fields(ctx context.Context, b *strings.Builder, pipelines []string) {
	const few = 4 // pipelines whose own fields are worth a request each
	of := []string{""}
	if len(pipelines) <= few {
		of = append(of, pipelines...)
	}
	told := map[string]bool{}
	for _, id := range of {
		list, err := d.who.Workspace.Fields(ctx, id)
		if err != nil {
			return
		}
		for _, f := range list.Items {
			if told[f.Key] {
				continue
			}
			if told[f.Key] = true; len(told) == 1 {
				b.WriteString("Custom fields of deals, by label (key, type), with their options:\n")
			}
			if len(told) > maxFields {
				continue
			}
			fmt.Fprintf(b, "- %s (%s", label(f.Label), f.Key)
			if f.Type != "" {
				b.WriteString(", " + label(f.Type))
			}
			b.WriteString(")")
			if id != "" {
				fmt.Fprintf(b, ", in the pipeline %s only", id)
			}
			for i, o := range f.Options[:min(len(f.Options), maxOptions)] {
				b.WriteString(map[bool]string{true: ": ", false: ", "}[i == 0] + label(o.Label))
			}
			if more := len(f.Options) - maxOptions; more > 0 {
				fmt.Fprintf(b, " and %d more", more)
			}
			b.WriteString("\n")
		}
	}
	if more := len(told) - maxFields; more > 0 {
		fmt.Fprintf(b, "- and %d more\n", more)
	}
}

// owners lists who may own a deal, where that is not everybody.
func (d *desk) owners(ctx context.Context, b *strings.Builder) {
	allowed, err := d.allowed(ctx, workspace.User)
	if err != nil || allowed == nil {
		return
	}
	users, err := d.who.Workspace.Users(ctx)
	if err != nil {
		return
	}
	b.WriteString("The only users who may be given work:\n")
	for _, u := range users.Items {
		if slices.Contains(allowed, u.ID) {
			fmt.Fprintf(b, "- %s (%s)\n", label(u.Name), u.ID)
		}
	}
}

func label(name string) string { return cut(oneLine(name), maxLabel) }
