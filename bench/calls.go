package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// A lab is what is measured, and where. All of it goes with close.
type lab struct {
	dir        string
	ours, bare string // programs
	fast, slow *upstream
	size       size
	keep       string // where a profile is to go; empty: nowhere
	postgres   string // URL of a database for the soak; empty: none
	report     *report
}

// A size is how much is done of each thing.
type size struct {
	rounds, calls, starts, journal, clients int
	benchtime                               string
	soak, kill                              time.Duration
}

var (
	full  = size{rounds: 15, calls: 400, starts: 40, journal: 10_000, clients: 200, benchtime: "300ms", soak: time.Minute, kill: 3 * time.Second}
	small = size{rounds: 1, calls: 4, starts: 1, journal: 8, clients: 4, benchtime: "1x", soak: time.Second, kill: 600 * time.Millisecond} // only whether it works
)

func newLab(ctx context.Context, s size) (_ *lab, err error) {
	l := &lab{size: s, report: new(report)}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.dir, err = os.MkdirTemp("", "heffl-mcp-bench"); err != nil {
		return l, err
	}
	if l.ours, err = build(ctx, l.dir, "", "heffl-mcp"); err != nil {
		return l, err
	}
	if l.bare, err = build(ctx, l.dir, "bench/bare", "bare"); err != nil {
		return l, err
	}
	if l.fast, err = newUpstream(ctx, 0); err != nil {
		return l, err
	}
	l.slow, err = newUpstream(ctx, 20*time.Millisecond)
	return l, err
}

func (l *lab) close() error {
	var errs []error
	for _, u := range []*upstream{l.fast, l.slow} {
		if u != nil {
			errs = append(errs, u.close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}

// environment is that of our program: as its users have it, but that nothing is remembered or looked for, unless more
// says so. The later of two settings counts.
func (u *upstream) environment(more ...string) []string {
	return append([]string{"HEFFL_API_KEY=bench-key", "HEFFL_BASE_URL=" + u.url, "HEFFL_MCP_STATE=off", "HEFFL_MCP_DUPLICATE_CHECK=off"}, more...)
}

// pair starts both programs over stdio: bare, then ours.
func (l *lab) pair(ctx context.Context, u *upstream) (_ []contender, stop func(), err error) {
	bare, stopBare, err := l.overStdio(ctx, "bare", l.bare, []string{"BARE_UPSTREAM=" + u.url})
	if err != nil {
		return nil, nil, err
	}
	ours, stopOurs, err := l.overStdio(ctx, "heffl-mcp", l.ours, u.environment())
	if err != nil {
		stopBare()
		return nil, nil, err
	}
	return []contender{bare, ours}, func() { stopBare(); stopOurs() }, nil
}

func (l *lab) overStdio(ctx context.Context, name, path string, env []string) (contender, func(), error) {
	p, err := start(ctx, path, env)
	if err != nil {
		return contender{}, nil, err
	}
	c, err := overStdio(ctx, p)
	if err != nil {
		p.kill()
		return contender{}, nil, err
	}
	return contender{name, c.call, p}, p.stop, nil
}

// stdio measures calls over stdio: one at a time and 16 at once, with a Heffl that answers at once and one that takes
// 20 ms.
func (l *lab) stdio(ctx context.Context) error {
	pair, stop, err := l.pair(ctx, l.fast)
	if err != nil {
		return err
	}
	defer stop()
	post, close := direct(l.fast.url, 16)
	defer close()
	all := append(pair, contender{name: "direct", call: post})
	one, err := measure(ctx, l.size.rounds, l.size.calls, 1, all)
	if err != nil {
		return err
	}
	many, err := measure(ctx, l.size.rounds, l.size.calls, 16, all)
	if err != nil {
		return err
	}
	l.report.section("Over stdio", "`create_deal` with 12 fields, 3 line items and 3 custom fields, IDs given. Heffl answers at once. CPU is the program's own, for 1,000 calls.")
	l.head()
	l.compare("one at a time, p50", one, round.p50, ms, most(1))
	for _, p := range []int{90, 99} {
		of := func(r round) float64 { return r.p(p) }
		l.compare("p"+strconv.Itoa(p), [][]round{{together(one[0])}, {together(one[1])}, {together(one[2])}}, of, ms, goal{})
	}
	l.compare("CPU", [][]round{{together(one[0])}, {together(one[1])}, {together(one[2])}}, round.cpuOf1000, ms, most(0.95))
	l.compare("16 in flight", many, round.rate, perSecond, least(1.1))
	l.compare("CPU, 16 in flight", [][]round{{together(many[0])}, {together(many[1])}, {together(many[2])}}, round.cpuOf1000, ms, goal{})
	l.report.end()
	return nil
}

func (l *lab) head() {
	l.report.table("", "direct", "bare", "heffl-mcp", "heffl-mcp / bare", "target")
}

// compare adds a row of figures of bare, ours and, if it is there, direct.
func (l *lab) compare(what string, rounds [][]round, of func(round) float64, unit func(float64) string, g goal) {
	to := ""
	if len(rounds) > 2 {
		if v := median(rounds[2], of); v > 0 {
			to = unit(v)
		}
	}
	is := ratio(rounds[1], rounds[0], of)
	l.report.row(what, to, unit(median(rounds[0], of)), unit(median(rounds[1], of)), times(is), g.says(is))
}

// far measures 16 calls at once with a Heffl that takes 20 ms.
func (l *lab) far(ctx context.Context) error {
	pair, stop, err := l.pair(ctx, l.slow)
	if err != nil {
		return err
	}
	defer stop()
	post, close := direct(l.slow.url, 16)
	defer close()
	all, err := measure(ctx, max(l.size.rounds/3, 1), l.size.calls, 16, append(pair, contender{name: "direct", call: post}))
	if err != nil {
		return err
	}
	l.report.section("Over stdio, 20 ms from Heffl", "16 in flight. mcp-go's own stdio server runs five calls at once.")
	l.report.table("", "direct", "bare", "heffl-mcp", "heffl-mcp / direct", "target")
	is := ratio(all[1], all[2], round.rate)
	l.report.row("calls", perSecond(median(all[2], round.rate)), perSecond(median(all[0], round.rate)), perSecond(median(all[1], round.rate)), times(is), least(0.97).says(is))
	l.report.end()
	return nil
}

// http measures 16 sessions over Streamable HTTP and SSE.
func (l *lab) http(ctx context.Context) error {
	bare, err := start(ctx, l.bare, []string{"BARE_UPSTREAM=" + l.fast.url}, "http")
	if err != nil {
		return err
	}
	defer bare.kill() // it knows no other end
	ours, err := start(ctx, l.ours, l.fast.environment(), "http", "--addr=127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ours.interrupt()
	l.report.section("Over HTTP", "16 sessions, each with a connection of its own and one call at a time.")
	l.head()
	for _, way := range []struct {
		name string
		open func(context.Context, string, http.Header) (caller, func(), error)
	}{{"Streamable HTTP", overStreamable}, {"HTTP+SSE", overSSE}} {
		all := []contender{{name: "bare", proc: bare}, {name: "heffl-mcp", proc: ours}}
		for i, p := range []*program{bare, ours} {
			url, err := p.url(ctx)
			if err != nil {
				return err
			}
			call, end, err := sessions(ctx, 16, url, way.open)
			if err != nil {
				return err
			}
			defer end()
			all[i].call = call
		}
		rounds, err := measure(ctx, l.size.rounds, l.size.calls, 16, all)
		if err != nil {
			return err
		}
		l.compare(way.name, rounds, round.rate, perSecond, least(1))
		l.compare("p50", rounds, round.p50, ms, goal{})
		l.compare("CPU", [][]round{{together(rounds[0])}, {together(rounds[1])}}, round.cpuOf1000, ms, goal{})
	}
	l.report.end()
	return nil
}

// sessions is a caller that uses so many sessions, each for one call at a time.
func sessions(ctx context.Context, n int, url string, open func(context.Context, string, http.Header) (caller, func(), error)) (caller, func(), error) {
	free := make(chan caller, n)
	var ends []func()
	end := func() {
		for _, e := range ends {
			e()
		}
	}
	for range n {
		call, e, err := open(ctx, url, http.Header{})
		if err != nil {
			end()
			return nil, nil, err
		}
		ends = append(ends, e)
		free <- call
	}
	return func(ctx context.Context) error {
		call := <-free
		defer func() { free <- call }()
		return call(ctx)
	}, end, nil
}

// begin measures from exec to the answer to initialize.
func (l *lab) begin(ctx context.Context) error {
	took := map[string][]float64{}
	state := "HEFFL_MCP_STATE=" + filepath.Join(l.dir, "start.db")
	for range l.size.starts + 1 {
		for _, c := range []struct {
			name, path string
			env        []string
		}{
			{"bare", l.bare, []string{"BARE_UPSTREAM=" + l.fast.url}},
			{"heffl-mcp", l.ours, l.fast.environment(state)},
		} {
			at := time.Now()
			p, err := start(ctx, c.path, c.env)
			if err != nil {
				return err
			}
			_, err = overStdio(ctx, p)
			took[c.name] = append(took[c.name], time.Since(at).Seconds())
			p.kill()
			if err != nil {
				return err
			}
		}
	}
	bare, ours := took["bare"][1:], took["heffl-mcp"][1:] // the first reads them from the disk
	is := middle(ours) / middle(bare)
	l.report.section("Start", "From exec to the answer to `initialize`, with the journal, the sandbox and HTTP linked in.")
	l.head()
	l.report.row("median", "", ms(middle(bare)), ms(middle(ours)), times(is), most(1.1).says(is))
	l.report.end()
	return nil
}

// memory measures what is resident when nothing has happened yet and after 5,000 calls, and the size of the program.
func (l *lab) memory(ctx context.Context) error {
	pair, stop, err := l.pair(ctx, l.fast)
	if err != nil {
		return err
	}
	defer stop()
	// What goes on behind the answer to initialize is part of the start.
	select {
	case <-time.After(time.Duration(l.size.starts) * 50 * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	var idle, own, peak [2]int
	for i, c := range pair {
		if idle[i], err = c.proc.status("VmRSS"); err != nil {
			return err
		}
		if own[i], err = c.proc.status("RssAnon"); err != nil {
			return err
		}
		if _, err := measure(ctx, 1, l.size.calls*13/2, 1, pair[i:i+1]); err != nil { // of 2 rounds, one to warm up
			return err
		}
		if peak[i], err = c.proc.status("VmHWM"); err != nil {
			return err
		}
	}
	binary, err := os.Stat(l.ours)
	if err != nil {
		return err
	}
	bare, err := os.Stat(l.bare)
	if err != nil {
		return err
	}
	l.report.section("Memory and size", "Resident memory, and the stripped program.")
	l.report.table("", "bare", "heffl-mcp", "target")
	inMiB := func(kib int) float64 { return float64(kib) / 1024 }
	l.report.row("idle", mib(idle[0]), mib(idle[1]), most(15).says(inMiB(idle[1])))
	l.report.row("idle, without the program's file", mib(own[0]), mib(own[1]), "")
	l.report.row("peak, 5,000 calls", mib(peak[0]), mib(peak[1]), most(22).says(inMiB(peak[1])))
	l.report.row("program", mib(int(bare.Size()>>10)), mib(int(binary.Size()>>10)), most(25).says(inMiB(int(binary.Size()>>10))))
	l.report.end()
	return nil
}
