package serve_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"heffl-mcp/serve"
)

// watched is h with metrics and readiness.
func watched(h *serve.HTTP, ready error) *serve.HTTP {
	h.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up 1\n") })
	h.Ready = func(context.Context) error { return ready }
	return h
}

// Machines that watch the server have a token, where there are tokens, and never a Heffl key.
func TestWatched(t *testing.T) {
	t.Parallel()
	const stranger = "a-token-that-nobody-has"
	for _, test := range []struct {
		name          string
		http          serve.HTTP
		nobody, other int // statuses without a token, and with one that is not known
	}{
		{"nothing is asked", serve.HTTP{}, 200, 200},
		{"keys", serve.HTTP{KeyPerRequest: true}, 200, 200},
		{"tokens", serve.HTTP{Tokens: adaAndBob(t)}, 401, 401},
		{"tokens and keys", serve.HTTP{Tokens: adaAndBob(t), KeyPerRequest: true}, 401, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.http.MCP = newToy().MCPServer
			all := serveHTTP(t, watched(&test.http, nil))
			for path, want := range map[string]string{"/metrics": "up 1\n", "/readyz": "ready\n"} {
				for _, as := range []struct {
					web    *web
					status int
				}{{all, test.nobody}, {all.as(stranger), test.other}, {all.as(ada), 200}, {all.as(bob), 200}} {
					resp := as.web.do(t.Context(), "GET", path, nil)
					body, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if resp.StatusCode != as.status || err != nil || (string(body) == want) != (as.status == 200) {
						t.Errorf("GET %s = %s %q, %v; want %d", path, resp.Status, body, err, as.status)
					}
					if status, _ := as.web.get("HEAD", path); status != as.status {
						t.Errorf("HEAD %s = %d, want %d", path, status, as.status)
					}
				}
				if status, header := all.as(ada).get("POST", path); status != 405 || header.Get("Allow") != "GET, OPTIONS" {
					t.Errorf("POST %s = %d, Allow %q; want 405", path, status, header.Get("Allow"))
				}
				if status, _ := all.as(ada).get("GET", path, "Origin", "https://evil.example"); status != 403 {
					t.Errorf("GET %s from a page = %d, want 403", path, status)
				}
			}
		})
	}
}

// An access token is as good as any other, if it is for this server.
func TestWatchedByAccessToken(t *testing.T) {
	t.Parallel()
	i := serveIssuer(t)
	w := serveHTTP(t, watched(&serve.HTTP{MCP: newToy().MCPServer, OIDC: newOIDC(t, i, nil), KeyPerRequest: true}, nil))
	for token, want := range map[string]int{
		i.token(nil): 200,
		i.token(claims{"scope": serve.ScopeRead}):  200,
		i.token(claims{"scope": serve.ScopeWrite}): 200,
		i.token(claims{"scope": "profile"}):        403,
		i.token(claims{"aud": "another"}):          401,
	} {
		for _, path := range []string{"/metrics", "/readyz"} {
			if status, _ := w.as(token).get("GET", path); status != want {
				t.Errorf("GET %s with %.20s... = %d, want %d", path, token, status, want)
			}
		}
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		want   string
	}{
		{errors.New("the journal cannot be read"), 503, "the journal cannot be read\n"},
		{errors.New("one\ntwo"), 503, "one\n"},
		{nil, 200, "ready\n"},
	} {
		w := serveHTTP(t, watched(&serve.HTTP{MCP: newToy().MCPServer}, test.err))
		resp := w.do(t.Context(), "GET", "/readyz", nil)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != test.status || string(body) != test.want || err != nil || got != "text/plain; charset=utf-8" {
			t.Errorf("GET /readyz when it says %v = %s %q %q, %v; want %d %q", test.err, resp.Status, got, body, err, test.status, test.want)
		}
	}
}

// Who watches is not kept out by what others do: neither by their rate, nor by the places they take.
func TestWatchedAmongOthers(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]*serve.HTTP{"nothing is asked": {}, "keys": {KeyPerRequest: true}} {
		h.MCP, h.Rate = newToy().MCPServer, 1
		w := serveHTTP(t, watched(h, nil))
		limited := 0
		for range 10 { // all from one address, as behind a proxy
			if status, _ := w.get("GET", "/nowhere"); status == 429 {
				limited++
			}
		}
		if limited == 0 {
			t.Errorf("%s: ten requests are within a rate of 1: nothing was tested", name)
		}
		for _, path := range []string{"/metrics", "/readyz"} {
			if status, _ := w.get("GET", path); status != 200 {
				t.Errorf("%s: GET %s = %d, want 200", name, path, status)
			}
		}
	}
}

// Without metrics and readiness there are no such paths.
func TestNotWatched(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer})
	for _, path := range []string{"/metrics", "/readyz"} {
		if status, _ := w.get("GET", path); status != 404 {
			t.Errorf("GET %s = %d, want 404", path, status)
		}
	}
}
