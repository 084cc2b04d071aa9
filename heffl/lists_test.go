package heffl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
)

func TestListDealsQuery(t *testing.T) {
	t.Parallel()
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.URL.String()
		io.WriteString(w, `{"data":[]}`)
	})
	for _, test := range []struct {
		query DealQuery
		want  string
	}{
		{DealQuery{}, "/deals"},
		{DealQuery{Search: "Renewal"}, "/deals?search=Renewal"},
		{DealQuery{Search: "50% & más/大 +#?=;"}, "/deals?search=50%25+%26+m%C3%A1s%2F%E5%A4%A7+%2B%23%3F%3D%3B"},
		{DealQuery{Search: "  "}, "/deals?search=++"},
		{DealQuery{OrderBy: "createdAt", OrderDir: "desc", PageSize: 100, Cursor: "a=/+b"}, "/deals?cursor=a%3D%2F%2Bb&orderBy=createdAt&orderDir=desc&pageSize=100"},
		{DealQuery{Filters: map[string]Filter{}}, "/deals"},
		{DealQuery{PageSize: 50, Filters: map[string]Filter{"status": {"is", []string{"ACTIVE"}}}},
			"/deals?filters=%7B%22status%22%3A%7B%22operator%22%3A%22is%22%2C%22values%22%3A%5B%22ACTIVE%22%5D%7D%7D&pageSize=50"},
	} {
		if _, err := c.ListDeals(t.Context(), test.query); err != nil || got != "GET "+test.want {
			t.Errorf("ListDeals(%+v) sent %s, %v; want GET %s", test.query, got, err, test.want)
		}
	}
}

// The filters are one parameter, the same for the same filters, and what it says is what was given.
func TestListDealsFilters(t *testing.T) {
	t.Parallel()
	var got url.Values
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.Query()
		io.WriteString(w, `{"data":[]}`)
	})
	for _, test := range []struct {
		filters map[string]Filter
		want    string
	}{
		{
			map[string]Filter{"status": {"is_any_of", []string{"WON", "LOST"}}, "cf_b": {"is", []string{"x"}}, "clientId": {"is_not", []string{"clt_1"}}, "a": {"is", []string{"y"}}},
			`{"a":{"operator":"is","values":["y"]},"cf_b":{"operator":"is","values":["x"]},"clientId":{"operator":"is_not","values":["clt_1"]},"status":{"operator":"is_any_of","values":["WON","LOST"]}}`,
		},
		{map[string]Filter{"status": {Operator: "is"}}, `{"status":{"operator":"is","values":[]}}`},
		{map[string]Filter{"": {}}, `{"":{"operator":"","values":[]}}`},
	} {
		given := maps.Clone(test.filters)
		for range 5 { // a map's order differs from time to time
			if _, err := c.ListDeals(t.Context(), DealQuery{Filters: test.filters}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(url.Values{"filters": {test.want}}, got); diff != "" {
				t.Errorf("query of %v (-want +got):\n%s", test.filters, diff)
			}
		}
		if diff := cmp.Diff(given, test.filters); diff != "" {
			t.Errorf("the caller's filters were changed (-before +after):\n%s", diff)
		}
	}
}

// FuzzFilters holds that Heffl reads the filters that were given, whatever characters they have.
func FuzzFilters(f *testing.F) {
	f.Add("status", "is", "ACTIVE")
	f.Add("cf_größe", "is_not", `50% & "más"/<大>+#?=;\`)
	f.Add("\x00", "\n", "\u2028")
	f.Fuzz(func(t *testing.T, field, operator, value string) {
		for _, s := range []string{field, operator, value} {
			if !utf8.ValidString(s) {
				return // has no JSON form
			}
		}
		var got map[string]Filter
		c := &Client{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if err := json.Unmarshal([]byte(r.URL.Query().Get("filters")), &got); err != nil {
				t.Errorf("%s: %v", r.URL, err)
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`[]`))}, nil
		})}}
		want := map[string]Filter{field: {operator, []string{value, value}}}
		if _, err := c.ListDeals(t.Context(), DealQuery{Filters: want}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("filters (-given +read):\n%s", diff)
		}
	})
}

func TestListDealsForms(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Page{
		// https://docs.heffl.com/api-v2/pagination
		`{"data":[{"id":"dl_1"},{"id":"dl_2"}],"meta":{"nextCursor":"c","hasMore":true}}`: {Items: rows(`{"id":"dl_1"}`, `{"id":"dl_2"}`), Next: "c"},
		`{"data":[{"id":"dl_1"}],"meta":{"nextCursor":null,"hasMore":false}}`:             {Items: rows(`{"id":"dl_1"}`)},
		`{"data":[],"meta":{"nextCursor":"c","hasMore":false}}`:                           {Items: rows()},
		`{"data":[],"meta":{"nextCursor":"c"}}`:                                           {Items: rows(), Next: "c"},
		`{"data":[],"meta":{"hasMore":false}}`:                                            {Items: rows()},
		`{"data":[]}`:                                                                     {Items: rows()},
		`{"data":[],"meta":null}`:                                                         {Items: rows()},
		// https://docs.heffl.com/api-reference/introduction
		`{"items":[1.50],"nextCursor":"c","hasMore":true}`: {Items: rows(`1.50`), Next: "c"},
		`{"items":[],"nextCursor":null,"hasMore":false}`:   {Items: rows()},
		`{"items":[],"nextCursor":"","hasMore":false}`:     {Items: rows()},
		`{"items":[{"id":"dl_1"}],"meta":{"count":1}}`:     {Items: rows(`{"id":"dl_1"}`)},
		`{"items":[],"meta":{"nextCursor":"c"}}`:           {Items: rows(), Next: "c"},
		`{"data":[],"nextCursor":"c","hasMore":true}`:      {Items: rows(), Next: "c"},
		`{"data":[],"meta":{"total":5},"nextCursor":"c"}`:  {Items: rows(), Next: "c"},
		`[{"id":"dl_1"}]`: {Items: rows(`{"id":"dl_1"}`)},
		` [ ] `:           {Items: rows()},
		`{"data":[{"price": 1e2, "cf_x":12345678901234567}]}`: {Items: rows(`{"price": 1e2, "cf_x":12345678901234567}`)},
	} {
		got, err := serve(t, answer(200, "application/json", body)).ListDeals(t.Context(), DealQuery{})
		if err != nil {
			t.Errorf("ListDeals(%s): %v", body, err)
			continue
		}
		got.Clock = 0
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("ListDeals(%s) (-want +got):\n%s", body, diff)
		}
	}
}

func rows(items ...string) []json.RawMessage {
	list := []json.RawMessage{}
	for _, i := range items {
		list = append(list, json.RawMessage(i))
	}
	return list
}

// What is no list, or does not say how it goes on, must not pass for an empty or a whole one.
func TestListDealsRefuses(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `null`, `7`, `"data"`, `{}`, `{"data":null}`, `{"data":{}}`, `{"data":7}`, `{"data":{"items":[]}}`, `{"items":null}`, `{"error":"no"}`,
		`{"data":[]`, `[1`, `<html>`, `{"data":[],"meta":[]}`, `{"data":[],"meta":{"nextCursor":7}}`, `{"data":[],"meta":{"hasMore":"yes"}}`,
		`{"data":[],"meta":{"nextCursor":null,"hasMore":true}}`, `{"data":[],"meta":{"hasMore":true}}`, `{"data":[],"meta":{"nextCursor":"","hasMore":true}}`,
		`{"items":[],"hasMore":true}`,
	} {
		page, err := serve(t, answer(200, "application/json", body)).ListDeals(t.Context(), DealQuery{Search: "confidential"})
		e, ok := errors.AsType[*BodyError](err)
		if !ok || !errors.Is(e, ErrNotList) || EffectOf(err) != EffectNone || strings.Contains(err.Error(), "confidential") {
			t.Errorf("ListDeals(%s) = %+v, %v; want that it is not a list", body, page, err)
		}
	}
}

// A task's rows come as they are, with whatever members they have.
func TestListTasks(t *testing.T) {
	t.Parallel()
	const task = `{"id":"tsk_1", "durationMinutes":1.50,"cf_x":12345678901234567}`
	got, err := serve(t, answer(200, "application/json", `{"data":[`+task+`],"meta":{"nextCursor":"c","hasMore":true}}`)).ListTasks(t.Context(), ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	got.Clock = 0
	if diff := cmp.Diff(&Page{Items: rows(task), Next: "c"}, got); diff != "" {
		t.Errorf("ListTasks (-want +got):\n%s", diff)
	}
	_, err = serve(t, answer(403, "application/json", `{"error":{"code":"FORBIDDEN"}}`)).ListTasks(t.Context(), ListQuery{Search: "confidential"})
	if got, want := fmt.Sprint(err), "GET /tasks: HTTP status 403: FORBIDDEN"; got != want || EffectOf(err) != EffectNone {
		t.Errorf("ListTasks(403) = %s, effect %v; want %s, effect none", got, EffectOf(err), want)
	}
	if _, err := serve(t, answer(200, "application/json", `{}`)).ListTasks(t.Context(), ListQuery{}); !errors.Is(err, ErrNotList) {
		t.Errorf("ListTasks({}) = %v, want that it is not a list", err)
	}
}

func TestListDealsPages(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Options{})
	defer sb.Close()
	c := &Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: sb.HTTPClient()}
	var got []string
	for q := (DealQuery{PageSize: 2, OrderBy: "price", OrderDir: "asc"}); ; {
		page, err := c.ListDeals(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(page)...)
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	want := []string{"dl_northwind_pilot", "dl_globex_return", "dl_acme_renewal", "dl_alnoor_rollout", "dl_zurcher_showroom"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("all pages (-want +got):\n%s", diff)
	}
}

// Whatever a read takes, and however often it is sent, Heffl's clock must not seem ahead of what it
// is by more than the rounding: what is looked for would be cut off.
func TestListDealsClock(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ahead, request, answer time.Duration
		fails                  int
		budget                 bool
		undated                bool
	}{
		"same":                       {},
		"ahead":                      {ahead: 90 * time.Second},
		"behind":                     {ahead: -90 * time.Second},
		"by a fraction":              {ahead: 700 * time.Millisecond},
		"slow to answer":             {request: 15 * time.Second},
		"slow on its way back":       {answer: 15 * time.Second},
		"slow and behind":            {ahead: -time.Hour, request: 10 * time.Second, answer: 5 * time.Second},
		"after failed tries":         {fails: 3},
		"after a wait for the limit": {budget: true},
		"without a date":             {undated: true, ahead: time.Hour},
	} {
		in(t, name, func(t *testing.T) {
			failures := test.fails
			c := &Client{HTTP: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				time.Sleep(test.request)
				date := time.Now().Add(test.ahead).UTC().Format(http.TimeFormat)
				time.Sleep(test.answer)
				if failures--; failures >= 0 {
					return nil, io.ErrUnexpectedEOF
				}
				h := http.Header{"Date": {date}}
				if test.undated {
					h = http.Header{}
				}
				return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader(`[]`))}, nil
			})}}
			if test.budget {
				c.Budget = &Budget{blocked: time.Now().Add(20 * time.Second)}
			}
			page, err := c.ListDeals(t.Context(), DealQuery{})
			if err != nil {
				t.Fatal(err)
			}
			if test.undated {
				test.ahead = 0
			}
			most, least := test.ahead+time.Second, test.ahead-time.Second-test.request-test.answer
			if page.Clock > most || page.Clock < least {
				t.Errorf("Heffl's clock is %v ahead, want %v to %v", page.Clock, least, most)
			}
		})
	}
}

// try is one answer to a read: a status, or what is wrong with it.
type try struct {
	status int
	body   string
	err    error
	took   time.Duration
}

// tried answers reads, one try after the other, the last one for ever; at tells when they came.
type tried struct {
	tries []try
	at    []time.Time
}

func (f *tried) RoundTrip(r *http.Request) (*http.Response, error) {
	f.at = append(f.at, time.Now())
	a := f.tries[min(len(f.at), len(f.tries))-1]
	select {
	case <-time.After(a.took):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	body := io.Reader(strings.NewReader(a.body))
	if a.body == "cut" {
		body = io.MultiReader(strings.NewReader(`{"data":[`), broken{})
	}
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(body)}, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestReadsAreRepeated(t *testing.T) {
	t.Parallel()
	good, reset := try{status: 200, body: `[]`}, errors.New("connection reset")
	for _, test := range []struct {
		name  string
		tries []try
		sent  int
		err   string // part of it; empty: none
	}{
		{"good", []try{good}, 1, ""},
		{"500, then good", []try{{status: 500}, good}, 2, ""},
		{"four of a kind", []try{{status: 502}, {err: reset}, {status: 200, body: "cut"}, {status: 503}, good}, 5, ""},
		{"429 without a word", []try{{status: 429}, good}, 2, ""},
		{"a hang, then good", []try{{took: time.Hour}, good}, 2, ""},
		{"500 for ever", []try{{status: 500}}, maxTries, "HTTP status 500"},
		{"no connection for ever", []try{{err: reset}}, maxTries, "connection reset"},
		{"cut for ever", []try{{status: 200, body: "cut"}}, maxTries, "unexpected EOF"},
		{"400", []try{{status: 400}, good}, 1, "HTTP status 400"},
		{"401", []try{{status: 401}, good}, 1, "HTTP status 401"},
		{"404", []try{{status: 404}, good}, 1, "HTTP status 404"},
		{"a redirect", []try{{status: 302}, good}, 1, "HTTP status 302"},
		{"not a list", []try{{status: 200, body: `{}`}, good}, 1, "not a list"},
	} {
		in(t, test.name, func(t *testing.T) {
			f := &tried{tries: test.tries}
			_, err := (&Client{HTTP: &http.Client{Transport: f}}).ListDeals(t.Context(), DealQuery{})
			if len(f.at) != test.sent {
				t.Errorf("sent %d times, want %d", len(f.at), test.sent)
			}
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if _, ok := errors.AsType[*Error](err); strings.HasPrefix(test.err, "HTTP") && !ok {
				t.Errorf("error %v is no *Error", err)
			}
			for i := 1; i < len(f.at); i++ {
				if pause := f.at[i].Sub(f.at[i-1]) - test.tries[min(i, len(test.tries))-1].took; pause > 3*time.Second || pause <= 0 && test.tries[i-1].took == 0 {
					t.Errorf("pause %d was %v, want up to 3s", i, pause)
				}
			}
		})
	}
}

// Nothing is sent once the context has ended, and its end is not waited beyond.
func TestReadsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	for name, tries := range map[string][]try{
		"in a pause": {{status: 500}}, "in a request": {{took: time.Hour}}, "in an answer that fails": {{status: 500, took: 40 * time.Millisecond}},
	} {
		for _, after := range []time.Duration{0, 10 * time.Millisecond, 333 * time.Millisecond} {
			in(t, fmt.Sprintf("%s, after %v", name, after), func(t *testing.T) {
				f := &tried{tries: tries}
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				began := time.Now()
				_, err := (&Client{HTTP: &http.Client{Transport: f}, Budget: new(Budget)}).ListDeals(ctx, DealQuery{})
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != after {
					t.Errorf("ListDeals = %v after %v, want that the time is up, at once", err, time.Since(began))
				}
				time.Sleep(time.Minute)
				for _, at := range f.at {
					if at.Sub(began) >= after && after > 0 || after == 0 {
						t.Errorf("a request was sent %v after the beginning", at.Sub(began))
					}
				}
			})
		}
	}
}

// A read that no request can be sent for is not tried again.
func TestReadsOfABadClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := (&Client{BaseURL: "http://crm.example"}).ListDeals(t.Context(), DealQuery{})
		if err == nil || time.Since(began) != 0 {
			t.Errorf("ListDeals(bad base URL) = %v after %v, want an error at once", err, time.Since(began))
		}
	})
}

// A read waits for as long as a 429 asks for, and not a try more.
func TestReadsWaitForTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &limits{answers: []limit{{429, "60 0 12"}, {200, "60 59 60"}}}
		began := time.Now()
		if _, err := l.client().ListDeals(t.Context(), DealQuery{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); len(l.at) != 2 || took < 12*time.Second || took > 13*time.Second {
			t.Errorf("%d requests in %v, want 2 in 12s", len(l.at), took)
		}
	})
}
