package workspace_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/workspace"
)

// told puts what FindClients found in one line.
func told(f workspace.Found, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	s := strings.Join(accountIDs(f), " ")
	if near := idsOf(f.Near); near != "" {
		s += "near: " + near
	}
	if f.Partial {
		s += " (partial)"
	}
	if f.Next != "" {
		s += " ..."
	}
	return s
}

func accountIDs(f workspace.Found) []string {
	var ids []string
	for _, a := range f.Items {
		ids = append(ids, a.ID)
	}
	return ids
}

// What is found in the sandbox's workspace, and what that costs, the lists being cold.
func TestFindClientsInSandbox(t *testing.T) {
	t.Parallel()
	var (
		both    = workspace.Find{}
		contact = workspace.Find{Type: "contact"}
		company = workspace.Find{Type: "company"}
	)
	for _, tt := range []struct {
		words    string
		find     workspace.Find
		want     string
		requests int
	}{
		{"Northwind", both, "clt_northwind clt_anna_keller", 2},
		{"Northwind", company, "clt_northwind", 1},
		{"Northwind", contact, "clt_anna_keller", 1}, // by her e-mail
		{"north", both, "clt_northwind clt_anna_keller", 2},
		{"hello@northwind.example", both, "clt_northwind", 2},
		{"https://www.northwind.example/about", both, "clt_northwind clt_anna_keller", 2},
		{"+44 20 7123 0000", both, "clt_northwind", 2},
		{"020 7123 0000", both, "clt_northwind", 2},
		{"Falcon Logistics LLC", both, "clt_falcon_muscat clt_falcon_dubai", 2}, // alike: the newest first
		{"keller", both, "clt_anna_keller", 2},
		{"النور", both, "clt_alnoor", 2},
		{"Zurcher Mobel", both, "clt_zurcher", 4}, // the search has no such letters
		{"Zurcher Mobel", company, "clt_zurcher", 2},
		{"Zurcher Mobel", contact, "", 2},
		{"Nunez, Jose", both, "clt_jose_nunez", 4},
		{"Nortwind", both, "near: clt_northwind clt_anna_keller", 4},
		{"Nortwind", contact, "near: clt_anna_keller", 2},
		{"Zürcher Möbel GmbH", both, "clt_zurcher", 2}, // the search is for the name without its form
		{"Quux Industries", both, "", 4},
		{"%", both, "", 4},
		{"", both, "clt_li_wei clt_chloe clt_globex clt_falcon_muscat clt_falcon_dubai clt_maryam clt_alnoor clt_zurcher clt_jose_nunez clt_acme ...", 2},
		{" \u200f ", workspace.Find{Limit: 3}, "clt_li_wei clt_chloe clt_globex ...", 2},
		{"", workspace.Find{Limit: -1, Type: "contact"}, "clt_li_wei clt_chloe clt_maryam clt_jose_nunez clt_anna_keller", 1},
		{"", workspace.Find{Limit: 1000, Type: "company"}, "clt_globex clt_falcon_muscat clt_falcon_dubai clt_alnoor clt_zurcher clt_acme clt_northwind", 1},
		{"clt_acme", both, "clt_acme", 2},
		{" clt_acme", company, "clt_acme", 1},
		{"clt_acme", contact, "", 1},
		{"clt_gone", both, "", 2},
		{"dl_acme_renewal", both, "near: clt_acme clt_jose_nunez", 4},
		{strings.Repeat("x", 301), both, "", 0},
		{"Acme", workspace.Find{Type: "lead"}, `error: looking for a client: there is no type "lead" of clients`, 0},
	} {
		w, s := openSandbox(t, nil)
		got := told(w.FindClients(t.Context(), tt.words, tt.find))
		if n := len(s.Requests()); got != tt.want || n != tt.requests {
			t.Errorf("FindClients(%q, %+v) = %s after %d requests, want %s after %d", tt.words, tt.find, got, n, tt.want, tt.requests)
		}
	}
}

// manyClients are contacts and companies, each older than the one before. Each tenth is a Bank.
func manyClients(contacts, companies int) *fake {
	f := &fake{lists: map[string][]string{}}
	add := func(path string, i int) {
		name := fmt.Sprint("Firm ", i)
		if i%10 == 3 {
			name = fmt.Sprint("Bank ", i)
		}
		made := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Duration(i) * time.Hour)
		f.lists[path] = append(f.lists[path], row("id", fmt.Sprintf("clt_%s%d", path[3:5], i), "name", name, "createdAt", made))
	}
	for i := range contacts {
		add("/contacts", i)
	}
	for i := range companies {
		add("/companies", i)
	}
	return f
}

// pagesOf reads all pages with limits in turn, and checks what holds of each.
func pagesOf(t *testing.T, w *workspace.Workspace, words, kind string, limits ...int) []string {
	t.Helper()
	var ids []string
	find := workspace.Find{Type: kind}
	for i := 0; ; i++ {
		find.Limit = limits[i%len(limits)]
		found, err := w.FindClients(t.Context(), words, find)
		if err != nil {
			t.Fatalf("FindClients(%q, %+v) = %v", words, find, err)
		}
		ids = append(ids, accountIDs(found)...)
		if found.Next == "" {
			return ids
		}
		if len(found.Items) != find.Limit {
			t.Fatalf("FindClients(%q, %+v) = %d rows and a next page, want %d", words, find, len(found.Items), find.Limit)
		}
		find.Cursor = found.Next
	}
}

// No row of a list is lost, and none comes twice, however it is cut into pages.
func TestFindClientsPages(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{0, 0}, {1, 0}, {99, 101}, {100, 210}, {230, 40}} {
		f := manyClients(size[0], size[1])
		w := f.open(t)
		for _, limits := range [][]int{{10}, {100}, {1, 100, 33}} {
			for kind, paths := range map[string][]string{"": {"/contacts", "/companies"}, "contact": {"/contacts"}} {
				for _, words := range []string{"", "firm"} {
					var want []string
					for _, path := range paths {
						for _, r := range f.lists[path] {
							if strings.Contains(strings.ToLower(r), strings.ToLower(words)) {
								_, rest, _ := strings.Cut(r, `"id":"`)
								id, _, _ := strings.Cut(rest, `"`)
								want = append(want, id)
							}
						}
					}
					got := pagesOf(t, w, words, kind, limits...)
					slices.Sort(got)
					slices.Sort(want)
					if !slices.Equal(got, want) {
						t.Errorf("%v clients: pages of %v of FindClients(%q, %q) have %d rows, want %d: %v", size, limits, words, kind, len(got), len(want), got)
					}
				}
			}
		}
	}
}

// What a page costs: a page of each list, and the next ones only where these are shown.
func TestFindClientsPagesCost(t *testing.T) {
	t.Parallel()
	f := manyClients(150, 30)
	w := f.open(t)
	var find workspace.Find
	for i, want := range []int{2, 2, 3} { // 50 of 130; 50; 30, and 20 of the 50 contacts after those
		find.Limit = 50
		found, err := w.FindClients(t.Context(), "", find)
		if n := len(f.requests()); err != nil || len(found.Items) != 50 || n != want {
			t.Errorf("page %d: FindClients = %d rows, %v after %d requests; want 50 after %d", i, len(found.Items), err, n, want)
		}
		find.Cursor = found.Next
	}
	found, err := w.FindClients(t.Context(), "", find)
	if n := len(f.requests()); err != nil || len(found.Items) != 30 || found.Next != "" || n != 1 {
		t.Errorf("last page: FindClients = %d rows, next %q, %v after %d requests; want 30 and no next after 1", len(found.Items), found.Next, err, n)
	}
}

// The likeliest goes first, wherever in the page it stands; without words, the newest.
func TestFindClientsOrder(t *testing.T) {
	t.Parallel()
	day := func(n int) string { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC).Format(time.RFC3339) }
	f := &fake{lists: map[string][]string{
		"/companies": {
			row("id", "clt_1", "name", "Acme Holding", "createdAt", day(9)), row("id", "clt_2", "name", "Acme Ltd", "createdAt", day(8)),
			row("id", "clt_3", "name", "acme", "createdAt", day(7)), row("id", "clt_4", "name", "Acme", "createdAt", day(6)),
			row("id", "clt_5", "name", "Acme", "createdAt", day(5)), row("id", "clt_6", "name", "Borealis", "createdAt", day(1)),
			row("id", "clt_7", "name", "Acme", "createdAt", "once"), row("id", "clt_8", "name", "Acme"),
		},
		"/contacts": {row("id", "clt_4", "name", "Acme", "createdAt", day(6)), row("id", "clt_9", "name", "Mr Acme", "createdAt", day(7))},
	}}
	w := f.open(t)
	for words, want := range map[string]string{
		"Acme": "clt_4 clt_5 clt_7 clt_8 clt_3 clt_2 clt_1 clt_9",
		"":     "clt_1 clt_2 clt_9 clt_3 clt_4 clt_5 clt_6 clt_7 clt_8",
	} {
		if got := told(w.FindClients(t.Context(), words, workspace.Find{})); got != want {
			t.Errorf("FindClients(%q) = %s, want %s", words, got, want)
		}
	}
	undated := &fake{lists: map[string][]string{
		"/companies": {row("id", "clt_1", "name", "A"), row("id", "clt_2", "name", "B")}, "/contacts": {row("id", "clt_3", "name", "C"), row("id", "clt_4", "name", "D")},
	}}
	if got, want := told(undated.open(t).FindClients(t.Context(), "", workspace.Find{})), "clt_3 clt_1 clt_4 clt_2"; got != want {
		t.Errorf("FindClients without days = %s, want the lists in turn: %s", got, want)
	}
}

// What the search does not find is looked for as it is spelt in other ways, page by page too.
func TestFindClientsSpeltOtherwise(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{"/contacts": {
		row("id", "clt_phone", "name", "Ann", "phone", "+44 20 7123 0000"), row("id", "clt_whole", "name", "Bob", "phone", "+442071230001"),
	}}}
	for i := range 25 {
		f.lists["/companies"] = append(f.lists["/companies"], row("id", fmt.Sprint("clt_", i), "name", "Züri Bank"))
	}
	w := f.open(t)
	for words, want := range map[string]string{"+442071230000": "clt_phone", "0044 20 7123 0001": "clt_whole", "(020) 7123-0000": "clt_phone"} {
		if got := told(w.FindClients(t.Context(), words, workspace.Find{})); got != want {
			t.Errorf("FindClients(%q) = %s, want %s", words, got, want)
		}
	}
	got := pagesOf(t, w, "Zuri Bank", "", 10)
	slices.Sort(got)
	if len(got) != 25 || len(slices.Compact(got)) != 25 {
		t.Errorf("pages of FindClients(Zuri Bank) = %q, want 25 rows, each once", got)
	}
	f.requests()
	found, err := w.FindClients(t.Context(), "Zuri Bank", workspace.Find{})
	if n := len(f.requests()); err != nil || n != 2 {
		t.Errorf("FindClients(Zuri Bank), the lists being kept = %v after %d requests, want 2", err, n)
	}
	if _, err = w.FindClients(t.Context(), "Zuri Bank", workspace.Find{Cursor: found.Next}); err != nil || len(f.requests()) != 0 {
		t.Errorf("the next page of what is kept = %v, and requests; want none", err)
	}
}

// Lists that are too long to be looked through say so, and show what is near all the same.
func TestFindClientsInLongLists(t *testing.T) {
	t.Parallel()
	f := manyClients(0, 700)
	f.lists["/companies"] = append(f.lists["/companies"], row("id", "clt_north", "name", "Northwind Trading"))
	f.lists["/companies"][3] = row("id", "clt_zurich", "name", "Zürich Re")
	w := f.open(t)
	for words, want := range map[string]string{
		"Zurich Re":        "clt_zurich (partial)",
		"Northwnd Trading": "near: clt_north (partial)", // "Nort"
		"Quux":             " (partial)",
		"clt_fi699":        " (partial)",
		"clt_zurich":       "clt_zurich (partial)",
		"Northwind":        "clt_north",
	} {
		if got := told(w.FindClients(t.Context(), words, workspace.Find{Type: "company"})); got != want {
			t.Errorf("FindClients(%q) = %s, want %s", words, got, want)
		}
	}
}

func TestFindClientsCursors(t *testing.T) {
	t.Parallel()
	f := manyClients(40, 40)
	w := f.open(t)
	first, err := w.FindClients(t.Context(), "Firm", workspace.Find{})
	if err != nil || first.Next == "" {
		t.Fatalf("FindClients(Firm) = %v, %v; want a next page", first, err)
	}
	text, err := base64.RawURLEncoding.DecodeString(first.Next)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(old, new string) string {
		if !strings.Contains(string(text), old) {
			t.Fatalf("the cursor %s has no %s", text, old)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(text), old, new, 1)))
	}
	f.requests()
	for _, tt := range []struct {
		what, words string
		find        workspace.Find
		ok          bool
	}{
		{"its own words", "Firm", workspace.Find{Cursor: first.Next}, true},
		{"the same but for spaces", " Firm ", workspace.Find{Cursor: first.Next, Limit: 50}, true},
		{"other words", "Firms", workspace.Find{Cursor: first.Next}, false},
		{"no words", "", workspace.Find{Cursor: first.Next}, false},
		{"another type", "Firm", workspace.Find{Cursor: first.Next, Type: "contact"}, false},
		{"too long words", strings.Repeat("x", 301), workspace.Find{Cursor: first.Next}, false},
		{"a bare number", "Firm", workspace.Find{Cursor: "10"}, false},
		{"no base64", "Firm", workspace.Find{Cursor: "page 2"}, false},
		{"cut", "Firm", workspace.Find{Cursor: first.Next[:len(first.Next)-4]}, false},
		{"a list too many", "Firm", workspace.Find{Cursor: changed(`["",`, `["","",`)}, false},
		{"no lists", "Firm", workspace.Find{Cursor: changed(`["",""]`, `null`)}, false},
		{"fewer than none", "Firm", workspace.Find{Cursor: changed(`"shown":10`, `"shown":-1`)}, false},
	} {
		_, err := w.FindClients(t.Context(), tt.words, tt.find)
		if asked := f.requests(); errors.Is(err, workspace.ErrCursor) == tt.ok || (err == nil) != tt.ok || !tt.ok && len(asked) > 0 {
			t.Errorf("%s: FindClients = %v after %d requests, want ErrCursor and none: %t", tt.what, err, len(asked), !tt.ok)
		}
	}
	// A list that has become shorter has no more rows to show.
	f.set("/contacts")
	f.set("/companies", row("id", "clt_1", "name", "Firm"))
	if got := told(w.FindClients(t.Context(), "Firm", workspace.Find{Cursor: first.Next})); got != "" {
		t.Errorf("FindClients after the list became shorter = %s, want nothing", got)
	}
}

// A cursor of Heffl's that leads to its own page ends the list.
func TestFindClientsCursorThatLeadsNowhere(t *testing.T) {
	t.Parallel()
	const always = `{"data":[%s],"meta":{"nextCursor":"same","hasMore":true}}`
	f := &fake{envelope: always, lists: map[string][]string{"/contacts": {row("id", "clt_1", "name", "Ann")}}}
	w := f.open(t)
	find, shown := workspace.Find{Type: "contact"}, 0
	for range 5 {
		found, err := w.FindClients(t.Context(), "", find)
		if err != nil {
			t.Fatal(err)
		}
		shown += len(found.Items)
		if find.Cursor = found.Next; find.Cursor == "" {
			break
		}
	}
	if find.Cursor != "" || shown != 2 { // the two pages that there are
		t.Errorf("a list that leads to itself: %d rows, then the cursor %q; want 2 and none", shown, find.Cursor)
	}
	empty := &fake{envelope: always, lists: map[string][]string{}}
	if got := told(empty.open(t).FindClients(t.Context(), "Ann", workspace.Find{Type: "contact"})); got != " (partial)" {
		t.Errorf("a list of empty pages: FindClients = %s, want nothing, of a part of the list", got)
	}
}

// Before it finds nothing, it reads the lists again.
func TestFindClientsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{lists: map[string][]string{"/companies": {row("id", "clt_1", "name", "Zoë")}}}
		w := f.inside(workspace.Options{})
		step := func(what, words, want string, requests int) {
			t.Helper()
			got := told(w.FindClients(t.Context(), words, workspace.Find{}))
			if n := len(f.requests()); got != want || n != requests {
				t.Errorf("%s: FindClients(%q) = %s after %d requests, want %s after %d", what, words, got, n, want, requests)
			}
		}
		step("cold", "Zoe", "clt_1", 4)
		step("kept", "Zoe", "clt_1", 2)
		f.set("/companies", row("id", "clt_1", "name", "Zoë"), row("id", "clt_2", "name", "Renée"))
		step("just read", "Renee", "", 2)
		time.Sleep(10 * time.Second)
		step("read again", "Renee", "clt_2", 4)
		time.Sleep(10 * time.Second)
		step("no such ID", "clt_3", "", 2)
	})
}

// A list that cannot be read is an error, never a page without its rows.
func TestFindClientsFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		broken, words, kind string
		want                workspace.Kind // of the error; empty: none
	}{
		{"/contacts", "Ann", "", workspace.Client},
		{"/contacts", "Ann", "contact", workspace.Contact},
		{"/contacts", "Ann", "company", ""},
		{"/companies", "Ann", "contact", ""},
		{"/companies", "Ann", "company", workspace.Client},
		{"/companies", "", "", workspace.Client},
		{"/companies", "clt_1", "", workspace.Client},
	} {
		f := &fake{lists: map[string][]string{"/contacts": {row("id", "clt_1", "name", "Ann")}, "/companies": {row("id", "clt_2", "name", "Ann")}}}
		w := f.open(t)
		f.fail(tt.broken, http.StatusForbidden)
		found, err := w.FindClients(t.Context(), tt.words, workspace.Find{Type: tt.kind})
		e, failed := errors.AsType[*workspace.LookupError](err)
		api, _ := errors.AsType[*heffl.Error](err)
		switch {
		case tt.want == "" && (err != nil || len(found.Items) != 1):
			t.Errorf("FindClients(%q, %q) without %s = %v, %v; that list is not needed", tt.words, tt.kind, tt.broken, found, err)
		case tt.want != "" && (!failed || e.Kind != tt.want || api == nil || api.Status != http.StatusForbidden || len(found.Items) > 0):
			t.Errorf("FindClients(%q, %q) without %s = %v, %v; want a LookupError of 403", tt.words, tt.kind, tt.broken, found, err)
		}
	}
}

// FuzzFindClients holds that pages neither lose rows nor repeat them, whatever the lists and limits.
func FuzzFindClients(f *testing.F) {
	f.Add(uint16(0), uint16(0), uint8(1), uint8(1), "")
	f.Add(uint16(130), uint16(40), uint8(10), uint8(99), "Firm")
	f.Add(uint16(99), uint16(205), uint8(99), uint8(6), "bank")
	f.Fuzz(func(t *testing.T, contacts, companies uint16, limit, other uint8, words string) {
		w := manyClients(int(contacts%300), int(companies%300))
		ids := pagesOf(t, w.inside(workspace.Options{}), words, "", 1+int(limit%100), 1+int(other%100))
		if strings.TrimSpace(words) == "" && len(ids) != int(contacts%300)+int(companies%300) {
			t.Errorf("%d contacts and %d companies come as %d rows", contacts%300, companies%300, len(ids))
		}
		slices.Sort(ids)
		if len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Errorf("rows come twice: %q", ids)
		}
	})
}

// FuzzFindCursor holds that whatever is sent as a cursor, the outcome is a page or one of the errors.
func FuzzFindCursor(f *testing.F) {
	first, err := manyClients(30, 30).inside(workspace.Options{}).FindClients(f.Context(), "Firm", workspace.Find{})
	if err != nil {
		f.Fatal(err)
	}
	text, err := base64.RawURLEncoding.DecodeString(first.Next)
	if err != nil {
		f.Fatal(err)
	}
	of := strings.Split(string(text), `"`)[3]
	for _, c := range []string{string(text), "", "{}", "null", `{"of":"` + of + `","pages":[null,null],"shown":9}`, `{"of":"` + of + `","pages":["x","9"],"shown":999999999,"kept":true}`} {
		f.Add(c)
	}
	w := manyClients(30, 30).inside(workspace.Options{})
	f.Fuzz(func(t *testing.T, cursor string) {
		found, err := w.FindClients(t.Context(), "Firm", workspace.Find{Cursor: base64.RawURLEncoding.EncodeToString([]byte(cursor)), Limit: 5})
		_, failed := errors.AsType[*workspace.LookupError](err)
		if err != nil && !failed && !errors.Is(err, workspace.ErrCursor) || err != nil && len(found.Items) > 0 || len(found.Items) > 5 {
			t.Errorf("FindClients with the cursor %s = %d rows, %v", cursor, len(found.Items), err)
		}
	})
}
