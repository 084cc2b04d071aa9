package sandbox

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// limiter counts requests in fixed windows of a minute, one for each key, each opened by the first request after the last
// one ended. Heffl documents 60 a minute and headers RateLimit-*; that the window is fixed, and that RateLimit-Reset is
// seconds to wait, is likeliest but not documented.
type limiter struct {
	limit int // negative: none

	mu      sync.Mutex
	windows map[string]*window
}

type window struct {
	end  time.Time
	used int
}

const (
	windowLength = time.Minute
	maxWindows   = 1000 // keys remembered before those whose minute has passed are forgotten
)

// take counts one request of key and writes the headers that tell where the key stands. It reports false when the minute's
// share is used up; such a request costs nothing.
func (l *limiter) take(key string, now time.Time, h http.Header) bool {
	if l.limit < 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.windows) > maxWindows {
		for k, w := range l.windows {
			if !now.Before(w.end) {
				delete(l.windows, k)
			}
		}
	}
	w := l.windows[key]
	if w == nil || !now.Before(w.end) {
		w = &window{end: now.Add(windowLength)}
		l.windows[key] = w
	}
	ok := w.used < l.limit
	if ok {
		w.used++
	}
	h.Set("RateLimit-Limit", strconv.Itoa(l.limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(l.limit-w.used))
	h.Set("RateLimit-Reset", wholeSeconds(w.end.Sub(now)))
	return ok
}

// wholeSeconds rounds up, so that who waits as long as told has waited long enough.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
