package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"heffl-mcp/heffl/sandbox"
)

// A soak has clients make deals for a while, with everything going wrong that does: Heffl fails now and then, clients go away
// in the middle of a call and come back on new connections, and programs are killed and started again. Each deal is asked for
// until there is a result. In the end each is there once, and whoever was told of one was told of the same.
type soak struct {
	lab     *lab
	env     []string
	heffl   *sandbox.Sandbox
	calm    atomic.Bool   // Heffl fails no more
	killing time.Duration // between two kills

	mu       sync.Mutex
	replicas []*replica
	all      []*wish
	took     []time.Duration // calls that had a result
	attempts int
	killed   int
}

type replica struct {
	*program
	url string
}

// A wish is a deal that is asked for.
type wish struct {
	title string
	ids   []string // that its askers were told
}

// soaked is what a soak has come to.
type soaked struct {
	wishes, attempts, killed              int
	duplicates, lost, contradictions      int
	p50, p99                              float64
	rss, rssEnd, files, filesEnd, routine int
	routineEnd                            int
}

// runSoak runs so many programs on one journal.
func (l *lab) runSoak(ctx context.Context, replicas int, state string, lasting, killing time.Duration) (*soaked, error) {
	s := &soak{lab: l, killing: killing}
	s.heffl = sandbox.New(sandbox.Options{RateLimit: -1, Fault: s.fault})
	defer func() { _ = s.heffl.Close() }()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: s.heffl, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(ln) }() // until Close
	defer func() { _ = srv.Close() }()
	s.env = []string{"HEFFL_API_KEY=bench-key", "HEFFL_BASE_URL=http://" + ln.Addr().String() + "/api/v2", "HEFFL_MCP_STATE=" + state,
		"HEFFL_TIMEOUT=4s", "HEFFL_MCP_SETTLE=100ms", "HEFFL_MCP_HORIZON=500ms", "HEFFL_MCP_DEADLINE=5s"}
	s.replicas = make([]*replica, replicas)
	defer s.stop()
	for i := range s.replicas {
		if err := s.launch(ctx, i); err != nil {
			return nil, err
		}
	}
	before := len(s.heffl.Deals())
	r := new(soaked)
	if err := s.load(ctx, lasting/10); err != nil { // what a program keeps for good, it has by then
		return nil, err
	}
	if r.rss, r.files, r.routine, err = s.usage(ctx); err != nil {
		return nil, err
	}
	killer, stopKilling := context.WithCancel(ctx)
	defer stopKilling()
	kills := make(chan error, 1)
	go func() { kills <- s.kill(killer) }()
	err = s.load(ctx, lasting)
	stopKilling()
	if err := errors.Join(err, <-kills); err != nil {
		return nil, err
	}
	s.calm.Store(true)
	// Programs that were killed have begun anew, so all are given the same to do before they are compared.
	if err := s.load(ctx, lasting/10); err != nil {
		return nil, err
	}
	if r.rssEnd, r.filesEnd, r.routineEnd, err = s.usage(ctx); err != nil {
		return nil, err
	}
	s.judge(r, before)
	return r, nil
}

// fault is one for a request in six.
func (s *soak) fault(*http.Request) sandbox.Fault {
	faults := []sandbox.Fault{
		{Kind: sandbox.Drop}, {Kind: sandbox.Drop, When: sandbox.After},
		{Kind: sandbox.Error}, {Kind: sandbox.Error, When: sandbox.After},
		{Kind: sandbox.Gateway, When: sandbox.After}, {Kind: sandbox.Truncate, When: sandbox.After},
		{Kind: sandbox.TooMany, Wait: time.Second},
		{Kind: sandbox.Slow, When: sandbox.After, Wait: 100 * time.Millisecond},
		{When: sandbox.After, HideFor: 30 * time.Millisecond},
	}
	if s.calm.Load() || rand.IntN(6) > 0 {
		return sandbox.Fault{}
	}
	return faults[rand.IntN(len(faults))]
}

func (s *soak) launch(ctx context.Context, i int) error {
	p, err := start(ctx, s.lab.ours, s.env, "http", "--addr=127.0.0.1:0")
	if err != nil {
		return err
	}
	url, err := p.url(ctx)
	if err != nil {
		p.kill()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas[i] = &replica{p, url}
	return nil
}

func (s *soak) stop() {
	for _, r := range s.replicas {
		if r != nil {
			r.interrupt()
		}
	}
}

func (s *soak) replica(i int) *replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replicas[i%len(s.replicas)]
}

// kill kills one program after the other, in the middle of what it does, and starts another in its place.
func (s *soak) kill(ctx context.Context) error {
	for i := 0; ; i++ {
		select {
		case <-time.After(s.killing):
		case <-ctx.Done():
			return nil
		}
		s.replica(i).kill()
		if err := s.launch(context.WithoutCancel(ctx), i%len(s.replicas)); err != nil {
			return err
		}
		s.killed++
	}
}

// askers is how many ask for deals at once; every wish has two of them.
const askers = 8

// load asks for deals for so long, and then until all that were begun have a result.
func (s *soak) load(ctx context.Context, lasting time.Duration) error {
	end := time.Now().Add(lasting)
	var group sync.WaitGroup
	errs := make([]error, askers/2)
	for i := range errs {
		group.Go(func() {
			for errs[i] == nil && (time.Now().Before(end) || len(s.all) == 0) {
				s.mu.Lock()
				w := &wish{title: fmt.Sprintf("Northwind rollout, part %d", titles.Add(1))}
				s.all = append(s.all, w)
				s.mu.Unlock()
				var both sync.WaitGroup
				var one, other error
				both.Go(func() { one = s.ask(ctx, w) })
				both.Go(func() { other = s.ask(ctx, w) })
				both.Wait()
				errs[i] = errors.Join(one, other)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// patience is how long a wish may take, which is far longer than it should.
const patience = time.Minute

// ask asks for a deal until there is a result.
func (s *soak) ask(ctx context.Context, w *wish) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	arguments := fmt.Appendf(nil, `{"title":%q,"clientId":"clt_northwind","pipelineId":"Enterprise","ownerUserId":"Sara","cf_region":"North"}`, w.title)
	for {
		at := time.Now()
		id, again, err := s.call(ctx, rand.Int(), arguments)
		s.mu.Lock()
		s.attempts++
		if err == nil && id != "" {
			s.took = append(s.took, time.Since(at))
			w.ids = append(w.ids, id)
		}
		s.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%q has had no result within %v: %w", w.title, patience, errors.Join(err, ctx.Err()))
		case !again && err != nil:
			return err
		case id != "":
			return nil
		case err != nil: // the program is dead, or the client has left: either comes back in a moment
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

// call makes one call over a connection of its own, and leaves one in ten in the middle.
func (s *soak) call(ctx context.Context, which int, arguments []byte) (id string, again bool, err error) {
	r := s.replica(which % 1024)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if which%10 == 0 {
		leave := time.AfterFunc(time.Duration(rand.IntN(30))*time.Millisecond, cancel)
		defer leave.Stop()
	}
	var reply []byte
	if which%3 == 0 {
		reply, err = s.overSSE(ctx, r.url, arguments)
	} else {
		t := &http.Transport{DisableKeepAlives: true}
		reply, err = post(ctx, &http.Client{Transport: t}, r.url+"/mcp", request(1, "tools/call", createDeal(arguments)), nil)
	}
	if err != nil {
		return "", true, err // the program has died, or the client has left
	}
	if i := bytes.LastIndex(reply, []byte("data: ")); i >= 0 && !bytes.HasPrefix(reply, []byte("{")) {
		reply = reply[i+len("data: "):]
	}
	var answer struct {
		Result struct {
			IsError           bool
			StructuredContent struct{ ID string }
			Meta              struct {
				Safe bool `json:"heffl-mcp/retrySafe"`
			} `json:"_meta"`
		}
		Error *struct{ Message string }
	}
	if err := json.Unmarshal(reply, &answer); err != nil {
		return "", false, fmt.Errorf("no JSON: %w: %.200s", err, reply)
	}
	if answer.Error != nil {
		return "", true, errors.New(answer.Error.Message) // the program is stopping
	}
	if answer.Result.IsError && !answer.Result.Meta.Safe {
		return "", false, fmt.Errorf("not said to be safe to repeat: %.400s", reply)
	}
	return answer.Result.StructuredContent.ID, true, nil
}

func (s *soak) overSSE(ctx context.Context, url string, arguments []byte) ([]byte, error) {
	t := &http.Transport{}
	defer t.CloseIdleConnections()
	c := &http.Client{Transport: t}
	stream, err := openSSE(ctx, c, url, http.Header{})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	events := bufio.NewReader(stream)
	at, err := nextEvent(events)
	if err != nil {
		return nil, err
	}
	if _, err := post(ctx, c, url+string(at), request(1, "tools/call", createDeal(arguments)), nil); err != nil {
		return nil, err
	}
	for {
		reply, err := nextEvent(events)
		if _, ok := idOf(reply); ok || err != nil {
			return reply, err
		}
	}
}

// usage is the memory (in KiB), files and goroutines of all programs, once they have come to rest.
func (s *soak) usage(ctx context.Context) (rss, files, goroutines int, err error) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return 0, 0, 0, ctx.Err()
	}
	for i := range s.replicas {
		r := s.replica(i)
		kib, err := r.status("VmRSS")
		if err != nil {
			return 0, 0, 0, err
		}
		open, err := r.files()
		if err != nil {
			return 0, 0, 0, err
		}
		n, err := metric(ctx, r.url, "go_goroutines")
		if err != nil {
			return 0, 0, 0, err
		}
		rss, files, goroutines = rss+kib, files+open, goroutines+n
	}
	return rss, files, goroutines, nil
}

// metric is the value of a metric without labels.
func metric(ctx context.Context, url, name string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	t := &http.Transport{DisableKeepAlives: true}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("/metrics has no %s", name)
}

// judge compares what Heffl has with what was asked for and told.
func (s *soak) judge(r *soaked, before int) {
	there := map[string][]string{}
	for _, raw := range s.heffl.Deals()[before:] {
		var deal struct{ ID, Title string }
		if json.Unmarshal(raw, &deal) == nil {
			there[deal.Title] = append(there[deal.Title], deal.ID)
		}
	}
	for _, w := range s.all {
		ids := there[w.title]
		r.duplicates += max(0, len(ids)-1)
		if len(ids) == 0 {
			r.lost++
		}
		for _, told := range w.ids {
			if len(ids) > 0 && told != ids[0] {
				r.contradictions++
			}
		}
	}
	slices.Sort(s.took)
	took := round{took: s.took}
	r.p50, r.p99 = took.p50(), took.p(99)
	r.wishes, r.attempts, r.killed = len(s.all), s.attempts, s.killed
}

func (r *soaked) err() error {
	if r.duplicates+r.lost+r.contradictions > 0 {
		return fmt.Errorf("%d duplicates, %d lost, %d told of another deal than the one that is there; each must be 0", r.duplicates, r.lost, r.contradictions)
	}
	return nil
}

// soak runs one program, and three on one journal.
func (l *lab) soak(ctx context.Context) error {
	l.report.section("Soak", fmt.Sprintf("For %v each: two clients ask for each deal, over Streamable HTTP and SSE, until they have a result. One request to Heffl in six fails, one call in ten is left by its client, and a program is killed (SIGKILL) every %v. Memory, files and goroutines are of all programs together, early and at the end.", l.size.soak, l.size.kill))
	l.report.table("", "deals", "calls", "kills", "duplicates", "lost", "p50", "p99", "memory", "files", "goroutines")
	ways := []struct {
		name     string
		replicas int
		state    string
	}{
		{"one program, a file", 1, filepath.Join(l.dir, "soak.db")},
		{"three programs, a file", 3, filepath.Join(l.dir, "replicas.db")},
	}
	if l.postgres != "" {
		ways = append(ways, ways[1])
		ways[2].name, ways[2].state = "three programs, PostgreSQL", l.postgres
	}
	var errs []error
	for _, w := range ways {
		r, err := l.runSoak(ctx, w.replicas, w.state, l.size.soak, l.size.kill)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		l.report.row(w.name, strconv.Itoa(r.wishes), strconv.Itoa(r.attempts), strconv.Itoa(r.killed), strconv.Itoa(r.duplicates), strconv.Itoa(r.lost),
			ms(r.p50), ms(r.p99), mib(r.rss)+" → "+mib(r.rssEnd), fmt.Sprintf("%d → %d", r.files, r.filesEnd), fmt.Sprintf("%d → %d", r.routine, r.routineEnd))
		if err := r.err(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", w.name, err))
		}
	}
	l.report.end()
	return errors.Join(errs...)
}
