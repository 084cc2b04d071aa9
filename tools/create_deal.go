package tools

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heffl-mcp/schema"
	"heffl-mcp/workspace"

	"github.com/go-json-experiment/json/jsontext"
)

// create_deal: POST /deals, https://docs.heffl.com/api-v2-reference/objects/create-deal
var createDeal = tool{
	Name:  "create_deal",
	Title: "Create a deal",
	About: "Open one deal in Heffl. Give only what the user said, in the user's own words: names, e-mails and labels become IDs, " +
		"and nothing is guessed. Custom fields are further properties, by key (cf_*) or label. Safe to repeat: the same call never makes two.",
	Effect:     Adds,
	Args:       of[DealArgs](),
	Result:     of[DealResult](),
	Entity:     "deals",
	Knows:      true,
	Complete:   fillLineItems,
	PerMessage: true,
	Run:        runCreateDeal,
}

// DealArgs is what the model sends: the body of POST /deals under Heffl's own names, with words
// for IDs, and allowDuplicate, which is for this server and is not sent. What the reference leaves
// open (defaults, whether price follows products) is left to Heffl.
type DealArgs struct {
	Title             string                    `json:"title" jsonschema_extras:"x-visible=true,x-aka=name dealName dealTitle subject" jsonschema_description:"What is being sold"`
	ClientID          string                    `json:"clientId" names:"client" jsonschema_extras:"x-visible=true,x-aka=client company companyId contact contactId customer customerId account accountId organization clientName companyName" jsonschema_description:"Contact or company: name, e-mail, domain, phone or ID"`
	PipelineID        string                    `json:"pipelineId" names:"pipeline" jsonschema_extras:"x-visible=true,x-aka=pipeline pipelineName" jsonschema_description:"Pipeline: name or ID"`
	StageID           *string                   `json:"stageId,omitempty" names:"stage" jsonschema_extras:"x-visible=true,x-nullable=true,x-aka=stage stageName dealStage pipelineStage" jsonschema_description:"Stage of that pipeline: name or ID; else its first active one"`
	LeadID            string                    `json:"leadId,omitempty" names:"lead" jsonschema_extras:"x-visible=true,x-aka=lead" jsonschema_description:"Lead it comes from: name, e-mail or ID"`
	SourceID          string                    `json:"sourceId,omitempty" names:"source" jsonschema_extras:"x-visible=true,x-aka=source crmSourceId leadSource" jsonschema_description:"CRM source: name or ID"`
	OwnerUserID       string                    `json:"ownerUserId,omitempty" names:"user" jsonschema_extras:"x-visible=true,x-aka=owner ownerId ownerName user userId salesperson" jsonschema_description:"Owner: user's name, e-mail or ID"`
	Price             json.Number               `json:"price,omitempty" jsonschema_extras:"x-aka=amount value dealValue dealAmount total revenue" jsonschema_description:"Value of the deal"`
	ExpectedCloseDate string                    `json:"expectedCloseDate,omitempty" jsonschema:"format=date-time" jsonschema_extras:"x-aka=closeDate closingDate expectedClose expectedCloseAt dueDate" jsonschema_description:"or a day: 2026-06-30"`
	Priority          string                    `json:"priority,omitempty" jsonschema:"enum=LOW,enum=MEDIUM,enum=HIGH" jsonschema_extras:"x-aka=importance urgency"`
	Status            string                    `json:"status,omitempty" jsonschema:"enum=ACTIVE,enum=WON,enum=LOST" jsonschema_extras:"x-aka=state dealStatus"`
	Currency          string                    `json:"currency,omitempty" jsonschema:"pattern=^[A-Z]{3}$" jsonschema_extras:"x-form=three capital letters,x-aka=currencyCode" jsonschema_description:"ISO 4217; only if the user named one"`
	IsInclusiveTax    *bool                     `json:"isInclusiveTax,omitempty" jsonschema_extras:"x-aka=inclusiveTax taxInclusive includesTax" jsonschema_description:"Line prices include tax"`
	Assignees         []string                  `json:"assignees,omitempty" names:"user" jsonschema_extras:"x-visible=true,x-aka=assignee assigneeIds assignedTo" jsonschema_description:"Users who work on it"`
	Contacts          []string                  `json:"contacts,omitempty" names:"contact" jsonschema_extras:"x-visible=true,x-aka=contactIds people" jsonschema_description:"Contact people"`
	Tags              []string                  `json:"tags,omitempty" names:"tag" jsonschema_extras:"x-visible=true,x-aka=tag tagIds labels"`
	Products          []LineItem                `json:"products,omitempty" jsonschema_extras:"x-aka=lineItems items services product quotationProducts" jsonschema_description:"Line items"`
	AllowDuplicate    bool                      `json:"allowDuplicate,omitempty" jsonschema_extras:"x-aka=force duplicate ignoreDuplicates" jsonschema_description:"Make another though one like it exists; only if the user wants two"`
	Custom            map[string]jsontext.Value `json:",embed" jsonschema:"-" keys:"^cf_"`
}

// LineItem is one row of products. Its name and price may be left to the catalogue. Whether tax
// and discount are percents or amounts is not documented; a minimum is, without its value, so that
// only what no minimum allows is refused.
type LineItem struct {
	ProductID   string      `json:"productId,omitempty" names:"product" jsonschema_extras:"x-visible=true,x-aka=product sku" jsonschema_description:"Of the catalogue: name, SKU or ID; gives name and price"`
	Name        string      `json:"name,omitempty" jsonschema_extras:"x-visible=true,x-aka=title productName"`
	Quantity    json.Number `json:"quantity" jsonschema:"minimum=0" jsonschema_extras:"x-aka=qty count units seats"`
	Price       json.Number `json:"price,omitempty" jsonschema:"minimum=0" jsonschema_extras:"x-aka=unitPrice amount rate cost" jsonschema_description:"Unit price"`
	Description string      `json:"description,omitempty" jsonschema_extras:"x-aka=notes details"`
	Tax         json.Number `json:"tax,omitempty" jsonschema:"minimum=0" jsonschema_extras:"x-aka=vat taxRate"`
	TaxRateID   string      `json:"taxRateId,omitempty" jsonschema:"pattern=^txr_[A-Za-z0-9_-]+$" jsonschema_extras:"x-form=an ID that begins with txr_"`
	Discount    json.Number `json:"discount,omitempty" jsonschema:"minimum=0"`
}

// DealResult is the deal as Heffl answers. Only id is held to be there: an answer that lacks or
// adds a member is still the answer, so few members need to be declared. Currency, tax flag,
// assignees, contacts, tags and products are not among the documented ones.
type DealResult struct {
	ID     string      `json:"id"`
	Number string      `json:"number,omitempty"`
	Title  string      `json:"title,omitempty"`
	Stage  string      `json:"stage,omitempty" jsonschema_extras:"x-nullable=true"`
	Status string      `json:"status,omitempty" jsonschema_extras:"x-nullable=true"`
	Price  json.Number `json:"price,omitempty" jsonschema_extras:"x-nullable=true"`
}

func runCreateDeal(ctx context.Context, c *call) (*answer, error) {
	deal := outlineOf(c.doc)
	return c.add(ctx, write{
		lookout: c.dealLookout(c.body()), lookoutOf: c.dealLookout,
		match:  func() []string { return []string{foldTitle(deal.title), deal.client, deal.pipeline} },
		about:  about{Title: deal.title, ClientID: deal.client, PipelineID: deal.pipeline},
		before: func(ctx context.Context) error { return c.lookAlike(ctx, deal) },
		send:   c.Heffl.CreateDeal,
	})
}

// fillLineItems gives line items of the catalogue the name and the price that they have there,
// where the user named none.
func fillLineItems(ctx context.Context, r *reading) error {
	i := slices.IndexFunc(r.doc, func(m member) bool { return m.name == "products" })
	if i < 0 {
		return nil
	}
	var failed error
	products := r.doc[i].value
	filled := eachItem(products, func(n int, item json.RawMessage) json.RawMessage {
		if jsontext.Value(item).Kind() != '{' || hasMembers(item, "name", "price") {
			return item
		}
		path := at("products", n)
		if slices.ContainsFunc(r.faults, func(f schema.Fault) bool { return f.Path == path+".productId" }) {
			return item
		}
		given := parse(item)
		filled, err := r.fillLineItem(ctx, path, given)
		failed = cmp.Or(failed, err)
		if len(filled) == len(given) {
			return item
		}
		return filled.JSON()
	})
	if !bytes.Equal(filled, products) {
		r.doc = r.doc.with(i, filled)
	}
	return failed
}

func (r *reading) fillLineItem(ctx context.Context, path string, item object) (object, error) {
	var missing []string
	for _, name := range []string{"name", "price"} {
		if _, ok := item.get(name); !ok {
			missing = append(missing, name)
		}
	}
	id, ok := item.str("productId")
	switch {
	case !ok:
		r.problems = append(r.problems, fmt.Sprintf("%s: %s missing; give it, or productId (a product's name, SKU or ID), whose name and price are then used", path, strings.Join(missing, " and ")))
		return item, nil
	case r.unclear(path + ".productId"):
		return item, nil // what is wrong with it is told
	}
	p, there, err := r.Workspace.Product(ctx, id)
	switch {
	case errors.Is(err, workspace.ErrPartial):
		r.problems = append(r.problems, fmt.Sprintf("%s: the catalogue is too long to look %s up in; give %s too", path, id, strings.Join(missing, " and ")))
		return item, nil
	case err != nil:
		return item, notLookedUp(&words{path: path + ".productId", text: id, err: err})
	case !there:
		r.problems = append(r.problems, fmt.Sprintf("%s.productId: the catalogue does not have %s; give a product that it has, or %s too", path, id, strings.Join(missing, " and ")))
		return item, nil
	}
	for _, name := range missing {
		switch {
		case name == "name":
			item = append(item, member{name, quoted(p.Name)})
			r.notes = append(r.notes, fmt.Sprintf("%s: name %s from the catalogue", path, foreign(p.Name, 80)))
		case p.Price == "":
			r.problems = append(r.problems, fmt.Sprintf("%s.price: missing, and %s has none in the catalogue; give the unit price", path, foreign(p.Name, 80)))
		default:
			item = append(item, member{name, json.RawMessage(p.Price)})
			r.notes = append(r.notes, fmt.Sprintf("%s: price %s from the catalogue", path, p.Price))
		}
	}
	return item, nil
}
