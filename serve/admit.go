package serve

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// admit checks where a request comes from: on every path and for every method, /healthz included.
//
// A page of another site may try to reach this server through its visitor's browser. The browser names the page
// in Origin, and unknown ones are refused, as the specification demands:
// https://modelcontextprotocol.io/specification/2026-07-28/basic/transports
// A page that has had its own name resolve to 127.0.0.1 (DNS rebinding) shows in Host.
func (s *site) admit(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Vary", "Origin")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	local := onLoopback(r)
	switch host := hostname(r.Host); {
	case s.hosts[host], local && isLoopback(host), !local && len(s.hosts) == 0:
	default:
		refuse(w, http.StatusForbidden, invalid(fmt.Sprintf("Host %q is not this server", r.Host)))
		return false
	}
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return true
	}
	origin := origins[0]
	if len(origins) > 1 || !s.origins[normalOrigin(origin)] && !(local && isLoopbackOrigin(origin)) {
		refuse(w, http.StatusForbidden, invalid(fmt.Sprintf("requests from the origin %q are not allowed", strings.Join(origins, " "))))
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	w.Header().Set("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate")
	return true
}

// onLoopback says whether the connection came in on a loopback address. Where that is not known, the strict
// rules of one apply.
func onLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true
	}
	tcp, ok := local.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// hostname is a Host header without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

func normalOrigin(origin string) string { return strings.ToLower(strings.TrimSuffix(origin, "/")) }

func isLoopbackOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && isLoopback(strings.ToLower(u.Hostname())) &&
		u.User == nil && u.Path == "" && u.RawQuery == "" && u.Fragment == ""
}

// preflight answers OPTIONS. The origin has been let in, so it may send what headers it likes: Mcp-Param-*
// cannot be listed beforehand.
func preflight(w http.ResponseWriter, r *http.Request, method string) {
	w.Header().Set("Allow", method+", "+http.MethodOptions)
	if r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		w.Header().Set("Access-Control-Allow-Methods", method)
		if names := r.Header.Get("Access-Control-Request-Headers"); names != "" {
			w.Header().Set("Access-Control-Allow-Headers", names)
		}
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}

// isJSON also keeps out what a page may send anywhere without a preflight (text/plain and forms).
func isJSON(r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/json"
}

// message reads the body of a POST, bounded in size and time, and its envelope. When that fails it has answered.
func (s *site) message(w http.ResponseWriter, r *http.Request) (env envelope, body []byte, ok bool) {
	control := http.NewResponseController(w)
	// Without deadlines (a test's ResponseWriter) the wait is bounded by the caller's own.
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	var err error
	if r.ContentLength > s.maxBody { // so none of it need be read
		err = &http.MaxBytesError{Limit: s.maxBody}
	} else {
		var all bytes.Buffer
		all.Grow(int(min(max(r.ContentLength, 0), keep)) + bytes.MinRead) // so that it grows no more, as most are
		_, err = all.ReadFrom(http.MaxBytesReader(w, r.Body, s.maxBody))
		body = all.Bytes()
	}
	if err == nil {
		err = control.SetReadDeadline(time.Time{}) // the answer may take longer
		if errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		refuse(w, http.StatusRequestEntityTooLarge, invalid(fmt.Sprintf("the body is longer than %d bytes", s.maxBody)))
		return env, nil, false
	}
	if err != nil {
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusBadRequest, fault{nil, mcp.PARSE_ERROR, "the body did not arrive in full"})
		return env, nil, false
	}
	env, body, bad := read(body, s.inHeaders)
	if bad != nil {
		refuse(w, http.StatusBadRequest, *bad)
		return env, nil, false
	}
	return env, body, true
}
