package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// journal measures what remembering costs.
func (l *lab) journal(ctx context.Context) error {
	off, stopOff, err := l.overStdio(ctx, "off", l.ours, l.fast.environment())
	if err != nil {
		return err
	}
	defer stopOff()
	on, stopOn, err := l.overStdio(ctx, "on", l.ours, l.fast.environment("HEFFL_MCP_STATE="+filepath.Join(l.dir, "journal.db")))
	if err != nil {
		return err
	}
	defer stopOn()
	one, err := measure(ctx, l.size.rounds, l.size.calls/4, 1, []contender{off, on})
	if err != nil {
		return err
	}
	many, err := measure(ctx, l.size.rounds, l.size.calls/4, 16, []contender{off, on})
	if err != nil {
		return err
	}
	sync, err := l.fsync()
	if err != nil {
		return err
	}
	l.report.section("The journal", "Over stdio, with `HEFFL_MCP_STATE=off` and with a file, as is the default. Before a request leaves, one fsync more; before its answer, none. Here an fsync of 4 KiB takes "+ms(sync)+".")
	l.report.table("", "off", "file", "file / off")
	for _, r := range []struct {
		what   string
		rounds [][]round
		of     func(round) float64
		unit   func(float64) string
	}{
		{"one at a time, p50", one, round.p50, ms},
		{"CPU", [][]round{{together(one[0])}, {together(one[1])}}, round.cpuOf1000, ms},
		{"16 in flight", many, round.rate, perSecond},
	} {
		l.report.row(r.what, r.unit(median(r.rounds[0], r.of)), r.unit(median(r.rounds[1], r.of)), times(ratio(r.rounds[1], r.rounds[0], r.of)))
	}
	l.report.end()
	return nil
}

// fsync is how many seconds one takes where the journals are.
func (l *lab) fsync() (float64, error) {
	f, err := os.Create(filepath.Join(l.dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var all []float64
	for range 50 {
		at := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(at).Seconds())
	}
	return middle(all), nil
}

// scale measures whether a call costs more when the journal holds much, or when there are many clients.
func (l *lab) scale(ctx context.Context) error {
	var journals []contender
	for _, name := range []string{"empty.db", "full.db"} {
		c, stop, err := l.overStdio(ctx, name, l.ours, l.fast.environment("HEFFL_MCP_STATE="+filepath.Join(l.dir, name)))
		if err != nil {
			return err
		}
		defer stop()
		journals = append(journals, c)
	}
	if _, err := turn(ctx, l.size.journal, 16, journals[1]); err != nil {
		return err
	}
	rounds, err := measure(ctx, max(l.size.rounds/3, 1), max(l.size.calls/4, 1), 1, journals)
	if err != nil {
		return err
	}
	l.report.section("Scale", fmt.Sprintf("A journal with nothing and one with %d deals in its window; one client, and %d with 100 calls in flight.", l.size.journal, l.size.clients))
	l.report.table("", "few", "many", "many / few")
	l.report.row("journal: one at a time, p50", ms(median(rounds[0], round.p50)), ms(median(rounds[1], round.p50)), times(ratio(rounds[1], rounds[0], round.p50)))
	cpu := [][]round{{together(rounds[0])}, {together(rounds[1])}}
	l.report.row("journal: CPU", ms(median(cpu[0], round.cpuOf1000)), ms(median(cpu[1], round.cpuOf1000)), times(ratio(cpu[1], cpu[0], round.cpuOf1000)))

	server, err := start(ctx, l.ours, l.fast.environment(), "http", "--addr=127.0.0.1:0")
	if err != nil {
		return err
	}
	defer server.interrupt()
	url, err := server.url(ctx)
	if err != nil {
		return err
	}
	var few, many []round
	for _, c := range []struct {
		clients, inFlight int
		into              *[]round
	}{{1, 1, &few}, {l.size.clients, min(l.size.clients, 100), &many}} {
		call, end, err := sessions(ctx, c.clients, url, overStreamable)
		if err != nil {
			return err
		}
		defer end()
		all, err := measure(ctx, max(l.size.rounds/3, 1), l.size.calls, c.inFlight, []contender{{name: "clients", call: call, proc: server}})
		if err != nil {
			return err
		}
		*c.into = []round{together(all[0])}
	}
	l.report.row("clients over Streamable HTTP: CPU", ms(few[0].cpuOf1000()), ms(many[0].cpuOf1000()), times(ratio(many, few, round.cpuOf1000)))
	l.report.end()
	return nil
}

// hostile measures how long it takes to refuse a megabyte.
func (l *lab) hostile(ctx context.Context) error {
	p, err := start(ctx, l.ours, l.fast.environment())
	if err != nil {
		return err
	}
	defer p.stop()
	c, err := overStdio(ctx, p)
	if err != nil {
		return err
	}
	const megabyte = 1 << 20
	long := strings.Repeat("x", 100)
	var unknown, misspelt strings.Builder
	for i := 0; unknown.Len() < megabyte; i++ {
		fmt.Fprintf(&unknown, `,"titel%d%s":"%s"`, i, long, long)
	}
	for i := 0; misspelt.Len() < megabyte; i++ {
		fmt.Fprintf(&misspelt, `,"titel%d":%d`, i, i)
	}
	bodies := []struct{ what, text string }{
		{"unknown properties", `{"title":"a"` + unknown.String() + `}`},
		{"many more of them", `{"title":"a"` + misspelt.String() + `}`},
		{"one property over and over", `{"title":"a"` + strings.Repeat(`,"titel":"`+long+`"`, megabyte/110) + `}`},
		{"values that ask to be repaired", `{"title":"a","tags":"` + strings.Repeat("9", 60) + `","products":[` + strings.TrimSuffix(strings.Repeat(`{"name":"a","quantity":"1","price":"2","discount":"0"},`, 1900), ",") + `],"cf_x":"` + strings.Repeat(long, megabyte/100-1000) + `"}`},
		{"one list of words", `{"title":"a","tags":["` + strings.Repeat(long+`","`, megabyte/103) + `"]}`},
		{"nested", `{"title":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"name":"` + strings.Repeat(long, megabyte/100-200) + `"}`},
		{"one number", `{"price":` + strings.Repeat("9", megabyte) + `}`},
		{"one text", `{"title":"` + strings.Repeat(long, megabyte/100) + `","clientId":"` + long + `","pipelineId":7}`},
	}
	l.report.section("Hostile input", "Arguments of 1 MB over stdio, from the first byte to the refusal. The median of three.")
	l.report.table("", "heffl-mcp", "target")
	for _, b := range bodies {
		var all []float64
		for range 3 {
			at := time.Now()
			reply, err := c.ask(ctx, "tools/call", createDeal([]byte(b.text)))
			if err != nil {
				return err
			}
			all = append(all, time.Since(at).Seconds())
			if !bytes.Contains(reply, []byte(`"isError":true`)) && !bytes.Contains(reply, []byte(`"error":`)) {
				return fmt.Errorf("%s were not refused: %.300s", b.what, reply)
			}
		}
		l.report.row(b.what, ms(middle(all)), most(20).says(middle(all)*1e3))
	}
	l.report.end()
	return nil
}

var benchmark = regexp.MustCompile(`^Benchmark(\S+?)-\d+\s+\d+\s+([\d.]+) ns/op(?:.*?\s(\d+) B/op\s+(\d+) allocs/op)?`)

// layers runs the benchmarks of the packages.
func (l *lab) layers(ctx context.Context) error {
	l.report.section("Layer by layer", "The Go benchmarks of the packages, in process: `go test -bench . ./...` has them all.")
	l.report.table("layer", "benchmark", "time", "bytes", "allocations")
	for _, layer := range []struct{ name, pkg, bench string }{
		{"guard", "schema", "^BenchmarkGuard$"},
		{"validate", "tools", "^BenchmarkCheckDeal$"},
		{"refuse 1 MB", "schema", "^BenchmarkHostile$"},
		{"repair", "schema", "^BenchmarkRepair$"},
		{"repair 1 MB", "schema", "^BenchmarkRepairHostile$"},
		{"resolve", "workspace", "^BenchmarkResolve$"},
		{"journal", "journal", "^BenchmarkClaimDone$"},
		{"client", "heffl", "^BenchmarkCreateDeal$"},
		{"stdio", "serve", "^BenchmarkStdio$/^ours"},
		{"all but Heffl", "bench", "^BenchmarkOwn$"},
		{"whole call", "tools", "^BenchmarkCreateDeal$/^off|sqlite$"},
	} {
		args := []string{"test", "-run=^$", "-bench=" + layer.bench, "-benchmem", "-benchtime=" + l.size.benchtime, "heffl-mcp/" + layer.pkg}
		out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		found := false
		for line := range strings.Lines(string(out)) {
			m := benchmark.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			found = true
			var ns float64
			if _, err := fmt.Sscan(m[2], &ns); err != nil {
				return err
			}
			l.report.row(layer.name, m[1], ms(ns/1e9), m[3], m[4])
		}
		if !found {
			return fmt.Errorf("go %s ran no benchmark:\n%s", strings.Join(args, " "), out)
		}
	}
	l.report.end()
	return nil
}

// hosting measures a call beside what a server for many has to stand: idle streams, readers that do not read, and a body
// of 100 MB.
func (l *lab) hosting(ctx context.Context) error {
	tokens := filepath.Join(l.dir, "tokens")
	var all []string
	for i := range 4 { // one client may open only half of the streams
		all = append(all, fmt.Sprintf("bench-token-%d-%s", i, strings.Repeat("x", 16)))
	}
	if err := os.WriteFile(tokens, []byte(strings.Join(all, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	server, err := start(ctx, l.ours, l.fast.environment("HEFFL_MCP_TOKEN_FILE="+tokens), "http", "--addr=127.0.0.1:0")
	if err != nil {
		return err
	}
	defer server.interrupt()
	url, err := server.url(ctx)
	if err != nil {
		return err
	}
	as := func(i int) http.Header { return http.Header{"Authorization": {"Bearer " + all[i%len(all)]}} }
	call, end, err := overStreamable(ctx, url, as(0))
	if err != nil {
		return err
	}
	defer end()
	l.report.section("Beside others", "One client's calls over Streamable HTTP while others do what they should not. Each line has all that is above it.")
	l.report.table("beside", "p50", "p99", "memory")
	line := func(what string) error {
		rounds, err := measure(ctx, max(l.size.rounds/5, 1), l.size.calls, 1, []contender{{name: what, call: call, proc: server}})
		if err != nil {
			return err
		}
		rss, err := server.status("VmRSS")
		if err != nil {
			return err
		}
		r := together(rounds[0])
		l.report.row(what, ms(r.p50()), ms(r.p(99)), mib(rss))
		return nil
	}
	if err := line("nobody"); err != nil {
		return err
	}
	beside, stop := context.WithCancel(ctx)
	defer stop()
	t := &http.Transport{}
	defer t.CloseIdleConnections()
	for i := range l.size.clients {
		stream, err := openSSE(beside, &http.Client{Transport: t}, url, as(i))
		if err != nil {
			return err
		}
		defer stream.Close()
	}
	if err := line(fmt.Sprintf("%d idle SSE streams", l.size.clients)); err != nil {
		return err
	}
	var deaf []net.Conn
	hangUp := func() {
		for _, c := range deaf {
			_ = c.Close() // the program's side of it is what counts
		}
	}
	defer hangUp()
	for i := range min(l.size.clients, 32) {
		conn, err := askAndNotRead(ctx, url, as(i))
		if err != nil {
			return err
		}
		deaf = append(deaf, conn)
	}
	if err := line(fmt.Sprintf("%d readers that do not read", len(deaf))); err != nil {
		return err
	}
	refused := make(chan error, 1)
	go func() { refused <- tooLarge(beside, url, as(1)) }()
	if err := line("a body of 100 MB"); err != nil {
		return err
	}
	if err := <-refused; err != nil {
		return err
	}
	stop()
	hangUp()
	if err := line("nobody again"); err != nil {
		return err
	}
	l.report.end()
	return nil
}
