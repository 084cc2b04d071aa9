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

	"github.com/google/go-cmp/cmp"

	"heffl-mcp/workspace"
)

func TestEntityFields(t *testing.T) {
	t.Parallel()
	w, s := openSandbox(t, nil)
	deals, err := w.Fields(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for entity, want := range map[string]string{
		"contacts": "cf_language", "companies": "cf_industry cf_employees", "tasks": "cf_channel", "deals": keysOf(deals), "": keysOf(deals),
	} {
		for range 2 {
			if l, err := w.EntityFields(t.Context(), entity); err != nil || keysOf(l) != want || l.At.IsZero() {
				t.Errorf("EntityFields(%q) = %s, %v; want %s", entity, keysOf(l), err, want)
			}
		}
	}
	if n := len(s.Requests()); n != 4 {
		t.Errorf("fields of four entities, twice, took %d requests, want 4", n)
	}
	_, err = w.EntityFields(t.Context(), "planets")
	if e, ok := errors.AsType[*workspace.LookupError](err); !ok || e.Kind != workspace.CustomField {
		t.Errorf("EntityFields(planets) = %v, want a LookupError", err)
	}
}

func keysOf(l workspace.List[workspace.Field]) string {
	var keys []string
	for _, f := range l.Items {
		keys = append(keys, strings.TrimSuffix(f.Key+"@"+f.Pipeline, "@"))
	}
	return strings.Join(keys, " ")
}

// Only fields of deals are of pipelines: for others none is asked, nor is one looked for there.
func TestEntitiesHaveNoPipelines(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{
		"/custom-fields":       {row("key", "cf_a", "label", "A", "options", []string{"x"})},
		"/custom-fields?dpl_1": {row("key", "cf_b", "label", "B")},
		"/pipelines":           {row("id", "dpl_1", "name", "Sales", "stages", []any{})},
	}}
	w := f.open(t)
	scope := workspace.Scope{Entity: "tasks", Pipeline: "dpl_1", Field: "cf_a"}
	for _, tt := range []struct {
		kind        workspace.Kind
		words, want string
	}{
		{workspace.CustomField, "a", "cf_a by folded name"}, {workspace.CustomField, "B", "none: cf_a"}, {workspace.FieldOption, "X", "x by folded name"},
	} {
		m, err := w.Resolve(t.Context(), tt.kind, tt.words, scope)
		if got := say(m, err); got != tt.want {
			t.Errorf("Resolve(%s, %q, %v) = %s, want %s", tt.kind, tt.words, scope, got, tt.want)
		}
	}
	if got, want := f.requests(), []string{"/custom-fields?entity=tasks"}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		field := func(key string, more ...any) string { return row(append([]any{"key", key, "label", key}, more...)...) }
		f := &fake{lists: map[string][]string{
			"/pipelines":              {row("id", "dpl_z", "name", "Z", "stages", []any{}), row("id", "dpl_a", "name", "A", "stages", []any{})},
			"/custom-fields":          {field("cf_2"), field("cf_1"), field("cf_own", "pipelineId", "dpl_a")},
			"/custom-fields?dpl_a":    {field("cf_2"), field("cf_a"), field("cf_1"), field("cf_own", "pipelineId", "dpl_a"), field("cf_both")},
			"/custom-fields?dpl_z":    {field("cf_2"), field("cf_1"), field("cf_z"), field("cf_both")},
			"/custom-fields?dpl_gone": {field("cf_2"), field("cf_1"), field("cf_gone")},
		}}
		w := f.inside(workspace.Options{})
		start := time.Now()
		after := func(what string, read func() error, pipelines int, fields string, at int) {
			t.Helper()
			if err := read(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			f.requests()
			k := w.Known()
			if len(k.Pipelines.Items) != pipelines || k.Pipelines.At.IsZero() != (pipelines == 0) || keysOf(k.Fields) != fields {
				t.Errorf("%s: Known = %d pipelines, fields %q; want %d, %q", what, len(k.Pipelines.Items), keysOf(k.Fields), pipelines, fields)
			}
			if want := start.Add(time.Duration(at) * time.Minute); at < 0 && !k.Fields.At.IsZero() || at >= 0 && !k.Fields.At.Equal(want) {
				t.Errorf("%s: Known has fields of %v, want %v", what, k.Fields.At, want)
			}
			for range 20 {
				if diff := cmp.Diff(k, w.Known()); diff != "" {
					t.Fatalf("%s: Known changed from call to call:\n%s", what, diff)
				}
			}
			if asked := f.requests(); len(asked) > 0 {
				t.Errorf("%s: Known asked %q", what, asked)
			}
			time.Sleep(time.Minute)
		}
		fields := func(pipeline string) func() error {
			return func() error { _, err := w.Fields(t.Context(), pipeline); return err }
		}
		after("nothing", func() error { return nil }, 0, "", -1)
		after("fields of tasks", func() error { _, err := w.EntityFields(t.Context(), "tasks"); return err }, 0, "", -1)
		after("fields of a", fields("dpl_a"), 0, "cf_2 cf_a cf_1 cf_both cf_own@dpl_a", 2) // which are of all deals is not known
		after("fields of all", fields(""), 0, "cf_2 cf_1 cf_own@dpl_a cf_a@dpl_a cf_both@dpl_a", 3)
		after("fields of z", fields("dpl_z"), 0, "cf_2 cf_1 cf_own@dpl_a cf_a@dpl_a cf_both@dpl_a cf_z@dpl_z cf_both@dpl_z", 4)
		after("pipelines", func() error { _, err := w.Pipelines(t.Context()); return err }, 2,
			"cf_2 cf_1 cf_z@dpl_z cf_both@dpl_z cf_own@dpl_a cf_a@dpl_a cf_both@dpl_a", 4)
		after("fields of a pipeline that is not there", fields("dpl_gone"), 2,
			"cf_2 cf_1 cf_z@dpl_z cf_both@dpl_z cf_own@dpl_a cf_a@dpl_a cf_both@dpl_a cf_gone@dpl_gone", 6)
		time.Sleep(time.Hour)
		f.fail("/custom-fields", http.StatusForbidden)
		after("an hour, and a failure", func() error {
			if _, err := w.Fields(t.Context(), ""); err == nil {
				return errors.New("Fields succeeded")
			}
			return nil
		}, 2, "cf_2 cf_1 cf_z@dpl_z cf_both@dpl_z cf_own@dpl_a cf_a@dpl_a cf_both@dpl_a cf_gone@dpl_gone", 6)
	})
}

// Known waits for no list that is being read, and shows the one before it.
func TestKnownDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{hold: make(chan struct{}), lists: map[string][]string{
			"/pipelines":     {row("id", "dpl_1", "name", "Sales", "stages", []any{})},
			"/custom-fields": {row("key", "cf_a", "label", "A")},
		}}
		w := f.inside(workspace.Options{})
		read := make(chan error)
		go func() { _, err := w.Pipelines(t.Context()); read <- err }()
		go func() { _, err := w.Fields(t.Context(), ""); read <- err }()
		synctest.Wait()
		if k := w.Known(); len(f.requests()) != 2 || !k.Pipelines.At.IsZero() || !k.Fields.At.IsZero() {
			t.Errorf("Known while the lists are read = %+v, want nothing", k)
		}
		close(f.hold)
		if err := errors.Join(<-read, <-read); err != nil {
			t.Fatal(err)
		}
		if k := w.Known(); len(k.Pipelines.Items) != 1 || keysOf(k.Fields) != "cf_a" {
			t.Errorf("Known after that = %+v, want a pipeline and a field", k)
		}
	})
}

// Pipelines that nobody has do not drive out the fields of all deals.
func TestKnownAmongManyPipelines(t *testing.T) {
	t.Parallel()
	f := &fake{lists: map[string][]string{"/custom-fields": {row("key", "cf_a", "label", "A")}}}
	w := f.open(t)
	for i := range 200 {
		pipeline := fmt.Sprintf("dpl_%d", i)
		if i == 0 {
			pipeline = ""
		}
		if _, err := w.Fields(t.Context(), pipeline); err != nil {
			t.Fatal(err)
		}
		if got := keysOf(w.Known().Fields); got != "cf_a" {
			t.Fatalf("after %d lists Known has the fields %q, want cf_a", i+1, got)
		}
	}
}
