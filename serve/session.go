package serve

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// session is what mcp-go keeps of one client: of a connection (stdio, SSE), of one open
// subscriptions/listen, or of one POST to /mcp. Server-initiated requests (sampling, roots, elicitation for
// revisions before 2026-07-28) and resource subscriptions are not part of it, so a handler that tries them
// gets mcp-go's "not supported" at once.
type session struct {
	id string

	// What is to be written. mcp-go puts a handler's notifications here; a peer puts its responses (see
	// frame.note) on the same queue, so that all is written in the order in which it happened.
	queue chan mcp.JSONRPCNotification
	noted func() // called before mcp-go puts anything there; nil: nobody has to know

	scarce func() bool // whether the places for calls are; nil: always

	ready  atomic.Bool
	level  atomic.Pointer[mcp.LoggingLevel]
	client atomic.Pointer[mcp.Implementation]
	caps   atomic.Pointer[mcp.ClientCapabilities]
	rev    atomic.Pointer[string]

	// Since 2026-07-28 a client gets only the broadcasts that it listens for; one that opened with
	// initialize gets all.
	unasked atomic.Bool
	mu      sync.Mutex
	filter  mcp.SubscriptionFilter
}

var (
	_ server.SessionWithLogging            = (*session)(nil)
	_ server.SessionWithClientInfo         = (*session)(nil)
	_ server.SessionWithSubscriptionFilter = (*session)(nil)
)

// newSession makes a session with room for size messages that are not yet written; mcp-go drops notifications
// that come on top. The id cannot be guessed, and is never the same for two clients: mcp-go cancels calls
// by session and request id.
func newSession(size int) *session {
	return &session{id: rand.Text(), queue: make(chan mcp.JSONRPCNotification, size)}
}

// Awaited reports whether somebody waits for a call to return when its context is cancelled. As a rule nobody does for what has
// come from without: a client that takes a call back gets no answer, one that has gone can get none. But another call may wait for
// its place, where those are scarce, and who stops a server for its end.
func Awaited(ctx context.Context) bool {
	s, ok := server.ClientSessionFromContext(ctx).(*session)
	return !ok || s.scarce == nil || s.scarce()
}

func (s *session) SessionID() string { return s.id }
func (s *session) Initialize()       { s.ready.Store(true) }
func (s *session) Initialized() bool { return s.ready.Load() }

func (s *session) NotificationChannel() chan<- mcp.JSONRPCNotification {
	if s.noted != nil {
		s.noted()
	}
	return s.queue
}

func (s *session) SetLogLevel(level mcp.LoggingLevel) { s.level.Store(&level) }

// GetLogLevel is "error" until the client asks for another, as on mcp-go's own transports.
func (s *session) GetLogLevel() mcp.LoggingLevel {
	if level := s.level.Load(); level != nil {
		return *level
	}
	return mcp.LoggingLevelError
}

func (s *session) SetClientInfo(client mcp.Implementation) { s.client.Store(&client) }
func (s *session) GetClientInfo() mcp.Implementation       { return valueOf(&s.client) }

func (s *session) SetClientCapabilities(caps mcp.ClientCapabilities) { s.caps.Store(&caps) }
func (s *session) GetClientCapabilities() mcp.ClientCapabilities     { return valueOf(&s.caps) }

// SetProtocolVersion and ProtocolVersion keep what initialize settled on; mcp-go looks for them by name.
func (s *session) SetProtocolVersion(revision string) { s.rev.Store(&revision) }
func (s *session) ProtocolVersion() string            { return valueOf(&s.rev) }

func (s *session) SetSubscriptionFilter(filter mcp.SubscriptionFilter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter = filter
}

func (s *session) SubscriptionFilter() (filter mcp.SubscriptionFilter, active bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.filter, !s.unasked.Load()
}

func valueOf[T any](p *atomic.Pointer[T]) (v T) {
	if stored := p.Load(); stored != nil {
		return *stored
	}
	return v
}
