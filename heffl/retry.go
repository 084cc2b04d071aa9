package heffl

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// maxTries bounds how often one read is sent.
const maxTries = 5

// get reads, and reads again where that may help, until ctx ends. It waits for the client's Budget.
func (c *Client) get(ctx context.Context, path string, query url.Values) (*Response, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	steps := backoff.NewExponentialBackOff()
	steps.InitialInterval = 100 * time.Millisecond
	steps.MaxInterval = 2 * time.Second
	return backoff.Retry(ctx, func() (*Response, error) {
		if err := c.Budget.take(ctx, false); err != nil {
			return nil, backoff.Permanent(err)
		}
		r, err := c.do(ctx, http.MethodGet, path, nil)
		if err != nil && (c.Check() != nil || !worthwhile(ctx, err)) {
			return nil, backoff.Permanent(err)
		}
		return r, err
	}, backoff.WithBackOff(steps), backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(0))
}

// worthwhile reports whether a read that failed may succeed soon: nothing was wrong with it, and
// its context goes on. How long to wait for a 429 is the Budget's business.
func worthwhile(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status == http.StatusTooManyRequests || e.Status >= 500
	}
	if _, ok := errors.AsType[*BodyError](err); ok {
		return true // cut on its way; one that is no JSON at all is cheap to read again
	}
	_, ok := errors.AsType[*ConnError](err)
	return ok
}

// A Page is one page of a list.
type Page struct {
	Items []json.RawMessage // as Heffl sent them
	Next  string            // cursor of the next page; empty: this is the last
	Clock time.Duration     // how far Heffl's clock is ahead of this machine's, by the answer's Date; 0 without one. By as much as the answer took on its way it may be more, but hardly less
}

// page reads a list in the forms that Heffl documents for v2 and v1, and a bare array: the form of
// some lists is not documented.
func (c *Client) page(ctx context.Context, path string, query url.Values) (*Page, error) {
	r, err := c.get(ctx, path, query)
	if err != nil {
		return nil, err
	}
	p := &Page{Clock: clockAhead(r.Header, time.Now())}
	var list struct {
		Data, Items json.RawMessage
		Meta        struct {
			NextCursor *string `json:"nextCursor"`
			HasMore    *bool   `json:"hasMore"`
		}
		NextCursor *string `json:"nextCursor"`
		HasMore    *bool   `json:"hasMore"`
	}
	if json.Unmarshal(r.Body, &p.Items) == nil && p.Items != nil {
		return p, nil
	}
	if err := json.Unmarshal(r.Body, &list); err != nil {
		return nil, c.newBodyError(http.MethodGet, path, r.Status, r.Header, r.Body, ErrNotList)
	}
	items, next, more := list.Data, cmp.Or(list.Meta.NextCursor, list.NextCursor), cmp.Or(list.Meta.HasMore, list.HasMore)
	if items == nil {
		items = list.Items
	}
	if next != nil && (more == nil || *more) {
		p.Next = *next
	}
	lost := more != nil && *more && p.Next == "" // it goes on, and does not say where
	if json.Unmarshal(items, &p.Items) != nil || p.Items == nil || lost {
		return nil, c.newBodyError(http.MethodGet, path, r.Status, r.Header, r.Body, ErrNotList)
	}
	return p, nil
}

// clockAhead compares the Date of an answer with when it was received.
func clockAhead(h http.Header, received time.Time) time.Duration {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return date.Add(time.Second / 2).Sub(received) // Date is cut to seconds
}
