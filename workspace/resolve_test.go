package workspace_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"heffl-mcp/workspace"
)

// say puts the outcome of Resolve in one line.
func say(m workspace.Match, err error) string {
	if err == nil {
		return m.ID + " by " + m.How
	}
	e, ok := errors.AsType[*workspace.UnresolvedError](err)
	if !ok {
		return "error: " + err.Error()
	}
	var ids []string
	for _, c := range e.Candidates {
		ids = append(ids, c.ID)
	}
	if !e.Ambiguous {
		ids = ids[:min(len(ids), 2)]
	}
	what := "none"
	switch {
	case e.IDOf != "":
		return "ID of a " + string(e.IDOf)
	case e.Ambiguous:
		slices.Sort(ids)
		what = "several"
	case e.Elsewhere != nil:
		return strings.TrimSpace(fmt.Sprintf("elsewhere %s: %s %s", e.Elsewhere.Match.ID, e.Elsewhere.Why, e.Elsewhere.Where))
	}
	if e.Partial {
		what = "partial"
	}
	return strings.TrimSpace(what + ": " + strings.Join(ids, " "))
}

// The sandbox's workspace, called every way that a person would.
func TestResolveInSandbox(t *testing.T) {
	t.Parallel()
	const (
		sales      = "dpl_sales"
		enterprise = "dpl_enterprise"
	)
	in := func(pipeline string) workspace.Scope { return workspace.Scope{Pipeline: pipeline} }
	of := func(field string) workspace.Scope { return workspace.Scope{Field: field} }
	entity := func(name string) workspace.Scope { return workspace.Scope{Entity: name} }
	var everywhere workspace.Scope
	w, _ := openSandbox(t, nil)
	for _, tt := range []struct {
		kind  workspace.Kind
		words string
		scope workspace.Scope
		want  string
	}{
		{workspace.Client, "clt_northwind", everywhere, "clt_northwind by id"},
		{workspace.Client, "clt_not-there_9", everywhere, "clt_not-there_9 by id"}, // an ID is taken at its word
		{workspace.Client, " clt_acme ", everywhere, "clt_acme by id"},
		{workspace.Client, "clt_ acme", everywhere, "none: clt_acme clt_jose_nunez"},
		{workspace.Client, "dl_acme_renewal", everywhere, "ID of a deal"},
		{workspace.Client, "usr_sara", everywhere, "ID of a user"},
		{workspace.Client, "lstg_1", everywhere, "ID of a lead stage"},
		{workspace.Client, "Northwind", everywhere, "clt_northwind by name"},
		{workspace.Client, "northwind", everywhere, "clt_northwind by folded name"},
		{workspace.Client, "NORTHWIND", everywhere, "clt_northwind by folded name"},
		{workspace.Client, "North wind", everywhere, "clt_northwind by folded name"},
		{workspace.Client, "North-Wind", everywhere, "clt_northwind by folded name"},
		{workspace.Client, "Northwind Ltd", everywhere, "clt_northwind by folded name"},
		{workspace.Client, "Northwind Ltd.", everywhere, "clt_northwind by folded name"},
		{workspace.Client, "Northwind, Inc.", everywhere, "clt_northwind by folded name"},
		{workspace.Client, "Northwind L.L.C.", everywhere, "clt_northwind by folded name"},
		{workspace.Client, "“Northwind”", everywhere, "clt_northwind by folded name"},
		{workspace.Client, "Nortwind", everywhere, "none: clt_northwind clt_anna_keller"},
		{workspace.Client, "Northwnid", everywhere, "none: clt_northwind clt_anna_keller"},
		{workspace.Client, "Northwind Traders", everywhere, "none: clt_northwind clt_anna_keller"},
		{workspace.Client, "North", everywhere, "none: clt_northwind clt_anna_keller"},
		{workspace.Client, "hello@northwind.example", everywhere, "clt_northwind by e-mail"},
		{workspace.Client, "Hello@Northwind.EXAMPLE", everywhere, "clt_northwind by e-mail"},
		{workspace.Client, "mailto:hello@northwind.example", everywhere, "clt_northwind by e-mail"},
		{workspace.Client, "Anna Keller <anna.keller@northwind.example>", everywhere, "clt_anna_keller by e-mail"},
		{workspace.Client, "anna@northwind.example", everywhere, "none: clt_anna_keller clt_northwind"},
		{workspace.Client, "northwind.example", everywhere, "clt_northwind by domain"},
		{workspace.Client, "www.northwind.example", everywhere, "clt_northwind by domain"},
		{workspace.Client, "https://www.acme.example/", everywhere, "clt_acme by domain"},
		{workspace.Client, "acme.example", everywhere, "clt_acme by domain"},
		{workspace.Client, "dubois-conseil.example", everywhere, "clt_chloe by domain"},
		{workspace.Client, "falcon.example", everywhere, "several: clt_falcon_dubai clt_falcon_muscat"},
		{workspace.Client, "northwind.test", everywhere, "none: clt_northwind clt_anna_keller"},
		{workspace.Client, "+442071230000", everywhere, "clt_northwind by phone"},
		{workspace.Client, "+44 20 7123 0000", everywhere, "clt_northwind by phone"},
		{workspace.Client, "0044 (0)20 7123-0000", everywhere, "clt_northwind by phone"},
		{workspace.Client, "020 7123 0000", everywhere, "clt_northwind by phone"},
		{workspace.Client, "+٩٦٨ ٢٤٠٠٠٠٠٠", everywhere, "clt_alnoor by phone"},
		{workspace.Client, "+442071239999", everywhere, "none:"},
		{workspace.Client, "0000000", everywhere, "none:"},
		{workspace.Client, "COM001", everywhere, "clt_northwind by number"},
		{workspace.Client, "Falcon Logistics", everywhere, "several: clt_falcon_dubai clt_falcon_muscat"},
		{workspace.Client, "falcon logistics LLC", everywhere, "several: clt_falcon_dubai clt_falcon_muscat"},
		{workspace.Client, "dubai@falcon.example", everywhere, "clt_falcon_dubai by e-mail"},
		{workspace.Client, "Falcon Logistics <muscat@falcon.example>", everywhere, "clt_falcon_muscat by e-mail"},
		{workspace.Client, "Zürcher Möbel AG", everywhere, "clt_zurcher by name"},
		{workspace.Client, "Zürcher Möbel", everywhere, "clt_zurcher by folded name"},
		{workspace.Client, "Zurcher Mobel", everywhere, "clt_zurcher by folded name"},
		{workspace.Client, "Zuercher Moebel AG", everywhere, "clt_zurcher by folded name"},
		{workspace.Client, "ZÜRCHER MÖBEL A.G.", everywhere, "clt_zurcher by folded name"},
		{workspace.Client, "Zu\u0308rcher Mo\u0308bel AG", everywhere, "clt_zurcher by name"},
		{workspace.Client, "Zürcher Möbel GmbH", everywhere, "none: clt_zurcher"}, // another firm
		{workspace.Client, "شركة النور للتجارة", everywhere, "clt_alnoor by name"},
		{workspace.Client, "النور للتجارة", everywhere, "clt_alnoor by folded name"},
		{workspace.Client, "شركة النّور للتجاره", everywhere, "clt_alnoor by folded name"},
		{workspace.Client, "شـركة النـور للتجـارة", everywhere, "clt_alnoor by folded name"},
		{workspace.Client, "النور للتجارة ذ.م.م", everywhere, "clt_alnoor by folded name"},
		{workspace.Client, "\u202bشركة النور للتجارة\u202c", everywhere, "clt_alnoor by name"},
		{workspace.Client, "النور للتجاره", everywhere, "clt_alnoor by folded name"},
		{workspace.Client, "José Núñez", everywhere, "clt_jose_nunez by name"},
		{workspace.Client, "jose nunez", everywhere, "clt_jose_nunez by folded name"},
		{workspace.Client, "Nunez, Jose", everywhere, "clt_jose_nunez by folded name"},
		{workspace.Client, "Jose", everywhere, "none: clt_jose_nunez"}, // for users only
		{workspace.Client, "Maryam al Farsi", everywhere, "clt_maryam by folded name"},
		{workspace.Client, "Wei, Li", everywhere, "clt_li_wei by folded name"},
		{workspace.Client, "Quux Industries", everywhere, "none:"},
		{workspace.Client, "", everywhere, "none:"},
		{workspace.Client, " \u200f ", everywhere, "none:"},
		{workspace.Client, "…", everywhere, "none:"},
		{workspace.Client, "%", everywhere, "none:"},
		{workspace.Client, strings.Repeat("Northwind ", 100), everywhere, "none:"},

		{workspace.Company, "acme", everywhere, "clt_acme by folded name"},
		{workspace.Company, "acme.example", everywhere, "clt_acme by domain"},
		{workspace.Company, "clt_acme", everywhere, "clt_acme by id"},
		{workspace.Company, "José Núñez", everywhere, "none:"}, // a person is none
		{workspace.Contact, "Anna Keller", everywhere, "clt_anna_keller by name"},
		{workspace.Contact, "anna.keller@northwind.example", everywhere, "clt_anna_keller by e-mail"},
		{workspace.Contact, "Chloe Dubois", everywhere, "clt_chloe by folded name"},
		{workspace.Contact, "Keller", everywhere, "none: clt_anna_keller"},
		{workspace.Contact, "Northwind", everywhere, "none: clt_anna_keller"}, // a firm is no contact
		{workspace.Contact, "clt_anna_keller", everywhere, "clt_anna_keller by id"},
		{workspace.Contact, "ld_web_form", everywhere, "ID of a lead"},

		{workspace.Lead, "Tariq Aziz", everywhere, "ld_web_form by name"},
		{workspace.Lead, "Web form: 30 seats", everywhere, "ld_web_form by name"},
		{workspace.Lead, "LEA001", everywhere, "ld_fair_booth by number"},
		{workspace.Lead, "Ingrid Sorensen", everywhere, "ld_old_colleague by folded name"},
		{workspace.Lead, "+96890000000", everywhere, "ld_web_form by phone"},
		{workspace.Lead, "Tarik Aziz", everywhere, "none: ld_web_form"},

		{workspace.Deal, "dl_acme_renewal", everywhere, "dl_acme_renewal by id"},
		{workspace.Deal, "deal_abc123", everywhere, "deal_abc123 by id"}, // the custom-fields page shows one
		{workspace.Deal, "clt_acme", everywhere, "ID of a client"},
		{workspace.Tag, "deal_breaker", everywhere, "none: tag_renewal tag_tender"}, // a word to all others
		{workspace.Deal, "Acme renewal", everywhere, "dl_acme_renewal by name"},
		{workspace.Deal, "ACME RENEWAL", everywhere, "dl_acme_renewal by folded name"},
		{workspace.Deal, "acme-renewal", everywhere, "dl_acme_renewal by folded name"},
		{workspace.Deal, "Showroom Zurich", everywhere, "dl_zurcher_showroom by folded name"},
		{workspace.Deal, "Showroom Zuerich", everywhere, "dl_zurcher_showroom by folded name"},
		{workspace.Deal, "Globex comes back", everywhere, "dl_globex_return by name"}, // lost, and a deal
		{workspace.Deal, "DEAL002", everywhere, "dl_acme_renewal by number"},
		{workspace.Deal, " deal002", everywhere, "dl_acme_renewal by number"},
		{workspace.Deal, "Acme renewall", everywhere, "none: dl_acme_renewal"},
		{workspace.Deal, "Acme", everywhere, "none: dl_acme_renewal"}, // a client names no deal, not even its only one
		{workspace.Deal, "Al Noor", everywhere, "none: dl_alnoor_rollout"},
		{workspace.Deal, "شركة النور للتجارة", everywhere, "none: dl_alnoor_rollout"},
		{workspace.Deal, "hello@northwind.example", everywhere, "none: dl_northwind_pilot"},
		{workspace.Deal, "+442071230000", everywhere, "none:"},
		{workspace.Deal, "Quux", everywhere, "none:"},
		{workspace.Deal, "", everywhere, "none:"},

		{workspace.Pipeline, "Sales", everywhere, "dpl_sales by name"},
		{workspace.Pipeline, "sales", everywhere, "dpl_sales by folded name"},
		{workspace.Pipeline, "ENTERPRISE ", everywhere, "dpl_enterprise by folded name"},
		{workspace.Pipeline, "the enterprise pipeline", everywhere, "none: dpl_enterprise dpl_sales"},
		{workspace.Pipeline, "Sale", everywhere, "none: dpl_sales dpl_enterprise"},
		{workspace.Pipeline, "", everywhere, "none: dpl_sales dpl_enterprise"},

		{workspace.Stage, "Proposal", in(sales), "dps_proposal by name"},
		{workspace.Stage, "proposal", in(sales), "dps_proposal by folded name"},
		{workspace.Stage, "won", in(sales), "dps_won by folded name"},
		{workspace.Stage, "Won", in(enterprise), "dps_ent_won by name"},
		{workspace.Stage, "Won", everywhere, "several: dps_ent_won dps_won"},
		{workspace.Stage, "Discovery", everywhere, "dps_ent_discovery by name"},
		{workspace.Stage, "Discovery", in(sales), "elsewhere dps_ent_discovery: pipeline Enterprise"},
		{workspace.Stage, "dps_ent_discovery", in(sales), "elsewhere dps_ent_discovery: pipeline Enterprise"},
		{workspace.Stage, "dps_proposal", in(sales), "dps_proposal by id"},
		{workspace.Stage, "dps_new_today", in(sales), "dps_new_today by id"},
		{workspace.Stage, "Propsal", in(sales), "none: dps_proposal dps_lost"},
		{workspace.Stage, "Won", in("dpl_gone"), "none: dpl_sales dpl_enterprise"},

		{workspace.User, "Sara Haddad", everywhere, "usr_sara by name"},
		{workspace.User, "sara", everywhere, "usr_sara by first name"},
		{workspace.User, "Haddad, Sara", everywhere, "usr_sara by folded name"},
		{workspace.User, "sara@heffl-sandbox.example", everywhere, "usr_sara by e-mail"},
		{workspace.User, "Omar", everywhere, "several: usr_omar_khalid usr_omar_nasser"},
		{workspace.User, "Omar Khalid", everywhere, "usr_omar_khalid by name"},
		{workspace.User, "omar khaled", everywhere, "none: usr_omar_khalid usr_omar_nasser"},
		{workspace.User, "james oneill", everywhere, "usr_james by folded name"},
		{workspace.User, "James O’Neill", everywhere, "usr_james by folded name"},
		{workspace.User, "Haddad", everywhere, "none: usr_sara usr_omar_khalid"},
		{workspace.User, "heffl-sandbox.example", everywhere, "none: usr_james usr_sara"},
		{workspace.User, "clt_acme", everywhere, "ID of a client"},

		{workspace.Source, "Trade fair", everywhere, "src_trade_fair by name"},
		{workspace.Source, "trade-fair", everywhere, "src_trade_fair by folded name"},
		{workspace.Source, "web site", everywhere, "src_website by folded name"},
		{workspace.Source, "Refferal", everywhere, "none: src_referral src_trade_fair"},

		{workspace.Tag, "VIP", everywhere, "tag_vip by name"},
		{workspace.Tag, "vip ⭐", everywhere, "tag_vip by folded name"},
		{workspace.Tag, "At-Risk", everywhere, "tag_at_risk by folded name"},
		{workspace.Tag, "Trade fair", everywhere, "elsewhere tag_trade_fair: type leads"},

		{workspace.Product, "Seat", everywhere, "prd_seat by name"},
		{workspace.Product, "seat-1y", everywhere, "prd_seat by SKU"},
		{workspace.Product, "premium Support", everywhere, "prd_support by folded name"},
		{workspace.Product, "Seat (classic)", everywhere, "elsewhere prd_seat_classic: inactive"},
		{workspace.Product, "prd_seat_classic", everywhere, "prd_seat_classic by id"},
		{workspace.Product, "Seats", everywhere, "none: prd_seat prd_support"},

		{workspace.CustomField, "cf_region", everywhere, "cf_region by id"},
		{workspace.CustomField, "CF_Region", everywhere, "cf_region by key"},
		{workspace.CustomField, "Region", everywhere, "cf_region by name"},
		{workspace.CustomField, "purchase order", everywhere, "cf_po_number by folded name"},
		{workspace.CustomField, "PO number", everywhere, "cf_po_number by folded name"},
		{workspace.CustomField, "billing email", everywhere, "cf_billing_email by folded name"},
		{workspace.CustomField, "cf_regoin", everywhere, "none: cf_region cf_rfp_link"},
		{workspace.CustomField, "cf_security_review", in(enterprise), "cf_security_review by id"},
		{workspace.CustomField, "cf_security_review", in(sales), "elsewhere cf_security_review: pipeline Enterprise"},
		{workspace.CustomField, "Security Review", everywhere, "elsewhere cf_security_review: pipeline Enterprise"},
		{workspace.CustomField, "dl_1", everywhere, "none: cf_modules cf_rfp_link"},

		{workspace.CustomField, "language", entity("contacts"), "cf_language by folded name"},
		{workspace.CustomField, "cf_industry", entity("companies"), "cf_industry by id"},
		{workspace.CustomField, "Employes", entity("companies"), "none: cf_employees cf_industry"},
		{workspace.CustomField, "CF_Channel", entity("tasks"), "cf_channel by key"},
		{workspace.CustomField, "Region", entity("deals"), "cf_region by name"},
		{workspace.CustomField, "Region", entity("contacts"), "none: cf_language"}, // it is one of deals
		{workspace.CustomField, "cf_security_review", entity("companies"), "none: cf_employees cf_industry"},
		{workspace.CustomField, "Language", everywhere, "none: cf_annual_value cf_billing_email"},

		{workspace.FieldOption, "arabic", workspace.Scope{Entity: "contacts", Field: "cf_language"}, "Arabic by folded name"},
		{workspace.FieldOption, "Retail", workspace.Scope{Entity: "companies", Pipeline: sales, Field: "cf_industry"}, "Retail by id"},
		{workspace.FieldOption, "Arabik", workspace.Scope{Entity: "contacts", Field: "cf_language"}, "none: Arabic Spanish"},
		{workspace.FieldOption, "North", workspace.Scope{Entity: "contacts", Field: "cf_region"}, "none: cf_language"},
		{workspace.FieldOption, "North", of("cf_region"), "North by id"},
		{workspace.FieldOption, "north", of("cf_region"), "North by folded name"},
		{workspace.FieldOption, "Nort", of("cf_region"), "none: North South"},
		{workspace.FieldOption, "field-service", of("cf_modules"), "Field service by folded name"},
		{workspace.FieldOption, "passed", workspace.Scope{Pipeline: enterprise, Field: "cf_security_review"}, "Passed by folded name"},
		{workspace.FieldOption, "North", of("cf_territory"), "none: cf_region cf_seats"},
		{workspace.FieldOption, "anything", of("cf_background"), "none:"},

		{"planet", "Mars", everywhere, "error: looking for a planet: there is no such kind"},
	} {
		m, err := w.Resolve(t.Context(), tt.kind, tt.words, tt.scope)
		if got := say(m, err); got != tt.want {
			t.Errorf("Resolve(%s, %q, %v) = %s, want %s", tt.kind, tt.words, tt.scope, got, tt.want)
		}
		if err == nil && (m.Input != tt.words || m.Name == "" && !strings.HasPrefix(m.How, "id")) {
			t.Errorf("Resolve(%s, %q) = %+v, want the input and a name", tt.kind, tt.words, m)
		}
		if e, ok := errors.AsType[*workspace.UnresolvedError](err); ok {
			checkError(t, tt.words, e)
		}
	}
}

// checkError holds what is true of every such error.
func checkError(t *testing.T, words string, e *workspace.UnresolvedError) {
	t.Helper()
	if len(e.Candidates) > 5 || e.Ambiguous && e.Matches < 2 || e.Error() == "" {
		t.Errorf("%q: %+v", words, e)
	}
	if !slices.IsSortedFunc(e.Candidates, func(a, b workspace.Candidate) int { return cmp.Compare(b.Score, a.Score) }) {
		t.Errorf("%q: candidates are not ranked: %+v", words, e.Candidates)
	}
	for _, c := range e.Candidates {
		if c.ID == "" || c.Score < 0 || c.Score > 1 {
			t.Errorf("%q: candidate %+v", words, c)
		}
	}
}
