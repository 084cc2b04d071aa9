package heffl

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

// Error is an answer of Heffl, or of something on the way to it, that is not a 2xx.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/errors
type Error struct {
	Method string // of the request
	Path   string // below the base URL, without query
	Status int    // HTTP status

	// Code is Heffl's, such as "VALIDATION_ERROR". Empty: the answer has none, so it is perhaps
	// not Heffl's own but that of a proxy.
	Code string

	// Message is Heffl's or, where the body is not JSON, the beginning of a text. It is one line
	// of at most 500 characters, and empty for HTML.
	Message string

	Issues []Issue // what is wrong with which field of the request; at most 100

	// Wait is how long Heffl asks to wait before the next request, if Status is 429 or 503: at
	// most an hour; 0 when it does not say.
	Wait time.Duration

	Header http.Header // of the answer; Date is the server's clock
}

// Issue is one fault that Heffl found in a request.
type Issue struct {
	Field   string // empty where Heffl names none, as for unknown fields
	Message string
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: HTTP status %d", e.Method, e.Path, e.Status)
	for _, s := range []string{e.Code, e.Message} {
		if s != "" {
			b.WriteString(": " + s)
		}
	}
	for i, issue := range e.Issues {
		if i == maxIssuesShown {
			fmt.Fprintf(&b, "; and %d more", len(e.Issues)-i)
			break
		}
		b.WriteString("; ")
		if issue.Field != "" {
			b.WriteString(issue.Field + ": ")
		}
		b.WriteString(issue.Message)
	}
	return b.String()
}

// ConnError is a request without an answer: it was refused by [Client.Check] or has no usable ID
// in its path, the connection could not be made or was lost, or the time was up. It unwraps to the cause, so that
// errors.Is(err, context.DeadlineExceeded) holds when the time was up.
type ConnError struct {
	Method string
	Path   string // below the base URL, without query
	Sent   bool   // some of the request may have left; if not, it certainly was not carried out
	Err    error
}

func (e *ConnError) Error() string {
	what := "not sent"
	if e.Sent {
		what = "no answer"
	}
	return fmt.Sprintf("%s %s: %s: %v", e.Method, e.Path, what, e.Err)
}

func (e *ConnError) Unwrap() error { return e.Err }

// BodyError is a 2xx, so the request was carried out, whose body is of no use. It unwraps to the
// reason: ErrNotJSON, ErrNotObject, ErrNoID, an *http.MaxBytesError if it is larger than
// Client.MaxResponse, else why it could not be read to its end (io.ErrUnexpectedEOF for a
// connection that was lost).
type BodyError struct {
	Method string
	Path   string // below the base URL, without query
	Status int    // 2xx
	Header http.Header
	Body   []byte // as much as was read
	Err    error
}

func (e *BodyError) Error() string {
	return fmt.Sprintf("%s %s: HTTP status %d, but the body is unusable: %v", e.Method, e.Path, e.Status, e.Err)
}

func (e *BodyError) Unwrap() error { return e.Err }

// Effect is what is known about whether a request was carried out.
type Effect int

// The effects that a request can have had.
const (
	EffectNone    Effect = iota + 1 // certainly none: nothing was sent, Heffl refused, or it was a read
	EffectUnknown                   // Heffl has finished, but may or may not have carried it out
	EffectPending                   // Heffl may have carried it out, or may yet do so
	EffectDone                      // certainly carried out
)

func (e Effect) String() string {
	switch e {
	case EffectNone:
		return "none"
	case EffectUnknown:
		return "unknown"
	case EffectPending:
		return "pending"
	case EffectDone:
		return "done"
	}
	return "Effect(" + strconv.Itoa(int(e)) + ")"
}

// EffectOf tells what a request has done that ended with err; nil is success.
//
// A 3xx or 4xx is a refusal, whatever it asks the client to do next: this includes 408 (the
// request did not arrive whole), 425 and 429. A 5xx can come after the work as well as before; a 504,
// or the 52x of a proxy that lost the server, says only that somebody on the way waits no longer.
// Of an error that is not from this package nothing is known, so it is EffectPending.
func EffectOf(err error) Effect {
	if err == nil {
		return EffectDone
	}
	if e, ok := errors.AsType[*Error](err); ok {
		if isRead(e.Method) || e.Status >= 300 && e.Status < 500 {
			return EffectNone
		}
		if e.Status == http.StatusGatewayTimeout || e.Status >= 520 && e.Status < 530 {
			return EffectPending
		}
		return EffectUnknown
	}
	if e, ok := errors.AsType[*BodyError](err); ok {
		if isRead(e.Method) {
			return EffectNone
		}
		return EffectDone
	}
	if e, ok := errors.AsType[*ConnError](err); ok && (isRead(e.Method) || !e.Sent) {
		return EffectNone
	}
	return EffectPending
}

func isRead(method string) bool { return method == http.MethodGet }

// Limits on what an error keeps of an answer: enough to act on, too little to flood a log.
const (
	maxMessage     = 500 // characters
	maxName        = 100 // characters in a code or the name of a field
	maxIssues      = 100
	maxIssuesShown = 5 // in Error.Error
	maxWait        = time.Hour
)

func (c *Client) newError(method, path string, resp *http.Response, body []byte) *Error {
	e := &Error{Method: method, Path: path, Status: resp.StatusCode, Header: c.redactHeader(resp.Header)}
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		e.Wait = wait(resp.Header, time.Now())
	}
	if json.Valid(body) {
		c.decodeError(e, body)
	} else if isText(resp.Header.Get("Content-Type"), body) {
		e.Message = c.line(string(body), maxMessage)
	}
	return e
}

// decodeError reads the form of v2, {"error":{"code","message","details":{"issues"}}}, and that
// of v1, which has the same members at the top. A member of another type is passed over.
func (c *Client) decodeError(e *Error, body []byte) {
	object := members(body)
	if object == nil {
		e.Message = c.line(text(body), maxMessage)
		return
	}
	if inner := members(object["error"]); inner != nil {
		object = inner
	}
	e.Code = c.line(text(object["code"]), maxName)
	e.Message = c.line(text(object["message"]), maxMessage)
	if e.Message == "" {
		e.Message = c.line(text(object["error"]), maxMessage) // {"error":"..."}, the way of many gateways
	}
	var issues []json.RawMessage
	_ = json.Unmarshal(members(object["details"])["issues"], &issues) // not a list: no issues
	for _, raw := range issues {
		m := members(raw)
		issue := Issue{Field: c.line(text(m["field"]), maxName), Message: c.line(text(m["message"]), maxMessage)}
		if issue != (Issue{}) && len(e.Issues) < maxIssues {
			e.Issues = append(e.Issues, issue)
		}
	}
}

// text returns the value of a JSON string, or "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// isText reports whether a body can be shown to a person: it is neither HTML or XML, whose
// beginning says nothing, nor binary.
func isText(contentType string, body []byte) bool {
	return !strings.Contains(strings.ToLower(contentType), "html") &&
		!bytes.HasPrefix(bytes.TrimLeft(body, "\ufeff \t\r\n"), []byte("<")) &&
		utf8.Valid(body)
}

// line makes one line of a server's words: at most so many characters, nothing that moves a
// cursor or hides text, and no key. Order matters: removing characters can bring the parts of a
// key together, and cutting can leave half of one.
func (c *Client) line(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || unicode.IsSpace(r) {
			return r
		}
		return -1
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	s = c.redact(s)
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// minSecret is the shortest key that is looked for in what a server says. A shorter one is no
// secret, and taking it out would only garble words.
const minSecret = 8

// Redact takes the key out of a text, in whatever form it stands there.
func (c *Client) Redact(s string) string { return c.redact(s) }

// RedactJSON takes the key out of a JSON value, however it is escaped there. Any other value stays as it is, to the byte.
func (c *Client) RedactJSON(v json.RawMessage) json.RawMessage { return c.redactBody(v) }

func (c *Client) redact(s string) string { return c.keyForms().redact(s) }

// keyForms are the ways in which a key may stand in a text.
type keyForms []string

func (forms keyForms) redact(s string) string {
	for _, form := range forms {
		s = strings.ReplaceAll(s, form, redacted)
	}
	return s
}

const redacted = "•••" // not ASCII, so it never makes a key together with its surroundings

// keyForms are the ways in which the key may stand in a server's words, or in an error that quotes
// them, the longest first: as it is, and escaped as JSON, Go, URLs and base64 do. A key of letters
// and digits has two.
func (c *Client) keyForms() keyForms {
	if len(c.Key) < minSecret {
		return nil
	}
	if last := lastForms.Load(); last != nil && last.key == c.Key {
		return last.forms
	}
	made := &formsOf{c.Key, formsOfKey(c.Key)}
	lastForms.Store(made)
	return made.forms
}

// lastForms are those of the key that was used last: most programs have one, and ask several times in each call.
var lastForms atomic.Pointer[formsOf]

type formsOf struct {
	key   string
	forms keyForms
}

func formsOfKey(key string) keyForms {
	asJSON, _ := json.Marshal(key) // a string marshals
	quoted := strconv.Quote(key)
	forms := []string{
		key, quoted[1 : len(quoted)-1], string(asJSON[1 : len(asJSON)-1]),
		url.QueryEscape(key), url.PathEscape(key),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(key)), "="),
		strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(key)), "="),
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(forms)
}

// redactBody takes the key out of an answer that echoes it; any other answer stays as it is, to
// the byte.
func (c *Client) redactBody(body []byte) []byte {
	forms := c.keyForms()
	holds := func(b []byte) bool {
		return slices.ContainsFunc(forms, func(form string) bool { return bytes.Contains(b, []byte(form)) })
	}
	plain := body
	if bytes.Contains(body, []byte(`\u00`)) || bytes.Contains(body, []byte(`\/`)) {
		plain = escapedASCII().ReplaceAllFunc(body, unescapeASCII)
	}
	if holds(plain) {
		return []byte(forms.redact(string(plain)))
	}
	return body
}

// escapedASCII is a character that JSON need not escape, escaped; or any other escape, so that none is taken to begin with the
// backslash that another ends with.
var escapedASCII = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\\(?:u00[2-7][0-9A-Fa-f]|.)`)
})

func unescapeASCII(escape []byte) []byte {
	if escape[1] == '/' {
		return escape[1:]
	}
	if len(escape) != len(`\u0000`) {
		return escape
	}
	n, _ := strconv.ParseUint(string(escape[2:]), 16, 8) // four hexadecimal digits
	if n == '"' || n == '\\' {
		return []byte{'\\', byte(n)}
	}
	return []byte{byte(n)}
}

func (c *Client) redactHeader(h http.Header) http.Header {
	clean := make(http.Header, len(h))
	forms := c.keyForms()
	for name, values := range h {
		for _, v := range values {
			clean.Add(forms.redact(name), forms.redact(v))
		}
	}
	return clean
}

// redactError returns err, unless its text holds the key: then an error with the rest of the
// text, which only remembers whether the context had ended.
func (c *Client) redactError(err error) error {
	clean := c.redact(err.Error())
	if clean == err.Error() {
		return err
	}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return fmt.Errorf("%w: %s", ended, clean)
		}
	}
	return errors.New(clean)
}

func (c *Client) newBodyError(method, path string, status int, h http.Header, body []byte, err error) *BodyError {
	return &BodyError{
		Method: method, Path: path, Status: status,
		Header: c.redactHeader(h), Body: c.redactBody(body), Err: c.redactError(err),
	}
}

// wait is how long an answer asks to wait: Retry-After, in seconds or as a date, or else
// RateLimit-Reset. A time is compared with the server's own clock, or now if it does not show it.
func wait(h http.Header, now time.Time) time.Duration {
	after := h.Get("Retry-After")
	if n, ok := number(after); ok {
		return seconds(n)
	}
	if at, err := http.ParseTime(after); err == nil {
		return min(max(at.Sub(serverTime(h, now)), 0), maxWait)
	}
	d, _ := resetIn(h, now)
	return d
}

// resetIn is how long RateLimit-Reset says that the window lasts. Heffl's reference gives it no
// unit: a small number is taken as seconds from now (as in the IETF RateLimit draft), a large one
// as a Unix time in seconds or milliseconds.
func resetIn(h http.Header, now time.Time) (d time.Duration, ok bool) {
	n, ok := number(h.Get("RateLimit-Reset"))
	unix := float64(serverTime(h, now).UnixMilli())
	switch {
	case !ok:
		return 0, false
	case n < 1e9: // as a Unix time: before 2001-09-09
		return seconds(n), true
	case n < 1e11: // as a Unix time in milliseconds: before 1973-03-03
		return seconds(n - unix/1e3), true
	}
	return seconds((n - unix) / 1e3), true
}

// serverTime is the answer's Date, or now where it has none.
func serverTime(h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return now
}

// number reads a decimal number without sign or exponent; one too large for a float64 is +Inf.
func number(s string) (n float64, ok bool) {
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil || math.IsInf(n, 1)
}

// seconds makes a wait of a number of seconds, within its bounds, rounded up to a millisecond: a
// little late is better than a little early.
func seconds(n float64) time.Duration {
	n = min(max(n, 0), maxWait.Seconds()) // before the conversion, which could overflow
	return time.Duration(math.Ceil(n*1e3)) * time.Millisecond
}
