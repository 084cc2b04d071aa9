// Package prompts is what a user can start from: one Markdown template a prompt, that tells a model what to take from a
// message and how to make of it the right deal with the tools of package tools. [Add] serves them.
//
//	prompts.Add(server, prompts.Deps{Caller: callerOf, Suggest: suggest})
//
// What a prompt brings along of a message or of the workspace is data that others wrote: it stands in fences that it cannot
// close, and the prompt says that nothing in them is to be obeyed.
package prompts

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"heffl-mcp/template"
	"heffl-mcp/workspace"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// Deps is what prompts are made from. What is zero means its default.
type Deps struct {
	// Caller says who asks, and what there is for them. It is asked again for each prompt.
	Caller func(context.Context) Caller
	// Suggest completes what was typed of a thing, for whoever asks. Nil: nothing is suggested.
	Suggest  func(ctx context.Context, kind workspace.Kind, typed string, scope workspace.Scope) (*mcp.Completion, error)
	Log      *slog.Logger     // nil means none
	Deadline time.Duration    // for reading the workspace; 5 s, and no more
	Zone     *time.Location   // where today is; nil means UTC
	Now      func() time.Time // nil means time.Now
}

// A Caller is who asks for a prompt.
type Caller struct {
	Workspace *workspace.Workspace // what their key can see
	Serves    func(tool string) bool
	// Allowed are the IDs of the pipelines, or users, that tools may work with when they write; nil means all.
	Allowed func(context.Context, workspace.Kind) ([]string, error)
}

// A prompt is one page for a model: a template of its name, and what a user gives.
type prompt struct {
	Name      string
	Title     string
	About     string   // for people, who choose it
	With      []string // it is there if one of these tools is
	Arguments []argument
	Blocks    func(given map[string]string) ([]*block, []string) // the data that it is about, and what was dropped of it
}

// An argument is what a user gives to a prompt.
type argument struct {
	Name     string
	Title    string
	About    string
	Required bool
	Kind     workspace.Kind // what it names, and is completed from; empty: it is free text
	Number   bool           // it is a whole number, 1 or more
}

// Arguments that several prompts have.
var (
	pipeline = argument{Name: "pipeline", Title: "Pipeline", About: "Where the deal belongs, if you know: name or ID", Kind: workspace.Pipeline}
	stage    = argument{Name: "stage", Title: "Stage", About: "A stage of that pipeline, if you know: name or ID", Kind: workspace.Stage}
	client   = argument{Name: "client", Title: "Client", About: "Who the deal is with, if you know: name, e-mail or ID", Kind: workspace.Client}
	owner    = argument{Name: "owner", Title: "Owner", About: "Who looks after the deal, if you know: name, e-mail or ID", Kind: workspace.User}
	source   = argument{Name: "sourceField", Title: "Field for the source", About: "A custom field of deals that is to hold where the deal came from: label or key", Kind: workspace.CustomField}
)

// all is every prompt.
var all = []prompt{
	{
		Name: "deal_from_email", Title: "Deal from e-mail",
		About: "Make a deal of an e-mail: paste its text, or the whole of it as it is (.eml).",
		With:  []string{"create_deal", "preview_deal"},
		Arguments: []argument{
			{Name: "email", Title: "E-mail", About: "The text of the e-mail, or all of it with its header (.eml)", Required: true},
			pipeline, stage, client, owner, source,
		},
		Blocks: func(given map[string]string) ([]*block, []string) { return readLetter(given["email"]).blocks() },
	},
	{
		Name: "deal_from_chat", Title: "Deal from chat",
		About: "Make a deal of a chat (WhatsApp, Slack, Teams, a website's): paste the messages.",
		With:  []string{"create_deal", "preview_deal"},
		Arguments: []argument{
			{Name: "chat", Title: "Chat", About: "The messages, the oldest first, with who wrote them", Required: true},
			pipeline, stage, client, owner, source,
		},
		Blocks: func(given map[string]string) ([]*block, []string) { return plainBlock("CHAT", given["chat"]) },
	},
	{
		Name: "deal_from_notes", Title: "Deal from call notes",
		About: "Make a deal of the notes of a call or a meeting.",
		With:  []string{"create_deal", "preview_deal"},
		Arguments: []argument{
			{Name: "notes", Title: "Notes", About: "The notes, in any form", Required: true},
			pipeline, stage, client, owner, source,
		},
		Blocks: func(given map[string]string) ([]*block, []string) { return plainBlock("NOTES", given["notes"]) },
	},
	{
		Name: "pipeline_review", Title: "Pipeline review",
		About: "Go through open deals and say in words which of them stall, and what to do next.",
		With:  []string{"find_deals"},
		Arguments: []argument{
			{Name: "pipeline", Title: "Pipeline", About: "Only deals of this one: name or ID", Kind: workspace.Pipeline},
			{Name: "owner", Title: "Owner", About: "Only deals of this user: name, e-mail or ID", Kind: workspace.User},
			{Name: "days", Title: "Days", About: "How old an open deal may be before it is looked at: a number (30)", Number: true},
		},
	},
}

//go:embed *.md
var pages embed.FS

// templates are parsed when the first prompt is asked for: most servers that start are not.
var templates = sync.OnceValues(func() (template.Pages, error) { return template.Parse(pages, "*.md") })

// Add serves the prompts with a server, and completes their arguments. Tools says which tools are served at all.
func Add(s *server.MCPServer, tools func(name string) bool, d Deps) {
	d.Deadline = min(cmp.Or(d.Deadline, patience), patience)
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Zone == nil {
		d.Zone = time.UTC
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	there := map[string]prompt{}
	server.WithPromptCapabilities(false)(s)
	for _, p := range all {
		if !slices.ContainsFunc(p.With, tools) {
			continue
		}
		there[p.Name] = p
		advertised := mcp.Prompt{Name: p.Name, Title: p.Title, Description: p.About}
		for _, a := range p.Arguments {
			advertised.Arguments = append(advertised.Arguments, mcp.PromptArgument{Name: a.Name, Title: a.Title, Description: a.About, Required: a.Required})
		}
		s.AddPrompt(advertised, p.handler(&d))
	}
	server.WithCompletions()(s)
	server.WithPromptCompletionProvider(&completer{&d, there})(s)
}

// patience is how long a user waits for a prompt, or for a suggestion.
const patience = 5 * time.Second

// maxGiven bounds the text of an argument, in bytes, and that of one that names something, in characters.
const (
	maxGiven = 2 << 20
	maxName  = 300
)

// handler makes the prompt for whoever asks.
func (p prompt) handler(d *Deps) server.PromptHandlerFunc {
	return func(ctx context.Context, req mcp.GetPromptRequest) (r *mcp.GetPromptResult, err error) {
		began := time.Now()
		defer func() {
			if v := recover(); v != nil {
				d.Log.ErrorContext(ctx, "making a prompt panicked", "prompt", p.Name, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
				r, err = nil, errors.New("failed inside heffl-mcp; its log has the cause")
			}
			d.Log.LogAttrs(ctx, slog.LevelInfo, "prompt made", slog.String("prompt", p.Name), slog.Bool("ok", err == nil), slog.Duration("took", time.Since(began)))
		}()
		ctx, cancel := context.WithTimeout(ctx, d.Deadline)
		defer cancel()
		text, err := p.render(ctx, d, req.Params.Arguments)
		if err != nil {
			return nil, err
		}
		return &mcp.GetPromptResult{Description: p.About, Messages: []mcp.PromptMessage{mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent(text))}}, nil
	}
}

// view is what a template has.
type view struct {
	Today   string
	Code    string // of the fences
	Given   []choice
	Source  string // the field for the source, quoted; empty: none
	Days    int
	Blocks  []*block // the message, first
	Dropped string   // what of it is not there, in words; empty: nothing
	Here    *block   // the workspace; nil: it could not be read
	Has     map[string]bool
}

// A choice is what the user has chosen beforehand, for an argument of the tools.
type choice struct{ Argument, Value string }

// toolArgument is what a tool calls what a user gives.
var toolArgument = map[string]string{"pipeline": "pipelineId", "stage": "stageId", "client": "clientId", "owner": "ownerUserId"}

// The tools that templates ask for.
var toolNames = []string{"create_deal", "preview_deal", "find_clients", "create_client", "find_deals", "update_deal", "describe_workspace", "create_task"}

func (p prompt) render(ctx context.Context, d *Deps, given map[string]string) (string, error) {
	if err := p.check(given); err != nil {
		return "", err
	}
	who := d.Caller(ctx)
	v := view{Today: d.Now().In(d.Zone).Format("Monday, 2 January 2006"), Days: 30, Has: map[string]bool{}}
	for _, name := range toolNames {
		v.Has[name] = who.Serves(name)
	}
	if !slices.ContainsFunc(p.With, who.Serves) {
		return "", fmt.Errorf("%s: you may use none of the tools that it is for: %s", p.Name, strings.Join(p.With, ", "))
	}
	if n, err := strconv.Atoi(strings.TrimSpace(given["days"])); err == nil {
		v.Days = n
	}
	desk := &desk{who: who}
	for _, a := range p.Arguments {
		value := oneLine(given[a.Name])
		if a.Kind == "" || value == "" {
			continue
		}
		if err := desk.hold(ctx, a, value); err != nil {
			return "", fmt.Errorf("%s: %w", p.Name, err)
		}
		if a.Name == source.Name {
			v.Source = strconv.Quote(value)
			continue
		}
		v.Given = append(v.Given, choice{toolArgument[a.Name], strconv.Quote(value)})
	}
	if p.Blocks != nil {
		var dropped []string
		v.Blocks, dropped = p.Blocks(given)
		v.Dropped = strings.Join(dropped, "; ")
		v.Here = desk.describe(ctx)
	}
	fenced := v.Blocks
	if v.Here != nil {
		fenced = append(slices.Clone(fenced), v.Here)
	}
	v.Code = fence(fenced...)
	t, err := templates()
	if err != nil {
		return "", err
	}
	text, err := t.Fill(p.Name+".md", v)
	return strings.TrimSpace(text) + "\n", err
}

// check says what is wrong with what was given, all at once.
func (p prompt) check(given map[string]string) error {
	var wrong []string
	var names []string
	for _, a := range p.Arguments {
		names = append(names, a.Name)
		value := given[a.Name]
		switch {
		case a.Required && strings.TrimSpace(value) == "":
			wrong = append(wrong, a.Name+": missing; give "+strings.ToLower(a.About[:1])+a.About[1:])
		case len(value) > maxGiven:
			wrong = append(wrong, fmt.Sprintf("%s: longer than %d bytes", a.Name, maxGiven))
		case a.Kind != "" && len([]rune(value)) > maxName:
			wrong = append(wrong, fmt.Sprintf("%s: longer than %d characters", a.Name, maxName))
		case a.Number && strings.TrimSpace(value) != "":
			if n, err := strconv.Atoi(strings.TrimSpace(value)); err != nil || n < 1 || n > 3650 {
				wrong = append(wrong, a.Name+": want a whole number from 1 to 3650")
			}
		}
	}
	for name := range given {
		if !slices.Contains(names, name) {
			wrong = append(wrong, fmt.Sprintf("unknown argument %q; there are %s", cut(oneLine(name), 40), strings.Join(names, ", ")))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("%s: %s", p.Name, strings.Join(wrong, "; "))
}

// maxText is how much of a message's own text is shown, and maxQuoted of what it repeats, in characters.
const (
	maxText   = 40_000
	maxQuoted = 12_000
)

// blocks are the parts of an e-mail, each in a fence of its own.
func (l letter) blocks() (blocks []*block, dropped []string) {
	dropped = l.dropped
	unseen := 0
	add := func(label, text string, limit int) {
		long := len(text) > 8*limit // much more than is shown, whatever it consists of
		if long {
			text = strings.ToValidUTF8(text[:8*limit], "")
		}
		text, n := visible(tidy(text))
		unseen += n
		if text == "" {
			return
		}
		if short := cut(text, limit); short != text || long {
			dropped = append(dropped, fmt.Sprintf("the end of the part %s, after %d characters", label, limit))
			text = short
		}
		blocks = append(blocks, &block{Label: label, text: text})
	}
	add("HEADER", l.header, maxText)
	add("TEXT", l.text, maxText)
	add("SIGNATURE", l.signature, maxQuoted)
	add("EARLIER MESSAGES", l.quoted, maxQuoted)
	if unseen > 0 {
		dropped = append(dropped, counted(unseen, "character")+" that nobody sees")
	}
	return blocks, dropped
}

// plainBlock is a text that is one piece.
func plainBlock(label, text string) ([]*block, []string) {
	blocks, dropped := letter{text: text}.blocks()
	for _, b := range blocks {
		b.Label = label
	}
	for i := range dropped {
		dropped[i] = strings.ReplaceAll(dropped[i], "the part TEXT", "the part "+label)
	}
	return blocks, dropped
}
