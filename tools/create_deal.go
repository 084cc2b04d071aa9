package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"heffl-mcp/heffl"

	"github.com/go-json-experiment/json/jsontext"
)

// create_deal: POST /deals, https://docs.heffl.com/api-v2-reference/objects/create-deal
var createDeal = tool[DealArgs, DealResult]{
	Name:  "create_deal",
	Title: "Create a deal",
	About: "Open one deal in Heffl. Give only what the user said: leave out what is not known. " +
		"Custom fields are further properties named cf_*. Safe to repeat: the same call never makes two.",
	Effect: Adds,
	Run:    runCreateDeal,
}

// DealArgs is what the model sends: the body of POST /deals under Heffl's own names, and
// allowDuplicate, which is for this server and is not sent. What the reference leaves open
// (defaults, whether price follows products) is left to Heffl.
type DealArgs struct {
	Title             string                    `json:"title" jsonschema:"pattern=\\S" jsonschema_extras:"x-aka=name dealName dealTitle subject" jsonschema_description:"What is being sold, in the user's words"`
	ClientID          string                    `json:"clientId" jsonschema:"pattern=^clt_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with clt_,x-aka=client company companyId contact contactId customer customerId account accountId organization" jsonschema_description:"Contact or company, clt_..."`
	PipelineID        string                    `json:"pipelineId" jsonschema:"pattern=^dpl_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with dpl_,x-aka=pipeline pipelineName" jsonschema_description:"Pipeline, dpl_..."`
	StageID           *string                   `json:"stageId,omitempty" jsonschema:"pattern=^dps_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with dps_,x-nullable=true,x-aka=stage stageName dealStage pipelineStage" jsonschema_description:"Stage of that pipeline, dps_...; else its first active one"`
	LeadID            string                    `json:"leadId,omitempty" jsonschema:"pattern=^ld_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with ld_,x-aka=lead" jsonschema_description:"Lead it comes from, ld_..."`
	SourceID          string                    `json:"sourceId,omitempty" jsonschema:"pattern=^src_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with src_,x-aka=source crmSourceId leadSource" jsonschema_description:"CRM source, src_..."`
	OwnerUserID       string                    `json:"ownerUserId,omitempty" jsonschema:"pattern=^usr_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with usr_,x-aka=owner ownerId ownerName user userId salesperson" jsonschema_description:"User who owns it, usr_..."`
	Price             json.Number               `json:"price,omitempty" jsonschema_extras:"x-aka=amount value dealValue dealAmount total revenue" jsonschema_description:"Value of the deal, a plain number"`
	ExpectedCloseDate string                    `json:"expectedCloseDate,omitempty" jsonschema:"format=date-time" jsonschema_extras:"x-aka=closeDate closingDate expectedClose expectedCloseAt dueDate" jsonschema_description:"RFC 3339, e.g. 2026-06-30T00:00:00Z"`
	Priority          string                    `json:"priority,omitempty" jsonschema:"enum=LOW,enum=MEDIUM,enum=HIGH" jsonschema_extras:"x-aka=importance urgency"`
	Status            string                    `json:"status,omitempty" jsonschema:"enum=ACTIVE,enum=WON,enum=LOST" jsonschema_extras:"x-aka=state dealStatus"`
	Currency          string                    `json:"currency,omitempty" jsonschema:"pattern=^[A-Z]{3}$" jsonschema_extras:"x-form=three capital letters,x-aka=currencyCode" jsonschema_description:"ISO 4217, e.g. USD; only if the user named one"`
	IsInclusiveTax    *bool                     `json:"isInclusiveTax,omitempty" jsonschema_extras:"x-aka=inclusiveTax taxInclusive includesTax" jsonschema_description:"Line prices include tax"`
	Assignees         []string                  `json:"assignees,omitempty" jsonschema:"pattern=^usr_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with usr_,x-aka=assignee assigneeIds assignedTo" jsonschema_description:"Users who work on it, usr_..."`
	Contacts          []string                  `json:"contacts,omitempty" jsonschema:"pattern=^clt_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with clt_,x-aka=contactIds people" jsonschema_description:"Contact people, clt_..."`
	Tags              []string                  `json:"tags,omitempty" jsonschema:"pattern=^tag_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with tag_,x-aka=tag tagIds labels" jsonschema_description:"Tags of deals, tag_..."`
	Products          []LineItem                `json:"products,omitempty" jsonschema_extras:"x-aka=lineItems items services product quotationProducts" jsonschema_description:"Line items"`
	AllowDuplicate    bool                      `json:"allowDuplicate,omitempty" jsonschema_extras:"x-aka=force duplicate ignoreDuplicates" jsonschema_description:"Make another, though one like it exists; only if the user wants two"`
	Custom            map[string]jsontext.Value `json:",embed" jsonschema:"-" keys:"^cf_"`
}

// LineItem is one row of products. Whether tax and discount are percents or amounts is not
// documented; a minimum is, without its value, so that only what no minimum allows is refused.
type LineItem struct {
	Name        string      `json:"name" jsonschema:"pattern=\\S" jsonschema_extras:"x-aka=title productName"`
	Quantity    json.Number `json:"quantity" jsonschema:"minimum=0" jsonschema_extras:"x-aka=qty count units seats"`
	Price       json.Number `json:"price" jsonschema:"minimum=0" jsonschema_extras:"x-aka=unitPrice amount rate cost" jsonschema_description:"Unit price"`
	ProductID   string      `json:"productId,omitempty" jsonschema:"pattern=^prd_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with prd_,x-aka=product sku" jsonschema_description:"prd_..."`
	Description string      `json:"description,omitempty" jsonschema_extras:"x-aka=notes details"`
	Tax         json.Number `json:"tax,omitempty" jsonschema:"minimum=0" jsonschema_extras:"x-aka=vat taxRate"`
	TaxRateID   string      `json:"taxRateId,omitempty" jsonschema:"pattern=^txr_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with txr_" jsonschema_description:"txr_..."`
	Discount    json.Number `json:"discount,omitempty" jsonschema:"minimum=0"`
}

// DealResult is the deal as Heffl answers. Only id is held to be there: an answer that lacks or
// adds a member is still the answer. Currency, tax flag, assignees, contacts, tags and products
// are not among the documented members.
type DealResult struct {
	ID                string      `json:"id"`
	Number            string      `json:"number,omitempty"`
	Title             string      `json:"title,omitempty"`
	ContactEmails     []string    `json:"contactEmails,omitempty"`
	ClientID          string      `json:"clientId,omitempty" jsonschema_extras:"x-nullable=true"`
	Price             json.Number `json:"price,omitempty" jsonschema_extras:"x-nullable=true"`
	ExpectedCloseDate string      `json:"expectedCloseDate,omitempty" jsonschema_extras:"x-nullable=true"`
	Status            string      `json:"status,omitempty" jsonschema_extras:"x-nullable=true"`
	Priority          string      `json:"priority,omitempty" jsonschema_extras:"x-nullable=true"`
	PipelineID        string      `json:"pipelineId,omitempty" jsonschema_extras:"x-nullable=true"`
	StageID           string      `json:"stageId,omitempty" jsonschema_extras:"x-nullable=true"`
	Stage             string      `json:"stage,omitempty" jsonschema_extras:"x-nullable=true"`
	LeadID            string      `json:"leadId,omitempty" jsonschema_extras:"x-nullable=true"`
	CRMSourceID       string      `json:"crmSourceId,omitempty" jsonschema_extras:"x-nullable=true"`
	Source            string      `json:"source,omitempty" jsonschema_extras:"x-nullable=true"`
	OwnerUserID       string      `json:"ownerUserId,omitempty" jsonschema_extras:"x-nullable=true"`
	OwnerName         string      `json:"ownerName,omitempty" jsonschema_extras:"x-nullable=true"`
	CreatedAt         string      `json:"createdAt,omitempty" jsonschema_extras:"x-nullable=true"`
}

func runCreateDeal(ctx context.Context, c *call, args DealArgs) (*answer, error) {
	given := parse(c.raw).without("allowDuplicate")
	body := given.JSON()
	made, how, err := c.once(ctx, write{
		action:  "create_deal",
		args:    body,
		body:    body,
		match:   []string{foldTitle(args.Title), args.ClientID, args.PipelineID},
		about:   map[string]string{"title": args.Title, "clientId": args.ClientID, "pipelineId": args.PipelineID},
		another: args.AllowDuplicate,
		before:  func(ctx context.Context) error { return c.lookAlike(ctx, args) },
		send:    func(ctx context.Context) (*heffl.Response, error) { return c.Heffl.CreateDeal(ctx, body) },
		look: func(ctx context.Context, since time.Time, owned func([]string) (map[string]string, error)) (*found, error) {
			return c.findDeal(ctx, given, since, owned)
		},
	})
	if err != nil {
		return nil, err
	}
	return dealAnswer(given, made, how), nil
}

// dealAnswer says what became of a deal, and what of it Heffl did not confirm.
func dealAnswer(sent object, made *found, how string) *answer {
	made.object = answeredObject(made.object)
	deal := parse(made.object)
	a := &answer{id: made.id, structured: made.object, outcome: how, meta: map[string]any{}}
	switch words := dealInWords(deal, made.id); how {
	case replayed:
		a.text = "This deal was created by an earlier call with the same arguments; nothing was sent now: " + words + "."
		a.meta[replayed] = true
	case recovered:
		a.text = "This deal was created by an earlier request that got no answer, and has now been found; no second one was made: " + words + "."
		a.meta[recovered] = true
	default:
		a.text = "Created the deal " + words + "."
	}
	unconfirmed, differing := compareEcho(sent, deal)
	if len(unconfirmed) > 0 {
		a.text += "\nSent, but not repeated in Heffl's answer, so not confirmed: " + strings.Join(unconfirmed, ", ") + "."
		a.meta["notConfirmed"] = unconfirmed
	}
	if len(differing) > 0 {
		a.text += "\nHeffl's answer differs from what was sent: " + strings.Join(differing, "; ") + "."
		a.meta["differs"] = differing
	}
	return a
}

// dealInWords names a deal as people recognise it: what of number, title, value, stage and owner
// the answer has.
func dealInWords(deal object, id string) string {
	var facts []string
	for _, part := range []struct{ name, before string }{
		{"number", "number "}, {"title", ""}, {"price", "value "}, {"status", ""}, {"stage", "stage "}, {"ownerName", "owner "},
	} {
		if v, ok := deal.get(part.name); ok && string(v) != "null" {
			facts = append(facts, part.before+brief(v))
		}
	}
	if len(facts) == 0 {
		return id
	}
	return fmt.Sprintf("%s (%s)", id, strings.Join(facts, ", "))
}
