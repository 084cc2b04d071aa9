package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/journal"

	"github.com/google/go-cmp/cmp"
)

// What a second claimant is told, by what became of the first.
func TestClaimAfter(t *testing.T) {
	type first struct {
		*testing.T
		*journal.Journal
		*journal.Claim
		*clock
		in journal.Intent
	}
	done := func(delivered bool) func(first) {
		return func(f first) {
			ok(f.T, f.Claim.Done(f.T.Context(), "dl_1", []byte(`{"id":"dl_1"}`), "sent", delivered))
		}
	}
	ended := func(f first) { ok(f.T, f.Ended(f.T.Context(), f.Now(), journal.Failed)) }
	takenOver := func(f first) *journal.Claim {
		f.Advance(lease)
		return claim(f.T, f.Journal, f.in, journal.Unclear)
	}
	another := func(in *journal.Intent) { in.Another = true }
	tests := []struct {
		name   string
		first  func(first)
		second func(*journal.Intent)
		want   journal.Verdict
	}{
		{"nothing yet", func(first) {}, nil, journal.Busy},
		{"the lease's last millisecond", func(f first) { f.Advance(lease - time.Millisecond) }, nil, journal.Busy},
		{"the lease", func(f first) { f.Advance(lease) }, nil, journal.Unclear},
		{"a longer lease by Extend", func(f first) {
			f.Advance(lease / 2)
			ok(f.T, f.Extend(f.T.Context(), lease))
			f.Advance(lease - time.Millisecond)
		}, nil, journal.Busy},
		{"a longer lease by Sending", func(f first) {
			f.Advance(lease / 2)
			ok(f.T, f.Sending(f.T.Context(), lease))
			f.Advance(lease - time.Millisecond)
		}, nil, journal.Busy},
		{"a shorter Extend shortens nothing", func(f first) {
			ok(f.T, f.Extend(f.T.Context(), time.Second))
			f.Advance(lease - time.Millisecond)
		}, nil, journal.Busy},
		{"it let go", func(f first) { ok(f.T, f.Release(f.T.Context())) }, nil, journal.Unclear},
		{"it ended, and begins to look", func(f first) { ended(f); f.Advance(look - time.Millisecond) }, nil, journal.Busy},
		{"it ended, and died", func(f first) { ended(f); f.Advance(look) }, nil, journal.Unclear},
		{"it ended, and looks for longer", func(f first) {
			ended(f)
			ok(f.T, f.Extend(f.T.Context(), 2*look))
			f.Advance(2*look - time.Millisecond)
		}, nil, journal.Busy},
		{"it ended, and let go", func(f first) { release(f.T, f.Claim, f.Now()) }, nil, journal.Unclear},
		{"it ended, and sent again", func(f first) {
			ended(f)
			ok(f.T, f.Sending(f.T.Context(), lease))
			f.Advance(lease - time.Millisecond)
		}, nil, journal.Busy},
		{"it was taken over", func(f first) { takenOver(f); f.Advance(look - time.Millisecond) }, nil, journal.Busy},
		{"it was taken over by one who died", func(f first) { takenOver(f); f.Advance(look) }, nil, journal.Unclear},
		{"it was taken over for a lease shorter than a look", func(f first) {
			f.in.Lease = time.Second
			takenOver(f)
			f.Advance(time.Second)
		}, nil, journal.Unclear},
		{"it was taken over, and sent again", func(f first) {
			ok(f.T, takenOver(f).Sending(f.T.Context(), lease))
			f.Advance(lease - time.Millisecond)
		}, nil, journal.Busy},
		{"it was refused", func(f first) { ok(f.T, f.Refused(f.T.Context(), []byte("no such client"))) }, nil, journal.Fresh},
		{"it is done", done(true), nil, journal.Done},
		{"it is done, the window's last millisecond", func(f first) { done(true)(f); f.Advance(24*time.Hour - time.Millisecond) }, nil, journal.Done},
		{"it is done, after the window", func(f first) { done(true)(f); f.Advance(24 * time.Hour) }, nil, journal.Fresh},
		{"another, nothing yet", func(first) {}, another, journal.Busy},
		{"another, it ended, and begins to look", func(f first) { ended(f) }, another, journal.Busy},
		{"another, it let go", func(f first) { ok(f.T, f.Release(f.T.Context())) }, another, journal.Unclear},
		{"another, it is delivered", done(true), another, journal.Fresh},
		{"another, it is delivered later", func(f first) { done(false)(f); ok(f.T, f.MarkDelivered(f.T.Context())) }, another, journal.Fresh},
		{"another, it is not delivered", done(false), another, journal.Done},
		{"another, not delivered, after the window", func(f first) { done(false)(f); f.Advance(24 * time.Hour) }, another, journal.Fresh},
		{"of another tenant", done(true), func(in *journal.Intent) { in.Tenant = "other" }, journal.Fresh},
		{"of another action", done(true), func(in *journal.Intent) { in.Action = "create_task" }, journal.Fresh},
		{"of another body", done(true), func(in *journal.Intent) { in.Fingerprint = "other" }, journal.Fresh},
		{"with other arguments for the same body", done(true), func(in *journal.Intent) { in.Args = "other" }, journal.Done},
	}
	onEveryEngine(t, func(t *testing.T, dsn string) {
		clock := newClock()
		j := open(t, dsn, clock)
		for i, test := range tests {
			// Not in subtests of their own: they share the Journal, and so see each other's records.
			in := intent(fmt.Sprintf("%d", i))
			in.Tenant = test.name
			c := claim(t, j, in, journal.Fresh)
			test.first(first{t, j, c, clock, in})
			if test.second != nil {
				test.second(&in)
			}
			got, err := j.Claim(t.Context(), in)
			if err != nil || got.Verdict != test.want {
				t.Errorf("%s: Claim = %+v, error %v, want %s", test.name, got, err, test.want)
			}
		}
	})
}

func TestRecordOfALife(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		start := clock.Now()
		in := intent("f")

		c := claim(t, j, in, journal.Fresh)
		want := journal.Record{
			ID: c.Record.ID, Tenant: in.Tenant, Action: in.Action, Fingerprint: in.Fingerprint, Args: in.Args, Match: in.Match, Seq: 1,
			State: journal.StateOpen, About: in.About, Created: start, SentAt: start, LeaseUntil: start.Add(lease), Attempts: 1,
		}
		check := func(step string, c *journal.Claim) {
			t.Helper()
			if diff := cmp.Diff(want, c.Record); diff != "" {
				t.Errorf("%s: the claim's record (-want +got):\n%s", step, diff)
			}
			got, err := j.Get(ctx, want.ID)
			if err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("%s: Get (-want +got):\n%s", step, diff)
			}
		}
		check("claimed", c)

		clock.Advance(20 * time.Second)
		ok(t, c.Sending(ctx, lease))
		want.SentAt, want.LeaseUntil, want.Attempts = clock.Now(), clock.Now().Add(lease), 2
		check("sent again", c)

		clock.Advance(time.Second)
		ok(t, c.Extend(ctx, lease))
		want.LeaseUntil = clock.Now().Add(lease)
		check("extended", c)

		at := clock.Now().Add(-300*time.Millisecond + 400*time.Microsecond).Local() // kept to the millisecond, in UTC
		ok(t, c.Ended(ctx, at, journal.Failed))
		want.State, want.GaveUpAt, want.Ending = journal.StateUnclear, clock.Now().Add(-300*time.Millisecond), journal.Failed
		want.LeaseUntil = clock.Now().Add(look)
		check("ended", c)

		clock.Advance(time.Second)
		ok(t, c.Extend(ctx, 2*look))
		want.LeaseUntil = clock.Now().Add(2 * look)
		check("looking", c)

		ok(t, c.Release(ctx))
		want.LeaseUntil = time.Time{}
		check("let go", c)

		clock.Advance(time.Minute)
		c = claim(t, j, in, journal.Unclear)
		want.LeaseUntil = clock.Now().Add(look)
		check("taken over", c)

		ok(t, c.Release(ctx)) // looked in vain, sent nothing: the last attempt ended as it did
		want.LeaseUntil = time.Time{}
		check("let go by one who only looked", c)

		c = claim(t, j, in, journal.Unclear)
		ok(t, c.Sending(ctx, lease))
		want.State, want.SentAt, want.LeaseUntil = journal.StateOpen, clock.Now(), clock.Now().Add(lease)
		want.Attempts, want.GaveUpAt, want.Ending = 3, time.Time{}, ""
		check("sent after all", c)

		clock.Advance(lease)
		c = claim(t, j, in, journal.Unclear)
		want.State, want.LeaseUntil = journal.StateUnclear, clock.Now().Add(look)
		check("taken over from one who died sending", c)

		ok(t, c.Sending(ctx, lease))
		want.State, want.SentAt, want.LeaseUntil, want.Attempts = journal.StateOpen, clock.Now(), clock.Now().Add(lease), 4
		check("sent once more", c)

		ok(t, c.Ended(ctx, clock.Now(), journal.Unanswered))
		want.State, want.GaveUpAt, want.Ending = journal.StateUnclear, clock.Now(), journal.Unanswered
		want.LeaseUntil = clock.Now().Add(look)
		check("ended once more", c)

		clock.Advance(time.Second)
		outcome := []byte("{\"id\":\"dl_1\",\x00\xff cut sho")
		ok(t, c.Done(ctx, "dl_1", outcome, "recovered", false))
		want.State, want.Settled, want.LeaseUntil = journal.StateDone, clock.Now(), time.Time{}
		want.Ref, want.Outcome, want.How = "dl_1", outcome, "recovered"
		check("done", c)

		ok(t, c.MarkDelivered(ctx))
		ok(t, c.MarkDelivered(ctx))
		want.Delivered = true
		check("delivered", c)

		clock.Advance(24 * time.Hour)
		c = claim(t, j, in, journal.Fresh)
		if c.Record.Seq != 2 {
			t.Errorf("the next one's Seq = %d, want 2", c.Record.Seq)
		}
		ok(t, c.Refused(ctx, []byte("no such client")))
		got, err := j.Get(ctx, c.Record.ID)
		if err != nil || got.State != journal.StateRefused || string(got.Outcome) != "no such client" || !got.Settled.Equal(clock.Now()) {
			t.Errorf("Get(refused) = %+v, error %v", got, err)
		}
	})
}

func TestLostClaim(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		slow := claim(t, j, intent("f"), journal.Fresh)
		clock.Advance(lease)
		claim(t, j, intent("f"), journal.Unclear)
		before, err := j.Get(ctx, slow.Record.ID)
		ok(t, err)
		for name, err := range map[string]error{
			"Sending": slow.Sending(ctx, lease),
			"Extend":  slow.Extend(ctx, lease),
			"Done":    slow.Done(ctx, "dl_1", nil, "sent", true),
			"Refused": slow.Refused(ctx, nil),
			"Ended":   slow.Ended(ctx, clock.Now(), journal.Failed),
			"Release": slow.Release(ctx),
		} {
			if !errors.Is(err, journal.ErrLost) {
				t.Errorf("%s of a claim taken over = %v, want ErrLost", name, err)
			}
		}
		if err := slow.MarkDelivered(ctx); err == nil {
			t.Error("MarkDelivered of an open claim = nil, want an error")
		}
		after, err := j.Get(ctx, slow.Record.ID)
		ok(t, err)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("a lost claim changed the record (-before +after):\n%s", diff)
		}

		late := claim(t, j, intent("late"), journal.Fresh)
		clock.Advance(2 * lease)
		if err := late.Sending(ctx, lease); err != nil {
			t.Errorf("Sending with a lease that ran out and that nobody took = %v, want nil", err)
		}
		ok(t, late.Done(ctx, "dl_2", nil, "sent", true))
	})
}

// What a method makes of a claim, by what became of the claim before: the state, how much longer the record is held,
// + when there is one attempt more, and how the last one has ended.
func TestTransitions(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(`
           | Sending    | Extend           | Ended             | Release      | Done      | Refused
fresh      | open 30s + | open 30s         | unclear 5s failed | unclear      | done      | refused
sent again | open 30s + | open 30s         | unclear 5s failed | unclear      | done      | refused
ended      | open 30s + | unclear 30s made | unclear 5s failed | unclear made | done made | refused made
taken over | open 30s + | unclear 30s      | unclear 5s failed | unclear      | done      | refused
busy       | lost       | lost             | lost              | lost         | done      | lost
stood in   | lost       | lost             | lost              | lost         | lost      | lost
released   | lost       | lost             | lost              | lost         | lost      | lost
done       | lost       | lost             | lost              | lost         | lost      | lost
refused    | lost       | lost             | lost              | lost         | lost      | lost
`), "\n")
	fields := func(line string) []string {
		all := strings.Split(line, "|")
		for i := range all {
			all[i] = strings.TrimSpace(all[i])
		}
		return all
	}
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		prepare := func(before string, in journal.Intent) *journal.Claim {
			c := claim(t, j, in, journal.Fresh)
			switch before {
			case "fresh":
			case "sent again":
				ok(t, c.Sending(ctx, time.Second))
			case "ended":
				ok(t, c.Ended(ctx, clock.Now(), journal.Made))
			case "taken over":
				clock.Advance(lease)
				c = claim(t, j, in, journal.Unclear)
			case "busy":
				c = claim(t, j, in, journal.Busy)
			case "stood in":
				c = claim(t, j, in, journal.Busy)
				ok(t, c.Done(ctx, "", nil, "recovered", true))
			case "released":
				ok(t, c.Release(ctx))
			case "done":
				ok(t, c.Done(ctx, "", nil, "sent", true))
			case "refused":
				ok(t, c.Refused(ctx, nil))
			default:
				t.Fatalf("no such row: %q", before)
			}
			return c
		}
		call := func(method string, c *journal.Claim) error {
			switch method {
			case "Sending":
				return c.Sending(ctx, lease)
			case "Extend":
				return c.Extend(ctx, lease)
			case "Ended":
				return c.Ended(ctx, clock.Now(), journal.Failed)
			case "Release":
				return c.Release(ctx)
			case "Done":
				return c.Done(ctx, "", nil, "sent", true)
			case "Refused":
				return c.Refused(ctx, nil)
			}
			return fmt.Errorf("no such column: %q", method)
		}
		for _, line := range lines[1:] {
			row := fields(line)
			for i, method := range fields(lines[0]) {
				if i == 0 {
					continue
				}
				c := prepare(row[0], intent(row[0]+" "+method))
				before := c.Record
				want := before
				got := "lost"
				switch err := call(method, c); {
				case err == nil:
					got, want = change(before, c.Record, clock.Now()), c.Record
				case !errors.Is(err, journal.ErrLost):
					got = err.Error()
				}
				if got != row[i] {
					t.Errorf("%s of a claim that is %s = %s, want %s", method, row[0], got, row[i])
				}
				if diff := cmp.Diff(want, c.Record); diff != "" {
					t.Errorf("%s of a claim that is %s failed and changed its record (-before +after):\n%s", method, row[0], diff)
				}
				if r, err := j.Get(ctx, c.Record.ID); err != nil || !cmp.Equal(&want, r) {
					t.Errorf("%s of a claim that is %s: on record is %+v, error %v, want %+v", method, row[0], r, err, want)
				}
			}
		}
	})
}

// change is a cell of the table.
func change(before, after journal.Record, now time.Time) string {
	words := []string{string(after.State)}
	if after.Held(now) {
		words = append(words, after.LeaseUntil.Sub(now).String())
	}
	if after.Attempts == before.Attempts+1 {
		words = append(words, "+")
	}
	if after.Ending != "" {
		words = append(words, string(after.Ending))
	}
	return strings.Join(words, " ")
}

// Who waits and finds the outcome may say so in the place of a claimant that may have died, unless that one, or anyone,
// has said anything since.
func TestStandIn(t *testing.T) {
	type since struct {
		*testing.T
		*journal.Journal
		*clock
		in       journal.Intent
		claimant *journal.Claim
	}
	tests := []struct {
		name  string
		since func(since)
		want  error
	}{
		{"nothing", func(since) {}, nil},
		{"the lease ran out", func(s since) { s.Advance(lease) }, nil},
		{"another waits as well", func(s since) { claim(s.T, s.Journal, s.in, journal.Busy) }, nil},
		{"Extend", func(s since) { ok(s.T, s.claimant.Extend(s.T.Context(), lease)) }, journal.ErrLost},
		{"Sending", func(s since) { ok(s.T, s.claimant.Sending(s.T.Context(), lease)) }, journal.ErrLost},
		{"Ended", func(s since) { ok(s.T, s.claimant.Ended(s.T.Context(), s.Now(), journal.Failed)) }, journal.ErrLost},
		{"Release", func(s since) { ok(s.T, s.claimant.Release(s.T.Context())) }, journal.ErrLost},
		{"Refused", func(s since) { ok(s.T, s.claimant.Refused(s.T.Context(), nil)) }, journal.ErrLost},
		{"Done", func(s since) { ok(s.T, s.claimant.Done(s.T.Context(), "", nil, "sent", true)) }, journal.ErrLost},
		{"taken over", func(s since) { s.Advance(lease); claim(s.T, s.Journal, s.in, journal.Unclear) }, journal.ErrLost},
		{"refused, and claimed anew", func(s since) {
			ok(s.T, s.claimant.Refused(s.T.Context(), nil))
			claim(s.T, s.Journal, s.in, journal.Fresh)
		}, journal.ErrLost},
		{"another stood in", func(s since) {
			ok(s.T, claim(s.T, s.Journal, s.in, journal.Busy).Done(s.T.Context(), "", nil, "recovered", true))
		}, journal.ErrLost},
	}
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		for i, test := range tests {
			in, ref := intent(test.name), fmt.Sprintf("dl_%d", i)
			claimant := claim(t, j, in, journal.Fresh)
			busy := claim(t, j, in, journal.Busy)
			test.since(since{t, j, clock, in, claimant})
			before, err := j.Get(ctx, busy.Record.ID)
			ok(t, err)

			got := busy.Done(ctx, ref, []byte("{}"), "recovered", false)
			if !errors.Is(got, test.want) {
				t.Errorf("since then %s: Done of one who waits = %v, want %v", test.name, got, test.want)
			}
			after, err := j.Get(ctx, busy.Record.ID)
			ok(t, err)
			if test.want != nil {
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("since then %s: Done of one who waits changed the record (-before +after):\n%s", test.name, diff)
				}
				continue
			}
			want := *before
			want.State, want.Settled, want.LeaseUntil = journal.StateDone, clock.Now(), time.Time{}
			want.Ref, want.Outcome, want.How = ref, []byte("{}"), "recovered"
			if diff := cmp.Diff(&want, after); diff != "" {
				t.Errorf("since then %s: the record after Done of one who waits (-want +got):\n%s", test.name, diff)
			}
			if err := claimant.Done(ctx, ref, nil, "sent", true); !errors.Is(err, journal.ErrLost) {
				t.Errorf("since then %s: the claimant's Done = %v, want ErrLost", test.name, err)
			}
			ok(t, busy.MarkDelivered(ctx))
			if r := claim(t, j, in, journal.Done).Record; r.Ref != ref || !r.Delivered {
				t.Errorf("since then %s: the next claimant gets %+v", test.name, r)
			}
		}
	})
}

// An outcome that is another intent's ends nothing: not the wait, and not the claimant's claim.
func TestStandInWithAnOutcomeOfAnother(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		j := open(t, dsn, newClock())
		ok(t, claim(t, j, intent("other"), journal.Fresh).Done(ctx, "dl_1", nil, "sent", true))
		claim(t, j, intent("f"), journal.Fresh)
		busy := claim(t, j, intent("f"), journal.Busy)
		if err := busy.Done(ctx, "dl_1", nil, "recovered", true); !errors.Is(err, journal.ErrTaken) {
			t.Errorf("Done of one who waits, with the ref of another = %v, want ErrTaken", err)
		}
		claim(t, j, intent("f"), journal.Busy)
		ok(t, busy.Done(ctx, "dl_2", nil, "recovered", true))

		claimant := claim(t, j, intent("g"), journal.Fresh)
		busy = claim(t, j, intent("g"), journal.Busy)
		if err := busy.Done(ctx, "dl_1", nil, "recovered", true); !errors.Is(err, journal.ErrTaken) {
			t.Errorf("Done of one who waits, with the ref of another = %v, want ErrTaken", err)
		}
		ok(t, claimant.Done(ctx, "dl_3", nil, "sent", true))
	})
}

// The claimant and all who wait for it come with the outcome at once: one is heard.
func TestStandInsAtOnce(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		journals := []*journal.Journal{open(t, dsn, clock)}
		if dsn != ":memory:" {
			journals = append(journals, open(t, dsn, clock), open(t, dsn, clock))
		}
		for round := range 10 {
			in := intent(fmt.Sprint(round))
			claims := []*journal.Claim{claim(t, journals[0], in, journal.Fresh)}
			for i := range 7 {
				claims = append(claims, claim(t, journals[i%len(journals)], in, journal.Busy))
			}
			errs := make([]error, len(claims))
			var all sync.WaitGroup
			for i, c := range claims {
				all.Go(func() { errs[i] = c.Done(ctx, "dl_"+in.Fingerprint, nil, fmt.Sprint("by ", i), true) })
			}
			all.Wait()
			r := claim(t, journals[0], in, journal.Done).Record
			for i, err := range errs {
				heard := r.How == fmt.Sprint("by ", i)
				if heard && err != nil || !heard && !errors.Is(err, journal.ErrLost) {
					t.Errorf("round %d: on record is the outcome %s; Done of %d = %v", round, r.How, i, err)
				}
			}
		}
	})
}

func TestOneOutcomeOneIntent(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		j := open(t, dsn, newClock())
		a, b := claim(t, j, intent("a"), journal.Fresh), claim(t, j, intent("b"), journal.Fresh)
		ok(t, a.Done(ctx, "dl_1", nil, "sent", true))
		if err := b.Done(ctx, "dl_1", nil, "recovered", true); !errors.Is(err, journal.ErrTaken) {
			t.Errorf("Done with the ref of another = %v, want ErrTaken", err)
		}
		ok(t, b.Done(ctx, "dl_2", nil, "recovered", true)) // still held

		for _, free := range []struct{ tenant, action, ref string }{
			{"other", "create_deal", "dl_1"}, {"tenant", "create_client", "dl_1"}, {"tenant", "create_deal", ""}, {"tenant", "create_deal", ""},
		} {
			in := intent(fmt.Sprintf("%v", free))
			in.Tenant, in.Action, in.Another = free.tenant, free.action, true
			if err := claim(t, j, in, journal.Fresh).Done(ctx, free.ref, nil, "sent", true); err != nil {
				t.Errorf("Done(%v) = %v, want nil", free, err)
			}
		}

		refs := []string{"dl_2"}
		for i := range 120 { // more than one batch
			refs = append(refs, fmt.Sprintf("dl_x%d", i))
		}
		got, err := j.Owned(ctx, "tenant", "create_deal", append(refs, "dl_1"))
		want := map[string]string{"dl_1": a.Record.ID, "dl_2": b.Record.ID}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Owned (-want +got):\n%s\nerror %v", diff, err)
		}
		got, err = j.Owned(ctx, "tenant", "create_deal", nil)
		if len(got) != 0 || err != nil {
			t.Errorf("Owned(no refs) = %v, error %v, want none", got, err)
		}
	})
}

func TestFind(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		find := func(tenant, args, want string) {
			t.Helper()
			r, found, err := j.Find(ctx, tenant, "create_deal", args)
			if err != nil || found != (want != "") || found && r.Ref != want {
				t.Errorf("Find(%s, %s) = %+v, %t, error %v, want %q", tenant, args, r, found, err, want)
			}
		}
		in := intent("f")
		find("tenant", in.Args, "")
		c := claim(t, j, in, journal.Fresh)
		find("tenant", in.Args, "")
		ok(t, c.Done(ctx, "dl_1", nil, "sent", true))
		find("tenant", in.Args, "dl_1")
		find("tenant", "other", "")
		find("other", in.Args, "")

		clock.Advance(time.Hour)
		in.Another = true
		c = claim(t, j, in, journal.Fresh)
		find("tenant", in.Args, "dl_1")
		ok(t, c.Done(ctx, "dl_2", nil, "sent", true))
		find("tenant", in.Args, "dl_2")
		clock.Advance(24*time.Hour - time.Millisecond)
		find("tenant", in.Args, "dl_2")
		clock.Advance(time.Millisecond)
		find("tenant", in.Args, "")
	})
}

func TestListings(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		if n, err := j.Counts(ctx); len(n) != 0 || err != nil {
			t.Errorf("Counts of nothing = %v, error %v", n, err)
		}
		ids := make(map[string]string) // of fingerprint
		for i, end := range []func(*journal.Claim) error{
			0: func(c *journal.Claim) error { return c.Done(ctx, "dl_1", nil, "sent", true) },
			1: func(c *journal.Claim) error { return c.Refused(ctx, nil) },
			2: func(c *journal.Claim) error { return c.Release(ctx) },
			3: func(*journal.Claim) error { return nil },
			4: func(*journal.Claim) error { return nil },
			5: func(*journal.Claim) error { return nil },
		} {
			in := intent(fmt.Sprint(i))
			in.Match = "same"
			switch i {
			case 4:
				in.Action = "create_task"
			case 5:
				in.Tenant = "other"
			}
			clock.Advance(time.Second)
			c := claim(t, j, in, journal.Fresh)
			ok(t, end(c))
			ids[in.Fingerprint] = c.Record.ID
		}
		list := func(f journal.Filter, want string) {
			t.Helper()
			records, err := j.List(ctx, f)
			var got []string
			for _, r := range records {
				got = append(got, r.Fingerprint)
			}
			if strings.Join(got, " ") != want || err != nil {
				t.Errorf("List(%+v) = %v, error %v, want %s", f, got, err, want)
			}
		}
		list(journal.Filter{}, "5 4 3 2 1 0")
		list(journal.Filter{Tenant: "tenant"}, "4 3 2 1 0")
		list(journal.Filter{Tenant: "tenant", Action: "create_deal"}, "3 2 1 0")
		list(journal.Filter{Unclear: true}, "5 4 3 2")
		list(journal.Filter{Tenant: "tenant", Limit: 2}, "4 3")
		list(journal.Filter{Tenant: "tenant", Limit: 2, Before: ids["3"]}, "2 1")
		list(journal.Filter{Tenant: "tenant", Limit: 2, Before: ids["0"]}, "")

		counts, err := j.Counts(ctx)
		want := map[journal.State]int{journal.StateOpen: 3, journal.StateUnclear: 1, journal.StateDone: 1, journal.StateRefused: 1}
		if diff := cmp.Diff(want, counts); diff != "" || err != nil {
			t.Errorf("Counts (-want +got):\n%s\nerror %v", diff, err)
		}
		if err := j.Check(ctx); err != nil {
			t.Errorf("Check = %v", err)
		}
		if after, err := j.Counts(ctx); !cmp.Equal(want, after) || err != nil {
			t.Errorf("Counts after Check = %v, error %v, want %v", after, err, want)
		}
		if _, err := j.Get(ctx, "nobody"); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("Get(nobody) = %v, want ErrNotFound", err)
		}
	})
}

// Rivals are told apart: who sends, who looks, and whom nobody has.
func TestRivals(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		rival := func(name string) (*journal.Claim, journal.Intent) {
			t.Helper()
			clock.Advance(time.Millisecond) // so that they have an order
			in := intent(name)
			in.Match = "same"
			return claim(t, j, in, journal.Fresh), in
		}
		_, died := rival("died sending")
		_, takenOver := rival("taken over")
		clock.Advance(lease)
		claim(t, j, takenOver, journal.Unclear)
		c, _ := rival("ended")
		ok(t, c.Ended(ctx, clock.Now(), journal.Failed))
		c, _ = rival("released")
		release(t, c, clock.Now())
		c, _ = rival("done")
		ok(t, c.Done(ctx, "dl_1", nil, "sent", true))
		c, _ = rival("refused")
		ok(t, c.Refused(ctx, nil))
		sending, _ := rival("sending")
		for _, elsewhere := range []func(*journal.Intent){
			func(in *journal.Intent) { in.Tenant = "other" },
			func(in *journal.Intent) { in.Action = "create_task" },
			func(in *journal.Intent) { in.Fingerprint, in.Match = "other", "other" },
		} {
			in := died
			elsewhere(&in)
			claim(t, j, in, journal.Fresh)
		}

		list := func(except string, want ...string) {
			t.Helper()
			rivals, err := j.Rivals(ctx, "tenant", "create_deal", "same", except)
			var got []string
			for _, r := range rivals {
				got = append(got, fmt.Sprintf("%s: %s %t", r.Fingerprint, r.State, r.Held(clock.Now())))
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("Rivals, and whether they are held (-want +got):\n%s\nerror %v", diff, err)
			}
		}
		others := []string{"died sending: open false", "taken over: unclear true", "ended: unclear true", "released: unclear false"}
		list(sending.Record.ID, others...)
		list("", append(others, "sending: open true")...)
		clock.Advance(look)
		list("", "died sending: open false", "taken over: unclear false", "ended: unclear false", "released: unclear false", "sending: open true")
	})
}

// Strays are the unsettled intents of the same words that meant something else.
func TestStrays(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		sent := func(name, tenant, words string) *journal.Claim {
			t.Helper()
			clock.Advance(time.Millisecond) // so that they have an order
			in := intent(name)
			in.Tenant, in.Args = tenant, words
			return claim(t, j, in, journal.Fresh)
		}
		release(t, sent("one client", "tenant", "words"), clock.Now())
		sent("sending", "tenant", "words")
		ok(t, sent("done", "tenant", "words").Done(ctx, "dl_1", nil, "sent", true))
		ok(t, sent("refused", "tenant", "words").Refused(ctx, nil))
		sent("other words", "tenant", "others")
		sent("elsewhere", "other", "words")
		for fingerprint, want := range map[string][]string{
			"another client": {"one client", "sending"},
			"one client":     {"sending"},
		} {
			strays, err := j.Strays(ctx, "tenant", "create_deal", "words", fingerprint)
			var got []string
			for _, r := range strays {
				got = append(got, r.Fingerprint)
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("Strays(%s) (-want +got):\n%s\nerror %v", fingerprint, diff, err)
			}
		}
	})
}

func TestPrune(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		const day = 24 * time.Hour
		ok(t, claim(t, j, intent("done"), journal.Fresh).Done(ctx, "dl_1", nil, "sent", true))
		ok(t, claim(t, j, intent("refused"), journal.Fresh).Refused(ctx, nil))
		ok(t, claim(t, j, intent("unclear"), journal.Fresh).Release(ctx))
		claim(t, j, intent("open"), journal.Fresh)
		const many = 501         // more than a batch
		ok(t, j.Fill(ctx, many)) // each a second older than the next
		left := func(want map[journal.State]int) {
			t.Helper()
			ok(t, j.Prune(ctx))
			got, err := j.Counts(ctx)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("after %s (-want +got):\n%s\nerror %v", clock.Now().Sub(newClock().Now()), diff, err)
			}
		}
		clock.Advance(30*day - many*time.Second)
		left(map[journal.State]int{"done": many + 1, "refused": 1, "unclear": 1, "open": 1})
		clock.Advance(many * time.Second)
		left(map[journal.State]int{"done": 1, "refused": 1, "unclear": 1, "open": 1})
		clock.Advance(time.Millisecond)
		left(map[journal.State]int{"unclear": 1, "open": 1})
		clock.Advance(day)
		left(map[journal.State]int{"unclear": 1, "open": 1})
		clock.Advance(329 * day)
		c := claim(t, j, intent("open"), journal.Unclear)
		clock.Advance(time.Second)
		left(map[journal.State]int{"unclear": 1}) // since someone has it
		ok(t, c.Release(ctx))
		left(map[journal.State]int{})
		claim(t, j, intent("done"), journal.Fresh)
	})
}

// The settling of one intent has old ones pruned, and Close waits for that.
func TestPrunesByItself(t *testing.T) {
	onSharedEngines(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		watcher := open(t, dsn, clock)
		j, err := journal.New(dsn, journal.Options{Now: clock.Now})
		ok(t, err)
		ok(t, j.SharedClock(ctx))
		ok(t, claim(t, j, intent("old"), journal.Fresh).Refused(ctx, nil))
		clock.Advance(31 * 24 * time.Hour)
		ok(t, claim(t, j, intent("new"), journal.Fresh).Refused(ctx, nil))
		ok(t, j.Close())
		records, err := watcher.List(ctx, journal.Filter{})
		if len(records) != 1 || records[0].Fingerprint != "new" || err != nil {
			t.Errorf("left after Close: %+v, error %v, want only new", records, err)
		}
	})
}

func TestRetentionIsNeverShorterThanTheWindow(t *testing.T) {
	t.Parallel()
	ctx, clock := t.Context(), newClock()
	j := openWith(t, ":memory:", journal.Options{Now: clock.Now, Window: time.Hour, Retention: time.Minute})
	ok(t, claim(t, j, intent("f"), journal.Fresh).Done(ctx, "dl_1", nil, "sent", true))
	clock.Advance(59 * time.Minute)
	ok(t, j.Prune(ctx))
	claim(t, j, intent("f"), journal.Done)
}

func TestEqualCallsAtOnce(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		journals := []*journal.Journal{open(t, dsn, clock)}
		if dsn != ":memory:" {
			journals = append(journals, open(t, dsn, clock), open(t, dsn, clock))
		}
		race := func(in journal.Intent) map[journal.Verdict][]*journal.Claim {
			t.Helper()
			var mu sync.Mutex
			var all sync.WaitGroup
			got := make(map[journal.Verdict][]*journal.Claim)
			for i := range 24 {
				all.Go(func() {
					c, err := journals[i%len(journals)].Claim(ctx, in)
					if err != nil {
						t.Errorf("Claim = %v", err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					got[c.Verdict] = append(got[c.Verdict], c)
				})
			}
			all.Wait()
			return got
		}
		count := func(what string, got map[journal.Verdict][]*journal.Claim, want map[journal.Verdict]int) {
			t.Helper()
			counts := make(map[journal.Verdict]int)
			for v, claims := range got {
				counts[v] = len(claims)
			}
			if diff := cmp.Diff(want, counts); diff != "" {
				t.Fatalf("24 at once, %s (-want +got):\n%s", what, diff)
			}
		}

		mail := intent("by mail")
		mail.Origin = "mail"
		count("one message", race(mail), map[journal.Verdict]int{journal.Fresh: 1, journal.Busy: 23})

		got := race(intent("f"))
		count("nothing known", got, map[journal.Verdict]int{journal.Fresh: 1, journal.Busy: 23})
		for _, c := range got[journal.Busy] {
			if c.Record.ID != got[journal.Fresh][0].Record.ID {
				t.Errorf("busy with %s, want %s", c.Record.ID, got[journal.Fresh][0].Record.ID)
			}
		}
		clock.Advance(lease)
		got = race(intent("f"))
		count("the claimant died", got, map[journal.Verdict]int{journal.Unclear: 1, journal.Busy: 23})
		ok(t, got[journal.Unclear][0].Done(ctx, "dl_1", nil, "recovered", false))
		count("done", race(intent("f")), map[journal.Verdict]int{journal.Done: 24})
		another := intent("f")
		another.Another = true
		count("another, not delivered", race(another), map[journal.Verdict]int{journal.Done: 1, journal.Fresh: 1, journal.Busy: 22})
	})
}

// Intents that differ, but are for one message, are one: whatever state the first is in.
func TestOrigin(t *testing.T) {
	of := func(fingerprint, origin string) journal.Intent {
		in := intent(fingerprint)
		in.Origin = origin
		return in
	}
	another := func(in journal.Intent) journal.Intent { in.Another = true; return in }
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		first := claim(t, j, of("a", "mail"), journal.Fresh)
		same := func(c *journal.Claim) *journal.Claim {
			t.Helper()
			if c.Record.ID != first.Record.ID {
				t.Errorf("the claim is of %+v, want %s", c.Record, first.Record.ID)
			}
			return c
		}
		same(claim(t, j, of("b", "mail"), journal.Busy))
		same(claim(t, j, of("a", ""), journal.Busy))
		claim(t, j, of("b", "another mail"), journal.Fresh)
		claim(t, j, of("c", ""), journal.Fresh)
		release(t, first, clock.Now())
		taken := same(claim(t, j, of("b", "mail"), journal.Unclear)) // after a crash too: it has to be looked for first
		ok(t, taken.Done(ctx, "dl_1", nil, "recovered", true))
		same(claim(t, j, of("d", "mail"), journal.Done))
		if r, found, err := j.MadeOf(ctx, "tenant", "create_deal", "mail"); err != nil || !found || r.ID != first.Record.ID {
			t.Errorf("MadeOf = %+v, %t, error %v", r, found, err)
		}

		second := claim(t, j, another(of("d", "mail")), journal.Fresh)
		if c := claim(t, j, of("e", "mail"), journal.Busy); c.Record.ID != second.Record.ID {
			t.Errorf("busy with %+v, want the second", c.Record)
		}
		ok(t, second.Refused(ctx, nil))
		same(claim(t, j, of("e", "mail"), journal.Done)) // the refusal of a second one undoes nothing
		third := claim(t, j, another(of("d", "mail")), journal.Fresh)
		same(claim(t, j, of("a", "mail"), journal.Done)) // of several it is the one of the fingerprint, even before one that is open
		ok(t, third.Done(ctx, "dl_3", nil, "created", true))
		same(claim(t, j, of("a", "mail"), journal.Done))

		// What was done without saying for which message stands for the message of who asks for it again.
		plain := claim(t, j, of("f", ""), journal.Fresh)
		claim(t, j, of("f", "late mail"), journal.Busy)
		ok(t, plain.Done(ctx, "dl_2", nil, "created", true)) // it is still who had it
		if c := claim(t, j, of("g", "late mail"), journal.Done); c.Record.ID != plain.Record.ID {
			t.Errorf("done by %+v, want %s", c.Record, plain.Record.ID)
		}
		clock.Advance(24 * time.Hour)
		claim(t, j, of("h", "mail"), journal.Fresh)
		if _, found, err := j.MadeOf(ctx, "tenant", "create_deal", "late mail"); err != nil || found {
			t.Errorf("MadeOf after the window = %t, error %v", found, err)
		}
	})
}

// A claimant that was slow between reading and writing makes no second record, whatever happened meanwhile.
func TestSlowClaimant(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx, clock := t.Context(), newClock()
		j := open(t, dsn, clock)
		insert := func(what string, seq int64) {
			t.Helper()
			if inserted, err := j.Insert(ctx, intent("f"), seq); inserted || err != nil {
				t.Errorf("the slow one read %s, and inserted %d: %t, error %v, want false", what, seq, inserted, err)
			}
		}
		ok(t, claim(t, j, intent("f"), journal.Fresh).Refused(ctx, nil))
		insert("nothing", 1)
		c := claim(t, j, intent("f"), journal.Fresh)
		insert("a refused record", 2)
		insert("what is not there", 3) // the index of unsettled ones
		ok(t, c.Refused(ctx, nil))
		clock.Advance(31 * 24 * time.Hour)
		ok(t, j.Prune(ctx))
		ok(t, claim(t, j, intent("f"), journal.Fresh).Done(ctx, "dl_1", nil, "sent", true))
		insert("a refused record, pruned since", 3)
		mail := intent("by mail")
		mail.Origin = "mail"
		ok(t, claim(t, j, mail, journal.Fresh).Done(ctx, "dl_2", nil, "sent", true))
		mail.Fingerprint = "in other words"
		if inserted, err := j.Insert(ctx, mail, 1); inserted || err != nil {
			t.Errorf("the slow one read nothing of the message: %t, error %v, want false", inserted, err)
		}
		if inserted, err := j.Insert(ctx, intent("f"), 2); !inserted || err != nil {
			t.Errorf("the next one: %t, error %v, want true", inserted, err)
		}
	})
}

func TestWait(t *testing.T) {
	onSharedEngines(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		a, b := openWith(t, dsn, journal.Options{}), openWith(t, dsn, journal.Options{})
		for name, end := range map[string]func(*journal.Claim) error{
			"done":    func(c *journal.Claim) error { return c.Done(ctx, "dl_1", []byte("{}"), "sent", true) },
			"refused": func(c *journal.Claim) error { return c.Refused(ctx, nil) },
			"unclear": func(c *journal.Claim) error {
				return errors.Join(c.Ended(ctx, time.Now(), journal.Failed), c.Release(ctx))
			},
		} {
			c := claim(t, a, intent(name), journal.Fresh)
			busy := claim(t, b, intent(name), journal.Busy)
			var all sync.WaitGroup
			all.Go(func() {
				r, err := b.Wait(ctx, busy.Record.ID)
				if err != nil || string(r.State) != name || !r.LeaseUntil.IsZero() {
					t.Errorf("Wait = %+v, error %v, want %s and not held", r, err, name)
				}
			})
			ok(t, end(c))
			all.Wait()
		}

		for _, name := range []string{"sending", "looking"} {
			c := claim(t, a, intent(name), journal.Fresh)
			if name == "looking" {
				ok(t, c.Ended(ctx, time.Now(), journal.Failed))
				ok(t, c.Extend(ctx, lease))
			}
			busy := claim(t, b, intent(name), journal.Busy)
			short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			if r, err := b.Wait(short, busy.Record.ID); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Wait for one who is %s, with a deadline = %+v, error %v, want DeadlineExceeded", name, r, err)
			}
		}
		if _, err := b.Wait(ctx, "nobody"); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("Wait(nobody) = %v, want ErrNotFound", err)
		}
	})
}

// Wait ends when the lease does, however often it was extended, and looks neither too often nor too rarely.
func TestWaitForALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var readings atomic.Int64 // of the clock: one each time Wait looks
		j, err := journal.New(":memory:", journal.Options{Now: func() time.Time { readings.Add(1); return time.Now() }})
		ok(t, err)
		defer j.Close()
		start := time.Now()
		c := claim(t, j, intent("f"), journal.Fresh)
		var all sync.WaitGroup
		all.Go(func() {
			r, err := j.Wait(t.Context(), c.Record.ID)
			if err != nil || r.State != journal.StateOpen {
				t.Errorf("Wait = %+v, error %v", r, err)
			}
			if got, want := time.Since(start), 2*lease; got != want {
				t.Errorf("Wait returned after %s, want %s", got, want)
			}
		})
		time.Sleep(lease / 2)
		ok(t, c.Extend(t.Context(), lease+lease/2))
		all.Wait()
		looks := int(readings.Load())
		if least, most := int(2*lease/(200*time.Millisecond)), 400; looks < least || looks > most {
			t.Errorf("Wait looked %d times in %s, want %d to %d", looks, 2*lease, least, most)
		}
	})
}

// Who looks for the outcome is waited for as well, but not for as long as who sends.
func TestWaitForALook(t *testing.T) {
	for _, test := range []struct {
		name  string
		begin func(*testing.T, *journal.Journal) // the look
		want  time.Duration
	}{
		{"it ended", func(t *testing.T, j *journal.Journal) {
			ok(t, claim(t, j, intent("f"), journal.Fresh).Ended(t.Context(), time.Now(), journal.Failed))
		}, look},
		{"it ended, and looks for longer", func(t *testing.T, j *journal.Journal) {
			c := claim(t, j, intent("f"), journal.Fresh)
			ok(t, c.Ended(t.Context(), time.Now(), journal.Failed))
			ok(t, c.Extend(t.Context(), 2*look))
		}, 2 * look},
		{"it was taken over", func(t *testing.T, j *journal.Journal) {
			claim(t, j, intent("f"), journal.Fresh)
			time.Sleep(lease)
			claim(t, j, intent("f"), journal.Unclear)
		}, look},
		{"it was taken over, and sent again", func(t *testing.T, j *journal.Journal) {
			ok(t, claim(t, j, intent("f"), journal.Fresh).Release(t.Context()))
			ok(t, claim(t, j, intent("f"), journal.Unclear).Sending(t.Context(), lease))
		}, lease},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				j, err := journal.New(":memory:", journal.Options{})
				ok(t, err)
				defer j.Close()
				test.begin(t, j)
				busy := claim(t, j, intent("f"), journal.Busy)
				start := time.Now()
				r, err := j.Wait(t.Context(), busy.Record.ID)
				if diff := cmp.Diff(&busy.Record, r); diff != "" || err != nil {
					t.Errorf("Wait (-want +got):\n%s\nerror %v", diff, err)
				}
				if got := time.Since(start); got != test.want {
					t.Errorf("Wait returned after %s, want %s", got, test.want)
				}
			})
		})
	}
}

func TestBadIntents(t *testing.T) {
	t.Parallel()
	j := openWith(t, ":memory:", journal.Options{})
	for _, test := range []struct {
		spoil func(*journal.Intent)
		want  string
	}{
		{func(in *journal.Intent) { in.Tenant = "" }, "journal: an intent needs Tenant, Action and Fingerprint"},
		{func(in *journal.Intent) { in.Action = "" }, "journal: an intent needs Tenant, Action and Fingerprint"},
		{func(in *journal.Intent) { in.Fingerprint = "" }, "journal: an intent needs Tenant, Action and Fingerprint"},
		{func(in *journal.Intent) { in.Lease = 0 }, "journal: an intent needs a Lease"},
		{func(in *journal.Intent) { in.About = []byte("{") }, "journal: About is not JSON"},
		{func(in *journal.Intent) { in.About = []byte("\"\xff\"") }, `journal: "\"\xff\"" is not UTF-8 without zero bytes`},
		{func(in *journal.Intent) { in.Args = "a\x00b" }, `journal: "a\x00b" is not UTF-8 without zero bytes`},
	} {
		in := intent("f")
		test.spoil(&in)
		if c, err := j.Claim(t.Context(), in); err == nil || err.Error() != test.want {
			t.Errorf("Claim(%+v) = %+v, error %v, want %s", in, c, err, test.want)
		}
	}
	if n, err := j.Counts(t.Context()); len(n) != 0 || err != nil {
		t.Errorf("bad intents left %v, error %v", n, err)
	}
	c := claim(t, j, intent("f"), journal.Fresh)
	if err := c.Done(t.Context(), "dl\x001", nil, "sent", true); err == nil {
		t.Error("Done with a zero byte in the ref = nil, want an error")
	}
	ok(t, c.Done(t.Context(), "dl_1", nil, "sent", true))
}

func TestCancelled(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		j := open(t, dsn, newClock())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := j.Claim(ctx, intent("f")); !errors.Is(err, context.Canceled) {
			t.Errorf("Claim when cancelled = %v, want context.Canceled", err)
		}
		claim(t, j, intent("f"), journal.Fresh)
	})
}

func TestClosed(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		j, err := journal.New(dsn, journal.Options{})
		ok(t, err)
		c := claim(t, j, intent("f"), journal.Fresh)
		ok(t, j.Close())
		ok(t, j.Close())
		_, claiming := j.Claim(ctx, intent("g"))
		_, getting := j.Get(ctx, c.Record.ID)
		for name, err := range map[string]error{"Claim": claiming, "Get": getting, "Done": c.Done(ctx, "", nil, "", false), "Check": j.Check(ctx)} {
			if !errors.Is(err, journal.ErrClosed) {
				t.Errorf("%s of a closed Journal = %v, want ErrClosed", name, err)
			}
		}
		never, err := journal.New(dsn, journal.Options{})
		ok(t, err)
		if err := never.Close(); err != nil {
			t.Errorf("Close of a Journal never used = %v", err)
		}
	})
}

// No call may look at every record there is.
func TestPlans(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dsn, explain := e.dsn(t), "EXPLAIN QUERY PLAN"
			j := open(t, dsn, newClock())
			ok(t, j.Check(t.Context()))
			if e.name == "postgres" { // which plans by what is there
				explain = "EXPLAIN"
				ok(t, j.Fill(t.Context(), 2000))
				execute(t, "pgx", dsn, "ANALYZE journal_intents")
			}
			for text, args := range journal.Plans() {
				plan, err := j.Plan(t.Context(), explain, text, args)
				if err != nil {
					t.Errorf("%s: %v", text, err)
					continue
				}
				if len(plan) == 0 || slices.ContainsFunc(plan, func(line string) bool {
					return strings.Contains(line, "SCAN") && !strings.Contains(line, "USING") && !strings.Contains(line, "CONSTANT ROW") || strings.Contains(line, "Seq Scan")
				}) {
					t.Errorf("%s\nis planned as\n%s", text, strings.Join(plan, "\n"))
				}
			}
		})
	}
}

func TestDefaultPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		os, env, want string
	}{
		{"linux", "HOME=/home/ann", "/home/ann/.local/state/heffl-mcp/journal.db"},
		{"linux", "HOME=/home/ann XDG_STATE_HOME=/var/ann", "/var/ann/heffl-mcp/journal.db"},
		{"linux", "HOME=/home/ann XDG_STATE_HOME=relative", "/home/ann/.local/state/heffl-mcp/journal.db"},
		{"freebsd", "HOME=/home/ann", "/home/ann/.local/state/heffl-mcp/journal.db"},
		{"linux", "", "journal: $HOME is not set, so there is no place for the journal; name a file"},
		{"darwin", "HOME=/Users/ann XDG_STATE_HOME=/var/ann", "/Users/ann/Library/Application Support/heffl-mcp/journal.db"},
		{"windows", "LocalAppData=/ann/Local", "/ann/Local/heffl-mcp/journal.db"},
		{"windows", "HOME=/ann", "journal: %LocalAppData% is not set, so there is no place for the journal; name a file"},
	} {
		got, err := journal.DefaultPathOn(test.os, func(name string) string {
			for pair := range strings.FieldsSeq(test.env) {
				if key, value, _ := strings.Cut(pair, "="); key == name {
					return value
				}
			}
			return ""
		})
		if err != nil {
			got = err.Error()
		}
		if strings.ReplaceAll(got, `\`, "/") != test.want {
			t.Errorf("DefaultPath(%s, %s) = %s, want %s", test.os, test.env, got, test.want)
		}
	}
}

// TestDefaultPathIsTold holds that the documents name the places.
func TestDefaultPathIsTold(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"linux", "darwin", "windows"} {
		path, err := journal.DefaultPathOn(system, func(name string) string {
			return map[string]string{"HOME": "~", "LocalAppData": "%LocalAppData%"}[name]
		})
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.ToSlash(path)
		if system == "windows" {
			path = strings.ReplaceAll(path, "/", `\`)
		}
		for _, file := range []string{"../README.md", "../docs/privacy.md"} {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), "`"+path+"`") {
				t.Errorf("%s does not name %s, where the journal is on %s", file, path, system)
			}
		}
	}
}

func TestBadDSNs(t *testing.T) {
	t.Parallel()
	const notURL = "journal: this is not a PostgreSQL URL; want postgres://user:password@host:5432/database, with @ : / ? # % in the password written as %40 %3A %2F %3F %23 %25"
	for dsn, want := range map[string]string{
		"":                                       "journal: want a file, :memory: or a postgres:// URL, got nothing",
		"mysql://u:s3cret@h/d":                   "journal: can't be kept in mysql://; want a file, :memory: or a postgres:// URL",
		"a\x00b":                                 "journal: a file name can't hold a zero byte",
		"postgres://u:s3cret@h:port/d":           notURL,
		"postgres://u:s3cret%zz@h/d":             notURL,
		"postgres://u:s3cr/et#s3cret@h/d":        notURL,
		"postgres://u:s3cret@h/d?sslmode=s3cret": "journal: the PostgreSQL URL can't be used: sslmode is invalid",
		"postgresql://u@h/d?password=s3cret&connect_timeout=s3cret": "journal: the PostgreSQL URL can't be used: one of its parameters is not understood",
	} {
		_, err := journal.New(dsn, journal.Options{})
		if err == nil || err.Error() != want {
			t.Errorf("New(%q) = %v, want %s", dsn, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr") {
			t.Errorf("New(%q) shows the password: %v", dsn, err)
		}
	}
}
