package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/heffl/sandbox"
)

// faulty is what a client meets under one fault of POST /deals.
type faulty struct {
	fault     string
	status    int           // 0: no answer, or not all of it
	took      time.Duration // until then
	body      string        // part of the answer
	committed time.Duration // when the deal is there; never: it is not
}

const never = -1

var faults = []faulty{
	{"before:drop", 0, 0, "", never},
	{"after:drop", 0, 0, "", 0},
	{"before:drop;wait=5", 0, 0, "", 5 * time.Second},
	{"before:hang", 0, clientPatience, "", never},
	{"before:hang;wait=15s", 0, clientPatience, "", 15 * time.Second},
	{"after:hang", 0, clientPatience, "", 0},
	{"before:500", 500, 0, "INTERNAL_SERVER_ERROR", never},
	{"after:500", 500, 0, "INTERNAL_SERVER_ERROR", 0},
	{"before:502", 502, 0, "<html>", never},
	{"after:502", 502, 0, "<html>", 0},
	{"before:502;wait=2s", 502, 0, "<html>", 2 * time.Second},
	{"before:429", 429, 0, "TOO_MANY_REQUESTS", never},
	{"before:429;wait=3", 429, 0, "TOO_MANY_REQUESTS", never},
	{"after:truncate", 0, 0, `{"id":"dl_1001"`, 0},
	{"before:slow;wait=2s", 200, 2 * time.Second, "dl_1001", 2 * time.Second},
	{"before:slow;wait=30s", 0, clientPatience, "", 30 * time.Second},
	{"after:slow;wait=2s", 200, 2 * time.Second, "dl_1001", 0},
	{"after:slow;wait=30s", 0, clientPatience, "", 0},
	{"after:hide;wait=3s", 200, 0, "dl_1001", 0},
	{"after:drop;hide=3s", 0, 0, "", 0},
}

// clientPatience is how long the client of the fault tests waits for an answer.
const clientPatience = 10 * time.Second

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.fault, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testFault(t, f) })
		})
	}
}

func testFault(t *testing.T, f faulty) {
	s, a := start(t, unlimited)
	before := len(s.Deals())
	a.client.Timeout = clientPatience

	sent := time.Now()
	got, err := a.with(sandbox.FaultHeader, f.fault).try("POST", "/deals", deal(""))
	if (err != nil) != (f.status == 0) || err == nil && got.status != f.status {
		t.Errorf("POST /deals = %d %s, %v, want status %d", got.status, got.body, err, f.status)
	}
	if !strings.Contains(got.body, f.body) {
		t.Errorf("POST /deals answers %q, want %q in it", got.body, f.body)
	}
	if took := time.Since(sent); took != f.took {
		t.Errorf("POST /deals took %v, want %v", took, f.took)
	}
	for range 60 {
		synctest.Wait()
		want := before
		if f.committed != never && time.Since(sent) >= f.committed {
			want++
		}
		if n := len(s.Deals()); n != want {
			t.Fatalf("%d deals after %v, want %d", n, time.Since(sent), want)
		}
		time.Sleep(time.Second)
	}
}

func TestTruncatedAnswerSaysHowLongItShouldBe(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	got, err := a.with(sandbox.FaultHeader, "after:truncate").try("POST", "/deals", deal(""))
	if !errors.Is(err, io.ErrUnexpectedEOF) || got.status != 200 || json.Valid([]byte(got.body)) {
		t.Errorf("POST /deals = %d %s, %v, want 200, broken JSON, %v", got.status, got.body, err, io.ErrUnexpectedEOF)
	}
}

func TestFaultsOverTCP(t *testing.T) {
	t.Parallel()
	s, _ := start(t, unlimited)
	a := overTCP(t, s)
	before := len(s.Deals())
	for _, fault := range []string{"after:drop", "after:truncate", "before:drop"} {
		if got, err := a.with(sandbox.FaultHeader, fault).try("POST", "/deals", deal("")); err == nil {
			t.Errorf("%s: answer %d %s, want none or part of one", fault, got.status, got.body)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", a.base+"/deals", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = a.with(sandbox.FaultHeader, "before:hang").header
	ended := make(chan error, 1)
	go func() {
		res, err := a.client.Do(req)
		if err == nil {
			res.Body.Close()
		}
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("GET /deals that hangs and is given up: %v, want %v", err, context.Canceled)
	}
	if after := len(s.Deals()); after != before+2 {
		t.Errorf("%d deals, want %d", after, before+2)
	}
}

func TestHiddenDeals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, a := start(t, unlimited)
		before := len(s.Deals())
		id := a.with(sandbox.FaultHeader, "after:hide;wait=3s").ok("POST", "/deals", deal(""))["id"].(string)
		shown := func() (listed, found int) {
			a.ok("GET", "/deals/"+id, "") // GET by ID is never behind
			return len(a.rows("/deals")) - before, len(a.rows("/deals?search=rollout")) - 1
		}
		for _, want := range []int{0, 0, 0, 1, 1} {
			if listed, found := shown(); listed != want || found != want {
				t.Errorf("%v after: %d more listed, %d found, want %d", time.Now(), listed, found, want)
			}
			if n := len(s.Deals()); n != before+1 {
				t.Errorf("Deals() has %d, want %d", n, before+1)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestHiddenContactComesWithItsCompany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, a := start(t, unlimited)
		a.with(sandbox.FaultHeader, "after:hide;wait=1m").ok("POST", "/companies", `{"name": "Initech", "primaryContact": {"firstName": "Bill"}}`)
		for _, want := range []int{0, 1} {
			if n := len(a.rows("/companies?search=initech")) + len(a.rows("/contacts?search=bill")); n != 2*want {
				t.Errorf("%d of the company and its contact are listed, want %d", n, 2*want)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestFaultHook(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	o := sandbox.Options{Key: "test-key", RateLimit: 4, Fault: func(r *http.Request) sandbox.Fault {
		asked.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("hook: read body: %v", err)
		}
		switch {
		case strings.Contains(string(body), "odd"):
			return sandbox.Fault{Kind: "odd"}
		case r.Method == "POST":
			return sandbox.Fault{Kind: sandbox.Gateway, When: sandbox.After}
		}
		return sandbox.Fault{}
	}}
	s, a := start(t, o)
	before := len(s.Deals())
	for _, c := range []struct {
		a      *api
		method string
		body   string
		want   int
	}{
		{a.with("X-Api-Key", "wrong"), "POST", deal(""), 401}, // not asked
		{a, "POST", deal(""), 502},
		{a.with(sandbox.FaultHeader, "before:500"), "POST", deal(""), 502}, // the hook goes first
		{a.with(sandbox.FaultHeader, "before:500"), "GET", "", 500},        // and if it has none, the header
		{a, "POST", deal(`"cf_background": "odd"`), 400},
		{a, "POST", deal(""), 429}, // not asked
	} {
		if got := c.a.do(c.method, "/deals", c.body); got.status != c.want {
			t.Errorf("%s /deals %s = %d %s, want %d", c.method, c.body, got.status, got.body, c.want)
		}
	}
	if n := asked.Load(); n != 4 {
		t.Errorf("hook asked %d times, want 4", n)
	}
	if n := len(s.Deals()) - before; n != 2 {
		t.Errorf("%d deals made, want 2", n)
	}
}

func TestCloseEndsWhatHangs(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"before:hang", "after:hang", "before:slow;wait=1h", "after:slow;wait=1h", "before:drop;wait=1h"} {
		synctest.Test(t, func(t *testing.T) {
			s, a := start(t, unlimited)
			began := time.Now()
			ended := make(chan error, 1)
			go func() {
				_, err := a.with(sandbox.FaultHeader, fault).try("POST", "/deals", deal(""))
				ended <- err
			}()
			synctest.Wait()
			if err := s.Close(); err != nil {
				t.Errorf("%s: Close() = %v", fault, err)
			}
			if err := <-ended; err == nil {
				t.Errorf("%s: answered, want an error", fault)
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("%s: Close() took %v", fault, took)
			}
		})
	}
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]sandbox.Fault{
		"":                          {},
		"after:drop":                {Kind: sandbox.Drop, When: sandbox.After},
		"before:429;wait=3":         {Kind: sandbox.TooMany, When: sandbox.Before, Wait: 3 * time.Second},
		"after:slow; wait=1m30s":    {Kind: sandbox.Slow, When: sandbox.After, Wait: 90 * time.Second},
		"after:hide;wait=3s":        {When: sandbox.After, HideFor: 3 * time.Second},
		"after:drop;hide=250ms":     {Kind: sandbox.Drop, When: sandbox.After, HideFor: 250 * time.Millisecond},
		"before:slow;wait=2;hide=1": {Kind: sandbox.Slow, When: sandbox.Before, Wait: 2 * time.Second, HideFor: time.Second},
	} {
		if got, err := sandbox.ParseFault(text); err != nil || got != want {
			t.Errorf("ParseFault(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"drop", "later:drop", ":drop", "after:", "after:explode", "after:slow;wait", "after:slow;wait=", "after:slow;wait=-1s", "after:slow;wait=2h", "after:drop;for=3s", "after:drop;", "after:drop,before:drop"} {
		if got, err := sandbox.ParseFault(text); err == nil {
			t.Errorf("ParseFault(%q) = %+v, want an error", text, got)
		}
	}
}

func TestBadFaultHeader(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	got := a.with(sandbox.FaultHeader, "sometimes").do("GET", "/deals", "")
	if got.status != 400 || !strings.Contains(got.body, sandbox.FaultHeader) {
		t.Errorf("answer = %d %s, want 400 that names %s", got.status, got.body, sandbox.FaultHeader)
	}
}

func FuzzParseFault(f *testing.F) {
	for _, fault := range faults {
		f.Add(fault.fault)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := sandbox.ParseFault(text)
		if err != nil {
			return
		}
		again, err := sandbox.ParseFault(fault.String())
		if err != nil || again != fault {
			t.Errorf("ParseFault(%q) = %+v; its String %q is read as %+v, %v", text, fault, fault.String(), again, err)
		}
	})
}
