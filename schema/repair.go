package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/invopop/jsonschema"
)

// A Repair is one value that stood in a document in a wrong form and was read as the only thing
// that it can mean.
type Repair struct {
	Path string // where, as in Fault.Path
	From string // what came, as JSON, shortened
	To   string // what it was read as, likewise; empty where the property was left out, as not given
}

// String is the repair in words without an end mark: price: read "25000" as 25000.
func (r Repair) String() string {
	read := "read " + r.From + " as " + cmp.Or(r.To, "not given")
	if r.Path == "" {
		return read
	}
	return r.Path + ": " + read
}

// Repair takes raw and the faults that Check found in it, and returns raw with each faulty value
// that has exactly one reading put right, and what was done: nothing else in it changes by a byte,
// and without a repair it is raw itself. What is still wrong then, Check says. A day without a
// time is midnight in zone day; nil is UTC.
//
// These have one reading:
//
//   - a number, boolean, array or object as JSON text: "25000", "true", "[1]". But "1.250" may be
//     1250 to those who group digits by dots, and is refused
//   - one value for a list of such values. But "a, b" may be one or two, and is refused
//   - one of an enum, written with other case, spaces or separators: high, in-progress
//   - a code that must be upper-case and is not: usd where the pattern is ^[A-Z]{3}$
//   - a day that the calendar has for a date-time: 2026-06-30
//   - null or "" for a property that may be absent: it is left out
//
// A property that the schema does not have is never renamed, and a document with a fault of
// Keyword "json" is left as it is: which of two keys was meant, nobody can tell. So is one with more than 1,000 faults:
// nobody writes that much by mistake.
func (s *Schema) Repair(raw []byte, faults []Fault, day *time.Location) ([]byte, []Repair) {
	if day == nil {
		day = time.UTC
	}
	var repairs []Repair
	for range maxDepth { // each round brings to light only what is a level deeper
		if len(faults) > maxRepairs || slices.ContainsFunc(faults, notJSON) {
			break
		}
		next, made := s.repairOnce(raw, faults, day)
		if len(made) == 0 {
			break
		}
		if faults = s.Check(next); slices.ContainsFunc(faults, notJSON) {
			break // text that was fine by itself is too deep or too much where it stands
		}
		raw, repairs = next, append(repairs, made...)
	}
	return raw, repairs
}

// maxRepairs bounds how much of one document is put right at a time.
const maxRepairs = 1000

func notJSON(f Fault) bool { return f.Keyword == "json" }

// repairOnce repairs what stands at the faults' paths, and nothing below it.
func (s *Schema) repairOnce(raw []byte, faults []Fault, day *time.Location) ([]byte, []Repair) {
	r := repairer{Decoder: jsontext.NewDecoder(bytes.NewBuffer(raw)), day: day, faulty: map[string]bool{}}
	for _, f := range faults {
		r.faulty[f.Path] = true
	}
	if _, err := r.value(s.root(), nil, root); err != nil { // the faults are not of this document
		return raw, nil
	}
	return r.apply(raw), r.repairs
}

// A repairer reads a document along its schema and notes what to change.
type repairer struct {
	*jsontext.Decoder
	day     *time.Location
	faulty  map[string]bool // by path
	edits   []edit
	repairs []Repair
}

// An edit puts other bytes in the place of those from start to end.
type edit struct {
	start, end int
	with       jsontext.Value
}

func (r *repairer) apply(raw []byte) []byte {
	slices.SortFunc(r.edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	out := make([]byte, 0, len(raw)+len(raw)/8)
	done := 0
	for _, e := range r.edits {
		out = append(append(out, raw[done:e.start]...), e.with...)
		done = e.end
	}
	return append(out, raw[done:]...)
}

// A place is where a value stands; it decides whether the value may be left out or wrapped.
type place int

const (
	root place = iota
	item
	required
	optional
)

// value reads the next value, which node is for, and reports whether it is to be left out.
func (r *repairer) value(node *jsonschema.Schema, path []byte, at place) (left bool, err error) {
	switch kind := r.PeekKind(); {
	case node == nil:
		return false, r.SkipValue()
	case kind == '{' && node.Type == "object":
		return false, r.object(node, path)
	case kind == '[' && node.Type == "array":
		return false, r.array(node, path)
	}
	v, err := r.ReadValue()
	if err != nil || !r.faulty[string(path)] {
		return false, err
	}
	if at == optional && notGiven(node, v) {
		r.repairs = append(r.repairs, Repair{Path: string(path), From: shown(v)})
		return true, nil
	}
	if meant := r.reading(node, v, at); meant != nil {
		end := int(r.InputOffset())
		r.edits = append(r.edits, edit{start: end - len(v), end: end, with: meant})
		r.repairs = append(r.repairs, Repair{Path: string(path), From: shown(v), To: shown(meant)})
	}
	return false, nil
}

func (r *repairer) array(node *jsonschema.Schema, path []byte) error {
	if _, err := r.ReadToken(); err != nil {
		return err
	}
	for i := 0; r.PeekKind() != ']'; i++ {
		if _, err := r.value(node.Items, appendIndex(path, i), item); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

func (r *repairer) object(node *jsonschema.Schema, path []byte) error {
	if _, err := r.ReadToken(); err != nil {
		return err
	}
	var members []member
	for r.PeekKind() != '}' {
		key, err := r.ReadValue()
		if err != nil {
			return err
		}
		m := member{start: int(r.InputOffset()) - len(key)}
		name := unquote(key)
		at := optional
		if slices.Contains(node.Required, name) {
			at = required
		}
		if m.left, err = r.value(property(node, name), appendKey(path, name), at); err != nil {
			return err
		}
		m.end = int(r.InputOffset())
		members = append(members, m)
	}
	r.leaveOut(members)
	_, err := r.ReadToken()
	return err
}

// A member of an object, from its key to the end of its value.
type member struct {
	start, end int
	left       bool // to be left out
}

// leaveOut takes out the members that are to go, each with the comma after it, and those at the
// end with the comma before them.
func (r *repairer) leaveOut(members []member) {
	last := len(members) - 1 // that stays
	for last >= 0 && members[last].left {
		last--
	}
	for i := range last {
		if members[i].left {
			r.edits = append(r.edits, edit{start: members[i].start, end: members[i+1].start})
		}
	}
	if last == len(members)-1 {
		return
	}
	start := members[0].start
	if last >= 0 {
		start = members[last].end
	}
	r.edits = append(r.edits, edit{start: start, end: members[len(members)-1].end})
}

// notGiven reports whether v is what people and models write for nothing.
func notGiven(node *jsonschema.Schema, v jsontext.Value) bool {
	return string(v) == `""` || string(v) == "null" && !nullable(node)
}

// reading is the one value that v can mean where node is asked for, or nil.
func (r *repairer) reading(node *jsonschema.Schema, v jsontext.Value, at place) jsontext.Value {
	if v.Kind() == '"' {
		text := strings.Trim(unquote(v), " \t\r\n") // what JSON takes for space, and no more
		switch {
		case node.Type == "string":
			return r.spelling(node, text)
		case isJSONText(node.Type, text):
			return jsontext.Value(text)
		}
	}
	if node.Type == "array" && at != item { // [1, 2] for a list of lists is [[1, 2]] or [[1], [2]]
		return r.only(node.Items, v)
	}
	return nil
}

// spelling is the string that node allows and that text is another way to write.
func (r *repairer) spelling(node *jsonschema.Schema, text string) jsontext.Value {
	var meant string
	switch {
	case len(node.Enum) > 0:
		meant = oneOf(node.Enum, text)
	case node.Format == "date-time":
		meant = midnight(text, r.day)
	case upperOnly().MatchString(node.Pattern):
		meant = upper(node.Pattern, text)
	}
	if meant == "" {
		return nil
	}
	quoted, _ := jsontext.AppendQuote(nil, meant) // it fails on invalid UTF-8 alone, which no schema holds
	return quoted
}

// isJSONText reports whether text is JSON of that type and can be read in no other way.
func isJSONText(typ, text string) bool {
	v, faults := decode([]byte(text), Input)
	if len(faults) > 0 {
		return false
	}
	switch v := v.(type) {
	case json.Number:
		return typ == "number" && !grouped().MatchString(text) || typ == "integer" && !strings.ContainsAny(v.String(), ".eE")
	case bool:
		return typ == "boolean"
	case []any:
		return typ == "array"
	case map[string]any:
		return typ == "object"
	}
	return false
}

// grouped matches what is a fraction in JSON and a whole number where dots group digits.
var grouped = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^-?[1-9][0-9]{0,2}\.[0-9]{3}$`)
})

// only is the list whose only item is v.
func (r *repairer) only(items *jsonschema.Schema, v jsontext.Value) jsontext.Value {
	if items == nil || items.Type == "array" {
		return nil
	}
	one := v
	switch {
	case !fits(items.Type, v.Kind()):
		one = r.reading(items, v, item)
	case v.Kind() == '"' && !isOne(strings.TrimSpace(unquote(v))):
		return nil
	}
	if one == nil {
		return nil
	}
	return slices.Concat([]byte("["), one, []byte("]"))
}

func fits(typ string, kind jsontext.Kind) bool {
	switch kind {
	case '"':
		return typ == "string"
	case '0':
		return typ == "number" || typ == "integer"
	case 't', 'f':
		return typ == "boolean"
	case '{':
		return typ == "object"
	}
	return false
}

// isOne reports whether text is one word or name for sure: not empty, not several with something
// between them, not a list in the notation of some language.
func isOne(text string) bool {
	return text != "" && !strings.ContainsAny(text, ",;|\t\r\n،؛、，；") && strings.IndexAny(text, "[{(\"'") != 0
}

// oneOf is the one of values that text is, but for case, surrounding space and separators.
func oneOf(values []any, text string) string {
	folded := foldValue(text)
	var meant string
	for _, v := range values {
		s, ok := v.(string)
		if !ok || foldValue(s) != folded {
			continue
		}
		if meant != "" {
			return ""
		}
		meant = s
	}
	return meant
}

// foldValue makes in-progress, In Progress and IN_PROGRESS the same, and keeps what fold drops
// from names: A+ and A- are two values, 1 and -1 as well.
func foldValue(s string) string {
	runes := []rune(strings.ToLower(s))
	for i, r := range runes {
		if (r == '_' || r == '-') && i > 0 && i < len(runes)-1 && inWord(runes[i-1]) && inWord(runes[i+1]) {
			runes[i] = ' '
		}
	}
	return strings.Join(strings.Fields(string(runes)), " ")
}

func inWord(r rune) bool { return unicode.In(r, unicode.L, unicode.M, unicode.N) }

// upperOnly matches a pattern that leaves nothing but the case of its letters open.
var upperOnly = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\^\[A-Z\](\+|\{[0-9,]+\})\$$`)
})

// upper is text in upper case, if that is what pattern asks for. Only ASCII: U+017F is an S in
// upper case too, and nobody means it.
func upper(pattern, text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) {
		return ""
	}
	text = strings.ToUpper(text)
	if ok, err := regexp.MatchString(pattern, text); err != nil || !ok {
		return ""
	}
	return text
}

// midnight is the first instant of a day such as 2026-06-30 in zone, in RFC 3339: 00:00, the
// earlier one where clocks go back over it, and what clocks show first where they skip it. A day
// that the calendar or the zone does not have gives nothing.
func midnight(day string, zone *time.Location) string {
	utc, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return ""
	}
	with := func(offsetOf time.Time) time.Time {
		_, offset := offsetOf.In(zone).Zone()
		return utc.Add(-time.Duration(offset) * time.Second).In(zone)
	}
	first := with(utc.AddDate(0, 0, -1))
	if !isMidnight(first, day) {
		if later := with(utc.AddDate(0, 0, 1)); isMidnight(later, day) {
			first = later
		} else {
			first, _ = first.ZoneBounds()
		}
	}
	_, offset := first.Zone()
	if first.Format(time.DateOnly) != day || offset%60 != 0 { // RFC 3339 has no seconds of an offset
		return ""
	}
	return first.Format(time.RFC3339)
}

func isMidnight(t time.Time, day string) bool { return t.Format(time.DateTime) == day+" 00:00:00" }

// shown is v as JSON, shortened to what is needed to recognise it.
func shown(v jsontext.Value) string {
	if kind := v.Kind(); kind == '[' || kind == '{' {
		short := slices.Clone(v)
		if short.Compact() == nil && len(short) <= maxShown && !strings.ContainsFunc(string(short), func(r rune) bool { return !unicode.IsGraphic(r) }) {
			return string(short)
		}
	}
	decoded, _ := decode(v, Input)
	return shorten(decoded)
}

func unquote(v jsontext.Value) string {
	text, _ := jsontext.AppendUnquote(nil, v) // it has been read, so it is a string
	return string(text)
}
