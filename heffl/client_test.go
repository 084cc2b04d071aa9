package heffl

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testKey = "heffl_user_s3cr3t"

var deal = json.RawMessage(`{"title":"Northwind rollout","clientId":"clt_1","pipelineId":"dpl_1"}`)

// serve starts a server and returns a client of it, whose connections are its own.
func serve(t testing.TB, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &Client{BaseURL: s.URL, Key: testKey, HTTP: &http.Client{Transport: own(t, new(net.Dialer).DialContext)}}
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

// A carrier makes a way on which requests leave, over the connections of one dialer.
type carrier func(testing.TB, dial) http.RoundTripper

// own makes connections for one test.
func own(t testing.TB, by dial) http.RoundTripper {
	d := &direct{dial: by}
	t.Cleanup(d.closeIdle)
	return d
}

// standard is own of net/http, which is sent through where there is a proxy, or a client asks for it.
func standard(t testing.TB, by dial) http.RoundTripper {
	transport := &http.Transport{DialContext: by}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// carriers are the ways on which requests leave. What is known of a request must be true on all.
var carriers = map[string]carrier{"direct": own, "net/http": standard}

// answer is a server that always says the same.
func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// raw starts a server that does as it is told with each connection, and then closes it.
func raw(t *testing.T, talk func(net.Conn)) *Client { return rawOver(t, own, talk) }

func rawOver(t *testing.T, by carrier, talk func(net.Conn)) *Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				talk(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return &Client{BaseURL: "http://" + l.Addr().String(), Key: testKey, HTTP: &http.Client{Transport: by(t, new(net.Dialer).DialContext)}}
}

// readRequest reads one request with its body.
func readRequest(conn net.Conn) {
	if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		io.Copy(io.Discard, r.Body)
	}
}

// overAll is a subtest for each way on which requests leave.
func overAll(t *testing.T, name string, f func(*testing.T, carrier)) {
	for way, by := range carriers {
		t.Run(name+"/"+way, func(t *testing.T) { f(t, by) })
	}
}

// made is the answer to a deal, in full.
const made = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"id\":\"dl_1\"}"

// each answers the requests of a connection, one after the other, with what say has it say. With nothing to say it hangs up.
func each(conn net.Conn, say func(*http.Request) string) {
	for in := bufio.NewReader(conn); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		said := say(r)
		if said == "" {
			return
		}
		io.WriteString(conn, said)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCreateDealSendsAndReturnsExactBytes(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		string(deal),
		`{"price":12345678901234.56,"cf_n":9007199254740993,"cf_e":1e2,"cf_z":0.10,"id":"dl_1"}`,
		`{"title":"Zürich 東京 \ud83d\ude80 🚀 <&> \u0000","stageId":null,"id":"dl_1"}`,
		"{ \"id\" : \"dl_1\" ,\n\t\"id2\": -0.0 }\n",
	} {
		want := strings.Replace(body, "{", `{"data":{"id":"dl_2"},`, 1)
		var got []byte
		var head *http.Request
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			got, _ = io.ReadAll(r.Body)
			head = r
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, want)
		})
		c.BaseURL += "/api/v2/" // a slash at the end does no harm
		resp, err := c.CreateDeal(t.Context(), json.RawMessage(body))
		if err != nil {
			t.Fatalf("CreateDeal(%s) = %v", body, err)
		}
		if string(got) != body {
			t.Errorf("CreateDeal(%s) sent %s", body, got)
		}
		if string(resp.Body) != want || resp.Status != http.StatusCreated || resp.Header.Get("Date") == "" {
			t.Errorf("CreateDeal(%s) = %d %s, date %q; want 201 %s and a date", body, resp.Status, resp.Body, resp.Header.Get("Date"), want)
		}
		if line := head.Method + " " + head.URL.String(); line != "POST /api/v2/deals" {
			t.Errorf("request is %q, want POST /api/v2/deals", line)
		}
		if head.ContentLength != int64(len(body)) {
			t.Errorf("Content-Length = %d, want %d", head.ContentLength, len(body))
		}
		head.Header.Del("Content-Length")
		wantHead := http.Header{
			"Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "Content-Type": {"application/json"},
			"User-Agent": {"heffl-mcp"}, "X-Api-Key": {testKey},
		}
		if diff := cmp.Diff(wantHead, head.Header); diff != "" {
			t.Errorf("request header (-want +got):\n%s", diff)
		}
	}
}

func TestResponseID(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"id":"dl_1"}`:                       "dl_1",
		`{"data":{"id":"dl_2"}}`:              "dl_2",
		`{"id":"dl_1","data":{"id":"dl_2"}}`:  "dl_1",
		`{"id":null,"data":{"id":"dl_2"}}`:    "dl_2",
		`{"id":"","data":{"id":"dl_2"}}`:      "dl_2",
		`{"ID":"dl_3"}`:                       "",
		`{"id":"dl_1","ID":"other"}`:          "dl_1",
		`{"id":7}`:                            "",
		`{"data":[{"id":"dl_1"}]}`:            "",
		`{"id":"dl_1"`:                        "",
		`[{"id":"dl_1"}]`:                     "",
		`null`:                                "",
		``:                                    "",
		`{"id":"dl_1","title":{"wrong":[1]}}`: "dl_1",
	} {
		if got := (&Response{Body: json.RawMessage(body)}).ID(); got != want {
			t.Errorf("ID of %s = %q, want %q", body, got, want)
		}
	}
}

// A failed connection: the error says whether the request can have been carried out.
func TestConnectionFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		talk   func(net.Conn)
		effect Effect
		cause  error // nil: any
	}{
		{"closed after the first byte", func(c net.Conn) { c.Read(make([]byte, 1)) }, EffectPending, nil},
		{"closed after the request", readRequest, EffectPending, io.EOF},
		{"half a header", say("HTTP/1.1 200 OK\r\nContent-Le"), EffectPending, nil},
		{"half the headers", say("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n"), EffectPending, io.ErrUnexpectedEOF},
		{"only a 1xx", say("HTTP/1.1 103 Early Hints\r\n\r\n"), EffectPending, nil},
		{"not HTTP", say("220 mail.example ESMTP\r\n"), EffectPending, nil},
		{"half a body", say("HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{\"id\":\"dl_1\""), EffectDone, io.ErrUnexpectedEOF},
		{"half a chunked body", say("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{\"id\":\"dl_1\""), EffectDone, io.ErrUnexpectedEOF},
		{"half a body without length", say("HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n{\"id\":\"dl_1\""), EffectDone, ErrNotJSON},
		{"broken gzip", say("HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"), EffectDone, nil},
	}
	for _, test := range tests {
		overAll(t, test.name, func(t *testing.T, by carrier) {
			t.Parallel()
			resp, err := rawOver(t, by, test.talk).CreateDeal(t.Context(), deal)
			if resp != nil || EffectOf(err) != test.effect {
				t.Errorf("CreateDeal = %v, %v; effect %v, want an error of effect %v", resp, err, EffectOf(err), test.effect)
			}
			if _, ok := errors.AsType[*BodyError](err); ok != (test.effect == EffectDone) {
				t.Errorf("error is %T", err)
			}
			if test.cause != nil && !errors.Is(err, test.cause) {
				t.Errorf("errors.Is(%v, %v) = false", err, test.cause)
			}
		})
	}
}

func say(answer string) func(net.Conn) {
	return func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, answer)
	}
}

func TestInformationalAnswersAreSkipped(t *testing.T) {
	t.Parallel()
	c := raw(t, say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"id\":\"dl_1\"}"))
	if resp, err := c.CreateDeal(t.Context(), deal); err != nil || resp.ID() != "dl_1" {
		t.Errorf("CreateDeal = %v, %v; want dl_1", resp, err)
	}
}

func TestSwitchedProtocolIsAnError(t *testing.T) {
	t.Parallel()
	c := raw(t, func(conn net.Conn) {
		say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")(conn)
		io.Copy(io.Discard, conn) // until the client hangs up
	})
	_, err := c.CreateDeal(t.Context(), deal)
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != 101 || EffectOf(err) != EffectUnknown {
		t.Errorf("CreateDeal = %v, effect %v; want status 101, effect unknown", err, EffectOf(err))
	}
}

func TestRefusedConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	held, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	// The near end of a connection is an address that nobody listens on and nobody else can take.
	c := &Client{BaseURL: "http://" + held.LocalAddr().String(), Key: testKey}
	_, err = c.CreateDeal(t.Context(), deal)
	_, isOp := errors.AsType[*net.OpError](err)
	if EffectOf(err) != EffectNone || !isOp || !strings.HasPrefix(err.Error(), "POST /deals: not sent: ") {
		t.Errorf("CreateDeal = %v, effect %v; want a *net.OpError, not sent", err, EffectOf(err))
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	defer s.Close()
	_, err := (&Client{BaseURL: s.URL, Key: testKey}).CreateDeal(t.Context(), deal)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok || EffectOf(err) != EffectNone || calls.Load() != 0 {
		t.Errorf("CreateDeal = %v, effect %v, %d calls; want an unknown authority, not sent", err, EffectOf(err), calls.Load())
	}
}

// silent is a client, in a synctest bubble, of a server that says something and then no more.
func silent(t *testing.T, by carrier, words string) *Client {
	transport := by(t, func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			readRequest(far)
			io.WriteString(far, words)
			io.Copy(io.Discard, far) // until the client hangs up
		}()
		return near, nil
	})
	return &Client{BaseURL: "http://localhost", Key: testKey, HTTP: &http.Client{Transport: transport}}
}

const halfABody = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"

func TestTimeout(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		words  string
		set    func(*Client)
		after  time.Duration
		effect Effect
	}{
		{"default", "", func(*Client) {}, 20 * time.Second, EffectPending},
		{"own", "", func(c *Client) { c.Timeout = 3 * time.Second }, 3 * time.Second, EffectPending},
		{"of the HTTP client", "", func(c *Client) { c.HTTP.Timeout = time.Second }, time.Second, EffectPending},
		{"longer one of the HTTP client", "", func(c *Client) { c.HTTP.Timeout = time.Hour }, 20 * time.Second, EffectPending},
		{"in the header", "HTTP/1.1 200", func(*Client) {}, 20 * time.Second, EffectPending},
		{"in the body", halfABody, func(*Client) {}, 20 * time.Second, EffectDone},
		{"in the body of a refusal", "HTTP/1.1 409 Conflict\r\nContent-Length: 99\r\n\r\n{", func(*Client) {}, 20 * time.Second, EffectNone},
	}
	for _, test := range tests {
		overAll(t, test.name, func(t *testing.T, by carrier) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := silent(t, by, test.words)
				test.set(c)
				start := time.Now()
				_, err := c.CreateDeal(t.Context(), deal)
				if took := time.Since(start); took != test.after {
					t.Errorf("gave up after %v, want %v", took, test.after)
				}
				if EffectOf(err) != test.effect {
					t.Errorf("CreateDeal = %v, effect %v; want effect %v", err, EffectOf(err), test.effect)
				}
				if test.effect != EffectNone && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("CreateDeal = %v; want DeadlineExceeded", err)
				}
			})
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	reason := errors.New("the user changed her mind")
	for words, effect := range map[string]Effect{"": EffectPending, halfABody: EffectDone} {
		overAll(t, words, func(t *testing.T, by carrier) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				c := silent(t, by, words)
				start := time.Now()
				time.AfterFunc(time.Second, func() { cancel(reason) })
				_, err := c.CreateDeal(ctx, deal)
				if took := time.Since(start); took != time.Second {
					t.Errorf("returned after %v, want 1s", took)
				}
				if !errors.Is(err, context.Canceled) || EffectOf(err) != effect {
					t.Errorf("CreateDeal(canceled, after %q) = %v, effect %v; want Canceled, effect %v", words, err, EffectOf(err), effect)
				}
			})
		})
	}
}

func TestCancelBeforeSending(t *testing.T) {
	t.Parallel()
	c := serve(t, answer(200, "application/json", `{"id":"dl_1"}`))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.CreateDeal(ctx, deal)
	if !errors.Is(err, context.Canceled) || EffectOf(err) != EffectNone {
		t.Errorf("CreateDeal(canceled) = %v, effect %v; want Canceled, effect none", err, EffectOf(err))
	}
}

// Once CreateDeal has returned, no more of its request leaves: neither after "nothing was sent",
// nor after an answer that came before the whole request was read.
func TestNothingLeavesAfterwards(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{errors.New("given up"), nil} {
		var late io.Reader
		c := &Client{Key: testKey, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			late = r.Body
			return &http.Response{StatusCode: 400, Body: http.NoBody}, failure
		})}}
		_, err := c.CreateDeal(t.Context(), deal)
		if EffectOf(err) != EffectNone {
			t.Errorf("effect of %v = %v, want none", err, EffectOf(err))
		}
		if b, readErr := io.ReadAll(late); len(b) > 0 || readErr == nil {
			t.Errorf("after %v the transport read %q, %v; want nothing and an error", err, b, readErr)
		}
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

func TestBodyIsClosed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{101, 200, 400} {
		for _, max := range []int64{1, 100} {
			body := &closer{Reader: strings.NewReader(`{"id":"dl_1"}`)}
			c := &Client{MaxResponse: max, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Body: body}, nil
			})}}
			c.CreateDeal(t.Context(), deal)
			if !body.closed {
				t.Errorf("CreateDeal(status %d, limit %d) left the body open", status, max)
			}
		}
	}
}

// The transport gets nothing that it could send a second request with.
func TestTransportCannotReplay(t *testing.T) {
	t.Parallel()
	c := &Client{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.GetBody != nil || r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil {
			t.Errorf("the transport may send the request again: GetBody set %t, header %v", r.GetBody != nil, r.Header)
		}
		if r.Header["X-Api-Key"] != nil {
			t.Errorf("without a key the header is %q, want none", r.Header["X-Api-Key"])
		}
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"id":"dl_1"}`))}, nil
	})}}
	if _, err := c.CreateDeal(t.Context(), deal); err != nil {
		t.Error(err)
	}
}

// A server that closes a connection kept alive, having read the request, has perhaps carried it out.
func TestDroppedKeepAliveIsNotReplayed(t *testing.T) {
	t.Parallel()
	overAll(t, "", testDroppedKeepAlive)
}

func testDroppedKeepAlive(t *testing.T, by carrier) {
	var requests, conns atomic.Int32
	c := rawOver(t, by, func(conn net.Conn) {
		conns.Add(1)
		each(conn, func(*http.Request) string {
			if requests.Add(1) == 2 {
				return ""
			}
			return made
		})
	})
	if _, err := c.CreateDeal(t.Context(), deal); err != nil {
		t.Fatal(err)
	}
	_, err := c.CreateDeal(t.Context(), deal)
	if EffectOf(err) != EffectPending || requests.Load() != 2 || conns.Load() != 1 {
		t.Errorf("CreateDeal = %v, effect %v, after %d requests on %d connections; want effect pending after 2 on 1",
			err, EffectOf(err), requests.Load(), conns.Load())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{other.URL, "/", "", "://%zz"} {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/deals" {
					elsewhere.Add(1)
				}
				w.Header()["Location"] = []string{location}
				w.WriteHeader(status)
			})
			c.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return nil } // would follow
			_, err := c.CreateDeal(t.Context(), deal)
			if e, ok := errors.AsType[*Error](err); !ok || e.Status != status || EffectOf(err) != EffectNone {
				t.Errorf("CreateDeal(%d to %q) = %v, effect %v; want status %d, effect none", status, location, err, EffectOf(err), status)
			}
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("followed %d redirects", n)
	}
}

func TestNoCookieIsKept(t *testing.T) {
	t.Parallel()
	var cookies []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cookies = append(cookies, r.Header.Get("Cookie"))
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		io.WriteString(w, `{"id":"dl_1"}`)
	})
	c.HTTP.Jar, _ = cookiejar.New(nil)
	for range 2 {
		if _, err := c.CreateDeal(t.Context(), deal); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"", ""}, cookies); diff != "" {
		t.Errorf("cookies sent (-want +got):\n%s", diff)
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	body := `{"id":"dl_1","price":0.10}`
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		io.WriteString(z, body+strings.Repeat(" ", 10_000))
		z.Close()
		w.Header().Set("Content-Encoding", "GZip")
		w.Write(b.Bytes())
	})
	resp, err := c.CreateDeal(t.Context(), deal)
	if err != nil || strings.TrimSpace(string(resp.Body)) != body {
		t.Errorf("CreateDeal = %v, %v; want %s", resp, err, body)
	}
	c.MaxResponse = 1000 // more than what travels, less than what it unpacks to
	_, err = c.CreateDeal(t.Context(), deal)
	if _, ok := errors.AsType[*http.MaxBytesError](err); !ok || EffectOf(err) != EffectDone {
		t.Errorf("CreateDeal(small limit) = %v, effect %v; want *http.MaxBytesError, effect done", err, EffectOf(err))
	}
}

func TestMaxResponse(t *testing.T) {
	t.Parallel()
	const body = `{"id":"dl_1"}`
	for _, test := range []struct {
		status int
		max    int64
		want   Effect
	}{
		{200, int64(len(body)), EffectDone},
		{200, 1<<63 - 1, EffectDone},
		{200, int64(len(body)) - 1, EffectDone},
		{400, 1, EffectNone},
		{500, 1, EffectUnknown},
	} {
		c := serve(t, answer(test.status, "application/json", body))
		c.MaxResponse = test.max
		resp, err := c.CreateDeal(t.Context(), deal)
		if EffectOf(err) != test.want {
			t.Errorf("CreateDeal(status %d, limit %d) = %v, effect %v; want effect %v", test.status, test.max, err, EffectOf(err), test.want)
		}
		if fits := test.status == 200 && test.max >= int64(len(body)); (err == nil) != fits || (resp != nil) != fits {
			t.Errorf("CreateDeal(status %d, limit %d) = %v, %v; want an error: %t", test.status, test.max, resp, err, !fits)
		}
		if e, ok := errors.AsType[*BodyError](err); ok && (e.Status != 200 || string(e.Body) != body[:test.max]) {
			t.Errorf("kept status %d, body %q; want 200, %q", e.Status, e.Body, body[:test.max])
		}
	}
}

func TestDefaultMaxResponse(t *testing.T) {
	t.Parallel()
	const body = `{"id":"dl_1"}`
	for over := range int64(2) {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, body)
			w.Write(bytes.Repeat([]byte(" "), DefaultMaxResponse-len(body)+int(over)))
		})
		if _, err := c.CreateDeal(t.Context(), deal); (err != nil) != (over > 0) {
			t.Errorf("CreateDeal(answer of %d bytes) = %v, want an error: %t", DefaultMaxResponse+over, err, over > 0)
		}
	}
}

func TestConnectionIsReused(t *testing.T) {
	t.Parallel()
	answers := []http.HandlerFunc{
		answer(200, "application/json", `{"id":"dl_1"}`),
		answer(400, "application/json", `{"error":{"code":"VALIDATION_ERROR","message":"no"}}`),
		answer(502, "text/html", "<html>"+strings.Repeat("x", 100_000)),
		answer(200, "text/html", "<html>"),
		answer(500, "", ""),
		answer(302, "", "elsewhere"),
		answer(200, "application/json", `{"id":"dl_2"}`),
	}
	var next atomic.Int32
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers[next.Add(1)-1](w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := &Client{BaseURL: s.URL} // over the shared connections
	for range answers {
		c.CreateDeal(t.Context(), deal)
	}
	if n, of := conns.Load(), next.Load(); n != 1 || int(of) != len(answers) {
		t.Errorf("%d requests took %d connections; want %d, 1", of, n, len(answers))
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			want := fmt.Sprintf(`{"id":"dl_%d"}`, i)
			body := json.RawMessage(want)
			resp, err := c.CreateDeal(t.Context(), body)
			copy(body, "overwritten") // it is the caller's again
			if err != nil || string(resp.Body) != want {
				t.Errorf("CreateDeal(%s) = %v, %v", want, resp, err)
			}
		})
	}
	all.Wait()
}

// A GET has a query, no body, and no effect whatever happens.
func TestGet(t *testing.T) {
	t.Parallel()
	var head *http.Request
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { head = r; io.WriteString(w, `{"data":[]}`) })
	resp, err := c.do(t.Context(), http.MethodGet, "/deals?search=a+b&pageSize=5", nil)
	if err != nil || string(resp.Body) != `{"data":[]}` {
		t.Fatalf("do(GET) = %v, %v", resp, err)
	}
	if head.URL.String() != "/deals?search=a+b&pageSize=5" || head.ContentLength != 0 || head.Header["Content-Type"] != nil {
		t.Errorf("sent %s with %d bytes of type %q; want the query and no body", head.URL, head.ContentLength, head.Header["Content-Type"])
	}
	for name, c := range map[string]*Client{
		"503":        serve(t, answer(503, "text/plain", "later")),
		"connection": raw(t, readRequest),
		"cut body":   raw(t, say(halfABody)),
	} {
		_, err := c.do(t.Context(), http.MethodGet, "/deals?search=confidential", nil)
		if err == nil || EffectOf(err) != EffectNone || strings.Contains(err.Error(), "confidential") {
			t.Errorf("do(GET, %s) = %v, effect %v; want an error without the query, effect none", name, err, EffectOf(err))
		}
	}
}

// A request without a body gives no hint whether it left, so it may have.
func TestWriteWithoutBodyIsPending(t *testing.T) {
	t.Parallel()
	_, err := raw(t, readRequest).CreateDeal(t.Context(), nil)
	if EffectOf(err) != EffectPending {
		t.Errorf("effect of %v = %v, want pending", err, EffectOf(err))
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const (
		notURL  = "the base URL is not an absolute URL such as https://api.heffl.com/api/v2"
		plain   = "the base URL must begin with https:// (http:// is for loopback addresses only), or the API key would travel unencrypted"
		user    = "the base URL contains a user name or password; the API key has its own setting"
		query   = "the base URL contains a query or fragment; it must end with its path, as https://api.heffl.com/api/v2 does"
		badKey  = "the API key contains a space, a line break or another character that is not visible ASCII"
		timeout = "the timeout is negative"
		limit   = "the limit on the size of an answer is negative"
	)
	tests := []struct {
		client Client
		want   string
	}{
		{Client{}, ""},
		{Client{Key: testKey, Timeout: time.Minute, MaxResponse: 1}, ""},
		{Client{BaseURL: "https://crm.example/api/v2/"}, ""},
		{Client{BaseURL: "HTTPS://crm.example:8443"}, ""},
		{Client{BaseURL: "http://127.0.0.1:8099/api/v2"}, ""},
		{Client{BaseURL: "http://127.8.9.1"}, ""},
		{Client{BaseURL: "http://[::1]:8099"}, ""},
		{Client{BaseURL: "http://LocalHost:8099"}, ""},

		{Client{BaseURL: "http://api.heffl.com/api/v2"}, plain},
		{Client{BaseURL: "http://127.0.0.1.example.com"}, plain},
		{Client{BaseURL: "http://localhost.example.com"}, plain},
		{Client{BaseURL: "http://10.0.0.1"}, plain},
		{Client{BaseURL: "ftp://127.0.0.1"}, plain},
		{Client{BaseURL: "https://user:pass@crm.example"}, user},
		{Client{BaseURL: "https://@crm.example"}, user},
		{Client{BaseURL: "https://crm.example?key=1"}, query},
		{Client{BaseURL: "https://crm.example?"}, query},
		{Client{BaseURL: "https://crm.example/#"}, query},
		{Client{BaseURL: "https://crm.example/#api"}, query},
		{Client{BaseURL: "api.heffl.com/api/v2"}, notURL},
		{Client{BaseURL: "localhost:8099"}, notURL},
		{Client{BaseURL: "https:api.heffl.com"}, notURL},
		{Client{BaseURL: "https://"}, notURL},
		{Client{BaseURL: "https://:443"}, notURL},
		{Client{BaseURL: "/"}, notURL},
		{Client{BaseURL: " https://crm.example"}, notURL},
		{Client{BaseURL: "https://crm.example/a b"}, notURL},
		{Client{BaseURL: "https://crm.example/\n"}, notURL},
		{Client{BaseURL: "https://crm.example:password"}, notURL},

		{Client{Key: "heffl key"}, badKey},
		{Client{Key: "heffl_key\n"}, badKey},
		{Client{Key: "heffl\x00key"}, badKey},
		{Client{Key: "\ufeffheffl_key"}, badKey},
		{Client{Key: "heffl\x7fkey"}, badKey},
		{Client{Key: "heffl\xffkey"}, badKey},

		{Client{Timeout: -1}, timeout},
		{Client{MaxResponse: -1}, limit},
	}
	for _, test := range tests {
		got := ""
		err := test.client.Check()
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("Check(%+v) = %q, want %q", test.client, got, test.want)
		}
		if test.want == "" {
			continue
		}
		test.client.HTTP = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			t.Errorf("CreateDeal(%+v) sent a request", test.client)
			return nil, io.EOF
		})}
		if _, err := test.client.CreateDeal(t.Context(), deal); err == nil || err.Error() != "POST /deals: not sent: "+test.want || EffectOf(err) != EffectNone {
			t.Errorf("CreateDeal(%+v) = %v, want not sent: %s", test.client, err, test.want)
		}
	}
}

func TestClientDoesNotShowItsKey(t *testing.T) {
	t.Parallel()
	for _, c := range []Client{
		{Key: testKey},
		{Key: testKey, BaseURL: "https://user:" + testKey + "@crm.example"},
		{Key: testKey, BaseURL: "https://crm.example/" + testKey},
	} {
		var log bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(h).Info("client", "value", c, "pointer", &c, "inside", struct{ C Client }{c})
		}
		asJSON, _ := json.Marshal(c)
		shown := fmt.Sprintf("%v %+v %#v %s %q", c, &c, c, &c, struct{ C *Client }{&c}) + log.String() + string(asJSON)
		if strings.Contains(shown, testKey) {
			t.Errorf("the key is in %s", shown)
		}
	}
	if got, want := (&Client{Key: testKey}).String(), "heffl.Client{BaseURL: https://api.heffl.com/api/v2, Key: (hidden)}"; got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
	if got, want := fmt.Sprintf("%#v", Client{BaseURL: "x"}), "heffl.Client{BaseURL: (invalid), Key: none}"; got != want {
		t.Errorf("GoString() = %s, want %s", got, want)
	}
}

func BenchmarkCreateDeal(b *testing.B) {
	c := serve(b, answer(200, "application/json", `{"id":"dl_1","number":"D-1","title":"Northwind rollout","contactEmails":[]}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.CreateDeal(b.Context(), deal); err != nil {
			b.Fatal(err)
		}
	}
}
