package journal_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"heffl-mcp/journal"

	gocmp "github.com/google/go-cmp/cmp"
)

// model is what a Journal should be: a list, and who holds what.
type model struct {
	clock   *clock
	records []*modelRecord // oldest first
}

type modelRecord struct {
	journal.Record
	place  int         // among those of its Origin
	holder *modelClaim // who may report on it; nil: nobody
	writes int
}

// modelClaim is a claimant's view: the record as of its last success.
type modelClaim struct {
	of      *modelRecord
	seen    journal.Record
	standBy int // of.writes when the verdict was Busy: as long as that is so, the claimant may say Done; else 0
	real    *journal.Claim
}

// equal gives the newest of the equal intents, or nil.
func (m *model) equal(in journal.Intent) *modelRecord {
	for _, r := range slices.Backward(m.records) {
		if r.Tenant == in.Tenant && r.Action == in.Action && r.Fingerprint == in.Fingerprint {
			return r
		}
	}
	return nil
}

// ofOrigin gives the record that has the last place of the intent's origin, and the last of those that were not refused; or nil.
func (m *model) ofOrigin(tenant, action, origin string) (last, kept *modelRecord) {
	for _, r := range m.records {
		if origin == "" || r.Tenant != tenant || r.Action != action || r.Origin != origin {
			continue
		}
		if last == nil || r.place > last.place {
			last = r
		}
		if r.State != journal.StateRefused && (kept == nil || r.place > kept.place) {
			kept = r
		}
	}
	return last, kept
}

// fresh says that nothing about a record, which may be nil, keeps an intent from being sent.
func (m *model) fresh(in journal.Intent, r *modelRecord) bool {
	return r == nil || r.State == journal.StateRefused || r.State == journal.StateDone && (!m.recent(r) || in.Another && r.Delivered)
}

func (m *model) recent(r *modelRecord) bool {
	return r.State == journal.StateDone && m.clock.Now().Before(r.Settled.Add(24*time.Hour))
}

// attach puts a record into the last place of an origin, unless there is something against it.
func (m *model) attach(r *modelRecord, origin string) bool {
	last, _ := m.ofOrigin(r.Tenant, r.Action, origin)
	if r.Origin != "" || r.State == journal.StateRefused || origin == "" {
		return false
	}
	for _, o := range m.records {
		if o.Tenant == r.Tenant && o.Action == r.Action && o.Origin == origin && (o.Settled.IsZero() || m.recent(o)) {
			return false
		}
	}
	r.Origin, r.place = origin, 1
	if last != nil {
		r.place = last.place + 1
	}
	return true
}

func (m *model) claim(in journal.Intent) (journal.Verdict, *modelClaim) {
	now := m.clock.Now()
	last := m.equal(in)
	ofOrigin, kept := m.ofOrigin(in.Tenant, in.Action, in.Origin)
	seq := int64(1)
	if last != nil {
		seq = last.Seq + 1
	}
	if !m.fresh(in, last) && m.recent(last) && last.Origin == in.Origin {
		// It is the very one, whatever else the origin has.
	} else if !m.fresh(in, kept) {
		last = kept
	} else if !m.fresh(in, last) && !in.Another {
		m.attach(last, in.Origin)
	}
	recent := last != nil && m.recent(last)
	c := &modelClaim{of: last}
	verdict := journal.Fresh
	switch {
	case m.fresh(in, last):
		c.of = &modelRecord{Record: journal.Record{
			Tenant: in.Tenant, Action: in.Action, Fingerprint: in.Fingerprint, Args: in.Args, Match: in.Match, Origin: in.Origin, About: in.About, Seq: seq,
			State: journal.StateOpen, Created: now, SentAt: now, LeaseUntil: now.Add(in.Lease), Attempts: 1,
		}, holder: c, writes: 1}
		if in.Origin != "" {
			c.of.place = 1
		}
		if ofOrigin != nil {
			c.of.place = ofOrigin.place + 1
		}
		m.records = append(m.records, c.of)
	case recent:
		verdict = journal.Done
		last.Delivered = last.Delivered || in.Another
	case now.Before(last.LeaseUntil):
		verdict = journal.Busy
		c.standBy = last.writes
	default:
		verdict = journal.Unclear
		last.holder, last.State, last.LeaseUntil = c, journal.StateUnclear, now.Add(min(in.Lease, look))
		last.writes++
	}
	c.seen = c.of.Record
	return verdict, c
}

// update does change to the record if the claim holds it.
func (c *modelClaim) update(change func(*journal.Record)) error {
	if c.of.holder != c {
		return journal.ErrLost
	}
	change(&c.of.Record)
	c.of.writes++
	origin := c.seen.Origin // what another gives to the record meanwhile, the claimant does not see
	c.seen = c.of.Record
	c.seen.Origin = origin
	return nil
}

// end is the update that ends the claim.
func (c *modelClaim) end(change func(*journal.Record)) error {
	err := c.update(change)
	if err == nil {
		c.of.holder = nil
	}
	return err
}

// standIn makes the claimant that waits for the record its holder, if nobody has written it meanwhile.
func (c *modelClaim) standIn() {
	if c.standBy == c.of.writes {
		c.of.holder = c
	}
}

func (m *model) owner(tenant, action, ref string) *modelRecord {
	for _, r := range m.records {
		if ref != "" && r.Tenant == tenant && r.Action == action && r.Ref == ref {
			return r
		}
	}
	return nil
}

// script is where a history comes from: random numbers, or the fuzzer's bytes.
type script func(n int) int

// history is a model and several Journals on one database, to which the same happens.
type history struct {
	testing.TB
	model
	pick     script
	journals []*journal.Journal
	reopen   func() *journal.Journal // nil: a Journal that is closed takes its records with it
	claims   []*modelClaim           // of the claimants that are alive
	log      []string
}

// steps is what step picks from. What is more than there are kinds of steps is another Claim.
const steps = 18

var errAny = errors.New("any error")

// step lets one thing happen, of the kind that pick is.
func (h *history) step(pick int) {
	h.Helper()
	ctx, now := h.Context(), h.clock.Now()
	leases := []time.Duration{time.Second, 10 * time.Second, time.Minute}
	var c *modelClaim
	if len(h.claims) > 0 {
		c = h.claims[h.pick(len(h.claims))]
	} else {
		pick = 0
	}
	say := func(format string, args ...any) {
		h.log = append(h.log, fmt.Sprintf(format, args...))
	}
	switch pick {
	default:
		f := h.pick(3)
		in := journal.Intent{
			Tenant: fmt.Sprint("tenant", h.pick(2)), Action: "create_deal", Fingerprint: fmt.Sprint(f), Args: fmt.Sprint(f, h.pick(2)),
			Match: fmt.Sprint(f % 2), Lease: leases[h.pick(3)], Another: h.pick(3) == 0,
			Origin: []string{"", "", "mail1", "mail2"}[h.pick(4)],
		}
		say("Claim(%+v)", in)
		real, err := h.journals[h.pick(len(h.journals))].Claim(ctx, in)
		if err != nil {
			h.Fatalf("%v: %v", h.log, err)
		}
		verdict, c := h.claim(in)
		if real.Verdict != verdict {
			h.Fatalf("%v = %s, want %s", h.log, real.Verdict, verdict)
		}
		if c.real = real; c.of.ID == "" {
			c.of.ID = real.Record.ID
			c.seen.ID = real.Record.ID
		}
		h.claims = append(h.claims, c)
		h.same(c)
	case 1:
		lease := leases[h.pick(3)]
		say("Sending(%s)", c.seen.ID)
		h.compare(c, c.real.Sending(ctx, lease), c.update(func(r *journal.Record) {
			r.State, r.SentAt, r.LeaseUntil = journal.StateOpen, now, latest(r.LeaseUntil, now.Add(lease))
			r.GaveUpAt, r.Ending = time.Time{}, ""
			r.Attempts++
		}))
	case 2:
		lease := leases[h.pick(3)]
		say("Extend(%s)", c.seen.ID)
		h.compare(c, c.real.Extend(ctx, lease), c.update(func(r *journal.Record) { r.LeaseUntil = latest(r.LeaseUntil, now.Add(lease)) }))
	case 3, 4:
		ref := []string{"", "dl_1", "dl_2", "dl_3", "dl_4", "dl_5"}[h.pick(6)]
		delivered := h.pick(2) == 0
		say("Done(%s, %s, %t)", c.seen.ID, ref, delivered)
		var want error
		if (c.of.holder == c || c.standBy == c.of.writes) && h.owner(c.seen.Tenant, c.seen.Action, ref) != nil {
			want = journal.ErrTaken
		} else {
			c.standIn()
			want = c.end(func(r *journal.Record) {
				r.State, r.Settled, r.LeaseUntil = journal.StateDone, now, time.Time{}
				r.Ref, r.Outcome, r.How, r.Delivered = ref, []byte("{}"), "sent", delivered
			})
		}
		h.compare(c, c.real.Done(ctx, ref, []byte("{}"), "sent", delivered), want)
	case 5:
		say("Refused(%s)", c.seen.ID)
		h.compare(c, c.real.Refused(ctx, nil), c.end(func(r *journal.Record) {
			r.State, r.Settled, r.LeaseUntil = journal.StateRefused, now, time.Time{}
		}))
	case 6:
		at := now.Add(-time.Duration(h.pick(3)) * time.Second)
		ending := []journal.Ending{journal.Unanswered, journal.Failed, journal.Made}[h.pick(3)]
		say("Ended(%s, %s, %s)", c.seen.ID, at, ending)
		h.compare(c, c.real.Ended(ctx, at, ending), c.update(func(r *journal.Record) {
			r.State, r.LeaseUntil, r.GaveUpAt, r.Ending = journal.StateUnclear, now.Add(look), at, ending
		}))
	case 7:
		say("MarkDelivered(%s)", c.seen.ID)
		var want error = errAny
		if c.seen.State == journal.StateDone {
			want, c.seen.Delivered, c.of.Delivered = nil, true, true
		}
		h.compare(c, c.real.MarkDelivered(ctx), want)
	case 8: // the claimant dies
		h.claims = slices.DeleteFunc(h.claims, func(d *modelClaim) bool { return d == c })
	case 9, 10:
		d := []time.Duration{time.Millisecond, 500 * time.Millisecond, 5 * time.Second, time.Minute, 25 * time.Hour}[h.pick(5)]
		say("after %s", d)
		h.clock.Advance(d)
	case 11: // a process ends and begins again
		if h.reopen != nil {
			i := h.pick(len(h.journals))
			h.journals[i] = h.reopen()
			say("reopened %d", i)
		}
	case 12:
		say("Release(%s)", c.seen.ID)
		h.compare(c, c.real.Release(ctx), c.end(func(r *journal.Record) {
			r.State, r.LeaseUntil = journal.StateUnclear, time.Time{}
		}))
	case 13:
		origin := fmt.Sprint("mail", 1+h.pick(2))
		say("Attach(%s, %s)", c.of.ID, origin)
		got, err := h.journals[h.pick(len(h.journals))].Attach(ctx, c.of.ID, origin)
		if want := h.attach(c.of, origin); err != nil || got != want {
			h.Fatalf("%v = %t, error %v, want %t", h.log, got, err, want)
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (h *history) compare(c *modelClaim, got, want error) {
	h.Helper()
	if want == errAny && got != nil || want == nil && got == nil || want != nil && errors.Is(got, want) {
		h.same(c)
		return
	}
	h.Fatalf("%v = %v, want %v", h.log, got, want)
}

// same compares what the claimant knows, and what is known of it.
func (h *history) same(c *modelClaim) {
	h.Helper()
	if diff := gocmp.Diff(c.seen, c.real.Record); diff != "" {
		h.Fatalf("%v: the claim's record (-want +got):\n%s", h.log, diff)
	}
	j := h.journals[h.pick(len(h.journals))]
	r, err := j.Get(h.Context(), c.of.ID)
	if err != nil {
		h.Fatalf("%v: Get: %v", h.log, err)
	}
	if diff := gocmp.Diff(c.of.Record, *r); diff != "" {
		h.Fatalf("%v: Get (-want +got):\n%s", h.log, diff)
	}
	if held := h.clock.Now().Before(c.of.LeaseUntil); r.Held(h.clock.Now()) != held {
		h.Fatalf("%v: Held = %t, want %t: %+v", h.log, !held, held, r)
	} else if held {
		return
	}
	if waited, err := j.Wait(h.Context(), r.ID); err != nil || !gocmp.Equal(waited, r) {
		h.Fatalf("%v: Wait = %+v, error %v, want %+v", h.log, waited, err, r)
	}
}

// end compares all that can be asked.
func (h *history) end() {
	h.Helper()
	ctx, now, j := h.Context(), h.clock.Now(), h.journals[0]
	fatal := func(what, diff string, err error) {
		h.Helper()
		if diff != "" || err != nil {
			h.Fatalf("%v: %s (-want +got):\n%s\nerror %v", h.log, what, diff, err)
		}
	}
	byID := func(a, b journal.Record) int { return cmp.Compare(a.ID, b.ID) }
	all := []journal.Record{}
	counts := make(map[journal.State]int)
	for _, r := range h.records {
		all = append(all, r.Record)
		counts[r.State]++
	}
	got, err := j.List(ctx, journal.Filter{Limit: len(all) + 1})
	slices.SortFunc(all, byID)
	slices.Reverse(got)
	fatal("List", gocmp.Diff(all, append([]journal.Record{}, got...)), err)
	n, err := j.Counts(ctx)
	fatal("Counts", gocmp.Diff(counts, n), err)

	for _, tenant := range []string{"tenant0", "tenant1"} {
		refs := []string{"dl_1", "dl_2", "dl_3", "dl_4", "dl_5"}
		owned := make(map[string]string)
		for _, ref := range refs {
			if r := h.owner(tenant, "create_deal", ref); r != nil {
				owned[ref] = r.ID
			}
		}
		got, err := j.Owned(ctx, tenant, "create_deal", refs)
		fatal("Owned", gocmp.Diff(owned, got), err)

		for match := range 2 {
			var rivals []journal.Record
			for _, r := range all {
				if r.Tenant == tenant && r.Match == fmt.Sprint(match) && r.Settled.IsZero() {
					rivals = append(rivals, r)
				}
			}
			got, err := j.Rivals(ctx, tenant, "create_deal", fmt.Sprint(match), "nobody")
			fatal("Rivals", gocmp.Diff(rivals, got), err)
		}
		for f := range 3 {
			for variant := range 2 {
				args := fmt.Sprint(f, variant)
				var newest time.Time
				for _, r := range h.records {
					if r.Tenant == tenant && r.Args == args && r.State == journal.StateDone && now.Before(r.Settled.Add(24*time.Hour)) {
						newest = latest(newest, r.Settled)
					}
				}
				r, found, err := j.Find(ctx, tenant, "create_deal", args)
				if err != nil || found == newest.IsZero() || found && (r.Args != args || !r.Settled.Equal(newest)) {
					h.Fatalf("%v: Find(%s, %s) = %+v, %t, error %v, want one settled at %s", h.log, tenant, args, r, found, err, newest)
				}
			}
		}
	}
}

// Random histories, the same in every run, against the model.
func TestModel(t *testing.T) {
	sizes := map[string]struct{ histories, steps int }{"memory": {30, 250}, "file": {4, 150}, "postgres": {6, 150}}
	for _, e := range engines {
		for seed := range sizes[e.name].histories {
			t.Run(fmt.Sprintf("%s/%d", e.name, seed), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(uint64(seed), 20261122))
				h := newHistory(t, e.dsn(t), e.shared, random.IntN)
				for range sizes[e.name].steps {
					h.step(random.IntN(steps))
				}
				h.end()
			})
		}
	}
}

func newHistory(tb testing.TB, dsn string, shared bool, pick script) *history {
	h := &history{TB: tb, model: model{clock: newClock()}, pick: pick}
	// Nothing is pruned under way, whose time the model doesn't know.
	reopen := func() *journal.Journal {
		j := openWith(tb, dsn, journal.Options{Now: h.clock.Now, Retention: 100 * 365 * 24 * time.Hour})
		ok(tb, j.SharedClock(tb.Context()))
		return j
	}
	h.journals = append(h.journals, reopen())
	if shared {
		h.reopen = reopen
		h.journals = append(h.journals, reopen(), reopen())
	}
	return h
}

// FuzzModel is best run with -fuzzminimizetime 1x: SQLite is Go code here, so nearly every history covers something new.
func FuzzModel(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		seed := make([]byte, 200)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h := newHistory(t, ":memory:", false, func(n int) int {
			if len(data) == 0 {
				return 0
			}
			next := int(data[0]) % n
			data = data[1:]
			return next
		})
		for len(data) > 0 {
			h.step(h.pick(steps))
		}
		h.end()
	})
}
