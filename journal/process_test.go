package journal_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heffl-mcp/journal"

	"github.com/google/go-cmp/cmp"
)

// The test binary is also the other process: with this variable set to a DSN it does what it reads on standard input.
const childEnv = "HEFFL_MCP_JOURNAL_CHILD"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childEnv); dsn != "" {
		if err := child(dsn, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// becomeNobody gives up root's rights, where there is such a thing.
var becomeNobody = func() error { return errors.ErrUnsupported }

type order struct {
	Do          string // a method of Journal or Claim; or else see obey
	Fingerprint string
	Ref         string
}

type report struct {
	Verdict journal.Verdict `json:",omitempty"`
	ID      string          `json:",omitempty"`
	Lost    bool            `json:",omitempty"`
	Error   string          `json:",omitempty"`
}

func child(dsn string, in io.Reader, out io.Writer) error {
	j, err := journal.New(dsn, journal.Options{})
	if err != nil {
		return err
	}
	claims := make(map[string]*journal.Claim) // by fingerprint
	orders, reports := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		switch err := orders.Decode(&o); {
		case errors.Is(err, io.EOF):
			return j.Close()
		case err != nil:
			return err
		}
		var r report
		err := obey(j, claims, o, reports)
		if c := claims[o.Fingerprint]; c != nil {
			r.Verdict, r.ID = c.Verdict, c.Record.ID
		}
		if err != nil {
			r.Error, r.Lost = err.Error(), errors.Is(err, journal.ErrLost)
		}
		if err := reports.Encode(r); err != nil {
			return err
		}
	}
}

func obey(j *journal.Journal, claims map[string]*journal.Claim, o order, reports *json.Encoder) (err error) {
	ctx := context.Background()
	c := claims[o.Fingerprint]
	switch o.Do {
	case "Check":
		return j.Check(ctx)
	case "Claim":
		claims[o.Fingerprint], err = j.Claim(ctx, intent(o.Fingerprint))
	case "Claim for a message": // by other arguments than any other process
		in := intent(fmt.Sprint(o.Fingerprint, " as ", os.Getpid(), " words it"))
		in.Origin = o.Fingerprint
		claims[o.Fingerprint], err = j.Claim(ctx, in)
	case "Sending":
		return c.Sending(ctx, lease)
	case "Extend":
		return c.Extend(ctx, lease)
	case "Done":
		return c.Done(ctx, o.Ref, []byte("{}"), "sent", true)
	case "Refused":
		return c.Refused(ctx, nil)
	case "Ended":
		return c.Ended(ctx, time.Now(), journal.Failed)
	case "Release":
		return c.Release(ctx)
	case "become nobody":
		return becomeNobody()
	case "mark": // what strace sees between the calls
		_, _ = os.Stat("/mark/" + o.Ref)
	case "spin": // claims and finishes one after the other, and reports each step, until it is killed
		for i := 0; ; i++ {
			c, err := j.Claim(ctx, intent(fmt.Sprintf("%s-%d", o.Fingerprint, i)))
			if err != nil {
				return err
			}
			if err := reports.Encode(report{Verdict: c.Verdict, ID: c.Record.ID}); err != nil {
				return err
			}
			if err := c.Done(ctx, c.Record.ID, nil, "sent", true); err != nil {
				return err
			}
			if err := reports.Encode(report{Verdict: journal.Done, ID: c.Record.ID}); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("no such order: %q", o.Do)
	}
	return err
}

// process is a child that runs.
type process struct {
	tb      testing.TB
	cmd     *exec.Cmd
	orders  *json.Encoder
	reports *json.Decoder
	stdin   io.Closer
}

// start runs a child; wrap, if any, is the command that runs it.
func start(tb testing.TB, dsn string, wrap ...string) *process {
	tb.Helper()
	args := append(wrap, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...) // ends with its standard input, in the clean-up
	cmd.Env = append(os.Environ(), childEnv+"="+dsn)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	ok(tb, err)
	stdout, err := cmd.StdoutPipe()
	ok(tb, err)
	ok(tb, cmd.Start())
	p := &process{tb, cmd, json.NewEncoder(stdin), json.NewDecoder(bufio.NewReader(stdout)), stdin}
	tb.Cleanup(func() {
		if cmd.ProcessState == nil {
			stdin.Close()
			if err := cmd.Wait(); err != nil {
				tb.Errorf("child: %v", err)
			}
		}
	})
	return p
}

func (p *process) do(what, fingerprint, ref string) report {
	p.tb.Helper()
	r := p.try(what, fingerprint, ref)
	if r.Error != "" {
		p.tb.Errorf("%s(%s) in another process: %s", what, fingerprint, r.Error)
	}
	return r
}

func (p *process) try(what, fingerprint, ref string) (r report) {
	p.tb.Helper()
	if err := p.orders.Encode(order{what, fingerprint, ref}); err != nil {
		p.tb.Errorf("child: %v", err)
	} else if err := p.reports.Decode(&r); err != nil {
		p.tb.Errorf("child: %v", err)
	}
	return r
}

// kill is kill -9.
func (p *process) kill() {
	p.tb.Helper()
	ok(p.tb, p.cmd.Process.Kill())
	if err := p.cmd.Wait(); err == nil {
		p.tb.Error("a killed child ended well")
	}
}

// together has all do the same at once.
func together(processes []*process, what, fingerprint string) []report {
	reports := make([]report, len(processes))
	var all sync.WaitGroup
	for i, p := range processes {
		all.Go(func() { reports[i] = p.do(what, fingerprint, "") })
	}
	all.Wait()
	return reports
}

// Six processes begin with a database that is not there, and then have the same intents; and then intents that differ, but for
// the same message.
func TestProcessesAtOnce(t *testing.T) {
	onSharedEngines(t, func(t *testing.T, dsn string) {
		var processes []*process
		for range 6 {
			processes = append(processes, start(t, dsn))
		}
		together(processes, "Check", "") // each may find the schema missing; one makes it
		for round := range 40 {
			f, do := fmt.Sprint(round), "Claim"
			if round%2 == 1 {
				do = "Claim for a message"
			}
			counts := make(map[journal.Verdict]int)
			ids := make(map[string]bool)
			for i, r := range together(processes, do, f) {
				counts[r.Verdict]++
				ids[r.ID] = true
				if r.Verdict == journal.Fresh {
					processes[i].do("Done", f, "dl_"+f)
				}
			}
			if diff := cmp.Diff(map[journal.Verdict]int{journal.Fresh: 1, journal.Busy: 5}, counts); diff != "" {
				t.Errorf("six processes at once, round %d (-want +got):\n%s", round, diff)
			}
			if len(ids) != 1 {
				t.Errorf("round %d: six equal claims are of %d records, want 1", round, len(ids))
			}
			for _, r := range together(processes, do, f) {
				if r.Verdict != journal.Done || !ids[r.ID] {
					t.Errorf("round %d, once it is done: %+v", round, r)
				}
			}
		}
	})
}

func TestKilledClaimant(t *testing.T) {
	onSharedEngines(t, func(t *testing.T, dsn string) {
		var later atomic.Int64
		j := openWith(t, dsn, journal.Options{Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }})
		ok(t, j.Check(t.Context())) // opens it, so that PostgreSQL's clock doesn't correct what comes

		p := start(t, dsn)
		sent := p.do("Claim", "f", "")
		p.kill()

		claim(t, j, intent("f"), journal.Busy)
		later.Store(int64(lease + time.Second))
		c := claim(t, j, intent("f"), journal.Unclear)
		if r := c.Record; r.ID != sent.ID || r.Attempts != 1 || !r.SentAt.Equal(r.Created) || !r.GaveUpAt.IsZero() || r.Ending != "" {
			t.Errorf("the record of a killed claimant = %+v", r)
		}

		// One that died looking is not waited for as long as one that died sending.
		p = start(t, dsn)
		p.do("Claim", "looking", "")
		p.do("Ended", "looking", "")
		p.kill()
		later.Add(int64(look + time.Second))
		c = claim(t, j, intent("looking"), journal.Unclear)
		if r := c.Record; r.GaveUpAt.IsZero() || r.Ending != journal.Failed {
			t.Errorf("the record of a claimant that was killed looking = %+v", r)
		}

		// A claimant that was thought dead.
		p = start(t, dsn)
		p.do("Claim", "slow", "")
		later.Add(int64(lease + time.Second))
		c = claim(t, j, intent("slow"), journal.Unclear)
		if r := p.try("Sending", "slow", ""); !r.Lost {
			t.Errorf("Sending in the process that lost its claim = %+v, want ErrLost", r)
		}
		ok(t, c.Done(t.Context(), "dl_1", nil, "recovered", true))
	})
}

// Who finds what another process has made need not wait for its lease, whether that process is dead or not.
func TestStandInForAProcess(t *testing.T) {
	onSharedEngines(t, func(t *testing.T, dsn string) {
		j := openWith(t, dsn, journal.Options{})
		p := start(t, dsn)
		p.do("Claim", "alive", "")
		ok(t, claim(t, j, intent("alive"), journal.Busy).Done(t.Context(), "dl_1", nil, "recovered", true))
		if r := p.try("Done", "alive", "dl_1"); !r.Lost {
			t.Errorf("Done in the process that was stood in for = %+v, want ErrLost", r)
		}
		p.do("Claim", "dead", "")
		p.kill()
		ok(t, claim(t, j, intent("dead"), journal.Busy).Done(t.Context(), "dl_2", nil, "recovered", true))
		p = start(t, dsn)
		for _, f := range []string{"alive", "dead"} {
			if r := p.do("Claim", f, ""); r.Verdict != journal.Done {
				t.Errorf("Claim(%s) in another process = %+v, want done", f, r)
			}
		}
	})
}

// Killed at any moment: whatever a process was told is on record, and the database is well.
func TestKilledAtAnyMoment(t *testing.T) {
	onSharedEngines(t, func(t *testing.T, dsn string) {
		j := openWith(t, dsn, journal.Options{})
		ok(t, j.Check(t.Context()))
		for round := range 6 {
			p := start(t, dsn)
			told := make(map[string]journal.State)
			ok(t, p.orders.Encode(order{Do: "spin", Fingerprint: fmt.Sprint(round)}))
			for range 5 + 3*round {
				var r report
				ok(t, p.reports.Decode(&r))
				if r.Verdict != journal.Fresh && r.Verdict != journal.Done {
					t.Fatalf("a fresh intent in another process: %+v", r)
				}
				told[r.ID] = map[journal.Verdict]journal.State{journal.Fresh: journal.StateOpen, journal.Done: journal.StateDone}[r.Verdict]
			}
			p.kill()
			for id, state := range told {
				r, err := j.Get(t.Context(), id)
				if err != nil || state == journal.StateDone && r.State != journal.StateDone {
					t.Errorf("round %d: the killed process was told that %s is %s, and on record is %+v, error %v", round, id, state, r, err)
				}
			}
			if err := j.Check(t.Context()); err != nil {
				t.Errorf("round %d: Check = %v", round, err)
			}
		}
	})
}

// The power fails at some time after Claim has returned: what was not yet synced is cut short, anywhere, or is zeros.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	path := fileDSN(t)
	p := start(t, path)
	p.do("Check", "", "")
	claimed := p.do("Claim", "f", "")
	synced := size(t, path+"-wal")
	p.do("Extend", "f", "")
	p.do("Ended", "f", "")
	p.do("Done", "f", "dl_1")
	p.kill()
	main, log := read(t, path), read(t, path+"-wal")
	if len(log) <= synced {
		t.Fatalf("the log has %d bytes after Done, want more than the %d after Claim", len(log), synced)
	}

	verdicts := make(map[journal.Verdict]int)
	for kept := synced; ; kept = min(kept+1021, len(log)) {
		for _, zeros := range []int{0, len(log) - kept} {
			copied := fileDSN(t)
			ok(t, os.Mkdir(filepath.Dir(copied), 0o700))
			ok(t, os.WriteFile(copied, main, 0o600))
			ok(t, os.WriteFile(copied+"-wal", append(log[:kept:kept], make([]byte, zeros)...), 0o600))
			j := openWith(t, copied, journal.Options{Now: func() time.Time { return time.Now().Add(2 * lease) }})
			c, err := j.Claim(t.Context(), intent("f"))
			if err != nil {
				t.Fatalf("with %d bytes of the log and %d zeros: %v", kept, zeros, err)
			}
			if c.Verdict != journal.Unclear && c.Verdict != journal.Done || c.Record.ID != claimed.ID {
				t.Errorf("with %d bytes of the log and %d zeros: %+v, want Unclear or Done", kept, zeros, c)
			}
			verdicts[c.Verdict]++
			ok(t, j.Close())
		}
		if kept == len(log) {
			break
		}
	}
	if verdicts[journal.Unclear] == 0 || verdicts[journal.Done] == 0 {
		t.Errorf("the cuts were not all over what Done wrote: %v", verdicts)
	}
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	ok(tb, err)
	return b
}

func size(tb testing.TB, path string) int {
	tb.Helper()
	info, err := os.Stat(path)
	ok(tb, err)
	return int(info.Size())
}

// The disk is waited for where it has to be, and nowhere else.
func TestSyncs(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed, which counts the fsyncs")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	count := []string{strace, "-f", "-e", "trace=fsync,fdatasync,newfstatat", "-o", trace}
	if out, err := exec.CommandContext(t.Context(), count[0], append(count[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here: %s", out)
	}

	p := start(t, fileDSN(t), count...)
	p.do("Check", "", "")
	steps := []string{
		"Claim a fresh", "Extend a", "Sending a", "Done a",
		"Claim a done", "Claim b fresh", "Ended b", "Release b", "Claim b unclear", "Sending b", "Refused b", "Claim b fresh", "Done b",
	}
	for _, step := range steps {
		p.do("mark", "", strings.ReplaceAll(step, " ", "-"))
		words := strings.Fields(step)
		if r := p.do(words[0], words[1], "dl_"+words[1]); len(words) == 3 && string(r.Verdict) != words[2] {
			t.Errorf("%s: %+v", step, r)
		}
	}
	p.do("mark", "", "end")
	ok(t, p.stdin.Close())
	ok(t, p.cmd.Wait())

	var got []string
	line := regexp.MustCompile(`/mark/([\w-]+)|(fsync|fdatasync)\(`)
	for _, m := range line.FindAllStringSubmatch(string(read(t, trace)), -1) {
		switch {
		case m[1] == "end":
			got = append(got, "end")
		case m[1] != "":
			got = append(got, strings.ReplaceAll(m[1], "-", " "))
		case len(got) > 0 && got[len(got)-1] != "end":
			got[len(got)-1] += " +sync"
		}
	}
	want := []string{
		"Claim a fresh +sync", "Extend a", "Sending a +sync", "Done a",
		"Claim a done", "Claim b fresh +sync", "Ended b", "Release b", "Claim b unclear", "Sending b +sync", "Refused b", "Claim b fresh +sync", "Done b", "end",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fsyncs (-want +got):\n%s", diff)
	}
}
