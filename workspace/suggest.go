package workspace

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"heffl-mcp/heffl"
)

// MaxSuggestions bounds how many words [Workspace.Suggest] returns.
const MaxSuggestions = 100

// A suggestion is a thing by what names it, the best first.
type suggestion []string

// Suggest returns words that name the things of a kind whose name (number, e-mail, title, client) holds what was typed
// so far, for a user to choose from: names, and e-mails, numbers or IDs where a name is that of several. Of deals the
// numbers. More says that there are more of them, or may be. Only what can be used is there. The kinds are Client,
// Pipeline, Stage (of the scope's pipeline, by ID; or of any), User, Deal and CustomField (labels). The error is a
// *LookupError.
func (w *Workspace) Suggest(ctx context.Context, kind Kind, typed string, s Scope) (words []string, more bool, err error) {
	var all []suggestion
	switch kind {
	case Client:
		all, more, err = w.suggestClients(ctx, typed)
	case Deal:
		all, more, err = w.suggestDeals(ctx, typed)
	default:
		all, more, err = w.suggestListed(ctx, kind, typed, s)
	}
	if err != nil {
		return nil, false, err
	}
	return named(all), more || len(all) > MaxSuggestions, nil
}

func (w *Workspace) suggestListed(ctx context.Context, kind Kind, typed string, s Scope) (all []suggestion, partial bool, err error) {
	holds := Holding(typed)
	add := func(used bool, names ...string) {
		if used && holds(names...) {
			all = append(all, names)
		}
	}
	switch kind {
	case Pipeline, Stage:
		l, err := w.Pipelines(ctx)
		for _, p := range l.Items {
			switch {
			case kind == Pipeline:
				add(p.Active, p.Name, p.ID)
			case s.Pipeline == "" || s.Pipeline == p.ID:
				for _, stage := range p.Stages {
					add(p.Active, stage.Name, stage.ID)
				}
			}
		}
		return all, l.Partial, err
	case User:
		l, err := w.Users(ctx)
		for _, u := range l.Items {
			add(u.Active, u.Name, u.Email, u.ID)
		}
		return all, l.Partial, err
	case CustomField:
		l, err := w.Fields(ctx, s.Pipeline)
		for _, f := range l.Items {
			add(true, cmp.Or(f.Label, f.Key), f.Key)
		}
		return all, l.Partial, err
	}
	return nil, false, nil
}

func (w *Workspace) suggestClients(ctx context.Context, typed string) ([]suggestion, bool, error) {
	found, err := w.FindClients(ctx, typed, Find{Limit: MaxSuggestions})
	var all []suggestion
	for _, a := range found.Items {
		all = append(all, suggestion{a.Name, a.Email, a.ID})
	}
	return all, found.Next != "" || found.Partial, err
}

func (w *Workspace) suggestDeals(ctx context.Context, typed string) ([]suggestion, bool, error) {
	l, err := w.listDeals(ctx, heffl.ListQuery{Search: strings.TrimSpace(typed), PageSize: pageSize})
	if err != nil {
		return nil, false, &LookupError{Kind: Deal, Err: err}
	}
	var all []suggestion
	for _, d := range l.Items {
		all = append(all, suggestion{d.number, d.id})
	}
	return all, l.Next != "", nil
}

// named is for each thing the first of its names that no other has, in their order.
func named(all []suggestion) []string {
	bearers := map[string]int{}
	for _, names := range all {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
			bearers[fold(name)]++
		}
	}
	words := []string{}
	for _, names := range all[:min(len(all), MaxSuggestions)] {
		for _, name := range names {
			if name != "" && bearers[fold(name)] == 1 {
				words = append(words, name)
				break
			}
		}
	}
	return words
}
