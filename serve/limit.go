package serve

import "sync"

// limit counts what goes on, up to max, and knows when all of it has ended.
type limit struct {
	max int

	mu       sync.Mutex
	n        int
	draining bool
	empty    chan struct{} // closed when draining and n is 0
}

func newLimit(max int) *limit { return &limit{max: max, empty: make(chan struct{})} }

// enter takes a place, if one is free.
func (l *limit) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.draining || l.n >= l.max {
		return false
	}
	l.n++
	return true
}

func (l *limit) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n--
	if l.draining && l.n == 0 {
		close(l.empty)
	}
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
