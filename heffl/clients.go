package heffl

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
)

// Account is a contact or a company, which Heffl together calls clients, or a lead.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/objects/update-a-contact and
// https://docs.heffl.com/api-v2-reference/objects/update-a-company; the members of a lead are not
// documented.
type Account struct {
	ID          string // "clt_...", or "ld_..." for a lead
	Type        string // "contact", "company" or "lead"
	Number      string // such as "CON001"
	Name        string
	FirstName   string // of a contact
	Title       string // of a lead
	Email       string
	Phones      []string
	Website     string // a URL
	CompanyID   string // of a contact's company
	CompanyName string
	Raw         json.RawMessage
}

// ListContacts lists people: GET /contacts. Search is documented for names and e-mails; the exact
// set of members that it looks into is not.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/listing-and-filters
func (c *Client) ListContacts(ctx context.Context, q ListQuery) (*List[Account], error) {
	return list(ctx, c, "/contacts", q.values(), account("contact"))
}

// ListCompanies lists companies: GET /companies, which goes by the rules of [Client.ListContacts].
func (c *Client) ListCompanies(ctx context.Context, q ListQuery) (*List[Account], error) {
	return list(ctx, c, "/companies", q.values(), account("company"))
}

// ListLeads lists leads: GET /leads, which goes by the rules of [Client.ListContacts].
func (c *Client) ListLeads(ctx context.Context, q ListQuery) (*List[Account], error) {
	return list(ctx, c, "/leads", q.values(), account("lead"))
}

// CreateContact makes one person: POST /contacts, by the rules of [Client.CreateDeal]. The page of
// this request is not known. Its body likely holds what PATCH /contacts/{id} documents, such as
// lastName, email, phone and companyId, with firstName, which the page on errors shows as required.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/introduction,
// https://docs.heffl.com/api-v2-reference/objects/update-a-contact and
// https://docs.heffl.com/api-v2/errors
func (c *Client) CreateContact(ctx context.Context, body json.RawMessage) (*Response, error) {
	return c.write(ctx, http.MethodPost, "/contacts", body)
}

// CreateCompany makes one company: POST /companies, by the rules of [Client.CreateDeal]. Its body
// has at least a name. A workspace can forbid two clients of one name or phone number; with which
// status Heffl then refuses is not documented.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/objects/create-company and
// https://docs.heffl.com/settings/overview
func (c *Client) CreateCompany(ctx context.Context, body json.RawMessage) (*Response, error) {
	return c.write(ctx, http.MethodPost, "/companies", body)
}

// account reads a row of a list of that type. Where a contact's or company's own type stands in
// the row, that counts.
func account(kind string) func(object, json.RawMessage) (Account, bool) {
	return func(m object, raw json.RawMessage) (Account, bool) {
		a := Account{
			ID: text(m["id"]), Type: kind, Number: word(m["number"]),
			Name: m.name(), FirstName: text(m["firstName"]), Title: text(m["title"]),
			Email: text(m["email"]), Website: text(m["website"]),
			CompanyID:   cmp.Or(text(m["companyId"]), text(m["parentClientId"])),
			CompanyName: cmp.Or(text(m["companyName"]), text(members(m["company"])["name"]), text(m["company"])),
			Raw:         raw,
		}
		if t := text(m["type"]); kind != "lead" && (t == "contact" || t == "company") {
			a.Type = t
		}
		for _, name := range []string{"phone", "mobile", "secondaryMobile"} {
			if p := word(m[name]); p != "" {
				a.Phones = append(a.Phones, p)
			}
		}
		return a, a.ID != ""
	}
}
