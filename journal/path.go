package journal

import (
	"errors"
	"path/filepath"
	"runtime"
)

// DefaultPath is where a user's journal goes: heffl-mcp/journal.db in $XDG_STATE_HOME or ~/.local/state, on macOS in
// ~/Library/Application Support, on Windows in %LocalAppData%. Nothing is created.
func DefaultPath(getenv func(string) string) (string, error) {
	return defaultPath(runtime.GOOS, getenv)
}

func defaultPath(goos string, getenv func(string) string) (string, error) {
	const folder, name = "heffl-mcp", "journal.db"
	if goos == "windows" {
		data := getenv("LocalAppData")
		if data == "" {
			return "", errors.New("journal: %LocalAppData% is not set, so there is no place for the journal; name a file")
		}
		return filepath.Join(data, folder, name), nil
	}
	// A relative path here is to be ignored: https://specifications.freedesktop.org/basedir-spec/latest/
	if state := getenv("XDG_STATE_HOME"); goos != "darwin" && filepath.IsAbs(state) {
		return filepath.Join(state, folder, name), nil
	}
	home := getenv("HOME")
	if home == "" {
		return "", errors.New("journal: $HOME is not set, so there is no place for the journal; name a file")
	}
	if goos == "darwin" {
		return filepath.Join(home, "Library", "Application Support", folder, name), nil
	}
	return filepath.Join(home, ".local", "state", folder, name), nil
}
