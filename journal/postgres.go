package journal

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// connections is enough: claimants hold one for a millisecond at a time, and replicas share the server's.
	connections = 8
	// migrationLock is the key of the advisory lock that migrations hold; any number that nobody else has.
	migrationLock = 0x6a6f75726e616c // "journal"
)

// server is a PostgreSQL database, and the engine of it.
type server struct {
	config *pgx.ConnConfig
	now    func() time.Time
}

// parsePostgres reads a URL. Its errors quote nothing of it but pgx's reason, and that only if it can't hold the password.
func parsePostgres(dsn string, now func() time.Time) (*server, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("journal: this is not a PostgreSQL URL; want postgres://user:password@host:5432/database, with @ : / ? # % in the password written as %40 %3A %2F %3F %23 %25")
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		reason := "one of its parameters is not understood"
		if cause := errors.Unwrap(err); cause != nil && !holdsSecret(cause.Error(), u) {
			reason = cause.Error()
		}
		return nil, fmt.Errorf("journal: the PostgreSQL URL can't be used: %s", reason)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = patience / 2
	}
	return &server{config: config, now: now}, nil
}

func holdsSecret(text string, u *url.URL) bool {
	var secrets []string
	if password, ok := u.User.Password(); ok {
		secrets = append(secrets, password, url.QueryEscape(password), url.PathEscape(password))
	}
	for key, values := range u.Query() {
		if strings.Contains(strings.ToLower(key), "password") {
			secrets = append(secrets, values...)
		}
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			return true
		}
	}
	return false
}

func (v *server) open(ctx context.Context) (*store, error) {
	db := stdlib.OpenDB(*v.config, stdlib.OptionAfterConnect(neverAsync))
	p := newPool(db, false, connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s := &store{reads: p, writes: [2]*pool{p, p}, engine: v}
	s.present = func() error { return nil }
	s.healthy = func(context.Context) error { return nil } // the server sees to that
	err := retry(ctx, v, func(ctx context.Context) (err error) {
		if err := migrate(ctx, db, `SELECT to_regclass('journal_version') IS NOT NULL`, lockPostgres); err != nil {
			return err
		}
		s.offset, err = v.clockOffset(ctx, db)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// neverAsync: an intent that is reported as written has to be.
func neverAsync(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

func lockPostgres(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock)
	return err
}

// clockOffset is what the server's clock shows more than ours, so that replicas agree on when a lease runs out. Of three
// measurements the one with the shortest way counts; it is wrong by half of that way at most.
func (v *server) clockOffset(ctx context.Context, db *sql.DB) (time.Duration, error) {
	var offset, shortest time.Duration
	for i := range 3 {
		var theirs int64
		before := v.now()
		err := db.QueryRowContext(ctx, `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`).Scan(&theirs)
		if err != nil {
			return 0, err
		}
		way := v.now().Sub(before)
		if i == 0 || way < shortest {
			shortest = way
			offset = time.UnixMilli(theirs).Sub(before.Add(way / 2)).Round(time.Millisecond)
		}
	}
	return offset, nil
}

func (v *server) transient(err error) bool {
	var failed *pgconn.PgError
	if errors.As(err, &failed) {
		switch failed.Code {
		case "40001", "40P01", // serialization failure, deadlock
			"57P01", "57P02", "57P03": // the server shuts down, has crashed, is starting up
			return true
		}
		return false
	}
	// Whoever hangs up may be back in a moment; where nobody listens, waiting helps less than knowing.
	if pgconn.SafeToRetry(err) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	return !errors.As(err, &connecting) && errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded)
}

func (v *server) taken(err error) bool {
	var failed *pgconn.PgError
	return errors.As(err, &failed) && failed.Code == "23505"
}

func (v *server) explain(err error) error {
	var failed *pgconn.PgError
	if errors.As(err, &failed) && failed.Code == "25006" {
		return fmt.Errorf("journal in PostgreSQL can't be written to: the server is read-only, perhaps a standby; name the primary (%w)", err)
	}
	return fmt.Errorf("journal in PostgreSQL: %w", err)
}
