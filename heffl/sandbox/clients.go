package sandbox

import (
	"maps"
	"slices"
	"strings"
	"time"
)

var billingAddress = field{name: "billingAddress", kind: asObject, members: []field{
	{name: "city"}, {name: "address"}, {name: "landmark"}, {name: "state"}, {name: "country"}, {name: "postalCode"},
}}

// contactFields are the body of PATCH /contacts/{id}; that of POST is not documented, and likely the same with firstName
// required. https://docs.heffl.com/api-v2-reference/objects/update-a-contact
func contactFields() []field {
	return []field{
		{name: "firstName", kind: asName, required: true},
		{name: "lastName", kind: asText},
		{name: "salutation", kind: asText},
		{name: "email", kind: asEmail},
		{name: "phone", kind: asText},
		{name: "jobTitle", kind: asText},
		{name: "companyId", kind: asID, to: companyRef, nullable: true},
		{name: "stageId", kind: asID, to: clientStageRef},
		{name: "leadStageId", kind: asID, to: leadStageRef},
		{name: "ownerUserId", kind: asID, to: userRef},
		{name: "vendorId", kind: asText},
		{name: "sourceId", kind: asID, to: sourceRef},
		billingAddress,
	}
}

// companyFields are the body of POST /companies. The members of primaryContact are those of the older API; the newer one's
// are not documented. https://docs.heffl.com/api-v2-reference/objects/create-company
func companyFields() []field {
	return []field{
		{name: "name", kind: asName, required: true},
		{name: "email", kind: asEmail, nullable: true},
		{name: "phone", kind: asText},
		{name: "taxNumber", kind: asText},
		{name: "description", kind: asText},
		{name: "internalNotes", kind: asText},
		{name: "website", kind: asURI},
		{name: "linkedin", kind: asURI},
		{name: "currency", kind: asCurrency},
		{name: "openingBalance", kind: asAmount},
		{name: "showJobAmountToWorker", kind: asFlag},
		{name: "isClientPortalEnabled", kind: asFlag},
		{name: "stageId", kind: asID, to: clientStageRef},
		{name: "ownerUserId", kind: asID, to: userRef},
		{name: "vendorId", kind: asText},
		{name: "sourceId", kind: asID, to: sourceRef},
		billingAddress,
		{name: "primaryContact", kind: asObject, members: []field{
			{name: "firstName", kind: asName, required: true},
			{name: "lastName", kind: asText},
			{name: "email", kind: asEmail},
			{name: "phone", kind: asText},
			{name: "salutation", kind: asText},
			{name: "jobTitle", kind: asText},
		}},
	}
}

// contacts serves people. That GET by ID is served, here and for companies, is likeliest: the overview does not list it,
// but does not list all there is.
func (s *Sandbox) contacts() *resource {
	return &resource{
		name: "contacts", singular: "Contact", prefix: "clt_", series: "CON", single: true,
		fields:  contactFields(),
		orderBy: []order{{"createdAt", byCreated}, {"name", byText(contactName)}},
		filters: []string{"stageId", "leadStageId"},
		searched: func(rec *record) []string {
			return []string{contactName(rec), rec.fields.text("email"), rec.fields.text("phone")}
		},
		linked: s.dealsOf,
		view:   s.contactView,
	}
}

func (s *Sandbox) companies() *resource {
	return &resource{
		name: "companies", singular: "Company", prefix: "clt_", series: "COM", single: true,
		fields:  companyFields(),
		orderBy: []order{{"createdAt", byCreated}, {"name", byField("name")}},
		filters: []string{"stageId"},
		searched: func(rec *record) []string {
			f := rec.fields
			return []string{f.text("name"), f.text("email"), f.text("phone"), f.text("website")}
		},
		saved:  s.savePrimaryContact,
		linked: s.dealsOf,
		view:   s.companyView,
	}
}

// savePrimaryContact makes the primary contact that was sent with a company, or changes the company's first contact into
// it; which contact an update means is not documented.
func (s *Sandbox) savePrimaryContact(company *record, now time.Time) {
	raw := company.fields["primaryContact"]
	if raw == nil {
		return
	}
	delete(company.fields, "primaryContact")
	var sent fields
	unmarshal(raw, &sent)
	sent["companyId"] = encode(company.id)
	for _, contact := range s.store["contacts"] {
		if contact.fields.text("companyId") == company.id {
			maps.Copy(contact.fields, sent)
			contact.updated = now
			return
		}
	}
	s.insert(s.resource("contacts"), "", sent, now, company.visibleFrom.Sub(now))
}

// dealsOf names a deal that keeps a client from being deleted, as a contact with linked deals is documented to be; that
// the same goes for companies is likeliest.
func (s *Sandbox) dealsOf(client *record) string {
	for _, deal := range s.store["deals"] {
		if deal.fields.text("clientId") == client.id || slices.Contains(deal.fields.texts("contacts"), client.id) {
			return "it has linked deals"
		}
	}
	return ""
}

// client is the display name and the type of a client; both empty if there is none.
func (s *Sandbox) client(id string) (name, kind string) {
	if rec := s.find("contacts", id); rec != nil {
		return contactName(rec), "contact"
	}
	if rec := s.find("companies", id); rec != nil {
		return rec.fields.text("name"), "company"
	}
	return "", ""
}

func contactName(rec *record) string {
	return strings.TrimSpace(rec.fields.text("firstName") + " " + rec.fields.text("lastName"))
}

func (s *Sandbox) contactView(rec *record) object {
	f := rec.fields
	o := object{
		{"id", rec.id},
		{"name", contactName(rec)},
		{"number", rec.number},
		{"firstName", f["firstName"]},
		{"openingBalance", 0},
		{"showJobAmountToWorker", false},
		{"isClientPortalEnabled", false},
		{"type", "contact"},
	}
	o = append(o, f.pick("lastName", "email", "phone", "salutation", "jobTitle", "description", "taxNumber", "website")...)
	o = append(o, object{
		{"companyId", f["companyId"]},
		{"companyName", s.textOf("companies", f.text("companyId"), "name")},
		{"parentClientId", f["companyId"]},
	}...)
	o = append(o, s.clientRelations(f)...)
	o = append(o, member{"leadStageId", f["leadStageId"]})
	o = append(o, f.pick("currency", "internalNotes", "profileImage", "instagram", "facebook", "linkedin", "twitter")...)
	return append(o, stamps(rec)...)
}

func (s *Sandbox) companyView(rec *record) object {
	f := rec.fields
	o := object{
		{"id", rec.id},
		{"name", f["name"]},
		{"number", rec.number},
		{"openingBalance", orElse(f["openingBalance"], 0)},
		{"showJobAmountToWorker", f.isTrue("showJobAmountToWorker")},
		{"isClientPortalEnabled", f.isTrue("isClientPortalEnabled")},
		{"type", "company"},
	}
	o = append(o, f.pick("email", "phone", "taxNumber", "website", "description")...)
	o = append(o, s.clientRelations(f)...)
	o = append(o, f.pick("currency", "internalNotes", "linkedin")...)
	return append(o, stamps(rec)...)
}

func (s *Sandbox) clientRelations(f fields) object {
	return object{
		{"stageId", f["stageId"]},
		{"stageName", s.textOf("client-stages", f.text("stageId"), "label")},
		{"ownerUserId", f["ownerUserId"]},
		{"crmSourceId", f["sourceId"]},
		{"sourceName", s.textOf("sources", f.text("sourceId"), "name")},
	}
}
