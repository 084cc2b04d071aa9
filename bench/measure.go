package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A contender is one of those that are measured side by side.
type contender struct {
	name string
	call caller
	proc *program // whose processor time is counted; nil: nobody's
}

// A round is what one contender did in its turn.
type round struct {
	took    []time.Duration // each call, sorted
	elapsed time.Duration
	cpu     time.Duration
}

func (r round) p(percent int) float64 {
	return r.took[min(len(r.took)-1, len(r.took)*percent/100)].Seconds()
}
func (r round) p50() float64 { return r.p(50) }

// rate is calls a second.
func (r round) rate() float64 { return float64(len(r.took)) / r.elapsed.Seconds() }

// cpuOf1000 is the seconds of processor time for 1,000 calls.
func (r round) cpuOf1000() float64 { return r.cpu.Seconds() / float64(len(r.took)) * 1000 }

// measure has all contenders make calls in turn, round after round, so that whatever else the machine does hurts all
// alike. In each round so many calls are in flight at once. The first round is not counted.
func measure(ctx context.Context, rounds, calls, inFlight int, all []contender) ([][]round, error) {
	done := make([][]round, len(all))
	for n := range rounds + 1 {
		for i := range all {
			who := (n + i) % len(all) // nobody is always the first
			r, err := turn(ctx, calls, inFlight, all[who])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", all[who].name, err)
			}
			if n > 0 {
				done[who] = append(done[who], r)
			}
		}
	}
	return done, nil
}

func turn(ctx context.Context, calls, inFlight int, c contender) (r round, err error) {
	before := usedBy(c.proc)
	took := make([][]time.Duration, inFlight)
	errs := make([]error, inFlight)
	var left atomic.Int64
	left.Store(int64(calls))
	var all sync.WaitGroup
	began := time.Now()
	for i := range inFlight {
		all.Go(func() {
			for left.Add(-1) >= 0 && errs[i] == nil {
				at := time.Now()
				errs[i] = c.call(ctx)
				took[i] = append(took[i], time.Since(at))
			}
		})
	}
	all.Wait()
	r.elapsed = time.Since(began)
	r.cpu = usedBy(c.proc) - before
	r.took = slices.Concat(took...)
	slices.Sort(r.took)
	for _, e := range errs {
		if e != nil {
			return r, e
		}
	}
	return r, nil
}

// usedBy is a program's processor time; none where that cannot be known.
func usedBy(p *program) time.Duration {
	if p == nil {
		return 0
	}
	used, _ := p.cpu()
	return used
}

// median of what each round has.
func median(rounds []round, of func(round) float64) float64 {
	all := make([]float64, len(rounds))
	for i, r := range rounds {
		all[i] = of(r)
	}
	return middle(all)
}

func middle(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// ratio is the median of a's part of b, round by round.
func ratio(a, b []round, of func(round) float64) float64 {
	all := make([]float64, len(a))
	for i := range a {
		all[i] = of(a[i]) / of(b[i])
	}
	return middle(all)
}

// together is all rounds as one, for what is rare: the slowest calls, and processor time, which is counted in steps.
func together(rounds []round) (all round) {
	for _, r := range rounds {
		all.took = append(all.took, r.took...)
		all.elapsed += r.elapsed
		all.cpu += r.cpu
	}
	slices.Sort(all.took)
	return all
}
