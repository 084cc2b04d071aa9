package tools

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"heffl-mcp/schema"

	"github.com/go-json-experiment/json/jsontext"
)

// An object is a JSON object whose members keep their order and their bytes: numbers digit for
// digit, strings code point for code point.
type object []member

type member struct {
	name  string
	value json.RawMessage
}

// parse reads raw, which is known to be one JSON object.
func parse(raw []byte) object {
	d := jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil
	}
	var o object
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			break
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			break
		}
		o = append(o, member{key, json.RawMessage(value.Clone())})
	}
	return o
}

func (o object) get(name string) (json.RawMessage, bool) {
	i := slices.IndexFunc(o, func(m member) bool { return m.name == name })
	if i < 0 {
		return nil, false
	}
	return o[i].value, true
}

// JSON writes the object with its members as they are.
func (o object) JSON() json.RawMessage {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, m.name) // a name that was parsed quotes
		b = append(append(b, ':'), m.value...)
	}
	return append(b, '}')
}

// without takes the members that have faults out of raw, and names them.
func without(raw json.RawMessage, faults []schema.Fault) (json.RawMessage, []string) {
	var bad []string
	o := slices.DeleteFunc(parse(raw), func(m member) bool {
		has := slices.ContainsFunc(faults, func(f schema.Fault) bool {
			rest, ok := strings.CutPrefix(f.Path, m.name)
			return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
		})
		if has {
			bad = append(bad, m.name)
		}
		return has
	})
	return o.JSON(), bad
}
