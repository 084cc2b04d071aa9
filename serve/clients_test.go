package serve_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	mcpgo "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"heffl-mcp/internal/mcpspec"
	"heffl-mcp/serve"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

// ways are the transports and protocol revisions that clients come by.
var ways = []struct{ transport, revision string }{
	{"stdio", legacy}, {"stdio", modern}, {"mcp", legacy}, {"mcp", modern}, {"sse", legacy},
}

// open starts a server for one client: its standard input and output, or its URL.
func open(t *testing.T, s *server.MCPServer, tools serve.Tools, way string) (url string, in io.ReadCloser, out io.WriteCloser) {
	t.Helper()
	if way == "stdio" {
		inR, inW := io.Pipe()
		outR, outW := io.Pipe()
		end := make(chan error, 1)
		go func() {
			end <- (&serve.Stdio{MCP: s, Tools: tools}).Serve(context.WithoutCancel(t.Context()), inR, outW)
			outW.Close()
		}()
		t.Cleanup(func() {
			inW.Close()
			outR.Close()
			if err := <-end; err != nil {
				t.Logf("Serve = %v", err) // the client may have stopped reading first
			}
		})
		judgedIn, judgedOut := mcpspec.Pipes(inW, outR, func(err error) { t.Error(err) })
		return "", judgedOut, judgedIn
	}
	web := httptest.NewServer((&serve.HTTP{MCP: s, Tools: tools}).Handler())
	t.Cleanup(web.Close)
	return web.URL + "/" + way, nil, nil
}

// connect starts a server for the official client.
func connect(t *testing.T, s *server.MCPServer, tools serve.Tools, way string) mcp.Transport {
	t.Helper()
	switch url, in, out := open(t, s, tools, way); way {
	case "mcp":
		return &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: httpClient(t)}
	case "sse":
		return &mcp.SSEClientTransport{Endpoint: url, HTTPClient: httpClient(t)}
	default:
		return &mcp.IOTransport{Reader: in, Writer: out}
	}
}

// httpClient is one that holds the server to the protocol's schema.
func httpClient(t *testing.T) *http.Client {
	return tapped(t, &http.Client{Transport: http.DefaultTransport})
}

func TestOfficialClient(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.transport+" "+way.revision, func(t *testing.T) {
			t.Parallel()
			toy := newToy()
			progress := make(chan float64, 1000)
			changed := make(chan struct{}, 10)
			opts := &mcp.ClientOptions{
				ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
					progress <- r.Params.Progress
				},
			}
			if way.transport != "mcp" || way.revision == modern { // there a legacy client has no stream to hear it on
				opts.ToolListChangedHandler = func(context.Context, *mcp.ToolListChangedRequest) { changed <- struct{}{} }
			}
			tr := connect(t, toy.MCPServer, nil, way.transport)
			session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, opts).
				Connect(t.Context(), tr, &mcp.ClientSessionOptions{ProtocolVersion: way.revision})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if got := session.InitializeResult().ProtocolVersion; got != way.revision {
				t.Errorf("negotiated %s, want %s", got, way.revision)
			}
			if list, err := session.ListTools(t.Context(), nil); err != nil || len(list.Tools) != 11 {
				t.Errorf("tools/list = %v, %v, want 11 tools", list, err)
			}
			tool := func(name string, args map[string]any) (string, error) {
				params := &mcp.CallToolParams{Name: name, Arguments: args}
				params.SetProgressToken("p")
				r, err := session.CallTool(t.Context(), params)
				if err != nil {
					return "", err
				}
				return r.Content[0].(*mcp.TextContent).Text, nil
			}
			if got, err := tool("add", map[string]any{"a": 1, "b": 2}); got != "3" || err != nil {
				t.Errorf("add = %q, %v, want 3", got, err)
			}
			if got, err := tool("whoami", nil); way.transport != "mcp" && got != "test "+way.revision+" false" || err != nil {
				t.Errorf("whoami = %q, %v, want test %s", got, err, way.revision)
			}
			if _, err := tool("panics", nil); err == nil {
				t.Error("panics: no error")
			}
			for range 50 {
				if got, err := tool("progress", map[string]any{"steps": 3}); got != "done" || err != nil {
					t.Fatalf("progress = %q, %v, want done", got, err)
				}
			}
			for range 150 {
				receive(t, progress)
			}
			if opts.ToolListChangedHandler != nil {
				toy.DeleteTools("add")
				receive(t, changed)
			}

			// A call that the client gives up stops.
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-toy.started; cancel() }()
			if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "slow", Arguments: map[string]any{"tag": "x"}}); err == nil {
				t.Error("a cancelled call: no error")
			}
			if way.transport == "mcp" && way.revision == legacy {
				close(toy.release)
				return // the notification does not say whose call it means, and a lost connection means nothing
			}
			if got := receive(t, toy.stopped); got != "x" {
				t.Errorf("stopped %q, want x", got)
			}
		})
	}
}

func TestMCPGoClient(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.transport+" "+way.revision, func(t *testing.T) {
			t.Parallel()
			toy := newToy()
			var tr transport.Interface
			var err error
			switch url, in, out := open(t, toy.MCPServer, nil, way.transport); way.transport {
			case "stdio":
				tr = transport.NewIO(in, out, io.NopCloser(strings.NewReader("")))
			case "mcp":
				tr, err = transport.NewStreamableHTTP(url, transport.WithHTTPBasicClient(httpClient(t)))
			case "sse":
				tr, err = transport.NewSSE(url, transport.WithHTTPClient(httpClient(t)))
			}
			if err != nil {
				t.Fatal(err)
			}
			c := client.NewClient(tr, client.WithProtocolVersion(way.revision))
			defer c.Close()
			if err := c.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			var init mcpgo.InitializeRequest
			init.Params.ProtocolVersion = way.revision
			init.Params.ClientInfo.Name = "test"
			if r, err := c.Initialize(t.Context(), init); err != nil || r.ProtocolVersion != way.revision {
				t.Fatalf("initialize = %v, %v, want revision %s", r, err, way.revision)
			}
			var add mcpgo.CallToolRequest
			add.Params.Name = "add"
			add.Params.Arguments = map[string]any{"a": 1, "b": 2}
			var calls sync.WaitGroup
			for range 20 {
				calls.Go(func() {
					r, err := c.CallTool(t.Context(), add)
					if err != nil || r.Content[0].(mcpgo.TextContent).Text != "3" {
						t.Errorf("add = %v, %v, want 3", r, err)
					}
				})
			}
			calls.Wait()
		})
	}
}

// oneTool is a server that has one.
type oneTool struct {
	*server.MCPServer
	handle server.ToolHandlerFunc
}

func (s oneTool) Handler(context.Context, string) server.ToolHandlerFunc { return s.handle }

// Nobody waits for a call that has come from without once its context is done, whichever way it goes; for one of this program
// somebody does.
func TestAwaited(t *testing.T) {
	t.Parallel()
	s := oneTool{server.NewMCPServer("toy", "1"), func(ctx context.Context, _ mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		return mcpgo.NewToolResultText(strconv.FormatBool(serve.Awaited(ctx))), nil
	}}
	s.AddTool(mcpgo.NewTool("awaited"), s.handle)
	for _, way := range ways {
		for _, tools := range []serve.Tools{nil, s} {
			tr := connect(t, s.MCPServer, tools, way.transport)
			session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), tr, &mcp.ClientSessionOptions{ProtocolVersion: way.revision})
			if err != nil {
				t.Fatal(err)
			}
			r, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "awaited", Arguments: map[string]any{}})
			if err != nil || r.Content[0].(*mcp.TextContent).Text != "false" {
				t.Errorf("%s, %s, around mcp-go: %t: a call is awaited: %v, %v", way.transport, way.revision, tools != nil, r, err)
			}
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	within, err := client.NewInProcessClient(s.MCPServer)
	if err != nil {
		t.Fatal(err)
	}
	defer within.Close()
	if _, err := within.Initialize(t.Context(), mcpgo.InitializeRequest{}); err != nil {
		t.Fatal(err)
	}
	var req mcpgo.CallToolRequest
	req.Params.Name = "awaited"
	if r, err := within.CallTool(t.Context(), req); err != nil || r.Content[0].(mcpgo.TextContent).Text != "true" {
		t.Errorf("a call of the program's own is not awaited: %v, %v", r, err)
	}
}
