package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"heffl-mcp/heffl"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	// maxSearch bounds the text of a search, in characters: it travels in a URL.
	maxSearch = 100
	// maxPages bounds how many pages of a list one look reads. A look that would need more decides
	// nothing.
	maxPages = 5
	// clockSlack is how far two clocks may differ once their difference is taken off: Date has whole seconds.
	clockSlack = 2 * time.Second
	// indexLag is how far the search may lag behind the deals.
	indexLag = time.Minute
)

// errMorePages says that a list was longer than is read.
var errMorePages = errors.New("Heffl has more deals than one look reads")

// findDeal finds the deal that a send of body made at since or later: by its title, and, because a search
// index can lag behind the data, among the newest deals too. A deal that another intent owns is
// never it. Of several, it is the oldest. A deal with the title, client and pipeline that were
// sent, but something else that was not, is near: Heffl may have changed it, or it is another.
func (c *call) findDeal(ctx context.Context, body object, since time.Time, owned func([]string) (map[string]string, error)) (*found, error) {
	title, _ := body.str("title")
	var near *found
	for _, q := range []heffl.DealQuery{{Search: cut(strings.TrimSpace(title), maxSearch), PageSize: 50}, {PageSize: 50}} {
		q.OrderBy, q.OrderDir = "createdAt", "desc"
		like, back, err := c.newest(ctx, q, since, func(deal object) bool { return sameDeal(body, deal) })
		if err != nil {
			return nil, err
		}
		if q.Search == "" {
			since = latest(since, time.Now().Add(-indexLag)) // what is older, the search has shown
		}
		if back.After(since) {
			return nil, errMorePages
		}
		ids := make([]string, len(like))
		for i, deal := range like {
			ids[i], _ = deal.str("id")
		}
		taken, err := owned(ids)
		if err != nil {
			return nil, err
		}
		for i, deal := range slices.Backward(like) {
			if _, ok := taken[ids[i]]; ok || ids[i] == "" {
				continue
			}
			f := &found{id: ids[i], object: deal.JSON()}
			if differing := differs(body, deal); len(differing) > 0 {
				f.near = nearlyMade(deal, differing)
				near = f
				continue
			}
			return f, nil
		}
	}
	return near, nil
}

// newest reads a list from its newest deal back to since, as far as one look goes, and keeps what
// fits. It says how far it got.
func (c *call) newest(ctx context.Context, q heffl.DealQuery, since time.Time, fits func(object) bool) (kept []object, back time.Time, err error) {
	back = time.Now() // until a deal says how old it is
	for range maxPages {
		page, err := c.Heffl.ListDeals(ctx, q)
		if err != nil {
			return nil, back, err
		}
		for _, raw := range page.Items {
			deal := parse(raw)
			made, ok := deal.time("createdAt")
			if ok {
				back = made.Add(clockSlack - page.Clock)
			}
			if ok && back.Before(since) {
				return kept, since, nil
			}
			if fits(deal) {
				kept = append(kept, deal)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return kept, since, nil
		}
	}
	return kept, back, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sameDeal reports whether a deal has the title, but for white space, the client and the pipeline of
// body.
func sameDeal(body, deal object) bool {
	for _, name := range []string{"title", "clientId", "pipelineId"} {
		sent, _ := body.str(name)
		is, ok := deal.str(name)
		if !ok || strings.Join(strings.Fields(sent), " ") != strings.Join(strings.Fields(is), " ") {
			return false
		}
	}
	return true
}

// differs are the properties but the title that a deal has otherwise than body.
func differs(body, deal object) []string {
	_, differing := compareEcho(slices.DeleteFunc(slices.Clone(body), func(m member) bool { return m.name == "title" }), deal)
	return differing
}

// nearlyMade says of a deal that it may be what an earlier send made.
func nearlyMade(deal object, differing []string) error {
	id, _ := deal.str("id")
	return &failure{
		outcome: lookAlike,
		meta:    map[string]any{"lookAlike": deal.JSON()},
		text: "an earlier call sent this and got no answer. The deal " + facts(deal, id) + " is there since, but differs: " + strings.Join(differing, "; ") +
			". If it is that deal, you are done: use it. If it is another one, call again with allowDuplicate: true.",
	}
}

// lookAlike stops a first send where a deal is there that looks like it.
func (c *call) lookAlike(ctx context.Context, args DealArgs) error {
	if c.SkipDuplicateCheck {
		return nil
	}
	deal, err := c.dealLike(ctx, args)
	if err != nil {
		return unchecked(err)
	}
	if deal != nil {
		return lookAlikeFound(deal)
	}
	return nil
}

// dealLike is a deal that looks like args: ACTIVE, of the same client and pipeline, with the same
// title but for case, spaces and punctuation. It is nil where there is none.
func (c *call) dealLike(ctx context.Context, args DealArgs) (object, error) {
	q := heffl.DealQuery{Search: cut(longestWord(args.Title), maxSearch), OrderBy: "createdAt", OrderDir: "desc", PageSize: 100}
	page, err := c.Heffl.ListDeals(ctx, q)
	if err == nil && page.Next != "" { // a common word: the title itself is rarer
		q.Search = cut(strings.TrimSpace(args.Title), maxSearch)
		page, err = c.Heffl.ListDeals(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	for _, raw := range page.Items {
		deal := parse(raw)
		title, _ := deal.str("title")
		client, _ := deal.str("clientId")
		pipeline, _ := deal.str("pipelineId")
		status, _ := deal.str("status")
		if client == args.ClientID && pipeline == args.PipelineID && status == "ACTIVE" && foldTitle(title) == foldTitle(args.Title) {
			return deal, nil
		}
	}
	return nil, nil
}

// unchecked stops a first send of which it could not be found out whether it would be a second one.
func unchecked(err error) error {
	f := *explain(err)
	f.text = "nothing was sent, because it could not be looked up whether such a deal is there already: " + f.text
	return &f
}

// facts name a deal so that a person can tell it from another.
func facts(deal object, id string) string {
	s := dealInWords(deal, id)
	if at, ok := deal.time("createdAt"); ok {
		s += ", created " + at.UTC().Format(time.RFC3339)
	}
	return s
}

func lookAlikeFound(deal object) error {
	id, _ := deal.str("id")
	return &failure{
		outcome: lookAlike,
		meta:    map[string]any{"lookAlike": deal.JSON()},
		text: "nothing was sent, because a deal that looks the same is there: " + facts(deal, id) + ". " +
			"If this is that deal, you are done: use it. If the user wants another one, call again with allowDuplicate: true.",
	}
}

// foldTitle drops what two people write differently in one title.
func foldTitle(title string) string {
	s := cases.Fold().String(norm.NFKC.String(title))
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) || unicode.IsSymbol(r) {
			return r
		}
		return -1
	}, s)
	return cmp.Or(s, title) // nothing but punctuation
}

// longestWord is what to search a title by: it is in every spelling that folds to the same.
func longestWord(title string) string {
	longest := ""
	for _, w := range strings.FieldsFunc(title, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) }) {
		if len(w) > len(longest) {
			longest = w
		}
	}
	if longest == "" {
		return title
	}
	return longest
}

// cut is the first n characters of s.
func cut(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}

// str is a member that is a string.
func (o object) str(name string) (string, bool) {
	v, ok := o.get(name)
	if !ok || len(v) == 0 || v[0] != '"' {
		return "", false
	}
	var s string
	return s, json.Unmarshal(v, &s) == nil
}

// time is a member that is an RFC 3339 date-time.
func (o object) time(name string) (time.Time, bool) {
	s, _ := o.str(name)
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}
