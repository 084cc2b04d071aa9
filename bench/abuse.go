package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// askAndNotRead asks for the list of tools, many times on one connection, and reads none of the answers.
func askAndNotRead(ctx context.Context, url string, header http.Header) (net.Conn, error) {
	host := strings.TrimPrefix(url, "http://")
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	body := request(1, "tools/list", []byte("{}"))
	one := fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: %d\r\n\r\n%s",
		host, header.Get("Authorization"), len(body), body)
	_, err = io.WriteString(conn, strings.Repeat(one, 20))
	return conn, err
}

// endless is a body of 100 MB, made as it is read.
const endless = 100 << 20

// tooLarge posts a body of 100 MB, and wants it refused.
func tooLarge(ctx context.Context, url string, header http.Header) error {
	t := &http.Transport{}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/mcp", io.LimitReader(spaces{}, endless))
	if err != nil {
		return err
	}
	req.Header, req.ContentLength = header, endless
	req.Header.Set("Content-Type", "application/json")
	resp, err := t.RoundTrip(req)
	if err != nil {
		return nil //nolint:nilerr // the server has hung up on it, which is a refusal too
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		return fmt.Errorf("a body of %d bytes was answered %d", endless, resp.StatusCode)
	}
	return nil
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
