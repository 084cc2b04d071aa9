//go:build unix

package journal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"heffl-mcp/journal"
)

// Root may write everywhere, so the child becomes nobody first; see child.
func TestMayNotWrite(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "journal") // t.TempDir is closed to others
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	ok(t, os.Chmod(folder, 0o755))
	path := filepath.Join(folder, "journal.db")
	make1(t, path)
	ok(t, os.Chmod(path, 0o444))

	for want, dsn := range map[string]string{
		"journal " + path + " can't be opened for writing: correct its permissions and those of its folder, or name another file: ": path,
		"journal " + filepath.Join(folder, "new.db") + " can't be made: ":                                                           filepath.Join(folder, "new.db"),
		"journal " + filepath.Join(folder, "new", "journal.db") + " can't be made: ":                                                filepath.Join(folder, "new", "journal.db"),
	} {
		if os.Getuid() != 0 {
			ok(t, os.Chmod(folder, 0o555))
		}
		p := start(t, dsn)
		if os.Getuid() == 0 {
			p.do("become nobody", "", "")
		}
		if r := p.try("Check", "", ""); !strings.HasPrefix(r.Error, want) {
			t.Errorf("Check(%s) = %q\nwant %s...", dsn, r.Error, want)
		}
	}
	ok(t, os.Chmod(folder, 0o755))
}

func TestNotAFileAtAll(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	ok(t, syscall.Mkfifo(path, 0o600))
	j := openWith(t, path, journal.Options{})
	want := "journal " + path + " is not a file but something else (" + fs.ModeNamedPipe.String() + "); name a file"
	if err := j.Check(t.Context()); err == nil || err.Error() != want {
		t.Errorf("Check of a pipe = %v, want %s", err, want)
	}
}

func init() {
	becomeNobody = func() error {
		return errors.Join(syscall.Setgid(65534), syscall.Setuid(65534))
	}
}
