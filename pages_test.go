package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// woven is a document with a generated part put between the comments that bound it.
func woven(t *testing.T, document, name, part string) string {
	t.Helper()
	begin, end := "<!-- "+name+": made by make docs -->\n", "<!-- /"+name+" -->\n"
	before, rest, ok := strings.Cut(document, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("there is nowhere to put %s: want %s and %s", name, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return before + begin + part + end + after
}

// documents are the Markdown files of the project.
func markdown(t *testing.T) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (name == "build" || name == "dist" || name == "node_modules" || len(name) > 1 && name[0] == '.') {
			return fs.SkipDir
		}
		if err == nil && path.Ext(name) == ".md" && !strings.Contains(name, "testdata/") {
			files = append(files, name)
		}
		return err
	})
	if err != nil || len(files) < 5 {
		t.Fatalf("%d documents: %v", len(files), err)
	}
	return files
}

var fenced = regexp.MustCompile("(?ms)^```.*?^```$")

// TestLinks holds that each link from a document to a file of the project, or to a heading, leads there.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	checked := 0
	for _, file := range markdown(t) {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(string(read(t, file)), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			name, anchor, _ := strings.Cut(m[1], "#")
			target := file
			if name != "" {
				target = path.Join(path.Dir(file), name)
			}
			if _, err := os.Stat(filepath.FromSlash(target)); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s links to %s, but there is no such heading", file, m[1])
			}
		}
	}
	if checked == 0 {
		t.Error("there is no link")
	}
}

// anchors are the names of a document's headings, as GitHub makes them.
func anchors(t *testing.T, file string) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^#+ +(.*)$`).FindAllStringSubmatch(fenced.ReplaceAllString(string(read(t, file)), ""), -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	}
	return all
}

// TestTroubleshooting holds that each message in docs/troubleshooting.md is one that the program can say.
func TestTroubleshooting(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && (path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") || name == "bundle/launch.sh") {
			sources.Write(read(t, name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	page := string(read(t, "docs/troubleshooting.md"))
	message := regexp.MustCompile("`([^`]+)`")
	rows := regexp.MustCompile(`(?m)^\| ([^|]+) \| .+ \|$`).FindAllStringSubmatch(page, -1)
	told := 0
	for _, row := range rows {
		for _, m := range message.FindAllStringSubmatch(row[1], -1) {
			told++
			if !strings.Contains(sources.String(), m[1]) {
				t.Errorf("nothing says %q", m[1])
			}
		}
	}
	if told < 30 {
		t.Errorf("%d messages", told)
	}
}

// TestArchitecture holds the drawing of the house to the arrows that imports_test.go holds; with -update, it draws it.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	name := func(room string) string { return cmp.Or(room, "main") }
	var b strings.Builder
	b.WriteString("```mermaid\ngraph LR\n")
	for _, room := range slices.Sorted(maps.Keys(house)) {
		for _, to := range slices.Sorted(slices.Values(house[room].imports)) {
			fmt.Fprintf(&b, "  %s --> %s\n", name(room), to)
		}
	}
	b.WriteString("```\n")
	golden(t, "docs/architecture.md", woven(t, string(read(t, "docs/architecture.md")), "house", b.String()))
}

// TestClientsPage does with each configuration in docs/clients.md what its client would do.
func TestClientsPage(t *testing.T) {
	t.Parallel()
	page := string(read(t, "docs/clients.md"))
	var servers []clientServer
	for _, block := range blocks(t, "docs/clients.md", "json") {
		servers = append(servers, configured(t, []byte(block)))
	}
	for _, block := range blocks(t, "docs/clients.md", "toml") {
		servers = append(servers, configuredInTOML(t, block))
	}
	for _, server := range servers {
		at := commandOf(t, server)
		s, err := dialGoSDK(bounded(t), modern, at)
		if err != nil {
			t.Fatalf("%+v: %v", server, err)
		}
		outputSchema(t, s, "create_deal")
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
	for _, client := range []string{"Claude Desktop", "Claude Code", "Cursor", "VS Code", "Windsurf", "Codex", "Gemini CLI", "ChatGPT", "MCP Inspector", "Your own program"} {
		if !strings.Contains(page, "\n## "+client+"\n") {
			t.Errorf("docs/clients.md does not tell of %s", client)
		}
	}
}

// configuredInTOML reads the one server of a configuration as Codex has it, of which the values are as in JSON.
func configuredInTOML(t *testing.T, text string) clientServer {
	t.Helper()
	server, env, table := map[string]json.RawMessage{}, map[string]json.RawMessage{}, map[string]json.RawMessage(nil)
	for line := range strings.Lines(text) {
		name, value, isValue := strings.Cut(strings.TrimSpace(line), " = ")
		switch {
		case name == "":
		case name == "[mcp_servers.heffl]":
			table = server
		case name == "[mcp_servers.heffl.env]":
			table = env
		case isValue && table != nil:
			table[name] = json.RawMessage(value)
		default:
			t.Fatalf("%q is not understood here", line)
		}
	}
	variables, err := json.Marshal(env)
	if err != nil {
		t.Fatal(err)
	}
	server["env"] = variables
	raw, err := json.Marshal(map[string]any{"mcpServers": map[string]any{"heffl": server}})
	if err != nil {
		t.Fatal(err)
	}
	return configured(t, raw)
}

// TestExamplePrograms runs those programs that need nothing to be installed; .ci/programs runs the others.
func TestExamplePrograms(t *testing.T) {
	t.Parallel()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for file, run := range map[string][]string{"deal.go": {"go", "run"}, "deal.py": {"python3"}} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(run[0]); err != nil {
				t.Skipf("it needs %s", run[0])
			}
			cmd := exec.CommandContext(bounded(t), run[0], append(run[1:], "examples/programs/"+file)...)
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"), promptRace)
			if out, err := cmd.Output(); err != nil || !regexp.MustCompile(`^dl_\w+\r?\n$`).Match(out) {
				t.Errorf("it prints %q, %v; want the ID of a deal", out, err)
			}
		})
	}
}

// TestAgents holds that the files and commands are there that AGENTS.md names, and that the Makefile's targets are
// those that make help lists.
func TestAgents(t *testing.T) {
	t.Parallel()
	makefile := string(read(t, "Makefile"))
	var targets []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):.* ## `).FindAllStringSubmatch(makefile, -1) {
		targets = append(targets, m[1])
	}
	phony := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindStringSubmatch(makefile)
	if all := regexp.MustCompile(`(?m)^[a-z-]+:`).FindAllString(makefile, -1); phony == nil || len(all) != len(targets) || strings.Join(targets, " ") != phony[1] {
		t.Errorf("the targets are %q, and those that make help lists %q", phony, targets)
	}
	for _, script := range regexp.MustCompile(`bash (\S+)`).FindAllStringSubmatch(makefile, -1) {
		if _, err := os.Stat(script[1]); err != nil {
			t.Errorf("the Makefile: %v", err)
		}
	}
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(string(read(t, "AGENTS.md")), -1) {
		target, isMake := strings.CutPrefix(m[1], "make ")
		_, testOf, _ := strings.Cut(m[1], "go test ./")
		switch {
		case isMake && slices.Contains(targets, target), testOf == "" && !isMake && !strings.ContainsAny(m[1], "./"):
			continue
		case testOf != "":
			target, _, _ = strings.Cut(testOf, " ")
		case !isMake:
			target = m[1]
		}
		if _, err := os.Stat(target); err != nil {
			t.Errorf("AGENTS.md names %q: %v", m[1], err)
		}
	}
}
