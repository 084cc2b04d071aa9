package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"heffl-mcp/internal/mcpspec"
	"heffl-mcp/serve"
)

// toy is an MCP server with one tool for each way a call can go.
type toy struct {
	*server.MCPServer
	started chan string   // gets the tag of each slow or stubborn call when it begins
	stopped chan string   // and of each slow one whose context has ended
	release chan struct{} // lets slow and stubborn calls return
}

func newToy() *toy {
	t := &toy{
		MCPServer: server.NewMCPServer("toy", "1", server.WithToolCapabilities(true), server.WithLogging()),
		started:   make(chan string, 1000),
		stopped:   make(chan string, 1000),
		release:   make(chan struct{}),
	}
	t.AddTool(mcp.NewTool("add", mcp.WithNumber("a"), mcp.WithNumber("b")),
		func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(fmt.Sprint(r.GetFloat("a", 0) + r.GetFloat("b", 0))), nil
		})
	t.AddTool(mcp.NewTool("slow", mcp.WithString("tag")),
		func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			tag := r.GetString("tag", "")
			t.started <- tag
			select {
			case <-t.release:
				return mcp.NewToolResultText("released " + tag), nil
			case <-ctx.Done():
				t.stopped <- tag
				return mcp.NewToolResultError("stopped " + tag), nil
			}
		})
	t.AddTool(mcp.NewTool("stubborn", mcp.WithString("tag")),
		func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			t.started <- r.GetString("tag", "")
			<-t.release
			return mcp.NewToolResultText("released"), nil
		})
	t.AddTool(mcp.NewTool("progress", mcp.WithNumber("steps"), mcp.WithBoolean("panic"), mcp.WithBoolean("bad"), mcp.WithBoolean("wait")),
		func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			for i := range r.GetInt("steps", 0) {
				if err := t.SendNotificationToClient(ctx, "notifications/progress", map[string]any{
					"progressToken": r.Params.Meta.ProgressToken, "progress": i + 1,
				}); err != nil {
					return nil, err
				}
			}
			if r.GetBool("bad", false) {
				if err := t.SendNotificationToClient(ctx, "notifications/progress", map[string]any{"x": func() {}}); err != nil {
					return nil, err
				}
			}
			if r.GetBool("wait", false) {
				<-t.release
			}
			if r.GetBool("panic", false) {
				panic("secret-4711")
			}
			return mcp.NewToolResultText("done"), nil
		})
	t.AddTool(mcp.NewTool("raw"),
		func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(string(r.Params.RawArguments)), nil
		})
	t.AddTool(mcp.NewTool("whoami"),
		func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			s := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo)
			return mcp.NewToolResultText(fmt.Sprint(s.GetClientInfo().Name, " ", server.RequestProtocolVersion(ctx), " ", s.GetClientCapabilities().Elicitation != nil)), nil
		})
	t.AddTool(mcp.NewTool("principal"),
		func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(fmt.Sprint(ctx.Value(principal{}))), nil
		})
	t.AddTool(mcp.NewTool("log"),
		func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if err := t.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelInfo, "toy", "hello")); err != nil {
				return nil, err
			}
			return mcp.NewToolResultText("done"), nil
		})
	t.AddTool(mcp.NewTool("panics"),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { panic("secret-4711") })
	t.AddTool(mcp.NewTool("unencodable"),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultStructured(map[string]any{"x": func() {}}, "text"), nil
		})
	t.AddTool(mcp.NewTool("explodes"),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultStructured(explosive{}, "text"), nil
		})
	return t
}

// principal is the key of a value that middleware puts into a context.
type principal struct{}

// explosive panics when it is encoded.
type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("secret-4711") }

// call is the line of a tools/call without its newline. id and args are JSON.
func call(id, tool, args string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"progressToken":"p"}}}`, id, tool, args)
}

// raw is a tools/call of which params is JSON.
func raw(id, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":%s}`, id, params)
}

func add(id string, a, b int) string { return call(id, "add", fmt.Sprintf(`{"a":%d,"b":%d}`, a, b)) }

func ping(id string) string { return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"ping"}`, id) }

func cancelNote(id string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}`, id)
}

const initialize = `{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"raw","version":"0"}}}`

// listen is a subscriptions/listen of 2026-07-28; kinds is the JSON of its filter.
func listen(id, kinds string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"subscriptions/listen","params":{"notifications":%s,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"raw","version":"0"}}}}`, id, kinds)
}

const toolsChanged = `{"toolsListChanged":true}`

// message is what the tests look at of a message from the server.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Progress  int             `json:"progress"`
		RequestID json.RawMessage `json:"requestId"`
		Meta      struct {
			Subscription json.RawMessage `json:"io.modelcontextprotocol/subscriptionId"`
		} `json:"_meta"`
	} `json:"params"`
	Result *struct {
		IsError bool                    `json:"isError"`
		Content []struct{ Text string } `json:"content"`
		Type    string                  `json:"resultType"`
		Meta    struct {
			Subscription json.RawMessage `json:"io.modelcontextprotocol/subscriptionId"`
		} `json:"_meta"`
	} `json:"result"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// String is a short form to compare: "1: 3" for a result, "1: error -32603 ..." for an error, or the method.
func (m message) String() string {
	id := string(m.ID)
	switch {
	case m.Method != "" && m.Params.Progress != 0:
		return fmt.Sprint(m.Method, " ", m.Params.Progress)
	case m.Method != "" && m.Params.RequestID != nil:
		return m.Method + " " + string(m.Params.RequestID)
	case m.Method != "" && m.Params.Meta.Subscription != nil:
		return m.Method + " for " + string(m.Params.Meta.Subscription)
	case m.Method != "":
		return m.Method
	case m.Error != nil:
		return fmt.Sprintf("%s: error %d %s", id, m.Error.Code, m.Error.Message)
	case m.Result == nil:
		return id + ": nothing"
	case m.Result.Meta.Subscription != nil:
		return fmt.Sprintf("%s: %s, end of %s", id, m.Result.Type, m.Result.Meta.Subscription)
	case len(m.Result.Content) == 1 && m.Result.IsError:
		return id + ": tool error " + m.Result.Content[0].Text
	case len(m.Result.Content) == 1:
		return id + ": " + m.Result.Content[0].Text
	}
	return id + ": result"
}

func decode(t testing.TB, line []byte) message {
	t.Helper()
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("the server wrote %q: %v", line, err)
	}
	return m
}

// oneShot serves input to its end and returns all answers, in order.
func oneShot(t testing.TB, s *serve.Stdio, input string) (got []string) {
	t.Helper()
	var out bytes.Buffer
	if err := s.Serve(t.Context(), strings.NewReader(input), &out); err != nil {
		t.Fatalf("Serve = %v, want nil", err)
	}
	var said mcpspec.Conversation
	for line := range strings.Lines(input) {
		said.Sent([]byte(strings.TrimPrefix(line, "\ufeff")))
	}
	for line := range strings.Lines(out.String()) {
		if err := said.Received([]byte(line)); err != nil {
			t.Error(err)
		}
		got = append(got, decode(t, []byte(line)).String())
	}
	return got
}

// conversation is a Serve that runs, with pipes to talk to it.
type conversation struct {
	t    testing.TB
	in   *io.PipeWriter
	out  *bufio.Reader
	said mcpspec.Conversation
	raw  *io.PipeReader
	end  chan error
}

func converse(t testing.TB, ctx context.Context, s *serve.Stdio) *conversation {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	c := &conversation{t: t, in: inW, out: bufio.NewReader(outR), raw: outR, end: make(chan error, 1)}
	go func() {
		err := s.Serve(ctx, inR, outW)
		outW.Close()
		c.end <- err
	}()
	t.Cleanup(func() { inW.Close(); outR.Close() })
	return c
}

func (c *conversation) send(lines ...string) {
	c.t.Helper()
	for _, line := range lines {
		c.said.Sent([]byte(line))
		if _, err := io.WriteString(c.in, line+"\n"); err != nil {
			c.t.Fatalf("send(%s): %v", line, err)
		}
	}
}

func (c *conversation) next() string {
	c.t.Helper()
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		c.t.Fatalf("next answer: %v", err)
	}
	return c.judge(line)
}

// judge is a message in its short form; it fails the test where the message does not fit the protocol's schema.
func (c *conversation) judge(line []byte) string {
	c.t.Helper()
	if err := c.said.Received(line); err != nil {
		c.t.Error(err)
	}
	return decode(c.t, line).String()
}

func (c *conversation) want(answers ...string) {
	c.t.Helper()
	for _, want := range answers {
		if got := c.next(); got != want {
			c.t.Fatalf("next answer = %q, want %q", got, want)
		}
	}
}

// rest is everything up to the end of the output, and what Serve returned.
func (c *conversation) rest() (got []string, err error) {
	c.t.Helper()
	for {
		line, err := c.out.ReadBytes('\n')
		if err != nil {
			return got, <-c.end
		}
		got = append(got, c.judge(line))
	}
}

func (t *toy) wantStarted(tt testing.TB, tags ...string) {
	tt.Helper()
	for _, want := range tags {
		if got := receive(tt, t.started); got != want {
			tt.Fatalf("call %q started, want %q", got, want)
		}
	}
}

// receive fails a test that would wait for ever.
func receive[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
	}
	return v
}

// logBuffer collects a log.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
