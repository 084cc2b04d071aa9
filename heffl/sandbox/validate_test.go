package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// issuesOf are the issues of a VALIDATION_ERROR as "field: message", or "message" where there is no field.
func issuesOf(t testing.TB, a answer) []string {
	t.Helper()
	if a.status != http.StatusBadRequest || errorCode(t, a) != "VALIDATION_ERROR" {
		t.Fatalf("answer = %d %s, want 400 VALIDATION_ERROR", a.status, a.body)
	}
	var list []string
	details := decode(t, a.body)["error"].(map[string]any)["details"].(map[string]any)
	for _, i := range details["issues"].([]any) {
		i := i.(map[string]any)
		text := i["message"].(string)
		if field, there := i["field"]; there {
			text = field.(string) + ": " + text
		}
		list = append(list, text)
	}
	return list
}

func TestDealValidation(t *testing.T) {
	t.Parallel()
	s, a := start(t, unlimited)
	before := len(s.Deals())
	const onlyDocumented = ". Only documented fields and cf_* keys are allowed."
	for body, want := range map[string][]string{
		``:     {"Request body must be a JSON object"},
		`[]`:   {"Request body must be a JSON object"},
		`null`: {"Request body must be a JSON object"},
		`{`:    {"Request body must be a JSON object"},
		`{}`:   {"title: Required", "clientId: Required", "pipelineId: Required"},
		`{"title": "", "clientId": "dl_1", "pipelineId": null, "foo": 1, "Title": "x", "customFields": {}}`: {
			"title: String must contain at least 1 character(s)",
			"clientId: Invalid ID. Expected a clt_ ID",
			"pipelineId: Expected string, received null",
			"Unknown field: Title" + onlyDocumented,
			"Unknown field: customFields" + onlyDocumented,
			"Unknown field: foo" + onlyDocumented,
		},
		deal(`"price": "25000"`):                                 {"price: Expected number, received string"},
		deal(`"price": 1e400`):                                   {"price: Number must be finite"},
		deal(`"price": null`):                                    {"price: Expected number, received null"},
		deal(`"stageId": 7`):                                     {"stageId: Expected string, received number"},
		deal(`"stageId": "dps_"`):                                {"stageId: Invalid ID. Expected a dps_ ID"},
		deal(`"priority": "high"`):                               {"priority: Invalid enum value. Expected 'LOW' | 'MEDIUM' | 'HIGH', received 'high'"},
		deal(`"status": ""`):                                     {"status: Invalid enum value. Expected 'ACTIVE' | 'WON' | 'LOST', received ''"},
		deal(`"currency": "usd"`):                                {"currency: Invalid currency code. Expected 3 letters, as in USD"},
		deal(`"isInclusiveTax": "true"`):                         {"isInclusiveTax: Expected boolean, received string"},
		deal(`"expectedCloseDate": "2026-06-30"`):                {"expectedCloseDate: Invalid datetime"},
		deal(`"expectedCloseDate": "2026-02-30T00:00:00Z"`):      {"expectedCloseDate: Invalid datetime"},
		deal(`"expectedCloseDate": "2026-06-30T0:00:00Z"`):       {"expectedCloseDate: Invalid datetime"},
		deal(`"expectedCloseDate": "2026-06-30T00:00:00,5Z"`):    {"expectedCloseDate: Invalid datetime"},
		deal(`"expectedCloseDate": "2026-06-30T00:00:00+24:00"`): {"expectedCloseDate: Invalid datetime"},
		deal(`"tags": "tag_vip"`):                                {"tags: Expected array, received string"},
		deal(`"tags": ["tag_vip", "vip", null]`):                 {"tags.1: Invalid ID. Expected a tag_ ID", "tags.2: Expected string, received null"},
		deal(`"assignees": [{}]`):                                {"assignees.0: Expected string, received object"},
		deal(`"products": [{"name": "x", "quantity": -1, "tax": true, "sku": 1}, 5]`): {
			"products.0.quantity: Number must be greater than or equal to 0",
			"products.0.price: Required",
			"products.0.tax: Expected number, received boolean",
			"Unknown field: products.0.sku" + onlyDocumented,
			"products.1: Expected object, received number",
		},
		deal(`"products": [{"name": "x", "quantity": 1, "price": 1, "cf_x": 1}]`): {"Unknown field: products.0.cf_x" + onlyDocumented},
	} {
		got := a.do("POST", "/deals", body)
		if body == "" {
			got = a.with("Content-Type", "application/json").do("POST", "/deals", "")
		}
		if diff := cmp.Diff(want, issuesOf(t, got)); diff != "" {
			t.Errorf("POST /deals %s (-want +got):\n%s", body, diff)
		}
	}
	if after := len(s.Deals()); after != before {
		t.Errorf("%d deals after refused ones, want %d", after, before)
	}
}

func TestDealRefused(t *testing.T) {
	t.Parallel()
	s, a := start(t, unlimited)
	before := len(s.Deals())
	for body, want := range map[string]struct {
		status int
		code   string
		about  string
	}{
		deal(`"ownerUserId": "usr_nobody"`):                                                     {404, "NOT_FOUND", "usr_nobody"},
		deal(`"tags": ["tag_vip", "tag_none"]`):                                                 {404, "NOT_FOUND", "tag_none"},
		deal(`"contacts": ["clt_acme"]`):                                                        {404, "NOT_FOUND", "clt_acme"}, // a company is not a person
		deal(`"products": [{"name": "x", "quantity": 1, "price": 1, "productId": "prd_none"}]`): {404, "NOT_FOUND", "prd_none"},
		deal(`"stageId": "dps_ent_discovery"`):                                                  {400, "BAD_REQUEST", "dps_ent_discovery"},
		`{"title": "t", "clientId": "clt_none", "pipelineId": "dpl_sales"}`:                     {404, "NOT_FOUND", "clt_none"},
		`{"title": "t", "clientId": "clt_acme", "pipelineId": "dpl_none"}`:                      {404, "NOT_FOUND", "dpl_none"},
	} {
		got := a.do("POST", "/deals", body)
		if got.status != want.status || errorCode(t, got) != want.code || !strings.Contains(got.body, want.about) {
			t.Errorf("POST /deals %s = %d %s, want %d %s about %s", body, got.status, got.body, want.status, want.code, want.about)
		}
	}
	if got := a.with("Content-Type", "text/plain").do("POST", "/deals", deal("")); got.status != 400 {
		t.Errorf("POST /deals as text/plain = %d, want 400", got.status)
	}
	if after := len(s.Deals()); after != before {
		t.Errorf("%d deals after refused ones, want %d", after, before)
	}
}

func TestCustomFieldValues(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	for _, c := range []struct {
		key, value string
		issue      string // empty: taken, and answered as sent
	}{
		{"cf_region", `"North"`, ""},
		{"cf_region", `"north"`, "Invalid enum value. Expected 'North' | 'South' | 'East' | 'West', received 'north'"},
		{"cf_region", `["North"]`, "Expected string, received array"},
		{"cf_po_number", `""`, ""},
		{"cf_po_number", `7`, "Expected string, received number"},
		{"cf_background", `"line\nline"`, ""},
		{"cf_seats", `12`, ""},
		{"cf_seats", `"12"`, "Expected number, received string"},
		{"cf_annual_value", `-1.10`, ""},
		{"cf_renewal_date", `"2027-02-28"`, ""},
		{"cf_renewal_date", `"2027-02-28T10:00:00+04:00"`, ""},
		{"cf_renewal_date", `"2027-02-29"`, "Invalid date"},
		{"cf_modules", `["CRM","Projects"]`, ""},
		{"cf_modules", `[]`, ""},
		{"cf_modules", `"CRM"`, "Expected array, received string"},
		{"cf_site_phone", `"+968 9000-1111"`, ""},
		{"cf_site_phone", `"call me"`, "Invalid phone number"},
		{"cf_billing_email", `"pay@acme.example"`, ""},
		{"cf_billing_email", `"Pay <pay@acme.example>"`, "Invalid email"},
		{"cf_rfp_link", `"https://acme.example/rfp?a=1&b=2"`, ""},
		{"cf_rfp_link", `"acme.example"`, "Invalid url"},
		{"cf_keywords", `["a",""]`, ""},
		{"cf_partner", `"clt_globex"`, ""},
		{"cf_partner", `"Globex"`, "Invalid ID. Expected a clt_ ID"},
		{"cf_region", `null`, ""},
	} {
		got := a.do("POST", "/deals", deal(`"`+c.key+`": `+c.value))
		if c.issue != "" {
			if diff := cmp.Diff([]string{c.key + ": " + c.issue}, issuesOf(t, got)); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", c.key, c.value, diff)
			}
			continue
		}
		if want := `"` + c.key + `":` + c.value + `}`; got.status != 200 || !strings.HasSuffix(got.body, want) {
			t.Errorf("%s: %s = %d %s, want 200 with %s", c.key, c.value, got.status, got.body, want)
		}
	}
	if got := issuesOf(t, a.do("POST", "/deals", deal(`"cf_modules": ["CRM", "Sales"]`))); !strings.HasPrefix(got[0], "cf_modules.1: ") {
		t.Errorf("issues = %q, want one about cf_modules.1", got)
	}
}

func TestCustomFieldsElsewhereAreLost(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	got := a.do("POST", "/deals", deal(`"cf_no_such": 1, "cf_security_review": "Passed", "cf_language": "Arabic"`))
	if got.status != 200 || strings.Contains(got.body, "cf_") {
		t.Errorf("POST /deals with custom fields of nothing, of another pipeline and of contacts = %d %s, want 200 without them", got.status, got.body)
	}
	made := a.ok("POST", "/deals", `{"title": "t", "clientId": "clt_acme", "pipelineId": "dpl_enterprise", "cf_security_review": "Passed"}`)
	if made["cf_security_review"] != "Passed" {
		t.Errorf("cf_security_review in its own pipeline = %v, want Passed", made["cf_security_review"])
	}
}

func TestListCustomFields(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	general := a.rows("/custom-fields?entity=deals")
	if n := len(a.rows("/custom-fields?entity=deals&pipelineId=dpl_sales")); n != len(general) {
		t.Errorf("%d custom fields with dpl_sales, want the %d general ones", n, len(general))
	}
	scoped := a.rows("/custom-fields?entity=deals&pipelineId=dpl_enterprise")
	want := map[string]any{"key": "cf_security_review", "label": "Security review", "type": "SINGLE_OPTION", "options": []any{"Not started", "In progress", "Passed"}}
	if diff := cmp.Diff(append(general, want), scoped); diff != "" {
		t.Errorf("custom fields with dpl_enterprise (-want +got):\n%s", diff)
	}
	kinds := map[any]bool{}
	for _, row := range general {
		kinds[row["type"]] = true
	}
	if len(kinds) != 12 {
		t.Errorf("deals have custom fields of %d types, want all 12: %v", len(kinds), kinds)
	}
	for _, entity := range []string{"contacts", "companies", "tasks"} {
		if len(a.rows("/custom-fields?entity="+entity)) == 0 {
			t.Errorf("%s have no custom field", entity)
		}
	}
	for path, want := range map[string]int{
		"/custom-fields":                                     400,
		"/custom-fields?entity=quotations":                   400,
		"/custom-fields?entity=deals&pipelineId=dps_new":     400,
		"/custom-fields?entity=deals&pipelineId=dpl_no_such": 404,
	} {
		if got := a.do("GET", path, ""); got.status != want {
			t.Errorf("GET %s = %d %s, want %d", path, got.status, got.body, want)
		}
	}
}

func TestBrokenTextIsMended(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	got := a.ok("POST", "/deals", "{\"title\": \"caf\xe9 😀 \\u00e9\", \"clientId\": \"clt_acme\", \"pipelineId\": \"dpl_sales\"}")
	if want := "caf\uFFFD 😀 é"; got["title"] != want {
		t.Errorf("title = %q, want %q", got["title"], want)
	}
}
