package serve

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Stdio speaks MCP in newline-delimited JSON, one message a line:
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports
//
// Calls run side by side; what only reads the server's own lists is answered in the order it comes, without
// waiting for any call.
type Stdio struct {
	MCP   *server.MCPServer
	Tools Tools        // of MCP; nil: MCP alone knows
	Log   *slog.Logger // nil: nothing is logged. Nothing else than MCP goes to out

	// MaxLine is the longest line, in bytes; zero means 4 MiB. A longer one is skipped, and answered with
	// an error under its own id where the start or the end of the line shows it.
	MaxLine int

	// MaxCalls is how many requests run at once; zero means 256. None is dropped: as many again (MaxLine
	// bytes at most) are read ahead and wait for their turn, so that a cancellation behind them is still
	// seen at once. Then reading stops until a call ends.
	MaxCalls int

	// Drain is how long calls may go on after the end of input, or after ctx is done; zero means 30 s.
	// Then they are cancelled, and those that do not stop within 2 s are answered with an error.
	Drain time.Duration
}

// maxListens is how many subscriptions/listen one connection may have open. They end only with it, so they
// take no place among the calls.
const maxListens = 32

// Serve reads requests from in and writes answers to out, until in ends or ctx is done and every request
// read so far is answered; then it returns nil. It returns an error when in or out fails, or when calls had
// to be given up. Out and in are used by Serve alone while it runs. A Read that cannot be interrupted (in has no
// SetReadDeadline) is left behind when ctx is done: it ends with its input.
func (s *Stdio) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	w := bufio.NewWriterSize(out, keep)
	emit := func(message []byte) error { _, err := w.Write(message); return err }
	r := &stdio{
		peer:    newPeer(core{s.MCP, s.Tools, logger(s.Log)}, emit, w.Flush),
		ctx:     ctx,
		maxLine: cmp.Or(s.MaxLine, defaultMaxMessage),
	}
	r.lane = newLane(cmp.Or(s.MaxCalls, defaultMaxCalls), r.maxLine, r.work)
	r.session.scarce = r.lane.scarce
	prepare(s.MCP)
	if err := s.MCP.RegisterSession(ctx, r.session); err != nil {
		return fmt.Errorf("stdio: %w", err)
	}
	defer s.MCP.UnregisterSession(context.WithoutCancel(ctx), r.session.id)

	stop := make(chan struct{})
	written := make(chan error, 1)
	go func() { written <- r.forward(stop) }()
	var readErr error
	read := make(chan struct{})
	go func() { defer close(read); readErr = r.readAll(in) }()

	select {
	case <-read:
	case <-ctx.Done():
	case <-r.gone: // out failed: no call can be answered any more
		r.cancelAll(func(*call) bool { return true })
	}
	errs := []error{r.drain(cmp.Or(s.Drain, defaultDrain))}
	close(stop)
	select {
	case err := <-written:
		if err != nil {
			errs = append(errs, fmt.Errorf("stdio: cannot write: %w", err))
		}
	case <-time.After(settle):
		errs = append(errs, errors.New("stdio: the client does not read what is written to it"))
	}
	if d, ok := in.(interface{ SetReadDeadline(time.Time) error }); ok && ctx.Err() != nil && d.SetReadDeadline(time.Unix(1, 0)) == nil {
		within(read, settle)
	}
	select {
	case <-read:
		if !errors.Is(readErr, os.ErrDeadlineExceeded) {
			errs = append(errs, readErr)
		}
	default:
	}
	return errors.Join(errs...)
}

// stdio is one Serve.
type stdio struct {
	*peer
	ctx     context.Context
	maxLine int
	lane    *lane
	listens sync.WaitGroup
}

// drain waits for the calls, then ends the subscriptions.
func (r *stdio) drain(wait time.Duration) error {
	idle := r.lane.close()
	var err error
	if !within(idle, wait) {
		r.log.Warn("calls go on too long after the end of input; cancelling them", "waited", wait)
		r.cancelAll(func(c *call) bool { return !isListen(c) })
		if !within(idle, settle) {
			err = r.giveUp()
		}
	}
	r.cancelAll(isListen)
	ended := make(chan struct{})
	go func() { r.listens.Wait(); close(ended) }()
	within(ended, settle)
	return err
}

// giveUp answers the calls that ignore their cancellation.
func (r *stdio) giveUp() error {
	left := r.abandon()
	blocked := time.NewTimer(settle)
	defer blocked.Stop()
answers:
	for _, c := range left {
		f := fault{c.env.ID, mcp.INTERNAL_ERROR, "the server is stopping; the outcome of this call is not known"}.frame()
		select {
		case r.session.queue <- f.note:
		case <-r.gone:
			break answers
		case <-blocked.C:
			break answers
		}
	}
	return fmt.Errorf("stdio: gave up %d calls that did not stop", len(left))
}

func within(done <-chan struct{}, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// readAll handles line after line. It returns nil at the end of input, or once the lane is closed.
func (r *stdio) readAll(in io.Reader) error {
	lines := &lineReader{r: bufio.NewReaderSize(in, keep), max: r.maxLine}
	for {
		line, err := lines.next()
		if long, ok := errors.AsType[*longLine](err); ok {
			r.send(fault{long.id, mcp.INVALID_REQUEST, fmt.Sprintf("the message is longer than %d bytes; it was not read", r.maxLine)}.frame())
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("stdio: cannot read: %w", err)
		}
		if len(line) > 0 && !r.handle(line) || errors.Is(err, io.EOF) {
			return nil
		}
	}
}

// handle starts, answers or refuses one message; false means that no more are taken.
func (r *stdio) handle(line []byte) bool {
	env, line, bad := read(line, nil)
	if bad != nil {
		r.send(bad.frame())
		return true
	}
	switch {
	case env.kind == response:
		return true
	case env.kind == notification && env.Method == methodCancelled:
		r.cancel(cancelled(line))
		return true
	case env.kind == notification:
		return r.lane.inline(func() { r.notify(r.ctx, line) })
	case quick(env.Method):
		return r.lane.inline(func() { r.run(r.begin(r.ctx, env, line)); r.wake() })
	case env.Method == methodListen:
		return r.lane.inline(func() { r.startListen(r.begin(r.ctx, env, line)) })
	}
	c := r.begin(r.ctx, env, line)
	if r.lane.submit(c) {
		return true
	}
	r.end(c)
	return false
}

// work answers c, and then the calls that wait for its place. The place is free before an answer is written, so that a client
// that reads slowly holds up no call; and the calls that wait come first.
func (r *stdio) work(c *call) {
	for c != nil {
		r.run(c)
		if c = r.lane.leave(); c != nil {
			r.wake()
		}
	}
	r.write()
}

func (r *stdio) startListen(c *call) {
	open := 0
	r.mu.Lock()
	for c := range r.calls {
		if isListen(c) {
			open++
		}
	}
	r.mu.Unlock()
	if open > maxListens {
		r.end(c)
		r.send(fault{c.env.ID, mcp.INVALID_REQUEST, fmt.Sprintf("%d subscriptions are open already; cancel one", maxListens)}.frame())
		return
	}
	r.listens.Go(func() { r.listen(c) })
}

// quick methods read only what the server knows by heart. They are answered one after the other, before the
// next line is looked at: so initialize is answered before anything that follows it begins.
func quick(method string) bool {
	switch mcp.MCPMethod(method) {
	case mcp.MethodInitialize, mcp.MethodPing, mcp.MethodServerDiscover, mcp.MethodSetLogLevel,
		mcp.MethodToolsList, mcp.MethodPromptsList, mcp.MethodResourcesList, mcp.MethodResourcesTemplatesList:
		return true
	}
	return false
}

// lane runs a bounded number of calls at once, and keeps a bounded number waiting.
type lane struct {
	slots, maxBytes int
	crew            *crew[*call]

	mu      sync.Mutex
	room    sync.Cond // a place among the waiting may be free, or the lane is closed
	waiting []*call
	bytes   int // of the waiting
	running int // calls, plus one while the reader itself works
	closed  bool
	idle    chan struct{} // closed when the lane is closed and nothing runs
}

// newLane makes a lane in which work runs a call, and those that leave returns.
func newLane(slots, maxBytes int, work func(*call)) *lane {
	const stay = 16
	l := &lane{slots: slots, maxBytes: maxBytes, crew: newCrew(stay, work), idle: make(chan struct{})}
	l.room.L = &l.mu
	return l
}

// close lets nothing more in. What waits still runs; the channel says when all is done.
func (l *lane) close() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.crew.close()
	l.room.Broadcast()
	l.checkIdle()
	return l.idle
}

// scarce reports whether places are: more than a quarter of them are taken, or the lane is closed.
func (l *lane) scarce() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed || l.running > l.slots/4
}

func (l *lane) checkIdle() {
	if l.closed && l.running == 0 {
		close(l.idle)
	}
}

// inline runs f on the reader's goroutine, whatever else is running.
func (l *lane) inline(f func()) bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.running++
	l.mu.Unlock()
	f()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	l.checkIdle()
	return true
}

// submit has c run, at once or when its turn has come. It waits only while too much is waiting already.
func (l *lane) submit(c *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && l.running >= l.slots && len(l.waiting) > 0 &&
		(len(l.waiting) >= l.slots || l.bytes+c.size() > l.maxBytes) {
		l.room.Wait()
	}
	switch {
	case l.closed:
		return false
	case l.running >= l.slots:
		l.waiting = append(l.waiting, c)
		l.bytes += c.size()
	default:
		l.running++
		l.crew.start(c)
	}
	return true
}

// leave ends a call. The one that has waited longest takes its place, if any: it is to be run by who has run the other.
func (l *lane) leave() (next *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.running--
		l.checkIdle()
		return nil
	}
	next = l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	l.bytes -= next.size()
	l.room.Signal()
	return next
}

// lineReader cuts its input into lines.
type lineReader struct {
	r   *bufio.Reader
	max int
}

// longLine is a line that was skipped, with its id where that shows.
type longLine struct{ id []byte }

func (*longLine) Error() string { return "line too long" }

// How much of a line that is too long is kept, in bytes, to find its id.
const (
	headSize = 16 << 10
	tailSize = 256
)

// next returns a line of its own memory, without blanks around it; with io.EOF the last one, if anything
// follows the last newline. Some shells on Windows begin their output with a byte order mark: it is no part
// of the line.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		if len(line)+len(bytes.TrimRight(part, "\r\n")) > l.max {
			return nil, l.skip(append(line, part...), err)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff"))), err
		}
	}
}

// skip reads the rest of a line that is too long, and keeps none of it. err is how reading its start ended.
func (l *lineReader) skip(start []byte, err error) error {
	head, tail := start[:min(len(start), headSize)], lastBytes(start)
	for errors.Is(err, bufio.ErrBufferFull) {
		var part []byte
		part, err = l.r.ReadSlice('\n')
		tail = lastBytes(append(tail, part...))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return &longLine{glimpseID(head, tail)}
}

func lastBytes(b []byte) []byte { return bytes.Clone(b[max(0, len(b)-tailSize):]) }
