package mcpspec

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
)

// A Tap is an http.RoundTripper that holds all that an MCP server says over Streamable HTTP and HTTP+SSE to the schema,
// whichever client is above it. Report gets what is wrong, at any time until the client is done.
type Tap struct {
	Transport http.RoundTripper
	Report    func(error)

	mu       sync.Mutex
	agreed   string                   // revision, by the last handshake; a client with several needs several taps
	sessions map[string]*Conversation // of HTTP+SSE, by the query of the address to post to
}

// RoundTrip implements http.RoundTripper.
func (t *Tap) RoundTrip(r *http.Request) (*http.Response, error) {
	c := new(Conversation)
	session := r.URL.RawQuery
	if strings.HasPrefix(session, "sessionId=") {
		c = t.session(session)
	} else if r.Method == http.MethodPost {
		c.Speaks(t.spoken(r))
	}
	if r.Body != nil && r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		c.Sent(body)
	}
	resp, err := t.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch kind := resp.Header.Get("Content-Type"); {
	case strings.HasPrefix(kind, "text/event-stream"):
		resp.Body = &reader{resp.Body, lines{hand: func(line []byte) { c = t.event(c, line) }}}
	case strings.HasPrefix(kind, "application/json") && r.Method == http.MethodPost:
		resp.Body = &reader{resp.Body, lines{hand: func(line []byte) { t.message(c, line) }}}
	}
	return resp, nil
}

// CloseIdleConnections closes those of the transport.
func (t *Tap) CloseIdleConnections() {
	if c, ok := t.Transport.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// spoken is the revision of a request, by its header or an earlier handshake.
func (t *Tap) spoken(r *http.Request) string {
	if said := r.Header.Get("Mcp-Protocol-Version"); said != "" {
		return said
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.agreed
}

func (t *Tap) session(query string) *Conversation {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sessions == nil {
		t.sessions = make(map[string]*Conversation)
	}
	if t.sessions[query] == nil {
		t.sessions[query] = new(Conversation)
	}
	return t.sessions[query]
}

// event takes a line of a stream, and returns whose the stream is.
func (t *Tap) event(c *Conversation, line []byte) *Conversation {
	data, ok := bytes.CutPrefix(line, []byte("data: "))
	if !ok {
		return c
	}
	if _, query, ok := bytes.Cut(data, []byte("?")); ok && data[0] == '/' {
		return t.session(string(query))
	}
	t.message(c, data)
	return c
}

func (t *Tap) message(c *Conversation, raw []byte) {
	if err := c.Received(raw); err != nil {
		t.Report(err)
	}
	if agreed := c.Agreed(); agreed != "" {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.agreed = agreed
	}
}

// Pipes taps the standard input and output of a server: what goes through what it returns is held to the schema.
func Pipes(in io.WriteCloser, out io.ReadCloser, report func(error)) (io.WriteCloser, io.ReadCloser) {
	c := new(Conversation)
	return &writer{in, lines{hand: c.Sent}},
		&reader{out, lines{hand: func(line []byte) {
			if err := c.Received(line); err != nil {
				report(err)
			}
		}}}
}

// A writer hands out each line that is written, and then hands it on.
type writer struct {
	io.WriteCloser
	lines
}

func (w *writer) Write(p []byte) (int, error) {
	w.add(p)
	return w.WriteCloser.Write(p)
}

// A reader hands on what it reads, and hands out each line of it.
type reader struct {
	io.ReadCloser
	lines
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.add(p[:n])
	if err == io.EOF {
		r.add([]byte("\n"))
	}
	return n, err
}

// lines hands out text by the line, without blank ones.
type lines struct {
	hand func([]byte)
	part []byte // of a line that is not yet whole
}

func (l *lines) add(text []byte) {
	l.part = append(l.part, text...)
	for {
		line, rest, whole := bytes.Cut(l.part, []byte("\n"))
		if !whole {
			return
		}
		l.part = rest
		if line = bytes.TrimSpace(line); len(line) > 0 {
			l.hand(line)
		}
	}
}
