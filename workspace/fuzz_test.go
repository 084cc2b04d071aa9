package workspace_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"heffl-mcp/workspace"
)

// FuzzResolve holds that whatever the words, an ID comes from the data or is what was given, and
// an error is one of the two.
func FuzzResolve(f *testing.F) {
	for _, words := range []string{
		"Northwind", "north wind ltd", "clt_1", "dl_1", "a@b.example", "b.example", "+44 20 7123 0000", "1230000", "Keller, Anna",
		"Anna Keller <a@b.example>", "النور ذ.م.م", "東京 株式会社", "C++", "won", "cf_region", "Region", "north", "", "\xff", "S.A.", "& Co", "%_*\"'",
	} {
		f.Add(words)
	}
	data := map[string][]string{
		"/contacts":  {row("id", "clt_1", "firstName", "Anna", "lastName", "Keller", "email", "a@b.example", "companyName", "Northwind"), row("id", "clt_2", "name", "Li")},
		"/companies": {row("id", "clt_3", "name", "Northwind Ltd", "phone", "+442071230000", "website", "https://b.example"), row("id", "clt_4", "name", "شركة النور"), row("id", "clt_5", "name", "株式会社東京")},
		"/leads":     {row("id", "ld_1", "name", "Tariq", "title", "C++ course", "number", "L1")},
		"/deals":     {row("id", "dl_1", "title", "Northwind & Co", "number", "1230000"), row("id", "dl_2", "title", "won", "client", map[string]any{"name": "Northwind"})},
		"/pipelines": {row("id", "dpl_1", "name", "Sales", "stages", []any{map[string]any{"id": "dps_1", "name": "Won"}}), row("id", "dpl_2", "name", "S", "stages", []any{map[string]any{"id": "dps_2", "name": "won"}})},
		"/users":     {row("id", "usr_1", "name", "Sara Haddad"), row("id", "usr_2", "name", "Omar N."), row("id", "usr_3", "name", "Omar K.")},
		"/sources":   {row("id", "src_1", "name", "Web")}, "/tags": {row("id", "tag_1", "name", "VIP"), row("id", "tag_2", "name", "v.i.p.", "type", "leads")},
		"/products":      {row("id", "prd_1", "name", "Seat", "sku", "1230000")},
		"/custom-fields": {row("key", "cf_region", "label", "Region", "options", []string{"North", "C++", "1"})},
	}
	ids := map[string]bool{"cf_region": true, "North": true, "C++": true, "1": true}
	for _, rows := range data {
		for _, r := range rows {
			if _, rest, ok := strings.Cut(r, `"id":"`); ok {
				id, _, _ := strings.Cut(rest, `"`)
				ids[id] = true
			}
		}
	}
	ids["dps_1"], ids["dps_2"] = true, true
	kinds := []workspace.Kind{workspace.Client, workspace.Contact, workspace.Lead, workspace.Deal, workspace.Pipeline, workspace.Stage, workspace.User,
		workspace.Source, workspace.Tag, workspace.Product, workspace.CustomField, workspace.FieldOption}
	w := (&fake{lists: data}).inside(workspace.Options{})
	f.Fuzz(func(t *testing.T, words string) {
		for _, kind := range kinds {
			m, err := w.Resolve(t.Context(), kind, words, workspace.Scope{Field: "cf_region"})
			if kind.IsID(words) && kind != workspace.Stage && (m.ID != words || m.How != "id") {
				t.Errorf("Resolve(%s, %q) = %+v, %v, want the ID that it is", kind, words, m, err)
			}
			if err == nil {
				if !ids[m.ID] && (workspace.KindOfID(m.ID) == "" || !strings.Contains(words, "_") || m.How != "id") || m.How == "" || m.Input != words {
					t.Errorf("Resolve(%s, %q) = %+v, which is nowhere", kind, words, m)
				}
				continue
			}
			e, ok := errors.AsType[*workspace.UnresolvedError](err)
			if !ok {
				t.Fatalf("Resolve(%s, %q) = %v, want an UnresolvedError", kind, words, err)
			}
			checkError(t, words, e)
			for _, c := range e.Candidates {
				if !ids[c.ID] {
					t.Errorf("Resolve(%s, %q) has candidate %+v, which is nowhere", kind, words, c)
				}
			}
		}
	})
}

// FuzzOwnName holds that a thing which is called by its own name is never taken for another.
func FuzzOwnName(f *testing.F) {
	for _, names := range [][2]string{
		{"Acme", "Acme Ltd"}, {"Acme Ltd", "Acme Limited"}, {"Café", "Cafe"}, {"a.example", "A.example"}, {"+44 20 7123 0000", "44 20 7123 0000"},
		{"Keller, Anna", "Anna Keller"}, {"Straße", "STRASSE"}, {"النور", "شركة النور"}, {"C", "C++"}, {"1.5", "15"}, {"x@y.example", "<x@y.example>"},
	} {
		f.Add(names[0], names[1])
		f.Add(names[1], names[0])
	}
	f.Fuzz(func(t *testing.T, name, other string) {
		if !utf8.ValidString(name) || !utf8.ValidString(other) || workspace.KindOfID(strings.TrimSpace(name)) != "" {
			return
		}
		for kind, path := range map[workspace.Kind]string{workspace.Client: "/companies", workspace.Contact: "/contacts", workspace.User: "/users"} {
			data := &fake{lists: map[string][]string{path: {row("id", "1_other", "name", other), row("id", "1_own", "name", name)}}}
			m, err := data.inside(workspace.Options{}).Resolve(t.Context(), kind, name, workspace.Scope{})
			if err == nil && m.ID != "1_own" && name != "1_other" {
				t.Errorf("%s %q is taken for %q (%+v)", kind, name, other, m)
			}
		}
	})
}
