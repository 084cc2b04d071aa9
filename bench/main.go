// Bench measures heffl-mcp as its users have it: the stripped program, started as a process, beside a client that
// posts to the API itself and beside a bare mcp-go server. All take turns, so that a busy machine hurts all alike: the
// ratios are what counts.
//
//	go run ./bench                               all of it, as tables
//	go run ./bench -only stdio,start             some of it
//	go run ./bench soak -for 10m                 one program and three, under faults and kills
//	go run ./bench -write docs/performance.md    all of it, into the page
//
// It talks to this machine alone, ends by itself, and leaves nothing behind.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		os.Exit(1)
	}
}

// parts are what is measured, in the order of the report.
var parts = []struct {
	name string
	run  func(*lab, context.Context) error
}{
	{"stdio", (*lab).stdio},
	{"far", (*lab).far},
	{"http", (*lab).http},
	{"start", (*lab).begin},
	{"memory", (*lab).memory},
	{"journal", (*lab).journal},
	{"scale", (*lab).scale},
	{"hostile", (*lab).hostile},
	{"hosting", (*lab).hosting},
	{"soak", (*lab).soak},
	{"layers", (*lab).layers},
	{"profile", (*lab).profile},
}

// profileWord has this program serve, to be profiled.
const profileWord = "profiled-server"

func names() (all []string) {
	for _, p := range parts {
		all = append(all, p.name)
	}
	return all
}

// run is the program, but for the process around it.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 3 && args[0] == profileWord {
		return profiled(ctx, args[1], args[2], os.Stdin, out)
	}
	if len(args) > 0 && args[0] == "soak" {
		args = append([]string{"-only=soak"}, args[1:]...)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", strings.Join(names(), ","), "what is measured, comma separated")
	quick := flags.Bool("quick", false, "a few calls of each: shows that it works, and no figure that means anything")
	keep := flags.String("profile", "", "a file for the profile, to be looked at with go tool pprof")
	lasting := flags.Duration("for", time.Minute, "how long each soak lasts")
	write := flags.String("write", "", "a file that becomes the page of the figures")
	limit := flags.Duration("limit", 30*time.Minute, "give up after so long")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	wanted := strings.Split(*only, ",")
	for _, name := range wanted {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("there is no %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	s := full
	s.soak = *lasting
	if *quick {
		s = small
	}
	l, err := newLab(ctx, s)
	if err != nil {
		return err
	}
	l.keep, l.postgres = *keep, os.Getenv("HEFFL_MCP_TEST_POSTGRES")
	var page strings.Builder
	fmt.Fprintf(&page, "Measured on %s.\n\n", machine())
	for _, p := range parts {
		if !slices.Contains(wanted, p.name) {
			continue
		}
		if err := p.run(l, ctx); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", p.name, err), l.close())
		}
		if _, err := io.WriteString(out, l.report.String()); err != nil {
			return errors.Join(err, l.close())
		}
		page.WriteString(l.report.String())
		l.report.Reset()
	}
	if *write != "" {
		err = os.WriteFile(*write, []byte(intro+page.String()+missed), 0o644)
	}
	return errors.Join(err, l.close())
}

//go:embed page.md
var intro string

// missed is what is to be said about the figures. Who changes what is measured reads it again.
//
//go:embed missed.md
var missed string
