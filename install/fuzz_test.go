package install

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
	"github.com/tailscale/hujson"
)

// FuzzInstall holds for any configuration: it is refused and left alone, or the server is added, nothing else changes, a second time changes
// nothing, and uninstall leaves it byte for byte as it was.
func FuzzInstall(f *testing.F) {
	for client, texts := range there(f) {
		for _, text := range texts {
			f.Add(text, client == "codex", "/usr/local/bin/heffl-mcp", "--sandbox", "")
			f.Add(text, client == "codex", `C:\a "b"\heffl-mcp.exe`, "", `k"\é`)
		}
	}
	f.Add([]byte(`{"mcpServers":{"heffl":{"command":"heffl-mcp"}}}`), false, "heffl-mcp", "", "")
	f.Fuzz(func(t *testing.T, text []byte, isTOML bool, command, arg, key string) {
		c := clients[slices.Index(Clients(), "vscode")]
		if isTOML {
			c = clients[slices.Index(Clients(), "codex")]
		}
		v := Server{Name: "heffl", Command: command + "/heffl-mcp", Key: key}
		if arg != "" {
			v.Args = []string{arg, "--read-only"}
		}
		was := bytes.Clone(text)
		there, err := c.format.find(text, c, v.Name)
		if v.check() != nil || err != nil {
			return
		}
		now, err := c.format.add(text, c, v)
		if !bytes.Equal(was, text) {
			t.Fatalf("add() has changed its argument to %q", text)
		}
		if err != nil {
			return
		}
		if got, err := c.format.find(now, c, v.Name); err != nil || got == nil || got.Command != v.Command || !slices.Equal(got.Args, v.Args) || v.Key != "" && got.Key != v.Key {
			t.Fatalf("find() = %+v, %v; want %+v in\n%s", got, err, v, now)
		}
		if again, err := c.format.add(now, c, v); err != nil || !bytes.Equal(again, now) {
			t.Fatalf("a second time (-now +again), %v:\n%s", err, cmp.Diff(string(now), string(again)))
		}
		if diff := cmp.Diff(without(t, text, c), without(t, now, c)); diff != "" {
			t.Fatalf("the rest (-was +is):\n%s", diff)
		}
		if there == nil && !c.made(now, v, text) {
			t.Fatalf("uninstall would not put\n%s\nin the place of\n%s", text, now)
		}
		removed, err := c.format.remove(now, c, v.Name)
		if err != nil {
			t.Fatalf("remove(): %v", err)
		}
		if diff := cmp.Diff(without(t, text, c), without(t, removed, c)); diff != "" {
			t.Fatalf("the rest, without the backup (-was +is):\n%s", diff)
		}
		if there, err := c.format.find(removed, c, v.Name); err != nil || there != nil {
			t.Fatalf("without the backup the server is there still: %+v, %v", there, err)
		}
	})
}

// without is what a configuration means, but for the server.
func without(t *testing.T, text []byte, c *client) map[string]any {
	t.Helper()
	all := map[string]any{}
	if _, ok := c.format.(tomlFormat); ok {
		if err := toml.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
	} else if rest, _ := withoutMark(text); len(bytes.TrimSpace(rest)) > 0 {
		plain, err := hujson.Standardize(bytes.Clone(rest))
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(plain))
		d.UseNumber()
		if err := d.Decode(&all); err != nil {
			t.Fatal(err)
		}
	}
	servers, _ := all[c.container].(map[string]any)
	delete(servers, "heffl")
	if len(servers) == 0 {
		delete(all, c.container)
	}
	return all
}
