package tools

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/schema"
	"heffl-mcp/workspace"
)

// find_deals: GET /deals, https://docs.heffl.com/api-v2-reference/objects/list-deals
var findDeals = tool{
	Name:     "find_deals",
	Title:    "Find deals",
	About:    "Deals that fit all arguments, the newest first; or one whole deal by id.",
	Effect:   ReadOnly,
	Args:     of[FindDealsArgs](),
	Result:   of[FoundDeals](),
	Complete: aloneByID,
	Run:      typed(runFindDeals),
}

// FindDealsArgs says which deals to find. What is left out does not count.
type FindDealsArgs struct {
	Query       string `json:"query,omitempty" jsonschema:"maxLength=200" jsonschema_extras:"x-visible=true,x-aka=search text q keyword title name number" jsonschema_description:"Part of title, number or client's name"`
	ID          string `json:"id,omitempty" names:"deal" jsonschema_extras:"x-visible=true,x-aka=dealId deal dealNumber" jsonschema_description:"ID, number or title, given alone"`
	ClientID    string `json:"clientId,omitempty" names:"client" jsonschema_extras:"x-visible=true,x-aka=client company companyId contact contactId customer customerId account clientName" jsonschema_description:"Name, e-mail or ID"`
	PipelineID  string `json:"pipelineId,omitempty" names:"pipeline" jsonschema_extras:"x-visible=true,x-aka=pipeline pipelineName" jsonschema_description:"Name or ID"`
	StageID     string `json:"stageId,omitempty" names:"stage" jsonschema_extras:"x-visible=true,x-aka=stage stageName" jsonschema_description:"Name or ID"`
	OwnerUserID string `json:"ownerUserId,omitempty" names:"user" jsonschema_extras:"x-visible=true,x-aka=owner ownerId ownerName user userId salesperson" jsonschema_description:"Name, e-mail or ID"`
	Status      string `json:"status,omitempty" jsonschema:"enum=ACTIVE,enum=WON,enum=LOST" jsonschema_extras:"x-aka=state dealStatus"`
	Limit       int    `json:"limit,omitempty" jsonschema:"minimum=1,maximum=50,default=10" jsonschema_extras:"x-aka=pageSize count max"`
	Cursor      string `json:"cursor,omitempty" jsonschema_extras:"x-visible=true,x-aka=nextCursor page" jsonschema_description:"nextCursor of the result before"`
}

// FoundDeals are the deals that were found. Of the members of a deal only id is held to be there.
type FoundDeals struct {
	Deals []struct {
		ID string `json:"id"`
	} `json:"deals"`
	NextCursor string `json:"nextCursor,omitempty"`
	NotFound   string `json:"notFound,omitempty"`   // there is none, and what would widen the search
	Incomplete string `json:"incomplete,omitempty"` // what was not looked at
}

const (
	fewRows  = 10  // that are given unless more are asked for
	pageRows = 100 // that are read at once
)

// aloneByID holds that nothing else than an ID says which deal is meant.
func aloneByID(_ context.Context, r *reading) error {
	_, ok := r.doc.str("id")
	if !ok || slices.ContainsFunc(r.faults, func(f schema.Fault) bool { return f.Path == "id" }) {
		return nil
	}
	var others []string
	for _, m := range r.doc.without("id").without("limit") {
		others = append(others, m.name)
	}
	if len(others) > 0 {
		r.problems = append(r.problems, "id: goes alone; leave out "+strings.Join(others, ", ")+", or leave out id")
	}
	return nil
}

func runFindDeals(ctx context.Context, c *call, args FindDealsArgs) (*answer, error) {
	if args.ID != "" {
		return c.oneDeal(ctx, args.ID)
	}
	l := &dealListing{call: c, limit: cmp.Or(args.Limit, fewRows), query: args.Query, wanted: conditions(args)}
	if err := l.start(args.Cursor); err != nil {
		return nil, err
	}
	if err := l.read(ctx); err != nil {
		return nil, err
	}
	if len(l.deals) == 0 && args.ClientID != "" {
		l.employer = c.employer(ctx, args.ClientID)
	}
	return l.answer(), nil
}

// employer says at which company a client works who is a contact: the deals may be its. It is empty
// for any other, and where that cannot be told.
func (c *call) employer(ctx context.Context, id string) string {
	found, err := c.Workspace.FindClients(ctx, id, workspace.Find{Type: "contact"})
	if err != nil || len(found.Items) != 1 || found.Items[0].CompanyID == "" {
		return ""
	}
	person, company := found.Items[0], "a company"
	if person.CompanyName != "" {
		company = foreign(person.CompanyName, 80)
	}
	return fmt.Sprintf(" %s works at %s: for its deals give clientId %s.", foreign(person.Name, 80), company, person.CompanyID)
}

// oneDeal is the deal of an ID, with all that it has.
func (c *call) oneDeal(ctx context.Context, id string) (*answer, error) {
	a := &answer{id: id, outcome: "found", meta: map[string]any{}}
	deal, err := c.readDeal(ctx, id)
	if e, ok := errors.AsType[*heffl.Error](err); ok && e.Status == http.StatusNotFound {
		a.outcome = "notFound"
		a.text = "There is no deal " + id + ". Its title, number or client's name as query finds it if it is there."
		a.structured = object{{"deals", json.RawMessage("[]")}, {"notFound", quoted(a.text)}}.JSON()
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	row := dealRow(deal)
	for _, m := range deal {
		if _, shown := row.get(m.name); !shown && m.name != "client" && string(m.value) != "null" {
			row = append(row, m)
		}
	}
	a.text = "Found the deal " + aDeal.inWords(deal, id) + "."
	a.structured = object{{"deals", array([]object{row})}}.JSON()
	return a, nil
}

// rowMembers are what tells a deal from others, in this order.
var rowMembers = []string{"id", "number", "title", "client", "pipelineId", "stage", "status", "price", "ownerName", "expectedCloseDate", "createdAt"}

// dealRow is a deal with no more than rowMembers, and the client by name.
func dealRow(deal object) object {
	var row object
	for _, name := range rowMembers {
		v, ok := deal.get(name)
		if name == "client" {
			if v, ok = parse(v).get("name"); !ok { // what a client has there is not documented
				name = "clientId"
				v, ok = deal.get(name)
			}
		}
		if ok && string(v) != "null" {
			row = append(row, member{name, v})
		}
	}
	return row
}

// array writes objects as one JSON array.
func array(rows []object) json.RawMessage {
	b := []byte{'['}
	for i, row := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, row.JSON()...)
	}
	return append(b, ']')
}

// A condition is what one member of a deal must be.
type condition struct{ name, value string }

// conditions are what args ask of each deal. Only status is documented as a filter; IDs of clients,
// pipelines and stages are said to be used in filters, by names that are not documented.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/listing-and-filters and
// https://docs.heffl.com/api-v2/id-prefixes
func conditions(args FindDealsArgs) []condition {
	all := []condition{
		{"status", args.Status}, {"clientId", args.ClientID}, {"pipelineId", args.PipelineID},
		{"stageId", args.StageID}, {"ownerUserId", args.OwnerUserID},
	}
	return slices.DeleteFunc(all, func(w condition) bool { return w.value == "" })
}

// of is what a deal has where the condition looks, empty where it has nothing; told is false where
// the deal does not say.
func (w condition) of(deal object) (value string, told bool) {
	names := []string{w.name}
	if w.name == "ownerUserId" {
		names = append(names, "ownerId") // the reference describes both alike
	}
	for _, name := range names {
		_, ok := deal.get(name)
		s, _ := deal.str(name)
		value, told = cmp.Or(value, s), told || ok
	}
	return value, told
}

// A dealListing is one call's way through the list of deals.
type dealListing struct {
	*call
	limit    int
	query    string
	wanted   []condition
	employer string      // of the client, if nothing is found
	began    string      // Heffl's cursor of the first page that it reads
	at       dealsCursor // where it goes on
	more     bool        // there may be something to go on to
	resumed  bool        // it goes on from a page before

	deals   []object
	looked  int // at so many deals
	back    time.Time
	untold  map[string]int // deals that do not say whether they fit, by the first member that they lack
	bounded bool           // it ended before the list
	failed  error          // or broke off
}

// A dealsCursor is where a listing goes on, for the same arguments.
type dealsCursor struct {
	For   string `json:"f"`           // the fingerprint of the arguments
	Page  string `json:"p,omitempty"` // Heffl's cursor; empty: the first page
	Used  int    `json:"n,omitempty"` // how many rows of that page have been used
	Last  string `json:"l,omitempty"` // the ID of the last of these: new deals push it down the first page
	Plain bool   `json:"d,omitempty"` // the page is of a list by the documented filter alone
}

func (l *dealListing) start(cursor string) error {
	l.at.For = fingerprint(l.body().without("limit").without("cursor").JSON())
	if cursor == "" {
		return nil
	}
	var given dealsCursor
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || json.Unmarshal(b, &given) != nil || given.For != l.at.For || given.Used < 0 || given.Used > pageRows {
		return l.noCursor()
	}
	l.at, l.began, l.resumed = given, given.Page, true
	return nil
}

func (l *dealListing) noCursor() error {
	return refusal(nil, []string{"cursor: it goes with other arguments, or is none; leave cursor out to begin again"}, l.repairs)
}

func (c dealsCursor) String() string {
	b, _ := json.Marshal(c) // strings and numbers marshal
	return base64.RawURLEncoding.EncodeToString(b)
}

// used is how many of a page's rows have been used.
func (c dealsCursor) used(rows []object) int {
	if c.Last != "" {
		if i := slices.IndexFunc(rows, func(row object) bool { id, _ := row.str("id"); return id == c.Last }); i >= 0 {
			return i + 1
		}
	}
	return min(c.Used, len(rows))
}

// read reads on until there are enough deals, or as far as one look goes. Deals that have been read
// are not lost when a later page cannot be.
func (l *dealListing) read(ctx context.Context) error {
	for range maxPages {
		rows, next, err := l.page(ctx)
		if err != nil && l.looked == 0 {
			return err
		}
		if err != nil {
			l.failed, l.more = err, true
			return nil //nolint:nilerr // the answer tells of it
		}
		if l.take(rows) {
			return nil
		}
		l.more = next != "" && next != l.at.Page // else it leads nowhere
		l.at = dealsCursor{For: l.at.For, Page: next, Plain: l.at.Plain}
		if len(l.deals) == l.limit || !l.more {
			return nil
		}
	}
	l.bounded = true
	return nil
}

// page reads the next page, and says which comes after it. The filters that are only likely are
// left out where Heffl refuses them.
func (l *dealListing) page(ctx context.Context) (rows []object, next string, err error) {
	page, err := l.Heffl.ListDeals(ctx, l.dealQuery())
	switch {
	case !isRefused(err):
	case l.at.Page != "" && l.at.Page == l.began:
		return nil, "", l.noCursor() // it was good once
	case l.at.Page == "" && !l.at.Plain && slices.ContainsFunc(l.wanted, condition.isLikely):
		l.at.Plain = true
		page, err = l.Heffl.ListDeals(ctx, l.dealQuery())
	}
	if err != nil {
		return nil, "", err
	}
	for _, raw := range page.Items {
		row := parse(answeredObject(raw))
		if id, _ := row.str("id"); id == "" { // as in the other lists: half a list decides nothing
			return nil, "", &heffl.BodyError{Method: http.MethodGet, Path: "/deals", Status: http.StatusOK, Body: raw, Err: heffl.ErrNoID}
		}
		rows = append(rows, row)
	}
	return rows, page.Next, nil
}

func isRefused(err error) bool {
	e, ok := errors.AsType[*heffl.Error](err)
	return ok && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity)
}

// isLikely reports whether a filter of the condition's name is likely, but not documented.
func (w condition) isLikely() bool { return w.name != "status" && w.name != "ownerUserId" }

func (l *dealListing) dealQuery() heffl.DealQuery {
	q := heffl.DealQuery{
		Search: strings.TrimSpace(l.query), OrderBy: "createdAt", OrderDir: "desc",
		PageSize: pageRows, Cursor: l.at.Page, Filters: map[string]heffl.Filter{},
	}
	for _, w := range l.wanted {
		if w.name == "status" || w.isLikely() && !l.at.Plain {
			q.Filters[w.name] = heffl.Filter{Operator: "is", Values: []string{w.value}}
		}
	}
	return q
}

// take takes the deals of a page that fit, and reports whether there is one too many: the listing
// goes on from that one.
func (l *dealListing) take(rows []object) (full bool) {
	for i := l.at.used(rows); i < len(rows); i++ {
		fits := l.fits(rows[i])
		if fits && len(l.deals) == l.limit {
			l.more, l.at.Used = true, i
			l.at.Last, _ = rows[i-1].str("id") // one of this page was taken, so there is one before
			return true
		}
		l.looked++
		if made, ok := rows[i].time("createdAt"); ok {
			l.back = made
		}
		if fits {
			l.deals = append(l.deals, dealRow(rows[i]))
		}
	}
	return false
}

// fits holds a deal to all that was asked: a filter that Heffl ignores yields no wrong deals.
func (l *dealListing) fits(deal object) bool {
	lacks := ""
	for _, w := range l.wanted {
		switch value, told := w.of(deal); {
		case !told:
			lacks = cmp.Or(lacks, w.name)
		case value != w.value:
			return false
		}
	}
	if lacks == "" {
		return true
	}
	if l.untold == nil {
		l.untold = map[string]int{}
	}
	l.untold[lacks]++
	return false
}

// answer says what was found, and what was not looked at.
func (l *dealListing) answer() *answer {
	a := &answer{outcome: "found", meta: map[string]any{}}
	found := object{{"deals", array(l.deals)}}
	incomplete := l.incomplete()
	a.text = count(len(l.deals), "deal") + ", the newest first."
	switch {
	case len(l.deals) == 1:
		a.text = "1 deal."
	case len(l.deals) > 1:
	case l.resumed:
		a.text = "No more deals."
	case incomplete != "":
		a.outcome, a.text = "notFound", "No deal so far."
	default:
		a.outcome, a.text = "notFound", l.notFound()
		found = append(found, member{"notFound", quoted(a.text)})
	}
	if l.more {
		found = append(found, member{"nextCursor", quoted(l.at.String())})
		if incomplete == "" {
			a.text += " There may be more: give nextCursor as cursor."
		}
	}
	if incomplete != "" {
		found = append(found, member{"incomplete", quoted(incomplete)})
		a.text += " " + incomplete
	}
	a.structured = found.JSON()
	return a
}

// incomplete says in sentences what was not looked at; empty where there is nothing.
func (l *dealListing) incomplete() string {
	var said []string
	if l.bounded || l.failed != nil {
		how := fmt.Sprintf("Only %s looked through", were(l.looked))
		if !l.back.IsZero() {
			how += ", back to " + l.back.UTC().Format(time.DateOnly)
		}
		if l.failed != nil {
			how += ", because the next page could not be read (" + reason(l.failed) + ")"
		}
		said = append(said, how+"; give nextCursor as cursor to go on.")
	}
	for _, name := range slices.Sorted(maps.Keys(l.untold)) {
		said = append(said, fmt.Sprintf("%s left out, not saying their %s.", were(l.untold[name]), name))
	}
	return strings.Join(said, " ")
}

func were(n int) string {
	if n == 1 {
		return "1 deal was"
	}
	return fmt.Sprintf("%d deals were", n)
}

// notFound says what there is none of, and what would widen the search.
func (l *dealListing) notFound() string {
	var asked, drop []string
	for _, m := range l.given.without("limit").without("cursor") {
		asked = append(asked, m.name+" "+brief(m.value))
		if m.name != "query" {
			drop = append(drop, m.name)
		}
	}
	if len(asked) == 0 {
		return "There are no deals."
	}
	var wider []string
	if len(strings.Fields(l.query)) > 1 {
		wider = append(wider, "give fewer words as query")
	}
	if len(drop) > 0 {
		wider = append(wider, "leave out "+strings.Join(drop, " or "))
	}
	s := "No deal fits " + strings.Join(asked, ", ") + "."
	if l.query != "" {
		s += " A query is looked for in title, number and client's name."
	}
	if len(wider) > 0 {
		s += " To find more, " + strings.Join(wider, ", or ") + "."
	}
	return s + l.employer
}
