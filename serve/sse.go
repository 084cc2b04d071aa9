package serve

import (
	"context"
	"fmt"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
)

// HTTP+SSE, the transport of revision 2024-11-05: GET /sse opens a stream and names the address to post
// messages to; answers come on the stream.
// https://modelcontextprotocol.io/specification/2024-11-05/basic/transports
//
// It shares everything but the framing with stdio. (mcp-go's SSE server allows every origin, has no limits,
// tells clients what a panic said, and cannot say when its calls are done.)

// getSSE serves one stream until the client goes or the server stops.
func (s *site) getSSE(w http.ResponseWriter, r *http.Request) {
	leave, ok := s.streams.enter(r)
	if !ok {
		busy(w, "streams")
		return
	}
	defer leave()
	emit := func(message []byte) error { return writeEvent(w, message) }
	flush := http.NewResponseController(w).Flush
	p := newPeer(s.core, emit, flush)
	p.owner = ownerOf(r)
	p.session.scarce = s.calls.scarce
	const stay = 2 // goroutines, for clients that make one call at a time: one may still be writing
	p.crew = newCrew(stay, func(c posted) { s.answerOn(p, c) })
	defer p.crew.close()
	if err := s.mcp.RegisterSession(r.Context(), p.session); err != nil {
		s.log.Error("cannot register a session", "error", err)
		refuse(w, http.StatusInternalServerError, fault{nil, mcp.INTERNAL_ERROR, internalError})
		return
	}
	defer s.mcp.UnregisterSession(context.WithoutCancel(r.Context()), p.session.id)
	s.addPeer(p)
	defer s.removePeer(p)

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	beginEvents(w)
	fmt.Fprintf(w, "event: endpoint\ndata: /message?sessionId=%s\n\n", p.session.id)
	_ = flush() // when it fails, the client has gone, and ctx with it
	if err := p.forward(ctx.Done()); err != nil {
		s.log.Debug("an SSE client has gone", "error", err)
	}
}

// postMessage takes one message of an SSE client: 202 at once, and the answer on the client's stream. A call
// goes on to its end when the stream breaks.
func (s *site) postMessage(w http.ResponseWriter, r *http.Request) {
	p := s.peer(r.URL.Query().Get("sessionId"))
	if p == nil || p.owner != ownerOf(r) { // an id is no secret that lets in
		refuse(w, http.StatusNotFound, invalid("no such sessionId: open a stream with GET /sse and post to the address that it names"))
		return
	}
	leave, ok := s.calls.enter(r)
	if !ok {
		busy(w, "calls")
		return
	}
	defer func() { leave() }()
	env, body, ok := s.message(w, r)
	if !ok || !s.permit(w, r, env, body) {
		return
	}
	ctx := r.Context()
	switch {
	case env.kind == response:
	case env.kind == notification && env.Method == methodCancelled:
		p.cancel(cancelled(body))
	case env.kind == notification:
		p.notify(ctx, body)
	case env.Method == methodListen:
		p.send(fault{env.ID, mcp.METHOD_NOT_FOUND, "subscriptions/listen is served at /mcp"}.frame())
	case quick(env.Method):
		p.run(p.begin(ctx, env, body))
		p.wake()
	default:
		p.crew.start(posted{p.begin(ctx, env, body), leave})
		leave = func() {} // now the call's
	}
	w.WriteHeader(http.StatusAccepted)
}

// posted is a call that has come in a POST, and what gives its place free.
type posted struct {
	*call
	leave func()
}

// answerOn answers a call on the client's stream.
func (s *site) answerOn(p *peer, c posted) {
	unhook := context.AfterFunc(s.cutting, c.cancel)
	p.run(c.call)
	unhook()
	c.leave() // before the answer is written: a client that reads slowly takes no place
	p.write()
}

// ownerOf is who a request is from, in full; empty where nothing is asked.
func ownerOf(r *http.Request) string {
	who, _ := PrincipalOf(r.Context())
	return who.id
}

func (s *site) addPeer(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers[p.session.id] = p
}

func (s *site) removePeer(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.peers, p.session.id)
}

func (s *site) peer(id string) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[id]
}
