package tools

import (
	"context"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/journal"
)

// A making of something else than a deal: the rules are those of TestOnce, which goes through them
// one by one.
var others = []struct{ name, tool, list, args string }{
	{"contact with e-mail", "create_client", "/contacts", `{"type":"contact","firstName":"Nora","lastName":"Weiß","email":"Nora@weiss.example","companyId":"clt_acme","phone":"+49 30 1234567","cf_language":"German"}`},
	{"contact by name", "create_client", "/contacts", `{"type":"contact","firstName":"Nora","lastName":"Weiß"}`},
	{"company with e-mail", "create_client", "/companies", `{"type":"company","name":"Weiß und Söhne GmbH","email":"post@weiss.example","website":"https://weiss.example"}`},
	{"company by name", "create_client", "/companies", `{"type":"company","name":"Weiß und Söhne GmbH","sourceId":"src_referral"}`},
	{"task on a deal", "create_task", "/tasks", `{"title":"Call José  about the renewal","dealId":"dl_acme_renewal","type":"call","dueDate":"2027-03-02T09:00:00+01:00","assigneeIds":["usr_sara"]}`},
	{"task on nothing", "create_task", "/tasks", `{"title":"Tidy up","cf_channel":"Phone"}`},
}

// untilSettled makes a call until it is not unclear any more.
func (s *stage) untilSettled(args string) told {
	s.tb.Helper()
	for range 10 {
		if got := s.call(args); got.outcome != unsettled {
			return got
		}
	}
	s.tb.Fatalf("%s is unclear for ever", s.tool)
	return told{}
}

func TestOnceOthers(t *testing.T) {
	t.Parallel()
	for _, o := range others {
		for fault, want := range map[string]struct {
			outcome string
			sent    int
		}{
			"": {created, 1}, "before:429;wait=2": {created, 2}, "before:500": {created, 2}, "before:drop": {created, 2}, "before:hang": {created, 2},
			"after:500": {recovered, 1}, "after:502;hide=3s": {recovered, 1}, "after:drop": {recovered, 1}, "before:drop;wait=18s": {recovered, 1},
			"after:hang": {recovered, 1}, "after:truncate;hide=2s": {recovered, 1}, "before:502;wait=2s": {recovered, 1},
		} {
			in(t, o.name+", "+fault, func(t *testing.T) {
				s := newStageOf(t, o.tool, o.list, Deps{Journal: memory(t)}, fault)
				first := s.untilSettled(o.args)
				s.is(first, want.outcome)
				again := s.call(o.args)
				s.is(again, replayed, "nothing was sent now. As it was then: ")
				if first.id != again.id {
					t.Errorf("told of %s and %s, want the same", first.id, again.id)
				}
				s.count(want.sent, 1)
			})
		}
		in(t, o.name+", another", func(t *testing.T) {
			s := newStageOf(t, o.tool, o.list, Deps{Journal: memory(t)}, "", "after:drop")
			first := s.call(o.args)
			second := s.call(again(o.args))
			s.is(first, created)
			s.is(second, recovered)
			if first.id == second.id {
				t.Errorf("both were told of %s", first.id)
			}
			s.count(2, 2)
		})
		in(t, o.name+", six at once", func(t *testing.T) {
			s := newStageOf(t, o.tool, o.list, Deps{Journal: memory(t)}, "after:500;hide=2s")
			var mu sync.Mutex
			ids := map[string]int{}
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() {
					got := s.call(o.args)
					mu.Lock()
					defer mu.Unlock()
					ids[got.id]++
				})
			}
			all.Wait()
			if len(ids) != 1 || ids[""] > 0 {
				t.Errorf("six equal calls were told of %v, want one", ids)
			}
			s.count(1, 1)
		})
		for _, fault := range []string{"after:hang", "before:hang;wait=18s", "before:hang"} {
			in(t, o.name+", killed, "+fault, func(t *testing.T) {
				dsn := filepath.Join(memoryDir(t), "journal.db")
				open := func() *journal.Journal {
					j, err := journal.New(dsn, journal.Options{})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { j.Close() })
					return j
				}
				j := open()
				s := newStageOf(t, o.tool, o.list, Deps{Journal: j}, fault)
				ctx, kill := context.WithTimeout(t.Context(), time.Second)
				defer kill()
				s.callWith(ctx, o.args)
				j.Close()

				d := s.deps
				d.Journal = open()
				s.client = connectTo(t, d)
				s.untilSettled(o.args)
				s.is(s.call(o.args), replayed)
				if s.made() != 1 {
					t.Errorf("%d were made, want 1", s.made())
				}
				s.deps.Followers.Wait()
			})
		}
		in(t, o.name+", no date", func(t *testing.T) {
			s := newStageOf(t, o.tool, o.list, Deps{Journal: memory(t)}, "after:drop")
			s.undated = true
			got := s.untilSettled(o.args)
			s.is(got, lookAlike, "Heffl does not say when it was made", "If it is the one, you are done: use it", "call again with allowDuplicate: true.")
			s.count(1, 1)
			s.is(s.untilSettled(again(o.args)), created)
			s.count(2, 2)
		})
		in(t, o.name+", no date, another from the beginning", func(t *testing.T) {
			s := newStageOf(t, o.tool, o.list, Deps{Journal: memory(t)}, "after:drop")
			s.undated = true
			s.is(s.untilSettled(again(o.args)), lookAlike, "a call that says something else")
			s.is(s.untilSettled(again(o.args)), lookAlike)
			s.count(1, 1)
		})
	}
}

// TestOnceOthersChanged: what is there since, but not as it was sent, is for the user to judge; what
// Heffl writes in another way is the same.
func TestOnceOthersChanged(t *testing.T) {
	t.Parallel()
	const contact = `{"type":"contact","firstName":"Nora","lastName":"Weiß","email":"Nora@weiss.example","phone":"+49 30 1234567"}`
	for _, test := range []struct{ tool, list, args, patch, outcome, says string }{
		{"create_client", "/contacts", contact, `{"email":"nora@WEISS.example","phone":"0049301234567","firstName":" Nora "}`, recovered, ""},
		{"create_client", "/contacts", contact, `{"lastName":"Weiss"}`, lookAlike, `lastName sent "Weiß", answered "Weiss"`},
		{"create_client", "/contacts", contact, `{"email":"n.weiss@weiss.example"}`, created, ""},
		{"create_client", "/contacts", `{"type":"contact","firstName":"Nora"}`, `{"email":"nora@weiss.example"}`, lookAlike, `no email was sent, and it has "nora@weiss.example"`},
		{"create_client", "/companies", `{"type":"company","name":"Weiß"}`, `{"name":"Weiß GmbH"}`, created, ""},
		{"create_task", "/tasks", `{"title":"Tidy up","priority":"LOW"}`, `{"priority":"HIGH"}`, lookAlike, `priority sent "LOW", answered "HIGH"`},
		{"create_task", "/tasks", `{"title":"Tidy up"}`, `{"entity":"deals","entityId":"dl_acme_renewal"}`, created, ""},
	} {
		in(t, test.args+test.patch, func(t *testing.T) {
			s := newStageOf(t, test.tool, test.list, Deps{Journal: memory(t)}, "after:drop;hide=1s")
			time.AfterFunc(100*time.Millisecond, func() {
				id := map[string]string{"/tasks": "tsk_1001"}[test.list]
				if id == "" {
					id = "clt_1001"
				}
				s.direct("PATCH", test.list+"/"+id, test.patch)
			})
			s.is(s.untilSettled(test.args), test.outcome, test.says)
		})
	}
}

// TestOnceUndatedAmongMany holds that a long list without dates does not keep a call unclear for ever.
func TestOnceUndatedAmongMany(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]string{"before:drop": created, "after:drop": lookAlike} {
		in(t, fault, func(t *testing.T) {
			s := newStageOf(t, "create_client", "/contacts", Deps{Journal: memory(t)})
			for i := range 510 {
				s.direct("POST", "/contacts", fmt.Sprintf(`{"firstName":"Nora %d"}`, i))
			}
			s.undated = true
			s.set(func() { s.posts = []string{fault} })
			s.is(s.untilSettled(`{"type":"contact","firstName":"Nora"}`), want)
		})
	}
	in(t, "a deal", func(t *testing.T) {
		s := newStage(t, "after:drop")
		s.undated = true
		s.is(s.untilSettled(order), lookAlike, "The deal dl_1001", "Heffl does not say when it was made")
		s.count(1, 1)
	})
}

// Of two unlike calls for things that look alike, none takes the other's.
func TestOnceOthersRivals(t *testing.T) {
	t.Parallel()
	in(t, "contacts of one e-mail", func(t *testing.T) {
		s := newStageOf(t, "create_client", "/contacts", Deps{Journal: memory(t)}, "before:drop")
		const nora = `{"type":"contact","firstName":"Nora","email":"info@weiss.example"}`
		s.is(s.call(nora), unsettled)
		s.is(s.call(`{"type":"company","name":"Weiß","email":"INFO@weiss.example"}`), lookAlike,
			"nothing was sent, because an earlier call for a company that looks the same has not come to an end", "allowDuplicate: true")
		s.is(s.untilSettled(nora), created)
		s.is(s.call(`{"type":"company","name":"Weiß","email":"INFO@weiss.example"}`), lookAlike, "a contact with the same e-mail is there: clt_1001")
		s.count(2, 1)
	})
	in(t, "a contact without e-mail is not one with", func(t *testing.T) {
		s := newStageOf(t, "create_client", "/contacts", Deps{Journal: memory(t)}, "before:drop", "after:slow;wait=10s")
		var second sync.WaitGroup
		s.is(s.call(`{"type":"contact","firstName":"Nora"}`), unsettled)
		second.Go(func() { s.is(s.call(`{"type":"contact","firstName":"Nora","email":"nora@weiss.example"}`), created) })
		synctest.Wait()
		got := s.call(`{"type":"contact","firstName":"Nora"}`)
		second.Wait()
		if got.id != "" {
			t.Errorf("told of %s, which another call has made: %s", got.id, got.text)
		}
		s.is(s.untilSettled(`{"type":"contact","firstName":"Nora"}`), created)
		s.count(3, 2)
	})
	in(t, "two follow-ups with one title", func(t *testing.T) {
		s := newStageOf(t, "create_task", "/tasks", Deps{Journal: memory(t)}, "before:drop")
		const call = `{"title":"Call back","dealId":"dl_acme_renewal","dueDate":"2027-03-02"}`
		s.is(s.call(call), unsettled)
		s.is(s.call(strings.Replace(call, "03-02", "03-09", 1)), created)
		s.is(s.untilSettled(call), created)
		s.is(s.call(`{"title":"Call back"}`), created)
		s.count(4, 3)
	})
}

// TestHistoriesOfOthers plays random histories of contacts, companies and tasks, as TestHistories does
// of deals.
func TestHistoriesOfOthers(t *testing.T) {
	t.Parallel()
	n := 10
	if testing.Short() {
		n = 5
	}
	seeds := []uint64{41, 104} // in which a look that came late made a call late
	for seed := range uint64(n) {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			historyOfOthers(t, seed)
		})
	}
}

func historyOfOthers(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		rng := mathrand.New(mathrand.NewPCG(seed, 2))
		w := newWorld(t, seed, weather{
			well: time.Now().Add(time.Duration(20+rng.IntN(40)) * time.Second), faults: 0.1, writeFaults: 0.8, fault: anyFault,
			kills: []float64{0, 0.1}[rng.IntN(2)], limit: -1, slow: 300 * time.Millisecond, processes: 2,
		})
		var callers sync.WaitGroup
		for i := range 4 {
			for k, o := range []struct{ tool, args string }{
				{"create_client", `{"type":"contact","firstName":"Nora","lastName":"Nr %d","email":"nora%[1]d@weiss.example","companyId":"clt_acme"}`},
				{"create_client", `{"type":"contact","firstName":"Nora","lastName":"No. %d Weiß"}`},
				{"create_client", `{"type":"company","name":"Weiß Nr. %d","phone":"+4930123450%[1]d"}`},
				{"create_task", `{"title":"Call No. %d","dealId":"dl_acme_renewal","priority":"LOW"}`},
			} {
				x := w.want(fmt.Sprintf("%s %d/%d", o.tool, k, i), fmt.Sprintf(o.args, i))
				x.tool = o.tool
				for by := range 1 + rng.IntN(2) {
					c := &caller{world: w, want: x, name: fmt.Sprintf("%s by %d", x.name, by), impatient: 0.3}
					pause := time.Duration(rng.Int64N(int64(10 * time.Second)))
					callers.Go(func() {
						time.Sleep(pause)
						c.run()
					})
				}
			}
		}
		callers.Wait()
		w.followers.Wait()
		time.Sleep(time.Until(w.well))
		var rows []json.RawMessage
		for _, list := range []string{"/contacts", "/companies", "/tasks"} {
			rows = append(rows, rowsOf(t, w.sb, list)...)
		}
		w.closeWith(rows)
	})
}
