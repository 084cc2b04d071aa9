package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"heffl-mcp/heffl/sandbox"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the files that scripts compare with")

// TestMain gives scripts the command heffl-mcp, and tests a place for what they build.
func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"heffl-mcp": main})
}

type suite struct{ *testing.M }

// scratch is a directory for all tests together.
var scratch string

func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "heffl-mcp-test")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	scratch = dir
	flag.Parse()
	if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue {
		_ = n.Value.Set("16") // programs and their clocks are waited for more than the processors are
	}
	return s.M.Run()
}

// build makes the program as its users have it, with the race detector if this test has it.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "heffl-mcp")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	args := []string{"build", "-o", path}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// promptRace spares a program with the race detector its second of sleep at the end. A race that it has
// found makes it exit with 66.
const promptRace = "GORACE=atexit_sleep_ms=0"

// noKeyring keeps tests from the keyring of who runs them.
const noKeyring = "HEFFL_MCP_KEYRING=off"

// patience bounds each thing that a test waits for. Nothing is expected to come near it.
const patience = time.Minute

// bounded outlives the test's own context, so that what a test started can be stopped in order.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	return ctx
}

// command is the program with these arguments and this environment, and nothing of the test's own. Unless
// the environment names a journal, it has one of its own.
func command(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(bounded(t), path, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{promptRace, noKeyring, "HEFFL_MCP_STATE=" + filepath.Join(cmd.Dir, "journal.db")}, env...)
	return cmd
}

// A program is one that runs.
type program struct {
	*exec.Cmd
	in       io.WriteCloser
	out, err capture
	ended    chan struct{} // closed when it has exited and all of out and err is there
}

func start(t testing.TB, env []string, args ...string) *program {
	t.Helper()
	return launch(t, command(t, env, args...))
}

func launch(t testing.TB, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{Cmd: cmd, ended: make(chan struct{})}
	p.out.ended, p.err.ended = p.ended, p.ended
	p.Stdout, p.Stderr = &p.out, &p.err
	var err error
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.ended); _ = p.Wait() }()
	t.Cleanup(func() { _ = p.Process.Kill(); <-p.ended })
	return p
}

// terminate asks the program to stop, as an operator or a client would.
func (p *program) terminate(t testing.TB) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGTERM")
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the program and fails unless its exit code is want.
func (p *program) exit(t testing.TB, want int) {
	t.Helper()
	<-p.ended // its command's context bounds that
	if got := p.ProcessState.ExitCode(); got != want {
		t.Errorf("exit code %d (%v), want %d; standard error:\n%s", got, p.ProcessState, want, p.err.String())
	}
}

// A capture keeps what is written to it, and hands it out by the line.
type capture struct {
	ended <-chan struct{} // closed when nothing more comes

	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{} // closed at the next Write; nil while nobody waits for that
}

func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more != nil {
		close(c.more)
		c.more = nil
	}
	return c.buf.Write(p)
}

func (c *capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// lines returns the whole lines so far, and a channel that tells of more.
func (c *capture) lines() ([]string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more == nil {
		c.more = make(chan struct{})
	}
	lines := strings.SplitAfter(c.buf.String(), "\n")
	return lines[:len(lines)-1], c.more
}

// line waits for the first line that is wanted.
func (c *capture) line(ctx context.Context, wanted func(string) bool) (string, error) {
	for over := false; ; {
		lines, more := c.lines()
		if i := slices.IndexFunc(lines, wanted); i >= 0 {
			return lines[i], nil
		}
		if over {
			return "", io.ErrUnexpectedEOF
		}
		select {
		case <-more:
		case <-c.ended:
			over = true // what came last has not been looked at yet
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// upstream serves h as if it were Heffl, and returns the environment of a program that uses it.
func upstream(t testing.TB, h http.Handler) []string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return []string{"HEFFL_API_KEY=test-key", "HEFFL_BASE_URL=" + srv.URL + "/api/v2"}
}

// nobody is an address at which nobody listens. That of a server which was closed may be another's by now.
const nobody = "http://127.0.0.1:1"

// newSandbox is a stand-in for Heffl that counts no requests against a limit.
func newSandbox(t testing.TB, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	o.RateLimit = -1
	sb := sandbox.New(o)
	t.Cleanup(func() { _ = sb.Close() })
	return sb
}

// ofDeals are the requests to read or make deals: what else there is, the program may read at any
// time.
func ofDeals(sb *sandbox.Sandbox) []sandbox.Request {
	return slices.DeleteFunc(sb.Requests(), func(r sandbox.Request) bool { return !strings.HasSuffix(r.Path, "/deals") })
}

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
