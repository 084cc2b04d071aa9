package template_test

import (
	"strings"
	"testing"
	"testing/fstest"
	texttemplate "text/template"

	"heffl-mcp/template"
)

type item struct{ Name, Value string }

type label struct{ text string }

func (l *label) String() string { return "<" + l.text + ">" }

type view struct {
	Title string
	Days  int
	Items []item
	Marks []*label
	Mark  *label
	Has   map[string]bool
}

const page = `# {{.Title}}, {{.Days}} days
{{template "items" .}}
{{- if .Mark}}
It has {{.Mark}}.
{{- else}}
It has none.
{{- end}}
{{range .Marks}}{{.}} {{else}}no marks{{end}}
{{if not .Has.one}}without one{{else if .Has.two}}with two{{end}}
{{define "items"}}{{range .Items}}- {{.Name}}: {{.Value}}
{{end}}{{end}}`

// TestFill holds that a page is what text/template makes of it.
func TestFill(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"page.md": {Data: []byte(page)}}
	pages, err := template.Parse(files, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	same := texttemplate.Must(texttemplate.ParseFS(files, "*.md"))
	for _, v := range []view{
		{Has: map[string]bool{"one": false, "two": true}},
		{Title: "A <b> {{.Days}}", Days: 30, Items: []item{{"a", "1"}, {"b", ""}}, Has: map[string]bool{"one": true, "two": true}},
		{Marks: []*label{{"x"}, {"y"}}, Mark: &label{"z"}, Has: map[string]bool{"one": true, "two": false}},
	} {
		var want strings.Builder
		if err := same.ExecuteTemplate(&want, "page.md", v); err != nil {
			t.Fatal(err)
		}
		if got, err := pages.Fill("page.md", v); err != nil || got != want.String() {
			t.Errorf("Fill(%+v) = %q, %v, want %q", v, got, err, want.String())
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{{.Nothing}}":             "page.md: there is no Nothing",
		"{{if .Has.three}}{{end}}": "page.md: there is no three",
		`{{template "other" .}}`:   `page.md: there is no template "other"`,
		"{{.Title.Len}}":           "page.md: there is no Len",
		"{{.Title | not}}":         "page.md: .Title | not is not understood here",
		"{{range .Days}}{{end}}":   "page.md: .Days is no list",
		"{{range .Has}}{{end}}":    "page.md: .Has is no list",
		"{{12}}":                   "page.md: 12 is not understood here",
		`{{template "page.md"}}`:   `page.md: a template is to be given its data, such as {{template "name" .}}`,
	} {
		pages, err := template.Parse(fstest.MapFS{"page.md": {Data: []byte(text)}}, "*.md")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pages.Fill("page.md", view{}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"{{", "{{if .Title}}", "{{len .Title}}"} {
		if _, err := template.Parse(fstest.MapFS{"page.md": {Data: []byte(text)}}, "*.md"); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
