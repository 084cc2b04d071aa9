package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/serve"
	"heffl-mcp/tools"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-logr/logr"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A tracing makes a span of each tool call, as a part of its client's trace, and one of each request to Heffl
// that the call makes, and sends them to a collector. They hold no argument but for IDs in paths, and no key or token.
type tracing struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// flush bounds how long the end of the program waits for the last spans to be sent.
const flush = 3 * time.Second

// newTracing is nil, which costs nothing, unless the environment asks for traces. What it asks for and cannot have
// is said in the log, and does not keep the program from its work: the variables may have been set for others.
func newTracing(ctx context.Context, log *slog.Logger) *tracing {
	if !tracesAsked() {
		return nil
	}
	c, err := newCollector()
	if err != nil {
		log.WarnContext(ctx, "nothing is traced", "error", err)
		return nil
	}
	otel.SetLogger(logr.FromSlogHandler(log.Handler()))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("tracing fails in part", "error", err) }))
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "heffl-mcp"), attribute.String("service.version", version())),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv())
	if err != nil {
		otel.Handle(err) // it says what it could not read; the rest is there
	}
	exporter := otlptrace.NewUnstarted(c)
	p := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithBatcher(exporter))
	return &tracing{p, p.Tracer("heffl-mcp", trace.WithInstrumentationVersion(version()))}
}

// tracesAsked says whether the environment asks for traces:
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
func tracesAsked() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	if exporter := os.Getenv("OTEL_TRACES_EXPORTER"); exporter != "" {
		return exporter != "none"
	}
	return otlp("ENDPOINT") != ""
}

// otlp is what the environment says of the exporter: for traces, or for all that is exported.
func otlp(name string) string {
	return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_"+name), os.Getenv("OTEL_EXPORTER_OTLP_"+name))
}

// close sends what is left.
func (t *tracing) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flush)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err) // the work is done, whether or not it can be seen
	}
	return nil
}

// Trace context travels in headers, and in _meta under the same names, which is the one way over stdio:
// https://modelcontextprotocol.io/specification/2026-07-28/basic
var propagator propagation.TraceContext

// parent is ctx as a part of the trace that a call says it belongs to. A call knows better than the request
// that has brought it.
func parent(ctx context.Context, req mcp.CallToolRequest) context.Context {
	ctx = propagator.Extract(ctx, propagation.HeaderCarrier(serve.HeaderOf(ctx, req)))
	if req.Params.Meta == nil {
		return ctx
	}
	meta := propagation.MapCarrier{}
	for _, name := range propagator.Fields() {
		if s, ok := req.Params.Meta.AdditionalFields[name].(string); ok {
			meta[name] = s
		}
	}
	return propagator.Extract(ctx, meta)
}

// calling makes a span of a call. Its names are those of
// https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/
func (t *tracing) calling(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		ctx, span := t.tracer.Start(parent(ctx, req), "tools/call "+req.Params.Name, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("mcp.method.name", "tools/call"), attribute.String("gen_ai.tool.name", req.Params.Name)))
		defer span.End()
		result, err := next(ctx, req)
		if err != nil || result.IsError {
			failedWith(span, "tool_error")
		}
		return result, err
	}
}

// called tells the span of a call how it has ended.
func (t *tracing) called(ctx context.Context, r tools.Report) {
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("heffl_mcp.call", r.Call), attribute.String("heffl_mcp.outcome", r.Outcome))
}

func failedWith(span trace.Span, kind string) {
	span.SetStatus(codes.Error, "")
	span.SetAttributes(attribute.String("error.type", kind))
}

// carries has the requests of a client, and of its copies, traced.
func (t *tracing) carries(client *heffl.Client) {
	carry(client, traced{client.Transport(), t.tracer})
}

// traced makes a span of each request to Heffl that belongs to a call.
type traced struct {
	next   http.RoundTripper
	tracer trace.Tracer
}

func (t traced) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsValid() {
		return t.next.RoundTrip(r)
	}
	secret := heffl.Client{Key: r.Header.Get("X-Api-Key")}                                                             // an ID that the model made up may hold it
	ctx, span := t.tracer.Start(r.Context(), r.Method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes( // no query: it may hold people's data
		attribute.String("http.request.method", r.Method), attribute.String("server.address", r.URL.Hostname()), attribute.String("url.path", secret.Redact(r.URL.Path))))
	r = r.Clone(ctx)
	propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		kind := "_OTHER"
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			kind = "timeout"
		case errors.Is(err, context.Canceled):
			kind = "canceled"
		}
		failedWith(span, kind)
		span.End()
		return nil, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
	if resp.StatusCode >= 400 {
		failedWith(span, strconv.Itoa(resp.StatusCode))
	}
	resp.Body = spanned{resp.Body, span}
	return resp, nil
}

// spanned is the body of an answer, with which its span ends.
type spanned struct {
	io.ReadCloser
	span trace.Span
}

func (s spanned) Close() error {
	s.span.End()
	return s.ReadCloser.Close()
}

// A collector takes spans by OTLP over HTTP, in protobuf. OpenTelemetry's own client for that links gRPC.
type collector struct {
	url     string // may hold a password
	headers http.Header
	timeout time.Duration
	http    *http.Client
}

// newCollector is the one that the environment names. An error tells of the variable, and not what is in it:
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
func newCollector() (*collector, error) {
	if e := cmp.Or(os.Getenv("OTEL_TRACES_EXPORTER"), "otlp"); e != "otlp" {
		return nil, errors.New("OTEL_TRACES_EXPORTER must be otlp or none")
	}
	if p := cmp.Or(otlp("PROTOCOL"), "http/protobuf"); p != "http/protobuf" {
		return nil, errors.New("OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf")
	}
	at := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if at == "" {
		at = strings.TrimSuffix(cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "http://localhost:4318"), "/") + "/v1/traces"
	}
	if u, err := url.Parse(at); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT must be a URL such as http://localhost:4318")
	}
	ms, err := strconv.Atoi(cmp.Or(otlp("TIMEOUT"), "10000"))
	if err != nil || ms <= 0 {
		return nil, errors.New("OTEL_EXPORTER_OTLP_TIMEOUT must be a number of milliseconds, such as 10000")
	}
	c := &collector{url: at, headers: http.Header{}, timeout: time.Duration(ms) * time.Millisecond, http: &http.Client{
		// A redirect would take the headers along.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for pair := range strings.SplitSeq(otlp("HEADERS"), ",") {
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if strings.TrimSpace(pair) != "" && (!ok || err != nil) {
			return nil, errors.New("OTEL_EXPORTER_OTLP_HEADERS must be names and values such as api-key=secret, with commas between them")
		}
		if ok {
			c.headers.Set(strings.TrimSpace(name), value)
		}
	}
	c.headers.Set("Content-Type", "application/x-protobuf")
	c.headers.Set("User-Agent", "heffl-mcp/"+version())
	return c, nil
}

func (c *collector) Start(context.Context) error { return nil }

func (c *collector) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends spans, and again where that may help. Errors name no address: it may hold a password.
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans}) // for a collector the same as its own request
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	_, err = backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, c.post(ctx, body) }, backoff.WithMaxTries(3), backoff.WithMaxElapsedTime(0))
	if err != nil {
		return fmt.Errorf("spans are lost: %w", err)
	}
	return nil
}

func (c *collector) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(errors.New("OTEL_EXPORTER_OTLP_ENDPOINT is no URL"))
	}
	req.Header = c.headers.Clone()
	resp, err := c.http.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("the collector cannot be reached: %w", e.Err)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection serves the next
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fmt.Errorf("the collector answers %d", resp.StatusCode)
	}
	if resp.StatusCode/100 != 2 {
		return backoff.Permanent(fmt.Errorf("the collector answers %d", resp.StatusCode))
	}
	return nil
}
