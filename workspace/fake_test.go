package workspace_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/workspace"
)

// fake is a Heffl whose lists a test writes and changes. Its search is a substring match, but for
// case, in the whole row or in some members; a list pages only where pageSize is set or a client asks for a size.
type fake struct {
	mu       sync.Mutex
	lists    map[string][]string // rows as JSON, by path; of /custom-fields by path?pipelineId
	envelope string              // of every list, with %s for the rows; empty: v2's
	pageSize int                 // of a list for which the client names none; 0: all rows
	searched []string            // the members that the search looks into; empty: the whole row
	status   map[string]int      // of the answer to a path; 0: 200
	hold     chan struct{}       // if set, no answer before it is closed
	asked    []string            // path?query, in order
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, strings.TrimSuffix(r.URL.Path+"?"+r.URL.RawQuery, "?"))
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if status := f.status[r.URL.Path]; status != 0 {
		w.WriteHeader(status)
		return
	}
	path := r.URL.Path
	if p := r.URL.Query().Get("pipelineId"); p != "" {
		path += "?" + p
	}
	rows, next := f.page(r, f.lists[path])
	list := strings.Join(rows, ",")
	switch {
	case strings.HasPrefix(path, "/pipelines/"):
		fmt.Fprint(w, list)
	case f.envelope != "":
		fmt.Fprintf(w, f.envelope, list)
	default:
		fmt.Fprintf(w, `{"data":[%s],"meta":{"nextCursor":%s,"hasMore":%t}}`, list, next, next != "null")
	}
}

func (f *fake) page(r *http.Request, rows []string) (page []string, next string) {
	search := strings.ToLower(r.URL.Query().Get("search"))
	rows = slices.DeleteFunc(slices.Clone(rows), func(row string) bool { return !strings.Contains(strings.ToLower(f.seen(row)), search) })
	size, _ := strconv.Atoi(r.URL.Query().Get("pageSize"))
	if size == 0 {
		size = f.pageSize
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	rows = rows[min(from, len(rows)):]
	if size == 0 || len(rows) <= size {
		return rows, "null"
	}
	return rows[:size], strconv.Quote(strconv.Itoa(from + size))
}

// seen is what the search looks into.
func (f *fake) seen(row string) string {
	var m map[string]any
	if len(f.searched) == 0 || json.Unmarshal([]byte(row), &m) != nil {
		return row
	}
	var s []string
	for _, member := range f.searched {
		s = append(s, fmt.Sprint(m[member]))
	}
	return strings.Join(s, "\n")
}

// set changes a list.
func (f *fake) set(path string, rows ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists[path] = rows
}

// fail lets a path answer with a status from now on; 0 ends that.
func (f *fake) fail(path string, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status == nil {
		f.status = map[string]int{}
	}
	f.status[path] = status
}

// requests are those since it was last called.
func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

// RoundTrip answers without a server, for tests in a synctest bubble.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	f.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// open returns a workspace behind a real server.
func (f *fake) open(t testing.TB) *workspace.Workspace {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return workspace.New(&heffl.Client{BaseURL: s.URL, Key: "heffl_user_k3y", HTTP: s.Client()}, workspace.Options{})
}

// inside returns a workspace without a server.
func (f *fake) inside(o workspace.Options) *workspace.Workspace {
	return workspace.New(&heffl.Client{BaseURL: "http://localhost", Key: "heffl_user_k3y", HTTP: &http.Client{Transport: f}}, o)
}

// openSandbox returns a workspace of the sandbox's, over real HTTP.
func openSandbox(t testing.TB, fault func(*http.Request) sandbox.Fault) (*workspace.Workspace, *sandbox.Sandbox) {
	t.Helper()
	s := sandbox.New(sandbox.Options{Key: "heffl_user_k3y", RateLimit: -1, Fault: fault})
	t.Cleanup(func() { s.Close() })
	return workspace.New(&heffl.Client{BaseURL: sandbox.BaseURL, Key: "heffl_user_k3y", HTTP: s.HTTPClient()}, workspace.Options{}), s
}

// row writes a row of a list: names and values in turn, values as JSON.
func row(members ...any) string {
	m := map[string]any{}
	for i := 0; i < len(members); i += 2 {
		m[members[i].(string)] = members[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}
