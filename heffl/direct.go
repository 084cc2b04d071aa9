package heffl

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// direct carries requests over HTTP/1.1, each from beginning to end on the goroutine of who sends it.
//
// An [http.Transport] has two goroutines a connection, and so it can neither say how much of a request has left when that
// fails, nor do without waking three threads a request. Here a request leaves in one write, of which the error
// tells: see [unsent]. What HTTP is, net/http knows: it reads the answers.
//
// One connection holds one request, and giving up on the request closes the connection, which is the most that can be done to
// stop it. Under HTTP/2 a dead connection is noticed late and takes every request on it along. No request is sent a second time.
type direct struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config // nil: the zero one

	// proxied takes the requests for which proxy names one; a proxy is spoken to in more ways than are worth having twice.
	// Without a proxy function there is none.
	proxy   func(*http.Request) (*url.URL, error)
	proxied http.RoundTripper

	mu     sync.Mutex
	idle   []*link // the one that was used last at the end
	expiry *time.Timer
}

// These suit one host that is called now and then, in small bursts.
const (
	maxIdle        = 16               // connections that are kept
	maxIdleTime    = 30 * time.Second // sooner than servers commonly close, so that a request seldom meets a closing connection
	dialTimeout    = 10 * time.Second
	lastLook       = 100 * time.Millisecond // for an answer to a request that could not be written whole
	maxHeader      = 256 << 10              // bytes before the body of an answer
	keptBuffer     = 64 << 10               // bytes of the last request that a connection keeps room for
	linkReadBuffer = 4 << 10
)

var dialer = &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}

// shared carries the requests of all clients that name nothing else.
var shared = &direct{dial: dialer.DialContext, proxy: http.ProxyFromEnvironment, proxied: throughProxy}

var throughProxy = &http.Transport{
	Proxy:                  http.ProxyFromEnvironment,
	DialContext:            dialer.DialContext,
	TLSHandshakeTimeout:    dialTimeout,
	MaxIdleConnsPerHost:    maxIdle,
	IdleConnTimeout:        maxIdleTime,
	MaxResponseHeaderBytes: maxHeader,
	Protocols:              http1(),
}

func http1() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

// unsent is the failure of a request of which nothing has left that a server could act on: no byte of its body, or, of one
// that has none, no byte at all.
type unsent struct{ err error }

func (e *unsent) Error() string { return e.err.Error() }
func (e *unsent) Unwrap() error { return e.err }

// link is a connection and the request on it, if any.
type link struct {
	net.Conn
	pool         *direct
	below        net.Conn        // what TLS runs over; without TLS the same
	raw          syscall.RawConn // of below; nil: the connection is none of the system's
	scheme, host string
	in           *bufio.Reader
	out          bytes.Buffer
	room         int64     // how much more of the header of an answer is read
	since        time.Time // it is idle, by the clock on the wall: others stand still while a machine sleeps
}

var errLongHeader = errors.New("the header of the answer is too long")

// Read lets no answer have a header without an end.
func (l *link) Read(p []byte) (int, error) {
	if l.room <= 0 {
		return 0, errLongHeader
	}
	n, err := l.Conn.Read(p[:min(int64(len(p)), l.room)])
	l.room -= int64(n)
	return n, err
}

// Close closes the connection at once. TLS would say goodbye first, and wait for seconds where nobody reads.
func (l *link) Close() error { return l.below.Close() }

// fresh reports whether a connection has not been idle for too long. Where the clock was set back, nobody knows.
func (l *link) fresh(now time.Time) bool {
	idle := now.Sub(l.since)
	return 0 <= idle && idle < maxIdleTime
}

// quiet reports whether nothing has come on an idle connection, neither its end nor what nobody asked for. TLS may have read it
// already, so it is asked too, without waiting for the network; of a part of what it needs for a word it says nothing.
func (l *link) quiet() bool {
	if !alive(l.raw) || l.SetReadDeadline(time.Now().Add(listen)) != nil {
		return false
	}
	_, err := l.in.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded) && l.SetReadDeadline(time.Time{}) == nil
}

// RoundTrip sends a request and returns its answer, the body of which must be read to its end or closed.
func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if d.proxy != nil {
		switch via, err := d.proxy(req); {
		case err != nil:
			return nil, &unsent{err}
		case via != nil:
			return d.proxied.RoundTrip(req)
		}
	}
	ctx := req.Context()
	l, err := d.link(ctx, req.URL)
	if err != nil {
		return nil, &unsent{err}
	}
	stop := context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(1, 0)) })
	resp, err := l.exchange(req)
	if err != nil {
		stop()
		_ = l.Close() // it is of no more use
		return nil, because(ctx, err)
	}
	resp.Body = &answerBody{ReadCloser: resp.Body, ctx: ctx, link: l, stop: stop, last: resp.Close || resp.StatusCode == http.StatusSwitchingProtocols}
	unpack(resp)
	return resp, nil
}

// because puts the end of ctx in the place of an error that follows from it.
func because(ctx context.Context, err error) error {
	ended := ctx.Err()
	if ended == nil {
		return err
	}
	if errors.As(err, new(*unsent)) {
		return &unsent{ended}
	}
	return ended
}

// link is an idle connection or a new one.
func (d *direct) link(ctx context.Context, to *url.URL) (*link, error) {
	for {
		l := d.take(to)
		if l == nil {
			return d.newLink(ctx, to)
		}
		if l.fresh(time.Now()) && l.quiet() {
			return l, nil
		}
		_ = l.Close()
	}
}

// take takes the idle connection that was used last; nil: there is none.
func (d *direct) take(to *url.URL) *link {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, l := range slices.Backward(d.idle) {
		if l.host == to.Host && l.scheme == to.Scheme {
			d.idle = slices.Delete(d.idle, i, i+1)
			return l
		}
	}
	return nil
}

func (d *direct) newLink(ctx context.Context, to *url.URL) (*link, error) {
	conn, err := d.dial(ctx, "tcp", net.JoinHostPort(to.Hostname(), cmp.Or(to.Port(), to.Scheme)))
	if err != nil {
		return nil, err
	}
	l := &link{pool: d, below: conn, scheme: to.Scheme, host: to.Host}
	if s, ok := conn.(syscall.Conn); ok {
		if l.raw, err = s.SyscallConn(); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	if to.Scheme == "https" {
		if conn, err = d.secure(ctx, conn, to.Hostname()); err != nil {
			return nil, err
		}
	}
	l.Conn = conn
	l.in = bufio.NewReaderSize(l, linkReadBuffer)
	return l, nil
}

// secure makes a TLS connection of conn, or closes it.
func (d *direct) secure(ctx context.Context, conn net.Conn, name string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	config := d.tls.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	config.ServerName, config.NextProtos = name, []string{"http/1.1"}
	c := tls.Client(conn, config)
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	err := c.HandshakeContext(ctx)
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(c.ConnectionState(), err)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// exchange writes a request and reads the header of its answer.
func (l *link) exchange(req *http.Request) (*http.Response, error) {
	head, err := l.encode(req)
	if err != nil {
		return nil, &unsent{err}
	}
	if err := req.Context().Err(); err != nil {
		return nil, &unsent{err}
	}
	n, failed := l.Write(l.out.Bytes())
	whole := l.out.Len()
	if l.out.Cap() > keptBuffer {
		l.out = bytes.Buffer{}
	}
	switch {
	case failed == nil:
		return l.readHeader(req)
	case n == 0 || n <= head && head < whole:
		return nil, &unsent{failed}
	}
	// A server that has no use for the rest may have answered, and hung up or not.
	if l.SetReadDeadline(time.Now().Add(lastLook)) != nil {
		return nil, failed
	}
	resp, err := l.readHeader(req)
	if err != nil {
		return nil, failed
	}
	resp.Close = true
	return resp, nil
}

// encode puts a request into l.out. It returns how much of that is before the body.
func (l *link) encode(req *http.Request) (head int, err error) {
	b := &l.out
	b.Reset()
	b.WriteString(req.Method + " " + req.URL.RequestURI() + " HTTP/1.1\r\nHost: " + withoutZone(req.URL.Host) + "\r\nAccept-Encoding: gzip\r\n")
	if req.ContentLength > 0 {
		b.WriteString("Content-Length: " + strconv.FormatInt(req.ContentLength, 10) + "\r\n")
	}
	_ = req.Header.Write(b) // a buffer takes all
	b.WriteString("\r\n")
	head = b.Len()
	if req.Body == nil {
		return head, nil
	}
	n, err := b.ReadFrom(req.Body)
	if err = errors.Join(err, req.Body.Close()); err == nil && n != req.ContentLength {
		err = errors.New("the body of the request is not as long as it should be")
	}
	return head, err
}

// withoutZone is a host as a server knows it: the zone of an IPv6 address is this machine's business.
func withoutZone(host string) string {
	if address, zone, ok := strings.Cut(host, "%"); ok {
		if i := strings.IndexByte(zone, ']'); i >= 0 {
			return address + zone[i:]
		}
	}
	return host
}

// readHeader reads the answer to its body, past what informs of it beforehand.
func (l *link) readHeader(req *http.Request) (*http.Response, error) {
	l.room = maxHeader
	if _, err := l.in.Peek(1); err != nil {
		return nil, err // as it is: io.EOF says that the server has closed the connection without a word
	}
	for {
		resp, err := http.ReadResponse(l.in, req)
		switch {
		case err != nil && l.room <= 0:
			return nil, errLongHeader // what net/http says is about a line that was cut
		case err != nil:
			return nil, err
		}
		if resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			l.room = 1<<63 - 1
			return resp, nil
		}
	}
}

// answerBody is the body of an answer. Read to its end it sets the connection free.
type answerBody struct {
	io.ReadCloser
	ctx  context.Context // of the request
	link *link           // nil: it is free, or closed
	stop func() bool
	last bool // the connection is of no use for another request
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	whole := errors.Is(err, io.EOF)
	b.release(whole && !b.last)
	if whole {
		return n, io.EOF
	}
	return n, because(b.ctx, err)
}

// Close closes the connection of a body that has not been read to its end: what is left of it may never come.
func (b *answerBody) Close() error {
	b.release(false)
	return nil
}

func (b *answerBody) release(reusable bool) {
	l := b.link
	if l == nil {
		return
	}
	b.link = nil
	if b.stop() && reusable {
		l.pool.put(l)
		return
	}
	_ = l.Close()
}

func (d *direct) put(l *link) {
	l.since = time.Now().Round(0)
	d.mu.Lock()
	d.idle = append(d.idle, l)
	var surplus *link
	if len(d.idle) > maxIdle {
		surplus = d.idle[0]
		d.idle = slices.Delete(d.idle, 0, 1)
	}
	if d.expiry == nil {
		d.expiry = time.AfterFunc(maxIdleTime, d.expire)
	}
	d.mu.Unlock()
	if surplus != nil {
		_ = surplus.Close()
	}
}

// expire closes what has been idle for too long, and comes again for the rest.
func (d *direct) expire() {
	now := time.Now()
	d.mu.Lock()
	fresh := slices.IndexFunc(d.idle, func(l *link) bool { return l.fresh(now) })
	if fresh < 0 {
		fresh = len(d.idle)
	}
	old := slices.Clone(d.idle[:fresh])
	d.idle = slices.Delete(d.idle, 0, fresh)
	d.expiry = nil
	if len(d.idle) > 0 {
		d.expiry = time.AfterFunc(d.idle[0].since.Add(maxIdleTime).Sub(now), d.expire)
	}
	d.mu.Unlock()
	for _, l := range old {
		_ = l.Close()
	}
}

// unpack has the body of an answer decompressed, as its header says it is compressed.
func unpack(resp *http.Response) {
	if !strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		return
	}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength, resp.Uncompressed = -1, true
	resp.Body = &unpacked{packed: resp.Body}
}

// unpacked begins to decompress when it is read.
type unpacked struct {
	packed io.ReadCloser
	gzip   *gzip.Reader
	err    error
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.gzip == nil && u.err == nil {
		u.gzip, u.err = gzip.NewReader(u.packed)
	}
	if u.err != nil {
		return 0, u.err
	}
	return u.gzip.Read(p)
}

func (u *unpacked) Close() error { return u.packed.Close() }
