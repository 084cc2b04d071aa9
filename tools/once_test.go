package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/journal"

	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

// A stage is a Heffl that fails as it is told, and a server of ours with a real client. It belongs
// into a synctest bubble.
type stage struct {
	tb     testing.TB
	sb     *sandbox.Sandbox
	deps   Deps
	client *mcpclient.Client
	tool   string
	list   string // of what the tool makes
	before int    // rows of it

	mu         sync.Mutex
	undated    bool     // rows and answers do not say when anything was made
	posts      []string // the fault of each POST, one after the other; then none
	reads      string   // the fault of each GET
	refuses    bool     // connections
	postsFirst string   // another body of a 200 to the first POST, which makes nothing
}

func newStage(tb testing.TB, posts ...string) *stage {
	return newStageWith(tb, Deps{Journal: memory(tb)}, posts...)
}

func newStageWith(tb testing.TB, d Deps, posts ...string) *stage {
	return newStageOf(tb, "create_deal", "/deals", d, posts...)
}

// newStageOf is one for the calls of a tool, whose work is in a list.
func newStageOf(tb testing.TB, tool, list string, d Deps, posts ...string) *stage {
	s := &stage{tb: tb, tool: tool, list: list, posts: posts}
	s.sb = sandbox.New(sandbox.Options{RateLimit: -1, Fault: s.fault})
	tb.Cleanup(func() { s.sb.Close() })
	s.before = len(rowsOf(tb, s.sb, list))
	d.Heffl = &heffl.Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: &http.Client{Transport: s}, Budget: new(heffl.Budget)}
	d.Tenant, d.Followers = "t", new(sync.WaitGroup)
	s.deps, s.client = d, connectTo(tb, d)
	return s
}

func (s *stage) fault(r *http.Request) sandbox.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	switch {
	case r.Method == http.MethodGet:
		text = s.reads
	case r.Method == http.MethodPost && len(s.posts) > 0:
		text, s.posts = s.posts[0], s.posts[1:]
	}
	f, err := sandbox.ParseFault(text)
	if err != nil {
		s.tb.Error(err)
	}
	return f
}

func (s *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	refuses, odd := s.refuses, ""
	if r.Method == http.MethodPost {
		odd, s.postsFirst = s.postsFirst, ""
	}
	s.mu.Unlock()
	if refuses {
		return nil, errors.New("connection refused")
	}
	if odd != "" {
		io.Copy(io.Discard, r.Body)
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(odd))}, nil
	}
	resp, err := s.sb.HTTPClient().Transport.RoundTrip(r)
	if err == nil && s.undated {
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(bytes.ReplaceAll(body, []byte("createdAt"), []byte("madeOn"))), failing{err}))
		resp.ContentLength = -1
	}
	return resp, err
}

// rowsOf is all that a list holds and shows.
func rowsOf(tb testing.TB, sb *sandbox.Sandbox, list string) (rows []json.RawMessage) {
	tb.Helper()
	if list == "/deals" {
		return sb.Deals() // what is hidden, too
	}
	c := &heffl.Client{BaseURL: sandbox.BaseURL, Key: "other", HTTP: sb.HTTPClient()}
	for q := (heffl.ListQuery{PageSize: 100}); ; {
		page, err := map[string]func(context.Context, heffl.ListQuery) (*heffl.Page, error){
			"/tasks":     c.ListTasks,
			"/contacts":  pageOf(c.ListContacts),
			"/companies": pageOf(c.ListCompanies),
		}[list](tb.Context(), q)
		if err != nil {
			tb.Fatal(err)
		}
		rows = append(rows, page.Items...)
		if q.Cursor = page.Next; q.Cursor == "" {
			return rows
		}
	}
}

func (s *stage) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// told is what a call was answered.
type told struct {
	outcome string
	id      string // of what was made
	text    string
	took    time.Duration
	notes   map[string]any
}

const order = `{"title":"Order 1","clientId":"clt_acme","pipelineId":"dpl_sales","price":100}`

// again is the same with allowDuplicate.
func again(args string) string { return strings.Replace(args, "{", `{"allowDuplicate":true,`, 1) }

func (s *stage) call(args string) told { return s.callWith(s.tb.Context(), args) }

func (s *stage) callWith(ctx context.Context, args string) told {
	s.tb.Helper()
	var req mcp.CallToolRequest
	req.Params.Name, req.Params.Arguments = s.tool, json.RawMessage(args)
	began := time.Now()
	r, err := s.client.CallTool(ctx, req)
	if err != nil {
		s.tb.Fatal(err)
	}
	got := told{text: textOf(r), took: time.Since(began), notes: notesOf(r)}
	got.outcome, _ = got.notes["heffl-mcp/outcome"].(string)
	got.id, _ = parse(r.RawStructuredContent).str("id")
	if got.took > 25*time.Second {
		s.tb.Errorf("%s took %v, want at most 25s", s.tool, got.took)
	}
	if (got.id == "") != r.IsError {
		s.tb.Errorf("%s: made %q, error %t: %s", s.tool, got.id, r.IsError, got.text)
	}
	return got
}

// sent counts the POSTs that reached Heffl.
func (s *stage) sent() (n int) {
	for _, r := range s.sb.Requests() {
		if r.Method == http.MethodPost {
			n++
		}
	}
	return n
}

func (s *stage) made() int { return len(rowsOf(s.tb, s.sb, s.list)) - s.before }

// patch changes the newest deal behind our back.
func (s *stage) patch(body string) {
	s.tb.Helper()
	deals := s.sb.Deals()
	id, _ := parse(deals[len(deals)-1]).str("id")
	s.direct(http.MethodPatch, "/deals/"+id, body)
}

func (s *stage) direct(method, path, body string) {
	s.tb.Helper()
	r, err := http.NewRequestWithContext(s.tb.Context(), method, sandbox.BaseURL+path, strings.NewReader(body))
	if err != nil {
		s.tb.Fatal(err)
	}
	r.Header = http.Header{"X-Api-Key": {"other"}, "Content-Type": {"application/json"}}
	resp, err := s.sb.HTTPClient().Do(r)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.tb.Fatalf("%s %s %s = %d", method, path, body, resp.StatusCode)
	}
}

// step is one call and what must come of it.
type step struct {
	args    string // empty: the same as before, at first order
	outcome string
	least   time.Duration // that it takes
	most    time.Duration // 0: no time
	sent    int           // POSTs by then
	says    string
}

// TestOnce goes through the table of docs/exactly-once.md: what happens to the request, and what
// becomes of the call and of those after it.
func TestOnce(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, test := range []struct {
		name  string
		posts []string
		down  time.Duration // no connection for so long
		first string        // the body of a foreign 2xx

		unchecked bool // nothing is looked for before the first send
		steps     []step
		made      int
	}{
		{name: "good", made: 1, steps: []step{{outcome: created, sent: 1}, {outcome: replayed, sent: 1, says: "nothing was sent now"}}},

		{name: "no connection for 5s", down: 5 * s, unchecked: true, made: 1, steps: []step{{outcome: created, least: 5 * s, most: 9 * s, sent: 1}}},
		{name: "no connection for 5s, then 500", down: 5 * s, posts: []string{"before:500"}, unchecked: true, made: 1, steps: []step{
			{outcome: created, least: 10 * s, most: 14 * s, sent: 2}}},
		{name: "no connection for 40s", down: 40 * s, unchecked: true, made: 1, steps: []step{
			{outcome: notSent, least: 15 * s, most: 25 * s, says: "could not be reached (connection refused), and nothing was done"},
			{outcome: created, least: 15 * s, most: 25 * s, sent: 1},
		}},
		{name: "no connection to look by", down: 10 * s, steps: []step{{outcome: notSent, most: 5 * s, says: "the same call again is safe"}}},

		{name: "429 for 3s", posts: []string{"before:429;wait=3"}, made: 1, steps: []step{{outcome: created, least: 3 * s, most: 4 * s, sent: 2}}},
		{name: "429 without a word", posts: []string{"before:429", "before:429"}, made: 1, steps: []step{{outcome: created, most: 4 * s, sent: 3}}},
		{name: "429 for 40s", posts: []string{"before:429;wait=40"}, made: 1, steps: []step{
			{outcome: rateLimited, sent: 1, says: "in 40 s"},
			{outcome: rateLimited, sent: 1, says: "in 40 s"},
			{args: "sleep 20s"},
			{outcome: created, least: 20 * s, most: 21 * s, sent: 2},
		}},

		{name: "404", steps: []step{
			{args: strings.Replace(order, "clt_acme", "clt_nobody", 1), outcome: refused, sent: 1, says: "nothing was done"},
			{outcome: refused, sent: 2},
		}},
		{name: "400", steps: []step{
			{args: strings.Replace(order, "}", `,"stageId":"dps_ent_won"}`, 1), outcome: refused, sent: 1, says: "nothing was done"},
			{outcome: refused, sent: 2},
		}},

		{name: "500, not made", posts: []string{"before:500"}, made: 1, steps: []step{{outcome: created, least: 5 * s, most: 6 * s, sent: 2}}},
		{name: "500, made", posts: []string{"after:500"}, made: 1, steps: []step{{outcome: recovered, sent: 1, says: "no second one was made"}, {outcome: replayed, sent: 1}}},
		{name: "502, made and hidden", posts: []string{"after:502;hide=3s"}, made: 1, steps: []step{{outcome: recovered, least: 3 * s, most: 4 * s, sent: 1}}},
		{name: "502, made later", posts: []string{"before:502;wait=2s"}, made: 1, steps: []step{{outcome: recovered, least: 2 * s, most: 4 * s, sent: 1}}},
		{name: "500 three times", posts: []string{"before:500", "before:502", "before:500"}, made: 1, steps: []step{{outcome: created, least: 15 * s, most: 17 * s, sent: 4}}},
		{name: "500, then lost", posts: []string{"before:500", "before:drop"}, made: 1, steps: []step{
			{outcome: unsettled, least: 20 * s, most: 25 * s, sent: 2}, {outcome: created, least: s, most: 12 * s, sent: 3}}},
		{name: "500 for ever", posts: strings.Fields(strings.Repeat("before:500 ", 50)), steps: []step{
			{outcome: unsettled, least: 15 * s, most: 25 * s, sent: maxSends, says: "makes no second one"},
			{outcome: unsettled, most: 25 * s, sent: 2*maxSends - 1 + 1, says: "Heffl failed after it was sent"},
		}},

		{name: "lost, not made", posts: []string{"before:drop"}, made: 1, steps: []step{
			{outcome: unsettled, least: 18 * s, most: 25 * s, sent: 1, says: "it looks first, and makes no second one"},
			{outcome: created, least: 0, most: 10 * s, sent: 2},
		}},
		{name: "lost, made", posts: []string{"after:drop"}, made: 1, steps: []step{{outcome: recovered, sent: 1}}},
		{name: "lost, made and hidden", posts: []string{"after:drop;hide=3s"}, made: 1, steps: []step{{outcome: recovered, least: 3 * s, most: 4 * s, sent: 1}}},
		{name: "lost, made 18s later", posts: []string{"before:drop;wait=18s"}, made: 1, steps: []step{{outcome: recovered, least: 18 * s, most: 24 * s, sent: 1}}},
		{name: "lost, made 19s later and hidden", posts: []string{"before:drop;wait=19s;hide=3s"}, made: 1, steps: []step{{outcome: recovered, least: 22 * s, most: 25 * s, sent: 1}}},
		{name: "no answer, made", posts: []string{"after:hang"}, made: 1, steps: []step{{outcome: recovered, least: 20 * s, most: 20 * s, sent: 1}}},
		{name: "no answer, not made", posts: []string{"before:hang"}, made: 1, steps: []step{
			{outcome: unsettled, least: 20 * s, most: 25 * s, sent: 1},
			{outcome: created, least: 20 * s, most: 25 * s, sent: 2},
		}},
		{name: "no answer, made while nobody waits", posts: []string{"before:slow;wait=38s"}, made: 1, steps: []step{
			{outcome: unsettled, least: 20 * s, most: 25 * s, sent: 1},
			{outcome: recovered, least: 10 * s, most: 20 * s, sent: 1},
		}},
		{name: "slow", posts: []string{"before:slow;wait=15s"}, made: 1, steps: []step{{outcome: created, least: 15 * s, most: 15 * s, sent: 1}}},

		{name: "2xx cut", posts: []string{"after:truncate"}, made: 1, steps: []step{{outcome: recovered, sent: 1}}},
		{name: "2xx cut, hidden", posts: []string{"after:truncate;hide=3s"}, made: 1, steps: []step{{outcome: recovered, least: 3 * s, most: 4 * s, sent: 1}}},
		{name: "2xx of a stranger", first: `<html>`, steps: []step{
			{outcome: unsettled, least: 18 * s, most: 25 * s, says: "Heffl has carried it out, but what it made cannot be found yet"},
			{args: "sleep 1h"},
			{args: order, outcome: unsettled, least: 18 * s, most: 25 * s, says: "Heffl has carried it out"},
			{args: again(order), outcome: unsettled, least: 18 * s, most: 25 * s, says: "Heffl has carried it out"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := newStageWith(t, Deps{Journal: memory(t), SkipDuplicateCheck: test.unchecked}, test.posts...)
				st.postsFirst = test.first
				if test.down > 0 {
					st.refuses = true
					time.AfterFunc(test.down, func() { st.set(func() { st.refuses = false }) })
				}
				args := order
				for i, want := range test.steps {
					if pause, ok := strings.CutPrefix(want.args, "sleep "); ok {
						d, _ := time.ParseDuration(pause)
						time.Sleep(d)
						continue
					}
					if want.args != "" {
						args = want.args
					}
					got := st.call(args)
					if got.outcome != want.outcome || got.took < want.least || got.took > want.most || st.sent() != want.sent || !strings.Contains(got.text, want.says) {
						t.Errorf("call %d is %s after %v and %d POSTs, want %s after %v to %v and %d, saying %q: %s",
							i, got.outcome, got.took, st.sent(), want.outcome, want.least, want.most, want.sent, want.says, got.text)
					}
					if got.notes["heffl-mcp/retrySafe"] != true {
						t.Errorf("call %d is not said to be safe again: %v", i, got.notes)
					}
				}
				if st.made() != test.made {
					t.Errorf("%d deals, want %d", st.made(), test.made)
				}
			})
		})
	}
}

// in runs f in a bubble of its own, under a name.
func in(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, f)
	})
}

// is holds one answer against what is wanted.
func (s *stage) is(got told, outcome string, says ...string) {
	s.tb.Helper()
	if got.outcome != outcome {
		s.tb.Errorf("%s is %s, want %s: %s", s.tool, got.outcome, outcome, got.text)
	}
	for _, part := range says {
		if !strings.Contains(got.text, part) {
			s.tb.Errorf("%s = %q, want it to say %q", s.tool, got.text, part)
		}
	}
}

func (s *stage) count(sent, made int) {
	s.tb.Helper()
	if s.sent() != sent || s.made() != made {
		s.tb.Errorf("%s: %d POSTs and %d made, want %d and %d", s.tool, s.sent(), s.made(), sent, made)
	}
}

func TestOnceCancelled(t *testing.T) {
	t.Parallel()
	in(t, "while Heffl works", func(t *testing.T) {
		s := newStage(t, "before:slow;wait=10s")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		got := s.callWith(ctx, order)
		s.is(got, unsettled, "it was sent")
		if got.took != 2*time.Second {
			t.Errorf("it returned after %v, want when it was cancelled, after 2s", got.took)
		}
		began := time.Now()
		s.deps.Followers.Wait()
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("the request was followed for %v, want 8s, to its end", took)
		}
		s.is(s.call(order), replayed)
		s.count(1, 1)
		// Now that somebody was told of it, another one is another one.
		s.is(s.call(again(order)), created)
		s.count(2, 2)
	})
	in(t, "and nobody was told", func(t *testing.T) {
		s := newStage(t, "before:slow;wait=10s")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		s.callWith(ctx, order)
		s.deps.Followers.Wait()
		s.is(s.call(again(order)), replayed)
		s.count(1, 1)
		s.is(s.call(again(order)), created)
		s.is(s.call(order), replayed)
		s.count(2, 2)
	})
	for fault, want := range map[string]struct {
		outcome string
		sent    int
	}{
		"before:slow;wait=30s": {recovered, 1}, "after:hang": {recovered, 1}, "before:drop": {created, 2}, "before:500": {created, 2},
		"after:500": {recovered, 1}, "after:truncate": {recovered, 1}, "before:429;wait=3": {created, 2},
	} {
		for stays, who := range map[bool]string{true: "who stays", false: "who leaves"} {
			in(t, "then "+fault+" by "+who, func(t *testing.T) {
				s := newStageWith(t, Deps{Journal: memory(t), Awaited: func(context.Context) bool { return stays }}, fault)
				ctx, cancel := context.WithCancel(t.Context())
				s.deps.Heffl.Timeout = 20 * time.Second
				time.AfterFunc(100*time.Millisecond, cancel)
				s.set(func() { s.reads = "before:slow;wait=90ms" })
				if took := s.callWith(ctx, order).took; stays && took > 100*time.Millisecond || took > 20*time.Second+90*time.Millisecond {
					t.Errorf("it returned after %v", took)
				}
				s.deps.Followers.Wait()
				got := s.call(order)
				for got.outcome == unsettled {
					got = s.call(order)
				}
				s.is(got, want.outcome)
				s.count(want.sent, 1)
			})
		}
	}
	in(t, "by who leaves, too late for its request to end before the call", func(t *testing.T) {
		s := newStageWith(t, Deps{Journal: memory(t), Deadline: 5 * time.Second, Awaited: func(context.Context) bool { return false }}, "before:slow;wait=10s")
		got := s.callWith(t.Context(), order)
		s.is(got, unsettled, "it was sent")
		if got.took != 5*time.Second {
			t.Errorf("it returned after %v, want at its deadline, after 5s", got.took)
		}
		s.deps.Followers.Wait()
		s.is(s.call(order), replayed)
		s.count(1, 1)
	})
	in(t, "before it was sent", func(t *testing.T) {
		s := newStage(t)
		s.set(func() { s.reads = "before:slow;wait=3s" })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.is(s.callWith(ctx, order), notSent)
		time.Sleep(time.Minute)
		s.count(0, 0)
	})
	in(t, "while it waits for another call", func(t *testing.T) {
		s := newStage(t, "before:slow;wait=15s")
		var first sync.WaitGroup
		first.Go(func() { s.is(s.call(order), created) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		got := s.callWith(ctx, order)
		s.is(got, unsettled, "another call with the same arguments is still at it")
		if got.took != 3*time.Second {
			t.Errorf("it returned after %v, want when it was cancelled, after 3s", got.took)
		}
		first.Wait()
		s.count(1, 1)
	})
}

// A process that is killed with a request on its way leaves it to the next one.
func TestOnceKilled(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]struct {
		outcome     string
		least, most time.Duration // since it was sent
		sent        int
	}{
		"after:hang":                   {recovered, time.Second, 4 * time.Second, 1},
		"before:hang;wait=18s":         {recovered, 18 * time.Second, 21 * time.Second, 1},
		"before:hang;wait=19s;hide=4s": {recovered, 23 * time.Second, 26 * time.Second, 1},
		"before:hang":                  {created, 25 * time.Second, 28 * time.Second, 2},
	} {
		in(t, fault, func(t *testing.T) {
			dsn := filepath.Join(memoryDir(t), "journal.db")
			open := func() *journal.Journal {
				j, err := journal.New(dsn, journal.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { j.Close() })
				return j
			}
			j := open()
			s := newStageWith(t, Deps{Journal: j}, fault)
			began := time.Now()
			ctx, kill := context.WithTimeout(t.Context(), time.Second)
			defer kill()
			s.callWith(ctx, order)
			j.Close()

			d := s.deps
			d.Journal = open()
			s.client = connectTo(t, d)
			got := s.call(order)
			for got.outcome == unsettled {
				got = s.call(order)
			}
			s.is(got, want.outcome)
			if took := time.Since(began); took < want.least || took > want.most {
				t.Errorf("it was settled after %v, want %v to %v", took, want.least, want.most)
			}
			s.is(s.call(order), replayed)
			s.count(want.sent, 1)
			s.deps.Followers.Wait()
		})
	}
}

func TestOnceAtOnce(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"", "before:slow;wait=12s", "after:hang", "after:500;hide=3s", "before:500", "after:truncate", "before:429;wait=2s"} {
		in(t, "equal calls, "+fault, func(t *testing.T) {
			s := newStage(t, fault)
			var mu sync.Mutex
			ids := map[string]int{}
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() {
					got := s.call(order)
					mu.Lock()
					defer mu.Unlock()
					ids[got.id]++
				})
			}
			all.Wait()
			if len(ids) != 1 || ids[""] > 0 || s.made() != 1 {
				t.Errorf("six equal calls were told of the deals %v, and there are %d; want one", ids, s.made())
			}
		})
	}
	for i := range 10 { // which of two comes first is a matter of chance
		in(t, fmt.Sprintf("rivals %d", i), func(t *testing.T) {
			s := newStage(t)
			got := map[string]int{}
			var mu sync.Mutex
			var all sync.WaitGroup
			for price := range 3 {
				all.Go(func() {
					r := s.call(strings.Replace(order, "100", fmt.Sprint(100+price), 1))
					mu.Lock()
					defer mu.Unlock()
					got[r.outcome]++
				})
			}
			all.Wait()
			if got[created] != 1 || got[lookAlike] != 2 {
				t.Errorf("of three calls that look the same, %v, want one created and two told", got)
			}
			s.count(1, 1)
		})
	}
	in(t, "rivals who both insist", func(t *testing.T) {
		s := newStage(t, "after:drop;hide=2s", "after:500;hide=1s")
		var ids [2]string
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() { ids[i] = s.call(again(strings.Replace(order, "100", fmt.Sprint(100+i), 1))).id })
		}
		all.Wait()
		if ids[0] == ids[1] || ids[0] == "" || ids[1] == "" {
			t.Errorf("told of %q, want two deals", ids)
		}
		s.count(2, 2)
	})
}

func TestOnceRivals(t *testing.T) {
	t.Parallel()
	rival := strings.Replace(order, "100", "101", 1)
	in(t, "an unclear one holds back", func(t *testing.T) {
		s := newStage(t, "before:drop")
		s.is(s.call(order), unsettled)
		got := s.call(rival)
		s.is(got, lookAlike, "nothing was sent", "has not come to an end", "allowDuplicate: true")
		s.is(s.call(again(rival)), created)
		s.is(s.call(order), created)
		s.count(3, 2)
	})
	in(t, "the settled one is shown", func(t *testing.T) {
		s := newStage(t, "after:500;hide=3s")
		var first sync.WaitGroup
		first.Go(func() {
			if got := s.call(order); got.outcome != recovered || got.took > 5*time.Second {
				t.Errorf("the first call is %s after %v, want %s in 5s: %s", got.outcome, got.took, recovered, got.text)
			}
		})
		time.Sleep(time.Second)
		got := s.call(rival)
		s.is(got, lookAlike, "a deal that looks the same is there: dl_1001")
		if got.took > 5*time.Second {
			t.Errorf("the rival was told after %v, want within 5s", got.took)
		}
		first.Wait()
		s.count(1, 1)
	})
	in(t, "none takes the other's", func(t *testing.T) {
		// The same but for what Heffl does not repeat.
		s := newStage(t, "before:drop", "after:slow;wait=10s")
		s.is(s.call(order), unsettled)
		tagged := strings.Replace(order, "{", `{"tags":["tag_vip"],`, 1)
		var second sync.WaitGroup
		var other told
		second.Go(func() { other = s.call(again(tagged)) })
		synctest.Wait()
		got := s.call(order)
		second.Wait()
		for got.outcome == unsettled {
			got = s.call(order)
		}
		s.is(other, created)
		if got.id == other.id || got.id == "" {
			t.Errorf("told of %q and %q, want two deals", got.id, other.id)
		}
		s.count(3, 2)
	})
}

// What takes long must not hide a deal that was made: the clock of Heffl is not to be thought ahead
// by the time that an answer took.
func TestOnceSlowLooks(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"after:drop", "after:500", "after:truncate"} {
		in(t, fault, func(t *testing.T) {
			s := newStageWith(t, Deps{Journal: memory(t), SkipDuplicateCheck: true}, fault)
			s.set(func() { s.reads = "before:slow;wait=11s" })
			got := s.call(order)
			for range 5 {
				if got.outcome != unsettled {
					break
				}
				got = s.call(order)
			}
			s.is(got, recovered)
			s.count(1, 1)
		})
	}
}

// A day later, in a workspace where much goes on, what is not there can still be told from what is.
func TestOnceBusyWorkspace(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]string{"before:drop": created, "after:drop;hide=40s": recovered} {
		in(t, fault, func(t *testing.T) {
			s := newStage(t, fault)
			s.is(s.call(order), unsettled)
			for i := range 300 {
				time.Sleep(5 * time.Minute)
				s.direct(http.MethodPost, "/deals", fmt.Sprintf(`{"title":"Import %d","clientId":"clt_globex","pipelineId":"dpl_sales"}`, i))
			}
			s.is(s.call(order), want)
		})
	}
}

// A deal that is there since, but not as it was sent, is for the user to judge.
func TestOnceChangedByHeffl(t *testing.T) {
	t.Parallel()
	in(t, "lost", func(t *testing.T) {
		s := newStage(t, "after:drop;hide=1s")
		time.AfterFunc(100*time.Millisecond, func() { s.patch(`{"price":99}`) })
		s.is(s.call(order), unsettled)
		got := s.call(order)
		s.is(got, lookAlike, "price sent 100, answered 99", "dl_1001", "allowDuplicate: true")
		if deal, ok := got.notes["heffl-mcp/lookAlike"].(map[string]any); !ok || deal["id"] != "dl_1001" {
			t.Errorf("heffl-mcp/lookAlike is %v, want the deal", got.notes["heffl-mcp/lookAlike"])
		}
		s.count(1, 1)
		s.is(s.call(again(order)), created)
		s.count(2, 2)
	})
	in(t, "2xx cut", func(t *testing.T) {
		s := newStage(t, "after:truncate;hide=1s")
		time.AfterFunc(100*time.Millisecond, func() { s.patch(`{"price":99}`) })
		s.is(s.call(order), lookAlike, "price sent 100, answered 99")
		s.is(s.call(order), lookAlike)
		s.count(1, 1)
		s.is(s.call(again(order)), created)
		s.count(2, 2)
	})
	in(t, "its title only in spaces", func(t *testing.T) {
		s := newStage(t, "after:drop;hide=1s")
		time.AfterFunc(100*time.Millisecond, func() { s.patch(`{"title":" Order  1"}`) })
		s.is(s.call(order), recovered)
		s.count(1, 1)
	})
}

func TestLookAlike(t *testing.T) {
	t.Parallel()
	for args, stops := range map[string]bool{
		`"title":"Acme renewal","clientId":"clt_acme","pipelineId":"dpl_sales"`:                       true,
		`"title":"  ACME   Renewal! ","clientId":"clt_acme","pipelineId":"dpl_sales"`:                 true,
		`"title":"acme-renewal","clientId":"clt_acme","pipelineId":"dpl_sales","price":1`:             true,
		`"title":"(Acme) \"Renewal\"","clientId":"clt_acme","pipelineId":"dpl_sales"`:                 true,
		`"title":"\uff21cme renewal","clientId":"clt_acme","pipelineId":"dpl_sales"`:                  true,
		`"title":"Acme renewal 2","clientId":"clt_acme","pipelineId":"dpl_sales"`:                     false,
		`"title":"Acme renewal+","clientId":"clt_acme","pipelineId":"dpl_sales"`:                      false,
		`"title":"Renewal Acme","clientId":"clt_acme","pipelineId":"dpl_sales"`:                       false,
		`"title":"Acme renewal","clientId":"clt_globex","pipelineId":"dpl_sales"`:                     false,
		`"title":"Acme renewal","clientId":"clt_acme","pipelineId":"dpl_enterprise"`:                  false,
		`"title":"Acme renewal","clientId":"clt_acme","pipelineId":"dpl_sales","allowDuplicate":true`: false,
		`"title":"Globex comes back","clientId":"clt_globex","pipelineId":"dpl_sales"`:                false, // that one is LOST
		`"title":"Northwind pilot","clientId":"clt_northwind","pipelineId":"dpl_sales"`:               false, // WON
		`"title":"!!!","clientId":"clt_acme","pipelineId":"dpl_sales"`:                                false,
	} {
		in(t, args, func(t *testing.T) {
			s := newStage(t)
			got := s.call("{" + args + "}")
			if !stops {
				s.is(got, created)
				return
			}
			s.is(got, lookAlike, "nothing was sent", "dl_acme_renewal", "Acme renewal", "18250.75", "Negotiation", "James O'Neill", "created 19", "allowDuplicate: true")
			if n := len(s.sb.Requests()); n != 1 {
				t.Errorf("it took %d requests, want 1", n)
			}
			if deal, ok := got.notes["heffl-mcp/lookAlike"].(map[string]any); !ok || deal["id"] != "dl_acme_renewal" {
				t.Errorf("heffl-mcp/lookAlike is %v, want the deal", got.notes["heffl-mcp/lookAlike"])
			}
			s.is(s.call(again("{"+args+"}")), created)
		})
	}
	in(t, "off", func(t *testing.T) {
		s := newStageWith(t, Deps{Journal: memory(t), SkipDuplicateCheck: true})
		s.is(s.call(`{"title":"Acme renewal","clientId":"clt_acme","pipelineId":"dpl_sales"}`), created)
		if n := len(s.sb.Requests()); n != 1 {
			t.Errorf("it took %d requests, want 1", n)
		}
	})
	in(t, "among many", func(t *testing.T) {
		s := newStage(t)
		for i := range 120 {
			s.direct(http.MethodPost, "/deals", fmt.Sprintf(`{"title":"renewal %d","clientId":"clt_acme","pipelineId":"dpl_sales"}`, i))
		}
		s.is(s.call(`{"title":"ACME Renewal","clientId":"clt_acme","pipelineId":"dpl_sales"}`), lookAlike, "dl_acme_renewal")
	})
	in(t, "not to be found out", func(t *testing.T) {
		s := newStage(t)
		s.set(func() { s.reads = "before:500" })
		s.is(s.call(order), notSent, "nothing was sent, because it could not be looked up")
		s.set(func() { s.reads = "before:hang" })
		s.is(s.call(order), notSent, "nothing was sent")
		s.count(0, 0)
		s.set(func() { s.reads = "" })
		s.is(s.call(order), created)
	})
	in(t, "after the window", func(t *testing.T) {
		s := newStage(t)
		s.is(s.call(order), created)
		time.Sleep(25 * time.Hour)
		s.is(s.call(order), lookAlike, "dl_1001")
		s.is(s.call(again(order)), created)
		s.is(s.call(order), replayed)
		s.count(2, 2)
	})
}

func TestAllowDuplicateOfWhatIsUnclear(t *testing.T) {
	t.Parallel()
	in(t, "and was made", func(t *testing.T) {
		s := newStage(t, "before:slow;wait=38s")
		s.is(s.call(order), unsettled)
		s.is(s.call(again(order)), recovered)
		s.count(1, 1)
		s.is(s.call(again(order)), created)
		s.count(2, 2)
	})
	in(t, "right after the first", func(t *testing.T) {
		s := newStage(t, "", "before:drop")
		first := s.call(order)
		s.is(s.call(again(order)), unsettled) // the first deal is not the second
		second := s.call(again(order))
		s.is(second, created)
		if first.id == second.id {
			t.Errorf("both were told of %s", first.id)
		}
		s.count(3, 2)
	})
	in(t, "and was not made", func(t *testing.T) {
		s := newStage(t, "before:drop")
		s.is(s.call(order), unsettled)
		s.is(s.call(again(order)), created)
		s.count(2, 1)
		s.is(s.call(order), replayed)
	})
}

// A call that has sent, and then was overtaken, must not say that it sent nothing.
func TestOnceOvertaken(t *testing.T) {
	t.Parallel()
	for _, args := range []string{order, again(order)} {
		in(t, args, func(t *testing.T) {
			s := newStageWith(t, Deps{Journal: memory(t), SkipDuplicateCheck: true}, "", "after:500")
			s.is(s.call(strings.Replace(again(order), "Order", "Another", 1)), created)
			before := told{}
			if args != order {
				s.set(func() { s.posts = []string{"", "after:500"} })
				before = s.call(order)
			}
			s.set(func() { s.reads = "before:slow;wait=9s" })
			var first sync.WaitGroup
			var overtaken told
			first.Go(func() { overtaken = s.call(args) })
			time.Sleep(time.Second)
			s.set(func() { s.reads = "" })
			second := s.call(args)
			first.Wait()
			s.is(second, recovered)
			s.is(overtaken, recovered)
			if second.id != overtaken.id || second.id == before.id {
				t.Errorf("told of %s and %s, and before of %s; want the same twice, and another one", second.id, overtaken.id, before.id)
			}
		})
	}
}

func TestOnceWithABrokenJournal(t *testing.T) {
	t.Parallel()
	in(t, "from the beginning", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := journal.New(filepath.Join(file, "journal.db"), journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		s := newStageWith(t, Deps{Journal: j})
		s.is(s.call(order), notSent, "nothing was sent, because it could not be written down first", "HEFFL_MCP_STATE")
		if n := len(s.sb.Requests()); n > 0 {
			t.Errorf("%d requests were sent, want none", n)
		}
	})
	in(t, "while it looks", func(t *testing.T) {
		j := memory(t)
		s := newStageWith(t, Deps{Journal: j}, "before:drop")
		time.AfterFunc(3*time.Second, func() { j.Close() })
		got := s.call(order)
		s.is(got, unsettled, "it was sent")
		if strings.Contains(got.text, "nothing was sent") {
			t.Errorf("create_deal = %q after a POST", got.text)
		}
		s.count(1, 0)
	})
	in(t, "while it waits for another call", func(t *testing.T) {
		j := memory(t)
		s := newStageWith(t, Deps{Journal: j}, "before:slow;wait=10s")
		var first sync.WaitGroup
		first.Go(func() { s.is(s.call(order), created) }) // what Heffl has answered is certain
		time.Sleep(time.Second)
		time.AfterFunc(3*time.Second, func() { j.Close() })
		before := len(s.sb.Requests())
		s.is(s.call(order), unsettled)
		if n := len(s.sb.Requests()) - before; n > 10 {
			t.Errorf("%d requests were sent meanwhile, want few", n)
		}
		first.Wait()
		s.count(1, 1)
	})
	in(t, "as the second attempt is to leave", func(t *testing.T) {
		j := memory(t)
		s := newStageWith(t, Deps{Journal: j}, "before:429;wait=5")
		time.AfterFunc(3*time.Second, func() { j.Close() })
		s.is(s.call(order), notSent, "nothing was sent")
		s.count(1, 0)
	})
}

// Without a journal nothing is remembered, but within a call all is done that can be.
func TestOnceWithoutAJournal(t *testing.T) {
	t.Parallel()
	in(t, "good", func(t *testing.T) {
		s := newStageWith(t, Deps{})
		s.is(s.call(order), created)
		s.is(s.call(order), lookAlike)
		s.count(1, 1)
	})
	in(t, "made", func(t *testing.T) {
		s := newStageWith(t, Deps{}, "after:500;hide=2s")
		s.is(s.call(order), recovered)
		s.count(1, 1)
	})
	in(t, "not made", func(t *testing.T) {
		s := newStageWith(t, Deps{}, "before:500", "before:500")
		s.is(s.call(order), created)
		s.count(3, 1)
	})
	in(t, "lost", func(t *testing.T) {
		s := newStageWith(t, Deps{}, "before:drop")
		got := s.call(order)
		s.is(got, unsettled, "Nothing here remembers it", "look for it in Heffl before calling again")
		if got.notes["heffl-mcp/retrySafe"] != false {
			t.Errorf("retrySafe is %v, want false", got.notes["heffl-mcp/retrySafe"])
		}
		s.count(1, 0)
	})
	in(t, "cancelled", func(t *testing.T) {
		s := newStageWith(t, Deps{}, "before:slow;wait=10s")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := s.callWith(ctx, order); got.took != time.Second || got.notes["heffl-mcp/retrySafe"] != false {
			t.Errorf("create_deal(cancelled after 1s) is %v after %v, want unsafe, at once", got.notes, got.took)
		}
		s.deps.Followers.Wait()
		s.count(1, 1)
	})
}

func TestProgressWhileWaiting(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"before:429;wait=4", "before:500"} {
		for _, token := range []any{nil, "p1"} {
			in(t, fmt.Sprintf("%s, token %v", fault, token), func(t *testing.T) {
				s := newStage(t, fault)
				var mu sync.Mutex
				var steps []float64
				m, err := NewServer(s.deps)
				if err != nil {
					t.Fatal(err)
				}
				c := dial(t, m.MCPServer)
				defer c.Close()
				c.OnNotification(func(n mcp.JSONRPCNotification) {
					mu.Lock()
					defer mu.Unlock()
					fields := n.Params.AdditionalFields
					step, _ := fields["progress"].(int64)
					message, _ := fields["message"].(string)
					if n.Method != "notifications/progress" || fields["progressToken"] != token || !strings.Contains(message, "Heffl has to be waited for: ") {
						t.Errorf("notification %+v, want progress of %v", n, token)
					}
					steps = append(steps, float64(step))
				})
				if err := c.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Initialize(t.Context(), mcp.InitializeRequest{}); err != nil {
					t.Fatal(err)
				}
				var req mcp.CallToolRequest
				req.Params.Name, req.Params.Arguments = "create_deal", json.RawMessage(order)
				if token != nil {
					req.Params.Meta = &mcp.Meta{ProgressToken: token}
				}
				if r, err := c.CallTool(t.Context(), req); err != nil || r.IsError {
					t.Fatal(err, r)
				}
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if (len(steps) > 0) != (token != nil) {
					t.Errorf("%d notifications of progress, token %v", len(steps), token)
				}
				for i, step := range steps {
					if step != float64(i+1) {
						t.Errorf("progress is %v, want 1, 2, ...", steps)
					}
				}
			})
		}
	}
}

// With the limit that Heffl documents, a hundred calls one after the other just take their time.
func TestHundredCreates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sb := sandbox.New(sandbox.Options{})
		defer sb.Close()
		before := len(sb.Deals())
		d := Deps{Heffl: inProcess(sb), Journal: memory(t), Tenant: "t"}
		d.Heffl.Budget = new(heffl.Budget)
		c := connectTo(t, d)
		for i := range 100 {
			r := callTool(t, c, "create_deal", fmt.Sprintf(`{"title":"Hundred %d","clientId":"clt_acme","pipelineId":"dpl_sales"}`, i))
			if r.IsError {
				t.Errorf("create %d: %s", i, textOf(r))
			}
		}
		if n := len(sb.Deals()) - before; n != 100 {
			t.Errorf("%d deals, want 100", n)
		}
		for _, r := range sb.Requests() {
			if r.Status == http.StatusTooManyRequests {
				t.Errorf("%s %s was refused at %v", r.Method, r.Path, r.At)
			}
		}
	})
}

// TestSendPanics holds that a bug in the way out costs one call, not the program.
func TestSendPanics(t *testing.T) {
	t.Parallel()
	in(t, "", func(t *testing.T) {
		s := newStageWith(t, Deps{Journal: memory(t), SkipDuplicateCheck: true})
		c := connectTo(t, Deps{
			Heffl:   &heffl.Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: &http.Client{Transport: panicsOnce{s: s, left: make(chan bool, 1)}}},
			Journal: s.deps.Journal, Tenant: "t", SkipDuplicateCheck: true,
		})
		r := callTool(t, c, "create_deal", order)
		if text := textOf(r); !r.IsError || strings.Contains(text, "inner secret") {
			t.Errorf("create_deal(panics) = %q, want a neutral error", text)
		}
		if r = callTool(t, c, "create_deal", order); r.IsError {
			t.Errorf("the same call again = %q, want the deal", textOf(r))
		}
		s.count(1, 1)
	})
}

type panicsOnce struct {
	s    *stage
	left chan bool
}

func (p panicsOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		select {
		case p.left <- true:
			panic("inner secret")
		default:
		}
	}
	return p.s.RoundTrip(r)
}

// TestFingerprint holds which bodies are one intent.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	base := fingerprint([]byte(`{"title":"Zürich","price":100,"cf_n":9007199254740993}`))
	for body, same := range map[string]bool{
		` { "cf_n" : 9007199254740993, "price":100, "title":"Z\u00fcrich" } `: true,
		`{"title":"Zürich","price":1e2,"cf_n":9007199254740993}`:              true,
		`{"title":"Zürich","price":100,"cf_n":9007199254740992}`:              false,
		`{"title":"zürich","price":100,"cf_n":9007199254740993}`:              false,
		`{"title":"Zu\u0308rich","price":100,"cf_n":9007199254740993}`:        false,
		`{"title":"Zürich","price":100}`:                                      false,
	} {
		if got := fingerprint([]byte(body)); (got == base) != same {
			t.Errorf("fingerprint(%s) is the same: %t, want %t", body, got == base, same)
		}
	}
	if hash("a", "bc") == hash("ab", "c") {
		t.Error("hash(a, bc) is hash(ab, c)")
	}
}
