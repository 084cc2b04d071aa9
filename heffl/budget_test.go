package heffl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/heffl/sandbox"
)

// in runs f in a synctest bubble of its own, under a name.
func in(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, f)
	})
}

// limited is a client of a sandbox that lets so many requests a minute through. It belongs into a
// synctest bubble.
func limited(t *testing.T, perMinute int) (*Client, *sandbox.Sandbox) {
	t.Helper()
	sb := sandbox.New(sandbox.Options{RateLimit: perMinute})
	t.Cleanup(func() { sb.Close() })
	return &Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: sb.HTTPClient(), Budget: new(Budget)}, sb
}

// create looks and makes one deal, as a tool does it.
func create(ctx context.Context, c *Client) error {
	if _, err := c.ListDeals(ctx, DealQuery{Search: "Northwind"}); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if err := c.Ready(ctx); err != nil {
		return fmt.Errorf("ready: %w", err)
	}
	_, err := c.CreateDeal(ctx, []byte(`{"title":"Northwind rollout","clientId":"clt_northwind","pipelineId":"dpl_sales"}`))
	return err
}

// refusals counts the answers 429.
func refusals(sb *sandbox.Sandbox) (n int) {
	for _, r := range sb.Requests() {
		if r.Status == http.StatusTooManyRequests {
			n++
		}
	}
	return n
}

func TestBudgetHoldsNothingBackWithoutALimit(t *testing.T) {
	t.Parallel()
	for name, perMinute := range map[string]int{"no headers": -1, "a high limit": 10_000} {
		in(t, name, func(t *testing.T) {
			c, _ := limited(t, perMinute)
			began := time.Now()
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 50 {
						if err := create(t.Context(), c); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			if took := time.Since(began); took != 0 {
				t.Errorf("800 requests took %v, want no time", took)
			}
		})
	}
}

// A hundred deals, one after the other, each within the 25 s of a tool call, and none refused.
func TestBudgetHundredCreates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, sb := limited(t, 60)
		began := time.Now()
		for i := range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
			if err := create(ctx, c); err != nil {
				t.Errorf("create %d, %v after the first: %v", i, time.Since(began), err)
			}
			cancel()
		}
		if n := refusals(sb); n > 0 {
			t.Errorf("%d requests were refused, want none", n)
		}
		if took := time.Since(began); took > 200*time.Second { // 200 requests, the first 60 of them free
			t.Errorf("200 requests at 60 a minute took %v, want at most 200s", took)
		}
	})
}

// However many want to send at once, and however low the limit is, nothing is refused and all is sent.
func TestBudgetBurst(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{1, 2, 7, 60} {
		in(t, fmt.Sprint(perMinute), func(t *testing.T) {
			c, sb := limited(t, perMinute)
			began := time.Now()
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					for range 3 {
						if err := create(t.Context(), c); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			// Before the first answer nothing is known of a limit: as many as want to leave do.
			if n := refusals(sb); n > 16 {
				t.Errorf("%d of %d requests were refused, want at most the first 16", n, len(sb.Requests()))
			}
			// Each window is made use of by half at least.
			if most := time.Duration(96/((perMinute+1)/2)+2) * 62 * time.Second; time.Since(began) > most {
				t.Errorf("96 requests took %v, want at most %v", time.Since(began), most)
			}
		})
	}
}

// limits is a server that answers with these headers, one set after the other, the last one for ever.
type limits struct {
	mu      sync.Mutex
	answers []limit
	at      []time.Time
}

// limit is an answer: its status, and the headers "limit remaining reset", of which - is none.
type limit struct {
	status  int
	headers string
}

func (l *limits) RoundTrip(*http.Request) (*http.Response, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = append(l.at, time.Now())
	a := l.answers[0]
	if len(l.answers) > 1 {
		l.answers = l.answers[1:]
	}
	if a.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	h := http.Header{}
	for i, v := range strings.Fields(a.headers) {
		if v != "-" {
			h.Set([]string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"}[i], v)
		}
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(`{"id":"dl_1","data":[]}`))}, nil
}

func (l *limits) client() *Client {
	return &Client{HTTP: &http.Client{Transport: l}, Budget: new(Budget)}
}

// TestBudgetAfterAnswer holds how long the next write waits after some answers.
func TestBudgetAfterAnswer(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	unix := func(d time.Duration) int64 { return start.Add(d).Unix() }
	tests := []struct {
		name    string
		answers []limit
		want    time.Duration
	}{
		{"no headers", []limit{{200, ""}}, 0},
		{"more than half is left", []limit{{200, "60 31 40"}}, 0},
		{"half is left: spread over the rest", []limit{{200, "60 30 60"}}, 2 * time.Second},
		{"a tenth is left", []limit{{200, "60 6 30"}}, 5 * time.Second},
		{"nothing is left", []limit{{200, "60 0 30"}}, 30 * time.Second},
		{"nothing is left, in Unix time", []limit{{200, fmt.Sprintf("60 0 %d", unix(30*time.Second))}}, 30 * time.Second},
		{"nothing is left, in Unix milliseconds", []limit{{200, fmt.Sprintf("60 0 %d000", unix(30*time.Second))}}, 30 * time.Second},
		{"nothing is left, without a limit", []limit{{200, "- 0 30"}}, 30 * time.Second},
		{"nothing is left, without a reset", []limit{{200, "60 0 -"}}, 0},
		{"reset is over", []limit{{200, "60 0 0"}}, 0},
		{"headers that are no numbers", []limit{{200, "many few soon"}}, 0},
		{"no limit to speak of", []limit{{200, "99999999 0 30"}}, 30 * time.Second},
		{"remaining beyond all bounds", []limit{{200, "99999999 99999998 30"}}, 0},
		{"an answer of the same window that was overtaken", []limit{{200, "60 0 30"}, {200, "60 5 30"}}, 30 * time.Second},
		{"a new window", []limit{{200, "60 0 30"}, {200, "60 59 60"}}, 0},
		{"a new window, and then an answer of the old one", []limit{{200, "60 31 30"}, {200, "60 59 60"}, {200, "60 0 30"}}, 0},
		{"a server error counts too", []limit{{500, "60 0 30"}}, 30 * time.Second},
		{"429 with a reset", []limit{{429, "60 0 7"}}, 7 * time.Second},
		{"429 with a reset in Unix time", []limit{{429, fmt.Sprintf("- - %d", unix(7*time.Second))}}, 7 * time.Second},
		{"429 with a reset, sooner than was said before", []limit{{200, "60 50 60"}, {429, "60 0 3"}}, 3 * time.Second},
		{"429 with Retry-After", []limit{{429, "- - - 9"}}, 9 * time.Second},
		{"429 without a word", []limit{{429, ""}}, time.Second},
		{"429 without a word in a known window", []limit{{200, "60 50 30"}, {429, ""}}, 30 * time.Second},
		{"no answer", []limit{{200, "60 50 30"}, {0, ""}}, 0},
	}
	for _, test := range tests {
		in(t, test.name, func(t *testing.T) {
			time.Sleep(time.Until(start)) // the clock of a bubble begins where a Unix time looks like seconds
			c := (&limits{answers: test.answers}).client()
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range test.answers {
				c.CreateDeal(t.Context(), deal) // not held back: it learns
			}
			began := time.Now()
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != test.want {
				t.Errorf("the next write waits %v, want %v", took, test.want)
			}
		})
	}
}

// What gets no answer, or one that says nothing, must not hold back for ever what could get one.
func TestBudgetIsNeverStuck(t *testing.T) {
	t.Parallel()
	for name, silence := range map[string]limit{"no answers": {0, ""}, "429 without a word": {429, ""}, "answers without headers": {500, ""}} {
		in(t, name, func(t *testing.T) {
			l := &limits{answers: []limit{{200, "10 9 5"}, silence}}
			c := l.client()
			c.CreateDeal(t.Context(), deal)
			time.Sleep(10 * time.Second) // the window is over, and nobody has told of the next one
			for i := range 30 {
				ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
				if err := c.Ready(ctx); err != nil {
					t.Fatalf("write %d: %v", i, err)
				}
				c.CreateDeal(ctx, deal)
				cancel()
			}
		})
	}
}

func TestBudgetReadsYield(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &limits{answers: []limit{{200, "60 10 60"}}}
		c := l.client()
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.CreateDeal(t.Context(), deal)
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		wants := func(what string, write bool) {
			all.Go(func() {
				if err := c.Budget.take(t.Context(), write); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, what)
			})
			synctest.Wait()
		}
		for range 3 {
			wants("read", false)
		}
		for range 3 {
			wants("write", true)
		}
		all.Wait()
		if got, want := strings.Join(order, " "), "write write write read read read"; got != want {
			t.Errorf("they left as %s, want %s", got, want)
		}
	})
}

// TestBudgetWriteAmongReads holds that reads that want to know what a write has made do not keep it from leaving, where
// nothing tells of the window: one request a second leaves then.
func TestBudgetWriteAmongReads(t *testing.T) {
	t.Parallel()
	for range 20 { // who wakes first is a matter of chance
		synctest.Test(t, func(t *testing.T) {
			l := &limits{answers: []limit{{429, "- 0 2 2"}}}
			c := l.client()
			c.CreateDeal(t.Context(), deal)
			stop, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					for c.Budget.take(stop, false) == nil {
						time.Sleep(250 * time.Millisecond)
					}
				})
			}
			synctest.Wait()
			began := time.Now()
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took, most := time.Since(began), 2*time.Second; took > most {
				t.Errorf("the write left after %v, want %v at most", took, most)
			}
			cancel()
			all.Wait()
		})
	}
}

// TestBudgetForgetsALimit holds that after a 429 nothing is held back for long where answers tell of no limit.
func TestBudgetForgetsALimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &limits{answers: []limit{{429, "- 0 1"}, {200, ""}}}
		c := l.client()
		c.CreateDeal(t.Context(), deal)
		began := time.Now()
		for range 10 {
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.CreateDeal(t.Context(), deal)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("ten deals took %v, want the 1s that the 429 asked for", took)
		}
	})
}

func TestBudgetWaitError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &limits{answers: []limit{{429, "60 0 30"}}}
		c := l.client()
		c.CreateDeal(t.Context(), deal)
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		told := 0
		ctx = OnWait(ctx, func(time.Duration) { told++ })
		began := time.Now()
		_, list := c.ListDeals(ctx, DealQuery{})
		for what, err := range map[string]error{"Ready": c.Ready(ctx), "ListDeals": list} {
			e, ok := errors.AsType[*WaitError](err)
			if !ok || e.Wait != 30*time.Second || err.Error() != "not sent: Heffl's rate limit is reached for another 30s" {
				t.Errorf("%s = %v, want a wait of 30s", what, err)
			}
		}
		if took := time.Since(began); took != 0 || told != 0 || len(l.at) != 1 {
			t.Errorf("it took %v, told %d waits and sent %d requests; want none of them", took, told, len(l.at)-1)
		}
	})
}

func TestBudgetOnWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &limits{answers: []limit{{200, "60 31 10"}, {200, "60 0 10"}, {200, "60 59 60"}}}
		c := l.client()
		var told []time.Duration
		ctx := OnWait(t.Context(), func(d time.Duration) { told = append(told, d) })
		for range 4 {
			if err := c.Ready(ctx); err != nil {
				t.Fatal(err)
			}
			c.CreateDeal(ctx, deal)
		}
		if len(told) != 1 || told[0] != 10*time.Second {
			t.Errorf("told of the waits %v, want one of 10s", told)
		}
	})
}

func TestBudgetGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &limits{answers: []limit{{200, "60 0 10"}}}
		c := l.client()
		c.CreateDeal(t.Context(), deal)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		began := time.Now()
		if err := c.Ready(ctx); !errors.Is(err, context.Canceled) || time.Since(began) != 3*time.Second {
			t.Errorf("Ready(cancelled after 3s) = %v after %v, want cancelled at once", err, time.Since(began))
		}
		if c.Budget.writers != 0 {
			t.Errorf("%d writes wait, want none", c.Budget.writers)
		}
		if err := (&Client{}).Ready(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Ready(no budget, cancelled) = %v, want cancelled", err)
		}
	})
}

// An answer that tells of a new window lets those go that wait for the end of the old one.
func TestBudgetWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &limits{answers: []limit{{200, "60 0 30"}, {200, "60 59 60"}}}
		c := l.client()
		c.CreateDeal(t.Context(), deal)
		time.AfterFunc(5*time.Second, func() { c.CreateDeal(context.Background(), deal) })
		began := time.Now()
		if err := c.Ready(t.Context()); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("Ready = %v after %v, want after 5s", err, time.Since(began))
		}
	})
}

// A server that counts in windows refuses nothing to a client that is never told wrong, whatever
// else comes between: errors, silence, and another client of the same key now and then.
func TestBudgetUnderFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		sb := sandbox.New(sandbox.Options{RateLimit: 60, Fault: func(r *http.Request) sandbox.Fault {
			if rng.IntN(4) == 0 {
				return sandbox.Fault{Kind: []sandbox.Kind{sandbox.Drop, sandbox.Error, sandbox.Slow}[rng.IntN(3)], When: sandbox.After, Wait: time.Second}
			}
			return sandbox.Fault{}
		}})
		defer sb.Close()
		c := &Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: sb.HTTPClient(), Budget: new(Budget)}
		for range 400 {
			ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
			if err := c.Ready(ctx); err != nil {
				t.Error(err)
			}
			c.CreateDeal(ctx, deal)
			cancel()
		}
		if n := refusals(sb); n > 0 {
			t.Errorf("%d of %d requests were refused, want none", n, len(sb.Requests()))
		}
	})
}

// What is left is what the last answers say, less what has left since; a new window begins with all of it.
func TestBudgetLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := limited(t, 60)
		want := func(when string, n int, known bool) {
			t.Helper()
			if got, ok := c.Budget.Left(); got != n || ok != known {
				t.Errorf("Left %s = %d, %v; want %d, %v", when, got, ok, n, known)
			}
		}
		want("before an answer", 0, false)
		if err := create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		want("after two requests", 58, true)
		if err := c.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("with a third on its way", 57, true)
		time.Sleep(2 * time.Minute)
		want("in the next window", 60, true)
		for range 60 {
			if err := create(t.Context(), &Client{BaseURL: c.BaseURL, Key: c.Key, HTTP: c.HTTP}); err != nil { // another program with the key
				break
			}
		}
		if _, err := c.CreateDeal(t.Context(), []byte(`{}`)); err == nil {
			t.Fatal("a request beyond the limit has no error")
		}
		want("after a 429", 0, true)
	})
	if n, known := (*Budget)(nil).Left(); n != 0 || known {
		t.Errorf("Left of no budget = %d, %v; want not known", n, known)
	}
}

// FuzzBudget has a budget learn from answers with any headers, at any times, and holds that no request is held longer
// than the longest wait, that each is let out after a few, and that what is left is a number.
func FuzzBudget(f *testing.F) {
	f.Add("60", "59", "60", "", uint16(200), []byte{1, 0, 2, 200, 3})
	f.Add("60", "0", "30", "", uint16(200), []byte{1, 1, 1})
	f.Add("0", "5", "1795348830", "", uint16(429), []byte{9, 255})
	f.Add("1000000", "1000000", "0", "7", uint16(429), []byte{0, 0, 0, 0})
	f.Add("2.5", "1e9", "99999999999999999999", "Sun, 22 Nov 2026 13:00:00 GMT", uint16(503), []byte{4})
	f.Fuzz(func(t *testing.T, limit, remaining, reset, after string, status uint16, steps []byte) {
		if len(steps) > 200 {
			return
		}
		h := waitHeader(after, reset, noon.Format(http.TimeFormat))
		h.Set("RateLimit-Limit", limit)
		h.Set("RateLimit-Remaining", remaining)
		synctest.Test(t, func(t *testing.T) {
			b := new(Budget)
			for _, step := range steps {
				write := step%2 == 0
				for tries := 0; ; tries++ {
					b.mu.Lock()
					wait := b.wait(time.Now(), write)
					b.mu.Unlock()
					if wait <= 0 {
						break
					}
					if wait > maxWait {
						t.Fatalf("a wait of %v", wait)
					}
					if tries == 3 {
						t.Fatalf("a request still waits, for %v, after the times that it was told to wait", wait)
					}
					time.Sleep(wait)
				}
				if err := b.take(t.Context(), write); err != nil {
					t.Fatal(err)
				}
				b.begin()
				if step < 250 { // else it gets no answer
					time.Sleep(time.Duration(step) * 10 * time.Millisecond)
					b.end(int(status), h)
				} else {
					b.end(0, nil)
				}
				if n, known := b.Left(); known && (n < 0 || n > maxRemaining+1) { // a limit that is not stated is one more than what is left
					t.Fatalf("%d left", n)
				}
			}
		})
	})
}
