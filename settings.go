package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // for machines without zone files: Windows, bare images

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/journal"
	"heffl-mcp/keys"
	"heffl-mcp/prompts"
	"heffl-mcp/serve"
	"heffl-mcp/tools"
)

// settings are the flags that every command has. Each is also an environment variable; the flag wins.
type settings struct {
	APIKeyFile string        `name:"api-key-file" env:"HEFFL_API_KEY_FILE" placeholder:"FILE" help:"File that holds the API key, instead of HEFFL_API_KEY."`
	Keyring    string        `name:"keyring" env:"HEFFL_MCP_KEYRING" enum:"on,off" default:"on" placeholder:"on" help:"Whether login keeps the API key in the operating system's keyring, where there is one, or in a file: ${enum}."`
	BaseURL    string        `name:"base-url" env:"HEFFL_BASE_URL" default:"https://api.heffl.com/api/v2" placeholder:"URL" help:"Where the Heffl API is (${default})."`
	Timeout    time.Duration `env:"HEFFL_TIMEOUT" default:"20s" placeholder:"20s" help:"One request to Heffl."`
	Sandbox    bool          `name:"sandbox" env:"HEFFL_SANDBOX" help:"Use the embedded stand-in instead of Heffl; no key needed, nothing is kept."`
	Deadline   time.Duration `env:"HEFFL_MCP_DEADLINE" default:"25s" placeholder:"25s" help:"One tool call."`
	State      string        `name:"state" env:"HEFFL_MCP_STATE" placeholder:"FILE" help:"Journal that keeps a call from making two: a file, a postgres:// URL, or off (a file in your state folder; with --sandbox in memory)."`
	Audit      string        `name:"audit" env:"HEFFL_MCP_AUDIT" placeholder:"FILE" help:"File to which each call that may change something adds a line of JSON."`
	Duplicates string        `name:"duplicate-check" env:"HEFFL_MCP_DUPLICATE_CHECK" enum:"on,off" default:"on" placeholder:"on" help:"Look for what looks the same before a first send: ${enum}."`
	Window     time.Duration `env:"HEFFL_MCP_WINDOW" default:"24h" placeholder:"24h" help:"How long the same arguments return what they made."`
	Settle     time.Duration `env:"HEFFL_MCP_SETTLE" default:"5s" placeholder:"5s" help:"How long a finished request may take to show in Heffl's lists."`
	Horizon    time.Duration `env:"HEFFL_MCP_HORIZON" default:"20s" placeholder:"20s" help:"How long a request without an answer may still take effect."`
	Timezone   string        `name:"timezone" env:"HEFFL_MCP_TIMEZONE" default:"UTC" placeholder:"ZONE" help:"Where a day without a time begins, such as Asia/Dubai (${default})."`
	ReadOnly   bool          `name:"read-only" env:"HEFFL_MCP_READ_ONLY" help:"Only tools that change nothing."`
	Tools      []string      `name:"tools" env:"HEFFL_MCP_TOOLS" placeholder:"NAME" help:"Toolsets or tools that are served (deals)."`
	Pipelines  []string      `name:"pipelines" env:"HEFFL_MCP_PIPELINES" placeholder:"NAME" help:"The only pipelines that tools may write to, by name or ID (all)."`
	Owners     []string      `name:"owners" env:"HEFFL_MCP_OWNERS" placeholder:"NAME" help:"The only users that tools may give work to, by name, e-mail or ID (all)."`
	LogLevel   string        `env:"HEFFL_MCP_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" placeholder:"info" help:"Least level that is logged on standard error: ${enum}."`
	LogFormat  string        `env:"HEFFL_MCP_LOG_FORMAT" enum:"text,json" default:"text" placeholder:"text" help:"Form of the log: ${enum}."`
}

// maxKeyFile bounds a key file, in bytes: a larger one is some other file.
const maxKeyFile = 4 << 10

// unexpanded finds settings that a client's configuration left as ${NAME}. Taken as they are they
// would be sent as a key, or looked up as an address.
func unexpanded(args, environ []string) error {
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		unfilled := strings.Contains(value, "${") || value == "$"+name || value == "%"+name+"%"
		if strings.HasPrefix(name, "HEFFL_") && unfilled && !leftEmpty(name, value) {
			return usage("%s holds a ${...} or the like that nobody filled in; write the value itself where your client's configuration sets %s", name, name)
		}
	}
	for _, a := range args {
		if strings.Contains(a, "${") {
			return usage("the arguments hold a ${...} that nobody filled in; write the value itself where your client's configuration starts heffl-mcp")
		}
	}
	return nil
}

var userConfig = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\$\{user_config\.\w+\}$`)
})

// leftEmpty says that nobody set an optional setting: it is empty, as clients and compose files pass it on, or what
// the host of a bundle (MCPB) makes of a field that its user left empty. What decides whose key is used, or who may
// enter, is not optional there: without it more would be open than was meant.
func leftEmpty(name, value string) bool {
	if strings.TrimSpace(value) == "" {
		return true
	}
	for _, guard := range []string{"HEFFL_API_KEY", "HEFFL_BASE_URL", "HEFFL_MCP_TOKEN", "HEFFL_MCP_OIDC", "HEFFL_MCP_TLS"} {
		if strings.HasPrefix(name, guard) {
			return false
		}
	}
	return strings.HasPrefix(value, "${") && userConfig().MatchString(value)
}

// forgetEmpty takes settings that were left empty out of the environment.
func forgetEmpty(environ []string) {
	for _, e := range environ {
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "HEFFL_") && leftEmpty(name, value) {
			_ = os.Unsetenv(name) // it is a variable, so its name is a name
		}
	}
}

func (s *settings) log(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.LogLevel)) // one of the enum
	o := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// mcp makes the server that a command serves or calls, and what ends it.
func (s *settings) mcp(ctx context.Context, log *slog.Logger) (*tools.Server, func() error, error) {
	d, traces, end, err := s.deps(ctx, log, false)
	if err != nil {
		return nil, nil, err
	}
	m, err := newServer(d, traces, end)
	return m, end, err
}

// newServer makes the server of tools that work with d, and of the prompts for them. Where that fails, d is ended.
func newServer(d tools.Deps, traces *tracing, end func() error) (*tools.Server, error) {
	m, err := tools.NewServer(d)
	if err != nil {
		return nil, errors.Join(usageError{err}, end())
	}
	if traces != nil {
		m.Use(traces.calling)
	}
	prompts.Add(m.MCPServer, m.Serves, prompts.Deps{
		Caller: func(ctx context.Context) prompts.Caller {
			desk := m.DeskOf(ctx)
			return prompts.Caller{Workspace: desk.Workspace, Serves: desk.May, Allowed: desk.Allowed}
		},
		Suggest: m.Suggest, Log: d.Log, Deadline: d.Deadline, Zone: d.Zone,
	})
	return m, nil
}

// deps is what tools work with, how they are traced (nil: not at all), and what ends it: it waits for
// requests that have outlived their calls, and closes what they use. A keyless program has no key of its own.
func (s *settings) deps(ctx context.Context, log *slog.Logger, keyless bool) (_ tools.Deps, _ *tracing, _ func() error, err error) {
	var opened []func() error
	followers := new(sync.WaitGroup)
	end := func() error {
		followers.Wait() // each bounded by the timeout of a request
		var errs []error
		for _, closing := range slices.Backward(opened) {
			errs = append(errs, closing())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			_ = end() // the first error is the one to mend
		}
	}()
	if s.Timeout <= 0 || s.Deadline <= 0 || s.Window <= 0 || s.Settle <= 0 || s.Horizon <= 0 {
		return tools.Deps{}, nil, nil, usage("--timeout, --deadline, --window, --settle and --horizon must be more than 0, such as 20s")
	}
	zone, err := time.LoadLocation(s.Timezone)
	if err != nil || s.Timezone == "Local" {
		return tools.Deps{}, nil, nil, usage("--timezone %s is not a time zone; give a name such as Asia/Dubai, Europe/Berlin or UTC", s.Timezone)
	}
	client, closeSandbox, err := s.client(ctx, keyless)
	if err != nil {
		return tools.Deps{}, nil, nil, err
	}
	opened = append(opened, closeSandbox)
	d := tools.Deps{
		Heffl: client, Version: version(), Log: log, Deadline: s.Deadline,
		Tenant: tools.Tenant(client.Key, client.BaseURL), Timeout: s.Timeout, Settle: s.Settle, Horizon: s.Horizon,
		Zone: zone, SkipDuplicateCheck: s.Duplicates == "off", Followers: followers, Awaited: serve.Awaited,
		ReadOnly: s.ReadOnly, Tools: s.Tools, Pipelines: s.Pipelines, Owners: s.Owners,
	}
	traces := newTracing(ctx, log)
	if traces != nil {
		opened = append(opened, traces.close)
		traces.carries(client)
		d.Reports = traces.called
	}
	if s.Audit != "" {
		a, err := openAudit(s.Audit, log)
		if err != nil {
			return tools.Deps{}, nil, nil, usage("the audit file cannot be opened (%w); --audit or HEFFL_MCP_AUDIT names it", err)
		}
		opened = append(opened, a.close)
		d.Reports = both(a.called, d.Reports)
	}
	if d.Journal, err = s.journal(log); err != nil {
		return tools.Deps{}, nil, nil, err
	}
	if d.Journal != nil {
		opened = append(opened, d.Journal.Close)
	} else {
		log.WarnContext(ctx, "HEFFL_MCP_STATE is off: nothing remembers what was sent, so a repeated call can make a second deal")
	}
	return d, traces, end, nil
}

// learning has the server of a command that goes on learn meanwhile what the workspace has, so that
// the tools name it: once a channel is closed, or at once if that is nil. What it returns ends that first.
func learning(ctx context.Context, log *slog.Logger, m *tools.Server, after <-chan struct{}, end func() error) func() error {
	ctx, stop := context.WithCancel(ctx)
	var learning sync.WaitGroup
	learning.Go(func() {
		if after != nil {
			select {
			case <-after:
			case <-ctx.Done():
				return
			}
		}
		if err := m.Learn(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "the workspace could not be read, so the tools do not name what it has yet", "error", err)
		}
	})
	return func() error {
		stop()
		learning.Wait()
		return end()
	}
}

// place is where the journal is: a file, :memory:, a URL, or off.
func (s *settings) place() (string, error) {
	switch {
	case s.State != "":
		return s.State, nil
	case s.Sandbox:
		return ":memory:", nil // what it is about goes with the program
	}
	path, err := journal.DefaultPath(os.Getenv)
	if err != nil {
		return "", usage("%w with --state or HEFFL_MCP_STATE", err)
	}
	return path, nil
}

// journal is the journal that the settings name, not opened yet; nil means off.
func (s *settings) journal(log *slog.Logger) (*journal.Journal, error) {
	dsn, err := s.place()
	if dsn == "off" || err != nil {
		return nil, err
	}
	j, err := journal.New(dsn, journal.Options{Window: s.Window, Log: log})
	if err != nil {
		return nil, usage("%w; set --state or HEFFL_MCP_STATE", err)
	}
	return j, nil
}

// keyless says that no key was given, and that none is needed for the sandbox.
func (s *settings) keyless() bool { return !s.Sandbox && s.APIKeyFile == "" && apiKey() == "" }

func apiKey() string { return strings.TrimSpace(os.Getenv("HEFFL_API_KEY")) }

// kept is where login keeps API keys.
func (s *settings) kept() *keys.Store {
	store := new(keys.Store)
	if folder, err := os.UserConfigDir(); err == nil {
		store.Folder = filepath.Join(folder, "heffl-mcp")
	}
	if s.Keyring == "on" {
		store.Ring = keys.System(os.Getenv)
	}
	return store
}

// address is what a kept key is for.
func (s *settings) address() string { return strings.TrimRight(s.BaseURL, "/") }

// client is what sends requests to Heffl, and what ends it.
func (s *settings) client(ctx context.Context, keyless bool) (*heffl.Client, func() error, error) {
	c := &heffl.Client{BaseURL: s.BaseURL, UserAgent: "heffl-mcp/" + version(), Timeout: s.Timeout, Budget: new(heffl.Budget)}
	if s.Sandbox {
		sb := sandbox.New(sandbox.Options{RateLimit: -1})                        // nobody shares it
		c.BaseURL, c.Key, c.HTTP = sandbox.BaseURL, rand.Text(), sb.HTTPClient() // any key does, but a word would be taken out of answers as a secret
		return c, sb.Close, nil
	}
	if !keyless {
		key, err := s.key(ctx)
		if err != nil {
			return nil, nil, err
		}
		c.Key = key
	}
	if err := c.Check(); err != nil {
		return nil, nil, usageError{err}
	}
	return c, func() error { return nil }, nil
}

// key reads the API key: of the file that the settings name, of the environment, or what login has kept. What is wrong with it is said
// without showing it.
func (s *settings) key(ctx context.Context) (string, error) {
	key, _, err := s.keyAndPlace(ctx)
	return key, err
}

// keyAndPlace is key, with where the key is from.
func (s *settings) keyAndPlace(ctx context.Context) (key, place string, err error) {
	if s.APIKeyFile == "" {
		if key := apiKey(); key != "" {
			return key, "HEFFL_API_KEY", nil
		}
		key, place, err := s.kept().Get(ctx, s.address())
		switch {
		case errors.Is(err, keys.ErrNone):
			return "", "", usage("no API key: set HEFFL_API_KEY (keys are made in Heffl under Settings > Developer) or run heffl-mcp login, or try everything without one by adding --sandbox")
		case err != nil:
			return "", "", usage("no API key: HEFFL_API_KEY is not set, and what login has kept cannot be read (%w); unlock the keyring, or set HEFFL_API_KEY or HEFFL_API_KEY_FILE", err)
		}
		return key, place, nil
	}
	raw, err := readKeyFile(s.APIKeyFile)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // without the path: some put the key itself there
	}
	if err != nil {
		return "", "", usage("the API key file cannot be read (%w); check that --api-key-file or HEFFL_API_KEY_FILE names it", err)
	}
	key = strings.TrimSpace(string(raw))
	if key == "" || len(raw) > maxKeyFile {
		return "", "", usage("the API key file holds no API key: it must hold the key and nothing else")
	}
	return key, "the file of --api-key-file or HEFFL_API_KEY_FILE", nil
}

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeyFile+1))
}

// ended is err, but for what says that a server was asked to stop.
func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
