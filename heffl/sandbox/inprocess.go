package sandbox

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
)

// inProcess is an HTTP server and a client that talk over in-memory connections.
type inProcess struct {
	server    *http.Server
	client    *http.Client
	transport *http.Transport
}

// HTTPClient returns a client whose requests all reach this sandbox, by real HTTP over connections in memory: no port is
// opened, and no request leaves the process, whatever its address; [BaseURL] is the one to use. The first call starts the
// server, Close ends it; after Close every request fails. All calls return the same client.
func (s *Sandbox) HTTPClient() *http.Client {
	s.closing.Lock()
	p := s.inProcess
	if p == nil {
		p = s.newInProcess()
		s.inProcess = p
	}
	s.closing.Unlock()
	return p.client
}

// newInProcess wants s.closing held, so that Close sees either no server or one that serves.
func (s *Sandbox) newInProcess() *inProcess {
	l := &pipeListener{conns: make(chan net.Conn), closed: s.closed}
	t := &http.Transport{DialContext: l.dial, MaxIdleConnsPerHost: 16}
	p := &inProcess{
		server:    &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0)},
		client:    &http.Client{Transport: t},
		transport: t,
	}
	s.start(func() { _ = p.server.Serve(l) }) // always an error, and never news: it ends with Close
	return p
}

func (p *inProcess) close() error {
	err := p.server.Close()
	p.transport.CloseIdleConnections()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// pipeListener hands one end of a net.Pipe to whoever dials and the other to the server.
type pipeListener struct {
	conns  chan net.Conn
	closed <-chan struct{}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Accept waits for the next dial.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close has nothing to do: the sandbox's own Close ends the listener.
func (l *pipeListener) Close() error { return nil }

// Addr is the address of either end of a net.Pipe.
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "sandbox" }
