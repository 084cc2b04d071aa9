package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// resource declares one kind of thing that the API serves: what it accepts, and how it is listed and shown.
type resource struct {
	name     string // as in the path and as a custom field's entity
	singular string // as errors call it
	prefix   string // of its IDs
	series   string // of its numbers, as in CON001; "" for no numbers
	internal bool   // not served
	single   bool   // GET by ID is served

	fields  []field  // of the request; nil for what can only be read
	orderBy []order  // the first is the default; nil: as in data.json
	filters []string // names of fields that the filters parameter takes

	searched func(rec *record) []string       // the texts that the search parameter looks into
	settle   func(old, next fields) *apiError // rules across fields, and defaults; old is nil on create
	saved    func(rec *record, now time.Time) // what a create or update brings about elsewhere
	linked   func(rec *record) string         // why it cannot be deleted; "" if it can
	view     func(rec *record) object         // the answer, without custom fields
}

// record is one thing in the store.
type record struct {
	id, number       string
	seq              int // of creation in this sandbox
	fields           fields
	created, updated time.Time
	visibleFrom      time.Time       // not in lists before
	raw              json.RawMessage // the answer as data.json has it, for what can only be read
}

// reference says which IDs a field takes.
type reference struct {
	singular string
	prefix   string
	in       []string // names of the resources it may be one of; nil: any ID of the prefix, for what the sandbox does not hold
}

// resource is the declaration of that name, which must exist.
func (s *Sandbox) resource(name string) *resource {
	return s.resources[slices.IndexFunc(s.resources, func(r *resource) bool { return r.name == name })]
}

// find returns a record by resource and ID, or nil.
func (s *Sandbox) find(resource, id string) *record {
	for _, rec := range s.store[resource] {
		if rec.id == id {
			return rec
		}
	}
	return nil
}

// textOf is a member of a record by resource and ID; null if there is no such record.
func (s *Sandbox) textOf(resource, id, name string) any {
	if rec := s.find(resource, id); rec != nil {
		return orNull(rec.fields.text(name))
	}
	return nil
}

// get answers one record. A path ID that is not of the right prefix is taken as one that does not exist; Heffl may call it
// invalid instead.
func (s *Sandbox) get(r *resource, c *call) (any, *apiError) {
	rec := s.find(r.name, c.id)
	if rec == nil {
		return nil, notFound(r.singular)
	}
	return s.render(r, rec, false), nil
}

func (s *Sandbox) create(r *resource, c *call) (any, *apiError) {
	sent, problem := decodeBody(c)
	if problem != nil {
		return nil, problem
	}
	next, problem := s.accept(r, nil, sent)
	if problem != nil {
		return nil, problem
	}
	return s.render(r, s.insert(r, "", next, c.now, c.hideFor), false), nil
}

// update merges what is sent into a record. That a list (tags, products ...) replaces the one before is likeliest; only
// for custom fields is the merge documented.
func (s *Sandbox) update(r *resource, c *call) (any, *apiError) {
	rec := s.find(r.name, c.id)
	if rec == nil {
		return nil, notFound(r.singular)
	}
	sent, problem := decodeBody(c)
	if problem != nil {
		return nil, problem
	}
	next, problem := s.accept(r, rec.fields, sent)
	if problem != nil {
		return nil, problem
	}
	rec.fields, rec.updated = next, c.now
	if r.saved != nil {
		r.saved(rec, c.now)
	}
	return s.render(r, rec, false), nil
}

// remove deletes a record and answers it, as the introduction says of deletes: "returns the resource".
func (s *Sandbox) remove(r *resource, c *call) (any, *apiError) {
	rec := s.find(r.name, c.id)
	if rec == nil {
		return nil, notFound(r.singular)
	}
	if r.linked != nil {
		if why := r.linked(rec); why != "" {
			return nil, badRequest("Cannot delete %s: %s", strings.ToLower(r.singular), why)
		}
	}
	last := s.render(r, rec, false)
	s.store[r.name] = slices.DeleteFunc(s.store[r.name], func(other *record) bool { return other == rec })
	return last, nil
}

// accept validates what is sent and returns the fields of the record after it. old is nil on create.
func (s *Sandbox) accept(r *resource, old, sent fields) (fields, *apiError) {
	v := &validator{}
	clean := v.object("", r.fields, sent, old != nil)
	pipeline := clean.text("pipelineId")
	if pipeline == "" {
		pipeline = old.text("pipelineId")
	}
	s.acceptCustom(v, r, pipeline, sent, clean)
	if len(v.issues) > 0 {
		return nil, invalid(v.issues...)
	}
	if problem := s.checkExists(v); problem != nil {
		return nil, problem
	}
	next := maps.Clone(old)
	if next == nil {
		next = fields{}
	}
	maps.Copy(next, clean)
	if r.settle != nil {
		if problem := r.settle(old, next); problem != nil {
			return nil, problem
		}
	}
	return next, nil
}

// checkExists looks up the IDs that a valid request names. One that is well formed and that nothing has is a 404: likelier
// than a 400, but not documented.
func (s *Sandbox) checkExists(v *validator) *apiError {
	for _, p := range v.pending {
		if !slices.ContainsFunc(p.to.in, func(name string) bool { return s.find(name, p.id) != nil }) {
			return notFound(p.to.singular + " " + p.id)
		}
	}
	return nil
}

// insert adds a record that lists show after hideFor. An empty id takes the next one: dl_1001, dl_1002 ..., or
// those of Options.Series.
func (s *Sandbox) insert(r *resource, id string, f fields, now time.Time, hideFor time.Duration) *record {
	if id == "" {
		id = r.prefix
		if s.options.Series != "" {
			id += s.options.Series + "_"
		}
		id += strconv.Itoa(1000 + s.next(r.prefix))
	}
	s.seq++
	rec := &record{id: id, seq: s.seq, fields: f, created: now, updated: now, visibleFrom: now.Add(hideFor)}
	if r.series != "" {
		rec.number = fmt.Sprintf("%s%03d", r.series, s.next(r.series))
	}
	s.store[r.name] = append(s.store[r.name], rec)
	if r.saved != nil {
		r.saved(rec, now)
	}
	return rec
}

// next counts up one of the sandbox's counters, from 1.
func (s *Sandbox) next(counter string) int {
	s.counters[counter]++
	return s.counters[counter]
}

// render is a record as the API answers it. In the rows of a list, custom fields that are unset are null; elsewhere they are
// left out. Both are documented as possible.
func (s *Sandbox) render(r *resource, rec *record, row bool) any {
	if r.view == nil {
		return rec.raw
	}
	return append(r.view(rec), s.customView(r, rec, row)...)
}

// decodeBody reads the body as one JSON object. Bytes that are not UTF-8 become U+FFFD, as a server written in JavaScript
// would have it. Of a name given twice, the last counts.
func decodeBody(c *call) (fields, *apiError) {
	if !c.isJSON {
		return nil, badRequest("Content-Type must be application/json") // not documented; such a body might also be taken as empty
	}
	var f fields
	if err := json.Unmarshal(bytes.ToValidUTF8(c.body, []byte("\uFFFD")), &f); err != nil || f == nil {
		return nil, invalid(issue{Message: "Request body must be a JSON object"})
	}
	return f, nil
}
