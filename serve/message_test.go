package serve

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
)

// FuzzResult holds that a result is written as mcp-go would, in one line.
func FuzzResult(f *testing.F) {
	for _, seed := range []struct {
		text, structured, meta string
		failed                 bool
	}{
		{"Created", `{"id":"dl_1"}`, "created", false}, {"a \"b\"\n\u2028<&>", "{\n\"a\" : 1.50 }", "", true}, {"\xff", `{"a":1,"a":2}`, "x", false},
		{"", "{\"a\":\"\u2029\"}", "", false}, {"", "", "", true}, {"", "\"\\ud800\"", "", false}, {"", "{", "", false}, {"", "1\r\n", "", false},
	} {
		f.Add(seed.text, seed.structured, seed.meta, seed.failed)
	}
	f.Fuzz(func(t *testing.T, text, structured, meta string, failed bool) {
		r := &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(text)}, IsError: failed}
		if structured != "" {
			r.StructuredContent = json.RawMessage(structured)
		}
		if meta != "" {
			r.Meta = mcp.NewMetaFromMap(map[string]any{"heffl-mcp/outcome": meta})
			r.ResultType = mcp.ResultTypeComplete
		}
		want, wantErr := r.MarshalJSON()
		got, err := appendResult([]byte("before"), r)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("appendResult(%q, %q) = %v, but mcp-go: %v", text, structured, err, wantErr)
		}
		if err != nil {
			return
		}
		got, ok := bytes.CutPrefix(got, []byte("before"))
		if !ok || bytes.ContainsAny(got, "\r\n\u2028\u2029") {
			t.Errorf("appendResult(%q, %q) = %q, which is more than a line", text, structured, got)
		}
		if diff := cmp.Diff(decoded(t, want), decoded(t, got)); diff != "" {
			t.Errorf("appendResult(%q, %q) (-mcp-go +ours):\n%s", text, structured, diff)
		}
	})
}

// FuzzRequest holds that a request that is read in haste is the one that encoding/json reads.
func FuzzRequest(f *testing.F) {
	for _, message := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, ` { "method" : "tools/call" , "params" : { "a" : [ 1 ] } , "id" : "a\"b" , "jsonrpc" : "2.0" } `,
		`{"jsonrpc":"2.0","id":1e999,"method":"a"}`, `{"jsonrpc":"2.0","id":null,"method":"a"}`, `{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}`, `{"jsonrpc":"2.0","ID":1,"method":"a"}`,
		`{"jsonrpc":"2.0","id":1,"method":"a","result":{}}`, `{"jsonrpc":"2.0","id":[],"method":"a"}`, `{"jsonrpc":"2.0","id":1,"method":"a","params":{"a":1,"a":2}}`, `{"jsonrpc":"2.0","id":1,"method":5}`, `[]`, `1`, `{`,
	} {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		env, ok := parseRequest(message)
		if !ok {
			return
		}
		want, bad := parseAny(message)
		if bad != nil || want.kind != request || want.Version != env.Version || string(want.ID) != string(env.ID) || want.Method != env.Method {
			t.Errorf("parseRequest(%q) = %+v, but encoding/json has %+v, %v", message, env, want, bad)
		}
	})
}

// decoded is JSON as a value, with numbers as they were written.
func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}
