package serve

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// KeyHeader is the header of a request's own Heffl API key.
const KeyHeader = "X-Heffl-Api-Key"

// credentials are headers that are for this server alone: no tool, and so nobody that a tool asks, gets them.
var credentials = []string{"Authorization", "Proxy-Authorization", "Cookie", KeyHeader}

// denial is why a request may not enter.
type denial struct {
	status    int
	message   string
	challenge string // WWW-Authenticate
	cause     error  // for the log; nil when the request did not try
}

// guarded says whether anything is asked of a request.
func (h *HTTP) guarded() bool { return h.Tokens != nil || h.OIDC != nil || h.KeyPerRequest }

// enter finds out who a request is from, and counts it; only then is anything else done for it. The request
// that it returns has the principal in its context. When it may not enter, it has been answered. One that is
// keyless needs no Heffl key.
func (s *site) enter(w http.ResponseWriter, r *http.Request, keyless bool) (*http.Request, bool) {
	who, denied := s.identify(r, keyless)
	table, counted := s.known, who.counted
	if counted == "" {
		table, counted = s.strangers, addressOf(r)
	}
	if wait := table.take(counted); wait > 0 {
		seconds := int(math.Ceil(wait.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		refuse(w, http.StatusTooManyRequests, invalid(fmt.Sprintf("the limit of %d requests a minute is reached; try again in %d s", table.perMinute, seconds)))
		return nil, false
	}
	if denied != nil {
		s.deny(w, r, denied)
		return nil, false
	}
	brings := func(credential string) bool { return r.Header[credential] != nil }
	if !s.guarded && !slices.ContainsFunc(credentials, brings) {
		return r, true
	}
	ctx := r.Context()
	if s.guarded {
		ctx = context.WithValue(ctx, principalKey{}, who)
	}
	r = r.WithContext(ctx)
	r.Header = r.Header.Clone()
	for _, name := range credentials {
		r.Header.Del(name)
	}
	return r, true
}

func (s *site) deny(w http.ResponseWriter, r *http.Request, d *denial) {
	switch {
	case d.status == http.StatusServiceUnavailable:
		s.log.Error("access tokens cannot be checked", "error", d.cause)
		w.Header().Set("Retry-After", strconv.Itoa(int(keepFailure/time.Second)))
	case d.cause != nil:
		s.log.Info("a request may not enter", "status", d.status, "remote", r.RemoteAddr, "error", d.cause)
	default:
		s.log.Debug("a request without credentials", "remote", r.RemoteAddr)
	}
	if d.challenge != "" {
		w.Header().Set("WWW-Authenticate", d.challenge)
	}
	refuse(w, d.status, invalid(d.message))
}

// identify is who a request is from, or why that is not known. Each kind of credential that is asked for
// must be there.
func (s *site) identify(r *http.Request, keyless bool) (who Principal, denied *denial) {
	if s.tokens != nil || s.oidc != nil {
		if who, denied = s.bearer(r); denied != nil {
			return who, denied
		}
	}
	if s.keyPerRequest && !keyless {
		return withKey(who, r)
	}
	return who, nil
}

// bearer is who has the token of a request.
func (s *site) bearer(r *http.Request) (Principal, *denial) {
	unauthorized := func(code, message string, cause error) (Principal, *denial) {
		return Principal{}, &denial{http.StatusUnauthorized, message, s.challenge(r, allScopes, code, message), cause}
	}
	values := r.Header["Authorization"]
	if len(values) == 0 {
		_, d := unauthorized("", "", nil)
		d.message = "a bearer token is needed, in the header Authorization"
		return Principal{}, d
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsFunc(token, invisible) {
		return unauthorized("invalid_token", "the header Authorization must be there once, as: Bearer and the token", errors.New("malformed Authorization"))
	}
	if s.tokens != nil {
		who, ok := s.tokens.holder(token, s.log)
		if ok {
			return who, nil
		}
		if s.oidc == nil {
			return unauthorized("invalid_token", "the token is not known", errors.New("unknown token"))
		}
	}
	who, err := s.oidc.holder(r.Context(), token)
	switch {
	case err == nil:
		return who, nil
	case errors.Is(err, errIssuer):
		return who, &denial{http.StatusServiceUnavailable, "access tokens cannot be checked now; try again soon", "", err}
	case errors.Is(err, errScope):
		return who, &denial{http.StatusForbidden, errScope.Error(), s.challenge(r, allScopes, "insufficient_scope", errScope.Error()), err}
	case errors.Is(err, errExpired):
		return unauthorized("invalid_token", errExpired.Error(), err)
	}
	return unauthorized("invalid_token", fmt.Sprintf("this is no access token of %s for %s", s.oidc.issuer, s.oidc.audience), err)
}

// permit says whether a principal's scopes are enough for a message, and answers if not. Tools that say that they
// only read need ScopeRead, and all others ScopeWrite. Resources, prompts and completions show what the workspace has:
// ScopeRead. With the scope in the answer a client can ask its user for more.
// https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization
func (s *site) permit(w http.ResponseWriter, r *http.Request, env envelope, body []byte) bool {
	who, ok := PrincipalOf(r.Context())
	if !ok || who.Scopes == nil {
		return true
	}
	what, needed := s.needs(env, body)
	if needed == "" || who.May(needed) {
		return true
	}
	kind := "method"
	if env.Method == methodCall {
		kind = "tool"
	}
	s.log.Info("a call may not be made", kind, what, "caller", who.Name, "scope", needed)
	message := fmt.Sprintf("%s needs the scope %s, which the access token does not have", what, needed)
	w.Header().Set("WWW-Authenticate", s.challenge(r, needed, "insufficient_scope", message))
	refuse(w, http.StatusForbidden, fault{env.ID, mcp.INVALID_REQUEST, message})
	return false
}

// needs is the scope that a message needs, and for what; empty: none, or mcp-go refuses it.
func (s *site) needs(env envelope, body []byte) (what, scope string) {
	switch env.Method {
	case methodRead, methodPrompt, methodComplete:
		return env.Method, ScopeRead
	case methodCall:
	default:
		return "", ""
	}
	var call struct {
		Params struct {
			Name string `json:"name"` // read has seen to it that there is no other
		} `json:"params"`
	}
	if json.Unmarshal(body, &call) != nil {
		return "", ""
	}
	tool := s.mcp.GetTool(call.Params.Name)
	if tool == nil {
		return "", ""
	}
	if reads := tool.Tool.Annotations.ReadOnlyHint; reads != nil && *reads {
		return tool.Tool.Name, ScopeRead
	}
	return tool.Tool.Name, ScopeWrite
}

// maxKey bounds a Heffl API key, in bytes.
const maxKey = 1 << 10

// withKey adds to a principal, which may be nobody yet, the Heffl API key of its request. Heffl alone knows
// whether it is good; so beside a token it tells apart whose sessions are whose, and does not count.
func withKey(who Principal, r *http.Request) (Principal, *denial) {
	refused := func(message string, cause error) (Principal, *denial) {
		return who, &denial{http.StatusUnauthorized, message, `ApiKey header="` + KeyHeader + `"`, cause}
	}
	values := r.Header[KeyHeader]
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return refused("a Heffl API key is needed, in the header "+KeyHeader, nil)
	}
	key := values[0]
	if len(values) > 1 || len(key) > maxKey || strings.ContainsFunc(key, invisible) {
		return refused("the header "+KeyHeader+" must be there once, with a Heffl API key and nothing else", errors.New("malformed "+KeyHeader))
	}
	sum := sha256.Sum256([]byte(key))
	who.Key = key
	who.id += " key " + string(sum[:])
	if who.Name == "" {
		who.Name, who.counted = hashed("key", sum), who.id
	}
	return who, nil
}
