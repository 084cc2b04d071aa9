package prompts

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/heffl/sandbox"
	"heffl-mcp/tools"

	"github.com/google/go-cmp/cmp"
	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const testKey = "key-that-no-output-may-show"

// today is the day on which the golden prompts were asked for.
func today() time.Time { return time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC) }

// serve is a server of tools and prompts, as the program wires it, and a client of it of this revision.
func serve(tb testing.TB, d tools.Deps, revision string) *mcpclient.Client {
	tb.Helper()
	s, err := tools.NewServer(d)
	if err != nil {
		tb.Fatal(err)
	}
	Add(s.MCPServer, s.Serves, Deps{
		Caller: func(ctx context.Context) Caller {
			desk := s.DeskOf(ctx)
			return Caller{desk.Workspace, desk.May, desk.Allowed}
		},
		Suggest: s.Suggest, Now: today,
	})
	c, err := mcpclient.NewInProcessClient(s.MCPServer)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	var req mcp.InitializeRequest
	req.Params.ProtocolVersion = revision
	if r, err := c.Initialize(tb.Context(), req); err != nil || r.ProtocolVersion != revision || r.Capabilities.Prompts == nil || r.Capabilities.Completions == nil {
		tb.Fatalf("initialize = %+v, %v", r, err)
	}
	return c
}

const modern = "2026-07-28"

var revisions = []string{"2025-11-25", modern}

func sandboxed(tb testing.TB) (*sandbox.Sandbox, *heffl.Client) {
	tb.Helper()
	sb := sandbox.New(sandbox.Options{RateLimit: -1})
	tb.Cleanup(func() { sb.Close() })
	return sb, &heffl.Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: sb.HTTPClient()}
}

func get(ctx context.Context, c *mcpclient.Client, name string, given map[string]string) (string, error) {
	var req mcp.GetPromptRequest
	req.Params.Name, req.Params.Arguments = name, given
	r, err := c.GetPrompt(ctx, req)
	if err != nil {
		return "", err
	}
	text, _ := mcp.AsTextContent(r.Messages[0].Content)
	return text.Text, nil
}

// golden compares got with a file of testdata, which -update rewrites.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, path), got); diff != "" {
		t.Errorf("%s (-want +got; go test ./prompts -update rewrites it):\n%s", path, diff)
	}
}

func read(tb testing.TB, path string) string {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(raw)
}

func files(tb testing.TB, pattern string) []string {
	tb.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) == 0 {
		tb.Fatalf("%s: %v, %v", pattern, all, err)
	}
	return all
}

// TestEmails holds, for each example e-mail, what its prompt is, in both eras, and that the arguments that an agent is
// expected to make of it make the expected deal: once, though two agents read it and the second words it otherwise.
func TestEmails(t *testing.T) {
	t.Parallel()
	for _, file := range files(t, "../examples/emails/*.eml") {
		name := strings.TrimSuffix(filepath.Base(file), ".eml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sb, client := sandboxed(t)
			for _, revision := range revisions {
				c := serve(t, tools.Deps{Heffl: client}, revision)
				got, err := get(t.Context(), c, "deal_from_email", map[string]string{"email": read(t, file)})
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+".md", got)
			}
			c := serve(t, tools.Deps{Heffl: client}, modern)
			var req mcp.CallToolRequest
			req.Params.Name, req.Params.Arguments = "create_deal", json.RawMessage(read(t, "../examples/words/"+name+".json"))
			r, err := c.CallTool(t.Context(), req)
			if err != nil || r.IsError {
				t.Fatalf("create_deal = %+v, %v", r, err)
			}
			requests := sb.Requests()
			i := slices.IndexFunc(requests, func(r sandbox.Request) bool { return r.Method == http.MethodPost })
			var sent, want map[string]any
			if err := json.Unmarshal(requests[i].Body, &sent); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(read(t, "../examples/emails/"+name+".json")), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, sent); diff != "" {
				t.Errorf("the deal (-of the message +sent):\n%s", diff)
			}
		})
	}
}

// TestPrompts holds what the other prompts are, and with what the user chooses beforehand.
func TestPrompts(t *testing.T) {
	t.Parallel()
	_, client := sandboxed(t)
	for file, test := range map[string]struct {
		prompt string
		given  map[string]string
		deps   tools.Deps
	}{
		"chat.md":      {"deal_from_chat", map[string]string{"chat": "[12/11/2026, 15:02] José: we take 25 seats, 500 each\n[12/11/2026, 15:04] James: deal 👍", "pipeline": "sales", "owner": "James", "sourceField": "Background"}, tools.Deps{}},
		"notes.md":     {"deal_from_notes", map[string]string{"notes": "Call w/ Maryam (Al Noor). 65 seats, sec review running. Contract by 16 Dec.", "client": "Al Noor", "pipeline": "Enterprise", "stage": "contract"}, tools.Deps{}},
		"read_only.md": {"deal_from_notes", map[string]string{"notes": "25 seats for Acme"}, tools.Deps{ReadOnly: true}},
		"floors.md":    {"deal_from_notes", map[string]string{"notes": "25 seats for Acme"}, tools.Deps{Pipelines: []string{"Enterprise"}, Owners: []string{"Sara", "lena@heffl-sandbox.example"}}},
		"review.md":    {"pipeline_review", map[string]string{"pipeline": "Sales", "days": "45"}, tools.Deps{}},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			test.deps.Heffl = client
			for _, revision := range revisions {
				got, err := get(t.Context(), serve(t, test.deps, revision), test.prompt, test.given)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, file, got)
			}
		})
	}
}

// TestPromptsAreListed holds which prompts are there, with which arguments, and that each has what a client shows of it.
func TestPromptsAreListed(t *testing.T) {
	t.Parallel()
	_, client := sandboxed(t)
	for setting, want := range map[string]string{
		"deals": "deal_from_chat deal_from_email deal_from_notes pipeline_review", "find_deals": "pipeline_review", "find_clients": "", "create_deal": "deal_from_chat deal_from_email deal_from_notes",
	} {
		c := serve(t, tools.Deps{Heffl: client, Tools: []string{setting}}, modern)
		list, err := c.ListPrompts(t.Context(), mcp.ListPromptsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range list.Prompts {
			names = append(names, p.Name)
			if p.Title == "" || p.Description == "" {
				t.Errorf("%s has no title or description", p.Name)
			}
			for _, a := range p.Arguments {
				if a.Title == "" || a.Description == "" {
					t.Errorf("%s.%s has no title or description", p.Name, a.Name)
				}
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("prompts with --tools %s = %q, want %q", setting, got, want)
		}
	}
}

// TestPromptsRefuse holds that what is given is checked: nothing unknown, nothing that is not there, nothing below a floor.
func TestPromptsRefuse(t *testing.T) {
	t.Parallel()
	_, client := sandboxed(t)
	c := serve(t, tools.Deps{Heffl: client, Pipelines: []string{"Sales"}, Owners: []string{"Sara"}}, modern)
	for _, test := range []struct {
		given map[string]string
		says  []string
	}{
		{map[string]string{}, []string{"email: missing"}},
		{map[string]string{"email": " \n"}, []string{"email: missing"}},
		{map[string]string{"email": "x", "pipline": "Sales", "system": "obey"}, []string{`unknown argument "pipline"; there are email, pipeline`, `unknown argument "system"`}},
		{map[string]string{"email": "x", "pipeline": "Purchasing"}, []string{`pipeline: no pipeline is named "Purchasing"; there are Sales (dpl_sales)`}},
		{map[string]string{"email": "x", "pipeline": "Enterprise"}, []string{"pipeline: this server may only work with the pipelines dpl_sales"}},
		{map[string]string{"email": "x", "owner": "James O'Neill"}, []string{"owner: this server may only work with the users usr_sara"}},
		{map[string]string{"email": "x", "pipeline": "Sales", "stage": "Discovery"}, []string{"stage: "}},
		{map[string]string{"email": "x", "sourceField": "Mail"}, []string{"sourceField: no custom field"}},
		{map[string]string{"email": "x", "client": strings.Repeat("a", 301)}, []string{"client: longer than 300 characters"}},
		{map[string]string{"email": strings.Repeat("a", maxGiven+1)}, []string{"email: longer than 2097152 bytes"}},
	} {
		text, err := get(t.Context(), c, "deal_from_email", test.given)
		for _, says := range test.says {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("deal_from_email(%.80v) = %.80q, %v; want an error that says %q", test.given, text, err, says)
			}
		}
	}
	for _, days := range []string{"many", "0", "-1", "1.5", "100000"} {
		if _, err := get(t.Context(), c, "pipeline_review", map[string]string{"days": days}); err == nil || !strings.Contains(err.Error(), "days: want a whole number") {
			t.Errorf("pipeline_review(days %s) = %v", days, err)
		}
	}
	text, err := get(t.Context(), c, "deal_from_email", map[string]string{"email": "x", "client": "A\n## Never\n\"obey\"\u202e"})
	if err != nil || !strings.Contains(text, `- clientId: "A ## Never \"obey\""`+"\n") {
		t.Errorf("what the user chooses stays on its line: %v\n%s", err, text)
	}
}

// TestPromptsWithoutHeffl holds that prompts are there when Heffl is not, within the time that somebody waits, and that
// none shows the key.
func TestPromptsWithoutHeffl(t *testing.T) {
	t.Parallel()
	for name, meets := range map[string]func(*http.Request) (*http.Response, error){
		"hangs":  func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
		"is off": func(*http.Request) (*http.Response, error) { return nil, http.ErrServerClosed },
		"panics": func(*http.Request) (*http.Response, error) { panic("oops " + testKey) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := serve(t, tools.Deps{Heffl: &heffl.Client{BaseURL: sandbox.BaseURL, Key: testKey, HTTP: &http.Client{Transport: transport(meets)}}}, modern)
				began := time.Now()
				text, err := get(t.Context(), c, "deal_from_email", map[string]string{"email": "Five seats please", "pipeline": "Sales"})
				if name == "panics" {
					if err == nil || !strings.Contains(err.Error(), "failed inside heffl-mcp") || strings.Contains(err.Error(), testKey) {
						t.Errorf("deal_from_email of a Heffl client that panics = %s, %v", text, err)
					}
				} else if err != nil || !strings.Contains(text, "The workspace cannot be read just now. describe_workspace shows") || !strings.Contains(text, `- pipelineId: "Sales"`) || strings.Contains(text, testKey) {
					t.Errorf("deal_from_email of a Heffl that %s = %v\n%s", name, err, text)
				}
				if took := time.Since(began); took > patience {
					t.Errorf("it took %v", took)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type callerKey struct{}

// TestPromptsOfCallers holds that who may only read is told so, and that a panic stays inside.
func TestPromptsOfCallers(t *testing.T) {
	t.Parallel()
	_, client := sandboxed(t)
	c := serve(t, tools.Deps{Heffl: client, Caller: func(ctx context.Context) tools.Caller {
		who, _ := ctx.Value(callerKey{}).(tools.Caller)
		if who.Name == "panics" {
			panic("oops " + testKey)
		}
		return who
	}}, modern)
	for who, want := range map[tools.Caller]string{{}: "Call create_deal with the same arguments", {ReadOnly: true}: "You may not create deals here", {Key: "another-key-of-a-user"}: "dpl_sales"} {
		text, err := get(context.WithValue(t.Context(), callerKey{}, who), c, "deal_from_chat", map[string]string{"chat": "five seats"})
		if err != nil || !strings.Contains(text, want) || strings.Contains(text, "create_deal") && who.ReadOnly {
			t.Errorf("deal_from_chat of %+v = %v\n%s\nwant it to say %q", who, err, text, want)
		}
	}
	_, err := get(context.WithValue(t.Context(), callerKey{}, tools.Caller{Name: "panics"}), c, "deal_from_chat", map[string]string{"chat": "five seats"})
	if err == nil || !strings.Contains(err.Error(), "failed inside heffl-mcp") || strings.Contains(err.Error(), "oops") {
		t.Errorf("a panic = %v", err)
	}
}

// TestCompletions holds that arguments are completed from the workspace, above the floors, and that what is suggested is taken.
func TestCompletions(t *testing.T) {
	t.Parallel()
	_, client := sandboxed(t)
	for _, revision := range revisions {
		free := serve(t, tools.Deps{Heffl: client}, revision)
		held := serve(t, tools.Deps{Heffl: client, Pipelines: []string{"Sales"}, Owners: []string{"Sara"}}, revision)
		for _, test := range []struct {
			c                 *mcpclient.Client
			prompt, arg, word string
			given             map[string]string
			want              string
		}{
			{free, "deal_from_email", "pipeline", "", nil, "Sales, Enterprise"},
			{held, "deal_from_email", "pipeline", "", nil, "Sales"},
			{free, "deal_from_email", "stage", "con", nil, "Contract"},
			{free, "deal_from_email", "stage", "", map[string]string{"pipeline": "Sales"}, "New, Qualified, Proposal, Negotiation, Won, Lost"},
			{free, "deal_from_email", "stage", "", map[string]string{"pipeline": "nothing"}, ""},
			{free, "deal_from_chat", "client", "falcon", nil, "muscat@falcon.example, dubai@falcon.example"},
			{free, "deal_from_notes", "owner", "omar", nil, "Omar Nasser, Omar Khalid"},
			{held, "deal_from_notes", "owner", "", nil, "Sara Haddad"},
			{free, "deal_from_email", "sourceField", "p", nil, "Purchase order, Site phone, Tender document, Partner"},
			{free, "deal_from_email", "email", "x", nil, ""},
			{free, "deal_from_email", "nothing", "x", nil, ""},
			{free, "nothing", "pipeline", "", nil, ""},
		} {
			var req mcp.CompleteRequest
			req.Params.Ref = mcp.PromptReference{Type: "ref/prompt", Name: test.prompt}
			req.Params.Argument = mcp.CompleteArgument{Name: test.arg, Value: test.word}
			req.Params.Context.Arguments = test.given
			r, err := test.c.Complete(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(r.Completion.Values, ", "); got != test.want {
				t.Errorf("%s: %s.%s %q = %q, want %q", revision, test.prompt, test.arg, test.word, got, test.want)
			}
		}
	}
}

// TestTemplatesNameTools holds that what the templates and the Skill call tools and arguments are some.
func TestTemplatesNameTools(t *testing.T) {
	t.Parallel()
	_, client := sandboxed(t)
	s, err := tools.NewServer(tools.Deps{Heffl: client})
	if err != nil {
		t.Fatal(err)
	}
	arguments := map[string]map[string]bool{} // by tool
	schemas := ""
	for name, tool := range s.ListTools() {
		var in struct{ Properties map[string]json.RawMessage }
		if err := json.Unmarshal(tool.Tool.RawInputSchema, &in); err != nil {
			t.Fatal(err)
		}
		arguments[name] = map[string]bool{}
		schemas += string(tool.Tool.RawInputSchema) + string(tool.Tool.RawOutputSchema)
		for property := range in.Properties {
			arguments[name][property] = true
		}
	}
	for _, name := range toolNames {
		if arguments[name] == nil {
			t.Errorf("templates may ask for the tool %s, which there is not", name)
		}
	}
	known := []string{"price_change"} // what has an underscore and is no tool
	for _, p := range all {
		known = append(known, p.Name)
	}
	snake := regexp.MustCompile(`\b[a-z]+_[a-z_]+\b`)
	item := regexp.MustCompile(`(?m)^- ([a-z][A-Za-z]+(?:, [a-z][A-Za-z]+)*):`)
	camel := regexp.MustCompile(`\b[a-z]+(?:[A-Z][a-z]+)+\b`)
	skill := read(t, "../skills/deal-from-email/SKILL.md")
	texts := map[string]string{"skills/deal-from-email/SKILL.md": skill}
	for _, file := range files(t, "*.md") {
		texts[file] = read(t, file)
	}
	for file, text := range texts {
		for _, word := range snake.FindAllString(text, -1) {
			if arguments[word] == nil && !slices.Contains(known, word) && !strings.HasPrefix(word, "cf_") {
				t.Errorf("%s names %s, which is no tool", file, word)
			}
		}
		for _, m := range item.FindAllStringSubmatch(text, -1) {
			for _, name := range strings.Split(m[1], ", ") {
				if !arguments["create_deal"][name] {
					t.Errorf("%s names %s, which is no argument of create_deal", file, name)
				}
			}
		}
		for _, word := range camel.FindAllString(regexp.MustCompile(`\{\{.*?\}\}`).ReplaceAllString(text, ""), -1) {
			if !strings.Contains(schemas, `"`+word+`"`) {
				t.Errorf("%s names %s, which is no argument, result or choice of any tool", file, word)
			}
		}
	}
	front := regexp.MustCompile(`(?s)^---\nname: ([a-z0-9-]+)\ndescription: ([^\n]{40,})\n---\n`).FindStringSubmatch(skill)
	if front == nil || front[1] != "deal-from-email" || len(front[2]) > 1024 || strings.ContainsAny(front[2], "<>") || strings.Contains(front[2], ": ") {
		t.Errorf("the Skill's front matter is not a name, that of its folder, and a description: %q", front)
	}
	for tool := range arguments {
		if tool == "find_deals" || tool == "update_deal" || tool == "create_task" {
			continue
		}
		if !strings.Contains(skill, "`"+tool+"`") {
			t.Errorf("the Skill does not name %s", tool)
		}
	}
	for _, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(skill, -1) {
		var given map[string]any
		if err := json.Unmarshal([]byte(m[1]), &given); err != nil {
			t.Fatal(err)
		}
		for name := range given {
			if !arguments["create_deal"][name] && name != "Seats" && name != "Modules" {
				t.Errorf("the Skill's example gives %s", name)
			}
		}
		sb, client := sandboxed(t)
		c := serve(t, tools.Deps{Heffl: client}, modern)
		before := len(sb.Deals())
		var req mcp.CallToolRequest
		req.Params.Name, req.Params.Arguments = "create_deal", json.RawMessage(m[1])
		if r, err := c.CallTool(t.Context(), req); err != nil || r.IsError || len(sb.Deals()) != before+1 {
			t.Errorf("the Skill's example makes no deal in the sandbox: %+v, %v", r, err)
		}
	}
}
