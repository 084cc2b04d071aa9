package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"heffl-mcp/heffl"
	"heffl-mcp/keys"

	"golang.org/x/term"
)

type loginCommand struct{}

func (loginCommand) Run(ctx context.Context, s *settings, streams streams) error {
	if s.Sandbox {
		return usage("the sandbox needs no key")
	}
	if err := (&heffl.Client{BaseURL: s.BaseURL}).Check(); err != nil {
		return usageError{err}
	}
	key, err := askKey(ctx, streams, s.address())
	if err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return usageError{err}
	}
	return keep(ctx, s.kept(), s.address(), key, streams)
}

// checkKey says what is wrong with a key, without showing it.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("no key was given; keys are made in Heffl under Settings > Developer")
	case strings.Contains(key, "${"):
		return errors.New("the key holds a ${...} that nobody filled in; give the key itself")
	}
	return (&heffl.Client{Key: key}).Check()
}

// keep stores a key and says where. A keyring may ask its user to let it, so that it gets time.
func keep(ctx context.Context, store *keys.Store, address, key string, streams streams) error {
	store.Patience = forPeople
	where, why, err := store.Set(ctx, address, key)
	if why != nil {
		say(streams.err, "the keyring cannot be used (%v)\n", why)
	}
	if err != nil {
		return fmt.Errorf("the key was not kept: %w; set HEFFL_API_KEY or HEFFL_API_KEY_FILE instead", err)
	}
	note := ""
	if where != keys.Keyring {
		note = ", which only you can read"
	}
	_, err = fmt.Fprintf(streams.out, "The key for %s is kept in %s%s.\nheffl-mcp doctor checks that Heffl takes it; heffl-mcp logout forgets it.\n", address, where, note)
	return err
}

type logoutCommand struct{}

func (logoutCommand) Run(ctx context.Context, s *settings, streams streams) error {
	if s.Sandbox {
		return usage("the sandbox has no key")
	}
	if err := (&heffl.Client{BaseURL: s.BaseURL}).Check(); err != nil {
		return usageError{err}
	}
	store := s.kept()
	store.Patience = forPeople
	where, err := store.Delete(ctx, s.address())
	for _, place := range where {
		say(streams.out, "The key for %s is gone from %s.\n", s.address(), place)
	}
	if err != nil {
		return fmt.Errorf("a key may still be in the keyring: %w", err)
	}
	if len(where) == 0 {
		_, err = fmt.Fprintf(streams.out, "No key for %s was kept.\n", s.address())
	}
	return err
}

// askKey reads a key from a terminal, which does not show it, or else from standard input.
func askKey(ctx context.Context, streams streams, address string) (string, error) {
	if f, ok := terminal(streams.in); ok {
		say(streams.err, "API key for %s (not shown): ", address)
		was, err := term.GetState(int(f.Fd()))
		if err != nil {
			return "", err
		}
		raw, err := waited(ctx, func() ([]byte, error) { return term.ReadPassword(int(f.Fd())) })
		if ctx.Err() != nil {
			_ = term.Restore(int(f.Fd()), was) // the reader cannot be called off
		}
		say(streams.err, "\n")
		return strings.TrimSpace(string(raw)), err
	}
	raw, err := waited(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(streams.in, maxKeyFile+1)) })
	if err == nil && len(raw) > maxKeyFile {
		err = usage("standard input is larger than %d bytes: it must hold the key and nothing else", maxKeyFile)
	}
	return strings.TrimSpace(string(raw)), err
}

// agreed asks a question on a terminal; all but yes is no.
func agreed(ctx context.Context, streams streams, question string) (bool, error) {
	say(streams.err, "%s [y/N] ", question)
	line, err := waited(ctx, func() (string, error) { return bufio.NewReader(streams.in).ReadString('\n') })
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	line = strings.ToLower(strings.TrimSpace(line))
	return line == "y" || line == "yes", nil
}

// terminal is the terminal that a person sits at, if the input is one.
func terminal(in io.Reader) (*os.File, bool) {
	f, ok := in.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// say tells a person something. Where that cannot be written, what was done is done all the same.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// waited is what a read returns, unless the program is asked to stop before; then the read ends with the program.
func waited[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := read()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
