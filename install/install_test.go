package install

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite what the golden files expect")

var systems = []string{"darwin", "linux", "windows"}

// on is a system of its own, with nothing in it.
func on(t testing.TB, goos string) System {
	env := map[string]string{"HOME": "/home/ada"}
	switch goos {
	case "darwin":
		env = map[string]string{"HOME": "/Users/ada"}
	case "windows":
		env = map[string]string{"USERPROFILE": `C:\Users\Ada`, "APPDATA": `C:\Users\Ada\AppData\Roaming`, "LOCALAPPDATA": `C:\Users\Ada\AppData\Local`}
	}
	return System{OS: goos, Getenv: func(name string) string { return env[name] }, Root: t.TempDir(), Now: clock(), unsynced: true}
}

// clock goes on by a second each time.
func clock() func() time.Time {
	at := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	return func() time.Time { at = at.Add(time.Second); return at }
}

// sandboxed is a server as it is installed on a system.
func sandboxed(goos string) Server {
	command := map[string]string{"darwin": "/opt/homebrew/bin/heffl-mcp", "linux": "/usr/local/bin/heffl-mcp", "windows": `C:\Program Files\heffl-mcp\heffl-mcp.exe`}
	return Server{Name: "heffl", Command: command[goos], Args: []string{"--sandbox"}}
}

// put writes a client's configuration; nil is none.
func put(t testing.TB, s System, client string, text []byte) (file string) {
	t.Helper()
	_, e, err := s.open(client)
	if err != nil {
		t.Fatal(err)
	}
	if text == nil {
		return e.file
	}
	if err := os.MkdirAll(filepath.Dir(e.file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(e.file, text, 0o640); err != nil {
		t.Fatal(err)
	}
	return e.file
}

// tree is each file below a folder, with its permissions.
func tree(t testing.TB, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root)] = info.Mode().String() + "\n" + string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func apply(t testing.TB, e *Edit, err error) (backup string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if backup, err = e.Apply(); err != nil {
		t.Fatal(err)
	}
	return backup
}

// install does so, and holds that a second time nothing changes.
func install(t testing.TB, s System, client string, v Server) *Edit {
	t.Helper()
	e, err := s.Install(client, v)
	apply(t, e, err)
	again, err := s.Install(client, v)
	if err != nil || again.Changes() || again.Diff() != "" {
		t.Fatalf("installed twice: %v, changes %v:\n%s", err, again.Changes(), again.Diff())
	}
	found, err := s.Find(client)
	if err != nil || !slices.ContainsFunc(found, func(f Found) bool { return f.Path == e.Path && cmp.Equal(f.Server, v) }) {
		t.Fatalf("Find(%s) = %+v, %v; want %+v in %s", client, found, err, v, e.Path)
	}
	return e
}

// there are the configurations that edits are tried on, by the client that they are of.
func there(t testing.TB) map[string]map[string][]byte {
	all := map[string]map[string][]byte{}
	files, err := filepath.Glob("testdata/edits/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no edits: %v", err)
	}
	for _, file := range files {
		client, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".txtar"), "_")
		if all[client] == nil {
			all[client] = map[string][]byte{}
		}
		all[client][name] = before(t, file)
	}
	return all
}

// before is the configuration that a golden file begins with.
func before(t testing.TB, file string) []byte {
	t.Helper()
	a, err := txtar.ParseFile(file)
	if err != nil || len(a.Files) == 0 || a.Files[0].Name != "before" {
		t.Fatalf("%s does not begin with the file before: %v", file, err)
	}
	return unshow(a.Files[0].Data)
}

// Golden files show what cannot be seen: a byte order mark, carriage returns, tabs, and that there is no line end at the end.
var shown = strings.NewReplacer("\ufeff", "<BOM>", "\r\n", "<CR>\n", "\t", "<TAB>")

func show(text []byte) []byte {
	s := shown.Replace(string(text))
	if !strings.HasSuffix(s, "\n") {
		s += "<END>\n"
	}
	return []byte(s)
}

func unshow(text []byte) []byte {
	s := strings.NewReplacer("<BOM>", "\ufeff", "<CR>\n", "\r\n", "<TAB>", "\t", "<END>\n", "").Replace(string(text))
	return []byte(s)
}

// golden compares with a file, or rewrites it.
func golden(t *testing.T, file string, got *txtar.Archive) {
	t.Helper()
	text := txtar.Format(got)
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestClients holds, for every client on every system, where its configuration is, and what is written where there is none yet and
// where there are other servers.
func TestClients(t *testing.T) {
	t.Parallel()
	for _, client := range Clients() {
		for _, goos := range systems {
			t.Run(client+"/"+goos, func(t *testing.T) {
				t.Parallel()
				other := before(t, "testdata/edits/"+client+"_others.txtar")
				fresh := on(t, goos)
				v := sandboxed(goos)
				e := install(t, fresh, client, v)
				got := &txtar.Archive{Comment: []byte(e.Path + "\n"), Files: []txtar.File{{Name: "new", Data: show(e.After)}}}
				e, err := fresh.Uninstall(client, v.Name)
				apply(t, e, err)
				if left := tree(t, fresh.Root); len(left) > 0 {
					t.Errorf("uninstall leaves %v", left)
				}

				s := on(t, goos)
				put(t, s, client, other)
				e = install(t, s, client, v)
				v.Args = nil
				v.Key = "hk_example"
				s2 := on(t, goos)
				put(t, s2, client, other)
				withKey := install(t, s2, client, v)
				got.Files = append(got.Files, txtar.File{Name: "beside others", Data: show(e.After)}, txtar.File{Name: "shown", Data: []byte(e.Diff())}, txtar.File{Name: "with a key", Data: show(withKey.After)}, txtar.File{Name: "with a key, shown", Data: []byte(withKey.Diff())})
				golden(t, "testdata/clients/"+client+"."+goos+".txtar", got)
			})
		}
	}
}

// TestEdits holds what becomes of configurations of every form, and that they come back byte for byte, on every system.
func TestEdits(t *testing.T) {
	t.Parallel()
	for client, texts := range there(t) {
		for name, text := range texts {
			for _, goos := range systems {
				t.Run(client+"_"+name+"/"+goos, func(t *testing.T) {
					t.Parallel()
					s := on(t, goos)
					file := put(t, s, client, text)
					was := tree(t, s.Root)
					v := sandboxed(goos)
					e := install(t, s, client, v)
					if goos == "linux" {
						golden(t, "testdata/edits/"+client+"_"+name+".txtar", &txtar.Archive{Files: []txtar.File{{Name: "before", Data: show(text)}, {Name: "after", Data: show(e.After)}, {Name: "shown", Data: []byte(e.Diff())}}})
					}
					if got := backups(file); len(got) != 1 || !bytes.Equal(read(t, got[0]), text) {
						t.Errorf("backups are %q, want one with what was there", got)
					}

					// Another version of the program takes the place of the first, and it all goes back.
					v.Command, v.Args = v.Command+".new/heffl-mcp", []string{"--read-only", "--timezone=Asia/Dubai"}
					install(t, s, client, v)
					v.Args = nil
					install(t, s, client, v)
					e, err := s.Uninstall(client, v.Name)
					apply(t, e, err)
					for path := range tree(t, s.Root) {
						if path != strings.TrimPrefix(file, s.Root) {
							_ = os.Remove(filepath.Join(s.Root, path)) // copies of versions in between
						}
					}
					if diff := cmp.Diff(was, tree(t, s.Root)); diff != "" {
						t.Errorf("after uninstall (-was +is):\n%s", diff)
					}
					e, err = s.Uninstall(client, v.Name)
					if err != nil || e.Changes() {
						t.Errorf("uninstalled twice: %v, changes %v", err, e.Changes())
					}
				})
			}
		}
	}
}

// TestUninstallLeavesNothing holds that not even a backup is left of a server that came and went.
func TestUninstallLeavesNothing(t *testing.T) {
	t.Parallel()
	for client, texts := range there(t) {
		for name, text := range texts {
			s := on(t, "linux")
			put(t, s, client, text)
			was := tree(t, s.Root)
			install(t, s, client, sandboxed("linux"))
			e, err := s.Uninstall(client, "heffl")
			apply(t, e, err)
			if diff := cmp.Diff(was, tree(t, s.Root)); diff != "" {
				t.Errorf("%s %s (-was +is):\n%s", client, name, diff)
			}
		}
	}
}

// TestRemove holds that where there were servers before, even an entry that is taken out by itself leaves no trace.
func TestRemove(t *testing.T) {
	t.Parallel()
	for i, client := range Clients() {
		text, c := before(t, "testdata/edits/"+client+"_others.txtar"), clients[i]
		now, err := c.format.add(text, c, sandboxed("linux"))
		if err != nil {
			t.Fatal(err)
		}
		left, err := c.format.remove(now, c, "heffl")
		if diff := cmp.Diff(string(text), string(left)); err != nil || diff != "" {
			t.Errorf("%s: %v (-was +is):\n%s", client, err, diff)
		}
	}
}

// TestUninstallAfterOtherChanges holds that what was done since stays.
func TestUninstallAfterOtherChanges(t *testing.T) {
	t.Parallel()
	for client, texts := range there(t) {
		for name, text := range texts {
			s := on(t, "linux")
			file := put(t, s, client, text)
			install(t, s, client, sandboxed("linux"))
			other := Server{Name: "other", Command: "/bin/other/heffl-mcp", Args: []string{"x"}}
			install(t, s, client, other)
			e, err := s.Uninstall(client, "heffl")
			if backup := apply(t, e, err); backup == "" {
				t.Errorf("%s %s: no backup", client, name)
			}
			found, err := s.Find(client)
			if err != nil || len(found) != 1 || found[0].Server.Name != "other" {
				t.Errorf("%s %s: %+v, %v are left of\n%s", client, name, found, err, read(t, file))
			}
			plain := strings.NewReplacer(" ", "", "\t", "", ",", "", "}", "", "{", "")
			for line := range strings.Lines(string(text)) {
				if name == "compact" {
					break // the entry was within its line
				}
				if !strings.Contains(plain.Replace(string(read(t, file))), strings.TrimSpace(plain.Replace(line))) {
					t.Errorf("%s %s: %q is gone from\n%s", client, name, line, read(t, file))
				}
			}
		}
	}
}

// TestRefused holds that what cannot be edited for certain is left alone, with words that say why and show nothing of it.
func TestRefused(t *testing.T) {
	t.Parallel()
	const secret = "hk_someone_elses"
	for _, c := range []struct{ what, client, text, want string }{
		{"broken", "cursor", `{"mcpServers": {"a": "` + secret + `" "b"}}`, "not valid JSON (line 1, column"},
		{"cut", "cursor", `{"mcpServers": {`, "not valid JSON"},
		{"comments alone", "vscode", "// " + secret, "not valid JSON"},
		{"two documents", "cursor", "{}\n{}", "not valid JSON (line 2, column 1)"},
		{"UTF-16", "cursor", "\xff\xfe{\x00}\x00", "not UTF-8"},
		{"zeros", "claude-desktop", "\x00\x00\x00", "not valid JSON"},
		{"a list", "cursor", `["` + secret + `"]`, "it is not a JSON object"},
		{"a list of servers", "cursor", `{"mcpServers": ["` + secret + `"]}`, "mcpServers is not a JSON object"},
		{"null servers", "cursor", `{"mcpServers": null}`, "mcpServers is not a JSON object"},
		{"servers twice", "cursor", `{"mcpServers": {}, "mcpServers": {}}`, `"mcpServers" twice`},
		{"entry twice", "cursor", `{"mcpServers": {"heffl": {"command": "heffl-mcp"}, "heffl": {"command": "heffl-mcp"}}}`, `"heffl" twice`},
		{"another program", "cursor", `{"mcpServers": {"heffl": {"command": "npx", "env": {"K": "` + secret + `"}}}}`, `a server "heffl" that is not heffl-mcp`},
		{"an address", "cursor", `{"mcpServers": {"heffl": {"url": "https://x.example/` + secret + `"}}}`, `a server "heffl" that is not heffl-mcp`},
		{"an odd entry", "cursor", `{"mcpServers": {"heffl": "heffl-mcp"}}`, `a server "heffl" that is not heffl-mcp`},
		{"broken TOML", "codex", "[a]\nb = \"" + secret + "\n", "not valid TOML (line 2, column"},
		{"TOML twice", "codex", "a = 1\na = '" + secret + "'\n", "not valid TOML"},
		{"one inline table", "codex", "mcp_servers = { a = { command = \"" + secret + "\" } }\n", "add it by hand"},
		{"a TOML list of servers", "codex", "mcp_servers = []\n", "mcp_servers is not a table"},
		{"another program in TOML", "codex", "[mcp_servers.heffl]\ncommand = 'npx'\n", `a server "heffl" that is not heffl-mcp`},
		{"ours, inline", "codex", "[mcp_servers]\nheffl = { command = \"/old/heffl-mcp\" }\n", "edit it by hand"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			s := on(t, "linux")
			put(t, s, c.client, []byte(c.text))
			was := tree(t, s.Root)
			e, err := s.Install(c.client, sandboxed("linux"))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("Install() = %+v, %v; want an error with %q and nothing of the file", e, err, c.want)
			}
			if _, err = s.Uninstall(c.client, "heffl"); err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("Uninstall() = %v, which shows the file", err)
			}
			if _, err = s.Find(c.client); err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("Find() = %v, which shows the file", err)
			}
			if diff := cmp.Diff(was, tree(t, s.Root)); diff != "" {
				t.Errorf("the files (-was +is):\n%s", diff)
			}
		})
	}
}

func TestForeign(t *testing.T) {
	t.Parallel()
	s := on(t, "linux")
	put(t, s, "cursor", []byte(`{"mcpServers": {"heffl": {"command": "npx"}}}`))
	for what, try := range map[string]func() (*Edit, error){
		"Install":   func() (*Edit, error) { return s.Install("cursor", sandboxed("linux")) },
		"Uninstall": func() (*Edit, error) { return s.Uninstall("cursor", "heffl") },
	} {
		if e, ok := errors.AsType[*ForeignError](second(try())); !ok || e.Name != "heffl" || e.Path != "/home/ada/.cursor/mcp.json" {
			t.Errorf("%s() = %v, want a *ForeignError", what, e)
		}
	}
	v := sandboxed("linux")
	v.Name = "heffl-2"
	install(t, s, "cursor", v)
}

func second[T any](_ T, err error) error { return err }

func TestOurs(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{
		"heffl-mcp": true, "/opt/homebrew/bin/heffl-mcp": true, `C:\Programs\Heffl-MCP.exe`: true, "/opt/heffl-mcp-1.2/heffl-mcp_darwin_arm64": true,
		"": false, "npx": false, "/opt/heffl-mcp/bin/node": false, "/bin/my-heffl-mcp": false, `C:\heffl-mcp\node.exe`: false,
	} {
		if got := ours(command); got != want {
			t.Errorf("ours(%s) = %v, want %v", command, got, want)
		}
	}
}

// TestKept holds that an entry of ours keeps what else somebody has put there.
func TestKept(t *testing.T) {
	t.Parallel()
	for client, texts := range map[string][2]string{
		"cursor": {
			`{"mcpServers": {"heffl": {"disabled": true, "command": "/old/heffl-mcp", /* mine */ "env": {"HEFFL_API_KEY": "k"}, "args": ["--old"]}}}`,
			`{"mcpServers": {"heffl": {"disabled": true, "command": "/new/heffl-mcp", /* mine */ "env": {"HEFFL_API_KEY": "k"}, "args": ["--sandbox"]}}}`,
		},
		"codex": {
			"[mcp_servers.heffl] # mine\nstartup_timeout_sec = 5\ncommand = '/old/heffl-mcp' # here\n[mcp_servers.heffl.env]\nHEFFL_API_KEY = 'k'\n",
			"[mcp_servers.heffl] # mine\nstartup_timeout_sec = 5\ncommand = \"/new/heffl-mcp\"\nargs = [\"--sandbox\"] # here\n[mcp_servers.heffl.env]\nHEFFL_API_KEY = 'k'\n",
		},
	} {
		s := on(t, "linux")
		file := put(t, s, client, []byte(texts[0]))
		v := Server{Name: "heffl", Command: "/new/heffl-mcp", Args: []string{"--sandbox"}}
		e, err := s.Install(client, v)
		apply(t, e, err)
		if diff := cmp.Diff(texts[1], string(read(t, file))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", client, diff)
		}
	}
}

// TestWindowsPackages holds that Claude's own folder is found where Windows keeps one for it.
func TestWindowsPackages(t *testing.T) {
	t.Parallel()
	const packaged = `C:\Users\Ada\AppData\Local\Packages\Claude_pzs8sxrjxfjjc\LocalCache\Roaming\Claude\claude_desktop_config.json`
	s := on(t, "windows")
	for _, c := range []struct{ create, want string }{
		{"", `C:\Users\Ada\AppData\Roaming\Claude\claude_desktop_config.json`},
		{`C:\Users\Ada\AppData\Local\Packages\Other_1\x`, `C:\Users\Ada\AppData\Roaming\Claude\claude_desktop_config.json`},
		{`C:\Users\Ada\AppData\Local\Packages\Claude_pzs8sxrjxfjjc\x`, packaged},
		{`C:\Users\Ada\AppData\Local\Packages\Claude_other\x`, ""},
		{packaged, packaged},
	} {
		if c.create != "" {
			file := s.real(c.create)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("{}"), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		e, err := s.Install("claude-desktop", sandboxed("windows"))
		switch {
		case c.want == "" && (err == nil || !strings.Contains(err.Error(), "several packages of Claude")):
			t.Errorf("with %s: %v, want an error", c.create, err)
		case c.want != "" && (err != nil || e.Path != c.want):
			t.Errorf("with %s: %+v, %v; want %s", c.create, e, err, c.want)
		}
	}
}

// TestFolders holds the variables by which users move configurations.
func TestFolders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ client, goos, variable, value, want string }{
		{"codex", "linux", "CODEX_HOME", "/x", "/x/config.toml"},
		{"claude-code", "darwin", "CLAUDE_CONFIG_DIR", "/x/", "/x/.claude.json"},
		{"gemini-cli", "linux", "GEMINI_CLI_HOME", "/x", "/x/.gemini/settings.json"},
		{"vscode", "linux", "XDG_CONFIG_HOME", "/x", "/x/Code/User/mcp.json"},
		{"vscode", "linux", "XDG_CONFIG_HOME", "x", "/home/ada/.config/Code/User/mcp.json"},
		{"cursor", "linux", "HOME", "", "$HOME"},
		{"cursor", "windows", "USERPROFILE", "", "$USERPROFILE"},
		{"vscode", "windows", "APPDATA", "", "$APPDATA"},
		{"claude-desktop", "darwin", "HOME", "", "$HOME"},
	} {
		s := on(t, c.goos)
		others := s.Getenv
		s.Getenv = func(name string) string {
			if name == c.variable {
				return c.value
			}
			return others(name)
		}
		e, err := s.Install(c.client, sandboxed(c.goos))
		if name, ok := strings.CutPrefix(c.want, "$"); ok {
			if err == nil || !strings.Contains(err.Error(), name+" is not set") {
				t.Errorf("%s without %s: %v, want an error", c.client, c.variable, err)
			}
		} else if err != nil || e.Path != c.want {
			t.Errorf("%s with %s=%s: %+v, %v; want %s", c.client, c.variable, c.value, e, err, c.want)
		}
	}
}

func TestUnusable(t *testing.T) {
	t.Parallel()
	s := on(t, "linux")
	for _, v := range []Server{{Name: "", Command: "x"}, {Name: "a b", Command: "x"}, {Name: strings.Repeat("a", 65), Command: "x"}, {Name: "-a", Command: "x"}, {Name: "a", Command: "a\nb"}, {Name: "a", Command: "x", Args: []string{"\x00"}}, {Name: "a", Command: "a\xffb"}} {
		if _, err := s.Install("cursor", v); err == nil {
			t.Errorf("Install(%q) = nil, want an error", v)
		}
	}
	if _, err := s.Install("emacs", sandboxed("linux")); err == nil || !strings.Contains(err.Error(), "claude-desktop, claude-code, cursor, vscode, windsurf, codex, gemini-cli") {
		t.Errorf("Install(emacs) = %v, want the clients that there are", err)
	}
	if _, err := s.Uninstall("cursor", ""); err == nil {
		t.Error("Uninstall() without a name = nil, want an error")
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
