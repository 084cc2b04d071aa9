package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"heffl-mcp/heffl/sandbox"
)

// api speaks to a sandbox the way a program would.
type api struct {
	t      testing.TB
	client *http.Client
	base   string
	header http.Header
}

// start returns a sandbox and a client on its in-memory connections.
func start(t testing.TB, o sandbox.Options) (*sandbox.Sandbox, *api) {
	t.Helper()
	s := sandbox.New(o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return s, &api{t, s.HTTPClient(), sandbox.BaseURL, http.Header{"X-Api-Key": {"test-key"}}}
}

// unlimited is what most tests want: they are not about the rate limit.
var unlimited = sandbox.Options{RateLimit: -1}

// overTCP is the same sandbox behind a listener on the loopback interface.
func overTCP(t testing.TB, s *sandbox.Sandbox) *api {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &api{t, server.Client(), server.URL, http.Header{"X-Api-Key": {"test-key"}}}
}

// with is the same client with one more header.
func (a *api) with(name, value string) *api {
	b := *a
	b.header = a.header.Clone()
	b.header.Set(name, value)
	return &b
}

// in is the same client for a test inside the one it was made for.
func (a *api) in(t testing.TB) *api {
	b := *a
	b.t = t
	return &b
}

// answer is an HTTP answer, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// try sends a request; body is sent as JSON where there is one.
func (a *api) try(method, path, body string) (answer, error) {
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, values := range a.header {
		req.Header[name] = values
	}
	if body != "" && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := a.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(read)}, err
}

func (a *api) do(method, path, body string) answer {
	a.t.Helper()
	got, err := a.try(method, path, body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return got
}

// ok sends a request that must succeed and returns the object that is answered.
func (a *api) ok(method, path, body string) map[string]any {
	a.t.Helper()
	got := a.do(method, path, body)
	if got.status != http.StatusOK {
		a.t.Fatalf("%s %s = %d %s, want 200", method, path, got.status, got.body)
	}
	return decode(a.t, got.body)
}

// rows are the data of a list.
func (a *api) rows(path string) []map[string]any {
	a.t.Helper()
	var rows []map[string]any
	for _, row := range a.ok("GET", path, "")["data"].([]any) {
		rows = append(rows, row.(map[string]any))
	}
	return rows
}

// ids are the IDs in a list.
func (a *api) ids(path string) []string {
	a.t.Helper()
	ids := []string{}
	for _, row := range a.rows(path) {
		ids = append(ids, row["id"].(string))
	}
	return ids
}

func decode(t testing.TB, body string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("answer %q: %v", body, err)
	}
	return v
}

// deal is a body for POST /deals, with more members as JSON text.
func deal(more string) string {
	if more != "" {
		more = ", " + more
	}
	return `{"title": "Rollout", "clientId": "clt_northwind", "pipelineId": "dpl_sales"` + more + `}`
}

func TestAuthentication(t *testing.T) {
	for _, c := range []struct {
		name, accepted, sent string
		want                 int
	}{
		{"any key will do", "", "whatever", 200},
		{"no key", "", "", 401},
		{"the right key", "secret", "secret", 200},
		{"a wrong key", "secret", "Secret", 401},
		{"no key where one is set", "secret", "", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, a := start(t, sandbox.Options{Key: c.accepted})
			got := a.with("X-Api-Key", c.sent).do("GET", "/deals", "")
			if got.status != c.want {
				t.Fatalf("GET /deals = %d %s, want %d", got.status, got.body, c.want)
			}
			if c.want == 401 && (errorCode(t, got) != "UNAUTHORIZED" || !strings.Contains(got.body, "x-api-key")) {
				t.Errorf("error = %s, want UNAUTHORIZED that names the x-api-key header", got.body)
			}
			if kept := fmt.Sprint(s.Requests()); c.accepted != "" && strings.Contains(kept, c.accepted) {
				t.Errorf("Requests() = %s, want no key in it", kept)
			}
		})
	}
}

func errorCode(t testing.TB, a answer) string {
	t.Helper()
	e, _ := decode(t, a.body)["error"].(map[string]any)
	code, _ := e["code"].(string)
	return code
}

func TestRouting(t *testing.T) {
	t.Parallel()
	s, _ := start(t, unlimited)
	a := overTCP(t, s)
	for _, c := range []struct {
		method, path string
		want         int
		code         string
	}{
		{"GET", "/deals", 200, ""},
		{"GET", "/deals/", 200, ""},
		{"GET", "/api/v2/deals", 200, ""},
		{"GET", "/api/v2/deals/dl_acme_renewal", 200, ""},
		{"GET", "/deals/dl_none", 404, "NOT_FOUND"},
		{"GET", "/deals/clt_acme", 404, "NOT_FOUND"},
		{"GET", "/deals/dl_acme_renewal/more", 404, "NOT_FOUND"},
		{"GET", "/api/v1/deals", 404, "NOT_FOUND"},
		{"GET", "/", 404, "NOT_FOUND"},
		{"GET", "/stages", 404, "NOT_FOUND"},
		{"GET", "/users/usr_sara", 404, "NOT_FOUND"},
		{"PUT", "/deals", 405, "METHOD_NOT_ALLOWED"},
		{"POST", "/deals/dl_acme_renewal", 405, "METHOD_NOT_ALLOWED"},
		{"DELETE", "/pipelines/dpl_sales", 405, "METHOD_NOT_ALLOWED"},
		{"POST", "/users", 405, "METHOD_NOT_ALLOWED"},
		{"GET", "/pipelines/dpl_sales", 200, ""},
		{"GET", "/contacts/clt_maryam", 200, ""},
		{"GET", "/contacts/clt_acme", 404, "NOT_FOUND"}, // a company
		{"GET", "/companies/clt_acme", 200, ""},
		{"GET", "/tasks/tsk_call_acme", 200, ""},
	} {
		got := a.do(c.method, c.path, "")
		if got.status != c.want || errorCode(t, got) != c.code {
			t.Errorf("%s %s = %d %s, want %d %s", c.method, c.path, got.status, got.body, c.want, c.code)
		}
		if allow := got.header.Get("Allow"); (c.want == 405) != (allow != "") {
			t.Errorf("%s %s: Allow = %q", c.method, c.path, allow)
		}
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	s, a := start(t, sandbox.Options{RateLimit: -1, Key: "test-key"})
	body := deal(`"price":  1.50`)
	a.ok("POST", "/deals", body)
	a.do("GET", "/contacts?search="+url.QueryEscape("José & co"), "")
	a.with("X-Api-Key", "wrong").do("DELETE", "/deals/dl_1001/", "")
	if _, err := a.with(sandbox.FaultHeader, "after:drop").try("POST", "/deals", deal("")); err == nil {
		t.Fatal("POST /deals with after:drop was answered")
	}
	got := s.Requests()
	if len(got) != 4 {
		t.Fatalf("Requests() has %d entries, want 4: %v", len(got), got)
	}
	for i, want := range []sandbox.Request{
		{Method: "POST", Path: "/deals", Body: []byte(body), Status: 200},
		{Method: "GET", Path: "/contacts", Query: url.Values{"search": {"José & co"}}, Status: 200},
		{Method: "DELETE", Path: "/deals/dl_1001", Status: 401},
		{Method: "POST", Path: "/deals", Body: []byte(deal("")), Status: 0},
	} {
		g := got[i]
		if g.Method != want.Method || g.Path != want.Path || g.Status != want.Status || !bytes.Equal(g.Body, want.Body) || g.Query.Encode() != want.Query.Encode() {
			t.Errorf("Requests()[%d] = %+v, want %+v", i, g, want)
		}
		if g.At.IsZero() {
			t.Errorf("Requests()[%d].At is zero", i)
		}
	}
}

func TestBodyTooLarge(t *testing.T) {
	t.Parallel()
	s, a := start(t, unlimited)
	before := len(s.Deals())
	got := a.do("POST", "/deals", deal(`"cf_background": "`+strings.Repeat("x", 1<<20)+`"`))
	if got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("POST /deals with more than 1 MiB = %d, want 413", got.status)
	}
	if after := len(s.Deals()); after != before {
		t.Errorf("%d deals after a refused one, want %d", after, before)
	}
}

func TestRequestCutOffHasNoEffect(t *testing.T) {
	t.Parallel()
	s, _ := start(t, unlimited)
	before := len(s.Deals())
	server := httptest.NewServer(s)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body := deal("")
	if _, err := fmt.Fprintf(conn, "POST /deals HTTP/1.1\r\nHost: h\r\nX-Api-Key: k\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body)+1, body); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || len(got) > 0 {
		t.Errorf("answer to a request that was cut off = %q, %v, want none", got, err)
	}
	if after := len(s.Deals()); after != before || len(s.Requests()) != 0 {
		t.Errorf("%d deals and %d requests, want %d and 0", after, len(s.Requests()), before)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	s, a := start(t, unlimited)
	a.ok("GET", "/deals", "")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
	if got, err := a.try("GET", "/deals", ""); err == nil {
		t.Errorf("GET /deals after Close() = %d, want an error", got.status)
	}
	never := sandbox.New(unlimited)
	if err := never.Close(); err != nil {
		t.Errorf("Close() of an unused sandbox = %v", err)
	}
	if _, err := never.HTTPClient().Get(sandbox.BaseURL); err == nil {
		t.Error("a client made after Close() was answered")
	}
}

// TestSeries holds that the IDs of two sandboxes can be told apart where that is asked for.
func TestSeries(t *testing.T) {
	t.Parallel()
	for series, want := range map[string]string{"": "dl_1001", "k3x9": "dl_k3x9_1001"} {
		_, a := start(t, sandbox.Options{RateLimit: -1, Series: series})
		if got := a.ok("POST", "/deals", deal("")); got["id"] != want {
			t.Errorf("series %q: the first deal is %v, want %s", series, got["id"], want)
		}
	}
}
