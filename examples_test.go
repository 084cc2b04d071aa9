package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/install"
	"heffl-mcp/tools"

	"github.com/google/go-cmp/cmp"
	mcpgo "github.com/mark3labs/mcp-go/client"
	mcpgotypes "github.com/mark3labs/mcp-go/mcp"
)

// glob finds files of examples; none is a failure.
func glob(t *testing.T, patterns ...string) (files []string) {
	t.Helper()
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join("examples", filepath.FromSlash(p)))
		if err != nil || len(found) == 0 {
			t.Fatalf("examples/%s: %d files (%v)", p, len(found), err)
		}
		files = append(files, found...)
	}
	return files
}

// TestExampleDeals holds that each example makes a deal: the request has the arguments as they are
// written, and the deal has every property and digit of them.
func TestExampleDeals(t *testing.T) {
	t.Parallel()
	committedAs := map[string]string{"sourceId": "crmSourceId"}
	for _, file := range glob(t, "deals/*.json", "emails/*.json") {
		t.Run(filepath.ToSlash(file), func(t *testing.T) {
			t.Parallel()
			args := read(t, file)
			sent, deal := createInProcess(t, args)
			var want bytes.Buffer
			if err := json.Compact(&want, args); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.String(), string(sent)); diff != "" {
				t.Errorf("the request (-arguments +sent):\n%s", diff)
			}
			made := exact(t, deal)
			for name, want := range exact(t, args) {
				if other, ok := committedAs[name]; ok {
					name = other
				}
				if diff := cmp.Diff(want, made[name], sameInstants); diff != "" {
					t.Errorf("%s of the deal (-sent +made):\n%s", name, diff)
				}
			}
		})
	}
}

// TestExampleWords holds that a deal in the user's words is the deal of its message, ID for ID.
func TestExampleWords(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "words/*.json") {
		t.Run(filepath.ToSlash(file), func(t *testing.T) {
			t.Parallel()
			sent, _ := createInProcess(t, read(t, file))
			want := exact(t, read(t, "examples/emails", filepath.Base(file)))
			if diff := cmp.Diff(want, exact(t, sent), sameInstants); diff != "" {
				t.Errorf("the request (-of the message +sent):\n%s", diff)
			}
		})
	}
}

// createInProcess calls create_deal through the MCP stack, and returns the request that a sandbox got
// and the deal that it then has.
func createInProcess(t *testing.T, args json.RawMessage) (sent []byte, deal json.RawMessage) {
	t.Helper()
	ctx := bounded(t)
	sb := newSandbox(t, sandbox.Options{})
	m, err := tools.NewServer(tools.Deps{Heffl: &heffl.Client{BaseURL: sandbox.BaseURL, Key: "any", HTTP: sb.HTTPClient()}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := mcpgo.NewInProcessClient(m.MCPServer)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Initialize(ctx, mcpgotypes.InitializeRequest{}); err != nil {
		t.Fatal(err)
	}
	before := len(sb.Deals())
	made, err := mcpGo{Client: c}.call(ctx, "create_deal", args)
	if err != nil {
		t.Fatal(err)
	}
	deals := sb.Deals()
	if made.IsError || len(deals) != before+1 {
		t.Fatalf("create_deal() made %d deals, want 1: %s", len(deals)-before, made.text())
	}
	for _, r := range sb.Requests() {
		if r.Method == http.MethodPost && r.Path == "/deals" {
			return r.Body, deals[before]
		}
	}
	t.Fatal("a deal was made without a request")
	return nil, nil
}

// exact decodes an object, and keeps the digits of its numbers.
func exact(t *testing.T, object json.RawMessage) (m map[string]any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%q: %v", object, err)
	}
	return m
}

// sameInstants lets an instant be written in any way.
var sameInstants = cmp.Transformer("instant", func(s string) any {
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		return at.UTC()
	}
	return []byte(s) // not a string, to which this would be applied again
})

// TestExampleEmails holds that each message can be read, and has its arguments beside it.
func TestExampleEmails(t *testing.T) {
	t.Parallel()
	stems := func(files []string, ext string) (all []string) {
		for _, f := range files {
			all = append(all, strings.TrimSuffix(f, ext))
		}
		return all
	}
	messages := glob(t, "emails/*.eml")
	if diff := cmp.Diff(stems(messages, ".eml"), stems(glob(t, "emails/*.json"), ".json")); diff != "" {
		t.Errorf("messages and arguments do not pair (-.eml +.json):\n%s", diff)
	}
	for _, file := range messages {
		m, err := mail.ReadMessage(bytes.NewReader(read(t, file)))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, name := range []string{"From", "To"} {
			if list, err := m.Header.AddressList(name); err != nil || len(list) != 1 {
				t.Errorf("%s: %s is %v (%v), want one address", file, name, list, err)
			}
		}
		if _, err := m.Header.Date(); err != nil {
			t.Errorf("%s: Date: %v", file, err)
		}
		if subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil || subject == "" {
			t.Errorf("%s: Subject is %q (%v)", file, subject, err)
		}
		if text, err := plainText(m); err != nil || len(text) < 100 || !utf8.ValidString(text) {
			t.Errorf("%s: the text cannot be read (%v): %q", file, err, text)
		}
	}
}

// plainText is the text/plain part of a message, decoded.
func plainText(m *mail.Message) (string, error) {
	media, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	body, encoding := m.Body, m.Header.Get("Content-Transfer-Encoding")
	if strings.HasPrefix(media, "multipart/") {
		part, err := multipart.NewReader(body, params["boundary"]).NextRawPart()
		if err != nil {
			return "", err
		}
		body, encoding = part, part.Header.Get("Content-Transfer-Encoding")
	}
	switch encoding {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	return string(text), err
}

// TestExamplesListed holds the README of the examples to the files that are there.
func TestExamplesListed(t *testing.T) {
	t.Parallel()
	var listed, there []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(read(t, "examples/README.md")), -1) {
		listed = append(listed, row[1])
		if stem, ok := strings.CutSuffix(row[1], ".eml"); ok {
			listed = append(listed, stem+".json") // one row tells of both
		}
	}
	err := fs.WalkDir(os.DirFS("examples"), ".", func(name string, d fs.DirEntry, err error) error {
		if base := path.Base(name); err == nil && !d.IsDir() && base != "README.md" && base[0] != '.' {
			there = append(there, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(listed)
	if diff := cmp.Diff(there, listed); diff != "" {
		t.Errorf("examples/README.md (-files +rows):\n%s", diff)
	}
}

// A clientServer is one server in a client's configuration.
type clientServer struct {
	Type    string            `json:"type"`
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
	URL     string            `json:"url"`
}

// TestExampleClients does with each configuration what its client would do: start the program or go to
// the address, say hello, and ask for the tools.
func TestExampleClients(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, "clients/*") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			var at place
			var server clientServer
			raw := read(t, file)
			if filepath.Ext(file) == ".toml" {
				server = configuredInTOML(t, string(raw))
			} else {
				server = configured(t, raw)
			}
			switch {
			case server.Command != "" && server.URL == "" && (server.Type == "" || server.Type == "stdio"):
				at = commandOf(t, server)
			case server.URL != "" && server.Command == "" && server.Type == "http":
				at = addressOf(t, server.URL)
			default:
				t.Fatalf("neither a command nor an address: %+v", server)
			}
			s, err := dialGoSDK(bounded(t), modern, at)
			if err != nil {
				t.Fatal(err)
			}
			outputSchema(t, s, "create_deal")
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestExampleOfEachClient holds that each client that install knows has a file.
func TestExampleOfEachClient(t *testing.T) {
	t.Parallel()
	for _, client := range install.Clients() {
		glob(t, "clients/"+strings.ReplaceAll(client, "claude-desktop", "claude_desktop")+"[._]*")
	}
}

// configured reads the one server of a configuration, in the form of most clients or in that of VS Code.
func configured(t *testing.T, raw []byte) clientServer {
	t.Helper()
	var c struct {
		MCPServers map[string]clientServer `json:"mcpServers"`
		Servers    map[string]clientServer `json:"servers"`
		Inputs     json.RawMessage         `json:"inputs"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		t.Fatal(err)
	}
	for _, servers := range []map[string]clientServer{c.MCPServers, c.Servers} {
		if server, ok := servers["heffl"]; ok && len(c.MCPServers)+len(c.Servers) == 1 {
			return server
		}
	}
	t.Fatalf("want one server named heffl: %s", raw)
	return clientServer{}
}

// commandOf is what a client starts, but for where the program is; what clients ask the user for, or
// take from their environment, is filled in. Heffl must not be asked for more than what the tools name.
func commandOf(t *testing.T, server clientServer) place {
	t.Helper()
	name := path.Base(strings.ReplaceAll(server.Command, `\`, "/"))
	if strings.TrimSuffix(name, ".exe") != "heffl-mcp" {
		t.Errorf("command %q is not heffl-mcp", server.Command)
	}
	known := []string{"HEFFL_API_KEY"}
	for f := range reflect.TypeFor[settings]().Fields() {
		known = append(known, f.Tag.Get("env"))
	}
	env := upstream(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/pipelines") && !strings.HasSuffix(r.URL.Path, "/custom-fields") {
			t.Errorf("Heffl was asked: %s %s", r.Method, r.URL)
		}
		_, _ = io.WriteString(w, `{"data":[]}`)
	}))
	for name, value := range server.Env {
		if !slices.Contains(known, name) {
			t.Errorf("%s is not among the settings %q", name, known)
		}
		env = append(env, name+"="+regexp.MustCompile(`^\$\{.*\}$`).ReplaceAllLiteralString(value, "filled-in"))
	}
	if len(server.Env) == 0 && !slices.Contains(server.Args, "--sandbox") {
		t.Errorf("there is neither a key nor --sandbox: %+v", server)
	}
	if len(server.Env) == 0 {
		env = env[:0]
	}
	return place{cmd: command(t, env, server.Args...)}
}

// addressOf has the program serve what a client is told to go to, on a free port in place of the default.
func addressOf(t *testing.T, address string) place {
	t.Helper()
	want, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if field, _ := reflect.TypeFor[httpCommand]().FieldByName("Addr"); field.Tag.Get("default") != want.Host {
		t.Errorf("the address is %s, but the program listens on %s", want.Host, field.Tag.Get("default"))
	}
	_, at := serveHTTP(t, nil, "--sandbox")
	got, err := url.Parse(at.mcp)
	if err != nil {
		t.Fatal(err)
	}
	want.Host = got.Host
	at.mcp = want.String()
	return at
}
