package sandbox

import (
	"bytes"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Request is one request that reached the sandbox, refused ones too. No header is kept, and so no key.
type Request struct {
	Method string
	Path   string // without the /api/v2 prefix and a slash at the end: /deals
	Query  url.Values
	Body   []byte    // exact bytes; empty if there was none
	At     time.Time // when it had arrived whole
	Status int       // of the answer; 0 while there is none, and for ever if the connection was dropped
}

// What the log holds at most. Above either, the oldest requests are forgotten.
const (
	maxRequests     = 10_000
	maxRequestBytes = 32 << 20 // all bodies together; 32 MiB
)

type requestLog struct {
	mu    sync.Mutex
	list  []*Request
	bytes int
}

func (l *requestLog) add(r *http.Request, path string, body []byte, at time.Time) *Request {
	entry := &Request{Method: r.Method, Path: path, Query: r.URL.Query(), Body: body, At: at}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, entry)
	l.bytes += len(body)
	for len(l.list) > maxRequests || l.bytes > maxRequestBytes {
		l.bytes -= len(l.list[0].Body)
		l.list[0] = nil
		l.list = l.list[1:]
	}
	return entry
}

func (l *requestLog) answered(entry *Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Status = status
}

// Requests returns the requests so far, in the order in which they arrived; after 10,000 of them, or 32 MiB of bodies, the
// newest.
func (s *Sandbox) Requests() []Request {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	list := make([]Request, 0, len(s.log.list))
	for _, entry := range s.log.list {
		r := *entry
		r.Body = bytes.Clone(r.Body)
		list = append(list, r)
	}
	return list
}
