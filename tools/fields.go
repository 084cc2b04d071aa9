package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"heffl-mcp/schema"
	"heffl-mcp/workspace"

	"github.com/go-json-experiment/json/jsontext"
)

// maxFields bounds how many members of some arguments are looked for among the custom fields.
const maxFields = 100

// fieldsRead is what became of the members of some arguments that are custom fields, or may be.
type fieldsRead struct {
	as       map[string]member // by the name that each came with; without a name: it is left out
	faults   []schema.Fault
	problems []string
	resolved []understood
	repairs  []schema.Repair
	notes    []string
}

// in is doc with its custom fields as they were read.
func (f *fieldsRead) in(doc object) object {
	var out object
	for _, m := range doc {
		if read, ok := f.as[m.name]; ok {
			m = read
		}
		if m.name != "" {
			out = append(out, m)
		}
	}
	return out
}

// less is the faults without those of properties that turned out to be custom fields.
func (f *fieldsRead) less(faults []schema.Fault) []schema.Fault {
	return slices.DeleteFunc(slices.Clone(faults), func(fault schema.Fault) bool {
		if fault.Keyword != "unknown" {
			return false
		}
		for name := range f.as {
			if fault.In(name) {
				return true
			}
		}
		return false
	})
}

// readFields reads the members that no property of the tool stands for: by the key of a custom
// field, or by its label. Where the definitions cannot be read, keys are passed on as they are.
func (r *reading) readFields(ctx context.Context) *fieldsRead {
	read := &fieldsRead{as: map[string]member{}}
	members := slices.DeleteFunc(slices.Clone(r.doc), func(m member) bool { return slices.Contains(r.properties, m.name) })
	if r.entity == "" || len(members) == 0 {
		return read
	}
	if len(members) > maxFields {
		if keys := len(keysOf(members)); keys > maxFields {
			read.problems = append(read.problems, fmt.Sprintf("%d custom fields, and one call may have %d", keys, maxFields))
		}
		return read
	}
	if _, err := r.definitions(ctx); err != nil {
		for _, m := range members {
			r.hint(m.name, nil)
		}
		if keys := keysOf(members); len(keys) > 0 {
			read.notes = append(read.notes, fmt.Sprintf("The definitions of custom fields could not be read (%s), so these went as they were given: %s", reason(err), strings.Join(keys, ", ")))
		}
		return read
	}
	var plain object
	for _, m := range members {
		field := r.field(ctx, read, m)
		switch {
		case field == nil:
		case slices.ContainsFunc(members, func(o member) bool { return o.name != m.name && read.as[o.name].name == field.Key }):
			read.problems = append(read.problems, m.name+": this is the custom field "+field.Key+", which is given twice; give it once")
		case len(field.Options) > 0:
			read.as[m.name] = member{field.Key, r.option(ctx, read, field, m.value)}
		default:
			read.as[m.name] = member{field.Key, m.value}
			plain = append(plain, member{field.Key, m.value})
		}
	}
	r.checkValues(ctx, read, plain)
	return read
}

// keysOf are the names of members that are keys of custom fields by their form.
func keysOf(members object) []string {
	var keys []string
	for _, m := range members {
		if strings.HasPrefix(m.name, "cf_") {
			keys = append(keys, m.name)
		}
	}
	return keys
}

func (r *reading) within() workspace.Scope {
	return workspace.Scope{Entity: r.entity, Pipeline: r.scope.pipeline}
}

// definitions are those of the custom fields that the arguments may hold.
func (r *reading) definitions(ctx context.Context) (workspace.List[workspace.Field], error) {
	if r.entity == "deals" {
		return r.Workspace.Fields(ctx, r.scope.pipeline)
	}
	return r.Workspace.EntityFields(ctx, r.entity)
}

// field is the custom field that a member is of; nil where there is none, or where that cannot be
// told, which read then says.
func (r *reading) field(ctx context.Context, read *fieldsRead, m member) *workspace.Field {
	isKey := strings.HasPrefix(m.name, "cf_")
	match, err := r.Workspace.Resolve(ctx, workspace.CustomField, m.name, r.within())
	if err != nil {
		e, unresolved := errors.AsType[*workspace.UnresolvedError](err)
		switch {
		case !isKey:
			r.hint(m.name, e)
		case !unresolved || e.Partial:
			read.notes = append(read.notes, "It could not be told whether there is a custom field "+m.name+", which went as it was given")
		case e.Elsewhere != nil && r.scope.pipeline == "":
			// which pipeline the deal is in, something else says
		default:
			read.problems = append(read.problems, m.name+": "+r.unresolved(e))
		}
		return nil
	}
	if i := slices.IndexFunc(r.faults, func(f schema.Fault) bool { return f.Keyword == "unknown" && f.In(m.name) }); i >= 0 && r.faults[i].Meant != "" && !strings.HasPrefix(r.faults[i].Meant, "cf_") {
		r.faults[i].Meant += " or the custom field " + match.ID // both are likely
		return nil
	}
	if match.ID != m.name {
		read.resolved = append(read.resolved, understood{m.name, m.name, match.ID, match.Name, match.How})
	}
	list, err := r.definitions(ctx)
	i := slices.IndexFunc(list.Items, func(f workspace.Field) bool { return f.Key == match.ID })
	if err != nil || i < 0 {
		return nil // it was there a moment ago
	}
	return &list.Items[i]
}

// hint tells of the custom field that an unknown property is nearest to.
func (r *reading) hint(name string, e *workspace.UnresolvedError) {
	i := slices.IndexFunc(r.faults, func(f schema.Fault) bool { return f.Keyword == "unknown" && f.In(name) })
	if i < 0 || r.faults[i].Meant != "" {
		return
	}
	if slices.Contains([]string{"customfield", "customfields", "custom", "cf"}, foldTitle(name)) {
		r.faults[i].Meant = "a property for each custom field, beside the others (cf_*, or its label)"
		return
	}
	if e == nil {
		return
	}
	if near := likeliest(e.Candidates); near != nil && near.Score >= nearlyCertain {
		r.faults[i].Meant = near.ID
	}
}

// option reads a value of a field that has allowed values: by value or by label.
func (r *reading) option(ctx context.Context, read *fieldsRead, f *workspace.Field, v json.RawMessage) json.RawMessage {
	kind, many := jsontext.Value(v).Kind(), takesMany(f.Type)
	switch {
	case kind == 'n':
		return v
	case kind == '[' && many != never:
		i := -1
		return eachItem(v, func(n int, item json.RawMessage) json.RawMessage {
			i = n
			return r.oneOption(ctx, read, f, at(f.Key, i), item)
		})
	case kind == '[' || kind == '{':
		read.problems = append(read.problems, fmt.Sprintf("%s: got %s; give one value (%s)", f.Key, brief(v), f.Label))
		return v
	case many == always:
		one := r.oneOption(ctx, read, f, f.Key, v)
		list := slices.Concat([]byte("["), one, []byte("]"))
		read.repairs = append(read.repairs, schema.Repair{Path: f.Key, From: brief(v), To: brief(list)})
		return list
	}
	return r.oneOption(ctx, read, f, f.Key, v)
}

func (r *reading) oneOption(ctx context.Context, read *fieldsRead, f *workspace.Field, path string, v json.RawMessage) json.RawMessage {
	words := string(v)
	if jsontext.Value(v).Kind() == '"' {
		words = text(jsontext.Value(v))
	}
	within := r.within()
	within.Field = f.Key
	match, err := r.Workspace.Resolve(ctx, workspace.FieldOption, words, within)
	if e, ok := errors.AsType[*workspace.UnresolvedError](err); ok {
		read.problems = append(read.problems, path+": "+r.unresolved(e))
		return v
	}
	list, again := r.definitions(ctx)
	if err != nil || again != nil {
		return v // it cannot be told, and Heffl will
	}
	for _, known := range list.Items {
		for _, o := range known.Options {
			if known.Key != f.Key || o.Value != match.ID {
				continue
			}
			if o.Value != words {
				read.resolved = append(read.resolved, understood{path, words, o.Value, o.Label, match.How})
			}
			return o.JSON
		}
	}
	return v
}

// checkValues holds the values of fields that have no options to the fields' types.
func (r *reading) checkValues(ctx context.Context, read *fieldsRead, values object) {
	list, err := r.definitions(ctx)
	if err != nil || len(values) == 0 {
		return
	}
	s, err := r.fieldSchemas.of(r.within(), list)
	if err != nil {
		return // no type of Heffl's makes a schema that does not compile
	}
	raw := values.JSON()
	if _, faults := s.Check(raw); len(faults) > 0 {
		fixed, repairs := s.Repair(raw, faults, r.Zone)
		read.repairs = append(read.repairs, repairs...)
		raw = fixed
		_, read.faults = s.Check(raw)
	}
	fixed := parse(raw)
	for name, m := range read.as {
		if _, ok := values.get(m.name); !ok {
			continue
		}
		if v, ok := fixed.get(m.name); ok {
			read.as[name] = member{m.name, v}
		} else {
			read.as[name] = member{} // given as nothing
		}
	}
}

// fieldSchemas keeps the schemas of lists of definitions, by when they were read.
type fieldSchemas struct {
	mu   sync.Mutex
	kept map[fieldList]*schema.Schema
}

// fieldList is one reading of some definitions.
type fieldList struct {
	of workspace.Scope
	at time.Time
}

func (k *fieldSchemas) of(within workspace.Scope, list workspace.List[workspace.Field]) (*schema.Schema, error) {
	this := fieldList{within, list.At}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.kept[this]; s != nil {
		return s, nil
	}
	var properties []schema.Property
	for _, f := range list.Items {
		if len(f.Options) == 0 {
			properties = append(properties, propertyOf(f))
		}
	}
	s, err := schema.Of(properties)
	if err != nil {
		return nil, err
	}
	const enough = 64
	if k.kept == nil || len(k.kept) >= enough {
		k.kept = map[fieldList]*schema.Schema{}
	}
	k.kept[this] = s
	return s, nil
}

// propertyOf is a custom field as JSON Schema has it. The API's names of types are not documented:
// they are read by the words of the app's own form, and a type that is none of those takes anything.
func propertyOf(f workspace.Field) schema.Property {
	p := schema.Property{Name: f.Key, Description: f.Label}
	switch words := typeWords(f.Type); {
	case takesMany(f.Type) == always:
		p.Type = "array"
	case has(words, "phone", "telephone", "mobile"): // a phone number is no number
		p.Type = "string"
	case has(words, "number", "currency", "money", "decimal", "integer", "int", "float", "double", "percent", "percentage", "amount"):
		p.Type = "number"
	case has(words, "date", "datetime", "timestamp"):
		p.Type, p.Format = "string", schema.Day
	case has(words, "boolean", "bool", "checkbox", "toggle", "switch"):
		p.Type = "boolean"
	case has(words, "text", "string", "textarea", "email", "mail", "link", "url", "option", "select", "dropdown", "choice"):
		p.Type = "string"
	}
	return p
}

// How many values a field takes.
type howMany int

const (
	unknownMany howMany = iota
	always              // a list
	never               // one
)

func takesMany(fieldType string) howMany {
	switch words := typeWords(fieldType); {
	case has(words, "multiple", "multi", "multiselect", "array", "list", "tags", "checkboxes"):
		return always
	case has(words, "single", "dropdown", "radio"):
		return never
	}
	return unknownMany
}

// typeWords are the words of a type's name, however it is written: SINGLE_OPTION, singleOption.
func typeWords(name string) []string {
	var b strings.Builder
	lower := false
	for _, r := range name {
		if unicode.IsUpper(r) && lower {
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(r)
		if !unicode.IsLetter(r) {
			r = ' '
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Fields(b.String())
}

func has(words []string, any ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(any, w) })
}
