package tools

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

const minimal = `"title":"Rollout","clientId":"clt_northwind","pipelineId":"dpl_sales"`

// TestCreateDealConversations plays each conversation of testdata/create_deal.txtar: the call, the
// request that Heffl must receive, Heffl's answer, and what the model reads.
func TestCreateDealConversations(t *testing.T) {
	t.Parallel()
	const file = "create_deal.txtar"
	archive, err := txtar.ParseFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	played := &txtar.Archive{Comment: archive.Comment}
	for call := range slices.Values(archive.Files) {
		name, part, _ := strings.Cut(call.Name, "/")
		switch part {
		case "call":
			played.Files = append(played.Files, call)
		case "deals", "answer":
			played.Files = append(played.Files, call)
			continue
		default:
			continue
		}
		upstream := script{deals: fileNamed(archive, name+"/deals"), answer: fileNamed(archive, name+"/answer")}
		var reads string
		synctest.Test(t, func(t *testing.T) {
			reads = upstream.play(t, string(call.Data))
		})
		played.Files = append(played.Files,
			txtar.File{Name: name + "/request", Data: upstream.received},
			txtar.File{Name: name + "/reads", Data: []byte(reads)})
	}
	golden(t, file, txtar.Format(ordered(played)))
}

// script is a Heffl that has some deals, and answers each request to make one the same. It stands
// at the end of no network, so that a conversation takes no time.
type script struct {
	deals, answer []byte
	received      []byte
}

// play calls create_deal and returns what the model reads.
func (s *script) play(t *testing.T, args string) string {
	c := connectTo(t, Deps{
		Heffl:    &heffl.Client{BaseURL: "http://localhost", Key: testKey, HTTP: &http.Client{Transport: s}},
		Journal:  memory(t),
		Tenant:   "t",
		Deadline: 200 * time.Millisecond, // shorter than the first wait, so that nothing is looked for twice
	})
	r := callTool(t, c, "create_deal", args)
	reads := fmt.Sprintf("isError: %t\n%s\n", r.IsError, textOf(r))
	if meta := notesOf(r); len(meta) > 0 {
		raw, _ := json.Marshal(meta)
		reads += fmt.Sprintf("_meta: %s\n", raw)
	}
	if len(r.RawStructuredContent) > 0 {
		reads += fmt.Sprintf("structuredContent: %s\n", r.RawStructuredContent)
	}
	return reads
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		body = append(body, '\n')
	}
	s.received = fmt.Appendf(s.received, "%s %s\n%s", r.Method, r.URL.RequestURI(), body)
	w := httptest.NewRecorder()
	switch {
	case strings.HasSuffix(r.URL.Path, "/custom-fields"):
		io.WriteString(w, `{"data":[{"key":"cf_seats","label":"Seats","type":"NUMBER"}]}`)
	case r.Method == http.MethodGet:
		fmt.Fprintf(w, `{"data":[%s],"meta":{"hasMore":false,"nextCursor":null}}`, s.deals)
	case len(s.answer) == 0:
		return nil, io.EOF // the connection is lost
	default:
		writeAnswer(w, s.answer)
	}
	return w.Result(), nil
}

// ordered puts the parts of each conversation in the order in which they happen.
func ordered(a *txtar.Archive) *txtar.Archive {
	rank := func(f txtar.File) int {
		_, part, _ := strings.Cut(f.Name, "/")
		return slices.Index([]string{"call", "deals", "request", "answer", "reads"}, part)
	}
	var names []string
	for _, f := range a.Files {
		if name, _, _ := strings.Cut(f.Name, "/"); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(a.Files, func(x, y txtar.File) int {
		xn, _, _ := strings.Cut(x.Name, "/")
		yn, _, _ := strings.Cut(y.Name, "/")
		if d := slices.Index(names, xn) - slices.Index(names, yn); d != 0 {
			return d
		}
		return rank(x) - rank(y)
	})
	return a
}

func fileNamed(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// writeAnswer sends an answer written as HTTP has it: status line, headers, empty line, body.
func writeAnswer(w http.ResponseWriter, answer []byte) {
	head, body, _ := bytes.Cut(answer, []byte("\n\n"))
	scanner := bufio.NewScanner(bytes.NewReader(head))
	scanner.Scan()
	var status int
	fmt.Sscanf(scanner.Text(), "HTTP/1.1 %d", &status)
	for scanner.Scan() {
		name, value, _ := strings.Cut(scanner.Text(), ": ")
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	w.Write(bytes.TrimSuffix(body, []byte("\n")))
}

// TestCreateDealVerbatim holds that what the model sent is what Heffl receives.
func TestCreateDealVerbatim(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	c := connectTo(t, Deps{Heffl: inProcess(sb), SkipDuplicateCheck: true})
	for _, args := range []string{
		`{` + minimal + `,"price":12345678901234.56}`,
		`{` + minimal + `,"price":1e2}`,
		`{` + minimal + `,"price":0.10}`,
		`{` + minimal + `,"price":-0}`,
		`{` + minimal + `,"cf_seats":9007199254740993}`,
		`{` + minimal + `,"stageId":null}`,
		`{` + strings.Replace(minimal, "Rollout", `Renovación — 大連 — مشروع — 👩🏽‍💻 \u0000\u2028<b>&`, 1) + `}`,
		`{"pipelineId":"dpl_sales","stageId":"dps_proposal","title":"Everything","clientId":"clt_northwind",` +
			`"leadId":"ld_web_form","sourceId":"src_referral","ownerUserId":"usr_sara","expectedCloseDate":"2026-06-30T00:00:00.000+04:00",` +
			`"priority":"HIGH","status":"ACTIVE","currency":"AED","isInclusiveTax":false,"assignees":["usr_sara"],"contacts":[],` +
			`"tags":["tag_vip"],"products":[{"name":"Seat","quantity":50.0,"price":5e2,"productId":"prd_seat","description":"","tax":5,"discount":0.0}]}`,
	} {
		before := len(sb.Requests())
		if r := callTool(t, c, "create_deal", args); r.IsError {
			t.Logf("create_deal(%s) = %s", args, textOf(r)) // Heffl may refuse; what it received is what counts
		}
		requests := writes(sb.Requests()[before:])
		if len(requests) != 1 {
			t.Errorf("create_deal(%s): Heffl received %d requests, want 1", args, len(requests))
			continue
		}
		if got, want := tokens(t, requests[0].Body), tokens(t, []byte(args)); !cmp.Equal(got, want) {
			t.Errorf("create_deal(%s): Heffl received %s", args, requests[0].Body)
		}
	}
}

// writes are the requests that are no reads.
func writes(requests []sandbox.Request) []sandbox.Request {
	return slices.DeleteFunc(slices.Clone(requests), func(r sandbox.Request) bool { return r.Method == http.MethodGet })
}

// tokens are the tokens of a JSON text: names and strings by their code points, numbers by their digits.
func tokens(t *testing.T, raw []byte) []string {
	t.Helper()
	var all []string
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := d.ReadToken()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		all = append(all, token.Kind().String()+token.String())
	}
}

// TestCreateDealRefuses sends one fault at a time, in every property, of every kind. None may be sent
// to Heffl, and each must be answered with its path and what is allowed.
func TestCreateDealRefuses(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	c := connect(t, sb)
	refused := invalidDeals(t)
	if len(refused) < 150 {
		t.Errorf("%d invalid argument sets, want at least 150", len(refused))
	}
	for args, want := range refused {
		r := callTool(t, c, "create_deal", args)
		text := textOf(r)
		if !r.IsError || r.StructuredContent != nil {
			t.Errorf("create_deal(%.200s) was not refused: %s", args, text)
		}
		for _, part := range append(want, "nothing was sent") {
			if !strings.Contains(text, part) {
				t.Errorf("create_deal(%.200s) = %q, want it to say %q", args, text, part)
			}
		}
		if len(text) > maxRefusal {
			t.Errorf("create_deal(%.200s) is refused with %d bytes, want at most %d", args, len(text), maxRefusal)
		}
	}
	if sent := writes(sb.Requests()); len(sent) > 0 {
		t.Errorf("Heffl received %+v, want nothing but look-ups", sent)
	}
}

// invalidDeals are argument sets with one fault each, and what their refusal must say.
func invalidDeals(t *testing.T) map[string][]string {
	base := map[string]string{"title": `"Rollout"`, "clientId": `"clt_northwind"`, "pipelineId": `"dpl_sales"`}
	all := map[string][]string{}
	with := func(name, value string, says ...string) {
		m := maps.Clone(base)
		m[name] = value
		var members []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			quoted, _ := json.Marshal(k)
			members = append(members, string(quoted)+":"+m[k])
		}
		args := "{" + strings.Join(members, ",") + "}"
		if _, twice := all[args]; twice {
			t.Errorf("%s stands twice", args)
		}
		all[args] = says
	}
	ids := map[string]string{"clientId": "clt_", "pipelineId": "dpl_", "stageId": "dps_", "leadId": "ld_", "sourceId": "src_", "ownerUserId": "usr_"}
	lists := map[string]string{"assignees": "usr_", "contacts": "clt_", "tags": "tag_"}
	wrong := func(want string, name string, values ...string) {
		for _, v := range values {
			with(name, v, name+": got ", "give "+want)
		}
	}
	for name, prefix := range ids {
		wrong("a non-empty string", name, `7`, `true`, `{}`, `[]`, `["`+prefix+`1"]`)
		for _, words := range []string{`"` + prefix + `"`, `"` + prefix + `a b"`, `"` + strings.ToUpper(prefix) + `1"`} {
			with(name, words, name+": ", words) // no IDs, and names of nothing
		}
		with(name, `"dl_9f2"`, name+`: "dl_9f2" is the ID of a deal`)
		if name == "clientId" || name == "pipelineId" { // elsewhere they are read as not given
			wrong("a non-empty string", name, `null`, `""`)
		}
	}
	for name, prefix := range lists {
		wrong("an array, each item a non-empty string", name, `5`, `{"0":"`+prefix+`1"}`)
		for _, item := range []string{`""`, `null`, `1`, `["` + prefix + `1"]`} {
			with(name, `["`+prefix+`1",`+item+`]`, name+"[1]: got ", "give a non-empty string")
		}
		with(name, `["`+prefix+`1","nobody and nothing"]`, name+"[1]: no ", ` is named "nobody and nothing"`)
	}
	wrong("a non-empty string", "title", `""`, `"  "`, `null`, `1`, `["a"]`, `{"en":"a"}`)
	wrong("a JSON number", "price", `"$5"`, `"1,000"`, `"1.250"`, `"0x10"`, `"NaN"`, `"٥٠"`, `true`, `[1]`, `{}`)
	wrong("an RFC 3339 date-time", "expectedCloseDate", `"tomorrow"`, `"30/06/2026"`, `"2026-06-31T00:00:00Z"`, `"2026-06-30T25:00:00Z"`, `"2026-06-30T00:00:00"`, `"2026-06-30t00:00:00z"`, `"2026-06-30T23:59:60Z"`, `1782777600`)
	wrong("one of LOW, MEDIUM, HIGH", "priority", `"URGENT"`, `1`)
	wrong("one of ACTIVE, WON, LOST", "status", `"OPEN"`, `false`)
	wrong("three capital letters", "currency", `"US"`, `"USDT"`, `"$"`, `840`)
	wrong("true or false", "isInclusiveTax", `1`, `"no"`)
	wrong("true or false", "allowDuplicate", `1`, `"yes"`)
	wrong("an array", "products", `"[Seat]"`, `1`)
	line := func(member string) string { return `[{"name":"Seat","quantity":1,"price":2},{` + member + `}]` }
	item := `"name":"Seat","quantity":1,"price":2`
	with("products", line(`"quantity":1,"price":2`), "products[1]: name missing; give it, or productId")
	with("products", line(`"name":"Seat","price":2`), "products[1].quantity: missing", "give a JSON number")
	with("products", line(`"name":"Seat","quantity":1`), "products[1]: price missing; give it, or productId")
	with("products", `["Seat"]`, `products[0]: got "Seat"`, "give an object with productId, name, quantity, price")
	with("products", `[null]`, `products[0]: got null`, "give an object with productId, name, quantity, price")
	for _, name := range []string{"quantity", "price", "tax", "discount"} {
		for _, v := range []string{`"1.5.0"`, `"1,5"`, `true`, `[1]`} {
			with("products", line(strings.Join(withoutMember(item, name), ",")+`,"`+name+`":`+v), "products[1]."+name+": got ", "give a JSON number")
		}
		with("products", line(strings.Join(withoutMember(item, name), ",")+`,"`+name+`":-0.01`), "products[1]."+name+": got -0.01; give a number of at least 0")
	}
	with("products", line(item+`,"productId":"clt_1"`), `products[1].productId: "clt_1" is the ID of a client`)
	with("products", line(item+`,"taxRateId":"5%"`), "products[1].taxRateId: got ", "txr_")
	with("products", line(item+`,"description":5`), "products[1].description: got 5; give a string")
	with("products", line(item+`,"unit_price":5`), "products[1].unit_price: unknown property; did you mean price?")
	with("products", line(item+`,"qty":5`), "products[1].qty: unknown property; did you mean quantity?")
	with("products", line(item+`,"cf_a":5`), "products[1].cf_a: unknown property; allowed are productId, name, quantity")
	for alias, meant := range map[string]string{
		"amount": "price", "value": "price", "name": "title", "company": "clientId", "client": "clientId", "owner": "ownerUserId",
		"close_date": "expectedCloseDate", "client_id": "clientId", "ClientID": "clientId", "stage": "stageId", "pipeline": "pipelineId",
		"source": "sourceId", "crmSourceId": "sourceId", "tag_ids": "tags", "assigneeIds": "assignees", "line_items": "products",
		"prioritty": "priority", "stauts": "status", "curency": "currency", "taxInclusive": "isInclusiveTax", "contact_id": "clientId", "lead": "leadId",
	} {
		with(alias, `"x"`, alias+": unknown property; did you mean "+meant+"?")
	}
	for _, name := range []string{"description", "notes", "probability", "externalId", "", "__proto__", "x y"} {
		with(name, `"x"`, "unknown property; allowed are title, clientId", "cf_*")
	}
	for _, name := range []string{"customFields", "custom_fields", "cf"} {
		with(name, `{"region":"North"}`, name+": unknown property; did you mean a property for each custom field")
	}
	for name := range base {
		m := withoutMember(minimal, name)
		all["{"+strings.Join(m, ",")+"}"] = []string{name + ": missing; give a"}
	}
	for args, says := range map[string]string{
		`{}`:                                "correct 3 faults",
		`[]`:                                "got an array of 0; give an object with title",
		`[{` + minimal + `}]`:               "got an array of 1; give an object with title",
		`"` + "x" + `"`:                     `got "x"; give an object with title`,
		`5`:                                 "got 5; give an object with title",
		`{` + minimal + `,"title":"b"}`:     "title: given twice",
		`{` + minimal + `,"cf_a":{"b":1}}`:  "cf_a: got an object; give a string, a number",
		`{` + minimal + `,"CF_region":"x"}`: `CF_region: no option is named "x"; there are "North", "South", "East", "West"`,
		`{` + minimal + `,"price":1e-400}`:  "price: 1e-400 is out of range",
		`{` + minimal + `,"price":` + strings.Repeat("1", 70) + `}`:                                      "price: a number of 70 characters",
		`{` + minimal + `,"cf_a":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40) + `}`:   "nested more than 32 deep",
		`{` + minimal + `,"cf_a":"\ud83d"}`:                                                              "not valid JSON, invalid surrogate pair",
		`{` + minimal + `,"x1":1` + strings.Repeat(`,"an_unknown_property_with_a_long_name":1`, 1) + `}`: "correct 2 faults",
	} {
		all[args] = []string{says}
	}
	return all
}

// TestCreateDealRepairs sends what is wrong but has one reading: Heffl receives that reading, and the
// result says so.
func TestCreateDealRepairs(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Asia/Dubai")
	if err != nil {
		t.Fatal(err)
	}
	line := func(member string) string { return `[{"name":"Seat","quantity":1,"price":2` + member + `}]` }
	for _, tt := range []struct{ name, value, sent, says string }{
		{"price", `"25000.50"`, `25000.50`, `price: read "25000.50" as 25000.50`},
		{"price", `null`, ``, `price: read null as not given`},
		{"ownerUserId", `""`, ``, `ownerUserId: read "" as not given`},
		{"expectedCloseDate", `"2026-06-30"`, `"2026-06-30T00:00:00+04:00"`, `expectedCloseDate: read "2026-06-30" as "2026-06-30T00:00:00+04:00"`},
		{"priority", `"high"`, `"HIGH"`, `priority: read "high" as "HIGH"`},
		{"status", `"Active"`, `"ACTIVE"`, `status: read "Active" as "ACTIVE"`},
		{"currency", `"usd"`, `"USD"`, `currency: read "usd" as "USD"`},
		{"isInclusiveTax", `"true"`, `true`, `isInclusiveTax: read "true" as true`},
		{"tags", `"tag_vip"`, `["tag_vip"]`, `tags: read "tag_vip" as`},
		{"tags", `"[\"tag_vip\"]"`, `["tag_vip"]`, `tags: read `},
		{"products", line(`,"tax":"5"`), line(`,"tax":5`), `products[0].tax: read "5" as 5`},
		{"products", `{"name":"Seat","quantity":"1","price":2}`, line(``), `products[0].quantity: read "1" as 1`},
	} {
		sb := newSandbox(t)
		c := connectTo(t, Deps{Heffl: inProcess(sb), SkipDuplicateCheck: true, Zone: zone})
		r := callTool(t, c, "create_deal", `{`+minimal+`,"`+tt.name+`":`+tt.value+`}`)
		want := `{` + minimal + `}`
		if tt.sent != "" {
			want = `{` + minimal + `,"` + tt.name + `":` + tt.sent + `}`
		}
		requests := writes(sb.Requests())
		if r.IsError || len(requests) != 1 || string(requests[0].Body) != want {
			t.Errorf("create_deal(%s: %s): Heffl received %+v, want %s; the model reads %s", tt.name, tt.value, requests, want, textOf(r))
			continue
		}
		if said, _ := json.Marshal(notesOf(r)["heffl-mcp/repaired"]); !strings.Contains(textOf(r), tt.says) || string(said) == "null" {
			t.Errorf("create_deal(%s: %s) says %s, _meta %s, want %s", tt.name, tt.value, textOf(r), said, tt.says)
		}
	}
}

// withoutMember splits flat members and leaves one out.
func withoutMember(members, name string) []string {
	return slices.DeleteFunc(strings.Split(members, ","), func(m string) bool { return strings.HasPrefix(m, `"`+name+`"`) })
}

// TestCreateDealManyFaults holds the bound on what a refusal costs.
func TestCreateDealManyFaults(t *testing.T) {
	t.Parallel()
	var args strings.Builder
	args.WriteString("{" + minimal)
	for i := range 300 {
		fmt.Fprintf(&args, `,"%s%d":1`, strings.Repeat("k", 60), i)
	}
	args.WriteString("}")
	text := textOf(callTool(t, connect(t, newSandbox(t)), "create_deal", args.String()))
	if !strings.Contains(text, "correct 300 faults") || !strings.Contains(text, "more") || len(text) > maxRefusal {
		t.Errorf("300 faults are refused with %d bytes: %.100s ... %s", len(text), text, text[max(0, len(text)-40):])
	}
}

// TestKeyStaysInside looks for the key in all that a caller is told when Heffl fails.
func TestKeyStaysInside(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 204, 302, 400, 401, 403, 404, 409, 429, 500, 502} {
		for _, body := range []string{"", "<html>" + testKey, testKey, `{"error":{"code":"` + testKey + `","message":"` + testKey + `","details":{"issues":[{"message":"` + testKey + `"}]}}}`, `{"id":"dl_1","cut` + testKey} {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Echo", r.Header.Get("X-Api-Key"))
				w.Header().Set("Location", "https://example.com/?"+testKey)
				w.WriteHeader(status)
				io.WriteString(w, body)
			}))
			t.Cleanup(srv.Close)
			c := connectTo(t, Deps{Heffl: client(srv), Journal: memory(t), Tenant: "t", SkipDuplicateCheck: true, Deadline: 100 * time.Millisecond})
			r := callTool(t, c, "create_deal", "{"+minimal+"}")
			if raw, _ := json.Marshal(r); !r.IsError || strings.Contains(string(raw), testKey) {
				t.Errorf("status %d, body %q: isError %t, %s", status, body, r.IsError, raw)
			}
		}
	}
}
