package schema

import (
	"encoding/json"
	"time"

	"github.com/invopop/jsonschema"
)

// Day is the format of a string that is a day such as 2026-06-30 or an RFC 3339 date-time. It is
// enforced, and advertised only by a description.
const Day = "day"

// Object stands in a struct for a JSON object of which no member is declared.
type Object map[string]any

// A Property is one that no struct has: what there is of it is known only when the program runs.
type Property struct {
	Name        string
	Type        string // "string", "number", "boolean" or, for a list of strings, "array"; empty: anything
	Format      string // of a string: "date-time", Day; empty: any
	Description string
}

func (p Property) schema() *jsonschema.Schema {
	s := &jsonschema.Schema{Type: p.Type, Format: p.Format, Description: p.Description}
	if p.Type == "array" {
		s.Items = &jsonschema.Schema{Type: "string"}
	}
	return s
}

// Of makes the schema of an object that may have these properties, and others as it likes.
func Of(properties []Property) (*Schema, error) {
	s, err := build(func() *jsonschema.Schema {
		s := &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties()}
		for _, p := range properties {
			s.Properties.Set(p.Name, p.schema())
		}
		return s
	}, Input)
	if err != nil {
		return nil, err
	}
	return s, s.Compile()
}

// With is JSON with more properties after its own, and with other descriptions for some of those.
// What Check takes does not change.
func (s *Schema) With(more []Property, described map[string]string) json.RawMessage {
	root := s.tree()
	for name, words := range described {
		if p := property(root, name); p != nil {
			p.Description = words
		}
	}
	for _, p := range more {
		if p.Format == Day {
			p.Format = ""
		}
		root.Properties.Set(p.Name, p.schema())
	}
	raw, err := json.Marshal(portable(root, s.use))
	if err != nil {
		return s.published // it marshalled at start, and strings do
	}
	return raw
}

// Bare is JSON without descriptions, for where they stand elsewhere already.
func (s *Schema) Bare() json.RawMessage {
	root := s.tree()
	for n := range nodes(root) {
		n.Description = ""
	}
	raw, err := json.Marshal(portable(root, s.use))
	if err != nil {
		return s.published // it marshalled at start, and with more
	}
	return raw
}

// day takes what no calendar has for a fault, as a date-time does.
func day(s string) error {
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		return nil
	}
	return dateTime(s)
}
