package workspace_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heffl-mcp/workspace"
)

// Clients whose names are near each other: the nearest to the letter goes first, and what is
// equally near is ambiguous.
func TestResolveAmongLikeNames(t *testing.T) {
	t.Parallel()
	company := func(id, name string, more ...any) string {
		return row(append([]any{"id", "clt_" + id, "name", name, "type", "company"}, more...)...)
	}
	person := func(id, first, last string, more ...any) string {
		return row(append([]any{"id", "clt_" + id, "firstName", first, "lastName", last, "type", "contact"}, more...)...)
	}
	f := &fake{lists: map[string][]string{
		"/companies": {
			company("acme", "Acme"), company("acme_ltd", "Acme Ltd"), company("acme_llc", "Acme L.L.C."),
			company("borealis", "Borealis GmbH"), company("borealis2", "BOREALIS GmbH"),
			company("cafe", "Café Royal"), company("cafe2", "Cafe Royal Ltd"),
			company("delta", "Delta Air", "phone", "+1 404 715 2600", "website", "delta.example"),
			company("delta2", "Delta Cargo", "phone", "404-715-2600", "website", "http://cargo.delta.example/"),
			company("eon", "E.ON SE"), company("sas", "SAS"), company("sas2", "SAS Institute Inc."),
			company("fjord", "Fjörd Shipping", "email", "post@gmail.com"),
			company("globe", "globe.example", "website", "https://globe-trading.example"),
			company("globe2", "Globe Trading", "website", "https://globe.example"),
			company("plan15", "Studio 15"), company("plan1-5", "Studio 1.5"),
			company("hidden", "Ivory\u200b Tower"), company("lee", "Lee"),
			company("same", "Mirror"), company("cpp", "C++ Works"), company("c", "C Works"),
		},
		"/contacts": {
			person("mirror", "Mirror", ""), person("lee_co", "Lee", "Co"), person("gm", "Gina", "Mail", "email", "gina@gmail.com"),
			person("k1", "Kim", "Ho", "email", "kim@kho.example", "companyName", "Acme"),
			person("k2", "Kim", "Ho", "email", "ho@kho.example", "companyName", "Borealis GmbH"),
			person("joerg", "Jörg", "Muller"), person("dup", "Twice", "Seen"), person("dup", "Twice", "Seen"),
			person("shared1", "Ana", "Sol", "email", "office@sol.example"), person("shared2", "Eva", "Sol", "email", "OFFICE@sol.example"),
			person("bare", "", ""), row("id", "clt_odd", "name", 7, "email", false, "phone", 55512345),
		},
	}}
	w := f.open(t)
	for words, want := range map[string]string{
		"Acme":                   "clt_acme by name",
		"acme":                   "clt_acme by folded name",
		"Acme Ltd":               "clt_acme_ltd by name",
		"acme limited":           "clt_acme_ltd by folded name",
		"ACME LTD.":              "clt_acme_ltd by folded name",
		"Acme LLC":               "clt_acme_llc by folded name",
		"Acme GmbH":              "clt_acme by folded name",
		"Borealis":               "several: clt_borealis clt_borealis2",
		"Borealis GmbH":          "clt_borealis by name",
		"borealis gmbh":          "several: clt_borealis clt_borealis2",
		"Café Royal":             "clt_cafe by name",
		"Cafe Royal":             "clt_cafe2 by folded name", // as it stands but for its form
		"café royal ltd":         "clt_cafe by folded name",
		"CAFÉ":                   "none: clt_cafe clt_cafe2",
		"+14047152600":           "clt_delta by phone",
		"404 715 2600":           "clt_delta2 by phone",
		"715 2600":               "several: clt_delta clt_delta2",
		"delta.example":          "clt_delta by domain",
		"cargo.delta.example":    "clt_delta2 by domain",
		"E.ON":                   "clt_eon by folded name",
		"EON SE":                 "clt_eon by folded name",
		"SAS":                    "clt_sas by name",
		"sas institute":          "clt_sas2 by folded name",
		"gmail.com":              "none:",
		"post@gmail.com":         "clt_fjord by e-mail",
		"nobody@gmail.com":       "none:", // all the world is there,
		"Fjoerd Shipping":        "clt_fjord by folded name",
		"fjord shipping":         "clt_fjord by folded name",
		"globe.example":          "clt_globe by name",
		"www.globe.example":      "clt_globe2 by domain",
		"Studio 1.5":             "clt_plan1-5 by name",
		"studio 1,5":             "clt_plan1-5 by folded name",
		"studio15":               "clt_plan15 by folded name",
		"Ivory Tower":            "clt_hidden by name",
		"Mirror":                 "several: clt_mirror clt_same",
		"Mirror Ltd":             "clt_same by folded name", // a person has no legal form
		"Lee":                    "clt_lee by name",
		"lee co":                 "clt_lee_co by folded name",
		"C++ Works":              "clt_cpp by name",
		"c++works":               "clt_cpp by folded name",
		"C# Works":               "none: clt_c clt_cpp",
		"Kim Ho":                 "several: clt_k1 clt_k2",
		"ho@kho.example":         "clt_k2 by e-mail",
		"kho.example":            "several: clt_k1 clt_k2",
		"Joerg Muller":           "clt_joerg by folded name",
		"Jorg Muller":            "clt_joerg by folded name",
		"Twice Seen":             "clt_dup by name",
		"office@sol.example":     "several: clt_shared1 clt_shared2",
		"55512345":               "clt_odd by phone",
		"\"Acme\"":               "clt_acme by folded name",
		"'Delta Air'":            "clt_delta by folded name",
		"Acme\nLtd":              "clt_acme_ltd by name",
		"Delta Air & Sea":        "none: clt_delta clt_delta2",
		"\xff":                   "none:",
		strings.Repeat("x", 301): "none:",
	} {
		m, err := w.Resolve(t.Context(), workspace.Client, words, workspace.Scope{})
		if got := say(m, err); got != want {
			t.Errorf("Resolve(client, %q) = %s, want %s", words, got, want)
		}
	}
}

// Things of the lists that are kept, with all that may be wrong with them.
func TestResolveListed(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{
		"/users": {
			row("id", "usr_1", "firstName", "Jean Paul", "lastName", "Roy", "email", "jp@x.example"),
			row("id", "usr_2", "name", "Mona Sax", "isActive", false),
			row("id", "usr_3", "name", "Mona Lisa"),
			row("id", "usr_4", "label", "Jörg"), row("id", "usr_5", "fullName", "Jörg Haas"),
			row("id", "usr_6", "email", "nameless@x.example"),
			row("id", "42", "name", "Numbered"),
			row("id", "usr_7", "name", "Sara", "isActive", false), row("id", "usr_8", "name", "Sara Lee"), row("id", "usr_9", "name", "Sara Poe"),
		},
		"/tags": {
			row("id", "tag_1", "name", "VIP", "type", "leads"), row("id", "tag_2", "name", "vip", "type", "deals"),
			row("id", "tag_3", "name", "Bare"), row("id", "tag_4", "name", "Hot", "type", "deals"), row("id", "tag_5", "name", "Hot", "type", "deals"),
			row("id", "tag_6", "name", "cs_team"), row("id", "tag_7", "name", "usr_friendly"), row("id", "tag_8", "name", "CS lead"),
			row("id", "tag_9", "name", "qtn_sent"), row("id", "tag_10", "name", "qtn_sent"), row("id", "tag_11", "name", "lst_a", "type", "leads"),
			row("id", "dl_old", "name", "Old style"),
		},
		"/products": {
			row("id", "prd_1", "name", "Seat", "sku", "S", "isActive", false), row("id", "prd_2", "name", "seat", "sku", "S-2"),
			row("id", "prd_3", "name", "S", "sku", "X"), row("id", "prd_4", "name", "Co", "price", 5),
			row("id", "prd_5", "name", "Quote pack", "sku", "qtn_10"),
		},
		"/sources": {row("id", "src_1", "name", "Ads & Co"), row("id", "src_2", "name", "Ads"), row("id", "src_3", "name", "tpl_mailing")},
		"/custom-fields": {
			row("key", "cf_a", "label", "Region"), row("key", "cf_region", "label", "Area", "choices", []any{
				map[string]any{"value": "n", "label": "North"}, map[string]any{"value": 2, "label": "South"}, "Both Ends",
			}),
			row("key", "cf_b", "label", "Twin"), row("key", "cf_c", "label", "Twin"),
		},
		"/pipelines":       {row("id", "dpl_1", "name", "Old", "isActive", false), row("id", "dpl_2", "label", "Bare")},
		"/pipelines/dpl_1": {row("id", "dpl_1", "name", "Old", "stages", []any{})},
		"/pipelines/dpl_2": {row("id", "dpl_2", "name", "Bare", "stages", []any{map[string]any{"id": "dps_1", "label": "First", "type": "ACTIVE"}})},
	}}
	w := f.open(t)
	field := workspace.Scope{Field: "cf_region"}
	for _, tt := range []struct {
		kind  workspace.Kind
		words string
		scope workspace.Scope
		want  string
	}{
		{workspace.User, "jean-paul", workspace.Scope{}, "usr_1 by first name"},
		{workspace.User, "Jean", workspace.Scope{}, "none: usr_1 usr_4"},
		{workspace.User, "Mona", workspace.Scope{}, "usr_3 by first name"},
		{workspace.User, "Mona Sax", workspace.Scope{}, "elsewhere usr_2: inactive"},
		{workspace.User, "Sara", workspace.Scope{}, "elsewhere usr_7: inactive"}, // not the only other one of that first name
		{workspace.User, "sara", workspace.Scope{}, "elsewhere usr_7: inactive"},
		{workspace.User, "Sara Lee", workspace.Scope{}, "usr_8 by name"},
		{workspace.User, "Sarah", workspace.Scope{}, "none: usr_8 usr_9"},
		{workspace.User, "Jörg", workspace.Scope{}, "usr_4 by name"},
		{workspace.User, "joerg", workspace.Scope{}, "usr_4 by folded name"},
		{workspace.User, "nameless@x.example", workspace.Scope{}, "usr_6 by e-mail"},
		{workspace.User, "42", workspace.Scope{}, "42 by id"},
		{workspace.Tag, "VIP", workspace.Scope{}, "elsewhere tag_1: type leads"}, // to the letter it is that one,
		{workspace.Tag, "bare", workspace.Scope{}, "tag_3 by folded name"},
		{workspace.Tag, "Hot", workspace.Scope{}, "several: tag_4 tag_5"},
		{workspace.Product, "Seat", workspace.Scope{}, "elsewhere prd_1: inactive"},
		{workspace.Product, "S", workspace.Scope{}, "prd_3 by name"},
		{workspace.Product, "s-2", workspace.Scope{}, "prd_2 by SKU"},
		{workspace.Product, "Seat Co", workspace.Scope{}, "none: prd_2 prd_3"},
		{workspace.Tag, "cs_team", workspace.Scope{}, "tag_6 by name"}, // like an ID of another kind, and a name here
		{workspace.Tag, " cs_team\u200f", workspace.Scope{}, "tag_6 by name"},
		{workspace.Tag, "usr_friendly", workspace.Scope{}, "tag_7 by name"},
		{workspace.Tag, "cs_lead", workspace.Scope{}, "ID of a client stage"}, // no name letter for letter
		{workspace.Tag, "cs_Team", workspace.Scope{}, "ID of a client stage"},
		{workspace.Tag, "qtn_sent", workspace.Scope{}, "several: tag_10 tag_9"},
		{workspace.Tag, "lst_a", workspace.Scope{}, "elsewhere tag_11: type leads"},
		{workspace.Tag, "dl_old", workspace.Scope{}, "dl_old by id"}, // Heffl says so
		{workspace.Tag, "tag_cs_team", workspace.Scope{}, "tag_cs_team by id"},
		{workspace.Source, "tpl_mailing", workspace.Scope{}, "src_3 by name"},
		{workspace.Source, "cs_team", workspace.Scope{}, "ID of a client stage"},
		{workspace.Product, "qtn_10", workspace.Scope{}, "prd_5 by SKU"},
		{workspace.Stage, "dl_1", workspace.Scope{Pipeline: "dpl_gone"}, "ID of a deal"},
		{workspace.Source, "Ads", workspace.Scope{}, "src_2 by name"},
		{workspace.Source, "ads and co", workspace.Scope{}, "src_1 by folded name"},
		{workspace.CustomField, "Region", workspace.Scope{}, "cf_a by name"},
		{workspace.CustomField, "region", workspace.Scope{}, "several: cf_a cf_region"},
		{workspace.CustomField, "Twin", workspace.Scope{}, "several: cf_b cf_c"},
		{workspace.FieldOption, "north", field, "n by folded name"},
		{workspace.FieldOption, "n", field, "n by id"},
		{workspace.FieldOption, "2", field, "2 by id"},
		{workspace.FieldOption, "SOUTH", field, "2 by folded name"},
		{workspace.FieldOption, "both-ends", field, "Both Ends by folded name"},
		{workspace.Pipeline, "Old", workspace.Scope{}, "elsewhere dpl_1: inactive"},
		{workspace.Stage, "first", workspace.Scope{Pipeline: "dpl_2"}, "dps_1 by folded name"},
		{workspace.Stage, "first", workspace.Scope{Pipeline: "dpl_1"}, "elsewhere dps_1: pipeline Bare"},
	} {
		m, err := w.Resolve(t.Context(), tt.kind, tt.words, tt.scope)
		if got := say(m, err); got != tt.want {
			t.Errorf("Resolve(%s, %q, %v) = %s, want %s", tt.kind, tt.words, tt.scope, got, tt.want)
		}
	}
}

// The form of some lists is not documented; whatever it is, names are found.
func TestResolveWhateverTheForm(t *testing.T) {
	t.Parallel()
	for _, envelope := range []string{
		`[%s]`, `{"data":[%s]}`, `{"data":[%s],"meta":{}}`, `{"data":[%s],"meta":{"nextCursor":null,"hasMore":false}}`,
		`{"items":[%s]}`, `{"items":[%s],"nextCursor":null,"hasMore":false}`,
	} {
		for _, person := range []string{
			`{"id":"usr_1","name":"Sara Haddad"}`, `{"id":"usr_1","label":"Sara Haddad"}`, `{"id":"usr_1","title":"Sara Haddad"}`,
			`{"id":"usr_1","firstName":"Sara","lastName":"Haddad"}`, `{"id":"usr_1","fullName":"Sara Haddad","role":{"id":7}}`,
		} {
			for _, options := range []string{
				`"options":["North"]`, `"allowedValues":["North"]`, `"values":[{"value":"North","label":"The north"}]`,
				`"choices":[{"label":"North"}]`, `"options":[{"id":9,"name":"North"}]`, `"options":null,"values":[{"title":"North","id":"opt"}]`,
			} {
				f := &fake{envelope: envelope, lists: map[string][]string{
					"/users":         {person, `{"id":"usr_2","name":"Omar"}`},
					"/custom-fields": {`{"key":"cf_r","label":"Region",` + options + `}`},
				}}
				w := f.open(t)
				for kind, words := range map[workspace.Kind]string{workspace.User: "sara", workspace.FieldOption: "north"} {
					m, err := w.Resolve(t.Context(), kind, words, workspace.Scope{Field: "cf_r"})
					if err != nil || m.ID != "usr_1" && m.ID != "North" {
						t.Errorf("%s with %s, %s: Resolve(%s) = %v, %v", envelope, person, options, words, m, err)
					}
				}
			}
		}
	}
}

// Two clients of one name come with what tells them apart.
func TestCandidatesDiffer(t *testing.T) {
	t.Parallel()
	w, _ := openSandbox(t, nil)
	for _, tt := range []struct {
		kind  workspace.Kind
		words string
		want  []workspace.Candidate
	}{
		{workspace.Client, "Falcon Logistics", []workspace.Candidate{
			{ID: "clt_falcon_muscat", Name: "Falcon Logistics", Facts: []string{"company", "muscat@falcon.example", "+96824111111", "COM006"}, Score: 1},
			{ID: "clt_falcon_dubai", Name: "Falcon Logistics", Facts: []string{"company", "dubai@falcon.example", "+97140000000", "COM005"}, Score: 1},
		}},
		{workspace.Client, "Ana Keler", []workspace.Candidate{
			{ID: "clt_anna_keller", Name: "Anna Keller", Facts: []string{"contact", "at Northwind", "anna.keller@northwind.example", "+442071230001", "CON001"}, Score: 0.8},
		}},
		{workspace.Stage, "won", []workspace.Candidate{
			{ID: "dps_won", Name: "Won", Facts: []string{"pipeline Sales", "type WON"}, Score: 1},
			{ID: "dps_ent_won", Name: "Won", Facts: []string{"pipeline Enterprise", "type WON"}, Score: 1},
		}},
		{workspace.User, "OMAR", []workspace.Candidate{
			{ID: "usr_omar_nasser", Name: "Omar Nasser", Facts: []string{"omar.nasser@heffl-sandbox.example"}, Score: 1},
			{ID: "usr_omar_khalid", Name: "Omar Khalid", Facts: []string{"omar.khalid@heffl-sandbox.example"}, Score: 1},
		}},
	} {
		_, err := w.Resolve(t.Context(), tt.kind, tt.words, workspace.Scope{})
		e, ok := errors.AsType[*workspace.UnresolvedError](err)
		if !ok {
			t.Errorf("Resolve(%s, %q) = %v, want candidates", tt.kind, tt.words, err)
			continue
		}
		if diff := cmp.Diff(tt.want, e.Candidates, cmpopts.EquateApprox(0, 0.1)); diff != "" {
			t.Errorf("Resolve(%s, %q): -want +got\n%s", tt.kind, tt.words, diff)
		}
	}
}

// Of many that have the name, all are counted and five are shown.
func TestManyOfOneName(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{}}
	for i := range 12 {
		f.lists["/companies"] = append(f.lists["/companies"], row("id", fmt.Sprintf("clt_%d", i), "name", "Branch"))
	}
	_, err := f.open(t).Resolve(t.Context(), workspace.Client, "Branch", workspace.Scope{})
	e, ok := errors.AsType[*workspace.UnresolvedError](err)
	if !ok || !e.Ambiguous || e.Matches != 12 || len(e.Candidates) != 5 {
		t.Errorf("Resolve = %v (%+v), want 12 matches, 5 of them shown", err, e)
	}
}
