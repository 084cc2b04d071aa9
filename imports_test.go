package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A package of the house: which others it may import, what it must not link, and why.
var house = map[string]struct {
	why     string
	imports []string // of this module
	without []string // import path prefixes that must not be linked, directly or not
}{
	"heffl":                     {"a client that one imports without having heard of MCP", []string{"rawjson"}, []string{"github.com/mark3labs", "database/sql"}},
	"heffl/sandbox":             {"stands in for Heffl, so it must not share the client's mistakes", nil, []string{"github.com/"}},
	"schema":                    {"reads like a library that has never seen a network", nil, []string{"net/http", "github.com/mark3labs"}},
	"journal":                   {"does any write exactly once, and knows neither Heffl nor MCP", nil, []string{"github.com/mark3labs", "heffl-mcp/"}},
	"workspace":                 {"knows what a workspace has, and not what a model is told of it", []string{"heffl"}, []string{"github.com/mark3labs", "database/sql"}},
	"rawjson":                   {"finds its way through any JSON, and knows not what it says", nil, []string{"net", "github.com/", "heffl-mcp/"}},
	"tools":                     {"knows what a model may do, and not how it is reached", []string{"heffl", "journal", "rawjson", "schema", "template", "workspace"}, nil},
	"serve":                     {"knows how it is reached, and not what can be done", []string{"rawjson"}, nil},
	"bench":                     {"measures the program from without, and serves it only to be profiled", []string{"heffl", "heffl/sandbox", "serve", "tools"}, nil},
	"internal/mcpspec":          {"judges what servers write, in tests alone, and so must not share their mistakes", nil, []string{"github.com/mark3labs", "github.com/modelcontextprotocol"}},
	"serve/internal/everything": {"shows the ways in to the conformance suite, and nothing of the program's own", []string{"serve"}, nil},
	"bundle":                    {"joins programs for a bundle, and is part of none", nil, nil},
	"install":                   {"knows the files of clients, and not what is installed", nil, []string{"net", "github.com/mark3labs", "heffl-mcp/"}},
	"cli":                       {"reads a command line, and knows not what it is for", nil, []string{"net", "text/template", "heffl-mcp/"}},
	"template":                  {"fills in pages, and knows not what they say", nil, []string{"net", "heffl-mcp/"}},
	"keys":                      {"keeps secrets, and knows not what they open", nil, []string{"net/http", "github.com/mark3labs", "heffl-mcp/"}},
	"prompts":                   {"knows what a user can start from, and is told who asks and which tools there are", []string{"template", "workspace"}, []string{"heffl-mcp/tools", "heffl-mcp/journal", "modernc.org"}},
	"":                          {"wires", []string{"cli", "heffl", "heffl/sandbox", "journal", "tools", "serve", "install", "keys", "prompts"}, []string{"heffl-mcp/internal", "github.com/modelcontextprotocol", "github.com/rogpeppe/go-internal/testscript", "net/http/httptest", "testing"}},
}

const module = "heffl-mcp"

type listed struct {
	ImportPath string
	Doc        string
	Imports    []string
	Deps       []string
}

// TestHouse holds the arrows of the design: a package imports what it is drawn to import, links
// nothing that it has no business with, and says what it is for.
func TestHouse(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Doc,Imports,Deps", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		room, ok := house[name]
		if !ok {
			t.Errorf("package %q has no room in the house: draw its arrows here", name)
			continue
		}
		seen++
		if len(p.Doc) < 40 {
			t.Errorf("package %q has no package comment that says what it is for", name)
		}
		for _, i := range p.Imports {
			if own, ok := strings.CutPrefix(i, module+"/"); ok && !slices.Contains(room.imports, own) {
				t.Errorf("%q imports %q, but it %s", name, own, room.why)
			}
		}
		for _, d := range p.Deps {
			for _, banned := range room.without {
				if strings.HasPrefix(d, banned) && (banned != "testing" || d == "testing") {
					t.Errorf("%q links %s, but it %s", name, d, room.why)
				}
			}
		}
	}
	if seen != len(house) {
		t.Errorf("%d packages, but %d rooms", seen, len(house))
	}
}

// TestLinkerLeavesOut holds that nothing in the program calls methods by names that are made up while it runs: for such a call the linker
// keeps every exported method of every library, which is an eighth of the program.
func TestLinkerLeavesOut(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("links the program, which takes longer than all else that -short leaves")
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w -dumpdep", "-o", os.DevNull, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %.500s", err, out)
	}
	calls := regexp.MustCompile(`(?m)^(\S+) <ReflectMethod>`).FindAllSubmatch(out, -1)
	for _, c := range calls[:min(len(calls), 10)] {
		t.Errorf("%s calls a method by its name", c[1])
	}
	if !strings.Contains(string(out), " -> ") {
		t.Errorf("the linker does not say what it keeps: %.500s", out)
	}
}

// TestBareIsAsPublished holds that what the program is measured against has the same libraries, and nothing in their place.
func TestBareIsAsPublished(t *testing.T) {
	t.Parallel()
	type module struct {
		Require []struct{ Path, Version string }
		Replace []struct{}
	}
	read := func(path string) (m module) {
		t.Helper()
		out, err := exec.Command("go", "mod", "edit", "-json", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	ours, bare := map[string]string{}, read("bench/bare/go.mod")
	for _, r := range read("go.mod").Require {
		ours[r.Path] = r.Version
	}
	if len(bare.Replace) > 0 || len(bare.Require) == 0 {
		t.Errorf("bare has %d libraries, and %d in the place of others; want those that are published", len(bare.Require), len(bare.Replace))
	}
	for _, r := range bare.Require {
		if ours[r.Path] != r.Version {
			t.Errorf("bare has %s %s, the program %s", r.Path, r.Version, ours[r.Path])
		}
	}
}
