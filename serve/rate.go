package serve

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	minBurst  = 5               // requests at once, however low the rate
	maxRated  = 10_000          // limiters in one table
	forgotten = 5 * time.Minute // after so long every limiter is full again, so that nothing is lost with it
)

// rates limits how often each of many may come. Those that came last are remembered, up to a bound.
type rates struct {
	perMinute int

	mu     sync.Mutex
	by     map[string]*list.Element
	recent list.List // of *rated, the latest first
}

type rated struct {
	who     string
	limiter *rate.Limiter
	last    time.Time
}

// newRates makes a table of limiters; 0 a minute means no limit.
func newRates(perMinute int) *rates {
	return &rates{perMinute: perMinute, by: make(map[string]*list.Element)}
}

// take counts a request, and says how long to wait when it is one too many: then it does not count.
func (t *rates) take(who string) (wait time.Duration) {
	if t.perMinute <= 0 {
		return 0
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.by[who]
	if e == nil {
		limiter := rate.NewLimiter(rate.Limit(float64(t.perMinute)/60), max(minBurst, t.perMinute/4))
		e = t.recent.PushFront(&rated{who: who, limiter: limiter})
		t.by[who] = e
	}
	t.recent.MoveToFront(e)
	r := e.Value.(*rated)
	r.last = now
	t.forget(now)
	place := r.limiter.ReserveN(now, 1)
	if wait = place.DelayFrom(now); wait > 0 {
		place.CancelAt(now)
	}
	return wait
}

// forget drops those that have not come for long, or the longest when there are too many.
func (t *rates) forget(now time.Time) {
	for e := t.recent.Back(); e != nil; e = t.recent.Back() {
		r := e.Value.(*rated)
		if t.recent.Len() <= maxRated && now.Sub(r.last) < forgotten {
			return
		}
		t.recent.Remove(e)
		delete(t.by, r.who)
	}
}

// addressOf is whom a request without a principal is counted as: its network address, or for IPv6 the 64 bits
// that one customer has.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	network, err := ip.Prefix(64)
	if err != nil {
		return host
	}
	return network.String()
}
