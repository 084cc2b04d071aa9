package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// journals are what several programs can share, each time a new one.
var journals = map[string]func(testing.TB) string{
	"SQLite":     func(t testing.TB) string { return filepath.Join(t.TempDir(), "journal.db") },
	"PostgreSQL": newSchema,
}

// newSchema is an empty schema of the PostgreSQL that the environment names.
func newSchema(t testing.TB) string {
	t.Helper()
	server := os.Getenv("HEFFL_MCP_TEST_POSTGRES")
	if server == "" {
		t.Skip("HEFFL_MCP_TEST_POSTGRES is not set: it names a PostgreSQL for tests; .ci/postgres starts one and prints its URL")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(bounded(t), server)
	if err != nil {
		t.Fatal(err)
	}
	schema := "heffl_mcp_" + strings.ToLower(rand.Text())
	if _, err := conn.Exec(bounded(t), "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := conn.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
		_ = conn.Close(ctx)
	})
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// hasty are settings by which the outcome of a request is known soon after its sender has died: its
// lease runs out a second after its timeout. That is long enough for an answer from a busy machine.
var hasty = []string{"HEFFL_TIMEOUT=4s", "HEFFL_MCP_SETTLE=50ms", "HEFFL_MCP_HORIZON=200ms"}

// A point is where a program is killed: where its request to Heffl stands at that moment.
type point string

const (
	looking   point = "looking"       // a look has arrived, and is not answered
	lost      point = "sent and lost" // the create has arrived, and is never read
	late      point = "sent, late"    // the create has arrived, and is carried out after the next look
	committed point = "carried out"   // the create is carried out, and not answered
	halfway   point = "half answered" // half of the answer to the create has left
	answered  point = "answered"      // all of it has
)

// A gate is a sandbox that holds one request at a point until its sender is dead.
type gate struct {
	*sandbox.Sandbox
	ctx  context.Context // bounds what is held
	meta map[string]any  // of the calls of programs that are killed

	mu     sync.Mutex
	next   *hold         // of the next request that gets there; nil: none
	looked chan struct{} // closed when a look has been answered; nil: nobody waits for that
}

type hold struct {
	at      point
	reached chan struct{} // closed when the request is there
	dead    chan struct{} // closed when its sender is
}

func newGate(t *testing.T) *gate {
	return &gate{Sandbox: newSandbox(t, sandbox.Options{}), ctx: bounded(t)}
}

func (g *gate) arm(at point) *hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = &hold{at, make(chan struct{}), make(chan struct{})}
	return g.next
}

// take is the hold on a request, if there is one.
func (g *gate) take(r *http.Request) *hold {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.next
	if h == nil || !strings.HasSuffix(r.URL.Path, "/deals") || (r.Method == http.MethodPost) == (h.at == looking) {
		return nil
	}
	g.next = nil
	return h
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := g.take(r)
	if h == nil {
		g.Sandbox.ServeHTTP(w, r)
		g.tellLooked(r)
		return
	}
	switch h.at {
	case looking, lost:
		h.untilDead(g.ctx)
	case late:
		looked := g.untilLooked()
		body, err := io.ReadAll(r.Body) // while somebody is there to send it
		if err != nil {
			panic(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.untilDead(g.ctx)
		select {
		case <-looked:
			g.Sandbox.ServeHTTP(httptest.NewRecorder(), r)
		case <-g.ctx.Done():
		}
	default:
		answer := httptest.NewRecorder()
		g.Sandbox.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		switch h.at {
		case halfway:
			write(w, answer, body[:len(body)/2])
		case answered:
			write(w, answer, body)
		}
		h.untilDead(g.ctx)
	}
	panic(http.ErrAbortHandler)
}

// write sends as much of an answer's body, at once.
func write(w http.ResponseWriter, answer *httptest.ResponseRecorder, body []byte) {
	maps.Copy(w.Header(), answer.Header())
	w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body) // fails when the program has gone, and then it is where it should be
	_ = http.NewResponseController(w).Flush()
}

func (h *hold) untilDead(ctx context.Context) {
	close(h.reached)
	select {
	case <-h.dead:
	case <-ctx.Done():
	}
}

func (g *gate) untilLooked() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looked = make(chan struct{})
	return g.looked
}

func (g *gate) tellLooked(r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.looked != nil && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/deals") {
		close(g.looked)
		g.looked = nil
	}
}

// killAt calls create_deal in a program of its own, and kills that at a point.
func (g *gate) killAt(t *testing.T, at point, env []string, args json.RawMessage) {
	t.Helper()
	h := g.arm(at)
	defer close(h.dead)
	p, s, _ := startPlain(t, "stdio", env)
	s.meta = g.meta
	made := make(chan *result, 1)
	go func() { // until the program is killed
		for {
			r, err := s.call(g.ctx, "create_deal", args)
			if err != nil {
				return
			}
			if !r.IsError {
				made <- r
				return
			}
		}
	}()
	select {
	case <-h.reached:
	case r := <-made:
		if at != answered { // from there the program may be the faster one
			t.Fatalf("create_deal() = %q, before it could be killed at %q", r.text(), at)
		}
	case <-g.ctx.Done():
		t.Fatalf("%q was never reached; standard error:\n%s", at, p.err.String())
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
}

// insist calls create_deal until it is told of a deal, as an impatient caller does. Each error on the
// way must say that this is safe.
func insist(t testing.TB, s *plain, args json.RawMessage) (*result, error) {
	t.Helper()
	for {
		r, err := s.call(bounded(t), "create_deal", args)
		if err != nil || !r.IsError {
			return r, err
		}
		if safe := r.Meta["heffl-mcp/retrySafe"]; safe != true {
			return r, fmt.Errorf("heffl-mcp/retrySafe is %v: %s", safe, r.text())
		}
	}
}

// dealsTitled are the deals of a sandbox with a title.
func dealsTitled(t testing.TB, sb *sandbox.Sandbox, title string) (all []map[string]any) {
	t.Helper()
	for _, raw := range sb.Deals() {
		var m map[string]any
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		if m["title"] == title {
			all = append(all, m)
		}
	}
	return all
}

// A told is what a call says of the deal that it ends with.
type told struct {
	ID        any
	Outcome   any
	Recovered bool
	Replayed  bool
}

func toldBy(t testing.TB, r *result) told {
	t.Helper()
	var deal struct{ ID any }
	if err := json.Unmarshal(r.StructuredContent, &deal); err != nil {
		t.Fatalf("%v in the result %q", err, r.text())
	}
	return told{deal.ID, r.Meta["heffl-mcp/outcome"], r.Meta["heffl-mcp/recovered"] == true, r.Meta["heffl-mcp/replayed"] == true}
}

// untilDone calls create_deal in a program of its own until it is told of a deal, and wants the program
// to end well.
func untilDone(t testing.TB, env []string, args json.RawMessage) told {
	t.Helper()
	p, s := startStdio(t, env)
	r, err := insist(t, s, args)
	if err != nil {
		t.Fatalf("create_deal() = %v; standard error:\n%s", err, p.err.String())
	}
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	p.exit(t, 0)
	return toldBy(t, r)
}

func startStdio(t testing.TB, env []string) (*program, *plain) {
	t.Helper()
	p := start(t, env)
	return p, &plain{exchange: overLines(p.in, &p.out)}
}

// TestKilled kills the program at every point between an intent and its outcome, and calls again in
// a new one: there is one deal, the call says truly how it came about, and the journal has it.
func TestKilled(t *testing.T) {
	t.Parallel()
	const title = "Northwind rollout, killed"
	for _, c := range []struct {
		kills    []point  // one program after the other
		outcomes []string // of the call that is not killed
		env      []string
	}{
		{[]point{looking}, []string{"created"}, nil},
		{[]point{lost}, []string{"created"}, nil},
		{[]point{late}, []string{"recovered"}, []string{"HEFFL_MCP_HORIZON=20s"}},
		{[]point{committed}, []string{"recovered"}, nil},
		{[]point{halfway}, []string{"recovered"}, nil},
		{[]point{answered}, []string{"recovered", "replayed"}, nil}, // it may have had the time to write that down
		{[]point{committed, looking}, []string{"recovered"}, nil},
		{[]point{looking, committed}, []string{"recovered"}, nil},
		{[]point{lost, looking, lost}, []string{"created"}, nil},
		{[]point{lost, halfway, looking}, []string{"recovered"}, nil},
	} {
		for engine, state := range journals {
			t.Run(fmt.Sprintf("%s/%s", engine, c.kills), func(t *testing.T) {
				t.Parallel()
				g := newGate(t)
				env := append(append(append(upstream(t, g), hasty...), "HEFFL_MCP_STATE="+state(t)), c.env...)
				for _, at := range c.kills {
					g.killAt(t, at, env, deal(t, title))
				}
				got := untilDone(t, env, deal(t, title))
				g.holdsOne(t, env, title, got, c.outcomes)
			})
		}
	}
}

// anEmail is the _meta of a call that is for one e-mail.
var anEmail = map[string]any{"heffl-mcp/source": map[string]string{"messageId": "<0417@northwind.example>"}}

// TestKilledForOneMessage kills the program of one agent at every point, and has another agent, which words the same e-mail
// otherwise, call in a program of its own: there is one deal, the one that either is told of from then on.
func TestKilledForOneMessage(t *testing.T) {
	t.Parallel()
	const first, second = "Northwind rollout", "Rollout at Northwind, in other words"
	for at, outcomes := range map[point][]string{
		looking: {"created"}, lost: {"created"}, committed: {"recovered"}, halfway: {"recovered"}, answered: {"recovered", "replayed"},
	} {
		for engine, state := range journals {
			t.Run(fmt.Sprintf("%s/%s", engine, at), func(t *testing.T) {
				t.Parallel()
				g := newGate(t)
				g.meta = anEmail
				env := append(append(upstream(t, g), hasty...), "HEFFL_MCP_STATE="+state(t))
				before := len(g.Deals())
				g.killAt(t, at, env, deal(t, first))
				p, s := startStdio(t, env)
				s.meta = anEmail
				r, err := insist(t, s, deal(t, second))
				if err != nil {
					t.Fatalf("create_deal() = %v; standard error:\n%s", err, p.err.String())
				}
				got := toldBy(t, r)
				if !slices.Contains(outcomes, fmt.Sprint(got.Outcome)) {
					t.Errorf("the second agent is told %v, want one of %q: %s", got.Outcome, outcomes, r.text())
				}
				if got.Outcome != "created" && !strings.Contains(r.text(), "title (made with \""+first+"\", now \""+second+"\")") {
					t.Errorf("the second agent is not told that its arguments differ: %s", r.text())
				}
				again, err := insist(t, s, deal(t, first))
				if err != nil || toldBy(t, again).ID != got.ID {
					t.Errorf("the first agent again = %+v, %v; want the deal %v", again, err, got.ID)
				}
				if made := len(g.Deals()) - before; made != 1 {
					t.Errorf("there are %d deals of one e-mail, want 1", made)
				}
			})
		}
	}
}

// holdsOne fails unless there is one deal of that title, which is the one that a call has told of, with
// one of these outcomes, and that the journal has; and unless the same call again is told of it, too.
func (g *gate) holdsOne(t *testing.T, env []string, title string, got told, outcomes []string) {
	t.Helper()
	deals := dealsTitled(t, g.Sandbox, title)
	if len(deals) != 1 {
		t.Fatalf("there are %d deals, want 1", len(deals))
	}
	want := told{ID: deals[0]["id"]}
	for _, want.Outcome = range outcomes {
		if want.Outcome == got.Outcome {
			break
		}
	}
	want.Recovered, want.Replayed = want.Outcome == "recovered", want.Outcome == "replayed"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("create_deal() in a new program (-want +got):\n%s", diff)
	}
	how := want.Outcome
	records := records(t, env)
	if how == "replayed" && len(records) == 1 {
		how = records[0].How
	}
	if diff := cmp.Diff([]listedJSON{{State: "done", How: fmt.Sprint(how), Ref: fmt.Sprint(want.ID)}}, records, ignoringFacts); diff != "" {
		t.Errorf("the journal (-want +got):\n%s", diff)
	}

	before := len(ofDeals(g.Sandbox))
	if diff := cmp.Diff(told{ID: want.ID, Outcome: "replayed", Replayed: true}, untilDone(t, env, deal(t, title))); diff != "" {
		t.Errorf("create_deal() again (-want +got):\n%s", diff)
	}
	if n := len(ofDeals(g.Sandbox)) - before; n != 0 {
		t.Errorf("create_deal() again asked Heffl %d times, want none", n)
	}
}

// TestKilledWithDefaults holds that nobody waits for the lease of a dead program whose deal is there. A
// lease is longer than this call may take.
func TestKilledWithDefaults(t *testing.T) {
	t.Parallel()
	const title = "Northwind rollout, killed with defaults"
	g := newGate(t)
	env := append(upstream(t, g), "HEFFL_MCP_STATE="+journals["SQLite"](t))
	g.killAt(t, committed, env, deal(t, title))
	p, s := startStdio(t, append(env, "HEFFL_MCP_DEADLINE=15s"))
	r, err := s.call(bounded(t), "create_deal", deal(t, title))
	if err != nil || r.IsError {
		t.Fatalf("create_deal() = %+v, %v; standard error:\n%s", r, err, p.err.String())
	}
	g.holdsOne(t, env, title, toldBy(t, r), []string{"recovered"})
}

// TestAtOnce has several programs with one journal make the same call at once: one sends, all are
// told of its deal.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	const title = "Northwind rollout, at once"
	for engine, state := range journals {
		for _, n := range []int{2, 3, 6} {
			t.Run(fmt.Sprintf("%s/%d", engine, n), func(t *testing.T) {
				t.Parallel()
				sb := newSandbox(t, sandbox.Options{Fault: func(r *http.Request) sandbox.Fault {
					if r.Method == http.MethodPost {
						return sandbox.Fault{Kind: sandbox.Slow, When: sandbox.After, Wait: 200 * time.Millisecond} // so that all meet
					}
					return sandbox.Fault{}
				}})
				c := newCrowd(t, n, append(upstream(t, sb), "HEFFL_MCP_STATE="+state(t)))
				answers := c.callAtOnce(t, deal(t, title), func(s *plain, args json.RawMessage) (*result, error) {
					return s.call(bounded(t), "create_deal", args)
				})
				deals := dealsTitled(t, sb, title)
				if len(deals) != 1 {
					t.Fatalf("%d programs made %d deals, want 1", n, len(deals))
				}
				outcomes := map[any]int{}
				for i, a := range answers {
					if a.error != nil || a.IsError {
						t.Fatalf("program %d: create_deal() = %+v, %v; standard error:\n%s", i, a.result, a.error, c[i].err.String())
					}
					outcomes[a.Meta["heffl-mcp/outcome"]]++
					if diff := cmp.Diff(decode(t, answers[0].StructuredContent), decode(t, a.StructuredContent)); diff != "" {
						t.Errorf("program %d is told of another deal than program 0 (-0 +%d):\n%s", i, i, diff)
					}
				}
				if id := toldBy(t, answers[0].result).ID; id != deals[0]["id"] {
					t.Errorf("all are told of the deal %v, but there is %v", id, deals[0]["id"])
				}
				if outcomes["created"] != 1 {
					t.Errorf("outcomes are %v, want one created", outcomes)
				}
			})
		}
	}
}

// TestOneMessageAtOnce has several programs with one journal make calls at once that differ, but are for one e-mail: one
// sends, and all are told of its deal, those that worded it otherwise that they did.
func TestOneMessageAtOnce(t *testing.T) {
	t.Parallel()
	for engine, state := range journals {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			sb := newSandbox(t, sandbox.Options{Fault: func(r *http.Request) sandbox.Fault {
				if r.Method == http.MethodPost {
					return sandbox.Fault{Kind: sandbox.Slow, When: sandbox.After, Wait: 200 * time.Millisecond} // so that all meet
				}
				return sandbox.Fault{}
			}})
			const n = 4
			before := len(sb.Deals())
			c := newCrowd(t, n, append(upstream(t, sb), "HEFFL_MCP_STATE="+state(t)))
			answers := make([]reply, n)
			var calls sync.WaitGroup
			for i := range c {
				c[i].meta = anEmail
				calls.Go(func() {
					r, err := c[i].call(bounded(t), "create_deal", deal(t, fmt.Sprintf("Northwind rollout, as agent %d words it", i)))
					answers[i] = reply{r, err}
				})
			}
			calls.Wait()
			if made := len(sb.Deals()) - before; made != 1 {
				t.Fatalf("%d programs made %d deals of one e-mail, want 1", n, made)
			}
			created := 0
			for i, a := range answers {
				if a.error != nil || a.IsError {
					t.Fatalf("program %d: create_deal() = %+v, %v; standard error:\n%s", i, a.result, a.error, c[i].err.String())
				}
				if diff := cmp.Diff(decode(t, answers[0].StructuredContent), decode(t, a.StructuredContent)); diff != "" {
					t.Errorf("program %d is told of another deal than program 0 (-0 +%d):\n%s", i, i, diff)
				}
				if a.Meta["heffl-mcp/outcome"] == "created" {
					created++
				} else if !strings.Contains(a.text(), fmt.Sprintf("now \"Northwind rollout, as agent %d words it\"", i)) {
					t.Errorf("program %d is not told that its arguments differ: %s", i, a.text())
				}
			}
			if created != 1 {
				t.Errorf("%d programs say that they created it, want 1", created)
			}
		})
	}
}

// A crowd is programs that run, each with a client.
type crowd []struct {
	*program
	*plain
}

func newCrowd(t *testing.T, n int, env []string) crowd {
	t.Helper()
	c := make(crowd, n)
	for i := range c {
		c[i].program, c[i].plain = startStdio(t, env)
	}
	for i := range c {
		if err := c[i].ping(bounded(t)); err != nil { // it is up
			t.Fatalf("ping: %v; standard error:\n%s", err, c[i].err.String())
		}
	}
	return c
}

// A reply is how a call has ended.
type reply struct {
	*result
	error
}

func (c crowd) callAtOnce(t *testing.T, args json.RawMessage, call func(*plain, json.RawMessage) (*result, error)) []reply {
	t.Helper()
	replies := make([]reply, len(c))
	var calls sync.WaitGroup
	for i := range c {
		calls.Go(func() {
			r, err := call(c[i].plain, args)
			replies[i] = reply{r, err}
		})
	}
	calls.Wait()
	return replies
}

// A tripwire is a sandbox that does something once, when requests to read or make deals have come and
// gone so many times. What else a program reads, it reads when it likes.
type tripwire struct {
	*sandbox.Sandbox

	mu    sync.Mutex
	steps int
	do    func()
}

// arm has something done when so many more have come or gone; all others wait for that.
func (w *tripwire) arm(steps int, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps, w.do = steps, do
}

func (w *tripwire) step(r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/deals") {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.steps--; w.steps == 0 {
		w.do()
	}
}

func (w *tripwire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.step(r)
	answer := httptest.NewRecorder()
	w.Sandbox.ServeHTTP(answer, r)
	w.step(r)
	write(rw, answer, answer.Body.Bytes())
}

// TestOneOfThemKilled kills one of several programs that make the same call, it may be the one that
// sends: the others are told of the one deal, whoever made it.
func TestOneOfThemKilled(t *testing.T) {
	t.Parallel()
	const title = "Northwind rollout, one killed"
	for engine, state := range journals {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%s/%d", engine, seed), func(t *testing.T) {
				t.Parallel()
				random := mathrand.New(mathrand.NewPCG(seed, 0))
				steps, victim := 1+random.IntN(4), random.IntN(3) // a look comes and goes, and then the create
				w := &tripwire{Sandbox: newSandbox(t, sandbox.Options{})}
				env := append(append(upstream(t, w), hasty...), "HEFFL_MCP_STATE="+state(t))
				c := newCrowd(t, 3, env)
				w.arm(steps, func() { _ = c[victim].Process.Kill(); <-c[victim].ended })

				answers := c.callAtOnce(t, deal(t, title), func(s *plain, args json.RawMessage) (*result, error) { return insist(t, s, args) })
				deals := dealsTitled(t, w.Sandbox, title)
				if len(deals) != 1 {
					t.Fatalf("program %d was killed at step %d: there are %d deals, want 1", victim, steps, len(deals))
				}
				for i, a := range answers {
					if i == victim {
						continue // it may have had its answer before
					}
					if a.error != nil {
						t.Fatalf("program %d: create_deal() = %v; standard error:\n%s", i, a.error, c[i].err.String())
					}
					if id := toldBy(t, a.result).ID; id != deals[0]["id"] {
						t.Errorf("program %d is told of the deal %v, want %v", i, id, deals[0]["id"])
					}
				}
			})
		}
	}
}
