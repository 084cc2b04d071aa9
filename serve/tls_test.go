package serve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/internal/mcpspec"
	"heffl-mcp/serve"
)

// certificate makes a pair for localhost, good at any time that tests run in, with a serial number.
func certificate(t testing.TB, serial int64) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	private8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private8}))
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert))
	return cert, key, pool
}

// pair writes a certificate and its key to files.
func pair(t testing.TB, cert, key string) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certFile, cert)
	write(t, keyFile, key)
	return certFile, keyFile
}

// over is w by way of TLS.
func (w *web) over(config *tls.Config, http2 bool) *web {
	plain := w.client.Transport.(*mcpspec.Tap).Transport.(*http.Transport)
	tr := &http.Transport{DialContext: plain.DialContext, TLSClientConfig: config, ForceAttemptHTTP2: http2}
	w.t.Cleanup(tr.CloseIdleConnections)
	return &web{w.t, strings.Replace(w.url, "http:", "https:", 1), tapped(w.t, &http.Client{Transport: tr}), w.headers}
}

// All there is to do, by HTTP/1.1 and HTTP/2 over TLS.
func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t, 1)
	certFile, keyFile := pair(t, cert, key)
	for _, test := range []struct {
		proto string
		http2 bool
	}{{"HTTP/1.1", false}, {"HTTP/2.0", true}} {
		t.Run(test.proto, func(t *testing.T) {
			t.Parallel()
			toy := guardedToy()
			ctx, stop := context.WithCancel(t.Context())
			plain, _, end := start(t, ctx, &serve.HTTP{MCP: toy.MCPServer, Tokens: adaAndBob(t), TLSCert: certFile, TLSKey: keyFile})
			w := plain.over(&tls.Config{RootCAs: pool}, test.http2).as(ada)
			resp := w.do(t.Context(), "GET", "/healthz", nil)
			resp.Body.Close()
			if resp.Proto != test.proto || resp.TLS == nil {
				t.Errorf("GET /healthz came by %s, TLS %v; want %s with it", resp.Proto, resp.TLS != nil, test.proto)
			}
			if _, got := w.post("/mcp", call(`1`, "progress", `{"steps":2}`)); !slices.Equal(got, []string{"notifications/progress 1", "notifications/progress 2", "1: done"}) {
				t.Errorf("messages = %q", got)
			}
			events, message := w.sse()
			subscribed := w.listen(`"l"`)
			w.post(message, who)
			events.want("1: " + adaName)
			toy.DeleteTools("add")
			subscribed.want(`notifications/tools/list_changed for "l"`)
			if status, _ := w.as("nobody").get("GET", "/sse"); status != 401 {
				t.Errorf("GET /sse of a stranger = %d, want 401", status)
			}
			stop()
			if err := receive(t, end); err != nil {
				t.Errorf("Serve = %v, want nil", err)
			}
			subscribed.want(`"l": complete, end of "l"`, "")
		})
	}
}

func TestTLSRefusesOldVersions(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t, 1)
	certFile, keyFile := pair(t, cert, key)
	h := &serve.HTTP{MCP: newToy().MCPServer, TLSCert: certFile, TLSKey: keyFile}
	ln, err := h.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- h.Serve(ctx, ln) }()
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		d := &tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: version, MaxVersion: version}}
		conn, err := d.DialContext(t.Context(), "tcp", ln.Addr().String())
		if (err == nil) != want {
			t.Errorf("%s: %v, want it let in: %v", tls.VersionName(version), err, want)
		}
		if err == nil {
			conn.Close()
		}
	}
	stop()
	if err := receive(t, end); err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestTLSCertificateChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cert, key, _ := certificate(t, 1)
		certFile, keyFile := pair(t, cert, key)
		var log logBuffer
		ctx, stop := context.WithCancel(t.Context())
		_, ln, end := start(t, ctx, &serve.HTTP{MCP: newToy().MCPServer, Log: log.logger(), TLSCert: certFile, TLSKey: keyFile})
		want := func(when string, want int64) {
			t.Helper()
			conn, err := ln.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
			if err := c.HandshakeContext(t.Context()); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			if got := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != want {
				t.Errorf("%s: certificate %d, want %d", when, got, want)
			}
		}
		want("at first", 1)
		cert, key, _ = certificate(t, 2_000_000)
		write(t, certFile, cert)
		time.Sleep(time.Second)
		want("with a new certificate and the old key", 1)
		write(t, keyFile, key+"\n")
		time.Sleep(time.Second)
		want("with the new key too", 2_000_000)
		if got := strings.Count(log.String(), "the TLS certificate cannot be used any more"); got != 1 {
			t.Errorf("the log tells of %d failures, want 1: %s", got, log.String())
		}
		stop()
		if err := <-end; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
}

func TestTLSBadPair(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t, 1)
	_, otherKey, _ := certificate(t, 2)
	// Some put the key itself where the name of its file belongs.
	h := &serve.HTTP{MCP: newToy().MCPServer, TLSCert: "BEGIN-a-key", TLSKey: "BEGIN-a-key"}
	if _, err := h.Listen(t.Context(), "127.0.0.1:0"); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "BEGIN") {
		t.Errorf("without files: Listen = %v, want %v without their names", err, fs.ErrNotExist)
	}
	for name, test := range map[string]struct{ cert, key, want string }{
		"another's key": {cert, otherKey, "the TLS certificate and key cannot be used: tls: private key does not match public key"},
		"exchanged":     {key, cert, "the TLS certificate and key cannot be used: tls: failed to find certificate PEM data"},
		"no PEM":        {"x", key, "the TLS certificate and key cannot be used: tls: failed to find any PEM data in certificate input"},
	} {
		certFile, keyFile := pair(t, test.cert, test.key)
		h := &serve.HTTP{MCP: newToy().MCPServer, TLSCert: certFile, TLSKey: keyFile}
		if ln, err := h.Listen(t.Context(), "127.0.0.1:0"); err == nil {
			ln.Close()
			t.Errorf("%s: Listen = no error, want %q", name, test.want)
		} else if !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: Listen = %q, want %q", name, err, test.want)
		}
		ln, err := serve.Listen(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Serve(t.Context(), ln); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: Serve = %v, want %q", name, err, test.want)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener after Serve has failed: %v, want %v", name, err, net.ErrClosed)
		}
	}
}
