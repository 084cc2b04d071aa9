package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/tools"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// auditLines are the lines of an audit file, each of which must be whole.
func auditLines(t testing.TB, file string) (all []auditLine) {
	t.Helper()
	for line := range strings.Lines(string(read(t, file))) {
		var l auditLine
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&l); err != nil || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("%v in the line %q", err, line)
		}
		all = append(all, l)
	}
	return all
}

// TestAudit holds which calls have a line and what is in it, over each way in; the file is its owner's.
func TestAudit(t *testing.T) {
	t.Parallel()
	const token = "a-token-of-16-or-more"
	for _, transport := range []string{"stdio", "http", "call"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "audit.jsonl")
			env := append(upstream(t, newSandbox(t, sandbox.Options{})), "HEFFL_MCP_AUDIT="+file, "HEFFL_MCP_TOKEN="+token)
			env = append(env, "HEFFL_MCP_STATE="+journals["SQLite"](t))
			const deal = `{"title":"Rollout","clientId":"clt_northwind","pipelineId":"dpl_sales"}`
			calls := [][2]string{{"create_deal", deal}, {"create_deal", deal}, {"create_deal", `{}`}, {"preview_deal", deal}, {"find_deals", `{"query":"Rollout"}`}}
			want := []auditLine{
				{Tool: "create_deal", Object: "dl_1001", Outcome: "created"},
				{Tool: "create_deal", Object: "dl_1001", Outcome: "replayed"},
				{Tool: "create_deal", Outcome: "invalid"},
			}
			var s session
			caller := ""
			switch transport {
			case "stdio":
				_, s = startStdio(t, env)
			case "http":
				_, at := serveHTTP(t, env)
				s, caller = connected(at.with("Authorization", "Bearer "+token)), "token-" // and a hash of it
			}
			for _, c := range calls {
				if s != nil {
					called(t, s, c[0], c[1])
					continue
				}
				cmd := command(t, env, "call", c[0], "-")
				cmd.Stdin = strings.NewReader(c[1])
				_, _ = cmd.CombinedOutput() // a refused call exits with 1
			}
			got := auditLines(t, file)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(auditLine{}, "Time", "Call", "Caller", "Client", "Tenant", "Arguments", "Took")); diff != "" {
				t.Fatalf("audit lines (-want +got):\n%s", diff)
			}
			for i, l := range got {
				if l.Time.IsZero() || l.Time.Location() != time.UTC || l.Call == "" || len(l.Tenant) != 32 || len(l.Arguments) != 32 || l.Took <= 0 || !strings.HasPrefix(l.Caller, caller) || (l.Caller == "") != (caller == "") {
					t.Errorf("line %d lacks something: %+v", i, l)
				}
			}
			if got[0].Arguments != got[1].Arguments || got[0].Arguments == got[2].Arguments || got[0].Call == got[1].Call {
				t.Errorf("same arguments have not the same hash, or same calls the same ID: %+v", got)
			}
			if text := string(read(t, file)); strings.Contains(text, "Rollout") || strings.Contains(text, token) || strings.Contains(text, "test-key") {
				t.Errorf("the audit tells what was said: %s", text)
			}
			if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("the audit file is %v, %v; want it its owner's alone", info, err)
			}
		})
	}
}

// TestAuditOfTwo has two programs write to one file at once: every line is whole, and none is lost, nor is what was
// there before.
func TestAuditOfTwo(t *testing.T) {
	t.Parallel()
	file := put(t, filepath.Join(t.TempDir(), "audit.jsonl"), `{"call":"before"}`+"\n")
	const users, calls = 4, 10
	var all sync.WaitGroup
	for program := range 2 {
		_, at := serveHTTP(t, []string{"HEFFL_SANDBOX=true", "HEFFL_MCP_STATE=:memory:", "HEFFL_MCP_AUDIT=" + file})
		for user := range users {
			all.Go(func() {
				s := connected(at)
				for i := range calls {
					called(t, s, "create_deal", string(deal(t, fmt.Sprint("Deal ", program, user, i))))
				}
			})
		}
	}
	all.Wait()
	lines := auditLines(t, file)
	ids := map[string]bool{}
	for _, l := range lines {
		ids[l.Call] = true
	}
	if want := 1 + 2*users*calls; len(lines) != want || len(ids) != want || !ids["before"] {
		t.Errorf("%d lines of %d calls, want %d: the one that was there, and one a call", len(lines), len(ids), want)
	}
}

// TestAuditCannotBeWritten holds that a call stands when its line cannot be written, and that this is said.
func TestAuditCannotBeWritten(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	a, err := openAudit(filepath.Join(t.TempDir(), "audit.jsonl"), slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	a.called(t.Context(), tools.Report{Call: "C1", Tool: "create_deal", Effect: tools.Adds, Arguments: func() string { return "" }})
	if got := log.String(); !strings.Contains(got, `"level":"ERROR"`) || !strings.Contains(got, `"call":"C1"`) {
		t.Errorf("the log of a line that cannot be written = %s, want an error with the call", got)
	}
}

// TestAuditAfterTornLine holds that a line that could not be written to its end spoils no other.
func TestAuditAfterTornLine(t *testing.T) {
	t.Parallel()
	file := put(t, filepath.Join(t.TempDir(), "audit.jsonl"), `{"call":"to`)
	a, err := openAudit(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	a.torn = true // as a full disk leaves it
	a.called(t.Context(), tools.Report{Call: "C1", Effect: tools.Adds, Arguments: func() string { return "" }})
	a.called(t.Context(), tools.Report{Call: "C2", Effect: tools.Adds, Arguments: func() string { return "" }})
	lines := strings.Split(string(read(t, file)), "\n")
	if len(lines) != 4 || lines[0] != `{"call":"to` || !strings.Contains(lines[1], `"C1"`) || !strings.Contains(lines[2], `"C2"`) {
		t.Errorf("lines after one that was torn = %q, want each on its own", lines)
	}
}
