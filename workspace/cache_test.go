package workspace_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/workspace"
)

// A deal with every name that it can have.
var wholeDeal = []struct {
	kind  workspace.Kind
	words string
	scope workspace.Scope
}{
	{workspace.Client, "northwind ltd", workspace.Scope{}},
	{workspace.Pipeline, "enterprise", workspace.Scope{}},
	{workspace.Stage, "contract", workspace.Scope{Pipeline: "dpl_enterprise"}},
	{workspace.User, "Sara", workspace.Scope{}},
	{workspace.User, "lena@heffl-sandbox.example", workspace.Scope{}},
	{workspace.Source, "referral", workspace.Scope{}},
	{workspace.Tag, "vip", workspace.Scope{}},
	{workspace.Product, "seat", workspace.Scope{}},
	{workspace.Product, "onboarding", workspace.Scope{}},
	{workspace.CustomField, "security review", workspace.Scope{Pipeline: "dpl_enterprise"}},
	{workspace.FieldOption, "passed", workspace.Scope{Pipeline: "dpl_enterprise", Field: "cf_security_review"}},
	{workspace.FieldOption, "north", workspace.Scope{Pipeline: "dpl_enterprise", Field: "cf_region"}},
}

func TestWholeDealCosts(t *testing.T) {
	t.Parallel()
	w, s := openSandbox(t, nil)
	costs := func(state string, want int, with ...string) {
		before := len(s.Requests())
		for _, n := range wholeDeal {
			if _, err := w.Resolve(t.Context(), n.kind, n.words, n.scope); err != nil {
				t.Errorf("%s: Resolve(%s, %q) = %v", state, n.kind, n.words, err)
			}
		}
		for _, contact := range with {
			if _, err := w.Resolve(t.Context(), workspace.Contact, contact, workspace.Scope{}); err != nil {
				t.Errorf("%s: Resolve(contact, %q) = %v", state, contact, err)
			}
		}
		if got := len(s.Requests()) - before; got != want {
			t.Errorf("%s: a deal with every name cost %d requests, want %d", state, got, want)
		}
	}
	costs("cold", 8)
	costs("warm", 0, "anna.keller@northwind.example")
}

// What naming a client costs, the lists being cold: where they are short, they are read once for
// every way of naming.
func TestClientCosts(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]int{
		"clt_northwind":           0,
		"dl_1":                    0,
		"":                        0,
		strings.Repeat("x", 1000): 0,
		"Northwind":               2,
		"hello@northwind.example": 2,
		"Falcon Logistics":        2, // ambiguous
		"Zurcher Mobel":           2,
		"Nortwind":                2, // just read: not read again
	} {
		w, s := openSandbox(t, nil)
		_, err := w.Resolve(t.Context(), workspace.Client, words, workspace.Scope{})
		if got := len(s.Requests()); got != want {
			t.Errorf("Resolve(client, %q) = %v after %d requests, want %d", words, err, got, want)
		}
		_, _ = w.Resolve(t.Context(), workspace.Client, words, workspace.Scope{})
		if got := len(s.Requests()) - want; got != 0 {
			t.Errorf("Resolve(client, %q) again took %d requests, want none", words, got)
		}
	}
}

// Clients that were read answer for a minute, unless it is known that there is a new one.
func TestNewClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		acme := row("id", "clt_1", "name", "Acme", "email", "a@acme.example")
		f := &fake{lists: map[string][]string{"/companies": {acme}, "/contacts": {}}}
		w := f.inside(workspace.Options{})
		step := func(what, words, want string, requests int) {
			t.Helper()
			m, err := w.Resolve(t.Context(), workspace.Client, words, workspace.Scope{})
			if got := say(m, err); got != want {
				t.Errorf("%s: Resolve(client, %q) = %s, want %s", what, words, got, want)
			}
			if got := f.requests(); len(got) != requests {
				t.Errorf("%s: asked %q, want %d requests", what, got, requests)
			}
		}
		step("first", "Acme", "clt_1 by name", 2)
		f.set("/companies", acme, row("id", "clt_2", "name", "Acme", "email", "b@acme.example"))
		time.Sleep(59 * time.Second)
		step("kept", "Acme", "clt_1 by name", 0)
		step("a miss reads again", "b@acme.example", "clt_2 by e-mail", 2)
		step("and what it has read counts", "Acme", "several: clt_1 clt_2", 0)
		f.set("/companies", acme)
		step("still kept", "b@acme.example", "clt_2 by e-mail", 0)
		w.ForgetClients()
		step("forgotten", "Acme", "clt_1 by name", 2)
		time.Sleep(time.Minute)
		step("too old", "Acme", "clt_1 by name", 2)
	})
}

func TestListsAreKeptAndRefreshed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{lists: map[string][]string{"/tags": {row("id", "tag_1", "name", "VIP")}}}
		w := f.inside(workspace.Options{TTL: time.Minute})
		step := func(what, words, want string, requests int) {
			t.Helper()
			m, err := w.Resolve(t.Context(), workspace.Tag, words, workspace.Scope{})
			if got := say(m, err); got != want {
				t.Errorf("%s: Resolve(tag, %q) = %s, want %s", what, words, got, want)
			}
			if got := f.requests(); len(got) != requests {
				t.Errorf("%s: asked %q, want %d requests", what, got, requests)
			}
		}
		step("first", "VIP", "tag_1 by name", 1)
		step("a miss on a fresh list", "Hot", "none: tag_1", 0)
		f.set("/tags", row("id", "tag_1", "name", "VIP"), row("id", "tag_2", "name", "Hot"))
		step("a miss within the same seconds", "Hot", "none: tag_1", 0)
		time.Sleep(6 * time.Second)
		step("a miss on an older list", "Hot", "tag_2 by name", 1)
		time.Sleep(50 * time.Second)
		step("kept", "Hot", "tag_2 by name", 0)
		step("a miss costs one request", "Cold", "none: tag_2 tag_1", 1)
		f.set("/tags", row("id", "tag_2", "name", "Cold"), row("id", "tag_3", "name", "VIP"))
		time.Sleep(59 * time.Second)
		step("still kept", "VIP", "tag_1 by name", 0)
		time.Sleep(time.Second)
		step("too old", "VIP", "tag_3 by name", 1)
		f.set("/tags", row("id", "tag_3", "name", "VIP"), row("id", "tag_4", "name", "VIP"))
		time.Sleep(time.Minute)
		step("ambiguous now", "VIP", "several: tag_3 tag_4", 1)
		f.set("/tags", row("id", "tag_4", "name", "VIP"))
		time.Sleep(10 * time.Second)
		step("no longer ambiguous", "VIP", "tag_4 by name", 1)
	})
}

// A scope that a list does not have is looked for again too, before it is refused.
func TestScopesAreRefreshed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stages := func(id string) []any { return []any{map[string]any{"id": id, "name": "New"}} }
		f := &fake{lists: map[string][]string{
			"/pipelines":     {row("id", "dpl_1", "name", "Sales", "stages", stages("dps_1"))},
			"/custom-fields": {row("key", "cf_a", "label", "A", "options", []string{"x"})},
		}}
		w := f.inside(workspace.Options{})
		stage := workspace.Scope{Pipeline: "dpl_2"}
		option := workspace.Scope{Field: "cf_b"}
		check := func(wantStage, wantOption string) {
			t.Helper()
			m, err := w.Resolve(t.Context(), workspace.Stage, "new", stage)
			if got := say(m, err); got != wantStage {
				t.Errorf("Resolve(stage) = %s, want %s", got, wantStage)
			}
			m, err = w.Resolve(t.Context(), workspace.FieldOption, "y", option)
			if got := say(m, err); got != wantOption {
				t.Errorf("Resolve(option) = %s, want %s", got, wantOption)
			}
		}
		check("none: dpl_1", "none: cf_a")
		f.set("/pipelines", row("id", "dpl_2", "name", "Sales", "stages", stages("dps_2")))
		f.set("/custom-fields", row("key", "cf_b", "label", "B", "options", []string{"y"}))
		time.Sleep(10 * time.Second)
		check("dps_2 by folded name", "y by id")
	})
}

func TestOneReadingForAllCallers(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{"/users": {row("id", "usr_1", "name", "Sara Haddad")}}, hold: make(chan struct{})}
	w := f.open(t)
	first, giveUp := context.WithCancel(t.Context())
	gaveUp := make(chan struct{})
	go func() {
		defer close(gaveUp)
		_, err := w.Resolve(first, workspace.User, "Sara", workspace.Scope{})
		if e, ok := errors.AsType[*workspace.LookupError](err); !ok || !errors.Is(e, context.Canceled) {
			t.Errorf("the caller that gave up: %v, want a LookupError of context.Canceled", err)
		}
	}()
	for len(f.requests()) == 0 { // until the first caller's request has arrived
		runtime.Gosched()
	}
	var callers sync.WaitGroup
	for range 49 {
		callers.Go(func() {
			m, err := w.Resolve(t.Context(), workspace.User, "Sara", workspace.Scope{})
			if err != nil || m.ID != "usr_1" {
				t.Errorf("Resolve = %v, %v", m, err)
			}
		})
	}
	giveUp()
	<-gaveUp
	close(f.hold)
	callers.Wait()
	if got := f.requests(); len(got) != 0 {
		t.Errorf("50 callers needed more than one request: %q", got)
	}
}

// A reading that never ends is given up, and its callers before it when their time is over.
func TestReadingEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sandbox.New(sandbox.Options{RateLimit: -1, Fault: func(*http.Request) sandbox.Fault { return sandbox.Fault{Kind: sandbox.Hang} }})
		defer s.Close()
		w := workspace.New(&heffl.Client{BaseURL: sandbox.BaseURL, Key: "heffl_user_k3y", HTTP: s.HTTPClient(), Timeout: time.Hour}, workspace.Options{})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := w.Users(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("Users = %v after %v, want the deadline after 3s", err, time.Since(start))
		}
		if _, err = w.Users(t.Context()); err == nil || time.Since(start) > time.Minute {
			t.Errorf("Users = %v after %v, want an error within a minute", err, time.Since(start))
		}
		before := len(s.Requests())
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.Resolve(gone, workspace.Tag, "VIP", workspace.Scope{}); !errors.Is(err, context.Canceled) || len(s.Requests()) != before {
			t.Errorf("Resolve with an ended context = %v, and %d requests; want none", err, len(s.Requests())-before)
		}
	})
}

// A look-up that fails decides nothing: not that a name is there, nor that it is not.
func TestFailureNeverDecides(t *testing.T) {
	t.Parallel()
	all := []string{"/contacts", "/companies", "/leads", "/deals", "/pipelines", "/users", "/sources", "/tags", "/products", "/custom-fields"}
	needs := map[workspace.Kind][]string{
		workspace.Client: {"/contacts", "/companies"}, workspace.Contact: {"/contacts"}, workspace.Lead: {"/leads"}, workspace.Deal: {"/deals"},
		workspace.Pipeline: {"/pipelines"}, workspace.Stage: {"/pipelines"}, workspace.User: {"/users"}, workspace.Source: {"/sources"},
		workspace.Tag: {"/tags"}, workspace.Product: {"/products"}, workspace.CustomField: {"/custom-fields"}, workspace.FieldOption: {"/custom-fields"},
	}
	lists := map[string][]string{}
	for _, path := range all {
		lists[path] = []string{row("id", "x_1", "key", "cf_same", "name", "Same", "title", "Same", "options", []string{"Same"}, "stages", []any{map[string]any{"id": "dps_1", "name": "Same"}})}
	}
	lists["/companies"] = nil
	for kind, paths := range needs {
		for _, broken := range all {
			for _, words := range []string{"Same", "Other"} {
				f := &fake{lists: lists}
				w := f.open(t)
				f.fail(broken, http.StatusForbidden)
				m, err := w.Resolve(t.Context(), kind, words, workspace.Scope{Field: "cf_same"})
				e, failed := errors.AsType[*workspace.LookupError](err)
				switch {
				case slices.Contains(paths, broken):
					if api, ok := errors.AsType[*heffl.Error](err); !failed || e.Kind != kind || !ok || api.Status != http.StatusForbidden {
						t.Errorf("Resolve(%s, %s) without %s = %v, %v; want a LookupError of 403", kind, words, broken, m, err)
					}
				case failed, (words == "Same") != (err == nil):
					t.Errorf("Resolve(%s, %s) without %s = %v, %v; that list is not needed", kind, words, broken, m, err)
				}
			}
		}
	}
}

// A list that was read once does not decide a miss when it cannot be read again.
func TestFailedRefreshNeverDecides(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{lists: map[string][]string{"/sources": {row("id", "src_1", "name", "Web")}, "/contacts": nil, "/companies": {row("id", "clt_1", "name", "Zoë")}}}
		w := f.inside(workspace.Options{})
		for kind, words := range map[workspace.Kind]string{workspace.Source: "web", workspace.Client: "zoe"} {
			if _, err := w.Resolve(t.Context(), kind, words, workspace.Scope{}); err != nil {
				t.Errorf("Resolve(%s, %s) = %v", kind, words, err)
			}
		}
		time.Sleep(10 * time.Second)
		f.fail("/sources", http.StatusUnauthorized)
		if m, err := w.Resolve(t.Context(), workspace.Source, "Web", workspace.Scope{}); err != nil {
			t.Errorf("Resolve(source, Web) from a kept list = %v, %v", m, err)
		}
		_, err := w.Resolve(t.Context(), workspace.Source, "Fair", workspace.Scope{})
		if _, ok := errors.AsType[*workspace.LookupError](err); !ok {
			t.Errorf("Resolve(source, Fair), which cannot be refreshed = %v, want a LookupError", err)
		}
		f.fail("/sources", 0)
		if _, err := w.Resolve(t.Context(), workspace.Source, "Fair", workspace.Scope{}); say(workspace.Match{}, err) != "none: src_1" {
			t.Errorf("Resolve(source, Fair) after the failure = %v, want none", err)
		}
		time.Sleep(10 * time.Minute)
		f.fail("/sources", http.StatusForbidden)
		_, err = w.Resolve(t.Context(), workspace.Source, "Web", workspace.Scope{})
		if _, ok := errors.AsType[*workspace.LookupError](err); !ok {
			t.Errorf("Resolve(source, Web) from a list that is too old = %v, want a LookupError", err)
		}
	})
}

// A failure that passes is got over, and one of the network is a failure like any other.
func TestNetworkFails(t *testing.T) {
	t.Parallel()
	for _, kind := range []sandbox.Kind{sandbox.Error, sandbox.Drop, sandbox.Gateway, sandbox.Truncate} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			faults := 2
			s := sandbox.New(sandbox.Options{RateLimit: -1, Fault: func(*http.Request) sandbox.Fault {
				mu.Lock()
				defer mu.Unlock()
				if faults--; faults < 0 {
					return sandbox.Fault{}
				}
				return sandbox.Fault{Kind: kind}
			}})
			defer s.Close()
			w := workspace.New(&heffl.Client{BaseURL: sandbox.BaseURL, Key: "heffl_user_k3y", HTTP: s.HTTPClient()}, workspace.Options{})
			m, err := w.Resolve(t.Context(), workspace.Tag, "VIP", workspace.Scope{})
			if err != nil || m.ID != "tag_vip" {
				t.Errorf("Resolve after two faults (%s) = %v, %v", kind, m, err)
			}
			mu.Lock()
			faults = 1 << 20
			mu.Unlock()
			for _, kind := range []workspace.Kind{workspace.Client, workspace.User} {
				m, err := w.Resolve(t.Context(), kind, "Sara", workspace.Scope{})
				if _, ok := errors.AsType[*workspace.LookupError](err); !ok {
					t.Errorf("Resolve(%s) with nothing but faults = %v, %v; want a LookupError", kind, m, err)
				}
			}
		})
	}
}

// Lists are read to their end; one that has none, or that is too long, decides nothing but an ID.
func TestLongLists(t *testing.T) {
	t.Parallel()
	many := func(prefix string, n int) []string {
		var rows []string
		for i := range n {
			rows = append(rows, row("id", fmt.Sprint(prefix, i), "name", fmt.Sprintf("Thing %d.", i)))
		}
		return rows
	}
	f := &fake{pageSize: 30, lists: map[string][]string{"/products": many("x_", 250), "/tags": many("x_", 5000), "/sources": many("x_", 30), "/companies": many("clt_a", 120), "/contacts": many("clt_b", 2000)}}
	w := f.open(t)
	for _, tt := range []struct {
		kind     workspace.Kind
		words    string
		want     string
		requests int
	}{
		{workspace.Source, "thing 29", "x_29 by folded name", 1},
		{workspace.Product, "thing 249", "x_249 by folded name", 4}, // the first of 30, then three of 100
		{workspace.Tag, "thing 3", "partial: x_3", 20},
		{workspace.Tag, "Thing 4999.", "partial: x_499 x_49", 0},
		{workspace.Tag, "x_3", "x_3 by id", 0},
		{workspace.Contact, "Thing 1999.", "clt_b1999 by name", 1 + 1},        // the list is long; found by the search, and only there
		{workspace.Contact, "Thing 1998.", "clt_b1998 by name", 1},            // that it is long is known
		{workspace.Contact, "Thing 1", "partial: clt_b1", 1 + 5},              // too many finds, too long a list
		{workspace.Contact, "Thing-1999", "partial: clt_b199 clt_b19", 1 + 1}, // no find; the list is kept; "Thin" finds too many
		{workspace.Client, "thing 7.", "several: clt_a7 clt_b7", 1 + 2},
	} {
		f.requests()
		m, err := w.Resolve(t.Context(), tt.kind, tt.words, workspace.Scope{})
		got := say(m, err)
		if n := len(f.requests()); got != tt.want || n != tt.requests {
			t.Errorf("Resolve(%s, %q) = %s after %d requests, want %s after %d", tt.kind, tt.words, got, n, tt.want, tt.requests)
		}
	}
	if l, err := w.Tags(t.Context()); err != nil || !l.Partial || len(l.Items) < 1000 {
		t.Errorf("Tags = %d, partial %t, %v; want those that were read, and partial", len(l.Items), l.Partial, err)
	}
}

// A cursor that leads back to its own page ends the list, and leaves it undecided.
func TestCursorThatLeadsNowhere(t *testing.T) {
	t.Parallel()
	f := &fake{envelope: `{"data":[%s],"meta":{"nextCursor":"same","hasMore":true}}`, lists: map[string][]string{"/tags": {row("id", "tag_1", "name", "VIP")}}}
	_, err := f.open(t).Resolve(t.Context(), workspace.Tag, "VIP", workspace.Scope{})
	if got := say(workspace.Match{}, err); got != "partial: tag_1" || len(f.requests()) > 4 {
		t.Errorf("Resolve = %s, want partial after a few requests", got)
	}
}

// In a long list the nearest is found by the beginning of the longest word.
func TestSuggestionsBeyondTheList(t *testing.T) {
	t.Parallel()
	rows := make([]string, 600)
	for i := range rows {
		rows[i] = row("id", fmt.Sprintf("clt_%d", i), "name", fmt.Sprintf("Zzz %d", i))
	}
	rows = append(rows, row("id", "clt_north", "name", "Northwind Trading", "website", "https://northwind.example"))
	f := &fake{lists: map[string][]string{"/companies": rows}}
	w := f.open(t)
	for words, want := range map[string]string{
		"The Northwnd Trading":      "partial: clt_north", // "Trad"
		"Northwint":                 "partial: clt_north", // "Nort"
		"info@northwind.example":    "partial: clt_north",
		"northwind.test":            "partial: clt_north",
		"+44 20 7123 0000":          "partial:",
		"Quux":                      "partial:",
		"Northwind Trading":         "clt_north by name",
		"northwind trading, Ltd":    "clt_north by folded name",
		"https://northwind.example": "partial: clt_north", // there may be more of that domain,
	} {
		m, err := w.Resolve(t.Context(), workspace.Client, words, workspace.Scope{})
		if got := say(m, err); got != want {
			t.Errorf("Resolve(client, %q) = %s, want %s", words, got, want)
		}
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	w, s := openSandbox(t, nil)
	var got []string
	add := func(n int, err error) { got = append(got, fmt.Sprint(n, " ", err)) }
	for range 2 {
		pipelines, err := w.Pipelines(t.Context())
		add(len(pipelines.Items), err)
		users, err := w.Users(t.Context())
		add(len(users.Items), err)
		sources, err := w.Sources(t.Context())
		add(len(sources.Items), err)
		tags, err := w.Tags(t.Context())
		add(len(tags.Items), err)
		products, err := w.Products(t.Context())
		add(len(products.Items), err)
		if pipelines.At.IsZero() || pipelines.Partial {
			t.Errorf("Pipelines = %+v", pipelines)
		}
	}
	want := []string{"2 <nil>", "5 <nil>", "4 <nil>", "5 <nil>", "4 <nil>"}
	if diff := cmp.Diff(slices.Concat(want, want), got); diff != "" {
		t.Errorf("lists: -want +got\n%s", diff)
	}
	if n := len(s.Requests()); n != 5 {
		t.Errorf("five lists, twice, took %d requests, want 5", n)
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	w, s := openSandbox(t, nil)
	keys := func(l workspace.List[workspace.Field], err error) string {
		if err != nil {
			return err.Error()
		}
		var keys []string
		for _, f := range l.Items {
			keys = append(keys, strings.TrimSuffix(f.Key+"@"+f.Pipeline, "@"))
		}
		return strings.Join(keys, " ")
	}
	const general = "cf_region cf_po_number cf_background cf_seats cf_annual_value cf_renewal_date cf_modules cf_site_phone cf_billing_email cf_rfp_link cf_keywords cf_partner"
	for _, tt := range []struct {
		what string
		list func() (workspace.List[workspace.Field], error)
		want string
	}{
		{"Fields of none", func() (workspace.List[workspace.Field], error) { return w.Fields(t.Context(), "") }, general},
		{"Fields of sales", func() (workspace.List[workspace.Field], error) { return w.Fields(t.Context(), "dpl_sales") }, general},
		{"Fields of enterprise", func() (workspace.List[workspace.Field], error) { return w.Fields(t.Context(), "dpl_enterprise") }, general + " cf_security_review"},
		{"OtherFields of none", func() (workspace.List[workspace.Field], error) { return w.OtherFields(t.Context(), "") }, "cf_security_review@dpl_enterprise"},
		{"OtherFields of sales", func() (workspace.List[workspace.Field], error) { return w.OtherFields(t.Context(), "dpl_sales") }, "cf_security_review@dpl_enterprise"},
		{"OtherFields of enterprise", func() (workspace.List[workspace.Field], error) { return w.OtherFields(t.Context(), "dpl_enterprise") }, ""},
	} {
		if got := keys(tt.list()); got != tt.want {
			t.Errorf("%s = %s, want %s", tt.what, got, tt.want)
		}
	}
	if n := len(s.Requests()); n != 4 { // three lists of fields, and the pipelines
		t.Errorf("fields took %d requests, want 4", n)
	}
	fields, _ := w.Fields(t.Context(), "")
	want := workspace.Field{Key: "cf_region", Label: "Region", Type: "SINGLE_OPTION"}
	for _, o := range []string{"North", "South", "East", "West"} {
		want.Options = append(want.Options, workspace.Option{Value: o, Label: o, JSON: fmt.Appendf(nil, "%q", o)})
	}
	if diff := cmp.Diff(want, fields.Items[0]); diff != "" {
		t.Errorf("Fields[0]: -want +got\n%s", diff)
	}
	_, err := w.Fields(t.Context(), "dpl_none")
	if e, ok := errors.AsType[*workspace.LookupError](err); !ok || e.Kind != workspace.CustomField {
		t.Errorf("Fields of a pipeline that is not there = %v, want a LookupError", err)
	}
}

// Pipelines that nobody has do not fill the memory.
func TestManyPipelinesOfFields(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{"/custom-fields": {}}}
	w := f.open(t)
	for i := range 200 {
		if _, err := w.Fields(t.Context(), fmt.Sprintf("dpl_%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.requests()); n != 200 {
		t.Errorf("200 lists took %d requests", n)
	}
}
