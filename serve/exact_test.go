package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"heffl-mcp/internal/mcpspec"
	"heffl-mcp/serve"

	"github.com/mark3labs/mcp-go/mcp"
)

// exactCalls are the params of calls of the tool raw, and the answers to them. The tool answers with the
// arguments that it gets.
var exactCalls = []struct{ name, params, want string }{
	{"spelling", `{"name":"raw","arguments":{ "b":1.0, "a":"<&>\u0041é\/" ,"c":9007199254740993}}`, `1: { "b":1.0, "a":"<&>\u0041é\/" ,"c":9007199254740993}`},
	{"no arguments", `{"name":"raw"}`, "1: "},
	{"null", `{"name":"raw","arguments":null}`, "1: null"},
	{"repeated inside", `{"name":"raw","arguments":{"a":1,"a":2,"A":3}}`, `1: {"a":1,"a":2,"A":3}`},
	{"the largest float64", `{"name":"raw","arguments":{"a":1.7976931348623157e308}}`, `1: {"a":1.7976931348623157e308}`},
	{"308 digits", `{"name":"raw","arguments":[` + strings.Repeat("9", 308) + `]}`, `1: [` + strings.Repeat("9", 308) + `]`},
	{"next to nothing", `{"name":"raw","arguments":[1e-400,0e999,-1E+2]}`, `1: [1e-400,0e999,-1E+2]`},
	{"a text about a number", `{"name":"raw","arguments":{"1e309":"\" 1e309"}}`, `1: {"1e309":"\" 1e309"}`},

	{"beyond float64", `{"name":"raw","arguments":{ "price":1e309,"x":"<\"\\\u0041é>"}}`, `1: { "price":1e309,"x":"<\"\\\u0041é>"}`},
	{"negative", `{"name":"raw","arguments":[-1E+309]}`, `1: [-1E+309]`},
	{"400 digits", `{"name":"raw","arguments":[` + strings.Repeat("9", 400) + `]}`, `1: [` + strings.Repeat("9", 400) + `]`},
	{"digits and exponent", `{"name":"raw","arguments":{"a":[{"b":1000000.5e303}]}}`, `1: {"a":[{"b":1000000.5e303}]}`},
	{"no object", `{"name":"raw","arguments":1e309}`, `1: 1e309`},
	{"arguments first", `{ "arguments" : [1e309] , "name" : "raw" }`, `1: [1e309]`},
	{"_meta after", `{"name":"raw","arguments":[1e309],"_meta":{"a":"<"}}`, `1: [1e309]`},
	{"_meta before", `{"_meta":{},"name":"raw","arguments":[1e309]}`, `1: [1e309]`},
	{"_meta null", `{"_meta":null,"name":"raw","arguments":[1e309]}`, `1: [1e309]`},

	{"repeated arguments", `{"name":"raw","arguments":{"a":1},"arguments":{"a":2}}`, `1: error -32602 params has more than one "arguments"; send it once`},
	{"repeated in escapes", `{"name":"raw","arguments":{},"argument\u0073":{}}`, `1: error -32602 params has more than one "arguments"; send it once`},
	{"two cases", `{"name":"raw","arguments":{"a":1},"Arguments":{"a":2}}`, `1: error -32602 "Arguments" in params must be written "arguments"`},
	{"another case", `{"name":"raw","ARGUMENTS":{}}`, `1: error -32602 "ARGUMENTS" in params must be written "arguments"`},
	{"a long s", `{"name":"raw","argumentſ":{}}`, `1: error -32602 "argumentſ" in params must be written "arguments"`},
	{"two names", `{"name":"add","name":"raw"}`, `1: error -32602 params has more than one "name"; send it once`},
	{"two _meta", `{"name":"raw","_meta":{},"_meta":{"a":1}}`, `1: error -32602 params has more than one "_meta"; send it once`},
	{"two params", `{"name":"raw"},"params":{"arguments":{}}`, `1: error -32602 the message has more than one "params"; send it once`},
	{"params in another case", `{"name":"raw"},"Params":{"arguments":{}}`, `1: error -32602 "Params" in the message must be written "params"`},
}

func TestExactArguments(t *testing.T) {
	t.Parallel()
	toy := newToy().MCPServer
	w := serveHTTP(t, &serve.HTTP{MCP: toy})
	events, message := w.sse()
	for _, test := range exactCalls {
		line, want := raw(`1`, test.params), []string{test.want}
		if got := oneShot(t, &serve.Stdio{MCP: toy}, line); !slices.Equal(got, want) {
			t.Errorf("%s: stdio answers %q, want %q", test.name, got, want)
		}
		status := 200
		if strings.Contains(test.want, "error") {
			status = 400
		}
		if code, got := w.post("/mcp", line); code != status || !slices.Equal(got, want) {
			t.Errorf("%s: POST /mcp = %d %q, want %d %q", test.name, code, got, status, want)
		}
		code, got := w.post(message, line)
		if code == 202 {
			got = []string{receive(t, events.got)}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: POST /message = %d %q, want %q", test.name, code, got, want)
		}
	}
}

// An id that mcp-go cannot keep has a stand-in of its own; the rest of the message stays as it is.
func TestExactArgumentsUnderAnExactID(t *testing.T) {
	t.Parallel()
	w := serveHTTP(t, &serve.HTTP{MCP: newToy().MCPServer})
	const id = `9007199254740993`
	for _, test := range []struct{ message, want string }{
		{raw(id, `{"name":"raw","arguments":{ "a":"<&>","id":`+id+`}}`), id + `: { "a":"<&>","id":` + id + `}`},
		{raw(id, `{"name":"raw","arguments":{"a":1e309}}`), id + `: {"a":1e309}`},
		{` { "method" : "tools/call" , "params" : {"name":"raw","arguments":[]} , "jsonrpc" : "2.0" , "id" : ` + id + ` } `, id + ": []"},
		{`{"id":1,"ID":2,"\u0069d":` + id + `,"jsonrpc":"2.0","method":"tools/call","params":{"name":"raw","arguments":[]}}`, id + ": []"},
	} {
		if status, got := w.post("/mcp", test.message); status != 200 || !slices.Equal(got, []string{test.want}) {
			t.Errorf("POST %s = %d %q, want 200 %q", test.message, status, got, test.want)
		}
	}
}

// mcp-go compares the arguments that a client repeats in headers, so it gets those.
func TestArgumentsInHeaders(t *testing.T) {
	t.Parallel()
	toy := newToy()
	tool := mcp.NewToolWithRawSchema("headed", "", json.RawMessage(`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}`))
	toy.AddTool(tool, func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(string(r.Params.RawArguments)), nil
	})
	w := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer})
	body := raw(`1`, `{"name":"headed","arguments":{"region":"east"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}`)
	for region, want := range map[string]string{"east": `1: {"region":"east"}`, "west": "1: error -32020"} {
		_, got := w.post("/mcp", body, "Mcp-Protocol-Version", modern, "Mcp-Method", "tools/call", "Mcp-Name", "headed", "Mcp-Param-Region", region)
		if len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("region %s in the header: got %q, want %q", region, got, want)
		}
	}
}

// mcp-go runs a task around all middleware, so it gets the arguments.
func TestArgumentsOfATask(t *testing.T) {
	t.Parallel()
	toy := newToy()
	got := make(chan string, 1)
	toy.AddTaskTool(mcp.NewTool("later", mcp.WithTaskSupport(mcp.TaskSupportRequired)), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CreateTaskResult, error) {
		got <- string(r.Params.RawArguments)
		return new(mcp.CreateTaskResult), nil
	})
	w := serveHTTP(t, &serve.HTTP{MCP: toy.MCPServer})
	w.client = &http.Client{Transport: w.client.Transport.(*mcpspec.Tap).Transport} // mcp-go answers with a task in whatever revision
	w.post("/mcp", raw(`1`, `{"name":"later","arguments":{"a":1},"task":{}}`))
	if got := receive(t, got); got != `{"a":1}` {
		t.Errorf("the task got %q, want its arguments", got)
	}
}

// What a client sends as arguments reaches the tool byte for byte, or it is refused because params does not say
// one thing only.
func FuzzExactArguments(f *testing.F) {
	for _, test := range exactCalls {
		f.Add([]byte(test.params))
	}
	h := (&serve.HTTP{MCP: newToy().MCPServer}).Handler()
	f.Fuzz(func(t *testing.T, params []byte) {
		want, ok := expectedArguments(params)
		if !ok {
			return
		}
		message := raw(`9007199254740993`, string(params))
		if !json.Valid([]byte(message)) {
			return // too deep by now
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/mcp", strings.NewReader(message))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := decode(t, w.Body.Bytes())
		switch {
		case got.Error != nil && got.Error.Code == -32602:
			if want != "" {
				t.Errorf("%s = %q, want the arguments", message, got)
			}
		case got.Result == nil:
			t.Errorf("%s = %q, want a result", message, got)
		case got.Result.Content[0].Text != want:
			t.Errorf("%s = %q, want %q", message, got, want)
		}
	})
}

// expectedArguments reads params by the letter. It is not ok for what is not a call of the tool raw with
// arguments that have an exact form; the arguments are empty where params is ambiguous.
func expectedArguments(params []byte) (arguments string, ok bool) {
	if !utf8.Valid(params) {
		return "", false // on its way through a string it is made so
	}
	dec := json.NewDecoder(bytes.NewReader(params))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return "", false
	}
	seen := make(map[string]int)
	plain := true
	for dec.More() {
		key, err := dec.Token()
		var value json.RawMessage
		if err != nil || dec.Decode(&value) != nil {
			return "", false
		}
		name, _ := key.(string)
		for _, known := range []string{"name", "arguments", "_meta"} {
			if strings.EqualFold(name, known) {
				seen[known]++
				plain = plain && name == known && seen[known] == 1
			}
		}
		switch {
		case strings.EqualFold(name, "arguments"):
			arguments = string(value)
		case name == "name" && string(value) != `"raw"`, strings.EqualFold(name, "_meta") && json.Unmarshal(value, new(map[string]any)) != nil:
			return "", false
		case !slices.ContainsFunc([]string{"name", "_meta"}, func(s string) bool { return strings.EqualFold(name, s) }):
			return "", false // mcp-go knows more members, with types of their own
		}
	}
	if _, err := dec.Token(); err != nil || len(bytes.TrimSpace(params[dec.InputOffset():])) > 0 {
		return "", false
	}
	if !plain {
		return "", true
	}
	return arguments, seen["name"] == 1 && arguments != ""
}

// What the check of a call costs, next to all that is done for one (BenchmarkStdio).
func BenchmarkExactArguments(b *testing.B) {
	h := (&serve.HTTP{MCP: newToy().MCPServer}).Handler()
	for _, test := range []struct{ name, message string }{
		{"small", raw(`1`, `{"name":"raw","arguments":{"title":"Website","price":1200.5}}`)},
		{"64 KiB", raw(`1`, fmt.Sprintf(`{"name":"raw","arguments":{"note":%q}}`, strings.Repeat("a line of text\n", 4000)))},
		{"beyond float64", raw(`1`, `{"name":"raw","arguments":{"title":"Website","price":1e309}}`)},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), "POST", "http://localhost/mcp", strings.NewReader(test.message))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != 200 {
					b.Fatalf("POST /mcp = %d %s", w.Code, w.Body)
				}
			}
		})
	}
}
