package cli_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"heffl-mcp/cli"

	"github.com/google/go-cmp/cmp"
)

type flags struct {
	Timeout time.Duration `env:"TIMEOUT" default:"20s" placeholder:"20s" help:"One request."`
	Level   string        `name:"level" env:"LEVEL" enum:"low,high" default:"low" placeholder:"low" help:"One of ${enum} (${default})."`
	Quiet   bool          `env:"QUIET" short:"q" help:"Say less."`
	Names   []string      `env:"NAMES" placeholder:"NAME" help:"Whom."`
}

type grammar struct {
	flags

	Serve struct{} `cmd:"" default:"withargs" help:"Serve."`
	Call  call     `cmd:"" help:"Call one of ${what}."`
	Turn  turn     `cmd:"" help:"Turn."`
}

type call struct {
	Tool  string `arg:"" help:"Which."`
	Args  string `arg:"" optional:"" help:"With what."`
	Limit int    `default:"50" placeholder:"50" help:"At most so many."`

	kept int
}

type turn struct {
	Way string `arg:"" enum:"left,right" help:"${enum}."`
}

// read reads a command line as a program does.
func read(env map[string]string, args ...string) (*grammar, *cli.Line, error) {
	g := new(grammar)
	g.Call.kept = 7
	line, err := cli.New("program", "What it is for.", g, map[string]string{"what": "many"}).Parse(args)
	if err != nil {
		return g, nil, err
	}
	return g, line, line.Fill(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
}

func TestValues(t *testing.T) {
	t.Parallel()
	standard := flags{Timeout: 20 * time.Second, Level: "low"}
	env := map[string]string{"TIMEOUT": "1m", "LEVEL": "high", "QUIET": "on", "NAMES": "ann,bob"}
	for _, test := range []struct {
		name    string
		env     map[string]string
		args    string
		want    flags
		command string
		call    call
	}{
		{"defaults", nil, "", standard, "serve", call{kept: 7}},
		{"environment", env, "", flags{time.Minute, "high", true, []string{"ann", "bob"}}, "serve", call{kept: 7}},
		{"flags win", env, "--timeout=5s --level low --quiet=off --names=cy --names dan,eve", flags{5 * time.Second, "low", false, []string{"cy", "dan", "eve"}}, "serve", call{kept: 7}},
		{"flags win over what cannot be read", map[string]string{"TIMEOUT": "soon", "LEVEL": "deep", "QUIET": "maybe"}, "--timeout=5s --level=high --quiet", flags{5 * time.Second, "high", true, nil}, "serve", call{kept: 7}},
		{"before and after a command", nil, "-q call --limit=0x10 tool --level=high -", flags{20 * time.Second, "high", true, nil}, "call", call{"tool", "-", 16, 7}},
		{"what looks like a flag", nil, "call -- --tool -x", standard, "call", call{"--tool", "-x", 50, 7}},
		{"a comma in a name", nil, `--names=a\,b,c,`, flags{20 * time.Second, "low", false, []string{"a,b", "c"}}, "serve", call{kept: 7}},
		{"the last one", nil, "--level=high --level=low", standard, "serve", call{kept: 7}},
	} {
		g, line, err := read(test.env, strings.Fields(test.args)...)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if line.Command.Name != test.command {
			t.Errorf("%s: the command is %s, want %s", test.name, line.Command.Name, test.command)
		}
		if diff := cmp.Diff(test.want, g.flags); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if g.Call != test.call {
			t.Errorf("%s: %+v, want %+v", test.name, g.Call, test.call)
		}
	}
}

func TestOn(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]bool{
		"": false, "-q": true, "call x --quiet": true, "--quiet=ON": true, "--quiet=off": false, "--quiet --quiet=off": false,
		"--quiet=maybe": false, // which Fill refuses
		"call quiet":    false,
	} {
		line, err := cli.New("program", "", new(grammar), nil).Parse(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := line.On("quiet"); got != want {
			t.Errorf("%q: On = %t, want %t", args, got, want)
		}
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"ann"}, {"ann", "bob"}, {"Spare parts, used", "a,b,", `c\d`}} {
		g, _, err := read(nil, "--names="+cli.Join(names))
		if diff := cmp.Diff(names, g.Names); err != nil || diff != "" {
			t.Errorf("--names=%s: %v (-want +got):\n%s", cli.Join(names), err, diff)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--colour":             "unknown flag --colour",
		"--timout=5s":          `unknown flag --timout, did you mean "--timeout"?`,
		"-x":                   `unknown flag -x, did you mean "-q"?`,
		"--limit=5":            "unknown flag --limit", // it is of call alone
		"what":                 "unexpected argument what",
		"call a b c":           "unexpected argument c",
		"call":                 `expected "<tool>"`,
		"turn":                 `expected "<way>": one of "left","right"`,
		"turn up":              `<way> must be one of "left","right" but got "up"`,
		"--timeout":            "--timeout: expected a value",
		"--timeout --quiet":    "--timeout: expected a value; write one that begins with - as --timeout=-...",
		"--timeout=5":          `--timeout: expected a duration such as 1h30m or 20s but got "5"`,
		"call a --limit=5.5":   `--limit: expected a valid 64 bit int but got "5.5"`,
		"--names=":             "--names: expected a value; leave it out where there is none",
		"--names=ann --names=": "--names: expected a value; leave it out where there is none",
		"--quiet=maybe":        `--quiet: give on or off, not "maybe"`,
		"--level=middle":       `--level must be one of "low","high" but got "middle"`,
		"--quiet":              `--timeout: expected a duration such as 1h30m or 20s but got "soon" (from envar TIMEOUT="soon")`,
		"--names=cy":           `--level must be one of "low","high" but got "deep" (from envar LEVEL="deep")`,
	} {
		env := map[string]string{}
		for _, variable := range []string{"TIMEOUT=soon", "LEVEL=deep"} {
			name, value, _ := strings.Cut(variable, "=")
			if strings.Contains(want, "(from envar "+name) {
				env[name] = value
			}
		}
		if _, _, err := read(env, strings.Fields(args)...); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// TestKeys holds that a key that was put in a wrong place is not shown.
func TestKeys(t *testing.T) {
	t.Parallel()
	const key = "hk_4Fé9secret0123"
	for args, want := range map[string]string{
		"%":                "unexpected argument hk_4...",
		"call a b %":       "unexpected argument hk_4...",
		"--%":              "unknown flag --hk...",
		"--api-token=%":    "unknown flag --api-token",
		"-%":               `unknown flag -h, did you mean "-q"?`,
		"--timeout=%":      `--timeout: expected a duration such as 1h30m or 20s but got "hk_4..."`,
		"call a --limit=%": `--limit: expected a valid 64 bit int but got "hk_4..."`,
		"--quiet=%":        `--quiet: give on or off, not "hk_4..."`,
		"--level=%":        `--level must be one of "low","high" but got "hk_4..."`,
		"--say-much-less":  "unknown flag --say-much-less",
	} {
		if _, _, err := read(nil, strings.Fields(strings.ReplaceAll(args, "%", key))...); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	want := `--quiet: give on or off, not "hk_4..." (from envar QUIET="hk_4...")`
	if _, _, err := read(map[string]string{"QUIET": key}); err == nil || err.Error() != want {
		t.Errorf("QUIET: %v, want %s", err, want)
	}
}

// TestOtherCommand holds that a variable of one command, whatever it holds, does not matter to another.
func TestOtherCommand(t *testing.T) {
	t.Parallel()
	var g struct {
		Serve struct {
			Rate int `env:"RATE"`
		} `cmd:""`
		Call struct{} `cmd:""`
	}
	for args, good := range map[string]bool{"serve": false, "call": true} {
		line, err := cli.New("program", "", &g, nil).Parse([]string{args})
		if err != nil {
			t.Fatal(err)
		}
		if err := line.Fill(func(name string) (string, bool) { return "x", name == "RATE" }); (err == nil) != good {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// The help of a program has its flags and commands.
func ExampleCommand_PrintHelp() {
	program := cli.New("program", "What it is for.", new(grammar), map[string]string{"what": "many"})
	if err := program.PrintHelp(os.Stdout); err != nil {
		panic(err)
	}
	// Output:
	// Usage: program <command> [flags]
	//
	// What it is for.
	//
	// Flags:
	//       --timeout=20s       One request ($TIMEOUT).
	//       --level=low         One of low,high (low) ($LEVEL).
	//   -q, --quiet             Say less ($QUIET).
	//       --names=NAME,...    Whom ($NAMES).
	//
	// Commands:
	//   serve    Serve.
	//   call     Call one of many.
	//   turn     Turn.
	//
	// Run "program <command> --help" for more information on a command.
}
