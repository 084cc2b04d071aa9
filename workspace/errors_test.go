package workspace_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"heffl-mcp/workspace"
)

func TestErrorsRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&workspace.UnresolvedError{Kind: workspace.Tag, Input: "Hot"}, `no tag is named "Hot"`},
		{&workspace.UnresolvedError{Kind: workspace.Client, Input: "dl_1", IDOf: "deal"}, `"dl_1" is the ID of a deal, not of a client`},
		{&workspace.UnresolvedError{Kind: workspace.User, Input: "Omar", Ambiguous: true, Matches: 2}, `2 of kind user are named "Omar"`},
		{&workspace.UnresolvedError{Kind: workspace.Client, Input: "Acme", Partial: true}, `the list is too long to tell which client "Acme" is`},
		{&workspace.UnresolvedError{Kind: workspace.Stage, Input: "won", Elsewhere: &workspace.Elsewhere{
			Match: workspace.Match{Name: "Won"}, Why: workspace.OtherPipeline, Where: "Sales"}}, `the stage "Won" cannot be used here: pipeline Sales`},
		{&workspace.LookupError{Kind: workspace.User, Err: errors.New("no answer")}, "looking for a user: no answer"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%#v = %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestKindOfID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]workspace.Kind{
		"clt_1": workspace.Client, "dpl_a-B_9": workspace.Pipeline, "dps_x": workspace.Stage, "usr_x": workspace.User, "src_x": workspace.Source,
		"tag_x": workspace.Tag, "prd_x": workspace.Product, "ld_x": workspace.Lead, "dl_x": workspace.Deal, "deal_x": workspace.Deal, "txr_x": "tax rate", "cs_x": "client stage",
		"lstg_x": "lead stage", "lst_x": "list", "qtn_x": "quotation", "tpl_x": "document template", "tsk_x": "task",
		"": "", "clt_": "", "clt": "", "clt_a b": "", "clt_é": "", "CLT_1": "", "xclt_1": "", "cf_region": "", "clt_1\n": "",
	} {
		if got := workspace.KindOfID(id); got != want {
			t.Errorf("KindOfID(%q) = %q, want %q", id, got, want)
		}
	}
}

// An ID is given its name where that is known already, and nothing is asked for it.
func TestIDsOfWhatIsKnown(t *testing.T) {
	t.Parallel()
	w, s := openSandbox(t, nil)
	name := func() string {
		m, err := w.Resolve(t.Context(), workspace.User, "usr_sara", workspace.Scope{})
		return fmt.Sprint(m.Name, err)
	}
	if got := name(); got != "<nil>" || len(s.Requests()) != 0 {
		t.Errorf("cold: Resolve(user, usr_sara) has name %s after %d requests, want none", got, len(s.Requests()))
	}
	if _, err := w.Users(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "Sara Haddad<nil>" || len(s.Requests()) != 1 {
		t.Errorf("warm: Resolve(user, usr_sara) has name %s after %d requests, want Sara Haddad after 1", got, len(s.Requests()))
	}
}

// Pipelines that come without their stages are read one by one, up to a number of them.
func TestPipelinesWithoutStages(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{}}
	for i := range 25 {
		id := fmt.Sprintf("dpl_%d", i)
		f.lists["/pipelines"] = append(f.lists["/pipelines"], row("id", id, "name", fmt.Sprint("P ", i)))
		f.lists["/pipelines/"+id] = []string{row("id", id, "name", "P", "stages", []any{map[string]any{"id": fmt.Sprintf("dps_%d", i), "name": "New"}})}
	}
	w := f.open(t)
	for pipeline, want := range map[string]string{
		"dpl_3": "dps_3 by folded name", "dpl_24": "partial:", "": "partial: dps_0 dps_1 dps_2 dps_3 dps_4", "dpl_99": "partial: dpl_9 dpl_19",
	} {
		m, err := w.Resolve(t.Context(), workspace.Stage, "new", workspace.Scope{Pipeline: pipeline})
		if got := say(m, err); got != want {
			t.Errorf("Resolve(stage of %q) = %s, want %s", pipeline, got, want)
		}
	}
	if n := len(f.requests()); n != 21 {
		t.Errorf("25 pipelines took %d requests, want the list and 20 more", n)
	}
	broken := &fake{lists: f.lists}
	broken.fail("/pipelines/dpl_1", http.StatusForbidden)
	if _, err := broken.open(t).Pipelines(t.Context()); err == nil {
		t.Error("Pipelines without one of them succeeded")
	}
	if _, err := broken.open(t).OtherFields(t.Context(), ""); err == nil {
		t.Error("OtherFields without the pipelines succeeded")
	}
}

// Why a field is refused is not told where it cannot be found out; that it is refused stands.
func TestFieldRefusedWithoutReason(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{
		"/custom-fields": {row("key", "cf_a", "label", "A")}, "/custom-fields?dpl_1": {row("key", "cf_b", "label", "B")},
		"/pipelines": {row("id", "dpl_1", "name", "Sales", "stages", []any{})},
	}}
	for status, want := range map[int]string{0: "elsewhere cf_b: pipeline Sales", http.StatusForbidden: "none: cf_a"} {
		w := f.open(t)
		f.fail("/pipelines", status)
		m, err := w.Resolve(t.Context(), workspace.CustomField, "cf_b", workspace.Scope{})
		if got := say(m, err); got != want {
			t.Errorf("Resolve with pipelines answering %d = %s, want %s", status, got, want)
		}
	}
}
