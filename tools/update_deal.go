package tools

import (
	"context"
	"encoding/json"
	"strings"

	"heffl-mcp/heffl"

	"github.com/go-json-experiment/json/jsontext"
)

// update_deal: PATCH /deals/{id}, https://docs.heffl.com/api-v2/agent-workflows
var updateDeal = tool{
	Name:  "update_deal",
	Title: "Change a deal",
	About: "Change one deal; what is left out stays. A stage of type WON or LOST closes it. Names work as IDs. " +
		"Custom fields are further properties, by key (cf_*) or label.",
	Effect: Changes,
	Args:   of[UpdateDealArgs](),
	Result: of[DealResult](),
	Entity: "deals",
	Run:    typed(runUpdateDeal),
}

// UpdateDealArgs is which deal is to change, and the body of PATCH /deals/{id} under Heffl's own
// names, with words for IDs. Documented of that body are stageId, status and custom fields; the rest
// is as in POST /deals, so far as it is one value: whether a list would replace the one before is
// not documented.
type UpdateDealArgs struct {
	DealID            string                    `json:"dealId" names:"deal" jsonschema_extras:"x-visible=true,x-aka=deal id dealNumber number dealTitle" jsonschema_description:"ID, number or title"`
	Title             string                    `json:"title,omitempty" jsonschema_extras:"x-visible=true,x-aka=name newTitle subject"`
	StageID           string                    `json:"stageId,omitempty" names:"stage" jsonschema_extras:"x-visible=true,x-aka=stage stageName dealStage pipelineStage" jsonschema_description:"Of its pipeline: name or ID"`
	Status            string                    `json:"status,omitempty" jsonschema:"enum=ACTIVE,enum=WON,enum=LOST" jsonschema_extras:"x-aka=state dealStatus"`
	OwnerUserID       string                    `json:"ownerUserId,omitempty" names:"user" jsonschema_extras:"x-visible=true,x-aka=owner ownerId ownerName user userId salesperson" jsonschema_description:"Name, e-mail or ID"`
	Price             json.Number               `json:"price,omitempty" jsonschema_extras:"x-aka=amount value dealValue dealAmount total revenue"`
	ExpectedCloseDate string                    `json:"expectedCloseDate,omitempty" jsonschema:"format=date-time" jsonschema_extras:"x-aka=closeDate closingDate expectedClose expectedCloseAt dueDate"`
	Priority          string                    `json:"priority,omitempty" jsonschema:"enum=LOW,enum=MEDIUM,enum=HIGH" jsonschema_extras:"x-aka=importance urgency"`
	Custom            map[string]jsontext.Value `json:",embed" jsonschema:"-" keys:"^cf_"`
}

// changed is how an update ends whose answer came.
const changed = "changed"

func runUpdateDeal(ctx context.Context, c *call, args UpdateDealArgs) (*answer, error) {
	sent := c.body().without("dealId")
	if len(sent) == 0 {
		return nil, refusal(nil, []string{"nothing to change: give title, stageId, status, ownerUserId, price, expectedCloseDate, priority or a custom field (cf_*)"}, c.repairs)
	}
	deal, how, err := c.change(ctx, args.DealID, sent)
	if err != nil {
		return nil, err
	}
	return changeAnswer(c.deal, sent, deal, how), nil
}

// maxChanges bounds how often one call sends a change of which it is not known whether it was done.
const maxChanges = 2

// change changes a deal. The same change twice ends as once, so where no answer tells what became
// of it, the deal itself does: it is read back, and the change is sent once more if it is not there.
func (c *call) change(ctx context.Context, id string, sent object) (deal object, how string, err error) {
	body := sent.JSON()
	u := &unanswered{sent: sent}
	for range maxChanges {
		r, effect, err := c.patch(ctx, id, body)
		if err == nil {
			return parse(answeredObject(r.Object())), changed, nil
		}
		if effect == heffl.EffectNone && u.lost == nil {
			return nil, "", err
		}
		u.lost = append(u.lost, err)
		u.done = u.done || effect == heffl.EffectDone
		u.deal, u.err = c.readDeal(ctx, id)
		if u.err == nil && u.has() {
			return u.deal, recovered, nil
		}
		if effect == heffl.EffectNone || ctx.Err() != nil {
			break // once more would end the same
		}
	}
	if u.done && u.err == nil { // Heffl has made of it what it is
		return u.deal, recovered, nil
	}
	return nil, "", u.failure()
}

// patch sends a change, as often as it takes until it has left.
func (c *call) patch(ctx context.Context, id string, body json.RawMessage) (*heffl.Response, heffl.Effect, error) {
	pause := newPause()
	for {
		if err := c.Heffl.Ready(ctx); err != nil {
			return nil, heffl.EffectNone, err
		}
		r, err := c.Heffl.UpdateDeal(ctx, id, body)
		effect := heffl.EffectOf(err)
		if effect != heffl.EffectNone {
			return r, effect, err
		}
		again, wait := sendAgain(err, pause)
		if !again || !within(ctx, wait) {
			return nil, effect, err
		}
		c.tell(wait)
		if err := sleep(ctx, wait); err != nil {
			return nil, effect, err
		}
	}
}

// readDeal reads a deal as it is now.
func (c *call) readDeal(ctx context.Context, id string) (object, error) {
	r, err := c.Heffl.GetDeal(ctx, id)
	if err != nil {
		return nil, err
	}
	return parse(answeredObject(r.Object())), nil
}

// unanswered is a change that was sent and got no answer that is of use.
type unanswered struct {
	sent object
	lost []error // what came in place of an answer, each time
	done bool    // it has been carried out all the same
	deal object  // as it was read back; nil: it could not be
	err  error   // why
}

// has reports whether the deal has all that was sent.
func (u *unanswered) has() bool {
	unconfirmed, differing := compareEcho(u.sent, u.deal)
	return len(unconfirmed)+len(differing) == 0
}

func (u *unanswered) failure() *failure {
	reasons := make([]string, len(u.lost))
	for i, err := range u.lost {
		reasons[i] = reason(err)
	}
	why := strings.Join(reasons, "; sent again: ")
	f := &failure{outcome: unsettled, cause: u.lost[len(u.lost)-1]}
	if u.done {
		f.text = "Heffl has carried out the change, but its answer is of no use (" + why + ")."
	} else {
		f.text = "the change was sent, and whether Heffl has carried it out is not known (" + why + ")."
	}
	if u.err != nil {
		f.text += " The deal could not be read back (" + reason(u.err) + ")."
	} else {
		unconfirmed, differing := compareEcho(u.sent, u.deal)
		for _, name := range unconfirmed {
			differing = append(differing, name+" not told")
		}
		f.text += " Read back, the deal is not as sent: " + strings.Join(differing, "; ") + "."
	}
	f.text += " The same call again is safe."
	return f
}

// changeAnswer says what has become of a deal, and what it was before.
func changeAnswer(before, sent, deal object, how string) *answer {
	id, _ := deal.str("id")
	a := &answer{id: id, structured: deal.JSON(), outcome: how, meta: map[string]any{}}
	if how == recovered {
		a.text = "Heffl's answer was lost; this is the deal as it was read after that. "
		a.meta[ours+recovered] = true
	}
	unconfirmed, differing := compareEcho(sent, deal)
	words := aDeal.inWords(deal, id)
	switch made := changes(before, sent, deal); {
	case len(made) > 0:
		a.text += "Changed the deal " + words + ": " + strings.Join(made, ", ") + "."
	case len(unconfirmed)+len(differing) == 0:
		a.text += "Nothing changed: the deal " + words + " was like that before."
	default:
		a.text += "Heffl took the change of the deal " + words + "."
	}
	a.confirm(unconfirmed, differing)
	return a
}

// changes are what a deal has otherwise than before, and what was sent that it was not known to
// have: a stage can bring another status along.
func changes(before, sent, after object) []string {
	properties := [][]string{ // each by the names of its members, as people know it first, as it is sent last
		{"title"}, {"stage", "stageId"}, {"status"}, {"ownerName", "ownerUserId"}, {"price"}, {"expectedCloseDate"}, {"priority"},
	}
	for _, m := range sent {
		if strings.HasPrefix(m.name, "cf_") {
			properties = append(properties, []string{m.name})
		}
	}
	var made []string
	for _, names := range properties {
		was, told := before.first(names)
		is, ok := after.first(names)
		_, given := sent.get(names[len(names)-1])
		name := strings.TrimSuffix(names[0], "Name")
		switch {
		case !ok || told && same(was, is):
		case told:
			made = append(made, name+" "+orNone(was)+" -> "+orNone(is))
		case given:
			made = append(made, name+" is now "+orNone(is))
		}
	}
	return made
}

// first is the first of some members that has a value; null where none has, but one is there.
func (o object) first(names []string) (v json.RawMessage, ok bool) {
	for _, name := range names {
		switch m, there := o.get(name); {
		case there && string(m) != "null":
			return m, true
		case there:
			v, ok = m, true
		}
	}
	return v, ok
}

func orNone(v json.RawMessage) string {
	if string(v) == "null" {
		return "none"
	}
	return brief(v)
}
