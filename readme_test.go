package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"heffl-mcp/cli"

	"github.com/mark3labs/mcp-go/mcp"
)

// TestReadme holds the tables of the README to the program; with -update, it writes them.
func TestReadme(t *testing.T) {
	t.Parallel()
	text := string(read(t, "README.md"))
	for name, table := range map[string]string{"tools": toolTable(t), "settings": settingsTable(t, ""), "http": settingsTable(t, "http"), "commands": commandTable(t)} {
		text = woven(t, text, name, table)
	}
	golden(t, "README.md", text)
}

// toolTable has what each tool says first of itself, as it is served without a workspace.
func toolTable(t *testing.T) string {
	t.Helper()
	out, err := command(t, nil, "tools").Output()
	if err != nil {
		t.Fatal(err)
	}
	var tools []mcp.Tool
	if err := json.Unmarshal(out, &tools); err != nil || len(tools) == 0 {
		t.Fatalf("%d tools, %v", len(tools), err)
	}
	var b strings.Builder
	b.WriteString("| tool | what it does | in Heffl it |\n|---|---|---|\n")
	for _, tool := range tools {
		effect := "adds"
		switch hint := tool.Annotations; {
		case *hint.ReadOnlyHint:
			effect = "changes nothing"
		case *hint.DestructiveHint:
			effect = "changes what is there"
		}
		first, _, _ := strings.Cut(tool.Description, ". ")
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", tool.Name, strings.TrimSuffix(first, "."), effect)
	}
	return b.String()
}

// settingsTable has the settings that all commands have, or those that one has besides.
func settingsTable(t *testing.T, command string) string {
	t.Helper()
	program := new(commands).line()
	node := program
	rows := []string{"| `HEFFL_API_KEY` | | | The API key; without it, the one that `login` keeps, but never over HTTP. |"}
	if command != "" {
		rows = []string{"| `HEFFL_MCP_TOKEN` | | | Bearer token that each request must carry, 16 characters or more. |"}
		i := slices.IndexFunc(program.Commands, func(c *cli.Command) bool { return c.Name == command })
		node = program.Commands[i]
	}
	for _, flag := range node.Flags {
		if flag.Name == "help" || flag.Name == "version" {
			continue
		}
		var variables string
		if flag.Env != "" {
			variables = "`" + flag.Env + "` "
		}
		standard := cmp.Or(flag.Default, map[bool]string{true: "off"}[flag.IsBool()])
		if standard != "" {
			standard = "`" + standard + "` "
		}
		help := strings.ReplaceAll(flag.Help, " ("+flag.Default+")", "") // said in its own column
		rows = append(rows, fmt.Sprintf("| %s| `--%s` | %s| %s |", variables, flag.Name, standard, strings.ReplaceAll(help, "|", `\|`)))
	}
	return "| variable | flag | default | meaning |\n|---|---|---|---|\n" + strings.Join(rows, "\n") + "\n"
}

func commandTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| command | what it does |\n|---|---|\n")
	for _, c := range new(commands).line().Commands {
		usage := "heffl-mcp " + c.Name
		for _, a := range c.Args {
			usage += " " + a.Summary()
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", usage, c.Help)
	}
	return b.String()
}

// TestReadmeArguments holds that the README's table of create_deal has each of its arguments, and no others.
func TestReadmeArguments(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(string(read(t, "README.md")), "\n### create_deal\n")
	text, _, _ = strings.Cut(text, "\n**")
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| .* \\| (required)?").FindAllStringSubmatch(text, -1) {
		told[row[1]] = row[2] != ""
	}
	out, err := command(t, nil, "tools", "create_deal").Output()
	if err != nil {
		t.Fatal(err)
	}
	var tool mcp.Tool
	if err := json.Unmarshal(out, &tool); err != nil {
		t.Fatal(err)
	}
	for name := range tool.InputSchema.Properties {
		if required, ok := told[name]; !ok || required != slices.Contains(tool.InputSchema.Required, name) {
			t.Errorf("the README has %s: %t, as required: %t", name, ok, required)
		}
		delete(told, name)
	}
	if len(told) > 0 {
		t.Errorf("the README tells of %v, which there are not", told)
	}
}

// TestReadmeTroubles holds that the README's messages are among those of docs/troubleshooting.md.
func TestReadmeTroubles(t *testing.T) {
	t.Parallel()
	page := string(read(t, "docs/troubleshooting.md"))
	_, section, _ := strings.Cut(string(read(t, "README.md")), "\n## When something is wrong\n")
	section, _, _ = strings.Cut(section, "\n## ")
	common := regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(section, -1)
	for _, m := range common {
		if !strings.Contains(page, "`"+m[1]+"`") && !strings.Contains(page, strings.TrimPrefix(m[1], "HEFFL_API_KEY ")) {
			t.Errorf("docs/troubleshooting.md does not tell of %q, but the README does", m[1])
		}
	}
	if len(common) == 0 {
		t.Error("the README tells of no message")
	}
}

// TestConsole runs what the documents show as typed in a terminal, and compares what comes with what they show; a
// line of dots stands for any lines, and one that ends with dots for any end of the line.
func TestConsole(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil || runtime.GOOS == "windows" {
		t.Skip("the commands need sh")
	}
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, file := range markdown(t) {
		for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllStringSubmatch(string(read(t, file)), -1) {
			dir := t.TempDir()
			if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("examples")); err != nil {
				t.Fatal(err)
			}
			for _, step := range regexp.MustCompile(`(?m)^\$ `).Split(block[1], -1)[1:] {
				ran++
				line, want, _ := strings.Cut(step, "\n")
				cmd := exec.CommandContext(bounded(t), "sh", "-c", strings.ReplaceAll(line, "go run . ", "heffl-mcp "))
				cmd.Dir = dir
				cmd.Env = []string{"PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "HOME=" + dir, promptRace}
				out, err := cmd.CombinedOutput() // some show what goes wrong
				if got := string(out); !regexp.MustCompile(pattern(want)).MatchString(got) {
					t.Errorf("%s shows\n$ %s\n%s\nbut what comes is (%v)\n%s", file, line, want, err, got)
				}
			}
		}
	}
	if ran == 0 {
		t.Error("no document shows a command")
	}
}

// pattern is what a shown output matches.
func pattern(shown string) string {
	var b strings.Builder
	b.WriteString(`\A`)
	for line := range strings.Lines(shown) {
		text := strings.TrimRight(line, "\n")
		switch stem, dots := strings.CutSuffix(text, "..."); {
		case dots && strings.TrimSpace(stem) == "":
			b.WriteString(`(?s:.*)`)
		case dots:
			b.WriteString(regexp.QuoteMeta(stem) + ".*\n")
		default:
			b.WriteString(regexp.QuoteMeta(text) + "\n")
		}
	}
	return b.String() + `\z`
}
