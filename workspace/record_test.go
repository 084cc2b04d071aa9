package workspace

import (
	"fmt"
	"slices"
	"testing"

	"heffl-mcp/heffl"
)

// TestStageViews asks for the stages as seen from each of many pipelines, and holds that they are always those of
// that pipeline, and that not all of them are kept: each view has the stages of all pipelines.
func TestStageViews(t *testing.T) {
	t.Parallel()
	pipelines := func(name string) (records []record) {
		for i := range 3 * maxStageViews {
			p := heffl.Pipeline{ID: fmt.Sprintf("dpl_%d", i), Name: name, Active: true, Stages: []heffl.Stage{{ID: fmt.Sprintf("dps_%d", i), Name: "Won"}}}
			records = append(records, pipelineRecord(&p))
		}
		return records
	}
	var s stageViews
	first, second := pipelines("first"), pipelines("second")
	for range 2 {
		for _, list := range [][]record{first, second} {
			for i, p := range list {
				view := s.of(list, p.id)
				fits := func(r record) bool { return r.misfit == "" }
				if at := slices.IndexFunc(view, fits); len(view) != len(list) || at != i || slices.ContainsFunc(view[at+1:], fits) || view[(i+1)%len(list)].where != p.name {
					t.Errorf("stages seen from %s of the %s list: %d, the one at %d fits first; want %d and %d", p.id, p.name, len(view), at, len(list), i)
				}
				if len(s.kept) > maxStageViews {
					t.Fatalf("%d views are kept, want %d at most", len(s.kept), maxStageViews)
				}
			}
		}
	}
}
