package sandbox

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// fields are the members of a resource under the names of the request, each as the JSON it was sent as. Numbers are never
// turned into a float64 on the way, so their digits come back as they were.
type fields map[string]json.RawMessage

// text is the string in a member; "" if it is absent, null or not a string.
func (f fields) text(name string) string {
	var s string
	if json.Unmarshal(f[name], &s) != nil {
		return ""
	}
	return s
}

// texts are the strings in a member that is an array of strings; nil if it is anything else.
func (f fields) texts(name string) []string {
	var list []string
	if json.Unmarshal(f[name], &list) != nil {
		return nil
	}
	return list
}

// isSet reports whether a member is there and not null.
func (f fields) isSet(name string) bool {
	raw := f[name]
	return raw != nil && !isNull(raw)
}

// pick are the named members as an object, null where they are absent.
func (f fields) pick(names ...string) object {
	var o object
	for _, name := range names {
		o = append(o, member{name, f[name]})
	}
	return o
}

// isTrue reports whether a member is the JSON true.
func (f fields) isTrue(name string) bool { return string(f[name]) == "true" }

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// member is one name and value of an object that is answered.
type member struct {
	name  string
	value any
}

// object is a JSON object whose members keep their order.
type object []member

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(m.name))
		b.WriteByte(':')
		b.Write(encode(m.value))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode is JSON without the escapes that HTML would need. Everything given to it is made here or was parsed before, so an
// error is a fault of this package.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("sandbox: encode: " + err.Error())
	}
	return slices.Clip(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// orNull is s, or null where s is empty.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// orElse is the JSON raw, or fallback where it is absent.
func orElse(raw json.RawMessage, fallback any) any {
	if raw == nil {
		return fallback
	}
	return raw
}

// stamps are the members that tell the age of a record.
func stamps(rec *record) object {
	return object{{"createdAt", stamp(rec.created)}, {"updatedAt", stamp(rec.updated)}}
}

// stamp is a time in the form of the documentation's examples: UTC, with milliseconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
