package sandbox

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// FaultHeader is the request header that asks for a fault in the form that [ParseFault] reads.
const FaultHeader = "X-Sandbox-Fault"

// Kind is a way to fail.
type Kind string

// The ways to fail.
const (
	NoFault  Kind = ""         // answer as usual
	Drop     Kind = "drop"     // close the connection without an answer
	Hang     Kind = "hang"     // never answer; ends when the client goes or the sandbox is closed
	Error    Kind = "500"      // an INTERNAL_SERVER_ERROR in the API's own form
	Gateway  Kind = "502"      // an HTML page, as a proxy in front of the API would answer
	TooMany  Kind = "429"      // as if the rate limit were reached; RateLimit-Reset says Wait, if that is set
	Truncate Kind = "truncate" // the true status and Content-Length, and half of the body; always after the commit
	Slow     Kind = "slow"     // the true answer, Wait later
)

// Moment is whether a fault strikes before or after the request has taken effect.
type Moment string

// The moments. The zero Moment is Before.
const (
	Before Moment = "before"
	After  Moment = "after"
)

// Fault is one failure. The zero Fault is none.
//
// A request that fails Before has no effect, but for one with a Wait (and of any Kind but TooMany): that takes effect Wait
// later, even if the client is long gone, as a request that was given up still may.
type Fault struct {
	Kind    Kind
	When    Moment
	Wait    time.Duration // Slow, TooMany, and any Kind with Before; see there
	HideFor time.Duration // what the request creates is not in the lists, with or without a search, for so long; GET by ID shows it. Goes with any Kind
}

// maxFaultWait bounds the waits, so that a slip of the pen does not keep a connection for days.
const maxFaultWait = time.Hour

// ParseFault reads the text form of a fault: a moment, a colon, a kind, then wait and hide, each as a Go duration or in
// whole seconds:
//
//	before:500    after:drop    before:429;wait=3    before:drop;wait=5s    after:slow;wait=2s;hide=3s
//
// The kind hide is none but the hiding, so after:hide;wait=3s hides for 3 s. The empty text is no fault.
func ParseFault(text string) (Fault, error) {
	if text == "" {
		return Fault{}, nil
	}
	parts := strings.Split(text, ";")
	when, kind, ok := strings.Cut(strings.TrimSpace(parts[0]), ":")
	if !ok || when == "" || kind == "" {
		return Fault{}, fmt.Errorf("fault %q: want before:KIND or after:KIND", text)
	}
	f := Fault{Kind: Kind(kind), When: Moment(when)}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		d, err := parseWait(value)
		switch {
		case err != nil:
			return Fault{}, fmt.Errorf("fault %q: %w", text, err)
		case name == "wait":
			f.Wait = d
		case name == "hide":
			f.HideFor = d
		default:
			return Fault{}, fmt.Errorf("fault %q: %q is neither wait nor hide", text, name)
		}
	}
	if f.Kind == "hide" {
		f.Kind, f.HideFor, f.Wait = NoFault, f.Wait, 0
	}
	if err := f.check(); err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", text, err)
	}
	return f, nil
}

func parseWait(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseUint(text, 10, 16); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	return time.ParseDuration(text)
}

// String is the text that ParseFault reads.
func (f Fault) String() string {
	if f == (Fault{}) {
		return ""
	}
	when := f.When
	if when == "" {
		when = Before
	}
	if f.Kind == NoFault {
		return fmt.Sprintf("%s:hide;wait=%v", when, f.HideFor)
	}
	text := string(when) + ":" + string(f.Kind)
	if f.Wait != 0 {
		text += ";wait=" + f.Wait.String()
	}
	if f.HideFor != 0 {
		text += ";hide=" + f.HideFor.String()
	}
	return text
}

func (f Fault) check() error {
	switch f.Kind {
	case NoFault, Drop, Hang, Error, Gateway, TooMany, Truncate, Slow:
	default:
		return fmt.Errorf("unknown kind %q", f.Kind)
	}
	switch f.When {
	case "", Before, After:
	default:
		return fmt.Errorf("%q is neither before nor after", f.When)
	}
	for _, d := range []time.Duration{f.Wait, f.HideFor} {
		if d < 0 || d > maxFaultWait {
			return fmt.Errorf("wait of %v is not between 0 and %v", d, maxFaultWait)
		}
	}
	return nil
}

var badGateway = reply{
	status:      http.StatusBadGateway,
	contentType: "text/html",
	body:        []byte("<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"),
}

// faultFor is the fault of a request: the hook's, or else the header's.
func (s *Sandbox) faultFor(r *http.Request) (Fault, *apiError) {
	fromHeader, err := ParseFault(r.Header.Get(FaultHeader))
	if err != nil {
		return Fault{}, badRequest("%s: %v", FaultHeader, err)
	}
	if s.options.Fault == nil {
		return fromHeader, nil
	}
	f := s.options.Fault(r)
	if f == (Fault{}) {
		return fromHeader, nil
	}
	if err := f.check(); err != nil {
		return Fault{}, badRequest("Options.Fault: %v", err)
	}
	return f, nil
}

// perform lets a request take effect, and answers it, as the fault wants it. run makes the request take effect; it may run
// when the exchange is over.
func (x *exchange) perform(f Fault, run func() reply) {
	after := f.When == After || f.Kind == Truncate
	switch {
	case f.Kind == NoFault:
		x.send(run())
	case f.Kind == Slow && !after:
		// Not ended by the client's going: the server does not learn of that, or does not care.
		if !x.s.sleep(f.Wait, nil) {
			panic(http.ErrAbortHandler)
		}
		x.send(run())
	case after:
		x.fail(f, run())
	default:
		if f.Wait > 0 && f.Kind != TooMany {
			x.s.closing.Lock()
			x.s.start(func() {
				if x.s.sleep(f.Wait, nil) {
					run()
				}
			})
			x.s.closing.Unlock()
		}
		x.fail(f, reply{})
	}
}

// fail answers as the fault's kind says; truth is what would be answered without it.
func (x *exchange) fail(f Fault, truth reply) {
	switch f.Kind {
	case Drop:
		panic(http.ErrAbortHandler) // net/http closes the connection and logs nothing
	case Hang:
		select {
		case <-x.r.Context().Done():
		case <-x.s.closed:
		}
		panic(http.ErrAbortHandler)
	case Error:
		x.send(internalError().reply())
	case Gateway:
		x.send(badGateway)
	case TooMany:
		if f.Wait > 0 {
			x.w.Header().Set("RateLimit-Remaining", "0")
			x.w.Header().Set("RateLimit-Reset", wholeSeconds(f.Wait))
		}
		x.send(tooManyRequests().reply())
	case Truncate:
		x.sendPart(truth, len(truth.body)/2)
	case Slow:
		if !x.s.sleep(f.Wait, x.r.Context().Done()) {
			panic(http.ErrAbortHandler)
		}
		x.send(truth)
	}
}
