package tools

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/journal"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-json-experiment/json/jsontext"
)

// A write is something that is to be done exactly once.
type write struct {
	lookout                             // finds what earlier sends of this made; its body is what is sent: the fingerprint is of this
	lookoutOf func(body object) lookout // finds what sends of another body made
	match     func() []string           // what the outcome is recognised by, as loosely as it ever is
	about     about

	// before is what must hold before a first send: nobody has made what looks the same. Nil: what
	// looks the same is no reason not to send.
	before func(context.Context) error
	send   func(context.Context, json.RawMessage) (*heffl.Response, error)
}

// about is what the journal's listing shows of an intent.
type about struct {
	What       string  `json:"what"` // "deal", "contact", "company" or "task"
	Title      string  `json:"title"`
	ClientID   string  `json:"clientId,omitempty"`
	PipelineID string  `json:"pipelineId,omitempty"`
	Source     *source `json:"source,omitempty"`  // the message that it is for
	Another    bool    `json:"another,omitempty"` // the user wanted one more from the beginning

	Sent json.RawMessage `json:"sent"` // what the words meant: the body
}

// found is one object of Heffl's.
type found struct {
	id     string
	object json.RawMessage
	doubts []string // why it may not be what was made, though it is like it; none: it is

	forMessage  bool     // it was made for the same message, by another intent than this
	differences []string // and how the arguments of that differ from those of now
}

// How an outcome came about: the journal keeps it, and _meta says it.
const (
	created   = "created"
	replayed  = "replayed"  // the same arguments were seen before, and nothing was sent
	recovered = "recovered" // an earlier send had worked, and nothing more was sent
)

// add makes one thing exactly once, and says what became of it.
func (c *call) add(ctx context.Context, w write) (*answer, error) {
	made, how, err := c.once(ctx, w)
	if err != nil {
		return nil, err
	}
	sent := w.body
	if c.prior != nil || made.forMessage {
		sent = nil // words, which no answer repeats; or not sent at all
	}
	return w.answer(sent, made, how), nil
}

// once does a write exactly once, over whatever breaks: the table "What happens" of docs/exactly-once.md,
// row by row. It returns what was made and how.
func (c *call) once(ctx context.Context, w write) (*found, string, error) {
	if c.prior != nil {
		if !c.prior.Delivered {
			c.note(ctx, c.Journal.Delivered(ctx, c.prior.ID))
		}
		return outcomeOf(c.prior)
	}
	in := c.intent(w)
	if made, how, err := c.settleStrays(ctx, w, in); made != nil || err != nil {
		return made, how, err
	}
	var before *making // that sent it, and then lost its claim
	for {
		claim, err := c.claim(ctx, in)
		if err != nil {
			if before != nil {
				err = before.unclear(err)
			}
			return nil, "", err
		}
		m := &making{call: c, write: w, claim: claim}
		if rec := &claim.Record; rec.Fingerprint != in.Fingerprint { // it is what another call makes of our message
			made, how, err := m.settleOther(ctx)
			if made != nil {
				made = c.ofMessage(made, rec, w.body)
			}
			if made != nil || err != nil {
				return made, how, err
			}
			continue
		}
		switch claim.Verdict {
		case journal.Done:
			m.note(ctx, claim.MarkDelivered(ctx))
			made, how, err := outcomeOf(&claim.Record)
			if before != nil {
				how = recovered
			}
			return made, how, err
		case journal.Busy:
			if made, err := m.stand(ctx); made != nil || err != nil {
				return made, recovered, err
			}
		default: // it is ours
			made, how, err := m.make(ctx)
			if !errors.Is(err, journal.ErrLost) {
				return made, how, err
			}
			if m.sent { // somebody else went on with it after our lease: see what they have
				before = m
				in.Another = false // what they have is the one that was wanted
			}
		}
	}
}

// settleStrays brings to their end the intents of the same words that meant something else: a name has
// come to be another's since, or a price another. What one of them has made is the answer. What has
// certainly made nothing is closed, and the words are carried out as they are meant now.
func (c *call) settleStrays(ctx context.Context, w write, in journal.Intent) (*found, string, error) {
	if c.Journal == nil || c.another {
		return nil, "", nil
	}
	strays, err := c.Journal.Strays(ctx, in.Tenant, in.Action, in.Args, in.Fingerprint)
	if err != nil {
		return nil, "", cmp.Or(ctx.Err(), noRecord(err))
	}
	for i := range strays {
		if made, how, err := c.settleStray(ctx, w, &strays[i]); made != nil || err != nil {
			return made, how, err
		}
	}
	return nil, "", nil
}

func (c *call) settleStray(ctx context.Context, w write, stray *journal.Record) (*found, string, error) {
	c.attach(ctx, stray) // where it cannot be, another call for the message is at it, or has been
	in := journal.Intent{
		Tenant: stray.Tenant, Action: stray.Action, About: stray.About, Lease: c.lease(),
		Fingerprint: stray.Fingerprint, Args: stray.Args, Match: stray.Match,
	}
	for {
		claim, err := c.claim(ctx, in)
		if err != nil {
			return nil, "", err
		}
		m := &making{call: c, write: w, claim: claim}
		if claim.Verdict == journal.Fresh { // it has been settled since: nothing was made
			m.close(ctx, m.claim.Refused, []byte(neverSent+"its words mean something else now"))
			return nil, "", nil
		}
		made, how, err := m.settleOther(ctx)
		if made != nil || err != nil || claim.Verdict == journal.Unclear && m.claim.Record.State == journal.StateRefused {
			return made, how, err
		}
	}
}

// settleOther brings an intent to its end that is not the call's own, but whose outcome answers it. It looks for
// what that intent has sent. Where nothing was made for certain, it is closed; it returns neither an outcome nor an
// error then, nor where somebody else has gone on with it.
func (m *making) settleOther(ctx context.Context) (*found, string, error) {
	rec := &m.claim.Record
	var was about
	if err := json.Unmarshal(rec.About, &was); err != nil {
		return nil, "", noRecord(fmt.Errorf("%s cannot be read: %w", rec.ID, err))
	}
	m.write.lookout = m.lookoutOf(parse(was.Sent))
	switch m.claim.Verdict {
	case journal.Done:
		m.note(ctx, m.claim.MarkDelivered(ctx))
		return outcomeOf(rec)
	case journal.Busy:
		made, err := m.stand(ctx)
		return made, recovered, err
	}
	made, err := m.settle(ctx)
	switch {
	case errors.Is(err, journal.ErrLost):
		return nil, "", nil
	case made == nil && err == nil:
		m.close(ctx, m.claim.Refused, []byte(notMade+"something else is meant now"))
	}
	return made, recovered, err
}

// seen is what was made of arguments that were seen before letter for letter: they are answered
// without a look-up or a write.
func (c *call) seen(ctx context.Context) *journal.Record {
	rec := c.madeBefore(ctx, c.tool)
	if rec == nil || !c.attach(ctx, rec) {
		return nil
	}
	return rec
}

// madeBefore is what a tool has made of these arguments, letter for letter; nil: nothing, or a second
// one is wanted. What is wrong with the journal, Claim says.
func (c *call) madeBefore(ctx context.Context, tool string) *journal.Record {
	if c.Journal == nil || c.another {
		return nil
	}
	rec, ok, err := c.Journal.Find(ctx, c.Tenant, tool, fingerprint(c.given.JSON()))
	if err != nil || !ok {
		return nil
	}
	return c.attachable(ctx, rec, tool)
}

func (c *call) intent(w write) journal.Intent {
	in := journal.Intent{Tenant: c.Tenant, Action: c.tool, Another: c.another, Lease: c.lease(), Origin: c.origin}
	if c.Journal == nil { // nobody looks for it
		return in
	}
	w.about.What, w.about.Another, w.about.Source, w.about.Sent = w.name, c.another, c.source, w.body.JSON()
	in.About, _ = json.Marshal(w.about) // strings marshal
	in.Fingerprint, in.Match = fingerprint(w.about.Sent), hash(w.match()...)
	in.Args = in.Fingerprint
	if given := c.given.JSON(); !bytes.Equal(given, w.about.Sent) {
		in.Args = fingerprint(given)
	}
	return in
}

// lease is how long a claim is kept without word from its holder: a request has ended by then.
func (c *call) lease() time.Duration { return c.Timeout + time.Second }

// claim is the journal's word on an intent. Without a journal every intent is new.
func (c *call) claim(ctx context.Context, in journal.Intent) (*journal.Claim, error) {
	if c.Journal == nil {
		now := time.Now()
		return &journal.Claim{Verdict: journal.Fresh, Record: journal.Record{Fingerprint: in.Fingerprint, Created: now, SentAt: now, About: in.About}}, nil
	}
	claim, err := c.Journal.Claim(ctx, in)
	if err != nil {
		return nil, cmp.Or(ctx.Err(), noRecord(err))
	}
	return claim, nil
}

func outcomeOf(rec *journal.Record) (*found, string, error) {
	return &found{id: rec.Ref, object: rec.Outcome}, replayed, nil
}

// fingerprint is the hash of a JSON text in the canonical form of RFC 8785, but that integers keep
// their digits: two that a float64 cannot tell apart are two intents.
func fingerprint(raw json.RawMessage) string {
	v := jsontext.Value(raw).Clone()
	if err := v.Canonicalize(jsontext.CanonicalizeRawInts(false)); err != nil {
		v = jsontext.Value(raw) // it was valid when it came in; its own bytes do as well
	}
	return hash(string(v))
}

func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(fmt.Appendf(nil, "%d:%s", len(p), p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// making is one call's hold on an intent.
type making struct {
	*call
	write
	claim *journal.Claim
	tries int  // sends whose outcome is not known, and the one that is on its way
	sent  bool // there has been one
}

const (
	// firstLook and slowestLook bound the time between two looks.
	firstLook   = 250 * time.Millisecond
	slowestLook = 5 * time.Second
	// restamp is how old a record may be when its request leaves.
	restamp = time.Second
	// unhurried is how long a holder of an intent is left alone before others look for its outcome.
	unhurried = 2 * time.Second
	// maxSends bounds how often one call sends what a server error answered.
	maxSends = 4
	// lookAgain is how long a claim is kept for the next look.
	lookAgain = slowestLook + 3*time.Second
)

// make carries out an intent that is this call's.
func (m *making) make(ctx context.Context) (*found, string, error) {
	if m.claim.Verdict == journal.Fresh {
		if err := m.clear(ctx); err != nil {
			m.close(ctx, m.claim.Refused, []byte(neverSent+strings.TrimPrefix(err.Error(), "nothing was sent, because ")))
			return nil, "", err
		}
	} else if made, err := m.settle(ctx); made != nil || err != nil {
		return made, recovered, err
	}
	for {
		made, err := m.attempt(ctx)
		if made != nil || err != nil {
			return made, created, err
		}
		m.sent = true
		if made, err := m.settle(ctx); made != nil || err != nil {
			return made, recovered, err
		}
	}
}

// clear holds a first send back until the other calls for what looks the same have come to an end,
// and asks whether what looks the same is there. Of two calls that meet, the later one gives up its
// claim until the earlier one is through, and then begins again: ErrLost.
func (m *making) clear(ctx context.Context) error {
	if m.another || m.before == nil {
		return nil
	}
	rivals, err := m.rivals(ctx)
	for ; err == nil; rivals, err = m.rivals(ctx) {
		i := slices.IndexFunc(rivals, func(r journal.Record) bool { return r.Held(time.Now()) })
		if i < 0 {
			break
		}
		later := m.claim.Record.ID > rivals[i].ID
		if later {
			m.close(ctx, m.claim.Refused, []byte(neverSent+"stood back for another call"))
		}
		if _, err := m.Journal.Wait(ctx, rivals[i].ID); err != nil {
			return m.rivalUnclear()
		}
		if later {
			return journal.ErrLost
		}
	}
	if err != nil {
		return cmp.Or(ctx.Err(), noRecord(err))
	}
	if err := m.before(ctx); err != nil {
		return err
	}
	if len(rivals) > 0 {
		return m.rivalUnclear()
	}
	return nil
}

// rivals are the unsettled intents that would be recognised by the same as this, the oldest first.
func (m *making) rivals(ctx context.Context) ([]journal.Record, error) {
	if m.Journal == nil {
		return nil, nil
	}
	rec := &m.claim.Record
	return m.Journal.Rivals(ctx, rec.Tenant, rec.Action, rec.Match, rec.ID)
}

// attempt sends, as often as it takes until something has left. It returns neither an outcome nor
// an error where the outcome has to be looked for.
func (m *making) attempt(ctx context.Context) (*found, error) {
	m.Followers.Add(1) // until its outcome is kept
	defer m.Followers.Done()
	pause := newPause()
	for {
		if err := m.ready(ctx); err != nil {
			m.close(ctx, m.claim.Refused, m.whyNot(err))
			return nil, err
		}
		r, err := m.follow(ctx)
		if late, ok := errors.AsType[*failure](err); ok {
			return nil, late
		}
		made, err := m.record(ctx, r, err, true)
		if made != nil || err == nil {
			return made, nil
		}
		switch again, wait := sendAgain(err, pause); {
		case !again:
			return nil, err
		case !within(ctx, wait):
			m.close(ctx, m.claim.Refused, m.whyNot(err))
			return nil, err
		default:
			m.tries--
			m.tell(wait)
			if err := sleep(ctx, wait); err != nil {
				m.close(ctx, m.claim.Refused, m.whyNot(err))
				return nil, err
			}
		}
	}
}

// newPause gives the waits between sends that did not leave.
func newPause() backoff.BackOff {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, 2*time.Second
	return pause
}

// sendAgain tells whether a send that has certainly done nothing is worth another, and after what wait.
func sendAgain(err error, pause backoff.BackOff) (bool, time.Duration) {
	if e, ok := errors.AsType[*heffl.Error](err); ok {
		return e.Status == http.StatusTooManyRequests, cmp.Or(e.Wait, time.Second)
	}
	_, ok := errors.AsType[*heffl.ConnError](err)
	return ok, pause.NextBackOff()
}

// ready waits until the rate limit lets a write leave, and sees to it that the record on disk says
// when it left, not when it was thought of.
func (m *making) ready(ctx context.Context) error {
	if err := m.Heffl.Ready(ctx); err != nil {
		return err
	}
	m.tries++
	if m.Journal == nil || m.tries == 1 && m.claim.Verdict == journal.Fresh && time.Since(m.claim.Record.SentAt) < restamp {
		return nil
	}
	if err := m.claim.Sending(ctx, m.lease()); err != nil {
		return cmp.Or(ctx.Err(), noRecord(err))
	}
	return nil
}

// follow sends. A request that has left is followed to its end, and its outcome kept, even where
// the call has to end before: nobody else would know. Then it returns a *failure.
func (m *making) follow(ctx context.Context) (*heffl.Response, error) {
	detached := context.WithoutCancel(ctx)
	if m.Awaited != nil && !m.Awaited(ctx) && within(ctx, m.Timeout) { // it ends in time for whoever waits, so no goroutine is needed
		return m.guarded(detached)
	}
	type answer struct {
		r   *heffl.Response
		err error
	}
	answered, left := make(chan answer), make(chan struct{})
	m.Followers.Go(func() {
		r, err := m.guarded(detached) // bounded by the client's timeout
		select {
		case answered <- answer{r, err}:
			return
		case <-left: // and m with it to us
		}
		if _, err := m.record(detached, r, err, false); err != nil {
			m.Log.WarnContext(detached, "a request that outlived its call has ended", "action", m.tool, "error", err)
		}
	})
	select {
	case a := <-answered:
		return a.r, a.err
	case <-ctx.Done():
		late := m.unclear(ctx.Err())
		close(left)
		return nil, late
	}
}

// guarded sends. A panic costs this call, not the program; what was done by then is not known.
func (m *making) guarded(ctx context.Context) (r *heffl.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			m.Log.ErrorContext(ctx, "sending panicked", "action", m.tool, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errors.New("failed inside heffl-mcp")
		}
	}()
	return m.send(ctx, m.write.body.JSON())
}

// record keeps how a send has ended. It returns the outcome, or the error of a refusal, or neither
// where the outcome has to be looked for.
func (m *making) record(ctx context.Context, r *heffl.Response, err error, delivered bool) (*found, error) {
	if err == nil {
		made := &found{id: r.ID(), object: r.Object()}
		return made, m.done(ctx, made, created, delivered)
	}
	ending := journal.Unanswered
	switch heffl.EffectOf(err) {
	case heffl.EffectNone:
		if again, _ := sendAgain(err, &backoff.ZeroBackOff{}); !again || !delivered {
			m.close(ctx, m.claim.Refused, m.whyNot(err))
		}
		return nil, err
	case heffl.EffectDone:
		ending = journal.Made
	case heffl.EffectUnknown:
		ending = journal.Failed
	}
	m.Log.WarnContext(ctx, "a request has ended without an outcome", "action", m.tool, "ending", ending, "error", err)
	m.ended(ctx, ending)
	if !delivered {
		m.release(ctx)
	}
	return nil, nil
}

// done keeps an outcome. What Heffl has answered is certain, and is told of whatever the journal
// says; what was found by looking is not ours where the journal knows another owner.
func (m *making) done(ctx context.Context, made *found, how string, delivered bool) error {
	if m.Journal == nil {
		return nil
	}
	err := m.claim.Done(context.WithoutCancel(ctx), made.id, made.object, how, delivered && ctx.Err() == nil)
	if err == nil || how == recovered && (errors.Is(err, journal.ErrTaken) || errors.Is(err, journal.ErrLost)) {
		return err
	}
	m.Log.WarnContext(ctx, "an outcome could not be kept; the next call with the same arguments looks for it", "action", m.tool, "error", err)
	return nil
}

// close ends the claim of what has certainly not been done.
func (m *making) close(ctx context.Context, end func(context.Context, []byte) error, why []byte) {
	if m.Journal == nil {
		return
	}
	m.note(ctx, end(context.WithoutCancel(ctx), why))
}

// How far an intent came that has made nothing, before the reason in the journal. Without one, Heffl refused it.
const (
	neverSent = "not sent: "
	notMade   = "not made: " // what was sent was looked for, and is not there
)

// whyNot is why an intent has made nothing, as the journal keeps it.
func (m *making) whyNot(err error) []byte {
	_, refused := errors.AsType[*heffl.Error](err)
	switch {
	case refused:
		return []byte(err.Error())
	case m.sent:
		return []byte(notMade + err.Error())
	}
	return []byte(neverSent + err.Error())
}

// ended notes how a send ended whose outcome is not known.
func (m *making) ended(ctx context.Context, how journal.Ending) {
	now := time.Now()
	if m.Journal == nil {
		m.claim.Record.GaveUpAt, m.claim.Record.Ending = now, how
		return
	}
	m.note(ctx, m.claim.Ended(context.WithoutCancel(ctx), now, how))
}

// release leaves the rest to the next call with the same arguments.
func (m *making) release(ctx context.Context) {
	if m.Journal != nil {
		m.note(ctx, m.claim.Release(context.WithoutCancel(ctx)))
	}
}

// note logs that the journal did not take what would have spared the next call a look or a wait.
func (c *call) note(ctx context.Context, err error) {
	if err != nil && !errors.Is(err, journal.ErrLost) {
		c.Log.WarnContext(ctx, "the journal could not be written; the next call with the same arguments looks before it sends", "action", c.tool, "error", err)
	}
}

// settle finds out what became of an intent that may have been sent: it looks until it is there, or
// until it can no longer come and may be sent again; then it returns neither an outcome nor an
// error.
func (m *making) settle(ctx context.Context) (*found, error) {
	var trouble error
	for pause := firstLook; ; pause = min(2*pause, slowestLook) {
		began := time.Now()
		made, err := m.lookOnce(ctx)
		if errors.Is(err, journal.ErrLost) {
			return nil, err
		}
		if made != nil && len(made.doubts) == 0 {
			return made, nil
		}
		trouble = err
		ripe := m.ripe()
		switch {
		case err != nil || began.Before(ripe):
		case made != nil && (!m.another || m.insisted()):
			m.release(ctx)
			return nil, m.nearlyMade(made)
		case m.tries < maxSends && (made != nil || m.claim.Record.Ending != journal.Made):
			return nil, nil
		}
		wait := pause
		if began.Before(ripe) { // the look from then on decides, so it is not put off
			wait = max(0, min(pause, time.Until(ripe)))
		}
		if !within(ctx, wait) {
			break
		}
		if wait > 0 {
			m.tell(wait)
		}
		if sleep(ctx, wait) != nil {
			break
		}
		if m.Journal == nil {
			continue
		}
		if err := m.claim.Extend(ctx, lookAgain); errors.Is(err, journal.ErrLost) {
			return nil, err
		} else if err != nil {
			trouble = err
			break
		}
	}
	m.release(ctx)
	return nil, m.unsettled(cmp.Or(trouble, ctx.Err()))
}

// insisted reports whether the user wanted another one before anything was sent. That says nothing
// yet of what a look finds.
func (m *making) insisted() bool {
	if m.Journal == nil {
		return m.another
	}
	var begun about
	_ = json.Unmarshal(m.claim.Record.About, &begun) // without it, as if nobody had
	return begun.Another
}

// ripe is when a look that finds nothing means that nothing was made, and will be; or, of what was
// certainly made, that it is not there as it was sent.
func (m *making) ripe() time.Time {
	rec := m.claim.Record
	switch {
	case rec.Ending == journal.Failed, rec.Ending == journal.Made:
		return rec.GaveUpAt.Add(m.Settle)
	case !rec.GaveUpAt.IsZero():
		return rec.GaveUpAt.Add(m.Horizon + m.Settle)
	}
	return rec.SentAt.Add(max(m.Horizon, m.Timeout) + m.Settle) // its sender died
}

// lookOnce looks for what this intent has made and, where it is there, keeps it.
func (m *making) lookOnce(ctx context.Context) (*found, error) {
	rec := &m.claim.Record
	made, err := m.find(ctx, rec.Created, func(ids []string) (map[string]string, error) { return m.owned(ctx, ids) })
	if err != nil || made == nil || len(made.doubts) > 0 {
		return made, err
	}
	if contested, err := m.contested(ctx); contested || err != nil {
		return nil, cmp.Or(err, errContested)
	}
	err = m.done(ctx, made, recovered, true)
	if errors.Is(err, journal.ErrTaken) {
		return nil, errContested // it was free a moment ago: look again
	}
	return made, err
}

func (m *making) owned(ctx context.Context, ids []string) (map[string]string, error) {
	if m.Journal == nil {
		return nil, nil
	}
	return m.Journal.Owned(ctx, m.claim.Record.Tenant, m.claim.Record.Action, ids)
}

// errContested says that what was found may be what another call has made, which is still running.
var errContested = errors.New("another call for one that looks the same is still running")

// contested reports whether another call for what looks the same is on its way: it may be who made
// what was found, and its answer will tell.
func (m *making) contested(ctx context.Context) (bool, error) {
	if m.Journal == nil {
		return false, nil
	}
	rec := &m.claim.Record
	rivals, err := m.Journal.Rivals(ctx, rec.Tenant, rec.Action, rec.Match, rec.ID)
	return slices.ContainsFunc(rivals, func(r journal.Record) bool {
		return r.State == journal.StateOpen && r.Held(time.Now())
	}), err
}

// stand waits for whoever has the intent. Where they take long, they may be dead: then their
// outcome is looked for, so that nobody waits for a lease to run out. It returns nothing where the
// intent is free again, or settled.
func (m *making) stand(ctx context.Context) (*found, error) {
	for {
		brief, cancel := context.WithTimeout(ctx, unhurried)
		_, err := m.Journal.Wait(brief, m.claim.Record.ID)
		waited := brief.Err() != nil
		cancel()
		if err == nil {
			return nil, nil
		}
		if !waited || !within(ctx, firstLook) {
			return nil, m.busy(cmp.Or(ctx.Err(), err))
		}
		switch made, err := m.lookOnce(ctx); {
		case errors.Is(err, journal.ErrLost):
			return nil, nil
		case made != nil && len(made.doubts) == 0:
			return made, nil
		}
	}
}

// busy says that another call has the intent.
func (m *making) busy(err error) *failure {
	return m.pending("another call with the same arguments is still at it, and what becomes of it is not known yet", err)
}

// unsettled says that it is not known what became of an intent.
func (m *making) unsettled(err error) *failure {
	if rec := &m.claim.Record; m.sent || !rec.GaveUpAt.IsZero() {
		return m.unclear(err)
	}
	return m.pending("an earlier call broke off, may have sent this, and whether Heffl has carried it out is not known yet", err)
}

func (m *making) pending(what string, err error) *failure {
	if err != nil {
		what += " (" + reason(err) + ")"
	}
	return &failure{outcome: unsettled, cause: err, text: what + ". Call " + m.tool + " again with the same arguments: it looks first, and makes no second one."}
}

// within reports whether ctx lasts for d.
func within(ctx context.Context, d time.Duration) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(end) > d)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
