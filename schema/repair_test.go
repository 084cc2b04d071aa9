package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine
	"unicode"
	"unicode/utf8"

	"heffl-mcp/schema"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// offer has one property of each kind that can come in a wrong form.
type offer struct {
	Title    string                    `json:"title" jsonschema:"pattern=\\S"`
	Price    json.Number               `json:"price,omitempty"`
	Seats    int                       `json:"seats,omitempty"`
	Close    string                    `json:"close,omitempty" jsonschema:"format=date-time"`
	Priority string                    `json:"priority,omitempty" jsonschema:"enum=LOW,enum=MEDIUM,enum=HIGH"`
	Phase    string                    `json:"phase,omitempty" jsonschema:"enum=In progress,enum=A+,enum=A-,enum=x y,enum=X-Y,enum=ÇOK,enum=1-10"`
	Currency string                    `json:"currency,omitempty" jsonschema:"pattern=^[A-Z]{3}$"`
	Source   string                    `json:"source,omitempty" jsonschema:"pattern=^src_[A-Za-z0-9]+$"`
	Note     string                    `json:"note,omitempty"`
	Paid     *bool                     `json:"paid,omitempty"`
	Stage    *string                   `json:"stage,omitempty" jsonschema:"pattern=^dps_" jsonschema_extras:"x-nullable=true"`
	Level    *string                   `json:"level,omitempty" jsonschema:"enum=GOLD,enum=SILVER" jsonschema_extras:"x-nullable=true"`
	Tags     []string                  `json:"tags,omitempty" jsonschema:"pattern=^t_"`
	Names    []string                  `json:"names,omitempty"`
	Rates    []json.Number             `json:"rates,omitempty"`
	Flags    []bool                    `json:"flags,omitempty"`
	Sizes    []string                  `json:"sizes,omitempty" jsonschema:"enum=S,enum=XL"`
	Grid     [][]json.Number           `json:"grid,omitempty"`
	Address  *address                  `json:"address,omitempty"`
	Lines    []offerLine               `json:"lines,omitempty"`
	Custom   map[string]jsontext.Value `json:",embed" jsonschema:"-" keys:"^cf_"`
}

type address struct {
	City string `json:"city"`
	Zip  string `json:"zip,omitempty"`
}

type offerLine struct {
	Name     string      `json:"name" jsonschema:"pattern=\\S"`
	Quantity json.Number `json:"quantity" jsonschema:"minimum=0"`
	Tax      json.Number `json:"tax,omitempty"`
	Unit     string      `json:"unit,omitempty" jsonschema:"enum=HOUR,enum=DAY"`
}

// TestRepairProperty gives one property in a form that has one reading. Afterwards the document
// has no fault, and every other byte of it is what it was.
func TestRepairProperty(t *testing.T) {
	t.Parallel()
	s := offers(t)
	for _, tt := range []struct{ property, from, to string }{ // to "" is left out
		{"price", `"25000"`, `25000`},
		{"price", `" 25000\n"`, `25000`},
		{"price", `"\u0032\u0035"`, `25`},
		{"price", `"0"`, `0`},
		{"price", `"-0.50"`, `-0.50`},
		{"price", `"1.25"`, `1.25`},
		{"price", `"1.2500"`, `1.2500`},
		{"price", `"1250.500"`, `1250.500`},
		{"price", `"0.125"`, `0.125`},
		{"price", `"1.250e3"`, `1.250e3`},
		{"price", `"1E+2"`, `1E+2`},
		{"price", `"9007199254740993.00000000000000001"`, `9007199254740993.00000000000000001`},
		{"price", `null`, ``},
		{"price", `""`, ``},
		{"seats", `"12"`, `12`},
		{"paid", `"true"`, `true`},
		{"paid", `" false "`, `false`},
		{"paid", `null`, ``},
		{"paid", `""`, ``},
		{"priority", `"high"`, `"HIGH"`},
		{"priority", `" Low "`, `"LOW"`},
		{"priority", `""`, ``},
		{"priority", `null`, ``},
		{"phase", `"IN_PROGRESS"`, `"In progress"`},
		{"phase", `"in-progress"`, `"In progress"`},
		{"phase", `"In  Progress"`, `"In progress"`},
		{"phase", `"a+"`, `"A+"`},
		{"phase", `"çok"`, `"ÇOK"`},
		{"phase", `"1 10"`, `"1-10"`},
		{"level", `"gold"`, `"GOLD"`},
		{"level", `""`, ``},
		{"currency", `"usd"`, `"USD"`},
		{"currency", `" Eur"`, `"EUR"`},
		{"currency", `""`, ``},
		{"source", `""`, ``},
		{"source", `null`, ``},
		{"note", `null`, ``},
		{"stage", `""`, ``},
		{"close", `"2026-06-30"`, `"2026-06-30T00:00:00Z"`},
		{"close", `" 2028-02-29 "`, `"2028-02-29T00:00:00Z"`},
		{"close", `""`, ``},
		{"tags", `"t_a"`, `["t_a"]`},
		{"tags", `" [\"t_a\", \"t_b\"] "`, `["t_a", "t_b"]`},
		{"tags", `"[]"`, `[]`},
		{"tags", `null`, ``},
		{"tags", `""`, ``},
		{"names", `"Sara K."`, `["Sara K."]`},
		{"names", `"5"`, `["5"]`},
		{"names", `"سارة"`, `["سارة"]`},
		{"names", `" a "`, `[" a "]`},
		{"rates", `5.10`, `[5.10]`},
		{"rates", `"5.10"`, `[5.10]`},
		{"rates", `["1", 2.50, " 3 "]`, `[1, 2.50, 3]`},
		{"rates", `"[\"1\", 2.50]"`, `[1, 2.50]`},
		{"rates", `"[1.250]"`, `[1.250]`}, // JSON, where a dot is a dot
		{"flags", `true`, `[true]`},
		{"flags", `"false"`, `[false]`},
		{"sizes", `"xl"`, `["XL"]`},
		{"sizes", `["s","XL"]`, `["S","XL"]`},
		{"grid", `"[[1],[2.0]]"`, `[[1],[2.0]]`},
		{"grid", `[["1"]]`, `[[1]]`},
		{"address", `"{\"city\":\"Oslo\"}"`, `{"city":"Oslo"}`},
		{"address", `{"city":"Oslo","zip":null}`, `{"city":"Oslo"}`},
		{"address", `null`, ``},
		{"lines", `{"name":"a","quantity":1}`, `[{"name":"a","quantity":1}]`},
		{"lines", `{"name":"a","quantity":"1","tax":""}`, `[{"name":"a","quantity":1}]`},
		{"lines", `"{\"name\":\"a\",\"quantity\":1.0}"`, `[{"name":"a","quantity":1.0}]`},
		{"lines", `["{\"name\":\"a\",\"quantity\":1}"]`, `[{"name":"a","quantity":1}]`},
		{"lines", `"[\"{\\\"name\\\":\\\"a\\\",\\\"quantity\\\":\\\"1\\\"}\"]"`, `[{"name":"a","quantity":1}]`},
		{"lines", `[{"tax":null,"name":"a","unit":"day","quantity":"2"},{"name":"b","quantity":1}]`, `[{"name":"a","unit":"DAY","quantity":2},{"name":"b","quantity":1}]`},
		{"lines", `null`, ``},
	} {
		for _, frame := range []struct{ document, member string }{
			{"{\"\\u0074itle\" :\"\\u0061\" ,%s\"cf_n\":[1.50, \"7\"]\n}", `"%s" : %s , `},
			{" {\"title\":\"a\"%s\t} ", ` , "%s":%s`},
		} {
			document := func(value string) string {
				if value == "" {
					return fmt.Sprintf(frame.document, "")
				}
				return fmt.Sprintf(frame.document, fmt.Sprintf(frame.member, tt.property, value))
			}
			raw, want := document(tt.from), document(tt.to)
			got, repairs := repair(s, raw, nil)
			if got != want {
				t.Errorf("Repair(%s) = %s, want %s", raw, got, want)
			}
			if len(repairs) == 0 {
				t.Errorf("Repair(%s) names no repair", raw)
			}
			if faults := s.Check([]byte(got)); len(faults) > 0 {
				t.Errorf("Repair(%s) = %s, which still has %v", raw, got, faults)
			}
		}
	}
}

// TestRepairRefuses gives one property in a form that has no reading, or more than one.
func TestRepairRefuses(t *testing.T) {
	t.Parallel()
	s := offers(t)
	for _, tt := range []struct{ property, value string }{
		{"price", `"$5"`},
		{"price", `"5 USD"`},
		{"price", `"5k"`},
		{"price", `"5%"`},
		{"price", `"1,000"`},
		{"price", `"1,5"`},
		{"price", `"1.250"`},
		{"price", `"-12.500"`},
		{"price", `" 999.999 "`},
		{"price", `"1.250.000"`},
		{"price", `"1 000"`},
		{"price", `"1_000"`},
		{"price", `"1'000"`},
		{"price", `"+5"`},
		{"price", `"05"`},
		{"price", `".5"`},
		{"price", `"5."`},
		{"price", `"0x10"`},
		{"price", `"1e999"`},
		{"price", `"1e-1000001"`},
		{"price", `"` + strings.Repeat("9", 65) + `"`},
		{"price", `"NaN"`},
		{"price", `"Infinity"`},
		{"price", `"٥٠"`},
		{"price", `"５"`},
		{"price", `"5\u00a0"`},
		{"price", `"five"`},
		{"price", `" "`},
		{"price", `"null"`},
		{"price", `"\"5\""`},
		{"price", `true`},
		{"price", `[5]`},
		{"price", `{"amount":5}`},
		{"seats", `"1.0"`},
		{"seats", `"1e2"`},
		{"seats", `1.5`},
		{"paid", `"yes"`},
		{"paid", `"1"`},
		{"paid", `1`},
		{"paid", `"True!"`},
		{"priority", `"urgent"`},
		{"priority", `"HIGH?"`},
		{"priority", `["HIGH"]`},
		{"priority", `" "`},
		{"priority", `3`},
		{"phase", `"a"`},     // not A-: the sign is the value
		{"phase", `"X Y"`},   // x y and X-Y
		{"phase", `"110"`},   // not 1-10
		{"phase", `"-1-10"`}, // nor a negative one
		{"level", `"gold plus"`},
		{"currency", `"us$"`},
		{"currency", `"dollars"`},
		{"currency", `"u s d"`},
		{"currency", `"ußd"`},
		{"currency", `"uſd"`}, // upper case of ſ is S
		{"source", `"SRC_1"`},
		{"source", `" "`},
		{"source", `5`},
		{"title", `""`},
		{"title", `null`},
		{"title", `5`},
		{"note", `5`},
		{"close", `"tomorrow"`},
		{"close", `"06/30/2026"`},
		{"close", `"30.06.2026"`},
		{"close", `"2026-6-30"`},
		{"close", `"20260630"`},
		{"close", `"2026-06"`},
		{"close", `"2026-02-30"`},
		{"close", `"2026-13-01"`},
		{"close", `"2026-06-30T12:00"`},
		{"close", `"2026-06-30 12:00:00"`},
		{"close", `1782777600`},
		{"tags", `5`},
		{"tags", `true`},
		{"tags", `[null]`},
		{"tags", `[""]`},
		{"tags", `{"id":"t_a"}`},
		{"tags", `"t_a, t_b"`},
		{"tags", `"t_a;t_b"`},
		{"tags", `"t_a\nt_b"`},
		{"tags", `"['t_a']"`},
		{"tags", `"[\"t_a\""`},
		{"tags", `"\"t_a\""`},
		{"tags", `" "`},
		{"names", `"Smith, Sara"`},
		{"names", `"سارة، علي"`},
		{"rates", `"1.250"`},
		{"rates", `"1, 2"`},
		{"rates", `true`},
		{"rates", `[null]`},
		{"sizes", `["M"]`},
		{"grid", `5`},
		{"grid", `"5"`},
		{"grid", `[1,2]`}, // [[1,2]] or [[1],[2]]
		{"address", `"Oslo"`},
		{"address", `"[\"Oslo\"]"`},
		{"address", `"{'city':'Oslo'}"`},
		{"address", `"{\"city\":\"Oslo\",\"city\":\"Rome\"}"`},
		{"address", `"{\"city\":\"Oslo\"} {}"`},
		{"address", `"` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `"`},
		{"address", `"\"{\\\"city\\\":\\\"Oslo\\\"}\""`}, // as text twice
		{"address", `{"city":null}`},
		{"address", `{"zip":""}`},
		{"lines", `"onboarding"`},
		{"lines", `["onboarding"]`},
		{"lines", `[{"name":"a","quantity":null}]`},
		{"lines", `[null]`},
		{"other", `"5"`},
		{"prize", `"5"`}, // never renamed
	} {
		raw := fmt.Sprintf(`{"cf_n":"5","%s": %s}`, tt.property, tt.value)
		if tt.property != "title" {
			raw = `{"title":"a",` + raw[1:]
		}
		faults := s.Check([]byte(raw))
		got, repairs := s.Repair([]byte(raw), faults, nil)
		if len(faults) == 0 || string(got) != raw || repairs != nil {
			t.Errorf("Repair(%s) = %s, %v with faults %v, want it as it was", raw, got, repairs, faults)
		}
	}
}

// TestRepairKeepsRequired: what must be there is not left out, and nothing does not become a list.
func TestRepairKeepsRequired(t *testing.T) {
	t.Parallel()
	s, err := schema.For[struct {
		Labels []string    `json:"labels"`
		Count  json.Number `json:"count"`
	}](schema.Input)
	if err != nil {
		t.Fatal(err)
	}
	for _, nothing := range []string{`null`, `""`} {
		raw := `{"labels":` + nothing + `,"count":` + nothing + `}`
		if got, repairs := repair(s, raw, nil); got != raw {
			t.Errorf("Repair(%s) = %s, %v, want it as it was", raw, got, repairs)
		}
	}
}

// TestRepair holds the sentences, and what becomes of several faults in one document.
func TestRepair(t *testing.T) {
	t.Parallel()
	s := offers(t)
	for _, tt := range []struct {
		raw, want string
		repairs   []string
		left      []string // faults that the repaired document has
	}{
		{
			raw:  `{"title":"a","price":"25000","close":"2026-06-30","priority":" high","source":null,"currency":"usd"}`,
			want: `{"title":"a","price":25000,"close":"2026-06-30T00:00:00Z","priority":"HIGH","currency":"USD"}`,
			repairs: []string{
				`price: read "25000" as 25000`,
				`close: read "2026-06-30" as "2026-06-30T00:00:00Z"`,
				`priority: read " high" as "HIGH"`,
				`source: read null as not given`,
				`currency: read "usd" as "USD"`,
			},
		},
		{
			raw:  `{"title":"a","tags":"t_a","lines":"[{\"name\":\"a\",\"quantity\":\"2\",\"unit\":\"\"}]"}`,
			want: `{"title":"a","tags":["t_a"],"lines":[{"name":"a","quantity":2}]}`,
			repairs: []string{
				`tags: read "t_a" as ["t_a"]`,
				`lines: read "[{\"name\":\"a\",\"quantity\":\"2\",\"unit\":\"\"}]" as [{"name":"a","quantity":"2","unit":""}]`,
				`lines[0].quantity: read "2" as 2`,
				`lines[0].unit: read "" as not given`,
			},
		},
		{ // the whole document as text
			raw:     `"{\"title\":\"a\",\"price\":\"5\"}"`,
			want:    `{"title":"a","price":5}`,
			repairs: []string{`read "{\"title\":\"a\",\"price\":\"5\"}" as {"title":"a","price":"5"}`, `price: read "5" as 5`},
		},
		{ // text in text in text
			raw:  text(`{"title":"a","lines":` + text(`[`+text(`{"name":"a","quantity":"1","tax":"0.5"}`)+`]`) + `}`),
			want: `{"title":"a","lines":[{"name":"a","quantity":1,"tax":0.5}]}`,
			repairs: []string{
				`read "{\"title\":\"a\",\"lines\":\"[\\\"{\\\\\\\"name\\\\\\\":\\\\\\\"a\\\\\\\",\\\\\\\"quantity\\\\\\\":\\\\\\\"1\\\\\\\",\\\\\\\"…" (105 characters) as an object`,
				`lines: read "[\"{\\\"name\\\":\\\"a\\\",\\\"quantity\\\":\\\"1\\\",\\\"tax\\\":\\\"0.5\\\"}\"]" as ["{\"name\":\"a\",\"quantity\":\"1\",\"tax\":\"0.5\"}"]`,
				`lines[0]: read "{\"name\":\"a\",\"quantity\":\"1\",\"tax\":\"0.5\"}" as {"name":"a","quantity":"1","tax":"0.5"}`,
				`lines[0].quantity: read "1" as 1`,
				`lines[0].tax: read "0.5" as 0.5`,
			},
		},
		{ // the whole document as text twice over
			raw:  text(text(`{"title":"a"}`)),
			want: text(text(`{"title":"a"}`)),
			left: []string{`got "\"{\\\"title\\\":\\\"a\\\"}\""; give an object with title, price, seats, close, priority, phase, currency, source, note, paid, stage, level, tags, names, rates, flags, sizes, grid, address, lines, cf_*`},
		},
		{ // null and "" where they are values
			raw:  `{"title":"a","stage":null,"level":null,"note":"","cf_a":"","cf_b":null}`,
			want: `{"title":"a","stage":null,"level":null,"note":"","cf_a":"","cf_b":null}`,
		},
		{ // members go from the front, the middle and the end
			raw:     `{"price":"","seats":null,"title":"a","paid":"","note":"x","source":null,"tags":""}`,
			want:    `{"title":"a","note":"x"}`,
			repairs: []string{`price: read "" as not given`, `seats: read null as not given`, `paid: read "" as not given`, `source: read null as not given`, `tags: read "" as not given`},
		},
		{ // nothing stays
			raw:     `{ "price":null , "paid":null }`,
			want:    `{  }`,
			repairs: []string{`price: read null as not given`, `paid: read null as not given`},
			left:    []string{`title: missing; give a non-empty string`},
		},
		{ // repaired and refused side by side
			raw:     `{"title":"a","price":"5","close":"tomorrow","amount":"7","lines":[{"name":"a","quantity":"-1"}]}`,
			want:    `{"title":"a","price":5,"close":"tomorrow","amount":"7","lines":[{"name":"a","quantity":-1}]}`,
			repairs: []string{`price: read "5" as 5`, `lines[0].quantity: read "-1" as -1`},
			left: []string{
				`amount: unknown property; allowed are title, price, seats, close, priority, phase, currency, source, note, paid, stage, level, tags, names, rates, flags, sizes, grid, address, lines, cf_*`,
				`close: got "tomorrow"; give an RFC 3339 date-time such as 2026-06-30T00:00:00Z`,
				`lines[0].quantity: got -1; give a number of at least 0`,
			},
		},
		{ // text that is an array, of what it must not hold
			raw:     `{"title":"a","tags":"[\"t_a\",null,\"\"]"}`,
			want:    `{"title":"a","tags":["t_a",null,""]}`,
			repairs: []string{`tags: read "[\"t_a\",null,\"\"]" as ["t_a",null,""]`},
			left:    []string{`tags[1]: got null; give a non-empty string`, `tags[2]: got ""; give a non-empty string`},
		},
		{ // one name for a list: that it is not allowed in it is said of the item
			raw:     `{"title":"a","tags":"VIP"}`,
			want:    `{"title":"a","tags":["VIP"]}`,
			repairs: []string{`tags: read "VIP" as ["VIP"]`},
			left:    []string{`tags[0]: got "VIP"; give a non-empty string`},
		},
		{ // one key twice: nothing is touched
			raw:  `{"title":"a","price":"5","price":"6"}`,
			want: `{"title":"a","price":"5","price":"6"}`,
			left: []string{`price: given twice; give it once`, `price: got "6"; give a JSON number`},
		},
		{
			raw:  `{"title":"a","price":"5","seats":1e999}`,
			want: `{"title":"a","price":"5","seats":1e999}`,
			left: []string{`price: got "5"; give a JSON number`, `seats: 1e999 is out of range; give a number between -1e308 and 1e308`},
		},
		{
			raw:  `{"title":"a","price":"5"`,
			want: `{"title":"a","price":"5"`,
			left: []string{`not valid JSON, it ends too early; give one JSON object in valid UTF-8`},
		},
		{ // text that is not too deep until it is unpacked
			raw:  `{"title":"a","lines":[{"name":"a","quantity":"1","tax":` + text(strings.Repeat("[", 31)+strings.Repeat("]", 31)) + `}],"address":` + text(strings.Repeat(`{"city":`, 32)+`"x"`+strings.Repeat("}", 32)) + `}`,
			want: `{"title":"a","lines":[{"name":"a","quantity":"1","tax":` + text(strings.Repeat("[", 31)+strings.Repeat("]", 31)) + `}],"address":` + text(strings.Repeat(`{"city":`, 32)+`"x"`+strings.Repeat("}", 32)) + `}`,
			left: []string{
				`address: got "` + strings.Repeat(`{\"city\":`, 10) + `…" (291 characters); give an object with city, zip`,
				`lines[0].quantity: got "1"; give a JSON number`,
				`lines[0].tax: got "` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `"; give a JSON number`,
			},
		},
	} {
		got, repairs := repair(s, tt.raw, nil)
		if got != tt.want {
			t.Errorf("Repair(%s) =\n%s, want\n%s", tt.raw, got, tt.want)
		}
		var words, left []string
		for _, r := range repairs {
			words = append(words, r.String())
		}
		if diff := cmp.Diff(tt.repairs, words); diff != "" {
			t.Errorf("repairs of %s (-want +got):\n%s", tt.raw, diff)
		}
		faults := s.Check([]byte(got))
		for _, f := range faults {
			left = append(left, f.Error())
		}
		if diff := cmp.Diff(tt.left, left); diff != "" {
			t.Errorf("faults of %s (-want +got):\n%s", got, diff)
		}
	}
}

// TestRepairDay holds a day to the clocks of its zone.
func TestRepairDay(t *testing.T) {
	t.Parallel()
	s := offers(t)
	for _, tt := range []struct{ zone, day, want string }{ // want "": refused
		{"UTC", "2026-06-30", "2026-06-30T00:00:00Z"},
		{"Asia/Dubai", "2026-06-30", "2026-06-30T00:00:00+04:00"},
		{"America/New_York", "2026-06-30", "2026-06-30T00:00:00-04:00"},
		{"America/New_York", "2026-12-31", "2026-12-31T00:00:00-05:00"},
		{"Asia/Kathmandu", "2026-06-30", "2026-06-30T00:00:00+05:45"},
		{"Pacific/Kiritimati", "2026-06-30", "2026-06-30T00:00:00+14:00"},
		{"Europe/Berlin", "2026-03-29", "2026-03-29T00:00:00+01:00"},     // clocks change later that day
		{"Europe/Berlin", "2026-03-30", "2026-03-30T00:00:00+02:00"},     // and have changed
		{"Africa/Cairo", "2023-04-28", "2023-04-28T01:00:00+03:00"},      // clocks skip 00:00 to 01:00
		{"Asia/Beirut", "2022-03-27", "2022-03-27T01:00:00+03:00"},       // likewise
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T01:00:00-02:00"}, // likewise, west of Greenwich
		{"America/Havana", "2022-11-06", "2022-11-06T00:00:00-04:00"},    // 00:00 comes twice
		{"Africa/Cairo", "2023-10-27", "2023-10-27T00:00:00+02:00"},      // clocks go back to the day before
		{"Pacific/Apia", "2011-12-30", ""},                               // a day that Samoa left out
		{"Pacific/Apia", "2011-12-31", "2011-12-31T00:00:00+14:00"},
		{"Africa/Monrovia", "1960-01-01", ""}, // 44 minutes and 30 seconds behind: not in RFC 3339
		{"UTC", "0000-01-01", "0000-01-01T00:00:00Z"},
		{"UTC", "9999-12-31", "9999-12-31T00:00:00Z"},
		{"UTC", "2026-02-29", ""},
	} {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		raw := fmt.Sprintf(`{"title":"a","close":%q}`, tt.day)
		want := raw
		if tt.want != "" {
			want = fmt.Sprintf(`{"title":"a","close":%q}`, tt.want)
		}
		got, _ := repair(s, raw, zone)
		if got != want {
			t.Errorf("Repair(%s) in %s = %s, want %s", raw, tt.zone, got, want)
		}
	}
}

// TestRepairOfOtherFaults: faults that are not of the document change nothing in it.
func TestRepairOfOtherFaults(t *testing.T) {
	t.Parallel()
	s := offers(t)
	for _, raw := range []string{``, `{`, `{"price":"5"`, `nul`, `{"title":"a"}`, `{"price":"5","price":"5"}`} {
		got, repairs := s.Repair([]byte(raw), []schema.Fault{{Path: "price", Keyword: "type"}}, nil)
		if string(got) != raw || repairs != nil {
			t.Errorf("Repair(%s, a fault of price) = %s, %v, want it as it was", raw, got, repairs)
		}
	}
}

// FuzzRepair holds, for any document: a valid one is not touched; what is repaired is named, and
// nothing else differs; a second repair finds nothing more to do.
func FuzzRepair(f *testing.F) {
	for _, raw := range []string{
		`{"title":"a","price":"5","lines":"[{\"name\":\"a\",\"quantity\":\"1\"}]","cf_a":[1.50]}`,
		`{"title":"a","tags":"t_a","rates":"5","paid":"true","close":"2026-06-30","source":null,"currency":"usd"}`,
		`"{\"title\":\"a\"}"`, `{"title":"a","price":"1.250"}`, `{"price":null,"x\ny":{"":[1]},"grid":[[],"1"]}`, `{"title":"a","lines":[{},{"unit":""}]}`,
		`{"title":"a","title":"b","price":"5"}`, `{"a":`, `{"names":"[","sizes":"s","phase":"x-y","level":"","stage":""}`,
	} {
		f.Add([]byte(raw))
	}
	s := offers(f)
	zone := time.FixedZone("", -(3*60+30)*60)
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		faults := s.Check(raw)
		got, repairs := s.Repair(raw, faults, zone)
		if !bytes.Equal(raw, before) {
			t.Fatalf("Repair(%q) wrote into its argument: %q", before, raw)
		}
		if len(repairs) == 0 {
			if !bytes.Equal(got, raw) {
				t.Errorf("Repair(%q) = %q and names no repair", raw, got)
			}
			return
		}
		if len(faults) == 0 {
			t.Errorf("Repair(%q) = %q, %v, though it is valid", raw, got, repairs)
		}
		for _, r := range repairs {
			if words := r.String(); len(words) > 1500 || strings.ContainsFunc(words, unicode.IsControl) || !utf8.ValidString(words) {
				t.Errorf("Repair(%q): words that are long or hold control characters: %q", raw, words)
			}
		}
		left := s.Check(got)
		for _, fault := range left {
			if fault.Keyword == "json" {
				t.Errorf("Repair(%q) = %q, which is broken: %v", raw, got, fault)
			}
		}
		if again, more := s.Repair(got, left, zone); len(more) > 0 || !bytes.Equal(again, got) {
			t.Errorf("Repair(%q) = %q, and once more %q, %v", raw, got, again, more)
		}
		if diff := cmp.Diff(leaves(t, raw, repairs), leaves(t, got, repairs)); diff != "" {
			t.Errorf("Repair(%q) changed more than %v (-before +after):\n%s", raw, repairs, diff)
		}
	})
}

// jsonNumber is the number of RFC 8259, grouped what may be one with dots between thousands.
var (
	jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?$`)
	grouped    = regexp.MustCompile(`^-?[1-9][0-9]{0,2}(\.[0-9]{3})+$`)
)

// FuzzRepairNumber: text is read as a number if it is one to the letter, and with its own digits.
func FuzzRepairNumber(f *testing.F) {
	for _, text := range []string{"5", " -0.10 ", "1.250", "1,000", "1e5", "0x1F", "٥", "1.25e+1", "--1", "1.2.3"} {
		f.Add(text)
	}
	s := offers(f)
	f.Fuzz(func(t *testing.T, number string) {
		if !utf8.ValidString(number) || len(number) > 64 || number == "" {
			return
		}
		digits := strings.Trim(number, " \t\r\n")
		raw := `{"title":"a","price":` + text(number) + `}`
		want := raw
		if jsonNumber.MatchString(digits) && !grouped.MatchString(digits) {
			want = `{"title":"a","price":` + digits + `}`
		}
		if strings.ContainsAny(digits, "eE") && !jsonNumber.MatchString(digits) {
			return // an exponent of more digits is for the table
		}
		if got, repairs := repair(s, raw, nil); got != want {
			t.Errorf("Repair(%s) = %s, %v, want %s", raw, got, repairs, want)
		}
	})
}

// FuzzRepairUndoes makes a valid document, damages it in every way that has one reading, and
// wants it back letter for letter.
func FuzzRepairUndoes(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	s := offers(f)
	f.Fuzz(func(t *testing.T, seed uint64) {
		d := damager{rand.New(rand.NewPCG(seed, 0))}
		right, wrong := d.offer()
		if faults := s.Check([]byte(right)); len(faults) > 0 {
			t.Fatalf("the document that is to be damaged has faults: %s: %v", right, faults)
		}
		if got, repairs := repair(s, wrong, nil); got != right {
			t.Errorf("Repair(%s) =\n%s, %v, want\n%s", wrong, got, repairs, right)
		}
	})
}

// A damager makes JSON values twice: as they should be, and as they may come.
type damager struct{ *rand.Rand }

func (d damager) offer() (right, wrong string) {
	title := `"title":"ä \u0041"`
	return d.object(title, title, map[string]func() (string, string){
		"price": d.number,
		"seats": func() (string, string) { n := strconv.Itoa(d.IntN(1000)); return n, d.either(n, text(n)) },
		"close": func() (string, string) {
			day := time.Unix(d.Int64N(4e9), 0).UTC().Format(time.DateOnly)
			return text(day + "T00:00:00Z"), d.either(text(day), text(day+" "))
		},
		"priority": func() (string, string) { return `"HIGH"`, d.either(`"high"`, `"High "`, `"HIGH"`) },
		"phase":    func() (string, string) { return `"In progress"`, d.either(`"in_progress"`, `"IN-PROGRESS"`) },
		"currency": func() (string, string) { return `"EUR"`, d.either(`"eur"`, `" Eur"`) },
		"paid":     func() (string, string) { return "false", d.either(`"false"`, "false") },
		"stage":    func() (string, string) { return "null", "null" },
		"names":    func() (string, string) { return d.list(func() (string, string) { return `"Åsa B."`, `"Åsa B."` }) },
		"rates":    func() (string, string) { return d.list(d.number) },
		"lines":    func() (string, string) { return d.list(d.line) },
		"cf_x":     func() (string, string) { return `["1",1.50]`, `["1",1.50]` },
	})
}

func (d damager) line() (right, wrong string) {
	right, wrong = d.number()
	return d.object(`"name":"a","quantity":`+right, `"name":"a","quantity":`+wrong, map[string]func() (string, string){
		"tax":  d.number,
		"unit": func() (string, string) { return `"DAY"`, `"day"` },
	})
}

func (d damager) number() (right, wrong string) {
	n := d.either("0", "5", "25000", "1.25", "1250.500", "0.125", "12e3", strconv.Itoa(d.Int()), fmt.Sprintf("%d.%02d", d.IntN(1e6), d.IntN(100)))
	return n, d.either(n, text(n), text(" "+n+"\t"))
}

// list is a list of one or more, which may come as text, and a list of one as its only item.
func (d damager) list(one func() (string, string)) (right, wrong string) {
	right, wrong = one()
	n := 1 + d.IntN(3)
	if n == 1 {
		return "[" + right + "]", d.either(wrong, "["+wrong+"]", text("["+wrong+"]"))
	}
	for range n - 1 {
		r, w := one()
		right, wrong = right+","+r, wrong+","+w
	}
	return "[" + right + "]", d.either("["+wrong+"]", text("["+wrong+"]"))
}

// object adds some of the members to an object, which may come as text; of those that are not
// given some come as null.
func (d damager) object(right, wrong string, members map[string]func() (string, string)) (string, string) {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch r, w := members[name](); d.IntN(3) {
		case 0:
			right, wrong = right+`,"`+name+`":`+r, wrong+`,"`+name+`":`+w
		case 1:
			if r != "null" && !strings.HasPrefix(name, "cf_") {
				wrong = d.either(wrong+`,"`+name+`":null`, `"`+name+`":null,`+wrong)
			}
		}
	}
	return "{" + right + "}", d.either("{"+wrong+"}", text("{"+wrong+"}"))
}

func (d damager) either(forms ...string) string { return forms[d.IntN(len(forms))] }

func ExampleSchema_Repair() {
	type Ticket struct {
		Title    string      `json:"title"`
		Severity string      `json:"severity,omitempty" jsonschema:"enum=LOW,enum=HIGH"`
		Cost     json.Number `json:"cost,omitempty"`
		Labels   []string    `json:"labels,omitempty"`
	}
	s, err := schema.For[Ticket](schema.Input)
	if err != nil {
		panic(err)
	}
	raw := []byte(`{"title":"Leak","severity":"high","cost":"12.50","labels":null}`)
	faults := s.Check(raw)
	raw, repairs := s.Repair(raw, faults, time.UTC)
	fmt.Println(string(raw))
	for _, r := range repairs {
		fmt.Println(r)
	}
	// Output:
	// {"title":"Leak","severity":"HIGH","cost":12.50}
	// severity: read "high" as "HIGH"
	// cost: read "12.50" as 12.50
	// labels: read null as not given
}

// BenchmarkRepair is a document with three values to repair.
func BenchmarkRepair(b *testing.B) {
	s := offers(b)
	raw := []byte(`{"title":"Northwind rollout","price":"25000.50","close":"2026-06-30","priority":"high","currency":"USD","paid":true,"stage":"dps_1","tags":["t_1","t_2"],"lines":[{"name":"a","quantity":1},{"name":"b","quantity":2},{"name":"c","quantity":3}],"cf_a":"x","cf_b":1,"cf_c":["y"]}`)
	faults := s.Check(raw)
	b.ReportAllocs()
	for b.Loop() {
		if _, repairs := s.Repair(raw, faults, nil); len(repairs) != 3 {
			b.Fatal(repairs)
		}
	}
}

// BenchmarkRepairHostile is a megabyte of values that all ask to be repaired.
func BenchmarkRepairHostile(b *testing.B) {
	s := offers(b)
	raw := []byte(`{"title":"a","rates":["1"` + strings.Repeat(`,"`+strings.Repeat("9", 60)+strings.Repeat(" ", 980)+`"`, maxRepairs-1) + `]}`)
	faults := s.Check(raw)
	for b.Loop() {
		if _, repairs := s.Repair(raw, faults, nil); len(repairs) != maxRepairs {
			b.Fatal(len(repairs))
		}
	}
}

// maxRepairs is how many faults of one document are put right.
const maxRepairs = 1000

// TestRepairHasAnEnd holds that a document that is wrong in very many places is left as it is, however right each would
// be to put.
func TestRepairHasAnEnd(t *testing.T) {
	t.Parallel()
	s := offers(t)
	for _, n := range []int{maxRepairs, maxRepairs + 1} {
		raw := `{"title":"a","rates":["1"` + strings.Repeat(`,"2"`, n-1) + `]}`
		want := n
		if n > maxRepairs {
			want = 0
		}
		if got, repairs := repair(s, raw, nil); len(repairs) != want || want == 0 && got != raw {
			t.Errorf("Repair of %d faults made %d repairs, want %d", n, len(repairs), want)
		}
	}
}

func offers(tb testing.TB) *schema.Schema {
	tb.Helper()
	s, err := schema.For[offer](schema.Input)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func repair(s *schema.Schema, raw string, day *time.Location) (string, []schema.Repair) {
	faults := s.Check([]byte(raw))
	got, repairs := s.Repair([]byte(raw), faults, day)
	return string(got), repairs
}

// text is a string as JSON.
func text(s string) string {
	raw, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// leaves are the values of a document as they are written, by path, but for those at or under the
// path of a repair; an array or object is there as its first character.
func leaves(t *testing.T, raw []byte, repairs []schema.Repair) map[string]string {
	t.Helper()
	found := map[string]string{}
	var walk func(path string, v jsontext.Value)
	walk = func(path string, v jsontext.Value) {
		if slices.ContainsFunc(repairs, func(r schema.Repair) bool { return r.Path == path }) {
			return
		}
		switch v.Kind() {
		case '{':
			found[path] = "{"
			d := jsontext.NewDecoder(bytes.NewReader(v))
			d.ReadToken()
			for d.PeekKind() == '"' {
				key, _ := d.ReadToken()
				step := key.String()
				if regexp.MustCompile(`[^A-Za-z0-9_-]|^$`).MatchString(step) {
					step = "[" + strconv.Quote(step) + "]"
				} else if path != "" {
					step = "." + step
				}
				member, err := d.ReadValue()
				if err != nil {
					t.Fatal(err)
				}
				walk(path+step, member.Clone())
			}
		case '[':
			found[path] = "["
			var items []jsontext.Value
			if err := json.Unmarshal(v, &items); err != nil {
				t.Fatal(err)
			}
			for i, v := range items {
				walk(fmt.Sprintf("%s[%d]", path, i), v)
			}
		default:
			found[path] = string(v)
		}
	}
	var whole jsontext.Value
	if err := json.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	walk("", whole)
	return found
}
