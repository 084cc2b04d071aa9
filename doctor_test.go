package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
)

// examine runs doctor, and returns what each check has found.
func examine(t *testing.T, code int, env []string, args ...string) map[string]finding {
	t.Helper()
	p := start(t, env, append([]string{"doctor", "--json"}, args...)...)
	p.exit(t, code)
	var all struct {
		Bad    int
		Checks []finding
	}
	if err := json.Unmarshal([]byte(p.out.String()), &all); err != nil {
		t.Fatalf("%v in %s", err, p.out.String())
	}
	found, failed := map[string]finding{}, 0
	for _, f := range all.Checks {
		if f.Found == "" || !slices.Contains([]string{good, bad, unknown}, f.State) {
			t.Errorf("%+v says nothing", f)
		}
		if f.State == bad {
			failed++
		}
		found[f.Check] = f
	}
	if failed != all.Bad || (failed > 0) != (code == 1) {
		t.Errorf("%d bad, %d told, exit code %d", failed, all.Bad, code)
	}
	return found
}

// A symptom is what a check is to find: its state, and words of what it says.
type symptom struct{ check, state, words string }

func (s symptom) in(t *testing.T, found map[string]finding) {
	t.Helper()
	f := found[s.check]
	if f.State != s.state || !strings.Contains(f.Found+" -> "+f.Do, s.words) {
		t.Errorf("%s is %s: %s -> %s; want %s with %q", s.check, f.State, f.Found, f.Do, s.state, s.words)
	}
}

// replies answers every request alike.
func replies(status int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		name, value, _ := strings.Cut(header, ": ")
		w.Header().Set(name, value)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// TestDoctor holds what doctor says of each thing that goes wrong between here and Heffl, and that it is bad for that alone.
func TestDoctor(t *testing.T) {
	t.Parallel()
	well := func(t *testing.T) http.Handler { return newSandbox(t, sandbox.Options{}) }
	over := func(h http.HandlerFunc) func(*testing.T) http.Handler {
		return func(*testing.T) http.Handler { return h }
	}
	const json, html = "Content-Type: application/json", "Content-Type: text/html"
	for name, c := range map[string]struct {
		heffl func(*testing.T) http.Handler
		env   []string
		code  int
		want  []symptom
	}{
		"all is well": {heffl: well, want: []symptom{{"version", good, "heffl-mcp "}, {"key", good, "of HEFFL_API_KEY, 8 characters"}, {"address", good, "http://127.0.0.1:"}, {"proxy", good, "none"},
			{"call", good, "GET /pipelines took"}, {"name", good, "an address"}, {"connection", good, "Heffl took it, at 127.0.0.1:"}, {"TLS", good, "this machine's own"}, {"clock", good, "within a minute"},
			{"budget", unknown, "no answer has told"}, {"workspace", good, "2 pipelines, 5 users, 4 sources, 5 tags, 4 products, 12 custom fields"}, {"journal", good, "writable"}, {"clients", unknown, "is not set, so it is not known where"}}},
		"a budget": {heffl: func(t *testing.T) http.Handler {
			sb := sandbox.New(sandbox.Options{})
			t.Cleanup(func() { sb.Close() })
			return sb
		}, want: []symptom{{"budget", good, "59 requests are left"}}},
		"no budget": {heffl: over(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("RateLimit-Limit", "60")
			w.Header().Set("RateLimit-Remaining", "0")
			w.Header().Set("RateLimit-Reset", "3000")
			_, _ = io.WriteString(w, `{"data":[]}`)
		}), code: 1, want: []symptom{{"budget", bad, "no requests are left"}}},
		"no pipelines":  {heffl: over(replies(200, json, `{"data":[]}`)), code: 1, want: []symptom{{"call", good, ""}, {"workspace", bad, "a deal needs a pipeline"}}},
		"spaces":        {heffl: well, env: []string{"HEFFL_API_KEY= test-key "}, want: []symptom{{"key", good, "the spaces around it are left out"}}},
		"no key":        {heffl: well, env: []string{"HEFFL_API_KEY="}, code: 1, want: []symptom{{"key", bad, "heffl-mcp login"}, {"call", unknown, "no key to ask with"}, {"connection", good, ""}}},
		"two keys":      {heffl: well, env: []string{"HEFFL_API_KEY=one two"}, code: 1, want: []symptom{{"key", bad, "contains a space"}, {"call", unknown, "no key to ask with"}}},
		"unfilled":      {heffl: well, env: []string{"HEFFL_API_KEY=${input:key}"}, code: 1, want: []symptom{{"key", bad, "HEFFL_API_KEY holds a ${...}"}}},
		"no key file":   {heffl: well, env: []string{"HEFFL_API_KEY_FILE=missing"}, code: 1, want: []symptom{{"key", bad, "the API key file cannot be read"}}},
		"wrong key":     {heffl: func(t *testing.T) http.Handler { return newSandbox(t, sandbox.Options{Key: "another"}) }, code: 1, want: []symptom{{"key", good, ""}, {"call", bad, "make a new key in Heffl under Settings > Developer"}, {"workspace", unknown, "not read"}}},
		"forbidden":     {heffl: over(replies(403, json, `{"error":{"code":"FORBIDDEN","message":"no"}}`)), code: 1, want: []symptom{{"call", bad, "the permission to see deals"}}},
		"another place": {heffl: over(replies(404, json, `{}`)), code: 1, want: []symptom{{"call", bad, heffl.DefaultBaseURL}}},
		"a portal":      {heffl: over(replies(302, "Location: http://portal.example/", "")), code: 1, want: []symptom{{"call", bad, "sign in to the network"}}},
		"a page":        {heffl: over(replies(200, html, "<html>Welcome")), code: 1, want: []symptom{{"call", bad, "sign in to the network"}}},
		"a refusal":     {heffl: over(replies(403, html, "<html>Blocked")), code: 1, want: []symptom{{"call", bad, "not in Heffl's form -> something between here and Heffl"}}},
		"trouble":       {heffl: over(replies(503, json, "{}")), want: []symptom{{"call", unknown, "Heffl has trouble"}}},
		"a limit":       {heffl: over(replies(429, "Retry-After: 3000", "{}")), want: []symptom{{"call", unknown, "rate limit is reached"}}},
		"silence":       {heffl: over(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), env: []string{"HEFFL_TIMEOUT=100ms"}, code: 1, want: []symptom{{"call", bad, "no answer came"}, {"connection", good, ""}, {"clock", unknown, ""}}},
		"a slow clock":  {heffl: over(replies(200, "Date: "+time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), `{"data":[]}`)), code: 1, want: []symptom{{"clock", bad, "behind Heffl's -> set this machine's clock"}, {"call", good, ""}}},
		"a fast clock":  {heffl: over(replies(200, "Date: "+time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), `{"data":[]}`)), code: 1, want: []symptom{{"clock", bad, "ahead of Heffl's"}}},
		"users hidden": {heffl: func(t *testing.T) http.Handler {
			sb := newSandbox(t, sandbox.Options{})
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/users") {
					replies(403, json, `{"error":{"code":"FORBIDDEN"}}`)(w, r)
					return
				}
				sb.ServeHTTP(w, r)
			})
		}, code: 1, want: []symptom{{"workspace", bad, "not readable: users (HTTP status 403)"}}},
		"no journal":         {heffl: well, env: []string{"HEFFL_MCP_STATE=off"}, want: []symptom{{"journal", unknown, "can make a second deal"}}},
		"an unwritable one":  {heffl: well, env: []string{"HEFFL_MCP_STATE=" + os.DevNull + "/x.db"}, code: 1, want: []symptom{{"journal", bad, "name another place"}}},
		"a database is down": {heffl: well, env: []string{"HEFFL_MCP_STATE=postgres://ada:hk_password@127.0.0.1:1/x"}, code: 1, want: []symptom{{"journal", bad, "in PostgreSQL"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := append(upstream(t, c.heffl(t)), c.env...)
			found := examine(t, c.code, env)
			for _, s := range c.want {
				s.in(t, found)
			}
			for _, f := range found {
				if strings.Contains(f.Found+f.Do, "hk_password") {
					t.Errorf("%+v shows a password", f)
				}
			}
		})
	}
}

// TestDoctorOnTheWay holds what doctor says where there is no way to Heffl.
func TestDoctorOnTheWay(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	ln.Close()
	secure := httptest.NewUnstartedServer(newSandbox(t, sandbox.Options{}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it is left at the door
	secure.StartTLS()
	t.Cleanup(secure.Close)
	proxy := httptest.NewServer(replies(407, "Proxy-Authenticate: Basic", ""))
	t.Cleanup(proxy.Close)
	for name, c := range map[string]struct {
		env  []string
		want []symptom
	}{
		"nobody listens":      {[]string{"HEFFL_BASE_URL=http://" + nobody}, []symptom{{"call", bad, "see the lines below"}, {"connection", bad, "refused"}, {"workspace", unknown, ""}}},
		"a strange authority": {[]string{"HEFFL_BASE_URL=" + secure.URL}, []symptom{{"connection", good, ""}, {"TLS", bad, "whom this machine does not trust -> where a proxy looks into TLS"}}},
		"no proxy there":      {[]string{"HTTPS_PROXY=http://ada:hk_password@" + nobody}, []symptom{{"proxy", good, "by way of " + nobody}, {"connection", bad, "the proxy took none"}}},
		"a proxy refuses":     {[]string{"HTTPS_PROXY=" + proxy.URL}, []symptom{{"proxy", good, ""}, {"connection", good, "the proxy took it"}, {"call", bad, "Proxy Authentication Required"}}},
		"no proxy at all":     {[]string{"HTTPS_PROXY=http://a b:hk_password@x"}, []symptom{{"proxy", bad, "http://HOST:PORT"}}},
		"no address":          {[]string{"HEFFL_BASE_URL=http://heffl.example"}, []symptom{{"address", bad, "must begin with https://"}, {"call", unknown, ""}, {"journal", good, ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := examine(t, 1, append([]string{"HEFFL_API_KEY=test-key"}, c.env...))
			for _, s := range c.want {
				s.in(t, found)
			}
			for _, f := range found {
				if strings.Contains(f.Found+f.Do, "hk_password") {
					t.Errorf("%+v shows a password", f)
				}
			}
		})
	}
}

// TestDoctorNames holds what is said of names without an address: no test asks a DNS server.
func TestDoctorNames(t *testing.T) {
	t.Parallel()
	p := &patient{settings: &settings{BaseURL: heffl.DefaultBaseURL}, wire: new(wire)}
	p.wire.looked, p.wire.lookErr = true, &net.DNSError{Err: "no such host", Name: "api.heffl.com"}
	if state, found, do := nameCheck(t.Context(), p); state != bad || !strings.Contains(found, "api.heffl.com, has no address") || !strings.Contains(do, "HTTPS_PROXY") {
		t.Errorf("nameCheck() = %s: %s -> %s", state, found, do)
	}
	u := &url.Error{Op: "Get", URL: "x", Err: p.wire.lookErr}
	if state, found, _ := p.diagnose(u); state != bad || !strings.Contains(found, "cannot be reached") {
		t.Errorf("diagnose() = %s: %s", state, found)
	}
}

// TestDoctorClients holds what is said of what clients are told to start.
func TestDoctorClients(t *testing.T) {
	t.Parallel()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	home = filepath.ToSlash(home)
	env := []string{"HEFFL_SANDBOX=true", "HOME=" + home, "USERPROFILE=" + home}
	for _, folder := range []string{"heffl-mcp", ".codex", ".cursor", ".codeium/windsurf", ".gemini"} {
		if err := os.MkdirAll(filepath.Join(home, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	quoted, _ := json.Marshal(path) // a string marshals
	put(t, filepath.Join(home, ".cursor/mcp.json"), `{"mcpServers": {"crm": {"command": `+string(quoted)+`, "env": {"HEFFL_API_KEY": "hk_in_there"}}, "other": {"command": "npx"}}}`)
	put(t, filepath.Join(home, ".codeium/windsurf/mcp_config.json"), `{"mcpServers": {"heffl": {"command": "/gone/heffl-mcp"}, "folder": {"command": "`+home+`/heffl-mcp"}}}`)
	put(t, filepath.Join(home, ".gemini/settings.json"), `{`)
	put(t, filepath.Join(home, "heffl-mcp.txt"), "no program")
	put(t, filepath.Join(home, ".codex/config.toml"), "[mcp_servers.heffl]\ncommand = '"+home+"/heffl-mcp.txt'\n[mcp_servers.path]\ncommand = 'heffl-mcp'\n")
	p := start(t, env, "doctor")
	p.exit(t, 1)
	for _, want := range []string{`/heffl-mcp as "folder", which is no program`, `heffl-mcp.txt as "heffl", which is no program`, `/gone/heffl-mcp as "heffl", which is not there`, `heffl-mcp install windsurf --name heffl`, `starts heffl-mcp as "path", which is not on the PATH`} {
		if runtime.GOOS != "windows" && !strings.Contains(p.out.String(), want) {
			t.Errorf("doctor says\n%s\nwant %s", p.out.String(), want)
		}
	}
	found := examine(t, 1, env)
	for _, s := range []symptom{{"cursor", good, `as "crm", with an API key in its configuration`}, {"gemini-cli", unknown, "not valid JSON"}} {
		s.in(t, found)
	}
	for _, f := range found {
		if strings.Contains(f.Found+f.Do, "hk_in_there") {
			t.Errorf("%+v shows a key", f)
		}
	}
}

// TestDoctorKeptKey holds that a file of login which others may read is bad, and its key works all the same.
func TestDoctorKeptKey(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes there")
	}
	env := append(upstream(t, newSandbox(t, sandbox.Options{})), "HEFFL_API_KEY=", "HEFFL_MCP_KEYRING=off")
	home := t.TempDir()
	env = append(env, "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, ".config"), "HEFFL_MCP_STATE=:memory:")
	p := start(t, env, "login")
	_, _ = io.WriteString(p.in, "hk_kept_key")
	_ = p.in.Close()
	p.exit(t, 0)
	symptom{"key", good, "characters"}.in(t, examine(t, 0, env))
	var file string
	if err := filepath.WalkDir(home, func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".key") {
			file = path
		}
		return err
	}); err != nil || file == "" {
		t.Fatalf("no file of login was found (%v)", err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	found := examine(t, 1, env)
	symptom{"key", bad, "chmod 600 '" + file + "'"}.in(t, found)
	symptom{"call", good, ""}.in(t, found)
}

// TestDoctorStops holds that it can be stopped while it waits.
func TestDoctorStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(bounded(t))
	env := upstream(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	p := start(t, env, "doctor")
	<-ctx.Done()
	p.terminate(t)
	p.exit(t, 1)
	if runtime.GOOS != "windows" && !strings.Contains(p.err.String(), "context canceled") {
		t.Errorf("standard error is %q", p.err.String())
	}
}
