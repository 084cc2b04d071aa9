package tools

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heffl-mcp/heffl"
	"heffl-mcp/workspace"
)

// describe_workspace: the lists of reference data, https://docs.heffl.com/api-v2/id-prefixes, and
// of custom fields, https://docs.heffl.com/api-v2/custom-fields
var describeWorkspace = tool{
	Name:   "describe_workspace",
	Title:  "Describe the workspace",
	About:  "Show what there is for deals: all in one call, or the parts asked for. Pipelines come with stages.",
	Effect: ReadOnly,
	Args:   of[DescribeArgs](),
	Result: of[Description](),
	Run:    typed(runDescribeWorkspace),
}

// DescribeArgs say what of the workspace to show.
type DescribeArgs struct {
	Parts  []string `json:"parts,omitempty" jsonschema:"enum=pipelines,enum=users,enum=sources,enum=tags,enum=products,enum=customFields" jsonschema_extras:"x-aka=part sections include only what kinds entities"`
	Search string   `json:"search,omitempty" jsonschema_extras:"x-visible=true,x-aka=query q text name filter" jsonschema_description:"Only things whose name holds this"`
	Limit  int      `json:"limit,omitempty" jsonschema:"minimum=1,maximum=100,default=20" jsonschema_extras:"x-aka=pageSize perPage count max top first" jsonschema_description:"Per part"`
	Cursor string   `json:"cursor,omitempty" jsonschema_extras:"x-visible=true,x-aka=nextCursor page pageToken after offset"`
}

// Description is what the workspace has, of what can be used. A part that was not asked for, could
// not be read, or has been shown to its end is absent. The parts are not declared: their names are
// in the arguments' schema, and declaring them would cost a model more than all else of this tool.
type Description struct {
	Pipelines    []PipelineRow     `json:"pipelines,omitzero" jsonschema:"-"`
	Users        []UserRow         `json:"users,omitzero" jsonschema:"-"`
	Sources      []NamedRow        `json:"sources,omitzero" jsonschema:"-"`
	Tags         []NamedRow        `json:"tags,omitzero" jsonschema:"-"`
	Products     []ProductRow      `json:"products,omitzero" jsonschema:"-"`
	CustomFields []FieldRow        `json:"customFields,omitzero" jsonschema:"-"`
	More         map[string]int    `json:"more,omitempty"` // how many of a part come after these
	NextCursor   string            `json:"nextCursor,omitempty"`
	Unavailable  map[string]string `json:"unavailable,omitempty"` // why a part could not be read
}

// PipelineRow is a pipeline of deals.
type PipelineRow struct {
	NamedRow
	Stages []StageRow `json:"stages,omitzero"` // in their order; absent: not known
}

// StageRow is a stage of a pipeline.
type StageRow struct {
	NamedRow
	Type string `json:"type,omitempty"`
}

// UserRow is a user who is active.
type UserRow struct {
	NamedRow
	Email string `json:"email,omitempty"`
}

// ProductRow is a product that is sold.
type ProductRow struct {
	NamedRow
	SKU   string      `json:"sku,omitempty"`
	Price json.Number `json:"price,omitempty"`
}

// NamedRow is anything that has an ID.
type NamedRow struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// FieldRow is a custom field of deals.
type FieldRow struct {
	Key         string   `json:"key"`
	Label       string   `json:"label,omitempty"`
	Type        string   `json:"type,omitempty"`
	Options     []string `json:"options,omitempty"` // the labels of what it takes; none: anything
	MoreOptions int      `json:"moreOptions,omitempty"`
	Pipeline    string   `json:"pipeline,omitempty"` // the name of the one whose deals alone have it, or of several

	unused bool // it is of inactive pipelines only
}

// maxOptions bounds how many options of one custom field are shown.
const maxOptions = 20

func runDescribeWorkspace(ctx context.Context, c *call, args DescribeArgs) (*answer, error) {
	d := &describing{call: c, search: args.Search, holds: workspace.Holding(args.Search), limit: cmp.Or(args.Limit, 20)}
	parts := d.parts(args.Parts)
	if args.Cursor != "" && !d.goOn(args.Cursor, parts) {
		return nil, c.strayCursor()
	}
	var readers guardedGroup
	for _, p := range parts {
		readers.Go(func() { p.seen, p.err = p.read(ctx) })
	}
	readers.Wait()
	if !slices.ContainsFunc(parts, func(p *part) bool { return p.seen.read }) {
		return nil, parts[0].err
	}
	d.conclude(parts)
	return &answer{structured: encoded(d.result), text: d.inWords(parts), outcome: "read", meta: map[string]any{}}, nil
}

// describing is one call of describe_workspace.
type describing struct {
	*call
	search string
	holds  func(names ...string) bool
	from   int // how many things of each part were shown before
	limit  int
	result Description
}

// A part is one list of the description.
type part struct {
	name   string // in parts, and of its member in Description
	one    string // what one of it is called
	unused string // and one that is left out
	read   func(context.Context) (seen, error)
	seen   seen
	err    error // why it could not be read, or not all of it
}

// seen says what there is in a part.
type seen struct {
	read    bool // at least some of it
	all     int  // things that can be used and hold what is searched for
	shown   int
	unused  int  // things that hold it and are left out
	partial bool // there are more than are ever read
}

// parts are the lists that are asked for, or all of them.
func (d *describing) parts(names []string) []*part {
	w, to := d.Workspace, &d.result
	all := []*part{
		{name: "pipelines", one: "pipeline", unused: "inactive pipeline", read: show(d, w.Pipelines, pipelineRow, &to.Pipelines)},
		{name: "users", one: "user", unused: "inactive user", read: show(d, w.Users, userRow, &to.Users)},
		{name: "sources", one: "source", read: show(d, w.Sources, sourceRow, &to.Sources)},
		{name: "tags", one: "tag", unused: "non-deal tag", read: show(d, w.Tags, tagRow, &to.Tags)},
		{name: "products", one: "product", unused: "inactive product", read: show(d, w.Products, productRow, &to.Products)},
		{name: "customFields", one: "custom field", unused: "inactive custom field", read: show(d, d.dealFields, fieldRow, &to.CustomFields)},
	}
	if len(names) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(p *part) bool { return !slices.Contains(names, p.name) })
}

// show returns what reads a list and puts a page of what is searched for into rows. A row comes with
// whether its thing can be used, and what that is called. A list that comes with an error lacks
// something.
func show[T, R any](d *describing, list func(context.Context) (workspace.List[T], error), row func(T) (R, bool, []string), rows *[]R) func(context.Context) (seen, error) {
	return func(ctx context.Context) (seen, error) {
		l, err := list(ctx)
		if err != nil && len(l.Items) == 0 {
			return seen{}, err
		}
		s := seen{read: true, partial: l.Partial}
		page := []R{}
		for _, item := range l.Items {
			r, used, called := row(item)
			switch {
			case !d.holds(called...):
			case !used:
				s.unused++
			default:
				if s.all >= d.from && len(page) < d.limit {
					page = append(page, r)
				}
				s.all++
			}
		}
		s.shown = len(page)
		if d.from == 0 || s.shown > 0 {
			*rows = page
		}
		return s, err
	}
}

func pipelineRow(p heffl.Pipeline) (row PipelineRow, used bool, called []string) {
	row.NamedRow = NamedRow{p.ID, p.Name}
	called = []string{p.Name}
	if p.Stages != nil {
		row.Stages = []StageRow{}
	}
	for _, s := range p.Stages {
		row.Stages = append(row.Stages, StageRow{NamedRow{s.ID, s.Name}, s.Type})
		called = append(called, s.Name)
	}
	return row, p.Active, called
}

func userRow(u heffl.User) (row UserRow, used bool, called []string) {
	return UserRow{NamedRow{u.ID, u.Name}, u.Email}, u.Active, []string{u.Name, u.Email}
}

func sourceRow(s heffl.Source) (row NamedRow, used bool, called []string) {
	return NamedRow{s.ID, s.Name}, true, []string{s.Name}
}

func tagRow(t heffl.Tag) (row NamedRow, used bool, called []string) {
	return NamedRow{t.ID, t.Name}, t.Type == "" || t.Type == "deals", []string{t.Name}
}

func productRow(p heffl.Product) (row ProductRow, used bool, called []string) {
	return ProductRow{NamedRow{p.ID, p.Name}, p.SKU, p.Price}, p.Active, []string{p.Name, p.SKU}
}

func fieldRow(f FieldRow) (row FieldRow, used bool, called []string) {
	return f, !f.unused, []string{f.Label, f.Key}
}

// dealFields are the custom fields of all deals, then those that only deals of some pipelines have,
// each once. Where only these cannot be read, the others come with the error.
func (d *describing) dealFields(ctx context.Context) (workspace.List[FieldRow], error) {
	own, err := d.Workspace.Fields(ctx, "")
	if err != nil {
		return workspace.List[FieldRow]{}, err
	}
	others, err := d.Workspace.OtherFields(ctx, "")
	list := workspace.List[FieldRow]{Partial: own.Partial || others.Partial}
	all := slices.Concat(own.Items, others.Items)
	pipelines := d.activePipelines(ctx, all)
	told := map[string]bool{}
	for _, f := range all {
		if told[f.Key] {
			continue
		}
		told[f.Key] = true
		row := rowOfField(f)
		if f.Pipeline != "" {
			row.Pipeline = strings.Join(pipelines[f.Key], ", ")
			row.unused = row.Pipeline == ""
		}
		list.Items = append(list.Items, row)
	}
	return list, err
}

// activePipelines are the names of the pipelines that each field is of, by the field's key. One of
// which no more is known than its ID goes by that.
func (d *describing) activePipelines(ctx context.Context, fields []workspace.Field) map[string][]string {
	pipelines, _ := d.Workspace.Pipelines(ctx) // read a moment ago, or known to be out of reach
	names := map[string][]string{}
	for _, f := range fields {
		i := slices.IndexFunc(pipelines.Items, func(p heffl.Pipeline) bool { return p.ID == f.Pipeline })
		switch {
		case f.Pipeline == "":
		case i < 0:
			names[f.Key] = append(names[f.Key], f.Pipeline)
		case pipelines.Items[i].Active:
			names[f.Key] = append(names[f.Key], cmp.Or(pipelines.Items[i].Name, f.Pipeline))
		}
	}
	return names
}

func rowOfField(f workspace.Field) FieldRow {
	row := FieldRow{Key: f.Key, Label: f.Label, Type: f.Type, MoreOptions: max(0, len(f.Options)-maxOptions)}
	for _, o := range f.Options[:len(f.Options)-row.MoreOptions] {
		row.Options = append(row.Options, o.Label)
	}
	return row
}

// place is where a description goes on: an opaque cursor.
type place struct {
	Of   string `json:"of"`   // the parts and the search that it goes with, hashed
	From int    `json:"from"` // how many things of each part were shown
}

// of is what a cursor of this description goes with.
func (d *describing) of(parts []*part) string {
	names := []string{d.search}
	for _, p := range parts {
		names = append(names, p.name)
	}
	return hash(names...)
}

// goOn begins where a cursor says, and reports whether it is one of this description.
func (d *describing) goOn(cursor string, parts []*part) bool {
	var p place
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || json.Unmarshal(raw, &p) != nil || p.Of != d.of(parts) || p.From < 0 {
		return false
	}
	d.from = p.From
	return true
}

// conclude adds to the parts what is missing from them.
func (d *describing) conclude(parts []*part) {
	d.result.More, d.result.Unavailable = map[string]int{}, map[string]string{}
	for _, p := range parts {
		if more := p.seen.all - d.from - p.seen.shown; more > 0 {
			d.result.More[p.name] = more
		}
		if p.err != nil {
			d.result.Unavailable[p.name] = d.Heffl.Redact(whyNotRead(p))
		}
	}
	if len(d.result.More) > 0 {
		raw, _ := json.Marshal(place{d.of(parts), d.from + d.limit}) // a string and a number marshal
		d.result.NextCursor = base64.RawURLEncoding.EncodeToString(raw)
	}
}

func whyNotRead(p *part) string {
	err := p.err
	if lookup, ok := errors.AsType[*workspace.LookupError](err); ok {
		err = lookup.Err
	}
	if p.seen.read {
		return "only those of all deals could be read: " + reason(err)
	}
	return reason(err)
}

// inWords counts what there is, and says what of it is not shown.
func (d *describing) inWords(parts []*part) string {
	var counts, unused, long, unread []string
	all := 0
	for _, p := range parts {
		all += p.seen.all
		if p.seen.read && (d.from == 0 || p.seen.shown > 0) {
			counts = append(counts, d.counted(p))
		}
		if p.seen.unused > 0 && d.from == 0 {
			unused = append(unused, count(p.seen.unused, p.unused))
		}
		if p.seen.partial {
			long = append(long, p.name)
		}
		if why, ok := d.result.Unavailable[p.name]; ok {
			unread = append(unread, p.name+" ("+why+")")
		}
	}
	text := "There is nothing more."
	if len(counts) > 0 {
		text = "Found " + strings.Join(counts, ", ")
		if d.search != "" {
			text += " with " + brief(quoted(d.Heffl.Redact(d.search))) + " in the name"
		}
		text += "."
	}
	if all == 0 && d.search != "" {
		text += " Leave search out to see what there is."
	}
	if d.result.NextCursor != "" {
		text += " Call again with nextCursor as cursor for the next ones."
	}
	for _, line := range []struct {
		begin string
		parts []string
	}{{"Left out: ", unused}, {"Too long to be read to the end: ", long}, {"Could not be read: ", unread}} {
		if len(line.parts) > 0 {
			text += "\n" + line.begin + strings.Join(line.parts, ", ") + "."
		}
	}
	return text
}

// counted says how many things of a part there are, and which of them are shown if not all are.
func (d *describing) counted(p *part) string {
	text := count(p.seen.all, p.one)
	if p.seen.shown < p.seen.all {
		text += fmt.Sprintf(" (%d to %d here)", d.from+1, d.from+p.seen.shown)
	}
	return text
}
