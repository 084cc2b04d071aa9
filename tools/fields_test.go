package tools

import (
	"testing"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/workspace"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzAsDefined holds that of what is taken for custom fields as they are defined, a look-up has nothing to change or to say.
func FuzzAsDefined(f *testing.F) {
	sb := sandbox.New(sandbox.Options{RateLimit: -1})
	f.Cleanup(func() { _ = sb.Close() })
	client := &heffl.Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: sb.HTTPClient()}
	d := &Deps{Heffl: client, Workspace: workspace.New(client, workspace.Options{}), fieldSchemas: new(fieldSchemas)}
	reading := func(doc object) *reading {
		return &reading{call: &call{Deps: d, doc: doc}, entity: "deals", scope: scope{pipeline: "dpl_sales"}}
	}
	defined, err := reading(nil).definitions(f.Context())
	if err != nil || len(defined.Items) < 5 {
		f.Fatalf("the sandbox has the custom fields %v, %v", defined, err)
	}
	taken := map[bool]int{}
	for i, field := range defined.Items {
		values := []string{`"x"`, `""`, `null`, `40`, `1.50`, `"40"`, `true`, `"2026-06-30"`, `"2026-06-30T00:00:00Z"`, `["x"]`, `[]`, `{"cf_seats":"x"}`, `"north"`}
		for _, o := range field.Options {
			values = append(values, string(o.JSON), string(quoted(o.Label)), "["+string(o.JSON)+"]")
		}
		for _, v := range values {
			f.Add(uint(i), v)
			taken[reading(nil).asDefined(object{{field.Key, []byte(v)}})]++
		}
	}
	if taken[true] < len(defined.Items) || taken[false] < len(defined.Items) {
		f.Errorf("of the values that are tried, as defined are %v: too few to tell anything", taken)
	}
	f.Fuzz(func(t *testing.T, i uint, value string) {
		if !jsontext.Value(value).IsValid() {
			return
		}
		doc := object{{defined.Items[i%uint(len(defined.Items))].Key, []byte(value)}}
		r := reading(doc)
		if _, err := r.definitions(t.Context()); err != nil { // they get old
			t.Fatal(err)
		}
		if !r.asDefined(doc) {
			return
		}
		read := r.lookUpFields(t.Context(), doc)
		said := len(read.faults) + len(read.problems) + len(read.resolved) + len(read.repairs) + len(read.notes)
		if got := read.in(doc).JSON(); string(got) != string(doc.JSON()) || said > 0 || read.failed != nil || read.unread {
			t.Errorf("%s is as defined, and a look-up gives %s and %+v", doc.JSON(), got, read)
		}
	})
}
