package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/internal/mcpspec"

	"github.com/google/go-cmp/cmp"
	mcpgo "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	mcpgotypes "github.com/mark3labs/mcp-go/mcp"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The first and the last revision of the protocol with a handshake, and the one without.
const (
	oldest = "2024-11-05"
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

// A session is a client's connection to a server, reduced to what is tested.
type session interface {
	revision() string // that was agreed on
	tools(context.Context) (json.RawMessage, error)
	call(ctx context.Context, tool string, args json.RawMessage) (*result, error)
	ping(context.Context) error
	close() error
}

// A result is that of tools/call.
type result struct {
	IsError           bool            `json:"isError"`
	Content           []content       `json:"content"`
	StructuredContent json.RawMessage `json:"structuredContent"`
	Meta              map[string]any  `json:"_meta"`
}

type content struct {
	Text string `json:"text"`
}

func (r *result) text() string {
	var b strings.Builder
	for _, c := range r.Content {
		b.WriteString(c.Text)
	}
	return b.String()
}

// convert is how the results of the clients' own types become ours.
func convert[T any](from any, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(from)
	if err != nil {
		return nil, err
	}
	to := new(T)
	return to, json.Unmarshal(b, to)
}

// A place is where a server is: a command to start, or the addresses of one that runs.
type place struct {
	cmd      *exec.Cmd
	mcp, sse string
	http     *http.Client
}

// A dialer connects one kind of client.
type dialer func(ctx context.Context, revision string, at place) (session, error)

// TestConversation has clients of others talk to the program as it is installed, over each
// transport and in each era: each makes one deal, and gets it back.
func TestConversation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		client, transport, revision string
		dial                        dialer
		agreed                      string
	}{
		{"go-sdk", "stdio", modern, dialGoSDK, modern},
		{"go-sdk", "stdio", legacy, dialGoSDK, legacy},
		{"go-sdk", "http", modern, dialGoSDK, modern},
		{"go-sdk", "http", legacy, dialGoSDK, legacy},
		{"go-sdk", "sse", modern, dialGoSDK, modern},
		{"go-sdk", "sse", legacy, dialGoSDK, legacy},
		{"mcp-go", "stdio", modern, dialMCPGo, modern},
		{"mcp-go", "stdio", legacy, dialMCPGo, legacy},
		{"mcp-go", "http", modern, dialMCPGo, modern},
		{"mcp-go", "http", legacy, dialMCPGo, legacy},
		{"mcp-go", "sse", legacy, dialMCPGo, legacy},
		{"plain", "stdio", oldest, dialPlain, oldest},
		{"plain", "http", oldest, dialPlain, oldest},
		{"plain", "sse", oldest, dialPlain, oldest},
		{"plain", "stdio", "1999-01-01", dialPlain, legacy},
	} {
		t.Run(fmt.Sprintf("%s/%s/%s", c.client, c.transport, c.revision), func(t *testing.T) {
			t.Parallel()
			ctx := bounded(t)
			sb := newSandbox(t, sandbox.Options{})
			at, running := placeOf(t, c.transport, upstream(t, sb))
			s, err := c.dial(ctx, c.revision, at)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.revision(); got != c.agreed {
				t.Errorf("asked for revision %s, agreed on %s, want %s", c.revision, got, c.agreed)
			}
			converse(t, s, sb)
			if err := s.close(); err != nil { // over stdio this says how the program ended
				t.Errorf("close: %v", err)
			}
			if running != nil && runtime.GOOS != "windows" {
				running.terminate(t)
				running.exit(t, 0)
			}
		})
	}
}

// placeOf is the program behind a transport; over HTTP it runs already, and asks for a token, which the client has.
func placeOf(t *testing.T, transport string, env []string) (place, *program) {
	t.Helper()
	if transport == "stdio" {
		cmd := command(t, env)
		stderr := new(capture)
		cmd.Stderr = stderr
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("standard error:\n%s", stderr)
			}
		})
		return place{cmd: cmd}, nil
	}
	const token = "0123456789-conversation"
	p, at := serveHTTP(t, append(env, "HEFFL_MCP_TOKEN="+token))
	at = at.with("Authorization", "Bearer "+token)
	if transport == "sse" {
		at.mcp = ""
	}
	return at, p
}

// serveHTTP starts the program on a free port and reads from its log where it is.
func serveHTTP(t testing.TB, env []string, args ...string) (*program, place) {
	t.Helper()
	p := start(t, env, append([]string{"http", "--addr", "127.0.0.1:0", "--log-format", "json"}, args...)...)
	return p, p.place(t)
}

// place reads from the log of a program, in JSON, where it is.
func (p *program) place(t testing.TB) place {
	t.Helper()
	line, err := p.err.line(bounded(t), func(l string) bool { return strings.Contains(l, `"url":`) })
	if err != nil {
		t.Fatalf("no address in the log: %v; standard error:\n%s", err, p.err.String())
	}
	var log struct{ URL, SSE string }
	if err := json.Unmarshal([]byte(line), &log); err != nil {
		t.Fatalf("the log is no JSON: %v\n%s", err, line)
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return place{mcp: log.URL, sse: log.SSE, http: &http.Client{Transport: &mcpspec.Tap{Transport: tr, Report: func(err error) { t.Error(err) }}}}
}

// converse holds a server to what it promises, down to the deal in sb.
func converse(t *testing.T, s session, sb *sandbox.Sandbox) {
	t.Helper()
	ctx := bounded(t)
	schema := outputSchema(t, s, "create_deal")
	if s.revision() != modern { // where ping is no more
		if err := s.ping(ctx); err != nil {
			t.Errorf("ping: %v", err)
		}
	}
	if r, err := s.call(ctx, "delete_everything", json.RawMessage(`{}`)); err == nil {
		t.Errorf("delete_everything() = %+v, want a protocol error", r)
	}

	refused, err := s.call(ctx, "create_deal", json.RawMessage(`{"title":"x","amount":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if text := refused.text(); !refused.IsError || !strings.Contains(text, "did you mean price?") || !strings.Contains(text, "clientId") {
		t.Errorf("create_deal(amount, no clientId) = %q, isError %v; want an error that names both", text, refused.IsError)
	}
	if refused.StructuredContent != nil {
		t.Errorf("create_deal(amount, no clientId) has structured content %s, want none", refused.StructuredContent)
	}
	if requests := ofDeals(sb); len(requests) != 0 {
		t.Errorf("refused arguments led to %d requests, want none", len(requests))
	}

	before := len(sb.Deals())
	made, err := s.call(ctx, "create_deal", read(t, "examples/deals/full.json"))
	if err != nil {
		t.Fatal(err)
	}
	deals := sb.Deals()
	if made.IsError || len(deals) != before+1 {
		t.Fatalf("create_deal(full.json) = %q, isError %v, made %d deals; want one deal", made.text(), made.IsError, len(deals)-before)
	}
	if !strings.Contains(made.text(), "Created the deal") {
		t.Errorf("create_deal(full.json) says %q, want that it created the deal", made.text())
	}
	if diff := cmp.Diff(answerOf(t, deals[before]), decode(t, made.StructuredContent)); diff != "" {
		t.Errorf("create_deal(full.json): structured content (-deal +got):\n%s", diff)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(made.StructuredContent))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("create_deal(full.json): structured content does not fit the output schema: %v", err)
	}
	inWords, err := s.call(ctx, "create_deal", read(t, "examples/words/order.json"))
	if err != nil {
		t.Fatal(err)
	}
	if id, _ := decode(t, inWords.StructuredContent)["id"].(string); inWords.IsError || !strings.HasPrefix(id, "dl_") {
		t.Errorf("create_deal(order.json) = %q, isError %v, structured content %s; want a deal", inWords.text(), inWords.IsError, inWords.StructuredContent)
	}
	if _, exact := s.(*plain); exact && !bytes.Contains(made.StructuredContent, []byte(`"price":23600.50,`)) {
		t.Errorf("create_deal(full.json): the price has lost digits: %s", made.StructuredContent)
	}
}

// outputSchema is what a server advertises of a tool, compiled by a library that is not the program's
// own wrapper.
func outputSchema(t *testing.T, s session, tool string) *jsonschema.Schema {
	t.Helper()
	raw, err := s.tools(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Tools []struct {
			Name                      string
			InputSchema, OutputSchema json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	for _, one := range list.Tools {
		if one.Name != tool {
			continue
		}
		compile(t, one.InputSchema)
		return compile(t, one.OutputSchema)
	}
	t.Fatalf("tools/list has no %s: %s", tool, raw)
	return nil
}

func compile(t *testing.T, raw json.RawMessage) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("schema %q: %v", raw, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("mem:///schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("mem:///schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// answerOf is a deal of the sandbox without what Heffl's answers leave out.
func answerOf(t *testing.T, deal json.RawMessage) map[string]any {
	t.Helper()
	m := decode(t, deal)
	for _, name := range []string{"contacts", "assignees", "tags", "products", "currency", "isInclusiveTax"} {
		delete(m, name)
	}
	return m
}

func decode(t *testing.T, object json.RawMessage) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal(object, &m); err != nil {
		t.Fatalf("%q: %v", object, err)
	}
	return m
}

// goSDK is the official client.
type goSDK struct{ *gosdk.ClientSession }

func dialGoSDK(ctx context.Context, revision string, at place) (session, error) {
	return dialGoSDKWith(ctx, revision, at, nil)
}

func dialGoSDKWith(ctx context.Context, revision string, at place, o *gosdk.ClientOptions) (session, error) {
	var tr gosdk.Transport
	switch {
	case at.cmd != nil:
		tr = judged{&gosdk.CommandTransport{Command: at.cmd, TerminateDuration: patience}}
	case at.mcp != "":
		tr = &gosdk.StreamableClientTransport{Endpoint: at.mcp, HTTPClient: at.http}
	default:
		tr = &gosdk.SSEClientTransport{Endpoint: at.sse, HTTPClient: at.http}
	}
	c := gosdk.NewClient(&gosdk.Implementation{Name: "test", Version: "1"}, o)
	s, err := c.Connect(ctx, tr, &gosdk.ClientSessionOptions{ProtocolVersion: revision})
	return goSDK{s}, err
}

// judged is a transport that gives nothing on that does not fit the protocol's schema. (Over HTTP, place.http does that.)
type judged struct{ gosdk.Transport }

func (j judged) Connect(ctx context.Context) (gosdk.Connection, error) {
	c, err := j.Transport.Connect(ctx)
	return &judgedConnection{Connection: c}, err
}

type judgedConnection struct {
	gosdk.Connection
	said mcpspec.Conversation
}

func (c *judgedConnection) Write(ctx context.Context, m jsonrpc.Message) error {
	raw, err := jsonrpc.EncodeMessage(m)
	if err != nil {
		return err
	}
	c.said.Sent(raw)
	return c.Connection.Write(ctx, m)
}

func (c *judgedConnection) Read(ctx context.Context) (jsonrpc.Message, error) {
	m, err := c.Connection.Read(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := jsonrpc.EncodeMessage(m)
	if err == nil {
		err = c.said.Received(raw)
	}
	return m, err
}

func (s goSDK) revision() string               { return s.InitializeResult().ProtocolVersion }
func (s goSDK) ping(ctx context.Context) error { return s.Ping(ctx, nil) }
func (s goSDK) close() error                   { return s.Close() }

func (s goSDK) tools(ctx context.Context) (json.RawMessage, error) {
	list, err := s.ListTools(ctx, nil)
	if err != nil {
		return nil, err
	}
	return json.Marshal(list)
}

func (s goSDK) call(ctx context.Context, tool string, args json.RawMessage) (*result, error) {
	r, err := s.CallTool(ctx, &gosdk.CallToolParams{Name: tool, Arguments: args})
	return convert[result](r, err)
}

// mcpGo is the client of the library that the server is made with.
type mcpGo struct {
	*mcpgo.Client
	agreed string
	end    func() error // of the program
}

func dialMCPGo(ctx context.Context, revision string, at place) (session, error) {
	var tr transport.Interface
	var err error
	end := func() error { return nil }
	switch {
	case at.cmd != nil:
		tr, end, err = mcpGoStdio(at.cmd)
	case at.mcp != "":
		tr, err = transport.NewStreamableHTTP(at.mcp, transport.WithHTTPBasicClient(at.http))
	default:
		tr, err = transport.NewSSE(at.sse, transport.WithHTTPClient(at.http))
	}
	if err != nil {
		return nil, err
	}
	c := mcpgo.NewClient(tr, mcpgo.WithProtocolVersion(revision))
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	r, err := c.Initialize(ctx, mcpgotypes.InitializeRequest{})
	if err != nil {
		return nil, err
	}
	return mcpGo{c, r.ProtocolVersion, end}, nil
}

// mcpGoStdio starts a command. Closing the transport ends its input, and end waits for it; it fails where something did not
// fit the protocol's schema.
func mcpGoStdio(cmd *exec.Cmd) (tr *transport.Stdio, end func() error, err error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	var wrong []error
	judgedIn, judgedOut := mcpspec.Pipes(in, out, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, err)
	})
	end = func() error {
		err := cmd.Wait()
		mu.Lock()
		defer mu.Unlock()
		return errors.Join(append(wrong, err)...)
	}
	return transport.NewIO(judgedOut, judgedIn, io.NopCloser(strings.NewReader(""))), end, nil
}

func (s mcpGo) revision() string               { return s.agreed }
func (s mcpGo) ping(ctx context.Context) error { return s.Ping(ctx) }
func (s mcpGo) close() error                   { return errors.Join(s.Close(), s.end()) }

func (s mcpGo) tools(ctx context.Context) (json.RawMessage, error) {
	list, err := s.ListTools(ctx, mcpgotypes.ListToolsRequest{})
	if err != nil {
		return nil, err
	}
	return json.Marshal(list)
}

func (s mcpGo) call(ctx context.Context, tool string, args json.RawMessage) (*result, error) {
	var req mcpgotypes.CallToolRequest
	req.Params.Name, req.Params.Arguments = tool, args
	r, err := s.CallTool(ctx, req)
	return convert[result](r, err)
}

// plain is a client that knows JSON-RPC and little else, as those of the oldest revision do. It shows
// answers as they were written.
type plain struct {
	agreed   string
	last     atomic.Int64 // request id
	exchange func(ctx context.Context, id int64, message []byte) ([]byte, error)
	end      func() error
	meta     map[string]any // of each tools/call; nil: none
}

func dialPlain(ctx context.Context, revision string, at place) (session, error) {
	s := new(plain)
	var err error
	switch {
	case at.cmd != nil:
		err = s.overStdio(at.cmd)
	case at.mcp != "":
		s.overHTTP(at)
	default:
		err = s.overSSE(ctx, at)
	}
	if err != nil {
		return nil, err
	}
	hello, err := s.request(ctx, "initialize", map[string]any{
		"protocolVersion": revision, "capabilities": struct{}{}, "clientInfo": map[string]string{"name": "test", "version": "1"},
	})
	if err != nil {
		return nil, err
	}
	var r struct{ ProtocolVersion string }
	if err := json.Unmarshal(hello, &r); err != nil {
		return nil, err
	}
	s.agreed = r.ProtocolVersion
	_, err = s.exchange(ctx, 0, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
	return s, err
}

// overStdio starts a command; ending the session ends its input, and waits for it.
func (s *plain) overStdio(cmd *exec.Cmd) error {
	ended := make(chan struct{})
	out := &capture{ended: ended}
	cmd.Stdout = out
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var failed error
	go func() { defer close(ended); failed = cmd.Wait() }()
	s.end = func() error { in.Close(); <-ended; return failed }
	s.exchange = overLines(in, out)
	return nil
}

// overLines writes requests to a program's input and finds their answers in its output. It gives none that does not fit
// the protocol's schema. (Over HTTP, place.http does that.)
func overLines(in io.Writer, out *capture) func(context.Context, int64, []byte) ([]byte, error) {
	var mu sync.Mutex
	said := new(mcpspec.Conversation)
	return func(ctx context.Context, id int64, message []byte) ([]byte, error) {
		said.Sent(message)
		mu.Lock()
		_, err := in.Write(append(message, '\n'))
		mu.Unlock()
		if err != nil || id == 0 {
			return nil, err
		}
		line, err := out.line(ctx, answersTo(id))
		if err != nil {
			return nil, err
		}
		return []byte(line), said.Received([]byte(strings.TrimSpace(line)))
	}
}

// answersTo tells an answer by its id; it may be the data of an event.
func answersTo(id int64) func(string) bool {
	return func(line string) bool {
		var m struct{ ID int64 }
		return json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &m) == nil && m.ID == id
	}
}

func (s *plain) overHTTP(at place) {
	s.end = func() error { return nil }
	s.exchange = func(ctx context.Context, _ int64, message []byte) ([]byte, error) {
		return post(ctx, at.http, at.mcp, message)
	}
}

func post(ctx context.Context, c *http.Client, url string, message []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}

// overSSE opens the stream and learns from it where to post.
func (s *plain) overSSE(ctx context.Context, at place) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.sse, nil)
	if err != nil {
		return err
	}
	resp, err := at.http.Do(req)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	events := &capture{ended: ended}
	go func() { defer close(ended); _, _ = io.Copy(events, resp.Body) }()
	s.end = func() error { err := resp.Body.Close(); <-ended; return err }

	first, err := events.line(ctx, func(l string) bool { return strings.HasPrefix(l, "data: ") })
	if err != nil {
		return err
	}
	endpoint, err := url.Parse(strings.TrimSpace(strings.TrimPrefix(first, "data: ")))
	if err != nil {
		return err
	}
	target := resp.Request.URL.ResolveReference(endpoint).String()
	s.exchange = func(ctx context.Context, id int64, message []byte) ([]byte, error) {
		if _, err := post(ctx, at.http, target, message); err != nil || id == 0 {
			return nil, err
		}
		line, err := events.line(ctx, answersTo(id))
		return []byte(strings.TrimPrefix(line, "data: ")), err
	}
	return nil
}

// request returns the result of a request.
func (s *plain) request(ctx context.Context, method string, params any) (json.RawMessage, error) {
	id := s.last.Add(1)
	message, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	reply, err := s.exchange(ctx, id, message)
	if err != nil {
		return nil, err
	}
	var r struct{ Result, Error json.RawMessage }
	if err := json.Unmarshal(reply, &r); err != nil {
		return nil, fmt.Errorf("%w in the answer %q", err, reply)
	}
	if r.Error != nil {
		return nil, errors.New(string(r.Error))
	}
	return r.Result, nil
}

func (s *plain) revision() string { return s.agreed }
func (s *plain) close() error     { return s.end() }

func (s *plain) ping(ctx context.Context) error {
	_, err := s.request(ctx, "ping", nil)
	return err
}

func (s *plain) tools(ctx context.Context) (json.RawMessage, error) {
	return s.request(ctx, "tools/list", struct{}{})
}

func (s *plain) call(ctx context.Context, tool string, args json.RawMessage) (*result, error) {
	params := map[string]any{"name": tool, "arguments": args}
	if s.meta != nil {
		params["_meta"] = s.meta
	}
	raw, err := s.request(ctx, "tools/call", params)
	if err != nil {
		return nil, err
	}
	r := new(result)
	return r, json.Unmarshal(raw, r)
}

// TestStop holds that a call that has begun when the program is asked to stop is finished, answered and
// written down.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ transport, by string }{
		{"stdio", "SIGTERM"},
		{"stdio", "end of input"},
		{"http", "SIGTERM"},
		{"sse", "SIGTERM"},
	} {
		t.Run(c.transport+"/"+c.by, func(t *testing.T) {
			t.Parallel()
			ctx := bounded(t)
			sb := newSandbox(t, sandbox.Options{})
			arrived, release := make(chan struct{}), make(chan struct{})
			env := upstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					close(arrived) // a second request panics, and fails the test
					select {
					case <-release:
					case <-ctx.Done():
					}
				}
				sb.ServeHTTP(w, r)
			}))
			env = append(env, "HEFFL_MCP_STATE="+journals["SQLite"](t))
			p, s, at := startPlain(t, c.transport, env)

			replies := make(chan reply, 1)
			go func() {
				r, err := s.call(ctx, "create_deal", read(t, "examples/deals/minimal.json"))
				replies <- reply{r, err}
			}()
			select {
			case <-arrived:
			case r := <-replies:
				t.Fatalf("create_deal() = %+v, %v before Heffl was asked", r.result, r.error)
			case <-ctx.Done():
				t.Fatal("create_deal() never reached Heffl")
			}
			before := len(sb.Deals())
			if c.by == "SIGTERM" {
				p.terminate(t)
				untilStopping(t, s, at)
			} else if err := p.in.Close(); err != nil {
				t.Fatal(err)
			}
			close(release)

			r := <-replies
			if r.error != nil || r.IsError {
				t.Fatalf("create_deal() during the stop = %+v, %v; want the deal; standard error:\n%s", r.result, r.error, p.err.String())
			}
			if n := len(sb.Deals()) - before; n != 1 {
				t.Errorf("create_deal() during the stop made %d deals, want 1", n)
			}
			p.exit(t, 0)
			want := []listedJSON{{State: "done", How: "created", Ref: fmt.Sprint(toldBy(t, r.result).ID)}}
			if diff := cmp.Diff(want, records(t, env), ignoringFacts); diff != "" {
				t.Errorf("the journal after the stop (-want +got):\n%s", diff)
			}
		})
	}
}

// startPlain starts the program and connects a plain client to it.
func startPlain(t *testing.T, transport string, env []string) (*program, *plain, place) {
	t.Helper()
	s := new(plain)
	if transport == "stdio" {
		p := start(t, env)
		s.exchange = overLines(p.in, &p.out)
		return p, s, place{}
	}
	p, at := serveHTTP(t, env)
	if transport == "http" {
		s.overHTTP(at)
		return p, s, at
	}
	if err := s.overSSE(bounded(t), at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	return p, s, at
}

// untilStopping waits until a program that was asked to stop takes no more requests. Over stdio that
// shows only in answers that do not come: there, a program that is slow passes for one that stops.
func untilStopping(t *testing.T, s *plain, at place) {
	t.Helper()
	ctx := bounded(t)
	for ctx.Err() == nil {
		if at.mcp == "" {
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			err := s.ping(short)
			cancel()
			if err != nil {
				return
			}
			continue
		}
		u, err := url.Parse(at.mcp)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
		if err != nil {
			return
		}
		conn.Close()
	}
	t.Fatal("the program takes requests after SIGTERM")
}
