// Package journal does a write exactly once: it remembers an intent before its request is sent, and then the outcome.
// Whoever has the same intent next, in this process, in another one or after a crash, gets that outcome, waits for
// whoever is at it, or is told to look before sending.
//
//	j, err := journal.New(path, journal.Options{})
//	...
//	c, err := j.Claim(ctx, journal.Intent{Tenant: tenant, Action: "create_deal", Fingerprint: sum, Lease: 30 * time.Second})
//	if err != nil {
//		return err // no record, so nothing may be sent
//	}
//	switch c.Verdict {
//	case journal.Fresh: // on disk: send, then c.Done, c.Refused, or c.Ended when nobody knows: go on as with Unclear
//	case journal.Done: // c.Record.Outcome is the answer
//	case journal.Busy: // j.Wait(ctx, c.Record.ID), then Claim again
//	case journal.Unclear: // may have been sent: look; c.Done when it is there, c.Sending to send, c.Release to leave it
//	}
//
// # Where it is kept
//
// In one SQLite file, for any number of processes on one machine (a local disk: SQLite's write-ahead log does not work
// over a network), or in PostgreSQL, for any number of machines. Both hold the same table and run the same statements.
//
// # What survives
//
// When Claim answers Fresh, and when Sending returns, the record is on stable storage: a request can't leave without
// one. In SQLite no other write of a claim waits for the disk (these wait for one fsync each). What follows (Done,
// Refused, Ended, Release, Extend) and taking over survive the death of the process, but the last moments may be lost
// with the power. That is safe: when the power is back such a record says less than was known, but never that nothing was
// sent. It is open or unclear again, its lease runs out, and the next claimant looks before it sends.
// About once in a hundred calls SQLite also moves its log into the file, on such a later write.
// In PostgreSQL every write waits as the server is set to; a connection with synchronous_commit off is set to on.
// With asynchronous replication a fail-over can forget an intent: have a synchronous standby.
//
// # What it leaves to others
//
// Sending, looking, and comparing what was found; waiting until a lost request has surely ended; hashing; and meaning:
// to this package tenants, fingerprints and outcomes are opaque. It keeps no secrets, if it is given none.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Errors that callers act upon; they come wrapped.
var (
	// ErrLost: the claim does not have the intent. Another claimant took it over after the lease ran out, or found the
	// outcome; or this claim itself has ended, or was Busy from the beginning. Get or Wait tell how it goes on.
	ErrLost = errors.New("the claim does not have the intent")
	// ErrTaken: another intent has this outcome already. The claim is as it was.
	ErrTaken = errors.New("the outcome belongs to another intent")
	// ErrNotFound: no record with this ID; it may have been pruned.
	ErrNotFound = errors.New("no such record")
	// ErrClosed: the Journal has been closed.
	ErrClosed = errors.New("the journal is closed")
)

const (
	defaultWindow    = 24 * time.Hour
	defaultRetention = 30 * 24 * time.Hour
	// unsettledRetentions is how many times longer a record is kept that nobody settled. It is the only trace of a
	// request that may have done its work.
	unsettledRetentions = 12
	// patience bounds whatever the journal waits for by itself: a lock, a connection, a lost race.
	patience = 10 * time.Second
)

// Options of a Journal. The zero value is ready to use.
type Options struct {
	// Window is how long a done intent answers equal ones. Zero: 24 hours.
	Window time.Duration
	// Retention is how long done and refused records are kept; at least Window. Zero: 30 days. Records that are still
	// open or unclear are kept twelve times as long (360 days), counted from their last send or the end of their lease.
	Retention time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Log is told what no caller is: that pruning failed. Nil: nobody.
	Log *slog.Logger
}

// Journal is safe for use by several goroutines, and several Journals, in as many processes, may share one database.
type Journal struct {
	options Options
	connect func(context.Context) (*store, error)

	opening chan struct{} // holds one: whoever opens, closes or begins to prune
	// What it guards:
	store     *store // nil until the first use
	closed    bool
	nextPrune time.Time
	housework sync.WaitGroup // is added to only then
}

// New makes a Journal of a path, of a URL "postgres://..." or "postgresql://...", or of ":memory:", which is forgotten on Close.
// It only looks at the text: the database is opened, and made when there is none, at the first use.
//
// A PostgreSQL URL may carry what pgx understands (https://pkg.go.dev/github.com/jackc/pgx/v5/pgconn#ParseConfig), such as
// sslmode, search_path, or default_query_exec_mode=exec for a pooler that knows no prepared statements.
// No error ever shows a password.
func New(dsn string, o Options) (*Journal, error) {
	if o.Window <= 0 {
		o.Window = defaultWindow
	}
	if o.Retention <= 0 {
		o.Retention = defaultRetention
	}
	o.Retention = max(o.Retention, o.Window)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	j := &Journal{options: o, opening: make(chan struct{}, 1)}

	scheme, _, isURL := strings.Cut(dsn, "://")
	switch {
	case dsn == "":
		return nil, errors.New("journal: want a file, :memory: or a postgres:// URL, got nothing")
	case dsn == ":memory:":
		j.connect = openMemory
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		server, err := parsePostgres(dsn, o.Now)
		if err != nil {
			return nil, err
		}
		j.connect = server.open
	case strings.HasPrefix(dsn, "postgres:"), strings.HasPrefix(dsn, "postgresql:"):
		return nil, errors.New("journal: a PostgreSQL URL begins with postgres://") // as a file, its password would name a folder
	case isURL && isScheme(scheme):
		return nil, fmt.Errorf("journal: can't be kept in %s://; want a file, :memory: or a postgres:// URL", scheme)
	case strings.ContainsRune(dsn, 0):
		return nil, errors.New("journal: a file name can't hold a zero byte")
	default:
		path, err := filepath.Abs(dsn) // so that a later change of the working directory changes nothing
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		j.connect = file(path).open
	}
	return j, nil
}

// isScheme tells "mysql://" from the odd file name that holds "://".
func isScheme(s string) bool {
	u, err := url.Parse(s + "://")
	return err == nil && u.Scheme != ""
}

// Close waits for what is under way and lets go of the database. The Journal is of no use afterwards.
func (j *Journal) Close() error {
	j.opening <- struct{}{} // whoever holds it is bound by patience
	j.closed = true
	s := j.store
	j.store = nil
	<-j.opening
	j.housework.Wait()
	if s == nil {
		return nil
	}
	return s.close()
}

// open gives the database, opening it if that has not been done or has failed so far.
func (j *Journal) open(ctx context.Context) (*store, error) {
	select {
	case j.opening <- struct{}{}:
		defer func() { <-j.opening }()
	case <-ctx.Done():
		return nil, fmt.Errorf("journal: %w", context.Cause(ctx))
	}
	if j.closed {
		return nil, fmt.Errorf("journal: %w", ErrClosed)
	}
	if j.store != nil {
		return j.store, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := j.connect(ctx)
	if err != nil {
		return nil, err
	}
	j.store = s
	return s, nil
}

// now is the time to the millisecond, which is all that the database keeps.
func (j *Journal) now() time.Time {
	return time.UnixMilli(j.options.Now().UnixMilli()).UTC()
}

// Check opens the database, has SQLite look for damage, and writes something and removes it again. It says whether a write could go ahead now.
func (j *Journal) Check(ctx context.Context) error {
	s, err := j.open(ctx)
	if err != nil {
		return err
	}
	if err := s.healthy(ctx); err != nil {
		return err
	}
	now := j.now()
	r := Record{ID: newID(now), Action: "check", Seq: 1, State: StateRefused, Created: now, SentAt: now, Settled: now} // so that it is pruned if the program dies here
	r.Fingerprint = r.ID                                                                                               // so that two checks at once don't meet
	if _, err := s.insert(ctx, row{Record: r, version: newVersion()}); err != nil {
		return err
	}
	_, err = s.write(ctx, relaxed, deleteRecord, r.ID)
	return err
}
