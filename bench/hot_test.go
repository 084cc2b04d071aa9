package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"heffl-mcp/heffl"
	"heffl-mcp/serve"
	"heffl-mcp/tools"
)

// answersAtOnce stands in for a connection to Heffl: the answer is there before anybody waits.
type answersAtOnce struct {
	http.RoundTripper
	deal []byte
}

func (a answersAtOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		return a.RoundTripper.RoundTrip(r)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusCreated, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(a.deal)), ContentLength: int64(len(a.deal)), Request: r,
	}, nil
}

// BenchmarkOwn is what a call over stdio costs but for the network and other processes: all that is this program's own.
func BenchmarkOwn(b *testing.B) {
	up, err := newUpstream(b.Context(), 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = up.close() })
	deal := append(append(bytes.Clone(up.before), "dl_1"...), up.after...)
	m, err := tools.NewServer(tools.Deps{
		Heffl: &heffl.Client{BaseURL: up.url, Key: "bench-key", Budget: new(heffl.Budget),
			HTTP: &http.Client{Transport: answersAtOnce{http.DefaultTransport, deal}}},
		Log:                slog.New(slog.NewTextHandler(io.Discard, nil)),
		SkipDuplicateCheck: true,
		Awaited:            serve.Awaited,
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := m.Learn(b.Context()); err != nil {
		b.Fatal(err)
	}
	in, send := io.Pipe()
	answers, out := io.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- (&serve.Stdio{MCP: m.MCPServer, Tools: m}).Serve(context.WithoutCancel(b.Context()), in, out)
		_ = out.Close()
	}()
	lines := bufio.NewReaderSize(answers, 64<<10)
	ask := func(message []byte) []byte {
		if _, err := send.Write(message); err != nil {
			b.Fatal(err)
		}
		answer, err := lines.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		return answer
	}
	ask(request(1, "initialize", []byte(initialize)))
	if _, err := send.Write([]byte(initialized)); err != nil {
		b.Fatal(err)
	}
	call := request(2, "tools/call", createDeal(nextDeal()))
	b.ReportAllocs()
	for b.Loop() {
		if err := made(ask(call)); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	_ = send.Close()
	if err := <-served; err != nil {
		b.Fatal(err)
	}
}
