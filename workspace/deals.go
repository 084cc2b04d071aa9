package workspace

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"heffl-mcp/heffl"
)

// deal is a row of the list of deals, with what tells it from others. All but the ID may be empty.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/objects/list-deals; what the
// client in a row holds is not documented.
type deal struct {
	id, number, title string
	status            string // "ACTIVE", "WON" or "LOST"
	stage             string // its name
	price             string // digits as Heffl sent them
	client            string // its name
	created           time.Time
}

// listDeals reads a page of deals. A row without an ID makes the whole page unusable, as in the
// other lists.
func (w *Workspace) listDeals(ctx context.Context, q heffl.ListQuery) (*heffl.List[deal], error) {
	page, err := w.client.ListDeals(ctx, heffl.DealQuery{Search: q.Search, PageSize: q.PageSize, Cursor: q.Cursor})
	if err != nil {
		return nil, err
	}
	l := &heffl.List[deal]{Items: make([]deal, len(page.Items)), Next: page.Next}
	for i, raw := range page.Items {
		m := members(raw)
		l.Items[i] = deal{
			id: text(m["id"]), number: text(m["number"]), title: text(m["title"]),
			status: text(m["status"]), stage: text(m["stage"]), price: text(m["price"]),
			client: text(members(m["client"])["name"]), created: createdAt(m),
		}
		if l.Items[i].id == "" {
			return nil, &heffl.BodyError{Method: http.MethodGet, Path: "/deals", Status: http.StatusOK, Body: raw, Err: heffl.ErrNoID}
		}
	}
	return l, nil
}

func dealRecord(d *deal) record {
	r := newRecord(d.id, d.title, false)
	r.code(d.number, howNumber)
	r.at = read(d.client, true)
	r.fact("", d.number)
	r.fact("", d.status)
	r.fact("stage", d.stage)
	r.fact("price", d.price)
	r.fact("client", d.client)
	if !d.created.IsZero() {
		r.fact("created", d.created.UTC().Format(time.DateOnly))
	}
	return r
}

// members returns the members of a JSON object, or nil for anything else.
func members(object json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(object, &m) != nil {
		return nil
	}
	return m
}

// text returns a JSON string, or a number as it is written; "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	_ = json.Unmarshal(raw, &n) // anything else says nothing
	return n.String()
}

// createdAt is when a row was made; zero where it does not say so.
func createdAt(row map[string]json.RawMessage) time.Time {
	at, _ := time.Parse(time.RFC3339, text(row["createdAt"])) // zero, if it is in another form
	return at
}
