// Bare is what heffl-mcp is measured against: the least that creates a deal with mcp-go. It validates nothing,
// remembers nothing, and hands on what Heffl answers.
//
//	BARE_UPSTREAM=http://127.0.0.1:8099/api/v2 bare          on standard input and output
//	BARE_UPSTREAM=http://127.0.0.1:8099/api/v2 bare http     at /mcp and /sse of a free port, which it names on standard error
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	upstream := os.Getenv("BARE_UPSTREAM") + "/deals"
	s := server.NewMCPServer("bare", "1", server.WithToolCapabilities(true))
	tool := mcp.NewToolWithRawSchema("create_deal", "Open one deal in Heffl.", json.RawMessage(`{"type":"object"}`))
	s.AddTool(tool, func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		answer, err := post(ctx, upstream, req.Params.RawArguments)
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		return mcp.NewToolResultStructured(json.RawMessage(answer), string(answer)), nil
	})
	if err := serve(s, len(os.Args) > 1 && os.Args[1] == "http"); err != nil {
		log.Fatal(err)
	}
}

func serve(s *server.MCPServer, overHTTP bool) error {
	if !overHTTP {
		return server.ServeStdio(s)
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	url := "http://" + ln.Addr().String()
	sse := server.NewSSEServer(s, server.WithBaseURL(url))
	mux := http.NewServeMux()
	mux.Handle("/mcp", server.NewStreamableHTTPServer(s))
	mux.Handle("/sse", sse)
	mux.Handle("/message", sse)
	log.Printf("url=%s/mcp", url)
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}).Serve(ln)
}

// client keeps as many connections as there are calls at once, as heffl-mcp's does.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

func post(ctx context.Context, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", "key")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("answered %d", resp.StatusCode)
	}
	return answer, err
}
