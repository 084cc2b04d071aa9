package workspace_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/workspace"
)

func idsOf(candidates []workspace.Candidate) string {
	var ids []string
	for _, c := range candidates {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " ")
}

// Words that name nothing come with all of a short list, and with five of a longer one.
func TestCandidatesOfShortLists(t *testing.T) {
	t.Parallel()
	w, _ := openSandbox(t, nil)
	enterprise := workspace.Scope{Pipeline: "dpl_enterprise"}
	for _, tt := range []struct {
		kind  workspace.Kind
		words string
		scope workspace.Scope
		want  string // sorted
	}{
		{workspace.Stage, "Qx", enterprise, "dps_ent_contract dps_ent_discovery dps_ent_evaluation dps_ent_lost dps_ent_won"},
		{workspace.Stage, "Negotiation", enterprise, "dps_ent_contract dps_ent_discovery dps_ent_evaluation dps_ent_lost dps_ent_won"},
		{workspace.Stage, "dps_negotiation", enterprise, "dps_ent_contract dps_ent_discovery dps_ent_evaluation dps_ent_lost dps_ent_won"},
		{workspace.Stage, "Negotiatn", workspace.Scope{Pipeline: "dpl_sales"}, "dps_lost dps_negotiation dps_new dps_proposal dps_won"},
		{workspace.Pipeline, "Qx", workspace.Scope{}, "dpl_enterprise dpl_sales"},
		{workspace.Source, "Qx", workspace.Scope{}, "src_cold_call src_referral src_trade_fair src_website"},
		{workspace.Tag, "Qx", workspace.Scope{}, "tag_at_risk tag_renewal tag_tender tag_vip"},
		{workspace.User, "Qx", workspace.Scope{}, "usr_james usr_lena usr_omar_khalid usr_omar_nasser usr_sara"},
		{workspace.Product, "Qx", workspace.Scope{}, "prd_onboarding prd_seat prd_support"},
		{workspace.CustomField, "Qx", workspace.Scope{Entity: "companies"}, "cf_employees cf_industry"},
		{workspace.FieldOption, "Qx", workspace.Scope{Field: "cf_region"}, "East North South West"},
	} {
		_, err := w.Resolve(t.Context(), tt.kind, tt.words, tt.scope)
		e, ok := errors.AsType[*workspace.UnresolvedError](err)
		if !ok {
			t.Errorf("Resolve(%s, %q) = %v, want candidates", tt.kind, tt.words, err)
			continue
		}
		got := strings.Fields(idsOf(e.Candidates))
		slices.Sort(got)
		if strings.Join(got, " ") != tt.want {
			t.Errorf("Resolve(%s, %q, %v) has candidates %s, want %s", tt.kind, tt.words, tt.scope, got, tt.want)
		}
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	w, s := openSandbox(t, nil)
	sales := workspace.Scope{Pipeline: "dpl_sales"}
	for _, tt := range []struct {
		kind     workspace.Kind
		scope    workspace.Scope
		want     string
		requests int
	}{
		{workspace.Pipeline, workspace.Scope{}, "dpl_sales dpl_enterprise", 1},
		{workspace.Stage, sales, "dps_new dps_qualified dps_proposal dps_negotiation dps_won", 0},
		{workspace.Stage, workspace.Scope{Pipeline: "dpl_enterprise"}, "dps_ent_discovery dps_ent_evaluation dps_ent_contract dps_ent_won dps_ent_lost", 0}, // by position
		{workspace.Stage, workspace.Scope{}, "dps_new dps_qualified dps_proposal dps_negotiation dps_won", 0},
		{workspace.User, workspace.Scope{}, "usr_sara usr_omar_nasser usr_omar_khalid usr_lena usr_james", 1},
		{workspace.Source, workspace.Scope{}, "src_referral src_website src_trade_fair src_cold_call", 1},
		{workspace.Tag, workspace.Scope{}, "tag_vip tag_renewal tag_at_risk tag_tender", 1},
		{workspace.Product, workspace.Scope{}, "prd_seat prd_onboarding prd_support", 1}, // no longer sold: the classic seat
		{workspace.CustomField, sales, "cf_region cf_po_number cf_background cf_seats cf_annual_value", 1},
		{workspace.CustomField, workspace.Scope{Entity: "tasks"}, "cf_channel", 1},
		{workspace.FieldOption, workspace.Scope{Entity: "tasks", Field: "cf_channel"}, "", 0},
		{workspace.FieldOption, workspace.Scope{Entity: "contacts", Field: "cf_language"}, "English Arabic German Spanish French", 1},
		{workspace.Client, workspace.Scope{}, "", 0},
		{workspace.Contact, workspace.Scope{}, "", 0},
		{workspace.Lead, workspace.Scope{}, "", 0},
		{workspace.Deal, workspace.Scope{}, "", 0},
	} {
		before := len(s.Requests())
		got, err := w.Candidates(t.Context(), tt.kind, tt.scope)
		if n := len(s.Requests()) - before; err != nil || idsOf(got) != tt.want || n != tt.requests {
			t.Errorf("Candidates(%s, %v) = %s, %v after %d requests; want %s after %d", tt.kind, tt.scope, idsOf(got), err, n, tt.want, tt.requests)
		}
		for _, c := range got {
			if c.Name == "" || c.Score != 0 {
				t.Errorf("Candidates(%s) has %+v, want a name, and no likeness to no words", tt.kind, c)
			}
		}
	}
	for kind, scope := range map[workspace.Kind]workspace.Scope{"planet": {}, workspace.CustomField: {Pipeline: "dpl_none"}} {
		got, err := w.Candidates(t.Context(), kind, scope)
		if e, ok := errors.AsType[*workspace.LookupError](err); !ok || e.Kind != kind {
			t.Errorf("Candidates(%s, %v) = %v, %v; want a LookupError", kind, scope, got, err)
		}
	}
}

// What is there no more is no candidate, and a thing that two pages hold is one.
func TestCandidatesThatCanBeUsed(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{
		"/users":     {row("id", "usr_1", "name", "A", "isActive", false), row("id", "usr_2", "name", "B"), row("id", "usr_2", "name", "B"), row("id", "usr_3", "name", "C")},
		"/tags":      {row("id", "tag_1", "name", "A", "type", "leads"), row("id", "tag_2", "name", "B"), row("id", "tag_3", "name", "C", "type", "deals")},
		"/pipelines": {row("id", "dpl_1", "name", "A", "isActive", false, "stages", []any{}), row("id", "dpl_2", "name", "B", "stages", []any{})},
		"/sources":   {},
	}}
	w := f.open(t)
	for kind, want := range map[workspace.Kind]string{
		workspace.User: "usr_2 usr_3", workspace.Tag: "tag_2 tag_3", workspace.Pipeline: "dpl_2", workspace.Source: "", workspace.Stage: "",
	} {
		if got, err := w.Candidates(t.Context(), kind, workspace.Scope{}); err != nil || idsOf(got) != want {
			t.Errorf("Candidates(%s) = %s, %v; want %s", kind, idsOf(got), err, want)
		}
	}
	f.fail("/products", http.StatusForbidden)
	got, err := w.Candidates(t.Context(), workspace.Product, workspace.Scope{})
	if _, ok := errors.AsType[*workspace.LookupError](err); !ok {
		t.Errorf("Candidates(product) without the list = %v, %v; want a LookupError", got, err)
	}
}

// A scope that is not there is looked for again, and then refused with what there is.
func TestCandidatesOfNoScope(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stages := []any{map[string]any{"id": "dps_1", "name": "New"}}
		f := &fake{lists: map[string][]string{"/pipelines": {row("id", "dpl_1", "name", "Sales", "stages", stages)}}}
		w := f.inside(workspace.Options{})
		outcome := func() string {
			got, err := w.Candidates(t.Context(), workspace.Stage, workspace.Scope{Pipeline: "dpl_2"})
			if err == nil {
				return idsOf(got)
			}
			return fmt.Sprintf("%s after %d", say(workspace.Match{}, err), len(f.requests()))
		}
		if got, want := outcome(), "none: dpl_1 after 1"; got != want {
			t.Errorf("Candidates(stage) of a pipeline that is not there = %s, want %s", got, want)
		}
		f.set("/pipelines", row("id", "dpl_2", "name", "Sales", "stages", stages))
		time.Sleep(10 * time.Second)
		if got, want := outcome(), "dps_1"; got != want {
			t.Errorf("Candidates(stage) of a pipeline that is there now = %s, want %s", got, want)
		}
	})
}
