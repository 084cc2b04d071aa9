package tools

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/internal/mcpspec"
	"heffl-mcp/journal"
	"heffl-mcp/schema"

	"github.com/google/go-cmp/cmp"
	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		schemas = embed.FS{} // those of before
	}
	os.Exit(m.Run())
}

const testKey = "key-that-no-output-may-show"

// connect returns a real MCP client of a server whose tools talk to the sandbox.
func connect(tb testing.TB, sb *sandbox.Sandbox) *mcpclient.Client {
	tb.Helper()
	return connectTo(tb, Deps{Heffl: inProcess(sb), Journal: memory(tb), Tenant: "t"})
}

func inProcess(sb *sandbox.Sandbox) *heffl.Client {
	return &heffl.Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: sb.HTTPClient()}
}

// client is one of a server that stands in for Heffl.
func client(srv *httptest.Server) *heffl.Client {
	return &heffl.Client{BaseURL: srv.URL, Key: testKey, HTTP: srv.Client()}
}

func memory(tb testing.TB) *journal.Journal {
	tb.Helper()
	j, err := journal.New(":memory:", journal.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { j.Close() })
	return j
}

func connectTo(tb testing.TB, d Deps) *mcpclient.Client {
	tb.Helper()
	m, err := NewServer(d)
	if err != nil {
		tb.Fatal(err)
	}
	c := dial(tb, m.MCPServer)
	if _, err := c.Initialize(tb.Context(), mcp.InitializeRequest{}); err != nil {
		tb.Fatal(err)
	}
	return c
}

// dial is a client that has not said hello. Its test fails where the server says what the protocol's schema has not.
func dial(tb testing.TB, s *server.MCPServer) *mcpclient.Client {
	var tr transport.Interface = transport.NewInProcessTransport(s)
	if _, measured := tb.(*testing.B); !measured {
		tr = &judged{Interface: tr, report: func(err error) { tb.Error(err) }}
	}
	c := mcpclient.NewClient(tr)
	tb.Cleanup(func() { c.Close() })
	return c
}

// judged is a transport that reports what does not fit the protocol's schema.
type judged struct {
	transport.Interface
	report func(error)
	said   mcpspec.Conversation
}

func (j *judged) SendRequest(ctx context.Context, r transport.JSONRPCRequest) (*transport.JSONRPCResponse, error) {
	sent, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	j.said.Sent(sent)
	resp, err := j.Interface.SendRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(resp)
	if err == nil {
		err = j.said.Received(raw)
	}
	if err != nil {
		j.report(err)
	}
	return resp, nil
}

// newSandbox is a stand-in for Heffl that counts no requests against a limit.
func newSandbox(tb testing.TB) *sandbox.Sandbox {
	tb.Helper()
	sb := sandbox.New(sandbox.Options{RateLimit: -1})
	tb.Cleanup(func() { sb.Close() })
	return sb
}

func callTool(tb testing.TB, c *mcpclient.Client, name, args string) *mcp.CallToolResult {
	tb.Helper()
	var req mcp.CallToolRequest
	req.Params.Name, req.Params.Arguments = name, json.RawMessage(args)
	r, err := c.CallTool(tb.Context(), req)
	if err != nil {
		tb.Fatalf("%s(%.200s): %v", name, args, err)
	}
	return r
}

func textOf(r *mcp.CallToolResult) string {
	var parts []string
	for _, c := range r.Content {
		if t, ok := mcp.AsTextContent(c); ok {
			parts = append(parts, t.Text)
		}
	}
	return strings.Join(parts, "\n---\n")
}

// notesOf are what this server, not the protocol, says in _meta.
func notesOf(r *mcp.CallToolResult) map[string]any {
	if r.Meta == nil {
		return nil
	}
	m := maps.Clone(r.Meta.AdditionalFields)
	maps.DeleteFunc(m, func(k string, _ any) bool { return !strings.HasPrefix(k, "heffl-mcp/") })
	return m
}

// golden compares got with a file of testdata, which -update rewrites.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); if the change is meant, run go test ./tools -update:\n%s", path, diff)
	}
}

// goldenJSON is golden for JSON, which it indents.
func goldenJSON(t *testing.T, name, raw string) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(raw), "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteByte('\n')
	golden(t, name, indented.Bytes())
}

// TestAdvertised holds what every client is told, and what it costs a model.
func TestAdvertised(t *testing.T) {
	t.Parallel()
	s, err := NewServer(Deps{Heffl: inProcess(newSandbox(t))})
	if err != nil {
		t.Fatal(err)
	}
	tools := advertised(t, s)
	if len(tools) != len(all) {
		t.Errorf("%d tools are advertised, want %d", len(tools), len(all))
	}
	holdsBudget(t, tools)
	for name, raw := range tools {
		if !regexp.MustCompile(`^[a-z][a-z_]{0,39}$`).MatchString(name) {
			t.Errorf("tool name %q: want [a-z][a-z_]*, at most 40 characters", name)
		}
		tool := s.GetTool(name).Tool
		a := tool.Annotations
		if tool.Title == "" || tool.Description == "" || a.Title == "" || a.ReadOnlyHint == nil || a.DestructiveHint == nil || a.IdempotentHint == nil || a.OpenWorldHint == nil {
			t.Errorf("%s lacks a title, a description or one of the four annotations: %s", name, raw)
		}
		goldenJSON(t, "advertised/"+name+".json", raw)
	}
}

// TestSchemas holds what a program that is in a hurry to start takes as given: that its schemas compile, and that those
// which are stored are those of the structs.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, d := range all {
		in, out, err := d.schemas()
		if err != nil {
			t.Errorf("%s: %v", d.Name, err)
			continue
		}
		want := map[string]json.RawMessage{".input": in.JSON(), ".output": out.JSON()}
		if d.Name == previewDeal.Name {
			want[".bare"] = in.Bare()
		}
		for what, raw := range want {
			name := filepath.Join("schemas", d.Name+what+".json")
			if *update {
				if err := os.WriteFile(name, raw, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(name); err != nil || string(got) != string(raw) {
				t.Errorf("%s is not what the structs say (%v): go test ./tools -update writes it", name, err)
			}
		}
	}
}

func (t tool) schemas() (in, out *schema.Schema, err error) {
	in, err = t.Args.schema(schema.Input)
	out, err2 := t.Result.schema(schema.Output)
	if err := errors.Join(err, err2); err != nil {
		return nil, nil, err
	}
	return in, out, errors.Join(in.Compile(), out.Compile())
}

func TestDeclarations(t *testing.T) {
	t.Parallel()
	whole := createDeal
	for name, spoil := range map[string]func(*tool){
		"name": func(t *tool) { t.Name = "" }, "title": func(t *tool) { t.Title = "" }, "about": func(t *tool) { t.About = "" }, "effect": func(t *tool) { t.Effect = 0 },
		"arguments": func(t *tool) { t.Args = structure{} }, "result": func(t *tool) { t.Result = structure{} }, "run": func(t *tool) { t.Run = nil },
	} {
		broken := whole
		spoil(&broken)
		if _, _, err := broken.build(&Deps{}, func() {}); err == nil {
			t.Errorf("a tool without %s was built", name)
		}
	}
}

// TestPanic holds that a bug in a tool costs one call, and shows the model nothing of the inside.
func TestPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := connectTo(t, Deps{
		Heffl: &heffl.Client{Key: testKey, HTTP: &http.Client{Transport: panics{}}},
		Log:   slog.New(slog.NewTextHandler(&log, nil)),
	})
	for _, args := range []string{
		`{"title":"a","clientId":"clt_1","pipelineId":"dpl_1"}`,
		`{"title":"a","clientId":"Acme","pipelineId":"dpl_1","tags":["VIP"]}`, // looked up in goroutines
		`{"title":"a","clientId":"clt_1","pipelineId":"Sales","stageId":"New","cf_a":1}`,
	} {
		r := callTool(t, c, "create_deal", args)
		if text := textOf(r); !r.IsError || strings.Contains(text, "inner secret") || !strings.Contains(text, "failed inside heffl-mcp") {
			t.Errorf("create_deal(%s), where something panics, = %q, want a neutral error", args, text)
		}
	}
	if !strings.Contains(log.String(), "inner secret") || !strings.Contains(log.String(), "tools_test.go") {
		t.Errorf("the log lacks the panic or its stack: %s", log.String())
	}
}

type panics struct{}

func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("inner secret") }

func ExampleNewServer() {
	sb := sandbox.New(sandbox.Options{})
	defer sb.Close()
	m, err := NewServer(Deps{Heffl: &heffl.Client{BaseURL: sandbox.BaseURL, Key: "any", HTTP: sb.HTTPClient()}})
	if err != nil {
		panic(err)
	}
	fmt.Println(m.GetTool("create_deal").Tool.Title)
	// Output: Create a deal
}
