package serve

import (
	"net/http"
	"sync"
)

// limit counts what goes on, up to max, and knows when all of it has ended. One principal may take half of it,
// so that there is always a place for another.
type limit struct {
	max int

	mu       sync.Mutex
	n        int
	by       map[string]int // by whom a principal is counted as
	draining bool
	empty    chan struct{} // closed when draining and n is 0
}

func newLimit(max int) *limit {
	return &limit{max: max, by: make(map[string]int), empty: make(chan struct{})}
}

// enter takes a place for a request, if one is free. The place is free again after leave.
func (l *limit) enter(r *http.Request) (leave func(), ok bool) {
	who, _ := PrincipalOf(r.Context())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining || l.n >= l.max || who.counted != "" && l.by[who.counted] >= max(1, l.max/2) {
		return nil, false
	}
	l.n++
	l.by[who.counted]++
	return sync.OnceFunc(func() { l.leave(who.counted) }), true
}

func (l *limit) leave(who string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n--
	if l.by[who]--; l.by[who] == 0 {
		delete(l.by, who)
	}
	if l.draining && l.n == 0 {
		close(l.empty)
	}
}

// scarce reports whether places are: more than a quarter of them are taken, or nobody is let in any more.
func (l *limit) scarce() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.draining || l.n > l.max/4
}

// drain lets nobody in any more. The channel is closed when all have left.
func (l *limit) drain() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.draining {
		l.draining = true
		if l.n == 0 {
			close(l.empty)
		}
	}
	return l.empty
}
