package tools

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/agnivade/levenshtein"
	gocmp "github.com/google/go-cmp/cmp"
	mcpclient "github.com/mark3labs/mcp-go/client"
)

// TestAgent holds that what a refusal says is enough: a program that follows the text alone, by one
// small set of rules, ends every messy start with the right deal in two calls.
func TestAgent(t *testing.T) {
	t.Parallel()
	scenarios := agentScenarios()
	if len(scenarios) < 40 {
		t.Errorf("%d scenarios, want at least 40", len(scenarios))
	}
	total, worst := 0, 0
	for _, s := range scenarios {
		used := s.play(t)
		total, worst = total+used, max(worst, used)
	}
	t.Logf("%d scenarios, %d calls, %.2f a deal, %d at worst", len(scenarios), total, float64(total)/float64(len(scenarios)), worst)
}

// A scenario is a messy start, and the deal that the user wants.
type scenario struct {
	name  string
	start string            // the arguments of the first call
	knows map[string]string // what the user has said besides, as JSON, by the path of what it is about
	want  string            // the body of POST /deals
}

const maxAgentCalls = 2

// play lets an agent work on the scenario, and returns how many calls it took.
func (s scenario) play(t *testing.T) int {
	t.Helper()
	sb := newSandbox(t)
	a := &agent{client: connect(t, sb), knows: map[string]any{}}
	for path, value := range s.knows {
		a.knows[path] = decoded(value)
	}
	args := decoded(s.start)
	var told []string
	for range maxAgentCalls {
		text, ok := a.call(t, args)
		told = append(told, text)
		if ok {
			break
		}
		args = a.correct(args, text)
	}
	transcript := strings.Join(told, "\n")
	sent := writes(sb.Requests())
	if len(sent) != 1 {
		t.Errorf("%s: Heffl received %d writes, want 1; the agent read\n%s\nand would go on with %s", s.name, len(sent), transcript, string(encoded(args)))
		return len(told)
	}
	if diff := gocmp.Diff(decoded(s.want), decoded(string(sent[0].Body))); diff != "" {
		t.Errorf("%s: Heffl received another deal (-want +got):\n%s\nthe agent read\n%s", s.name, diff, transcript)
	}
	return len(told)
}

// An agent stands in for a model: it calls create_deal, reads the text of a refusal, and follows it.
// Where it has to choose, it knows what its user has said. It knows nothing of Heffl.
type agent struct {
	client *mcpclient.Client
	knows  map[string]any
}

func (a *agent) call(t *testing.T, args any) (text string, ok bool) {
	t.Helper()
	r := callTool(t, a.client, "create_deal", string(encoded(args)))
	return textOf(r), !r.IsError
}

// faultLine is one line of a refusal: where, and what of it.
type faultLine struct{ path, says string }

var linePattern = regexp.MustCompile(`(?m)^- ((?:[\w-]|\[\d+\]|\[".*?"\]|\.)+): (.*)$`)

// correct follows every line of a refusal: first what to call things, then what to give, then what
// to leave out, from the end of lists to their beginning.
func (a *agent) correct(args any, text string) any {
	doc, _ := args.(map[string]any)
	var lines []faultLine
	for _, m := range linePattern.FindAllStringSubmatch(text, -1) {
		lines = append(lines, faultLine{m[1], m[2]})
	}
	for _, l := range lines {
		a.rename(doc, l)
	}
	var drop []string
	for _, l := range lines {
		if a.leavesOut(l) {
			drop = append(drop, l.path)
		} else {
			a.give(doc, l)
		}
	}
	for _, path := range slices.Backward(drop) {
		edit(doc, path, func(any, bool) (any, bool) { return nil, false })
	}
	if strings.Contains(text, "call again with allowDuplicate: true") && a.knows["allowDuplicate"] != nil {
		doc["allowDuplicate"] = a.knows["allowDuplicate"]
	}
	return doc
}

var (
	didYouMean = regexp.MustCompile(`did you mean (.*)\?$`)
	ifMeant    = regexp.MustCompile(`; if (.*) is meant, give "([^"]*)"`)
)

// rename gives a property the name that the refusal says it should have.
func (a *agent) rename(doc map[string]any, l faultLine) {
	name := ""
	if m := didYouMean.FindStringSubmatch(l.says); m != nil {
		name = m[1]
		if one, other, ok := strings.Cut(name, " or the custom field "); ok {
			name = one
			if a.knows[other] != nil {
				name = other
			}
		}
	} else if m := ifMeant.FindStringSubmatch(l.says); m != nil && strings.HasPrefix(l.says, "there is no custom field") {
		name = m[2]
	}
	parent, last := "", l.path
	if i := strings.LastIndexByte(l.path, '.'); i >= 0 {
		parent, last = l.path[:i], l.path[i+1:]
	}
	if text, err := strconv.Unquote(strings.Trim(last, "[]")); err == nil {
		last = text
	}
	move := func(object map[string]any) {
		value, given := object[last]
		if inner, ok := value.(map[string]any); ok && strings.HasPrefix(name, "a property for each custom field") {
			maps.Copy(object, inner)
		} else if _, taken := object[name]; given && !taken && name != "" {
			object[name] = value
		} else {
			return
		}
		delete(object, last)
	}
	if parent == "" {
		move(doc)
		return
	}
	edit(doc, parent, func(v any, ok bool) (any, bool) {
		if object, is := v.(map[string]any); is {
			move(object)
		}
		return v, ok
	})
}

// leavesOut reports whether a refusal wants something away, and the user has said nothing else.
func (a *agent) leavesOut(l faultLine) bool {
	if a.movesTo(l) != "" {
		return false
	}
	return strings.Contains(l.says, "unknown property; allowed are") || strings.Contains(l.says, "; leave it out") ||
		strings.Contains(l.says, "; give it once") || strings.HasPrefix(l.says, "there is no custom field") && !ifMeant.MatchString(l.says)
}

var putInto = regexp.MustCompile(`put (?:it|the deal) into ([^,;]+)`)

// movesTo is the pipeline that a refusal offers to move the deal into, if the user wants it there.
func (a *agent) movesTo(l faultLine) string {
	if m := putInto.FindStringSubmatch(l.says); m != nil && a.knows["pipelineId"] == unquoted(m[1]) {
		return unquoted(m[1])
	}
	return ""
}

// give puts in place of a value what the refusal asks for.
func (a *agent) give(doc map[string]any, l faultLine) {
	if strings.HasPrefix(l.says, "unknown property") || strings.HasPrefix(l.says, "there is no custom field") {
		return
	}
	if pipeline := a.movesTo(l); pipeline != "" {
		doc["pipelineId"] = pipeline
		return
	}
	known := a.knows[l.path]
	_, list, thereAre := strings.Cut(l.says, "there are ")
	if _, nearest, ok := strings.Cut(l.says, "; nearest are "); ok {
		list, thereAre = nearest, true
	}
	edit(doc, l.path, func(v any, given bool) (any, bool) {
		given = given && v != nil
		switch m := ifMeant.FindStringSubmatch(l.says); {
		case strings.Contains(l.says, "price missing; give it, or productId"):
			return product(v, known), true
		case m != nil && (known == nil || holds(m[1]+m[2], known)):
			return m[2], true
		case strings.Contains(l.says, " are named "):
			_, list, _ := strings.Cut(l.says, ": ")
			return a.choose(listedIn(list), known, v), true
		case strings.Contains(l.says, "; give a list of them"):
			return split(v), true
		case thereAre && given:
			return a.choose(listedIn(list), known, v), true
		case known != nil:
			return known, true
		}
		_, wanted, _ := strings.Cut(l.says, "; give ")
		return rewritten(v, wanted), given
	})
}

// choose picks the one of several things that fits what is known; else the one that is spelled most
// like what was given.
func (a *agent) choose(from []choice, known, given any) any {
	for _, c := range from {
		if known != nil && holds(c.text, known) {
			return c.give
		}
	}
	if known != nil || len(from) == 0 {
		return cmp.Or(known, given)
	}
	word := strings.ToLower(fmt.Sprint(given))
	return slices.MinFunc(from, func(x, y choice) int {
		return cmp.Compare(levenshtein.ComputeDistance(word, strings.ToLower(x.name)), levenshtein.ComputeDistance(word, strings.ToLower(y.name)))
	}).give
}

// choice is one of the things that a refusal lists: "Falcon Logistics" (clt_1, company, ...).
type choice struct{ name, give, text string }

var (
	listedThing = regexp.MustCompile(`(?:^|, )(.+?) \(([^(),]+)((?:, [^()]*)?)\)`)
	sentenceEnd = regexp.MustCompile(`; .*$`)
)

func listedIn(list string) []choice {
	list = sentenceEnd.ReplaceAllString(list, "")
	var all []choice
	for _, m := range listedThing.FindAllStringSubmatch(list, -1) {
		all = append(all, choice{unquoted(m[1]), m[2], m[0]})
	}
	if all == nil {
		for name := range strings.SplitSeq(list, ", ") {
			name = unquoted(name)
			all = append(all, choice{name, name, name})
		}
	}
	return all
}

// unquoted is what stands in quotes, which are around all that others wrote.
func unquoted(s string) string {
	if inside, err := strconv.Unquote(s); err == nil {
		return inside
	}
	return s
}

func holds(text string, known any) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(fmt.Sprint(known)))
}

// product is a line item without a price: with the price that the user named, or as the catalogue has it.
func product(item, price any) any {
	object, _ := item.(map[string]any)
	if price != nil {
		object["price"] = price
	} else {
		object["productId"] = object["name"]
		delete(object, "name")
	}
	return object
}

func split(v any) any {
	var list []any
	for word := range strings.SplitSeq(fmt.Sprint(v), ",") {
		list = append(list, strings.TrimSpace(word))
	}
	return list
}

// rewritten is a value in another form, as anybody would write it who was asked to.
func rewritten(v any, wanted string) any {
	text := fmt.Sprint(v)
	switch {
	case strings.HasPrefix(wanted, "a JSON number"):
		return json.Number(strings.Trim(strings.ReplaceAll(text, ",", ""), "$€£ ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
	case strings.Contains(wanted, "date-time"):
		for _, form := range []string{"January 2, 2006", "2 January 2006", "2 Jan 2006", "2006/01/02", "2.1.2006", "Jan 2 2006", "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
			if day, err := time.Parse(form, text); err == nil {
				return day.Format(time.DateOnly)
			}
		}
	case strings.HasPrefix(wanted, "an array"):
		return split(v)
	case strings.HasPrefix(wanted, "true or false"):
		return slices.Contains([]string{"yes", "1", "on"}, strings.ToLower(text))
	case strings.HasPrefix(wanted, "one value"):
		if list, ok := v.([]any); ok && len(list) == 1 {
			return list[0]
		}
	case strings.HasPrefix(wanted, "a string"), strings.HasPrefix(wanted, "a non-empty string"):
		return text
	}
	return v
}

// firstStep takes a path apart: products, [0] or ["Purchase order"], and the rest.
var firstStep = regexp.MustCompile(`^\.?(\["(?:[^"\\]|\\.)*"\]|\[\d+\]|[^.\[]+)(.*)$`)

// edit passes the value at a path through f, which may add it or take it away.
func edit(at any, path string, f func(v any, given bool) (any, bool)) any {
	m := firstStep.FindStringSubmatch(path)
	if m == nil {
		v, _ := f(at, true)
		return v
	}
	step, rest := m[1], m[2]
	if i, err := strconv.Atoi(strings.Trim(step, "[]")); err == nil && step[0] == '[' {
		list, ok := at.([]any)
		if !ok && i == 0 {
			list = []any{at} // one value was read as a list of one
		}
		if i >= len(list) {
			return at
		}
		keep := true
		list[i] = edit(list[i], rest, func(v any, given bool) (any, bool) { v, keep = f(v, given); return v, keep })
		if !keep && rest == "" {
			return slices.Delete(list, i, i+1)
		}
		return list
	}
	if text, err := strconv.Unquote(strings.Trim(step, "[]")); err == nil {
		step = text
	}
	object, ok := at.(map[string]any)
	if !ok {
		return at
	}
	if rest != "" {
		object[step] = edit(object[step], rest, f)
		return object
	}
	v, given := object[step]
	if v, given = f(v, given); given {
		object[step] = v
	} else {
		delete(object, step)
	}
	return object
}

func decoded(raw string) any {
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(fmt.Sprintf("%s: %v", raw, err))
	}
	return v
}

// agentScenarios are messy starts. with is a whole deal with some members more, and for is one that
// lacks what the scenario is about.
func agentScenarios() []scenario {
	with := func(more string) string { return "{" + minimal + "," + more + "}" }
	client := func(more string) string { return `{"title":"Rollout","pipelineId":"dpl_sales",` + more + `}` }
	knows := func(pairs ...string) map[string]string {
		known := map[string]string{}
		for pair := range slices.Chunk(pairs, 2) {
			known[pair[0]] = pair[1]
		}
		return known
	}
	northwind := client(`"clientId":"clt_northwind"`)
	muscat := client(`"clientId":"clt_falcon_muscat"`)
	return []scenario{
		// Names, and slips in them.
		{"names of everything", `{"title":"Northwind rollout","clientId":"Northwind","pipelineId":"Sales","stageId":"Proposal","ownerUserId":"sara@heffl-sandbox.example","tags":["VIP"],"cf_region":"north"}`, nil,
			`{"title":"Northwind rollout","clientId":"clt_northwind","pipelineId":"dpl_sales","stageId":"dps_proposal","ownerUserId":"usr_sara","tags":["tag_vip"],"cf_region":"North"}`},
		{"a slip in the client", client(`"clientId":"Norhtwind"`), nil, northwind},
		{"a slip in the pipeline", `{"title":"Rollout","clientId":"Northwind","pipelineId":"Slaes"}`, nil, northwind},
		{"a slip in the stage", with(`"stageId":"Negotiatoin"`), nil, with(`"stageId":"dps_negotiation"`)},
		{"slips in pipeline and stage", `{"title":"Rollout","clientId":"Northwind","pipelineId":"Enterpryse","stageId":"Evalution"}`, nil,
			`{"title":"Rollout","clientId":"clt_northwind","pipelineId":"dpl_enterprise","stageId":"dps_ent_evaluation"}`},
		{"a slip in the owner", with(`"ownerUserId":"Lenna Fisher"`), nil, with(`"ownerUserId":"usr_lena"`)},
		{"a slip in the source", with(`"sourceId":"Refferal"`), nil, with(`"sourceId":"src_referral"`)},
		{"slips in tags", with(`"tags":["vip","Renewel"]`), nil, with(`"tags":["tag_vip","tag_renewal"]`)},
		{"a slip in a lead", with(`"leadId":"Helena Duart"`), nil, with(`"leadId":"ld_fair_booth"`)},
		{"a slip in an option", with(`"cf_region":"Norht"`), nil, with(`"cf_region":"North"`)},
		{"a slip in a key", with(`"cf_regoin":"north"`), nil, with(`"cf_region":"North"`)},
		{"slips in key and option", with(`"cf_regoin":"Suoth"`), nil, with(`"cf_region":"South"`)},
		{"a slip in a label and an option", with(`"Reegion":"Wets"`), nil, with(`"cf_region":"West"`)},
		{"a label and a slip in its option", with(`"region":"Eats"`), nil, with(`"cf_region":"East"`)},
		{"only a first name", client(`"clientId":"Maryam"`), nil, client(`"clientId":"clt_maryam"`)},

		// Several of a name.
		{"two clients, an e-mail", client(`"clientId":"Falcon Logistics"`), knows("clientId", `"muscat@falcon.example"`), muscat},
		{"two clients, a phone number", client(`"clientId":"Falcon Logistics LLC"`), knows("clientId", `"+97140000000"`), client(`"clientId":"clt_falcon_dubai"`)},
		{"two clients by domain", client(`"clientId":"falcon.example"`), knows("clientId", `"muscat"`), muscat},
		{"two clients under a wrong key", client(`"company":"Falcon Logistics"`), knows("clientId", `"muscat@"`), muscat},
		{"two owners", with(`"ownerUserId":"Omar"`), knows("ownerUserId", `"omar.khalid@"`), with(`"ownerUserId":"usr_omar_khalid"`)},
		{"two assignees", with(`"assignees":["Sara","Omar"]`), knows("assignees[1]", `"Nasser"`), with(`"assignees":["usr_sara","usr_omar_nasser"]`)},
		{"owner under a wrong key, twice there", with(`"owner":"Omar"`), knows("ownerUserId", `"Nasser"`), with(`"ownerUserId":"usr_omar_nasser"`)},

		// Nobody of that name.
		{"a client of another name", client(`"clientId":"The Windmill Company"`), knows("clientId", `"hello@northwind.example"`), northwind},
		{"an ID of another kind", client(`"clientId":"dl_northwind_pilot"`), knows("clientId", `"Northwind"`), northwind},
		{"an owner who is not there", with(`"ownerUserId":"me"`), knows("ownerUserId", `"lena@"`), with(`"ownerUserId":"usr_lena"`)},
		{"a product that is no longer sold", with(`"products":[{"productId":"Seat (classic)","quantity":4}]`), nil, with(`"products":[{"productId":"prd_seat","quantity":4,"name":"Seat","price":500}]`)},
		{"a product that the catalogue has not", with(`"products":[{"productId":"prd_gone","quantity":4}]`), knows("products[0].productId", `"Onboarding"`),
			with(`"products":[{"productId":"prd_onboarding","quantity":4,"name":"Onboarding","price":2400.50}]`)},

		// The wrong place.
		{"the pipeline is wrong for the stage", with(`"stageId":"Contract"`), knows("pipelineId", `"Enterprise"`), `{"title":"Rollout","clientId":"clt_northwind","pipelineId":"dpl_enterprise","stageId":"dps_ent_contract"}`},
		{"the stage is wrong for the pipeline", with(`"stageId":"Evaluation"`), knows("stageId", `"Qualified"`), with(`"stageId":"dps_qualified"`)},
		{"a field of another pipeline", with(`"cf_security_review":"passed","cf_seats":5`), nil, with(`"cf_seats":5`)},
		{"a label of another pipeline", with(`"Security review":"passed"`), knows("pipelineId", `"Enterprise"`), `{"title":"Rollout","clientId":"clt_northwind","pipelineId":"dpl_enterprise","cf_security_review":"Passed"}`},
		{"a tag for leads", with(`"tags":["Trade fair","Tender"]`), knows("tags[0]", `"At risk"`), with(`"tags":["tag_at_risk","tag_tender"]`)},
		{"no such field", with(`"cf_probability":50`), nil, "{" + minimal + "}"},
		{"no such property", with(`"probability":50,"externalId":"x"`), nil, "{" + minimal + "}"},

		// Wrong keys.
		{"other names of properties", `{"name":"Rollout","customer":"Northwind","pipeline":"Sales","amount":100,"closeDate":"2027-01-31"}`, nil,
			`{"title":"Rollout","clientId":"clt_northwind","pipelineId":"dpl_sales","price":100,"expectedCloseDate":"2027-01-31T00:00:00Z"}`},
		{"other names and slips below them", `{"name":"Rollout","customer":"Norhtwind","pipeline":"Slaes","stage":"Propsal","owner":"Sarah","tag":"Renewel"}`, nil,
			`{"title":"Rollout","clientId":"clt_northwind","pipelineId":"dpl_sales","stageId":"dps_proposal","ownerUserId":"usr_sara","tags":["tag_renewal"]}`},
		{"snake case", `{"title":"Rollout","client_id":"Northwind","pipeline_id":"Sales","expected_close_date":"2027-01-31","is_inclusive_tax":"yes"}`, nil,
			`{"title":"Rollout","clientId":"clt_northwind","pipelineId":"dpl_sales","expectedCloseDate":"2027-01-31T00:00:00Z","isInclusiveTax":true}`},
		{"line items", with(`"line_items":[{"product":"Seat","qty":"3","unit_price":"450"}]`), nil, with(`"products":[{"productId":"prd_seat","name":"Seat","quantity":3,"price":450}]`)},
		{"line items with slips", with(`"lineItems":[{"product":"Premium supprt","qty":"two"}]`), knows("products[0].quantity", `2`), with(`"products":[{"productId":"prd_support","name":"Premium support","quantity":2,"price":1200}]`)},
		{"a bag of custom fields", with(`"customFields":{"region":"north","Purchase order":"PO-7"}`), nil, with(`"cf_region":"North","cf_po_number":"PO-7"`)},
		{"a bag with slips", with(`"custom_fields":{"cf_regoin":"Norht","cf_seats":"5 seats"}`), knows("cf_seats", `5`), with(`"cf_region":"North","cf_seats":5`)},
		{"a slip in a property", with(`"prioritty":"high","ownerUserID":"Sara"`), nil, with(`"priority":"HIGH","ownerUserId":"usr_sara"`)},

		// Wrong types and forms.
		{"an amount and a date as people write them", with(`"price":"$25,000","expectedCloseDate":"January 31, 2027"`), nil, with(`"price":25000,"expectedCloseDate":"2027-01-31T00:00:00Z"`)},
		{"an amount under another name", with(`"value":"25,000.50 USD","currency":"usd"`), nil, with(`"price":25000.50,"currency":"USD"`)},
		{"a date of a custom field", with(`"Renewal date":"1 April 2027"`), nil, with(`"cf_renewal_date":"2027-04-01"`)},
		{"names in one text", with(`"assignees":"Sara, Lena","tags":"VIP"`), nil, with(`"assignees":["usr_sara","usr_lena"],"tags":["tag_vip"]`)},
		{"options in one text", with(`"Modules":"CRM, Projects"`), nil, with(`"cf_modules":["CRM","Projects"]`)},
		{"a list for one value", with(`"cf_region":["north"]`), nil, with(`"cf_region":"North"`)},
		{"a number for a text", with(`"Purchase order":4711`), nil, with(`"cf_po_number":"4711"`)},
		{"another word for a priority", with(`"priority":"urgent","status":"open"`), knows("priority", `"HIGH"`, "status", `"ACTIVE"`), with(`"priority":"HIGH","status":"ACTIVE"`)},

		// What is missing.
		{"only a title", `{"title":"Rollout"}`, knows("clientId", `"Northwind"`, "pipelineId", `"Sales"`), northwind},
		{"nothing", `{}`, knows("title", `"Rollout"`, "clientId", `"Northwind"`, "pipelineId", `"Sales"`), northwind},
		{"a product by name alone", with(`"products":[{"name":"Seat","quantity":2}]`), nil, with(`"products":[{"productId":"prd_seat","quantity":2,"name":"Seat","price":500}]`)},
		{"a quantity", with(`"products":[{"productId":"Seat"}]`), knows("products[0].quantity", `2`), with(`"products":[{"productId":"prd_seat","quantity":2,"name":"Seat","price":500}]`)},

		// Twice.
		{"a field by key and label", with(`"cf_region":"north","Region":"north"`), nil, with(`"cf_region":"North"`)},
		{"a deal that looks the same", `{"title":"Acme renewal","clientId":"Acme","pipelineId":"Sales"}`, knows("allowDuplicate", `true`), `{"title":"Acme renewal","clientId":"clt_acme","pipelineId":"dpl_sales"}`},

		// Everything at once.
		{"everything at once", `{"name":"Rollout","company":"Falcon Logistics","pipelineId":"Slaes","stage":"Propsal","price":"$5,000","owner":"Omar","cf_regoin":"Norht","tags":["vip","Renewel"],"line_items":[{"product":"Seet","qty":"2"}],"probability":10}`,
			knows("clientId", `"dubai@falcon.example"`, "ownerUserId", `"Nasser"`),
			`{"title":"Rollout","clientId":"clt_falcon_dubai","pipelineId":"dpl_sales","stageId":"dps_proposal","price":5000,"ownerUserId":"usr_omar_nasser","cf_region":"North","tags":["tag_vip","tag_renewal"],"products":[{"productId":"prd_seat","quantity":2,"name":"Seat","price":500}]}`},
	}
}
