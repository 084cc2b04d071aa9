package heffl

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ListQuery says which page of a list to read.
type ListQuery struct {
	Search   string // for the lists that document a search; empty: all
	PageSize int    // 1 to 100; 0: Heffl's default, 30. It is not documented whether reference data pages, so leave it 0 there until Next is set
	Cursor   string // List.Next of the page before; empty: the first
}

func (q ListQuery) values() url.Values {
	v := url.Values{}
	if q.Search != "" {
		v.Set("search", q.Search)
	}
	if q.PageSize > 0 {
		v.Set("pageSize", strconv.Itoa(q.PageSize))
	}
	if q.Cursor != "" {
		v.Set("cursor", q.Cursor)
	}
	return v
}

// List is one page of a list.
type List[T any] struct {
	Items []T
	Next  string        // cursor of the next page; empty: this is the last
	Clock time.Duration // as Page.Clock
}

// The types below hold what is needed to name a thing and to tell it from others; Raw is the whole
// of it, as Heffl sent it. Only some of their members are documented. Where they are not, the
// likely names are tried: a name may stand as name, label, firstName with lastName, fullName,
// displayName or title.

// Pipeline is a pipeline of deals.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/reference-data/create-a-deal-pipeline
type Pipeline struct {
	ID     string // "dpl_..."
	Name   string
	Stages []Stage // by position; nil: the answer has no such member
	Active bool    // false only where the answer says so; not documented
	Raw    json.RawMessage
}

// Stage is a stage of a pipeline.
type Stage struct {
	ID          string // "dps_..."
	Name        string
	Type        string  // "ACTIVE", "WON" or "LOST"
	Position    float64 // lower first
	Probability float64 // of winning, in percent
	Raw         json.RawMessage
}

// User is a member of the team. The members of a user are not documented.
type User struct {
	ID        string // "usr_..."
	Name      string
	FirstName string // empty where Heffl gives the name in one piece
	Email     string
	Active    bool // false only where the answer says so
	Raw       json.RawMessage
}

// Source is where deals come from. The members of a source are not documented.
type Source struct {
	ID   string // "src_..."
	Name string
	Raw  json.RawMessage
}

// Tag is a tag for one type of things.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/reference-data/create-tag
type Tag struct {
	ID   string // "tag_..."
	Name string
	Type string // "deals", "leads", "clients", "contacts", "projects" ...
	Raw  json.RawMessage
}

// Product is a product or service of the catalogue.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/reference-data/update-a-product
type Product struct {
	ID     string // "prd_..."
	Name   string
	SKU    string
	Type   string      // "PRODUCT" or "SERVICE"
	Price  json.Number // digits as Heffl sent them; empty: none. No currency is given
	Active bool        // false only where the answer says so
	Raw    json.RawMessage
}

// CustomField defines a custom field.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/custom-fields
type CustomField struct {
	Key        string // "cf_..."
	Label      string
	Type       string        // the set of types is not documented
	Options    []FieldOption // the allowed values; empty: any
	PipelineID string        // of the pipeline whose deals alone have it; empty: none, or the answer does not say
	Raw        json.RawMessage
}

// FieldOption is an allowed value of a custom field.
type FieldOption struct {
	Value string          // as text
	Label string          // Value where it has none of its own
	JSON  json.RawMessage // Value as it is sent
}

// ListPipelines lists the pipelines of deals with their stages: GET /pipelines. This and the other
// lists wait for the client's Budget, and read again what failed in a way that may pass.
func (c *Client) ListPipelines(ctx context.Context, q ListQuery) (*List[Pipeline], error) {
	return list(ctx, c, "/pipelines", q.values(), newPipeline)
}

// GetPipeline reads one pipeline with its stages: GET /pipelines/{id}.
func (c *Client) GetPipeline(ctx context.Context, id string) (*Pipeline, error) {
	path, err := pathOf(http.MethodGet, "/pipelines", id)
	if err != nil {
		return nil, err
	}
	r, err := c.get(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	object := r.Object()
	p, ok := newPipeline(members(object), object)
	if !ok {
		return nil, c.newBodyError(http.MethodGet, path, r.Status, r.Header, r.Body, ErrNoID)
	}
	return &p, nil
}

// ListUsers lists the users of the team: GET /users.
func (c *Client) ListUsers(ctx context.Context, q ListQuery) (*List[User], error) {
	return list(ctx, c, "/users", q.values(), func(m object, raw json.RawMessage) (User, bool) {
		u := User{ID: text(m["id"]), Name: m.name(), FirstName: text(m["firstName"]), Email: text(m["email"]), Active: m.active(), Raw: raw}
		return u, u.ID != ""
	})
}

// ListSources lists the sources of deals: GET /sources.
func (c *Client) ListSources(ctx context.Context, q ListQuery) (*List[Source], error) {
	return list(ctx, c, "/sources", q.values(), func(m object, raw json.RawMessage) (Source, bool) {
		s := Source{ID: text(m["id"]), Name: m.name(), Raw: raw}
		return s, s.ID != ""
	})
}

// ListTags lists the tags of all types: GET /tags.
func (c *Client) ListTags(ctx context.Context, q ListQuery) (*List[Tag], error) {
	return list(ctx, c, "/tags", q.values(), func(m object, raw json.RawMessage) (Tag, bool) {
		t := Tag{ID: text(m["id"]), Name: m.name(), Type: text(m["type"]), Raw: raw}
		return t, t.ID != ""
	})
}

// ListProducts lists the catalogue: GET /products.
func (c *Client) ListProducts(ctx context.Context, q ListQuery) (*List[Product], error) {
	return list(ctx, c, "/products", q.values(), func(m object, raw json.RawMessage) (Product, bool) {
		p := Product{ID: text(m["id"]), Name: m.name(), SKU: word(m["sku"]), Type: text(m["type"]), Active: m.active(), Raw: raw}
		_ = json.Unmarshal(m["price"], &p.Price) // another type: no price
		return p, p.ID != ""
	})
}

// ListCustomFields lists the custom fields of an entity ("deals", "contacts", "companies",
// "tasks"): GET /custom-fields. For deals, a pipelineID adds those of that pipeline.
func (c *Client) ListCustomFields(ctx context.Context, entity, pipelineID string, q ListQuery) (*List[CustomField], error) {
	v := q.values()
	v.Set("entity", entity)
	if pipelineID != "" {
		v.Set("pipelineId", pipelineID)
	}
	return list(ctx, c, "/custom-fields", v, newCustomField)
}

// list reads one page. A row that read does not take makes the whole page unusable: in a list that
// is known in part only, a name that seems to be there once may be there twice.
func list[T any](ctx context.Context, c *Client, path string, query url.Values, read func(object, json.RawMessage) (T, bool)) (*List[T], error) {
	p, err := c.page(ctx, path, query)
	if err != nil {
		return nil, err
	}
	l := &List[T]{Items: make([]T, 0, len(p.Items)), Next: p.Next, Clock: p.Clock}
	for _, raw := range p.Items {
		item, ok := read(members(raw), raw)
		if !ok {
			return nil, c.newBodyError(http.MethodGet, path, http.StatusOK, nil, raw, ErrNoID)
		}
		l.Items = append(l.Items, item)
	}
	return l, nil
}

func newPipeline(m object, raw json.RawMessage) (Pipeline, bool) {
	p := Pipeline{ID: text(m["id"]), Name: m.name(), Active: m.active(), Raw: raw}
	var stages []json.RawMessage
	if json.Unmarshal(m["stages"], &stages) != nil || stages == nil {
		return p, p.ID != ""
	}
	p.Stages = []Stage{}
	for _, raw := range stages {
		m := object(members(raw))
		s := Stage{ID: text(m["id"]), Name: m.name(), Type: text(m["type"]), Raw: raw}
		_ = json.Unmarshal(m["position"], &s.Position)       // another type: as if it were absent
		_ = json.Unmarshal(m["probability"], &s.Probability) // likewise
		if s.ID == "" {
			return p, false
		}
		p.Stages = append(p.Stages, s)
	}
	slices.SortStableFunc(p.Stages, func(a, b Stage) int { return cmp.Compare(a.Position, b.Position) })
	return p, p.ID != ""
}

func newCustomField(m object, raw json.RawMessage) (CustomField, bool) {
	f := CustomField{Key: text(m["key"]), Label: m.name(), Type: text(m["type"]), Options: newOptions(m), Raw: raw}
	f.PipelineID = cmp.Or(text(m["pipelineId"]), text(members(m["pipeline"])["id"]))
	if f.Key == "" {
		return f, false
	}
	if !strings.HasPrefix(f.Key, "cf_") {
		f.Key = "cf_" + f.Key // in a request every key has it
	}
	f.Label = cmp.Or(f.Label, f.Key)
	return f, true
}

// newOptions reads the allowed values. Neither the name of that member is documented nor its form.
// Of an option with a label and an ID but no value the label is the value: the documented examples
// of custom fields hold words.
func newOptions(m object) []FieldOption {
	var items []json.RawMessage
	for _, name := range []string{"options", "allowedValues", "values", "choices"} {
		if json.Unmarshal(m[name], &items) == nil && len(items) > 0 {
			break
		}
	}
	var options []FieldOption
	for _, raw := range items {
		value, label := raw, ""
		if m := object(members(raw)); m != nil {
			label = m.name()
			for _, name := range []string{"value", "label", "name", "title", "id", "key"} {
				if value = m[name]; word(value) != "" {
					break
				}
			}
		}
		if v := word(value); v != "" {
			options = append(options, FieldOption{Value: v, Label: cmp.Or(label, v), JSON: value})
		}
	}
	return options
}

// object is a JSON object whose members' names are not all known.
type object map[string]json.RawMessage

func (m object) name() string {
	full := strings.TrimSpace(text(m["firstName"]) + " " + text(m["lastName"]))
	return cmp.Or(text(m["name"]), text(m["label"]), full, text(m["fullName"]), text(m["displayName"]), text(m["title"]))
}

// active is false where a member says so.
func (m object) active() bool {
	is := func(name string, want bool) bool {
		var b *bool
		return json.Unmarshal(m[name], &b) == nil && b != nil && *b == want
	}
	off := is("isActive", false) || is("active", false) || is("isArchived", true) || is("archived", true) ||
		strings.EqualFold(text(m["status"]), "INACTIVE")
	return !off
}

// word returns a JSON string, or a number or boolean as it is written; "" for anything else.
func word(raw json.RawMessage) string {
	if s := text(raw); s != "" {
		return s
	}
	switch string(raw[:min(len(raw), 1)]) {
	case "", "{", "[", `"`, "n":
		return ""
	}
	return string(raw)
}
