package tools

import (
	"cmp"
	"context"
	"fmt"

	"heffl-mcp/heffl"

	"github.com/go-json-experiment/json/jsontext"
)

// create_client: POST /contacts or POST /companies,
// https://docs.heffl.com/api-v2-reference/objects/create-company
var createClient = tool{
	Name:     "create_client",
	Title:    "Create a contact or company",
	About:    "Add one contact (a person) or company. Give only what the user said; names work for IDs. Custom fields are further properties, by key (cf_*) or label. Safe to repeat: the same call never makes two.",
	Effect:   Adds,
	Args:     of[ClientArgs](),
	Result:   of[ClientResult](),
	EntityOf: clientEntity,
	Complete: holdToType,
	Run:      typed(runCreateClient),
}

// ClientArgs is what the model sends: type, which says where the rest is sent to, and the body of POST
// /contacts or POST /companies under Heffl's own names.
type ClientArgs struct {
	Type           string                    `json:"type" jsonschema:"enum=contact,enum=company" jsonschema_extras:"x-aka=kind clientType"`
	Name           string                    `json:"name,omitempty" jsonschema_extras:"x-visible=true,x-aka=displayName legalName title" jsonschema_description:"Of a company"`
	FirstName      string                    `json:"firstName,omitempty" jsonschema_extras:"x-visible=true,x-aka=givenName fullName contactName" jsonschema_description:"Of a contact, which needs it"`
	LastName       string                    `json:"lastName,omitempty" jsonschema_extras:"x-visible=true,x-aka=surname familyName" jsonschema_description:"Of a contact"`
	Email          string                    `json:"email,omitempty" jsonschema_extras:"x-visible=true,x-aka=mail emailAddress"`
	Phone          string                    `json:"phone,omitempty" jsonschema_extras:"x-visible=true,x-aka=mobile telephone phoneNumber" jsonschema_description:"With country code"`
	CompanyID      string                    `json:"companyId,omitempty" names:"company" jsonschema_extras:"x-visible=true,x-aka=company companyName account accountId organization employer parentClientId clientId" jsonschema_description:"Where a contact works: name, domain or ID"`
	JobTitle       string                    `json:"jobTitle,omitempty" jsonschema_extras:"x-visible=true,x-aka=position role job" jsonschema_description:"Of a contact"`
	Website        string                    `json:"website,omitempty" jsonschema_extras:"x-visible=true,x-aka=url domain site homepage" jsonschema_description:"URL, of a company"`
	OwnerUserID    string                    `json:"ownerUserId,omitempty" names:"user" jsonschema_extras:"x-visible=true,x-aka=owner ownerId user userId" jsonschema_description:"User: name, e-mail or ID"`
	SourceID       string                    `json:"sourceId,omitempty" names:"source" jsonschema_extras:"x-visible=true,x-aka=source crmSourceId leadSource" jsonschema_description:"Name or ID"`
	AllowDuplicate bool                      `json:"allowDuplicate,omitempty" jsonschema_extras:"x-aka=force duplicate ignoreDuplicates" jsonschema_description:"Only if the user wants a second one"`
	Custom         map[string]jsontext.Value `json:",embed" jsonschema:"-" keys:"^cf_"`
}

// ClientResult is the contact or company as Heffl answers. Only id is held to be there.
type ClientResult struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty" jsonschema_extras:"x-nullable=true"`
}

// A clientType is what holds for contacts, or for companies.
type clientType struct {
	thing
	entity string // of its custom fields
	needs  string // the property that it must have
	lacks  object // the properties that it cannot have, and what to do instead, in words
}

var clientTypes = map[string]clientType{
	"contact": {
		thing:  thing{"contact", "contacts", []fact{{"number", "number "}, {"firstName", ""}, {"lastName", ""}, {"companyName", "at "}, {"email", ""}, {"phone", ""}}},
		entity: "contacts", needs: "firstName",
		lacks: object{
			{"name", quoted("give firstName and lastName")},
			{"website", quoted("leave it out, or give it to the company")},
		},
	},
	"company": {
		thing:  thing{"company", "companies", []fact{{"number", "number "}, {"name", ""}, {"email", ""}, {"phone", ""}, {"website", ""}}},
		entity: "companies", needs: "name",
		lacks: object{
			{"firstName", quoted("give name; a person is a contact, made by a call of its own with this company as companyId")},
			{"lastName", quoted("give name, or make the person a contact")},
			{"companyId", quoted("leave it out")},
			{"jobTitle", quoted("leave it out, or give it to the contact")},
		},
	},
}

func clientEntity(args object) string {
	named, _ := args.str("type")
	return clientTypes[named].entity
}

// holdToType refuses what a client of the given type cannot have, and what it must have and has not.
func holdToType(_ context.Context, r *reading) error {
	named, _ := r.doc.str("type")
	t, ok := clientTypes[named]
	if !ok {
		return nil // which the schema refuses
	}
	if _, ok := r.doc.get(t.needs); !ok {
		r.problems = append(r.problems, fmt.Sprintf("%s: missing; a %s needs one", t.needs, t.name))
	}
	for _, m := range t.lacks {
		if _, ok := r.doc.get(m.name); ok {
			r.problems = append(r.problems, fmt.Sprintf("%s: a %s has none; %s", m.name, t.name, text(jsontext.Value(m.value))))
		}
	}
	return nil
}

func runCreateClient(ctx context.Context, c *call, args ClientArgs) (*answer, error) {
	w := write{
		lookout:   c.clientLookout(args.Type, c.body().without("type")),
		lookoutOf: func(body object) lookout { return c.clientLookout(args.Type, body) },
		match:     func() []string { return []string{args.Type, foldTitle(args.fullName())} },
		about:     about{Title: args.fullName()},
		before:    func(ctx context.Context) error { return c.clientAlike(ctx, args) },
		send:      c.Heffl.CreateContact,
	}
	if args.Email != "" {
		w.match = func() []string { return []string{foldEmail(args.Email)} }
	}
	if args.Type == "company" {
		w.send = c.Heffl.CreateCompany
	}
	a, err := c.add(ctx, w)
	c.Workspace.ForgetClients() // the next look for one sees this one
	return a, err
}

func (a *ClientArgs) fullName() string {
	return oneSpaced(cmp.Or(a.Name, a.FirstName+" "+a.LastName))
}

// clientLookout finds the client that a send of body has made: by its e-mail or, without one, by its
// name.
func (c *call) clientLookout(clientType string, body object) lookout {
	list := pageOf(c.Heffl.ListContacts)
	if clientType == "company" {
		list = pageOf(c.Heffl.ListCompanies)
	}
	l := lookout{thing: clientTypes[clientType].thing, body: body}
	l.list = func(ctx context.Context, search, cursor string) (*heffl.Page, error) {
		return list(ctx, heffl.ListQuery{Search: search, PageSize: 100, Cursor: cursor})
	}
	if email, ok := body.str("email"); ok {
		l.search = email
		l.like = func(row object) bool {
			is, _ := row.str("email")
			return foldEmail(is) == foldEmail(email)
		}
		return l
	}
	name := clientName(body)
	l.search = longestWord(name)
	l.like = func(row object) bool { return clientName(row) == name }
	l.strange = func(row object) []string {
		if is, _ := row.str("email"); is != "" {
			return []string{"no email was sent, and it has " + brief(quoted(is))}
		}
		return nil
	}
	return l
}

// pageOf is a list of clients with its rows as Heffl sent them.
func pageOf(list func(context.Context, heffl.ListQuery) (*heffl.List[heffl.Account], error)) func(context.Context, heffl.ListQuery) (*heffl.Page, error) {
	return func(ctx context.Context, q heffl.ListQuery) (*heffl.Page, error) {
		rows, err := list(ctx, q)
		if err != nil {
			return nil, err
		}
		page := &heffl.Page{Next: rows.Next, Clock: rows.Clock}
		for _, row := range rows.Items {
			page.Items = append(page.Items, row.Raw)
		}
		return page, nil
	}
}

// clientName is the name that a client is shown by.
func clientName(o object) string {
	name, _ := o.str("name")
	if first, ok := o.str("firstName"); ok {
		last, _ := o.str("lastName")
		name = first + " " + last
	}
	return oneSpaced(name)
}

// clientAlike stops a first send where a client with the same e-mail is there, of whatever type; or,
// if none was given, one of the type with the same name or phone number.
func (c *call) clientAlike(ctx context.Context, args ClientArgs) error {
	if c.SkipDuplicateCheck {
		return nil
	}
	type look struct{ words, clientType, how string }
	looks := []look{{args.fullName(), args.Type, "with the same name"}, {args.Phone, args.Type, "with the same phone number"}}
	if args.Email != "" {
		looks = []look{{args.Email, "", "with the same e-mail"}}
	}
	for _, l := range looks {
		there, err := c.Workspace.NamedClients(ctx, l.words, l.clientType)
		if err != nil {
			return clientTypes[args.Type].unchecked(err)
		}
		if len(there) > 0 {
			return clientTypes[there[0].Type].alike(parse(there[0].Raw), l.how)
		}
	}
	return nil
}
