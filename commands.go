package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/journal"
	"heffl-mcp/serve"
	"heffl-mcp/tools"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

type stdioCommand struct{}

func (stdioCommand) Run(ctx context.Context, s *settings, io streams) error {
	if os.Getenv("GOGC") == "" { // what the start leaves behind is collected, and given back, when the client has its first answer
		debug.SetGCPercent(400)
		time.AfterFunc(time.Second, func() {
			debug.SetGCPercent(100)
			debug.FreeOSMemory()
		})
	}
	log := s.log(io.err)
	m, end, err := s.mcp(ctx, log)
	if err != nil {
		return err
	}
	out := &firstWrite{Writer: io.out, done: make(chan struct{})}
	end = learning(ctx, log, m, out.done, end) // the client waits for its first answer, and not for this
	log.InfoContext(ctx, "serving MCP on standard input and output", "version", version(), "sandbox", s.Sandbox)
	err = (&serve.Stdio{MCP: m.MCPServer, Tools: m, Log: log, Drain: s.Deadline}).Serve(ctx, io.in, out)
	return errors.Join(err, end())
}

// A firstWrite is a writer that says when something has been written.
type firstWrite struct {
	io.Writer
	once sync.Once
	done chan struct{} // closed after the first Write
}

func (f *firstWrite) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	f.once.Do(func() { close(f.done) })
	return n, err
}

type httpCommand struct {
	Addr      string   `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to listen on (${default}); port 0 takes a free one. Others than loopback ones need a token, an issuer, or that each request brings its own Heffl key."`
	TokenFile string   `name:"token-file" env:"HEFFL_MCP_TOKEN_FILE" placeholder:"FILE" help:"Bearer tokens, one a line, of which each request must carry one; instead of one in HEFFL_MCP_TOKEN."`
	Issuer    string   `name:"oidc-issuer" env:"HEFFL_MCP_OIDC_ISSUER" placeholder:"URL" help:"Take the access tokens of this OpenID Connect issuer."`
	Audience  string   `name:"oidc-audience" env:"HEFFL_MCP_OIDC_AUDIENCE" placeholder:"NAME" help:"What its tokens for this server have as their audience."`
	Rate      int      `name:"rate" env:"HEFFL_MCP_RATE" default:"0" placeholder:"N" help:"Requests a minute that one client may make (0: no limit)."`
	Origins   []string `name:"allow-origin" env:"HEFFL_MCP_ALLOW_ORIGINS" placeholder:"ORIGIN" help:"Web origins whose pages may call this server, such as https://app.example.com."`
	Hosts     []string `name:"allow-host" env:"HEFFL_MCP_ALLOW_HOSTS" placeholder:"NAME" help:"Names by which clients reach this server through a proxy on this machine, such as crm.example.com."`
	TLSCert   string   `name:"tls-cert" env:"HEFFL_MCP_TLS_CERT" placeholder:"FILE" help:"TLS certificate, PEM."`
	TLSKey    string   `name:"tls-key" env:"HEFFL_MCP_TLS_KEY" placeholder:"FILE" help:"Its key, PEM."`
}

func (h httpCommand) Run(ctx context.Context, s *settings, io streams) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200) // many share this process, and their time is dearer than its memory
	}
	log := s.log(io.err)
	srv, err := h.server(log)
	if err != nil {
		return usageError{err}
	}
	srv.KeyPerRequest = s.keyless()
	d, traces, end, err := s.deps(ctx, log, srv.KeyPerRequest)
	if err != nil {
		return err
	}
	w := newWatch(d.Heffl, d.Journal, log)
	d.Caller, d.Reports = callerOf, both(w.called, d.Reports)
	m, err := newServer(d, traces, end)
	if err != nil {
		return err
	}
	m.Use(w.calling)
	ln, err := srv.Listen(ctx, h.Addr)
	if err != nil {
		return errors.Join(usageError{err}, end())
	}
	at := "http://" + ln.Addr().String()
	if h.TLSCert != "" {
		at = "https://" + ln.Addr().String()
	}
	if srv.KeyPerRequest {
		log.InfoContext(ctx, "there is no API key, so each request must bring its own in "+serve.KeyHeader)
	} else {
		end = learning(ctx, log, m, nil, end)
	}
	log.InfoContext(ctx, "serving MCP over HTTP", "url", at+"/mcp", "sse", at+"/sse", "version", version(), "sandbox", s.Sandbox)
	srv.MCP, srv.Tools, srv.Drain, srv.Metrics, srv.Ready = m.MCPServer, m, s.Deadline, w.handler(), w.ready
	err = srv.Serve(ctx, ln)
	return errors.Join(err, end())
}

// callerOf is whose a call is, as the way in knows it.
func callerOf(ctx context.Context) tools.Caller {
	p, ok := serve.PrincipalOf(ctx)
	return tools.Caller{Name: p.Name, Key: p.Key, ReadOnly: ok && !p.May(serve.ScopeWrite)}
}

// both tells two of a call; the second may be nobody.
func both(one, other func(context.Context, tools.Report)) func(context.Context, tools.Report) {
	if other == nil {
		return one
	}
	return func(ctx context.Context, r tools.Report) {
		one(ctx, r)
		other(ctx, r)
	}
}

// server is the way in without what is served there. What is wrong is said without showing a token.
func (h httpCommand) server(log *slog.Logger) (_ *serve.HTTP, err error) {
	srv := &serve.HTTP{Log: log, Rate: h.Rate, AllowedOrigins: h.Origins, Hosts: h.Hosts, TLSCert: h.TLSCert, TLSKey: h.TLSKey}
	switch token := os.Getenv("HEFFL_MCP_TOKEN"); {
	case token != "" && h.TokenFile != "":
		err = errors.New("both HEFFL_MCP_TOKEN and a token file are set; take one of them away")
	case token != "":
		if srv.Tokens, err = serve.NewTokens(token); err != nil {
			err = fmt.Errorf("HEFFL_MCP_TOKEN: %w", err)
		}
	case h.TokenFile != "":
		if srv.Tokens, err = serve.ReadTokens(h.TokenFile); err != nil {
			err = fmt.Errorf("%w; --token-file or HEFFL_MCP_TOKEN_FILE names it", err)
		}
	}
	if err != nil {
		return nil, err
	}
	if (h.Issuer == "") != (h.Audience == "") {
		return nil, errors.New("--oidc-issuer and --oidc-audience go together: give both or none")
	}
	if h.Issuer != "" {
		srv.OIDC, err = serve.NewOIDC(h.Issuer, h.Audience, nil)
	}
	return srv, err
}

type callCommand struct {
	Tool string `arg:"" help:"Name of the tool."`
	Args string `arg:"" optional:"" placeholder:"ARGS.json" help:"File with the arguments as a JSON object; - reads standard input; none is {}."`
}

// maxArguments bounds an arguments file, in bytes.
const maxArguments = 4 << 20

// Run exits 0 for a result and 1 for a tool error, whose text goes to standard error.
func (c callCommand) Run(ctx context.Context, s *settings, streams streams) error {
	args, err := c.arguments(streams.in)
	if err != nil {
		return err
	}
	s.LogLevel = quieter(s.LogLevel)
	m, end, err := s.mcp(ctx, s.log(streams.err))
	if err != nil {
		return err
	}
	defer func() { _ = end() }() // the result counts, not how the sandbox ended
	cl, err := client.NewInProcessClient(m.MCPServer)
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := cl.Initialize(ctx, mcp.InitializeRequest{}); err != nil {
		return err
	}
	if m.GetTool(c.Tool) == nil {
		return usage("there is no tool %q; there are %s", c.Tool, strings.Join(toolNames(m.ListTools()), ", "))
	}
	var request mcp.CallToolRequest
	request.Params.Name, request.Params.Arguments = c.Tool, args
	result, err := cl.CallTool(ctx, request)
	if err != nil {
		return err
	}
	if result.IsError {
		return errors.New(textOf(result))
	}
	return printJSON(streams.out, result.RawStructuredContent)
}

func (c callCommand) arguments(in io.Reader) (json.RawMessage, error) {
	if c.Args == "" {
		return json.RawMessage("{}"), nil
	}
	what := "standard input"
	if c.Args != "-" {
		what = c.Args
		f, err := os.Open(c.Args)
		if err != nil {
			return nil, usage("the arguments cannot be read (%w); give a file with a JSON object, or - for standard input", err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxArguments+1))
	if err != nil {
		return nil, usage("the arguments cannot be read (%w)", err)
	}
	if len(raw) > maxArguments {
		return nil, usage("%s is larger than %d bytes", what, maxArguments)
	}
	raw = bytes.TrimPrefix(raw, []byte("\ufeff")) // as Windows editors write it
	if !json.Valid(raw) {
		return nil, usage("%s is not valid JSON; give one JSON object with the tool's arguments", what)
	}
	return raw, nil
}

// quieter keeps the log of a single call to what went wrong, unless more was asked for.
func quieter(level string) string {
	if level == "info" {
		return "warn"
	}
	return level
}

func textOf(r *mcp.CallToolResult) string {
	var parts []string
	for _, c := range r.Content {
		if t, ok := mcp.AsTextContent(c); ok {
			parts = append(parts, t.Text)
		}
	}
	return strings.Join(parts, "\n")
}

type toolsCommand struct {
	Name string `arg:"" optional:"" help:"Name of one tool."`
}

func (t toolsCommand) Run(_ context.Context, s *settings, streams streams) error {
	m, err := tools.NewServer(tools.Deps{Version: version(), ReadOnly: s.ReadOnly, Tools: s.Tools})
	if err != nil {
		return usageError{err}
	}
	all := m.ListTools()
	if t.Name == "" {
		list := []mcp.Tool{}
		for _, name := range toolNames(all) {
			list = append(list, all[name].Tool)
		}
		return printJSON(streams.out, list)
	}
	one, ok := all[t.Name]
	if !ok {
		return usage("there is no tool %q; there are %s", t.Name, strings.Join(toolNames(all), ", "))
	}
	return printJSON(streams.out, one.Tool)
}

func toolNames[T any](all map[string]T) []string {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// printJSON writes v indented, every digit and character as it is.
func printJSON(w io.Writer, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	raw, err = jsontext.AppendFormat(nil, raw, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	_, err = w.Write(append(raw, '\n'))
	return err
}

type sandboxCommand struct {
	Addr string `default:"127.0.0.1:8099" placeholder:"HOST:PORT" help:"Loopback address to listen on (${default}); port 0 takes a free one."`
}

func (c sandboxCommand) Run(ctx context.Context, s *settings, streams streams) error {
	ln, err := serve.Listen(ctx, c.Addr)
	if err != nil {
		return usageError{err}
	}
	// A client's journal outlives this workspace: what it remembers must not be taken for what is made in another one.
	sb := sandbox.New(sandbox.Options{Series: strings.ToLower(rand.Text()[:6])})
	defer sb.Close()
	srv := &http.Server{Handler: sb, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	s.log(streams.err).InfoContext(ctx, "serving a stand-in for the Heffl API; any key is taken, nothing is kept", "HEFFL_BASE_URL", fmt.Sprintf("http://%s/api/v2", ln.Addr()))
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	return ended(srv.Serve(ln))
}

type journalCommand struct {
	Unclear bool `help:"Only what is not settled yet."`
	JSON    bool `name:"json" help:"One JSON object a line, with all that is kept."`
	Limit   int  `default:"50" placeholder:"50" help:"At most so many."`
}

// Run lists what this program has made or was asked to make, newest first. The journal holds no key; whose entries
// they are is a hash.
func (c journalCommand) Run(ctx context.Context, s *settings, streams streams) error {
	if c.Limit < 1 {
		return usage("--limit must be at least 1")
	}
	j, err := s.journal(s.log(streams.err))
	if err != nil {
		return err
	}
	if j == nil {
		return usage("HEFFL_MCP_STATE is off, so nothing is kept")
	}
	defer func() { _ = j.Close() }() // it was only read
	records, err := j.List(ctx, journal.Filter{Unclear: c.Unclear, Limit: c.Limit})
	if err != nil {
		return err
	}
	if c.JSON {
		return printRecords(streams.out, records)
	}
	w := tabwriter.NewWriter(streams.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "WHEN\tOUTCOME\tWHAT\tID\tTITLE") // w keeps all until Flush
	for _, r := range records {
		var about struct{ What, Title string }
		_ = json.Unmarshal(r.About, &about) // whatever wrote it, the rest of the row stands
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Created.Local().Format(time.DateTime), tools.OutcomeOf(r, time.Now()), oneLine(about.What), oneLine(r.Ref), oneLine(about.Title))
	}
	return w.Flush()
}

// listedRecord is a record with its outcome as what it is: the JSON of what was made, or why it was
// not.
type listedRecord struct {
	journal.Record
	Outcome json.RawMessage `json:"outcome,omitempty"`
	Reason  string          `json:"reason,omitempty"`
}

// printRecords writes one JSON object a line.
func printRecords(w io.Writer, records []journal.Record) error {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	for _, r := range records {
		l := listedRecord{Record: r}
		if r.State == journal.StateRefused {
			l.Reason = string(r.Outcome)
		} else {
			l.Outcome = r.Outcome
		}
		line.Reset()
		if err := e.Encode(l); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n", visible(bytes.TrimSpace(line.Bytes()))); err != nil {
			return err
		}
	}
	return nil
}

// visible writes what a terminal could act upon, or not show, as the escapes of JSON.
func visible(line []byte) []byte {
	var b []byte
	for _, r := range string(line) {
		if unicode.IsPrint(r) {
			b = utf8.AppendRune(b, r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			b = fmt.Appendf(b, `\u%04x`, u)
		}
	}
	return b
}

// oneLine keeps what others have written from breaking the table, or the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

type versionCommand struct{}

func (versionCommand) Run(_ context.Context, _ *settings, streams streams) error {
	_, err := fmt.Fprintln(streams.out, version())
	return err
}

// release is the version that a release is built as, such as 1.2.3: its linker sets it.
var release string

// version is that of the release; else the module's where the program was installed as one, and "dev"
// otherwise.
func version() string {
	if release != "" {
		return release
	}
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" && b.Main.Version != "(devel)" {
		return b.Main.Version
	}
	return "dev"
}
