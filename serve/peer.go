package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
)

// peer is one client on a connection that stays open, stdio or SSE: its session, the calls that it waits
// for, and (in the session) the queue of what is to be written to it.
//
// Who has put something into the queue writes it, and whatever others add meanwhile: to wake a goroutine for it would
// cost more than the writing. Who must not wait for a slow client, or cannot write, has forward do it.
type peer struct {
	core
	session *session
	owner   string        // of an SSE stream: who opened it
	crew    *crew[posted] // of an SSE stream: who answers the calls

	emit   func(message []byte) error // puts a message where flush sends it off
	flush  func() error
	pen    chan struct{} // full while somebody writes, and for good once nothing more is written
	woken  chan struct{} // for forward: there is something to write
	noted  atomic.Int64  // notifications that mcp-go was about to put into the queue
	taken  int64         // notifications that have left it; owned by who has the pen
	gone   chan struct{} // closed when nothing more is written
	failed error         // why, if not because it was time; written before gone is closed

	mu    sync.Mutex
	calls map[*call]struct{}
}

// call is a request that has been read and not yet answered.
type call struct {
	env     envelope
	message []byte
	ctx     context.Context
	cancel  context.CancelFunc
	quiet   bool // under peer.mu: gets no answer, because the client cancelled it or has had one
}

// size is what is kept of a call, in bytes.
func (c *call) size() int { return len(c.message) + len(c.env.arguments) }

func isListen(c *call) bool { return c.env.Method == methodListen }

// queueSize is how many messages may wait for a slow reader.
const queueSize = 256

// newPeer is a client that emit and flush write to. Whoever makes one runs forward.
func newPeer(of core, emit func(message []byte) error, flush func() error) *peer {
	p := &peer{
		core:    of,
		session: newSession(queueSize),
		emit:    emit,
		flush:   flush,
		pen:     make(chan struct{}, 1),
		woken:   make(chan struct{}, 1),
		gone:    make(chan struct{}),
		calls:   make(map[*call]struct{}),
	}
	p.session.noted = func() {
		p.noted.Add(1)
		p.wake()
	}
	return p
}

// begin takes note of a request, so that it can be cancelled from now on. ctx gives values only: a call
// outlives what brought it in.
func (p *peer) begin(ctx context.Context, env envelope, message []byte) *call {
	c := &call{env: env, message: message}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[c] = struct{}{}
	return c
}

// end forgets a call, and says whether its answer is still wanted.
func (p *peer) end(c *call) bool {
	c.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, c)
	return !c.quiet
}

// cancel does what the client's notifications/cancelled asks for. In every revision a cancelled request gets
// no response: https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/cancellation
func (p *peer) cancel(id json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.calls {
		if bytes.Equal(c.env.ID, id) {
			c.quiet = true
			c.cancel()
		}
	}
}

// cancelAll cancels every call of which of says yes. They still answer.
func (p *peer) cancelAll(of func(*call) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.calls {
		if of(c) {
			c.cancel()
		}
	}
}

// abandon silences the calls that have not ended though they were cancelled, and returns them.
func (p *peer) abandon() (left []*call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.calls {
		if !c.quiet && !isListen(c) {
			c.quiet = true
			left = append(left, c)
		}
	}
	return left
}

// run answers a call. The answer is queued; to write it is left to who calls run.
func (p *peer) run(c *call) {
	var f *frame
	if c.ctx.Err() != nil { // cancelled while it waited for its turn
		f = fault{c.env.ID, mcp.INTERNAL_ERROR, "the server is stopping; this call was not begun"}.frame()
	} else {
		f, _ = p.answer(c.ctx, p.session, c.env, c.message, nil)
	}
	if !p.end(c) {
		f.release()
		return
	}
	p.enqueue(f)
	if c.env.Method == methodInitialize && p.session.ProtocolVersion() != "" {
		p.session.unasked.Store(true)
	}
}

// notify hands a notification to mcp-go.
func (p *peer) notify(ctx context.Context, message []byte) {
	defer func() {
		if v := recover(); v != nil {
			p.log.Error("panic in a notification handler", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	p.mcp.HandleMessage(p.mcp.WithContext(context.WithoutCancel(ctx), p.session), message)
}

// listen serves a subscriptions/listen until it is cancelled. Each has a session of its own, because a
// connection can have several with different filters, and every notification names the one that it is for:
// https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions
func (p *peer) listen(c *call) {
	sub := newSession(queueSize)
	if err := p.mcp.RegisterSession(c.ctx, sub); err != nil {
		p.log.Error("cannot register a subscription", "error", err)
	}
	stop := make(chan struct{})
	var forward sync.WaitGroup
	forward.Go(func() {
		for {
			select {
			case n := <-sub.queue:
				p.sendNote(tagged(n, c.env.ID))
			case <-stop:
				return
			}
		}
	})
	f, _ := p.answer(c.ctx, sub, c.env, c.message, func(r mcp.JSONRPCMessage) { tagResult(r, c.env.ID) })
	p.mcp.UnregisterSession(c.ctx, sub.id)
	close(stop)
	forward.Wait()
	for len(sub.queue) > 0 {
		p.sendNote(tagged(<-sub.queue, c.env.ID))
	}
	torndown := c.ctx.Err() != nil // read before end cancels it
	if !p.end(c) {
		f.release()
		return
	}
	if torndown {
		p.sendNote(mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION, Notification: mcp.Notification{
			Method: methodCancelled,
			Params: mcp.NotificationParams{AdditionalFields: map[string]any{"requestId": c.env.ID, "reason": "the server is stopping"}},
		}})
	}
	p.send(f)
}

// tagged is n with the subscription that it belongs to, by the id that the client gave it.
func tagged(n mcp.JSONRPCNotification, id json.RawMessage) mcp.JSONRPCNotification {
	meta := maps.Clone(n.Params.Meta) // a broadcast shares it between sessions
	if meta == nil {
		meta = make(map[string]any, 1)
	}
	meta[mcp.MetaKeySubscriptionID] = id
	n.Params.Meta = meta
	return n
}

func tagResult(r mcp.JSONRPCMessage, id json.RawMessage) {
	if r, ok := r.(mcp.JSONRPCResponse); ok {
		if result, ok := r.Result.(mcp.SubscriptionsListenResult); ok && result.Meta != nil {
			result.Meta.SetSubscriptionID(id)
		}
	}
}

// enqueue has a frame written after all that was queued before. It waits while the queue is full, and drops the frame when
// nobody writes any more. Whoever calls it calls write or wake after it.
func (p *peer) enqueue(f *frame) {
	select {
	case p.session.queue <- f.note:
	case <-p.gone:
		f.release()
	}
}

// send has forward write a frame.
func (p *peer) send(f *frame) {
	p.enqueue(f)
	p.wake()
}

func (p *peer) wake() {
	select {
	case p.woken <- struct{}{}:
	default: // it has not looked yet since the last time
	}
}

func (p *peer) sendNote(n mcp.JSONRPCNotification) {
	if f := p.noteFrame(n); f != nil {
		p.send(f)
	}
}

// noteFrame encodes a notification; nil if it cannot be.
func (p *peer) noteFrame(n mcp.JSONRPCNotification) *frame {
	f, err := newFrame(n)
	if err != nil {
		p.log.Error("cannot encode a notification", "method", n.Method, "error", err)
		return nil
	}
	return f
}

// write writes what is queued, unless somebody does already, who then goes on until nothing is.
func (p *peer) write() {
	for len(p.session.queue) > 0 {
		select {
		case p.pen <- struct{}{}:
		default:
			return // who has the pen looks again when it has put it down
		}
		if p.writeQueue(nil) != nil {
			return
		}
		<-p.pen
	}
}

// forward writes what others do not write themselves: above all what mcp-go puts into the queue. It returns on the first
// error, its own or another's, or when all is written after stop is closed.
func (p *peer) forward(stop <-chan struct{}) error {
	for stopped := false; !stopped; {
		select {
		case <-p.woken:
		case <-p.gone:
		case <-stop:
			stopped = true
		}
		select {
		case p.pen <- struct{}{}:
		case <-p.gone:
			return p.failed
		}
		if err := p.writeQueue(stop); err != nil {
			return err
		}
		if !stopped {
			<-p.pen
			p.write()
		}
	}
	close(p.gone)
	return nil
}

// writeQueue empties the queue, and flushes when there is no more. It is for who has the pen, which is kept after an error.
// Until stop is closed (nil: not at all) it also waits for the notifications that are on their way into the queue. One that
// mcp-go has dropped because the queue was full never comes: then forward keeps the pen, and writes everything from there on.
func (p *peer) writeQueue(stop <-chan struct{}) error {
	for unflushed := false; ; {
		var n mcp.JSONRPCNotification
		select {
		case n = <-p.session.queue:
		default:
			if unflushed {
				unflushed = false
				if err := p.flush(); err != nil {
					return p.fail(err)
				}
			}
			if stop == nil || p.noted.Load() <= p.taken {
				return nil
			}
			select {
			case n = <-p.session.queue:
			case <-stop:
				stop = nil
				continue
			}
		}
		if err := p.put(n); err != nil {
			return p.fail(err)
		}
		unflushed = true
	}
}

func (p *peer) fail(err error) error {
	p.failed = err
	close(p.gone)
	return err
}

// put emits one element of the queue.
func (p *peer) put(n mcp.JSONRPCNotification) error {
	f := queued(n)
	if f == nil {
		p.taken++
		if f = p.noteFrame(n); f == nil {
			return nil
		}
	}
	defer f.release()
	return p.emit(f.Bytes())
}
