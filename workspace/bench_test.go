package workspace_test

import (
	"testing"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/workspace"
)

// BenchmarkResolve resolves against lists that are kept: an ID, a name, and a custom field by key.
func BenchmarkResolve(b *testing.B) {
	sb := sandbox.New(sandbox.Options{RateLimit: -1})
	b.Cleanup(func() { sb.Close() })
	w := workspace.New(&heffl.Client{BaseURL: sandbox.BaseURL, Key: "k", HTTP: sb.HTTPClient()}, workspace.Options{})
	for _, of := range []struct {
		name  string
		kind  workspace.Kind
		words string
	}{
		{"id", workspace.User, "usr_sara"},
		{"name", workspace.Pipeline, "sales"},
		{"key", workspace.CustomField, "cf_region"},
	} {
		b.Run(of.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Resolve(b.Context(), of.kind, of.words, workspace.Scope{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
