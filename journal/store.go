package journal

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync"
	"time"
)

// store is an open database. What the engines differ in is in its fields.
type store struct {
	reads   *pool
	writes  [2]*pool      // by durability
	turn    chan struct{} // holds one place for the one writer that SQLite allows; nil: as many as like
	offset  time.Duration // what the database's clock shows more than ours
	engine  engine
	present func() error                // whether this is still the database that everyone else opens
	healthy func(context.Context) error // whether it is damaged
}

// engine tells what an error of its driver means.
type engine interface {
	transient(error) bool // trying again may help: a lock, a lost connection
	taken(error) bool     // a unique index refused it
	explain(error) error  // the same in the user's words
}

// durability is an index into store.writes.
type durability int

const (
	relaxed durability = iota // survives the process
	durable                   // survives a loss of power, once written
)

// pool is a database/sql pool with its prepared statements.
type pool struct {
	*sql.DB
	prepare    bool // false: the driver keeps them itself
	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

func newPool(db *sql.DB, prepare bool, connections int) *pool {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return &pool{DB: db, prepare: prepare, statements: make(map[string]*sql.Stmt)}
}

// statement gives what runs a query.
func (p *pool) statement(ctx context.Context, query string) (statement, error) {
	if !p.prepare {
		return unprepared{p.DB, query}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if st, ok := p.statements[query]; ok {
		return st, nil
	}
	st, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.statements[query] = st
	return st, nil
}

type statement interface {
	ExecContext(context.Context, ...any) (sql.Result, error)
	QueryContext(context.Context, ...any) (*sql.Rows, error)
}

type unprepared struct {
	db    *sql.DB
	query string
}

func (u unprepared) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return u.db.ExecContext(ctx, u.query, args...)
}

func (u unprepared) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return u.db.QueryContext(ctx, u.query, args...)
}

// retry does f until it works, fails for good, or the time is up: the caller's, or patience.
func retry(ctx context.Context, e engine, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := f(ctx)
		switch {
		case err == nil:
			return nil
		case e.taken(err):
			return fmt.Errorf("journal: %w", ErrTaken)
		case !e.transient(err):
			return e.explain(err)
		}
		if stop := sleep(ctx, pause/2+rand.N(pause)); stop != nil {
			return fmt.Errorf("%w (%w)", e.explain(err), stop)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write runs a statement and tells how many records it changed.
func (s *store) write(ctx context.Context, how durability, query string, args ...any) (int64, error) {
	var n int64
	err := retry(ctx, s.engine, func(ctx context.Context) error {
		if s.turn != nil {
			select {
			case s.turn <- struct{}{}:
				defer func() { <-s.turn }()
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			// From here on it is a matter of milliseconds, and the caller is better off to know how it ends.
			ctx = context.WithoutCancel(ctx)
		}
		st, err := s.writes[how].statement(ctx, query)
		if err != nil {
			return err
		}
		// Exec and not RETURNING: what goes wrong as the transaction ends is reported here and nowhere else.
		result, err := st.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}

// query gives what scan makes of each row.
func query[T any](ctx context.Context, s *store, text string, args []any, scan func(scan func(...any) error) (T, error)) ([]T, error) {
	var found []T
	err := retry(ctx, s.engine, func(ctx context.Context) error {
		found = nil // a query that broke off begins again
		st, err := s.reads.statement(ctx, text)
		if err != nil {
			return err
		}
		rows, err := st.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // what goes wrong is in rows.Err
		for rows.Next() {
			v, err := scan(rows.Scan)
			if err != nil {
				return err
			}
			found = append(found, v)
		}
		return rows.Err()
	})
	return found, err
}

// one gives the only row, or ErrNotFound.
func (s *store) one(ctx context.Context, text string, args ...any) (*row, error) {
	rows, err := query(ctx, s, text, args, s.scan)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("journal: %w", ErrNotFound)
	}
	return &rows[0], nil
}

// newest is one, or nil where there is none.
func (s *store) newest(ctx context.Context, text string, args ...any) (*row, error) {
	r, err := s.one(ctx, text, args...)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return r, err
}

func (s *store) many(ctx context.Context, text string, args ...any) ([]Record, error) {
	return query(ctx, s, text, args, func(scan func(...any) error) (Record, error) {
		r, err := s.scan(scan)
		return r.Record, err
	})
}

// insert adds an open record, durably, unless someone was faster; it says whether it did.
func (s *store) insert(ctx context.Context, r row) (bool, error) {
	n, err := s.write(ctx, durable, insertRecord, r.ID, r.Tenant, r.Action, r.Fingerprint, r.Args, r.Match, r.Seq, string(r.State), string(r.About),
		s.stamp(r.Created), s.stamp(r.SentAt), s.stamp(r.Settled), s.stamp(r.LeaseUntil), r.Attempts, r.version,
		r.Origin, r.originSeq)
	return n == 1, err
}

// stamp and local turn our time into the database's and back.
func (s *store) stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Add(s.offset).UnixMilli()
}

func (s *store) local(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).Add(-s.offset).UTC()
}

func (s *store) close() error {
	// The relaxed writer last: as the last one out, it moves SQLite's log into the file.
	err := errors.Join(s.reads.Close(), s.writes[durable].Close(), s.writes[relaxed].Close())
	if err != nil {
		return fmt.Errorf("journal: closing: %w", err)
	}
	return nil
}

//go:embed migrations/*.sql
var migrations embed.FS

// schema is the version that this program knows: the number of the last migration.
var schema = len(must(fs.Glob(migrations, "migrations/*.sql")))

// migrate brings the table up to date. Exists is a query that tells whether there is a version table; lock keeps other
// processes from migrating until the transaction ends.
func migrate(ctx context.Context, db *sql.DB, exists string, lock func(context.Context, *sql.Tx) error) error {
	var there bool
	if err := db.QueryRowContext(ctx, exists).Scan(&there); err != nil {
		return err
	}
	if there { // the usual case, which waits for nobody
		version, err := readVersion(ctx, db)
		if err != nil || version == schema {
			return err
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing, once it is committed
	if err := lock(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS journal_version (version BIGINT NOT NULL)`); err != nil {
		return err
	}
	version, err := readVersion(ctx, tx)
	if err != nil {
		return err
	}
	files, err := fs.Glob(migrations, "migrations/*.sql") // in the order of their numbers
	if err != nil {
		return err
	}
	for _, name := range files[version:] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM journal_version`); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO journal_version VALUES ($1)`, schema); err != nil {
		return err
	}
	return tx.Commit()
}

// readVersion gives the version of the table, 0 when there is none yet, and an error when it is beyond this program.
func readVersion(ctx context.Context, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (int, error) {
	var version int
	err := db.QueryRowContext(ctx, `SELECT version FROM journal_version`).Scan(&version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	if version < 0 || version > schema {
		return 0, newerSchema(version)
	}
	return version, nil
}

// newerSchema is the error for a database that a later version of this program has changed.
type newerSchema int

func (v newerSchema) Error() string {
	return fmt.Sprintf("it has schema version %d and this program knows %d: update the program, or keep its journal elsewhere", int(v), schema)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
