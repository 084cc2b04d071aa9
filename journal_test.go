package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A listedJSON is a line of heffl-mcp journal --json.
type listedJSON struct {
	State, How, Ref, Reason string
	Delivered               bool
	About                   struct{ What, Title, ClientID string }
	Outcome                 map[string]any
}

// ignoringFacts compares only how intents have ended.
var ignoringFacts = cmpopts.IgnoreFields(listedJSON{}, "About", "Outcome", "Delivered")

// listing is what heffl-mcp journal prints.
func listing(t testing.TB, env []string, args ...string) string {
	t.Helper()
	p := start(t, env, append([]string{"journal"}, args...)...)
	p.exit(t, 0)
	if log := p.err.String(); log != "" {
		t.Errorf("journal %q says %q, want nothing", args, log)
	}
	return p.out.String()
}

// records are what the journal of an environment lists, newest first.
func records(t testing.TB, env []string, args ...string) (all []listedJSON) {
	t.Helper()
	for line := range strings.Lines(listing(t, env, append([]string{"--json"}, args...)...)) {
		var l listedJSON
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("journal --json: %v in the line %q", err, line)
		}
		all = append(all, l)
	}
	return all
}

// TestJournalCommand holds what is listed: each way in which a call can have ended, newest first, and
// nothing that a terminal would act upon.
func TestJournalCommand(t *testing.T) {
	t.Parallel()
	const wild = "Red \x1b[31m\u009b32m alert\x07\r\n\tnext\u202e line \U000e0041end & <more>"
	key := secrets["symbols"]
	g := newGate(t)
	own := []string{"HEFFL_API_KEY=" + key, "HEFFL_MCP_STATE=" + journals["SQLite"](t), "TZ=UTC"}
	env := append(upstream(t, g), own...)

	const header = "WHEN  OUTCOME  WHAT  ID  TITLE\n"
	for args, want := range map[string]string{"": header, "--unclear": header, "--json": ""} {
		if got := listing(t, env, strings.Fields(args)...); got != want {
			t.Errorf("journal %s before there is anything = %q, want %q", args, got, want)
		}
	}

	made := untilDone(t, env, deal(t, wild))
	for _, c := range []struct{ tool, args string }{
		{"create_client", `{"type":"contact","firstName":"Nora","lastName":"Weiß","email":"nora@weiss.example"}`},
		{"create_client", `{"type":"company","name":"Weiß GmbH"}`},
		{"create_task", `{"title":"Call back","dealId":"dl_acme_renewal"}`},
	} {
		start(t, env, "call", c.tool, put(t, filepath.Join(t.TempDir(), "args.json"), c.args)).exit(t, 0)
	}
	notDone(t, env, json.RawMessage(`{"title":"ACME: renewal","clientId":"clt_acme","pipelineId":"dpl_sales"}`)) // one looks the same
	notDone(t, env, json.RawMessage(`{"title":"Refused","clientId":"clt_nobody","pipelineId":"dpl_sales"}`))
	mute := newSandbox(t, sandbox.Options{Fault: func(r *http.Request) sandbox.Fault {
		if r.Method == http.MethodPost {
			return sandbox.Fault{Kind: sandbox.Drop}
		}
		return sandbox.Fault{}
	}})
	notDone(t, slices.Concat(upstream(t, mute), own, []string{"HEFFL_MCP_DEADLINE=8s"}), deal(t, "Never answered"))
	g.killAt(t, lost, env, deal(t, "Cut short"))

	want := strings.TrimPrefix(`
WHEN                 OUTCOME    WHAT     ID        TITLE
YYYY-MM-DD hh:mm:ss  under way  deal               Cut short
YYYY-MM-DD hh:mm:ss  unclear    deal               Never answered
YYYY-MM-DD hh:mm:ss  refused    deal               Refused
YYYY-MM-DD hh:mm:ss  not sent   deal               ACME: renewal
YYYY-MM-DD hh:mm:ss  created    task     tsk_1001  Call back
YYYY-MM-DD hh:mm:ss  created    company  clt_1002  Weiß GmbH
YYYY-MM-DD hh:mm:ss  created    contact  clt_1001  Nora Weiß
YYYY-MM-DD hh:mm:ss  created    deal     dl_1001   Red  [31m 32m alert    next  line  end & <more>
`, "\n")
	timeless := regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	table := listing(t, env)
	if diff := cmp.Diff(want, timeless.ReplaceAllString(table, "YYYY-MM-DD hh:mm:ss")); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	for args, want := range map[string][]string{
		"":                    {"Cut short", "Never answered", "Refused", "ACME: renewal", "Call back", "Weiß GmbH", "Nora Weiß", wild},
		"--limit=1":           {"Cut short"},
		"--unclear":           {"Cut short", "Never answered"},
		"--unclear --limit=1": {"Cut short"},
	} {
		var got []string
		for _, l := range records(t, env, strings.Fields(args)...) {
			got = append(got, l.About.Title)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("journal --json %s: titles (-want +got):\n%s", args, diff)
		}
	}

	all := records(t, env)
	if l := all[7]; l.Outcome["title"] != wild || l.Outcome["id"] != made.ID || !l.Delivered {
		t.Errorf("journal --json of the deal %v = %+v", made.ID, l)
	}
	if l := all[2]; l.State != "refused" || !strings.Contains(l.Reason, "clt_nobody") || l.Outcome != nil {
		t.Errorf("journal --json of what was refused = %+v", l)
	}
	for what, out := range map[string]string{"journal": table, "journal --json": listing(t, env, "--json")} {
		scan(t, key, what, out)
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%s has a character that is not for printing: %q", what, out[max(0, i-20):i+4])
		}
	}
}

// notDone calls create_deal in a program of its own, and returns the error that it must end with. The
// program must end well.
func notDone(t *testing.T, env []string, args json.RawMessage) *result {
	t.Helper()
	p, s := startStdio(t, env)
	r, err := s.call(bounded(t), "create_deal", args)
	if err != nil {
		t.Fatalf("create_deal() = %v; standard error:\n%s", err, p.err.String())
	}
	if !r.IsError {
		t.Errorf("create_deal() = %q, want an error", r.text())
	}
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	p.exit(t, 0)
	return r
}

// TestBadJournal holds that nothing is sent where it cannot be written down first, that the call and
// the listing say why, and that neither shows a password.
func TestBadJournal(t *testing.T) {
	t.Parallel()
	const password = "s3cret"
	place := func(name string) string { return filepath.Join(t.TempDir(), name) }
	for _, c := range []struct {
		name  string
		state string
		want  string
		when  bool
	}{
		{"a folder", t.TempDir(), "is not a file but a folder; name a file", true},
		{"in a file", filepath.Join(put(t, place("file"), "text"), "journal.db"), "can't be made", true},
		{"no SQLite file", put(t, place("notes.txt"), "just some notes\n"), "is not an SQLite file: name another one, or move this one away", true},
		{"damaged", damaged(t), "is damaged: move it away together with its -wal and -shm files", true},
		{"a folder that takes no files", "/proc/journal.db", "name a file in a folder that can be written to", runtime.GOOS == "linux"},
		{"a read-only folder", filepath.Join(sealed(t), "journal.db"), "permission denied; name a file in a folder that can be written to", os.Geteuid() > 0},
		{"nobody listens", "postgres://ann:" + password + "@127.0.0.1:1/crm", "journal in PostgreSQL: failed to connect", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !c.when {
				t.Skip("not to be had as this user on this system")
			}
			sb := newSandbox(t, sandbox.Options{})
			env := append(upstream(t, sb), "HEFFL_MCP_STATE="+c.state)
			r := notDone(t, env, deal(t, "Northwind rollout"))
			if text := r.text(); !strings.HasPrefix(text, "create_deal: nothing was sent, because it could not be written down first") || !strings.Contains(text, c.want) {
				t.Errorf("create_deal() = %q, want that nothing was sent, because the journal %s", text, c.want)
			}
			want := map[string]any{"heffl-mcp/outcome": "notSent", "heffl-mcp/retrySafe": true}
			if diff := cmp.Diff(want, r.Meta); diff != "" {
				t.Errorf("create_deal(): _meta (-want +got):\n%s", diff)
			}
			if n := len(ofDeals(sb)); n != 0 {
				t.Errorf("Heffl was asked %d times, want none", n)
			}

			p := start(t, env, "journal")
			p.exit(t, 1)
			if out, log := p.out.String(), p.err.String(); out != "" || !strings.HasPrefix(log, "heffl-mcp: journal ") || !strings.Contains(log, c.want) {
				t.Errorf("journal prints %q and says %q, want only that the journal %s", out, log, c.want)
			}
			if strings.Contains(r.text()+p.err.String(), password) {
				t.Errorf("the password is shown: %s\n%s", r.text(), p.err.String())
			}
		})
	}
}

// put makes a file.
func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// damaged is a journal of which but the first page is left.
func damaged(t *testing.T) string {
	t.Helper()
	path := journals["SQLite"](t)
	listing(t, []string{"HEFFL_MCP_STATE=" + path})
	file := read(t, path)
	for i := 4096; i < len(file); i++ {
		file[i] = 0xff
	}
	return put(t, path, string(file))
}

// sealed is a folder to which nothing can be added, but by root.
func sealed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestNoJournal holds that a call works without a journal, that the log says so, that no file is made,
// and that nothing can be listed.
func TestNoJournal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		env  []string
		log  bool
	}{
		{"off", append(upstream(t, newSandbox(t, sandbox.Options{})), "HEFFL_MCP_STATE=off"), true},
		{"in memory", []string{"HEFFL_SANDBOX=true", "HEFFL_MCP_STATE="}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, s := startStdio(t, c.env)
			r, err := s.call(bounded(t), "create_deal", deal(t, "Northwind rollout"))
			if err != nil || r.IsError || r.Meta["heffl-mcp/outcome"] != "created" {
				t.Errorf("create_deal() = %+v, %v, want a deal", r, err)
			}
			if err := p.in.Close(); err != nil {
				t.Fatal(err)
			}
			p.exit(t, 0)
			if said := strings.Contains(p.err.String(), "HEFFL_MCP_STATE is off"); said != c.log {
				t.Errorf("the log says that the journal is off: %v, want %v:\n%s", said, c.log, p.err.String())
			}
			files, err := os.ReadDir(p.Dir)
			if err != nil || len(files) > 0 {
				t.Errorf("files were made: %v (%v)", files, err)
			}
		})
	}
}

// TestStopKeepsOutcome asks the program to stop when a call has ended before its request: the request is
// followed to its end, and the outcome is in the journal when the program has ended.
func TestStopKeepsOutcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ transport, by string }{
		{"stdio", "SIGTERM"},
		{"stdio", "end of input"},
		{"http", "SIGTERM"},
		{"call", "SIGTERM"},
		{"call", "SIGTERM in its middle"},
		{"call", "its own end"},
	} {
		t.Run(c.transport+"/"+c.by, func(t *testing.T) {
			t.Parallel()
			const title = "Northwind rollout, stopped"
			ctx := bounded(t)
			sb := newSandbox(t, sandbox.Options{})
			arrived, release := make(chan struct{}), make(chan struct{})
			env := append(upstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					close(arrived) // a second request panics, and fails the test
					select {
					case <-release:
					case <-ctx.Done():
					}
				}
				sb.ServeHTTP(w, r)
			})), "HEFFL_MCP_STATE="+journals["SQLite"](t))
			hurried := append(env, "HEFFL_MCP_DEADLINE=1s", "HEFFL_MCP_DUPLICATE_CHECK=off", "HEFFL_MCP_LOG_LEVEL=debug")
			if c.by == "SIGTERM in its middle" {
				hurried = append(hurried, "HEFFL_MCP_DEADLINE=1m")
			}

			p := outlive(t, c.transport, hurried, deal(t, title), func(p *program) {
				if c.by == "SIGTERM in its middle" {
					select {
					case <-arrived:
						p.terminate(t)
					case <-ctx.Done():
					}
				}
			})
			select {
			case <-arrived:
			case <-ctx.Done():
				t.Fatalf("create_deal() never reached Heffl; standard error:\n%s", p.err.String())
			}
			switch c.by {
			case "SIGTERM":
				p.terminate(t)
			case "end of input":
				if err := p.in.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if all := records(t, env, "--limit=1"); len(all) != 1 || all[0].State == "done" {
				t.Errorf("the journal before Heffl has answered = %+v, want one that is not done", all)
			}
			close(release)
			if c.transport == "call" {
				p.exit(t, 1)
			} else {
				p.exit(t, 0)
			}

			deals := dealsTitled(t, sb, title)
			if len(deals) != 1 {
				t.Fatalf("there are %d deals, want 1", len(deals))
			}
			id, _ := deals[0]["id"].(string)
			if diff := cmp.Diff([]listedJSON{{State: "done", How: "created", Ref: id}}, records(t, env, "--limit=1"), ignoringFacts); diff != "" {
				t.Errorf("the journal when the program has ended (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(told{ID: id, Outcome: "replayed", Replayed: true}, untilDone(t, env, deal(t, title))); diff != "" {
				t.Errorf("create_deal() again (-want +got):\n%s", diff)
			}
		})
	}
}

// outlive has a program make a call that ends before its request does. On a machine that has much to do, a
// call may end before it has sent anything: then there is another one. What began is told of each program
// that runs one call.
func outlive(t *testing.T, transport string, env []string, args json.RawMessage, began func(*program)) *program {
	t.Helper()
	ctx := bounded(t)
	if transport == "call" {
		file := put(t, filepath.Join(t.TempDir(), "deal.json"), string(args))
		for {
			p := start(t, env, "call", "create_deal", file)
			began(p)
			line, err := p.err.line(ctx, func(l string) bool { return strings.Contains(l, "outcome=") })
			switch {
			case err != nil || !strings.Contains(line, "outcome=notSent") && !strings.Contains(line, "outcome=unclear"):
				t.Fatalf("call: %v, want that the outcome is unclear; standard error:\n%s", err, p.err.String())
			case strings.Contains(line, "outcome=unclear"):
				return p
			}
		}
	}
	p, s, _ := startPlain(t, transport, env)
	for {
		r, err := s.call(ctx, "create_deal", args)
		if err != nil || r.Meta["heffl-mcp/retrySafe"] != true {
			t.Fatalf("create_deal() = %+v, %v, want that the same call is safe", r, err)
		}
		switch r.Meta["heffl-mcp/outcome"] {
		case "unclear":
			return p
		case "notSent":
		default:
			t.Fatalf("create_deal() = %+v, want that the outcome is unclear", r)
		}
	}
}
