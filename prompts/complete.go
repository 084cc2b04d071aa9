package prompts

import (
	"context"
	"slices"

	"heffl-mcp/workspace"

	"github.com/mark3labs/mcp-go/mcp"
)

// completer completes the arguments of the prompts that are there.
type completer struct {
	*Deps
	prompts map[string]prompt
}

// CompletePromptArgument suggests what an argument can be: names of what the workspace has, and of pipelines and owners
// only those that may be worked with. A stage is one of the pipeline that was given before.
func (c *completer) CompletePromptArgument(ctx context.Context, name string, typed mcp.CompleteArgument, given mcp.CompleteContext) (*mcp.Completion, error) {
	none := &mcp.Completion{Values: []string{}}
	p, ok := c.prompts[name]
	i := slices.IndexFunc(p.Arguments, func(a argument) bool { return a.Name == typed.Name })
	if !ok || i < 0 || p.Arguments[i].Kind == "" || c.Suggest == nil {
		return none, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Deadline)
	defer cancel()
	kind, who, scope := p.Arguments[i].Kind, c.Caller(ctx), workspace.Scope{}
	if words := given.Arguments[pipeline.Name]; words != "" && (kind == workspace.Stage || kind == workspace.CustomField) {
		m, err := who.Workspace.Resolve(ctx, workspace.Pipeline, words, workspace.Scope{})
		if err != nil {
			return none, nil //nolint:nilerr // of what is no pipeline, nothing can be suggested
		}
		scope.Pipeline = m.ID
	}
	found, err := c.Suggest(ctx, kind, typed.Value, scope)
	if err != nil || who.Allowed == nil {
		return found, err
	}
	allowed, err := who.Allowed(ctx, kind)
	if err != nil {
		return none, nil //nolint:nilerr // what may be worked with is not known
	}
	if allowed != nil {
		found.Values = slices.DeleteFunc(found.Values, func(words string) bool {
			m, err := who.Workspace.Resolve(ctx, kind, words, workspace.Scope{})
			return err != nil || !slices.Contains(allowed, m.ID)
		})
		found.Total = len(found.Values)
	}
	return found, nil
}
