package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"heffl-mcp/heffl/sandbox"
)

// secrets are the keys that must not be seen: one as Heffl may make it, and one with each character
// that some encoding writes in another way.
var secrets = map[string]string{
	"letters": "hk_live_4f9c2ab7d81e6035",
	"symbols": `hk+"<live>"&4f9c/2ab7=d8%1e\60'35`,
}

// shapes are the ways in which a key may be written, but for escapes.
func shapes(key string) []string {
	return []string{
		key,
		base64.RawStdEncoding.EncodeToString([]byte(key)), base64.RawURLEncoding.EncodeToString([]byte(key)),
		hex.EncodeToString([]byte(key)),
		url.QueryEscape(key), url.PathEscape(key), url.UserPassword("", key).String()[1:],
	}
}

// escapes are those of JSON and Go for what a key can have in it.
var escapes = regexp.MustCompile(`\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|["\\/])`)

func unescape(text string) string {
	return escapes.ReplaceAllStringFunc(text, func(e string) string {
		if len(e) == 2 {
			return e[1:]
		}
		code, _ := strconv.ParseUint(e[2:], 16, 16) // hexadecimal digits
		return string(rune(code))
	})
}

// find looks for a key in a text; the excerpt around it is empty if it is not there. A log may quote an
// error that quotes an answer, so that the key is escaped several times.
func find(key, text string) (excerpt string) {
	for range 4 {
		for _, shape := range shapes(key) {
			if i := strings.Index(text, shape); i >= 0 {
				return text[max(0, i-200):min(len(text), i+len(shape)+100)]
			}
		}
		text = unescape(text)
	}
	return ""
}

// scan fails when a key can be seen in what a program let out.
func scan(t *testing.T, key, where, text string) {
	t.Helper()
	if excerpt := find(key, text); excerpt != "" {
		t.Errorf("%s shows the key: ...%s...", where, excerpt)
	}
}

// A trap is an upstream that fails or misleads in one way. It gets the key with each request.
type trap func(w http.ResponseWriter, r *http.Request, key string)

// traps are what a call can meet: each fault of the sandbox, and answers that have the key in them wherever
// an answer can have something.
func traps(t *testing.T) map[string]trap {
	all := map[string]trap{"no fault": faulty(t, sandbox.Fault{})}
	for _, kind := range []sandbox.Kind{sandbox.NoFault, sandbox.Drop, sandbox.Hang, sandbox.Error, sandbox.Gateway, sandbox.TooMany, sandbox.Truncate, sandbox.Slow} {
		for _, when := range []sandbox.Moment{sandbox.Before, sandbox.After} {
			f := sandbox.Fault{Kind: kind, When: when, HideFor: time.Second}
			all[f.String()] = faulty(t, f)
		}
	}
	for _, status := range []int{200, 400, 401, 403, 404, 409, 422, 429, 500, 503} {
		all[fmt.Sprintf("%d: the key is what is wrong", status)] = says(status, "application/json", `{"error":{"code":KEY,"message":KEY,"details":{"issues":[{"field":KEY,"message":KEY},{KEY:KEY}]}}}`)
		all[fmt.Sprintf("%d: the key is text", status)] = says(status, "text/plain", "your key is RAW")
		all[fmt.Sprintf("%d: the key is a header", status)] = func(w http.ResponseWriter, _ *http.Request, key string) {
			for _, name := range []string{"Retry-After", "RateLimit-Reset", "Date", "Location", "Set-Cookie", "Www-Authenticate", "X-Api-Key", "Content-Type"} {
				w.Header().Set(name, key)
			}
			w.WriteHeader(status)
		}
	}
	maps.Copy(all, map[string]trap{
		"the key is in the deal":        says(200, "application/json", `{"id":"dl_1","title":KEY,"number":[KEY],KEY:KEY,"stage":{KEY:[KEY]}}`),
		"the key is the id":             says(200, "application/json", `{"id":KEY}`),
		"the key is escaped":            says(400, "application/json", `{"error":{"message":UNICODE}}`),
		"the key is escaped in a deal":  says(200, "application/json", `{"id":"dl_1","title":UNICODE}`),
		"slashes are escaped in a deal": says(200, "application/json", `{"id":"dl_1","title":SLASHES}`),
		"the key has gaps":              says(400, "application/json", `{"error":{"message":GAPS}}`),
		"the key is cut":                says(400, "application/json", `{"error":{"message":"`+strings.Repeat("x ", 240)+`RAW"}}`),
		"the key is a page":             says(502, "text/html", "<p>RAW</p>"),
		"the key is an address":         says(302, "text/plain", ""),
		"the key is the status":         writes("HTTP/1.1 RAW\r\n\r\n"),
		"the key is the reason":         writes("HTTP/1.1 500 RAW\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
		"the key is the protocol":       writes("RAW\r\n\r\n"),
		"the key is a header line":      writes("HTTP/1.1 200 OK\r\nRAW\r\n\r\n"),
		"the key is the length":         writes("HTTP/1.1 200 OK\r\nContent-Length: RAW\r\n\r\n"),
		"the key is the encoding":       writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: RAW\r\n\r\n"),
		"the key is a chunk":            writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nRAW\r\n"),
		"the key is a trailer":          writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nRAW\r\n\r\n"),
	})
	return all
}

// faulty is a sandbox of its own with a fault.
func faulty(t *testing.T, f sandbox.Fault) trap {
	f.Wait = time.Millisecond
	sb := newSandbox(t, sandbox.Options{Fault: func(*http.Request) sandbox.Fault { return f }})
	return func(w http.ResponseWriter, r *http.Request, _ string) { sb.ServeHTTP(w, r) }
}

// fill puts the key into an answer: KEY is a JSON string, UNICODE one of escapes alone, SLASHES one as
// PHP writes it, GAPS one with characters that are not seen, RAW the bytes.
func fill(pattern, key string) string {
	quoted, _ := json.Marshal(key) // a string marshals
	escaped, gaps := `"`, key[:1]
	for _, c := range key {
		escaped += fmt.Sprintf(`\u%04x`, c)
	}
	for _, c := range key[1:] {
		gaps += "\u200b" + string(c)
	}
	spaced, _ := json.Marshal(gaps)
	return strings.NewReplacer("KEY", string(quoted), "SLASHES", strings.ReplaceAll(string(quoted), "/", `\/`), "UNICODE", escaped+`"`, "GAPS", string(spaced), "RAW", key).Replace(pattern)
}

func says(status int, contentType, pattern string) trap {
	return func(w http.ResponseWriter, _ *http.Request, key string) {
		w.Header().Set("Content-Type", contentType)
		if status/100 == 3 {
			w.Header().Set("Location", "/?key="+url.QueryEscape(key)+"&"+key)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, fill(pattern, key)) // fails when the program has gone, and then its exit tells
	}
}

// writes answers with bytes that are no good HTTP.
func writes(pattern string) trap {
	return func(w http.ResponseWriter, _ *http.Request, key string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, fill(pattern, key))
		conn.Close()
	}
}

// A minefield is the upstream with all traps, by the titles of deals. Each trap has two: a title that begins
// with look is trapped from the first request on, the look for a deal like it; one with send from the
// create on, and then so are the looks for what that has made.
type minefield struct {
	key   string
	state string // the journal of those who walk it
	audit string // their audit file
	seen  *traceStore
	traps map[string]trap
	well  *sandbox.Sandbox

	mu  sync.Mutex
	met map[string]bool // titles with which a request with the key has reached its trap
}

func (m *minefield) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	var deal struct{ Title string }
	_ = json.Unmarshal(body, &deal) // a look has no body, but searches for the title
	title, key := cmp.Or(deal.Title, r.URL.Query().Get("search")), r.Header.Get("X-Api-Key")
	if trap := m.step(title, key, r.Method); trap != nil {
		trap(w, r, key)
		return
	}
	m.well.ServeHTTP(w, r)
}

// step is the trap that a request treads on, if it does.
func (m *minefield) step(title, key, method string) trap {
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.HasPrefix(title, "send") && method == http.MethodGet && !m.met[title] {
		return nil
	}
	m.met[title] = m.met[title] || key == m.key
	return m.traps[title]
}

// lay makes a minefield and the environment of a program that walks it, with everything logged and
// little time for what hangs.
func lay(t *testing.T, key string, from ...string) (*minefield, []string) {
	m := &minefield{key: key, state: journals["SQLite"](t), audit: filepath.Join(t.TempDir(), "audit.jsonl"), seen: collectTraces(t), traps: map[string]trap{}, well: newSandbox(t, sandbox.Options{}), met: map[string]bool{}}
	for name, trap := range traps(t) {
		for _, from := range from {
			title := from + noWord.ReplaceAllString(name, "") // one word, so that every look searches for all of it
			if m.traps[title] != nil {
				t.Fatalf("two traps are called %q", title)
			}
			m.traps[title] = trap
		}
	}
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	return m, append(m.seen.env(),
		"HEFFL_API_KEY="+key, "HEFFL_BASE_URL="+srv.URL+"/api/v2", "HEFFL_MCP_STATE="+m.state, "HEFFL_MCP_AUDIT="+m.audit,
		"HEFFL_TIMEOUT=1s", "HEFFL_MCP_DEADLINE=2s", "HEFFL_MCP_LOG_LEVEL=debug",
	)
}

var noWord = regexp.MustCompile(`\W`)

// scanTraces looks for the key in what the collector has got, when the programs have ended.
func (m *minefield) scanTraces(t *testing.T) {
	t.Helper()
	m.seen.named(bounded(t), t, "tools/call create_deal")
	m.seen.named(bounded(t), t, "POST")
	scan(t, m.key, "the traces", m.seen.text())
}

// reached reports whether a request with the key has reached a trap.
func (m *minefield) reached(title string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.met[title]
}

// scanJournal looks for the key in the journal's files, whether or not a program has them open, and in the audit.
func (m *minefield) scanJournal(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(m.state + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("the journal is in the files %q (%v)", files, err)
	}
	var all strings.Builder
	for _, file := range files {
		all.Write(read(t, file))
	}
	for title := range m.traps {
		if !strings.Contains(all.String(), title) {
			t.Errorf("%q is not in the files %q: nothing was tested", title, files)
		}
	}
	scan(t, m.key, "the journal", all.String())
	if lines := auditLines(t, m.audit); len(lines) < len(m.traps) {
		t.Errorf("%d calls are in the audit, want %d or more", len(lines), len(m.traps))
	}
	scan(t, m.key, "the audit", string(read(t, m.audit)))
}

func deal(t *testing.T, title string) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(map[string]string{"title": title, "clientId": "clt_northwind", "pipelineId": "dpl_sales"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKeyStaysSecret sends a call into each trap, over each way in, and looks for the key in every
// byte that comes out: results, logs and headers.
func TestKeyStaysSecret(t *testing.T) {
	t.Parallel()
	for name, key := range secrets {
		t.Run(name+"/stdio", func(t *testing.T) {
			t.Parallel()
			m, env := lay(t, key, "look", "send")
			p, s := startStdio(t, env)
			m.walk(t, s)
			if err := p.in.Close(); err != nil {
				t.Fatal(err)
			}
			p.exit(t, 0)
			m.scanJournal(t)
			m.scanTraces(t)
			scan(t, key, "standard output", p.out.String())
			scan(t, key, "the log", p.err.String())
		})
		for _, transport := range []string{"http", "sse"} {
			t.Run(name+"/"+transport, func(t *testing.T) {
				t.Parallel()
				m, env := lay(t, key, "send")
				p, at := serveHTTP(t, env)
				wire := &recorder{next: at.http.Transport}
				disconnect := at.http.CloseIdleConnections
				at.http = &http.Client{Transport: wire}
				s := new(plain)
				if transport == "http" {
					s.overHTTP(at)
				} else if err := s.overSSE(bounded(t), at); err != nil {
					t.Fatal(err)
				}
				m.walk(t, s)
				look(t, at)
				if err := s.close(); err != nil {
					t.Error(err)
				}
				disconnect()
				p.terminate(t)
				p.exit(t, 0)
				m.scanJournal(t)
				m.scanTraces(t)
				scan(t, key, "an answer", wire.seen.String())
				scan(t, key, "the log", p.err.String())
				scan(t, key, "standard output", p.out.String())
			})
		}
		t.Run(name+"/call", func(t *testing.T) {
			t.Parallel()
			m, env := lay(t, key, "send")
			m.each(t, func(ctx context.Context, title string) error {
				cmd := command(t, env, "call", "create_deal", "-")
				cmd.Stdin = strings.NewReader(string(deal(t, title)))
				out, _ := cmd.CombinedOutput() // how it ends is not the matter here
				scan(t, key, "call: "+title, string(out))
				return ctx.Err()
			})
			m.scanJournal(t)
			m.scanTraces(t)
			for _, args := range []string{"journal --limit=1000", "journal --limit=1000 --json"} {
				out, err := command(t, env, strings.Fields(args)...).CombinedOutput()
				if n := strings.Count(string(out), "\n"); err != nil || n < len(m.traps) {
					t.Errorf("%s: %v, %d lines, want %d or more", args, err, n, len(m.traps))
				}
				scan(t, key, args, string(out))
			}
		})
	}
}

// walk calls into all traps, and wants an answer from each. Left out are those that speak of the rate limit,
// which holds all calls of one program back.
func (m *minefield) walk(t *testing.T, s *plain) {
	t.Helper()
	m.mu.Lock() // the program reads what the workspace has, meanwhile
	maps.DeleteFunc(m.traps, func(title string, _ trap) bool { return strings.Contains(title, "429") })
	m.mu.Unlock()
	m.each(t, func(ctx context.Context, title string) error {
		r, err := s.call(ctx, "create_deal", deal(t, title))
		if err != nil {
			return err
		}
		scan(t, m.key, title, r.text())
		scan(t, m.key, title, string(r.StructuredContent))
		return nil
	})
	m.scanJournal(t)
}

// look asks for what an operator sees of the program; what comes is scanned with all other answers.
func look(t *testing.T, at place) {
	t.Helper()
	for path, want := range map[string]string{"/metrics": "heffl_mcp_calls_total", "/readyz": "ready"} {
		if status, body := at.get(t, path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s = %d %s, want 200 with %s", path, status, body, want)
		}
	}
}

// each makes a call for each trap, some at once. One that is over before its trap was met, on a machine that
// has much to do, is repeated: nothing was tested.
func (m *minefield) each(t *testing.T, call func(ctx context.Context, title string) error) {
	t.Helper()
	titles := make(chan string)
	var walkers sync.WaitGroup
	for range 16 {
		walkers.Go(func() {
			for title := range titles {
				for ctx := bounded(t); !m.reached(title); {
					if err := call(ctx, title); err != nil {
						t.Errorf("%s: %v", title, err)
						break
					}
				}
			}
		})
	}
	for title := range m.traps {
		titles <- title
	}
	close(titles)
	walkers.Wait()
}

// TestTokenStaysSecret lets clients in with a token, and keeps others out that have it wrong or in the wrong
// place, and looks for it in every byte that comes out and in the journal.
func TestTokenStaysSecret(t *testing.T) {
	t.Parallel()
	for name, token := range secrets {
		for _, from := range []string{"variable", "file"} {
			t.Run(name+"/"+from, func(t *testing.T) {
				t.Parallel()
				state, file := journals["SQLite"](t), filepath.Join(t.TempDir(), "tokens")
				traces := collectTraces(t)
				env := append(traces.env(), "HEFFL_SANDBOX=true", "HEFFL_MCP_STATE="+state, "HEFFL_MCP_AUDIT="+state+".audit", "HEFFL_MCP_LOG_LEVEL=debug")
				if from == "file" {
					if err := os.WriteFile(file, []byte("# ours\n"+token+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
					env = append(env, "HEFFL_MCP_TOKEN_FILE="+file)
				} else {
					env = append(env, "HEFFL_MCP_TOKEN="+token)
				}
				p, at := serveHTTP(t, env)
				wire := &recorder{next: at.http.Transport}
				disconnect := at.http.CloseIdleConnections
				at.http = &http.Client{Transport: sending{wire, []string{"Authorization", "Bearer " + token}}}
				for _, transport := range []string{"http", "sse"} {
					s := new(plain)
					if transport == "http" {
						s.overHTTP(at)
					} else if err := s.overSSE(bounded(t), at); err != nil {
						t.Fatal(err)
					}
					r, err := s.call(bounded(t), "create_deal", deal(t, "over "+transport))
					if err != nil || r.IsError {
						t.Errorf("create_deal over %s = %v, %v; want a deal", transport, r, err)
					}
					if err := s.close(); err != nil {
						t.Error(err)
					}
				}
				for _, wrong := range []struct{ credentials, query string }{
					{"", "?access_token=" + url.QueryEscape(token)}, {"Bearer " + token + "x", ""}, {"Bearer x" + token, ""},
					{"Bearer " + token + " " + token, ""}, {token, ""}, {"Basic " + token, ""}, {"Bearer \t" + token, ""},
				} {
					s, at := new(plain), at
					at.mcp += wrong.query
					at.http = &http.Client{Transport: sending{wire, []string{"Authorization", wrong.credentials}}}
					s.overHTTP(at)
					if err := s.ping(bounded(t)); err == nil || find(token, err.Error()) != "" {
						t.Errorf("ping with %.8q... and %.8q... = %v, want an error that does not show them", wrong.credentials, wrong.query, err)
					}
				}
				look(t, at)
				if from == "file" { // what cannot be read again is not shown either
					if err := os.WriteFile(file, []byte(token+" "+token), 0o600); err != nil {
						t.Fatal(err)
					}
					s := new(plain)
					s.overHTTP(at)
					for ctx := bounded(t); !strings.Contains(p.err.String(), "the token file cannot be used any more"); {
						if err := s.ping(ctx); err != nil {
							t.Fatal(err)
						}
					}
				}
				disconnect()
				p.terminate(t)
				p.exit(t, 0)
				files, err := filepath.Glob(state + "*")
				if err != nil || len(files) == 0 {
					t.Fatalf("the journal is in the files %q (%v)", files, err)
				}
				for _, file := range files {
					scan(t, token, "the journal, or the audit", string(read(t, file)))
				}
				traces.named(bounded(t), t, "tools/call create_deal")
				scan(t, token, "the traces", traces.text())
				scan(t, token, "an answer", wire.seen.String())
				scan(t, token, "the log", p.err.String())
				scan(t, token, "standard output", p.out.String())
			})
		}
	}
}

// TestBadTokenStaysSecret holds that a token which cannot be used, or is in the wrong place, is not shown while
// saying so.
func TestBadTokenStaysSecret(t *testing.T) {
	t.Parallel()
	for name, token := range secrets {
		file := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(file, []byte(token+" "+token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct {
			env  []string
			args []string
		}{
			"with a blank":                 {[]string{"HEFFL_MCP_TOKEN=" + token + " " + token}, nil},
			"with an umlaut":               {[]string{"HEFFL_MCP_TOKEN=" + token + "ü"}, nil},
			"after an unfilled variable":   {[]string{"HEFFL_MCP_TOKEN=${TOKEN}" + token}, nil},
			"twice in a line":              {[]string{"HEFFL_MCP_TOKEN_FILE=" + file}, nil},
			"beside a file":                {[]string{"HEFFL_MCP_TOKEN=" + token}, []string{"--token-file=" + file}},
			"in place of its file":         {[]string{"HEFFL_MCP_TOKEN_FILE=" + token}, nil},
			"in place of its file, a flag": {nil, []string{"--token-file=" + token}},
			"as a flag":                    {nil, []string{"--token=" + token}},
			"as a flag of two words":       {nil, []string{"--token", token}},
			"in place of a key's file":     {nil, []string{"--tls-cert=" + token, "--tls-key=" + token}},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				p := start(t, append(c.env, "HEFFL_SANDBOX=true"), append([]string{"http", "--addr", "127.0.0.1:0"}, c.args...)...)
				p.exit(t, 2)
				if p.err.String() == "" {
					t.Error("nothing is said")
				}
				scan(t, token, "standard error", p.err.String())
				scan(t, token, "standard output", p.out.String())
			})
		}
	}
}

// A recorder keeps all that answers say.
type recorder struct {
	next http.RoundTripper
	seen capture
}

func (rec *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := rec.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	head, err := httputil.DumpResponse(resp, false)
	if err != nil {
		return nil, err
	}
	_, _ = rec.seen.Write(head)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(resp.Body, &rec.seen), resp.Body}
	return resp, nil
}

// TestBadKeyStaysSecret holds that a key which cannot be used is not shown while saying so, and neither
// is one that was put where it does not belong.
func TestBadKeyStaysSecret(t *testing.T) {
	t.Parallel()
	for name, key := range secrets {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(key+"\n"+key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			what string
			env  []string
			args []string
		}{
			{"with a blank", []string{"HEFFL_API_KEY=" + key + " " + key}, nil},
			{"with a line break", []string{"HEFFL_API_KEY=" + key + "\n" + key}, nil},
			{"with an umlaut", []string{"HEFFL_API_KEY=" + key + "ü"}, nil},
			{"twice in a file", []string{"HEFFL_API_KEY_FILE=" + file}, nil},
			{"as a flag", nil, []string{"--api-key=" + key}},
			{"as a flag of two words", nil, []string{"--api-key", key}},
			{"as the address", []string{"HEFFL_API_KEY=x", "HEFFL_BASE_URL=" + key}, nil},
			{"as a user", []string{"HEFFL_API_KEY=x", "HEFFL_BASE_URL=https://" + url.UserPassword(key, key).String() + "@heffl.example/"}, nil},
			{"in a query", []string{"HEFFL_API_KEY=x", "HEFFL_BASE_URL=https://heffl.example/?key=" + url.QueryEscape(key)}, nil},
			{"after an unfilled variable", []string{"HEFFL_API_KEY=${KEY}" + key}, nil},
		} {
			t.Run(name+"/"+c.what, func(t *testing.T) {
				t.Parallel()
				p := start(t, c.env, c.args...)
				p.exit(t, 2)
				if p.err.String() == "" {
					t.Error("nothing is said")
				}
				scan(t, key, "standard error", p.err.String())
				scan(t, key, "standard output", p.out.String())
			})
		}
	}
}

// TestScan holds that scan would find the key in whatever form.
func TestScan(t *testing.T) {
	t.Parallel()
	const key = `a+"<&>\b/c`
	for _, text := range []string{
		`x a+"<&>\b/c y`, `{"k":"a+\"<&>\\b/c"}`, `{"k":"a+\"\u003c\u0026\u003e\\b/c"}`, `msg="k=\"a+\\\"<&>\\\\b/c\""`,
		"?k=a%2B%22%3C%26%3E%5Cb%2Fc", "x:YSsiPCY+XGIvYw==", "YSsiPCY-XGIvYw", "612b223c263e5c622f63",
		`{"k":"\u0061\u002B\u0022\u003c&>\\b\/c"}`,
	} {
		if find(key, text) == "" {
			t.Errorf("the key is not seen in %s", text)
		}
	}
}

// TestKeyStaysSecretInSetup logs in, installs, examines and takes it all back, and looks for the key in every byte that comes out; at the
// end it is nowhere.
func TestKeyStaysSecretInSetup(t *testing.T) {
	t.Parallel()
	for name, key := range secrets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			env := append(upstream(t, newSandbox(t, sandbox.Options{Key: key}))[1:], "HOME="+home, "USERPROFILE="+home, "AppData="+home, "HEFFL_MCP_LOG_LEVEL=debug")
			kept := func() (files []string) {
				err := filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
					if err == nil && !d.IsDir() && find(key, string(read(t, path))) != "" {
						files = append(files, filepath.Base(path))
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				return files
			}
			for _, step := range []struct {
				args string
				kept int // files with the key after it
			}{
				{"login", 1}, {"doctor", 1}, {"doctor --json", 1},
				{"install claude-code --yes", 1},
				{"install codex --with-key --print", 1}, {"install codex --with-key --yes", 2}, {"install codex --with-key --yes", 2},
				{"install vscode --with-key --yes", 3}, {"install vscode --yes --read-only", 4}, {"doctor", 4},
				{"uninstall vscode --print", 4}, {"uninstall codex --yes", 3}, {"logout", 2}, {"uninstall claude-code --yes", 2},
			} {
				cmd := command(t, env, strings.Fields(step.args)...)
				if step.args == "login" {
					cmd.Stdin = strings.NewReader(key + "\n")
				}
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%s: %v\n%s", step.args, err, out)
				}
				scan(t, key, step.args, string(out))
				if files := kept(); len(files) != step.kept {
					t.Errorf("%s leaves the key in %q, want %d files\n%s", step.args, files, step.kept, out)
				}
			}
		})
	}
}

// TestKeyStaysSecretFromDoctor has doctor meet each trap.
func TestKeyStaysSecretFromDoctor(t *testing.T) {
	t.Parallel()
	key := secrets["symbols"]
	for name, trap := range traps(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := append(upstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { trap(w, r, key) })), "HEFFL_API_KEY="+key, "HEFFL_TIMEOUT=200ms", "HEFFL_MCP_LOG_LEVEL=debug")
			out, _ := command(t, env, "doctor").CombinedOutput() // how it ends is not the matter here
			if !strings.Contains(string(out), "journal") {
				t.Errorf("doctor says %s", out)
			}
			scan(t, key, "doctor", string(out))
		})
	}
}
