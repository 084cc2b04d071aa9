package main

import (
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"heffl-mcp/heffl/sandbox"
)

// TestKeyringIsLeftAlone holds when the keyring is asked for a key, on a bus of its own that answers nobody: only when there is none
// elsewhere, and not at all for the sandbox or over HTTP.
func TestKeyringIsLeftAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the others have no bus")
	}
	for name, c := range map[string]struct {
		env  []string
		args string
		asks bool
	}{
		"no key":        {nil, "call find_deals", true},
		"the sandbox":   {[]string{"HEFFL_SANDBOX=true"}, "call find_deals", false},
		"a key":         {[]string{"HEFFL_API_KEY=test-key"}, "call find_deals", false},
		"turned off":    {[]string{"HEFFL_MCP_KEYRING=off"}, "call find_deals", false},
		"tools":         {nil, "tools", false},
		"install":       {nil, "install cursor --print", false},
		"HTTP":          {nil, "http --addr 127.0.0.1:0", false},
		"a healthy man": {[]string{"HEFFL_SANDBOX=true"}, "doctor", false},
		"a sick one":    {nil, "doctor", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			socket := filepath.Join(dir, "bus")
			ln, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			var asked atomic.Int32
			served := make(chan struct{})
			go func() {
				defer close(served)
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					asked.Add(1)
					conn.Close()
				}
			}()
			env := append(upstream(t, newSandbox(t, sandbox.Options{}))[1:], "HOME="+dir, "DBUS_SESSION_BUS_ADDRESS=unix:path="+socket, "HEFFL_MCP_KEYRING=on")
			args := strings.Fields(c.args)
			if args[0] == "http" {
				p, _ := serveHTTP(t, append(env, c.env...))
				p.terminate(t)
				p.exit(t, 0)
			} else {
				p := start(t, append(env, c.env...), args...)
				<-p.ended
			}
			ln.Close()
			<-served
			if got := asked.Load() > 0; got != c.asks {
				t.Errorf("the keyring was asked %d times, want that %v", asked.Load(), c.asks)
			}
		})
	}
}
