package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"heffl-mcp/schema"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// order has one property of each form that the schema knows.
type order struct {
	Title  string                    `json:"title" jsonschema:"pattern=\\S" jsonschema_extras:"x-aka=name subject" jsonschema_description:"What is ordered"`
	Total  json.Number               `json:"total,omitempty" jsonschema:"minimum=0,maximum=1000000" jsonschema_extras:"x-aka=amount"`
	Rate   json.Number               `json:"rate,omitempty" jsonschema:"exclusiveMinimum=0,exclusiveMaximum=1.5"`
	Kind   string                    `json:"kind,omitempty" jsonschema:"enum=BULK,enum=RETAIL"`
	Due    string                    `json:"due,omitempty" jsonschema:"format=date-time"`
	Paid   *bool                     `json:"paid,omitempty"`
	Shelf  *string                   `json:"shelf,omitempty" jsonschema:"pattern=^s_" jsonschema_extras:"x-nullable=true"`
	Code   string                    `json:"code,omitempty" jsonschema:"minLength=2,maxLength=4"`
	Owners []string                  `json:"owners,omitempty" jsonschema:"pattern=^u_" jsonschema_extras:"x-form=an ID that begins with u_" jsonschema_description:"Who packs it"`
	Tags   []string                  `json:"tags,omitempty" jsonschema:"minItems=1,maxItems=3,pattern=^t_"`
	Lines  []line                    `json:"lines,omitempty"`
	Custom map[string]jsontext.Value `json:",embed" jsonschema:"-" keys:"^cf_"`
}

type line struct {
	Name     string      `json:"name"`
	Quantity json.Number `json:"quantity" jsonschema:"minimum=0" jsonschema_extras:"x-aka=qty"`
}

func TestJSONIsPortable(t *testing.T) {
	t.Parallel()
	for use, want := range map[schema.Use]string{
		schema.Input:  `{"type":"string","pattern":"^s_"}`,
		schema.Output: `{"anyOf":[{"type":"string"},{"type":"null"}],"pattern":"^s_"}`,
	} {
		s, err := schema.For[order](use)
		if err != nil {
			t.Fatal(err)
		}
		var root struct {
			Type                 string                     `json:"type"`
			Properties           map[string]json.RawMessage `json:"properties"`
			PatternProperties    map[string]json.RawMessage `json:"patternProperties"`
			AdditionalProperties *bool                      `json:"additionalProperties"`
			Required             []string                   `json:"required"`
		}
		if err := json.Unmarshal(s.JSON(), &root); err != nil {
			t.Fatal(err)
		}
		if got := string(root.Properties["shelf"]); !sameJSON(got, want) {
			t.Errorf("use %d: shelf = %s, want %s", use, got, want)
		}
		if closed := root.AdditionalProperties != nil && !*root.AdditionalProperties; closed != (use == schema.Input) {
			t.Errorf("use %d: closed = %t", use, closed)
		}
		if diff := cmp.Diff([]string{"title"}, root.Required); root.Type != "object" || diff != "" {
			t.Errorf("use %d: type %q, required (-want +got):\n%s", use, root.Type, diff)
		}
		if _, ok := root.PatternProperties["^cf_"]; !ok || len(root.Properties) != 11 {
			t.Errorf("use %d: %d properties, patterns %v", use, len(root.Properties), root.PatternProperties)
		}
		for _, word := range []string{"$ref", "$defs", "$schema", "$id", "x-aka", "x-nullable", `"type":[`, ":true"} {
			if strings.Contains(string(s.JSON()), word) {
				t.Errorf("use %d: the advertised schema contains %s", use, word)
			}
		}
	}
}

func TestCompile(t *testing.T) {
	t.Parallel()
	type broken struct {
		A string `json:"a" jsonschema:"pattern=("`
	}
	s, err := schema.For[broken](schema.Input)
	if err != nil {
		t.Fatal(err)
	}
	if s.Compile() == nil {
		t.Error("Compile() of a pattern that is no regular expression gave no error")
	}
	defer func() {
		if recover() == nil {
			t.Error("Check() with a schema that does not compile did not panic")
		}
	}()
	s.Check([]byte(`{}`))
}

func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	s := input(t)
	for _, raw := range []string{
		`{"title":"a"}`,
		`{"title":"a","shelf":null}`,
		`{"title":"a","shelf":"s_1","total":0,"rate":1e-300,"kind":"BULK","due":"2026-06-30T00:00:00+04:00","paid":false}`,
		`{"title":"a","total":999999.99999999999999999999999999999999999999}`,
		`{"title":"مرحبا 👋 \u0000","cf_a":["b",1],"cf_b":null,"cf_":[],"cf_c":true}`,
		`{"title":"a","lines":[],"tags":["t_1","t_1"],"code":"日本語字"}`,
		`{"title":"a","lines":[{"name":"","quantity":0}]}`,
		` {"title" : "a"} `,
	} {
		if faults := s.Check([]byte(raw)); len(faults) > 0 {
			t.Errorf("Check(%s) = %v, want no fault", raw, faults)
		}
		var o order
		if err := s.Decode([]byte(raw), &o); err != nil {
			t.Errorf("Decode(%s): %v", raw, err)
		}
	}
}

// TestCheckNamesEveryFault holds the sentences: where, what came, what is allowed.
func TestCheckNamesEveryFault(t *testing.T) {
	t.Parallel()
	s := input(t)
	names := "title, total, rate, kind, due, paid, shelf, code, owners, tags, lines, cf_*"
	for _, tt := range []struct {
		raw  string
		want []string
	}{
		{`{}`, []string{`title: missing; give a non-empty string (What is ordered)`}},
		{`{"title":" \t"}`, []string{`title: got " \t"; give a non-empty string (What is ordered)`}},
		{`{"title":null}`, []string{`title: got null; give a non-empty string (What is ordered)`}},
		{`{"title":"a","total":-0.5}`, []string{`total: got -0.5; give a number of at least 0`}},
		{`{"title":"a","total":1000000.000000000000000001}`, []string{`total: got 1000000.000000000000000001; give a number of at most 1000000`}},
		{`{"title":"a","rate":0}`, []string{`rate: got 0; give a number above 0`}},
		{`{"title":"a","rate":1.5}`, []string{`rate: got 1.5; give a number below 1.5`}},
		{`{"title":"a","total":"5"}`, []string{`total: got "5"; give a JSON number`}},
		{`{"title":"a","kind":"bulk"}`, []string{`kind: got "bulk"; give one of BULK, RETAIL`}},
		{`{"title":"a","due":"2026-06-30"}`, []string{`due: got "2026-06-30"; give an RFC 3339 date-time such as 2026-06-30T00:00:00Z`}},
		{`{"title":"a","due":"2026-06-30t00:00:00z"}`, []string{`due: got "2026-06-30t00:00:00z"; give an RFC 3339 date-time such as 2026-06-30T00:00:00Z`}},
		{`{"title":"a","due":"2026-06-30T23:59:60Z"}`, []string{`due: got "2026-06-30T23:59:60Z"; give an RFC 3339 date-time such as 2026-06-30T00:00:00Z`}},
		{`{"title":"a","due":"2026-06-30T0:00:00Z"}`, []string{`due: got "2026-06-30T0:00:00Z"; give an RFC 3339 date-time such as 2026-06-30T00:00:00Z`}},
		{`{"title":"a","due":"2026-06-30T00:00:00+24:00"}`, []string{`due: got "2026-06-30T00:00:00+24:00"; give an RFC 3339 date-time such as 2026-06-30T00:00:00Z`}},
		{`{"title":"a","due":"2026-06-30T00:00:00+04:60"}`, []string{`due: got "2026-06-30T00:00:00+04:60"; give an RFC 3339 date-time such as 2026-06-30T00:00:00Z`}},
		{`{"title":"a","due":"0000-01-01T00:00:00Z"}`, []string{`due: got "0000-01-01T00:00:00Z"; give an RFC 3339 date-time such as 2026-06-30T00:00:00Z`}},
		{`{"title":"\u00a0\u3000\u200b"}`, []string{"title: got \"\u00a0\u3000\\u200b\"" + `; give a non-empty string (What is ordered)`}},
		{`{"title":"a","owners":["u_1","Sara"]}`, []string{`owners[1]: got "Sara"; give an ID that begins with u_ (Who packs it)`}},
		{`{"title":"a","cf_a":{"b":1},"cf_b":[[1]],"CF_Region":1}`, []string{
			`CF_Region: unknown property; did you mean cf_region?`,
			`cf_a: got an object; give a string, a number, true, false, null, or a list of strings or numbers`,
			`cf_b: got an array of 1; give a string, a number, true, false, null, or a list of strings or numbers`,
		}},
		{`{"title":"a","paid":"yes"}`, []string{`paid: got "yes"; give true or false`}},
		{`{"title":"a","shelf":5}`, []string{`shelf: got 5; give a non-empty string or null`}},
		{`{"title":"a","code":"a"}`, []string{`code: got "a"; give at least 2 characters`}},
		{`{"title":"a","code":"abcde"}`, []string{`code: got "abcde"; give at most 4 characters`}},
		{`{"title":"a","tags":[]}`, []string{`tags: got an array of 0; give at least 1 values`}},
		{`{"title":"a","tags":["t_a","t_b","t_c","t_d"]}`, []string{`tags: got an array of 4; give at most 3 values`}},
		{`{"title":"a","tags":"t_a"}`, []string{`tags: got "t_a"; give an array, each item a non-empty string`}},
		{`{"title":"a","tags":["t_a",5,"x"]}`, []string{`tags[1]: got 5; give a non-empty string`, `tags[2]: got "x"; give a non-empty string`}},
		{`{"title":"a","lines":[{"name":"a","qty":1},{}]}`, []string{
			`lines[0].qty: unknown property; did you mean quantity?`,
			`lines[0].quantity: missing; give a JSON number`,
			`lines[1].name: missing; give a string`,
			`lines[1].quantity: missing; give a JSON number`,
		}},
		{`{"title":"a","lines":{"name":"a"}}`, []string{`lines: got an object; give an array, each item an object with name, quantity`}},
		{`{"Amount":1,"SUBJECT":"x","tilte":"y","due_":"z","zzz":0}`, []string{
			`Amount: unknown property; did you mean total?`,
			`SUBJECT: unknown property; did you mean title?`,
			`due_: unknown property; did you mean due?`,
			`tilte: unknown property; did you mean title?`,
			`title: missing; give a non-empty string (What is ordered)`,
			`zzz: unknown property; allowed are ` + names,
		}},
		{`{"title":"a","a\nb":1}`, []string{`["a\nb"]: unknown property; allowed are ` + names}},
		{`[]`, []string{`got an array of 0; give an object with ` + names}},
		{`null`, []string{`got null; give an object with ` + names}},
		{`"x"`, []string{`got "x"; give an object with ` + names}},
		{`{"title":"a","title":"b"}`, []string{`title: given twice; give it once`}},
		{`{"title":"a","lines":[{"name":"a","quantity":1,"name":"b"}],"x":0}`, []string{
			`lines[0].name: given twice; give it once`,
			`x: unknown property; allowed are ` + names,
		}},
		{`{"title":"a","total":1e309}`, []string{`total: 1e309 is out of range; give a number between -1e308 and 1e308`}},
		{`{"title":"a","total":99e308}`, []string{`total: 99e308 is out of range; give a number between -1e308 and 1e308`}},
		{`{"title":"a","total":1e-1000001}`, []string{`total: 1e-1000001 is out of range; give a number between -1e308 and 1e308`}},
		{`{"title":"a","total":1e99999999999999999999}`, []string{`total: 1e99999999999999999999 is out of range; give a number between -1e308 and 1e308`}},
		{`{"title":"a","cf_n":[0,` + strings.Repeat("9", 65) + `]}`, []string{`cf_n[1]: a number of 65 characters; give at most 64`}},
		{`{"title":"a"} {}`, []string{`trailing data; give one JSON value and nothing after it`}},
		{`{"title":"a"`, []string{`not valid JSON, it ends too early; give one JSON object in valid UTF-8`}},
		{``, []string{`not valid JSON, it ends too early; give one JSON object in valid UTF-8`}},
		{`{"title":"\ud800"}`, []string{`not valid JSON, invalid surrogate pair ` + "`\\ud800\"}`" + ` in string at byte 10; give one JSON object in valid UTF-8`}},
		{`{"title":"a","cf_a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, []string{`nested more than 32 deep; give values as the schema says`}},
		{`{"title":"a","cf_a":[0` + strings.Repeat(",0", 10_000) + `]}`, []string{`more than 10000 values; give far fewer`}},
		{`{"title":"a","code":"` + strings.Repeat("é", 100) + `"}`, []string{`code: got "` + strings.Repeat("é", 40) + `…" (100 characters); give at most 4 characters`}},
	} {
		faults := s.Check([]byte(tt.raw))
		var got []string
		for _, f := range faults {
			got = append(got, f.Error())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Check(%.80s) (-want +got):\n%s", tt.raw, diff)
		}
	}
}

// TestFaultsAreInOrder holds that a long list reads from its first item on.
func TestFaultsAreInOrder(t *testing.T) {
	t.Parallel()
	faults := input(t).Check([]byte(`{"title":"a","tags":["t_"],"lines":[` + strings.Repeat(`{"name":"a","quantity":1},`, 2) + `{"name":"a"},` + strings.Repeat(`{"name":"a","quantity":1},`, 8) + `{"name":"a"}]}`))
	var got []string
	for _, f := range faults {
		got = append(got, f.Path)
		if !f.In("lines") || f.In("line") || f.In("tags") {
			t.Errorf("%s: In(lines) = %t, In(line) = %t", f.Path, f.In("lines"), f.In("line"))
		}
	}
	if diff := cmp.Diff([]string{"lines[2].quantity", "lines[11].quantity"}, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

func TestOutputIsOpen(t *testing.T) {
	t.Parallel()
	s, err := schema.For[order](schema.Output)
	if err != nil {
		t.Fatal(err)
	}
	if faults := s.Check([]byte(`{"title":"a","shelf":null,"new":{"x":1},"lines":[{"name":"a","quantity":1,"more":true}]}`)); len(faults) > 0 {
		t.Errorf("members that nobody declared: %v, want no fault", faults)
	}
	if faults := s.Check([]byte(`{"title":"a","total":"1"}`)); len(faults) != 1 {
		t.Errorf("a member of another type: %v, want 1 fault", faults)
	}
}

// FuzzCheck holds what others build on: nothing panics, and what has no fault decodes.
func FuzzCheck(f *testing.F) {
	for _, raw := range []string{
		`{"title":"a","total":12.50,"lines":[{"name":"x","quantity":1e2}],"cf_a":[1]}`,
		`{"title":"a","title":"b"}`, `{"total":1e-1000001}`, `[[[[`, `{"":{"":[{}]}}`, `{"title":"\u0000","shelf":null}`, `nul`, `{"a b":1,"lines":[0,{"\"":1}]}`,
	} {
		f.Add([]byte(raw))
	}
	s := input(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		faults := s.Check(raw)
		for _, fault := range faults {
			if len(fault.Error()) > 4*80+400 || strings.ContainsFunc(fault.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("Check(%q): a fault that is long or holds control characters: %q", raw, fault.Error())
			}
		}
		var o order
		if err := s.Decode(raw, &o); len(faults) == 0 && err != nil {
			t.Errorf("Check(%q) found no fault, but Decode: %v", raw, err)
		}
	})
}

func Example() {
	type Ticket struct {
		Title    string      `json:"title" jsonschema_description:"What happened"`
		Severity string      `json:"severity,omitempty" jsonschema:"enum=LOW,enum=HIGH"`
		Cost     json.Number `json:"cost,omitempty" jsonschema_extras:"x-aka=amount"`
	}
	s, err := schema.For[Ticket](schema.Input)
	if err != nil {
		panic(err)
	}
	faults := s.Check([]byte(`{"severity":"high","amount":5}`))
	for _, f := range faults {
		fmt.Println(f.Error())
	}
	// Output:
	// amount: unknown property; did you mean cost?
	// severity: got "high"; give one of LOW, HIGH
	// title: missing; give a string (What happened)
}

func BenchmarkCheck(b *testing.B) {
	s := input(b)
	raw := []byte(`{"title":"Northwind rollout","total":25000.50,"rate":0.5,"kind":"BULK","due":"2026-06-30T00:00:00Z","paid":true,"shelf":"s_1","code":"abc","tags":["t_1","t_2"],"lines":[{"name":"a","quantity":1},{"name":"b","quantity":2},{"name":"c","quantity":3}],"cf_a":"x","cf_b":1,"cf_c":["y"]}`)
	b.ReportAllocs()
	for b.Loop() {
		if faults := s.Check(raw); len(faults) > 0 {
			b.Fatal(faults)
		}
	}
}

// BenchmarkHostile is a megabyte of unknown properties, each of which asks to be named.
func BenchmarkHostile(b *testing.B) {
	s := input(b)
	var raw strings.Builder
	raw.WriteString(`{"title":"a"`)
	for i := 0; raw.Len() < 1<<20; i++ {
		fmt.Fprintf(&raw, `,"titel%d":"%s"`, i, strings.Repeat("x", 50))
	}
	raw.WriteString("}")
	body := []byte(raw.String())
	for b.Loop() {
		if faults := s.Check(body); len(faults) == 0 {
			b.Fatal("accepted")
		}
	}
}

func input(tb testing.TB) *schema.Schema {
	tb.Helper()
	s, err := schema.For[order](schema.Input)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func sameJSON(a, b string) bool {
	x, y := jsontext.Value(a), jsontext.Value(b)
	return x.Canonicalize() == nil && y.Canonicalize() == nil && string(x) == string(y)
}

// TestWholeNumbers holds that an int takes what JSON Schema calls an integer, however it is written.
func TestWholeNumbers(t *testing.T) {
	t.Parallel()
	type page struct {
		Limit int `json:"limit" jsonschema:"minimum=-5"`
	}
	s, err := schema.For[page](schema.Input)
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]int{
		`{"limit":10}`: 10, `{"limit":10.0}`: 10, `{"limit":1e1}`: 10, `{"limit":1200e-2}`: 12, `{"limit":-0}`: 0, `{"limit":-5.0}`: -5, `{"limit":9007199254740993}`: 1<<53 + 1,
	} {
		var p page
		if faults := s.Check([]byte(raw)); len(faults) > 0 {
			t.Errorf("Check(%s) = %v, want no fault", raw, faults)
		}
		if err := s.Decode([]byte(raw), &p); err != nil || p.Limit != want {
			t.Errorf("Decode(%s) = %d, %v, want %d", raw, p.Limit, err, want)
		}
	}
	for raw, want := range map[string]string{
		`{"limit":1.5}`:   "limit: got 1.5; give a whole number",
		`{"limit":"ten"}`: `limit: got "ten"; give a whole number`,
		`{}`:              "limit: missing; give a whole number",
	} {
		if faults := s.Check([]byte(raw)); len(faults) != 1 || faults[0].Error() != want {
			t.Errorf("Check(%s) = %v, want %q", raw, faults, want)
		}
	}
	for _, raw := range []string{`{"limit":1e300}`, `{"limit":1e16}`, `{"limit":1e999}`} {
		if err := s.Decode([]byte(raw), new(page)); err == nil {
			t.Errorf("Decode(%s) gave no error, want one: an int cannot hold every digit of it", raw)
		}
	}
}
