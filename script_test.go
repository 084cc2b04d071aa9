package main

import (
	"encoding/json"
	"errors"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/internal/mcpspec"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the command line as testdata/script tells it. An environment variable EXAMPLES
// names the examples, and there are five commands besides testscript's own:
//
//	exits N program [args...]  runs a program and checks its exit code
//	heffl NAME KEY             serves a stand-in for Heffl that takes this key alone, and puts its address into the variable NAME
//	occupy NAME                listens on a free port and puts its address into the variable NAME
//	chop FILE                  takes the last byte off a file
//	answers FILE               checks that standard output has exactly one result for each request in FILE, of the protocol's form
func TestScripts(t *testing.T) {
	t.Parallel()
	p := scripts(t)
	p.Dir = "testdata/script"
	testscript.Run(t, p)
}

// scripts is how scripts are run, but for where they are.
func scripts(t *testing.T) testscript.Params {
	t.Helper()
	examples, err := filepath.Abs("examples")
	if err != nil {
		t.Fatal(err)
	}
	return testscript.Params{
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXAMPLES", examples)
			e.Setenv("HOME", e.WorkDir) // where the journal goes unless a script says otherwise
			e.Setenv("USERPROFILE", e.WorkDir)
			e.Setenv("LocalAppData", e.WorkDir)
			e.Setenv("AppData", e.WorkDir)
			e.Vars = append(e.Vars, promptRace, noKeyring)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "heffl": serveSandbox, "occupy": occupy, "chop": chop, "answers": answers,
		},
	}
}

// takes fails for a ! before a command, or for another number of arguments.
func takes(ts *testscript.TestScript, neg bool, args []string, usage string) {
	if neg || len(args) != len(strings.Fields(usage)) {
		ts.Fatalf("usage: %s", usage)
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d\nstandard output: %s\nstandard error: %s", strings.Join(args[1:], " "), got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

func serveSandbox(ts *testscript.TestScript, neg bool, args []string) {
	takes(ts, neg, args, "NAME KEY")
	sb := sandbox.New(sandbox.Options{Key: args[1]})
	srv := httptest.NewServer(sb)
	ts.Defer(func() { srv.Close(); sb.Close() })
	ts.Setenv(args[0], srv.URL+"/api/v2")
}

func occupy(ts *testscript.TestScript, neg bool, args []string) {
	takes(ts, neg, args, "NAME")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { ln.Close() })
	ts.Setenv(args[0], ln.Addr().String())
}

func chop(ts *testscript.TestScript, neg bool, args []string) {
	takes(ts, neg, args, "FILE")
	text := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text[:len(text)-1]), 0o644))
}

func answers(ts *testscript.TestScript, neg bool, args []string) {
	takes(ts, neg, args, "FILE")
	type message struct {
		ID     json.RawMessage
		Result *struct{ IsError bool }
	}
	var said mcpspec.Conversation
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		said.Sent([]byte(line))
	}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		ts.Check(said.Received([]byte(line)))
	}
	messages := func(file string) (all []message) {
		for line := range strings.Lines(ts.ReadFile(file)) {
			var m message
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				ts.Fatalf("%s has a line that is no message: %v\n%s", file, err, line)
			}
			all = append(all, m)
		}
		return all
	}
	got := map[string]int{}
	for _, m := range messages("stdout") {
		if m.ID == nil {
			continue // a notification
		}
		got[string(m.ID)]++
		if m.Result == nil || m.Result.IsError {
			ts.Fatalf("request %s was answered with an error", m.ID)
		}
	}
	want := 0
	for _, m := range messages(args[0]) {
		if m.ID == nil {
			continue
		}
		want++
		if got[string(m.ID)] != 1 {
			ts.Fatalf("request %s has %d answers, want 1", m.ID, got[string(m.ID)])
		}
	}
	if want == 0 || len(got) != want {
		ts.Fatalf("%d requests, but answers to %d", want, len(got))
	}
}

// TestSandboxStartedAgain holds that what a journal remembers of a sandbox that has ended is not in the way of what is made in
// the next one.
func TestSandboxStartedAgain(t *testing.T) {
	t.Parallel()
	var at atomic.Pointer[url.URL]
	env := upstream(t, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at.Load()) }})
	env = append(env, "HEFFL_MCP_STATE="+filepath.Join(t.TempDir(), "journal.db"))
	ids := map[any]bool{}
	for _, title := range []string{"Rollout", "Renewal"} {
		sb := start(t, nil, "sandbox", "--addr=127.0.0.1:0", "--log-format=json")
		line, err := sb.err.line(bounded(t), func(l string) bool { return strings.Contains(l, "HEFFL_BASE_URL") })
		if err != nil {
			t.Fatalf("%v; standard error:\n%s", err, sb.err.String())
		}
		address, err := url.Parse(decode(t, json.RawMessage(line))["HEFFL_BASE_URL"].(string))
		if err != nil {
			t.Fatal(err)
		}
		at.Store(address.ResolveReference(&url.URL{Path: "/"}))
		for _, want := range []string{"created", "replayed"} {
			got := untilDone(t, env, deal(t, title))
			if id, _ := got.ID.(string); got.Outcome != want || !regexp.MustCompile(`^dl_[a-z2-7]{6}_1001$`).MatchString(id) {
				t.Errorf("create_deal(%s) = %+v, want %s with the first ID of its sandbox", title, got, want)
			}
			ids[got.ID] = true
		}
		if err := sb.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-sb.ended
	}
	if len(ids) != 2 {
		t.Errorf("two sandboxes gave out the IDs %v", ids)
	}
}
