package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/tools"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// sending sends headers along; none where the value is empty.
type sending struct {
	next    http.RoundTripper
	headers []string // names and values in turn
}

func (s sending) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for header := range slices.Chunk(s.headers, 2) {
		if header[1] != "" {
			r.Header.Set(header[0], header[1])
		}
	}
	return s.next.RoundTrip(r)
}

// with is the place for a client that sends headers along.
func (at place) with(headers ...string) place {
	at.http = &http.Client{Transport: sending{at.http.Transport, headers}}
	return at
}

// get asks for a path of the place.
func (at place) get(t testing.TB, path string) (status int, body string) {
	t.Helper()
	site := strings.TrimSuffix(strings.TrimSuffix(at.mcp, "/mcp"), "/")
	req, err := http.NewRequestWithContext(bounded(t), http.MethodGet, site+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := at.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// metrics are what the place shows: values by name and labels.
func (at place) metrics(t testing.TB) map[string]string {
	t.Helper()
	status, body := at.get(t, "/metrics")
	if status != 200 {
		t.Fatalf("GET /metrics = %d %s", status, body)
	}
	all := map[string]string{}
	for line := range strings.Lines(body) {
		if i := strings.LastIndex(line, " "); line[0] != '#' {
			all[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return all
}

// ours are those of the samples that are not of Go and the process, nor depend on time.
func ours(all map[string]string) map[string]string {
	some := map[string]string{}
	for name, value := range all {
		if strings.HasPrefix(name, "heffl_mcp_") && !strings.Contains(name, "_bucket") && !strings.Contains(name, "_sum") {
			some[name] = value
		}
	}
	return some
}

// connected is a plain client over HTTP.
func connected(at place) *plain {
	s := new(plain)
	s.overHTTP(at)
	return s
}

// called makes a call, which must be answered.
func called(t testing.TB, s session, tool, args string) *result {
	t.Helper()
	r, err := s.call(bounded(t), tool, json.RawMessage(args))
	if err != nil {
		t.Fatalf("%s(%s): %v", tool, args, err)
	}
	return r
}

// TestMetrics holds that the metrics say what has been done, and what Heffl was asked for it.
func TestMetrics(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Options{RateLimit: 1000})
	t.Cleanup(func() { sb.Close() })
	_, at := serveHTTP(t, upstream(t, sb))
	s := connected(at)
	before := at.metrics(t)
	if got := before["heffl_mcp_calls_in_flight"]; got != "0" {
		t.Errorf("calls in flight before there are any = %q, want 0", got)
	}
	const deal = `{"title":"Rollout","clientId":"clt_northwind","pipelineId":"dpl_sales"}`
	called(t, s, "create_deal", deal)
	called(t, s, "create_deal", deal)
	called(t, s, "create_deal", `{}`)
	called(t, s, "find_deals", `{"query":"Rollout"}`)
	all := at.metrics(t)
	for name, want := range map[string]string{
		`heffl_mcp_calls_total{outcome="created",tool="create_deal"}`:         "1",
		`heffl_mcp_calls_total{outcome="replayed",tool="create_deal"}`:        "1",
		`heffl_mcp_calls_total{outcome="invalid",tool="create_deal"}`:         "1",
		`heffl_mcp_calls_total{outcome="found",tool="find_deals"}`:            "1",
		`heffl_mcp_call_duration_seconds_count{tool="create_deal"}`:           "3",
		`heffl_mcp_call_duration_seconds_count{tool="find_deals"}`:            "1",
		`heffl_mcp_call_duration_seconds_bucket{tool="find_deals",le="+Inf"}`: "1",
		`heffl_mcp_calls_in_flight`:                                           "0",
		`heffl_mcp_waited_seconds_total`:                                      "0",
		`heffl_mcp_heffl_requests_total{method="POST",status="200"}`:          "1",
		`heffl_mcp_journal_records{state="done"}`:                             "1",
		`heffl_mcp_journal_records{state="open"}`:                             "0",
		`heffl_mcp_journal_records{state="unclear"}`:                          "0",
		`heffl_mcp_journal_records{state="refused"}`:                          "0",
	} {
		if all[name] != want {
			t.Errorf("%s = %q, want %q", name, all[name], want)
		}
	}
	for _, name := range []string{"heffl_mcp_heffl_budget_left", "go_goroutines", `heffl_mcp_heffl_requests_total{method="GET",status="200"}`} {
		if all[name] == "" || all[name] == "0" {
			t.Errorf("%s = %q, want something", name, all[name])
		}
	}
	_, text := at.get(t, "/metrics")
	if problems, err := promlint.New(strings.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("the metrics are not as they should be: %+v, %v", problems, err)
	}
	for _, of := range []string{"Rollout", "northwind", "dl_1001"} {
		if strings.Contains(text, of) {
			t.Errorf("the metrics tell of %q", of)
		}
	}
}

// TestMetricsInFlight holds that a call counts while it goes on.
func TestMetricsInFlight(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t, sandbox.Options{})
	arrived, release := make(chan struct{}), make(chan struct{})
	_, at := serveHTTP(t, upstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			close(arrived)
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		sb.ServeHTTP(w, r)
	})))
	replies := make(chan reply, 1)
	go func() {
		r, err := connected(at).call(bounded(t), "create_deal", read(t, "examples/deals/minimal.json"))
		replies <- reply{r, err}
	}()
	select {
	case <-arrived:
	case r := <-replies:
		t.Fatalf("create_deal() = %+v, %v before Heffl was asked", r.result, r.error)
	}
	during := at.metrics(t)
	if got := during["heffl_mcp_calls_in_flight"]; got != "1" {
		t.Errorf("calls in flight while there is one = %q, want 1", got)
	}
	if got, want := during[`heffl_mcp_journal_records{state="open"}`], "1"; got != want {
		t.Errorf("open records while there is a call = %q, want %q", got, want)
	}
	close(release)
	if r := <-replies; r.error != nil || r.IsError {
		t.Errorf("create_deal() = %+v, %v", r.result, r.error)
	}
	if got := at.metrics(t)["heffl_mcp_calls_in_flight"]; got != "0" {
		t.Errorf("calls in flight after the call = %q, want 0", got)
	}
}

// TestReadyz holds what keeps a server from being ready, and that its metrics are there all the same.
func TestReadyz(t *testing.T) {
	t.Parallel()
	key := "HEFFL_API_KEY=test-key"
	sb := upstream(t, newSandbox(t, sandbox.Options{}))
	for name, c := range map[string]struct {
		env    []string
		status int
		want   string
	}{
		"all is well":         {sb, 200, "ready\n"},
		"the sandbox":         {[]string{"HEFFL_SANDBOX=true"}, 200, "ready\n"},
		"no journal":          {append(sb[:len(sb):len(sb)], "HEFFL_MCP_STATE=off"), 200, "ready\n"},
		"no key":              {sb[1:], 200, "ready\n"},
		"Heffl refuses":       {upstream(t, http.HandlerFunc(http.NotFound)), 200, "ready\n"},
		"Heffl is away":       {[]string{key, "HEFFL_BASE_URL=" + nobody}, 503, "Heffl cannot be reached\n"},
		"the journal is away": {append(sb[:len(sb):len(sb)], "HEFFL_MCP_STATE=postgres://heffl:passw0rd@"+strings.TrimPrefix(nobody, "http://")+"/heffl?sslmode=disable"), 503, "the journal cannot be read\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, at := serveHTTP(t, c.env)
			if status, body := at.get(t, "/readyz"); status != c.status || body != c.want {
				t.Errorf("GET /readyz = %d %q, want %d %q", status, body, c.status, c.want)
			}
			all := ours(at.metrics(t))
			_, counted := all[`heffl_mcp_journal_records{state="done"}`]
			if all["heffl_mcp_calls_in_flight"] != "0" || counted != (!strings.Contains(name, "journal")) {
				t.Errorf("metrics = %v, want the journal's if it can be read, and the others", all)
			}
			if strings.Contains(p.err.String(), "passw0rd") {
				t.Errorf("the log shows a password: %s", p.err.String())
			}
		})
	}
}

// A upstreams is a Heffl that answers, or fails, as it is told.
type upstreams func(*http.Request) error

func (u upstreams) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := u(r); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 404, Body: http.NoBody, Request: r}, nil
}

// watching is a watch of a client that sends through u.
func watching(u upstreams) (*watch, *heffl.Client) {
	c := &heffl.Client{BaseURL: "https://heffl.example/api/v2", Key: "hk_secret", UserAgent: "heffl-mcp/test", HTTP: &http.Client{Transport: u}}
	return newWatch(c, nil, slog.New(slog.DiscardHandler)), c
}

// TestReadyAsksSeldom holds when Heffl is asked for readiness: never while it answers others, and never more than
// every ten seconds.
func TestReadyAsksSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, away := 0, errors.New("away")
		w, client := watching(func(r *http.Request) error {
			if r.Method == http.MethodHead {
				asked++
				if r.Header.Get("X-Api-Key") != "" || r.Header.Get("User-Agent") != "heffl-mcp/test" {
					t.Errorf("readiness asks with the headers %v, want no key", r.Header)
				}
			}
			return away
		})
		want := func(when string, ready error, times int) {
			t.Helper()
			if err := w.ready(t.Context()); !errors.Is(err, ready) || asked != times {
				t.Errorf("ready %s = %v after %d questions, want %v after %d", when, err, asked, ready, times)
			}
		}
		want("while Heffl is away", errNoHeffl, 1)
		want("at once again", errNoHeffl, 1)
		time.Sleep(probeEvery)
		want("later", errNoHeffl, 2)
		away = nil
		want("when Heffl is back, at once", errNoHeffl, 2)
		time.Sleep(probeEvery)
		want("when Heffl is back, later", nil, 3)
		time.Sleep(fresh - 1)
		want("two minutes on", nil, 3)
		time.Sleep(time.Nanosecond)
		want("after that", nil, 4)
		time.Sleep(fresh - 1)
		if _, err := client.ListDeals(t.Context(), heffl.DealQuery{}); err == nil {
			t.Fatal("a 404 has no error")
		}
		time.Sleep(fresh - 1)
		away = errors.New("away")
		want("when a call was answered meanwhile", nil, 4)
	})
}

// TestReadyForAll holds that who asks first and goes away does not spoil the answer for others.
func TestReadyForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := watching(func(r *http.Request) error {
			select {
			case <-time.After(scrape - time.Second):
				return nil
			case <-r.Context().Done():
				return r.Context().Err()
			}
		})
		gone, leave := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() { first <- w.ready(gone) }()
		synctest.Wait()
		leave()
		if err := w.ready(t.Context()); err != nil {
			t.Errorf("ready for who asks second = %v, want nil", err)
		}
		if err := <-first; err != nil {
			t.Errorf("ready for who asks first = %v, want nil", err)
		}
		slow, _ := watching(func(r *http.Request) error { <-r.Context().Done(); return r.Context().Err() })
		if err := slow.ready(t.Context()); !errors.Is(err, errNoHeffl) {
			t.Errorf("ready when Heffl says nothing = %v, want %v", err, errNoHeffl)
		}
	})
}

// TestWaitsAreCounted holds that metrics have what reports tell of waits.
func TestWaitsAreCounted(t *testing.T) {
	t.Parallel()
	w, _ := watching(func(*http.Request) error { return nil })
	w.called(t.Context(), tools.Report{Tool: "create_deal", Outcome: "created", Took: 3 * time.Second, Waited: 1500 * time.Millisecond})
	w.called(t.Context(), tools.Report{Tool: "create_deal", Outcome: "created", Took: 2 * time.Second, Waited: time.Second})
	srv := httptest.NewServer(w.handler())
	t.Cleanup(srv.Close)
	at := place{mcp: srv.URL, http: srv.Client()}
	want := map[string]string{
		`heffl_mcp_calls_total{outcome="created",tool="create_deal"}`: "2",
		`heffl_mcp_call_duration_seconds_count{tool="create_deal"}`:   "2",
		`heffl_mcp_calls_in_flight`:                                   "0",
		`heffl_mcp_waited_seconds_total`:                              "2.5",
	}
	if diff := cmp.Diff(want, ours(at.metrics(t))); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
