package install

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// A client is a program that starts MCP servers.
type client struct {
	name      string
	path      func(System) (string, error) // of its configuration
	format    format
	container string // the member that holds the servers by name
	typed     bool   // an entry says that it is of type stdio
}

// The clients, with where each keeps the servers of its user, as read on 2026-11-26:
// https://modelcontextprotocol.io/docs/develop/connect-local-servers, https://code.claude.com/docs/en/mcp,
// https://cursor.com/docs/context/mcp, https://code.visualstudio.com/docs/copilot/customization/mcp-servers,
// https://docs.windsurf.com/windsurf/cascade/mcp, https://developers.openai.com/codex/mcp,
// https://geminicli.com/docs/tools/mcp-server
var clients = []*client{
	{name: "claude-desktop", path: claudeDesktop, format: jsonFormat{}, container: "mcpServers"},
	{name: "claude-code", path: claudeCode, format: jsonFormat{}, container: "mcpServers", typed: true},
	{name: "cursor", path: inHome("", ".cursor", "mcp.json"), format: jsonFormat{}, container: "mcpServers"},
	{name: "vscode", path: inConfig("Code", "User", "mcp.json"), format: jsonFormat{}, container: "servers", typed: true},
	{name: "windsurf", path: inHome("", ".codeium", "windsurf", "mcp_config.json"), format: jsonFormat{}, container: "mcpServers"},
	{name: "codex", path: codex, format: tomlFormat{}, container: "mcp_servers"},
	{name: "gemini-cli", path: inHome("GEMINI_CLI_HOME", ".gemini", "settings.json"), format: jsonFormat{}, container: "mcpServers"},
}

// Clients are the names of the clients that there are.
func Clients() []string {
	var names []string
	for _, c := range clients {
		names = append(names, c.name)
	}
	return names
}

// join makes a path of the system, whatever the one is that this runs on.
func (s System) join(parts ...string) string {
	separator := "/"
	if s.OS == "windows" {
		separator = `\`
	}
	return strings.TrimRight(parts[0], separator) + separator + strings.Join(parts[1:], separator)
}

// ErrNoPlace says that the environment does not tell where a client's configuration is.
var ErrNoPlace = errors.New("it is not known where the client keeps its configuration")

// folder is what a variable names.
func (s System) folder(variable string) (string, error) {
	if value := s.Getenv(variable); value != "" {
		return value, nil
	}
	return "", fmt.Errorf("%s is not set, so %w", variable, ErrNoPlace)
}

func (s System) home() (string, error) {
	if s.OS == "windows" {
		return s.folder("USERPROFILE")
	}
	return s.folder("HOME")
}

// config is where programs with windows keep their settings.
func (s System) config() (string, error) {
	switch s.OS {
	case "windows":
		return s.folder("APPDATA")
	case "darwin":
		home, err := s.home()
		return s.join(home, "Library", "Application Support"), err
	}
	if xdg := s.Getenv("XDG_CONFIG_HOME"); strings.HasPrefix(xdg, "/") { // a relative one is to be ignored
		return xdg, nil
	}
	home, err := s.home()
	return s.join(home, ".config"), err
}

// inHome is a file in the user's folder, or in the one that a variable names in its place.
func inHome(instead string, parts ...string) func(System) (string, error) {
	return func(s System) (string, error) {
		home, err := s.home()
		if instead != "" && s.Getenv(instead) != "" {
			home, err = s.Getenv(instead), nil
		}
		return s.join(append([]string{home}, parts...)...), err
	}
}

func inConfig(parts ...string) func(System) (string, error) {
	return func(s System) (string, error) {
		config, err := s.config()
		return s.join(append([]string{config}, parts...)...), err
	}
}

// claudeDesktop knows that Windows shows a packaged program a roaming folder of its own, so that Claude from the store or from its
// own installer never reads the file that is in the usual place.
func claudeDesktop(s System) (string, error) {
	const folder, file = "Claude", "claude_desktop_config.json"
	usual, err := inConfig(folder, file)(s)
	local := s.Getenv("LOCALAPPDATA")
	if s.OS != "windows" || local == "" {
		return usual, err
	}
	packages := s.join(local, "Packages")
	entries, _ := os.ReadDir(s.real(packages)) // without packages there is none of Claude
	var there, configured []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "Claude_") {
			path := s.join(packages, e.Name(), "LocalCache", "Roaming", folder, file)
			there = append(there, path)
			if _, err := os.Stat(s.real(path)); err == nil {
				configured = append(configured, path)
			}
		}
	}
	switch {
	case len(there) == 0:
		return usual, err
	case len(there) == 1:
		return there[0], nil
	case len(configured) == 1:
		return configured[0], nil
	}
	return "", errors.New("there are several packages of Claude in " + packages + ", and which one is used is not known; edit the configuration by hand (Claude: Settings > Developer)")
}

func claudeCode(s System) (string, error) {
	if folder := s.Getenv("CLAUDE_CONFIG_DIR"); folder != "" {
		return s.join(folder, ".claude.json"), nil
	}
	return inHome("", ".claude.json")(s)
}

func codex(s System) (string, error) {
	if folder := s.Getenv("CODEX_HOME"); folder != "" {
		return s.join(folder, "config.toml"), nil
	}
	return inHome("", ".codex", "config.toml")(s)
}
