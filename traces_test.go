package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A traceStore is a collector of traces, which keeps what it gets.
type traceStore struct {
	url string

	mu       sync.Mutex
	raw      strings.Builder
	spans    []*tracepb.Span
	resource map[string]string // of what has sent last
	headers  []http.Header
	more     chan struct{} // closed when more comes
}

func collectTraces(t testing.TB) *traceStore {
	t.Helper()
	c := &traceStore{more: make(chan struct{})}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("the collector got %s %s with %v: %v", r.Method, r.URL, r.Header, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(body)
		c.headers = append(c.headers, r.Header)
		for _, from := range data.ResourceSpans {
			c.resource = map[string]string{}
			for _, a := range from.Resource.Attributes {
				c.resource[a.Key] = a.Value.GetStringValue()
			}
			for _, by := range from.ScopeSpans {
				c.spans = append(c.spans, by.Spans...)
			}
		}
		close(c.more)
		c.more = make(chan struct{})
	}))
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

// env is the environment of a program that sends its spans here, at once.
func (c *traceStore) env() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.url, "OTEL_BSP_SCHEDULE_DELAY=1"}
}

// named waits for a span with a name.
func (c *traceStore) named(ctx context.Context, t testing.TB, name string) {
	t.Helper()
	for {
		c.mu.Lock()
		more := c.more
		there := slices.ContainsFunc(c.spans, func(s *tracepb.Span) bool { return s.Name == name })
		c.mu.Unlock()
		if there {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			t.Fatalf("no span is called %q", name)
		}
	}
}

// text is all that came.
func (c *traceStore) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

// shown are the spans in words, each after the one it is a part of, and with what is in it; no times, and no IDs but
// those of a client.
func (c *traceStore) shown(root string) (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var under func(parent, indent string)
	under = func(parent, indent string) {
		for _, s := range c.spans {
			if hex.EncodeToString(s.ParentSpanId) != parent {
				continue
			}
			var about []string
			for _, a := range s.Attributes {
				value := a.Value.GetStringValue()
				if a.Key == "heffl_mcp.call" && value != "" {
					value = "CALL"
				}
				if n := a.Value.GetIntValue(); n != 0 {
					value = fmt.Sprint(n)
				}
				about = append(about, a.Key+"="+value)
			}
			slices.Sort(about)
			line := fmt.Sprintf("%s%s %s %s of %x", indent, strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_")), s.Name, strings.Join(about, " "), s.TraceId)
			if s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
				line += " failed"
			}
			lines = append(lines, line+s.Status.GetMessage())
			under(hex.EncodeToString(s.SpanId), indent+"  ")
		}
	}
	under(root, "")
	return lines
}

// What a client says that its call is a part of.
const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
	within  = "00-" + traceID + "-" + spanID + "-01"
)

// traceable is the params of a call with a title that no trace may tell.
func traceable(t testing.TB, tool, args, meta string) string {
	t.Helper()
	p := fmt.Sprintf(`{"name":%q,"arguments":%s,"_meta":%s}`, tool, args, meta)
	if !json.Valid([]byte(p)) {
		t.Fatalf("%s is no JSON", p)
	}
	return p
}

// TestTraces holds what a collector gets of a call over each transport: a span that is a part of the client's trace, one
// of each request to Heffl, which tells Heffl so, and nothing of what was said.
func TestTraces(t *testing.T) {
	t.Parallel()
	const args = `{"title":"Quokka rollout","clientId":"clt_northwind","pipelineId":"dpl_sales"}`
	inMeta := `{"traceparent":"` + within + `","tracestate":"vendor=1","baggage":"who=quokka"}`
	for _, way := range []struct{ name, transport, header, meta string }{
		{"stdio", "stdio", "", inMeta},
		{"header", "http", within, `{}`},
		{"_meta", "http", "", inMeta},
		{"_meta before header", "http", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", inMeta},
		{"SSE", "sse", "", inMeta},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			store := collectTraces(t)
			sb := newSandbox(t, sandbox.Options{})
			var mu sync.Mutex
			var told []string // traceparent, tracestate and baggage of requests of deals
			env := append(upstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/deals") {
					mu.Lock()
					told = append(told, strings.Join([]string{r.Method, r.Header.Get("Traceparent"), r.Header.Get("Tracestate"), r.Header.Get("Baggage")}, " "))
					mu.Unlock()
				}
				sb.ServeHTTP(w, r)
			})), "OTEL_EXPORTER_OTLP_ENDPOINT="+store.url, "OTEL_EXPORTER_OTLP_HEADERS=api-key=se%20cret,X-Scope=a",
				"OTEL_SERVICE_NAME=crm", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")
			var p *program
			s := new(plain)
			if way.transport == "stdio" {
				p, s = startStdio(t, env)
			} else {
				var at place
				p, at = serveHTTP(t, env)
				at = at.with("traceparent", way.header)
				if way.transport == "http" {
					s.overHTTP(at)
				} else if err := s.overSSE(bounded(t), at); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(at.http.CloseIdleConnections)
			}
			for _, args := range []string{args, args, `{"title":1}`} {
				if _, err := s.request(bounded(t), "tools/call", json.RawMessage(traceable(t, "create_deal", args, way.meta))); err != nil {
					t.Fatal(err)
				}
			}
			if way.transport == "stdio" {
				if err := p.in.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				if err := s.close(); err != nil {
					t.Error(err)
				}
				p.terminate(t)
			}
			p.exit(t, 0)

			const call, heffl = "gen_ai.tool.name=create_deal heffl_mcp.call=CALL heffl_mcp.outcome=%s mcp.method.name=tools/call of " + traceID, "http.request.method=%s http.response.status_code=200 server.address=127.0.0.1 url.path=/api/v2/%s of " + traceID
			got := store.shown(spanID)
			slices.Sort(got) // requests of one call may be made at once
			want := []string{
				"server tools/call create_deal " + fmt.Sprintf(call, "created"),
				"server tools/call create_deal " + fmt.Sprintf(call, "replayed"),
				"server tools/call create_deal error.type=tool_error " + fmt.Sprintf(call, "invalid") + " failed",
				"  client POST " + fmt.Sprintf(heffl, "POST", "deals"),
			}
			for _, line := range want {
				if !slices.Contains(got, line) {
					t.Errorf("no span %q", line)
				}
			}
			for _, line := range got {
				if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "  client GET http.request.method=GET") && !slices.Contains(want, line) {
					t.Errorf("span %q, which is not foreseen", line)
				}
			}
			if n := len(store.spans); n != len(got) {
				t.Errorf("%d spans, but %d of the client's trace", n, len(got))
			}
			if strings.Contains(store.text(), "uokka") || strings.Contains(store.text(), "orthwind") {
				t.Errorf("the traces tell of arguments: %q", store.text())
			}
			if diff := cmp.Diff(map[string]string{"service.name": "crm", "deployment.environment.name": "test"}, store.resource, ignoring("service.version", "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version")); diff != "" {
				t.Errorf("who sends (-want +got):\n%s", diff)
			}
			for _, h := range store.headers {
				if h.Get("Api-Key") != "se cret" || h.Get("X-Scope") != "a" {
					t.Errorf("the collector is sent the headers %v", h)
				}
			}
			state := ""
			if way.meta == inMeta {
				state = "vendor=1"
			}
			posted := false
			for _, line := range told {
				f := strings.SplitN(line, " ", 2)
				posted = posted || f[0] == "POST"
				if !strings.HasPrefix(f[1], "00-"+traceID+"-") || !strings.HasSuffix(f[1], "-01 "+state+" ") || strings.Contains(f[1], spanID) {
					t.Errorf("Heffl is told %q, want a part of the trace %s with the state %q and nothing else", line, traceID, state)
				}
			}
			if !posted {
				t.Error("Heffl was not asked: nothing was tested")
			}
			scan(t, "se cret", "the log", p.err.String())
		})
	}
}

// TestTracesKeepKey holds that a key that came in as an ID, and so is in the path of a request, is in no trace.
func TestTracesKeepKey(t *testing.T) {
	t.Parallel()
	const key = "dl_4f9c2ab7d81e6035"
	store := collectTraces(t)
	sb := newSandbox(t, sandbox.Options{})
	p, s := startStdio(t, append(store.env(), "HEFFL_API_KEY="+key, upstream(t, sb)[1]))
	called(t, s, "find_deals", `{"id":"`+key+`"}`)
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	p.exit(t, 0)
	if !slices.ContainsFunc(sb.Requests(), func(r sandbox.Request) bool { return strings.HasSuffix(r.Path, "/deals/"+key) }) {
		t.Errorf("Heffl was asked %v: nothing was tested", sb.Requests())
	}
	store.named(bounded(t), t, "GET")
	scan(t, key, "the traces", store.text())
}

// ignoring leaves entries of a map out of a comparison.
func ignoring(names ...string) cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool {
		i, ok := p.Last().(cmp.MapIndex)
		return ok && slices.Contains(names, i.Key().String())
	}, cmp.Ignore())
}

// TestTracesFail holds that a collector that does not work, or settings that name none, keep the program from
// nothing, and that the log says so without what may be secret in them.
func TestTracesFail(t *testing.T) {
	t.Parallel()
	const secret = "passw0rd-of-collector"
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, secret, http.StatusForbidden)
	}))
	t.Cleanup(refuses.Close)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect is followed, with the headers %v", r.Header)
	}))
	t.Cleanup(elsewhere.Close)
	redirects := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirects.Close)
	gone := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-gone:
		}
	}))
	t.Cleanup(func() { close(gone); hangs.Close() })
	user := func(at string) string { return strings.Replace(at, "://", "://user:"+secret+"@", 1) }
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"away":          {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + user(nobody)}, "the collector cannot be reached"},
		"refuses":       {[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + user(refuses.URL)}, "the collector answers 403"},
		"redirects":     {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + user(redirects.URL)}, "the collector answers 307"},
		"hangs":         {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + user(hangs.URL)}, "context deadline exceeded"},
		"has no URL":    {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + secret}, "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL"},
		"speaks gRPC":   {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + user(nobody), "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"},
		"is another":    {[]string{"OTEL_TRACES_EXPORTER=zipkin"}, "OTEL_TRACES_EXPORTER must be otlp or none"},
		"bad headers":   {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + nobody, "OTEL_EXPORTER_OTLP_HEADERS=" + secret}, "OTEL_EXPORTER_OTLP_HEADERS must be"},
		"bad timeout":   {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + nobody, "OTEL_EXPORTER_OTLP_TIMEOUT=10s"}, "OTEL_EXPORTER_OTLP_TIMEOUT must be"},
		"bad resources": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + user(nobody), "OTEL_RESOURCE_ATTRIBUTES=x"}, "the collector cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, s := startStdio(t, append(c.env, "HEFFL_SANDBOX=true", "HEFFL_MCP_LOG_LEVEL=debug"))
			if r := called(t, s, "create_deal", string(deal(t, "Rollout"))); r.IsError {
				t.Errorf("create_deal = %s, want a deal", r.text())
			}
			if err := p.in.Close(); err != nil {
				t.Fatal(err)
			}
			p.exit(t, 0)
			if log := p.err.String(); !strings.Contains(log, c.want) {
				t.Errorf("the log does not say %q:\n%s", c.want, log)
			}
			scan(t, secret, "the log", p.err.String())
		})
	}
}

// TestNoTraces holds that nothing is traced, and Heffl told of nothing, unless that was asked for.
func TestNoTraces(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"nothing is asked": {"OTEL_SERVICE_NAME=crm"},
		"disabled":         {"OTEL_SDK_DISABLED=True", "OTEL_EXPORTER_OTLP_ENDPOINT=COLLECTOR", "OTEL_TRACES_EXPORTER=otlp"},
		"none":             {"OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_ENDPOINT=COLLECTOR"},
		"empty":            {"OTEL_EXPORTER_OTLP_ENDPOINT="},
		"not sampled":      {"OTEL_EXPORTER_OTLP_ENDPOINT=COLLECTOR", "OTEL_TRACES_SAMPLER=always_off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := collectTraces(t)
			sb := newSandbox(t, sandbox.Options{})
			for i := range env {
				env[i] = strings.Replace(env[i], "COLLECTOR", store.url, 1)
			}
			p, s := startStdio(t, slices.Concat(env, upstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Traceparent"); got != "" && !strings.HasSuffix(got, "-00") {
					t.Errorf("Heffl is told of the trace %s", got)
				}
				sb.ServeHTTP(w, r)
			}))))
			if r := called(t, s, "create_deal", string(deal(t, "Rollout"))); r.IsError {
				t.Errorf("create_deal = %s, want a deal", r.text())
			}
			if err := p.in.Close(); err != nil {
				t.Fatal(err)
			}
			p.exit(t, 0)
			if store.text() != "" {
				t.Errorf("the collector got %q, want nothing", store.text())
			}
			if strings.Contains(p.err.String(), "level=WARN") {
				t.Errorf("the log warns: %s", p.err.String())
			}
		})
	}
}
