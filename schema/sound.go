package schema

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/invopop/jsonschema"
)

// Most documents have no fault, and need no validator to say so: reading them once is enough. A rule is
// what a node of the schema asks for, as far as this reader knows it. It decides in one direction alone:
// what it finds sound, the validator has no fault in, which a fuzz test holds; of anything else, a doubt
// included, the validator says what is wrong, and where.
type rule struct {
	kinds    string // that are allowed, as [jsonKind] has them; empty: all
	whole    bool   // a number must be written without a point and an exponent
	least    *float64
	most     *float64
	enum     []string
	shortest int // of a string in characters
	longest  int // likewise; -1: as long as it likes
	pattern  *regexp.Regexp
	visible  bool // pattern is that of what is not blank
	format   func(string) error
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
	d := reading{text: raw, values: limit, depth: depth}
	d.blanks()
	if !d.value(r) {
		return false
	}
	d.blanks()
	return d.at == len(raw)
}

// maxNames bounds the members that no slot is for, of an object and those that it is in: each is held against the others.
const maxNames = 64

// reading is one document on its way through the rules. It refuses what the guard does: what is no JSON or no Unicode,
// and a name twice in one object. Its methods are false where they are in doubt.
type reading struct {
	text          []byte
	at            int // where in it
	values, depth int // that may still come
	scratch       []byte
	names         [maxNames]span // of the members that no slot is for, in the objects that it is in
	named         int            // how many
}

// span is a part of the text.
type span struct{ from, to int }

func (d *reading) in(s span) []byte { return d.text[s.from:s.to] }

func (d *reading) blanks() {
	for d.at < len(d.text) && (d.text[d.at] == ' ' || d.text[d.at] == '\n' || d.text[d.at] == '\t' || d.text[d.at] == '\r') {
		d.at++
	}
}

// sees goes on behind c, if it is next but for blanks.
func (d *reading) sees(c byte) bool {
	d.blanks()
	if d.at == len(d.text) || d.text[d.at] != c {
		return false
	}
	d.at++
	return true
}

func (d *reading) value(r *rule) bool {
	if d.values--; d.values < 0 || d.at == len(d.text) {
		return false
	}
	kind := jsonKind(d.text[d.at])
	if r.either != nil {
		i := slices.IndexFunc(r.either, func(one *rule) bool { return one.takes(kind) })
		if i < 0 {
			return false
		}
		r = r.either[i] // they differ in what they take
	}
	if !r.takes(kind) {
		return false
	}
	switch kind {
	case '{':
		return d.object(r)
	case '[':
		return d.array(r)
	case '"':
		return d.string(r)
	case '0':
		return d.number(r)
	}
	return d.word("true") || d.word("false") || d.word("null")
}

// jsonKind is what a value is that begins with c: `{`, `[`, `"`, 0 for a number, b for a boolean, n for null. Any other is none.
func jsonKind(c byte) byte {
	switch {
	case c == 't', c == 'f':
		return 'b'
	case c == '-', '0' <= c && c <= '9':
		return '0'
	}
	return c
}

func (r *rule) takes(kind byte) bool {
	return r.kinds == "" || strings.IndexByte(r.kinds, kind) >= 0
}

func (d *reading) word(word string) bool {
	if !bytes.HasPrefix(d.text[d.at:], []byte(word)) {
		return false
	}
	d.at += len(word)
	return true
}

func (d *reading) object(r *rule) bool {
	if d.depth--; d.depth < 0 {
		return false
	}
	d.at++
	outer := d.named
	var came uint64
	required := 0
	for first := true; !d.sees('}'); first = false {
		if !first && !d.sees(',') {
			return false
		}
		d.blanks()
		at, plain, ok := d.quoted()
		name := d.in(at)
		if !ok || !plain || !d.sees(':') {
			return false
		}
		of := anything
		m := r.members[string(name)]
		switch {
		case m != nil:
			of = m.rule
			if came&(1<<m.place) != 0 {
				return false
			}
			came |= 1 << m.place
			if m.required {
				required++
			}
		case r.others != nil && bytes.HasPrefix(name, []byte(r.prefix)):
			of = r.others
		case r.closed:
			return false
		}
		if m == nil && !d.isNew(at, outer) {
			return false
		}
		d.blanks()
		if !d.value(of) {
			return false
		}
	}
	d.named = outer
	d.depth++
	return required == r.required
}

// isNew reports whether a name is none of those that are kept from the first on, and keeps it.
func (d *reading) isNew(name span, first int) bool {
	for _, other := range d.names[first:d.named] {
		if bytes.Equal(d.in(other), d.in(name)) {
			return false
		}
	}
	if d.named == maxNames {
		return false
	}
	d.names[d.named] = name
	d.named++
	return true
}

func (d *reading) array(r *rule) bool {
	if d.depth--; d.depth < 0 {
		return false
	}
	d.at++
	items := r.items
	if items == nil {
		items = anything
	}
	for first := true; !d.sees(']'); first = false {
		if !first && !d.sees(',') {
			return false
		}
		d.blanks()
		if !d.value(items) {
			return false
		}
	}
	d.depth++
	return true
}

// quoted is what stands between the quotes of a string. Only where it is plain, it has no escapes, and those may be wrong.
func (d *reading) quoted() (s span, plain, ok bool) {
	if d.at == len(d.text) || d.text[d.at] != '"' {
		return s, false, false
	}
	from, ascii := d.at+1, true
	plain = true
	for i := from; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			d.at = i + 1
			return span{from, i}, plain, ascii || utf8.Valid(d.text[from:i])
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			return s, false, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return s, false, false
}

// string holds a string to its rule.
func (d *reading) string(r *rule) bool {
	from := d.at
	at, plain, ok := d.quoted()
	if !ok {
		return false
	}
	s := d.in(at)
	if !plain {
		var err error
		if d.scratch, err = jsontext.AppendUnquote(d.scratch[:0], d.text[from:d.at]); err != nil {
			return false
		}
		s = d.scratch
	}
	switch {
	case r.enum != nil && !slices.ContainsFunc(r.enum, func(one string) bool { return one == string(s) }):
		return false
	case r.shortest > 0 && utf8.RuneCount(s) < r.shortest, r.longest >= 0 && utf8.RuneCount(s) > r.longest:
		return false
	case r.visible && len(s) > 0 && '!' <= s[0] && s[0] <= '~': // it begins with what is seen
	case r.pattern != nil && !r.pattern.Match(s):
		return false
	}
	return r.format == nil || r.format(string(s)) == nil
}

// number holds a number to its rule. One that a float64 may not have to the digit is for the validator.
func (d *reading) number(r *rule) bool {
	const exact = 15 // digits
	from := d.at
	if d.text[d.at] == '-' {
		d.at++
	}
	whole := d.digits()
	if len(whole) == 0 || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	if d.at < len(d.text) && d.text[d.at] == '.' {
		d.at++
		if len(d.digits()) == 0 || r.whole {
			return false
		}
	}
	n := d.text[from:d.at] // an exponent after it is no end of a value
	if len(n) > exact {
		return false
	}
	if r.least == nil && r.most == nil {
		return true
	}
	f, err := strconv.ParseFloat(string(n), 64)
	return err == nil && (r.least == nil || f >= *r.least) && (r.most == nil || f <= *r.most)
}

func (d *reading) digits() []byte {
	from := d.at
	for d.at < len(d.text) && '0' <= d.text[d.at] && d.text[d.at] <= '9' {
		d.at++
	}
	return d.text[from:d.at]
}
