package tools

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

// dealsFound is what find_deals answered.
type dealsFound struct {
	Deals      []map[string]any
	NextCursor string
	NotFound   string
	Incomplete string

	text string
	raw  string
}

func (f dealsFound) ids() []string {
	ids := []string{}
	for _, d := range f.Deals {
		ids = append(ids, fmt.Sprint(d["id"]))
	}
	return ids
}

func findBy(tb testing.TB, c *mcpclient.Client, args string) dealsFound {
	tb.Helper()
	r := callTool(tb, c, "find_deals", args)
	f := dealsFound{text: textOf(r), raw: string(r.RawStructuredContent)}
	if r.IsError {
		tb.Fatalf("find_deals(%s) = %s", args, f.text)
	}
	if err := json.Unmarshal(r.RawStructuredContent, &f); err != nil {
		tb.Fatalf("find_deals(%s): %v: %s", args, err, f.raw)
	}
	if !strings.HasSuffix(f.text, f.raw) {
		tb.Errorf("find_deals(%s): the text does not end with the structured content: %s", args, f.text)
	}
	return f
}

// addDeals makes deals from last to first, so that the first is the newest.
func addDeals(tb testing.TB, sb *sandbox.Sandbox, n int, body func(i int) string) {
	tb.Helper()
	for i := n - 1; i >= 0; i-- {
		r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, sandbox.BaseURL+"/deals", strings.NewReader(body(i)))
		if err != nil {
			tb.Fatal(err)
		}
		r.Header = http.Header{"X-Api-Key": {"other"}, "Content-Type": {"application/json"}}
		resp, err := sb.HTTPClient().Do(r)
		if err != nil {
			tb.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			tb.Fatalf("POST /deals %s = %d", body(i), resp.StatusCode)
		}
	}
}

// dealLists are the requests for the list of deals since the first so many requests.
func dealLists(sb *sandbox.Sandbox, since int) []sandbox.Request {
	return slices.DeleteFunc(sb.Requests()[since:], func(r sandbox.Request) bool { return r.Path != "/deals" })
}

// between is a server that changes what goes to the sandbox, or answers in its place.
func between(tb testing.TB, sb *sandbox.Sandbox, change func(w http.ResponseWriter, r *http.Request) (answered bool)) *mcpclient.Client {
	tb.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !change(w, r) {
			sb.ServeHTTP(w, r)
		}
	}))
	tb.Cleanup(srv.Close)
	return connectTo(tb, Deps{Heffl: &heffl.Client{BaseURL: srv.URL + "/api/v2", Key: testKey, HTTP: srv.Client()}})
}

// fakeDeals is a Heffl whose only page of deals has these rows.
func fakeDeals(tb testing.TB, rows string) *mcpclient.Client {
	tb.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"data":[`+rows+`],"meta":{"hasMore":false}}`)
	}))
	tb.Cleanup(srv.Close)
	return connectTo(tb, Deps{Heffl: client(srv)})
}

func TestFindDeals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args    string
		ids     string
		filters string // as Heffl receives them
		says    string
	}{
		{args: `{}`, ids: "dl_globex_return dl_zurcher_showroom dl_alnoor_rollout dl_acme_renewal dl_northwind_pilot", says: "5 deals, the newest first."},
		{args: `{"query":"renewal"}`, ids: "dl_acme_renewal", says: "1 deal."},
		{args: `{"query":" DEAL001 "}`, ids: "dl_northwind_pilot"},
		{args: `{"query":"northwind"}`, ids: "dl_northwind_pilot"},
		{args: `{"clientId":"Acme"}`, ids: "dl_acme_renewal", filters: `{"clientId":{"operator":"is","values":["clt_acme"]}}`, says: `Understood: clientId "Acme" as clt_acme ("Acme", by name)`},
		{args: `{"clientId":"office@acme.example"}`, ids: "dl_acme_renewal", filters: `{"clientId":{"operator":"is","values":["clt_acme"]}}`},
		{args: `{"pipelineId":"enterprise"}`, ids: "dl_alnoor_rollout", filters: `{"pipelineId":{"operator":"is","values":["dpl_enterprise"]}}`},
		{args: `{"stageId":"Negotiation"}`, ids: "dl_acme_renewal", filters: `{"stageId":{"operator":"is","values":["dps_negotiation"]}}`},
		{args: `{"stageId":"Won","pipelineId":"Sales"}`, ids: "dl_northwind_pilot", filters: `{"pipelineId":{"operator":"is","values":["dpl_sales"]},"stageId":{"operator":"is","values":["dps_won"]}}`},
		{args: `{"ownerUserId":"Sara"}`, ids: "dl_northwind_pilot"},
		{args: `{"ownerUserId":"james@heffl-sandbox.example"}`, ids: "dl_acme_renewal"},
		{args: `{"status":"ACTIVE"}`, ids: "dl_zurcher_showroom dl_alnoor_rollout dl_acme_renewal", filters: `{"status":{"operator":"is","values":["ACTIVE"]}}`},
		{args: `{"status":"lost"}`, ids: "dl_globex_return", filters: `{"status":{"operator":"is","values":["LOST"]}}`, says: `status: read "lost" as "LOST"`},
		{args: `{"status":"ACTIVE","ownerUserId":"usr_lena","clientId":null,"query":""}`, ids: "dl_zurcher_showroom", filters: `{"status":{"operator":"is","values":["ACTIVE"]}}`},
		{args: `{"limit":2}`, ids: "dl_globex_return dl_zurcher_showroom", says: "There may be more: give nextCursor as cursor."},
		{args: `{"limit":"2"}`, ids: "dl_globex_return dl_zurcher_showroom", says: `limit: read "2" as 2`},
		{args: `{"query":"renewal","limit":1}`, ids: "dl_acme_renewal", says: "1 deal.\n"},

		{args: `{"clientId":"Maryam Al-Farsi"}`, filters: `{"clientId":{"operator":"is","values":["clt_maryam"]}}`, says: `"Maryam Al-Farsi" works at "شركة النور للتجارة": for its deals give clientId clt_alnoor.`},
		{args: `{"query":"no such deal"}`, says: `No deal fits query "no such deal". A query is looked for in title, number and client's name. To find more, give fewer words as query.`},
		{args: `{"query":"renewal","status":"WON","ownerUserId":"James"}`, filters: `{"status":{"operator":"is","values":["WON"]}}`,
			says: `No deal fits query "renewal", status "WON", ownerUserId "James". A query is looked for in title, number and client's name. To find more, leave out status or ownerUserId.`},
		{args: `{"clientId":"clt_nobody"}`, filters: `{"clientId":{"operator":"is","values":["clt_nobody"]}}`, says: `No deal fits clientId "clt_nobody". To find more, leave out clientId.`},
	} {
		sb := newSandbox(t)
		f := findBy(t, connect(t, sb), tt.args)
		if diff := cmp.Diff(strings.Fields(tt.ids), f.ids()); diff != "" {
			t.Errorf("find_deals(%s) (-want +got):\n%s", tt.args, diff)
		}
		if !strings.Contains(f.text, tt.says) || (tt.ids == "") != (f.NotFound != "") || !strings.HasPrefix(f.text, f.NotFound) || f.Incomplete != "" {
			t.Errorf("find_deals(%s) = %s, want it to say %q", tt.args, f.text, tt.says)
		}
		lists := dealLists(sb, 0)
		if len(lists) != 1 || lists[0].Query.Get("filters") != tt.filters || lists[0].Query.Get("orderBy") != "createdAt" || lists[0].Query.Get("orderDir") != "desc" {
			t.Errorf("find_deals(%s): Heffl was asked %+v, want once for %s, the newest first", tt.args, lists, tt.filters)
		}
	}
}

// TestFindDealsRow holds what a deal is shown as.
func TestFindDealsRow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rows, want string }{
		{`{"id":"dl_1","number":"D-1","title":"A","contactEmails":[],"clientId":"clt_1","client":{"id":"clt_1","name":"Acme"},"price":18250.750,` +
			`"expectedCloseDate":"2027-03-31T00:00:00.000Z","status":"ACTIVE","priority":"HIGH","pipelineId":"dpl_1","stageId":"dps_1","stage":"New","ownerName":"Sara","createdAt":"2026-01-02T03:04:05.000Z","cf_a":1}`,
			`{"id":"dl_1","number":"D-1","title":"A","client":"Acme","pipelineId":"dpl_1","stage":"New","status":"ACTIVE","price":18250.750,"ownerName":"Sara","expectedCloseDate":"2027-03-31T00:00:00.000Z","createdAt":"2026-01-02T03:04:05.000Z"}`},
		{`{"id":"dl_1","title":null,"client":{},"clientId":"clt_1","price":null}`, `{"id":"dl_1","clientId":"clt_1"}`},
		{`{"id":"dl_1","client":"odd","number":7}`, `{"id":"dl_1","number":7}`},
		{"{\"id\":\"dl_1\",\"title\":\"a\xff\",\"title\":\"b\xff\"}", `{"id":"dl_1","title":"b` + "\ufffd" + `"}`},
	} {
		f := findBy(t, fakeDeals(t, tt.rows), `{}`)
		if want := `{"deals":[` + tt.want + `]}`; f.raw != want {
			t.Errorf("find_deals of %s = %s, want %s", tt.rows, f.raw, want)
		}
	}
	if f := findBy(t, fakeDeals(t, ""), `{"limit":3}`); f.raw != `{"deals":[],"notFound":"There are no deals."}` {
		t.Errorf("find_deals without deals = %s", f.raw)
	}
	r := callTool(t, fakeDeals(t, `{"id":"dl_1"},{"title":"no ID"}`), "find_deals", `{}`)
	if !r.IsError || !strings.Contains(textOf(r), "without an id") {
		t.Errorf("find_deals of a row without an ID = %s, want an error that says so", textOf(r))
	}
}

func TestFindDealByID(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	c := connect(t, sb)
	f := findBy(t, c, `{"id":"dl_acme_renewal","limit":5}`)
	for _, part := range []string{
		`{"deals":[{"id":"dl_acme_renewal","number":"DEAL002","title":"Acme renewal","client":"Acme","pipelineId":"dpl_sales","stage":"Negotiation","status":"ACTIVE","price":18250.75,"ownerName":"James O'Neill",`,
		`"pipelineId":"dpl_sales"`, `"cf_renewal_date":"2027-04-01"`, `"priority":"HIGH"`,
	} {
		if !strings.Contains(f.raw, part) || strings.Contains(f.raw, "null") {
			t.Errorf("find_deals(id) = %s, want it to have %s and nothing that is unset", f.raw, part)
		}
	}
	if !strings.HasPrefix(f.text, `Found the deal dl_acme_renewal (number "DEAL002", "Acme renewal"`) {
		t.Errorf("find_deals(id) says %s", f.text)
	}
	f = findBy(t, c, `{"id":"dl_gone"}`)
	if len(f.Deals) != 0 || !strings.HasPrefix(f.NotFound, "There is no deal dl_gone.") {
		t.Errorf("find_deals(an ID of nothing) = %s, want that it is not found", f.raw)
	}
	if reads := sb.Requests(); len(reads) != 2 || reads[0].Path != "/deals/dl_acme_renewal" || reads[1].Path != "/deals/dl_gone" {
		t.Errorf("two IDs cost %+v, want one read each", reads)
	}
	for _, words := range []string{"DEAL002", "deal002", "Acme renewal"} { // as update_deal takes them
		f = findBy(t, c, `{"id":"`+words+`"}`)
		if len(f.Deals) != 1 || f.ids()[0] != "dl_acme_renewal" || !strings.Contains(f.raw, `"cf_renewal_date":"2027-04-01"`) {
			t.Errorf("find_deals(id %s) = %s, want the whole deal", words, f.raw)
		}
	}
	if r := callTool(t, c, "find_deals", `{"id":"DEAL999"}`); !r.IsError || !strings.Contains(textOf(r), `id: no deal is named "DEAL999"`) {
		t.Errorf("find_deals(a number of nothing) = %s, want that there is none", textOf(r))
	}
	broken := between(t, sb, func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusForbidden); return true })
	if r := callTool(t, broken, "find_deals", `{"id":"dl_acme_renewal"}`); !r.IsError || notesOf(r)["heffl-mcp/outcome"] != refused {
		t.Errorf("find_deals(403) = %s, want an error", textOf(r))
	}
}

func TestFindDealsRefuses(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	c := connect(t, sb)
	for args, says := range map[string]string{
		`{"id":"clt_acme"}`:                            `id: "clt_acme" is the ID of a client, and a deal is wanted here; give its name, or its ID or number`,
		`{"id":"dl_1","query":"a","status":"WON"}`:     "id: goes alone; leave out query, status, or leave out id",
		`{"id":7,"clientId":"clt_acme"}`:               "id: got 7; give a non-empty string",
		`{"query":"  "}`:                               "query: got ",
		`{"query":"` + strings.Repeat("a", 201) + `"}`: "at most 200 characters",
		`{"limit":0}`:                                  "limit: got 0; give a number of at least 1",
		`{"limit":51}`:                                 "limit: got 51; give a number of at most 50",
		`{"limit":"ten"}`:                              `limit: got "ten"; give a whole number`,
		`{"limit":1.5}`:                                "limit: got 1.5; give a whole number",
		`{"status":"OPEN"}`:                            "give one of ACTIVE, WON, LOST",
		`{"search":"a"}`:                               "search: unknown property; did you mean query?",
		`{"dealId":"dl_1"}`:                            "dealId: unknown property; did you mean id?",
		`{"owner":"Sara"}`:                             "owner: unknown property; did you mean ownerUserId?",
		`{"cf_region":"North"}`:                        "cf_region: unknown property",
		`{"stageId":"Won"}`:                            `stageId: 2 stages are named "Won": `,
		`{"stageId":"Nowhere"}`:                        `stageId: no stage is named "Nowhere"; there are `,
		`{"stageId":"Contract","pipelineId":"Sales"}`:  `stageId: "Contract" is a stage of the pipeline "Enterprise", and this deal is in "Sales"`,
		`{"stageId":"Proposal","pipelineId":"Q"}`:      `correct 1 fault and call again:` + "\n" + `- pipelineId: no pipeline is named "Q"`,
		`{"clientId":"Falcon Logistics"}`:              `clientId: 2 clients are named "Falcon Logistics": `,
		`{"ownerUserId":"Omar"}`:                       `ownerUserId: 2 users are named "Omar": `,
		`{"clientId":"dl_1"}`:                          `clientId: "dl_1" is the ID of a deal`,
		`{"cursor":"what"}`:                            "cursor: it goes with other arguments, or is none; leave cursor out",
		`{"cursor":"e30"}`:                             "cursor: it goes with other arguments, or is none; leave cursor out",
		`{"cursor":"e30","limit":99,"ownerUserId":"Omar","id":7}`: "correct 3 faults",
	} {
		r := callTool(t, c, "find_deals", args)
		if text := textOf(r); !r.IsError || !strings.Contains(text, says) || notesOf(r)["heffl-mcp/outcome"] != invalid {
			t.Errorf("find_deals(%s) = %s, want it refused with %q", args, text, says)
		}
	}
	if lists := dealLists(sb, 0); len(lists) > 0 {
		t.Errorf("Heffl was asked for deals by invalid arguments: %+v", lists)
	}
}

// TestFindDealsFilters holds that the deals are the right ones whatever Heffl makes of the filters
// that are not documented.
func TestFindDealsFilters(t *testing.T) {
	t.Parallel()
	const args = `{"clientId":"clt_acme","pipelineId":"dpl_sales","stageId":"dps_negotiation","status":"ACTIVE"}`
	for name, tt := range map[string]struct {
		change  func(filters map[string]json.RawMessage) int // 0: pass on what is left
		filters []string
		failed  bool
	}{
		"accepted": {change: func(map[string]json.RawMessage) int { return 0 }, filters: []string{"clientId pipelineId stageId status"}},
		"ignored": {change: func(f map[string]json.RawMessage) int {
			clear(f)
			return 0
		}, filters: []string{"clientId pipelineId stageId status"}},
		"400": {change: func(f map[string]json.RawMessage) int {
			if f["stageId"] != nil {
				return 400
			}
			return 0
		}, filters: []string{"clientId pipelineId stageId status", "status"}},
		"422": {change: func(f map[string]json.RawMessage) int {
			if f["clientId"] != nil {
				return 422
			}
			return 0
		}, filters: []string{"clientId pipelineId stageId status", "status"}},
		"all refused":   {change: func(map[string]json.RawMessage) int { return 400 }, filters: []string{"clientId pipelineId stageId status", "status"}, failed: true},
		"not permitted": {change: func(map[string]json.RawMessage) int { return 403 }, filters: []string{"clientId pipelineId stageId status"}, failed: true},
	} {
		sb := newSandbox(t)
		var asked []string
		c := between(t, sb, func(w http.ResponseWriter, r *http.Request) bool {
			q := r.URL.Query()
			filters := map[string]json.RawMessage{}
			if r.URL.Path != "/api/v2/deals" || json.Unmarshal([]byte(q.Get("filters")), &filters) != nil {
				return false
			}
			asked = append(asked, strings.Join(slices.Sorted(maps.Keys(filters)), " "))
			status := tt.change(filters)
			left, _ := json.Marshal(filters)
			q.Set("filters", string(left))
			r.URL.RawQuery = q.Encode()
			if status != 0 {
				http.Error(w, `{"error":{"code":"VALIDATION_ERROR","message":"Unknown filter field"}}`, status)
			}
			return status != 0
		})
		r := callTool(t, c, "find_deals", args)
		if r.IsError != tt.failed || !tt.failed && !strings.HasPrefix(string(r.RawStructuredContent), `{"deals":[{"id":"dl_acme_renewal"`) || strings.Count(textOf(r), `"dl_`) > 1 {
			t.Errorf("%s: find_deals = %s, want the one deal (or an error: %t)", name, textOf(r), tt.failed)
		}
		if diff := cmp.Diff(tt.filters, asked); diff != "" {
			t.Errorf("%s: the filters that were sent (-want +got):\n%s", name, diff)
		}
	}
}

// TestFindDealsPages walks through lists by pages of every size: no deal is lost or comes twice, and
// the order is Heffl's, also while new deals are made.
func TestFindDealsPages(t *testing.T) {
	t.Parallel()
	const n = 250 // more than two of Heffl's pages
	sb := newSandbox(t)
	addDeals(t, sb, n, func(i int) string {
		owner := ""
		if i%3 == 0 {
			owner = `,"ownerUserId":"usr_sara"`
		}
		return fmt.Sprintf(`{"title":"Walk %d","clientId":"clt_globex","pipelineId":"dpl_sales"%s}`, i, owner)
	})
	c := connect(t, sb)
	for _, args := range []string{`"query":"walk "`, `"clientId":"clt_globex","status":"ACTIVE"`, `"ownerUserId":"Sara","query":"walk"`} {
		var want []string
		for i := range n {
			if !strings.Contains(args, "Sara") || i%3 == 0 {
				want = append(want, fmt.Sprint("Walk ", i))
			}
		}
		for _, limit := range []int{7, 50} {
			var got []string
			cursor := ""
			for pages := 0; pages == 0 || cursor != "" && pages < n; pages++ {
				f := findBy(t, c, fmt.Sprintf(`{%s,"limit":%d,"cursor":%q}`, args, limit, cursor))
				if len(f.Deals) > limit || f.NotFound != "" || f.Incomplete != "" {
					t.Fatalf("find_deals(%s, limit %d) = %s", args, limit, f.text)
				}
				for _, d := range f.Deals {
					got = append(got, fmt.Sprint(d["title"]))
				}
				if cursor = f.NextCursor; pages == 0 {
					addDeals(t, sb, 3, func(i int) string {
						return fmt.Sprintf(`{"title":"Walk in %d","clientId":"clt_globex","pipelineId":"dpl_sales","ownerUserId":"usr_sara","price":1}`, i)
					})
				}
			}
			newer := slices.IndexFunc(got, func(title string) bool { return !strings.HasPrefix(title, "Walk in") })
			if diff := cmp.Diff(want[:min(len(want), len(got)-newer)], got[newer:]); diff != "" || len(got)-newer < len(want) {
				t.Errorf("find_deals(%s, limit %d) by pages (-want +got):\n%s", args, limit, diff)
			}
		}
	}
	if f := findBy(t, c, `{"ownerUserId":"usr_lena","query":"walk"}`); f.NotFound == "" || f.NextCursor != "" {
		t.Errorf("find_deals(none among many) = %s, want that all were looked through", f.text)
	}
}

// TestFindDealsBound holds how far one call looks, and that the next goes on from there.
func TestFindDealsBound(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	addDeals(t, sb, 520, func(i int) string {
		owner := ""
		if i == 510 {
			owner = `,"ownerUserId":"usr_sara"`
		}
		return fmt.Sprintf(`{"title":"Deep %d","clientId":"clt_globex","pipelineId":"dpl_sales"%s}`, i, owner)
	})
	c := connect(t, sb)
	f := findBy(t, c, `{"query":"deep","ownerUserId":"usr_sara"}`)
	if len(f.Deals) > 0 || f.NotFound != "" || f.NextCursor == "" || !strings.HasPrefix(f.text, "No deal so far. Only 500 deals were looked through, back to ") || !strings.Contains(f.text, f.Incomplete) {
		t.Errorf("find_deals(deep) = %s, want that 500 deals were looked through", f.text)
	}
	if lists := dealLists(sb, 520); len(lists) != maxPages {
		t.Errorf("find_deals(deep) read %d pages, want %d", len(lists), maxPages)
	}
	f = findBy(t, c, `{"query":"deep","ownerUserId":"usr_sara","cursor":"`+f.NextCursor+`"}`)
	if len(f.Deals) != 1 || f.Deals[0]["title"] != "Deep 510" || f.NextCursor != "" {
		t.Errorf("find_deals(deep, cursor) = %s, want the deal that lies deeper", f.text)
	}
	f = findBy(t, c, `{"query":"deep","limit":50}`)
	if len(f.Deals) != 50 || f.Incomplete != "" {
		t.Errorf("find_deals(deep, 50) = %s", f.text)
	}
}

// TestFindDealsCursor holds that a cursor goes with its own arguments, in whatever words.
func TestFindDealsCursor(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	addDeals(t, sb, 230, func(i int) string {
		return fmt.Sprintf(`{"title":"Turn %d","clientId":"clt_globex","pipelineId":"dpl_sales"}`, i)
	})
	refuse := false
	c := between(t, sb, func(w http.ResponseWriter, r *http.Request) bool {
		refused := refuse && r.URL.Query().Has("cursor")
		if refused {
			http.Error(w, `{"error":{"code":"VALIDATION_ERROR","message":"Invalid cursor"}}`, http.StatusBadRequest)
		}
		return refused
	})
	cursor := ""
	for range 3 {
		cursor = findBy(t, c, fmt.Sprintf(`{"clientId":"Globex","status":"ACTIVE","limit":50,"cursor":%q}`, cursor)).NextCursor
	}
	f := findBy(t, c, `{"status":"ACTIVE","clientId":"clt_globex","cursor":"`+cursor+`","limit":1}`)
	if len(f.Deals) != 1 || f.Deals[0]["title"] != "Turn 150" {
		t.Errorf("find_deals(the same by ID, another limit) = %s, want the deal after 150", f.text)
	}
	for _, args := range []string{`"clientId":"Acme","status":"ACTIVE"`, `"clientId":"Globex"`, `"clientId":"Globex","status":"ACTIVE","query":"a"`} {
		r := callTool(t, c, "find_deals", `{`+args+`,"cursor":"`+cursor+`"}`)
		if text := textOf(r); !r.IsError || !strings.Contains(text, "leave cursor out") {
			t.Errorf("find_deals(%s, a cursor of other arguments) = %s, want it refused", args, text)
		}
	}
	refuse = true
	r := callTool(t, c, "find_deals", `{"clientId":"Globex","status":"ACTIVE","cursor":"`+cursor+`"}`)
	if text := textOf(r); !r.IsError || !strings.Contains(text, "leave cursor out") || notesOf(r)["heffl-mcp/outcome"] != invalid {
		t.Errorf("find_deals(a cursor that Heffl refuses) = %s, want that it is to be left out", text)
	}
}

// FuzzFindDealsCursor holds that whatever stands for a cursor, and be it forged, is refused or leads
// to deals that fit.
func FuzzFindDealsCursor(f *testing.F) {
	of := fingerprint(json.RawMessage(`{"status":"ACTIVE"}`))
	for _, at := range []dealsCursor{{For: of}, {For: of, Used: 2}, {For: of, Used: pageRows, Last: "dl_gone"}, {For: of, Used: -1}, {For: of, Used: pageRows + 1},
		{For: of, Page: "no cursor of Heffl's"}, {For: of, Last: "dl_alnoor_rollout", Plain: true}, {}} {
		f.Add(at.String())
	}
	f.Add("")
	f.Add("bnVsbA") // null
	sb := newSandbox(f)
	c := connect(f, sb)
	f.Fuzz(func(t *testing.T, cursor string) {
		args, err := json.Marshal(map[string]string{"status": "ACTIVE", "cursor": cursor})
		if err != nil {
			t.Fatal(err)
		}
		r := callTool(t, c, "find_deals", string(args))
		text, outcome := textOf(r), notesOf(r)["heffl-mcp/outcome"]
		if r.IsError && outcome != invalid || !r.IsError && (strings.Contains(text, "WON") || strings.Contains(text, "LOST")) {
			t.Errorf("find_deals(cursor %q) = %v, %s", cursor, outcome, text)
		}
	})
}

// TestFindDealsBroken holds that deals which were read are given though a later page fails, and what
// is said of deals that do not tell whether they fit.
func TestFindDealsBroken(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	addDeals(t, sb, 120, func(i int) string {
		return fmt.Sprintf(`{"title":"Half %d","clientId":"clt_globex","pipelineId":"dpl_sales"%s}`, i,
			map[bool]string{true: `,"ownerUserId":"usr_sara"`}[i == 1 || i == 110])
	})
	broken := true
	c := between(t, sb, func(w http.ResponseWriter, r *http.Request) bool {
		fails := broken && r.URL.Query().Has("cursor")
		if fails {
			w.WriteHeader(http.StatusForbidden)
		}
		return fails
	})
	f := findBy(t, c, `{"query":"half","ownerUserId":"usr_sara"}`)
	if len(f.Deals) != 1 || f.NextCursor == "" || !strings.HasPrefix(f.Incomplete, "Only 100 deals were looked through") || !strings.Contains(f.Incomplete, "because the next page could not be read") {
		t.Errorf("find_deals(second page 403) = %s, want the first page's deal and why there are no more", f.text)
	}
	broken = false
	f = findBy(t, c, `{"query":"half","ownerUserId":"usr_sara","cursor":"`+f.NextCursor+`"}`)
	if len(f.Deals) != 1 || f.Deals[0]["title"] != "Half 110" {
		t.Errorf("find_deals(second page) = %s, want the other deal", f.text)
	}
	f = findBy(t, fakeDeals(t, `{"id":"dl_1","ownerUserId":null},{"id":"dl_2"},{"id":"dl_3","ownerId":"usr_sara"},{"id":"dl_4","title":"a"}`), `{"ownerUserId":"usr_sara"}`)
	if cmp.Diff([]string{"dl_3"}, f.ids()) != "" || f.Incomplete != "2 deals were left out, not saying their ownerUserId." {
		t.Errorf("find_deals(deals without an owner's member) = %s, want dl_3 and that 2 were left out", f.text)
	}
	f = findBy(t, fakeDeals(t, `{"id":"dl_1"}`), `{"status":"WON"}`)
	if len(f.Deals) != 0 || f.NotFound != "" || !strings.HasPrefix(f.text, "No deal so far. 1 deal was left out, not saying their status.") {
		t.Errorf("find_deals(a deal without a status) = %s, want that it was left out", f.text)
	}
}

// TestFindDealsEndless holds that a list that leads to itself ends.
func TestFindDealsEndless(t *testing.T) {
	t.Parallel()
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		io.WriteString(w, `{"data":[{"id":"dl_`+url.QueryEscape(r.URL.Query().Get("cursor"))+`1"}],"meta":{"hasMore":true,"nextCursor":"here"}}`)
	}))
	t.Cleanup(srv.Close)
	f := findBy(t, connectTo(t, Deps{Heffl: client(srv)}), `{}`)
	if cmp.Diff([]string{"dl_1", "dl_here1"}, f.ids()) != "" || f.NextCursor != "" || n != 2 {
		t.Errorf("find_deals(a page after itself) = %s after %d requests, want two deals and no cursor", f.text, n)
	}
}

// TestFindDealsReadOnly holds that read-only leaves it, and takes away what changes deals.
func TestFindDealsReadOnly(t *testing.T) {
	t.Parallel()
	c := connectTo(t, Deps{Heffl: inProcess(newSandbox(t)), ReadOnly: true})
	list, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(list.Tools, func(tool mcp.Tool) bool { return tool.Name == "find_deals" }) ||
		slices.ContainsFunc(list.Tools, func(tool mcp.Tool) bool { return tool.Name == "update_deal" }) {
		t.Errorf("read-only serves %+v, want find_deals and not update_deal", list.Tools)
	}
}

// One number that no client could read costs neither its deal nor the others their structured content.
func TestFindDealsOddNumber(t *testing.T) {
	t.Parallel()
	c := connectTo(t, Deps{Heffl: respond(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":[{"id":"dl_1","title":"odd","price":1e999,"status":"ACTIVE"},{"id":"dl_2","title":"even","price":5,"status":"ACTIVE"}]}`)
	})})
	r := callTool(t, c, "find_deals", `{}`)
	want := `{"deals":[{"id":"dl_1","title":"odd","status":"ACTIVE"},{"id":"dl_2","title":"even","status":"ACTIVE","price":5}]}`
	if diff := cmp.Diff(want, string(r.RawStructuredContent)); diff != "" {
		t.Errorf("structured content (-want +got):\n%s", diff)
	}
	for _, said := range []string{"Not as documented, so only in this text: deals[0].price.\n", `"price":1e999`} {
		if text := textOf(r); !strings.Contains(text, said) {
			t.Errorf("the text does not have %q:\n%s", said, text)
		}
	}
}
