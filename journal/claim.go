package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Intent is what a caller is about to do. Intents are equal when Tenant, Action and Fingerprint are, and also when Tenant,
// Action and Origin are, if there is one: then whatever an intent of the same origin has come to counts first, and of several
// that which has the same Fingerprint, if it is done. The Fingerprint of the record that a Claim gives may so be another one's.
type Intent struct {
	Tenant      string          // who: a hash; nothing is ever shared between tenants
	Action      string          // such as "create_deal"
	Fingerprint string          // hash of the canonical body that is sent
	Args        string          // hash of the arguments as given, letter for letter; see Find
	Origin      string          // hash of what made the caller do it, such as a message of which one outcome is wanted; "": not known
	Match       string          // hash of what an outcome is recognised by; those of equal Match are rivals for one outcome
	About       json.RawMessage // small facts for listings: JSON, or nothing
	// Lease is how long from the call of Claim until the request has surely ended, waiting for the database included.
	// Who is told Unclear has nothing on its way yet, and gets 5 seconds at most.
	Lease time.Duration
	// Another asks for a second outcome of an equal intent: one that is done does not answer, unless it was never
	// delivered to anyone. One that is open or unclear has to be settled first all the same.
	Another bool
}

func (in *Intent) check() error {
	switch {
	case in.Tenant == "" || in.Action == "" || in.Fingerprint == "":
		return errors.New("journal: an intent needs Tenant, Action and Fingerprint")
	case in.Lease <= 0:
		return errors.New("journal: an intent needs a Lease")
	case len(in.About) > 0 && !json.Valid(in.About):
		return errors.New("journal: About is not JSON")
	}
	return checkText(in.Tenant, in.Action, in.Fingerprint, in.Args, in.Origin, in.Match, string(in.About))
}

// checkText refuses what PostgreSQL can't keep as text, with either engine.
func checkText(texts ...string) error {
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return fmt.Errorf("journal: %.40q is not UTF-8 without zero bytes", s)
		}
	}
	return nil
}

// Verdict is what Claim makes of an intent.
type Verdict string

const (
	// Fresh: nothing stands in the way. A new record is on stable storage and claimed. Send.
	Fresh Verdict = "fresh"
	// Done: an equal intent has been done within the window. Record.Outcome is the answer.
	Done Verdict = "done"
	// Busy: another claimant is at it. Wait for Record.ID. Who finds the outcome meanwhile may say so with Done, in the
	// place of a claimant that may have died: this is ErrLost if that one, or anyone, has reported anything since. All
	// other methods are.
	Busy Verdict = "busy"
	// Unclear: an earlier claimant let go of it, or died. The claim is now the caller's, who has to look before sending,
	// and to Extend it while looking.
	Unclear Verdict = "unclear"
)

// lookLease is how long a claim is given to who looks; Extend keeps it for longer. It is short, since nothing of it is on its
// way to anyone: a claimant that dies looking costs the next one no more than this.
const lookLease = 5 * time.Second

// Claim is the answer to Claim. With Fresh and Unclear the caller has the intent, and the methods below report on it,
// until Done, Refused or Release ends the claim. Once the lease has run out they still work, unless someone else has
// taken it over: then, and once it is ended, they fail with ErrLost.
// A Claim is not for several goroutines at once.
type Claim struct {
	Verdict Verdict
	Record  Record // as of Claim, or of the last method that succeeded

	journal *Journal
	store   *store
	version int64 // of the record as this claim wrote it, or with Busy read it; 0: nothing more to report
}

// Claim asks to carry out an intent. Without an error it has a verdict. With one nothing may be sent; a record may have been
// left behind if the connection to the database broke, and will be looked into like that of a dead claimant.
func (j *Journal) Claim(ctx context.Context, in Intent) (*Claim, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	s, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.present(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	id, version := newID(j.now().Add(s.offset)), newVersion()
	for { // until no other claimant comes between reading and writing
		last, err := s.newest(ctx, selectLatest, in.Tenant, in.Action, in.Fingerprint)
		if err != nil {
			return nil, err
		}
		ofOrigin, place, err := s.ofOrigin(ctx, in)
		if err != nil {
			return nil, err
		}
		if last != nil && last.ID == id && last.version == version { // our own: only the answer to the insert was lost
			return &Claim{Verdict: Fresh, Record: last.Record, journal: j, store: s, version: version}, nil
		}
		c, err := j.settle(ctx, s, in, last, ofOrigin, place, id, version)
		switch {
		case err == nil:
			return c, nil
		case !errors.Is(err, ErrLost):
			return nil, err
		}
	}
}

// ofOrigin gives the newest record of an intent's origin that was not refused, or nil, and which place among all of the origin
// the next one gets. (A refused one may have come after one that is done: of a second outcome that was asked for.)
func (s *store) ofOrigin(ctx context.Context, in Intent) (kept *row, place int64, err error) {
	if in.Origin == "" {
		return nil, 0, nil
	}
	last, err := s.newest(ctx, selectOrigin, in.Tenant, in.Action, in.Origin)
	if err != nil || last == nil {
		return nil, 1, err
	}
	kept = last
	if last.State == StateRefused {
		kept, err = s.newest(ctx, selectKept, in.Tenant, in.Action, in.Origin)
	}
	return kept, last.originSeq + 1, err
}

// settle does what the newest record of the origin asks for, if anything, else the newest of the fingerprint (nil: there is
// none), which also answers first if it is of the origin and done; a new record gets this place, ID and version. ErrLost: it is not the newest any more.
func (j *Journal) settle(ctx context.Context, s *store, in Intent, last, ofOrigin *row, place int64, id string, version int64) (*Claim, error) {
	now := j.now()
	c := &Claim{Verdict: j.judge(in, last, now), journal: j, store: s}
	if last == nil || c.Verdict != Done || last.Origin != in.Origin { // else it is the very one, of several that the origin has
		if verdict := j.judge(in, ofOrigin, now); verdict != Fresh {
			c.Verdict, last = verdict, ofOrigin
		}
	}
	if c.Verdict != Fresh && in.Origin != "" && last.Origin == "" && !in.Another {
		// It is the origin's from now on. Either that is how it is read next, or another got the place.
		if _, err := j.Attach(ctx, last.ID, in.Origin); err != nil {
			return nil, err
		}
		return nil, ErrLost
	}
	if c.Verdict == Fresh {
		c.Record = Record{
			ID: id, Tenant: in.Tenant, Action: in.Action, Fingerprint: in.Fingerprint, Args: in.Args, Match: in.Match, Origin: in.Origin, Seq: 1,
			State: StateOpen, About: in.About, Created: now, SentAt: now, LeaseUntil: until(now, in.Lease), Attempts: 1,
		}
		if last != nil {
			c.Record.Seq = last.Seq + 1
		}
		c.version = version
		ok, err := s.insert(ctx, row{Record: c.Record, originSeq: place, version: version})
		if err == nil && !ok {
			err = ErrLost
		}
		if err != nil {
			return nil, err
		}
		return c, nil
	}

	c.Record, c.version = last.Record, last.version
	r := last.Record
	var err error
	switch {
	case c.Verdict == Unclear:
		r.State, r.LeaseUntil = StateUnclear, until(now, min(in.Lease, lookLease))
		err = c.update(ctx, relaxed, r, updateTakeover, c.store.stamp(r.LeaseUntil))
	case c.Verdict == Done && in.Another: // of several that ask at once, one gets it
		r.Delivered = true
		err = c.update(ctx, relaxed, r, updateDelivered)
	}
	if c.Verdict == Done {
		c.version = 0
	}
	return c, err
}

// judge is the verdict on an intent, given the newest of its equals.
func (j *Journal) judge(in Intent, last *row, now time.Time) Verdict {
	switch {
	case last == nil || last.State == StateRefused:
		return Fresh
	case last.State == StateDone && (now.Sub(last.Settled) >= j.options.Window || in.Another && last.Delivered):
		return Fresh
	case last.State == StateDone:
		return Done
	case last.Held(now):
		return Busy
	}
	return Unclear
}

// Sending says that another attempt is about to leave, and will have ended this long from now, waiting for the database
// included: the record is open again. When it returns without an error, this is on stable storage.
func (c *Claim) Sending(ctx context.Context, lease time.Duration) error {
	r := c.Record
	r.SentAt = c.journal.now()
	r.LeaseUntil = later(r.LeaseUntil, until(r.SentAt, lease))
	r.State, r.Attempts, r.GaveUpAt, r.Ending = StateOpen, r.Attempts+1, time.Time{}, ""
	return c.update(ctx, durable, r, updateSending, c.store.stamp(r.SentAt), c.store.stamp(r.LeaseUntil))
}

// Extend keeps the claim for this long from now, or for as long as it is kept anyway.
func (c *Claim) Extend(ctx context.Context, lease time.Duration) error {
	r := c.Record
	r.LeaseUntil = later(r.LeaseUntil, until(c.journal.now(), lease))
	return c.update(ctx, relaxed, r, updateExtend, c.store.stamp(r.LeaseUntil))
}

// Done keeps the outcome, which equal intents get from now on. Ref names it: no two intents of a tenant and action have the same,
// and the one that comes second gets ErrTaken; "" is nobody's. How says in a word how it came about, and delivered that
// the caller is about to hand it on (MarkDelivered says so later).
func (c *Claim) Done(ctx context.Context, ref string, outcome []byte, how string, delivered bool) error {
	if err := checkText(ref, how); err != nil {
		return err
	}
	r := c.Record
	r.State, r.Settled, r.LeaseUntil = StateDone, c.journal.now(), time.Time{}
	r.Ref, r.Outcome, r.How, r.Delivered = ref, outcome, how, delivered
	return c.close(ctx, r, updateDone, nullable(ref), outcome, how, delivered, c.store.stamp(r.Settled))
}

// Refused says that it was certainly not done, and why (Record.Outcome). The same intent is Fresh again.
func (c *Claim) Refused(ctx context.Context, why []byte) error {
	r := c.Record
	r.State, r.Settled, r.LeaseUntil, r.Outcome = StateRefused, c.journal.now(), time.Time{}, why
	return c.close(ctx, r, updateRefused, why, c.store.stamp(r.Settled))
}

// Ended says that the attempt has ended, when and how, and that the outcome is not known: the record is unclear. The
// claim is kept for 5 seconds from now, whatever its lease was: long enough to begin to look, and Extend it.
func (c *Claim) Ended(ctx context.Context, at time.Time, how Ending) error {
	r := c.Record
	r.State, r.GaveUpAt, r.Ending = StateUnclear, time.UnixMilli(at.UnixMilli()).UTC(), how
	r.LeaseUntil = until(c.journal.now(), lookLease)
	return c.update(ctx, relaxed, r, updateEnded, c.store.stamp(r.GaveUpAt), string(how), c.store.stamp(r.LeaseUntil))
}

// Release lets go of the claim without an outcome: the record is unclear, and the next claimant has to look. How the last
// attempt ended stays as it was told.
func (c *Claim) Release(ctx context.Context) error {
	r := c.Record
	r.State, r.LeaseUntil = StateUnclear, time.Time{}
	return c.close(ctx, r, updateRelease)
}

// MarkDelivered says that a caller got the outcome. It is for a claim that is done, by its verdict or by the method Done.
func (c *Claim) MarkDelivered(ctx context.Context) error {
	if c.Record.State != StateDone {
		return fmt.Errorf("journal: %s is %s, so there is no outcome to deliver", c.Record.ID, c.Record.State)
	}
	if c.Record.Delivered {
		return nil
	}
	if err := c.journal.Delivered(ctx, c.Record.ID); err != nil {
		return err
	}
	c.Record.Delivered = true
	return nil
}

// Delivered says that a caller got the outcome of a record that is done, as [Journal.Find] gives it.
func (j *Journal) Delivered(ctx context.Context, id string) error {
	s, err := j.open(ctx)
	if err != nil {
		return err
	}
	// Not a swap: whoever else marks it meanwhile means the same.
	_, err = s.write(ctx, relaxed, updateAnyDelivered, id, newVersion())
	return err
}

// close is the update that ends the claim. Records are pruned after it, in the background, so that nobody waits for that.
func (c *Claim) close(ctx context.Context, r Record, text string, args ...any) error {
	if err := c.update(ctx, relaxed, r, text, args...); err != nil {
		return err
	}
	c.version = 0
	c.journal.pruneSoon(c.store)
	return nil
}

// update makes the claim's record r, unless someone else has written it since this claim did.
func (c *Claim) update(ctx context.Context, how durability, r Record, text string, args ...any) error {
	if c.version == 0 || c.Verdict == Busy && r.State != StateDone {
		return fmt.Errorf("journal: %s: %w", c.Record.ID, ErrLost)
	}
	if _, err := c.journal.open(ctx); err != nil { // closed
		return err
	}
	next := newVersion()
	n, err := c.store.write(ctx, how, text, append([]any{c.Record.ID, c.version, next}, args...)...)
	if err != nil {
		return err
	}
	if n == 0 {
		// Lost, unless it was the answer to our own write that got lost, before it was tried again.
		now, err := c.store.one(ctx, selectID, c.Record.ID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if now == nil || now.version != next {
			return fmt.Errorf("journal: %s: %w", c.Record.ID, ErrLost)
		}
	}
	c.Record, c.version = r, next
	return nil
}

func until(now time.Time, d time.Duration) time.Time {
	return time.UnixMilli(now.Add(d).UnixMilli()).UTC()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}
