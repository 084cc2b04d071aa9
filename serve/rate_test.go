package serve

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A table of limiters cannot be made to grow, and one that is full is not forgotten.
func TestRatesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := newRates(1)
		for i := range 3 * maxRated {
			table.take(fmt.Sprint("stranger ", i))
		}
		if n, m := len(table.by), table.recent.Len(); n != maxRated || m != maxRated {
			t.Errorf("after %d strangers the table has %d entries, its list %d; want %d", 3*maxRated, n, m, maxRated)
		}
		for range minBurst {
			if wait := table.take("ada"); wait != 0 {
				t.Errorf("take within the burst = %v, want no wait", wait)
			}
		}
		for i := range maxRated - 1 { // as many as have room beside her
			table.take(fmt.Sprint("other ", i))
		}
		if wait := table.take("ada"); wait != time.Minute {
			t.Errorf("take after the burst = %v, want 1m0s", wait)
		}
		for i := range maxRated - 1 {
			table.take(fmt.Sprint("yet another ", i))
		}
		if wait := table.take("ada"); wait != time.Minute {
			t.Errorf("take when all others have changed = %v, want 1m0s", wait)
		}
		time.Sleep(forgotten - time.Second)
		table.take("bob")
		if n := len(table.by); n != maxRated {
			t.Errorf("before they are idle for long, the table has %d entries, want %d", n, maxRated)
		}
		time.Sleep(time.Second)
		table.take("bob")
		if n := len(table.by); n != 1 {
			t.Errorf("after %v the table has %d entries, want 1", forgotten, n)
		}
	})
}
