package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v4"
)

// documents decodes each document of a file of examples as the next of the types, and wants no others. What the
// types do not know is a slip of the pen until it is added here.
func documents(t *testing.T, file string, types ...any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(read(t, "examples", file)))
	for i, as := range append(types, nil) {
		var document any
		err := d.Decode(&document)
		if as == nil && errors.Is(err, io.EOF) {
			return
		}
		if as == nil || err != nil {
			t.Fatalf("examples/%s: document %d: %v, want %d documents", file, i+1, err, len(types))
		}
		raw, err := json.Marshal(document)
		if err != nil {
			t.Fatalf("examples/%s: document %d is not what JSON could hold: %v", file, i+1, err)
		}
		strict := json.NewDecoder(bytes.NewReader(raw))
		strict.DisallowUnknownFields()
		if err := strict.Decode(as); err != nil {
			t.Fatalf("examples/%s: document %d: %v", file, i+1, err)
		}
	}
}

// A deployment is how a file of examples has the program run, and what it puts beside it.
type deployment struct {
	env   map[string]string
	args  []string
	files map[string]string // by the path under which the program finds them
}

// A deployed program runs as the file says, but with files in a folder of the test, a free port, a fake Heffl and a
// journal of its own.
type deployed struct {
	place
	env []string
	sb  *sandbox.Sandbox
}

const deployedKey = "hk_of_the_key_file"

func (d deployment) run(t *testing.T) deployed {
	t.Helper()
	root := t.TempDir()
	for name, text := range d.files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, file, text)
	}
	sb := newSandbox(t, sandbox.Options{Key: deployedKey})
	env := upstream(t, sb)[1:] // without a key
	known := knownSettings()
	for name, value := range d.env {
		if !slices.Contains(known, name) {
			t.Errorf("%s is not among the settings %q", name, known)
		}
		switch {
		case name == "HEFFL_MCP_STATE":
			value = journals["SQLite"](t)
		case strings.HasSuffix(name, "_FILE"):
			if _, ok := d.files[value]; !ok {
				t.Fatalf("%s is %s, but there are only %q", name, value, slices.Sorted(maps.Keys(d.files)))
			}
			value = filepath.Join(root, filepath.FromSlash(value))
		}
		env = append(env, name+"="+value)
	}
	host, _ := d.address(t)
	args := slices.Clone(d.args[1:])
	args[slices.Index(args, "--addr")+1] = net.JoinHostPort(host, "0")
	p, at := serveHTTP(t, env, args...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("standard error:\n%s", p.err.String())
		}
	})
	u, err := url.Parse(at.mcp)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = net.JoinHostPort("127.0.0.1", u.Port())
	at.mcp = u.String()
	return deployed{at, env, sb}
}

// address is where the program listens.
func (d deployment) address(t *testing.T) (host, port string) {
	t.Helper()
	i := slices.Index(d.args, "--addr")
	if d.args[0] != "http" || i < 0 || i+1 == len(d.args) {
		t.Fatalf("the arguments are %q, want http and an --addr", d.args)
	}
	host, port, err := net.SplitHostPort(d.args[i+1])
	if err != nil || net.ParseIP(host) == nil || net.ParseIP(host).IsLoopback() {
		t.Fatalf("--addr %s (%v), want an address that others reach", d.args[i+1], err)
	}
	return host, port
}

func knownSettings() (known []string) {
	for _, command := range []reflect.Type{reflect.TypeFor[settings](), reflect.TypeFor[httpCommand]()} {
		for f := range command.Fields() {
			known = append(known, f.Tag.Get("env"))
		}
	}
	return known
}

// get asks a deployed program for a path with a header, which may be empty.
func (d deployed) get(t *testing.T, path, authorization string) int {
	t.Helper()
	c := &http.Client{Transport: sending{d.http.Transport, []string{"Authorization", authorization}}}
	req, err := http.NewRequestWithContext(bounded(t), http.MethodGet, strings.TrimSuffix(d.mcp, "/mcp")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// makesADeal holds that a deployed program lets in who has the token, and nobody without, and that its key is
// the one of the file.
func (d deployed) makesADeal(t *testing.T, token string) {
	t.Helper()
	ours := d.place
	ours.http = &http.Client{Transport: sending{d.http.Transport, []string{"Authorization", "Bearer " + token}}}
	s := new(plain)
	s.overHTTP(ours)
	const title = "Northwind rollout, deployed"
	if r, err := s.call(bounded(t), "create_deal", deal(t, title)); err != nil || r.IsError || len(dealsTitled(t, d.sb, title)) != 1 {
		t.Errorf("create_deal() = %+v, %v; want a deal", r, err)
	}
	s.overHTTP(d.place)
	if err := s.ping(bounded(t)); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("ping without a token = %v, want 401", err)
	}
}

// passwordOf is the password with which a journal's URL reaches its server; its passfile has this text.
func passwordOf(t *testing.T, state string, files map[string]string) (host, password string) {
	t.Helper()
	u, err := url.Parse(state)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	text, ok := files[q.Get("passfile")]
	if !ok {
		t.Fatalf("the journal's passfile is %q, but there are only %q", q.Get("passfile"), slices.Sorted(maps.Keys(files)))
	}
	q.Set("passfile", put(t, filepath.Join(t.TempDir(), "pgpass"), text))
	u.RawQuery = q.Encode()
	c, err := pgx.ParseConfig(u.String())
	if err != nil {
		t.Fatal(err)
	}
	return c.Host, c.Password
}

// A composeService is what one of compose.yaml has, as far as it is used.
type composeService struct {
	Build, Image string
	Command      []string
	Environment  map[string]string
	Secrets      []string
	Ports        []string
	Volumes      []string
	DependsOn    any `json:"depends_on"`
	Healthcheck  struct {
		Test              []string
		Interval, Timeout string
	}
	Restart         string
	StopGracePeriod string   `json:"stop_grace_period"`
	ReadOnly        bool     `json:"read_only"`
	CapDrop         []string `json:"cap_drop"`
	SecurityOpt     []string `json:"security_opt"`
}

// TestExampleCompose runs each replica of compose.yaml as Docker would, asks after its health as Docker would, and
// holds that the proxy knows all of them.
func TestExampleCompose(t *testing.T) {
	t.Parallel()
	var c struct {
		Name     string
		Replica  composeService `json:"x-replica"`
		Services map[string]composeService
		Secrets  map[string]struct{ File string }
		Volumes  map[string]any
	}
	documents(t, "compose.yaml", &c)
	const password = "made-by-openssl"
	texts := map[string]string{
		"heffl_api_key": deployedKey, "heffl_mcp_tokens": "token-of-the-first-user\n",
		"postgres_password": password + "\n", "pgpass": "postgres:5432:heffl:heffl:" + password + "\n",
	}
	var names []string
	for name, secret := range c.Secrets {
		names = append(names, name)
		if secret.File != "./secrets/"+name {
			t.Errorf("the secret %s is in %s, want ./secrets/%s", name, secret.File, name)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(texts)), names); diff != "" {
		t.Errorf("the secrets that its first lines tell to make (-want +got):\n%s", diff)
	}

	var replicas []string
	for name, service := range c.Services {
		if service.Image != c.Replica.Image {
			continue
		}
		d := deployment{env: service.Environment, args: service.Command, files: map[string]string{}}
		for _, secret := range service.Secrets {
			d.files["/run/secrets/"+secret] = texts[secret]
		}
		_, port := d.address(t)
		replicas = append(replicas, name+":"+port)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, got := passwordOf(t, service.Environment["HEFFL_MCP_STATE"], d.files)
			server, ok := c.Services[host]
			if !ok || server.Environment["POSTGRES_PASSWORD_FILE"] != "/run/secrets/postgres_password" || got != password {
				t.Errorf("the journal is at %s with the password %q, want a service with the password %q", host, got, password)
			}
			program := d.run(t)
			program.makesADeal(t, "token-of-the-first-user")
			test := service.Healthcheck.Test
			if len(test) < 3 || test[0] != "CMD" || test[1] != entrypoint(t) {
				t.Fatalf("the health check is %q, want a command of %s, since there is nothing else in the image", test, entrypoint(t))
			}
			start(t, program.env, test[2:]...).exit(t, 0)
			if context := filepath.Join("examples", service.Build, "Dockerfile"); context != "Dockerfile" {
				t.Errorf("it is built by %s, want the Dockerfile", context)
			}
		})
	}
	slices.Sort(replicas)
	caddy := string(read(t, "examples/Caddyfile"))
	proxied := regexp.MustCompile(`reverse_proxy (.+) \{`).FindStringSubmatch(caddy)
	if proxied == nil || len(replicas) != 3 {
		t.Fatalf("%d replicas, and the Caddyfile has the proxy %q; want three", len(replicas), proxied)
	}
	if diff := cmp.Diff(replicas, strings.Fields(proxied[1])); diff != "" {
		t.Errorf("the Caddyfile (-replicas +proxied):\n%s", diff)
	}
	for _, m := range regexp.MustCompile(`(?m)^\s*(handle|health_uri) (/\S+)`).FindAllStringSubmatch(caddy, -1) {
		if m[2] != "/mcp" && m[2] != "/healthz" {
			t.Errorf("the Caddyfile has the path %s", m[2])
		}
	}
}

// entrypoint is the program in the image.
func entrypoint(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^ENTRYPOINT \["(\S+)"\]$`).FindSubmatch(read(t, "Dockerfile"))
	if m == nil {
		t.Fatal("the Dockerfile has no ENTRYPOINT of one word")
	}
	return string(m[1])
}

// TestExampleDockerfile holds that the image is built by the Go that the module asks for, and has in it the static
// program and the certificates, for a user that is not root.
func TestExampleDockerfile(t *testing.T) {
	t.Parallel()
	file := string(read(t, "Dockerfile"))
	goVersion := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(read(t, "go.mod"))
	if want := "FROM golang:" + string(goVersion[1]) + " AS build\n"; !strings.Contains(file, want) {
		t.Errorf("the Dockerfile does not begin with %q, but the module asks for that Go", want)
	}
	_, image, _ := strings.Cut(file, "\nFROM scratch\n")
	var got []string
	for line := range strings.Lines(image) {
		if !strings.HasPrefix(line, "#") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		"ARG OWNER=OWNER",
		`LABEL io.modelcontextprotocol.server.name="io.github.${OWNER}/heffl-mcp"`,
		"COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/",
		"COPY --from=build /heffl-mcp /heffl-mcp",
		"USER 65532:65532",
		`ENTRYPOINT ["/heffl-mcp"]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the image (-want +got):\n%s", diff)
	}
	if !strings.Contains(file, "CGO_ENABLED=0 go build") {
		t.Error("the program is not built without C, so it needs what is not in the image")
	}
}

// Kubernetes' objects, as far as they are used.
type (
	named struct {
		Name   string
		Labels map[string]string
	}
	header struct{ APIVersion, Kind string }

	matching struct{ MatchLabels map[string]string }

	probe struct {
		HTTPGet struct {
			Path, Port  string
			HTTPHeaders []struct{ Name, Value string }
		}
		PeriodSeconds, TimeoutSeconds int
	}

	container struct {
		Name, Image                   string
		Args                          []string
		Env                           []struct{ Name, Value string }
		Ports                         []namedPort
		LivenessProbe, ReadinessProbe probe
		Lifecycle, Resources          map[string]any
		SecurityContext               struct {
			AllowPrivilegeEscalation, ReadOnlyRootFilesystem bool
			Capabilities                                     struct{ Drop []string }
		}
		VolumeMounts []struct {
			Name, MountPath string
			ReadOnly        bool
		}
	}
	namedPort struct {
		Name          string
		ContainerPort int
	}

	pod struct {
		AutomountServiceAccountToken, EnableServiceLinks bool
		TerminationGracePeriodSeconds                    int
		SecurityContext                                  struct {
			RunAsNonRoot                   bool
			RunAsUser, RunAsGroup, FSGroup int
			SeccompProfile                 struct{ Type string }
		}
		TopologySpreadConstraints []struct {
			MaxSkew                        int
			TopologyKey, WhenUnsatisfiable string
			LabelSelector                  matching
		}
		Containers []container
		Volumes    []struct {
			Name   string
			Secret struct {
				SecretName  string
				DefaultMode int
			}
		}
	}
)

// TestExampleKubernetes runs the container of kubernetes.yaml as a node would, asks its probes, and holds that the
// objects of the file know each other.
func TestExampleKubernetes(t *testing.T) {
	t.Parallel()
	var secret struct {
		header
		Metadata   named
		StringData map[string]string
	}
	var deploy struct {
		header
		Metadata named
		Spec     struct {
			Replicas int
			Strategy struct {
				RollingUpdate struct{ MaxUnavailable, MaxSurge int }
			}
			Selector matching
			Template struct {
				Metadata named
				Spec     pod
			}
		}
	}
	var budget struct {
		header
		Metadata named
		Spec     struct {
			MinAvailable int
			Selector     matching
		}
	}
	var service struct {
		header
		Metadata named
		Spec     struct {
			Selector map[string]string
			Ports    []struct {
				Name, TargetPort string
				Port             int
			}
		}
	}
	documents(t, "kubernetes.yaml", &secret, &deploy, &budget, &service)
	want := []header{{"v1", "Secret"}, {"apps/v1", "Deployment"}, {"policy/v1", "PodDisruptionBudget"}, {"v1", "Service"}}
	if diff := cmp.Diff(want, []header{secret.header, deploy.header, budget.header, service.header}); diff != "" {
		t.Errorf("the objects (-want +got):\n%s", diff)
	}
	ours := deploy.Spec.Template.Spec
	if deploy.Spec.Replicas != 3 || budget.Spec.MinAvailable >= deploy.Spec.Replicas || len(ours.Containers) != 1 || len(ours.Volumes) != 1 {
		t.Fatalf("%d replicas of %d containers and %d volumes, of which %d must live; want three of one and one, of which one may go",
			deploy.Spec.Replicas, len(ours.Containers), len(ours.Volumes), budget.Spec.MinAvailable)
	}
	labels := deploy.Spec.Template.Metadata.Labels
	for of, selector := range map[string]map[string]string{
		"the Deployment": deploy.Spec.Selector.MatchLabels, "the budget": budget.Spec.Selector.MatchLabels, "the Service": service.Spec.Selector,
		"the spread": ours.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if diff := cmp.Diff(labels, selector); diff != "" {
			t.Errorf("the selector of %s (-labels +selector):\n%s", of, diff)
		}
	}

	c, security := ours.Containers[0], ours.SecurityContext
	if !security.RunAsNonRoot || security.RunAsUser == 0 || !c.SecurityContext.ReadOnlyRootFilesystem || c.SecurityContext.AllowPrivilegeEscalation {
		t.Errorf("the container may do more than it needs: %+v, %+v", security, c.SecurityContext)
	}
	volume, mount := ours.Volumes[0], c.VolumeMounts[0]
	if volume.Name != mount.Name || volume.Secret.SecretName != secret.Metadata.Name || volume.Secret.DefaultMode != 0o440 {
		t.Errorf("the volume is %+v, mounted as %+v, want the Secret %s for its group", volume, mount, secret.Metadata.Name)
	}
	d := deployment{env: map[string]string{}, args: c.Args, files: map[string]string{}}
	for _, v := range c.Env {
		d.env[v.Name] = v.Value
	}
	for key, text := range secret.StringData {
		d.files[path.Join(mount.MountPath, key)] = text
	}
	if _, password := passwordOf(t, d.env["HEFFL_MCP_STATE"], d.files); password != "fill-in" {
		t.Errorf("the password of the journal is %q, want the one of the Secret", password)
	}
	if key := d.env["HEFFL_API_KEY_FILE"]; d.files[key] != "your-key" {
		t.Errorf("the key in %s is %q, want the one of the Secret", key, d.files[key])
	} else {
		d.files[key] = deployedKey
	}
	if _, port := d.address(t); len(c.Ports) != 1 || strconv.Itoa(c.Ports[0].ContainerPort) != port || service.Spec.Ports[0].TargetPort != c.Ports[0].Name {
		t.Errorf("the program listens on %s, the container has %+v, the Service %+v", port, c.Ports, service.Spec.Ports)
	}
	program := d.run(t)
	program.makesADeal(t, "fill-in-a-token-for-each-user")
	for of, p := range map[string]probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if p.HTTPGet.Path != of || p.HTTPGet.Port != c.Ports[0].Name {
			t.Errorf("the probe is of %s at %s, want %s at %s", p.HTTPGet.Path, p.HTTPGet.Port, of, c.Ports[0].Name)
		}
		authorization := ""
		for _, h := range p.HTTPGet.HTTPHeaders {
			if h.Name == "Authorization" {
				authorization = h.Value
			}
		}
		if status := program.get(t, of, authorization); status != http.StatusOK {
			t.Errorf("the probe of %s = %d, want 200", of, status)
		}
	}
}
