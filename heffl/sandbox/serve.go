package sandbox

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody is the largest request body taken. Heffl documents none.
const maxBody = 1 << 20 // 1 MiB

// call is one API call as a handler sees it.
type call struct {
	id      string // the last part of the path, where there is one
	query   url.Values
	body    []byte
	isJSON  bool // Content-Type: application/json
	now     time.Time
	hideFor time.Duration
}

// handler does one API call, with s.mu held, and returns what to answer with status 200: the pages say "OK" for a create
// too, and nothing else.
type handler func(c *call) (any, *apiError)

type reply struct {
	status      int
	contentType string
	body        []byte
	allow       string // the Allow header; "" for none
}

func jsonReply(status int, v any) reply {
	return reply{status: status, contentType: "application/json; charset=utf-8", body: encode(v)}
}

// exchange is one HTTP request and its answer.
type exchange struct {
	s     *Sandbox
	w     http.ResponseWriter
	r     *http.Request
	entry *Request
}

// ServeHTTP answers one request. Paths count with and without the /api/v2 prefix. A dropped or hanging answer ends in
// panic(http.ErrAbortHandler), which net/http's server takes as such.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v2")
	path = "/" + strings.Trim(path, "/")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil && !isTooLarge(err) {
		panic(http.ErrAbortHandler) // the request was cut off: nobody is there to answer, and nothing may take effect
	}
	x := &exchange{s, w, r, s.log.add(r, path, body, s.options.Now())}

	key := r.Header.Get("x-api-key")
	if key == "" || s.options.Key != "" && key != s.options.Key {
		x.send(unauthorized().reply())
		return
	}
	if !s.limiter.take(key, s.options.Now(), w.Header()) {
		x.send(tooManyRequests().reply())
		return
	}
	if err != nil {
		x.send(tooLarge().reply())
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body)) // Options.Fault may want to read it
	fault, problem := s.faultFor(r)
	if problem != nil {
		x.send(problem.reply())
		return
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	c := &call{query: r.URL.Query(), body: body, isJSON: media == "application/json", hideFor: fault.HideFor}
	x.perform(fault, func() reply { return x.route(path, c) })
}

func isTooLarge(err error) bool {
	_, ok := errors.AsType[*http.MaxBytesError](err)
	return ok
}

// route finds the handler of a path and a method and runs it.
func (x *exchange) route(path string, c *call) reply {
	form := strings.TrimPrefix(path, "/")
	if name, id, ok := strings.Cut(form, "/"); ok {
		form, c.id = name+"/{id}", id
	}
	methods := x.s.routes[form]
	if methods == nil || strings.Contains(c.id, "/") {
		return notFound("Endpoint").reply()
	}
	h := methods[x.r.Method]
	if h == nil {
		refusal := methodNotAllowed(x.r.Method).reply()
		refusal.allow = strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
		return refusal
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	c.now = x.s.options.Now()
	v, problem := h(c)
	if problem != nil {
		return problem.reply()
	}
	return jsonReply(http.StatusOK, v)
}

func (x *exchange) send(a reply) { x.sendPart(a, len(a.body)) }

// sendPart sends the first n bytes of the body under the Content-Length of the whole. If that is less than all, net/http
// closes the connection after it.
func (x *exchange) sendPart(a reply, n int) {
	h := x.w.Header()
	h.Set("Date", x.s.options.Now().UTC().Format(http.TimeFormat))
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	x.s.log.answered(x.entry, a.status)
	x.w.WriteHeader(a.status)
	_, _ = x.w.Write(a.body[:n]) // fails when the client is gone, and then nobody minds
}

// allRoutes are the endpoints, by path form and method.
func (s *Sandbox) allRoutes() map[string]map[string]handler {
	routes := map[string]map[string]handler{}
	for _, r := range s.resources {
		if r.internal {
			continue
		}
		all := map[string]handler{http.MethodGet: func(c *call) (any, *apiError) { return s.list(r, c) }}
		one := map[string]handler{}
		if r.single {
			one[http.MethodGet] = func(c *call) (any, *apiError) { return s.get(r, c) }
		}
		if r.fields != nil {
			all[http.MethodPost] = func(c *call) (any, *apiError) { return s.create(r, c) }
			one[http.MethodPatch] = func(c *call) (any, *apiError) { return s.update(r, c) }
			one[http.MethodDelete] = func(c *call) (any, *apiError) { return s.remove(r, c) }
		}
		routes[r.name] = all
		if len(one) > 0 {
			routes[r.name+"/{id}"] = one
		}
	}
	routes["custom-fields"] = map[string]handler{http.MethodGet: s.listCustomFields}
	return routes
}
