package heffl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestErrorFromAnswer(t *testing.T) {
	t.Parallel()
	const jsonType = "application/json; charset=utf-8"
	tests := []struct {
		name        string
		status      int
		contentType string
		body        string
		want        Error // Method, Path, Status and Header are checked for all
		text        string
	}{
		{
			"v2", 400, jsonType,
			`{"error":{"code":"VALIDATION_ERROR","message":"Invalid request","details":{"issues":[{"field":"email","message":"Please enter a valid email address"},{"message":"Unknown field: foo."}]}}}`,
			Error{Code: "VALIDATION_ERROR", Message: "Invalid request", Issues: []Issue{{"email", "Please enter a valid email address"}, {"", "Unknown field: foo."}}},
			"POST /deals: HTTP status 400: VALIDATION_ERROR: Invalid request; email: Please enter a valid email address; Unknown field: foo.",
		},
		{
			"v1", 401, jsonType, `{"code":"UNAUTHORIZED","message":"Send the x-api-key header"}`,
			Error{Code: "UNAUTHORIZED", Message: "Send the x-api-key header"},
			"POST /deals: HTTP status 401: UNAUTHORIZED: Send the x-api-key header",
		},
		{
			"v1 with issues", 400, jsonType, `{"code":"VALIDATION_ERROR","details":{"issues":[{"field":"title","message":"Required"}]}}`,
			Error{Code: "VALIDATION_ERROR", Issues: []Issue{{"title", "Required"}}},
			"POST /deals: HTTP status 400: VALIDATION_ERROR; title: Required",
		},
		{"JSON by another name", 403, "text/plain", `{"error":{"code":"FORBIDDEN"}}`, Error{Code: "FORBIDDEN"}, "POST /deals: HTTP status 403: FORBIDDEN"},
		{"gateway", 403, jsonType, `{"error":"Forbidden"}`, Error{Message: "Forbidden"}, "POST /deals: HTTP status 403: Forbidden"},
		{"gateway with both", 403, jsonType, `{"error":"Forbidden","message":"no entry"}`, Error{Message: "no entry"}, "POST /deals: HTTP status 403: no entry"},
		{"other names", 404, jsonType, `{"Code":"X","MESSAGE":"Y","Error":{"code":"Z"}}`, Error{}, "POST /deals: HTTP status 404"},
		{"wrong types", 400, jsonType, `{"error":{"code":7,"message":["a"],"details":{"issues":[1,"x",null,{},{"field":2,"message":"kept"},{"field":"f"}]}}}`,
			Error{Issues: []Issue{{"", "kept"}, {"f", ""}}}, "POST /deals: HTTP status 400; kept; f: "},
		{"wrong details", 400, jsonType, `{"error":{"code":"C","details":[]}}`, Error{Code: "C"}, "POST /deals: HTTP status 400: C"},
		{"wrong issues", 400, jsonType, `{"error":{"code":"C","details":{"issues":{}}}}`, Error{Code: "C"}, "POST /deals: HTTP status 400: C"},
		{"JSON string", 500, jsonType, `"Oh no"`, Error{Message: "Oh no"}, "POST /deals: HTTP status 500: Oh no"},
		{"JSON list", 500, jsonType, `[1]`, Error{}, "POST /deals: HTTP status 500"},
		{"JSON null", 500, jsonType, `null`, Error{}, "POST /deals: HTTP status 500"},
		{"truncated", 500, jsonType, `{"error":{"code":"INTERNAL_`, Error{Message: `{"error":{"code":"INTERNAL_`}, `POST /deals: HTTP status 500: {"error":{"code":"INTERNAL_`},
		{"empty", 500, "", "", Error{}, "POST /deals: HTTP status 500"},
		{"HTML", 502, "text/html", "Bad <b>gateway</b>", Error{}, "POST /deals: HTTP status 502"},
		{"HTML by another name", 502, "text/plain", "\ufeff\r\n <!doctype html><title>502</title>", Error{}, "POST /deals: HTTP status 502"},
		{"binary", 502, "text/plain", "\x1f\x8b\xff", Error{}, "POST /deals: HTTP status 502"},
		{"text", 503, "text/plain", "upstream\tconnect error\r\n\x1b[31mreset\u202e\x00 ", Error{Message: "upstream connect error [31mreset"}, "POST /deals: HTTP status 503: upstream connect error [31mreset"},
		{"long text", 503, "", strings.Repeat("é ", 5000), Error{Message: strings.Repeat("é ", 249) + "é…"}, ""},
		{"controls in JSON", 400, jsonType, `{"error":{"code":"A\nB","message":"x\u001b[2J\u2028y"}}`, Error{Code: "A B", Message: "x[2J y"}, "POST /deals: HTTP status 400: A B: x[2J y"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, answer(test.status, test.contentType, test.body)).CreateDeal(t.Context(), deal)
			got, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("CreateDeal = %T %v, want *Error", err, err)
			}
			if got.Header.Get("Date") == "" {
				t.Error("the error has no Date")
			}
			if test.text != "" && got.Error() != test.text {
				t.Errorf("Error() = %q, want %q", got, test.text)
			}
			want := test.want
			want.Method, want.Path, want.Status, want.Header = "POST", "/deals", test.status, got.Header
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorShowsFiveIssues(t *testing.T) {
	t.Parallel()
	e := &Error{Method: "POST", Path: "/deals", Status: 400}
	for i := range 7 {
		e.Issues = append(e.Issues, Issue{Message: fmt.Sprint(i)})
	}
	if got, want := e.Error(), "POST /deals: HTTP status 400; 0; 1; 2; 3; 4; and 2 more"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestUnusableAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		body   string
		want   error
	}{
		{200, ``, ErrNotJSON},
		{200, `<html>log in</html>`, ErrNotJSON},
		{201, `{"id":"dl_1"} {"id":"dl_2"}`, ErrNotJSON},
		{201, "\ufeff" + `{"id":"dl_1"}`, ErrNotJSON},
		{200, `null`, ErrNotObject},
		{200, `[{"id":"dl_1"}]`, ErrNotObject},
		{202, `"dl_1"`, ErrNotObject},
		{200, `{}`, ErrNoID},
		{200, `{"error":{"code":"X"}}`, ErrNoID},
		{204, ``, ErrNotJSON},
	} {
		resp, err := serve(t, answer(test.status, "application/json", test.body)).CreateDeal(t.Context(), deal)
		e, ok := errors.AsType[*BodyError](err)
		if resp != nil || !ok || !errors.Is(err, test.want) || EffectOf(err) != EffectDone {
			t.Errorf("CreateDeal(%d %s) = %v, %v, effect %v; want %v, effect done", test.status, test.body, resp, err, EffectOf(err), test.want)
			continue
		}
		if e.Status != test.status || string(e.Body) != test.body || e.Path != "/deals" || e.Header.Get("Date") == "" {
			t.Errorf("CreateDeal(%d %s) kept %+v", test.status, test.body, e)
		}
	}
}

func TestEffectOf(t *testing.T) {
	t.Parallel()
	status := func(n int) error { return &Error{Method: "POST", Status: n} }
	for _, test := range []struct {
		err  error
		want Effect
	}{
		{nil, EffectDone},
		{status(101), EffectUnknown}, {status(302), EffectNone},
		{status(400), EffectNone}, {status(401), EffectNone}, {status(403), EffectNone}, {status(404), EffectNone},
		{status(408), EffectNone}, {status(409), EffectNone}, {status(425), EffectNone}, {status(429), EffectNone},
		{status(500), EffectUnknown}, {status(502), EffectUnknown}, {status(503), EffectUnknown}, {status(504), EffectPending}, {status(524), EffectPending}, {status(999), EffectUnknown},
		{&Error{Method: "GET", Status: 500}, EffectNone},
		{&BodyError{Method: "POST", Status: 200, Err: ErrNoID}, EffectDone},
		{&BodyError{Method: "GET", Status: 200, Err: ErrNotJSON}, EffectNone},
		{&ConnError{Method: "POST", Sent: true, Err: io.EOF}, EffectPending},
		{&ConnError{Method: "POST", Err: io.EOF}, EffectNone},
		{&ConnError{Method: "GET", Sent: true, Err: io.EOF}, EffectNone},
		{fmt.Errorf("deal 3 of 7: %w", status(429)), EffectNone},
		{context.Canceled, EffectPending},
	} {
		if got := EffectOf(test.err); got != test.want {
			t.Errorf("EffectOf(%v) = %v, want %v", test.err, got, test.want)
		}
	}
	names := fmt.Sprint(EffectNone, EffectUnknown, EffectPending, EffectDone, Effect(0))
	if want := "none unknown pending done Effect(0)"; names != want {
		t.Errorf("effects are named %s, want %s", names, want)
	}
}

// everything is all that a program could print of an error and its causes.
func everything(err error) string {
	var b strings.Builder
	for ; err != nil; err = errors.Unwrap(err) {
		fmt.Fprintf(&b, "%v\n%+v\n%#v\n", err, err, err)
		switch e := err.(type) {
		case *Error:
			fmt.Fprintf(&b, "%+v\n", *e)
		case *BodyError:
			fmt.Fprintf(&b, "%s %+v\n", e.Body, *e)
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				b.WriteString(everything(err))
			}
		}
		j, _ := json.Marshal(err)
		b.Write(j)
	}
	return b.String()
}

func TestEchoedKeyIsInNoError(t *testing.T) {
	t.Parallel()
	const k = testKey
	half := k[:8] + "\x00" + k[8:]
	answers := map[string]http.HandlerFunc{
		"code":            answer(401, "", `{"code":"`+k+`"}`),
		"message":         answer(401, "", `{"error":{"message":"bad key `+k+k+`"}}`),
		"escaped message": answer(401, "", `{"error":{"message":"bad key \u0068`+k[1:]+`"}}`),
		"issue":           answer(400, "", `{"error":{"details":{"issues":[{"field":"`+k+`","message":"`+k+`"}]}}}`),
		"text":            answer(502, "text/plain", "header x-api-key: "+k),
		"split text":      answer(502, "text/plain", half),
		"cut text":        answer(502, "text/plain", strings.Repeat("x", maxMessage-5)+k),
		"truncated JSON":  answer(502, "text/plain", `{"key":"`+k),
		"body":            answer(200, "", `{"key":"`+k+`"}`),
		"header": func(w http.ResponseWriter, r *http.Request) {
			w.Header()["X-"+k] = []string{"1"}
			w.Header().Set("X-Echo", "key="+k)
			w.WriteHeader(418)
		},
		"header of a bad 200": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Echo", k) },
		"location": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://crm.example/?key="+k)
			w.WriteHeader(302)
		},
	}
	for name, h := range answers {
		_, err := serve(t, h).CreateDeal(t.Context(), deal)
		if err == nil {
			t.Errorf("%s: CreateDeal succeeds", name)
		}
		if s := everything(err); strings.Contains(s, k) || strings.Contains(s, k[:8]) {
			t.Errorf("%s: the key is in %s", name, s)
		}
	}
	for _, cause := range []error{nil, context.Canceled, context.DeadlineExceeded} {
		c := &Client{Key: k, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			err := fmt.Errorf("request %v failed", r.Header)
			if cause != nil {
				err = fmt.Errorf("%w: %w", err, cause)
			}
			return nil, err
		})}}
		_, err := c.CreateDeal(t.Context(), deal)
		if s := everything(err); strings.Contains(s, k) {
			t.Errorf("transport: the key is in %s", s)
		}
		if cause != nil && !errors.Is(err, cause) {
			t.Errorf("transport: errors.Is(%v, %v) = false", err, cause)
		}
	}
	_, err := raw(t, say(k+"\r\n\r\n")).CreateDeal(t.Context(), deal)
	if s := everything(err); err == nil || strings.Contains(s, k) {
		t.Errorf("malformed answer: the key is in %s", s)
	}
}

func TestEchoedKeyIsInNoHeaderName(t *testing.T) {
	t.Parallel()
	c := &Client{Key: "Canonical"}
	got := c.redactHeader(http.Header{"X-Canonical": {"1", "Canonical-2"}})
	if diff := cmp.Diff(http.Header{"X-•••": {"1", "•••-2"}}, got); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

// Words are not garbled for the sake of a key that is none.
func TestShortKeyIsNotRedacted(t *testing.T) {
	t.Parallel()
	c := serve(t, answer(400, "", `{"code":"BAD_REQUEST","message":"a bad key"}`))
	c.Key = "bad"
	if _, err := c.CreateDeal(t.Context(), deal); err.Error() != "POST /deals: HTTP status 400: BAD_REQUEST: a bad key" {
		t.Errorf("CreateDeal = %v", err)
	}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestWait(t *testing.T) {
	t.Parallel()
	later := func(d time.Duration) string { return noon.Add(d).Format(http.TimeFormat) }
	unix := func(d time.Duration) string { return fmt.Sprint(noon.Add(d).Unix()) }
	milli := func(d time.Duration) string { return fmt.Sprint(noon.Add(d).UnixMilli()) }
	tests := []struct {
		after, reset, date string
		want               time.Duration
	}{
		{"", "", "", 0},
		{"7", "", "", 7 * time.Second},
		{"7", "9", "", 7 * time.Second},
		{"0", "9", "", 0},
		{"0.25", "", "", 250 * time.Millisecond},
		{"0.0001", "", "", time.Millisecond},
		{later(30 * time.Second), "", "", 30 * time.Second},
		{noon.Add(time.Minute).Format(time.RFC850), "", "", time.Minute},
		{noon.Add(time.Minute).Format(time.ANSIC), "", "", time.Minute},
		{later(-time.Minute), "9", "", 0},
		{later(30 * time.Second), "", later(20 * time.Second), 10 * time.Second},
		{later(-time.Hour + time.Minute), "", later(-time.Hour), time.Minute},
		{later(30 * time.Second), "", "tomorrow", 30 * time.Second},
		{"soon", "9", "", 9 * time.Second},
		{"-7", "9", "", 9 * time.Second},
		{"+7", "9", "", 9 * time.Second},
		{"1e1", "9", "", 9 * time.Second},
		{"0x10", "9", "", 9 * time.Second},
		{"1_0", "9", "", 9 * time.Second},
		{"Inf", "9", "", 9 * time.Second},
		{"NaN", "9", "", 9 * time.Second},
		{"1.2.3", "9", "", 9 * time.Second},
		{".", "9", "", 9 * time.Second},
		{"86400", "", "", time.Hour},
		{strings.Repeat("9", 400), "", "", time.Hour},
		{later(48 * time.Hour), "", "", time.Hour},
		{"", "23", "", 23 * time.Second},
		{"", "999999999", "", time.Hour},
		{"", unix(42 * time.Second), "", 42 * time.Second},
		{"", unix(42 * time.Second), later(40 * time.Second), 2 * time.Second},
		{"", unix(-time.Second), "", 0},
		{"", milli(1500 * time.Millisecond), "", 1500 * time.Millisecond},
		{"", milli(-time.Second), "", 0},
		{"", milli(24 * time.Hour), "", time.Hour},
		{"", strings.Repeat("9", 400), "", time.Hour},
		{"", unix(0), "Fri, 31 Dec 9999 23:59:59 GMT", 0},
		{"", later(time.Minute), "", 0},
		{"", "-1", "", 0},
	}
	for _, test := range tests {
		if got := wait(waitHeader(test.after, test.reset, test.date), noon); got != test.want {
			t.Errorf("wait(Retry-After %q, RateLimit-Reset %q, Date %q) = %v, want %v", test.after, test.reset, test.date, got, test.want)
		}
	}
}

func waitHeader(after, reset, date string) http.Header {
	h := make(http.Header)
	for name, value := range map[string]string{"Retry-After": after, "RateLimit-Reset": reset, "Date": date} {
		if value != "" {
			h.Set(name, value)
		}
	}
	return h
}

func TestWaitOfAnswer(t *testing.T) {
	t.Parallel()
	date := noon.Format(http.TimeFormat)
	for _, test := range []struct {
		status int
		header http.Header
		want   time.Duration
	}{
		{429, waitHeader("7", "", date), 7 * time.Second},
		{429, waitHeader(noon.Add(8*time.Second).Format(http.TimeFormat), "", date), 8 * time.Second},
		{429, waitHeader("", "9", date), 9 * time.Second},
		{429, waitHeader("", fmt.Sprint(noon.Unix()+10), date), 10 * time.Second},
		{429, waitHeader("", fmt.Sprint(noon.UnixMilli()+11_000), date), 11 * time.Second},
		{429, waitHeader("", "", date), 0},
		{503, waitHeader("7", "", date), 7 * time.Second},
		{409, waitHeader("7", "", date), 0},
		{500, waitHeader("7", "", date), 0},
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			for name, values := range test.header {
				w.Header()[name] = values
			}
			w.WriteHeader(test.status)
		})
		_, err := c.CreateDeal(t.Context(), deal)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Wait != test.want || e.Status != test.status {
			t.Errorf("CreateDeal(%d, %v) = %#v; want a wait of %v", test.status, test.header, err, test.want)
		}
	}
}

func FuzzErrorBody(f *testing.F) {
	f.Add(400, "application/json", []byte(`{"error":{"code":"VALIDATION_ERROR","message":"m","details":{"issues":[{"field":"email","message":"bad"}]}}}`))
	f.Add(429, "", []byte(`{"code":"TOO_MANY_REQUESTS","message":"\u001b"}`))
	f.Add(502, "text/html", []byte("<html>"))
	f.Add(500, "text/plain", []byte("\x00"+testKey[:5]+"\x1b"+testKey[5:]+strings.Repeat("x", 600)))
	f.Add(500, "application/json", []byte(`{"error":{"code":[`))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		c := &Client{Key: testKey}
		resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}, "X-Echo": {string(body)}}}
		e := c.newError("POST", "/deals", resp, body)
		check := func(what, s string, limit int) {
			if n := utf8.RuneCountInString(s); n > limit {
				t.Errorf("%s has %d characters, want at most %d", what, n, limit)
			}
			if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s %q has unprintable characters", what, s)
			}
			if s != strings.TrimSpace(s) {
				t.Errorf("%s %q has space around it", what, s)
			}
		}
		check("code", e.Code, maxName)
		check("message", e.Message, maxMessage)
		if len(e.Issues) > maxIssues {
			t.Errorf("%d issues, want at most %d", len(e.Issues), maxIssues)
		}
		for _, issue := range e.Issues {
			check("field", issue.Field, maxName)
			check("issue", issue.Message, maxMessage)
		}
		if e.Code != "" && !json.Valid(body) {
			t.Errorf("code %q from %q, which is not JSON", e.Code, body)
		}
		if s := everything(e); strings.Contains(s, testKey) {
			t.Errorf("the key is in %s", s)
		}
		if got := EffectOf(e); got != EffectNone && got != EffectUnknown && got != EffectPending {
			t.Errorf("effect of %v = %v", e, got)
		}
	})
}

func FuzzWait(f *testing.F) {
	f.Add("7", "", "")
	f.Add("", "1795348800", noon.Format(http.TimeFormat))
	f.Add("Sun, 22 Nov 2026 12:00:30 GMT", "9", "")
	f.Add("", "99999999999999999999", "Mon, 01 Jan 0001 00:00:00 GMT")
	f.Add("", "1795348800000", "Sun, 22 Nov 2026 11:59:58 GMT")
	f.Add("x", "999999999", "x")
	f.Add("1e3", "1000000000", "")
	f.Fuzz(func(t *testing.T, after, reset, date string) {
		h := waitHeader(after, reset, date)
		got := wait(h, noon)
		if got < 0 || got > maxWait {
			t.Errorf("wait(%v) = %v, want 0 to %v", h, got, maxWait)
		}
		if n, ok := number(after); ok && math.Abs(got.Seconds()-min(n, maxWait.Seconds())) > 0.002 {
			t.Errorf("wait(%v) = %v, want %v s", h, got, n)
		}
		server, err := http.ParseTime(date)
		if err != nil {
			server = noon
		}
		if at, err := http.ParseTime(after); err == nil {
			if want := min(max(at.Sub(server), 0), maxWait); got != want {
				t.Errorf("wait(%v) = %v, want %v, from the server's clock to the date", h, got, want)
			}
			return
		}
		n, err := strconv.ParseUint(reset, 10, 40)
		if _, ok := number(after); ok || err != nil {
			return
		}
		var want time.Duration
		switch at := int64(n); { // seconds from now, a time in seconds, or one in milliseconds
		case n < 1_000_000_000:
			want = time.Duration(n) * time.Second
		case n < 100_000_000_000:
			want = time.Unix(at, 0).Sub(server)
		default:
			want = time.UnixMilli(at).Sub(server)
		}
		if want = min(max(want, 0), maxWait); (got - want).Abs() > 2*time.Millisecond {
			t.Errorf("wait(%v) = %v, want %v", h, got, want)
		}
	})
}

// TestRedactBody holds that an answer loses the key in whatever form it stands there, stays JSON,
// and is otherwise untouched.
func TestRedactBody(t *testing.T) {
	t.Parallel()
	c := &Client{Key: `k"<\&/1ab`}
	for body, want := range map[string]string{
		`{"a":1.0, "b":"\u0041\/"}`:                            `{"a":1.0, "b":"\u0041\/"}`,
		`{"a":"k\"<\\&/1ab","b":"k\"\u003c\\\u0026\/1ab"}`:     `{"a":"•••","b":"•••"}`,
		`{"a":"\u006b\u0022\u003C\u005c\u0026\u002f\u0031ab"}`: `{"a":"•••"}`,
		`{"a":"k%22%3C%5C%26%2F1ab"}`:                          `{"a":"•••"}`,
		`{"a":"ayI8XCYvMWFi"}`:                                 `{"a":"•••"}`,
		`{"a":"k\"<\\&/1ab","b":"\\u0041\\/\\\u0041\n\u00e9"}`: `{"a":"•••","b":"\\u0041\\/\\A\n\u00e9"}`,
	} {
		if got := string(c.redactBody([]byte(body))); got != want {
			t.Errorf("redactBody(%s) = %s, want %s", body, got, want)
		}
	}
}
