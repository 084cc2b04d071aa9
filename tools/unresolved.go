package tools

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heffl-mcp/workspace"
)

// unresolved words what keeps words from naming one thing: what is wrong, what there is, and what
// to do.
func (r *reading) unresolved(e *workspace.UnresolvedError) string {
	got, isID := brief(quoted(e.Input)), workspace.KindOfID(e.Input) == e.Kind
	var b strings.Builder
	switch {
	case e.IDOf != "":
		fmt.Fprintf(&b, "%s is the ID of a %s, and a %s is wanted here; give its name, or its ID%s", got, e.IDOf, e.Kind, orEmail(e.Kind))
	case e.Ambiguous:
		fmt.Fprintf(&b, "%d %s are named %s: %s", e.Matches, many(e.Kind), got, candidates(e.Candidates))
		if more := e.Matches - len(e.Candidates); more > 0 {
			fmt.Fprintf(&b, " and %d more", more)
		}
		b.WriteString("; give " + handle(e.Kind) + " of the one that is meant, and ask the user if that is not known")
		return b.String()
	case e.Elsewhere != nil:
		b.WriteString(r.elsewhere(e.Kind, e.Elsewhere))
		if e.Kind == workspace.CustomField {
			return b.String() // the fields that the deal may have are no choice instead
		}
	case e.Partial:
		fmt.Fprintf(&b, "there are too many %s to tell whether just one is named %s; give its ID%s", many(e.Kind), got, orEmail(e.Kind))
	case e.Kind == workspace.CustomField:
		fmt.Fprintf(&b, "there is no custom field %s%s", got, r.whose())
	case e.Kind == workspace.Stage && r.scope.name != "":
		fmt.Fprintf(&b, "the pipeline %s has no stage %s", r.pipelineName(), got)
	case isID:
		fmt.Fprintf(&b, "Heffl has no %s %s", e.Kind, got)
	default:
		fmt.Fprintf(&b, "no %s is named %s", e.Kind, got)
	}
	near := likeliest(e.Candidates)
	switch {
	case near != nil && near.Score >= enough(e.Kind):
		fmt.Fprintf(&b, "; if %s is meant, give %s", named(*near), quoted(near.ID))
		if len(e.Candidates) > 1 {
			b.WriteString("; else there are " + candidates(slices.DeleteFunc(slices.Clone(e.Candidates), func(c workspace.Candidate) bool { return c.ID == near.ID })))
		}
	case len(e.Candidates) > 0 && searched(e.Kind):
		b.WriteString("; nearest are " + candidates(e.Candidates))
	case len(e.Candidates) > 0:
		b.WriteString("; there are " + candidates(e.Candidates))
	case searched(e.Kind) && e.IDOf == "" && !e.Partial && !isID:
		b.WriteString(", nor anything like it; give another name, or its ID" + orEmail(e.Kind) + ", or ask the user")
	}
	if tool := r.finder(e.Kind); tool != "" && e.Kind != workspace.FieldOption {
		b.WriteString("; " + tool)
	}
	return b.String()
}

// elsewhere words that something of the name is there, and why it is no use here.
func (r *reading) elsewhere(kind workspace.Kind, e *workspace.Elsewhere) string {
	name, where := foreign(cmp.Or(e.Match.Name, e.Match.ID), 80), foreign(e.Where, 80)
	switch {
	case e.Why == workspace.OtherPipeline && r.scope.name != "":
		s := fmt.Sprintf("%s is a %s of the pipeline %s, and this deal is in %s; ", name, kind, where, r.pipelineName())
		instead := "give a " + string(kind) + " of " + r.pipelineName()
		if kind == workspace.CustomField {
			instead = "leave it out"
		}
		if slices.Contains(r.properties, "pipelineId") { // else the deal stays in its pipeline
			instead += ", or put the deal into " + where
		}
		return s + instead
	case e.Why == workspace.OtherPipeline:
		return fmt.Sprintf("%s is a %s of the pipeline %s only", name, kind, where)
	case e.Why == workspace.OtherType:
		return fmt.Sprintf("%s is a %s for %s only", name, kind, where)
	}
	return fmt.Sprintf("the %s %s is not active any more", kind, name)
}

// pipelineName is the name of the pipeline that stages and custom fields are of, as far as it has been
// read by now.
func (r *reading) pipelineName() string {
	for _, p := range r.Workspace.Known().Pipelines.Items {
		if p.ID == r.scope.pipeline {
			return foreign(cmp.Or(p.Name, p.ID), 80)
		}
	}
	return foreign(r.scope.name, 80)
}

// whose says what the custom fields are of.
func (r *reading) whose() string {
	if r.entity == "deals" && r.scope.name != "" {
		return " for deals of the pipeline " + r.pipelineName()
	}
	return " for " + r.entity
}

// nearlyCertain is the likeness from which one candidate is put forward as what was meant.
const nearlyCertain = 0.7

// enough is nearlyCertain, and more among the many that are searched: there a stranger may be near.
func enough(k workspace.Kind) float64 {
	if searched(k) {
		return 0.77
	}
	return nearlyCertain
}

// likeliest is the candidate that is clearly nearer than every other; nil: there is none.
func likeliest(list []workspace.Candidate) *workspace.Candidate {
	const clearly = 0.15
	if len(list) == 0 || len(list) > 1 && list[0].Score-list[1].Score < clearly {
		return nil
	}
	return &list[0]
}

// candidates are things to choose from, with what tells them apart.
func candidates(list []workspace.Candidate) string {
	words := make([]string, len(list))
	for i, c := range list {
		words[i] = named(c)
	}
	return strings.Join(words, ", ")
}

func named(c workspace.Candidate) string {
	var facts []string
	if c.ID != c.Name {
		facts = append(facts, c.ID)
	}
	for _, f := range c.Facts {
		facts = append(facts, oneOf(f))
	}
	name := "without a name"
	if c.Name != "" {
		name = foreign(c.Name, 80)
	}
	if len(facts) == 0 {
		return name
	}
	return name + " (" + strings.Join(facts, ", ") + ")"
}

// handle is what tells one thing of a kind from others of its name.
func handle(k workspace.Kind) string {
	switch k {
	case workspace.FieldOption:
		return "the value, letter for letter,"
	case workspace.CustomField:
		return "the key"
	}
	return "the ID" + orEmail(k)
}

// many is the word for several of a kind.
func many(k workspace.Kind) string {
	if k == workspace.Company {
		return "companies"
	}
	return string(k) + "s"
}

// orEmail is what else than an ID tells one thing of a kind from all others.
func orEmail(k workspace.Kind) string {
	switch k {
	case workspace.Client, workspace.Contact, workspace.Company, workspace.Lead, workspace.User:
		return " or e-mail"
	case workspace.Deal:
		return " or number"
	}
	return ""
}

// finder says which tool knows more about a kind; empty where none that is advertised does.
func (d *Deps) finder(k workspace.Kind) string {
	for _, f := range []struct {
		tool, words string
		kinds       []workspace.Kind
	}{
		{"find_clients", "find_clients searches for more", []workspace.Kind{workspace.Client, workspace.Contact, workspace.Company}},
		{"find_deals", "find_deals searches for more", []workspace.Kind{workspace.Deal}},
		{"describe_workspace", "describe_workspace lists them all", []workspace.Kind{
			workspace.Pipeline, workspace.Stage, workspace.User, workspace.Source, workspace.Tag, workspace.Product, workspace.CustomField, workspace.FieldOption,
		}},
	} {
		if slices.Contains(f.kinds, k) && d.serves(f.tool) {
			switch {
			case k == workspace.Client && d.serves("create_client"):
				return f.words + ", create_client makes a new one"
			case k == workspace.Company && d.serves("create_client"):
				return f.words + "; if it is new, create_client with type company makes it first"
			}
			return f.words
		}
	}
	return ""
}

// notLookedUp stops a call because Heffl could not say what some words name.
func notLookedUp(w *words) error {
	err := w.err
	if lookup, ok := errors.AsType[*workspace.LookupError](err); ok {
		err = lookup.Err
	}
	f := *explain(err)
	f.text = fmt.Sprintf("nothing was sent, because %s could not be looked up (%s): %s", w.path, brief(quoted(w.text)), f.text)
	return &f
}
