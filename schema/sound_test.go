package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
)

// parcel has all that the tools' arguments and results ask for.
type parcel struct {
	Title    string         `json:"title" jsonschema:"minLength=1" jsonschema_extras:"x-visible=true"`
	Due      string         `json:"due,omitempty" jsonschema:"format=date-time"`
	Size     string         `json:"size,omitempty" jsonschema:"enum=S,enum=M" jsonschema_extras:"x-nullable=true"`
	Currency string         `json:"currency,omitempty" jsonschema:"pattern=^[A-Z]{3}$"`
	Count    int            `json:"count,omitempty" jsonschema:"minimum=1,maximum=50"`
	Fragile  *bool          `json:"fragile,omitempty" jsonschema_extras:"x-nullable=true"`
	Note     string         `json:"note,omitempty" jsonschema:"maxLength=5"`
	Tags     []string       `json:"tags,omitempty" jsonschema_extras:"x-visible=true"`
	Lines    []parcelLine   `json:"lines,omitempty"`
	Custom   map[string]any `json:",embed" jsonschema:"-" keys:"^cf_"`
}

type parcelLine struct {
	Name     string      `json:"name"`
	Quantity json.Number `json:"quantity" jsonschema:"minimum=0"`
}

func schemaOf(tb testing.TB, use Use) *Schema {
	tb.Helper()
	s, err := For[parcel](use)
	if err != nil {
		tb.Fatal(err)
	}
	if s.rules() == nil {
		tb.Fatal("there are no rules for the schema")
	}
	return s
}

// TestSound holds that documents as they mostly come are found sound, so that no validator is asked.
func TestSound(t *testing.T) {
	t.Parallel()
	s := schemaOf(t, Input)
	for _, raw := range []string{
		`{"title":"a"}`,
		` { "title" : "Z\u00fcrcher \"M\u00f6bel\"" , "tags" : [ "t_1" ] } `,
		`{"title":"a","due":"2026-06-30T00:00:00Z","size":null,"currency":"USD","count":50,"fragile":true,"note":"\u00e9éééé","cf_a":["b",1],"lines":[{"name":"a","quantity":1},{"name":"b","quantity":2.5}]}`,
	} {
		if faults := s.faults([]byte(raw)); len(faults) > 0 {
			t.Fatalf("Check(%s) = %v", raw, faults)
		}
		if !s.rules().sound([]byte(raw), Input) {
			t.Errorf("%s is not found sound", raw)
		}
	}
}

// TestManyNames holds that so many members that nothing is known of are for the validator, and no fault.
func TestManyNames(t *testing.T) {
	t.Parallel()
	for _, n := range []int{maxNames, maxNames + 1} {
		raw := []byte(`{"title":"a"`)
		for i := range n {
			raw = fmt.Appendf(raw, `,"more%d":[{"a":1}]`, i)
		}
		raw = append(raw, '}')
		if faults := schemaOf(t, Output).Check(raw); len(faults) > 0 {
			t.Errorf("Check of %d more members = %v", n, faults)
		}
		if faults := schemaOf(t, Output).Check(append(raw[:len(raw)-1], `,"more1":1}`...)); len(faults) != 1 {
			t.Errorf("Check of %d more members, one twice = %v", n, faults)
		}
	}
}

// TestRuleOfUnknown holds that a keyword that is not known leaves the whole schema to the validator.
func TestRuleOfUnknown(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"type":"array","uniqueItems":true}`, `{"type":"string","format":"uri"}`, `{"type":"number","exclusiveMaximum":5}`,
		`{"type":"number","enum":["1"]}`, `{"enum":[1]}`, `{"type":"string","anyOf":[{"type":"string"}]}`, `{"not":{}}`,
		`{"type":"object","patternProperties":{"x$":{"type":"string"}}}`, `{"type":"object","additionalProperties":{"type":"string"}}`,
		`{"type":"object","properties":{"cf_a":{"type":"string"}},"patternProperties":{"^cf_":{"type":"number"}}}`,
		`{"type":"object","required":["a"]}`, `{"type":"array","items":{"type":"object","minProperties":1}}`,
	} {
		var s jsonschema.Schema
		if err := json.Unmarshal([]byte(raw), &s); err != nil {
			t.Fatal(err)
		}
		if ruleOf(&s) != nil {
			t.Errorf("there is a rule for %s", raw)
		}
	}
}

// FuzzSound holds that the validator finds no fault in what was found sound.
func FuzzSound(f *testing.F) {
	in, out := schemaOf(f, Input), schemaOf(f, Output)
	fields, err := Of([]Property{{Name: "a", Type: "string", Format: Day}, {Name: "b", Type: "array"}, {Name: "c", Type: "boolean"}, {Name: "d"}})
	if err != nil {
		f.Fatal(err)
	}
	if fields.rules() == nil {
		f.Fatal("there are no rules for fields")
	}
	for _, raw := range []string{
		`{"title":"a"}`, `{"title":" "}`, `{"title":"\u00a0"}`, `{"title":"a","title":"b"}`, `{"title":"a"} 1`, `{"title":"a","t\u0069tle":"b"}`,
		`{"title":"a","lines":[{"name":"a","quantity":1e-1000001}]}`, `{"title":"a","lines":[{"name":"a","quantity":-0}]}`,
		`{"title":"a","cf_a":[1,"b",null]}`, `{"title":"a","cf_a":{"b":1}}`, `{"title":"a","severity":"high"}`,
		`{"title":"a","due":"2026-06-30T00:00:00Z","size":"S","currency":"USD","count":2,"fragile":null,"tags":["x"],"lines":[{"name":"","quantity":0.5}]}`,
		`{"title":"a","size":null,"count":1.0,"fragile":false,"more":1e400,"tags":[""]}`, `{"title":"a","count":0,"currency":"usd"}`, `{"title":"a","count":51,"note":"éééééé"}`,
		`{"a":"2026-06-30","b":["x"],"c":true,"d":{"e":[[[]]]}}`, `{"a":"2026-02-30"}`, `{"b":[1]}`, "{\"title\":\"\xff\"}", `null`, `[]`,
		strings.Repeat("[", 40) + strings.Repeat("]", 40),
		`{"title":"a","more":1,"more":2}`, `{"title":"a","more":{"more":[{"b":1},{"b":1}]}}`, `{"title":"\ud83d\ude00"}`, `{"title":"\ud83d"}`, `{"title":"\x"}`,
		`{"title":"a","count":01}`, `{"title":"a","more":-}`, `{"title":"a","more":1.}`, `{"title":"a",}`, `{"title":"a" "more":1}`, `{"title":"a","more":nul}`, "{\"title\":\"\n\"}",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for name, s := range map[string]*Schema{"input": in, "output": out, "fields": fields} {
			if !s.rules().sound(raw, s.use) {
				continue
			}
			if faults := s.faults(raw); len(faults) > 0 {
				t.Errorf("%s: %q was found sound, and has %v", name, raw, faults)
			}
		}
	})
}
