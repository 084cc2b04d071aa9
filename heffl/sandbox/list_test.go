package sandbox_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heffl-mcp/heffl/sandbox"
)

func TestPagesHoldEverythingOnce(t *testing.T) {
	t.Parallel()
	s, a := start(t, unlimited)
	for i := range 40 {
		a.ok("POST", "/deals", deal(fmt.Sprintf(`"price": %d`, i%7)))
	}
	total := len(s.Deals())
	for _, by := range []string{"createdAt", "position", "expectedCloseDate", "price"} {
		for _, dir := range []string{"asc", "desc"} {
			for _, size := range []int{1, 7, 45, 100} {
				path := fmt.Sprintf("/deals?orderBy=%s&orderDir=%s&pageSize=%d", by, dir, size)
				if got := allPages(t, a, path); len(got) != total {
					t.Errorf("%s: %d deals over all pages, want %d", path, len(got), total)
				}
			}
		}
	}
	for _, name := range []string{"contacts", "companies", "tasks", "leads", "pipelines", "users", "tags", "sources", "products", "client-stages"} {
		whole := a.ids("/" + name)
		if got := allPages(t, a, "/"+name+"?pageSize=1"); len(whole) == 0 || !slices.Equal(got, whole) {
			t.Errorf("%s page by page = %v, want %v", name, got, whole)
		}
	}
}

// allPages follows the cursors, checks each page, and returns the IDs, each of which must come once.
func allPages(t *testing.T, a *api, path string) []string {
	t.Helper()
	var ids []string
	cursor := ""
	for {
		page := a.ok("GET", path+cursor, "")
		for _, row := range page["data"].([]any) {
			ids = append(ids, row.(map[string]any)["id"].(string))
		}
		meta := page["meta"].(map[string]any)
		next, more := meta["nextCursor"].(string)
		if more != meta["hasMore"] {
			t.Fatalf("%s: meta = %v, which is at odds with itself", path, meta)
		}
		if !more {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(next)
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(ids))); len(unique) != len(ids) {
		t.Errorf("%s: %d rows, %d of them different", path, len(ids), len(unique))
	}
	return ids
}

func TestPagesStandStillWhileDealsAreMade(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	want := a.ids("/deals")
	first := a.ok("GET", "/deals?pageSize=2", "")
	a.ok("POST", "/deals", deal(""))
	a.ok("DELETE", "/deals/"+want[1], "") // the row the cursor stands on
	cursor := first["meta"].(map[string]any)["nextCursor"].(string)
	if diff := cmp.Diff(want[2:], a.ids("/deals?cursor="+cursor)); diff != "" {
		t.Errorf("second page (-want +got):\n%s", diff)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	for query, want := range map[string]string{
		"":                           "globex_return zurcher_showroom alnoor_rollout acme_renewal northwind_pilot",
		"orderDir=asc":               "northwind_pilot acme_renewal alnoor_rollout zurcher_showroom globex_return",
		"orderBy=price":              "zurcher_showroom alnoor_rollout acme_renewal globex_return northwind_pilot",
		"orderBy=price&orderDir=asc": "northwind_pilot globex_return acme_renewal alnoor_rollout zurcher_showroom",
	} {
		if diff := cmp.Diff("dl_"+strings.ReplaceAll(want, " ", " dl_"), strings.Join(a.ids("/deals?"+query), " ")); diff != "" {
			t.Errorf("GET /deals?%s (-want +got):\n%s", query, diff)
		}
	}
	if diff := cmp.Diff([]string{"clt_anna_keller", "clt_chloe", "clt_jose_nunez", "clt_li_wei", "clt_maryam"}, a.ids("/contacts?orderBy=name&orderDir=asc")); diff != "" {
		t.Errorf("contacts by name (-want +got):\n%s", diff)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	for _, c := range []struct{ list, search, want string }{
		{"deals", "RENEWAL", "dl_acme_renewal"},
		{"deals", "globex", "dl_globex_return"},
		{"deals", "DEAL003", "dl_alnoor_rollout"},
		{"deals", "Zürcher", "dl_zurcher_showroom"}, // the client's name
		{"deals", "شركة النور", "dl_alnoor_rollout"},
		{"deals", "no such deal", ""},
		{"contacts", "al-farsi", "clt_maryam"},
		{"contacts", "anna kell", "clt_anna_keller"},
		{"contacts", "jose.nunez@acme.example", "clt_jose_nunez"},
		{"contacts", "+86138", "clt_li_wei"},
		{"contacts", "Chloe", "clt_chloe"},      // by e-mail
		{"contacts", "Nunez", "clt_jose_nunez"}, // by e-mail; the name has accents
		{"contacts", "Northwind", "clt_anna_keller"},
		{"companies", "falcon logistics", "clt_falcon_muscat clt_falcon_dubai"},
		{"companies", "muscat@falcon", "clt_falcon_muscat"},
		{"companies", "www.acme", "clt_acme"},
		{"companies", "+9682400", "clt_alnoor"},
		{"companies", "النور", "clt_alnoor"},
		{"companies", "Mobel", ""}, // accents are not folded, and the e-mail has moebel
		{"leads", "delta-shipping", "ld_web_form"},
		{"users", "omar", "usr_omar_nasser usr_omar_khalid"},
		{"users", "sara@", "usr_sara"},
		{"tasks", "renewal", "tsk_call_acme"},
		{"products", "SEAT", "prd_seat prd_seat_classic"},
		{"client-stages", "former", "cs_former"},
	} {
		got := strings.Join(a.ids("/"+c.list+"?search="+url.QueryEscape(c.search)), " ")
		if got != c.want {
			t.Errorf("%s?search=%s = %q, want %q", c.list, c.search, got, c.want)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	for _, c := range []struct{ list, filters, want string }{
		{"deals", `{"status":{"operator":"is","values":["WON"]}}`, "dl_northwind_pilot"},
		{"deals", `{"status":{"operator":"is_not","values":["ACTIVE"]}}`, "dl_globex_return dl_northwind_pilot"},
		{"deals", `{"status":{"operator":"is_any_of","values":["WON","LOST"]},"clientId":{"operator":"is_none_of","values":["clt_globex"]}}`, "dl_northwind_pilot"},
		{"deals", `{"pipelineId":{"operator":"is","values":["dpl_enterprise"]}}`, "dl_alnoor_rollout"},
		{"deals", `{"stageId":{"operator":"is","values":["dps_negotiation"]}}`, "dl_acme_renewal"},
		{"deals", `{"priority":{"operator":"is_not","values":["HIGH"]},"status":{"operator":"is","values":["ACTIVE"]}}`, "dl_zurcher_showroom dl_alnoor_rollout"},
		{"deals", `{"clientId":{"operator":"is","values":["clt_none"]}}`, ""},
		{"companies", `{"stageId":{"operator":"is","values":["cs_former"]}}`, "clt_globex"},
		{"contacts", `{"stageId":{"operator":"is_any_of","values":["cs_prospect","cs_customer"]}}`, "clt_chloe"},
		{"tasks", `{"type":{"operator":"is","values":["call"]}}`, "tsk_call_acme"},
		{"deals", `{}`, "dl_globex_return dl_zurcher_showroom dl_alnoor_rollout dl_acme_renewal dl_northwind_pilot"},
	} {
		if got := strings.Join(a.ids("/"+c.list+"?filters="+url.QueryEscape(c.filters)), " "); got != c.want {
			t.Errorf("%s?filters=%s = %q, want %q", c.list, c.filters, got, c.want)
		}
	}
}

func TestListRefused(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	cursor := a.ok("GET", "/deals?pageSize=1", "")["meta"].(map[string]any)["nextCursor"].(string)
	for query, want := range map[string][]string{
		"pageSize=0":                     {"pageSize"},
		"pageSize=101":                   {"pageSize"},
		"pageSize=ten":                   {"pageSize"},
		"orderBy=title":                  {"orderBy"},
		"orderDir=up":                    {"orderDir"},
		"pageSize=0&orderDir=up":         {"pageSize", "orderDir"},
		"cursor=!":                       {"cursor"},
		"cursor=bm90IGpzb24":             {"cursor"},
		"orderBy=price&cursor=" + cursor: {"cursor"}, // made for another order
		"filters=x":                      {"filters"},
		"filters=[]":                     {"filters"},
		"filters=" + url.QueryEscape(`{"title":{"operator":"is","values":["x"]}}`):                   {"filters.title"},
		"filters=" + url.QueryEscape(`{"foo":{"operator":"is","values":["x"]}}`):                     {"filters.foo"},
		"filters=" + url.QueryEscape(`{"status":{"operator":"equals","values":["WON"]}}`):            {"filters.status"},
		"filters=" + url.QueryEscape(`{"status":{"operator":"is","values":[]}}`):                     {"filters.status"},
		"filters=" + url.QueryEscape(`{"status":{"operator":"is","values":["WON","LOST"]}}`):         {"filters.status"},
		"filters=" + url.QueryEscape(`{"status":{"operator":"is","values":["won"]}}`):                {"filters.status.values.0"},
		"filters=" + url.QueryEscape(`{"stageId":{"operator":"is_any_of","values":["clt_1",null]}}`): {"filters.stageId.values.0", "filters.stageId.values.1"},
	} {
		issues := issuesOf(t, a.do("GET", "/deals?"+query, ""))
		for i := range issues {
			issues[i], _, _ = strings.Cut(issues[i], ":")
		}
		if diff := cmp.Diff(want, issues); diff != "" {
			t.Errorf("GET /deals?%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestRowsHaveUnsetCustomFieldsAsNull(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	a.ok("POST", "/deals", deal(`"cf_region": "South"`))
	row := a.rows("/deals?pageSize=1")[0]
	if v, there := row["cf_seats"]; !there || v != nil || row["cf_region"] != "South" {
		t.Errorf("row = %v, want cf_seats null and cf_region South", row)
	}
	if _, there := row["cf_security_review"]; there {
		t.Error("row has a custom field of another pipeline")
	}
}

func FuzzList(f *testing.F) {
	cursor := base64.RawURLEncoding.EncodeToString([]byte(`{"o":"createdAt","d":true,"l":{"n":1e99,"s":-1}}`))
	f.Add("5", "acme", "price", "asc", `{"status":{"operator":"is","values":["WON"]}}`, cursor)
	f.Add("", "", "", "", `{"status":{"values":[null,{}]}}`, "")
	f.Add("-1", "\x00", "x", "y", "null", "%")
	s, a := start(f, sandbox.Options{RateLimit: -1})
	total := len(s.Deals())
	f.Fuzz(func(t *testing.T, size, search, by, dir, filters, cursor string) {
		q := url.Values{"pageSize": {size}, "search": {search}, "orderBy": {by}, "orderDir": {dir}, "filters": {filters}, "cursor": {cursor}}
		got := a.in(t).do("GET", "/deals?"+q.Encode(), "")
		switch got.status {
		case 200:
			if n := len(decode(t, got.body)["data"].([]any)); n > total {
				t.Errorf("%d rows of %d deals", n, total)
			}
		case 400:
			if len(issuesOf(t, got)) == 0 {
				t.Errorf("%s has no issues", got.body)
			}
		default:
			t.Errorf("GET /deals?%s = %d", q.Encode(), got.status)
		}
	})
}
