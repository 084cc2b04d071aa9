package journal_test

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"heffl-mcp/journal"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// Every test of behaviour runs on each engine. SQLite in memory is one Journal's own; the others can be shared.
var engines = []struct {
	name   string
	dsn    func(testing.TB) string
	shared bool
}{
	{"memory", func(testing.TB) string { return ":memory:" }, false},
	{"file", fileDSN, true},
	{"postgres", postgresDSN, true},
}

func onEveryEngine(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, e.dsn(t))
		})
	}
}

func onSharedEngines(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	for _, e := range engines {
		if e.shared {
			t.Run(e.name, func(t *testing.T) {
				t.Parallel()
				test(t, e.dsn(t))
			})
		}
	}
}

func fileDSN(tb testing.TB) string { return filepath.Join(tb.TempDir(), "state", "journal.db") }

// postgresDSN makes a schema that is the test's own.
func postgresDSN(tb testing.TB) string {
	tb.Helper()
	dsn := os.Getenv("HEFFL_MCP_TEST_POSTGRES")
	if dsn == "" {
		tb.Skip("HEFFL_MCP_TEST_POSTGRES is not set to the URL of a PostgreSQL; .ci/postgres starts one")
	}
	u, err := url.Parse(dsn)
	if err != nil {
		tb.Fatal("HEFFL_MCP_TEST_POSTGRES is not a URL")
	}
	name := "journal_test_" + strings.ToLower(rand.Text())
	execute(tb, "pgx", dsn, "CREATE SCHEMA "+name)
	tb.Cleanup(func() { execute(tb, "pgx", dsn, "DROP SCHEMA "+name+" CASCADE") })
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// execute goes round the Journal, to the database.
func execute(tb testing.TB, driver, dsn, statement string) {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

// clock runs only when told to.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ms.Store(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.ms.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// open makes a Journal with this clock, whatever the database's clock shows.
func open(tb testing.TB, dsn string, c *clock) *journal.Journal {
	tb.Helper()
	j := openWith(tb, dsn, journal.Options{Now: c.Now})
	if err := j.SharedClock(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return j
}

func openWith(tb testing.TB, dsn string, o journal.Options) *journal.Journal {
	tb.Helper()
	j, err := journal.New(dsn, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := j.Close(); err != nil {
			tb.Error(err)
		}
	})
	return j
}

const (
	lease = 30 * time.Second // of intents made by intent
	look  = 5 * time.Second  // of who has taken over, or has ended
)

func intent(fingerprint string) journal.Intent {
	return journal.Intent{
		Tenant: "tenant", Action: "create_deal", Fingerprint: fingerprint, Args: "args of " + fingerprint, Match: "match of " + fingerprint,
		About: []byte(`{"title":"Website"}`), Lease: lease,
	}
}

// claim asks and wants this verdict.
func claim(tb testing.TB, j *journal.Journal, in journal.Intent, want journal.Verdict) *journal.Claim {
	tb.Helper()
	c, err := j.Claim(tb.Context(), in)
	if err != nil {
		tb.Fatalf("Claim(%s) = error %v, want %s", in.Fingerprint, err, want)
	}
	if c.Verdict != want {
		tb.Fatalf("Claim(%s) = %s (record %+v), want %s", in.Fingerprint, c.Verdict, c.Record, want)
	}
	return c
}

// release says that the attempt has ended without an answer, and leaves it at that.
func release(tb testing.TB, c *journal.Claim, at time.Time) {
	tb.Helper()
	ok(tb, c.Ended(tb.Context(), at, journal.Unanswered))
	ok(tb, c.Release(tb.Context()))
}

func ok(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
