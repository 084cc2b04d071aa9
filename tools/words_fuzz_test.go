package tools

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/tools/txtar"
)

// A known is what the sandbox's data says of one known that can be named.
type known struct {
	id     string
	called []string // everything it can be known by, but for its ID
	usable bool
}

// A naming spot is a property that names knowns, with all there is to name.
type spot struct {
	path   string
	prefix string
	args   string // with %s for the words, quoted
	of     []known
}

// spots are read from the sandbox's own data, without a line of what is tested.
func spots(tb testing.TB) []spot {
	tb.Helper()
	raw, err := os.ReadFile("../heffl/sandbox/data.json")
	if err != nil {
		tb.Fatal(err)
	}
	var data struct {
		Reference, Records map[string][]map[string]any
	}
	if err := json.Unmarshal(raw, &data); err != nil {
		tb.Fatal(err)
	}
	knowns := func(rows []map[string]any) []known {
		var all []known
		for _, row := range rows {
			t := known{usable: row["isActive"] != false && (row["type"] == nil || row["type"] != "leads")}
			t.id, _ = row["id"].(string)
			first, _ := row["firstName"].(string)
			last, _ := row["lastName"].(string)
			if first != "" {
				t.called = append(t.called, first+" "+last)
			}
			for _, member := range []string{"name", "title", "email", "phone", "website", "sku", "number"} {
				if text, ok := row[member].(string); ok {
					t.called = append(t.called, text)
				}
			}
			all = append(all, t)
		}
		return all
	}
	var stages []map[string]any
	for _, stage := range data.Reference["pipelines"][0]["stages"].([]any) {
		stages = append(stages, stage.(map[string]any))
	}
	clients := slices.Concat(knowns(data.Records["companies"]), knowns(data.Records["contacts"]))
	with := func(more string) string { return "{" + minimal + "," + more + "}" }
	return []spot{
		{"clientId", "clt_", `{"title":"Rollout","pipelineId":"dpl_sales","clientId":%s}`, clients},
		{"pipelineId", "dpl_", `{"title":"Rollout","clientId":"clt_northwind","pipelineId":%s}`, knowns(data.Reference["pipelines"])},
		{"stageId", "dps_", with(`"stageId":%s`), knowns(stages)},
		{"leadId", "ld_", with(`"leadId":%s`), knowns(data.Reference["leads"])},
		{"sourceId", "src_", with(`"sourceId":%s`), knowns(data.Reference["sources"])},
		{"ownerUserId", "usr_", with(`"ownerUserId":%s`), knowns(data.Reference["users"])},
		{"assignees[0]", "usr_", with(`"assignees":[%s]`), knowns(data.Reference["users"])},
		{"contacts[0]", "clt_", with(`"contacts":[%s]`), knowns(data.Records["contacts"])},
		{"tags[0]", "tag_", with(`"tags":[%s]`), knowns(data.Reference["tags"])},
		{"products[0].productId", "prd_", with(`"products":[{"quantity":1,"productId":%s}]`), knowns(data.Reference["products"])},
	}
}

// FuzzNames holds that words are sent as the ID of the one known that they name, or not at all. What
// is certain is told by a much simpler rule: the letter itself, and having no three letters in common.
func FuzzNames(f *testing.F) {
	spots := spots(f)
	for i, p := range spots {
		for _, known := range p.of {
			f.Add(uint8(i), known.id)
			for _, name := range known.called {
				f.Add(uint8(i), name)
				f.Add(uint8(i), strings.ToUpper(name)+" ")
				if len(name) > 3 {
					f.Add(uint8(i), name[:2]+name[3:])
				}
			}
		}
		for _, words := range []string{"", "?", "me", "usr_", "clt_ x", "deal_1", "dl_1", "Zzyzx Quux", "\u202eselaS", "Ltd", "Sales\x00", "a,b", "+", "@", "x@y", "...", "Acme & Co. KG", strings.Repeat("Sales ", 99)} {
			f.Add(uint8(i), words)
		}
	}
	w := newWire(f)
	f.Fuzz(func(t *testing.T, at uint8, words string) {
		p := spots[int(at)%len(spots)]
		quoted, err := json.Marshal(words)
		if err != nil {
			t.Fatal(err)
		}
		args := fmt.Sprintf(p.args, quoted)
		r, body := w.call(t, args)
		sent := ""
		for m := range leaves(body, "") {
			if m.name == p.path {
				sent = text(jsontext.Value(m.value))
			}
		}
		named := slices.DeleteFunc(slices.Clone(p.of), func(o known) bool { return !o.usable || !slices.Contains(o.called, words) })
		switch {
		case body == nil && len(named) == 1 && words != "" && !overlapsOther(p.of, named[0], words):
			t.Errorf("create_deal(%s) was refused, and %s has just that name: %s", args, named[0].id, textOf(r))
		case body == nil:
		case words == "" && sent == "": // as not given
		case len(named) > 1:
			t.Errorf("create_deal(%s): Heffl received %s, and %d knowns have that name", args, body, len(named))
		case !strings.HasPrefix(sent, p.prefix):
			t.Errorf("create_deal(%s): Heffl received %s, with no ID", args, body)
		case bare(sent) == bare(words): // an ID is taken at its word
		case !slices.ContainsFunc(p.of, func(o known) bool {
			return o.usable && o.id == sent && slices.ContainsFunc(o.called, func(name string) bool { return overlap(name, words) })
		}):
			t.Errorf("create_deal(%s): Heffl received %s, and nothing of the kind is called so", args, body)
		case len(named) == 1 && sent != named[0].id:
			t.Errorf("create_deal(%s): Heffl received %s, want the ID of %+v", args, body, named)
		}
	})
}

// overlapsOther reports whether something else may be meant by the same words.
func overlapsOther(all []known, but known, words string) bool {
	return slices.ContainsFunc(all, func(o known) bool {
		return o.id != but.id && slices.ContainsFunc(o.called, func(name string) bool { return bare(name) == bare(words) })
	})
}

// overlap reports whether two names share three letters or digits in a row, or are one and the same.
func overlap(a, b string) bool {
	x, y := []rune(bare(a)), []rune(bare(b))
	if slices.Equal(x, y) {
		return true
	}
	for i := 0; i+3 <= len(x); i++ {
		if strings.Contains(string(y), string(x[i:i+3])) {
			return true
		}
	}
	return false
}

// bare is nothing but the small letters and digits of a text.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFKD.String(s))
}

// FuzzArguments holds that whatever object a model gives, what reaches Heffl has IDs where IDs belong
// and no custom field that is not there, and that every value in it is the model's own, byte for byte,
// unless the result says otherwise.
func FuzzArguments(f *testing.F) {
	for _, file := range []string{"words.txtar", "create_deal.txtar"} {
		archive, err := txtar.ParseFile("testdata/" + file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range archive.Files {
			if strings.HasSuffix(part.Name, "/call") {
				f.Add(part.Data)
			}
			for line := range strings.Lines(string(part.Data)) {
				if args, ok := strings.CutPrefix(line, "call "); ok {
					f.Add([]byte(args))
				}
			}
		}
	}
	for _, s := range agentScenarios() {
		f.Add([]byte(s.start))
	}
	for _, more := range []string{
		`"price":1.0e2,"cf_seats":-0,"cf_annual_value":100.00`, `"assignees":["Sara","sara@heffl-sandbox.example","usr_lena","usr_lena"]`,
		`"cf_modules":["CRM","crm"],"Keywords":["\u00e9"]`, `"\u0063f_region":"\u004eorth"`, `"cf_region":"\u006eorth"`, `"tags":"[\"vip\"]"`, `"tags":[],"contacts":null`,
		`"products":"[{\"productId\":\"Seat\",\"quantity\":1}]"`, `"products":[{"productId":"prd_seat","quantity":1,"name":null}]`, `"cf_":1`, `"cf_partner":["clt_acme",1]`,
		`"cf_partner":null`, `"isInclusiveTax":"true","allowDuplicate":"true"`, `"Seats":"12","renewal date":"2027-01-01"`,
	} {
		f.Add([]byte("{" + minimal + "," + more + "}"))
	}
	w := newWire(f)
	f.Fuzz(func(t *testing.T, args []byte) {
		given, err := json.Marshal(json.RawMessage(args)) // as the client sends it
		if err != nil || jsontext.Value(given).Kind() != '{' || len(given) > 1<<16 {
			t.Skip("a client sends JSON objects; other arguments are fuzzed where they are checked")
		}
		r, body := w.call(t, string(given))
		if body == nil {
			return
		}
		if faults := misplaced(parse(body), !strings.Contains(textOf(r), "so these went as they were given")); len(faults) > 0 {
			t.Errorf("create_deal(%s): Heffl received %s: %s", given, body, strings.Join(faults, ", "))
		}
		for _, path := range untold(r, given, body) {
			t.Errorf("create_deal(%s): Heffl received %s, where %s is not the model's, and nothing says so: %s", given, body, path, textOf(r))
		}
	})
}

// misplaced are the members of a body that hold no ID where one belongs, and, if the definitions were
// read, the custom fields that are not there.
func misplaced(body object, defined bool) []string {
	prefixes := map[string]string{
		"clientId": "clt_", "pipelineId": "dpl_", "stageId": "dps_", "leadId": "ld_", "sourceId": "src_", "ownerUserId": "usr_",
		"assignees": "usr_", "contacts": "clt_", "tags": "tag_", "productId": "prd_", "taxRateId": "txr_",
	}
	plain := []string{"title", "price", "expectedCloseDate", "priority", "status", "currency", "isInclusiveTax", "products", "name", "quantity", "description", "tax", "discount"}
	fields := []string{"cf_region", "cf_po_number", "cf_background", "cf_seats", "cf_annual_value", "cf_renewal_date", "cf_modules", "cf_site_phone", "cf_billing_email",
		"cf_rfp_link", "cf_keywords", "cf_partner"}
	if pipeline, _ := body.str("pipelineId"); pipeline == "dpl_enterprise" {
		fields = append(fields, "cf_security_review")
	}
	var faults []string
	for m := range leaves(body.JSON(), "") {
		name, _, _ := strings.Cut(m.name[strings.LastIndexByte(m.name, '.')+1:], "[")
		prefix, isID := prefixes[name]
		value := text(jsontext.Value(m.value))
		switch {
		case isID && !(strings.HasPrefix(value, prefix) && len(value) > len(prefix)) && string(m.value) != "null" && string(m.value) != "[]",
			!isID && !slices.Contains(plain, name) && !slices.Contains(fields, name) && (defined || !strings.HasPrefix(name, "cf_")):
			faults = append(faults, m.name+" is "+string(m.value))
		}
	}
	return faults
}

// untold are the spots where body is not what was given, and the result does not say so.
func untold(r *mcp.CallToolResult, given, body []byte) []string {
	var resolved []understood
	raw, _ := json.Marshal(notesOf(r)["heffl-mcp/resolved"])
	_ = json.Unmarshal(raw, &resolved) // none, if there is nothing
	raw, _ = json.Marshal(notesOf(r))
	var said []string
	_ = json.Unmarshal(raw, &struct {
		Repaired *[]string `json:"heffl-mcp/repaired"`
	}{&said})
	var notes []string
	_ = json.Unmarshal(raw, &struct {
		Notes *[]string `json:"heffl-mcp/notes"`
	}{&notes})
	isTold := func(path string) bool {
		at := func(p string) bool {
			return p == path || strings.HasPrefix(path, p+".") || strings.HasPrefix(path, p+"[")
		}
		byNote := func(says string) bool {
			p, _, _ := strings.Cut(says, ": read ")
			if twice, _, ok := strings.Cut(p, " is the same as "); ok {
				p, _, _ = strings.Cut(twice, "[") // and what comes after it has moved up
			}
			p, what, ok := strings.Cut(p, ": ")
			if ok {
				what, _, _ = strings.Cut(what, " ")
				p += "." + what // products[0]: name "Seat" from the catalogue
			}
			return at(p)
		}
		return slices.ContainsFunc(resolved, func(u understood) bool { return at(u.Path) }) || slices.ContainsFunc(said, byNote) || slices.ContainsFunc(notes, byNote)
	}
	if len(said) >= maxListed {
		return nil // there may be more than is said
	}
	was := map[string]string{}
	for m := range leaves(given, "") {
		for _, u := range resolved {
			if u.Path == u.Input && strings.HasPrefix(m.name, u.Path) { // the label of a field
				m.name = u.ID + strings.TrimPrefix(m.name, u.Path)
			}
		}
		was[m.name] = string(m.value)
	}
	var list []string
	for m := range leaves(body, "") {
		if v, ok := was[m.name]; (!ok || v != string(m.value)) && !isTold(m.name) {
			list = append(list, m.name)
		}
		delete(was, m.name)
	}
	for path := range was {
		if path != "allowDuplicate" && !isTold(path) {
			list = append(list, path)
		}
	}
	return list
}

// leaves are the values of a JSON text that hold no others, by their paths.
func leaves(raw []byte, path string) func(func(member) bool) {
	return func(yield func(member) bool) {
		inside := func(v json.RawMessage, path string) bool {
			for m := range leaves(v, path) {
				if !yield(m) {
					return false
				}
			}
			return true
		}
		var items []json.RawMessage
		object := parse(raw)
		switch kind := jsontext.Value(raw).Kind(); {
		case kind == '{' && len(object) > 0:
			for _, m := range object {
				full := m.name
				if path != "" {
					full = path + "." + m.name
				}
				if !inside(m.value, full) {
					return
				}
			}
		case kind == '[' && json.Unmarshal(raw, &items) == nil && len(items) > 0:
			for i, item := range items {
				if !inside(item, at(path, i)) {
					return
				}
			}
		default:
			yield(member{path, raw})
		}
	}
}

// A wire is a server of ours with a Heffl that answers each POST, and keeps what it held.
type wire struct {
	client *mcpclient.Client
	posted [][]byte
}

func newWire(tb testing.TB) *wire {
	tb.Helper()
	w := &wire{}
	h := newHouse(tb)
	h.meets = func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			return nil, nil
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		w.posted = append(w.posted, body)
		return answerOf(http.StatusCreated, `{"id":"dl_1"}`), nil
	}
	w.client = connectTo(tb, Deps{Heffl: h.client(), SkipDuplicateCheck: true})
	return w
}

// call returns the answer, and the one body that was sent; nil if there was none.
func (w *wire) call(t *testing.T, args string) (*mcp.CallToolResult, []byte) {
	t.Helper()
	w.posted = nil
	r := callTool(t, w.client, "create_deal", args)
	if len(w.posted) > 1 || r.IsError == (len(w.posted) == 1) {
		t.Fatalf("create_deal(%s): isError %t, and Heffl received %q", args, r.IsError, w.posted)
	}
	if r.IsError {
		return r, nil
	}
	return r, w.posted[0]
}
