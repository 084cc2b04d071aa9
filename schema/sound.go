package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/invopop/jsonschema"
)

// Most documents have no fault, and need no validator to say so: reading them once is enough. A rule is
// what a node of the schema asks for, as far as this reader knows it. It decides in one direction alone:
// what it finds sound, the validator has no fault in, which a fuzz test holds; of anything else, a doubt
// included, the validator says what is wrong, and where.
type rule struct {
	kinds    string // of jsontext that are allowed: `{["0n` and b for both booleans; empty: all
	whole    bool   // a number must be written without a point and an exponent
	least    *float64
	most     *float64
	enum     []string
	shortest int // of a string in characters
	longest  int // likewise; -1: as long as it likes
	pattern  *regexp.Regexp
	visible  bool // pattern is that of what is not blank
	format   func(any) error
	items    *rule
	members  map[string]*slot
	required int    // how many of the members are
	prefix   string // of names that are no member's and follow others
	others   *rule  // what those follow; nil: there are none
	closed   bool   // any further name is a fault
	either   []*rule
}

// A slot is a property of an object.
type slot struct {
	*rule
	place    int // among all, for the bits of those that came
	required bool
}

// anything takes every value.
var anything = &rule{longest: -1}

// errDoubt says that the validator has to decide.
var errDoubt = errors.New("doubt")

// ruleOf is the rule of a node; nil, where that asks for something that is not known here.
func ruleOf(s *jsonschema.Schema) *rule {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	if string(raw) == "true" {
		return anything
	}
	var keywords map[string]json.RawMessage
	if json.Unmarshal(raw, &keywords) != nil {
		return nil
	}
	r := &rule{longest: -1}
	for name := range keywords {
		if !slices.Contains([]string{"type", "properties", "required", "additionalProperties", "patternProperties", "items", "enum",
			"pattern", "format", "minimum", "maximum", "minLength", "maxLength", "anyOf", "title", "description", "default"}, name) && name[0] != 'x' {
			return nil
		}
	}
	var types []string
	if t, ok := keywords["type"]; ok && json.Unmarshal(t, &types) != nil {
		types = []string{s.Type}
	}
	for _, t := range types {
		kind, ok := map[string]string{"object": "{", "array": "[", "string": `"`, "number": "0", "integer": "0", "null": "n", "boolean": "b"}[t]
		if !ok {
			return nil
		}
		r.kinds += kind
		r.whole = r.whole || t == "integer"
	}
	for _, v := range s.Enum {
		text, ok := v.(string)
		if !ok && v != nil {
			return nil
		}
		if ok {
			r.enum = append(r.enum, text)
		}
	}
	if len(r.enum) > 0 && r.kinds != `"` && r.kinds != `"n` {
		return nil // other values than strings are not compared
	}
	if r.least, err = bound(s.Minimum); err != nil {
		return nil
	}
	if r.most, err = bound(s.Maximum); err != nil {
		return nil
	}
	if s.MinLength != nil {
		r.shortest = int(*s.MinLength)
	}
	if s.MaxLength != nil {
		r.longest = int(*s.MaxLength)
	}
	if s.Pattern != "" {
		if r.pattern, err = regexp.Compile(s.Pattern); err != nil {
			return nil
		}
		r.visible = s.Pattern == visiblePattern
	}
	switch s.Format {
	case "":
	case "date-time":
		r.format = dateTime
	case Day:
		r.format = day
	default:
		return nil
	}
	if len(s.AnyOf) > 0 && len(keywords) > 1 {
		return nil // what stands beside the alternatives would be forgotten
	}
	for _, one := range s.AnyOf {
		e := ruleOf(one)
		if e == nil {
			return nil
		}
		r.either = append(r.either, e)
	}
	if s.Items != nil {
		if r.items = ruleOf(s.Items); r.items == nil {
			return nil
		}
	}
	return r.object(s, keywords)
}

// bound is a number that others are held to; nil: there is none.
func bound(n json.Number) (*float64, error) {
	if n == "" {
		return nil, nil
	}
	f, err := n.Float64()
	return &f, err
}

// object adds what a node asks of an object.
func (r *rule) object(s *jsonschema.Schema, keywords map[string]json.RawMessage) *rule {
	r.members = make(map[string]*slot)
	if s.Properties != nil {
		for name, p := range s.Properties.FromOldest() {
			m := &slot{rule: ruleOf(p), place: len(r.members), required: slices.Contains(s.Required, name)}
			if m.rule == nil || m.place == 64 {
				return nil
			}
			r.members[name] = m
		}
	}
	r.required = len(s.Required)
	for _, name := range s.Required {
		if r.members[name] == nil {
			return nil
		}
	}
	for pattern, p := range s.PatternProperties {
		// A prefix that is no member's: a name follows one rule, not two.
		prefix := regexp.MustCompile(`^\^([a-z_]+)$`).FindStringSubmatch(pattern)
		if prefix == nil || r.others != nil {
			return nil
		}
		if r.prefix, r.others = prefix[1], ruleOf(p); r.others == nil {
			return nil
		}
		for name := range r.members {
			if len(name) >= len(r.prefix) && name[:len(r.prefix)] == r.prefix {
				return nil
			}
		}
	}
	switch closed, ok := keywords["additionalProperties"]; {
	case string(closed) == "false":
		r.closed = true
	case ok:
		return nil
	}
	return r
}

// sound reports whether a document has certainly no fault.
func (r *rule) sound(raw []byte, use Use) bool {
	limit, depth := maxValues, maxDepth
	if use == Output {
		limit, depth = 100*maxValues, 100*maxDepth
	}
	d := readings.Get().(*reading)
	defer readings.Put(d)
	d.Reset(bytes.NewBuffer(raw))
	d.limit, d.depth = limit, depth
	if d.value(r) != nil {
		return false
	}
	_, err := d.ReadToken()
	return errors.Is(err, io.EOF)
}

// readings are used again: a decoder is larger than most of what it reads.
var readings = sync.Pool{New: func() any { return &reading{Decoder: new(jsontext.Decoder)} }}

// reading is one document on its way through the rules. The decoder refuses what the guard does: invalid JSON
// and Unicode, and a name twice in one object.
type reading struct {
	*jsontext.Decoder
	limit, depth int
	scratch      []byte
}

func (d *reading) value(r *rule) error {
	if d.limit--; d.limit < 0 {
		return errDoubt
	}
	kind := d.PeekKind()
	if r.either != nil {
		i := slices.IndexFunc(r.either, func(one *rule) bool { return one.takes(kind) })
		if i < 0 {
			return errDoubt
		}
		r = r.either[i] // they differ in what they take
	}
	if !r.takes(kind) {
		return errDoubt
	}
	switch kind {
	case '{':
		return d.object(r)
	case '[':
		return d.array(r)
	}
	v, err := d.ReadValue()
	switch {
	case err != nil:
		return err
	case kind == '"':
		return d.text(r, v)
	case kind == '0':
		return r.number(v)
	}
	return nil
}

func (r *rule) takes(k jsontext.Kind) bool {
	if k == 't' || k == 'f' {
		k = 'b'
	}
	return r.kinds == "" || slices.Contains([]byte(r.kinds), byte(k))
}

func (d *reading) object(r *rule) error {
	if _, err := d.ReadToken(); err != nil || d.StackDepth() > d.depth {
		return errDoubt
	}
	var came uint64
	required := 0
	for d.PeekKind() != '}' {
		raw, err := d.ReadValue()
		if err != nil {
			return err
		}
		name := raw[1 : len(raw)-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			return errDoubt
		}
		of := anything
		switch m := r.members[string(name)]; {
		case m != nil:
			of = m.rule
			if bit := uint64(1) << m.place; came&bit == 0 && m.required {
				came |= bit
				required++
			}
		case r.others != nil && bytes.HasPrefix(name, []byte(r.prefix)):
			of = r.others
		case r.closed:
			return errDoubt
		}
		if err := d.value(of); err != nil {
			return err
		}
	}
	if required < r.required {
		return errDoubt
	}
	_, err := d.ReadToken()
	return err
}

func (d *reading) array(r *rule) error {
	if _, err := d.ReadToken(); err != nil || d.StackDepth() > d.depth {
		return errDoubt
	}
	items := r.items
	if items == nil {
		items = anything
	}
	for d.PeekKind() != ']' {
		if err := d.value(items); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// text holds a string to its rule.
func (d *reading) text(r *rule, v jsontext.Value) error {
	s := []byte(v[1 : len(v)-1])
	if bytes.IndexByte(s, '\\') >= 0 {
		var err error
		if d.scratch, err = jsontext.AppendUnquote(d.scratch[:0], v); err != nil {
			return err
		}
		s = d.scratch
	}
	switch {
	case r.enum != nil && !slices.ContainsFunc(r.enum, func(one string) bool { return one == string(s) }):
		return errDoubt
	case r.shortest > 0 && utf8.RuneCount(s) < r.shortest, r.longest >= 0 && utf8.RuneCount(s) > r.longest:
		return errDoubt
	case r.visible && len(s) > 0 && '!' <= s[0] && s[0] <= '~': // it begins with what is seen
	case r.pattern != nil && !r.pattern.Match(s):
		return errDoubt
	}
	if r.format != nil {
		return r.format(string(s))
	}
	return nil
}

// number holds a number to its rule. One that a float64 does not have to the digit is for the validator.
func (r *rule) number(v jsontext.Value) error {
	const exact = 15 // digits
	if len(v) > exact || bytes.ContainsAny(v, "eE") || r.whole && bytes.IndexByte(v, '.') >= 0 {
		return errDoubt
	}
	if r.least == nil && r.most == nil {
		return nil
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || r.least != nil && f < *r.least || r.most != nil && f > *r.most {
		return errDoubt
	}
	return nil
}
