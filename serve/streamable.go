package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"

	"heffl-mcp/rawjson"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// sessionKey carries the session of a POST through mcp-go's handler.
type sessionKey struct{}

// newStreamable sets mcp-go's handler up without sessions of its own. Each POST brings one instead (but for
// subscriptions/listen, which mcp-go serves in full). So clients share nothing: neither notifications nor, by
// the id of a request, cancellations.
func (s *site) newStreamable() *server.StreamableHTTPServer {
	return server.NewStreamableHTTPServer(s.mcp,
		server.WithStateLess(true),
		server.WithDisableStreaming(true),
		server.WithDisableLocalhostProtection(true), // admit has seen to it, and knows HTTP.Hosts
		server.WithStreamableHTTPLogger(s.log),
		server.WithHTTPContextFunc(func(ctx context.Context, r *http.Request) context.Context {
			if session, ok := r.Context().Value(sessionKey{}).(*session); ok {
				return s.mcp.WithContext(ctx, session)
			}
			return ctx
		}))
}

// postMCP serves one message of Streamable HTTP.
func (s *site) postMCP(w http.ResponseWriter, r *http.Request) {
	leave, ok := s.calls.enter(r)
	if !ok {
		busy(w, "calls")
		return
	}
	defer leave()
	env, body, ok := s.message(w, r)
	if !ok || !s.permit(w, r, env, body) {
		return
	}
	switch revision := r.Header.Get(mcp.HeaderProtocolVersion); {
	case unknown(revision) && env.Method != methodInitialize: // which settles on one itself
		refuse(w, http.StatusBadRequest, fault{env.ID, mcp.INVALID_REQUEST, fmt.Sprintf(
			"MCP-Protocol-Version %q is not supported; there are %s", revision, strings.Join(mcp.ValidProtocolVersions, ", "))})
	case env.kind == notification && env.Method == methodCancelled:
		// Without sessions a request id does not say whose request it is. Here a client cancels by closing
		// its connection, or (before 2026-07-28) not at all.
		w.WriteHeader(http.StatusAccepted)
	case env.kind == request && env.Method == methodListen:
		left, ok := s.streams.enter(r)
		if !ok {
			busy(w, "streams")
			return
		}
		defer left()
		leave() // a stream is not waited for
		s.listen(w, r, env, body)
	default:
		s.exchange(w, r, env, body)
	}
}

// callContext is the context of a call. Since 2026-07-28 a client cancels by closing its connection; in the
// revisions before, a lost connection says nothing about the call, which goes on and is lost to the client alone:
// https://modelcontextprotocol.io/specification/2025-11-25/basic/transports
func (s *site) callContext(r *http.Request) (context.Context, context.CancelFunc) {
	ctx := r.Context()
	if !mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion)) { // without it mcp-go takes nothing as modern
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(s.cutting, cancel)
	return ctx, func() { unhook(); cancel() }
}

// listen serves a subscriptions/listen until the client goes or the server stops.
func (s *site) listen(w http.ResponseWriter, r *http.Request, env envelope, body []byte) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	exact, body := exactID(w, env.ID, body)
	s.streamable.ServeHTTP(exact, withBody(r.WithContext(ctx), body))
	if s.stopping.Err() == nil || r.Context().Err() != nil || w.Header().Get("Content-Type") != eventStream {
		return
	}
	// mcp-go just stops; a client that is still there should learn that the stream ended well.
	ended := &mcp.SubscriptionsListenResult{}
	ended.SetResultType(mcp.ResultTypeComplete)
	ended.EnsureResultMeta().SetSubscriptionID(env.ID)
	f, err := responseFrame(env.ID, mcp.NewJSONRPCResultResponse(mcp.NewRequestId(nil), ended))
	if err != nil {
		s.log.Error("cannot encode a response", "method", env.Method, "error", err)
		return
	}
	defer f.release()
	_ = writeEvent(w, f.Bytes()) // the client may have gone by now
}

// unknown says whether a revision in a header is one that mcp-go refuses in plain text. It has JSON-RPC errors
// for later ones.
func unknown(revision string) bool {
	return revision != "" && !mcp.IsModernProtocol(revision) && !mcp.IsValidProtocolVersion(revision)
}

func withBody(r *http.Request, body []byte) *http.Request {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return r
}

// exchange serves a request, or a notification, that has one answer.
func (s *site) exchange(w http.ResponseWriter, r *http.Request, env envelope, body []byte) {
	session := newSession(0) // until there is something to say
	session.scarce = s.calls.scarce
	session.Initialize() // no handshake is remembered
	plain := isPlainCall(r, env)
	if !plain {
		w, body = exactID(w, env.ID, body)
	}
	x := &exchange{
		out:    w,
		header: make(http.Header),
		log:    s.log,
		mute:   env.kind != request || !takesEvents(r),
		stop:   make(chan struct{}),
	}
	session.noted = func() { x.begin(session) }
	defer x.finish()
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic while answering", "method", env.Method, "panic", v, "stack", string(debug.Stack()))
			if env.kind == request && !x.finished {
				refuse(x, http.StatusInternalServerError, fault{env.ID, mcp.INTERNAL_ERROR, internalError})
			}
		}
	}()
	ctx, cancel := s.callContext(r)
	defer cancel()
	if plain {
		f, ok := s.answer(context.WithValue(ctx, headerKey{}, r.Header), session, env, body, nil)
		defer f.release()
		status := http.StatusOK
		if !ok {
			status = http.StatusInternalServerError
		}
		x.header.Set("Content-Type", "application/json")
		x.WriteHeader(status)
		_, _ = x.Write(f.Bytes()) // the client may have gone by now
		return
	}
	s.streamable.ServeHTTP(x, withBody(r.WithContext(context.WithValue(env.of(ctx), sessionKey{}, session)), body))
}

// isPlainCall reports whether a request is a tools/call of a revision before 2026-07-28. Over HTTP there is nothing more
// to such a call than to any other way in, so it goes around mcp-go's handler, which decodes it five times and holds
// two goroutines for what its tool may have to say meanwhile.
func isPlainCall(r *http.Request, env envelope) bool {
	return env.kind == request && env.arguments != nil && !mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion)) && legacy(env.meta)
}

// headerKey is where the context of a call has the header of its request, where mcp-go does not hand it on.
type headerKey struct{}

// HeaderOf is the header of the HTTP request that has brought a call, less all credentials; nil over other ways.
func HeaderOf(ctx context.Context, req mcp.CallToolRequest) http.Header {
	if h, ok := ctx.Value(headerKey{}).(http.Header); ok {
		return h
	}
	return req.Header
}

// postQueue is how many notifications of one call may wait for a slow reader.
const postQueue = 64

// takesEvents says whether the client reads text/event-stream. It must, but some plain tools do not.
func takesEvents(r *http.Request) bool {
	accept := strings.Join(r.Header["Accept"], ",")
	return accept == "" || strings.Contains(accept, eventStream) || strings.Contains(accept, "*/*")
}

// exchange is the http.ResponseWriter that mcp-go answers a POST on. The notifications of the handler go around
// mcp-go, whose own path loses one that is sent just before the handler returns: the first makes the answer
// a stream of events, and all that were sent are written before the response.
type exchange struct {
	out    http.ResponseWriter
	header http.Header // mcp-go's: kept apart, because the stream may have begun
	log    *slog.Logger
	mute   bool // notifications are dropped

	once      sync.Once
	notes     <-chan mcp.JSONRPCNotification
	stop      chan struct{}
	forward   sync.WaitGroup
	streaming bool // owned by forward, until it has ended
	finished  bool
}

// begin gives a session its queue and has what comes there forwarded, from before the first notification on: most calls have
// none. One that comes after the response finds no room.
func (x *exchange) begin(s *session) {
	x.once.Do(func() {
		s.queue = make(chan mcp.JSONRPCNotification, postQueue)
		x.notes = s.queue
		x.forward.Go(x.forwardNotes)
	})
}

// forwardNotes writes notifications as they come, until stop.
func (x *exchange) forwardNotes() {
	for {
		select {
		case n := <-x.notes:
			x.note(n)
		case <-x.stop:
			for len(x.notes) > 0 {
				x.note(<-x.notes)
			}
			return
		}
	}
}

func (x *exchange) note(n mcp.JSONRPCNotification) {
	if x.mute {
		return
	}
	f, err := newFrame(n)
	if err != nil {
		x.log.Error("cannot encode a notification", "method", n.Method, "error", err)
		return
	}
	defer f.release()
	if !x.streaming {
		x.streaming = true
		beginEvents(x.out)
	}
	x.event(f.Bytes())
}

func (x *exchange) event(message []byte) {
	if err := writeEvent(x.out, message); err != nil {
		x.log.Debug("the client has gone", "error", err)
		return
	}
	x.Flush()
}

func beginEvents(w http.ResponseWriter) {
	w.Header().Set("Content-Type", eventStream)
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
}

// finish ends the forwarding; what is written from now on comes after all notifications.
func (x *exchange) finish() {
	if !x.finished {
		x.finished = true
		x.once.Do(func() {}) // it is too late to begin
		close(x.stop)
		x.forward.Wait()
	}
}

func (x *exchange) Header() http.Header { return x.header }

func (x *exchange) WriteHeader(status int) {
	x.finish()
	if !x.streaming {
		maps.Copy(x.out.Header(), x.header)
		x.out.WriteHeader(status)
	}
}

// Write takes a whole message: mcp-go encodes each in one piece.
func (x *exchange) Write(p []byte) (int, error) {
	x.finish()
	if !x.streaming {
		return x.out.Write(p)
	}
	x.event(p)
	return len(p), nil
}

func (x *exchange) Flush() { _ = http.NewResponseController(x.out).Flush() }

// exactID makes up for mcp-go, which reads ids as float64. Where that would change the id, a stand-in takes its
// place in the body, and is replaced in what is written.
func exactID(w http.ResponseWriter, id json.RawMessage, body []byte) (http.ResponseWriter, []byte) {
	var number float64
	if json.Unmarshal(id, &number) != nil {
		return w, body // a string, or none
	}
	if same, err := json.Marshal(number); err != nil || bytes.Equal(same, id) {
		return w, body
	}
	standIn := []byte(`"` + rand.Text() + `"`)
	return &idWriter{w, standIn, id}, idPlace(body).replace(body, standIn)
}

// idPlace is where the id stands in a message that has one: the last, should there be several, because that is
// the one that encoding/json takes.
func idPlace(message []byte) (id span) {
	for o := rawjson.In(message, 0); o.Next(); {
		if bytes.EqualFold(o.Name, []byte("id")) {
			id = span{o.From, o.To}
		}
	}
	return id
}

type idWriter struct {
	http.ResponseWriter
	standIn, id []byte
}

func (w *idWriter) Write(p []byte) (int, error) {
	if _, err := w.ResponseWriter.Write(bytes.ReplaceAll(p, w.standIn, w.id)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *idWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

func (w *idWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
