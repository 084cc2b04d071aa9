package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// file is the path of an SQLite journal, and the engine of it.
type file string

// options of each connection. The time that SQLite waits for a lock is short since retry goes on with it; _error_rc keeps
// the errors of other calls out of the text.
const options = "_busy_timeout=100&_error_rc=1&_dqs=0&_txlock=immediate"

func (f file) open(ctx context.Context) (*store, error) {
	made, err := f.create()
	if err != nil {
		return nil, err
	}
	var s *store
	err = retry(ctx, f, func(ctx context.Context) (err error) {
		s, err = f.try(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.present = func() error {
		now, err := os.Stat(string(f))
		if err != nil || !os.SameFile(made, now) {
			return fmt.Errorf("journal %s was removed or replaced while in use, so what is written now would be lost; restart the program", f)
		}
		return nil
	}
	return s, nil
}

// create makes the file, for the user alone; SQLite gives the files that it adds the same mode.
func (f file) create() (fs.FileInfo, error) {
	fail := func(err error) (fs.FileInfo, error) {
		var reason *fs.PathError
		if errors.As(err, &reason) {
			err = fmt.Errorf("%s: %w", reason.Path, reason.Err)
		}
		return nil, fmt.Errorf("journal %s can't be made: %w; name a file in a folder that can be written to", f, err)
	}
	if err := os.MkdirAll(filepath.Dir(string(f)), 0o700); err != nil {
		return fail(err)
	}
	// A file that is there must not be opened here: closing it would undo the locks that SQLite holds in this process.
	// https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
	switch made, err := os.OpenFile(string(f), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); {
	case err == nil:
		if err := made.Close(); err != nil {
			return fail(err)
		}
	case !errors.Is(err, fs.ErrExist):
		return fail(err)
	}
	info, err := os.Stat(string(f))
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("journal %s is not a file but %s; name a file", f, kindOf(info.Mode()))
	}
	return info, nil
}

func kindOf(m fs.FileMode) string {
	if m.IsDir() {
		return "a folder"
	}
	return "something else (" + m.Type().String() + ")"
}

// dsn is the file as the driver takes it. The file is there; SQLite must not make one with a mode of its own.
func (f file) dsn(more string) string {
	path := filepath.ToSlash(string(f))
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/...
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "mode=rw&" + options + "&" + more}
	return u.String()
}

func (f file) try(ctx context.Context) (*store, error) {
	// fullfsync: what macOS calls fsync stops short of the disk; elsewhere it changes nothing.
	s, err := openSQLite(f, f.dsn("_journal_mode=WAL&_synchronous=FULL&_pragma=fullfsync(1)&_pragma=wal_autocheckpoint(0)"))
	if err != nil {
		return nil, err
	}
	if err := f.complete(ctx, s); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// complete adds a second writer, so that only what has to waits for the disk, and readers, who wait for no writer; and the table.
func (f file) complete(ctx context.Context, s *store) error {
	again, err := sql.Open("sqlite", f.dsn("_synchronous=NORMAL"))
	if err != nil {
		return err
	}
	s.writes[relaxed] = newPool(again, true, 1)
	readers, err := sql.Open("sqlite", f.dsn("_query_only=1"))
	if err != nil {
		return err
	}
	s.reads = newPool(readers, true, 4)
	s.turn = make(chan struct{}, 1)

	first := s.writes[durable].DB
	var mode string
	if err := first.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("SQLite can't keep a write-ahead log there (it says %q): use a local disk", mode)
	}
	return migrateSQLite(ctx, first)
}

// openMemory opens a database that is no more than one connection.
func openMemory(ctx context.Context) (*store, error) {
	s, err := openSQLite(file(":memory:"), ":memory:?"+options)
	if err != nil {
		return nil, err
	}
	s.present = func() error { return nil }
	if err := migrateSQLite(ctx, s.reads.DB); err != nil {
		return nil, errors.Join(file(":memory:").explain(err), s.close())
	}
	return s, nil
}

// openSQLite makes a store with one connection for everything.
func openSQLite(f file, dsn string) (*store, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	p := newPool(db, true, 1)
	s := &store{reads: p, writes: [2]*pool{p, p}, engine: f}
	s.healthy = func(ctx context.Context) error {
		return retry(ctx, f, func(ctx context.Context) error {
			var found string
			if err := s.reads.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found); err != nil {
				return err
			}
			if found != "ok" {
				return damaged(found)
			}
			return nil
		})
	}
	return s, nil
}

func migrateSQLite(ctx context.Context, db *sql.DB) error {
	// The transaction is "immediate": it has SQLite's one write lock from its beginning.
	return migrate(ctx, db, `SELECT COUNT(*) > 0 FROM sqlite_master WHERE name = 'journal_version'`,
		func(context.Context, *sql.Tx) error { return nil })
}

// damaged is what SQLite's own check has found.
type damaged string

func (d damaged) Error() string { return string(d) }

// codeOf is SQLite's primary result code, or -1.
func codeOf(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return -1
}

func (f file) transient(err error) bool {
	code := codeOf(err)
	return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
}

func (f file) taken(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
}

func (f file) explain(err error) error {
	var d damaged
	if errors.As(err, &d) || codeOf(err) == sqlite3.SQLITE_CORRUPT {
		return fmt.Errorf("journal %s is damaged: move it away together with its -wal and -shm files, or put back a copy "+
			"(what it knew of earlier writes is gone with it): %w", f, err)
	}
	var advice string
	switch codeOf(err) {
	case sqlite3.SQLITE_NOTADB:
		advice = " is not an SQLite file: name another one, or move this one away"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		advice = " can't be opened for writing: correct its permissions and those of its folder, or name another file"
	case sqlite3.SQLITE_FULL:
		advice = " can't grow: the disk is full"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		advice = " is locked by another program"
	}
	return fmt.Errorf("journal %s%s: %w", f, advice, err)
}
