package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/journal"
	"heffl-mcp/tools"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A watch is what an operator sees of a server over HTTP: its metrics, and whether it is ready.
type watch struct {
	log      *slog.Logger
	registry *prometheus.Registry
	calls    *prometheus.CounterVec   // by tool and outcome
	took     *prometheus.HistogramVec // by tool
	inFlight prometheus.Gauge
	waited   prometheus.Counter
	requests *prometheus.CounterVec    // to Heffl, by method and status
	answered atomic.Pointer[time.Time] // when Heffl last answered anything; nil: never
	journal  *journal.Journal          // nil: off
	probe    func(context.Context) error

	probing chan struct{} // has room for one, who alone may use the next two
	probed  time.Time
	failed  error // what the last probe has found
}

const (
	// fresh is how long an answer of Heffl's shows that it can be reached.
	fresh = 2 * time.Minute
	// probeEvery bounds how often readiness asks Heffl itself.
	probeEvery = 10 * time.Second
	// scrape bounds each thing that is asked for a metric, or for readiness.
	scrape = 2 * time.Second
)

// What keeps a server from being ready.
var (
	errJournal = errors.New("the journal cannot be read")
	errNoHeffl = errors.New("Heffl cannot be reached")
)

// newWatch watches a client, whose requests and those of its copies it counts from now on, and a journal, which
// may be nil.
func newWatch(client *heffl.Client, j *journal.Journal, log *slog.Logger) *watch {
	w := &watch{
		log:      log,
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heffl_mcp_calls_total",
			Help: "Tool calls that have ended, by tool and outcome."}, []string{"tool", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "heffl_mcp_call_duration_seconds",
			Help: "How long tool calls took, by tool.", Buckets: []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10, 25}}, []string{"tool"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "heffl_mcp_calls_in_flight",
			Help: "Tool calls that have begun and not ended."}),
		waited: prometheus.NewCounter(prometheus.CounterOpts{Name: "heffl_mcp_waited_seconds_total",
			Help: "How long calls had to wait for Heffl's rate limit or before another look, as was foreseen."}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "heffl_mcp_heffl_requests_total",
			Help: "Requests to Heffl, by method and status of the answer; none: there was no answer."}, []string{"method", "status"}),
		journal: j,
		probing: make(chan struct{}, 1),
	}
	w.registry.MustRegister(w.calls, w.took, w.inFlight, w.waited, w.requests,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), budgetLeft{client.Budget})
	if j != nil {
		w.registry.MustRegister(journalStates{j})
	}
	counting := counted{client.Transport(), w}
	carry(client, counting)
	baseURL, userAgent := client.BaseURL, client.UserAgent
	w.probe = func(ctx context.Context) error { return reach(ctx, counting, baseURL, userAgent) }
	return w
}

// carry has a client, and its copies, send through a transport.
func carry(client *heffl.Client, transport http.RoundTripper) {
	var carrier http.Client
	if client.HTTP != nil {
		carrier = *client.HTTP
	}
	carrier.Transport = transport
	client.HTTP = &carrier
}

// calling counts a call while it goes on.
func (w *watch) calling(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		w.inFlight.Inc()
		defer w.inFlight.Dec()
		return next(ctx, req)
	}
}

// called counts a call that has ended.
func (w *watch) called(_ context.Context, r tools.Report) {
	w.calls.WithLabelValues(r.Tool, r.Outcome).Inc()
	w.took.WithLabelValues(r.Tool).Observe(r.Took.Seconds())
	w.waited.Add(r.Waited.Seconds())
}

// handler shows the metrics. What cannot be had is left out, and does not hide the others.
func (w *watch) handler() http.Handler {
	return promhttp.HandlerFor(w.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            slog.NewLogLogger(w.log.Handler(), slog.LevelWarn),
	})
}

// ready says what keeps the server from working: its journal cannot be read, or Heffl has not answered anything
// within the last minutes and does not now.
func (w *watch) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scrape)
	defer cancel()
	if w.journal != nil {
		if _, err := w.journal.List(ctx, journal.Filter{Limit: 1}); err != nil {
			w.log.WarnContext(ctx, errJournal.Error(), "error", err)
			return errJournal
		}
	}
	if at := w.answered.Load(); at != nil && time.Since(*at) < fresh {
		return nil
	}
	select {
	case w.probing <- struct{}{}:
		defer func() { <-w.probing }()
	case <-ctx.Done():
		return errNoHeffl
	}
	if time.Since(w.probed) >= probeEvery {
		// What is found is told to others as well, so it must not depend on who asks first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), scrape)
		defer cancel()
		w.failed = w.probe(ctx)
		w.probed = time.Now()
	}
	return w.failed
}

// reach asks Heffl for anything, without a key: any answer shows that it is there.
func reach(ctx context.Context, transport http.RoundTripper, baseURL, userAgent string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, baseURL, nil)
	if err != nil {
		return errNoHeffl
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return errNoHeffl
	}
	_ = resp.Body.Close() // it has answered, which is all that counts
	return nil
}

// counted counts requests to Heffl.
type counted struct {
	next http.RoundTripper
	w    *watch
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	status := "none"
	if err == nil {
		status = strconv.Itoa(resp.StatusCode)
		now := time.Now()
		c.w.answered.Store(&now)
	}
	c.w.requests.WithLabelValues(r.Method, status).Inc()
	return resp, err
}

// budgetLeft is what Heffl's rate limit leaves to the server's own key.
type budgetLeft struct{ *heffl.Budget }

var budgetDesc = prometheus.NewDesc("heffl_mcp_heffl_budget_left", "Requests that Heffl's rate limit leaves to the server's own key in this window, as its answers say.", nil, nil)

func (budgetLeft) Describe(d chan<- *prometheus.Desc) { d <- budgetDesc }

func (b budgetLeft) Collect(m chan<- prometheus.Metric) {
	if n, known := b.Left(); known {
		m <- prometheus.MustNewConstMetric(budgetDesc, prometheus.GaugeValue, float64(n))
	}
}

// journalStates are how many records the journal has in each state.
type journalStates struct{ *journal.Journal }

var journalDesc = prometheus.NewDesc("heffl_mcp_journal_records", "Records of the journal, by state.", []string{"state"}, nil)

func (journalStates) Describe(d chan<- *prometheus.Desc) { d <- journalDesc }

func (j journalStates) Collect(m chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrape)
	defer cancel()
	counts, err := j.Counts(ctx)
	if err != nil {
		m <- prometheus.NewInvalidMetric(journalDesc, errJournal)
		return
	}
	for _, state := range []journal.State{journal.StateOpen, journal.StateUnclear, journal.StateDone, journal.StateRefused} {
		m <- prometheus.MustNewConstMetric(journalDesc, prometheus.GaugeValue, float64(counts[state]), string(state))
	}
}
