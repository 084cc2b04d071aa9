package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// Listen opens a TCP listener on a loopback address ("127.0.0.1:8080", "localhost:8080", "[::1]:8080"; port
// 0 takes a free one). Any other address is refused: it is for what asks nobody who they are.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	return listen(ctx, addr, func(port string) error {
		return fmt.Errorf("without authentication only a loopback address is allowed; use 127.0.0.1:%s", port)
	})
}

// Listen is the function Listen for this server: any address will do when its requests have to say who they
// are from. It also finds what is wrong with the settings, so that nothing is served with them.
func (h *HTTP) Listen(ctx context.Context, addr string) (net.Listener, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	return listen(ctx, addr, func(port string) error {
		if h.guarded() {
			return nil
		}
		return fmt.Errorf("it is not a loopback address, and nothing asks who may enter: set HEFFL_MCP_TOKEN, or --oidc-issuer, "+
			"or take HEFFL_API_KEY away so that each request brings its own key; or use 127.0.0.1:%s", port)
	})
}

func listen(ctx context.Context, addr string, open func(port string) error) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: give a host and a port, like 127.0.0.1:8080", addr)
	}
	if !isLoopback(strings.ToLower(host)) {
		if err := open(port); err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
		}
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	const wsaeAddrInUse = syscall.Errno(10048) // what Windows says for EADDRINUSE
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaeAddrInUse) {
		return nil, fmt.Errorf("cannot listen on %s: the port is in use; stop the program that has it or choose another port", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	return ln, nil
}

// isLoopback says whether a host without port is this machine only.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func (h *HTTP) check() error {
	if h.Rate < 0 {
		return errors.New("the rate must be a number of requests a minute, or 0 for no limit")
	}
	for _, o := range h.AllowedOrigins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(o, "?#*") {
			return fmt.Errorf("%q is not a web origin such as https://app.example.com", o)
		}
	}
	for _, name := range h.Hosts {
		if u, err := url.Parse("http://" + name); err != nil || u.Host != name || u.Hostname() == "" || strings.Contains(name, "*") {
			return fmt.Errorf("%q is not the name of a host such as crm.example.com", name)
		}
	}
	_, err := h.tls(logger(h.Log))
	return err
}

// tls is how connections are encrypted; nil means not at all. The certificate is read again when its files have
// changed.
func (h *HTTP) tls(log *slog.Logger) (*tls.Config, error) {
	if h.TLSCert == "" && h.TLSKey == "" {
		return nil, nil
	}
	if h.TLSCert == "" || h.TLSKey == "" {
		return nil, errors.New("TLS needs both a certificate and its key")
	}
	pair, err := openFiles("the TLS certificate", func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(h.TLSCert, h.TLSKey)
		return &pair, unnamed(err)
	}, h.TLSCert, h.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("the TLS certificate and key cannot be used: %w", err)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.get(log), nil },
	}, nil
}
