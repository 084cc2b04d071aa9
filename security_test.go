package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestHeldBy holds that every test that docs/security.md and docs/heffl.md name is there, and that a row which names
// none says so.
func TestHeldBy(t *testing.T) {
	t.Parallel()
	there := testsOfModule(t)
	for _, file := range []string{"docs/security.md", "docs/heffl.md"} {
		heldBy(t, file, there)
	}
}

func heldBy(t *testing.T, file string, there map[string]bool) {
	t.Helper()
	page := string(read(t, file))
	rows := regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \| ([^| ][^|]*) \|$`).FindAllStringSubmatch(page, -1)
	if n := strings.Count(page, "\n| "); n != len(rows) {
		t.Errorf("%s: %d of %d rows have three cells, each with something in it", file, len(rows), n)
	}
	held := 0
	for _, row := range rows {
		if row[3] == "held by" || row[3] == "none" {
			continue
		}
		for name := range strings.SplitSeq(row[3], ", ") {
			held++
			if !there[name] {
				t.Errorf("%s: %q is held by %s, which is no test", file, row[1], name)
			}
		}
	}
	if held == 0 {
		t.Errorf("%s: %d rows name no test at all; there are %q", file, len(rows), slices.Sorted(maps.Keys(there)))
	}
}

// testsOfModule are the names of all tests and fuzz targets, after that of their folder; the one above all is main.
func testsOfModule(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	test := regexp.MustCompile(`^(Test|Fuzz)[A-Z]`)
	err := fs.WalkDir(os.DirFS("."), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := path.Base(path.Dir(file))
		if folder == "." {
			folder = "main"
		}
		for _, decl := range tree.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && test.MatchString(f.Name.Name) && f.Name.Name != "TestMain" {
				all[folder+"."+f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
