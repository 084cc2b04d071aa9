package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"

	"heffl-mcp/heffl"
	"heffl-mcp/serve"
	"heffl-mcp/tools"
)

// profiled serves over stdio as heffl-mcp does, and writes a profile of it when its input has ended. It is a process of
// its own, so that nothing of the bench is in the profile; the real program has no way to make one.
func profiled(ctx context.Context, url, to string, in io.Reader, out io.Writer) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	m, err := tools.NewServer(tools.Deps{
		Heffl:              &heffl.Client{BaseURL: url, Key: "bench-key", Budget: new(heffl.Budget)},
		Log:                slog.New(slog.NewTextHandler(os.Stderr, nil)),
		SkipDuplicateCheck: true,
		Awaited:            serve.Awaited,
	})
	if err == nil {
		err = m.Learn(ctx)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	err = (&serve.Stdio{MCP: m.MCPServer, Tools: m}).Serve(ctx, in, out)
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}

// profile shows where the processor time of a call goes.
func (l *lab) profile(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	to := filepath.Join(l.dir, "cpu.pprof")
	p, err := start(ctx, self, nil, profileWord, l.fast.url, to)
	if err != nil {
		return err
	}
	defer p.stop()
	c, err := overStdio(ctx, p)
	if err != nil {
		return err
	}
	if _, err := measure(ctx, l.size.rounds, l.size.calls, 16, []contender{{name: "profiled", call: c.call}}); err != nil {
		return err
	}
	p.stop()
	if l.keep != "" {
		raw, err := os.ReadFile(to)
		if err != nil {
			return err
		}
		if err := os.WriteFile(l.keep, raw, 0o600); err != nil {
			return err
		}
	}
	// The packages that one knows, with all that they call; of the runtime, memory and scheduling.
	top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount=45",
		`-show=^(heffl-mcp/|github\.com/|net/http\.|encoding/json\.|log/slog\.|runtime\.(mallocgc|gcBgMarkWorker|bgsweep|schedule)$)`, to).Output()
	if err != nil {
		return err
	}
	var text strings.Builder
	for line := range strings.Lines(string(top)) {
		const width = 120 // the names of generic functions are longer than anybody wants to know
		line = strings.TrimSuffix(line, "\n")
		text.WriteString(line[:min(len(line), width)] + "\n")
	}
	l.report.section("Where the time goes", "A profile of calls over stdio, 16 in flight, of heffl-mcp alone.\n\n```\n"+text.String()+"```")
	return nil
}
