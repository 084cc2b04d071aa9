package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// blocks are the fenced blocks of a language in a document.
func blocks(t *testing.T, file, language string) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(read(t, file)), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s has no block of %s", file, language)
	}
	return all
}

// TestOperationsCommands runs the commands of docs/operations.md and docs/clients.md, but for the addresses and Heffl's: each
// server must come to serve, and each request to it be answered well: a create_deal makes a deal, or is told of the one that its block has made.
func TestOperationsCommands(t *testing.T) {
	t.Parallel()
	for _, need := range []string{"sh", "openssl", "curl"} {
		if _, err := exec.LookPath(need); err != nil || runtime.GOOS == "windows" {
			t.Skipf("the commands need %s", need)
		}
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	heffl := upstream(t, newSandbox(t, sandbox.Options{}))[1]
	for _, block := range append(blocks(t, "docs/operations.md", "sh"), blocks(t, "docs/clients.md", "sh")...) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			certify(t, dir)
			traces := collectTraces(t)
			shell := func(line string) *exec.Cmd {
				cmd := exec.CommandContext(bounded(t), "sh", "-c", line)
				cmd.Dir = dir
				cmd.Env = []string{"PATH=" + filepath.Dir(path) + ":" + os.Getenv("PATH"), "HOME=" + dir, promptRace, noKeyring, "HEFFL_MCP_LOG_FORMAT=json", "OTEL_BSP_SCHEDULE_DELAY=1", heffl}
				return cmd
			}
			address := regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:8\d+`)
			var at place
			var outcomes []string // of calls
			for line := range strings.Lines(strings.ReplaceAll(block, "http://127.0.0.1:4318", traces.url)) {
				if strings.Contains(line, "heffl-mcp http ") {
					at = launch(t, shell("exec env "+address.ReplaceAllString(line, "127.0.0.1:0"))).place(t)
					continue
				}
				if strings.HasPrefix(line, "curl ") {
					line = address.ReplaceAllString(line, strings.Split(at.mcp, "/")[2])
				}
				out, err := shell(line).CombinedOutput()
				if err != nil {
					t.Errorf("%s%s: %v", line, out, err)
				}
				if strings.Contains(line, `"create_deal"`) {
					outcomes = append(outcomes, regexp.MustCompile(`"heffl-mcp/outcome":"\w+"`).FindString(string(out)))
				}
			}
			for i, outcome := range outcomes { // of the same message, the second call gets the deal of the first
				if want := map[bool]string{true: "created", false: "replayed"}[i == 0]; outcome != `"heffl-mcp/outcome":"`+want+`"` {
					t.Errorf("call %d of %s ended with %s, want %s", i, block, outcome, want)
				}
			}
			if at.mcp == "" {
				t.Errorf("no server is started by %s", block)
			}
			if strings.Contains(block, "OTEL_") {
				traces.named(bounded(t), t, "GET")
			}
		})
	}
}

// TestReadmeCommands types the commands of the README's installation, in order, at a terminal, and answers what they ask. Each must end well,
// and at the end the client's configuration is gone again.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a terminal is needed, and a place where Claude Desktop keeps its configuration")
	}
	script := "heffl HEFFL hk_kept_key\nenv HEFFL_BASE_URL=$HEFFL\n"
	const config = ".config/Claude/claude_desktop_config.json"
	for _, block := range blocks(t, "README.md", "sh") {
		for line := range strings.Lines(block) {
			answer := "yes"
			if strings.Contains(line, " login") {
				answer = "key"
			}
			script += "ttyin -stdin " + answer + "\nexec " + line
			switch {
			case strings.Contains(line, " uninstall "):
				script += "! exists " + config + "\n"
			case strings.Contains(line, " install "):
				script += "stdout '^Changed '\nexists " + config + "\n"
			case strings.Contains(line, " doctor"):
				script += "! stdout '^bad'\nstdout '^good +claude-desktop '\n"
			}
		}
	}
	if strings.Count(script, "exec heffl-mcp ") < 5 {
		t.Fatalf("these are not all commands:\n%s", script)
	}
	p := scripts(t)
	p.Dir = t.TempDir()
	put(t, filepath.Join(p.Dir, "readme.txtar"), script+"-- yes --\ny\n-- key --\nhk_kept_key\n")
	testscript.Run(t, p)
}

// certify puts a certificate for this machine and its key into a directory.
func certify(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	put(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}

// TestOperationsMetrics holds the table of metrics to what the program shows.
func TestOperationsMetrics(t *testing.T) {
	t.Parallel()
	sb := sandbox.New(sandbox.Options{RateLimit: 1000})
	t.Cleanup(func() { sb.Close() })
	_, at := serveHTTP(t, upstream(t, sb))
	called(t, connected(at), "create_deal", string(deal(t, "Rollout")))
	_, text := at.get(t, "/metrics")
	shown, labels := map[string]string{}, map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (heffl_mcp_\w+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		shown[m[1]] = m[2]
		sample := regexp.MustCompile(`(?m)^` + m[1] + `(?:_count)?(?:\{(.*)\})? `).FindStringSubmatch(text)
		if sample == nil {
			t.Fatalf("no sample of %s in\n%s", m[1], text)
		}
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(sample[1], -1) {
			labels[m[1]] = append(labels[m[1]], label[1])
		}
	}
	told, toldLabels := map[string]string{}, map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(heffl_mcp_\\w+)` \\| (\\w+) \\| (.*?) ?\\|").FindAllStringSubmatch(string(read(t, "docs/operations.md")), -1) {
		told[m[1]] = m[2]
		for _, label := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m[3], -1) {
			toldLabels[m[1]] = append(toldLabels[m[1]], label[1])
		}
		slices.Sort(toldLabels[m[1]])
	}
	if diff := cmp.Diff(told, shown); diff != "" {
		t.Errorf("docs/operations.md (-table +metrics):\n%s", diff)
	}
	if diff := cmp.Diff(toldLabels, labels); diff != "" {
		t.Errorf("docs/operations.md: labels (-table +metrics):\n%s", diff)
	}
}

// TestOperationsAudit holds the example of an audit line to what is written.
func TestOperationsAudit(t *testing.T) {
	t.Parallel()
	for _, block := range blocks(t, "docs/operations.md", "json") {
		example := put(t, filepath.Join(t.TempDir(), "audit.jsonl"), block)
		for _, line := range auditLines(t, example) {
			again, err := json.Marshal(line)
			if err != nil || string(again)+"\n" != block {
				t.Errorf("the example is %s, but a line is %s, %v", block, again, err)
			}
		}
	}
}

// TestSettingsAreTold holds that documents tell of settings that there are. The README has tables of all, made from the program.
func TestSettingsAreTold(t *testing.T) {
	t.Parallel()
	variables := map[string]bool{"HEFFL_API_KEY": true, "HEFFL_MCP_TOKEN": true, "HEFFL_MCP_TEST_POSTGRES": true} // the last is for tests and the bench
	flags := map[string]bool{}
	program := new(commands).line()
	for _, command := range append(program.Commands, program) {
		for _, flag := range command.Flags {
			flags["--"+flag.Name] = true
			variables[flag.Env] = true
		}
	}
	var text string
	for _, file := range markdown(t) {
		if file != "CHANGELOG.md" { // it tells of what was, too
			text += string(read(t, file))
		}
	}
	text = regexp.MustCompile(`(?m)^.*(npx|claude mcp|codex mcp) .*$`).ReplaceAllString(text, "") // other programs' flags
	for _, name := range regexp.MustCompile(`HEFFL_\w+`).FindAllString(text, -1) {
		if !variables[name] {
			t.Errorf("the documents tell of %s, which there is not", name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)(?:^|[ `])(--[a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
		if !flags[m[1]] && !slices.Contains([]string{"--method", "--prompt-name", "--prompt-args", "--uri"}, m[1]) { // of the Inspector
			t.Errorf("the documents tell of %s, which there is not", m[1])
		}
	}
}
