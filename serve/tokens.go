package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// minToken is the length, in characters, below which a token could be guessed. maxTokens bounds a file of them,
// in bytes: a larger one is some other file.
const (
	minToken  = 16
	maxTokens = 1 << 20
)

// Tokens are bearer tokens that this server has been given. Who has one may do everything. Only their hashes
// are kept.
type Tokens struct {
	given []tokenHash
	file  *files[[]tokenHash] // nil: as given
}

type tokenHash = [sha256.Size]byte

// NewTokens makes one token known. It is refused, without being shown, when it has fewer than 16 characters, or
// one that no header can carry.
func NewTokens(token string) (*Tokens, error) {
	hash, err := hashToken(strings.TrimSpace(token))
	if err != nil {
		return nil, fmt.Errorf("the token %w", err)
	}
	return &Tokens{given: []tokenHash{hash}}, nil
}

// ReadTokens makes the tokens of a file known: one a line, without empty lines and those that begin with #. The
// file is read again when it has changed. If it cannot be used then, that is logged, and the tokens before it
// stay.
func ReadTokens(path string) (*Tokens, error) {
	f, err := openFiles("the token file", func() ([]tokenHash, error) { return readTokens(path) }, path)
	if err != nil {
		return nil, fmt.Errorf("the token file cannot be used: %w", err)
	}
	return &Tokens{file: f}, nil
}

func readTokens(path string) ([]tokenHash, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, unnamed(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTokens+1))
	if err != nil {
		return nil, unnamed(err)
	}
	if len(text) > maxTokens {
		return nil, fmt.Errorf("it is longer than %d bytes", maxTokens)
	}
	var hashes []tokenHash
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) { // as Windows editors write it
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		hash, err := hashToken(line)
		if err != nil {
			return nil, fmt.Errorf("the token in line %d %w", number, err)
		}
		hashes = append(hashes, hash)
	}
	if hashes == nil {
		return nil, errors.New("it has no token in it")
	}
	return hashes, nil
}

func hashToken(token string) (tokenHash, error) {
	switch {
	case len(token) < minToken:
		return tokenHash{}, fmt.Errorf("has fewer than %d characters; make one with: openssl rand -hex 32", minToken)
	case strings.ContainsFunc(token, invisible):
		return tokenHash{}, errors.New("contains a space or another character that is not visible ASCII")
	}
	return sha256.Sum256([]byte(token)), nil
}

// invisible says whether a character is one that neither a token nor a key has.
func invisible(r rune) bool { return r <= ' ' || r > '~' }

// holder is who has a token. How long this takes says nothing about the tokens that there are.
func (t *Tokens) holder(token string, log *slog.Logger) (Principal, bool) {
	known := t.given
	if t.file != nil {
		known = t.file.get(log)
	}
	sum, found := sha256.Sum256([]byte(token)), 0
	for _, k := range known {
		found |= subtle.ConstantTimeCompare(sum[:], k[:])
	}
	id := "token " + string(sum[:])
	return Principal{Name: hashed("token", sum), id: id, counted: id}, found == 1
}
