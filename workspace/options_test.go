package workspace_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"heffl-mcp/workspace"
)

// An option is no name: what is left out of a name tells options apart.
func TestResolveOptions(t *testing.T) {
	t.Parallel()
	option := func(value any, label string) map[string]any { return map[string]any{"value": value, "label": label} }
	f := &fake{lists: map[string][]string{"/custom-fields": {
		row("key", "cf_delta", "label", "Delta", "options", []int{0, 1, 2}),
		row("key", "cf_grade", "label", "Grade", "options", []string{"A", "B", "A+", "1-5", "6-10", "10 - 50", "> 50", "Zürich"}),
		row("key", "cf_state", "label", "State", "options", []string{"In progress", "Won/lost", "C++", "a-b", "A B", "Straße"}),
		row("key", "cf_stars", "label", "Stars", "options", []any{option(1, "5"), option(2, "4"), option(3, "3"), option(4, "2"), option("5", "1")}),
		row("key", "cf_yes", "label", "Yes?", "options", []any{option("y", "Yes"), option("YES", "For sure"), option("n", "No"), option("N", "Never")}),
	}}}
	w := f.open(t)
	for field, words := range map[string]map[string]string{
		"cf_delta": {"1": "1 by id", " 1 ": "1 by folded name", "-1": "none", "+1": "none", "1.": "none", "1.0": "none", "01": "none",
			"¹": "none", "①": "none", "１": "none", "١": "none", "½": "none", "1\u200f": "none", "": "none", "one": "none"},
		"cf_grade": {"A": "A by id", "a": "A by folded name", "A-": "none", "(A)": "none", "A +": "none", "a+": "A+ by folded name",
			"1-5": "1-5 by id", "1.5": "none", "1/5": "none", "1 5": "none", "1_5": "none", "15": "none",
			"10-50": "none", " 10  -  50": "10 - 50 by folded name", "50": "none",
			"Zurich": "none", "zu\u0308rich": "Zürich by folded name", "ZÜRICH": "Zürich by folded name", "Zuerich": "none"},
		"cf_state": {"in-progress": "In progress by folded name", "IN_PROGRESS": "In progress by folded name", "in\tprogress": "In progress by folded name",
			"in--progress": "none", "in progress.": "none", "inprogress": "none", "-in progress": "none",
			"Won lost": "none", "c++": "C++ by folded name", "C": "none", "a-b": "a-b by id", "A B": "A B by id", "A-B": "several: A B a-b", "STRASSE": "none"},
		"cf_stars": {"3": "3 by id", "5": "several: 1 5", "1": "several: 1 5", "4": "several: 2 4", "6": "none"},
		"cf_yes":   {"Yes": "y by name", "YES": "YES by id", "yes": "several: YES y", "y": "y by id", "n": "n by id", "N": "N by id", "no": "n by folded name"},
	} {
		for words, want := range words {
			m, err := w.Resolve(t.Context(), workspace.FieldOption, words, workspace.Scope{Field: field})
			got := say(m, err)
			if strings.HasPrefix(got, "none:") {
				got = "none"
			}
			if got != want {
				t.Errorf("Resolve(option, %q of %s) = %s, want %s", words, field, got, want)
			}
			e, ok := errors.AsType[*workspace.UnresolvedError](err)
			if !ok {
				continue
			}
			checkError(t, words, e)
			if field == "cf_delta" && e.Candidates[0].Score >= 0.6 {
				t.Errorf("Resolve(option, %q of %s) puts %+v forward", words, field, e.Candidates[0])
			}
		}
	}
}

// FuzzOption holds that words are taken for an option just where a rule that is spelt out says so.
func FuzzOption(f *testing.F) {
	for _, s := range [][2]string{{"-1", "1"}, {"A-", "A"}, {"1.5", "1-5"}, {"¹", "1"}, {"in-progress", "In progress"}, {"In  progress ", "in_progress"}, {"a--b", "a b"},
		{"-a", " a"}, {"É", "e\u0301"}, {"ſ", "S"}, {"K", "k"}, {"ß", "SS"}, {"", " "}, {"हिन्दी-भाषा", "हिन्दी भाषा"}, {"a-\u0301b", "a b"}, {"Ⓐ", "ⓐ"}} {
		f.Add(s[0], s[1])
		f.Add(s[1], s[0])
	}
	f.Fuzz(func(t *testing.T, words, option string) {
		if !utf8.ValidString(words) || !utf8.ValidString(option) || option == "" || len(words) > 250 || strings.TrimFunc(words, isUnseen) == "" {
			return
		}
		data := &fake{lists: map[string][]string{"/custom-fields": {row("key", "cf_a", "label", "A", "options", []string{option})}}}
		m, err := data.inside(workspace.Options{}).Resolve(t.Context(), workspace.FieldOption, words, workspace.Scope{Field: "cf_a"})
		want := words == option || strings.EqualFold(spaced(words), spaced(option))
		if got := err == nil && m.ID == option; got != want {
			t.Errorf("Resolve(option, %q) of %q = %s, want it found: %t", words, option, say(m, err), want)
		}
	})
}

// FuzzOffers holds that what a field offers to the letter is taken for just that.
func FuzzOffers(f *testing.F) {
	for _, s := range [][4]string{{"a", "A", "b", "B"}, {"a", "b", "b", "a"}, {"a", "", "a", ""}, {"a", "a", "A", "a"}, {" a", "a", "a ", "1"}, {"<a>", "a\u0301", "á", ""}} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, value, label, other, otherLabel string) {
		options := []any{map[string]any{"value": value, "label": label}, map[string]any{"value": other, "label": otherLabel}}
		w := (&fake{lists: map[string][]string{"/custom-fields": {row("key", "cf_a", "label", "A", "options", options)}}}).inside(workspace.Options{})
		if _, ok := w.KeptFields(workspace.Scope{}); ok {
			t.Fatal("fields are kept that nobody has read")
		}
		if _, err := w.Fields(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		list, ok := w.KeptFields(workspace.Scope{})
		if !ok || len(list.Items) != 1 {
			t.Fatalf("KeptFields = %v, %t, want what was read", list, ok)
		}
		for _, said := range []string{value, label, other, otherLabel} {
			raw, err := json.Marshal(said)
			if err != nil {
				t.Fatal(err)
			}
			if !utf8.ValidString(said) || !list.Items[0].Offers(raw) {
				continue
			}
			if m, err := w.Resolve(t.Context(), workspace.FieldOption, said, workspace.Scope{Field: "cf_a"}); err != nil || m.ID != said {
				t.Errorf("%q is offered, and Resolve says %s", said, say(m, err))
			}
		}
	})
}

func isUnseen(r rune) bool { return unicode.In(r, unicode.Cf, unicode.Cc, unicode.Z) }

// spaced is a text without what options may differ in beside case.
func spaced(text string) string {
	words := strings.Fields(norm.NFC.String(text))
	for i, word := range words {
		var b strings.Builder
		runes := []rune(word)
		for at, r := range runes {
			inside := at > 0 && at < len(runes)-1 && unicode.In(runes[at-1], unicode.L, unicode.M) && unicode.In(runes[max(at, min(at+1, len(runes)-1))], unicode.L, unicode.M)
			if inside && strings.ContainsRune("-_", r) {
				r = ' '
			}
			b.WriteRune(r)
		}
		words[i] = b.String()
	}
	return strings.Join(words, " ")
}

// Words that are too long name nothing of any kind, and cost nothing.
func TestTooLong(t *testing.T) {
	t.Parallel()
	f := &fake{}
	w := f.open(t)
	for _, kind := range []workspace.Kind{workspace.Client, workspace.Contact, workspace.Lead, workspace.Deal, workspace.Pipeline, workspace.Stage, workspace.User,
		workspace.Source, workspace.Tag, workspace.Product, workspace.CustomField, workspace.FieldOption} {
		for _, words := range []string{
			strings.Repeat("x", 301), strings.Repeat("é", 301), strings.Repeat("ab ", 1<<20), strings.Repeat(" ", 5000), "clt_" + strings.Repeat("1", 300), strings.Repeat("\xff", 1<<20),
			strings.Repeat("\ufdfa", 20), // a ligature of eighteen letters
		} {
			_, err := w.Resolve(t.Context(), kind, words, workspace.Scope{Field: "cf_a"})
			e, ok := errors.AsType[*workspace.UnresolvedError](err)
			if !ok || e.Kind != kind || len(e.Candidates) > 0 || e.IDOf != "" || utf8.RuneCountInString(e.Input) > 101 || !strings.HasPrefix(words, strings.TrimSuffix(e.Input, "…")) {
				t.Errorf("Resolve(%s, %.20q, which is %d bytes) = %+v, want it refused with its beginning", kind, words, len(words), err)
			}
		}
	}
	if asked := f.requests(); len(asked) > 0 {
		t.Errorf("asked %q, want nothing", asked)
	}
	long := strings.Repeat("x", 300)
	f.lists = map[string][]string{"/tags": {row("id", "tag_1", "name", long)}}
	if m, err := w.Resolve(t.Context(), workspace.Tag, long, workspace.Scope{}); m.ID != "tag_1" {
		t.Errorf("Resolve(tag, 300 characters) = %v, %v; want tag_1", m, err)
	}
	_, err := w.Resolve(t.Context(), workspace.Stage, "New", workspace.Scope{Pipeline: strings.Repeat("x", 1<<20)})
	if e, ok := errors.AsType[*workspace.UnresolvedError](err); !ok || e.Kind != workspace.Pipeline || len(e.Input) > 110 {
		t.Errorf("Resolve(stage) of a pipeline with a long ID = %.200v, want it refused with its beginning", err)
	}
}

// A colleague is no likely reading of the name of a firm, nor of the address of another.
func TestColleaguesAreNotPutForward(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{"/contacts": {
		row("id", "clt_1", "name", "Anna Keller", "email", "anna.keller@northwind.example", "companyName", "Northwind Ltd", "type", "contact"),
	}}}
	w := f.open(t)
	for words, likely := range map[string]bool{
		"Northwind": false, "Northwind Ltd": false, "Nortwind": false, "max@northwind.example": false, "hello@northwind.example": false,
		"Ana Keller": true, "ana.keller@northwind.example": true, "anna.keller@nortwind.example": true,
	} {
		_, err := w.Resolve(t.Context(), workspace.Contact, words, workspace.Scope{})
		e, ok := errors.AsType[*workspace.UnresolvedError](err)
		if !ok || len(e.Candidates) != 1 {
			t.Errorf("Resolve(contact, %q) = %v, want one candidate", words, err)
			continue
		}
		if score := e.Candidates[0].Score; likely && score < 0.7 || !likely && score >= 0.6 {
			t.Errorf("Resolve(contact, %q) puts %s forward with %.2f; likely: %t", words, e.Candidates[0].Name, score, likely)
		}
	}
}

// In lists that are too long, a search decides only by what it is documented to look into.
func TestSearchDecides(t *testing.T) {
	t.Parallel()
	f := &fake{searched: []string{"name", "email", "title"}, lists: map[string][]string{}}
	for i := range 600 {
		for _, path := range []string{"/contacts", "/companies", "/leads"} {
			f.lists[path] = append(f.lists[path], row("id", fmt.Sprint("clt", path[1:3], "_", i), "name", fmt.Sprint("Filler ", i)))
		}
	}
	f.lists["/companies"] = append(f.lists["/companies"],
		row("id", "clt_1", "name", "Acme Services LLC", "email", "info@acme.example"), row("id", "clt_2", "name", "Acme Holding", "website", "https://acme.example"),
		row("id", "clt_3", "name", "Borealis", "email", "24123456@phones.example", "phone", "+96824123456"), row("id", "clt_4", "name", "Borealis East", "phone", "+968 2412 3456"),
		row("id", "clt_5", "name", "C7 works", "number", "C7"), row("id", "clt_6", "name", "Delta", "number", "7"),
		row("id", "clt_7", "name", "Echo Ltd", "email", "echo@mail.example"), row("id", "clt_8", "name", "Mueller-Soehne"),
	)
	f.lists["/leads"] = append(f.lists["/leads"], row("id", "ld_1", "name", "Lia", "number", "L1", "title", "L1 and more", "phone", "+96824777777"))
	w := f.open(t)
	for _, tt := range []struct {
		kind        workspace.Kind
		words, want string
	}{
		{workspace.Client, "acme.example", "partial: clt_1"}, // and the search has not seen clt_2
		{workspace.Client, "+968 24123456", "partial:"},
		{workspace.Client, "24123456", "partial: clt_3"},
		{workspace.Client, "c7", "partial: clt_5"}, // by its number
		{workspace.Client, "info@acme.example", "clt_1 by e-mail"},
		{workspace.Client, "Borealis", "clt_3 by name"},
		{workspace.Client, "echo", "clt_7 by folded name"},
		{workspace.Client, "Echo limited", "clt_7 by folded name"},
		{workspace.Client, "mueller soehne", "partial: clt_8"},
		{workspace.Lead, "L1", "partial: ld_1"},
		{workspace.Lead, "l1 AND more", "ld_1 by folded name"},
	} {
		m, err := w.Resolve(t.Context(), tt.kind, tt.words, workspace.Scope{})
		if got := say(m, err); got != tt.want {
			t.Errorf("Resolve(%s, %q) = %s, want %s", tt.kind, tt.words, got, tt.want)
		}
		if e, ok := errors.AsType[*workspace.UnresolvedError](err); ok && !e.Partial {
			t.Errorf("Resolve(%s, %q) = %+v, want it partial", tt.kind, tt.words, e)
		}
	}
}
