package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"heffl-mcp/schema"

	validator "github.com/santhosh-tekuri/jsonschema/v6"
)

// FuzzGuard holds the guard to what encoding/json makes of the same bytes, read token by token: it lets through what has one
// meaning and is of an honest size, and nothing else.
func FuzzGuard(f *testing.F) {
	for _, raw := range []string{
		`{"title":"a"}`, ` {"title" : "a" } `, `{"title":"a"}{}`, `{"title":"a","title":"b"}`, `{"a":{"b":1,"\u0062":2}}`, "{\"title\":\"\xff\"}", `{"title":"\ud800"}`, `{"title":"\ud83d\ude00"}`,
		`{"total":1e308}`, `{"total":1e309}`, `{"total":1e-308}`, `{"total":1e-309}`, `{"total":0e-309}`, `{"total":0e999}`, `{"total":` + strings.Repeat("1", 64) + `}`, `{"total":` + strings.Repeat("1", 65) + `}`,
		strings.Repeat("[", 32) + strings.Repeat("]", 32), strings.Repeat("[", 33) + strings.Repeat("]", 33), strings.Repeat(`{"a":`, 32) + `1` + strings.Repeat("}", 32), `[1,]`, `01`, "\ufeff{}", ``, `nul`, `"\u0000"`,
	} {
		f.Add([]byte(raw))
	}
	s := input(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		faults := s.Check(raw)
		refused := slices.ContainsFunc(faults, func(f schema.Fault) bool { return f.Keyword == "json" })
		if fine, why := honest(raw); fine == refused {
			t.Errorf("Check(%q) = %v; want it refused as JSON: %t (%s)", raw, faults, !fine, why)
		}
	})
}

// honest says whether raw is one JSON document as a guard should let through, and if not, why.
func honest(raw []byte) (fine bool, why string) {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return false, "no JSON in UTF-8"
	}
	if loneSurrogate(raw) {
		return false, "half a surrogate pair"
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var names []map[string]bool // of the objects that are open; nil for an array
	values, key := 0, true
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return values <= 10_000, "too many values"
		}
		if err != nil {
			return false, err.Error()
		}
		in := len(names) > 0 && names[len(names)-1] != nil
		if name, text := token.(string); text && in && key {
			if names[len(names)-1][name] {
				return false, "a name twice"
			}
			names[len(names)-1][name] = true
			key = false
			continue
		}
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{':
				names, values = append(names, map[string]bool{}), values+1
			case '[':
				names, values = append(names, nil), values+1
			default:
				names = names[:len(names)-1]
			}
			if len(names) > 32 {
				return false, "too deep"
			}
		case json.Number:
			values++
			_, exponent, _ := strings.Cut(strings.ToLower(string(v)), "e")
			n, err := strconv.Atoi(strings.TrimPrefix(exponent, "+"))
			f, overflow := strconv.ParseFloat(string(v), 64)
			if len(v) > 64 || overflow != nil || f == 0 && exponent != "" && (err != nil || n < -308) {
				return false, "a number out of range"
			}
		default:
			values++
		}
		key = true
	}
}

var escape = regexp.MustCompile(`\\(u[0-9a-fA-F]{4}|.)`)

// loneSurrogate says whether a string in valid JSON has an escape that is half of a pair.
func loneSurrogate(raw []byte) bool {
	escapes := escape.FindAllSubmatchIndex(raw, -1)
	code := func(i int) (n uint64, end int) {
		if i >= len(escapes) || raw[escapes[i][2]] != 'u' {
			return 0, 0
		}
		n, _ = strconv.ParseUint(string(raw[escapes[i][2]+1:escapes[i][3]]), 16, 16)
		return n, escapes[i][1]
	}
	for i := 0; i < len(escapes); i++ {
		n, end := code(i)
		switch {
		case n >= 0xdc00 && n < 0xe000:
			return true
		case n >= 0xd800 && n < 0xdc00:
			if next, _ := code(i + 1); next < 0xdc00 || next >= 0xe000 || escapes[i+1][0] != end {
				return true
			}
			i++
		}
	}
	return false
}

// FuzzCheckSays holds that a document has a fault where the validator, asked with what is advertised, finds one, and not
// otherwise: what Check puts in words is not lost on the way.
func FuzzCheckSays(f *testing.F) {
	for _, raw := range []string{
		`{"title":"a"}`, `{"title":" "}`, `{}`, `[]`, `{"title":"a","x":1}`, `{"title":"a","total":-1}`, `{"title":"a","rate":1.5}`, `{"title":"a","tags":["x"]}`, `{"title":"a","tags":[]}`,
		`{"title":"a","lines":[{"name":"a","quantity":1},{"name":"b"}]}`, `{"title":"a","cf_a":{}}`, `{"title":"a","shelf":"x","code":"a","kind":"x","paid":0}`, `{"title":"a","due":"2026-02-30T00:00:00Z"}`,
	} {
		f.Add([]byte(raw))
	}
	s := input(f)
	// Of what nobody sees, a control character say, more is refused than a client's engine knows: see visiblePattern.
	seen := bytes.ReplaceAll(s.JSON(), []byte(`"\\S"`), []byte(`"[^\\s\\p{Z}\\p{C}]"`))
	doc, err := validator.UnmarshalJSON(bytes.NewReader(seen))
	if err != nil {
		f.Fatal(err)
	}
	c := validator.NewCompiler()
	c.DefaultDraft(validator.Draft2020)
	if err := c.AddResource("mem:///order.json", doc); err != nil {
		f.Fatal(err)
	}
	advertised, err := c.Compile("mem:///order.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if fine, _ := honest(raw); !fine {
			return
		}
		v, err := validator.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := v.(map[string]any); ok {
			if m["shelf"] == nil {
				delete(m, "shelf") // advertised without its null
			}
			if due, ok := m["due"].(string); ok && !rfc3339(due) {
				delete(m, "due")
				m["due"] = 0 // a format is advertised, and not asserted here
			}
		}
		faults := s.Check(raw)
		if err := advertised.Validate(v); (err == nil) != (len(faults) == 0) {
			t.Errorf("Check(%q) = %v, but the validator: %v", raw, faults, err)
		}
	})
}

var dateTime = regexp.MustCompile(`^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// rfc3339 reads a date-time by the letter of RFC 3339, in upper case, without leap seconds.
func rfc3339(text string) bool {
	m := dateTime.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	part := func(i int) int { n, _ := strconv.Atoi(m[i]); return n }
	day := time.Date(part(1), time.Month(part(2)), part(3), 0, 0, 0, 0, time.UTC)
	return part(1) > 0 && day.Year() == part(1) && int(day.Month()) == part(2) && day.Day() == part(3)
}

// FuzzDateTime holds that a date-time is taken if it is one to the letter.
func FuzzDateTime(f *testing.F) {
	for _, text := range []string{
		"2026-06-30T00:00:00Z", "2026-06-30T00:00:00.123456789+04:00", "2026-02-29T00:00:00Z", "2024-02-29T23:59:59-12:59", "2026-06-30T24:00:00Z", "2026-06-30T00:00:60Z", "2026-06-30T00:00:00+24:00",
		"2026-06-30T00:00:00+23:60", "2026-06-30 00:00:00Z", "2026-06-30t00:00:00z", "0000-01-01T00:00:00Z", "2026-06-30T00:00:00,5Z", "2026-06-30T00:00:00.Z", "2026-6-30T00:00:00Z", "2026-06-30T0:00:00Z", "+026-06-30T00:00:00Z",
	} {
		f.Add(text)
	}
	s := input(f)
	f.Fuzz(func(t *testing.T, due string) {
		if !utf8.ValidString(due) {
			return
		}
		raw := `{"title":"a","due":` + text(due) + `}`
		if faults := s.Check([]byte(raw)); (len(faults) == 0) != rfc3339(due) {
			t.Errorf("Check(%s) = %v; is it RFC 3339: %t", raw, faults, rfc3339(due))
		}
	})
}

// zones have had their clocks put back or forward over midnight, or a day taken out.
var zones = []string{"UTC", "Asia/Dubai", "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia", "America/St_Johns", "Africa/Cairo", "Atlantic/Azores", "Africa/Monrovia", "America/Havana"}

// FuzzDay holds that a day becomes its first instant in the zone: that is of the day, and the second before it is of an
// earlier one. A day that the zone has not had stays as it is.
func FuzzDay(f *testing.F) {
	for i, day := range []string{"2026-06-30", "2026-02-29", "2018-11-04", "2022-03-27", "2011-12-30", "1988-04-03", "2023-04-28", "2025-10-26", "1972-01-07", "2026-11-01", "0001-01-01", "9999-12-31"} {
		f.Add(day, uint8(i))
	}
	s := input(f)
	f.Fuzz(func(t *testing.T, day string, zone uint8) {
		at, err := time.LoadLocation(zones[int(zone)%len(zones)])
		if err != nil {
			t.Skip(err)
		}
		utc, err := time.Parse(time.DateOnly, day)
		if err != nil || utc.Year() < 1900 || utc.Year() > 2100 {
			return // offsets of whole minutes, and what clocks do, are for these years
		}
		raw := []byte(`{"title":"a","due":` + text(day) + `}`)
		faults := s.Check(raw)
		got, _ := s.Repair(raw, faults, at)
		var o struct{ Due string }
		if err := json.Unmarshal(got, &o); err != nil {
			t.Fatal(err)
		}
		had := false // whether the zone had the day
		for instant := utc.Add(-30 * time.Hour); instant.Before(utc.Add(54 * time.Hour)); instant = instant.Add(15 * time.Minute) {
			had = had || instant.In(at).Format(time.DateOnly) == day
		}
		first, err := time.Parse(time.RFC3339, o.Due)
		switch {
		case !had || err != nil && wholeMinutes(utc, at):
			if had || err == nil {
				t.Errorf("%s in %v became %s; had the zone that day: %t", day, at, o.Due, had)
			}
		case err != nil: // an offset that RFC 3339 cannot say
		case first.In(at).Format(time.DateOnly) != day, first.Add(-time.Second).In(at).Format(time.DateOnly) >= day:
			t.Errorf("%s in %v became %s, which is %v there; want the first instant of the day", day, at, o.Due, first.In(at))
		}
	})
}

// wholeMinutes says whether the zone's offset was one in the days around.
func wholeMinutes(day time.Time, at *time.Location) bool {
	for _, d := range []time.Duration{-36, 0, 36} {
		if _, offset := day.Add(d * time.Hour).In(at).Zone(); offset%60 != 0 {
			return false
		}
	}
	return true
}
