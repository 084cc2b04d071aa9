package workspace

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"heffl-mcp/heffl"
)

// List is a list as it was read from Heffl. Items is shared: it must not be changed.
type List[T any] struct {
	Items   []T
	Partial bool      // there are more pages than were read
	At      time.Time // when reading began; the list is no older
}

const (
	missAge   = 5 * time.Second  // a list older than this is read again before it refuses anything
	fetchTime = 25 * time.Second // for reading all pages of a list
)

// cache keeps a list, and what is computed from it.
type cache[T any] struct {
	read   func(context.Context) (List[T], error)
	index  func([]T) []record
	now    func() time.Time
	flight singleflight.Group

	mu      sync.Mutex
	list    List[T] // At is zero: none yet
	records []record
	since   time.Time // what was read before is worth nothing
}

// asKept, as a maximum age, asks for what is there, be it nothing.
const asKept = time.Duration(-1)

// get returns the list, read no longer than maxAge ago, and its records. Callers that need it read
// wait for one and the same reading. That is no caller's own: it goes on when one of them gives
// up, and ends by itself within fetchTime.
func (c *cache[T]) get(ctx context.Context, maxAge time.Duration) (List[T], []record, error) {
	if maxAge == asKept {
		list, records := c.kept()
		return list, records, nil
	}
	since := c.now().Add(-maxAge)
	for {
		if err := ctx.Err(); err != nil {
			return List[T]{}, nil, err
		}
		if list, records := c.kept(); list.At.After(since) {
			return list, records, nil
		}
		done := c.flight.DoChan("", func() (any, error) {
			if list, _ := c.kept(); list.At.After(since) {
				return nil, nil // another flight has just landed
			}
			// The first caller's wish to be told of waits is no business of the others.
			ctx, cancel := context.WithTimeout(heffl.OnWait(context.WithoutCancel(ctx), func(time.Duration) {}), fetchTime)
			defer cancel()
			return nil, guarded(func() error { return c.fetch(ctx) })
		})
		select {
		case r := <-done:
			if err := passOn(r.Err); err != nil {
				return List[T]{}, nil, err
			}
		case <-ctx.Done():
			return List[T]{}, nil, ctx.Err()
		}
	}
}

func (c *cache[T]) fetch(ctx context.Context) error {
	at := c.now()
	list, err := c.read(ctx)
	if err != nil {
		return err
	}
	list.At = at
	records := c.index(list.Items)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !at.Before(c.since) {
		c.list, c.records = list, records
	}
	return nil
}

// forget drops what there is, and what is being read.
func (c *cache[T]) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list, c.records, c.since = List[T]{}, nil, c.now()
}

// view is what names can stand for in the list that get returns.
func (c *cache[T]) view(ctx context.Context, maxAge time.Duration) (view, error) {
	l, records, err := c.get(ctx, maxAge)
	return view{records: records, partial: l.Partial, at: l.At}, err
}

// kept is what there is, however old.
func (c *cache[T]) kept() (List[T], []record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list, c.records
}

// Bounds of the lists.
const (
	pageSize  = 100 // the documented maximum
	maxPages  = 20  // of reference data
	liveLists = 5   // pages of a list of clients, leads or deals, which can be very long
	liveFinds = 1   // pages of what a search in one of these finds, if it is to decide
	liveTurns = 3   // pages of what it finds, if that is to be shown
)

// reader reads a page of a list.
type reader[T any] func(context.Context, heffl.ListQuery) (*heffl.List[T], error)

// readAll reads a list to its end, or to a number of pages.
func readAll[T any](ctx context.Context, q heffl.ListQuery, limit int, read reader[T]) (List[T], error) {
	var l List[T]
	for range limit {
		page, err := read(ctx, q)
		if err != nil {
			return l, err
		}
		l.Items = append(l.Items, page.Items...)
		if page.Next == "" {
			return l, nil
		}
		if q.PageSize == 0 {
			// That this list pages at all is known only now: from the start again, in larger pages.
			q.PageSize, l.Items = pageSize, nil
			continue
		}
		if page.Next == q.Cursor {
			break // it leads nowhere
		}
		q.Cursor = page.Next
	}
	l.Partial = true
	return l, nil
}
