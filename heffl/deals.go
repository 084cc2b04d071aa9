package heffl

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"

	"heffl-mcp/rawjson"

	"github.com/go-json-experiment/json/jsontext"
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
	return c.write(ctx, http.MethodPost, "/deals", body)
}

// UpdateDeal changes one deal: PATCH /deals/{id}. The body is a JSON object of what is to change,
// sent as it is. Documented for it are stageId (a stage of type WON or LOST closes the deal), status
// and the custom fields; a cf_* key that is left out keeps its value. Whether a list, such as tags,
// replaces the one before or is added to it is not documented. The answer is the whole deal, as
// [Client.CreateDeal] returns it.
//
// The request is sent once, as that of CreateDeal is. After an error, [EffectOf] tells whether the
// deal may have changed; [Client.GetDeal] shows what it is now.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/agent-workflows and
// https://docs.heffl.com/api-v2/custom-fields
func (c *Client) UpdateDeal(ctx context.Context, id string, body json.RawMessage) (*Response, error) {
	path, err := pathOf(http.MethodPatch, "/deals", id)
	if err != nil {
		return nil, err
	}
	return c.write(ctx, http.MethodPatch, path, body)
}

// GetDeal reads one deal: GET /deals/{id}. It waits and reads again as [Client.ListDeals] does. An ID
// that Heffl does not know is an *Error of status 404. Whether the answer has more members than that
// of [Client.CreateDeal] is not documented.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/introduction
func (c *Client) GetDeal(ctx context.Context, id string) (*Response, error) {
	path, err := pathOf(http.MethodGet, "/deals", id)
	if err != nil {
		return nil, err
	}
	r, err := c.get(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	return c.identified(http.MethodGet, path, r)
}

// DealQuery says which deals to list, and in what order.
type DealQuery struct {
	Search   string // in the title, the number or the client's name; empty: all
	OrderBy  string // "createdAt", "position", "expectedCloseDate" or "price"; empty: createdAt
	OrderDir string // "asc" or "desc"; empty: desc
	PageSize int    // 1 to 100; 0: 30
	Cursor   string // Page.Next of the page before; empty: the first

	// Filters are conditions by the name of a field, such as "status"; empty: all. That several must
	// all hold is likely, but not documented. Nor are the names of all fields.
	Filters map[string]Filter
}

// Filter is a condition on a field of the rows of a list.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/listing-and-filters
type Filter struct {
	Operator string   `json:"operator"` // of fields with a set of values, IDs included: "is", "is_not", "is_any_of", "is_none_of"; others are not documented
	Values   []string `json:"values"`
}

func (q DealQuery) values() url.Values {
	v := ListQuery{Search: q.Search, PageSize: q.PageSize, Cursor: q.Cursor}.values()
	if q.OrderBy != "" {
		v.Set("orderBy", q.OrderBy)
	}
	if q.OrderDir != "" {
		v.Set("orderDir", q.OrderDir)
	}
	if len(q.Filters) == 0 {
		return v
	}
	filters := maps.Clone(q.Filters)
	for field, f := range filters {
		f.Values = append([]string{}, f.Values...) // a list even if empty, never null
		filters[field] = f
	}
	text, _ := json.Marshal(filters) // strings marshal, the keys in order
	v.Set("filters", string(text))
	return v
}

// ListDeals lists deals, a page at a time: GET /deals. It waits for the client's Budget, and reads
// again what failed in a way that may pass. A row has the members of [Client.CreateDeal]'s answer.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/objects/list-deals
func (c *Client) ListDeals(ctx context.Context, q DealQuery) (*Page, error) {
	return c.page(ctx, "/deals", q.values())
}

// ID is the ID of the object in the answer, such as "dl_abc123": its `id`, or else its `data.id`.
// Heffl documents answers without a wrapper; `data` is read in case there is one. The methods
// that write, and GetDeal, return no answer without an ID, but a *BodyError.
func (r *Response) ID() string {
	id, _, _ := r.identify()
	return id
}

// Object is the object in the answer that [Response.ID] is of: the body, or else its `data`.
func (r *Response) Object() json.RawMessage {
	_, object, _ := r.identify()
	return object
}

func (r *Response) identify() (id string, object json.RawMessage, err error) {
	if r.object != nil { // it is known
		return r.id, r.object, nil
	}
	return identify(r.Body)
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
	v := jsontext.Value(body)
	if !v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		return "", nil, ErrNotJSON
	}
	if v.Kind() != '{' {
		return "", nil, ErrNotObject
	}
	if id := textOf(lastMember(body, "id")); id != "" {
		return id, body, nil
	}
	data := lastMember(body, "data")
	if id := textOf(lastMember(data, "id")); id != "" {
		return id, data, nil
	}
	return "", nil, ErrNoID
}

// textOf is a JSON string without quotes and escapes; of anything else nothing.
func textOf(v json.RawMessage) (s string) {
	_ = json.Unmarshal(v, &s)
	return s
}

// lastMember is the value of a member of a JSON object, the last that has its name, as encoding/json has it; nil where there
// is none, or no object. It is a part of object, which is valid JSON.
func lastMember(object json.RawMessage, name string) (value json.RawMessage) {
	for o := rawjson.In(object, 0); o.Next(); {
		if string(o.Name) == name {
			value = o.Value()
		}
	}
	return value
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
