package sandbox

import (
	"slices"
)

// customField defines one custom field. https://docs.heffl.com/api-v2/custom-fields
type customField struct {
	Entity     string   `json:"entity"`
	PipelineID string   `json:"pipelineId"` // empty: the deals of every pipeline
	Key        string   `json:"key"`
	Label      string   `json:"label"`
	Type       string   `json:"type"`
	Options    []string `json:"options"`
}

var customEntities = []string{"contacts", "companies", "deals", "tasks"}

// customKinds are the types of the app's own form, written as the API writes its other enums; how the API really writes
// them is not documented. Files and signatures are left out, since how they travel is not known.
func customKinds() map[string]field {
	one := field{kind: asEnum}
	return map[string]field{
		"TEXT":            {kind: asText},
		"LONG_TEXT":       {kind: asText},
		"NUMBER":          {kind: asNumber},
		"CURRENCY":        {kind: asNumber},
		"DATE":            {kind: asDay},
		"SINGLE_OPTION":   one,
		"MULTIPLE_OPTION": {kind: asList, of: &one},
		"PHONE_NUMBER":    {kind: asPhone},
		"EMAIL":           {kind: asEmail},
		"LINK":            {kind: asURI},
		"ARRAY_TEXT":      {kind: asList, of: &field{kind: asText}},
		"RELATION":        {kind: asID, to: clientRef}, // an array, or other resources, are possible too
	}
}

// asField is the definition as a member of a request. Options are matched by label, letter for letter. Null empties the
// field: not documented, but a field must be emptied somehow.
func (d customField) asField() field {
	f := customKinds()[d.Type]
	f.name, f.nullable, f.oneOf = d.Key, true, d.Options
	if f.of != nil {
		item := *f.of
		item.oneOf = d.Options
		f.of = &item
	}
	return f
}

// customFor are the definitions that count for a resource and, for deals, a pipeline; "" is none.
func (s *Sandbox) customFor(entity, pipeline string) []customField {
	return slices.DeleteFunc(slices.Clone(s.custom), func(d customField) bool {
		return d.Entity != entity || d.PipelineID != "" && d.PipelineID != pipeline
	})
}

// acceptCustom checks the custom fields that are sent and adds them to clean. A cf_ key that is not defined, or not for
// this pipeline, is accepted and lost: the documented check lets every cf_* key pass, and there is no column for it. Heffl
// may as well refuse it.
func (s *Sandbox) acceptCustom(v *validator, r *resource, pipeline string, sent, clean fields) {
	for _, d := range s.customFor(r.name, pipeline) {
		if raw, given := sent[d.Key]; given {
			clean[d.Key] = v.value(d.Key, d.asField(), raw)
		}
	}
}

// customView are the custom fields of a record: those that are set, and with unset those that are not, as null.
func (s *Sandbox) customView(r *resource, rec *record, unset bool) object {
	var o object
	for _, d := range s.customFor(r.name, rec.fields.text("pipelineId")) {
		if raw := rec.fields[d.Key]; raw != nil || unset {
			o = append(o, member{d.Key, raw})
		}
	}
	return o
}

// listCustomFields answers definitions: "key, label, type and allowed values", the last under a name that is not
// documented. That entity is mandatory is likeliest.
func (s *Sandbox) listCustomFields(c *call) (any, *apiError) {
	v := &validator{}
	declared := []field{
		{name: "entity", kind: asEnum, required: true, oneOf: customEntities},
		{name: "pipelineId", kind: asID, to: pipelineRef},
	}
	sent := fields{}
	for _, f := range declared {
		if c.query.Has(f.name) {
			sent[f.name] = encode(c.query.Get(f.name))
		}
	}
	clean := v.object("", declared, sent, false)
	if len(v.issues) > 0 {
		return nil, invalid(v.issues...)
	}
	if problem := s.checkExists(v); problem != nil {
		return nil, problem
	}
	rows := []object{}
	for _, d := range s.customFor(clean.text("entity"), clean.text("pipelineId")) {
		row := object{{"key", d.Key}, {"label", d.Label}, {"type", d.Type}}
		if d.Options != nil {
			row = append(row, member{"options", d.Options})
		}
		rows = append(rows, row)
	}
	return page(rows, nil), nil
}
