package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

func readResource(ctx context.Context, c *mcpclient.Client, uri string) (string, error) {
	var req mcp.ReadResourceRequest
	req.Params.URI = uri
	r, err := c.ReadResource(ctx, req)
	if err != nil {
		return "", err
	}
	text, ok := mcp.AsTextResourceContents(r.Contents[0])
	if !ok || len(r.Contents) != 1 || text.MIMEType != "application/json" || text.URI != uri || !json.Valid([]byte(text.Text)) {
		return "", fmt.Errorf("contents %+v", r.Contents)
	}
	return text.Text, nil
}

// eras are clients of the server, one of each era of the protocol.
func eras(t *testing.T, d Deps) map[string]*mcpclient.Client {
	t.Helper()
	s, err := NewServer(d)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*mcpclient.Client{}
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		c, err := mcpclient.NewInProcessClientWithOptions(s.MCPServer)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		var req mcp.InitializeRequest
		req.Params.ProtocolVersion = revision
		r, err := c.Initialize(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if r.ProtocolVersion != revision || r.Capabilities.Resources == nil || r.Capabilities.Completions == nil || !strings.Contains(r.Instructions, "create_deal") {
			t.Errorf("%s: initialize = %+v", revision, r)
		}
		all[revision] = c
	}
	return all
}

// TestResources holds what each resource shows, to clients of both eras.
func TestResources(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	for revision, c := range eras(t, Deps{Heffl: inProcess(sb), Journal: memory(t), Tenant: "t"}) {
		list, err := c.ListResources(t.Context(), mcp.ListResourcesRequest{})
		if err != nil || len(list.Resources) != 2 {
			t.Errorf("%s: resources/list = %+v, %v", revision, list, err)
		}
		templates, err := c.ListResourceTemplates(t.Context(), mcp.ListResourceTemplatesRequest{})
		if err != nil || len(templates.ResourceTemplates) != 2 {
			t.Errorf("%s: resources/templates/list = %+v, %v", revision, templates, err)
		}
		got, _ := callFor(t, c, "create_deal", fmt.Sprintf(`{"title":"Shown %s","clientId":"clt_acme","pipelineId":"dpl_sales"}`, revision), theMail)
		for uri, want := range map[string][]string{
			"heffl://workspace":                 {`"pipelines":[{"id":"dpl_sales","name":"Sales","stages":[`, `"customFields":[`, `"products":[`},
			"heffl://pipelines/dpl_enterprise":  {`{"id":"dpl_enterprise","name":"Enterprise"`, `"key":"cf_security_review"`},
			"heffl://pipelines/enterprise":      {`{"id":"dpl_enterprise"`},
			"heffl://deals/" + got.id:           {`"id":"` + got.id + `"`, `"title":`},
			"heffl://deals/Al%20Noor%20rollout": {`"id":"dl_alnoor_rollout"`, `"cf_security_review":"In progress"`},
			"heffl://journal":                   {`"id":"` + got.id + `","outcome":"created","source":{"messageId":"b1c9e2d4-0417@acme.example"`, `"what":"deal"`},
		} {
			text, err := readResource(t.Context(), c, uri)
			for _, part := range want {
				if err != nil || !strings.Contains(text, part) {
					t.Errorf("%s: resources/read %s = %s, %v; want %s in it", revision, uri, text, err, part)
				}
			}
		}
		for uri, want := range map[string]string{
			"heffl://deals/dl_nobody":    "there is no deal dl_nobody",
			"heffl://pipelines/Purchase": `no pipeline is named "Purchase"`,
			"heffl://pipelines/dl_1":     "is the ID of a deal",
			"heffl://leads/1":            "not found",
			"heffl://deals/":             `no deal is named ""`,
			"file:///etc/passwd":         "not found",
		} {
			if text, err := readResource(t.Context(), c, uri); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: resources/read %s = %s, %v; want an error that says %q", revision, uri, text, err, want)
			}
		}
	}
}

func complete(ctx context.Context, c *mcpclient.Client, ref any, name, typed string, given map[string]string) ([]string, error) {
	var req mcp.CompleteRequest
	req.Params.Ref, req.Params.Argument = ref, mcp.CompleteArgument{Name: name, Value: typed}
	req.Params.Context = mcp.CompleteContext{Arguments: given}
	r, err := c.Complete(ctx, req)
	if err != nil {
		return nil, err
	}
	return r.Completion.Values, nil
}

// TestResourceCompletions holds that each suggestion reads the resource that was meant.
func TestResourceCompletions(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	for revision, c := range eras(t, Deps{Heffl: inProcess(sb), Journal: memory(t), Tenant: "t"}) {
		for _, test := range []struct{ uri, typed, want string }{
			{"heffl://pipelines/{id}", "", "[Sales Enterprise]"},
			{"heffl://pipelines/{id}", "ent", "[Enterprise]"},
			{"heffl://pipelines/{id}", "nothing", "[]"},
			{"heffl://deals/{id}", "noor", "[DEAL003]"},
			{"heffl://nothing/{id}", "", "[]"},
		} {
			got, err := complete(t.Context(), c, mcp.ResourceReference{Type: "ref/resource", URI: test.uri}, "id", test.typed, nil)
			if err != nil || fmt.Sprint(got) != test.want {
				t.Errorf("%s: completion of %s by %q = %v, %v; want %s", revision, test.uri, test.typed, got, err, test.want)
			}
			for _, word := range got {
				if _, err := readResource(t.Context(), c, strings.Replace(test.uri, "{id}", word, 1)); err != nil {
					t.Errorf("%s: the suggestion %q: %v", revision, word, err)
				}
			}
		}
	}
}

// TestResourcesFollowTools holds that no resource shows what the tools that are served do not.
func TestResourcesFollowTools(t *testing.T) {
	t.Parallel()
	sb := newSandbox(t)
	for tools, want := range map[string]string{"create_deal": "", "find_deals": "heffl://journal", "describe_workspace": "heffl://workspace", "deals": "heffl://journal heffl://workspace"} {
		c := connectTo(t, Deps{Heffl: inProcess(sb), Journal: memory(t), Tenant: "t", Tools: []string{tools}})
		list, err := c.ListResources(t.Context(), mcp.ListResourcesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var uris []string
		for _, r := range list.Resources {
			uris = append(uris, r.URI)
		}
		if got := strings.Join(uris, " "); got != want {
			t.Errorf("resources with --tools %s = %q, want %q", tools, got, want)
		}
		if _, err := readResource(t.Context(), c, "heffl://deals/dl_alnoor_rollout"); (err == nil) != strings.Contains(want, "journal") {
			t.Errorf("a deal with --tools %s: %v", tools, err)
		}
	}
}

// TestResourcesOfCallers holds that each key reads its own workspace and its own part of the journal.
func TestResourcesOfCallers(t *testing.T) {
	t.Parallel()
	h := &tenants{made: map[string][]string{}}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	heffl := client(srv)
	heffl.Key = ""
	c := connectTo(t, Deps{Heffl: heffl, Journal: memory(t), Caller: callerOf})
	for _, key := range []string{"one", "two"} {
		ctx := as(t.Context(), Caller{Name: "key-" + key, Key: key})
		var req mcp.CallToolRequest
		req.Params.Name, req.Params.Arguments = "create_deal", json.RawMessage(`{"title":"of `+key+`","clientId":"Acme","pipelineId":"Sales"}`)
		if r, err := c.CallTool(ctx, req); err != nil || r.IsError {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	for key, other := range map[string]string{"one": "two", "two": "one"} {
		ctx := as(t.Context(), Caller{Name: "key-" + key, Key: key, ReadOnly: true})
		for _, uri := range []string{"heffl://journal", "heffl://workspace", "heffl://pipelines/Sales"} {
			text, err := readResource(ctx, c, uri)
			if err != nil || !strings.Contains(text, key) || strings.Contains(text, other) {
				t.Errorf("%s of %s = %s, %v", uri, key, text, err)
			}
		}
	}
	if text, err := readResource(as(t.Context(), Caller{Key: "three"}), c, "heffl://journal"); err != nil || text != `{"made":[]}` {
		t.Errorf("the journal of who made nothing = %s, %v", text, err)
	}
}

// TestResourcesWaitAndFail holds that a Heffl that hangs, fails or panics costs a reader no more than the deadline, and
// that no error holds the key.
func TestResourcesWaitAndFail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		meets http.HandlerFunc
		says  string
	}{
		"hangs":  {hang, "heffl://"},
		"fails":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "key is "+testKey, 500) }, "heffl://"},
		"panics": {func(http.ResponseWriter, *http.Request) { panic("oops " + testKey) }, "failed inside heffl-mcp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := connectTo(t, Deps{Heffl: respond(test.meets), Journal: memory(t), Tenant: "t", Deadline: 10 * time.Second})
				for _, uri := range []string{"heffl://workspace", "heffl://pipelines/Sales", "heffl://deals/dl_1"} {
					began := time.Now()
					text, err := readResource(t.Context(), c, uri)
					if err == nil || strings.Contains(err.Error(), testKey) || strings.Contains(err.Error(), "oops") {
						t.Errorf("%s of a Heffl that %s = %s, %v", uri, name, text, err)
					}
					if took := time.Since(began); took > 10*time.Second {
						t.Errorf("%s took %v", uri, took)
					}
				}
				began := time.Now()
				got, err := complete(t.Context(), c, mcp.ResourceReference{Type: "ref/resource", URI: "heffl://pipelines/{id}"}, "id", "s", nil)
				if len(got) > 0 || err != nil && strings.Contains(err.Error(), testKey) || time.Since(began) > patience {
					t.Errorf("a completion = %v, %v after %v", got, err, time.Since(began))
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// TestInstructions holds that they name every tool that is served and none that is not, and cost little.
func TestInstructions(t *testing.T) {
	t.Parallel()
	for _, test := range []Deps{{}, {ReadOnly: true}, {Tools: []string{"create_deal"}}, {Tools: []string{"find_clients", "find_deals"}}} {
		d := test
		d.served = map[string]bool{}
		chosen, err := choose(d.Tools, d.ReadOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, t := range chosen {
			d.served[t.Name] = true
		}
		text, err := d.instructions()
		if err != nil || len(text) > 2000 {
			t.Errorf("instructions = %d bytes, %v; want at most 2,000", len(text), err)
		}
		for _, tool := range all {
			if strings.Contains(text, tool.Name) != d.served[tool.Name] {
				t.Errorf("instructions for %+v name %s: %v, want %v:\n%s", test.Tools, tool.Name, !d.served[tool.Name], d.served[tool.Name], text)
			}
		}
	}
}
