package workspace

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"heffl-mcp/heffl"
)

// Known is what was read of a workspace. A list's At is zero where nothing was.
type Known struct {
	Pipelines List[heffl.Pipeline]

	// Fields are the custom fields of deals: first those that are not known to be of one pipeline, in
	// Heffl's order, then those of each pipeline that was asked about, in the order of Pipelines. A
	// field of several pipelines comes once for each. At is when the newest of these lists was read.
	Fields List[Field]
}

// Known returns what has been read of the pipelines and of the custom fields of deals, however
// long ago. It asks nothing and does not wait for a list that is being read. It returns the same
// until more is read.
func (w *Workspace) Known() Known {
	var k Known
	k.Pipelines, _ = w.pipelines.kept()
	w.mu.Lock()
	caches := maps.Clone(w.fields)
	w.mu.Unlock()
	lists := map[string]List[Field]{} // by pipeline
	for at, c := range caches {
		if l, _ := c.kept(); at.entity == ofDeals && !l.At.IsZero() {
			lists[at.pipeline] = l
		}
	}
	k.Fields = joinFields(k.Pipelines.Items, lists)
	return k
}

// KnownAt is when the newest of what [Workspace.Known] tells was read.
func (w *Workspace) KnownAt() time.Time {
	l, _ := w.pipelines.kept()
	newest := l.At
	w.mu.Lock()
	defer w.mu.Unlock()
	for at, c := range w.fields {
		if l, _ := c.kept(); at.entity == ofDeals && l.At.After(newest) {
			newest = l.At
		}
	}
	return newest
}

// joinFields puts together lists of fields by pipeline, among which that of "" is of all deals.
func joinFields(pipelines []heffl.Pipeline, lists map[string]List[Field]) List[Field] {
	inOrder := orderOf(pipelines)
	ofAll := map[string]bool{}
	for _, f := range lists[""].Items {
		ofAll[f.Key] = true
	}
	ofAllKnown := !lists[""].At.IsZero() && !lists[""].Partial

	type entry struct{ key, pipeline string }
	seen := map[entry]bool{}
	var all List[Field]
	for _, id := range slices.SortedFunc(maps.Keys(lists), inOrder) {
		l := lists[id]
		all.Partial = all.Partial || l.Partial
		if l.At.After(all.At) {
			all.At = l.At
		}
		for _, f := range l.Items {
			if f.Pipeline == "" && ofAllKnown && !ofAll[f.Key] {
				f.Pipeline = id
			}
			if e := (entry{f.Key, f.Pipeline}); !seen[e] {
				seen[e] = true
				all.Items = append(all.Items, f)
			}
		}
	}
	slices.SortStableFunc(all.Items, func(a, b Field) int { return inOrder(a.Pipeline, b.Pipeline) })
	return all
}

// orderOf compares IDs of pipelines by their order; that of none comes first, those of pipelines that
// are not known come last.
func orderOf(pipelines []heffl.Pipeline) func(a, b string) int {
	place := map[string]int{"": -1}
	for i, p := range pipelines {
		place[p.ID] = i
	}
	of := func(id string) int {
		if i, known := place[id]; known {
			return i
		}
		return len(pipelines)
	}
	return func(a, b string) int { return cmp.Or(cmp.Compare(of(a), of(b)), cmp.Compare(a, b)) }
}
