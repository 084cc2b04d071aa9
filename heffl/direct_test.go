package heffl

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func (d *direct) closeIdle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.idle {
		l.Close()
	}
	d.idle = nil
	if d.expiry != nil {
		d.expiry.Stop()
	}
}

// breaking takes so many bytes, and then fails.
type breaking struct {
	net.Conn
	left int
}

var errBroken = errors.New("broken")

func (c *breaking) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	if n < len(p) {
		return n, errBroken
	}
	return n, nil
}

func (c *breaking) Read([]byte) (int, error) { return 0, errBroken }

// How much of a request has left when the connection breaks says whether it can have been carried out.
func TestHowMuchHasLeft(t *testing.T) {
	t.Parallel()
	sent := func(room int) (Effect, error) {
		c := &Client{BaseURL: "http://localhost", Key: testKey, HTTP: &http.Client{Transport: own(t, func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			far.Close()
			return &breaking{near, room}, nil
		})}}
		_, err := c.CreateDeal(t.Context(), deal)
		return EffectOf(err), err
	}
	near, far := net.Pipe()
	measured := make(chan int)
	go func() {
		r := bufio.NewReader(far)
		n := 0
		for line := ""; line != "\r\n"; n += len(line) {
			line, _ = r.ReadString('\n')
		}
		far.Close()
		measured <- n
	}()
	c := &Client{BaseURL: "http://localhost", Key: testKey, HTTP: &http.Client{Transport: own(t, func(context.Context, string, string) (net.Conn, error) { return near, nil })}}
	c.CreateDeal(t.Context(), deal)
	head := <-measured
	size := head + len(deal)
	for _, test := range []struct {
		room int
		want Effect
	}{{0, EffectNone}, {1, EffectNone}, {head - 1, EffectNone}, {head, EffectNone}, {head + 1, EffectPending}, {size - 1, EffectPending}, {size, EffectPending}} {
		if got, err := sent(test.room); got != test.want || !errors.Is(err, errBroken) {
			t.Errorf("%d of %d bytes have left (%d before the body): %v, effect %v; want effect %v", test.room, size, head, err, got, test.want)
		}
	}
}

// A server that has closed a connection, or has said something that nobody asked for, gets no request on it.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]string{"closed": "", "timed out": "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var conns, requests atomic.Int32
			left := make(chan struct{}, 2)
			c := raw(t, func(conn net.Conn) {
				conns.Add(1)
				readRequest(conn)
				requests.Add(1)
				io.WriteString(conn, made+last)
				conn.(*net.TCPConn).CloseWrite()
				left <- struct{}{}
				io.Copy(io.Discard, conn)
			})
			for range 2 {
				if _, err := c.CreateDeal(t.Context(), deal); err != nil {
					t.Fatal(err)
				}
				<-left
			}
			if conns.Load() != 2 || requests.Load() != 2 {
				t.Errorf("%d requests on %d connections, want 2 on 2", requests.Load(), conns.Load())
			}
		})
	}
}

// A server may answer before it has read all, and hang up.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	c := &Client{BaseURL: "http://localhost", Key: testKey, HTTP: &http.Client{Transport: own(t, func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			io.ReadFull(far, make([]byte, 400)) // more than the header
			io.WriteString(far, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
		}()
		return hungUp{near}, nil
	})}}
	_, err := c.CreateDeal(t.Context(), []byte(`{"title":"`+strings.Repeat("x", 10_000)+`"}`))
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != 413 {
		t.Errorf("CreateDeal = %v, want status 413", err)
	}
}

// hungUp fails to write more than the beginning, but what has come can be read.
type hungUp struct{ net.Conn }

func (c hungUp) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:min(len(p), 400)])
	if err == nil && n < len(p) {
		err = errBroken
	}
	return n, err
}

func TestLongHeaderOfAnswer(t *testing.T) {
	t.Parallel()
	for name, words := range map[string]string{
		"one line":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20),
		"many lines": "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: 1\r\n", 1<<17),
		"many 1xx":   strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1<<15),
	} {
		_, err := raw(t, say(words)).CreateDeal(t.Context(), deal)
		if !errors.Is(err, errLongHeader) || EffectOf(err) != EffectPending {
			t.Errorf("%s: CreateDeal = %v, effect %v; want %v, pending", name, err, EffectOf(err), errLongHeader)
		}
	}
}

// Connections are kept for the next request, a few and for a while.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var open, dialed atomic.Int32
		d := &direct{dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			open.Add(1)
			dialed.Add(1)
			go func() {
				defer open.Add(-1)
				defer far.Close()
				each(far, func(*http.Request) string {
					time.Sleep(time.Second) // so that all requests are on their way at once
					return made
				})
			}()
			return near, nil
		}}
		defer d.closeIdle()
		c := &Client{BaseURL: "http://localhost", Key: testKey, HTTP: &http.Client{Transport: d}}
		many := func(n int) {
			done := make(chan error, n)
			for range n {
				go func() { _, err := c.CreateDeal(t.Context(), deal); done <- err }()
			}
			for range n {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
		}
		many(maxIdle + 4)
		if open.Load() != maxIdle || dialed.Load() != maxIdle+4 {
			t.Errorf("%d of %d connections are open, want %d of %d", open.Load(), dialed.Load(), maxIdle, maxIdle+4)
		}
		time.Sleep(maxIdleTime / 2)
		many(1)
		if dialed.Load() != maxIdle+4 {
			t.Error("another connection was made though some were idle")
		}
		time.Sleep(maxIdleTime/2 + time.Second)
		synctest.Wait()
		if open.Load() != 1 {
			t.Errorf("%d connections are open, want the one that was used last", open.Load())
		}
		time.Sleep(maxIdleTime)
		synctest.Wait()
		if open.Load() != 0 || d.expiry != nil {
			t.Errorf("%d connections are open, want none and no timer", open.Load())
		}
	})
}

// Where there is a proxy, the request leaves by way of it; where its address is bad, not at all.
func TestProxy(t *testing.T) {
	t.Parallel()
	var through atomic.Int32
	by := roundTrip(func(*http.Request) (*http.Response, error) {
		through.Add(1)
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"id":"dl_1"}`))}, nil
	})
	nowhere := func(context.Context, string, string) (net.Conn, error) { return nil, errBroken }
	for name, test := range map[string]struct {
		via  *url.URL
		err  error
		want error
	}{
		"proxy":      {via: &url.URL{Scheme: "http", Host: "proxy.example"}},
		"none":       {want: errBroken},
		"no address": {err: io.ErrNoProgress, want: io.ErrNoProgress},
	} {
		d := &direct{dial: nowhere, proxy: func(*http.Request) (*url.URL, error) { return test.via, test.err }, proxied: by}
		_, err := (&Client{Key: testKey, HTTP: &http.Client{Transport: d}}).CreateDeal(t.Context(), deal)
		if !errors.Is(err, test.want) || EffectOf(err) != EffectNone && err != nil {
			t.Errorf("%s: CreateDeal = %v, effect %v; want %v", name, err, EffectOf(err), test.want)
		}
	}
	if through.Load() != 1 {
		t.Errorf("%d requests by way of the proxy, want 1", through.Load())
	}
}

// gathering holds back what is written until the other side is waited for, so that it leaves in one piece.
type gathering struct {
	net.Conn
	held []byte
}

func (g *gathering) Write(p []byte) (int, error) {
	g.held = append(g.held, p...)
	return len(p), nil
}

func (g *gathering) Read(p []byte) (int, error) {
	g.Conn.Write(g.held)
	g.held = nil
	return g.Conn.Read(p)
}

// overTLS starts a server that does as it is told with each connection, and returns a client of it.
func overTLS(t *testing.T, talk func(net.Conn)) *Client {
	t.Helper()
	keys := httptest.NewUnstartedServer(nil)
	keys.StartTLS()
	t.Cleanup(keys.Close)
	c := raw(t, func(conn net.Conn) {
		secured := tls.Server(&gathering{Conn: conn}, keys.TLS.Clone())
		if secured.Handshake() == nil {
			talk(secured)
		}
	})
	c.BaseURL = strings.Replace(c.BaseURL, "http:", "https:", 1)
	roots := x509.NewCertPool()
	roots.AddCert(keys.Certificate())
	c.HTTP.Transport.(*direct).tls = &tls.Config{RootCAs: roots}
	return c
}

// What a server says beyond an answer is not taken for the next one, wherever it waits to be read.
func TestMoreThanAnAnswer(t *testing.T) {
	t.Parallel()
	answers := func(status, id string, pad int) string {
		body := fmt.Sprintf(`{"id":%q,"data":[],"pad":%q}`, id, strings.Repeat("x", pad))
		return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
	for _, pad := range []int{0, 12_000} {
		for _, more := range []string{answers("201 Created", "dl_other", 0), answers("400 Bad Request", "", 0), "x"} {
			for _, records := range []int{1, 2} {
				var n atomic.Int32
				c := overTLS(t, func(conn net.Conn) {
					each(conn, func(*http.Request) string {
						said := answers("201 Created", fmt.Sprintf("dl_%d", n.Add(1)), pad)
						if records == 1 {
							return said + more
						}
						io.WriteString(conn, said)
						return more
					})
				})
				for i := range 3 {
					r, err := c.CreateDeal(t.Context(), deal)
					if want := fmt.Sprintf("dl_%d", i+1); err != nil || r.ID() != want {
						t.Errorf("after %d bytes and %.20q in %d records: CreateDeal = %v, %v; want %s", pad, more, records, r, err, want)
					}
				}
			}
		}
	}
}

// While a machine sleeps its timers and its clocks stand still, but for that on the wall.
func TestConnectionOfBeforeSleep(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	c := raw(t, func(conn net.Conn) {
		conns.Add(1)
		each(conn, func(*http.Request) string { return made })
	})
	d := c.HTTP.Transport.(*direct)
	for asleep, want := range []int32{1, 1, 2} {
		if asleep == 2 {
			d.mu.Lock()
			d.idle[0].since = d.idle[0].since.Add(-time.Hour)
			d.mu.Unlock()
		}
		if _, err := c.CreateDeal(t.Context(), deal); err != nil || conns.Load() != want {
			t.Errorf("request %d: %v on %d connections, want %d", asleep+1, err, conns.Load(), want)
		}
	}
}

// A server that answers, and neither reads the rest of a long request nor hangs up, has answered.
func TestEarlyAnswerOfAStubbornServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &direct{dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			answered := make(chan struct{})
			go func() {
				io.ReadFull(far, make([]byte, 400)) // more than the header
				io.WriteString(far, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
				close(answered)
			}()
			go func() { <-t.Context().Done(); <-answered; far.Close() }()
			return near, nil
		}}
		c := &Client{BaseURL: "http://localhost", Key: testKey, Timeout: 3 * time.Second, HTTP: &http.Client{Transport: d}}
		began := time.Now()
		_, err := c.CreateDeal(t.Context(), []byte(`{"title":"`+strings.Repeat("x", 10_000)+`"}`))
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != 413 || time.Since(began) > 3*time.Second+lastLook {
			t.Errorf("CreateDeal = %v after %v, want status 413", err, time.Since(began))
		}
	})
}

// TLS would say goodbye to who does not read, and wait for it.
func TestGivingUpIsPrompt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := overTLS(t, func(conn net.Conn) {
		conn.Read(make([]byte, 1000)) // more than the header
		cancel()
		<-t.Context().Done()
	})
	closed := make(chan struct{})
	d := c.HTTP.Transport.(*direct)
	dialer := d.dial
	d.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer(ctx, network, address)
		return &farewell{conn, closed}, err
	}
	_, err := c.CreateDeal(ctx, []byte(`{"title":"`+strings.Repeat("x", 16<<20)+`"}`))
	if !errors.Is(err, context.Canceled) || EffectOf(err) != EffectPending {
		t.Errorf("CreateDeal = %v, effect %v; want Canceled, pending", err, EffectOf(err))
	}
	select {
	case <-closed:
	default:
		t.Error("CreateDeal returned before the connection was closed")
	}
}

// farewell holds that nothing is written to a connection between the last failed write and its end.
type farewell struct {
	net.Conn
	closed chan struct{}
}

func (f *farewell) SetWriteDeadline(at time.Time) error {
	if at.After(time.Now()) { // as TLS does for its goodbye
		panic("time is given to a last write")
	}
	return f.Conn.SetWriteDeadline(at)
}

func (f *farewell) Close() error {
	close(f.closed)
	return f.Conn.Close()
}

// Over TLS the name of the server is held to its certificate, and connections are kept too.
func TestTLS(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(answer(200, "application/json", `{"id":"dl_1"}`))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.EnableHTTP2 = true
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	d := &direct{dial: new(net.Dialer).DialContext, tls: &tls.Config{RootCAs: roots}}
	t.Cleanup(d.closeIdle)
	c := &Client{BaseURL: s.URL, Key: testKey, HTTP: &http.Client{Transport: d}}
	for range 3 {
		if _, err := c.CreateDeal(t.Context(), deal); err != nil {
			t.Fatal(err)
		}
	}
	if conns.Load() != 1 {
		t.Errorf("3 requests took %d connections, want 1", conns.Load())
	}
	c.BaseURL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	_, err := c.CreateDeal(t.Context(), deal)
	if _, ok := errors.AsType[x509.HostnameError](err); !ok || EffectOf(err) != EffectNone {
		t.Errorf("under another name: CreateDeal = %v, effect %v; want a hostname error, none", err, EffectOf(err))
	}
}
