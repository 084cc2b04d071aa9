package main

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"heffl-mcp/install"
)

// TestInstalled holds that a client which starts what was installed for it gets the tools, and that what was installed is what
// was asked for.
func TestInstalled(t *testing.T) {
	t.Parallel()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range install.Clients() {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			env := map[string]string{"HOME": home, "USERPROFILE": home, "APPDATA": home}
			var environ []string
			for name, value := range env {
				environ = append(environ, name+"="+value)
			}
			start(t, environ, "install", client, "--sandbox", "--tools=create_deal,find_deals", "--yes").exit(t, 0)
			here := install.System{OS: runtime.GOOS, Getenv: func(name string) string { return env[name] }}
			found, err := here.Find(client)
			if err != nil || len(found) != 1 || found[0].Server.Command != path || !strings.HasPrefix(found[0].Path, home) {
				t.Fatalf("Find() = %+v, %v; want one that starts %s", found, err, path)
			}
			cmd := exec.CommandContext(bounded(t), found[0].Server.Command, found[0].Server.Args...)
			cmd.Dir = t.TempDir()
			cmd.Env = []string{promptRace, noKeyring, "HOME=" + home} // as little as clients pass on
			s, err := dialGoSDK(bounded(t), modern, place{cmd: cmd})
			if err != nil {
				t.Fatal(err)
			}
			outputSchema(t, s, "create_deal")
			if err := s.close(); err != nil {
				t.Error(err)
			}
			start(t, environ, "uninstall", client, "--yes").exit(t, 0)
			if left, err := filepath.Glob(found[0].Path + "*"); err != nil || len(left) > 0 {
				t.Errorf("%q are left (%v)", left, err)
			}
		})
	}
}
