package tools

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
)

// A conversation is one call: what Heffl receives, and what the model reads.
type conversation struct {
	args     string
	requests string // the method and path of each; of a POST, its body too
	says     []string
}

// play makes a call in a sandbox of its own, and holds it against what is wanted.
func (v conversation) play(t *testing.T, tool string) {
	t.Helper()
	sb := newSandbox(t)
	r := callTool(t, connect(t, sb), tool, v.args)
	if diff := cmp.Diff(v.requests, received(sb)); diff != "" {
		t.Errorf("%s(%s): Heffl receives (-want +got):\n%s", tool, v.args, diff)
	}
	for _, part := range v.says {
		if !strings.Contains(textOf(r), part) {
			t.Errorf("%s(%s) = %q, want it to say %q", tool, v.args, textOf(r), part)
		}
	}
	if posted := strings.Contains(v.requests, "POST"); posted == r.IsError {
		t.Errorf("%s(%s): error %t, want %t: %s", tool, v.args, r.IsError, !posted, textOf(r))
	}
}

// received is what reached a sandbox, one request a line: first the reads, some of which are sent at
// once, in the order of the alphabet.
func received(sb *sandbox.Sandbox) string {
	var reads, lines []string
	for _, r := range sb.Requests() {
		if r.Method == http.MethodGet {
			reads = append(reads, r.Method+" "+r.Path)
		} else {
			lines = append(lines, r.Method+" "+r.Path+" "+string(r.Body))
		}
	}
	slices.Sort(reads)
	return strings.Join(append(reads, lines...), "\n")
}

func TestCreateClient(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]conversation{
		"a contact, in words": {
			`{"type":"Contact","firstName":"Nora","lastName":"Weiß","email":"nora@weiss.example","phone":"+49 30 1234567","companyId":"zuercher-moebel.example","jobTitle":"Buyer","ownerUserId":"Lena Fischer","sourceId":"website","Language":"german"}`,
			`GET /companies
GET /companies
GET /contacts
GET /custom-fields
GET /sources
GET /users
POST /contacts {"firstName":"Nora","lastName":"Weiß","email":"nora@weiss.example","phone":"+49 30 1234567","companyId":"clt_zurcher","jobTitle":"Buyer","ownerUserId":"usr_lena","sourceId":"src_website","cf_language":"German"}`,
			[]string{`Created the contact clt_1001 (number "CON006", "Nora", "Weiß", at "Zürcher Möbel AG", "nora@weiss.example", "+49 30 1234567").`,
				`Understood: `, `companyId "zuercher-moebel.example" as clt_zurcher ("Zürcher Möbel AG", by domain)`, `type: read "Contact" as "contact"`},
		},
		"a company": {
			`{"type":"company","name":"Weiß und Söhne GmbH","email":"post@weiss.example","website":"https://weiss.example","cf_industry":"Retail","cf_employees":"12"}`,
			`GET /companies
GET /contacts
GET /custom-fields
POST /companies {"name":"Weiß und Söhne GmbH","email":"post@weiss.example","website":"https://weiss.example","cf_industry":"Retail","cf_employees":12}`,
			[]string{`Created the company clt_1001 (number "COM008", "Weiß und Söhne GmbH", "post@weiss.example", "https://weiss.example").`},
		},
		"without an e-mail": {
			`{"type":"contact","firstName":"Nora","phone":"+49 30 1234567"}`,
			`GET /contacts
GET /contacts
GET /contacts
POST /contacts {"firstName":"Nora","phone":"+49 30 1234567"}`, // searched by name, and by number; the newest once
			[]string{`Created the contact clt_1001`},
		},
		"with allowDuplicate": {
			`{"type":"contact","firstName":"Anna","lastName":"Keller","email":"anna.keller@northwind.example","allowDuplicate":true}`,
			`POST /contacts {"firstName":"Anna","lastName":"Keller","email":"anna.keller@northwind.example"}`,
			[]string{`Created the contact clt_1001`},
		},
		"a custom field of the other type": {
			`{"type":"contact","firstName":"Nora","cf_industry":"Retail"}`, "GET /custom-fields",
			[]string{`cf_industry: there is no custom field "cf_industry" for contacts`},
		},
		"a company that is none": {
			`{"type":"contact","firstName":"Nora","email":"nora@weiss.example","companyId":"Weiß Ltd"}`,
			"GET /companies",
			[]string{`companyId: no company is named "Weiß Ltd"`, "if it is new, create_client with type company makes it first"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v.play(t, "create_client")
		})
	}
}

// TestCreateClientRefuses holds that what does not go with the type is refused with what to give
// instead, all of it at once, and that nothing is written.
func TestCreateClientRefuses(t *testing.T) {
	t.Parallel()
	for args, says := range map[string][]string{
		`{}`:                              {"correct 1 fault", "type: missing; give one of contact, company"},
		`{"type":"person"}`:               {`type: got "person"; give one of contact, company`},
		`{"type":"contact"}`:              {"correct 1 fault", "firstName: missing; a contact needs one"},
		`{"type":"company","name":" "}`:   {"correct 1 fault", "name: got"},
		`{"type":"company","name":""}`:    {"name: missing; a company needs one"},
		`{"type":"company","email":null}`: {"name: missing; a company needs one"},
		`{"type":"contact","name":"Nora Weiß","website":"https://weiss.example"}`: {
			"correct 3 faults", "firstName: missing", "name: a contact has none; give firstName and lastName", "website: a contact has none; leave it out"},
		`{"type":"company","firstName":"Nora","lastName":"Weiß","jobTitle":"Buyer","companyId":"clt_acme","color":"red"}`: {
			"correct 6 faults", "color: unknown property", "name: missing; a company needs one", "firstName: a company has none; give name; a person is a contact",
			"lastName: a company has none", "companyId: a company has none; leave it out", "jobTitle: a company has none"},
		`{"type":"contact","firstName":"Nora","company":"Acme"}`:   {"company: unknown property; did you mean companyId?"},
		`{"type":"company","legalName":"Weiß"}`:                    {"correct 1 fault", "legalName: unknown property; did you mean name?"},
		`{"type":"contact","firstName":5}`:                         {"correct 1 fault", "firstName: got 5"},
		`{"type":"contact","firstName":"Nora","companyId":"dl_1"}`: {`companyId: "dl_1" is the ID of a deal, and a company is wanted here`},
	} {
		sb := newSandbox(t)
		text := textOf(callTool(t, connect(t, sb), "create_client", args))
		for _, part := range append(says, "nothing was sent") {
			if !strings.Contains(text, part) {
				t.Errorf("create_client(%s) = %q, want it to say %q", args, text, part)
			}
		}
		if sent := writes(sb.Requests()); len(sent) > 0 {
			t.Errorf("create_client(%s): Heffl receives %+v, want nothing but look-ups", args, sent)
		}
	}
}

// TestClientAlike holds which client that is there stops a first send.
func TestClientAlike(t *testing.T) {
	t.Parallel()
	for args, there := range map[string]string{
		`"type":"contact","firstName":"A","email":"ANNA.Keller@northwind.example"`:                         "clt_anna_keller",
		`"type":"company","name":"K","email":"anna.keller@northwind.example"`:                              "clt_anna_keller",
		`"type":"contact","firstName":"A","email":"hello@northwind.example"`:                               "clt_northwind",
		`"type":"contact","firstName":"Anna","lastName":"Keller","email":"anna@keller.example"`:            "",
		`"type":"contact","firstName":"Anna","phone":"+442071230001","email":"anna@keller.example"`:        "",
		`"type":"contact","firstName":"A","email":"keller@northwind.example"`:                              "", // a part of another
		`"type":"contact","firstName":"anna","lastName":"KELLER"`:                                          "clt_anna_keller",
		`"type":"contact","firstName":"Jose","lastName":"Nunez"`:                                           "clt_jose_nunez",
		`"type":"contact","firstName":"Anna"`:                                                              "",
		`"type":"company","name":"Anna Keller"`:                                                            "",
		`"type":"contact","firstName":"Acme"`:                                                              "",
		`"type":"company","name":"ACME Inc."`:                                                              "clt_acme",
		`"type":"company","name":"zuercher moebel"`:                                                        "clt_zurcher",
		`"type":"company","name":"Falcon"`:                                                                 "",
		`"type":"company","name":"Falcon Logistics"`:                                                       "clt_falcon_muscat",
		`"type":"contact","firstName":"Wei","phone":"0086 138 0000 0000"`:                                  "clt_li_wei",
		`"type":"company","name":"Wei","phone":"+8613800000000"`:                                           "",
		`"type":"contact","firstName":"Wei","phone":"+8613800000009"`:                                      "",
		`"type":"contact","firstName":"Anna","lastName":"Keller","allowDuplicate":true`:                    "",
		`"type":"company","name":"Acme","email":"office@acme.example","allowDuplicate":true,"phone":"+12"`: "",
	} {
		in(t, args, func(t *testing.T) {
			s := newStageOf(t, "create_client", "/contacts", Deps{Journal: memory(t)})
			got := s.call("{" + args + "}")
			if there == "" {
				s.is(got, created)
				return
			}
			s.is(got, lookAlike, "nothing was sent, because a co", "is there: "+there+" (number", "created 19", "use it", "allowDuplicate: true")
			if row, ok := got.notes["heffl-mcp/lookAlike"].(map[string]any); !ok || row["id"] != there {
				t.Errorf("heffl-mcp/lookAlike is %v, want %s", got.notes["heffl-mcp/lookAlike"], there)
			}
			s.is(s.call(again("{"+args+"}")), created)
		})
	}
	in(t, "off", func(t *testing.T) {
		s := newStageOf(t, "create_client", "/contacts", Deps{Journal: memory(t), SkipDuplicateCheck: true})
		s.is(s.call(`{"type":"contact","firstName":"Anna","lastName":"Keller"}`), created)
		if n := len(s.sb.Requests()); n != 2 { // the other one counts the contacts
			t.Errorf("it took %d requests, want 1", n-1)
		}
	})
	in(t, "not to be found out", func(t *testing.T) {
		s := newStageOf(t, "create_client", "/contacts", Deps{Journal: memory(t)})
		for i, fault := range []string{"before:500", "before:hang", "before:drop"} {
			s.set(func() { s.reads = fault })
			s.is(s.call(fmt.Sprintf(`{"type":"contact","firstName":"Nora","email":"nora%d@weiss.example"}`, i)), notSent, "nothing was sent")
			s.is(s.call(fmt.Sprintf(`{"type":"company","name":"Weiß %d"}`, i)), notSent, "nothing was sent, because it could not be looked up whether such a company is there already")
		}
		s.set(func() { s.reads = "" })
		s.count(0, 0)
		s.is(s.call(`{"type":"contact","firstName":"Nora","email":"nora1@weiss.example"}`), created)
	})
}
