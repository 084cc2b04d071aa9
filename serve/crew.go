package serve

import "sync"

// A crew is goroutines that do one thing after another. When there is nothing to do some of them stay: a new one first has
// to grow its stack, which costs a call several percent.
type crew[T any] struct {
	work func(T)

	mu     sync.Mutex
	spare  int    // how many have nothing to do
	tasks  chan T // for them; as many as may stay fit in
	closed bool
}

func newCrew[T any](stay int, work func(T)) *crew[T] {
	return &crew[T]{work: work, tasks: make(chan T, stay)}
}

// start has one of the crew do something.
func (c *crew[T]) start(task T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spare > 0 {
		c.spare--
		c.tasks <- task
		return
	}
	go func() {
		for more := true; more; task, more = c.next() {
			c.work(task)
			var none T
			task = none // who waits keeps nothing of it
		}
	}()
}

// next waits for something else to do. It is not ok when the goroutine is not needed any more.
func (c *crew[T]) next() (task T, ok bool) {
	c.mu.Lock()
	if c.closed || c.spare == cap(c.tasks) {
		c.mu.Unlock()
		return task, false
	}
	c.spare++
	c.mu.Unlock()
	task, ok = <-c.tasks
	return task, ok
}

// close lets those go that have nothing to do, and the others when they are done. What is started after it still is done.
func (c *crew[T]) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.spare = true, 0
	close(c.tasks)
}
