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

// maxWords is the longest name that a client is searched by, in characters.
const maxWords = 300

// accounts is a list of clients or leads, to search in and to read.
type accounts struct {
	search func(context.Context, heffl.ListQuery) (*heffl.List[heffl.Account], error)
	list   *cache[heffl.Account]
}

func (w *Workspace) accounts(kind Kind) []accounts {
	contacts := accounts{w.client.ListContacts, w.contacts}
	switch kind {
	case Contact:
		return []accounts{contacts}
	case Lead:
		return []accounts{{w.client.ListLeads, w.leads}}
	}
	return []accounts{contacts, {w.client.ListCompanies, w.companies}}
}

// findLive asks Heffl's search, and takes what that is sure to find if it looks for the words as
// they stand but for case. It may do no more than that, so for the rest, and before it fails, it
// looks through the lists.
func (w *Workspace) findLive(ctx context.Context, kind Kind, q *query, _ Scope) (Match, error) {
	failed := &UnresolvedError{Kind: kind, Input: q.input}
	if q.plain.exact == "" || utf8.RuneCountInString(q.plain.exact) > maxWords {
		return Match{}, failed
	}
	found, err := w.searchAccounts(ctx, kind, q.searchFor(kind), liveFinds)
	if err != nil {
		return Match{}, err
	}
	m, level, failed := q.decide(kind, found.records, false)
	searched := !found.partial && level == noMatch
	if !found.partial && level <= searchFinds {
		return m, asError(failed)
	}
	for _, maxAge := range []time.Duration{w.ttl, missAge} {
		all, err := w.listedAccounts(ctx, kind, maxAge)
		if err != nil {
			return Match{}, err
		}
		m, _, failed = q.decide(kind, slices.Concat(found.records, all.records), all.partial)
		if failed == nil {
			return m, nil
		}
		failed.Searched = searched
		if all.partial { // reading the same pages again decides nothing
			return Match{}, w.suggest(ctx, kind, q, failed, slices.Concat(found.records, all.records))
		}
	}
	return Match{}, failed
}

// asError keeps a nil pointer from being an error.
func asError(e *UnresolvedError) error {
	if e == nil {
		return nil
	}
	return e
}

// suggest adds what resembles the words in the pages that were not read. If that cannot be had, the
// error stays as it is.
func (w *Workspace) suggest(ctx context.Context, kind Kind, q *query, failed *UnresolvedError, records []record) error {
	part := q.fragment()
	if part == "" || failed.Matches > 0 {
		return failed
	}
	if more, err := w.searchAccounts(ctx, kind, part, 1); err == nil {
		failed.Candidates = q.nearest(kind, slices.Concat(records, more.records))
	}
	return failed
}

// searchFor is the text to search by: a part of whatever the words may match.
func (q *query) searchFor(kind Kind) string {
	switch {
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

// searchAccounts searches the lists of a kind, all at once, and reads so many pages of what each
// finds.
func (w *Workspace) searchAccounts(ctx context.Context, kind Kind, text string, pages int) (view, error) {
	return each(ctx, w.accounts(kind), func(ctx context.Context, a accounts) (view, error) {
		l, err := readAll(ctx, heffl.ListQuery{Search: text, PageSize: pageSize}, pages, a.search)
		return view{records: recordsOf(accountRecord)(l.Items), partial: l.Partial, at: w.now()}, err
	})
}

func (w *Workspace) listedAccounts(ctx context.Context, kind Kind, maxAge time.Duration) (view, error) {
	return each(ctx, w.accounts(kind), func(ctx context.Context, a accounts) (view, error) {
		return viewOf(ctx, a.list, maxAge)
	})
}

// each looks into several lists at once, and puts together what it sees.
func each(ctx context.Context, lists []accounts, look func(context.Context, accounts) (view, error)) (view, error) {
	views := make([]view, len(lists))
	g, ctx := errgroup.WithContext(ctx)
	for i, a := range lists {
		g.Go(func() (err error) {
			views[i], err = look(ctx, a)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return view{}, err
	}
	all := views[0]
	for _, v := range views[1:] {
		all.records = slices.Concat(all.records, v.records)
		all.partial = all.partial || v.partial
		if v.at.Before(all.at) {
			all.at = v.at
		}
	}
	return all, nil
}
