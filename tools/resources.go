package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"heffl-mcp/heffl"
	"heffl-mcp/journal"
	"heffl-mcp/workspace"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// A resource is what a client can read without a model's asking. It goes with a tool that shows the same, and is
// there only where that is served.
type resource struct {
	uri   string // or a template with one variable, {id}
	name  string
	title string
	about string
	with  string         // the tool
	kind  workspace.Kind // of what a template's id names; empty: it is no template
	read  func(ctx context.Context, c *call, id string) (json.RawMessage, error)
}

// resources are all of them, in the order in which they are listed.
var resources = []resource{
	{
		uri: "heffl://workspace", name: "workspace", title: "Workspace",
		about: "Pipelines with stages, users, sources, tags, products and custom fields of deals, up to 100 of each: what describe_workspace shows.",
		with:  describeWorkspace.Name, read: readWorkspace,
	},
	{
		uri: "heffl://journal", name: "journal", title: "Journal",
		about: "What this server has made or tried to make with the same Heffl key, the newest 50.",
		with:  findDeals.Name, read: readJournal,
	},
	{
		uri: "heffl://pipelines/{id}", name: "pipeline", title: "Pipeline",
		about: "One pipeline, by name or ID, with its stages and the custom fields of its deals.",
		with:  describeWorkspace.Name, kind: workspace.Pipeline, read: readPipeline,
	},
	{
		uri: "heffl://deals/{id}", name: "deal", title: "Deal",
		about: "One deal with all that it has, by ID, number or title.",
		with:  findDeals.Name, kind: workspace.Deal, read: readOneDeal,
	},
}

// addResources serves those that go with the tools that are served.
func (s *Server) addResources(d *Deps) {
	for _, r := range resources {
		switch {
		case !d.serves(r.with) || r.name == "journal" && d.Journal == nil:
		case r.kind == "":
			s.AddResource(mcp.NewResource(r.uri, r.name, mcp.WithResourceTitle(r.title), mcp.WithResourceDescription(r.about), mcp.WithMIMEType("application/json")), r.handler(d, s.refresh))
		default:
			s.AddResourceTemplate(mcp.NewResourceTemplate(r.uri, r.name, mcp.WithTemplateTitle(r.title), mcp.WithTemplateDescription(r.about), mcp.WithTemplateMIMEType("application/json")),
				server.ResourceTemplateHandlerFunc(r.handler(d, s.refresh)))
		}
	}
}

// handler reads a resource for whoever asks, with their own key. It calls after when it has.
func (r resource) handler(d *Deps, after func()) server.ResourceHandlerFunc {
	return func(ctx context.Context, req mcp.ReadResourceRequest) (contents []mcp.ResourceContents, err error) {
		who, began := d.caller(ctx), time.Now()
		c := &call{Deps: d.callers.of(who.Key), tool: r.with, tell: func(time.Duration) {}}
		defer func() {
			if p := recover(); p != nil {
				d.Log.ErrorContext(ctx, "reading a resource panicked", "resource", r.name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				contents, err = nil, errors.New("failed inside heffl-mcp; its log has the cause")
			}
			after()
			d.Log.LogAttrs(ctx, slog.LevelInfo, "resource read", slog.String("resource", r.name), slog.Bool("ok", err == nil),
				slog.String("caller", who.Name), slog.Duration("took", time.Since(began)))
		}()
		ctx, cancel := context.WithTimeout(ctx, d.Deadline)
		defer cancel()
		text, err := r.read(ctx, c, variable(req.Params.Arguments["id"]))
		if err != nil {
			return nil, errors.New(c.Heffl.Redact(bounded(r.unread(c, err)))) // the MCP library makes a JSON-RPC error of it
		}
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: req.Params.URI, MIMEType: "application/json", Text: c.Heffl.Redact(string(text))}}, nil
	}
}

// unread says why a resource could not be read.
func (r resource) unread(c *call, err error) string {
	if u, ok := errors.AsType[*workspace.UnresolvedError](err); ok {
		return r.uri + ": " + (&reading{call: c}).unresolved(u)
	}
	return r.uri + ": " + explain(err).text
}

// variable is the value of a template's variable, as the MCP library hands it over.
func variable(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []string:
		if len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

func readWorkspace(ctx context.Context, c *call, _ string) (json.RawMessage, error) {
	a, err := runDescribeWorkspace(ctx, c, DescribeArgs{Limit: workspace.MaxSuggestions})
	if err != nil {
		return nil, err
	}
	return a.structured, nil
}

// A pipelineShown is a pipeline with the custom fields that its deals can have.
type pipelineShown struct {
	PipelineRow
	CustomFields []FieldRow `json:"customFields"`
}

func readPipeline(ctx context.Context, c *call, id string) (json.RawMessage, error) {
	m, err := c.Workspace.Resolve(ctx, workspace.Pipeline, id, workspace.Scope{})
	if err != nil {
		return nil, err
	}
	list, err := c.Workspace.Pipelines(ctx)
	if err != nil {
		return nil, err
	}
	shown := pipelineShown{PipelineRow: PipelineRow{NamedRow: NamedRow{ID: m.ID}}, CustomFields: []FieldRow{}}
	there := false
	for _, p := range list.Items {
		if p.ID == m.ID {
			shown.PipelineRow, _, _ = pipelineRow(p)
			there = true
		}
	}
	if !there {
		return nil, &failure{outcome: invalid, text: "there is no pipeline " + m.ID + "; heffl://workspace lists those there are"}
	}
	fields, err := c.Workspace.Fields(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	for _, f := range fields.Items {
		shown.CustomFields = append(shown.CustomFields, rowOfField(f))
	}
	return encoded(shown), nil
}

func readOneDeal(ctx context.Context, c *call, id string) (json.RawMessage, error) {
	m, err := c.Workspace.Resolve(ctx, workspace.Deal, id, workspace.Scope{})
	if err != nil {
		return nil, err
	}
	deal, err := c.readDeal(ctx, m.ID)
	if e, ok := errors.AsType[*heffl.Error](err); ok && e.Status == http.StatusNotFound {
		return nil, &failure{outcome: invalid, text: "there is no deal " + m.ID + "; its number or title is good too"}
	}
	if err != nil {
		return nil, err
	}
	return deal.JSON(), nil
}

// A journalRow is what this server has made, or has tried to make.
type journalRow struct {
	When    time.Time       `json:"when"`
	What    string          `json:"what"` // "deal", "contact", "company" or "task"
	Title   string          `json:"title"`
	ID      string          `json:"id,omitempty"` // of what was made
	Outcome string          `json:"outcome"`      // as heffl-mcp/outcome, or "under way"
	Source  json.RawMessage `json:"source,omitempty"`
}

// journalRows bounds how many rows of the journal are shown.
const journalRows = 50

// readJournal shows the records of the caller's own key, and of nobody else's.
func readJournal(ctx context.Context, c *call, _ string) (json.RawMessage, error) {
	records, err := c.Journal.List(ctx, journal.Filter{Tenant: c.Tenant, Limit: journalRows})
	if err != nil {
		return nil, fmt.Errorf("the journal cannot be read: %w", err)
	}
	rows := []journalRow{}
	for _, rec := range records {
		var was struct {
			What, Title string
			Source      json.RawMessage
		}
		_ = json.Unmarshal(rec.About, &was) // whatever wrote it, the rest of the row stands
		rows = append(rows, journalRow{When: rec.Created, What: was.What, Title: was.Title, ID: rec.Ref, Outcome: OutcomeOf(rec, time.Now()), Source: was.Source})
	}
	return encoded(map[string]any{"made": rows}), nil
}

// OutcomeOf is how far a record has come at a time, in the words of a call's result.
func OutcomeOf(r journal.Record, now time.Time) string {
	switch {
	case r.State == journal.StateDone:
		return r.How
	case r.State == journal.StateOpen && r.Held(now):
		return "under way"
	case r.State == journal.StateOpen:
		return string(journal.StateUnclear)
	case r.State == journal.StateRefused:
		for _, far := range []string{neverSent, notMade} {
			if bytes.HasPrefix(r.Outcome, []byte(far)) {
				return strings.TrimSuffix(far, ": ")
			}
		}
	}
	return string(r.State)
}

// CompleteResourceArgument suggests what a template's id can be.
func (s *Server) CompleteResourceArgument(ctx context.Context, uri string, argument mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	for _, r := range resources {
		if r.uri == uri && r.kind != "" && argument.Name == "id" && s.deps.serves(r.with) {
			return s.Suggest(ctx, r.kind, argument.Value, workspace.Scope{})
		}
	}
	return nil, nil //nolint:nilnil // the MCP library makes no completions of it
}

// Suggest is a completion of what was typed of a thing, for whoever asks, with their own key. What cannot be looked up
// completes nothing: an error would be in a user's way.
func (s *Server) Suggest(ctx context.Context, kind workspace.Kind, typed string, scope workspace.Scope) (_ *mcp.Completion, err error) {
	who := s.deps.caller(ctx)
	d := s.deps.callers.of(who.Key)
	defer func() {
		if p := recover(); p != nil {
			d.Log.ErrorContext(ctx, "completing panicked", "kind", string(kind), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errors.New("failed inside heffl-mcp; its log has the cause")
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, min(d.Deadline, patience))
	defer cancel()
	words, more, err := d.Workspace.Suggest(ctx, kind, typed, scope)
	if err != nil {
		d.Log.DebugContext(ctx, "nothing could be suggested", "kind", string(kind), "error", err)
		return &mcp.Completion{Values: []string{}}, nil
	}
	for i, word := range words {
		words[i] = d.Heffl.Redact(word)
	}
	return &mcp.Completion{Values: words, Total: len(words), HasMore: more}, nil
}

// patience is how long somebody who types waits for suggestions.
const patience = 5 * time.Second
