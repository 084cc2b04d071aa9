package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"heffl-mcp/heffl/sandbox"
)

// A speaker says of itself what it likes, in the way of its revision.
type speaker struct {
	transport, revision string
	at                  place
	plain               *plain // stdio and SSE
	wire                *recorder
	program             *program
}

// speakers are clients of each transport and era, each of a program of its own that has a sandbox behind it, and
// logs in JSON. What they come back with is done when the program has ended.
func speakers(t *testing.T, each func(*testing.T, *speaker, *sandbox.Sandbox) (then func())) {
	t.Parallel()
	for _, way := range []struct{ transport, revision string }{
		{"stdio", legacy}, {"stdio", modern}, {"http", legacy}, {"http", modern}, {"sse", legacy},
	} {
		t.Run(way.transport+" "+way.revision, func(t *testing.T) {
			t.Parallel()
			s := &speaker{transport: way.transport, revision: way.revision, wire: new(recorder)}
			sb := newSandbox(t, sandbox.Options{})
			env := append(upstream(t, sb), "HEFFL_MCP_LOG_FORMAT=json")
			if way.transport == "stdio" {
				s.program, s.plain = startStdio(t, env)
			} else {
				s.program, s.at = serveHTTP(t, append(env, "HEFFL_MCP_TOKEN=token-of-a-speaker"))
				s.wire.next = s.at.http.Transport
				t.Cleanup(s.at.http.CloseIdleConnections)
				s.at.http = &http.Client{Transport: s.wire}
				s.at = s.at.with("Authorization", "Bearer token-of-a-speaker")
			}
			if way.transport == "sse" {
				s.plain = new(plain)
				if err := s.plain.overSSE(bounded(t), s.at); err != nil {
					t.Fatal(err)
				}
			}
			then := each(t, s, sb)
			if way.transport == "sse" {
				if err := s.plain.close(); err != nil {
					t.Error(err)
				}
			}
			if way.transport == "stdio" {
				if err := s.program.in.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				s.wire.next.(interface{ CloseIdleConnections() }).CloseIdleConnections()
				s.program.terminate(t)
			}
			s.program.exit(t, 0)
			then()
		})
	}
}

// says sends a request of who says that it is info and can do caps, in JSON. Before 2026-07-28 that was said by a
// handshake.
func (s *speaker) says(t *testing.T, info, caps, method, params string) json.RawMessage {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(params), &all); err != nil {
		t.Fatal(err)
	}
	name, _ := all["name"].(string)
	c := s.plain
	if s.revision == modern {
		all["_meta"] = map[string]any{
			"io.modelcontextprotocol/protocolVersion":    modern,
			"io.modelcontextprotocol/clientInfo":         json.RawMessage(info),
			"io.modelcontextprotocol/clientCapabilities": json.RawMessage(caps),
		}
		if c == nil {
			c = connected(s.at.with("Mcp-Protocol-Version", modern, "Mcp-Method", method, "Mcp-Name", name))
		}
	} else {
		if c == nil {
			c = connected(s.at)
		}
		hello := map[string]any{"protocolVersion": legacy, "clientInfo": json.RawMessage(info), "capabilities": json.RawMessage(caps)}
		if _, err := c.request(bounded(t), "initialize", hello); err != nil {
			t.Fatal(err)
		}
	}
	r, err := c.request(bounded(t), method, all)
	if err != nil {
		t.Fatalf("%s of %.100s: %v", method, info, err)
	}
	return r
}

// TestClientInfoDecidesNothing has clients call themselves what they like, at any length: all get the same answers,
// and what they say is short and plain in the log, one line a call.
func TestClientInfoDecidesNothing(t *testing.T) {
	speakers(t, func(t *testing.T, s *speaker, _ *sandbox.Sandbox) func() {
		infos := map[string]string{
			"nobody":    `{"name":"","version":""}`,
			"an admin":  `{"name":"admin","version":"1","title":"Administrator","scopes":["deals:write"],"key":"x"}`,
			"huge":      `{"name":"` + strings.Repeat("A", 1<<20) + `","version":"` + strings.Repeat("9", 1<<20) + `"}`,
			"a forger":  `{"name":"x\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\r\u001b[31m\u0000\u202e\u2028","version":"\"\\\t\b"}`,
			"not UTF-8": `{"name":"\ud800","version":"1"}`,
			"the token": `{"name":"token-of-a-speaker","version":"test-key"}`,
		}
		const usual = `{"name":"claude-code","version":"2.1.0"}`
		requests := []struct{ method, params string }{
			{"tools/list", `{}`},
			{"tools/call", `{"name":"find_clients","arguments":{"query":"Northwind"}}`},
			{"tools/call", `{"name":"create_deal","arguments":{"title":1}}`},
		}
		s.says(t, usual, `{}`, "tools/call", `{"name":"describe_workspace","arguments":{}}`) // from now on the tools name what there is
		calls := 1
		for _, r := range requests {
			want := s.says(t, usual, `{}`, r.method, r.params)
			for who, info := range infos {
				if got := s.says(t, info, `{}`, r.method, r.params); string(got) != string(want) {
					t.Errorf("%s(%s) of %s = %s, but of others %s", r.method, r.params, who, got, want)
				}
			}
			if r.method == "tools/call" {
				calls += 1 + len(infos)
			}
		}
		return func() {
			logged := 0
			for line := range strings.Lines(s.program.err.String()) {
				var l struct{ Msg, Client string }
				if err := json.Unmarshal([]byte(line), &l); err != nil || len(line) > 1000 || l.Msg == "forged" {
					t.Errorf("the log has a line of %d bytes, %v: %.300s", len(line), err, line)
				}
				if strings.ContainsFunc(l.Client, func(r rune) bool { return !unicode.IsPrint(r) }) || utf8.RuneCountInString(l.Client) > 81 {
					t.Errorf("the log has the client %q", l.Client)
				}
				if l.Msg == "tool called" {
					logged++
				}
			}
			if logged != calls {
				t.Errorf("%d calls are in the log, want %d", logged, calls)
			}
		}
	})
}

// TestUserIsAskedNothing holds that a client which offers all that a server may ask of it is asked for nothing, where
// most could be: what is wrong, not clear, or there already.
func TestUserIsAskedNothing(t *testing.T) {
	speakers(t, func(t *testing.T, s *speaker, sb *sandbox.Sandbox) func() {
		const info = `{"name":"eager","version":"1"}`
		const caps = `{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{},"context":{}},"roots":{"listChanged":true}}`
		deals := len(sb.Deals())
		for _, args := range []string{
			`{}`,
			`{"title":"Rollout","clientId":"nobody at all","pipelineId":"dpl_sales"}`,
			`{"title":"Rollout","clientId":"clt_northwind","pipelineId":"dpl_sales"}`,
			`{"title":"rollout","clientId":"clt_northwind","pipelineId":"dpl_sales"}`, // looks like that one
		} {
			r := s.says(t, info, caps, "tools/call", `{"name":"create_deal","arguments":`+args+`}`)
			var result struct{ ResultType string }
			if err := json.Unmarshal(r, &result); err != nil || result.ResultType != "" && result.ResultType != "complete" {
				t.Errorf("create_deal(%s) = %s, %v; want what is complete", args, r, err)
			}
		}
		if n := len(sb.Deals()) - deals; n != 1 {
			t.Errorf("%d deals were made, want 1: not all that could be asked was tested", n)
		}
		return func() {
			said := s.wire.seen.String()
			if s.transport == "stdio" {
				said = s.program.out.String()
			}
			messages := 0
			for line := range strings.Lines(said) {
				var m struct {
					ID     json.RawMessage
					Method string
				}
				if json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &m) != nil {
					continue
				}
				messages++
				if m.ID != nil && m.Method != "" {
					t.Errorf("the client is asked: %s", line)
				}
			}
			if messages < 4 {
				t.Errorf("%d messages came: nothing was tested:\n%s", messages, said)
			}
		}
	})
}

// TestCallsAreLogged holds what the log says of each call, over each transport, and that it says nothing of what was
// said.
func TestCallsAreLogged(t *testing.T) {
	speakers(t, func(t *testing.T, s *speaker, _ *sandbox.Sandbox) func() {
		want := map[string]int{}
		for _, c := range []struct{ tool, args, outcome string }{
			{"create_deal", `{"title":"Quokka rollout","clientId":"clt_northwind","pipelineId":"dpl_sales"}`, "created"},
			{"create_deal", `{"title":"Quokka rollout","clientId":"clt_northwind","pipelineId":"dpl_sales"}`, "replayed"},
			{"create_deal", `{"title":"Quokka rollout","clientId":7}`, "invalid"},
			{"find_deals", `{"query":"Quokka"}`, "found"},
		} {
			s.says(t, `{"name":"claude-code","version":"2.1.0"}`, `{}`, "tools/call", `{"name":"`+c.tool+`","arguments":`+c.args+`}`)
			want[c.tool+" "+c.outcome]++
		}
		caller := regexp.MustCompile(`^token-[0-9a-f]{8}$`)
		if s.transport == "stdio" {
			caller = regexp.MustCompile(`^$`)
		}
		return func() {
			got, ids := map[string]int{}, map[string]bool{}
			for line := range strings.Lines(s.program.err.String()) {
				var l struct {
					Msg, Level, Call, Tool, Outcome, Caller string
					Took                                    float64
				}
				if err := json.Unmarshal([]byte(line), &l); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				if l.Msg != "tool called" {
					continue
				}
				got[l.Tool+" "+l.Outcome]++
				ids[l.Call] = true
				if l.Level != "INFO" || l.Call == "" || l.Took <= 0 || !caller.MatchString(l.Caller) {
					t.Errorf("a call is logged as %s", line)
				}
			}
			if !maps.Equal(got, want) || len(ids) != 4 {
				t.Errorf("the log has %v with %d IDs, want %v with one each", got, len(ids), want)
			}
			if text := s.program.err.String(); strings.Contains(text, "uokka") || strings.Contains(text, "orthwind") {
				t.Errorf("the log tells of arguments: %s", text)
			}
		}
	})
}
