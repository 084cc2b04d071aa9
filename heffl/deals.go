package heffl

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
)

// CreateDeal makes one deal: POST /deals. The body is a JSON object with at least title, clientId
// and pipelineId; it is sent as it is. The answer is the new deal, as Heffl returns it; it does
// not repeat the currency, tags, assignees, contacts and products of the request.
//
// Heffl documents no way to send the same request twice and get one deal. After an error, ask
// [EffectOf] before sending again.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/objects/create-deal
func (c *Client) CreateDeal(ctx context.Context, body json.RawMessage) (*Response, error) {
	return c.create(ctx, "/deals", body)
}

// DealQuery says which deals to list, and in what order.
type DealQuery struct {
	Search   string // in the title, the number or the client's name; empty: all
	OrderBy  string // "createdAt", "position", "expectedCloseDate" or "price"; empty: createdAt
	OrderDir string // "asc" or "desc"; empty: desc
	PageSize int    // 1 to 100; 0: 30
	Cursor   string // Page.Next of the page before; empty: the first
}

// ListDeals lists deals, a page at a time: GET /deals. It waits for the client's Budget, and reads
// again what failed in a way that may pass. A row has the members of [Client.CreateDeal]'s answer.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/objects/list-deals
func (c *Client) ListDeals(ctx context.Context, q DealQuery) (*Page, error) {
	query := url.Values{}
	for name, value := range map[string]string{"search": q.Search, "orderBy": q.OrderBy, "orderDir": q.OrderDir, "cursor": q.Cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if q.PageSize > 0 {
		query.Set("pageSize", strconv.Itoa(q.PageSize))
	}
	return c.page(ctx, "/deals", query)
}

// ID is the ID of the object in the answer, such as "dl_abc123": its `id`, or else its `data.id`.
// Heffl documents answers without a wrapper; `data` is read in case there is one. CreateDeal
// returns no answer without an ID, but a *BodyError.
func (r *Response) ID() string {
	id, _, _ := identify(r.Body)
	return id
}

// Object is the object in the answer that [Response.ID] is of: the body, or else its `data`.
func (r *Response) Object() json.RawMessage {
	_, object, _ := identify(r.Body)
	return object
}

// Why the body of a 2xx is of no use. BodyError.Err is one of these, or the failure to read it.
var (
	ErrNotJSON   = errors.New("not JSON")
	ErrNotObject = errors.New("not a JSON object")
	ErrNoID      = errors.New("a JSON object without an id")
	ErrNotList   = errors.New("not a list")
)

// identify finds the object that an answer is about, and its ID.
func identify(body json.RawMessage) (id string, object json.RawMessage, err error) {
	if !json.Valid(body) {
		return "", nil, ErrNotJSON
	}
	outer := members(body)
	if outer == nil {
		return "", nil, ErrNotObject
	}
	for _, object := range []json.RawMessage{body, outer["data"]} {
		if json.Unmarshal(members(object)["id"], &id) == nil && id != "" {
			return id, object, nil
		}
	}
	return "", nil, ErrNoID
}

// members returns the members of a JSON object, or nil for anything else. Decoding into a struct
// would also take "ID" for "id", and give up on the rest when one member has another type.
func members(object json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(object, &m) != nil {
		return nil
	}
	return m
}
