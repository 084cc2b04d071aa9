package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"heffl-mcp/heffl"

	"github.com/mark3labs/mcp-go/mcp"
)

type callerKey struct{}

// as is a context in which calls are from a caller.
func as(ctx context.Context, c Caller) context.Context { return context.WithValue(ctx, callerKey{}, c) }

func callerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// tenants is a Heffl in which each key sees a workspace of its own, and keeps what each has sent.
type tenants struct {
	mu   sync.Mutex
	made map[string][]string // bodies of POST /deals, by key
}

func (h *tenants) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("X-Api-Key")
	switch {
	case r.Method == http.MethodPost:
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		h.made[key] = append(h.made[key], string(body))
		id := fmt.Sprintf("dl_%s_%d", key, len(h.made[key]))
		h.mu.Unlock()
		fmt.Fprintf(w, `{"id":%q,"title":"a"}`, id)
	case strings.HasSuffix(r.URL.Path, "/pipelines"):
		fmt.Fprintf(w, `{"data":[{"id":"dpl_%s","name":"Sales","stages":[]}]}`, key)
	case strings.HasSuffix(r.URL.Path, "/companies"):
		fmt.Fprintf(w, `{"data":[{"id":"clt_%s","name":"Acme"}]}`, key)
	case strings.HasSuffix(r.URL.Path, "/custom-fields"):
		fmt.Fprintf(w, `{"data":[{"key":"cf_%s","label":"Region","type":"TEXT"}]}`, key)
	default:
		fmt.Fprint(w, `{"data":[]}`)
	}
}

// TestCallers holds that two keys on one server share nothing: no ID, no field, no deal.
func TestCallers(t *testing.T) {
	t.Parallel()
	h := &tenants{made: map[string][]string{}}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	heffl := client(srv)
	heffl.Key = "" // the server has none of its own
	c := connectTo(t, Deps{Heffl: heffl, Journal: memory(t), Caller: callerOf})
	const deal = `{"title":"a","clientId":"Acme","pipelineId":"Sales","Region":"north"}`
	var calls sync.WaitGroup
	for range 3 { // the second and third time, each gets the deal of its own first call
		for _, key := range []string{"one", "two"} {
			calls.Go(func() {
				var req mcp.CallToolRequest
				req.Params.Name, req.Params.Arguments = "create_deal", json.RawMessage(deal)
				r, err := c.CallTool(as(t.Context(), Caller{Name: "key-" + key, Key: key}), req)
				if err != nil || r.IsError || !strings.Contains(string(r.RawStructuredContent), `"dl_`+key+`_1"`) {
					t.Errorf("create_deal as %s = %+v, %v; want its own deal", key, r, err)
				}
			})
		}
	}
	calls.Wait()
	for _, key := range []string{"one", "two"} {
		want := fmt.Sprintf(`{"title":"a","clientId":"clt_%s","pipelineId":"dpl_%s","cf_%s":"north"}`, key, key, key)
		if got := h.made[key]; len(got) != 1 || got[0] != want {
			t.Errorf("key %s made %q, want one deal %s", key, got, want)
		}
	}
}

// TestReadOnlyCaller holds that who may only read sees and calls nothing else.
func TestReadOnlyCaller(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	c := connectTo(t, Deps{Heffl: inProcess(sb), Caller: callerOf})
	ctx := as(t.Context(), Caller{ReadOnly: true})
	list, err := c.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil || len(list.Tools) == 0 {
		t.Fatalf("tools/list = %+v, %v", list, err)
	}
	for _, tool := range list.Tools {
		if !*tool.Annotations.ReadOnlyHint {
			t.Errorf("%s is shown to a caller who may only read", tool.Name)
		}
	}
	for _, tool := range all {
		var req mcp.CallToolRequest
		req.Params.Name, req.Params.Arguments = tool.Name, json.RawMessage(`{`+minimal+`}`)
		r, err := c.CallTool(ctx, req)
		if (err == nil) != (tool.Effect == ReadOnly) {
			t.Errorf("%s by a caller who may only read = %+v, %v", tool.Name, r, err)
		}
	}
	if sent := writes(sb.Requests()); len(sent) > 0 {
		t.Errorf("Heffl received %+v, want no write", sent)
	}
}

// TestManyCallers holds that the table of keys is bounded, and that one key has one client.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	all := newCallers(&Deps{Heffl: new(heffl.Client)})
	first := all.of("k0")
	if again := all.of("k0"); again != first || again.Heffl.Key != "k0" || again.Heffl.Budget == nil {
		t.Error("a key has two clients, or one without a budget")
	}
	for i := range 3 * maxCallers {
		all.of(fmt.Sprint("k", i))
	}
	if n := all.kept.Len(); n > maxCallers {
		t.Errorf("%d keys are kept, want at most %d", n, maxCallers)
	}
	if all.of("") != all.base {
		t.Error("without a key, calls are not the server's own")
	}
}
