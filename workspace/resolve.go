package workspace

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"heffl-mcp/heffl"
)

// Match is the one thing that words name.
type Match struct {
	Input string
	ID    string
	Name  string // as Heffl has it; empty for an ID about which nothing was read
	How   string // what the words are to it: "id", "name", "folded name", "first name", "e-mail", "domain", "phone", "number", "key" or "SKU"
}

// Scope narrows what a name may stand for.
type Scope struct {
	Pipeline string // ID of the pipeline that a stage, custom field of deals or option is of; empty: of any for a stage, of none for the others
	Entity   string // what a custom field or the field of an option is of: "contacts", "companies", "tasks" or "deals"; empty: deals. Only those of deals have a pipeline
	Field    string // key of the custom field that an option is of
}

// fields are the custom fields in a scope.
func (s Scope) fields() fieldsAt {
	if entity := cmp.Or(s.Entity, ofDeals); entity != ofDeals {
		return fieldsAt{entity: entity}
	}
	return fieldsAt{ofDeals, s.Pipeline}
}

// Resolve finds what words name. A text of the form of an ID of that kind is taken for one, and
// nothing is asked; one of the form of an ID of another kind names what of the lists is called so letter
// for letter. Otherwise the words must be the ID, name, e-mail, domain, phone number, number
// or SKU of one thing, or its name (of a deal: its title) but for case, accents, punctuation, spaces and
// legal form; for a user, a first name that nobody else has. What is nearer to the letter goes before the rest.
//
// An inactive thing is not found, nor a tag for other things than deals, nor what is outside the
// Scope; where the words fit it better than whatever can be used, they are refused. Custom fields and
// their options have IDs without a form of their own, so a key or value that is not there is an error.
// An option is called by its value or its label but for case, spaces, and _ or - where there is a space
// between letters; one that is the value of one and the label of another is ambiguous.
//
// Words of more than 300 characters name nothing.
//
// The error is an *UnresolvedError, or a *LookupError when Heffl could not be asked.
func (w *Workspace) Resolve(ctx context.Context, kind Kind, words string, s Scope) (Match, error) {
	if tooLong(words) {
		return Match{}, &UnresolvedError{Kind: kind, Input: beginning(words)}
	}
	exact := clean(words)
	of := KindOfID(exact)
	if of == Deal && kind != Deal && strings.HasPrefix(exact, "deal_") {
		of = "" // a word like any other: that prefix is not one of the documented ones
	}
	isID := of != "" && kind.hasIDs()
	if isID && kind.takes(of) {
		return w.resolveID(ctx, kind, Match{Input: words, ID: exact, How: howID}, s)
	}
	if !kind.hasIDs() {
		if m, ok := w.resolveKey(ctx, kind, words, exact, s); ok {
			return m, nil
		}
	}
	var m Match
	var err error
	switch q := newQuery(words); {
	case isID:
		m, err = w.findLikeID(ctx, kind, of, q, s)
	case kind.isLive():
		m, err = w.findLive(ctx, kind, q)
	default:
		m, err = w.findListed(ctx, kind, q, s)
	}
	if _, decided := errors.AsType[*UnresolvedError](err); err != nil && !decided {
		return Match{}, &LookupError{Kind: kind, Err: err}
	}
	return m, err
}

// maxWords is the longest name that is looked for, in characters as they are compared.
const maxWords = 300

// tooLong reports whether nothing can have so long a name. That costs little, however long it is.
func tooLong(words string) bool {
	return len(words) > maxWords*utf8.UTFMax || utf8.RuneCountInString(norm.NFKC.String(words)) > maxWords
}

// beginning is what is told of words that are too long.
func beginning(words string) string {
	const enough = 100 // characters
	n := 0
	for i := range words {
		if n++; n > enough {
			return words[:i] + "…"
		}
	}
	return words
}

// findLikeID finds what is called, letter for letter, like the ID of another kind: a tag "cs_team".
// Of what is searched for in Heffl, such words are no name.
func (w *Workspace) findLikeID(ctx context.Context, kind, of Kind, q *query, s Scope) (Match, error) {
	if !kind.isLive() {
		q.exactly = true
		m, err := w.findListed(ctx, kind, q, s)
		e, decided := errors.AsType[*UnresolvedError](err)
		if !decided || e.Matches > 0 || e.Elsewhere != nil {
			return m, err
		}
	}
	return Match{}, &UnresolvedError{Kind: kind, Input: q.input, IDOf: of}
}

// resolveKey finds the custom field that has a text as its key, or the option that has it as its value, to the letter.
// Most are given so. Where it is not ok, there may be more to say.
func (w *Workspace) resolveKey(ctx context.Context, kind Kind, words, exact string, s Scope) (Match, bool) {
	v, err := w.view(ctx, kind, s, w.ttl)
	if err != nil || v.lacks != nil {
		return Match{}, false
	}
	is := func(r record) bool { return r.id == exact }
	if kind == FieldOption { // as [query.matchOption] has it
		is = func(r record) bool { return r.names[0].exact == words || r.names[1].exact == words }
	}
	i := slices.IndexFunc(v.records, is)
	if i < 0 || kind == FieldOption && (slices.ContainsFunc(v.records[i+1:], is) || v.records[i].names[0].exact != words) {
		return Match{}, false
	}
	r := &v.records[i]
	return Match{Input: words, ID: r.id, Name: r.name, How: howID}, r.misfit == ""
}

// resolveID takes an ID at its word, but for what is known already: its name, and that a stage is
// of another pipeline.
func (w *Workspace) resolveID(ctx context.Context, kind Kind, m Match, s Scope) (Match, error) {
	r, among := w.keptRecord(ctx, kind, m.ID, s)
	if r == nil {
		return m, nil
	}
	m.Name = r.name
	if r.misfit == OtherPipeline {
		alike := newQuery(r.name).nearest(kind, among)
		return Match{}, &UnresolvedError{Kind: kind, Input: m.Input, Candidates: alike, Elsewhere: &Elsewhere{m, r.misfit, r.where}}
	}
	return m, nil
}

// keptRecord is that of an ID, and those it is among, if it can be had without asking Heffl and is not too old.
func (w *Workspace) keptRecord(ctx context.Context, kind Kind, id string, s Scope) (r *record, among []record) {
	in := func(v view, err error) bool {
		i := slices.IndexFunc(v.records, func(r record) bool { return r.id == id })
		if err != nil || i < 0 || v.at.Before(w.now().Add(-w.ttl)) {
			return false
		}
		r, among = &v.records[i], v.records
		return true
	}
	if !kind.isLive() {
		in(w.view(ctx, kind, s, asKept))
		return r, among
	}
	for _, l := range w.finders(kind) {
		if in(l.view(ctx, asKept)) {
			break
		}
	}
	return r, among
}

// view is what a name of some kind can stand for.
type view struct {
	records []record
	partial bool
	at      time.Time
	lacks   *UnresolvedError // the Scope is not there; nil: it is
}

// findListed looks in the lists that are kept. Before it fails, it reads them again.
func (w *Workspace) findListed(ctx context.Context, kind Kind, q *query, s Scope) (Match, error) {
	var failed *UnresolvedError
	for _, maxAge := range w.ages() {
		v, err := w.view(ctx, kind, s, maxAge)
		if err != nil {
			return Match{}, err
		}
		if failed = v.lacks; failed != nil {
			continue
		}
		found := q.decide(kind, v.records, v.partial)
		if failed = found.failed; failed == nil {
			return found.match, nil
		}
	}
	if kind == CustomField && s.fields().entity == ofDeals && failed.Kind == kind && !failed.Ambiguous && !failed.Partial {
		failed.Elsewhere = w.fieldElsewhere(ctx, q, s)
	}
	return Match{}, failed
}

// ages are how old a list may be, in turn: before it refuses anything, it is read again.
func (w *Workspace) ages() []time.Duration { return []time.Duration{w.ttl, missAge} }

// view is what is kept of a kind, no older than maxAge.
func (w *Workspace) view(ctx context.Context, kind Kind, s Scope, maxAge time.Duration) (view, error) {
	switch kind {
	case Pipeline:
		return w.pipelines.view(ctx, maxAge)
	case User:
		return w.users.view(ctx, maxAge)
	case Source:
		return w.sources.view(ctx, maxAge)
	case Tag:
		return w.tags.view(ctx, maxAge)
	case Product:
		return w.products.view(ctx, maxAge)
	case Stage:
		return w.stagesIn(ctx, s.Pipeline, maxAge)
	case CustomField:
		return w.fieldsOf(s.fields()).view(ctx, maxAge)
	case FieldOption:
		return w.options(ctx, s, maxAge)
	case Client, Contact, Company, Lead, Deal:
		return viewAll(ctx, w.finders(kind), maxAge)
	}
	return view{}, errors.New("there is no such kind")
}

func (w *Workspace) stagesIn(ctx context.Context, within string, maxAge time.Duration) (view, error) {
	l, pipelines, err := w.pipelines.get(ctx, maxAge)
	v := view{partial: l.Partial, at: l.At}
	i := slices.IndexFunc(l.Items, func(p heffl.Pipeline) bool { return p.ID == within })
	switch {
	case within == "" || l.At.IsZero(): // nothing was read, so nothing is lacking
		v.records = stagesOf(pipelines, within)
	case i < 0:
		v.records = stagesOf(pipelines, within)
		v.lacks = lacking(Pipeline, within, pipelines, l.Partial)
	default:
		v.records = w.stages.of(pipelines, within)
		v.partial = l.Items[i].Stages == nil // what else there is does not count
	}
	return v, err
}

// stageViews keep what stages names can stand for in each pipeline of one reading of the list: it is more than a call
// should have to make anew.
type stageViews struct {
	mu   sync.Mutex
	list *record // the first of that reading's
	kept map[string][]record
}

// of is the stages as seen from one of the pipelines.
func (s *stageViews) of(pipelines []record, within string) []record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if list := &pipelines[0]; list != s.list {
		s.list, s.kept = list, map[string][]record{}
	}
	records, ok := s.kept[within]
	if !ok {
		if len(s.kept) >= maxStageViews {
			clear(s.kept)
		}
		records = stagesOf(pipelines, within)
		s.kept[within] = records
	}
	return records
}

// maxStageViews bounds how many are kept: each has the stages of all pipelines.
const maxStageViews = 16

func (w *Workspace) options(ctx context.Context, s Scope, maxAge time.Duration) (view, error) {
	l, fields, err := w.fieldsOf(s.fields()).get(ctx, maxAge)
	v := view{at: l.At}
	if i := slices.IndexFunc(l.Items, func(f Field) bool { return f.Key == s.Field }); i < 0 {
		v.lacks = lacking(CustomField, s.Field, fields, l.Partial)
	} else {
		v.records = fields[i].options
	}
	return v, err
}

// Candidates are the first things of a kind that can be used, at most five and in Heffl's order: for
// saying what there is where a name is missing. Stages are in the order of their positions, and tags are
// those of deals. There are none of kinds that are searched for in Heffl: of those, five say nothing.
//
// The error is a *LookupError, or an *UnresolvedError of what the Scope names and is not there.
func (w *Workspace) Candidates(ctx context.Context, kind Kind, s Scope) ([]Candidate, error) {
	if kind.isLive() {
		return nil, nil
	}
	var v view
	for _, maxAge := range w.ages() {
		var err error
		if v, err = w.view(ctx, kind, s, maxAge); err != nil {
			return nil, &LookupError{Kind: kind, Err: err}
		}
		if v.lacks == nil {
			return newQuery("").nearest(kind, v.records), nil // to no words all are equally near
		}
	}
	return nil, v.lacks
}

func lacking(kind Kind, id string, records []record, partial bool) *UnresolvedError {
	e := &UnresolvedError{Kind: kind, Input: beginning(id), Partial: partial}
	if !tooLong(id) {
		e.Input, e.Candidates = id, newQuery(id).nearest(kind, records)
	}
	return e
}

// fieldElsewhere is the custom field of another pipeline that the words name; nil if there is none,
// or if that cannot be told: it only explains what is decided.
func (w *Workspace) fieldElsewhere(ctx context.Context, q *query, s Scope) *Elsewhere {
	others, err := w.OtherFields(ctx, s.Pipeline)
	if err != nil {
		return nil
	}
	records := make([]record, len(others.Items))
	_, pipelines := w.pipelines.kept()
	for i := range others.Items {
		f := &others.Items[i]
		records[i] = fieldRecord(f)
		records[i].misfit, records[i].where = OtherPipeline, f.Pipeline
		if at := slices.IndexFunc(pipelines, func(r record) bool { return r.id == f.Pipeline }); at >= 0 {
			records[i].where = pipelines[at].name
		}
	}
	return q.decide(CustomField, records, false).failed.Elsewhere
}
