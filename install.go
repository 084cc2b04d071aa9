package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"heffl-mcp/cli"
	"heffl-mcp/heffl"
	"heffl-mcp/install"
	"heffl-mcp/keys"
)

// forPeople is how long a keyring may take while someone is there to let it open.
const forPeople = time.Minute

// installing is what install and uninstall have in common.
type installing struct {
	Client string `arg:"" enum:"${clients}" help:"${enum}."`
	Name   string `name:"name" default:"heffl" placeholder:"NAME" help:"Name of the server there (${default})."`
	Yes    bool   `name:"yes" short:"y" help:"Do not ask."`
	Print  bool   `name:"print" help:"Only show what would change."`
}

type installCommand struct {
	installing
	WithKey bool `name:"with-key" help:"Write the API key into the configuration, for every program of yours to read."`

	given []*cli.Flag // flags for the server
}

func (c installCommand) Run(ctx context.Context, s *settings, streams streams) error {
	args, err := serverArgs(c.given, s)
	if err != nil {
		return err
	}
	v := install.Server{Name: c.Name, Args: args}
	if v.Command, err = thisProgram(); err != nil {
		return err
	}
	if c.WithKey {
		if s.Sandbox {
			return usage("the sandbox needs no key; leave --with-key out")
		}
		if v.Key, err = s.key(ctx); err != nil {
			return err
		}
		if err := checkKey(v.Key); err != nil {
			return usageError{err}
		}
	}
	e, err := install.Here().Install(c.Client, v)
	if err != nil {
		return c.refused(err, "give this one another name with --name")
	}
	if !e.Changes() {
		_, err := fmt.Fprintf(streams.out, "%s has it already, in %s.\n", c.Client, e.Path)
		return err
	}
	if c.WithKey {
		say(streams.err, "warning: the API key will stand in %s, for every program of yours to read\n", e.Path)
	}
	if left := notPassedOn(s, c.WithKey); len(left) > 0 {
		say(streams.err, "note: clients do not pass on what is set here (%s); login keeps a key, and flags given to install are written\n", strings.Join(left, ", "))
	}
	if done, err := c.do(ctx, e, streams); !done || err != nil {
		return err
	}
	if !s.Sandbox && !c.WithKey {
		_, err = fmt.Fprintln(streams.out, s.whatNext(ctx, args))
	}
	return err
}

// whatNext says where a server that was installed with these flags finds its key, or what gives it one.
func (s *settings) whatNext(ctx context.Context, args []string) string {
	const check = "; heffl-mcp doctor checks all of it."
	if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--api-key-file=") }) {
		return "The key is that of " + s.APIKeyFile + check
	}
	if _, _, err := s.kept().Get(ctx, s.address()); !errors.Is(err, keys.ErrNone) {
		return "The key is what heffl-mcp login keeps" + check
	}
	login := "heffl-mcp login"
	if s.address() != heffl.DefaultBaseURL {
		login += " --base-url " + s.address()
	}
	return "No key is kept yet: " + login + " comes next" + check
}

type uninstallCommand struct{ installing }

func (c uninstallCommand) Run(ctx context.Context, _ *settings, streams streams) error {
	e, err := install.Here().Uninstall(c.Client, c.Name)
	if err != nil {
		return c.refused(err, "say with --name what this one is called there")
	}
	if !e.Changes() {
		_, err := fmt.Fprintf(streams.out, "%s has no server %q, in %s.\n", c.Client, c.Name, e.Path)
		return err
	}
	_, err = c.do(ctx, e, streams)
	return err
}

func (c installing) refused(err error, do string) error {
	if _, ok := errors.AsType[*install.ForeignError](err); ok {
		return usage("%w; %s", err, do)
	}
	return usageError{err}
}

// do shows an edit, asks, and makes it.
func (c installing) do(ctx context.Context, e *install.Edit, streams streams) (done bool, err error) {
	say(streams.out, "%s", e.Diff())
	if e.NewFolder {
		say(streams.err, "note: %s has kept nothing there yet; is it on this machine?\n", c.Client)
	}
	if c.Print {
		return false, nil
	}
	if !c.Yes {
		if _, ok := terminal(streams.in); !ok {
			return false, usage("nothing was changed, as there is nobody to ask: add --yes to change %s", e.Path)
		}
		yes, err := agreed(ctx, streams, "Change "+e.Path+"?")
		if err != nil {
			return false, err
		}
		if !yes {
			_, err := fmt.Fprintln(streams.out, "Nothing was changed.")
			return false, err
		}
	}
	backup, err := e.Apply()
	if err != nil {
		return false, err
	}
	what := "Changed %s.\n"
	if e.After == nil {
		what = "Removed %s, which had nothing else in it.\n"
	}
	say(streams.out, what, e.Path)
	if backup != "" {
		say(streams.out, "As it was before: %s\n", backup)
		if bytes.Contains(e.Before, []byte("HEFFL_API_KEY")) {
			say(streams.err, "warning: that copy has an API key in it; remove it once you do not need it any more\n")
		}
	}
	_, err = fmt.Fprintf(streams.out, "Start %s again.\n", c.Client)
	return true, err
}

// thisProgram is what a client can start later: this program, by the path that stays when it is brought up to date.
func thisProgram() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("it cannot be found out where this program is: %w", err)
	}
	if found, err := exec.LookPath("heffl-mcp"); err == nil && sameFile(found, path) {
		if found, err = filepath.Abs(found); err == nil {
			path = found
		}
	}
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if strings.HasPrefix(part, "go-build") {
			return "", usage("this program is one that go run made for a moment, so no client can start it later: run go install . and then heffl-mcp install")
		}
	}
	if !strings.HasPrefix(strings.ToLower(filepath.Base(path)), "heffl-mcp") {
		return "", usage("this program is called %s, so that it would not be known again: call it heffl-mcp", filepath.Base(path))
	}
	return path, nil
}

func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// serverArgs are the flags for the server that were given to install, as a server that is started elsewhere needs them.
func serverArgs(given []*cli.Flag, s *settings) (args []string, err error) {
	if err := (&heffl.Client{BaseURL: s.BaseURL}).Check(); err != nil {
		return nil, usageError{err}
	}
	for _, f := range given {
		name := "--" + f.Name
		args = slices.DeleteFunc(args, func(a string) bool { return a == name || strings.HasPrefix(a, name+"=") })
		switch v := f.Target.(type) {
		case *bool:
			if *v {
				args = append(args, name)
			}
		case *[]string:
			args = append(args, name+"="+cli.Join(*v))
		case *string:
			value := *v
			if f.Name == "state" && mayHoldPassword(value) {
				return nil, usage("--state holds a password, which is not written into a configuration; set HEFFL_MCP_STATE where the client starts the server")
			}
			if isFile(f.Name, value) {
				if value, err = filepath.Abs(value); err != nil {
					return nil, err
				}
			}
			args = append(args, name+"="+value)
		case *time.Duration:
			args = append(args, name+"="+v.String())
		}
	}
	return args, nil
}

// mayHoldPassword reports whether a journal's address has a password in it, or cannot be told to have none.
func mayHoldPassword(state string) bool {
	if !strings.Contains(state, "://") {
		return false
	}
	u, err := url.Parse(state)
	if err != nil {
		return true
	}
	_, has := u.User.Password()
	for name := range u.Query() {
		has = has || strings.Contains(strings.ToLower(name), "password")
	}
	return has
}

// isFile reports whether the value of a flag is a path, which means another file where a client starts the server.
func isFile(flag, value string) bool {
	switch flag {
	case "api-key-file", "audit":
		return true
	case "state":
		return value != "off" && value != ":memory:" && !strings.Contains(value, "://")
	}
	return false
}

// notPassedOn are the settings in this environment, which a client does not give to the server.
func notPassedOn(s *settings, withKey bool) (names []string) {
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "HEFFL_") || name == "HEFFL_API_KEY" && (withKey || s.Sandbox) {
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
