package heffl

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Budget spaces requests so that they fit the rate limit which Heffl's answers state in their
// RateLimit-* headers. It knows no limit of its own: until an answer states one, and wherever the
// limit is far, nothing is held back. Nor is it once the window is over that a limit was stated for, and
// answers state none. One Budget serves one API key; the zero value is ready, and
// safe for concurrent use.
//
// While at least half of a window's requests are left, they leave at once. From there on they are
// spread over the rest of the window, so that a long burst slows down instead of standing still.
// Reads give way to writes.
type Budget struct {
	mu       sync.Mutex
	limit    int           // a window; 0: not known
	left     int           // in this window, less what is on its way
	reset    time.Time     // when the window ends; zero: not known
	blocked  time.Time     // a 429 said: nothing before this
	last     time.Time     // when a request was last let through
	wrote    bool          // and whether that was a write
	writers  int           // writes that wait
	inFlight int           // requests that have left and are not answered
	changed  chan struct{} // closed when waiting may have become pointless; nil: nobody waits
}

// WaitError says that a request was not sent, because Heffl's rate limit would hold it longer
// than its context lasts.
type WaitError struct {
	Wait time.Duration // until the request could leave
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("not sent: Heffl's rate limit is reached for another %s", e.Wait.Round(time.Millisecond))
}

type onWaitKey struct{}

// OnWait returns a context whose holder is told of each wait for the rate limit when it begins.
func OnWait(ctx context.Context, tell func(time.Duration)) context.Context {
	return context.WithValue(ctx, onWaitKey{}, tell)
}

// Ready waits until the client's Budget lets a write leave, and counts it as leaving. It returns
// a *WaitError at once where ctx ends before that, and the error of ctx when it ends meanwhile.
// A write that is sent without it is not held back, only counted.
func (c *Client) Ready(ctx context.Context) error { return c.Budget.take(ctx, true) }

// retryShortly is how long to wait where nothing says how long.
const retryShortly = time.Second

func (b *Budget) take(ctx context.Context, write bool) error {
	told, waits := false, false
	defer func() {
		if waits {
			b.mu.Lock()
			b.writers--
			b.mu.Unlock()
		}
	}()
	for {
		if err := ctx.Err(); err != nil || b == nil {
			return err
		}
		b.mu.Lock()
		now := time.Now()
		wait := b.wait(now, write)
		if wait <= 0 {
			b.left--
			b.last, b.wrote = now, write
			b.mu.Unlock()
			return nil
		}
		if end, ok := ctx.Deadline(); ok && now.Add(wait).After(end) {
			b.mu.Unlock()
			return &WaitError{Wait: wait}
		}
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		if write && !waits { // until it is through, so that no read that wakes with it slips in before it
			waits = true
			b.writers++
		}
		b.mu.Unlock()

		if tell, ok := ctx.Value(onWaitKey{}).(func(time.Duration)); ok && !told {
			tell(wait)
			told = true
		}
		if err := sleep(ctx, wait, changed); err != nil {
			return err
		}
	}
}

// Left is how many requests Heffl's rate limit lets leave before its window ends, as its last answers
// say, less those on their way. It is not known before an answer has told of a limit.
func (b *Budget) Left() (n int, known bool) {
	if b == nil {
		return 0, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit == 0 {
		return 0, false
	}
	b.roll(time.Now())
	return max(b.left, 0), true
}

// roll begins a new window, of which no answer has told yet, when the last one is over.
func (b *Budget) roll(now time.Time) {
	if !b.reset.IsZero() && !now.Before(b.reset) {
		b.left, b.reset = b.limit-b.inFlight, time.Time{}
	}
}

// wait is how long a request must wait now, at least.
func (b *Budget) wait(now time.Time, write bool) time.Duration {
	if b.blocked.After(now) {
		return b.blocked.Sub(now)
	}
	if b.limit == 0 {
		return 0
	}
	b.roll(now)
	left := b.left
	if !write {
		left -= b.writers
	}
	rest := b.reset.Sub(now)
	if b.reset.IsZero() {
		rest = retryShortly
	}
	switch {
	case left <= 0 && b.reset.IsZero() && !write && b.writers > 0 && !b.wrote:
		return rest // else many that look for what was written would keep it from being written
	case left <= 0 && b.reset.IsZero():
		return b.last.Add(rest).Sub(now) // one at a time, until an answer tells of the window
	case left <= 0:
		return rest
	case 2*left > b.limit:
		return 0
	}
	return b.last.Add(rest / time.Duration(left)).Sub(now)
}

// begin counts a request as on its way.
func (b *Budget) begin() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.inFlight++
	b.mu.Unlock()
}

// end counts a request as over, and learns from its answer; h is nil where there was none.
func (b *Budget) end(status int, h http.Header) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	now := time.Now()
	if status == http.StatusTooManyRequests {
		b.left = 0
		if w := wait(h, now); w > 0 {
			b.blocked = now.Add(w)
			b.reset = b.blocked // whatever earlier answers said
		} else {
			b.blocked = now.Add(retryShortly)
		}
	}
	if told := b.learn(h, now); !told && status/100 == 2 {
		if b.roll(now); b.reset.IsZero() {
			b.limit = 0 // the limit that was told of is over, and there is none that answers tell of
		}
	}
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// learn takes over what an answer's headers say. An answer of the same window can only lower what
// is left: those that overtook it may have told of less. It reports whether they say anything.
func (b *Budget) learn(h http.Header, now time.Time) (told bool) {
	remaining, ok := number(h.Get("RateLimit-Remaining"))
	in, ok2 := resetIn(h, now)
	if !ok || !ok2 || remaining > maxRemaining {
		return false
	}
	left, reset := int(remaining), now.Add(in)
	if limit, ok := number(h.Get("RateLimit-Limit")); ok && limit >= 1 && limit <= maxRemaining {
		b.limit = int(limit)
	} else {
		b.limit = max(b.limit, left+1)
	}
	switch later := reset.Sub(b.reset); {
	case b.reset.IsZero() || later > windowSlack:
		b.left, b.reset = left-b.inFlight, reset
	case later >= -windowSlack: // else it is of a window that is over
		b.left = min(b.left, left)
	}
	return true
}

const (
	windowSlack  = 2 * time.Second // RateLimit-Reset is rounded to seconds
	maxRemaining = 1e6             // a limit beyond this is none
)

// sleep waits for d, or until changed is closed. It returns the error of ctx if that ends first.
func sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
