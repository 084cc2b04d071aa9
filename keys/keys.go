// Package keys keeps secrets of the user, one for each address that they are for: in the operating system's keyring where there is
// one, else in a file that only the user may read.
//
//	store := &keys.Store{Ring: keys.System(os.Getenv), Folder: folder}
//	where, err := store.Set(ctx, "https://api.heffl.com/api/v2", key)
//
// What they open, and what is said to the user, is left to the caller. No error shows a key.
package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrNone says that no key is kept for an address.
var ErrNone = errors.New("no key is kept")

// A Ring keeps keys somewhere. Its methods may take as long as a person takes to let them in.
type Ring interface {
	Get(address string) (string, error) // ErrNone: it has none
	Set(address, key string) error
	Delete(address string) error // ErrNone: it had none
}

// A Store is where the keys of a user are.
type Store struct {
	Ring     Ring          // nil: there is none
	Folder   string        // for files, made when one is needed; empty: there is no place for them
	Patience time.Duration // for each answer of Ring; zero: 5 s
}

// Keyring is the place of a key that Ring has; any other place is a file.
const Keyring = "the operating system's keyring"

// maxKey bounds a key, in bytes.
const maxKey = 4 << 10

// Get returns the key for an address, and where it is. A file comes before the keyring, since it answers at once. Errors: ErrNone, or why
// it cannot be known whether there is one.
func (s *Store) Get(ctx context.Context, address string) (key, where string, err error) {
	if path := s.file(address); path != "" {
		key, err := readKey(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return key, path, err
		}
	}
	if s.Ring == nil {
		return "", "", ErrNone
	}
	key, err = bounded(ctx, s.Patience, func() (string, error) { return s.Ring.Get(address) })
	return key, Keyring, err
}

// Set keeps a key, in place of the one there was, and returns where. Where the keyring fails it is a file, and why says how the keyring
// failed. The error is of the place that was left.
func (s *Store) Set(ctx context.Context, address, key string) (where string, why, err error) {
	path := s.file(address)
	if s.Ring != nil {
		_, why = bounded(ctx, s.Patience, func() (struct{}, error) { return struct{}{}, s.Ring.Set(address, key) })
		if why == nil {
			if path != "" {
				if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return "", nil, fmt.Errorf("the older key in %s cannot be removed: %w", path, bare(err))
				}
			}
			return Keyring, nil, nil
		}
		why = without(key, why)
	}
	if path == "" {
		return "", why, errors.New("there is neither a keyring nor a folder for a file")
	}
	if err := writeKey(path, key); err != nil {
		return "", why, fmt.Errorf("%s cannot be written: %w", path, bare(err))
	}
	return path, why, nil
}

// Delete forgets the key for an address, and returns where it was: nowhere, in one place or in two. The error is of a place that may still
// have it.
func (s *Store) Delete(ctx context.Context, address string) (where []string, err error) {
	if path := s.file(address); path != "" {
		switch err := os.Remove(path); {
		case err == nil:
			where = append(where, path)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s cannot be removed: %w", path, bare(err))
		}
	}
	if s.Ring == nil {
		return where, nil
	}
	_, err = bounded(ctx, s.Patience, func() (struct{}, error) { return struct{}{}, s.Ring.Delete(address) })
	switch {
	case err == nil:
		where = append(where, Keyring)
	case errors.Is(err, ErrNone):
		err = nil
	}
	return where, err
}

// bounded waits for a keyring, which may be waiting for a person, or for nothing: it cannot be called off, so what it does then ends when
// it answers, or with the program.
func bounded[T any](ctx context.Context, patience time.Duration, ask func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	patience = cmp.Or(patience, 5*time.Second)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	got := make(chan answer, 1)
	go func() {
		v, err := ask()
		got <- answer{v, err}
	}()
	var none T
	select {
	case a := <-got:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	case <-timer.C:
		return none, fmt.Errorf("the keyring did not answer within %s", patience)
	}
}

// file is that of an address, whose name is the address as a query would have it: all systems take that.
func (s *Store) file(address string) string {
	if s.Folder == "" {
		return ""
	}
	return filepath.Join(s.Folder, url.QueryEscape(address)+".key")
}

func readKey(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", path, bare(err))
	}
	key := strings.TrimSpace(string(raw))
	if key == "" || len(raw) > maxKey {
		return "", fmt.Errorf("%s holds no key", path)
	}
	return key, nil
}

// writeKey puts a file into its place at once, that only its user may read from the first byte on.
func writeKey(path, key string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // 0600
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, key+"\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// bare is an error without the path that fs errors have in them, as the caller says it better.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// without is an error that does not show a key.
func without(key string, err error) error {
	if strings.Contains(err.Error(), key) {
		return errors.New("the keyring refused it")
	}
	return err
}
