package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// HTTP serves MCP on one listener: Streamable HTTP at /mcp, without sessions, for every revision since
// 2025-03-26; HTTP+SSE at /sse and /message for clients of 2024-11-05; GET /healthz, and GET /readyz and /metrics where
// there are Ready and Metrics.
//
// Who may enter is up to Tokens, OIDC and KeyPerRequest; with none of them, everybody. Outside stand GET /healthz,
// which says that the program lives, the metadata of OIDC, and a browser's OPTIONS. A handler finds who is calling
// with PrincipalOf, over every transport; it never sees the request's Authorization or Cookie. GET /readyz and /metrics
// are for machines that have no Heffl key: they ask for a token alone, where there are tokens.
//
// It refuses (401, 403, 404, 405, 413, 415, 429, 503) before anything is handed to mcp-go, with a JSON-RPC error that
// has no id. A handler finds values that middleware put into the request's context in its own; the end of that context
// (a lost connection) it sees in calls of 2026-07-28 alone, where it is how a client cancels.
type HTTP struct {
	MCP   *server.MCPServer
	Tools Tools        // of MCP; nil: MCP alone knows
	Log   *slog.Logger // nil: nothing is logged

	// AllowedOrigins are the web origins, like https://app.example.com, whose pages may call this server
	// from a browser. On a loopback address those of the same machine (http://localhost:*) may as well. A
	// request without an Origin header does not come from another site's page, and is let in.
	AllowedOrigins []string

	// Hosts are the names, without port, by which clients reach this server: requests to others are refused. On a
	// loopback address the names of the same machine are always good, and no others unless they are here;
	// elsewhere none means all.
	Hosts []string

	Tokens *Tokens // bearer tokens, one of which a request must carry; nil means none
	OIDC   *OIDC   // whose access tokens do as well; nil means nobody's

	// KeyPerRequest makes each request bring its own Heffl API key in KeyHeader, beside a token where those are
	// asked for. Whether the key is good is not known here.
	KeyPerRequest bool

	// Rate is how many requests a minute one principal may make (a quarter of them, or 5, at once), and how many
	// that fail to say who they are from may come from one address. Where nothing is asked, it is for each
	// address. Keys are not checked here, so with KeyPerRequest alone nothing keeps a client from using many. 0
	// means no limit.
	Rate int

	// Metrics answers GET /metrics, and Ready GET /readyz: 200, or 503 with the first line of its error, which so must
	// not be a secret. Ready has to come to an end by itself. Without them there are no such paths.
	Metrics http.Handler
	Ready   func(context.Context) error

	// TLSCert and TLSKey are files in PEM, the certificate with what it is signed by. Without them requests travel
	// unencrypted, which only a proxy before this server makes good.
	TLSCert, TLSKey string

	MaxBody    int64         // bytes of a request's body; zero means 4 MiB
	MaxStreams int           // open SSE and subscriptions/listen streams, at most half of them for one principal; zero means 256
	MaxCalls   int           // requests in flight, the same; zero means 256
	Drain      time.Duration // how long calls may go on after ctx is done; zero means 30 s
}

// Times and sizes that need no setting.
const (
	headerTimeout = 10 * time.Second // for a request's header to arrive, and for a body that is not read
	bodyTimeout   = 30 * time.Second // for its body
	writeTimeout  = 30 * time.Second // for a client to take one write; a stream as a whole has no limit
	idleTimeout   = 2 * time.Minute  // between two requests on a connection
	keepAlive     = 25 * time.Second // of silence on a stream of events; many a proxy ends one after 60 s
	maxHeader     = 64 << 10         // bytes
	retryAfter    = "1"              // seconds, in a 503
)

// Handler is the server without a listener. Its streams end when their requests do.
func (h *HTTP) Handler() http.Handler { return h.site() }

// Serve answers requests on ln until ctx is done. Then it takes no more, waits for the calls in flight,
// closes the streams and returns nil; an error says that ln failed or that calls had to be cut off.
func (h *HTTP) Serve(ctx context.Context, ln net.Listener) error {
	s := h.site()
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	encrypted, err := h.tls(s.log)
	if err != nil {
		return errors.Join(fmt.Errorf("http: %w", err), ln.Close())
	}
	if tcp, ok := ln.Addr().(*net.TCPAddr); encrypted == nil && ok && !tcp.IP.IsLoopback() {
		s.log.Warn("requests come unencrypted, with the tokens in them: set a TLS certificate, or see that only a proxy with one can reach this address", "address", ln.Addr().String())
	}
	served := make(chan error, 1)
	go func() {
		if srv.TLSConfig = encrypted; encrypted != nil {
			served <- srv.ServeTLS(ln, "", "")
			return
		}
		served <- srv.Serve(ln)
	}()
	var failed error
	select {
	case err := <-served:
		failed = fmt.Errorf("http: %w", err)
	case <-ctx.Done():
	}

	shutting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	shut := make(chan struct{})
	go func() { defer close(shut); _ = srv.Shutdown(shutting) }() // its only error is that of shutting

	if calls := s.calls.drain(); !within(calls, cmp.Or(h.Drain, defaultDrain)) {
		failed = errors.Join(failed, errors.New("http: cut off calls that went on too long after the stop"))
		s.cut()
		_ = srv.Close()
		within(calls, settle)
	}
	s.close()
	if !within(shut, settle) { // a client has not sent its request, or does not read its stream
		giveUp()
		_ = srv.Close()
	}
	within(s.streams.drain(), settle)
	return failed
}

// site is one running HTTP server.
type site struct {
	core
	streamable     *server.StreamableHTTPServer
	origins, hosts map[string]bool
	maxBody        int64
	calls, streams *limit
	routes         map[string]route

	guarded          bool // by any of the next three
	tokens           *Tokens
	oidc             *OIDC
	keyPerRequest    bool
	known, strangers *rates // of principals, and of addresses, which so cannot push principals out

	stopping context.Context // done when open streams are to end
	close    context.CancelFunc
	cutting  context.Context // done when calls have had their time
	cut      context.CancelFunc

	mu    sync.Mutex
	peers map[string]*peer // of /sse, by session id
}

type route struct {
	method  string // besides OPTIONS
	json    bool   // has a JSON body
	head    bool   // takes HEAD as well
	open    bool   // to all who read
	keyless bool   // asks for no Heffl key
	serve   http.HandlerFunc
}

// lets says whether a request may enter whoever sent it.
func (r route) lets(req *http.Request) bool {
	return req.Method == http.MethodOptions || r.open && (req.Method == http.MethodGet || req.Method == http.MethodHead)
}

func (h *HTTP) site() *site {
	prepare(h.MCP)
	s := &site{
		core:    core{h.MCP, h.Tools, logger(h.Log)},
		origins: make(map[string]bool),
		maxBody: cmp.Or(h.MaxBody, defaultMaxMessage),
		calls:   newLimit(cmp.Or(h.MaxCalls, defaultMaxCalls)),
		streams: newLimit(cmp.Or(h.MaxStreams, defaultMaxStreams)),
		peers:   make(map[string]*peer),
		hosts:   make(map[string]bool),

		guarded:       h.guarded(),
		tokens:        h.Tokens,
		oidc:          h.OIDC,
		keyPerRequest: h.KeyPerRequest,
		known:         newRates(h.Rate),
		strangers:     newRates(h.Rate),
	}
	for _, name := range h.Hosts {
		s.hosts[hostname(name)] = true
	}
	for _, o := range h.AllowedOrigins {
		s.origins[normalOrigin(o)] = true
	}
	s.streamable = s.newStreamable()
	s.stopping, s.close = context.WithCancel(context.Background())
	s.cutting, s.cut = context.WithCancel(context.Background())
	s.routes = map[string]route{
		"/mcp":     {method: http.MethodPost, json: true, serve: s.postMCP},
		"/sse":     {method: http.MethodGet, serve: s.getSSE},
		"/message": {method: http.MethodPost, json: true, serve: s.postMessage},
		"/healthz": {method: http.MethodGet, head: true, open: true, serve: func(w http.ResponseWriter, _ *http.Request) {
			say(w, http.StatusOK, "ok")
		}},
	}
	// Where there are no tokens these two are as open as /healthz, and so not kept out by a rate that others use up.
	watched := route{method: http.MethodGet, head: true, keyless: true, open: s.tokens == nil && s.oidc == nil}
	if h.Metrics != nil {
		watched.serve = h.Metrics.ServeHTTP
		s.routes["/metrics"] = watched
	}
	if h.Ready != nil {
		watched.serve = func(w http.ResponseWriter, r *http.Request) {
			if err := h.Ready(r.Context()); err != nil {
				first, _, _ := strings.Cut(err.Error(), "\n")
				say(w, http.StatusServiceUnavailable, first)
				return
			}
			say(w, http.StatusOK, "ready")
		}
		s.routes["/readyz"] = watched
	}
	if s.oidc != nil {
		for path, at := range metadataPaths {
			s.routes[at] = route{method: http.MethodGet, head: true, open: true, serve: s.metadata(path)}
		}
	}
	return s
}

// ServeHTTP lets a request in, or says why not.
func (s *site) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := newTimedWriter(rw)
	defer w.end()
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			s.log.Error("panic while answering", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			if !w.hasBegun() {
				refuse(w, http.StatusInternalServerError, fault{nil, mcp.INTERNAL_ERROR, internalError})
			}
		}
	}()
	if r.ContentLength != 0 {
		// net/http reads a body that nobody wants before it answers. Who reads one gives it the time that it needs.
		_ = w.control.SetReadDeadline(time.Now().Add(headerTimeout))
	}
	if !s.admit(w, r) {
		return
	}
	route, ok := s.routes[r.URL.Path]
	if !route.lets(r) {
		entered, in := s.enter(w, r, route.keyless)
		if !in {
			return
		}
		r = entered
	}
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, invalid("no such path; there are /mcp (Streamable HTTP), /sse with /message (HTTP+SSE), and /healthz"))
	case r.Method == http.MethodOptions:
		preflight(w, r, route.method)
	case r.Method != route.method && !(r.Method == http.MethodHead && route.head):
		w.Header().Set("Allow", route.method+", "+http.MethodOptions)
		refuse(w, http.StatusMethodNotAllowed, invalid(r.URL.Path+" takes "+route.method))
	case route.json && !isJSON(r):
		refuse(w, http.StatusUnsupportedMediaType, invalid("Content-Type must be application/json"))
	default:
		route.serve(w, r)
	}
}

// say answers with one line of text.
func say(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, line+"\n")
}

func invalid(message string) fault { return fault{nil, mcp.INVALID_REQUEST, message} }

// refuse answers with an HTTP status and a JSON-RPC error.
func refuse(w http.ResponseWriter, status int, f fault) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body := f.frame()
	defer body.release()
	w.Write(body.Bytes())
}

// busy refuses a request for which there is no place now.
func busy(w http.ResponseWriter, what string) {
	w.Header().Set("Retry-After", retryAfter)
	refuse(w, http.StatusServiceUnavailable, fault{nil, mcp.INTERNAL_ERROR, "too many " + what + " at once; try again soon"})
}
