package main

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
)

// TestReplicas has clients make deals through a proxy that knows nothing but whose turn it is, while the programs
// behind it are killed and started again and Heffl fails now and then. Every intent is called for several times
// at once, and again: it ends as one deal, of which every caller is told.
func TestReplicas(t *testing.T) {
	t.Parallel()
	load := load{kills: 6, atLeast: 40}
	if testing.Short() {
		load.kills, load.atLeast = 2, 10
	}
	for engine, state := range journals {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			heffl := &crossing{tripwire{Sandbox: newSandbox(t, sandbox.Options{Fault: nowAndThen()})}}
			env := append(append(upstream(t, heffl), hasty...), "HEFFL_MCP_DEADLINE=2s", "HEFFL_MCP_STATE="+state(t))
			before := len(heffl.Deals())
			f := newFleet(t, 3, env)
			all := load.run(t, f, heffl)

			if n := len(heffl.Deals()) - before; n != len(all) {
				t.Errorf("%d intents have made %d deals", len(all), n)
			}
			done := map[string][]string{}
			for _, r := range records(t, env, fmt.Sprintf("--limit=%d", 100*len(all))) {
				switch r.State {
				case "done":
					done[r.About.Title] = append(done[r.About.Title], r.Ref)
				case "refused": // by a call whose time was up before it had sent anything
				default:
					t.Errorf("%q is %s in the journal, want done", r.About.Title, r.State)
				}
			}
			for _, i := range all {
				i.check(t, heffl.Sandbox, done[i.title])
			}
			f.stop(t)
		})
	}
}

// nowAndThen is a fault for one request in six. None takes effect later than its answer: how late a request may, is
// HEFFL_MCP_HORIZON, and that is short here.
func nowAndThen() func(*http.Request) sandbox.Fault {
	faults := []sandbox.Fault{
		{Kind: sandbox.Drop}, {Kind: sandbox.Drop, When: sandbox.After},
		{Kind: sandbox.Error}, {Kind: sandbox.Error, When: sandbox.After},
		{Kind: sandbox.Gateway, When: sandbox.After}, {Kind: sandbox.Truncate, When: sandbox.After},
		{Kind: sandbox.Slow, When: sandbox.After, Wait: 100 * time.Millisecond},
		{When: sandbox.After, HideFor: 20 * time.Millisecond},
	}
	var mu sync.Mutex
	random := mathrand.New(mathrand.NewPCG(1, 1))
	return func(*http.Request) sandbox.Fault {
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(6) > 0 {
			return sandbox.Fault{}
		}
		return faults[random.IntN(len(faults))]
	}
}

// A crossing is a tripwire that lets answers pass as the sandbox writes them, faults included.
type crossing struct{ tripwire }

func (c *crossing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.step(r)
	defer c.step(r) // the answer has not left yet
	c.Sandbox.ServeHTTP(w, r)
}

// A fleet is programs of one environment, behind a proxy.
type fleet struct {
	env   []string
	proxy place

	mu       sync.Mutex
	replicas []replica
	turn     int
}

type replica struct {
	*program
	at *url.URL
}

func newFleet(t *testing.T, n int, env []string) *fleet {
	t.Helper()
	f := &fleet{env: env, replicas: make([]replica, n)}
	for i := range f.replicas {
		f.launch(t, i)
	}
	behind := &http.Transport{MaxIdleConnsPerHost: 64}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(f.next()) },
		Transport:    behind,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(func() { proxy.Close(); behind.CloseIdleConnections() })
	f.proxy = place{mcp: proxy.URL + "/mcp", http: proxy.Client()}
	return f
}

// launch starts a replica, in the place of the one before it.
func (f *fleet) launch(t *testing.T, i int) {
	t.Helper()
	p, at := serveHTTP(t, f.env)
	u, err := url.Parse(at.mcp)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = ""
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas[i] = replica{p, u}
}

// next is where the next request goes, whether anybody is there or not.
func (f *fleet) next() *url.URL {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn = (f.turn + 1) % len(f.replicas)
	return f.replicas[f.turn].at
}

func (f *fleet) kill(i int) {
	f.mu.Lock()
	victim := f.replicas[i]
	f.mu.Unlock()
	_ = victim.Process.Kill()
	<-victim.ended
}

// stop ends the fleet as its operator does, and wants all of it to end well.
func (f *fleet) stop(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		return // which has no such way
	}
	for _, r := range f.replicas {
		r.terminate(t)
	}
	for _, r := range f.replicas {
		r.exit(t, 0)
	}
}

// An intent is a deal to be made, with what its callers have been told of it.
type intent struct {
	title string

	mu   sync.Mutex
	told []told
}

// callers is how many clients have an intent at once, and calls how often each has it come to a result.
const callers, calls = 3, 2

// call has all callers of an intent call for it.
func (i *intent) call(ctx context.Context, t *testing.T, at place) {
	args := deal(t, i.title)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			s := new(plain)
			s.overHTTP(at)
			for range calls {
				r, err := untilResult(ctx, s, func(s *plain) (*result, error) { return s.call(ctx, "create_deal", args) })
				if err != nil {
					t.Errorf("create_deal(%q) = %v", i.title, err)
					return
				}
				got := toldBy(t, r)
				i.mu.Lock()
				i.told = append(i.told, got)
				i.mu.Unlock()
			}
		})
	}
	all.Wait()
}

// untilResult repeats a call, at once, until it has a result: both when its connection breaks and when it is told
// of an error, which must say that this is safe.
func untilResult(ctx context.Context, s *plain, call func(*plain) (*result, error)) (*result, error) {
	for {
		r, err := call(s)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, err
		case err != nil: // a replica has died, or is dead
		case !r.IsError:
			return r, nil
		case r.Meta["heffl-mcp/retrySafe"] != true:
			return nil, fmt.Errorf("not said to be safe to repeat: %s", r.text())
		}
	}
}

// check fails unless there is one deal of an intent, the journal has it once, all callers know it, and at most one has
// been told of its making: nobody has when that answer was lost.
func (i *intent) check(t *testing.T, sb *sandbox.Sandbox, done []string) {
	t.Helper()
	deals := dealsTitled(t, sb, i.title)
	if len(deals) != 1 {
		t.Errorf("there are %d deals %q, want 1", len(deals), i.title)
		return
	}
	if diff := cmp.Diff([]string{fmt.Sprint(deals[0]["id"])}, done); diff != "" {
		t.Errorf("what the journal has as %q (-want +got):\n%s", i.title, diff)
	}
	created, ids := 0, map[any]int{}
	for _, told := range i.told {
		ids[told.ID]++
		if told.Outcome == "created" {
			created++
		}
	}
	if diff := cmp.Diff(map[any]int{deals[0]["id"]: callers * calls}, ids); diff != "" {
		t.Errorf("IDs that the callers for %q were told, and how often (-want +got):\n%s", i.title, diff)
	}
	if created > 1 {
		t.Errorf("%q was created %d times, as its callers were told", i.title, created)
	}
}

// A load is how much is asked of a fleet, and how often one of it is killed.
type load struct{ kills, atLeast int }

// run has intents called for until all kills are done and there were enough.
func (l load) run(t *testing.T, f *fleet, heffl *crossing) (all []*intent) {
	t.Helper()
	var working sync.WaitGroup
	t.Cleanup(working.Wait) // when ctx has ended, should the test stop halfway
	ctx := bounded(t)
	intents := make(chan *intent)
	for range 6 {
		working.Go(func() {
			for i := range intents {
				i.call(ctx, t, f.proxy)
			}
		})
	}
	var killed atomic.Bool
	working.Go(func() {
		defer close(intents)
		for ctx.Err() == nil && (len(all) < l.atLeast || !killed.Load()) {
			i := &intent{title: fmt.Sprintf("Northwind rollout, part %d", len(all))}
			all = append(all, i)
			intents <- i
		}
	})
	l.kill(ctx, t, f, heffl)
	killed.Store(true)
	working.Wait()
	return all
}

// kill ends replicas in the middle of what they do, always at the same counts of requests, and starts others.
func (l load) kill(ctx context.Context, t *testing.T, f *fleet, heffl *crossing) {
	t.Helper()
	random := mathrand.New(mathrand.NewPCG(uint64(l.kills), 0))
	for range l.kills {
		victim, dead := random.IntN(len(f.replicas)), make(chan struct{})
		heffl.arm(1+random.IntN(30), func() { f.kill(victim); close(dead) })
		select {
		case <-dead:
			f.launch(t, victim)
		case <-ctx.Done():
			t.Errorf("Heffl was not asked often enough to kill replica %d", victim)
			return
		}
	}
}
