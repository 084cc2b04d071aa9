package serve

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/mark3labs/mcp-go/server"
)

// metadataPaths are where clients look for the metadata of what is served here, by the path of that.
var metadataPaths = map[string]string{
	"":     server.WellKnownProtectedResourcePath,
	"/mcp": server.WellKnownProtectedResourcePath + "/mcp",
	"/sse": server.WellKnownProtectedResourcePath + "/sse",
}

// metadata tells where clients get access tokens for what is served at a path:
// https://www.rfc-editor.org/rfc/rfc9728
func (s *site) metadata(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		resource := s.oidc.audience
		if u, err := url.Parse(resource); err != nil || u.Host == "" {
			resource = s.address(r, path)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(encoded(server.ProtectedResourceMetadataConfig{
			Resource:               resource,
			AuthorizationServers:   []string{s.oidc.issuer},
			ScopesSupported:        scopes,
			BearerMethodsSupported: []string{"header"},
		}))
	}
}

// address is the URL of a path as the client of a request sees this server.
func (s *site) address(r *http.Request, path string) string {
	u := url.URL{Scheme: "http", Host: r.Host, Path: path}
	if r.TLS != nil {
		u.Scheme = "https"
	} else if a, err := url.Parse(s.oidc.audience); err == nil && a.Host == r.Host {
		u.Scheme = a.Scheme // something before this server speaks TLS
	}
	return u.String()
}

// challenge is the WWW-Authenticate of an answer to a request without a token that will do, and the scope that
// one should have; the error and its description may be empty: https://www.rfc-editor.org/rfc/rfc6750#section-3
func (s *site) challenge(r *http.Request, scope, code, description string) string {
	var params []string
	add := func(name, value string) {
		if value != "" {
			params = append(params, name+`="`+quotable.Replace(value)+`"`)
		}
	}
	if s.oidc != nil {
		path := r.URL.Path
		if path == "/message" {
			path = "/sse"
		}
		at, ok := metadataPaths[path]
		if !ok {
			at = metadataPaths[""]
		}
		add("resource_metadata", s.address(r, at))
		add("scope", scope)
	}
	add("error", code)
	add("error_description", description)
	return strings.TrimSpace("Bearer " + strings.Join(params, ", "))
}

var quotable = strings.NewReplacer(`"`, "'", `\`, "/")
