// Package heffl is a client of version 2 of the Heffl CRM's REST API.
//
//	client := &heffl.Client{Key: os.Getenv("HEFFL_API_KEY")}
//	deal, err := client.CreateDeal(ctx, json.RawMessage(`{"title":"Northwind rollout","clientId":"clt_1","pipelineId":"dpl_1"}`))
//
// Bodies go out and come back byte for byte: numbers keep every digit, and members that this
// package has never heard of are kept. A failure is an [*Error], a [*ConnError] or a
// [*BodyError], and [EffectOf] tells from it whether the request was carried out. The package
// leaves to its callers what to put in a body, when to send again, and how to say what went wrong.
//
// The API is described at https://docs.heffl.com/api-v2/introduction, as read on 2026-11-22.
package heffl

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// What the zero values of a [Client] mean.
const (
	DefaultBaseURL     = "https://api.heffl.com/api/v2"
	DefaultUserAgent   = "heffl-mcp"
	DefaultTimeout     = 20 * time.Second
	DefaultMaxResponse = 8 << 20 // 8 MiB
)

// Client sends requests to Heffl. The zero value of each field means its default. A Client is
// safe for concurrent use as long as its fields are left alone; making another one is cheap, and
// those that leave HTTP nil share their connections.
type Client struct {
	BaseURL     string        // empty: DefaultBaseURL; see Check for what is accepted
	Key         string        // the API key: sent as x-api-key, and shown nowhere
	UserAgent   string        // empty: DefaultUserAgent
	Timeout     time.Duration // one request, from connecting to the last byte of the answer; zero: DefaultTimeout
	MaxResponse int64         // bytes in the body of an answer, after decompression; zero: DefaultMaxResponse
	Budget      *Budget       // spaces requests to fit Heffl's rate limit; shared by all clients with the same key; nil: nothing is held back

	// HTTP carries the requests; nil means a client shared by the whole process, with the proxy of
	// the environment. Its Transport and Timeout count. Its Jar and CheckRedirect do not: no
	// cookie is kept, and no redirect is followed, since one would take the key to another place.
	HTTP *http.Client
}

// Response is Heffl's answer to a request that it carried out.
type Response struct {
	Status int             // 2xx
	Header http.Header     // Date is the server's clock
	Body   json.RawMessage // exactly as Heffl sent it, but for the key, should it stand there

	id     string          // of object
	object json.RawMessage // in Body; nil: not looked for yet
}

// do sends one request and reads its answer. The path begins with a slash and may carry a query;
// a nil body sends none. A 2xx comes back with its whole body, of whatever form. All else is an
// error: *Error, *ConnError or *BodyError.
func (c *Client) do(ctx context.Context, method, path string, body json.RawMessage) (*Response, error) {
	name, _, _ := strings.Cut(path, "?") // an error names no query: it may hold people's data
	to, err := c.target(path)
	if err != nil {
		return nil, &ConnError{Method: method, Path: name, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	req, out := c.newRequest(ctx, method, to, body)
	defer out.seal() // the caller may reuse its bytes once do has returned

	// RoundTrip instead of http.Client.Do: there is no redirect to suppress, so even one with a
	// malformed Location is the plain 3xx that it is.
	c.Budget.begin()
	resp, err := c.Transport().RoundTrip(req)
	if err != nil {
		c.Budget.end(0, nil)
		return nil, &ConnError{Method: method, Path: name, Sent: out.seal() && !errors.As(err, new(*unsent)), Err: c.redactError(withContext(ctx, err))}
	}
	c.Budget.end(resp.StatusCode, resp.Header)
	defer resp.Body.Close()
	data, err := c.readBody(resp)
	if resp.StatusCode/100 != 2 {
		return nil, c.newError(method, name, resp, data) // the status says it all, even if the body is cut
	}
	if err != nil {
		return nil, c.newBodyError(method, name, resp.StatusCode, resp.Header, data, withContext(ctx, err))
	}
	return &Response{Status: resp.StatusCode, Header: c.redactHeader(resp.Header), Body: c.redactBody(data)}, nil
}

// write sends, once, what makes or changes one thing; the answer is that thing.
func (c *Client) write(ctx context.Context, method, path string, body json.RawMessage) (*Response, error) {
	r, err := c.do(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	return c.identified(method, path, r)
}

// identified returns an answer if it is a JSON object with an ID.
func (c *Client) identified(method, path string, r *Response) (*Response, error) {
	var err error
	if r.id, r.object, err = identify(r.Body); err != nil {
		return nil, c.newBodyError(method, path, r.Status, r.Header, r.Body, err)
	}
	return r, nil
}

// pathOf is the path of one thing in a collection. What is no path segment would make it the path
// of the collection, or of what is above, so that is an error: of a request that was not sent.
func pathOf(method, collection, id string) (string, error) {
	if id == "" || id == "." || id == ".." {
		return "", &ConnError{Method: method, Path: collection, Err: fmt.Errorf("%q is no ID", id)}
	}
	return collection + "/" + url.PathEscape(id), nil
}

// newRequest makes the request, and the body by which to learn whether it left.
//
// net/http sends a request again by itself where it thinks that harmless: over HTTP/1.1 when no
// byte was written, or when the method or an Idempotency-Key header promises that twice is as
// good as once; over HTTP/2 also when the server resets the stream with PROTOCOL_ERROR, which
// promises nothing. Each of these asks for GetBody or such a header. Neither is set here (Heffl
// documents no such header, so it would be a false promise): a request with a body leaves at
// most once.
func (c *Client) newRequest(ctx context.Context, method string, to *url.URL, body json.RawMessage) (*http.Request, *requestBody) {
	req := (&http.Request{
		Method: method, URL: to, Host: to.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Accept": {"application/json"}, "User-Agent": {cmp.Or(c.UserAgent, DefaultUserAgent)}},
	}).WithContext(ctx)
	if c.Key != "" {
		req.Header.Set("X-Api-Key", c.Key)
	}
	out := &requestBody{rest: body, taken: len(body) == 0}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(body)) // never chunked: a part of the body is not mistaken for the whole
		req.Body = out
	}
	return req, out
}

// requestBody hands out the body of a request, and knows whether any of it was asked for.
//
// That answers "can the server have acted on this?" for every transport and protocol: without
// one byte of its body a request is incomplete, and once sealed no more of it leaves. A trace
// (httptrace.WroteHeaders) answers less well. It is called from another goroutine, so a request
// that is given up may still be written after the trace was looked at; and a transport that does
// not trace would pass for one that never sends. A request without a body has nothing to hold
// back, so it counts as sent.
type requestBody struct {
	mu     sync.Mutex
	rest   []byte
	taken  bool
	sealed bool
}

var errSealed = errors.New("the request was given up")

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed {
		return 0, errSealed
	}
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.taken = b.taken || n > 0
	return n, nil
}

func (b *requestBody) Close() error { return nil }

// seal hands out no more of the body, and reports whether any of it was.
func (b *requestBody) seal() (taken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed = true
	return b.taken
}

// readBody reads the body to its end, after which the connection serves the next request. With
// an error it returns what it has got.
func (c *Client) readBody(resp *http.Response) ([]byte, error) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil // what follows is not a body, and might never end
	}
	limit := cmp.Or(c.MaxResponse, DefaultMaxResponse)
	var b bytes.Buffer
	const believed = 64 << 10 // of what a server says that it will send, room is made at once
	b.Grow(int(min(max(resp.ContentLength, 0), believed)) + bytes.MinRead)
	_, err := b.ReadFrom(http.MaxBytesReader(nil, resp.Body, limit))
	return b.Bytes(), err
}

// withContext lets an error that follows from the end of ctx say so: a transport may report the
// cause given to context.WithCancelCause, or a closed connection, in its place.
func withContext(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}

func (c *Client) base() string {
	return strings.TrimRight(cmp.Or(c.BaseURL, DefaultBaseURL), "/")
}

func (c *Client) timeout() time.Duration {
	d := cmp.Or(c.Timeout, DefaultTimeout)
	if c.HTTP != nil && c.HTTP.Timeout > 0 {
		d = min(d, c.HTTP.Timeout)
	}
	return d
}

// Transport carries the client's requests: to count them, wrap it in a client's HTTP.
func (c *Client) Transport() http.RoundTripper {
	switch {
	case c.HTTP == nil:
		return shared
	case c.HTTP.Transport == nil:
		return http.DefaultTransport
	}
	return c.HTTP.Transport
}

// Check reports, in one sentence, the first setting that no request can be sent with; each
// request checks too. BaseURL must be an absolute https URL, or http on a loopback address, with
// neither user, query nor fragment. Key may be empty, as a server under test asks for none; all
// its characters must be visible ASCII. Timeout and MaxResponse must not be negative.
//
// The sentence quotes neither the key nor the URL, which may hold a password.
func (c *Client) Check() error {
	_, err := c.target("")
	return err
}

// target is the URL of what is below the base URL, if a request can be sent at all.
func (c *Client) target(path string) (*url.URL, error) {
	to, err := below(c.base(), path)
	switch {
	case err != nil:
		return nil, err
	case strings.ContainsFunc(c.Key, invisible):
		return nil, errors.New("the API key contains a space, a line break or another character that is not visible ASCII")
	case c.Timeout < 0:
		return nil, errors.New("the timeout is negative")
	case c.MaxResponse < 0:
		return nil, errors.New("the limit on the size of an answer is negative")
	}
	return to, nil
}

// below is the URL of a path below a base URL, which is checked. The path has been made of escaped parts.
func below(base, path string) (*url.URL, error) {
	u, err := url.Parse(base + path)
	switch {
	case err != nil || u.Hostname() == "" || strings.ContainsFunc(base, invisible):
		return nil, errors.New("the base URL is not an absolute URL such as " + DefaultBaseURL)
	case u.User != nil:
		return nil, errors.New("the base URL contains a user name or password; the API key has its own setting")
	case strings.ContainsAny(base, "?#"):
		return nil, errors.New("the base URL contains a query or fragment; it must end with its path, as " + DefaultBaseURL + " does")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, errors.New("the base URL must begin with https:// (http:// is for loopback addresses only), or the API key would travel unencrypted")
}

func invisible(r rune) bool { return r <= ' ' || r > '~' }

// loopback reports whether a host is this machine by its very name: what a resolver would make
// of another name is not trusted with the key.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// String describes the client without its key.
func (c Client) String() string {
	base := c.base()
	if _, err := below(base, ""); err != nil {
		base = "(invalid)" // it may hold a password
	}
	key := "none"
	if c.Key != "" {
		key = "(hidden)"
	}
	return fmt.Sprintf("heffl.Client{BaseURL: %s, Key: %s}", c.redact(base), key)
}

// GoString is String, so that %#v shows no key either.
func (c Client) GoString() string { return c.String() }

// LogValue is String, so that log/slog shows no key either.
func (c Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText is String, so that encoding/json shows no key either.
func (c Client) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
