package tools

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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

// A world is a Heffl that fails, the processes of this program that live and die on one journal,
// and the callers who repeat what they want until they are told that it is done. All of it runs in
// a synctest bubble. What happens to a request follows from the seed and from whose request it is.
type world struct {
	tb   testing.TB
	seed uint64
	weather
	sb  *sandbox.Sandbox
	dsn string

	mu        sync.Mutex
	alive     []*process
	calls     map[string]*asked // by ID
	trouble   time.Time         // when the last fault was over
	followers sync.WaitGroup    // of all processes
	wants     []*want
}

// weather says how Heffl and the processes fail.
type weather struct {
	well        time.Time                                // from then on nothing fails any more
	down        [2]time.Time                             // nobody can connect
	faults      float64                                  // how likely a read is to meet a fault
	writeFaults float64                                  // and a write
	kills       float64                                  // how likely a process is to die at a request
	limit       int                                      // requests a minute; negative: none
	slow        time.Duration                            // what a request takes at most
	processes   int                                      // alive at a time
	fault       func(*mathrand.Rand, bool) sandbox.Fault // what a request meets that meets one; true: it is a write
}

// A want is what a caller wants done once, and what became of it.
type want struct {
	name string
	tool string
	args string // without allowDuplicate

	mu       sync.Mutex
	anothers int             // calls with allowDuplicate
	lost     int             // of those, how many got no answer
	told     map[string]bool // the deals that callers were told of
	created  map[string]int  // how many were told that they made it
	posts    int             // that left
	requests int
}

// asked is one call.
type asked struct {
	want    *want
	posts   int  // that left
	commits bool // one of them takes effect, now or later
	ok      bool // one of them got a good answer
	nth     int  // requests
}

type callKey struct{}

// leavingKey is where the context of a call says that its caller leaves when it is cancelled, and does not
// wait for it to return.
type leavingKey struct{}

func staying(ctx context.Context) bool { return ctx.Value(leavingKey{}) == nil }

func newWorld(tb testing.TB, seed uint64, h weather) *world {
	w := &world{tb: tb, seed: seed, weather: h, calls: map[string]*asked{}, trouble: time.Now(), dsn: filepath.Join(memoryDir(tb), "journal.db")}
	w.sb = sandbox.New(sandbox.Options{RateLimit: h.limit, Fault: w.meets})
	tb.Cleanup(func() { w.sb.Close() })
	for range max(h.processes, 1) {
		w.alive = append(w.alive, w.start())
	}
	tb.Cleanup(func() {
		for _, p := range w.alive {
			p.kill()
		}
	})
	return w
}

// memoryDir is a folder that is in memory where the system has one: thousands of calls wait for
// the disk otherwise, and what a power cut leaves is not what is tested here.
func memoryDir(tb testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "heffl-mcp-test-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// random is the chance that belongs to something.
func (w *world) random(of ...any) *mathrand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, of...)
	return mathrand.New(mathrand.NewPCG(w.seed, h.Sum64()))
}

// meets is the fault of a request, as the sandbox asks for it.
func (w *world) meets(r *http.Request) sandbox.Fault {
	id, nth, _ := strings.Cut(r.Header.Get("X-Call"), "/")
	rng, write, likely := w.random("fault", id, nth), r.Method == http.MethodPost, w.faults
	if write {
		likely = w.writeFaults
	}
	if !time.Now().Before(w.well) || rng.Float64() >= likely {
		return sandbox.Fault{}
	}
	f := w.fault(rng, write)
	if write && f.Kind != sandbox.NoFault {
		w.mu.Lock()
		defer w.mu.Unlock()
		late := f.When == sandbox.Before && f.Wait > 0 && f.Kind != sandbox.TooMany
		c := w.calls[id]
		c.commits = c.commits || f.When == sandbox.After || f.Kind == sandbox.Slow || f.Kind == sandbox.Truncate || late
	}
	return f
}

// anyFault is whatever can happen to a request within the times that the settings promise: 5 s
// after its end for what was answered, 20 s for what was given up, and as long for what was on its
// way when its process died.
func anyFault(rng *mathrand.Rand, write bool) sandbox.Fault {
	upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
	f := sandbox.Fault{When: []sandbox.Moment{sandbox.Before, sandbox.After}[rng.IntN(2)]}
	if write && rng.IntN(3) == 0 {
		f.HideFor = upTo(3 * time.Second)
	}
	late := write && f.When == sandbox.Before && rng.IntN(3) > 0
	f.Kind = kinds[rng.IntN(len(kinds))]
	switch f.Kind {
	case sandbox.Drop, sandbox.Hang:
		if late {
			f.Wait = upTo(18 * time.Second)
		}
	case sandbox.Error, sandbox.Gateway:
		if late {
			f.Wait = upTo(1500 * time.Millisecond)
		}
	case sandbox.TooMany:
		return sandbox.Fault{Kind: sandbox.TooMany, When: sandbox.Before, Wait: upTo(4 * time.Second)}
	case sandbox.Slow:
		f.Wait = upTo(19 * time.Second)
	}
	return f
}

// kinds are the faults, as likely as they stand here.
var kinds = []sandbox.Kind{
	sandbox.Drop, sandbox.Drop, sandbox.Drop, sandbox.Error, sandbox.Gateway, sandbox.Gateway,
	sandbox.Truncate, sandbox.Hang, sandbox.Slow, sandbox.TooMany, sandbox.NoFault,
}

// A process is one run of this program.
type process struct {
	w       *world
	life    context.Context
	end     context.CancelFunc
	journal *journal.Journal
	client  *mcpclient.Client
	once    sync.Once
}

func (w *world) start() *process {
	j, err := journal.New(w.dsn, journal.Options{})
	if err != nil {
		w.tb.Fatal(err)
	}
	p := &process{w: w, journal: j}
	p.life, p.end = context.WithCancel(context.Background())
	d := Deps{Heffl: &heffl.Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: &http.Client{Transport: p}}, Journal: j, Tenant: "t", Followers: &w.followers, Awaited: staying}
	if w.limit > 0 {
		d.Heffl.Budget = new(heffl.Budget)
	}
	p.client = connectTo(w.tb, d)
	return p
}

// kill ends a process as kill -9 does: what it has sent goes on at Heffl, but it sends nothing
// more, and writes nothing more to the journal.
func (p *process) kill() {
	p.once.Do(func() {
		p.end()
		p.journal.Close()
	})
}

// die kills a process and starts the next one.
func (p *process) die() {
	p.kill()
	w := p.w
	next := w.start()
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.alive, p); i >= 0 {
		w.alive[i], next = next, nil
	}
	w.trouble = time.Now()
	if next != nil { // it was dead already
		defer next.kill()
	}
}

var errKilled = errors.New("killed")

// RoundTrip carries a request to the sandbox, or fails it on its way.
func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	w, write := p.w, r.Method == http.MethodPost
	if p.life.Err() != nil {
		return nil, errKilled
	}
	id := r.Context().Value(callKey{}).(string)
	w.mu.Lock()
	c := w.calls[id]
	c.nth++
	nth := c.nth
	w.mu.Unlock()
	rng := w.random("way", id, nth)
	killed := -1.0
	if time.Now().Before(w.well) && rng.Float64() < w.kills {
		killed = rng.Float64()
	}
	if killed >= 0 && killed < 0.3 {
		p.die()
		return nil, errKilled
	}
	if now := time.Now(); now.After(w.down[0]) && now.Before(w.down[1]) {
		return nil, errors.New("connection refused")
	}

	if killed >= 0.3 && killed < 0.7 {
		defer time.AfterFunc(time.Duration(rng.Int64N(int64(3*time.Second))), p.die).Stop()
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer context.AfterFunc(p.life, cancel)()
	r = r.Clone(ctx)
	r.Header.Set("X-Call", fmt.Sprintf("%s/%d", id, nth))
	c.want.mu.Lock()
	c.want.requests++
	if write {
		c.want.posts++
	}
	c.want.mu.Unlock()
	if write {
		w.mu.Lock()
		c.posts++
		w.mu.Unlock()
	}
	if w.slow > 0 {
		pause := time.NewTimer(time.Duration(rng.Int64N(int64(w.slow))))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	resp, err := w.sb.HTTPClient().Transport.RoundTrip(r)
	if killed >= 0.7 {
		p.die()
		cancel()
		return nil, errKilled
	}
	if err == nil { // read here, so that the fault is over when it is noted to be
		var body []byte
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
		if write && err == nil && resp.StatusCode == http.StatusOK {
			w.mu.Lock()
			c.ok, c.commits = true, true
			w.mu.Unlock()
		}
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		w.mu.Lock()
		w.trouble = time.Now()
		w.mu.Unlock()
	}
	cancel()
	if resp == nil {
		return nil, err
	}
	return resp, nil
}

// failing ends a body, as it ended.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// process is one that is alive.
func (w *world) process(rng *mathrand.Rand) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alive[rng.IntN(len(w.alive))]
}

// A caller repeats a call until it is told that what it wants is done.
type caller struct {
	*world
	*want
	name      string
	impatient float64 // how likely it is to give up on a call
	another   bool    // it says allowDuplicate: true
	message   string  // that it reads, by its ID; empty: none
	words     string  // the arguments that it makes of that, in place of the want's
}

func (c *caller) run() {
	rng := c.random("caller", c.name)
	for n := 0; ; n++ {
		if n == 200 {
			c.tb.Errorf("%s is not done after %d calls", c.name, n)
			return
		}
		switch done, wait := c.call(rng, fmt.Sprintf("%s #%d", c.name, n)); {
		case done:
			c.settled()
			return
		case wait > 0:
			time.Sleep(wait)
		default:
			time.Sleep(time.Duration(rng.Int64N(int64(time.Second))))
		}
	}
}

// settled holds that it did not take longer than promised.
func (c *caller) settled() {
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	since := c.well
	if c.trouble.After(since) {
		since = c.trouble
	}
	if took := time.Since(since); c.limit < 0 && took > 28*time.Second {
		c.tb.Errorf("%s was settled %v after Heffl was well, want within 28s", c.name, took)
	}
}

// call asks once. It reports whether the caller now knows that it is done, and else how long it
// was asked to wait.
func (c *caller) call(rng *mathrand.Rand, id string) (bool, time.Duration) {
	p := c.process(rng)
	c.world.mu.Lock()
	a := &asked{want: c.want}
	c.calls[id] = a
	c.world.mu.Unlock()

	ctx, cancel := context.WithCancel(context.WithValue(c.tb.Context(), callKey{}, id))
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	if time.Now().Before(c.well) && rng.Float64() < c.impatient {
		patience := time.Duration(rng.Int64N(int64(22 * time.Second)))
		if rng.IntN(2) == 0 {
			ctx = context.WithValue(ctx, leavingKey{}, true)
			defer time.AfterFunc(patience, cancel).Stop()
		} else {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, patience)
			defer stop()
		}
	}
	args := cmp.Or(c.words, c.args)
	if c.another {
		args = strings.Replace(args, "{", `{"allowDuplicate":true,`, 1)
		c.want.mu.Lock()
		c.anothers++
		c.want.mu.Unlock()
	}
	var req mcp.CallToolRequest
	req.Params.Name, req.Params.Arguments = c.tool, json.RawMessage(args)
	if c.message != "" {
		req.Params.Meta = &mcp.Meta{AdditionalFields: map[string]any{MetaSource: source{MessageID: c.message}}}
	}
	began := time.Now()
	r, err := p.client.CallTool(ctx, req)
	if took := time.Since(began); took > 25*time.Second+journalSlack {
		c.tb.Errorf("%s took %v, want at most 25s", id, took)
	}
	if p.life.Err() != nil { // nobody hears what the dead say
		c.unheard()
		return false, 0
	}
	if err != nil {
		c.tb.Errorf("%s: %v", id, err)
		return true, 0
	}
	done := c.check(id, a, r)
	if ctx.Err() != nil {
		c.unheard()
		return false, 0
	}
	if notesOf(r)["heffl-mcp/outcome"] == lookAlike && c.message != "" {
		c.tb.Errorf("%s: stopped at its own message's deal: %s", id, textOf(r))
		return true, 0
	}
	if notesOf(r)["heffl-mcp/outcome"] == lookAlike && !c.another {
		c.another = true // the user wants both
	}
	wait, _ := notesOf(r)["heffl-mcp/retryAfter"].(float64)
	return done, time.Duration(wait * float64(time.Second))
}

// journalSlack is what SQLite's locks may take, in time that is not real: it sleeps while another
// process writes.
const journalSlack = 500 * time.Millisecond

func (c *caller) unheard() {
	c.want.mu.Lock()
	defer c.want.mu.Unlock()
	if c.another {
		c.lost++
	}
}

// check holds that what a call was answered is so. It reports whether a deal was.
func (c *caller) check(id string, a *asked, r *mcp.CallToolResult) bool {
	c.world.mu.Lock()
	sent, commits, ok := a.posts, a.commits, a.ok
	c.world.mu.Unlock()
	c.want.mu.Lock()
	defer c.want.mu.Unlock()
	notes, text := notesOf(r), textOf(r)
	outcome := notes["heffl-mcp/outcome"]
	wrong := func(format string, args ...any) {
		c.tb.Errorf("%s: %s; %v: %s", id, fmt.Sprintf(format, args...), notes, text)
	}
	if notes["heffl-mcp/retrySafe"] != true {
		wrong("it is not said to be safe to call again")
	}
	if r.IsError {
		switch outcome {
		case unsettled:
			if c.posts == 0 && strings.Contains(text, "it was sent") {
				wrong("said to have been sent, and never was")
			}
		case notSent, rateLimited, lookAlike, refused:
			if commits {
				wrong("said that nothing was done, and it was")
			}
		default:
			wrong("outcome %v of an error", outcome)
		}
		return false
	}
	var deal struct{ ID string }
	if err := json.Unmarshal(r.RawStructuredContent, &deal); err != nil || deal.ID == "" {
		wrong("no deal in %s", r.RawStructuredContent)
	}
	for _, how := range []string{replayed, recovered} {
		if (notes["heffl-mcp/"+how] == true) != (outcome == how) {
			wrong("outcome %v, but %s is %v", outcome, how, notes["heffl-mcp/"+how])
		}
	}
	switch outcome {
	case created:
		if c.created[deal.ID]++; c.created[deal.ID] > 1 || !ok {
			wrong("said to have created it; it got a good answer: %t; said so %d times", ok, c.created[deal.ID])
		}
	case replayed:
		if sent > 0 {
			wrong("said to have sent nothing, and sent %d times", sent)
		}
	case recovered:
		if c.posts == 0 {
			wrong("said to have been sent before, and never was")
		}
	default:
		wrong("outcome %v of a success", outcome)
	}
	c.told[deal.ID] = true
	return true
}

func (w *world) want(name, args string) *want {
	x := &want{name: name, tool: "create_deal", args: args, told: map[string]bool{}, created: map[string]int{}}
	w.wants = append(w.wants, x)
	return x
}

// close compares what there is with what was wanted and told.
func (w *world) close(before int) {
	w.closeWith(w.sb.Deals()[before:])
}

// closeWith compares what was made with what was wanted and told.
func (w *world) closeWith(rows []json.RawMessage) {
	made, named := map[string]object{}, map[string][]string{}
	nameOf := func(o object) string {
		title, _ := o.str("title")
		return title + clientName(o)
	}
	for _, raw := range rows {
		row := parse(raw)
		id, _ := row.str("id")
		made[id] = row
		named[nameOf(row)] = append(named[nameOf(row)], id)
	}
	owner := map[string]string{}
	for _, x := range w.wants {
		sent := taskBody(parse([]byte(x.args)).without("type"))
		mine := slices.DeleteFunc(slices.Clone(named[nameOf(sent)]), func(id string) bool {
			unconfirmed, differing := compareEcho(sent, made[id])
			return len(unconfirmed)+len(differing) > 0
		})
		if least, most := min(1+x.anothers, 1), 1+x.anothers; len(mine) < least || len(mine) > most || x.anothers == 0 && len(mine) != 1 {
			w.tb.Errorf("%s: %d made %v, want %d to %d", x.name, len(mine), mine, least, most)
		}
		for id := range x.told {
			if other, ok := owner[id]; ok {
				w.tb.Errorf("%s and %s were both told of %s", other, x.name, id)
			}
			owner[id] = x.name
			if !slices.Contains(mine, id) {
				w.tb.Errorf("%s was told of %s, which is %s, want %s", x.name, id, made[id].JSON(), x.args)
			}
		}
		if n := len(mine) - len(x.told); n > x.lost {
			w.tb.Errorf("%s: of %v only %v were told of, and only %d calls were not heard", x.name, mine, slices.Sorted(maps.Keys(x.told)), x.lost)
		}
	}
	if !w.tb.Failed() {
		return
	}
	for _, r := range w.sb.Requests() {
		w.tb.Logf("%s %s %s %d %s", r.At.Format("05.000"), r.Method, r.Path, r.Status, r.Body)
	}
}

// anyWeather is how Heffl and the processes may fail in a history.
func anyWeather(rng *mathrand.Rand) weather {
	now := time.Now()
	h := weather{
		well: now.Add(time.Duration(20+rng.IntN(70)) * time.Second), faults: []float64{0.05, 0.2, 0.7}[rng.IntN(3)], writeFaults: []float64{0.5, 0.8, 0.95}[rng.IntN(3)], fault: anyFault,
		kills: []float64{0, 0, 0.1, 0.3}[rng.IntN(4)], limit: -1, slow: 400 * time.Millisecond, processes: 1 + rng.IntN(3),
	}
	if rng.IntN(3) == 0 {
		h.down[0] = now.Add(time.Duration(rng.IntN(20)) * time.Second)
		h.down[1] = h.down[0].Add(time.Duration(rng.IntN(30)) * time.Second)
		h.well = latest(h.well, h.down[1])
	}
	if rng.IntN(5) == 0 {
		h.limit = 60
	}
	return h
}

// TestHistoriesOfMessages plays random histories in which several agents read one message and word it in their own
// ways, on processes that die and a Heffl that fails: there is one deal for each message, and all are told of it.
func TestHistoriesOfMessages(t *testing.T) {
	t.Parallel()
	n := 40
	if testing.Short() {
		n = 10
	}
	for seed := range uint64(n) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rng := mathrand.New(mathrand.NewPCG(seed, 2))
				w := newWorld(t, seed, anyWeather(rng))
				before := len(w.sb.Deals())
				var callers sync.WaitGroup
				for i := range 1 + rng.IntN(4) {
					x := w.want(fmt.Sprintf("message %d", i), "")
					for k := range 2 + rng.IntN(3) {
						c := &caller{
							world: w, want: x, name: fmt.Sprintf("%s by %d", x.name, k), impatient: []float64{0, 0.5}[rng.IntN(2)], message: fmt.Sprintf("message-%d@acme.example", i),
							words: fmt.Sprintf(`{"title":"Message %d, as %d words it","clientId":"clt_northwind","pipelineId":"dpl_sales","price":%d}`, i, k%3, k),
						}
						pause := time.Duration(rng.IntN(2)) * time.Duration(rng.Int64N(int64(20*time.Second)))
						callers.Go(func() {
							time.Sleep(pause)
							c.run()
						})
					}
				}
				callers.Wait()
				w.followers.Wait()
				made := map[string][]string{} // by the beginning of the title
				for _, raw := range w.sb.Deals()[before:] {
					title, _ := parse(raw).str("title")
					id, _ := parse(raw).str("id")
					of, _, _ := strings.Cut(title, ",")
					made[strings.ToLower(of)] = append(made[strings.ToLower(of)], id)
				}
				for _, x := range w.wants {
					if told := slices.Sorted(maps.Keys(x.told)); len(made[x.name]) != 1 || !slices.Equal(told, made[x.name]) {
						t.Errorf("of %s there are %v, and agents were told of %v; want one deal", x.name, made[x.name], told)
					}
				}
			})
		})
	}
}

// history plays one random history.
func history(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		rng := mathrand.New(mathrand.NewPCG(seed, 1))
		h := anyWeather(rng)
		w := newWorld(t, seed, h)
		before := len(w.sb.Deals())
		var callers sync.WaitGroup
		begin := func(c *caller) {
			pause := time.Duration(rng.Int64N(int64(10 * time.Second)))
			if rng.IntN(3) == 0 {
				pause = 0
			}
			callers.Go(func() {
				time.Sleep(pause)
				c.run()
			})
		}
		for i := range 2 + rng.IntN(7) {
			x := w.want(fmt.Sprintf("deal %d", i), fmt.Sprintf(`{"title":"Deal %d, früh","clientId":"clt_northwind","pipelineId":"dpl_sales","price":%d.50,"tags":["tag_vip"]}`, i, i))
			same := 1 + rng.IntN(3)
			for k := range same {
				begin(&caller{world: w, want: x, name: fmt.Sprintf("%s by %d", x.name, k), impatient: []float64{0, 0.5}[rng.IntN(2)], another: k > 0 && rng.IntN(6) == 0})
			}
			if rng.IntN(3) == 0 { // the same but for its price
				y := w.want(x.name+", rival", strings.Replace(x.args, ".50", ".75", 1))
				begin(&caller{world: w, want: y, name: y.name, impatient: 0.3})
			}
		}
		callers.Wait()
		w.followers.Wait()
		w.close(before)
	})
}

// TestHistories plays random histories, the same ones each time, and holds them against the model:
// one deal for each want, none lost, and every claim true.
func TestHistories(t *testing.T) {
	t.Parallel()
	n := 40
	if testing.Short() {
		n = 10
	}
	for seed := range uint64(n) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			history(t, seed)
		})
	}
}

// FuzzHistory plays more of them.
func FuzzHistory(f *testing.F) {
	f.Add(uint64(1000))
	f.Fuzz(history)
}

// TestThousand makes a thousand deals, over faults of every kind and killed processes, each asked
// for again and again by an impatient caller.
func TestThousand(t *testing.T) {
	t.Parallel()
	n := 1000
	if testing.Short() {
		n = 100
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 7, weather{well: time.Now().Add(365 * 24 * time.Hour), faults: 0.15, writeFaults: 0.4, fault: anyFault, kills: 0.01, limit: -1, slow: 400 * time.Millisecond})
		before := len(w.sb.Deals())
		wants := make(chan *want)
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for x := range wants {
					(&caller{world: w, want: x, name: x.name, impatient: 0.3}).run()
				}
			})
		}
		for i := range n {
			x := w.want(fmt.Sprintf("deal %d", i), fmt.Sprintf(`{"title":"Order consignment%d","clientId":"clt_acme","pipelineId":"dpl_enterprise","price":%d}`, i, i))
			wants <- x
		}
		close(wants)
		callers.Wait()
		w.followers.Wait()
		w.close(before)
		if made := len(w.sb.Deals()) - before; made != n {
			t.Errorf("%d deals, want %d", made, n)
		}
	})
}
