package workspace

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// panicked is what is left of a panic in a goroutine of this package. There it would end the program;
// whoever waits for the goroutine panics with it instead, where a caller may have a guard.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

// guarded runs f in a goroutine other than the one that waits for it.
func guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, debug.Stack()}
		}
	}()
	return f()
}

// passOn returns the error of a guarded goroutine to who has waited for it.
func passOn(err error) error {
	if p, ok := errors.AsType[*panicked](err); ok {
		panic(p.Error())
	}
	return err
}
