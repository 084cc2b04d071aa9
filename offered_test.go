package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
	mcpgotypes "github.com/mark3labs/mcp-go/mcp"
	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// An offer is what a server has beside tools, as a client sees it.
type offer struct {
	instructions string
	prompts      []string
	resources    []string
	templates    []string
	prompt       string            // deal_from_email of an example
	read         map[string]string // resources, by URI
	stages       []string          // completed for a prompt, after a pipeline
	deals        []string          // and for a template
}

var offeredURIs = []string{"heffl://workspace", "heffl://pipelines/Enterprise", "heffl://deals/dl_alnoor_rollout", "heffl://journal"}

const offeredStage, offeredDeal = "con", "noor"

// offered asks for all of it, in the client's own way.
func offered(ctx context.Context, t *testing.T, s session, email string) (o offer, err error) {
	t.Helper()
	o.read = map[string]string{}
	given := map[string]string{"pipeline": "Enterprise"}
	switch s := s.(type) {
	case goSDK:
		o.instructions = s.InitializeResult().Instructions
		prompts, err := s.ListPrompts(ctx, nil)
		if err != nil {
			return o, err
		}
		for _, p := range prompts.Prompts {
			o.prompts = append(o.prompts, p.Name)
		}
		resources, err := s.ListResources(ctx, nil)
		if err != nil {
			return o, err
		}
		for _, r := range resources.Resources {
			o.resources = append(o.resources, r.URI)
		}
		templates, err := s.ListResourceTemplates(ctx, nil)
		if err != nil {
			return o, err
		}
		for _, r := range templates.ResourceTemplates {
			o.templates = append(o.templates, r.URITemplate)
		}
		got, err := s.GetPrompt(ctx, &gosdk.GetPromptParams{Name: "deal_from_email", Arguments: map[string]string{"email": email}})
		if err != nil {
			return o, err
		}
		o.prompt = got.Messages[0].Content.(*gosdk.TextContent).Text
		for _, uri := range offeredURIs {
			r, err := s.ReadResource(ctx, &gosdk.ReadResourceParams{URI: uri})
			if err != nil {
				return o, err
			}
			o.read[uri] = r.Contents[0].Text
		}
		stages, err := s.Complete(ctx, &gosdk.CompleteParams{Ref: &gosdk.CompleteReference{Type: "ref/prompt", Name: "deal_from_email"}, Argument: gosdk.CompleteParamsArgument{Name: "stage", Value: offeredStage}, Context: &gosdk.CompleteContext{Arguments: given}})
		if err != nil {
			return o, err
		}
		deals, err := s.Complete(ctx, &gosdk.CompleteParams{Ref: &gosdk.CompleteReference{Type: "ref/resource", URI: "heffl://deals/{id}"}, Argument: gosdk.CompleteParamsArgument{Name: "id", Value: offeredDeal}})
		if err != nil {
			return o, err
		}
		o.stages, o.deals = stages.Completion.Values, deals.Completion.Values
		return o, nil
	case mcpGo:
		prompts, err := s.ListPrompts(ctx, mcpgotypes.ListPromptsRequest{})
		if err != nil {
			return o, err
		}
		for _, p := range prompts.Prompts {
			o.prompts = append(o.prompts, p.Name)
		}
		resources, err := s.ListResources(ctx, mcpgotypes.ListResourcesRequest{})
		if err != nil {
			return o, err
		}
		for _, r := range resources.Resources {
			o.resources = append(o.resources, r.URI)
		}
		templates, err := s.ListResourceTemplates(ctx, mcpgotypes.ListResourceTemplatesRequest{})
		if err != nil {
			return o, err
		}
		for _, r := range templates.ResourceTemplates {
			o.templates = append(o.templates, r.URITemplate.Raw())
		}
		var ask mcpgotypes.GetPromptRequest
		ask.Params.Name, ask.Params.Arguments = "deal_from_email", map[string]string{"email": email}
		got, err := s.GetPrompt(ctx, ask)
		if err != nil {
			return o, err
		}
		text, _ := mcpgotypes.AsTextContent(got.Messages[0].Content)
		o.prompt = text.Text
		for _, uri := range offeredURIs {
			var read mcpgotypes.ReadResourceRequest
			read.Params.URI = uri
			r, err := s.ReadResource(ctx, read)
			if err != nil {
				return o, err
			}
			text, _ := mcpgotypes.AsTextResourceContents(r.Contents[0])
			o.read[uri] = text.Text
		}
		var complete mcpgotypes.CompleteRequest
		complete.Params.Ref, complete.Params.Argument = mcpgotypes.PromptReference{Type: "ref/prompt", Name: "deal_from_email"}, mcpgotypes.CompleteArgument{Name: "stage", Value: offeredStage}
		complete.Params.Context.Arguments = given
		stages, err := s.Complete(ctx, complete)
		if err != nil {
			return o, err
		}
		complete.Params.Ref, complete.Params.Argument = mcpgotypes.ResourceReference{Type: "ref/resource", URI: "heffl://deals/{id}"}, mcpgotypes.CompleteArgument{Name: "id", Value: offeredDeal}
		deals, err := s.Complete(ctx, complete)
		if err != nil {
			return o, err
		}
		o.stages, o.deals = stages.Completion.Values, deals.Completion.Values
		return o, nil
	}
	return o, fmt.Errorf("no such client: %T", s)
}

// TestOffered has clients of others ask the program as it is installed for its prompts, resources and completions, over
// each transport and in each era: all see the same.
func TestOffered(t *testing.T) {
	t.Parallel()
	email := string(read(t, "examples/emails/enquiry.eml"))
	date := regexp.MustCompile(`Today is [^.]*\.`)
	want := date.ReplaceAllString(string(read(t, "prompts/testdata/enquiry.md")), "")
	for _, c := range []struct {
		client, transport, revision string
		dial                        dialer
	}{
		{"go-sdk", "stdio", modern, dialGoSDK}, {"go-sdk", "stdio", legacy, dialGoSDK},
		{"go-sdk", "http", modern, dialGoSDK}, {"go-sdk", "http", legacy, dialGoSDK},
		{"go-sdk", "sse", modern, dialGoSDK}, {"go-sdk", "sse", legacy, dialGoSDK},
		{"mcp-go", "stdio", modern, dialMCPGo}, {"mcp-go", "stdio", legacy, dialMCPGo},
		{"mcp-go", "http", modern, dialMCPGo}, {"mcp-go", "http", legacy, dialMCPGo},
		{"mcp-go", "sse", legacy, dialMCPGo},
	} {
		t.Run(fmt.Sprintf("%s/%s/%s", c.client, c.transport, c.revision), func(t *testing.T) {
			t.Parallel()
			ctx := bounded(t)
			at, _ := placeOf(t, c.transport, upstream(t, newSandbox(t, sandbox.Options{})))
			s, err := c.dial(ctx, c.revision, at)
			if err != nil {
				t.Fatal(err)
			}
			got, err := offered(ctx, t, s, email)
			if err != nil {
				t.Fatal(err)
			}
			if c.client == "go-sdk" && !strings.Contains(got.instructions, "create_deal. After a time-out") {
				t.Errorf("instructions = %q", got.instructions)
			}
			if diff := cmp.Diff(want, date.ReplaceAllString(got.prompt, "")); diff != "" {
				t.Errorf("prompts/get (-want +got):\n%s", diff)
			}
			for what, pair := range map[string][2]string{
				"prompts/list":             {strings.Join(got.prompts, " "), "deal_from_chat deal_from_email deal_from_notes pipeline_review"},
				"resources/list":           {strings.Join(got.resources, " "), "heffl://journal heffl://workspace"},
				"resources/templates/list": {strings.Join(got.templates, " "), "heffl://deals/{id} heffl://pipelines/{id}"},
				"completion of a stage":    {strings.Join(got.stages, " "), "Contract"},
				"completion of a deal":     {strings.Join(got.deals, " "), "DEAL003"},
				"the journal":              {got.read["heffl://journal"], `{"made":[]}`},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s = %q, want %q", what, pair[0], pair[1])
				}
			}
			for uri, holds := range map[string]string{
				"heffl://workspace": `"id":"dpl_sales"`, "heffl://pipelines/Enterprise": `"id":"dpl_enterprise"`, "heffl://deals/dl_alnoor_rollout": `"title":"Al Noor rollout"`,
			} {
				if text := got.read[uri]; !json.Valid([]byte(text)) || !strings.Contains(text, holds) {
					t.Errorf("%s = %s, want JSON with %s", uri, text, holds)
				}
			}
			if err := s.close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// TestREADMEOffers holds that the README's section on prompts and resources shows what the program answers with: each
// line of an answer is there, after the one before; "..." stands for any lines.
func TestREADMEOffers(t *testing.T) {
	t.Parallel()
	all := blocks(t, "README.md", "console")
	section := all[slices.IndexFunc(all, func(block string) bool { return strings.HasPrefix(block, "prompts/") })]
	_, s := startStdio(t, []string{"HEFFL_SANDBOX=true"})
	asked := regexp.MustCompile(`^((?:prompts|resources|completion)/[a-z/]+)(?: (\{.*\}))?$`)
	var what string
	var rest []string // of the answer
	anywhere := false
	answers := 0
	for line := range strings.Lines(section) {
		line = strings.TrimSuffix(line, "\n")
		if m := asked.FindStringSubmatch(line); m != nil {
			if m[2] == "" {
				m[2] = "{}"
			}
			raw, err := s.request(bounded(t), m[1], json.RawMessage(m[2]))
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			what, rest, anywhere, answers = line, strings.Split(shown(t, raw), "\n"), true, answers+1
			continue
		}
		if strings.TrimSpace(line) == "..." {
			anywhere = true
			continue
		}
		i := slices.IndexFunc(rest, func(has string) bool { return strings.TrimSpace(has) == strings.TrimSpace(line) })
		if i < 0 || i > 0 && !anywhere {
			t.Errorf("%s: %q is not in the answer, or not there:\n%s", what, line, strings.Join(rest[:min(len(rest), 5)], "\n"))
			continue
		}
		rest, anywhere = rest[i+1:], false
	}
	if answers < 9 {
		t.Errorf("the section shows %d answers, want one of each kind", answers)
	}
	readme := string(read(t, "README.md"))
	raw := map[string]json.RawMessage{}
	for _, method := range []string{"prompts/list", "resources/list", "resources/templates/list"} {
		var err error
		if raw[method], err = s.request(bounded(t), method, struct{}{}); err != nil {
			t.Fatal(err)
		}
	}
	rows := regexp.MustCompile(`"name":"([a-z]+_[a-z_]+)"|"uri(?:Template)?":"([^"]+)"`)
	told := 0
	for _, list := range raw {
		for _, m := range rows.FindAllStringSubmatch(string(list), -1) {
			told++
			if row := "| `" + m[1] + m[2] + "` |"; !strings.Contains(readme, row) {
				t.Errorf("the README has no row %s", row)
			}
		}
	}
	if told != 8 {
		t.Errorf("%d prompts, resources and templates, want 8", told)
	}
}

// shown is a result as a reader wants it: the text of a prompt, the JSON of a resource with a member a line.
func shown(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var r struct {
		Messages []struct{ Content struct{ Text string } }
		Contents []struct{ Text string }
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	switch {
	case r.Messages != nil:
		return r.Messages[0].Content.Text
	case r.Contents != nil:
		raw = json.RawMessage(r.Contents[0].Text)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
