package tools

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/rawjson"
	"heffl-mcp/schema"
	"heffl-mcp/workspace"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"
)

// A naming is a property whose text is the ID of a thing, or words for it: `names:"client"` on a
// field of a tool's arguments.
type naming struct {
	list string // the array of objects that have it; empty: the arguments have it themselves
	name string
	kind workspace.Kind
}

// namingsOf finds the properties that name things, in the order of the struct.
func namingsOf(t reflect.Type) []naming {
	var all []naming
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if kind := f.Tag.Get("names"); kind != "" {
			all = append(all, naming{name: name, kind: workspace.Kind(kind)})
		}
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			for _, n := range namingsOf(f.Type.Elem()) {
				n.list = name
				all = append(all, n)
			}
		}
	}
	return all
}

// A position is where a text stands in the arguments: clientId, tags[0], products[0].productId.
type position struct {
	argument string
	item     int    // of the list that it is; negative: it is none
	member   string // of that item; empty: the item is the text
	nested   int    // item of the list that the member is; negative: it is none
}

// in is the position of an item of what stands at p.
func (p position) in(item int) position {
	if p.member == "" {
		p.item = item
	} else {
		p.nested = item
	}
	return p
}

func (p position) String() string {
	s := p.argument
	if p.item >= 0 {
		s = at(s, p.item)
	}
	if p.member != "" {
		s += "." + p.member
	}
	if p.nested >= 0 {
		s = at(s, p.nested)
	}
	return s
}

// A changing makes another JSON value of one that is a text, or leaves it as it is.
type changing func(p position, kind workspace.Kind, text json.RawMessage) json.RawMessage

// through passes each text of doc that names a thing through f, and returns doc with what f makes of them. What f leaves
// as it is keeps its bytes.
func through(doc object, names []naming, f changing) object {
	out := doc
	for i, m := range doc {
		v, lists := m.value, false
		for _, n := range names {
			switch {
			case n.list == "" && n.name == m.name:
				v = eachText(v, position{argument: m.name, item: -1, nested: -1}, n.kind, f)
			case n.list == m.name:
				lists = true
			}
		}
		if lists {
			v = eachItem(v, func(n int, item json.RawMessage) json.RawMessage { return throughItem(item, names, m.name, n, f) })
		}
		if bytes.Equal(v, m.value) {
			continue
		}
		if &out[0] == &doc[0] {
			out = slices.Clone(doc)
		}
		out[i].value = v
	}
	return out
}

// throughItem is through for the n-th item of a list of objects.
func throughItem(item json.RawMessage, names []naming, list string, n int, f changing) json.RawMessage {
	var out object // nil: as it came
	for i, m := 0, rawjson.In(item, 0); m.Next(); i++ {
		for _, named := range names {
			if named.list != list || named.name != string(m.Name) {
				continue
			}
			v := eachText(m.Value(), position{list, n, named.name, -1}, named.kind, f)
			if bytes.Equal(v, m.Value()) {
				continue
			}
			if out == nil {
				out = parse(item)
			}
			out[i].value = v
		}
	}
	if out == nil {
		return item
	}
	return out.JSON()
}

// eachText passes a text, or each text of a list, through f. What f leaves as it is keeps its bytes.
func eachText(v json.RawMessage, p position, kind workspace.Kind, f changing) json.RawMessage {
	switch jsontext.Value(v).Kind() {
	case '"':
		return f(p, kind, v)
	case '[':
		return eachItem(v, func(i int, item json.RawMessage) json.RawMessage {
			if jsontext.Value(item).Kind() != '"' {
				return item
			}
			return f(p.in(i), kind, item)
		})
	}
	return v
}

// eachItem passes the items of a list through f. What is no list stays, and a list of which f changes nothing keeps its
// bytes.
func eachItem(v json.RawMessage, f func(i int, item json.RawMessage) json.RawMessage) json.RawMessage {
	if jsontext.Value(v).Kind() != '[' {
		return v
	}
	var changed []json.RawMessage // nil: nothing yet
	n := 0
	for item := range rawjson.Items(v) {
		to := f(n, item)
		if changed == nil && !bytes.Equal(item, to) {
			changed = firstItems(v, n)
		}
		if changed != nil {
			changed = append(changed, to)
		}
		n++
	}
	if changed == nil {
		return v
	}
	return arrayOf(changed)
}

// firstItems are so many items of a list, which is not nil.
func firstItems(v json.RawMessage, n int) []json.RawMessage {
	first := make([]json.RawMessage, 0, n+1)
	for item := range rawjson.Items(v) {
		if len(first) == n {
			break
		}
		first = append(first, item)
	}
	return first
}

// arrayOf writes a list of values.
func arrayOf(values []json.RawMessage) json.RawMessage {
	b := []byte{'['}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	return append(b, ']')
}

func at(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// understood is how one of the user's words was understood: an entry of heffl-mcp/resolved.
type understood struct {
	Path  string `json:"path"`
	Input string `json:"input"`
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	How   string `json:"how"`
}

func (u understood) String() string {
	s := brief(quoted(u.Input)) + " as " + u.ID
	if u.Path != u.Input { // it is no name of a property itself
		s = u.Path + " " + s
	}
	if u.Name != "" && u.Name != u.ID {
		return fmt.Sprintf("%s (%s, by %s)", s, foreign(u.Name, 80), u.How)
	}
	return fmt.Sprintf("%s (by %s)", s, u.How)
}

// A reading is the work of turning one call's words into IDs.
type reading struct {
	*call
	properties []string // that the arguments may have, besides custom fields
	names      []naming
	entity     string // whose custom fields the arguments may hold; empty: none
	fenced     bool   // the operator's floors hold for the tool
	changed    bool   // the arguments are not as they came

	faults   []schema.Fault // against the schema, less those that turned out to be none
	problems []string       // of the words, one line each
	words    []words
	scope    scope
	supposed []member // as they came, that are read as what their names usually stand for
	torn     []string // the properties that such a name stands for, where it is also that of a custom field
}

// scope is the pipeline that stages and custom fields are of.
type scope struct {
	pipeline string // its ID; empty: not known
	name     string // its name, or its ID
	path     string // of the words that say so
}

// words are a text that names a thing.
type words struct {
	path  string
	kind  workspace.Kind
	text  string
	match workspace.Match
	err   error
}

const (
	// forFaults bounds the look-ups of a call that is refused anyway: they only say more.
	forFaults = 5 * time.Second
	// maxLive bounds how many names of one call are searched for in Heffl.
	maxLive = 10
	// maxWords bounds how many names one call may have looked up.
	maxWords = 100
	// tooMany is a number of faults beyond which nobody gains from more about each.
	tooMany = 200
	// atOnce bounds the names of one call that are looked up at once.
	atOnce = 6
)

// understand turns the words of the arguments into IDs, and holds custom fields to their
// definitions. Afterwards faults and problems are all that is wrong with the call. Its error is
// what kept it from finding out.
func (r *reading) understand(ctx context.Context, in *schema.Schema, complete func(context.Context, *reading) error) error {
	before := r.doc
	r.suppose(in)
	if slices.ContainsFunc(r.faults, func(f schema.Fault) bool { return !r.mayBeLabel(f) }) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, forFaults)
		defer cancel()
	}
	r.collect()
	fields := r.resolve(ctx)
	if err := r.judge(fields); err != nil {
		return err
	}
	if r.fenced {
		if err := r.hold(ctx); err != nil {
			return err
		}
	}
	r.apply(fields)
	if complete != nil {
		if err := complete(ctx, r); err != nil {
			if len(r.faults)+len(r.problems) == 0 {
				return err
			}
			r.problems = append(r.problems, strings.TrimPrefix(explain(err).text, "nothing was sent, because "))
		}
	}
	if r.changed = !slices.EqualFunc(before, r.doc, member.is); r.changed {
		r.raw = r.doc.JSON()
	}
	r.offer(ctx)
	return nil
}

// resolve finds out what the words mean, and reads the custom fields.
func (r *reading) resolve(ctx context.Context) *fieldsRead {
	if slices.ContainsFunc(r.words, words.mayAsk) {
		return r.resolveAtOnce(ctx)
	}
	r.findScope(ctx) // all is told at once, but for the definitions of custom fields
	for i := range r.words {
		w := &r.words[i]
		if !givesScope(w.kind) {
			r.look(ctx, w)
		}
	}
	return r.readFields(ctx)
}

// look finds out what words mean, once the scope is known where they need it.
func (r *reading) look(ctx context.Context, w *words) {
	var within workspace.Scope
	if w.kind == workspace.Stage {
		within.Pipeline = r.scope.pipeline
	}
	w.match, w.err = r.Workspace.Resolve(ctx, w.kind, w.text, within)
}

// resolveAtOnce is resolve for words of which Heffl may have to be asked.
func (r *reading) resolveAtOnce(ctx context.Context) (fields *fieldsRead) {
	scoped := make(chan struct{})
	var g guardedGroup
	g.SetLimit(atOnce)
	g.Go(func() { // before those who wait for it
		defer close(scoped)
		r.findScope(ctx)
	})
	g.Go(func() {
		<-scoped
		fields = r.readFields(ctx)
	})
	for i := range r.words {
		w := &r.words[i]
		if givesScope(w.kind) {
			continue
		}
		g.Go(func() {
			if w.kind == workspace.Stage {
				<-scoped
			}
			r.look(ctx, w)
		})
	}
	g.Wait()
	return fields
}

// suppose reads members whose names usually stand for a property as that property, so that what is
// wrong with their values is told with their names. The call is refused for those all the same.
func (r *reading) suppose(in *schema.Schema) {
	const deep = 3 // line_items, the names in its items, and what those hold
	var renamed []schema.Fault
	unknown := func(f schema.Fault) bool { return f.Keyword == "unknown" }
	if !slices.ContainsFunc(r.faults, unknown) {
		return
	}
	for range deep {
		before := len(renamed)
		doc := r.asMeant(r.doc, "", &renamed)
		if len(renamed) == before {
			break
		}
		raw := []byte(doc.JSON())
		faults := in.Check(raw)
		raw, repairs := in.Repair(raw, faults, r.Zone)
		r.repairs = append(r.repairs, repairs...)
		r.faults = in.Check(raw)
		r.doc = parse(raw)
	}
	r.faults = append(renamed, r.faults...)
}

// asMeant is doc, which stands at a path, with its members under the names that they stand for.
func (r *reading) asMeant(doc object, path string, renamed *[]schema.Fault) object {
	out := slices.Clone(doc)
	for i, m := range doc {
		full := m.name
		if path != "" {
			full = path + "." + m.name
		}
		f := slices.IndexFunc(r.faults, func(f schema.Fault) bool {
			return f.Keyword == "unknown" && (f.Path == full || path == "" && f.In(m.name) && !slices.Contains(r.properties, m.name))
		})
		if f >= 0 {
			meant := r.faults[f].Meant
			if _, given := out.get(meant); !given && meant != "" && !r.faults[f].Guessed && !strings.HasPrefix(meant, "cf_") {
				out[i].name = meant
				*renamed = append(*renamed, r.faults[f])
				if path == "" {
					r.supposed = append(r.supposed, m)
				}
			}
			continue
		}
		out[i].value = eachItem(m.value, func(n int, item json.RawMessage) json.RawMessage {
			if jsontext.Value(item).Kind() != '{' {
				return item
			}
			return r.asMeant(parse(item), at(full, n), renamed).JSON()
		})
	}
	return out
}

// isTorn reports whether what stands at a path may as well be a custom field.
func (r *reading) isTorn(path string) bool {
	return slices.ContainsFunc(r.torn, func(name string) bool { return schema.Fault{Path: path}.In(name) })
}

// A guardedGroup runs functions at once, so many of them. A panic in one of them would end the program;
// who waits for the group panics with it instead, and the call has a guard.
type guardedGroup struct {
	errgroup.Group
	once  sync.Once
	panic any
}

func (g *guardedGroup) Go(f func()) {
	g.Group.Go(func() error {
		defer func() {
			if v := recover(); v != nil {
				g.once.Do(func() { g.panic = fmt.Sprintf("%v\n%s", v, debug.Stack()) })
			}
		}()
		f()
		return nil
	})
}

func (g *guardedGroup) Wait() {
	_ = g.Group.Wait() // they have no errors
	if g.panic != nil {
		panic(g.panic)
	}
}

// collect finds the words that have to be understood. IDs that are taken at their word are none.
func (r *reading) collect() {
	named, live := 0, 0
	through(r.doc, r.names, func(p position, kind workspace.Kind, v json.RawMessage) json.RawMessage {
		if len(r.faults) > 0 {
			path := p.String()
			if slices.ContainsFunc(r.faults, func(f schema.Fault) bool { return f.Path == path }) {
				return v
			}
		}
		if saysAll(kind, v) {
			named++
			return v
		}
		text := text(jsontext.Value(v))
		if searched(kind) && workspace.KindOfID(text) == "" {
			if live++; live > maxLive {
				return v
			}
		}
		if named++; named > maxWords {
			return v
		}
		if r.words == nil {
			const usual = 4
			r.words = make([]words, 0, usual)
		}
		r.words = append(r.words, words{path: p.String(), kind: kind, text: text})
		return v
	})
	if named > maxWords {
		r.problems = append(r.problems, fmt.Sprintf("%d names, and one call may have %d", named, maxWords))
	}
	if live > maxLive {
		r.problems = append(r.problems, fmt.Sprintf("%d names would have to be searched for, and one call may have %d of them; give IDs for the others", live, maxLive))
	}
}

// saysAll reports whether a text is an ID of its kind that nothing has to be found out about: it belongs to no pipeline, and
// no operator forbids it.
func saysAll(kind workspace.Kind, text json.RawMessage) bool {
	return kind != workspace.Stage && kind != workspace.User && !givesScope(kind) && kind.IsID(string(bytes.Trim(text, `"`)))
}

// searched reports whether each name of a kind costs requests of its own.
func searched(k workspace.Kind) bool {
	return k == workspace.Client || k == workspace.Contact || k == workspace.Company || k == workspace.Lead || k == workspace.Deal
}

// mayAsk reports whether Heffl may have to be asked what words name: an ID is taken at its word. What is said of a
// deal's pipeline, the deal does say.
func (w words) mayAsk() bool {
	return w.kind == workspace.Deal || workspace.KindOfID(w.text) == ""
}

func givesScope(k workspace.Kind) bool { return k == workspace.Pipeline || k == workspace.Deal }

// findScope resolves what says which pipeline the rest is of. The pipeline that was most likely
// meant does for saying what else is wrong.
func (r *reading) findScope(ctx context.Context) {
	for i := range r.words {
		w := &r.words[i]
		if !givesScope(w.kind) {
			continue
		}
		w.match, w.err = r.Workspace.Resolve(ctx, w.kind, w.text, workspace.Scope{})
		switch e, unresolved := errors.AsType[*workspace.UnresolvedError](w.err); {
		case w.kind == workspace.Deal && w.err == nil:
			r.readScope(ctx, w)
		case w.kind == workspace.Pipeline && w.err == nil:
			r.scope = scope{pipeline: w.match.ID, name: cmp.Or(w.match.Name, w.match.ID), path: w.path}
		case w.kind == workspace.Pipeline && unresolved && likeliest(e.Candidates) != nil:
			c := likeliest(e.Candidates)
			r.scope = scope{pipeline: c.ID, name: c.Name, path: w.path}
		}
	}
}

// judge notes what each of the words turned out to be. A look-up that failed decides nothing: the
// call ends, unless it has other faults to tell of.
func (r *reading) judge(fields *fieldsRead) error {
	r.faults = slices.DeleteFunc(r.faults, func(f schema.Fault) bool { return r.isTorn(f.Path) })
	failed := fields.failed
	for i := range r.words {
		w := &r.words[i]
		switch e, unresolved := errors.AsType[*workspace.UnresolvedError](w.err); {
		case unresolved && w.kind == workspace.Stage && e.IDOf == "" && r.lacksScope():
			// what is wrong with its pipeline, or that it is missing, is told
		case w.kind == workspace.Stage && r.deal != nil && r.scope.pipeline == "" && workspace.KindOfID(w.text) == "":
			r.problems = append(r.problems, w.path+": Heffl does not say which pipeline this deal is in, so its stages have no names here; give the ID of one")
		case r.isTorn(w.path):
		case unresolved && w.kind == workspace.Stage && e.Kind == workspace.Pipeline:
			r.problems = append(r.problems, r.scope.path+": "+r.unresolved(e))
		case unresolved:
			r.problems = append(r.problems, w.path+": "+r.unresolved(e))
		case w.err != nil:
			failed = cmp.Or(failed, w)
		case w.match.ID != w.text:
			r.resolved = append(r.resolved, understood{w.path, w.text, w.match.ID, w.match.Name, w.match.How})
		}
	}
	if failed == nil {
		return nil
	}
	certain := func(f schema.Fault) bool { return !fields.unread || !r.mayBeLabel(f) }
	if len(r.problems)+len(fields.problems) == 0 && !slices.ContainsFunc(r.faults, certain) {
		return notLookedUp(failed)
	}
	r.problems = append(r.problems, failed.path+": could not be looked up ("+reason(failed.err)+"); it may stay as it is")
	return nil
}

// mayBeLabel reports whether a fault is that of a property that may be the label of a custom field.
func (r *reading) mayBeLabel(f schema.Fault) bool {
	return r.entity != "" && f.Keyword == "unknown" && (f.Meant == "" || f.Guessed) &&
		slices.ContainsFunc(r.doc, func(m member) bool { return f.In(m.name) })
}

// lacksScope reports whether the pipeline is not known for a fault of what would say it.
func (r *reading) lacksScope() bool {
	return r.scope.pipeline == "" && slices.ContainsFunc(r.names, func(n naming) bool {
		return givesScope(n.kind) &&
			(slices.ContainsFunc(r.faults, func(f schema.Fault) bool { return f.In(n.name) }) ||
				r.unclear(n.name))
	})
}

// unclear reports whether what stands at a path was looked up and not understood. Others may be on their way.
func (r *reading) unclear(path string) bool {
	for i := range r.words { // not copied: a goroutine may be filling in another
		if w := &r.words[i]; w.path == path {
			return w.err != nil
		}
	}
	return false
}

// apply writes what was understood into the arguments.
func (r *reading) apply(fields *fieldsRead) {
	if len(r.resolved) > 0 {
		r.writeIDs()
		r.unrepeat()
	}
	r.doc = fields.in(r.doc)
	r.faults = append(fields.less(r.faults), fields.faults...)
	r.problems = append(r.problems, fields.problems...)
	r.resolved = append(r.resolved, fields.resolved...)
	r.repairs = append(r.repairs, fields.repairs...)
	r.notes = append(r.notes, fields.notes...)
}

// writeIDs writes IDs in the place of the words for them.
func (r *reading) writeIDs() {
	ids := map[string]string{}
	for i := range r.words {
		w := &r.words[i]
		if w.err == nil && w.match.ID != w.text {
			ids[w.path] = w.match.ID
		}
	}
	r.doc = through(r.doc, r.names, func(p position, _ workspace.Kind, v json.RawMessage) json.RawMessage {
		if id, ok := ids[p.String()]; ok {
			return quoted(id)
		}
		return v
	})
}

// unrepeat takes out of a list what is in it already under another word: the user means it once.
func (r *reading) unrepeat() {
	for i, m := range r.doc {
		if jsontext.Value(m.value).Kind() != '[' || !slices.ContainsFunc(r.names, func(n naming) bool { return n.list == "" && n.name == m.name }) {
			continue
		}
		first := map[string]string{} // the path of each
		var kept []json.RawMessage
		eachItem(m.value, func(n int, item json.RawMessage) json.RawMessage {
			path := at(m.name, n)
			before, twice := first[string(item)]
			if twice = twice && (r.isResolved(path) || r.isResolved(before)); twice {
				r.notes = append(r.notes, path+" is the same as "+before+", so it went once")
			} else {
				first[string(item)] = cmp.Or(before, path)
				kept = append(kept, item)
			}
			return item
		})
		r.doc = r.doc.with(i, arrayOf(kept))
	}
}

// isResolved reports whether what stands at a path were words.
func (r *reading) isResolved(path string) bool {
	return slices.ContainsFunc(r.resolved, func(u understood) bool { return u.Path == path })
}

// readScope reads the deal that the arguments are about, where its pipeline says what they may be.
func (r *reading) readScope(ctx context.Context, w *words) {
	if r.entity != "deals" && (!r.fenced || len(r.Pipelines) == 0) {
		return
	}
	deal, err := r.readDeal(ctx, w.match.ID)
	if e, ok := errors.AsType[*heffl.Error](err); ok && e.Status == http.StatusNotFound {
		w.err = &workspace.UnresolvedError{Kind: workspace.Deal, Input: w.text}
		return
	}
	if err != nil {
		w.err = err
		return
	}
	r.deal = deal
	r.scope.pipeline, _ = r.deal.str("pipelineId")
	r.scope.name = r.scope.pipeline
	if list, err := r.Workspace.Pipelines(ctx); err == nil {
		if i := slices.IndexFunc(list.Items, func(p heffl.Pipeline) bool { return p.ID == r.scope.pipeline }); i >= 0 {
			r.scope.name = list.Items[i].Name
		}
	}
}

// offer adds what there is to choose from to the faults of names that are missing.
func (r *reading) offer(ctx context.Context) {
	for i, f := range r.faults {
		at := slices.IndexFunc(r.names, func(n naming) bool { return n.list == "" && n.name == f.Path })
		if f.Keyword != "required" || at < 0 {
			continue
		}
		kind := r.names[at].kind
		list, err := r.Workspace.Candidates(ctx, kind, workspace.Scope{Pipeline: r.scope.pipeline})
		if err == nil && len(list) > 0 {
			r.faults[i].Want += "; there are " + candidates(list)
		}
		if tool := r.finder(kind); tool != "" {
			r.faults[i].Want += "; " + tool
		}
	}
}
