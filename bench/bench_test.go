package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestMain lets this program be what is profiled, as the bench itself is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == profileWord {
		if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestQuick makes a few calls of each kind. What it measures means nothing; that there are no duplicates and nothing is
// lost does.
func TestQuick(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("what a process uses is read from /proc, which only Linux has")
	}
	some := slices.DeleteFunc(names(), func(name string) bool {
		return name == "layers" || name == "soak" && testing.Short() // layers runs benchmarks of other packages
	})
	var out strings.Builder
	if err := run(t.Context(), []string{"-quick", "-only=" + strings.Join(some, ",")}, &out); err != nil {
		t.Errorf("bench -quick: %v", err)
	}
	for _, row := range []string{
		"| one at a time, p50 |", "| p99 |", "| CPU |", "| 16 in flight |", "| calls |", "| Streamable HTTP |", "| HTTP+SSE |", "| median |",
		"| idle |", "| peak, 5,000 calls |", "| program |", "| journal: CPU |", "| clients over Streamable HTTP: CPU |",
		"| unknown properties |", "| one number |", "| 4 idle SSE streams |", "| nobody again |", "flat%",
	} {
		if !strings.Contains(out.String(), row) {
			t.Errorf("there is no %q in:\n%s", row, out.String())
		}
	}
}

// TestPage holds that the page was written by this program: what it says around the figures is what this would say.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(page), intro) || !strings.HasSuffix(string(page), missed) {
		t.Error("docs/performance.md is of another time: go run ./bench -write docs/performance.md")
	}
}

func TestUnknownPart(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), []string{"-only=speed"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "there are stdio") {
		t.Errorf("bench -only=speed: %v, want what there is", err)
	}
}
