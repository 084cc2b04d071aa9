package sandbox_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heffl-mcp/heffl/sandbox"
)

func TestCreateDealAnswersTheDocumentedMembers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 30, 0, 123456789, time.FixedZone("", 4*3600))
	s, a := start(t, sandbox.Options{Now: func() time.Time { return now }})
	got := a.do("POST", "/deals", `{"title": "Northwind <rollout> & more", "clientId": "clt_northwind", "pipelineId": "dpl_sales",
		"stageId": "dps_proposal", "leadId": "ld_fair_booth", "sourceId": "src_referral", "ownerUserId": "usr_sara",
		"price": 25000, "expectedCloseDate": "2026-06-30T02:00:00+02:00", "priority": "HIGH", "status": "ACTIVE",
		"currency": "EUR", "isInclusiveTax": true, "assignees": ["usr_lena"], "contacts": ["clt_anna_keller", "clt_li_wei"],
		"tags": ["tag_vip"], "products": [{"name": "Seat", "quantity": 50, "price": 500, "productId": "prd_seat", "tax": 5}],
		"cf_region": "North"}`)
	want := `{"id":"dl_1001","number":"DEAL006","title":"Northwind <rollout> & more","contactEmails":["anna.keller@northwind.example"],` +
		`"clientId":"clt_northwind","client":{"id":"clt_northwind","name":"Northwind","type":"company"},"price":25000,` +
		`"expectedCloseDate":"2026-06-30T00:00:00.000Z","status":"ACTIVE","priority":"HIGH","pipelineId":"dpl_sales",` +
		`"stageId":"dps_proposal","stage":"Proposal","leadId":"ld_fair_booth","leadName":"Helena Duarte","crmSourceId":"src_referral",` +
		`"source":"Referral","ownerUserId":"usr_sara","ownerId":"usr_sara","ownerName":"Sara Haddad",` +
		`"createdAt":"2026-11-22T06:30:00.123Z","updatedAt":"2026-11-22T06:30:00.123Z","cf_region":"North"}`
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Errorf("POST /deals (-want +got):\n%s", diff)
	}
	if date := got.header.Get("Date"); date != "Sun, 22 Nov 2026 06:30:00 GMT" {
		t.Errorf("Date = %q, want the sandbox's clock", date)
	}

	thin := a.ok("POST", "/deals", deal(""))
	for _, name := range []string{"price", "expectedCloseDate", "priority", "leadId", "leadName", "crmSourceId", "source", "ownerUserId", "ownerId", "ownerName"} {
		if v, there := thin[name]; !there || v != nil {
			t.Errorf("POST /deals of the least: %s = %v, want null", name, v)
		}
	}
	if extra := slices.DeleteFunc(slices.Sorted(maps.Keys(thin)), func(name string) bool { return strings.Contains(want, `"`+name+`"`) }); len(extra) > 0 {
		t.Errorf("POST /deals answers %v, which are not documented", extra)
	}

	all := s.Deals()
	kept := decode(t, string(all[len(all)-2]))
	for name, want := range map[string]any{"currency": "EUR", "isInclusiveTax": true, "tags": []any{"tag_vip"}, "assignees": []any{"usr_lena"}, "cf_region": "North"} {
		if diff := cmp.Diff(want, kept[name]); diff != "" {
			t.Errorf("Deals(): %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDigitsAreKept(t *testing.T) {
	t.Parallel()
	s, a := start(t, unlimited)
	for _, digits := range []string{"12345678901234.56", "0.10", "1e2", "-0", "1E+2", "100.000", "9007199254740993", "0.1000000000000000055511151231257827", "-5"} {
		sent := deal(`"price": ` + digits + `, "cf_seats": ` + digits + `, "cf_annual_value": 9007199254740993,
			"products": [{"name": "x", "quantity": 1.50, "price": 12345678901234.56}]`)
		made := a.ok("POST", "/deals", sent)
		all := s.Deals()
		for where, got := range map[string]map[string]any{
			"POST":    made,
			"GET":     a.ok("GET", "/deals/"+made["id"].(string), ""),
			"row":     a.rows("/deals?pageSize=1")[0],
			"Deals()": decode(t, string(all[len(all)-1])),
		} {
			for name, want := range map[string]json.Number{"price": json.Number(digits), "cf_seats": json.Number(digits), "cf_annual_value": "9007199254740993"} {
				if got[name] != want {
					t.Errorf("%s: %s = %v, want %s", where, name, got[name], want)
				}
			}
		}
		if last := string(all[len(all)-1]); !strings.Contains(last, `"quantity":1.50,`) && !strings.Contains(last, `"quantity":1.50}`) {
			t.Errorf("Deals() = %s, want the line's digits as sent", last)
		}
	}
}

func TestStageAndStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, pipeline, more string
		stage, status        string
	}{
		{"first ACTIVE stage", "dpl_sales", ``, "dps_new", "ACTIVE"},
		{"null is the first too", "dpl_sales", `, "stageId": null`, "dps_new", "ACTIVE"},
		{"first by position, not by place in the list", "dpl_enterprise", ``, "dps_ent_discovery", "ACTIVE"},
		{"a stage that wins", "dpl_sales", `, "stageId": "dps_won"`, "dps_won", "WON"},
		{"a stage that loses, against the status", "dpl_sales", `, "stageId": "dps_lost", "status": "ACTIVE"`, "dps_lost", "LOST"},
		{"status alone", "dpl_sales", `, "status": "WON"`, "dps_new", "WON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, a := start(t, unlimited)
			got := a.ok("POST", "/deals", `{"title": "t", "clientId": "clt_li_wei", "pipelineId": "`+c.pipeline+`"`+c.more+`}`)
			if got["stageId"] != c.stage || got["status"] != c.status {
				t.Errorf("stage, status = %v, %v, want %s, %s", got["stageId"], got["status"], c.stage, c.status)
			}
		})
	}
}

func TestUpdateDeal(t *testing.T) {
	t.Parallel()
	const id = "/deals/dl_alnoor_rollout" // in dps_ent_evaluation
	for _, c := range []struct {
		name, body string
		want       map[string]any
	}{
		{"nothing", `{}`, map[string]any{"stageId": "dps_ent_evaluation", "price": json.Number("96000")}},
		{"custom fields are merged", `{"cf_region": "West"}`, map[string]any{"cf_region": "West", "cf_security_review": "In progress"}},
		{"null empties a custom field", `{"cf_region": null}`, map[string]any{"cf_region": nil}},
		{"a stage that wins", `{"stageId": "dps_ent_won"}`, map[string]any{"stage": "Won", "status": "WON"}},
		{"a stage that loses", `{"stageId": "dps_ent_lost"}`, map[string]any{"stage": "Lost", "status": "LOST"}},
		{"status alone", `{"status": "LOST"}`, map[string]any{"stage": "Evaluation", "status": "LOST"}},
		{"another pipeline", `{"pipelineId": "dpl_sales"}`, map[string]any{"stageId": "dps_new", "cf_security_review": nil}},
		{"digits", `{"price": 96000.00}`, map[string]any{"price": json.Number("96000.00")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, a := start(t, unlimited)
			a.ok("PATCH", id, c.body)
			got := a.ok("GET", id, "")
			for name, want := range c.want {
				if got[name] != want {
					t.Errorf("PATCH %s: %s = %v, want %v", c.body, name, got[name], want)
				}
			}
		})
	}
}

func TestUpdateReopensADeal(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	if got := a.ok("PATCH", "/deals/dl_northwind_pilot", `{"stageId": "dps_proposal"}`); got["status"] != "ACTIVE" {
		t.Errorf("a won deal, moved to Proposal: status = %v, want ACTIVE", got["status"])
	}
}

func TestUpdateRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	before := a.do("GET", "/deals/dl_acme_renewal", "").body
	for body, want := range map[string]int{
		`{"title": "new", "price": "1"}`:                                         400,
		`{"title": "new", "stageId": "dps_ent_won"}`:                             400,
		`{"title": "new", "sourceId": "src_none"}`:                               404,
		`{"title": "new", "amount": 1}`:                                          400,
		`{"title": ""}`:                                                          400,
		`{"title": "new", "pipelineId": "dpl_enterprise", "stageId": "dps_won"}`: 400,
	} {
		if got := a.do("PATCH", "/deals/dl_acme_renewal", body); got.status != want {
			t.Errorf("PATCH %s = %d %s, want %d", body, got.status, got.body, want)
		}
	}
	if diff := cmp.Diff(before, a.do("GET", "/deals/dl_acme_renewal", "").body); diff != "" {
		t.Errorf("after refused updates (-before +after):\n%s", diff)
	}
}

func TestDeleteDeal(t *testing.T) {
	t.Parallel()
	s, a := start(t, unlimited)
	if got := a.ok("DELETE", "/deals/dl_acme_renewal", ""); got["id"] != "dl_acme_renewal" {
		t.Errorf("DELETE answers %v, want the deal", got)
	}
	if got := a.do("GET", "/deals/dl_acme_renewal", ""); got.status != 404 {
		t.Errorf("GET of a deleted deal = %d, want 404", got.status)
	}
	if n := len(s.Deals()); n != 4 {
		t.Errorf("%d deals left of 5, want 4", n)
	}
}

func TestDealsAtOnce(t *testing.T) {
	t.Parallel()
	s, a := start(t, unlimited)
	before := len(s.Deals())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				made, err := a.try("POST", "/deals", deal(""))
				if err != nil || made.status != 200 {
					t.Errorf("POST /deals = %d, %v", made.status, err)
				}
				if _, err := a.try("GET", "/deals?search=rollout", ""); err != nil {
					t.Errorf("GET /deals: %v", err)
				}
				s.Requests()
				s.Deals()
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, raw := range s.Deals() {
		d := decode(t, string(raw))
		seen[d["id"].(string)+d["number"].(string)] = true
	}
	if len(seen) != before+40 {
		t.Errorf("%d different deals, want %d", len(seen), before+40)
	}
}
