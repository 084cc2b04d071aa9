package journal_test

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heffl-mcp/journal"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func with(tb testing.TB, dsn, key, value string) string {
	tb.Helper()
	u, err := url.Parse(dsn)
	ok(tb, err)
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// Replicas whose clocks are hours apart agree on leases, and each reads times by its own clock.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	dsn := postgresDSN(t)
	by := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
	clocks := []func() time.Time{by(0), by(3 * time.Hour), by(-3 * time.Hour)}
	for i, mine := range clocks {
		j := openWith(t, dsn, journal.Options{Now: mine})
		for k, theirs := range clocks {
			other := openWith(t, dsn, journal.Options{Now: theirs})
			f := fmt.Sprint(i, " ", k)
			claim(t, j, intent(f), journal.Fresh)
			r := claim(t, other, intent(f), journal.Busy).Record
			if away := theirs().Sub(r.SentAt).Abs(); away > time.Minute {
				t.Errorf("claimed by clock %d just now and read by clock %d: %s away", i, k, away)
			}
		}
	}
}

// The server goes away and comes back between two calls.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	dsn := with(t, postgresDSN(t), "application_name", t.Name()+fmt.Sprint(time.Now().UnixNano()))
	u, err := url.Parse(dsn)
	ok(t, err)
	j := openWith(t, dsn, journal.Options{})
	cut := func() {
		t.Helper()
		execute(t, "pgx", with(t, dsn, "application_name", "other"),
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+u.Query().Get("application_name")+"'")
	}
	c := claim(t, j, intent("f"), journal.Fresh)
	cut()
	if err := c.Sending(t.Context(), lease); err != nil {
		t.Errorf("Sending over a lost connection = %v", err)
	}
	cut()
	if err := c.Done(t.Context(), "dl_1", nil, "sent", true); err != nil {
		t.Errorf("Done over a lost connection = %v", err)
	}
	cut()
	claim(t, j, intent("f"), journal.Done)
	cut()
	claim(t, j, intent("g"), journal.Fresh)
}

// Whichever answer of the server is lost, after the server did what was asked: everything is done, and done once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	dsn := postgresDSN(t)
	proxied, lose, lost := loseAnswers(t, dsn)
	for n, more := 0, true; more; n++ {
		j, err := journal.New(proxied, journal.Options{})
		ok(t, err)
		ok(t, j.Check(t.Context()))
		lose(n)
		c := claim(t, j, intent(fmt.Sprint(n)), journal.Fresh)
		if err := c.Ended(t.Context(), time.Now(), journal.Failed); err != nil {
			t.Errorf("answer %d lost: Ended = %v", n, err)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Errorf("answer %d lost: Release = %v", n, err)
		}
		c = claim(t, j, intent(fmt.Sprint(n)), journal.Unclear)
		if err := c.Sending(t.Context(), lease); err != nil {
			t.Errorf("answer %d lost: Sending = %v", n, err)
		}
		c = claim(t, j, intent(fmt.Sprint(n)), journal.Busy)
		if err := c.Done(t.Context(), fmt.Sprint(n), nil, "recovered", true); err != nil {
			t.Errorf("answer %d lost: Done = %v", n, err)
		}
		r, err := j.Get(t.Context(), c.Record.ID)
		ok(t, err)
		if diff := cmp.Diff(c.Record, *r); diff != "" || r.Attempts != 2 || r.Seq != 1 {
			t.Errorf("answer %d lost: on record is %+v (-claim +record):\n%s", n, r, diff)
		}
		more = lost()
		ok(t, j.Close()) // with its pruning, so that the next answers are the next one's
		if !more && n < 10 {
			t.Errorf("there were only %d answers to lose", n)
		}
	}
}

// loseAnswers puts a proxy before the server. After lose(n) it passes n answers on, keeps the next one to itself, and hangs
// up; lost tells whether it came to that.
func loseAnswers(tb testing.TB, dsn string) (proxied string, lose func(n int), lost func() bool) {
	tb.Helper()
	config, err := pgx.ParseConfig(dsn)
	ok(tb, err)
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(tb, err)
	var left atomic.Int64 // answers until the lost one, and that
	pass := func(client net.Conn) {
		defer client.Close()
		server, err := net.Dial(network, address)
		if err != nil {
			tb.Error(err)
			return
		}
		defer server.Close()
		go func() {
			io.Copy(server, client)
			server.Close()
		}()
		answer := make([]byte, 1<<16)
		for {
			n, err := server.Read(answer)
			if n == 0 || err != nil || left.Add(-1) == 0 {
				return
			}
			if _, err := client.Write(answer[:n]); err != nil {
				return
			}
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { pass(client) })
		}
	})
	tb.Cleanup(func() {
		listener.Close()
		all.Wait()
	})
	host, port, err := net.SplitHostPort(listener.Addr().String())
	ok(tb, err)
	proxied = with(tb, with(tb, with(tb, dsn, "host", host), "port", port), "sslmode", "disable")
	return proxied, func(n int) { left.Store(int64(n) + 1) }, func() bool { return left.Load() <= 0 }
}

func TestAsynchronousCommitIsPutRight(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"off": "on", "on": "on", "local": "local"} {
		j := openWith(t, with(t, postgresDSN(t), "synchronous_commit", given), journal.Options{})
		got, _, err := j.Setting(t.Context(), "SHOW synchronous_commit")
		if got != want || err != nil {
			t.Errorf("synchronous_commit=%s becomes %s, error %v, want %s", given, got, err, want)
		}
	}
}

// A pooler may know no prepared statements; the URL says so to the driver.
func TestWithoutPreparedStatements(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exec", "cache_describe", "simple_protocol"} {
		j := openWith(t, with(t, postgresDSN(t), "default_query_exec_mode", mode), journal.Options{})
		c := claim(t, j, intent("f"), journal.Fresh)
		ok(t, c.Sending(t.Context(), lease))
		ok(t, c.Done(t.Context(), "dl_1", []byte("{}\x00"), "sent", true))
		if r := claim(t, j, intent("f"), journal.Done).Record; string(r.Outcome) != "{}\x00" || string(r.About) != `{"title":"Website"}` {
			t.Errorf("%s: record = %+v", mode, r)
		}
		if owned, err := j.Owned(t.Context(), "tenant", "create_deal", []string{"dl_1"}); len(owned) != 1 || err != nil {
			t.Errorf("%s: Owned = %v, error %v", mode, owned, err)
		}
		ok(t, j.Prune(t.Context()))
	}
}

func TestBadServers(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	closed := listener.Addr().String() // nobody listens there any more
	ok(t, listener.Close())
	for _, test := range []struct{ dsn, want string }{
		{"postgres://ann:s3cret@" + closed + "/d", "connect"},
		{"postgres://ann@" + closed + "/d?password=s3cret", "connect"},
	} {
		j := openWith(t, test.dsn, journal.Options{})
		err := j.Check(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "journal in PostgreSQL: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Check(%s) = %v, want %s", test.dsn, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Check shows the password: %v", err)
		}
	}
}

func TestBadDatabases(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		dsn  func(dsn string) string
		want string
	}{
		{"no schema", func(dsn string) string { return with(t, dsn, "search_path", "nowhere") }, "no schema has been selected"},
		{"read-only", func(dsn string) string { return with(t, dsn, "default_transaction_read_only", "on") }, "the server is read-only, perhaps a standby; name the primary"},
		{"newer", func(dsn string) string {
			ok(t, openWith(t, dsn, journal.Options{}).Check(t.Context()))
			execute(t, "pgx", dsn, "UPDATE journal_version SET version = 99")
			return dsn
		}, "it has schema version 99"},
	}
	for _, test := range tests {
		j := openWith(t, test.dsn(postgresDSN(t)), journal.Options{})
		if _, err := j.Claim(t.Context(), intent("f")); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Claim = %v, want %s", test.name, err, test.want)
		}
	}
}
