package serve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode"
)

// The scopes that an access token may carry here: to call the tools that only read, and all others. Neither
// implies the other.
const (
	ScopeRead  = "deals:read"
	ScopeWrite = "deals:write"
)

const allScopes = ScopeRead + " " + ScopeWrite

var scopes = strings.Fields(allScopes)

// Principal is who a request is from. However it is printed, logged or encoded, only its Name shows.
type Principal struct {
	Name   string   // stable and safe to log: "token-3f9a0c11", "key-3f9a0c11", or the subject of an access token
	Scopes []string // those of ScopeRead and ScopeWrite that it has; nil means all
	Key    string   // the Heffl API key that the request brought; empty means none. Nobody has checked it with Heffl

	id      string // who it is, in full: two principals are one when this is the same
	counted string // whom limits count it as
}

type principalKey struct{}

// PrincipalOf is who the request is from whose context, or a context made of it, this is: the one of a tool's
// handler, or of middleware. There is none where nothing is asked of requests, and over stdio.
func PrincipalOf(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// May says whether the principal has a scope.
func (p Principal) May(scope string) bool { return p.Scopes == nil || slices.Contains(p.Scopes, scope) }

func (p Principal) String() string               { return p.Name }
func (p Principal) LogValue() slog.Value         { return slog.StringValue(p.Name) }
func (p Principal) MarshalText() ([]byte, error) { return []byte(p.Name), nil }

// Format keeps to the name under every verb: %#v and %d would print the fields.
func (p Principal) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.Name) }

// hashed is a name for a secret that does not tell it.
func hashed(kind string, sum [sha256.Size]byte) string {
	return kind + "-" + hex.EncodeToString(sum[:4])
}

// maxName is the length of a subject, in characters, that is shown in full.
const maxName = 64

// nameOf is an issuer's subject fit for a log. One that has to be changed for that gets an end that keeps it
// apart from others.
func nameOf(subject string) string {
	name := strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, subject)
	if r := []rune(name); len(r) > maxName {
		name = string(r[:maxName])
	}
	if name != subject {
		name = hashed(name, sha256.Sum256([]byte(subject)))
	}
	return name
}
