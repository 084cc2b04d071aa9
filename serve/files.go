package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// lookAgain is how long what was read from a file is taken as current.
const lookAgain = time.Second

// files is something that is made of files, and made again when they have changed: on demand, and at most once a
// second. What cannot be read any more stays as it was.
type files[T any] struct {
	what  string // for the log
	paths []string
	make  func() (T, error)

	mu     sync.Mutex
	made   T
	stamp  string // of the files that made, or the last failure to, is of
	failed bool
	looked time.Time
}

func openFiles[T any](what string, make func() (T, error), paths ...string) (*files[T], error) {
	f := &files[T]{what: what, paths: paths, make: make, looked: time.Now(), stamp: stampOf(paths)}
	made, err := f.make()
	f.made = made
	return f, err
}

func (f *files[T]) get(log *slog.Logger) T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookAgain {
		return f.made
	}
	f.looked = time.Now()
	stamp := stampOf(f.paths) // first: a change while they are read shows the next time
	changed := stamp != f.stamp
	if !changed && !f.failed { // what failed may be well again, with the same stamp: a permission
		return f.made
	}
	made, err := f.make()
	switch {
	case err != nil && (changed || !f.failed):
		log.Error(f.what+" cannot be used any more; what was read before stays in force", "error", err)
	case err == nil:
		f.made = made
		log.Info(f.what + " was read again")
	}
	f.stamp, f.failed = stamp, err != nil
	return f.made
}

// stampOf changes when one of the files does.
func stampOf(paths []string) string {
	var b strings.Builder
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			b.WriteString("?;")
			continue
		}
		fmt.Fprintf(&b, "%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return b.String()
}

// unnamed is err without the path in it: some put a secret where the name of its file belongs.
func unnamed(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
