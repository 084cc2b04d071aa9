package workspace_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heffl-mcp/heffl"
	"heffl-mcp/workspace"
)

// Deals of like titles: whether one is closed makes no difference to its name.
func TestResolveAmongLikeDeals(t *testing.T) {
	t.Parallel()
	client := func(name string) map[string]any { return map[string]any{"id": "clt_1", "name": name} }
	f := &fake{lists: map[string][]string{"/deals": {
		row("id", "dl_1", "number", "D-1", "title", "Renewal", "status", "ACTIVE", "client", client("Acme")),
		row("id", "dl_2", "number", "D-2", "title", "Renewal", "status", "LOST", "client", client("Borealis")),
		row("id", "dl_3", "number", 20260003, "title", "renewal 2027", "status", "WON"),
		row("id", "dl_4", "number", "D-5", "title", "D-1"),
		row("id", "dl_6", "number", "D-6", "title", "Café fit-out"),
		row("id", "dl_7", "number", "D-7", "title", "info@acme.example"),
		row("id", "dl_8", "number", "D-8", "title", "www.acme.example relaunch"),
		row("id", "dl_9", "number", "D-9", "title", "Acme Ltd"),
		row("id", "deal_10", "number", nil, "title", 7, "client", "Acme", "price", map[string]any{}, "createdAt", 0),
	}}}
	w := f.open(t)
	for words, want := range map[string]string{
		"Renewal":                   "several: dl_1 dl_2",
		"renewal":                   "several: dl_1 dl_2",
		"Renewal 2027":              "dl_3 by folded name",
		"20260003":                  "dl_3 by number",
		"D-2":                       "dl_2 by number",
		"d-2":                       "dl_2 by number",
		"D-1":                       "several: dl_1 dl_4", // a number, and a title
		"D 6":                       "none: dl_6 dl_4",    // of a number nothing may differ but case
		"cafe fitout":               "dl_6 by folded name",
		"info@acme.example":         "dl_7 by name",
		"www.acme.example relaunch": "dl_8 by name",
		"acme ltd":                  "dl_9 by folded name",
		"Acme":                      "none: dl_8 dl_9", // a title has no legal form
		"7":                         "deal_10 by name",
	} {
		m, err := w.Resolve(t.Context(), workspace.Deal, words, workspace.Scope{})
		if got := say(m, err); got != want {
			t.Errorf("Resolve(deal, %q) = %s, want %s", words, got, want)
		}
	}
}

func TestDealFacts(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{"/deals": {
		row("id", "dl_1", "number", "DEAL001", "title", "Renewal", "status", "ACTIVE", "stage", "Proposal", "price", 18250.75,
			"client", map[string]any{"name": "Acme"}, "createdAt", "2026-09-23T23:30:00.000-02:00"),
		row("id", "dl_2", "title", "Renewal", "price", nil, "client", map[string]any{}, "createdAt", "yesterday"),
		row("id", "dl_3", "number", 3, "title", "Renewal", "stage", nil, "price", "1200.50", "client", nil, "status", []int{1}),
	}}}
	_, err := f.open(t).Resolve(t.Context(), workspace.Deal, "Renewal", workspace.Scope{})
	e, ok := errors.AsType[*workspace.UnresolvedError](err)
	if !ok {
		t.Fatalf("Resolve(deal, Renewal) = %v, want it ambiguous", err)
	}
	want := []workspace.Candidate{
		{ID: "dl_1", Name: "Renewal", Facts: []string{"DEAL001", "ACTIVE", "stage Proposal", "price 18250.75", "client Acme", "created 2026-09-24"}, Score: 1},
		{ID: "dl_2", Name: "Renewal", Score: 1},
		{ID: "dl_3", Name: "Renewal", Facts: []string{"3", "price 1200.50"}, Score: 1},
	}
	if diff := cmp.Diff(want, e.Candidates); diff != "" {
		t.Errorf("candidates: -want +got\n%s", diff)
	}
}

// What each way of naming a deal costs, the list being cold, and what is asked.
func TestDealCosts(t *testing.T) {
	t.Parallel()
	const search, list = "/deals?pageSize=100&search=", "/deals?pageSize=100"
	for words, want := range map[string][]string{
		"dl_1":         nil,
		"deal_1":       nil,
		"clt_1":        nil,
		"":             nil,
		"Acme renewal": {search + "Acme+renewal"},
		"D-1":          {search + "D-1"},
		"acme-renewal": {search + "acme-renewal", list},
		"Quux":         {search + "Quux", list},
	} {
		f := &fake{lists: map[string][]string{"/deals": {row("id", "dl_1", "number", "D-1", "title", "Acme renewal")}}}
		_, err := f.open(t).Resolve(t.Context(), workspace.Deal, words, workspace.Scope{})
		if got := f.requests(); !slices.Equal(got, want) {
			t.Errorf("Resolve(deal, %q) = %v after %q, want %q", words, err, got, want)
		}
	}
}

// Of a list that is too long, only what the search is sure to find is decided.
func TestManyDeals(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{}}
	for i := range 700 {
		f.lists["/deals"] = append(f.lists["/deals"], row("id", fmt.Sprint("dl_", i), "number", fmt.Sprintf("N%03d", i), "title", fmt.Sprintf("Deal %d.", i)))
	}
	w := f.open(t)
	for words, want := range map[string]string{
		"deal 650.":  "dl_650 by folded name",
		"n650":       "dl_650 by number",
		"deal 650,":  "partial: dl_65 dl_6",
		"Deal. 650.": "partial: dl_65 dl_6",
	} {
		m, err := w.Resolve(t.Context(), workspace.Deal, words, workspace.Scope{})
		if got := say(m, err); got != want {
			t.Errorf("Resolve(deal, %q) = %s, want %s", words, got, want)
		}
	}
}

// A row that cannot be told from others makes the list unusable.
func TestDealWithoutID(t *testing.T) {
	t.Parallel()
	for _, r := range []string{`{"title":"Renewal"}`, `{"id":null,"title":"Renewal"}`, `"dl_1"`, `null`} {
		f := &fake{lists: map[string][]string{"/deals": {row("id", "dl_1", "title", "Renewal"), r}}}
		m, err := f.open(t).Resolve(t.Context(), workspace.Deal, "l", workspace.Scope{})
		e, ok := errors.AsType[*workspace.LookupError](err)
		if !ok || e.Kind != workspace.Deal || !errors.Is(err, heffl.ErrNoID) {
			t.Errorf("Resolve with the row %s = %v, %v; want a LookupError of ErrNoID", r, m, err)
		}
	}
}
