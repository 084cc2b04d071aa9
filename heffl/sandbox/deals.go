package sandbox

import (
	"cmp"
	"slices"
)

var (
	clientRef   = reference{"Client", "clt_", []string{"contacts", "companies"}}
	contactRef  = reference{"Contact", "clt_", []string{"contacts"}}
	companyRef  = reference{"Company", "clt_", []string{"companies"}}
	pipelineRef = reference{"Pipeline", "dpl_", []string{"pipelines"}}
	stageRef    = reference{"Pipeline stage", "dps_", []string{"stages"}}
	leadRef     = reference{"Lead", "ld_", []string{"leads"}}
	dealRef     = reference{"Deal", "dl_", []string{"deals"}}
	sourceRef   = reference{"Source", "src_", []string{"sources"}}
	userRef     = reference{"User", "usr_", []string{"users"}}
	tagRef      = reference{"Tag", "tag_", []string{"tags"}}
	productRef  = reference{"Product", "prd_", []string{"products"}}
	taxRateRef  = reference{"Tax rate", "txr_", nil}

	clientStageRef = reference{"Client stage", "cs_", []string{"client-stages"}}
	leadStageRef   = reference{"Lead stage", "lstg_", nil}

	levels = []string{"LOW", "MEDIUM", "HIGH"}
)

func listOf(to reference) *field { return &field{kind: asID, to: to} }

// dealFields are the body of POST /deals. https://docs.heffl.com/api-v2-reference/objects/create-deal
func dealFields() []field {
	return []field{
		{name: "title", kind: asName, required: true},
		{name: "clientId", kind: asID, to: clientRef, required: true},
		{name: "pipelineId", kind: asID, to: pipelineRef, required: true},
		{name: "stageId", kind: asID, to: stageRef, nullable: true},
		{name: "leadId", kind: asID, to: leadRef},
		{name: "sourceId", kind: asID, to: sourceRef},
		{name: "ownerUserId", kind: asID, to: userRef},
		{name: "price", kind: asNumber},
		{name: "expectedCloseDate", kind: asTime},
		{name: "priority", kind: asEnum, oneOf: levels},
		{name: "status", kind: asEnum, oneOf: []string{"ACTIVE", "WON", "LOST"}},
		{name: "currency", kind: asCurrency},
		{name: "isInclusiveTax", kind: asFlag},
		{name: "assignees", kind: asList, of: listOf(userRef)},
		{name: "contacts", kind: asList, of: listOf(contactRef)},
		{name: "tags", kind: asList, of: listOf(tagRef)}, // a tag of another type than deals is taken: not documented
		{name: "products", kind: asList, of: &field{kind: asObject, members: []field{
			{name: "name", kind: asName, required: true},
			{name: "quantity", kind: asAmount, required: true},
			{name: "price", kind: asAmount, required: true},
			{name: "productId", kind: asID, to: productRef},
			{name: "description", kind: asText},
			{name: "tax", kind: asAmount},
			{name: "taxRateId", kind: asID, to: taxRateRef},
			{name: "discount", kind: asAmount},
		}}},
	}
}

func (s *Sandbox) deals() *resource {
	return &resource{
		name: "deals", singular: "Deal", prefix: "dl_", series: "DEAL", single: true,
		fields:  dealFields(),
		orderBy: []order{{"createdAt", byCreated}, {"position", byPosition}, {"expectedCloseDate", byField("expectedCloseDate")}, {"price", byNumber("price")}},
		// That status can be filtered by is documented, and that IDs of clients, pipelines and stages can; the rest, and all
		// names but status, are likeliest.
		filters: []string{"status", "clientId", "pipelineId", "stageId", "ownerUserId", "priority"},
		searched: func(rec *record) []string {
			client, _ := s.client(rec.fields.text("clientId"))
			return []string{rec.fields.text("title"), rec.number, client}
		},
		settle: s.settleDeal,
		view:   s.dealView,
	}
}

// settleDeal chooses the stage and the status. A stage that is absent or null is the pipeline's first ACTIVE one. A stage
// that is WON or LOST decides the status, as documented for moves; that it does so on a create too, and against a status
// that is sent with it, is likeliest. A status alone moves no stage. Without either, a deal is ACTIVE and has no priority
// and no owner: defaults that are not documented.
func (s *Sandbox) settleDeal(old, next fields) *apiError {
	pipeline, stage := next.text("pipelineId"), next.text("stageId")
	if stage == old.text("stageId") && pipeline != old.text("pipelineId") {
		stage = "" // moved to another pipeline without a word on the stage
	}
	if stage == "" {
		stage = s.firstActiveStage(pipeline)
		next["stageId"] = encode(stage)
	}
	rec := s.find("stages", stage)
	if rec.fields.text("pipelineId") != pipeline {
		return badRequest("Stage %s does not belong to pipeline %s", stage, pipeline) // could be a VALIDATION_ERROR too
	}
	if stage == old.text("stageId") {
		return nil
	}
	sent := string(next["status"]) != string(old["status"])
	switch kind := rec.fields.text("type"); {
	case kind != "ACTIVE":
		next["status"] = encode(kind)
	case !sent:
		next["status"] = encode("ACTIVE")
	}
	return nil
}

func (s *Sandbox) firstActiveStage(pipeline string) string {
	stages := slices.DeleteFunc(slices.Clone(s.store["stages"]), func(rec *record) bool {
		return rec.fields.text("pipelineId") != pipeline || rec.fields.text("type") != "ACTIVE"
	})
	return slices.MinFunc(stages, func(a, b *record) int {
		return cmp.Compare(byNumber("position")(a).Number, byNumber("position")(b).Number)
	}).id
}

// dealView is the documented answer, member for member: tags, assignees, products, currency, isInclusiveTax and the IDs of
// contacts are not in it. What the client object holds is not documented.
func (s *Sandbox) dealView(rec *record) object {
	f := rec.fields
	emails := []string{}
	for _, contact := range f.texts("contacts") {
		if c := s.find("contacts", contact); c != nil && c.fields.isSet("email") {
			emails = append(emails, c.fields.text("email"))
		}
	}
	clientName, clientType := s.client(f.text("clientId"))
	return object{
		{"id", rec.id},
		{"number", rec.number},
		{"title", f["title"]},
		{"contactEmails", emails},
		{"clientId", f["clientId"]},
		{"client", object{{"id", f["clientId"]}, {"name", clientName}, {"type", clientType}}},
		{"price", f["price"]},
		{"expectedCloseDate", f["expectedCloseDate"]},
		{"status", f["status"]},
		{"priority", f["priority"]},
		{"pipelineId", f["pipelineId"]},
		{"stageId", f["stageId"]},
		{"stage", s.textOf("stages", f.text("stageId"), "name")},
		{"leadId", f["leadId"]},
		{"leadName", s.textOf("leads", f.text("leadId"), "name")},
		{"crmSourceId", f["sourceId"]},
		{"source", s.textOf("sources", f.text("sourceId"), "name")},
		{"ownerUserId", f["ownerUserId"]},
		{"ownerId", f["ownerUserId"]},
		{"ownerName", s.textOf("users", f.text("ownerUserId"), "name")},
		{"createdAt", stamp(rec.created)},
		{"updatedAt", stamp(rec.updated)},
	}
}
