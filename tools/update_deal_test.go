package tools

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
)

// dealNow is a deal as the sandbox has it.
func dealNow(tb testing.TB, sb *sandbox.Sandbox, id string) object {
	tb.Helper()
	for _, raw := range sb.Deals() {
		if deal := parse(raw); string(quoted(id)) == string(deal[0].value) {
			return deal
		}
	}
	tb.Fatalf("there is no deal %s", id)
	return nil
}

func TestUpdateDeal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		sent string // the body of the one PATCH
		says []string
	}{
		{`{"dealId":"dl_acme_renewal","stageId":"Proposal"}`, `{"stageId":"dps_proposal"}`, []string{
			`Changed the deal dl_acme_renewal (number "DEAL002", "Acme renewal", value 18250.75, "ACTIVE", stage "Proposal", owner "James O'Neill"): stage "Negotiation" -> "Proposal".`,
			`Understood: stageId "Proposal" as dps_proposal ("Proposal", by name).`}},
		{`{"dealId":"Acme renewal","stageId":"Won"}`, `{"stageId":"dps_won"}`, []string{
			`: stage "Negotiation" -> "Won", status "ACTIVE" -> "WON".`, `dealId "Acme renewal" as dl_acme_renewal`}},
		{`{"dealId":"DEAL002","status":"lost"}`, `{"status":"LOST"}`, []string{`: status "ACTIVE" -> "LOST".`, `status: read "lost" as "LOST"`}},
		{`{"dealId":"dl_globex_return","stageId":"dps_new","status":"ACTIVE"}`, `{"stageId":"dps_new","status":"ACTIVE"}`, []string{`stage "Lost" -> "New", status "LOST" -> "ACTIVE"`}},
		{`{"dealId":"dl_globex_return","ownerUserId":"sara"}`, `{"ownerUserId":"usr_sara"}`, []string{`: owner none -> "Sara Haddad".`}},
		{`{"price":9900.0,"dealId":"dl_globex_return"}`, `{"price":9900.0}`, []string{`Nothing changed: the deal dl_globex_return (`, `) was like that before.`}},
		{`{"dealId":"dl_globex_return","price":"12500.10","expectedCloseDate":"2027-01-31","priority":"high","title":"Globex is back"}`,
			`{"price":12500.10,"expectedCloseDate":"2027-01-31T00:00:00Z","priority":"HIGH","title":"Globex is back"}`, []string{
				`: title "Globex comes back" -> "Globex is back", price 9900 -> 12500.10, expectedCloseDate none -> "2027-01-31T00:00:00.000Z", priority none -> "HIGH".`,
				`price: read "12500.10" as 12500.10`}},
		{`{"dealId":"dl_northwind_pilot","cf_region":"south","Annual value":1e3,"cf_modules":["crm"]}`, `{"cf_region":"South","cf_annual_value":1e3,"cf_modules":["CRM"]}`, []string{
			`: cf_region "North" -> "South", cf_annual_value is now 1e3, cf_modules is now ["CRM"].`}},
		{`{"dealId":"dl_alnoor_rollout","Security review":"passed"}`, `{"cf_security_review":"Passed"}`, []string{`: cf_security_review "In progress" -> "Passed".`}},
		{`{"dealId":"dl_alnoor_rollout","stageId":"Won"}`, `{"stageId":"dps_ent_won"}`, []string{`stage "Evaluation" -> "Won"`}},
	} {
		sb := newSandbox(t)
		r := callTool(t, connect(t, sb), "update_deal", tt.args)
		text := textOf(r)
		patches := writes(sb.Requests())
		if r.IsError || len(patches) != 1 || patches[0].Method != http.MethodPatch || string(patches[0].Body) != tt.sent {
			t.Errorf("update_deal(%s): Heffl received %+v, want %s; the model reads %s", tt.args, patches, tt.sent, text)
			continue
		}
		for _, part := range tt.says {
			if !strings.Contains(text, part) {
				t.Errorf("update_deal(%s) = %s, want it to say %s", tt.args, text, part)
			}
		}
		id := strings.TrimPrefix(patches[0].Path, "/deals/")
		if got, _ := parse(r.RawStructuredContent).str("id"); got != id || notesOf(r)["heffl-mcp/outcome"] != changed || strings.Contains(text, "not confirmed") || strings.Contains(text, "differs") {
			t.Errorf("update_deal(%s) = %s, want the deal %s, changed and confirmed", tt.args, text, id)
		}
		now := dealNow(t, sb, id)
		for _, m := range parse(patches[0].Body) {
			if is, _ := now.get(m.name); !same(m.value, is) {
				t.Errorf("update_deal(%s): %s is %s, want %s", tt.args, m.name, is, m.value)
			}
		}
	}
}

// TestUpdateDealRefuses holds that no invalid change is sent, and that nothing is taken away by
// what models send for nothing.
func TestUpdateDealRefuses(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	c := connect(t, sb)
	before := sb.Deals()
	all := map[string]string{
		`{}`:                                                         "dealId: missing; give a non-empty string (ID, number or title); find_deals searches for more",
		`{"dealId":"dl_acme_renewal"}`:                               "nothing to change: give title, stageId, status, ownerUserId, price, expectedCloseDate, priority or a custom field (cf_*)",
		`{"dealId":"dl_gone","status":"WON"}`:                        `dealId: Heffl has no deal "dl_gone"; find_deals searches for more`,
		`{"dealId":"No such","status":"WON"}`:                        `dealId: no deal is named "No such"`,
		`{"dealId":"clt_acme","title":"a"}`:                          `dealId: "clt_acme" is the ID of a client`,
		`{"dealId":"No such","stageId":"Won"}`:                       "correct 1 fault",
		`{"dealId":"dl_acme_renewal","stageId":"Contract"}`:          `stageId: "Contract" is a stage of the pipeline "Enterprise", and this deal is in "Sales"; give a stage of "Sales"; there are`,
		`{"dealId":"dl_acme_renewal","stageId":"dps_ent_contract"}`:  `stageId: "Contract" is a stage of the pipeline "Enterprise", and this deal is in "Sales"`,
		`{"dealId":"dl_acme_renewal","cf_security_review":"Passed"}`: `of the pipeline "Enterprise", and this deal is in "Sales"; leave it out`,
		`{"dealId":"dl_acme_renewal","ownerUserId":"Omar"}`:          `ownerUserId: 2 users are named "Omar"`,
		`{"dealId":"dl_acme_renewal","amount":5}`:                    "amount: unknown property; did you mean price?",
		`{"id":"dl_acme_renewal","price":5}`:                         "id: unknown property; did you mean dealId?",
		`{"dealId":"dl_acme_renewal","clientId":"Globex"}`:           "clientId: unknown property; allowed are dealId, title",
		`{"dealId":"dl_acme_renewal","tags":["VIP"]}`:                "tags: unknown property",
		`{"dealId":"dl_acme_renewal","price":"1.250"}`:               `price: got "1.250"; give a JSON number`,
		`{"dealId":"dl_acme_renewal","cf_region":"Centre"}`:          `cf_region: no option is named "Centre"; there are `,
	}
	const taken = "; a value cannot be taken away here; leave it out to keep it"
	for _, name := range []string{"title", "stageId", "status", "ownerUserId", "price", "expectedCloseDate", "priority"} {
		for _, v := range []string{`null`, `""`} {
			all[`{"dealId":"dl_acme_renewal","`+name+`":`+v+`}`] = name + ": got " + v + taken
			all[`{"dealId":"dl_acme_renewal","cf_seats":5,"`+name+`":`+v+`}`] = "correct 1 fault and call again:\n- " + name + ": got " + v + taken
		}
	}
	for _, name := range []string{"title", "stageId", "ownerUserId"} {
		all[`{"dealId":"dl_acme_renewal","`+name+`":" \t"}`] = name + ": got "
	}
	// Of every type that a custom field has, and one that is not defined.
	for _, name := range []string{"cf_region", "cf_po_number", "cf_background", "cf_seats", "cf_annual_value", "cf_renewal_date", "cf_modules", "cf_site_phone", "cf_keywords", "cf_partner"} {
		all[`{"dealId":"dl_acme_renewal","`+name+`":null}`] = "correct 1 fault and call again:\n- " + name + ": got null" + taken
	}
	all[`{"dealId":"dl_acme_renewal","Region":null}`] = "- cf_region: got null" + taken
	all[`{"dealId":"dl_acme_renewal","cf_po_number":""}`] = `cf_po_number: got ""` + taken
	all[`{"dealId":"dl_acme_renewal","cf_po_number":"  "}`] = `cf_po_number: got "  "` + taken
	all[`{"dealId":"dl_acme_renewal","cf_region":""}`] = "correct 1 fault and call again:\n- cf_region: "
	all[`{"dealId":"dl_acme_renewal","cf_modules":[]}`] = `cf_modules: got []` + taken
	all[`{"dealId":"dl_acme_renewal","cf_keywords":[ ]}`] = `cf_keywords: got []` + taken
	for args, says := range all {
		r := callTool(t, c, "update_deal", args)
		if text := textOf(r); !r.IsError || !strings.Contains(text, says) || !strings.Contains(text, "nothing was sent") || strings.Contains(text, "not given") || notesOf(r)["heffl-mcp/outcome"] != invalid {
			t.Errorf("update_deal(%s) = %s, want it refused with %q", args, text, says)
		}
	}
	if sent := writes(sb.Requests()); len(sent) > 0 || !cmp.Equal(before, sb.Deals()) {
		t.Errorf("Heffl received %+v, want nothing but look-ups", sent)
	}
}

// TestUpdateDealUndefined holds that null reaches Heffl neither where custom fields cannot be told.
func TestUpdateDealUndefined(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	c := between(t, sb, func(w http.ResponseWriter, r *http.Request) bool {
		refused := strings.HasSuffix(r.URL.Path, "/custom-fields")
		if refused {
			w.WriteHeader(http.StatusForbidden)
		}
		return refused
	})
	r := callTool(t, c, "update_deal", `{"dealId":"dl_acme_renewal","cf_region":null}`)
	if text := textOf(r); !r.IsError || !strings.Contains(text, "cf_region: got null; a value cannot be taken away here") || len(writes(sb.Requests())) > 0 {
		t.Errorf("update_deal(null, no definitions) = %s, want it refused", text)
	}
	r = callTool(t, c, "update_deal", `{"dealId":"dl_acme_renewal","cf_region":"West"}`)
	if text := textOf(r); r.IsError || !strings.Contains(text, `cf_region is now "West"`) || !strings.Contains(text, "these went as they were given: cf_region") {
		t.Errorf("update_deal(no definitions) = %s, want it sent and that said", text)
	}
}

// A patching is a Heffl that fails as it is told when a deal is changed. It belongs into a synctest
// bubble.
type patching struct {
	tb   testing.TB
	sb   *sandbox.Sandbox
	call func(args string) *mcp.CallToolResult

	mu      sync.Mutex
	faults  []string // of each PATCH, one after the other; then none
	reads   string   // the fault of each GET after the first PATCH
	refuses int      // connections of so many PATCHes
	onlyOne bool     // PATCH finds a connection
	odd     string   // the body of a 200 that changes nothing, in place of the first PATCH
	patched bool
}

func newPatching(t *testing.T, p *patching) *patching {
	p.tb = t
	p.sb = sandbox.New(sandbox.Options{RateLimit: -1, Fault: p.fault})
	t.Cleanup(func() { p.sb.Close() })
	c := connectTo(t, Deps{Heffl: &heffl.Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: &http.Client{Transport: p}, Budget: new(heffl.Budget)}})
	p.call = func(args string) *mcp.CallToolResult { return callTool(t, c, "update_deal", args) }
	return p
}

func (p *patching) fault(r *http.Request) sandbox.Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := ""
	switch {
	case r.Method == http.MethodGet && p.patched:
		text = p.reads
	case r.Method == http.MethodPatch:
		if p.patched = true; len(p.faults) > 0 {
			text, p.faults = p.faults[0], p.faults[1:]
		}
	}
	f, err := sandbox.ParseFault(text)
	if err != nil {
		p.tb.Error(err)
	}
	return f
}

func (p *patching) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	refuses, odd := false, ""
	if r.Method == http.MethodPatch {
		if refuses = p.refuses > 0; refuses {
			p.refuses--
		}
		refuses = refuses || p.onlyOne && p.patched
		odd, p.odd = p.odd, ""
	}
	p.mu.Unlock()
	if refuses {
		return nil, errors.New("connection refused")
	}
	if odd != "" {
		io.Copy(io.Discard, r.Body)
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(odd))}, nil
	}
	return p.sb.HTTPClient().Transport.RoundTrip(r)
}

// TestUpdateDealFaults goes through what can happen to a change on its way, and what becomes of it.
func TestUpdateDealFaults(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for name, tt := range map[string]struct {
		p       *patching
		args    string // empty: the stage
		outcome string
		sent    int // PATCHes that reached Heffl
		done    bool
		least   time.Duration
		most    time.Duration // 0: no time
		says    string
	}{
		"good":                     {outcome: changed, sent: 1, done: true, says: `stage "Negotiation" -> "Proposal"`},
		"no connection, then one":  {p: &patching{refuses: 3}, outcome: changed, sent: 1, done: true, most: 3 * s},
		"no connection":            {p: &patching{refuses: 1000}, outcome: notSent, least: 20 * s, most: 25 * s, says: "could not be reached (connection refused), and nothing was done"},
		"429":                      {p: &patching{faults: []string{"before:429;wait=3"}}, outcome: changed, sent: 2, done: true, least: 3 * s, most: 4 * s},
		"429 without a word":       {p: &patching{faults: []string{"before:429", "before:429"}}, outcome: changed, sent: 3, done: true, most: 4 * s},
		"429 for long":             {p: &patching{faults: []string{"before:429;wait=40"}}, outcome: rateLimited, sent: 1, says: "nothing was done. Call again with the same arguments in 40 s"},
		"404":                      {args: `{"dealId":"dl_acme_renewal","ownerUserId":"usr_nobody"}`, outcome: refused, sent: 1, says: "nothing was done"},
		"answer lost, done":        {p: &patching{faults: []string{"after:drop"}}, outcome: recovered, sent: 1, done: true, says: `Heffl's answer was lost; this is the deal as it was read after that. Changed the deal dl_acme_renewal (`},
		"answer lost, not done":    {p: &patching{faults: []string{"before:drop"}}, outcome: changed, sent: 2, done: true},
		"answer lost twice":        {p: &patching{faults: []string{"before:drop", "after:drop"}}, outcome: recovered, sent: 2, done: true},
		"lost, done later":         {p: &patching{faults: []string{"before:drop;wait=2s"}}, outcome: changed, sent: 2, done: true},
		"500, done":                {p: &patching{faults: []string{"after:500"}}, outcome: recovered, sent: 1, done: true},
		"500, not done":            {p: &patching{faults: []string{"before:500"}}, outcome: changed, sent: 2, done: true},
		"502, done":                {p: &patching{faults: []string{"after:502"}}, outcome: recovered, sent: 1, done: true},
		"500 twice":                {p: &patching{faults: []string{"before:500", "before:500"}}, outcome: unsettled, sent: 2, says: `whether Heffl has carried it out is not known (it answered 500: `},
		"lost twice":               {p: &patching{faults: []string{"before:drop", "before:drop"}}, outcome: unsettled, sent: 2, says: `Read back, the deal is not as sent: stageId sent "dps_proposal", answered "dps_negotiation". The same call again is safe.`},
		"lost, then 429 for long":  {p: &patching{faults: []string{"before:drop", "before:429;wait=40"}}, outcome: unsettled, sent: 2, says: "sent again: "},
		"lost, then no connection": {p: &patching{faults: []string{"before:500"}, onlyOne: true}, outcome: unsettled, sent: 1, least: 20 * s, most: 25 * s, says: "sent again: connection refused"},
		"no answer, done":          {p: &patching{faults: []string{"after:hang"}}, outcome: recovered, sent: 1, done: true, least: 20 * s, most: 21 * s},
		"no answer, not done":      {p: &patching{faults: []string{"before:hang"}}, outcome: changed, sent: 2, done: true, least: 20 * s, most: 21 * s},
		"no answer twice":          {p: &patching{faults: []string{"before:hang", "before:hang"}}, outcome: unsettled, sent: 2, least: 25 * s, most: 25 * s, says: "no answer in time"},
		"cut short":                {p: &patching{faults: []string{"after:truncate"}}, outcome: recovered, sent: 1, done: true},
		"foreign answer":           {p: &patching{odd: "<html>hello"}, outcome: changed, sent: 1, done: true},
		"foreign answers":          {p: &patching{odd: "<html>hello", faults: []string{"before:500"}}, outcome: recovered, sent: 1, says: `Heffl's answer differs from what was sent: stageId sent "dps_proposal", answered "dps_negotiation"`},
		"cut short, no reading":    {p: &patching{faults: []string{"after:truncate"}, reads: "before:500"}, outcome: changed, sent: 2, done: true, most: 5 * s},
		"cut short twice":          {p: &patching{faults: []string{"after:truncate", "after:truncate"}, reads: "before:500"}, outcome: unsettled, sent: 2, done: true, most: 10 * s, says: "Heffl has carried out the change, but its answer is of no use"},
		"lost, no reading":         {p: &patching{faults: []string{"before:drop"}, reads: "before:500"}, outcome: changed, sent: 2, done: true, most: 5 * s},
		"lost twice, no reading":   {p: &patching{faults: []string{"after:drop", "after:500"}, reads: "before:500"}, outcome: unsettled, sent: 2, done: true, most: 10 * s, says: "The deal could not be read back ("},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := tt.p
				if p == nil {
					p = &patching{}
				}
				newPatching(t, p)
				args := tt.args
				if args == "" {
					args = `{"dealId":"dl_acme_renewal","stageId":"dps_proposal"}`
				}
				began := time.Now()
				r := p.call(args)
				took, text, notes := time.Since(began), textOf(r), notesOf(r)
				if notes["heffl-mcp/outcome"] != tt.outcome || !strings.Contains(text, tt.says) || notes["heffl-mcp/retrySafe"] != true {
					t.Errorf("update_deal = %v, want %s; and that it says %q: %s", notes, tt.outcome, tt.says, text)
				}
				if r.IsError != !slices.Contains([]string{changed, recovered}, tt.outcome) || (notes["heffl-mcp/recovered"] == true) != (tt.outcome == recovered) {
					t.Errorf("update_deal: error %t, %v: %s", r.IsError, notes, text)
				}
				if took < tt.least || took > tt.most {
					t.Errorf("update_deal took %v, want %v to %v", took, tt.least, tt.most)
				}
				patches := writes(p.sb.Requests())
				if len(patches) != tt.sent || slices.ContainsFunc(patches, func(r sandbox.Request) bool { return string(r.Body) != string(patches[0].Body) }) {
					t.Errorf("Heffl received %+v, want %d of the same", patches, tt.sent)
				}
				if stage, _ := dealNow(t, p.sb, "dl_acme_renewal").str("stageId"); (stage == "dps_proposal") != tt.done {
					t.Errorf("the deal is in %s, want it changed: %t", stage, tt.done)
				}
				p.mu.Lock()
				p.faults, p.reads, p.refuses, p.onlyOne = nil, "", 0, false
				p.mu.Unlock()
				if tt.args != "" {
					return
				}
				time.Sleep(time.Minute)
				if r := p.call(args); r.IsError || tt.done != strings.Contains(textOf(r), "Nothing changed: the deal") {
					t.Errorf("the same call again = %s, want it to end the same", textOf(r))
				}
			})
		})
	}
}

// TestUpdateDealGivenUp holds that a call that its client gives up ends.
func TestUpdateDealGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPatching(t, &patching{faults: []string{"before:hang"}})
		d := &Deps{Heffl: &heffl.Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: &http.Client{Transport: p}}}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		c := &call{Deps: d, tell: func(time.Duration) {}}
		began := time.Now()
		_, _, err := c.change(ctx, "dl_acme_renewal", parse([]byte(`{"status":"WON"}`)))
		if f, ok := errors.AsType[*failure](err); !ok || f.outcome != unsettled || time.Since(began) != 3*time.Second {
			t.Errorf("change, given up after 3s = %v after %v, want that it is not known", err, time.Since(began))
		}
		if n := len(writes(p.sb.Requests())); n != 1 {
			t.Errorf("it was sent %d times, want once", n)
		}
	})
}

// TestUpdateDealAnswers holds what is said where Heffl's answer is not what was sent.
func TestUpdateDealAnswers(t *testing.T) {
	t.Parallel()
	const before = `{"id":"dl_1","title":"A","price":5,"status":"ACTIVE","stage":"New","stageId":"dps_1","ownerUserId":null}`
	for _, tt := range []struct{ before, args, answer, want string }{
		{before, `"price":7`, `{"id":"dl_1"}`, "Heffl took the change of the deal dl_1.\nSent, but not repeated in Heffl's answer, so not confirmed: price."},
		{before, `"price":7`, `{"id":"dl_1","price":5}`, "Heffl took the change of the deal dl_1 (value 5).\nHeffl's answer differs from what was sent: price sent 7, answered 5."},
		{before, `"price":7`, `{"id":"dl_1","price":6}`, "Changed the deal dl_1 (value 6): price 5 -> 6.\nHeffl's answer differs from what was sent: price sent 7, answered 6."},
		{before, `"price":7`, `{"data":{"id":"dl_1","price":7}}`, "Changed the deal dl_1 (value 7): price 5 -> 7."},
		{before, `"price":7`, `{"id":"dl_1","price":7,"ownerName":"Sara","status":null}`, `Changed the deal dl_1 (value 7, owner "Sara"): status "ACTIVE" -> none, owner none -> "Sara", price 5 -> 7.`},
		{`{"id":"dl_1"}`, `"price":7`, `{"id":"dl_1","price":7,"status":"ACTIVE"}`, `Changed the deal dl_1 (value 7, "ACTIVE"): price is now 7.`},
		{before, `"stageId":"dps_2"`, `{"id":"dl_1","stageId":"dps_2"}`, `Changed the deal dl_1: stage "New" -> "dps_2".`},
		{before, `"title":"B","cf_a":1`, "{\"id\":\"dl_1\",\"title\":\"B\xff\",\"cf_a\":1,\"cf_a\":1}", "Changed the deal dl_1 (\"B\ufffd\"): title \"A\" -> \"B\ufffd\", cf_a is now 1."},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodPatch:
				io.WriteString(w, tt.answer)
			case strings.HasPrefix(r.URL.Path, "/deals/"):
				io.WriteString(w, tt.before)
			case strings.HasSuffix(r.URL.Path, "/custom-fields"):
				io.WriteString(w, `{"data":[{"key":"cf_a","label":"A","type":"NUMBER"}]}`)
			default:
				io.WriteString(w, `{"data":[]}`)
			}
		}))
		t.Cleanup(srv.Close)
		r := callTool(t, connectTo(t, Deps{Heffl: client(srv)}), "update_deal", `{"dealId":"dl_1",`+tt.args+`}`)
		if text := textOf(r); r.IsError || !strings.HasPrefix(text, tt.want+"\n") {
			t.Errorf("update_deal(%s), answered %s = %s, want %s", tt.args, tt.answer, text, tt.want)
		}
		if !json.Valid(r.RawStructuredContent) {
			t.Errorf("update_deal(%s), answered %s: structured content %s", tt.args, tt.answer, r.RawStructuredContent)
		}
	}
}

// TestUpdateDealWithoutPipeline holds that a stage by name is not guessed where a deal does not say
// which pipeline it is in.
func TestUpdateDealWithoutPipeline(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	c := between(t, sb, func(w http.ResponseWriter, r *http.Request) bool {
		reads := r.Method == http.MethodGet && r.URL.Path == "/api/v2/deals/dl_acme_renewal"
		if reads {
			io.WriteString(w, `{"id":"dl_acme_renewal","title":"Acme renewal","pipelineId":null}`)
		}
		return reads
	})
	for _, stage := range []string{"Won", "Nowhere", "Proposal"} { // of two pipelines, of none, of one
		r := callTool(t, c, "update_deal", `{"dealId":"dl_acme_renewal","stageId":"`+stage+`"}`)
		if says := "stageId: Heffl does not say which pipeline this deal is in"; !r.IsError || !strings.Contains(textOf(r), says) {
			t.Errorf("update_deal(stage %s of a deal without a pipeline) = %s, want %q", stage, textOf(r), says)
		}
	}
	if r := callTool(t, c, "update_deal", `{"dealId":"dl_acme_renewal","cf_security_review":"Passed"}`); !r.IsError || !strings.Contains(textOf(r), `"Security review" is a custom field of the pipeline "Enterprise" only`) {
		t.Errorf("update_deal(a field of one pipeline) = %s, want it refused", textOf(r))
	}
	if r := callTool(t, c, "update_deal", `{"dealId":"dl_acme_renewal","stageId":"dps_proposal"}`); r.IsError {
		t.Errorf("update_deal(a stage by ID) = %s, want it changed", textOf(r))
	}
	if n := len(writes(sb.Requests())); n != 1 {
		t.Errorf("%d changes were sent, want 1", n)
	}
}

// TestUpdateDealLookUps holds that a change is not sent while its words cannot be looked up.
func TestUpdateDealLookUps(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/deals/dl_acme_renewal", "/users", "/pipelines"} {
		sb := newSandbox(t)
		c := between(t, sb, func(w http.ResponseWriter, r *http.Request) bool {
			refused := r.URL.Path == "/api/v2"+path
			if refused {
				w.WriteHeader(http.StatusForbidden)
			}
			return refused
		})
		r := callTool(t, c, "update_deal", `{"dealId":"dl_acme_renewal","ownerUserId":"Sara","stageId":"Won"}`)
		if text := textOf(r); !r.IsError || !strings.Contains(text, "nothing was sent, because ") || len(writes(sb.Requests())) > 0 {
			t.Errorf("update_deal(403 of %s) = %s, want that nothing was sent", path, text)
		}
	}
}
