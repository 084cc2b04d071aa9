package workspace

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"heffl-mcp/heffl"
)

const (
	// shortAge is how long a list of one page answers for itself. It is little: what is new in it may
	// bear the name of what is not.
	shortAge = time.Minute
	// longFor is how long a list that has more pages is not tried for one that has not.
	longFor = time.Hour
)

// live is a list that is searched in Heffl, being too long and too new to be kept whole. Kept are
// its first pages.
type live[T any] struct {
	*cache[T]
	list  reader[T]
	short *cache[T] // the first page: in a small workspace, all there is
}

func newLive[T any](w *Workspace, list reader[T], record func(*T) record) *live[T] {
	return &live[T]{newCache(w, newest(list, liveLists), record), list, newCache(w, newest(list, 1), record)}
}

// ForgetClients lets the next look for a client read the lists again: there is a new one.
func (w *Workspace) ForgetClients() {
	for _, l := range []*live[heffl.Account]{w.contacts, w.companies} {
		l.cache.forget()
		l.short.forget()
	}
}

// whole is the list, no older than maxAge, where it has one page; else it is partial.
func (l *live[T]) whole(ctx context.Context, maxAge time.Duration) (view, error) {
	if kept, _ := l.short.kept(); kept.Partial && kept.At.After(l.now().Add(-longFor)) {
		return view{partial: true}, nil
	}
	return l.short.view(ctx, maxAge)
}

// search reads so many pages of what Heffl finds.
func (l *live[T]) search(ctx context.Context, text string, pages int) (view, error) {
	found, err := readAll(ctx, heffl.ListQuery{Search: text, PageSize: pageSize}, pages, l.list)
	return view{records: l.index(found.Items), partial: found.Partial}, err
}

// finder is a live list of anything.
type finder interface {
	search(ctx context.Context, text string, pages int) (view, error)
	view(ctx context.Context, maxAge time.Duration) (view, error)
	whole(ctx context.Context, maxAge time.Duration) (view, error)
}

func (w *Workspace) finders(kind Kind) []finder {
	switch kind {
	case Contact:
		return []finder{w.contacts}
	case Company:
		return []finder{w.companies}
	case Lead:
		return []finder{w.leads}
	case Deal:
		return []finder{w.deals}
	}
	return []finder{w.contacts, w.companies}
}

// findLive looks through lists that are short. Otherwise it asks Heffl's search, and takes what that
// is sure to find: names that hold the words as they stand but for case, and e-mails. What is known by
// something else, or written in another way, may be left out there, so for that, and before it fails,
// it looks through the lists.
func (w *Workspace) findLive(ctx context.Context, kind Kind, q *query) (Match, error) {
	if q.plain.exact == "" {
		return Match{}, &UnresolvedError{Kind: kind, Input: q.input}
	}
	lists := w.finders(kind)
	if m, decided, err := findShort(ctx, lists, kind, q); decided || err != nil {
		return m, err
	}
	found, err := searchAll(ctx, lists, q.searchFor(kind), liveFinds)
	if err != nil {
		return Match{}, err
	}
	v := q.decide(kind, found.records, false)
	if !found.partial && len(v.best) > 0 && !slices.ContainsFunc(v.best, func(f fit) bool { return !surelyFound(kind, f) }) {
		return v.match, asError(v.failed)
	}
	for _, maxAge := range w.ages() {
		all, err := viewAll(ctx, lists, maxAge)
		if err != nil {
			return Match{}, err
		}
		all.records = slices.Concat(found.records, all.records)
		if v = q.decide(kind, all.records, all.partial); v.failed == nil {
			return v.match, nil
		}
		if all.partial { // reading the same pages again decides nothing
			if len(v.best) == 0 {
				v.failed.Candidates = near(ctx, lists, kind, q, all)
			}
			break
		}
	}
	return Match{}, v.failed
}

// findShort decides where the lists are short enough to be read whole. Deals change too often.
func findShort(ctx context.Context, lists []finder, kind Kind, q *query) (m Match, decided bool, err error) {
	if kind == Deal {
		return Match{}, false, nil
	}
	var v verdict
	for _, maxAge := range []time.Duration{shortAge, missAge} {
		views, err := each(ctx, lists, func(ctx context.Context, l finder) (view, error) { return l.whole(ctx, maxAge) })
		all := join(views)
		if err != nil || all.partial {
			return Match{}, false, err
		}
		if v = q.decide(kind, all.records, false); v.failed == nil {
			return v.match, true, nil
		}
	}
	return Match{}, true, v.failed
}

// asError keeps a nil pointer from being an error.
func asError(e *UnresolvedError) error {
	if e == nil {
		return nil
	}
	return e
}

// near is what resembles the words: of lists that were not read to their end, also what a search
// for a part of the words finds. If that cannot be had, it is what there is.
func near[L finder](ctx context.Context, lists []L, kind Kind, q *query, all view) []Candidate {
	records := all.records
	if part := q.fragment(); all.partial && part != "" {
		if more, err := searchAll(ctx, lists, part, 1); err == nil {
			records = slices.Concat(records, more.records)
		}
	}
	return q.nearest(kind, records)
}

// searchFor is the text to search by: a part of whatever the words may match.
func (q *query) searchFor(kind Kind) string {
	switch {
	case kind == Deal: // it has no address of its own
		return q.plain.exact
	case q.email != "":
		return q.email
	case q.domain != "":
		return q.domain
	case q.phone.whole:
		return "+" + q.phone.digits
	case q.phone.digits != "":
		return q.phone.digits[len(q.phone.digits)-minPhone:]
	case kind == Contact:
		return q.plain.exact
	}
	return q.legal.bare
}

// fragment is a part of the words that may well be free of a slip: the beginning of the longest.
func (q *query) fragment() string {
	const enough = 4 // characters
	switch {
	case q.phone.digits != "":
		return ""
	case q.email != "":
		return domainOf(q.email)
	}
	words := strings.FieldsFunc(cmp.Or(q.domain, q.legal.bare), func(r rune) bool { return !inWord(r) })
	if len(words) == 0 {
		return ""
	}
	longest := []rune(slices.MaxFunc(words, func(a, b string) int { return cmp.Compare(utf8.RuneCountInString(a), utf8.RuneCountInString(b)) }))
	return string(longest[:min(len(longest), enough)])
}

// searchAll searches several lists, and reads so many pages of what each finds.
func searchAll[L finder](ctx context.Context, lists []L, text string, pages int) (view, error) {
	views, err := each(ctx, lists, func(ctx context.Context, l L) (view, error) { return l.search(ctx, text, pages) })
	return join(views), err
}

// viewAll is what is kept of several lists, no older than maxAge.
func viewAll[L finder](ctx context.Context, lists []L, maxAge time.Duration) (view, error) {
	views, err := each(ctx, lists, func(ctx context.Context, l L) (view, error) { return l.view(ctx, maxAge) })
	return join(views), err
}

// each asks a question of several things, some at once; the answers are in their order. It fails
// where one of them does.
func each[T, A any](ctx context.Context, things []T, ask func(context.Context, T) (A, error)) ([]A, error) {
	answers := make([]A, len(things))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4) // at once
	for i, t := range things {
		g.Go(func() error {
			return guarded(func() (err error) {
				answers[i], err = ask(ctx, t)
				return err
			})
		})
	}
	if err := passOn(g.Wait()); err != nil {
		return nil, err
	}
	return answers, nil
}

// join is all that is seen, as old as the oldest of it.
func join(views []view) view {
	var all view
	for i, v := range views {
		all.records = slices.Concat(all.records, v.records)
		all.partial = all.partial || v.partial
		if i == 0 || v.at.Before(all.at) {
			all.at = v.at
		}
	}
	return all
}
