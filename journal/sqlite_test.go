package journal_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"heffl-mcp/journal"
)

func TestNothingIsMadeBeforeTheFirstUse(t *testing.T) {
	t.Parallel()
	path := fileDSN(t)
	j := openWith(t, path, journal.Options{})
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after New, Stat of the folder = %v, want that it does not exist", err)
	}
	ok(t, j.Check(t.Context()))
	if _, err := os.Stat(path); err != nil {
		t.Errorf("after the first use: %v", err)
	}
}

func TestFilesAreTheUsersAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes; the folder's access list decides there")
	}
	path := filepath.Join(t.TempDir(), "new", "state", "journal.db")
	j := openWith(t, path, journal.Options{})
	claim(t, j, intent("f"), journal.Fresh)
	for name, want := range map[string]fs.FileMode{
		filepath.Dir(filepath.Dir(path)): 0o700, filepath.Dir(path): 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, error %v, want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

func TestOddFileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "100%.db", "what?.db", "a#b.db", "a%20b.db", "naïve.db", "x://y.db", "file:x.db", "a&_synchronous=OFF.db"} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, "?:") {
			continue // Windows knows no such names
		}
		path := filepath.Join(t.TempDir(), name)
		j := openWith(t, path, journal.Options{})
		if err := j.Check(t.Context()); err != nil {
			t.Errorf("Check(%s) = %v", name, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRelativePathStays(t *testing.T) {
	folder, elsewhere := t.TempDir(), t.TempDir()
	t.Chdir(folder)
	j := openWith(t, "journal.db", journal.Options{})
	t.Chdir(elsewhere)
	ok(t, j.Check(t.Context()))
	if _, err := os.Stat(filepath.Join(folder, "journal.db")); err != nil {
		t.Error(err)
	}
}

// What is wrong with a file, and what the user reads.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(t *testing.T, path string) string // gives the path to open
		want  string                                 // $ is that path
	}{
		{"a folder", func(t *testing.T, path string) string {
			ok(t, os.MkdirAll(path, 0o700))
			return path
		}, "journal $ is not a file but a folder; name a file"},
		{"in a file", func(t *testing.T, path string) string {
			ok(t, os.WriteFile(path, nil, 0o600))
			return filepath.Join(path, "journal.db")
		}, "journal $ can't be made: "},
		{"a text", func(t *testing.T, path string) string {
			ok(t, os.WriteFile(path, []byte(strings.Repeat("Dear diary, ", 500)), 0o600))
			return path
		}, "journal $ is not an SQLite file: name another one, or move this one away: "},
		{"damaged", func(t *testing.T, path string) string {
			well := make1(t, path)
			for i := 4096; i < len(well); i++ {
				well[i] = byte(i)
			}
			ok(t, os.WriteFile(path, well, 0o600))
			return path
		}, "journal $ is damaged: move it away together with its -wal and -shm files, or put back a copy (what"},
		{"damaged where only SQLite's own check looks", func(t *testing.T, path string) string {
			well := make1(t, path)
			well[39] = 7 // the number of free pages
			ok(t, os.WriteFile(path, well, 0o600))
			return path
		}, "journal $ is damaged: move it away together with its -wal and -shm files, or put back a copy (what"},
		{"cut short", func(t *testing.T, path string) string {
			well := make1(t, path)
			ok(t, os.WriteFile(path, well[:len(well)/2], 0o600))
			return path
		}, "journal $ is damaged: move it away together with its -wal and -shm files, or put back a copy (what"},
		{"newer", func(t *testing.T, path string) string {
			make1(t, path)
			execute(t, "sqlite", path, "UPDATE journal_version SET version = 99")
			return path
		}, fmt.Sprintf("journal $: it has schema version 99 and this program knows %d: update the program, or keep its journal elsewhere", journal.Schema)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := test.spoil(t, filepath.Join(t.TempDir(), "journal.db"))
			before, _ := os.ReadFile(path)
			want := strings.ReplaceAll(test.want, "$", path)
			j, err := journal.New(path, journal.Options{})
			ok(t, err)
			defer j.Close()
			for range 2 { // the second time is no better than the first
				if err := j.Check(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("Check = %v\nwant %s...", err, want)
				}
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the file was changed")
			}
		})
	}
}

// make1 makes a journal with a record and gives its bytes.
func make1(t *testing.T, path string) []byte {
	t.Helper()
	j, err := journal.New(path, journal.Options{})
	ok(t, err)
	ok(t, claim(t, j, intent("f"), journal.Fresh).Done(t.Context(), "dl_1", nil, "sent", true))
	ok(t, j.Close())
	return read(t, path)
}

func TestOpensOnceTheCauseIsGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	ok(t, os.Mkdir(path, 0o700))
	j := openWith(t, path, journal.Options{})
	if _, err := j.Claim(t.Context(), intent("f")); err == nil {
		t.Fatal("Claim in a folder = nil, want an error")
	}
	ok(t, os.Remove(path))
	claim(t, j, intent("f"), journal.Fresh)
}

func TestRemovedWhileInUse(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows removes no file that is open")
	}
	path := fileDSN(t)
	j := openWith(t, path, journal.Options{})
	claim(t, j, intent("f"), journal.Fresh)
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		ok(t, os.Remove(name))
	}
	want := "journal " + path + " was removed or replaced while in use, so what is written now would be lost; restart the program"
	if _, err := j.Claim(t.Context(), intent("f")); err == nil || err.Error() != want {
		t.Errorf("Claim once the file is removed = %v, want %s", err, want)
	}
	claim(t, openWith(t, path, journal.Options{}), intent("other"), journal.Fresh)
	if _, err := j.Claim(t.Context(), intent("f")); err == nil || err.Error() != want {
		t.Errorf("Claim once the file is replaced = %v, want %s", err, want)
	}
}

func TestLockedByAnother(t *testing.T) {
	t.Parallel()
	ctx, path := t.Context(), fileDSN(t)
	j := openWith(t, path, journal.Options{})
	c := claim(t, j, intent("f"), journal.Fresh)

	other, err := sql.Open("sqlite", path+"?_txlock=immediate")
	ok(t, err)
	defer other.Close()
	tx, err := other.BeginTx(ctx, nil)
	ok(t, err)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	_, err = j.Claim(short, intent("g"))
	want := "journal " + path + " is locked by another program: "
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Claim while locked = %v, want %s... and DeadlineExceeded", err, want)
	}
	if _, _, err := j.Find(ctx, "tenant", "create_deal", "any"); err != nil {
		t.Errorf("Find while locked = %v: reading should wait for no writer", err)
	}
	ending := make(chan error)
	go func() { ending <- c.Done(ctx, "dl_1", nil, "sent", true) }()
	ok(t, tx.Rollback())
	ok(t, <-ending)
	claim(t, j, intent("g"), journal.Fresh)
}

func TestDurabilitySettings(t *testing.T) {
	t.Parallel()
	j := openWith(t, fileDSN(t), journal.Options{})
	for query, want := range map[string][2]string{
		"PRAGMA synchronous":        {"2", "1"}, // FULL, NORMAL
		"PRAGMA fullfsync":          {"1", "0"},
		"PRAGMA journal_mode":       {"wal", "wal"},
		"PRAGMA wal_autocheckpoint": {"0", "1000"},
	} {
		onDurable, onRelaxed, err := j.Setting(t.Context(), query)
		if got := [2]string{onDurable, onRelaxed}; got != want || err != nil {
			t.Errorf("%s = %v, error %v, want %v", query, got, err, want)
		}
	}
}
