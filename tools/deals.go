package tools

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode"

	"heffl-mcp/heffl"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// aDeal is the kind of what create_deal makes.
var aDeal = thing{"deal", "deals", []fact{
	{"number", "number "}, {"title", ""}, {"price", "value "}, {"status", ""}, {"stage", "stage "}, {"ownerName", "owner "},
}}

// dealLookout finds the deal that a send of body has made: by its title, client and pipeline.
func (c *call) dealLookout(body object) lookout {
	title, _ := body.str("title")
	return lookout{
		thing: aDeal, body: body, search: strings.TrimSpace(title),
		list: func(ctx context.Context, search, cursor string) (*heffl.Page, error) {
			return c.Heffl.ListDeals(ctx, heffl.DealQuery{Search: search, OrderBy: "createdAt", OrderDir: "desc", PageSize: 50, Cursor: cursor})
		},
		like: func(deal object) bool {
			return !slices.ContainsFunc([]string{"title", "clientId", "pipelineId"}, func(name string) bool {
				sent, _ := body.str(name)
				is, ok := deal.str(name)
				return !ok || oneSpaced(sent) != oneSpaced(is)
			})
		},
	}
}

// lookAlike stops a first send where a deal is there that looks like it.
func (c *call) lookAlike(ctx context.Context, wanted outline) error {
	if c.SkipDuplicateCheck {
		return nil
	}
	deal, err := c.dealLike(ctx, wanted)
	if err != nil {
		return aDeal.unchecked(err)
	}
	if deal != nil {
		return aDeal.alike(deal, "that looks the same")
	}
	return nil
}

// An outline is what a deal is told from others by.
type outline struct{ title, client, pipeline string }

// outlineOf is that of a deal, or of arguments for one.
func outlineOf(deal object) (o outline) {
	o.title, _ = deal.str("title")
	o.client, _ = deal.str("clientId")
	o.pipeline, _ = deal.str("pipelineId")
	return o
}

// dealLike is a deal that looks like what is wanted: ACTIVE, of the same client and pipeline, with the same
// title but for case, spaces and punctuation. It is nil where there is none, so far as was looked.
func (c *call) dealLike(ctx context.Context, wanted outline) (object, error) {
	q := heffl.DealQuery{Search: cut(longestWord(wanted.title), maxSearch), OrderBy: "createdAt", OrderDir: "desc", PageSize: 100}
	page, err := c.Heffl.ListDeals(ctx, q)
	if err == nil && page.Next != "" { // a common word: the title itself is rarer
		q.Search = cut(strings.TrimSpace(wanted.title), maxSearch)
		page, err = c.Heffl.ListDeals(ctx, q)
	}
	for looked := 0; ; page, err = c.Heffl.ListDeals(ctx, q) {
		if err != nil {
			return nil, err
		}
		for _, raw := range page.Items {
			if deal := parse(raw); wanted.isLike(deal) {
				return deal, nil
			}
		}
		if looked++; page.Next == "" {
			return nil, nil
		}
		if looked == maxPages {
			c.notes = append(c.notes, "There are more deals of such a title than were looked through for one that looks the same")
			return nil, nil
		}
		q.Cursor = page.Next
	}
}

// isLike reports whether a deal looks like what is to be made.
func (o outline) isLike(deal object) bool {
	is := outlineOf(deal)
	status, _ := deal.str("status")
	return is.client == o.client && is.pipeline == o.pipeline && status == "ACTIVE" && foldTitle(is.title) == foldTitle(o.title)
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
