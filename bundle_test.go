package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// A bundleManifest is bundle/manifest.json, member by member in its order.
type bundleManifest struct {
	ManifestVersion  string          `json:"manifest_version"`
	Name             string          `json:"name"`
	DisplayName      string          `json:"display_name"`
	Version          string          `json:"version"`
	Description      string          `json:"description"`
	LongDescription  string          `json:"long_description"`
	Author           json.RawMessage `json:"author"`
	Repository       json.RawMessage `json:"repository"`
	License          string          `json:"license"`
	Keywords         json.RawMessage `json:"keywords"`
	PrivacyPolicies  json.RawMessage `json:"privacy_policies"`
	Compatibility    json.RawMessage `json:"compatibility"`
	Server           bundleServer    `json:"server"`
	UserConfig       json.RawMessage `json:"user_config"`
	Tools            []bundleTool    `json:"tools"`
	PromptsGenerated bool            `json:"prompts_generated"`
}

type bundleServer struct {
	Type       string `json:"type"`
	EntryPoint string `json:"entry_point"`
	MCPConfig  struct {
		bundleCommand
		Env               map[string]string        `json:"env"`
		PlatformOverrides map[string]bundleCommand `json:"platform_overrides"`
	} `json:"mcp_config"`
}

type bundleCommand struct {
	Command string   `json:"command"`
	Args    []string `json:"args"`
}

type bundleTool struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

func readManifest(t *testing.T) (m bundleManifest) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(read(t, "bundle/manifest.json")))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBundleManifest holds that the bundle's manifest tells of what the program offers, and asks its user for
// settings that there are. With -update, it takes the tools and prompts from the program.
func TestBundleManifest(t *testing.T) {
	t.Parallel()
	m := readManifest(t)
	s, err := dialGoSDK(bounded(t), modern, place{cmd: command(t, []string{"HEFFL_SANDBOX=true"})})
	if err != nil {
		t.Fatal(err)
	}
	m.PromptsGenerated = s.(goSDK).InitializeResult().Capabilities.Prompts != nil
	if err := s.close(); err != nil {
		t.Error(err)
	}
	out, err := command(t, nil, "tools").Output() // as they are without a workspace
	if err != nil {
		t.Fatal(err)
	}
	m.Tools = nil
	if err := json.Unmarshal(out, &m.Tools); err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		t.Fatal(err)
	}
	golden(t, "bundle/manifest.json", want.String())

	var fields map[string]struct {
		Default             any
		Required, Sensitive bool
	}
	if err := json.Unmarshal(m.UserConfig, &fields); err != nil {
		t.Fatal(err)
	}
	if key := fields["api_key"]; !key.Required || !key.Sensitive || key.Default != nil {
		t.Errorf("the key is %+v, want what must be given, and is kept as a secret", key)
	}
	for name, value := range m.Server.MCPConfig.Env {
		if !slices.Contains(append(knownSettings(), "HEFFL_API_KEY"), name) {
			t.Errorf("%s is no setting", name)
		}
		field := regexp.MustCompile(`^\$\{user_config\.(\w+)\}$`).FindStringSubmatch(value)
		if field == nil {
			t.Errorf("%s is %q, want a field of user_config", name, value)
			continue
		}
		if _, ok := fields[field[1]]; !ok {
			t.Errorf("%s comes from %s, which the user is not asked for", name, field[1])
		}
		delete(fields, field[1])
	}
	if len(fields) > 0 {
		t.Errorf("the user is asked for %q in vain", slices.Sorted(maps.Keys(fields)))
	}
}

// golden compares a file with what it should be; with -update, it becomes that.
func golden(t *testing.T, file, want string) {
	t.Helper()
	got := string(read(t, file))
	if got != want && *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("%s is out of date; go test . -run '^%s$' -update mends it (-file +want):\n%s", file, t.Name(), diff)
	}
}

// bundled is what a host starts of an unpacked bundle, when its user gave these values. It does what hosts do: a
// field without a value and without a default stays as it stands in the manifest.
func bundled(t *testing.T, given map[string]string) *exec.Cmd {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "server"), 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "server", "launch.sh"), string(read(t, "bundle/launch.sh")))
	program := "heffl-mcp-darwin"
	if runtime.GOOS == "linux" {
		program = "heffl-mcp-linux-" + runtime.GOARCH
	}
	copyTo(t, path, filepath.Join(dir, "server", program)) // as unpacked on macOS: without its mode
	m := readManifest(t)
	var fields map[string]struct{ Default any }
	if err := json.Unmarshal(m.UserConfig, &fields); err != nil {
		t.Fatal(err)
	}
	fill := regexp.MustCompile(`\$\{(user_config\.)?(\w+)\}`)
	resolve := func(text string) string {
		return fill.ReplaceAllStringFunc(text, func(found string) string {
			part := fill.FindStringSubmatch(found)
			value, isGiven := given[part[2]]
			switch standard := fields[part[2]].Default; {
			case found == "${__dirname}":
				return dir
			case isGiven:
				return value
			case standard == false:
				return "false"
			}
			return found
		})
	}
	config := m.Server.MCPConfig
	var args []string
	for _, arg := range config.Args {
		args = append(args, resolve(arg))
	}
	cmd := exec.CommandContext(bounded(t), resolve(config.Command), args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{promptRace, "PATH=/usr/bin:/bin", "HEFFL_MCP_STATE=" + filepath.Join(cmd.Dir, "journal.db")}
	for name, value := range config.Env {
		cmd.Env = append(cmd.Env, name+"="+resolve(value))
	}
	return cmd
}

// copyTo copies a file, for its owner to read and write alone.
func copyTo(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBundle starts an unpacked bundle as a host would, for users who fill in more or less.
func TestBundle(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the launcher is for macOS and Linux")
	}
	client := func(t *testing.T, cmd *exec.Cmd) goSDK {
		s, err := dialGoSDK(bounded(t), modern, place{cmd: cmd})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.close() })
		return s.(goSDK)
	}
	enterprise := json.RawMessage(`{"title":"Rollout","clientId":"Northwind","pipelineId":"Enterprise"}`)
	t.Run("sandbox", func(t *testing.T) {
		t.Parallel()
		s := client(t, bundled(t, map[string]string{"api_key": "any text", "sandbox": "true"}))
		if r, err := s.call(bounded(t), "create_deal", enterprise); err != nil || r.IsError || !strings.Contains(r.text(), "dl_") {
			t.Errorf("create_deal() = %+v, %v; want a deal", r, err)
		}
	})
	t.Run("key", func(t *testing.T) {
		t.Parallel()
		sb := newSandbox(t, sandbox.Options{Key: "test-key"})
		cmd := bundled(t, map[string]string{"api_key": "test-key", "pipelines": "Sales"})
		cmd.Env = append(cmd.Env, upstream(t, sb)[1])
		s := client(t, cmd)
		if r, err := s.call(bounded(t), "create_deal", enterprise); err != nil || !r.IsError || !strings.Contains(r.text(), "Sales") {
			t.Errorf("create_deal() in another pipeline than the user's = %+v, %v; want an error that names theirs", r, err)
		}
		if r, err := s.call(bounded(t), "create_deal", deal(t, "Rollout, bundled")); err != nil || r.IsError || len(dealsTitled(t, sb, "Rollout, bundled")) != 1 {
			t.Errorf("create_deal() = %+v, %v; want a deal", r, err)
		}
	})
	t.Run("read only", func(t *testing.T) {
		t.Parallel()
		s := client(t, bundled(t, map[string]string{"api_key": "any text", "sandbox": "true", "read_only": "true"}))
		list, err := s.ListTools(bounded(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(list.Tools, func(tool *gosdk.Tool) bool { return !tool.Annotations.ReadOnlyHint }); i >= 0 || len(list.Tools) == 0 {
			t.Errorf("of %d tools one changes something", len(list.Tools))
		}
	})
	t.Run("no key", func(t *testing.T) {
		t.Parallel()
		p := launch(t, bundled(t, nil))
		p.exit(t, 2)
		if text := p.err.String(); !strings.Contains(text, "HEFFL_API_KEY holds a ${...}") {
			t.Errorf("standard error is %q, want what is wrong with the key", text)
		}
	})
}

// TestServerJSON holds that what is published in the MCP Registry is valid, also once a release has filled it in, and
// asks for settings that there are.
func TestServerJSON(t *testing.T) {
	t.Parallel()
	schema := compile(t, read(t, "testdata/registry/server.schema.json")) // without its list of example registries
	text := string(read(t, "server.json"))
	released := strings.NewReplacer("OWNER", "somebody", "0.0.0", "1.2.3", strings.Repeat("0", 64), strings.Repeat("a1", 32)).Replace(text)
	for _, text := range []string{text, released} {
		var document any
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Error(err)
		}
	}
	if err := schema.Validate(map[string]any{"name": "no-slash", "description": "d", "version": "1.2.3"}); err == nil {
		t.Error("the schema takes anything")
	}
	var server struct {
		Name     string
		Packages []struct{ EnvironmentVariables []struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(text), &server); err != nil {
		t.Fatal(err)
	}
	for _, p := range server.Packages {
		for _, v := range p.EnvironmentVariables {
			if !slices.Contains(append(knownSettings(), "HEFFL_API_KEY"), v.Name) {
				t.Errorf("%s is no setting", v.Name)
			}
		}
	}
	if label := `LABEL io.modelcontextprotocol.server.name="` + server.Name + `"`; !strings.Contains(string(read(t, "Dockerfile")), strings.ReplaceAll(label, "OWNER", "${OWNER}")) {
		t.Errorf("the Dockerfile has no %s, by which the registry knows the image", label)
	}
}
