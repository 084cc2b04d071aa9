package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// A caller makes one deal, and returns when it has the answer. It may be used by many at once.
type caller func(ctx context.Context) error

const (
	initialize  = `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"
)

func createDeal(arguments []byte) []byte {
	return wrap(`{"name":"create_deal","arguments":`, arguments, `}`)
}

func wrap(before string, b []byte, after string) []byte {
	return append(append(append(make([]byte, 0, len(before)+len(b)+len(after)), before...), b...), after...)
}

// made is an error unless a reply says that a deal was made. It does not decode the reply: that would cost as much as
// what is measured.
func made(reply []byte) error {
	if bytes.Contains(reply, []byte(`"isError":true`)) || !bytes.Contains(reply, []byte(`dl_`)) {
		return fmt.Errorf("no deal was made: %.600s", reply)
	}
	return nil
}

// direct is a caller that posts to the API itself, over connections that are kept.
func direct(url string, connections int) (caller, func()) {
	t := &http.Transport{MaxIdleConnsPerHost: connections}
	c := &http.Client{Transport: t}
	return func(ctx context.Context) error {
		reply, err := post(ctx, c, url+"/deals", nextDeal(), nil)
		if err != nil {
			return err
		}
		return made(reply)
	}, t.CloseIdleConnections
}

func post(ctx context.Context, c *http.Client, url string, body []byte, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("X-Api-Key", "key")
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s answered %d: %.300s", url, resp.StatusCode, reply)
	}
	return reply, err
}

// A conversation matches replies that come in any order to who waits for them.
type conversation struct {
	send  func(ctx context.Context, message []byte) error
	ended chan struct{} // closed when nothing more is read
	err   error         // why; to be read after ended

	mu      sync.Mutex
	last    int64
	waiting map[int64]chan []byte
}

func newConversation() *conversation {
	return &conversation{ended: make(chan struct{}), waiting: map[int64]chan []byte{}}
}

// ask sends a request, and waits for the reply to it.
func (c *conversation) ask(ctx context.Context, method string, params []byte) ([]byte, error) {
	reply := make(chan []byte, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	c.waiting[id] = reply
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
	}()
	if err := c.send(ctx, request(id, method, params)); err != nil {
		return nil, err
	}
	select {
	case r := <-reply:
		return r, nil
	case <-c.ended:
		return nil, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func request(id int64, method string, params []byte) []byte {
	return wrap(`{"jsonrpc":"2.0","id":`+strconv.FormatInt(id, 10)+`,"method":"`+method+`","params":`, params, "}\n")
}

// readAll hands out what next returns until that fails.
func (c *conversation) readAll(next func() ([]byte, error)) {
	defer close(c.ended)
	for {
		reply, err := next()
		if err != nil {
			c.err = fmt.Errorf("the server's output has ended: %w", err)
			return
		}
		if id, ok := idOf(reply); ok {
			c.mu.Lock()
			waits := c.waiting[id]
			c.mu.Unlock()
			if waits != nil {
				waits <- reply
			}
		}
	}
}

// idOf is the id of a reply. Servers write it near the start.
func idOf(reply []byte) (int64, bool) {
	if rest, ok := bytes.CutPrefix(reply, []byte(`{"jsonrpc":"2.0","id":`)); ok {
		if n := bytes.IndexByte(rest, ','); n > 0 {
			id, err := strconv.ParseInt(string(rest[:n]), 10, 64)
			return id, err == nil
		}
	}
	var r struct{ ID *int64 }
	if json.Unmarshal(reply, &r) != nil || r.ID == nil {
		return 0, false // a notification
	}
	return *r.ID, true
}

func (c *conversation) call(ctx context.Context) error {
	reply, err := c.ask(ctx, "tools/call", createDeal(nextDeal()))
	if err != nil {
		return err
	}
	return made(reply)
}

// overStdio opens a conversation with a program: it returns when initialize is answered.
func overStdio(ctx context.Context, p *program) (*conversation, error) {
	c := newConversation()
	var writing sync.Mutex
	c.send = func(_ context.Context, message []byte) error {
		writing.Lock()
		defer writing.Unlock()
		_, err := p.in.Write(message)
		return err
	}
	go c.readAll(func() ([]byte, error) { return p.out.ReadBytes('\n') })
	if _, err := c.ask(ctx, "initialize", []byte(initialize)); err != nil {
		log, _ := p.log.read()
		return nil, fmt.Errorf("initialize: %w; %s", err, log)
	}
	return c, c.send(ctx, []byte(initialized))
}

// overStreamable opens a session of Streamable HTTP, with a connection of its own.
func overStreamable(ctx context.Context, url string, header http.Header) (caller, func(), error) {
	t := &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}
	c := &http.Client{Transport: t}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/mcp", bytes.NewReader(request(1, "initialize", []byte(initialize))))
	if err != nil {
		return nil, nil, err
	}
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := c.Do(req)
	if err != nil {
		return nil, nil, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("initialize over HTTP was answered %d", resp.StatusCode)
	}
	h := header.Clone()
	h.Set("Mcp-Protocol-Version", "2025-06-18")
	if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
		h.Set("Mcp-Session-Id", id)
	}
	if _, err := post(ctx, c, url+"/mcp", []byte(initialized), h); err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) error {
		reply, err := post(ctx, c, url+"/mcp", request(2, "tools/call", createDeal(nextDeal())), h)
		if err != nil {
			return err
		}
		return made(reply)
	}, t.CloseIdleConnections, nil
}

// overSSE opens a session of HTTP+SSE.
func overSSE(ctx context.Context, url string, header http.Header) (caller, func(), error) {
	t := &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}
	client := &http.Client{Transport: t}
	ctx, cancel := context.WithCancel(ctx)
	end := func() { cancel(); t.CloseIdleConnections() }
	stream, err := openSSE(ctx, client, url, header)
	if err != nil {
		end()
		return nil, nil, err
	}
	events := bufio.NewReaderSize(stream, 64<<10)
	at, err := nextEvent(events)
	if err != nil {
		end()
		return nil, nil, err
	}
	to := string(at)
	if strings.HasPrefix(to, "/") {
		to = url + to
	}
	c := newConversation()
	c.send = func(ctx context.Context, message []byte) error {
		_, err := post(ctx, client, to, message, header)
		return err
	}
	go func() {
		defer stream.Close()
		c.readAll(func() ([]byte, error) { return nextEvent(events) })
	}()
	if _, err := c.ask(ctx, "initialize", []byte(initialize)); err != nil {
		end()
		return nil, nil, err
	}
	if err := c.send(ctx, []byte(initialized)); err != nil {
		end()
		return nil, nil, err
	}
	return c.call, end, nil
}

func openSSE(ctx context.Context, client *http.Client, url string, header http.Header) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/sse", nil)
	if err != nil {
		return nil, err
	}
	req.Header = header.Clone()
	req.Header.Set("Accept", "text/event-stream")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("GET /sse was answered %d", resp.StatusCode), resp.Body.Close())
	}
	return resp.Body, nil
}

// nextEvent is the data of the next event of a stream.
func nextEvent(r *bufio.Reader) ([]byte, error) {
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			return bytes.TrimSpace(data), nil
		}
	}
}
