package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"heffl-mcp/tools"
)

// An audit is a file to which each call of a tool that may change something adds a line. Several programs may
// share it: a line is one write at the file's end.
type audit struct {
	log *slog.Logger

	mu   sync.Mutex
	file *os.File
	torn bool // the last line was not written to its end
}

// openAudit opens a file for adding to it, and makes it, for its owner alone, where there is none.
func openAudit(path string, log *slog.Logger) (*audit, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path) // to open a pipe would wait for its reader
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &audit{log: log, file: file}, nil
}

// An auditLine is one line. It holds no argument, and no key or token.
type auditLine struct {
	Time      time.Time `json:"time"` // when the call came, in UTC
	Call      string    `json:"call"` // as in the log
	Tool      string    `json:"tool"`
	Caller    string    `json:"caller"`    // empty: nothing was asked
	Client    string    `json:"client"`    // as it calls itself
	Tenant    string    `json:"tenant"`    // a hash of the Heffl key
	Arguments string    `json:"arguments"` // a hash of them
	Object    string    `json:"object"`    // ID; empty: none was made, changed or found
	Outcome   string    `json:"outcome"`
	Took      float64   `json:"took"` // seconds
}

// called adds the line of a call that has ended. The call stands, whether or not that works.
func (a *audit) called(ctx context.Context, r tools.Report) {
	if r.Effect == tools.ReadOnly {
		return
	}
	line, err := json.Marshal(auditLine{r.At.UTC(), r.Call, r.Tool, r.Caller, r.Client, r.Tenant, r.Arguments(), r.Object, r.Outcome, r.Took.Seconds()})
	if err == nil {
		err = a.add(append(line, '\n'))
	}
	if err != nil {
		a.log.ErrorContext(ctx, "a call is not in the audit file", "call", r.Call, "error", err)
	}
}

// add writes a line, so that it does not become a part of one that was torn.
func (a *audit) add(line []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := a.file.Write(line)
	a.torn = n < len(line) && (a.torn || n > 0)
	return err
}

func (a *audit) close() error { return a.file.Close() }
