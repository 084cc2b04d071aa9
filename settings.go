package main

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/tools"

	"github.com/mark3labs/mcp-go/server"
)

// settings are the flags that every command has. Each is also an environment variable; the flag wins.
type settings struct {
	APIKeyFile string        `name:"api-key-file" env:"HEFFL_API_KEY_FILE" placeholder:"FILE" help:"File that holds the API key, instead of HEFFL_API_KEY."`
	BaseURL    string        `name:"base-url" env:"HEFFL_BASE_URL" default:"https://api.heffl.com/api/v2" placeholder:"URL" help:"Where the Heffl API is (${default})."`
	Timeout    time.Duration `env:"HEFFL_TIMEOUT" default:"20s" placeholder:"20s" help:"One request to Heffl."`
	Sandbox    bool          `name:"sandbox" env:"HEFFL_SANDBOX" help:"Use the embedded stand-in instead of Heffl; no key needed, nothing is kept."`
	Deadline   time.Duration `env:"HEFFL_MCP_DEADLINE" default:"25s" placeholder:"25s" help:"One tool call."`
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
		if strings.HasPrefix(name, "HEFFL_") && strings.Contains(value, "${") {
			return usage("%s holds a ${...} that nobody filled in; write the value itself where your client's configuration sets %s", name, name)
		}
	}
	for _, a := range args {
		if strings.Contains(a, "${") {
			return usage("the arguments hold a ${...} that nobody filled in; write the value itself where your client's configuration starts heffl-mcp")
		}
	}
	return nil
}

// forgetEmpty takes empty settings out of the environment: clients and compose files pass a
// variable that nobody set as an empty one.
func forgetEmpty(environ []string) {
	for _, e := range environ {
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "HEFFL_") && strings.TrimSpace(value) == "" {
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
func (s *settings) mcp(log *slog.Logger) (*server.MCPServer, func() error, error) {
	client, end, err := s.client()
	if err != nil {
		return nil, nil, err
	}
	m, err := tools.NewServer(tools.Deps{Heffl: client, Version: version(), Log: log, Deadline: s.Deadline})
	return m, end, err
}

func (s *settings) client() (*heffl.Client, func() error, error) {
	if s.Timeout <= 0 || s.Deadline <= 0 {
		return nil, nil, usage("--timeout and --deadline must be more than 0, such as 20s")
	}
	c := &heffl.Client{BaseURL: s.BaseURL, UserAgent: "heffl-mcp/" + version(), Timeout: s.Timeout}
	if s.Sandbox {
		sb := sandbox.New(sandbox.Options{})
		c.BaseURL, c.Key, c.HTTP = sandbox.BaseURL, rand.Text(), sb.HTTPClient() // any key does, but a word would be taken out of answers as a secret
		return c, sb.Close, nil
	}
	key, err := s.key()
	if err != nil {
		return nil, nil, err
	}
	c.Key = key
	if err := c.Check(); err != nil {
		return nil, nil, usageError{err}
	}
	return c, func() error { return nil }, nil
}

// key reads the API key. What is wrong with it is said without showing it.
func (s *settings) key() (string, error) {
	if s.APIKeyFile == "" {
		key := strings.TrimSpace(os.Getenv("HEFFL_API_KEY"))
		if key == "" {
			return "", usage("no API key: set HEFFL_API_KEY (keys are made in Heffl under Settings > Developer), or try everything without one by adding --sandbox")
		}
		return key, nil
	}
	raw, err := readKeyFile(s.APIKeyFile)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // without the path: some put the key itself there
	}
	if err != nil {
		return "", usage("the API key file cannot be read (%w); check that --api-key-file or HEFFL_API_KEY_FILE names it", err)
	}
	key := strings.TrimSpace(string(raw))
	if key == "" || len(raw) > maxKeyFile {
		return "", usage("the API key file holds no API key: it must hold the key and nothing else")
	}
	return key, nil
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
