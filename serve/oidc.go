package serve

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDC lets in who has an access token, a JWT, that an issuer has signed for this server and for one scope at
// least. It asks the issuer for its keys when they are first needed, and again when it signs with others.
//
// This server is a resource server alone: clients get their tokens from the issuer, which they learn of by the
// metadata of RFC 9728.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization
type OIDC struct {
	issuer, audience string
	client           *http.Client

	verifier atomic.Pointer[oidc.IDTokenVerifier] // nil until the issuer has told where its keys are
	asking   chan struct{}                        // held by the request that asks
}

// What an issuer is asked, and how often.
const (
	issuerTimeout = 5 * time.Second  // for one answer
	maxIssuer     = 1 << 20          // bytes of it
	keepAnswer    = 10 * time.Second // it is not asked again, whatever keys tokens claim to be signed with
	keepFailure   = 5 * time.Second  // the same, when it gave no answer
	keepKeys      = time.Hour        // then a key that the issuer has withdrawn is no good any more
)

// NewOIDC is for the tokens of an issuer whose aud is, or has in it, audience. The issuer is an https URL
// (http for loopback addresses), letter for letter as its tokens name it; transport is how it is asked, nil means
// http.DefaultTransport.
func NewOIDC(issuer, audience string, transport http.RoundTripper) (*OIDC, error) {
	if err := secureURL(issuer); err != nil {
		return nil, fmt.Errorf("the OIDC issuer %w", err)
	}
	if audience == "" || strings.ContainsFunc(audience, invisible) {
		return nil, errors.New("the OIDC audience must be the name that the issuer has for this server, without spaces")
	}
	return &OIDC{
		issuer:   issuer,
		audience: audience,
		client: &http.Client{Timeout: issuerTimeout, Transport: &issuerTransport{
			next: cmp.Or[http.RoundTripper](transport, http.DefaultTransport),
			last: make(map[string]issuerAnswer),
		}},
		asking: make(chan struct{}, 1),
	}, nil
}

// secureURL says what is wrong with an address that keys are taken from.
func secureURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || strings.ContainsFunc(address, invisible):
		return errors.New("is not an absolute URL such as https://login.example.com/")
	case u.User != nil || strings.ContainsAny(address, "?#"):
		return errors.New("has a user name, a query or a fragment, which it must not have")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(strings.ToLower(u.Hostname())):
		return nil
	}
	return errors.New("must begin with https:// (http:// is for loopback addresses only)")
}

// What can be wrong with an access token. An errIssuer is not the token's fault.
var (
	errIssuer  = errors.New("the issuer of access tokens cannot be asked")
	errExpired = errors.New("the access token has expired")
	errScope   = errors.New("the access token has none of the scopes " + allScopes)
)

// algorithms are those that need a key of the issuer which others do not have: neither none nor HS256, whose key
// could be the public one.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// holder is who has an access token. The error may quote the token's claims.
func (o *OIDC) holder(ctx context.Context, token string) (Principal, error) {
	verifier, err := o.discover(ctx)
	if err != nil {
		return Principal{}, fmt.Errorf("%w: %w", errIssuer, err)
	}
	var unasked error
	verified, err := verifier.Verify(context.WithValue(ctx, unaskedKey{}, &unasked), token)
	if unasked != nil {
		return Principal{}, fmt.Errorf("%w: %w", errIssuer, unasked)
	}
	if expired, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return Principal{}, fmt.Errorf("%w: %w", errExpired, expired)
	}
	if err != nil {
		return Principal{}, err
	}
	var claims struct {
		Scope words `json:"scope"` // RFC 9068
		SCP   words `json:"scp"`   // Microsoft and Okta
	}
	if err := verified.Claims(&claims); err != nil {
		return Principal{}, err
	}
	if verified.Subject == "" {
		return Principal{}, errors.New("no sub")
	}
	has := slices.Concat(claims.Scope, claims.SCP)
	id := "oidc " + verified.Issuer + " " + verified.Subject
	p := Principal{Name: nameOf(verified.Subject), id: id, counted: id}
	for _, s := range scopes {
		if slices.Contains(has, s) {
			p.Scopes = append(p.Scopes, s)
		}
	}
	if p.Scopes == nil {
		return Principal{}, errScope
	}
	return p, nil
}

// words are written as one string with spaces, or as a list.
type words []string

func (w *words) UnmarshalJSON(text []byte) error {
	var list []string
	if json.Unmarshal(text, &list) == nil {
		*w = list
		return nil
	}
	var line string
	if err := json.Unmarshal(text, &line); err != nil {
		return err
	}
	*w = strings.Fields(line)
	return nil
}

// discover asks the issuer where its keys are, unless it is known. One request does, and others wait for it.
func (o *OIDC) discover(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	if v := o.verifier.Load(); v != nil {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	select {
	case o.asking <- struct{}{}:
		defer func() { <-o.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if v := o.verifier.Load(); v != nil {
		return v, nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, o.client), o.issuer)
	if err != nil {
		return nil, err
	}
	var about struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&about); err != nil {
		return nil, err
	}
	if err := secureURL(about.Keys); err != nil {
		return nil, fmt.Errorf("its jwks_uri %q %w", about.Keys, err)
	}
	keysOf := oidc.ClientContext(context.Background(), o.client) // its time-out bounds them: many requests share one answer
	fresh := func() *oidc.RemoteKeySet { return oidc.NewRemoteKeySet(keysOf, about.Keys) }
	v := oidc.NewVerifier(o.issuer, &issuerKeys{fresh: fresh, current: fresh()}, &oidc.Config{
		ClientID:             o.audience,
		SupportedSigningAlgs: algorithms,
	})
	o.verifier.Store(v)
	return v, nil
}

// unaskedKey carries a *error to issuerKeys: go-oidc does not tell a bad signature from keys that it could not
// get.
type unaskedKey struct{}

// issuerKeys are the issuer's, which go-oidc fetches when it needs one that it does not know. It would never
// forget one.
type issuerKeys struct {
	fresh func() *oidc.RemoteKeySet

	mu      sync.Mutex
	current *oidc.RemoteKeySet
	since   time.Time // zero: none was needed yet
}

func (k *issuerKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	k.mu.Lock()
	keys, old := k.current, time.Since(k.since) > keepKeys
	k.mu.Unlock()
	if old {
		renewed := k.fresh()
		payload, err := renewed.VerifySignature(ctx, token)
		if errors.Unwrap(err) == nil {
			k.mu.Lock()
			k.current, k.since = renewed, time.Now()
			k.mu.Unlock()
			return payload, err
		}
		// While the issuer is away, those that there are have to do.
	}
	payload, err := keys.VerifySignature(ctx, token)
	if errors.Unwrap(err) != nil { // about getting keys; a signature that is wrong has no further cause
		if unasked, ok := ctx.Value(unaskedKey{}).(*error); ok {
			*unasked = err
		}
	}
	return payload, err
}

// issuerTransport bounds what an issuer may answer and how often it is asked: anybody can send a token that
// claims to be signed with a new key.
type issuerTransport struct {
	next http.RoundTripper

	mu   sync.Mutex
	last map[string]issuerAnswer // by URL
}

type issuerAnswer struct {
	body  []byte
	err   error
	until time.Time
}

func (t *issuerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	address := r.URL.String()
	t.mu.Lock()
	answer, ok := t.last[address]
	t.mu.Unlock()
	if !ok || !time.Now().Before(answer.until) {
		answer.body, answer.err = t.ask(r)
		answer.until = time.Now().Add(keepAnswer)
		if answer.err != nil {
			answer.until = time.Now().Add(keepFailure)
		}
		if !errors.Is(r.Context().Err(), context.Canceled) { // which tells nothing of the issuer
			t.mu.Lock()
			t.last[address] = answer
			t.mu.Unlock()
		}
	}
	if answer.err != nil {
		return nil, answer.err
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(bytes.NewReader(answer.body)), ContentLength: int64(len(answer.body)),
	}, nil
}

// ask takes 200 and nothing else: a redirect is an error too.
func (t *issuerTransport) ask(r *http.Request) ([]byte, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the status is %q", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxIssuer)) // what is cut short is no JSON
}
