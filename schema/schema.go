// Package schema turns a Go struct into JSON Schema 2020-12 and holds JSON to it: one source
// for what is advertised, what is validated and what is decoded.
//
//	s, err := schema.For[DealArgs](schema.Input)
//	s.JSON()                                // to advertise, in the form that every client takes
//	faults := s.Check(raw)                  // every fault, with its path, not only the first
//	raw, done := s.Repair(raw, faults, nil) // what has one reading, put right; then Check again
//	err = s.Decode(raw, &args)              // after a check without faults
//
// It knows no network, no protocol and no API. What a fault means for a caller (which tool finds
// a value, what to do next) is worded by those who know.
package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
)

// Use says on which side of a call a schema stands.
type Use int

const (
	// Input is closed: a property that the struct does not name is a fault.
	Input Use = iota
	// Output is open: an answer may hold members that nobody knew when the struct was written.
	Output
)

// A Schema is a Go struct as JSON Schema: to advertise, and to check with. It is made once,
// at start, and is safe for concurrent use.
type Schema struct {
	use       Use
	tree      func() *jsonschema.Schema
	published json.RawMessage
	root      func() *jsonschema.Schema // as reflected, with the private x- keywords, to word faults
	names     func() []string           // of its properties
	rules     func() *rule              // as enforced; nil: the validator alone knows
	compiled  func() (*validator.Schema, error)
}

// For makes the schema of struct type T. Property names come from the json tags; required is what
// has neither omitempty nor omitzero. Besides the tags of invopop/jsonschema these are understood:
//
//	jsonschema_extras:"x-aka=amount value"   names that people use for it; named when a key is unknown
//	jsonschema_extras:"x-nullable=true"      null is allowed
//	jsonschema_extras:"x-form=three letters" what a string must look like, in words, where pattern says it in signs
//	jsonschema_extras:"x-visible=true"       a string must not be blank, which is enforced but not advertised
//	keys:"^cf_"                              on a `json:",embed" jsonschema:"-"` map: keys that it takes
//
// json.Number stands for a number whose digits are kept, int for a whole one. What Check needs is made when it is first
// needed: that takes some milliseconds, for which no client should have to wait at start. See Compile.
func For[T any](use Use) (*Schema, error) {
	t := reflect.TypeFor[T]()
	s, err := build(func() *jsonschema.Schema { return reflectType(t) }, use)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", t, err)
	}
	return s, nil
}

// Published makes the schema of struct type T where its [Schema.JSON] is there already, so that a program that starts need
// not make it. That it is the same as ever, a test must hold.
func Published[T any](use Use, json json.RawMessage) *Schema {
	t := reflect.TypeFor[T]()
	return newSchema(func() *jsonschema.Schema { return reflectType(t) }, use, json)
}

// build makes a schema of a tree, which it asks for afresh each time: the forms that are advertised,
// enforced and put in words differ, and each is made by changing a tree of its own.
func build(tree func() *jsonschema.Schema, use Use) (*Schema, error) {
	published, err := json.Marshal(portable(tree(), use))
	if err != nil {
		return nil, err
	}
	return newSchema(tree, use, published), nil
}

func newSchema(tree func() *jsonschema.Schema, use Use, published json.RawMessage) *Schema {
	root := sync.OnceValue(func() *jsonschema.Schema { return worded(tree(), use) })
	return &Schema{
		use: use, tree: tree, published: published, root: root,
		names:    sync.OnceValue(func() []string { return slices.Clip(properties(root())) }),
		rules:    sync.OnceValue(func() *rule { return ruleOf(enforced(tree(), use)) }),
		compiled: sync.OnceValues(func() (*validator.Schema, error) { return compile(enforced(tree(), use)) }),
	}
}

// Compile makes now what Check otherwise makes when it is first called. Its error says that the type has no schema that
// could be checked with: Check panics then, and a test should have found it.
func (s *Schema) Compile() error {
	_, err := s.compiled()
	return err
}

// worded is the form of s that faults are put in words with.
func worded(s *jsonschema.Schema, use Use) *jsonschema.Schema {
	if use == Output {
		open(s)
	}
	for n := range nodes(s) { // a list's words are said of its items too
		if n.Items != nil && n.Items.Type != "object" {
			n.Items.Extras = n.Extras
			n.Items.Description = cmp.Or(n.Items.Description, n.Description)
		}
	}
	return s
}

// JSON is the schema in the form that clients take: one type a node, no references, no root
// combinators, no $schema. Input that may be null is advertised with its plain type, because
// several clients drop a property or a whole tool over a union; Check takes null all the same.
func (s *Schema) JSON() json.RawMessage { return s.published }

// Decode fills the struct that the schema was made of from JSON that Check found no fault in.
func (s *Schema) Decode(raw []byte, into any) error {
	return jsonv2.Unmarshal(raw, into, numbers)
}

// numbers are read as the schema has them. (Options that are made anew for each document forget what was learnt of types.)
var numbers = jsonv2.WithUnmarshalers(jsonv2.JoinUnmarshalers(exactNumbers, wholeNumbers))

// exactNumbers fills a json.Number with a number's own digits; left alone it would take only strings.
var exactNumbers = jsonv2.UnmarshalFunc(func(raw []byte, n *json.Number) error {
	*n = json.Number(raw)
	return nil
})

// wholeNumbers fills an int with what JSON Schema takes for an integer: 10, 10.0 and 1e1 are one.
var wholeNumbers = jsonv2.UnmarshalFunc(func(raw []byte, n *int) (err error) {
	if *n, err = strconv.Atoi(string(raw)); err == nil {
		return nil
	}
	const exact = 1 << 53 // below it a float64 has every digit
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= exact {
		return fmt.Errorf("%s is no whole number, or too great a one", raw)
	}
	*n = int(f)
	return nil
})

// Properties are the names of the root's properties, in the order of the struct. They are shared, and not to be changed.
func (s *Schema) Properties() []string { return s.names() }

func properties(s *jsonschema.Schema) []string {
	if s.Properties == nil {
		return nil
	}
	return slices.Collect(s.Properties.KeysFromOldest())
}

func reflectType(t reflect.Type) *jsonschema.Schema {
	r := &jsonschema.Reflector{
		Anonymous:      true,
		DoNotReference: true,
		ExpandedStruct: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if t == reflect.TypeFor[json.Number]() {
				return &jsonschema.Schema{Type: "number"}
			}
			return nil
		},
	}
	s := r.ReflectFromType(t)
	s.Version = ""
	for f := range t.Fields() {
		if keys := f.Tag.Get("keys"); keys != "" {
			s.PatternProperties = map[string]*jsonschema.Schema{keys: anyScalarOrList()}
		}
	}
	return s
}

// anyScalarOrList is "any value" in a form that clients do not take for a missing type.
func anyScalarOrList() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string"}, {Type: "number"}, {Type: "boolean"}, {Type: "null"},
		{Type: "array", Items: &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}}}},
	}}
}

// anyPlain is what is advertised of anyScalarOrList: what somebody would give.
func anyPlain() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string"}, {Type: "number"}, {Type: "boolean"}, {Type: "array", Items: &jsonschema.Schema{Type: "string"}},
	}}
}

// portable is the advertised form of s.
func portable(s *jsonschema.Schema, use Use) *jsonschema.Schema {
	if use == Output {
		open(s)
	}
	for n := range nodes(s) {
		if nullable(n) && use == Output {
			unionWithNull(n)
		}
		for pattern := range n.PatternProperties {
			n.PatternProperties[pattern] = anyPlain()
		}
		maps.DeleteFunc(n.Extras, func(k string, _ any) bool { return strings.HasPrefix(k, "x-") })
	}
	return s
}

// enforced is the form of s that Check validates with.
func enforced(s *jsonschema.Schema, use Use) *jsonschema.Schema {
	if use == Output {
		open(s)
	}
	for n := range nodes(s) {
		if nullable(n) {
			n.Extras = map[string]any{"type": []string{n.Type, "null"}}
			n.Type = ""
			if len(n.Enum) > 0 {
				n.Enum = append(n.Enum, nil)
			}
		}
		if n.Extras["x-visible"] == true {
			n = cmp.Or(n.Items, n)
			n.Pattern = anyVisible
		}
		if n.Pattern == anyVisible {
			n.Pattern = visiblePattern
		}
	}
	return s
}

// anyVisible is the pattern of a string that is not blank, as every client's engine reads it.
const anyVisible = `\S`

// visiblePattern is the same for Go, whose \S knows ASCII only; and control and format characters alone, which nobody sees,
// are blank to it too.
const visiblePattern = `[^\s\p{Z}\p{C}]`

func nullable(s *jsonschema.Schema) bool { return s.Extras["x-nullable"] == true }

// unionWithNull says "or null" in the one way that every validator and every linter takes.
func unionWithNull(s *jsonschema.Schema) {
	value := &jsonschema.Schema{Type: s.Type, Format: s.Format, Enum: s.Enum}
	s.Type, s.Format, s.Enum = "", "", nil
	s.AnyOf = []*jsonschema.Schema{value, {Type: "null"}}
}

func open(s *jsonschema.Schema) {
	for n := range nodes(s) {
		n.AdditionalProperties = nil
	}
}

// nodes yields s and every schema below it, each before its own children.
func nodes(s *jsonschema.Schema) func(yield func(*jsonschema.Schema) bool) {
	return func(yield func(*jsonschema.Schema) bool) { walk(s, yield) }
}

func walk(s *jsonschema.Schema, yield func(*jsonschema.Schema) bool) bool {
	if s == nil || !yield(s) {
		return s == nil
	}
	if s.Properties != nil {
		for p := range s.Properties.ValuesFromOldest() {
			if !walk(p, yield) {
				return false
			}
		}
	}
	return walk(s.Items, yield)
}

func compile(s *jsonschema.Schema) (*validator.Schema, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	c := validator.NewCompiler()
	c.DefaultDraft(validator.Draft2020)
	c.AssertFormat()
	c.RegisterFormat(&validator.Format{Name: "date-time", Validate: ofText(dateTime)})
	c.RegisterFormat(&validator.Format{Name: Day, Validate: ofText(day)})
	c.UseLoader(validator.SchemeURLLoader{}) // nothing is fetched, from a file or a network
	const url = "mem:///schema.json"
	if err := c.AddResource(url, doc); err != nil {
		return nil, err
	}
	return c.Compile(url)
}

// ofText is a format as the validator takes it: what is no string has every format.
func ofText(format func(string) error) func(any) error {
	return func(v any) error {
		if s, ok := v.(string); ok {
			return format(s)
		}
		return nil
	}
}

// dateTime is RFC 3339 as everybody reads it: the validator's own lets leap seconds, lower-case
// letters and the year 0 pass, which common parsers refuse; and time.Parse an hour of one digit and
// offsets that no clock has.
func dateTime(s string) error {
	const upToHour = len("2026-06-30T00")
	if t, err := time.Parse(time.RFC3339Nano, s); err != nil || t.Year() == 0 || s[upToHour] != ':' || strings.Contains(s, ",") || !clockOffset(s) {
		return errors.New("not RFC 3339")
	}
	return nil
}

// clockOffset reports whether the offset at the end of a date-time is less than a day, in hours and minutes.
func clockOffset(s string) bool {
	if strings.HasSuffix(s, "Z") {
		return true
	}
	offset := s[len(s)-len("+00:00"):]
	return offset[1:3] <= "23" && offset[4:] <= "59"
}
