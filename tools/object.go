package tools

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"heffl-mcp/rawjson"
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

// is reports whether two members are the same to the letter.
func (m member) is(other member) bool {
	return m.name == other.name && bytes.Equal(m.value, other.value)
}

// parse reads raw, which is known to be one JSON object. The values are parts of raw, and the names of one text.
func parse(raw []byte) object {
	const usual = 40 // members, and bytes of all names: beyond, there is more to allocate
	values, names, ends := make([]json.RawMessage, 0, usual), make([]byte, 0, 12*usual), make([]int, 0, usual)
	for m := rawjson.In(raw, 0); m.Next(); {
		values, names = append(values, m.Value()), append(names, m.Name...)
		ends = append(ends, len(names))
	}
	if len(values) == 0 {
		return nil
	}
	o, name, from := make(object, len(values)), string(names), 0
	for i, end := range ends {
		o[i], from = member{name[from:end], values[i]}, end
	}
	return o
}

// hasMembers reports whether raw, which is known to be one JSON object, has two members.
func hasMembers(raw json.RawMessage, one, other string) bool {
	hasOne, hasOther := false, false
	for m := rawjson.In(raw, 0); m.Next() && !(hasOne && hasOther); {
		hasOne = hasOne || string(m.Name) == one
		hasOther = hasOther || string(m.Name) == other
	}
	return hasOne && hasOther
}

func (o object) get(name string) (json.RawMessage, bool) {
	i := slices.IndexFunc(o, func(m member) bool { return m.name == name })
	if i < 0 {
		return nil, false
	}
	return o[i].value, true
}

// without is the object less one member.
func (o object) without(name string) object {
	if _, ok := o.get(name); !ok {
		return slices.Clip(o)
	}
	return slices.DeleteFunc(slices.Clone(o), func(m member) bool { return m.name == name })
}

// with is the object with another value of its i-th member.
func (o object) with(i int, value json.RawMessage) object {
	o = slices.Clone(o)
	o[i].value = value
	return o
}

// JSON writes the object with its members as they are.
func (o object) JSON() json.RawMessage {
	size := len("{}")
	for _, m := range o {
		size += len(m.name) + len(m.value) + len(`"":,`)
	}
	b := append(make([]byte, 0, size), '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, m.name) // a name that was parsed quotes
		b = append(append(b, ':'), m.value...)
	}
	return append(b, '}')
}

// encoded is a result of this server's own as JSON, with <, > and & as they are.
func encoded(result any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(result) // strings and numbers that were JSON before
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// answeredObject is an answer of Heffl's as one object that every JSON parser reads: Unicode that
// is none is replaced, and of a member that stands twice the last counts.
func answeredObject(raw json.RawMessage) json.RawMessage {
	if jsontext.Value(raw).IsValid() {
		return raw
	}
	clean, err := jsontext.AppendFormat(nil, raw, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if err != nil {
		return raw // encoding/json took it, so this does
	}
	var o object
	for _, m := range parse(clean) {
		o = append(o.without(m.name), m)
	}
	return o.JSON()
}

// fitting takes the members that have faults out of raw, and names them. In a list of objects they are those of its items:
// one odd number in it does not cost the list.
func fitting(raw json.RawMessage, faults []schema.Fault) (json.RawMessage, []string) {
	var fit object
	var bad []string
	for _, m := range parse(raw) {
		rest := slices.DeleteFunc(slices.Clone(faults), func(f schema.Fault) bool { return !f.In(m.name) })
		if len(rest) == 0 {
			fit = append(fit, m)
			continue
		}
		var odd []string
		list := eachItem(m.value, func(i int, item json.RawMessage) json.RawMessage {
			var within []schema.Fault
			rest = slices.DeleteFunc(rest, func(f schema.Fault) bool {
				below, ok := strings.CutPrefix(f.Path, at(m.name, i))
				if !ok || below == "" {
					return false
				}
				f.Path = strings.TrimPrefix(below, ".")
				within = append(within, f)
				return true
			})
			if len(within) == 0 {
				return item
			}
			item, names := fitting(item, within)
			for _, name := range names {
				odd = append(odd, at(m.name, i)+"."+name)
			}
			return item
		})
		if len(odd) == 0 || len(rest) > 0 {
			bad = append(bad, m.name)
			continue
		}
		fit, bad = append(fit, member{m.name, list}), append(bad, odd...)
	}
	return fit.JSON(), bad
}
