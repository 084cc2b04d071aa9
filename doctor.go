package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/install"
)

type doctorCommand struct {
	JSON bool `name:"json" help:"One JSON object with all checks."`

	unfilled error // what was wrong before there were settings; nil: nothing
}

// The states that a check can find.
const (
	good    = "good"
	bad     = "bad"
	unknown = "unknown"
)

// A finding is what a check has found.
type finding struct {
	Check string `json:"check"`
	State string `json:"state"`        // good, bad or unknown
	Found string `json:"found"`        // in words
	Do    string `json:"do,omitempty"` // what helps
}

// A patient is what the checks look at. The later ones build on what the earlier ones have found.
type patient struct {
	*settings
	log      *slog.Logger
	unfilled error         // a setting that a client's configuration left as ${NAME}
	client   *heffl.Client // nil: it cannot be made
	noClient error         // why
	wire     *wire         // what the call met on its way
	called   bool          // the call was answered well
	callErr  error
}

// checks are in the order of a call's way. Each is given a time, and says what it has found and what helps.
var checks = []struct {
	name string
	run  func(context.Context, *patient) (state, found, do string)
}{
	{"version", func(context.Context, *patient) (string, string, string) {
		return good, fmt.Sprintf("heffl-mcp %s, %s, %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH), ""
	}},
	{"key", keyCheck},
	{"address", addressCheck},
	{"proxy", proxyCheck},
	{"call", callCheck},
	{"name", nameCheck},
	{"connection", connectionCheck},
	{"TLS", tlsCheck},
	{"clock", clockCheck},
	{"budget", budgetCheck},
	{"workspace", workspaceCheck},
	{"journal", journalCheck},
}

// checkTime bounds each check.
const checkTime = 15 * time.Second

// Run exits 1 when something is bad.
func (c doctorCommand) Run(ctx context.Context, s *settings, streams streams) error {
	s.LogLevel = "error" // the checks say it
	p := &patient{settings: s, log: s.log(streams.err), unfilled: c.unfilled, wire: new(wire)}
	client, end, err := s.client(ctx, true)
	if p.noClient = err; err == nil {
		defer func() { _ = end() }() // of a sandbox
		p.client = client
		p.wire.watch(client)
	}
	findings := make([]finding, 0, len(checks))
	note := func(check, state, found, do string) {
		f := finding{Check: check, State: state, Found: found, Do: do}
		if p.client != nil {
			f.Found, f.Do = p.client.Redact(found), p.client.Redact(do)
		}
		findings = append(findings, f)
	}
	for _, check := range checks {
		ctx, cancel := context.WithTimeout(ctx, checkTime)
		state, found, do := check.run(ctx, p)
		cancel()
		note(check.name, state, found, do)
	}
	clientChecks(install.Here(), note)
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.print(findings, streams)
}

func (c doctorCommand) print(findings []finding, streams streams) error {
	failed := 0
	w := tabwriter.NewWriter(streams.out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		if f.State == bad {
			failed++
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, f.Check, oneLine(f.Found)) // w keeps all until Flush
		if f.Do != "" {
			_, _ = fmt.Fprintf(w, "\t\t-> %s\n", oneLine(f.Do))
		}
	}
	var err error
	if c.JSON {
		err = printJSON(streams.out, struct {
			Bad    int       `json:"bad"`
			Checks []finding `json:"checks"`
		}{failed, findings})
	} else {
		err = w.Flush()
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d checks found something bad", failed, len(findings))
	}
	return err
}

const inSandbox = "not needed: the sandbox is in this program"

func keyCheck(ctx context.Context, p *patient) (state, found, do string) {
	if p.unfilled != nil {
		return bad, p.unfilled.Error(), ""
	}
	if p.Sandbox {
		return good, "not needed: the sandbox takes any", ""
	}
	key, place, err := p.keyAndPlace(ctx)
	if err != nil {
		found, do, _ := strings.Cut(err.Error(), ": ")
		return bad, found, do
	}
	if err := checkKey(key); err != nil {
		return bad, fmt.Sprintf("of %s: %v", place, err), "give the key as Heffl shows it, under Settings > Developer"
	}
	if p.client != nil {
		p.client.Key = key
	}
	found = fmt.Sprintf("of %s, %d characters", place, len(key))
	if info, err := os.Stat(place); filepath.IsAbs(place) && err == nil && runtime.GOOS != "windows" && info.Mode()&0o077 != 0 { // a file of login
		return bad, found + "; others on this machine may read it", "chmod 600 '" + place + "', and make a new key in Heffl if others did"
	}
	if raw := os.Getenv("HEFFL_API_KEY"); place == "HEFFL_API_KEY" && raw != key {
		found += "; the spaces around it are left out"
	}
	return good, found, ""
}

func addressCheck(_ context.Context, p *patient) (state, found, do string) {
	switch {
	case p.Sandbox:
		return good, "the stand-in in this program", ""
	case p.client == nil:
		return bad, p.noClient.Error(), "give the address of the API with --base-url or HEFFL_BASE_URL, or leave it out"
	}
	return good, p.BaseURL, ""
}

func proxyCheck(_ context.Context, p *patient) (state, found, do string) {
	if p.Sandbox {
		return good, inSandbox, ""
	}
	via, err := p.proxy()
	switch {
	case err != nil || via != nil && (via.Hostname() == "" || strings.HasSuffix(via.Host, ":")):
		return bad, "HTTPS_PROXY or HTTP_PROXY is no address", "set it as http://HOST:PORT, or not at all" // its text may hold a password
	case via == nil:
		return good, "none", ""
	}
	return good, "by way of " + via.Host, ""
}

// proxy is the one on the way to Heffl; nil: none.
func (p *patient) proxy() (*url.URL, error) {
	u, err := url.Parse(p.BaseURL)
	if err != nil {
		u = new(url.URL) // addressCheck says it
	}
	return http.ProxyFromEnvironment(&http.Request{URL: u})
}

// callCheck makes the cheapest call that there is. All that it met on its way is for the checks after it.
func callCheck(ctx context.Context, p *patient) (state, found, do string) {
	if p.client == nil {
		return unknown, "not made: there is no address", ""
	}
	began := time.Now()
	_, err := p.client.ListPipelines(httptrace.WithClientTrace(ctx, p.wire.trace()), heffl.ListQuery{})
	took := time.Since(began).Round(time.Millisecond)
	p.callErr, p.called = err, err == nil
	if err == nil {
		return good, "GET /pipelines took " + took.String(), ""
	}
	return p.diagnose(err)
}

// diagnose words why the call failed.
func (p *patient) diagnose(err error) (state, found, do string) {
	const between = "something between here and Heffl answered: open a browser and sign in to the network, or set HTTPS_PROXY to your proxy"
	if e, ok := errors.AsType[*heffl.Error](err); ok {
		status := fmt.Sprintf("HTTP status %d", e.Status)
		switch {
		case e.Status/100 == 3:
			return bad, status + ": a redirect to another address", between
		case e.Status == http.StatusUnauthorized && p.client.Key == "":
			return unknown, "Heffl can be reached, but there is no key to ask with", ""
		case e.Status == http.StatusUnauthorized:
			return bad, "Heffl refused the API key (" + status + ")", "make a new key in Heffl under Settings > Developer, and give it to heffl-mcp login, or set HEFFL_API_KEY to it"
		case e.Status == http.StatusForbidden && e.Code != "":
			return bad, "the API key's user may not read pipelines (" + status + ")", "give the user who made the key the permission to see deals, in Heffl under Settings"
		case e.Status == http.StatusNotFound:
			return bad, "there is no such API (" + status + ")", "check --base-url or HEFFL_BASE_URL; Heffl's is " + heffl.DefaultBaseURL
		case e.Status == http.StatusTooManyRequests:
			return unknown, "Heffl's rate limit is reached (" + status + ")", "try again in " + cmp.Or(e.Wait, time.Minute).Round(time.Second).String()
		case e.Status >= 500:
			return unknown, "Heffl has trouble (" + status + ")", "try again later"
		case e.Code == "":
			return bad, status + ", not in Heffl's form", between
		}
		return bad, e.Error(), ""
	}
	if e, ok := errors.AsType[*heffl.BodyError](err); ok {
		return bad, fmt.Sprintf("HTTP status %d with what is not Heffl's JSON", e.Status), between
	}
	if _, ok := errors.AsType[*heffl.WaitError](err); ok {
		return unknown, err.Error(), "try again later"
	}
	if p.wire.broken() {
		return bad, "Heffl cannot be reached: see the lines below", ""
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return bad, "no answer came", "try again later; if it stays so, ask who runs the network"
	}
	return bad, "the connection broke: " + cause(err).Error(), "try again; if it stays so, ask who runs the network or the proxy"
}

// cause is the innermost reason, which names no address.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// A wire is what a call met on its way to Heffl.
type wire struct {
	mu      sync.Mutex
	looked  bool
	lookErr error
	dialErr error
	to      string // the address that took the connection
	session *tls.ConnectionState
	tlsErr  error
	date    time.Time // of the answer
	ahead   time.Duration
}

// watch has a client's answers seen.
func (w *wire) watch(c *heffl.Client) {
	var carrier http.Client
	if c.HTTP != nil {
		carrier = *c.HTTP
	}
	carrier.Transport = watched{c.Transport(), w}
	c.HTTP = &carrier
}

type watched struct {
	next http.RoundTripper
	wire *wire
}

func (t watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		t.wire.mu.Lock()
		t.wire.date, t.wire.ahead = date, time.Until(date.Add(time.Second/2)) // Date is cut to seconds
		t.wire.mu.Unlock()
	}
	return resp, nil
}

func (w *wire) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSDone: func(i httptrace.DNSDoneInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.looked, w.lookErr = true, i.Err
		},
		ConnectDone: func(_, addr string, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if err == nil {
				w.to, w.dialErr = addr, nil
			} else if w.to == "" {
				w.dialErr = err
			}
		},
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.session, w.tlsErr = &s, err
		},
	}
}

// broken reports whether the way itself failed.
func (w *wire) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lookErr != nil || w.dialErr != nil || w.tlsErr != nil
}

// peer is what connections are made to: the host of the address, or the proxy.
func (p *patient) peer() (host, what string) {
	if via, err := p.proxy(); err == nil && via != nil {
		return via.Hostname(), "the proxy"
	}
	u, err := url.Parse(p.BaseURL)
	if err != nil {
		return "", "Heffl"
	}
	return u.Hostname(), "Heffl"
}

func nameCheck(_ context.Context, p *patient) (state, found, do string) {
	if p.Sandbox {
		return good, inSandbox, ""
	}
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	host, what := p.peer()
	switch {
	case net.ParseIP(host) != nil:
		return good, host + " is an address, not a name", ""
	case !p.wire.looked:
		return unknown, "not looked up", ""
	case p.wire.lookErr != nil:
		return bad, fmt.Sprintf("the name of %s, %s, has no address (%v)", what, host, cause(p.wire.lookErr)), "check the network, the name and the DNS server; where only a proxy reaches the internet, set HTTPS_PROXY=http://HOST:PORT"
	}
	return good, host + " was found", ""
}

func connectionCheck(_ context.Context, p *patient) (state, found, do string) {
	if p.Sandbox {
		return good, inSandbox, ""
	}
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	_, what := p.peer()
	switch {
	case p.wire.to != "":
		return good, fmt.Sprintf("%s took it, at %s", what, p.wire.to), ""
	case p.wire.dialErr != nil:
		return bad, fmt.Sprintf("%s took none (%v)", what, cause(p.wire.dialErr)), "check --base-url or HEFFL_BASE_URL, HTTPS_PROXY if it is set, and whether a firewall lets this machine out"
	}
	return unknown, "not made", ""
}

func tlsCheck(_ context.Context, p *patient) (state, found, do string) {
	if p.Sandbox {
		return good, inSandbox, ""
	}
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	switch {
	case p.client != nil && strings.HasPrefix(p.BaseURL, "http://"):
		return good, "none, as the address is this machine's own", ""
	case p.wire.session == nil:
		return unknown, "not begun", ""
	case p.wire.tlsErr == nil:
		return good, tls.VersionName(p.wire.session.Version), ""
	}
	err := p.wire.tlsErr
	const trust = "where a proxy looks into TLS, have this machine trust its authority: in the system's store, or on Linux with SSL_CERT_FILE; otherwise do not go on, the key would be given away"
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		by := "nobody"
		if e.Cert != nil {
			by = fmt.Sprintf("%q", e.Cert.Issuer.String())
		}
		return bad, "the certificate is vouched for by " + by + ", whom this machine does not trust", trust
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return bad, "the certificate is of another name", trust
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return bad, "the certificate is not valid at this time", "check this machine's clock: it says " + time.Now().UTC().Format(time.RFC3339)
	}
	return bad, "the handshake failed: " + cause(err).Error(), trust
}

// clockSlack is how far clocks may be apart and nobody cares.
const clockSlack = time.Minute

func clockCheck(_ context.Context, p *patient) (state, found, do string) {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	ahead := p.wire.ahead.Round(time.Second)
	switch {
	case p.wire.date.IsZero():
		return unknown, "no answer has told the time", ""
	case ahead.Abs() <= clockSlack:
		return good, "within a minute of Heffl's", ""
	case ahead > 0:
		found = fmt.Sprintf("this machine's clock is %s behind Heffl's", ahead)
	default:
		found = fmt.Sprintf("this machine's clock is %s ahead of Heffl's", -ahead)
	}
	return bad, found, "set this machine's clock, best from the network; what was sent and got no answer is looked for by its time"
}

func budgetCheck(_ context.Context, p *patient) (state, found, do string) {
	if p.client == nil {
		return unknown, "not told", ""
	}
	left, known := p.client.Budget.Left()
	switch {
	case !known && p.Sandbox:
		return good, "no limit", ""
	case !known:
		return unknown, "no answer has told of a rate limit", ""
	case left == 0:
		return bad, "no requests are left of Heffl's rate limit", "wait a minute, and see who else uses this key"
	}
	return good, fmt.Sprintf("%d requests are left before Heffl's rate limit", left), ""
}

// workspaceCheck reads all that words are looked up in.
func workspaceCheck(ctx context.Context, p *patient) (state, found, do string) {
	if !p.called {
		return unknown, "not read", ""
	}
	var has, no []string
	part := func(name string) func(n string, err error) {
		return func(n string, err error) {
			if err == nil {
				has = append(has, n+" "+name)
				return
			}
			why := "cannot be read"
			if e, ok := errors.AsType[*heffl.Error](err); ok {
				why = fmt.Sprintf("HTTP status %d", e.Status)
			}
			no = append(no, name+" ("+why+")")
		}
	}
	q := heffl.ListQuery{}
	pipelines, err := p.client.ListPipelines(ctx, q)
	part("pipelines")(size(pipelines, err))
	part("users")(size(p.client.ListUsers(ctx, q)))
	part("sources")(size(p.client.ListSources(ctx, q)))
	part("tags")(size(p.client.ListTags(ctx, q)))
	part("products")(size(p.client.ListProducts(ctx, q)))
	part("custom fields of deals")(size(p.client.ListCustomFields(ctx, "deals", "", q)))
	if len(no) > 0 {
		return bad, "not readable: " + strings.Join(no, ", "), "give the user who made the key the permission to see these in Heffl; until then only their IDs are understood, not their names"
	}
	if len(pipelines.Items) == 0 {
		return bad, strings.Join(has, ", "), "a deal needs a pipeline: make one in Heffl, or give the user who made the key the permission to see those that are there"
	}
	return good, strings.Join(has, ", "), ""
}

// size is how many things a list has, in words.
func size[T any](l *heffl.List[T], err error) (string, error) {
	if err != nil {
		return "", err
	}
	if l.Next != "" {
		return fmt.Sprintf("%d or more", len(l.Items)), nil
	}
	return fmt.Sprint(len(l.Items)), nil
}

func journalCheck(ctx context.Context, p *patient) (state, found, do string) {
	const mend = "mend that, or name another place with --state or HEFFL_MCP_STATE; without a journal nothing that makes something is sent"
	j, err := p.journal(p.log)
	switch {
	case err != nil:
		return bad, err.Error(), ""
	case j == nil:
		return unknown, "off: a repeated call can make a second deal", "leave --state and HEFFL_MCP_STATE out to have one"
	}
	defer func() { _ = j.Close() }() // what it kept is gone again
	if err := j.Check(ctx); err != nil {
		return bad, err.Error(), mend
	}
	place, err := p.place()
	switch {
	case err != nil:
		return bad, err.Error(), mend
	case p.Sandbox && p.State == "":
		return good, "in memory, as for the sandbox", ""
	case strings.Contains(place, "://"):
		return good, "writable, in PostgreSQL", "" // the address may hold a password
	case place == ":memory:":
		return good, "in memory: it ends with the program", ""
	}
	return good, "writable: " + place, ""
}

// clientChecks looks for what clients are told to start.
func clientChecks(here install.System, note func(check, state, found, do string)) {
	any := false
	none, help := "none is told to start heffl-mcp", "heffl-mcp install CLIENT tells one"
	for _, client := range install.Clients() {
		found, err := here.Find(client)
		if errors.Is(err, install.ErrNoPlace) {
			none, help = err.Error(), ""
		} else if err != nil {
			any = true
			note(client, unknown, err.Error(), "")
		}
		for _, f := range found {
			any = true
			text := fmt.Sprintf("starts %s as %q", f.Server.Command, f.Server.Name)
			if f.Server.Key != "" {
				text += ", with an API key in its configuration"
			}
			state, do := good, ""
			if why := startable(f.Server.Command); why != "" {
				state, text, do = bad, text+", "+why, "heffl-mcp install "+client+" --name "+f.Server.Name
			}
			note(client, state, text, do)
		}
	}
	if !any {
		note("clients", unknown, none, help)
	}
}

// startable says why a command cannot be started; empty: it can.
func startable(command string) string {
	if !filepath.IsAbs(command) {
		if _, err := exec.LookPath(command); err != nil {
			return "which is not on the PATH"
		}
		return ""
	}
	info, err := os.Stat(command)
	switch {
	case err != nil:
		return "which is not there"
	case info.IsDir() || runtime.GOOS != "windows" && info.Mode()&0o111 == 0:
		return "which is no program"
	}
	return ""
}
