package heffl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
)

// writes are the methods that make or change one thing, and the request that each sends.
var writes = []struct {
	request string
	send    func(*Client, context.Context, json.RawMessage) (*Response, error)
}{
	{"POST /deals", (*Client).CreateDeal},
	{"POST /contacts", (*Client).CreateContact},
	{"POST /companies", (*Client).CreateCompany},
	{"POST /tasks", (*Client).CreateTask},
	{"PATCH /deals/dl_1", func(c *Client, ctx context.Context, body json.RawMessage) (*Response, error) {
		return c.UpdateDeal(ctx, "dl_1", body)
	}},
}

func TestWritesSendAndReturnExactBytes(t *testing.T) {
	t.Parallel()
	const body = "{ \"name\": \"Zürich \\ud83d\\ude80 <&>\",\n\"price\":12345678901234.50,\"stageId\":null,\"cf_n\":1e2 }"
	const reply = "{ \"data\":{}, \"id\":\"x_1\", \"price\":0.10 }\n"
	for _, w := range writes {
		var got, contentType string
		var sent []byte
		c := serve(t, func(rw http.ResponseWriter, r *http.Request) {
			got, contentType = r.Method+" "+r.URL.String(), r.Header.Get("Content-Type")
			sent, _ = io.ReadAll(r.Body)
			rw.WriteHeader(http.StatusCreated)
			io.WriteString(rw, reply)
		})
		resp, err := w.send(c, t.Context(), json.RawMessage(body))
		if err != nil {
			t.Errorf("%s = %v", w.request, err)
			continue
		}
		if got != w.request || contentType != "application/json" || string(sent) != body {
			t.Errorf("%s sent %s of type %s with %s, want %s", w.request, got, contentType, sent, body)
		}
		if string(resp.Body) != reply || resp.Status != http.StatusCreated || resp.ID() != "x_1" {
			t.Errorf("%s = %d %s with ID %s; want 201 %s", w.request, resp.Status, resp.Body, resp.ID(), reply)
		}
	}
}

// However a write ends, it was sent once, and the error says what it was and what it may have done.
func TestWritesAreSentOnce(t *testing.T) {
	t.Parallel()
	drop := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		effect Effect
		err    string // after the request and a colon; "…" stands for anything
	}{
		{"good", answer(200, "application/json", `{"id":"x_1"}`), EffectDone, ""},
		{"in data", answer(200, "application/json", `{"data":{"id":"x_1"}}`), EffectDone, ""},
		{"no ID", answer(200, "application/json", `{"title":"x"}`), EffectDone, "HTTP status 200, but the body is unusable: a JSON object without an id"},
		{"a list", answer(200, "application/json", `[{"id":"x_1"}]`), EffectDone, "HTTP status 200, but the body is unusable: not a JSON object"},
		{"HTML", answer(201, "text/html", `<html>`), EffectDone, "HTTP status 201, but the body is unusable: not JSON"},
		{"invalid", answer(400, "application/json", `{"error":{"code":"VALIDATION_ERROR","message":"no","details":{"issues":[{"field":"email","message":"bad"}]}}}`), EffectNone,
			"HTTP status 400: VALIDATION_ERROR: no; email: bad"},
		{"unknown", answer(404, "application/json", `{"error":{"code":"NOT_FOUND"}}`), EffectNone, "HTTP status 404: NOT_FOUND"},
		{"conflict", answer(409, "application/json", `{"error":{"code":"CONFLICT"}}`), EffectNone, "HTTP status 409: CONFLICT"},
		{"too many", answer(429, "application/json", `{"error":{"code":"TOO_MANY_REQUESTS"}}`), EffectNone, "HTTP status 429: TOO_MANY_REQUESTS"},
		{"moved", answer(307, "", ""), EffectNone, "HTTP status 307"},
		{"server error", answer(500, "application/json", `{"error":{"code":"INTERNAL_SERVER_ERROR"}}`), EffectUnknown, "HTTP status 500: INTERNAL_SERVER_ERROR"},
		{"gateway", answer(502, "text/html", "<html>"), EffectUnknown, "HTTP status 502"},
		{"gateway timeout", answer(504, "text/html", "<html>"), EffectPending, "HTTP status 504"},
		{"lost answer", drop, EffectPending, "no answer: …"},
	} {
		for _, w := range writes {
			t.Run(test.name+", "+w.request, func(t *testing.T) {
				t.Parallel()
				var sent atomic.Int32
				c := serve(t, func(rw http.ResponseWriter, r *http.Request) {
					sent.Add(1)
					io.Copy(io.Discard, r.Body)
					test.answer(rw, r)
				})
				c.Budget = new(Budget)
				resp, err := w.send(c, t.Context(), deal)
				if sent.Load() != 1 {
					t.Errorf("sent %d times, want once", sent.Load())
				}
				if EffectOf(err) != test.effect || (resp == nil) != (err != nil) {
					t.Errorf("%s = %v, %v, effect %v; want effect %v", w.request, resp, err, EffectOf(err), test.effect)
				}
				if test.err == "" && err == nil {
					return
				}
				want, open := strings.CutSuffix(w.request+": "+test.err, "…")
				if got := fmt.Sprint(err); got != want && !(open && strings.HasPrefix(got, want)) {
					t.Errorf("%s = %q, want %q", w.request, got, want)
				}
			})
		}
	}
}

func TestWritesObeyTheirContext(t *testing.T) {
	t.Parallel()
	for _, w := range writes {
		in(t, w.request, func(t *testing.T) {
			c := silent(t, own, "")
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			began := time.Now()
			_, err := w.send(c, ctx, deal)
			if took := time.Since(began); took != time.Second || !errors.Is(err, context.Canceled) || EffectOf(err) != EffectPending {
				t.Errorf("%s(cancelled after 1s) = %v after %v, effect %v; want Canceled, effect pending", w.request, err, took, EffectOf(err))
			}
			_, err = w.send(c, ctx, deal)
			if !errors.Is(err, context.Canceled) || EffectOf(err) != EffectNone {
				t.Errorf("%s(cancelled) = %v, effect %v; want Canceled, effect none", w.request, err, EffectOf(err))
			}
			began = time.Now()
			_, err = w.send(c, t.Context(), deal)
			if took := time.Since(began); took != DefaultTimeout || !errors.Is(err, context.DeadlineExceeded) || EffectOf(err) != EffectPending {
				t.Errorf("%s(no answer) = %v after %v, effect %v; want DeadlineExceeded after %v, effect pending", w.request, err, took, EffectOf(err), DefaultTimeout)
			}
		})
	}
}

// All writes draw on one budget: each is counted, its answer is learned from, and Ready holds the next.
func TestWritesShareTheBudget(t *testing.T) {
	t.Parallel()
	for _, w := range writes {
		in(t, w.request, func(t *testing.T) {
			c := (&limits{answers: []limit{{200, "60 0 12"}}}).client()
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.send(c, t.Context(), deal) // says that nothing is left for 12s
			began := time.Now()
			if err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != 12*time.Second {
				t.Errorf("after %s the next write waits %v, want 12s", w.request, took)
			}
		})
	}
}

func TestGetDeal(t *testing.T) {
	t.Parallel()
	const row = `{"id":"dl_1", "price":1.50,"cf_x":12345678901234567}`
	for _, body := range []string{row, `{"data":` + row + `}`} {
		var asked string
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked = r.Method + " " + r.URL.String()
			io.WriteString(w, body)
		})
		resp, err := c.GetDeal(t.Context(), "dl_1")
		if err != nil || string(resp.Body) != body || resp.ID() != "dl_1" || string(resp.Object()) != row || asked != "GET /deals/dl_1" {
			t.Errorf("GetDeal = %v, %v after %s; want %s after GET /deals/dl_1", resp, err, asked, body)
		}
	}
	for _, test := range []struct {
		answer http.HandlerFunc
		want   string
	}{
		{answer(404, "application/json", `{"error":{"code":"NOT_FOUND","message":"Deal not found"}}`), "GET /deals/dl_1: HTTP status 404: NOT_FOUND: Deal not found"},
		{answer(403, "application/json", `{"error":{"code":"FORBIDDEN"}}`), "GET /deals/dl_1: HTTP status 403: FORBIDDEN"},
		{answer(200, "application/json", `{}`), "GET /deals/dl_1: HTTP status 200, but the body is unusable: a JSON object without an id"},
		{answer(200, "application/json", `{"data":[{"id":"dl_1"}]}`), "GET /deals/dl_1: HTTP status 200, but the body is unusable: a JSON object without an id"},
		{answer(200, "application/json", `[]`), "GET /deals/dl_1: HTTP status 200, but the body is unusable: not a JSON object"},
		{answer(200, "text/html", `<html>`), "GET /deals/dl_1: HTTP status 200, but the body is unusable: not JSON"},
	} {
		resp, err := serve(t, test.answer).GetDeal(t.Context(), "dl_1")
		if got := fmt.Sprint(err); got != test.want || resp != nil || EffectOf(err) != EffectNone {
			t.Errorf("GetDeal = %v, %q, effect %v; want %q, effect none", resp, got, EffectOf(err), test.want)
		}
	}
}

// As any read, that of a deal is repeated where this may help, and ends with its context.
func TestGetDealIsARead(t *testing.T) {
	t.Parallel()
	in(t, "repeated", func(t *testing.T) {
		f := &tried{tries: []try{{status: 502}, {err: io.ErrUnexpectedEOF}, {status: 200, body: `{"id":"dl_1"}`}}}
		resp, err := (&Client{HTTP: &http.Client{Transport: f}}).GetDeal(t.Context(), "dl_1")
		if err != nil || resp.ID() != "dl_1" || len(f.at) != 3 {
			t.Errorf("GetDeal = %v, %v after %d requests; want dl_1 after 3", resp, err, len(f.at))
		}
	})
	in(t, "cancelled", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := silent(t, own, "").GetDeal(ctx, "dl_1")
		if took := time.Since(began); took != time.Second || !errors.Is(err, context.DeadlineExceeded) || EffectOf(err) != EffectNone {
			t.Errorf("GetDeal = %v after %v, effect %v; want DeadlineExceeded after 1s, effect none", err, took, EffectOf(err))
		}
	})
}

// ofOne are the methods that name one thing in their path.
var ofOne = map[string]func(*Client, context.Context, string) error{
	"GET /deals": func(c *Client, ctx context.Context, id string) error { _, err := c.GetDeal(ctx, id); return err },
	"PATCH /deals": func(c *Client, ctx context.Context, id string) error {
		_, err := c.UpdateDeal(ctx, id, deal)
		return err
	},
	"GET /pipelines": func(c *Client, ctx context.Context, id string) error { _, err := c.GetPipeline(ctx, id); return err },
}

// An ID that would lead to another path than one thing's is refused, and nothing is sent.
func TestUnusableIDs(t *testing.T) {
	t.Parallel()
	c := &Client{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		t.Errorf("sent %s %s", r.Method, r.URL)
		return nil, io.EOF
	})}}
	for name, call := range ofOne {
		for _, id := range []string{"", ".", ".."} {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := call(c, t.Context(), id)
				want := fmt.Sprintf("%s: not sent: %q is no ID", name, id)
				if got := fmt.Sprint(err); got != want || EffectOf(err) != EffectNone || time.Since(began) != 0 {
					t.Errorf("%s(%q) = %q, effect %v, after %v; want %q, effect none, at once", name, id, got, EffectOf(err), time.Since(began), want)
				}
			})
		}
	}
}

// FuzzID holds that an ID, of whatever characters, is one segment of the path, or not sent.
func FuzzID(f *testing.F) {
	for _, id := range []string{"dl_1", "", "..", "../tags", "a/b?c#d%2e", "a b\n\x00", "ü\xff", "%"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		for name, call := range ofOne {
			var paths []string
			c := &Client{BaseURL: "http://localhost", HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				paths = append(paths, r.Method+" "+r.URL.RequestURI())
				return &http.Response{StatusCode: 404, Body: http.NoBody}, nil
			})}}
			err := call(c, t.Context(), id)
			if e, ok := errors.AsType[*ConnError](err); ok && !e.Sent && len(paths) == 0 {
				continue
			}
			if len(paths) != 1 {
				t.Fatalf("%s(%q) sent %q, %v; want one request", name, id, paths, err)
			}
			segment, _ := strings.CutPrefix(paths[0], name+"/")
			got, err := url.PathUnescape(segment)
			if err != nil || got != id || slices.Contains([]string{"", ".", ".."}, segment) || strings.ContainsAny(segment, "/?#") {
				t.Errorf("%s(%q) sent %q", name, id, paths[0])
			}
		}
	})
}

// What is written through the sandbox is there when it is read again.
func TestWritesThroughTheSandbox(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Options{Key: testKey})
	t.Cleanup(func() { sb.Close() })
	c := &Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: sb.HTTPClient(), Budget: new(Budget)}
	must := func(resp *Response, err error) *Response {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	company := must(c.CreateCompany(t.Context(), json.RawMessage(`{"name":"Wind & Söhne","website":"https://wind.example"}`)))
	contact := must(c.CreateContact(t.Context(), json.RawMessage(`{"firstName":"Ida","email":"ida@wind.example","companyId":"`+company.ID()+`"}`)))
	made := must(c.CreateDeal(t.Context(), json.RawMessage(`{"title":"Turbines","clientId":"`+contact.ID()+`","pipelineId":"dpl_sales","price":25000.50,"cf_region":"North"}`)))
	won := must(c.UpdateDeal(t.Context(), made.ID(), json.RawMessage(`{"stageId":"dps_won"}`)))
	task := must(c.CreateTask(t.Context(), json.RawMessage(`{"title":"Send the invoice","entity":"deals","entityId":"`+made.ID()+`"}`)))

	read := must(c.GetDeal(t.Context(), made.ID()))
	if string(read.Body) != string(won.Body) {
		t.Errorf("GetDeal = %s, want what UpdateDeal answered: %s", read.Body, won.Body)
	}
	var got struct {
		Status, StageID string
		Price           json.Number
		Region          string `json:"cf_region"`
	}
	if err := json.Unmarshal(read.Object(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Status != "WON" || got.StageID != "dps_won" || got.Price != "25000.50" || got.Region != "North" {
		t.Errorf("the deal is %+v; want it won, and the rest as it was", got)
	}

	newest, err := c.ListTasks(t.Context(), ListQuery{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{task.ID()}, ids(newest)); diff != "" {
		t.Errorf("the newest task (-want +got):\n%s", diff)
	}
	people, err := c.ListContacts(t.Context(), ListQuery{Search: "ida@wind.example"})
	if err != nil || len(people.Items) != 1 || people.Items[0].ID != contact.ID() || people.Items[0].CompanyID != company.ID() {
		t.Errorf("ListContacts = %+v, %v; want %s of %s", people, err, contact.ID(), company.ID())
	}
}

// ids are the IDs of a page's rows.
func ids(p *Page) (all []string) {
	for _, row := range p.Items {
		all = append(all, text(members(row)["id"]))
	}
	return all
}

// The sandbox reads the filters as they are sent, and says what it does not know of them.
func TestFiltersThroughTheSandbox(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Options{})
	t.Cleanup(func() { sb.Close() })
	c := &Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: sb.HTTPClient()}
	for _, test := range []struct {
		filters map[string]Filter
		want    []string
	}{
		{map[string]Filter{"status": {"is", []string{"WON"}}}, []string{"dl_northwind_pilot"}},
		{map[string]Filter{"status": {"is_none_of", []string{"WON", "LOST"}}}, []string{"dl_zurcher_showroom", "dl_alnoor_rollout", "dl_acme_renewal"}},
		{map[string]Filter{"status": {"is", []string{"ACTIVE"}}, "pipelineId": {"is_any_of", []string{"dpl_sales"}}}, []string{"dl_zurcher_showroom", "dl_acme_renewal"}},
	} {
		page, err := c.ListDeals(t.Context(), DealQuery{Filters: test.filters})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, ids(page)); diff != "" {
			t.Errorf("deals of %v (-want +got):\n%s", test.filters, diff)
		}
	}
	_, err := c.ListDeals(t.Context(), DealQuery{Filters: map[string]Filter{"colour": {"is", []string{"red"}}}})
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != 400 || len(e.Issues) != 1 || e.Issues[0].Field != "filters.colour" {
		t.Errorf("ListDeals(filter of colour) = %v, want the 400 that names it", err)
	}
}

// An answer that is lost on the way back: the change is made, by one request, and the error does
// not deny it.
func TestLostAnswerOfAnUpdate(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Options{Fault: func(r *http.Request) sandbox.Fault {
		if r.Method == http.MethodPatch {
			return sandbox.Fault{Kind: sandbox.Drop, When: sandbox.After}
		}
		return sandbox.Fault{}
	}})
	t.Cleanup(func() { sb.Close() })
	c := &Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: sb.HTTPClient()}
	const id, body = "dl_acme_renewal", `{"price":1.50}`
	if _, err := c.UpdateDeal(t.Context(), id, json.RawMessage(body)); EffectOf(err) != EffectPending {
		t.Errorf("UpdateDeal(answer lost) = %v, effect %v; want effect pending", err, EffectOf(err))
	}
	resp, err := c.GetDeal(t.Context(), id)
	if err != nil || string(members(resp.Object())["price"]) != "1.50" {
		t.Errorf("GetDeal = %v, %v; want the price 1.50", resp, err)
	}
	var sent []string
	for _, r := range sb.Requests() {
		sent = append(sent, strings.TrimSpace(r.Method+" "+r.Path+" "+string(r.Body)))
	}
	if diff := cmp.Diff([]string{"PATCH /deals/" + id + " " + body, "GET /deals/" + id}, sent); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
