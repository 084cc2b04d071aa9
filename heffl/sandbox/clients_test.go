package sandbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heffl-mcp/heffl/sandbox"
)

var clock = sandbox.Options{RateLimit: -1, Now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }}

func TestCreateClients(t *testing.T) {
	t.Parallel()
	_, a := start(t, clock)
	got := a.do("POST", "/companies", `{"name": "Initech", "email": null, "website": "https://initech.example", "openingBalance": 10.50,
		"stageId": "cs_prospect", "sourceId": "src_website", "billingAddress": {"city": "Austin"}, "cf_employees": 9007199254740993,
		"primaryContact": {"firstName": "Bill", "lastName": "Lumbergh", "email": "bill@initech.example"}}`)
	want := `{"id":"clt_1001","name":"Initech","number":"COM008","openingBalance":10.50,"showJobAmountToWorker":false,` +
		`"isClientPortalEnabled":false,"type":"company","email":null,"phone":null,"taxNumber":null,"website":"https://initech.example",` +
		`"description":null,"stageId":"cs_prospect","stageName":"Prospect","ownerUserId":null,"crmSourceId":"src_website",` +
		`"sourceName":"Website","currency":null,"internalNotes":null,"linkedin":null,"createdAt":"2026-11-22T12:00:00.000Z",` +
		`"updatedAt":"2026-11-22T12:00:00.000Z","cf_employees":9007199254740993}`
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Errorf("POST /companies (-want +got):\n%s", diff)
	}
	bill := a.rows("/contacts?search=bill")[0]
	if bill["name"] != "Bill Lumbergh" || bill["companyId"] != "clt_1001" || bill["companyName"] != "Initech" {
		t.Errorf("primary contact = %v, want Bill Lumbergh of clt_1001", bill)
	}
	a.ok("PATCH", "/companies/clt_1001", `{"primaryContact": {"firstName": "William", "phone": "+1"}}`)
	if rows := a.rows("/contacts?search=lumbergh"); len(rows) != 1 || rows[0]["name"] != "William Lumbergh" || rows[0]["phone"] != "+1" {
		t.Errorf("primary contact after an update = %v, want one William Lumbergh", rows)
	}

	got = a.do("POST", "/contacts", `{"firstName": "Milton", "email": "milton@initech.example", "companyId": "clt_1001", "cf_language": "English"}`)
	want = `{"id":"clt_1003","name":"Milton","number":"CON007","firstName":"Milton","openingBalance":0,"showJobAmountToWorker":false,` +
		`"isClientPortalEnabled":false,"type":"contact","lastName":null,"email":"milton@initech.example","phone":null,"salutation":null,` +
		`"jobTitle":null,"description":null,"taxNumber":null,"website":null,"companyId":"clt_1001","companyName":"Initech",` +
		`"parentClientId":"clt_1001","stageId":null,"stageName":null,"ownerUserId":null,"crmSourceId":null,"sourceName":null,` +
		`"leadStageId":null,"currency":null,"internalNotes":null,"profileImage":null,"instagram":null,"facebook":null,"linkedin":null,` +
		`"twitter":null,"createdAt":"2026-11-22T12:00:00.000Z","updatedAt":"2026-11-22T12:00:00.000Z","cf_language":"English"}`
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Errorf("POST /contacts (-want +got):\n%s", diff)
	}
	if got := a.ok("PATCH", "/contacts/clt_1003", `{"companyId": null}`); got["companyId"] != nil || got["companyName"] != nil {
		t.Errorf("contact without its company = %v", got)
	}
}

func TestClientsRefused(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	for _, c := range []struct {
		path, body string
		want       []string
	}{
		{"/contacts", `{}`, []string{"firstName: Required"}},
		{"/contacts", `{"firstName": "A", "email": "not one", "companyName": "x"}`, []string{"email: Invalid email", "Unknown field: companyName. Only documented fields and cf_* keys are allowed."}},
		{"/contacts", `{"firstName": "A", "leadStageId": "cs_prospect"}`, []string{"leadStageId: Invalid ID. Expected a lstg_ ID"}},
		{"/companies", `{"firstName": "A"}`, []string{"name: Required", "Unknown field: firstName. Only documented fields and cf_* keys are allowed."}},
		{"/companies", `{"name": "A", "openingBalance": -1, "website": "a.example", "billingAddress": {"zip": "1"}}`, []string{
			"website: Invalid url", "openingBalance: Number must be greater than or equal to 0",
			"Unknown field: billingAddress.zip. Only documented fields and cf_* keys are allowed."}},
		{"/companies", `{"name": "A", "primaryContact": {}}`, []string{"primaryContact.firstName: Required"}},
	} {
		if diff := cmp.Diff(c.want, issuesOf(t, a.do("POST", c.path, c.body))); diff != "" {
			t.Errorf("POST %s %s (-want +got):\n%s", c.path, c.body, diff)
		}
	}
	if got := a.do("POST", "/contacts", `{"firstName": "A", "companyId": "clt_maryam"}`); got.status != 404 {
		t.Errorf("a contact of a contact = %d, want 404", got.status)
	}
}

func TestDeleteClients(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	for path, want := range map[string]int{
		"/contacts/clt_maryam":  400, // a contact of a deal
		"/companies/clt_globex": 400, // the client of a deal
		"/contacts/clt_globex":  404, // a company
		"/contacts/clt_li_wei":  200,
	} {
		got := a.do("DELETE", path, "")
		if got.status != want || want == 400 && errorCode(t, got) != "BAD_REQUEST" {
			t.Errorf("DELETE %s = %d %s, want %d", path, got.status, got.body, want)
		}
	}
	a.ok("DELETE", "/deals/dl_globex_return", "")
	a.ok("DELETE", "/companies/clt_globex", "")
}

// TestWorkspaceHasItsTraps holds the data to what programs are tried on.
func TestWorkspaceHasItsTraps(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	byName := map[string][]string{}
	for _, row := range append(a.rows("/companies"), a.rows("/contacts")...) {
		email, _ := row["email"].(string)
		byName[row["name"].(string)] = append(byName[row["name"].(string)], email)
	}
	for name, emails := range byName {
		if want := name == "Falcon Logistics"; (len(emails) > 1) != want || want && emails[0] == emails[1] {
			t.Errorf("%d clients called %q with e-mails %q", len(emails), name, emails)
		}
	}
	var first []string
	for _, row := range a.rows("/users") {
		name, _, _ := strings.Cut(row["name"].(string), " ")
		first = append(first, name)
	}
	if diff := cmp.Diff([]string{"Sara", "Omar", "Omar", "Lena", "James"}, first); diff != "" {
		t.Errorf("first names of users (-want +got):\n%s", diff)
	}
	for _, deal := range a.rows("/deals") {
		if made, err := time.Parse(time.RFC3339, deal["createdAt"].(string)); err != nil || !made.Before(time.Now()) {
			t.Errorf("%v is not of the past: %v, %v", deal["id"], deal["createdAt"], err)
		}
	}
}
