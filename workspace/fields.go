package workspace

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"heffl-mcp/heffl"
)

// Field is a custom field.
type Field struct {
	Key      string // "cf_..."
	Label    string
	Type     string   // Heffl's; the set of types is not documented
	Options  []Option // the allowed values; empty: any
	Pipeline string   // ID of the one pipeline whose deals have it; empty: it is not known to be of one
}

// Option is an allowed value of a field.
type Option struct {
	Value string          // as text
	Label string          // Value where it has none of its own
	JSON  json.RawMessage // Value as it is sent
}

// Offers reports whether a value, as JSON, is one of the options to the letter, and no word for another.
func (f *Field) Offers(value json.RawMessage) bool {
	i := slices.IndexFunc(f.Options, func(o Option) bool { return bytes.Equal(o.JSON, value) })
	if i < 0 || tooLong(f.Options[i].Value) {
		return false
	}
	is := func(o Option) bool { return o.Value == f.Options[i].Value || o.Label == f.Options[i].Value }
	return !slices.ContainsFunc(f.Options[:i], is) && !slices.ContainsFunc(f.Options[i+1:], is)
}

// Fields returns the custom fields that deals of a pipeline can have; without a pipeline, those
// that all deals can have. Its error is a *LookupError.
func (w *Workspace) Fields(ctx context.Context, pipelineID string) (List[Field], error) {
	return items(ctx, w, CustomField, w.fieldsOf(fieldsAt{ofDeals, pipelineID}))
}

// EntityFields returns the custom fields of an entity: "contacts", "companies", "tasks" or, without a
// pipeline, "deals", which is also what an empty one means. Its error is a *LookupError.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/custom-fields
func (w *Workspace) EntityFields(ctx context.Context, entity string) (List[Field], error) {
	return items(ctx, w, CustomField, w.fieldsOf(Scope{Entity: entity}.fields()))
}

// KeptFields returns the custom fields of a Scope, if Heffl need not be asked for them.
func (w *Workspace) KeptFields(s Scope) (List[Field], bool) {
	l, _ := w.fieldsOf(s.fields()).kept()
	return l, l.At.After(w.now().Add(-w.ttl))
}

// OtherFields returns the custom fields that deals of other pipelines have, and those of this one
// have not. It asks once for each pipeline, so it is for saying why a field was refused, or for
// all fields there are when pipelineID is empty. Its error is a *LookupError.
func (w *Workspace) OtherFields(ctx context.Context, pipelineID string) (List[Field], error) {
	own, err := w.Fields(ctx, pipelineID)
	if err != nil {
		return List[Field]{}, err
	}
	pipelines, err := w.Pipelines(ctx)
	if err != nil {
		return List[Field]{}, err
	}
	others := slices.DeleteFunc(slices.Clone(pipelines.Items), func(p heffl.Pipeline) bool { return p.ID == pipelineID })
	all := List[Field]{Partial: pipelines.Partial || len(others) > maxPipelines, At: own.At}
	others = others[:min(len(others), maxPipelines)]
	lists, err := each(ctx, others, func(ctx context.Context, p heffl.Pipeline) (List[Field], error) { return w.Fields(ctx, p.ID) })
	if err != nil {
		return List[Field]{}, err
	}
	for i, p := range others {
		all.Partial = all.Partial || lists[i].Partial
		for _, f := range lists[i].Items {
			if !slices.ContainsFunc(own.Items, func(o Field) bool { return o.Key == f.Key }) {
				f.Pipeline = p.ID
				all.Items = append(all.Items, f)
			}
		}
	}
	return all, nil
}

// fieldsAt are the custom fields of an entity, with those of one pipeline of deals.
type fieldsAt struct {
	entity   string
	pipeline string // ID; empty: of none
}

// ofDeals is the entity that pipelines are of.
const ofDeals = "deals"

// maxFieldLists bounds how many lists of fields are kept: the pipelines that they are kept by come
// from callers, who may make them up. That of all deals stays.
const maxFieldLists = 64

func (w *Workspace) fieldsOf(at fieldsAt) *cache[Field] {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.fields[at]
	if c == nil {
		if len(w.fields) >= maxFieldLists {
			maps.DeleteFunc(w.fields, func(at fieldsAt, _ *cache[Field]) bool { return at != fieldsAt{entity: ofDeals} })
		}
		c = newCache(w, func(ctx context.Context) (List[Field], error) { return w.readFields(ctx, at) }, choiceRecord)
		w.fields[at] = c
	}
	return c
}

func (w *Workspace) readFields(ctx context.Context, at fieldsAt) (List[Field], error) {
	l, err := whole(func(ctx context.Context, q heffl.ListQuery) (*heffl.List[heffl.CustomField], error) {
		return w.client.ListCustomFields(ctx, at.entity, at.pipeline, q)
	})(ctx)
	fields := List[Field]{Partial: l.Partial}
	for _, f := range l.Items {
		field := Field{Key: f.Key, Label: f.Label, Type: f.Type, Pipeline: f.PipelineID}
		for _, o := range f.Options {
			field.Options = append(field.Options, Option(o))
		}
		fields.Items = append(fields.Items, field)
	}
	return fields, err
}
