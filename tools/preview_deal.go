package tools

import (
	"context"
	"fmt"

	"heffl-mcp/journal"
	"heffl-mcp/schema"
)

var previewDeal = tool{
	Name:       "preview_deal",
	Title:      "Preview a deal",
	About:      "What create_deal would send for the same arguments, how each name was understood, and a deal that looks the same. Sends nothing.",
	Effect:     ReadOnly,
	Args:       of[DealArgs](),
	Result:     of[PreviewResult](),
	Entity:     createDeal.Entity,
	Bare:       true,
	Complete:   createDeal.Complete,
	PerMessage: true,
	Run:        runPreviewDeal,
}

// PreviewResult is what create_deal would do.
type PreviewResult struct {
	Body      schema.Object   `json:"body"`                // of POST /deals
	Resolved  []schema.Object `json:"resolved,omitempty"`  // each name: path, input, id, name, how
	LookAlike schema.Object   `json:"lookAlike,omitempty"` // the deal that create_deal would stop at
	Made      string          `json:"made,omitempty"`      // the ID of the deal that create_deal would answer with, having made it before
}

func runPreviewDeal(ctx context.Context, c *call) (*answer, error) {
	body := c.body()
	a := &answer{outcome: previewed, meta: map[string]any{}}
	result := object{{"body", body.JSON()}}
	if len(c.resolved) > 0 {
		result = append(result, member{"resolved", encoded(c.resolved)})
	}
	const would = "Nothing was sent. create_deal with these arguments would send "
	if made := c.made(ctx, createDeal.Name, body); made != nil {
		result = append(result, member{"made", quoted(made.Ref)})
		a.text = fmt.Sprintf(would+"nothing either: an earlier call has made %s, which it would answer with.", made.Ref)
		if differences := otherwise(parse(sentOf(made)), body); made.Origin == c.origin && len(differences) > 0 {
			a.text += " " + madeOtherwise(differences)
		}
		a.structured = result.JSON()
		return a, nil
	}
	a.text = would + "this body."
	like, err := c.dealLike(ctx, outlineOf(body))
	switch {
	case err != nil:
		a.text += " Whether a deal that looks the same is there could not be looked up: " + explain(err).text
	case like != nil && (c.another || c.SkipDuplicateCheck):
		result = append(result, member{"lookAlike", like.JSON()})
		a.text += fmt.Sprintf(" A deal that looks the same is there: %s.", aDeal.told(like))
	case like != nil:
		result = append(result, member{"lookAlike", like.JSON()})
		a.text = fmt.Sprintf("Nothing was sent. A deal that looks the same is there: %s. create_deal would stop at it, unless allowDuplicate is true; then it would send this body.", aDeal.told(like))
	}
	a.structured = result.JSON()
	return a, nil
}

// made is what a tool has made of these arguments, letter for letter or as they are meant, or for the
// same message; nil: nothing, or a second one is wanted.
func (c *call) made(ctx context.Context, tool string, body object) *journal.Record {
	if rec := c.madeBefore(ctx, tool); rec != nil || c.Journal == nil || c.another {
		return rec
	}
	rec, ok, err := c.Journal.Same(ctx, c.Tenant, tool, fingerprint(body.JSON()))
	if c.origin != "" && (!ok || rec.Origin != c.origin) { // as Claim has it
		if of, ok, err := c.Journal.MadeOf(ctx, c.Tenant, tool, c.origin); err != nil || ok {
			return of
		}
	}
	if err != nil || !ok {
		return nil
	}
	return rec
}
