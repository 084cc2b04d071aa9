// Package sandbox is an embedded stand-in for the Heffl API, version 2: an http.Handler with a small, believable
// workspace in memory, which follows the documented rules, answers and errors, and which can be told to fail in the ways
// that networks and servers fail. It is for trying things without a Heffl account, and for tests.
//
//	s := sandbox.New(sandbox.Options{Key: "k"})
//	defer s.Close()
//	req, _ := http.NewRequest("GET", sandbox.BaseURL+"/pipelines", nil)
//	req.Header.Set("x-api-key", "k")
//	res, err := s.HTTPClient().Do(req)
//
// It follows https://docs.heffl.com/api-v2/introduction and the pages below it, as read on 2026-11-22. Where those pages
// leave something open, the sandbox does what is likeliest, and a comment beside the code says so: what it does there
// proves nothing about Heffl. Two things it does on purpose unlike most servers: a number keeps the digits it was sent
// with, and a deal can be asked to stay out of the lists for a while, so that what a client loses or overlooks is seen.
//
// It leaves out quotations, document templates, webhooks, the writing of reference data, permissions, and files. Nothing
// is kept on disk; a listener is the caller's business.
package sandbox

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// BaseURL is where [Sandbox.HTTPClient] finds the API. Its client never leaves the process, whatever address it is given;
// this one says so, and passes for a loopback address where plain HTTP is allowed on loopback only.
const BaseURL = "http://localhost/api/v2"

// DefaultRateLimit is the number of requests a minute that Heffl documents for one API key.
// https://docs.heffl.com/api-v2/authentication
const DefaultRateLimit = 60

// Options are the settings of a Sandbox. The zero value is a sandbox that takes any key, and 60 requests a minute.
type Options struct {
	Key       string                      // the one x-api-key that is accepted; empty: any non-empty one
	Now       func() time.Time            // the clock of stamps, rate windows and visibility; nil: time.Now. Waits always use timers
	RateLimit int                         // requests a minute for one key; 0: DefaultRateLimit; negative: no limit
	Series    string                      // letters and digits in the IDs that are given out, such as k3x9 (dl_k3x9_1001), to tell them from those of another sandbox; empty: none (dl_1001)
	Fault     func(r *http.Request) Fault // asked once for each request that has a good key and is within the limit; nil: none. The X-Sandbox-Fault header works besides
}

// Sandbox is one workspace and the handler that serves it. Its methods may be called at the same time. For use inside a
// testing/synctest bubble, make it there, and Close it before the bubble ends.
type Sandbox struct {
	options   Options
	resources []*resource                   // those first that others refer to
	routes    map[string]map[string]handler // path form, then method
	log       requestLog
	limiter   limiter

	mu       sync.Mutex // guards all below; held for the whole of one API call, so calls take effect one by one
	store    map[string][]*record
	custom   []customField
	counters map[string]int // last number given out, by ID prefix and by number series
	seq      int            // of the newest record

	closing   sync.Mutex // orders Close against the start of goroutines
	closed    chan struct{}
	running   sync.WaitGroup // every goroutine that the sandbox itself starts
	inProcess *inProcess     // nil until HTTPClient is called
}

// New returns a sandbox with the workspace of data.json.
func New(o Options) *Sandbox {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RateLimit == 0 {
		o.RateLimit = DefaultRateLimit
	}
	s := &Sandbox{
		options:  o,
		limiter:  limiter{limit: o.RateLimit, windows: map[string]*window{}},
		store:    map[string][]*record{},
		counters: map[string]int{},
		closed:   make(chan struct{}),
	}
	s.resources = s.allResources()
	s.routes = s.allRoutes()
	s.load(o.Now())
	return s
}

// Deals returns every deal there is, oldest first, whether the API shows it already or not: the members of the API's
// answer, and after them those that were sent and that Heffl does not return (contacts, assignees, tags, products,
// currency, isInclusiveTax; null where unset).
func (s *Sandbox) Deals() []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]json.RawMessage, 0, len(s.store["deals"]))
	for _, rec := range s.store["deals"] {
		deal := s.dealView(rec)
		for _, name := range []string{"contacts", "assignees", "tags", "products", "currency", "isInclusiveTax"} {
			deal = append(deal, member{name, rec.fields[name]})
		}
		all = append(all, encode(append(deal, s.customView(s.resource("deals"), rec, false)...)))
	}
	return all
}

// Close ends the goroutines of the sandbox: the in-process server, answers that hang, and commits that were still to
// come, which are lost. The handler goes on to serve requests without faults.
func (s *Sandbox) Close() error {
	s.closing.Lock()
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	p := s.inProcess
	s.closing.Unlock()
	var err error
	if p != nil {
		err = p.close()
	}
	s.running.Wait()
	return err
}

// start runs f in a goroutine that Close waits for; f must end when s.closed is closed. After Close it does nothing. It
// wants s.closing held, so that Close waits for all that was started before it.
func (s *Sandbox) start(f func()) {
	select {
	case <-s.closed:
	default:
		s.running.Go(f)
	}
}

// sleep waits for d. It reports false if the sandbox was closed, or gone was closed, before that; a nil gone never is.
func (s *Sandbox) sleep(d time.Duration, gone <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closed:
		return false
	case <-gone:
		return false
	}
}
