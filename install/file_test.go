package install

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestApplyFollowsLinks holds that a link stays one, and that what it leads to is edited, with its permissions.
func TestApplyFollowsLinks(t *testing.T) {
	t.Parallel()
	s := on(t, "linux")
	link := put(t, s, "cursor", []byte("{}"))
	kept := filepath.Join(t.TempDir(), "dotfiles.json")
	if err := errors.Join(os.Rename(link, kept), os.Symlink(kept, link)); err != nil {
		t.Skipf("links cannot be made here: %v", err)
	}
	e := install(t, s, "cursor", sandboxed("linux"))
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&os.ModeSymlink == 0 || string(read(t, kept)) != string(e.After) {
		t.Errorf("%v, %v: want a link still, and %s in its file:\n%s", info.Mode(), err, e.After, read(t, kept))
	}
	for _, path := range append(backups(kept), kept) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, %v; want 0640", path, info.Mode(), err)
		}
	}

	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Install("cursor", sandboxed("linux")); err == nil || !strings.Contains(err.Error(), "a link to a file that is not there") {
		t.Errorf("Install() through a dead link = %v, want an error", err)
	}
}

// TestApplyNew holds that a new file, which may get a key, is its user's alone.
func TestApplyNew(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	s := on(t, "linux")
	e := install(t, s, "vscode", sandboxed("linux"))
	if !e.NewFolder {
		t.Error("NewFolder = false, want true: nothing was there")
	}
	if e, err := s.Uninstall("vscode", "heffl"); err != nil || e.NewFolder {
		t.Errorf("NewFolder = %v, %v; want false", e.NewFolder, err)
	}
	if info, err := os.Stat(e.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want 0600", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(e.file)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v; want 0700", info.Mode(), err)
	}
}

// TestApplyKey holds that a file which gets a key is its user's alone from then on.
func TestApplyKey(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	s := on(t, "linux")
	file := put(t, s, "cursor", []byte("{}"))
	v := sandboxed("linux")
	v.Key = "hk_example"
	install(t, s, "cursor", v)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want 0600", info.Mode(), err)
	}
}

// TestApplyChangedMeanwhile holds that what another program has written since is not written over, and that nothing is left about.
func TestApplyChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		before []byte
		do     func(file string) error
	}{
		"changed": {[]byte("{}"), func(file string) error { return os.WriteFile(file, []byte(`{"a":1}`), 0o600) }},
		"gone":    {[]byte("{}"), os.Remove},
		"made": {nil, func(file string) error {
			return errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600))
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := on(t, "linux")
			file := put(t, s, "cursor", c.before)
			e, err := s.Install("cursor", sandboxed("linux"))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.do(file); err != nil {
				t.Fatal(err)
			}
			was := tree(t, s.Root)
			if _, err := e.Apply(); err == nil || !strings.Contains(err.Error(), "changed by another program") {
				t.Errorf("Apply() = %v, want an error", err)
			}
			if diff := cmp.Diff(was, tree(t, s.Root)); diff != "" {
				t.Errorf("the files (-was +is):\n%s", diff)
			}
		})
	}
}

// TestApplyChangedAtLast holds that the file is looked at again when all else has been done.
func TestApplyChangedAtLast(t *testing.T) {
	t.Parallel()
	s := on(t, "linux")
	file := put(t, s, "cursor", []byte("{}"))
	e, err := s.Install("cursor", sandboxed("linux"))
	if err != nil {
		t.Fatal(err)
	}
	e.sync = func(*os.File) error { return os.WriteFile(file, []byte(`{"a":1}`), 0o600) }
	if _, err := e.Apply(); err == nil || !strings.Contains(err.Error(), "changed by another program") {
		t.Errorf("Apply() = %v, want an error", err)
	}
	if files := tree(t, s.Root); len(files) != 1 || string(read(t, file)) != `{"a":1}` {
		t.Errorf("the files are %v, want the other program's alone", files)
	}
}

// TestApplyCannot holds that where nothing can be written, that is said, and all stays.
func TestApplyCannot(t *testing.T) {
	t.Parallel()
	s := on(t, "linux")
	file := put(t, s, "cursor", []byte("{}"))
	e, err := s.Install("cursor", sandboxed("linux"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(filepath.Dir(file)), os.WriteFile(filepath.Dir(file), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Apply(); err == nil || !strings.Contains(err.Error(), e.Path+" cannot be written") || strings.Contains(err.Error(), s.Root) {
		t.Errorf("Apply() = %v, want an error that names %s", err, e.Path)
	}
	if _, err := s.Install("cursor", sandboxed("linux")); err == nil {
		t.Error("Install() below a file = nil, want an error")
	}
}
