package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// build makes a program as it is released: stripped, and without cgo. It is the package of a folder of this module, or of
// the module that has that folder to itself.
func build(ctx context.Context, dir, folder, name string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "heffl-mcp").Output()
	if err != nil {
		return "", fmt.Errorf("the module is not here: go list -m heffl-mcp: %w", err)
	}
	path := filepath.Join(dir, name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	cmd.Dir = filepath.Join(strings.TrimSpace(string(root)), filepath.FromSlash(folder))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build in %s: %w\n%s", folder, err, out)
	}
	return path, nil
}

// A program is a process that is measured. It sees no environment but its own.
type program struct {
	*exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	log    tail
	exited chan struct{}
}

// start starts a program. It ends with ctx, or when it is stopped.
func start(ctx context.Context, path string, env []string, args ...string) (*program, error) {
	p := &program{Cmd: exec.CommandContext(ctx, path, args...), exited: make(chan struct{})}
	p.Env = append([]string{"HOME=" + filepath.Dir(path)}, env...)
	p.Dir = filepath.Dir(path)
	p.log.more = make(chan struct{})
	p.Stderr = &p.log
	in, err := p.StdinPipe()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe() // StdoutPipe would be closed by Wait before all of it is read
	if err != nil {
		return nil, err
	}
	p.Stdout = w
	p.in, p.out = in, bufio.NewReaderSize(r, 64<<10)
	err = p.Start()
	_ = w.Close() // the process has its own
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	go func() {
		_ = p.Wait() // how it ended is in ProcessState
		close(p.exited)
	}()
	context.AfterFunc(ctx, func() { _ = r.Close() })
	return p, nil
}

// stop ends the program as its client does, by closing its input, and by force where that is not enough.
func (p *program) stop() {
	_ = p.in.Close()
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		p.kill()
	}
}

// interrupt asks a program that serves HTTP to end.
func (p *program) interrupt() {
	_ = p.Process.Signal(os.Interrupt)
	p.stop()
}

func (p *program) kill() {
	_ = p.Process.Kill() // it may have ended by itself
	<-p.exited
}

var served = regexp.MustCompile(`url=(http://[\d.:]+)/mcp`)

// url is where a program that serves HTTP says it does.
func (p *program) url(ctx context.Context) (string, error) {
	for {
		text, more := p.log.read()
		if m := served.FindStringSubmatch(text); m != nil {
			return m[1], nil
		}
		select {
		case <-more:
		case <-p.exited:
			return "", fmt.Errorf("%s has ended: %s", p.Path, text)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// A tail keeps the first of what a program logs.
type tail struct {
	mu   sync.Mutex
	text []byte
	more chan struct{} // closed at the next Write
}

const maxLog = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p[:min(len(p), maxLog-len(t.text))]...)
	close(t.more)
	t.more = make(chan struct{})
	return len(p), nil
}

func (t *tail) read() (string, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text), t.more
}

// machine says what is measured on.
func machine() string {
	processor := runtime.GOARCH
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.+)`).FindSubmatch(raw); m != nil {
			processor = string(m[1])
		}
	}
	load := ""
	if raw, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(raw), " ")
		load = ", while the load average was " + load
	}
	return fmt.Sprintf("%d processors (%s), %s/%s, %s, on %s%s", runtime.NumCPU(), processor, runtime.GOOS, runtime.GOARCH, runtime.Version(), time.Now().UTC().Format(time.DateOnly), load)
}

var errNoProc = errors.New("what a process uses is read from /proc, which there is on Linux alone")

// cpu is the processor time that the program has used so far, in steps of 10 ms.
func (p *program) cpu() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
	if err != nil {
		return 0, errNoProc
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // the name before it may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errNoProc
	}
	var ticks int
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, errNoProc
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil
}

// status is a number from /proc/PID/status: VmRSS and VmHWM in KiB, and others.
func (p *program) status(name string) (int, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		return 0, errNoProc
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.Atoi(strings.Fields(value)[0])
		}
	}
	return 0, errNoProc
}

// files is how many files the program has open.
func (p *program) files() (int, error) {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Process.Pid))
	if err != nil {
		return 0, errNoProc
	}
	return len(all), nil
}
