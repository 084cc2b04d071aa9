package journal_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"heffl-mcp/journal"
)

// What the journal costs a call: Claim before the request, Done after it.
func BenchmarkClaimDone(b *testing.B) {
	for _, e := range engines {
		for _, records := range []int{0, 10_000} {
			for _, inFlight := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/records=%d/inflight=%d", e.name, records, inFlight), func(b *testing.B) {
					j := openWith(b, e.dsn(b), journal.Options{})
					ok(b, j.Fill(b.Context(), records))
					ok(b, j.Check(b.Context()))
					outcome := make([]byte, 1000)
					var n atomic.Int64
					concurrently(b, inFlight, func() error {
						f := fmt.Sprint(n.Add(1))
						c, err := j.Claim(b.Context(), intent(f))
						if err != nil || c.Verdict != journal.Fresh {
							return fmt.Errorf("Claim = %+v, error %w", c, err)
						}
						return c.Done(b.Context(), f, outcome, "sent", true)
					})
				})
			}
		}
	}
}

// What a repeat costs, that is answered by Find.
func BenchmarkFind(b *testing.B) {
	for _, e := range engines {
		for _, records := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("%s/records=%d", e.name, records), func(b *testing.B) {
				j := openWith(b, e.dsn(b), journal.Options{})
				ok(b, j.Fill(b.Context(), records))
				concurrently(b, 1, func() error {
					_, found, err := j.Find(b.Context(), "tenant", "create_deal", "old-0")
					if err != nil || !found {
						return fmt.Errorf("Find = %t, error %w", found, err)
					}
					return nil
				})
			})
		}
	}
}

func concurrently(b *testing.B, n int, f func() error) {
	b.Helper()
	b.SetParallelism(max(1, n/runtime.GOMAXPROCS(0)))
	b.ResetTimer()
	if n == 1 {
		for range b.N {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(); err != nil {
				b.Error(err)
			}
		}
	})
}
