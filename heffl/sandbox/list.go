package sandbox

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The range of pageSize. https://docs.heffl.com/api-v2/pagination
const (
	defaultPageSize = 30
	maxPageSize     = 100
)

// order is one value of the orderBy parameter.
type order struct {
	name string
	key  func(rec *record) sortKey
}

// sortKey is where a record stands in an order. Those without a value stand after those with one; equals stand in the
// order of their making. Fields are exported for the cursor's sake.
type sortKey struct {
	Unset  bool    `json:"u,omitempty"`
	Number float64 `json:"n,omitempty"`
	Text   string  `json:"t,omitempty"`
	Seq    int     `json:"s"`
}

func (k sortKey) compare(other sortKey) int {
	unset := 0
	if k.Unset != other.Unset {
		unset = map[bool]int{true: 1, false: -1}[k.Unset]
	}
	return cmp.Or(unset, cmp.Compare(k.Number, other.Number), cmp.Compare(k.Text, other.Text), cmp.Compare(k.Seq, other.Seq))
}

// byCreated orders by the stamp that is answered, so by milliseconds.
func byCreated(rec *record) sortKey {
	return sortKey{Number: float64(rec.created.UnixMilli()), Seq: rec.seq}
}

func byPosition(rec *record) sortKey { return sortKey{Seq: rec.seq} }

func byNumber(name string) func(*record) sortKey {
	return func(rec *record) sortKey {
		n, err := strconv.ParseFloat(string(rec.fields[name]), 64)
		return sortKey{Unset: err != nil, Number: n, Seq: rec.seq}
	}
}

// byText ignores case. It is right for times too, since these are kept in one form.
func byText(text func(rec *record) string) func(*record) sortKey {
	return func(rec *record) sortKey {
		t := strings.ToLower(text(rec))
		return sortKey{Unset: t == "", Text: t, Seq: rec.seq}
	}
}

func byField(name string) func(*record) sortKey {
	return byText(func(rec *record) string { return rec.fields.text(name) })
}

// query is a list request, understood.
type query struct {
	size    int
	order   order
	desc    bool
	search  string
	filters []func(f fields) bool
	after   *sortKey // of the last row of the page before; nil on the first
}

// cursor is what the opaque text holds. It fits only the order it was made for.
type cursor struct {
	Order string  `json:"o"`
	Desc  bool    `json:"d,omitempty"`
	Last  sortKey `json:"l"`
}

// list answers GET of a whole resource. Reference data pages too, which is not documented either way; it takes no
// orderBy and no filters. Parameters that are not documented are ignored, since only those of a body are said to be
// refused.
func (s *Sandbox) list(r *resource, c *call) (any, *apiError) {
	q, problem := s.parseQuery(r, c)
	if problem != nil {
		return nil, problem
	}
	var found []*record
	for _, rec := range s.store[r.name] {
		if !c.now.Before(rec.visibleFrom) && q.matches(r, rec) {
			found = append(found, rec)
		}
	}
	slices.SortFunc(found, func(a, b *record) int { return q.compare(q.order.key(a), q.order.key(b)) })
	if q.after != nil {
		found = slices.DeleteFunc(found, func(rec *record) bool { return q.compare(q.order.key(rec), *q.after) <= 0 })
	}
	var next any
	if len(found) > q.size {
		found = found[:q.size]
		last := q.order.key(found[q.size-1])
		next = base64.RawURLEncoding.EncodeToString(encode(cursor{q.order.name, q.desc, last}))
	}
	rows := make([]any, 0, len(found))
	for _, rec := range found {
		rows = append(rows, s.render(r, rec, true))
	}
	return page(rows, next), nil
}

// page is the envelope of every list. https://docs.heffl.com/api-v2/pagination
func page[Row any](rows []Row, next any) object {
	return object{{"data", rows}, {"meta", object{{"nextCursor", next}, {"hasMore", next != nil}}}}
}

func (q *query) compare(a, b sortKey) int {
	if q.desc {
		return b.compare(a)
	}
	return a.compare(b)
}

// matches looks for the search text as it stands, but for case: accents, typos and other orders of words are not helped.
// Heffl says "full text" and no more.
func (q *query) matches(r *resource, rec *record) bool {
	for _, wanted := range q.filters {
		if !wanted(rec.fields) {
			return false
		}
	}
	return q.search == "" || slices.ContainsFunc(r.searched(rec), func(text string) bool {
		return strings.Contains(strings.ToLower(text), q.search)
	})
}

// parseQuery reads the parameters and reports all that is wrong with them at once. That a pageSize out of range is refused,
// not cut down, is a guess.
func (s *Sandbox) parseQuery(r *resource, c *call) (*query, *apiError) {
	v := &validator{}
	q := &query{size: defaultPageSize, search: strings.ToLower(c.query.Get("search")), order: order{key: byPosition}}
	if text := c.query.Get("pageSize"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPageSize {
			v.fault("pageSize", "Number must be between 1 and %d", maxPageSize)
		}
		q.size = n
	}
	if r.orderBy != nil {
		q.parseOrder(v, r, c)
		q.filters = parseFilters(v, r, c.query.Get("filters"))
	}
	if text := c.query.Get("cursor"); text != "" {
		var at cursor
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || json.Unmarshal(raw, &at) != nil || at.Order != q.order.name || at.Desc != q.desc {
			v.fault("cursor", "Invalid cursor")
		}
		q.after = &at.Last
	}
	if len(v.issues) > 0 {
		return nil, invalid(v.issues...)
	}
	return q, nil
}

func (q *query) parseOrder(v *validator, r *resource, c *call) {
	by, dir := cmp.Or(c.query.Get("orderBy"), r.orderBy[0].name), cmp.Or(c.query.Get("orderDir"), "desc")
	i := slices.IndexFunc(r.orderBy, func(o order) bool { return o.name == by })
	if i < 0 {
		v.fault("orderBy", "Invalid enum value, received '%s'", by)
	} else {
		q.order = r.orderBy[i]
	}
	if dir != "asc" && dir != "desc" {
		v.fault("orderDir", "Invalid enum value. Expected 'asc' | 'desc', received '%s'", dir)
	}
	q.desc = dir == "desc"
}

// filter is one value in the filters parameter. https://docs.heffl.com/api-v2/listing-and-filters
type filter struct {
	Operator string            `json:"operator"`
	Values   []json.RawMessage `json:"values"`
}

// parseFilters reads the filters parameter. Several filters must all hold, which is likeliest. Only option fields are
// served: of the others, the operators are not known.
func parseFilters(v *validator, r *resource, text string) []func(fields) bool {
	if text == "" {
		return nil
	}
	var sent map[string]filter
	if err := json.Unmarshal([]byte(text), &sent); err != nil {
		v.fault("filters", `Invalid JSON. Expected {"field": {"operator": "...", "values": [...]}}`)
		return nil
	}
	var wanted []func(fields) bool
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		path := join("filters", name)
		i := slices.IndexFunc(r.fields, func(f field) bool { return f.name == name })
		if i < 0 || !slices.Contains(r.filters, name) {
			v.fault(path, "Unknown filter field")
			continue
		}
		wanted = append(wanted, sent[name].compile(v, path, r.fields[i]))
	}
	return wanted
}

// compile checks the operator and the values. IDs are checked for their form; one that does not exist finds nothing.
func (o filter) compile(v *validator, path string, f field) func(fields) bool {
	one := o.Operator == "is" || o.Operator == "is_not"
	switch {
	case !one && o.Operator != "is_any_of" && o.Operator != "is_none_of":
		v.fault(path, "Invalid operator. Expected 'is' | 'is_not' | 'is_any_of' | 'is_none_of', received '%s'", o.Operator)
	case len(o.Values) == 0 || one && len(o.Values) > 1:
		v.fault(path, "Invalid number of values")
	}
	f.nullable = false
	values := map[string]bool{}
	for i, raw := range o.Values {
		v.value(fmt.Sprintf("%s.values.%d", path, i), f, raw)
		values[fields{"": raw}.text("")] = true
	}
	want := o.Operator == "is" || o.Operator == "is_any_of"
	return func(rec fields) bool { return values[rec.text(f.name)] == want }
}
