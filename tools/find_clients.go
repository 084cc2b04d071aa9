package tools

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"heffl-mcp/heffl"
	"heffl-mcp/workspace"
)

// find_clients: GET /contacts and GET /companies, https://docs.heffl.com/api-v2/listing-and-filters
var findClients = tool{
	Name:   "find_clients",
	Title:  "Find clients",
	About:  "Find contacts and companies, the likeliest first; without a query, the newest.",
	Effect: ReadOnly,
	Args:   of[FindClientsArgs](),
	Result: of[FindClientsResult](),
	Run:    typed(runFindClients),
}

// FindClientsArgs say which clients to look for.
type FindClientsArgs struct {
	Query  string `json:"query,omitempty" jsonschema_extras:"x-visible=true,x-aka=search q text words term name keyword email domain phone client company contact" jsonschema_description:"Name, e-mail, domain or phone"`
	Type   string `json:"type,omitempty" jsonschema:"enum=contact,enum=company" jsonschema_extras:"x-aka=kind clientType"`
	Limit  int    `json:"limit,omitempty" jsonschema:"minimum=1,maximum=50,default=10" jsonschema_extras:"x-aka=pageSize perPage count max top first"`
	Cursor string `json:"cursor,omitempty" jsonschema_extras:"x-visible=true,x-aka=nextCursor page pageToken after offset"`
}

// FindClientsResult is a page of clients.
type FindClientsResult struct {
	Clients    []ClientRow `json:"clients"`
	NextCursor string      `json:"nextCursor,omitempty"`
	NotFound   string      `json:"notFound,omitempty"`
}

// ClientRow is what tells a client from others. What every client has is declared, which keeps it
// cheap for a model.
type ClientRow struct {
	ID          string `json:"id"`
	Type        string `json:"type,omitempty"`
	Name        string `json:"name,omitempty"`
	Email       string `json:"email,omitempty" jsonschema:"-"`
	Phone       string `json:"phone,omitempty" jsonschema:"-"` // the first one
	CompanyName string `json:"companyName,omitempty" jsonschema:"-"`
	Number      string `json:"number,omitempty" jsonschema:"-"`
}

func runFindClients(ctx context.Context, c *call, args FindClientsArgs) (*answer, error) {
	found, err := c.Workspace.FindClients(ctx, args.Query, workspace.Find{Type: args.Type, Limit: args.Limit, Cursor: args.Cursor})
	if errors.Is(err, workspace.ErrCursor) {
		return nil, c.strayCursor()
	}
	if err != nil {
		return nil, err
	}
	a := &answer{outcome: "found", meta: map[string]any{}}
	result := FindClientsResult{Clients: []ClientRow{}, NextCursor: found.Next}
	for _, account := range found.Items {
		result.Clients = append(result.Clients, clientRow(account))
	}
	if len(found.Items) == 0 && found.Next == "" {
		result.NotFound = c.noClients(args, found)
		a.outcome, a.text = "notFound", result.NotFound
	} else {
		a.text = c.clientsInWords(args, found)
	}
	a.structured = encoded(result)
	return a, nil
}

func clientRow(a heffl.Account) ClientRow {
	row := ClientRow{ID: a.ID, Type: a.Type, Name: a.Name, Email: a.Email, CompanyName: a.CompanyName, Number: a.Number}
	if len(a.Phones) > 0 {
		row.Phone = a.Phones[0]
	}
	return row
}

// clientsInWords says what the rows are, which stand below it.
func (c *call) clientsInWords(args FindClientsArgs, found workspace.Found) string {
	text := "Found " + count(len(found.Items), "client")
	if args.Query != "" {
		text += " for " + brief(quoted(c.Heffl.Redact(args.Query)))
	}
	text += "."
	if found.Partial {
		text += " Heffl's search finds none; these have that name or address but for its spelling, and not all clients were looked through for such."
	}
	if found.Next != "" {
		text += " There are more: call again with nextCursor as cursor."
	}
	return text
}

// noClients says that nothing was found, what resembles the words, and what would widen the search.
func (c *call) noClients(args FindClientsArgs, found workspace.Found) string {
	what := "contact or company"
	if args.Type != "" {
		what = args.Type
	}
	switch {
	case args.Cursor != "":
		return "There is no further " + what + "."
	case args.Query == "":
		return "There is no " + what + " that the API key's user can see."
	}
	got := brief(quoted(c.Heffl.Redact(args.Query)))
	of := workspace.KindOfID(args.Query)
	if of != "" && of != workspace.Client {
		return fmt.Sprintf("There is no %s %s: that is the ID of a %s.", what, got, of)
	}
	text := fmt.Sprintf("No %s was found for %s.", what, got)
	if len(found.Near) > 0 {
		text += " Nearest: " + candidates(found.Near) + "."
	}
	switch {
	case of == workspace.Client && found.Partial:
		text += " Only the newest clients were looked through for this ID; other tools take it as it is."
	case found.Partial:
		text += " Not all clients were looked through for another spelling."
	}
	text += " To find more, give " + wider(args) + "."
	if c.serves("create_client") {
		text += " create_client makes a new one."
	}
	return text
}

// wider is what would widen a search.
func wider(args FindClientsArgs) string {
	words := "an e-mail, domain or phone number"
	if len(strings.Fields(args.Query)) > 1 {
		words += ", or fewer words"
	}
	if args.Type != "" {
		words += ", or leave type out"
	}
	return words
}

// strayCursor refuses a cursor that this call cannot go on from.
func (c *call) strayCursor() error {
	return refusal(nil, []string{"cursor: not one of this search; leave cursor out to begin at the start, or repeat the other arguments of the call that gave it"}, c.repairs)
}
