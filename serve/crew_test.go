package serve

import (
	"runtime"
	"testing"
	"testing/synctest"
	"weak"
)

// Everything that is started is done, at once, before and after close; and no goroutine is left.
func TestCrew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun, let := make(chan int, 10), make(chan struct{})
		c := newCrew(2, func(task int) {
			begun <- task
			<-let
		})
		for round := range 3 {
			for task := range 5 {
				c.start(task)
			}
			synctest.Wait()
			if len(begun) != 5 {
				t.Errorf("round %d: %d of 5 tasks are begun", round, len(begun))
			}
			for range 5 {
				<-begun
				let <- struct{}{}
			}
			synctest.Wait()
			if c.spare != 2 {
				t.Errorf("round %d: %d goroutines stay, want 2", round, c.spare)
			}
		}
		c.start(1)
		c.start(2)
		c.start(3)
		c.close()
		c.start(4)
		for range 4 {
			<-begun
			let <- struct{}{}
		}
	})
}

// A goroutine that waits keeps nothing of what it did last: a call may have megabytes, and a key.
func TestCrewKeepsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(1, func(*[1 << 20]byte) {})
		defer c.close()
		var last weak.Pointer[[1 << 20]byte]
		func() {
			task := new([1 << 20]byte)
			last = weak.Make(task)
			c.start(task)
		}()
		synctest.Wait()
		runtime.GC()
		if last.Value() != nil {
			t.Error("what was done is kept while its goroutine waits")
		}
	})
}
