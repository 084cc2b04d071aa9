package tools

import (
	"cmp"
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

const (
	// maxFields bounds how many members of some arguments are looked for among the custom fields.
	maxFields = 100
	// forDefinitions bounds the wait for definitions: a call can go on without them, and needs its time
	// for the rest.
	forDefinitions = 8 * time.Second
)

// fieldsRead is what became of the members of some arguments that are custom fields, or may be.
type fieldsRead struct {
	as       map[string]member // by the name that each came with; without a name: it is left out
	paths    map[string]string // where each stands in the arguments, by key
	faults   []schema.Fault
	problems []string
	resolved []understood
	repairs  []schema.Repair
	notes    []string
	failed   *words // a field or value that could not be looked up
	unread   bool   // the definitions could not be read
}

// given is a path below a key, as the arguments have it: by label, if it was given so.
func (f *fieldsRead) given(path string) string {
	for key, name := range f.paths {
		if rest, ok := strings.CutPrefix(path, key); ok && (rest == "" || rest[0] == '[') {
			return name + rest
		}
	}
	return path
}

// in is doc with its custom fields as they were read.
func (f *fieldsRead) in(doc object) object {
	if len(f.as) == 0 {
		return doc
	}
	out := make(object, 0, len(doc))
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
	if len(f.as) == 0 {
		return faults
	}
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
	members := r.undeclared()
	if r.entity == "" || len(members) == 0 || r.asDefined(members) {
		return new(fieldsRead)
	}
	return r.lookUpFields(ctx, members)
}

// lookUpFields reads members that may be anything.
func (r *reading) lookUpFields(ctx context.Context, members object) *fieldsRead {
	read := &fieldsRead{as: map[string]member{}, paths: map[string]string{}}
	ctx, cancel := context.WithTimeout(ctx, forDefinitions) // what is kept is read again before it refuses anything
	defer cancel()
	for _, m := range slices.Clone(members) {
		if isBag(m.name) {
			members = append(members, parse(m.value)...) // it is refused, and so what is in it too, all at once
		}
	}
	if len(members) > maxFields {
		if keys := len(keysOf(members)); keys > maxFields {
			read.problems = append(read.problems, fmt.Sprintf("%d custom fields, and one call may have %d", keys, maxFields))
		}
		return read
	}
	if _, err := r.definitions(ctx); err != nil {
		read.unread = true
		r.passOn(read, members, err)
		return read
	}
	var plain object
	for _, m := range members {
		field, likely := r.field(ctx, read, m)
		if field == nil || likely && hasField(read, members, field.Key) {
			continue
		}
		if likely {
			m.name = field.Key // what is wrong with the value is told with the name
		}
		read.as[m.name] = member{field.Key, m.value}
		read.paths[field.Key] = r.pathOf(m.name)
		switch {
		case slices.ContainsFunc(members, func(o member) bool { return o.name != m.name && read.as[o.name].name == field.Key }):
			read.problems = append(read.problems, r.pathOf(m.name)+": this is the custom field "+field.Key+", which is given twice; give it once")
		case slices.ContainsFunc(r.faults, func(f schema.Fault) bool { return f.Keyword != "unknown" && f.In(m.name) }):
			// no field has such a value, and that is told
		case len(field.Options) == 0:
			plain = append(plain, read.as[m.name])
		default:
			if v := r.option(ctx, read, field, m.value); v != nil {
				read.as[m.name] = member{field.Key, v}
			} else {
				read.as[m.name] = member{} // given as nothing
			}
		}
	}
	r.checkValues(ctx, read, plain)
	return read
}

// undeclared are the members that no property of the tool stands for.
func (r *reading) undeclared() object {
	members := make(object, 0, 8)
	for _, some := range []object{r.doc, r.supposed} {
		for _, m := range some {
			if !slices.Contains(r.properties, m.name) {
				members = append(members, m)
			}
		}
	}
	return members
}

// asDefined reports whether members are custom fields, by their keys, with values as the definitions have them. Most are:
// then nothing has to be looked up or put right. Of definitions that are not kept it is false.
func (r *reading) asDefined(members object) bool {
	list, ok := r.Workspace.KeptFields(r.within())
	if !ok || len(r.faults) > 0 || len(members) > maxFields {
		return false
	}
	plain := make(object, 0, len(members))
	for _, m := range members {
		i := slices.IndexFunc(list.Items, func(f workspace.Field) bool { return f.Key == m.name })
		if i < 0 || jsontext.Value(m.value).Kind() == '{' {
			return false
		}
		switch f := &list.Items[i]; {
		case len(f.Options) == 0:
			plain = append(plain, m)
		case takesMany(f.Type) == always || !f.Offers(m.value):
			return false
		}
	}
	if len(plain) == 0 {
		return true
	}
	s, err := r.fieldSchemas.of(r.within(), list)
	return err == nil && len(s.Check(plain.JSON())) == 0
}

// hasField reports whether a custom field is among members, by its key or as it was read.
func hasField(read *fieldsRead, members object, key string) bool {
	return slices.ContainsFunc(members, func(m member) bool { return m.name == key || read.as[m.name].name == key })
}

// isBag reports whether a name is that of an object of custom fields, as other APIs have it.
func isBag(name string) bool {
	return slices.Contains([]string{"customfield", "customfields", "custom", "cf"}, foldTitle(name))
}

// passOn leaves members as they are, since the definitions could not be read, and says so.
func (r *reading) passOn(read *fieldsRead, members object, err error) {
	for _, m := range members {
		if i := r.unknown(m.name); i >= 0 && !strings.HasPrefix(m.name, "cf_") && r.mayBeLabel(r.faults[i]) {
			read.failed = cmp.Or(read.failed, &words{path: "the custom field " + r.pathOf(m.name), text: m.name, err: err})
			r.faults[i].Want += " (labels of custom fields cannot be told now: " + reason(err) + ")"
		}
		r.hint(m.name, nil)
	}
	if keys := keysOf(members); len(keys) > 0 {
		read.notes = append(read.notes, fmt.Sprintf("The definitions of custom fields could not be read (%s), so these went as they were given: %s", reason(err), strings.Join(keys, ", ")))
	}
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

// unknown is the place among the faults of that of an unknown property; negative: there is none.
func (r *reading) unknown(name string) int {
	return slices.IndexFunc(r.faults, func(f schema.Fault) bool { return f.Keyword == "unknown" && f.In(name) })
}

// pathOf is the name of a member of the arguments as it stands in a problem.
func (r *reading) pathOf(name string) string {
	if i := r.unknown(name); i >= 0 {
		return r.faults[i].Path
	}
	if short := cut(name, 80); short != name || strings.ContainsFunc(name, func(c rune) bool { return unicode.IsSpace(c) || unseen(c) }) {
		return "[" + brief(quoted(name)) + "]"
	}
	return name
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

// field is the custom field that a member is of, or is likely of, which is told then; nil where there
// is none, or where that cannot be told, which read then says.
func (r *reading) field(ctx context.Context, read *fieldsRead, m member) (field *workspace.Field, likely bool) {
	match, err := r.Workspace.Resolve(ctx, workspace.CustomField, m.name, r.within())
	if err != nil {
		return r.likelyField(ctx, read, m, err), true
	}
	if i := r.unknown(m.name); i >= 0 && r.faults[i].Meant != "" && !r.faults[i].Guessed && !strings.HasPrefix(r.faults[i].Meant, "cf_") {
		r.torn = append(r.torn, r.faults[i].Meant)
		r.faults[i].Meant += " or the custom field " + match.ID // both are likely
		return nil, false
	}
	if match.ID != m.name {
		read.resolved = append(read.resolved, understood{m.name, m.name, match.ID, match.Name, match.How})
	}
	return r.definition(ctx, match.ID), false
}

// likelyField notes why a member is of no custom field, and returns the one that it is likely of.
func (r *reading) likelyField(ctx context.Context, read *fieldsRead, m member, err error) *workspace.Field {
	isKey := strings.HasPrefix(m.name, "cf_")
	e, unresolved := errors.AsType[*workspace.UnresolvedError](err)
	i := r.unknown(m.name)
	isProperty := i >= 0 && r.faults[i].Meant != "" && !r.faults[i].Guessed
	switch {
	case !unresolved || e.Partial:
		if isKey {
			read.notes = append(read.notes, "It could not be told whether there is a custom field "+m.name+", which went as it was given")
		} else {
			r.hint(m.name, nil)
		}
		return nil
	case isProperty:
	case e.Elsewhere != nil && r.lacksScope():
		read.as[m.name] = m // which pipeline the deal is in, something else says
		return nil
	case isKey, e.Ambiguous, e.Elsewhere != nil, i < 0:
		read.as[m.name] = m // and what is wrong with it is told here
		read.problems = append(read.problems, r.pathOf(m.name)+": "+r.unresolved(e))
	default:
		r.hint(m.name, e)
	}
	if near := likeliest(e.Candidates); near != nil && near.Score >= nearlyCertain && !isProperty && e.Elsewhere == nil {
		return r.definition(ctx, near.ID)
	}
	return nil
}

// definition is that of a custom field that was there a moment ago.
func (r *reading) definition(ctx context.Context, key string) *workspace.Field {
	list, err := r.definitions(ctx)
	i := slices.IndexFunc(list.Items, func(f workspace.Field) bool { return f.Key == key })
	if err != nil || i < 0 {
		return nil
	}
	return &list.Items[i]
}

// hint tells of the custom field that an unknown property is nearest to.
func (r *reading) hint(name string, e *workspace.UnresolvedError) {
	i := r.unknown(name)
	if i < 0 || r.faults[i].Meant != "" {
		return
	}
	if isBag(name) {
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

// option reads a value of a field that has allowed values: by value or by label. Nil is nothing.
func (r *reading) option(ctx context.Context, read *fieldsRead, f *workspace.Field, v json.RawMessage) json.RawMessage {
	kind, many := jsontext.Value(v).Kind(), takesMany(f.Type)
	switch {
	case kind == 'n' || string(v) == `""`:
		read.repairs = append(read.repairs, schema.Repair{Path: f.Key, From: brief(v)})
		return nil
	case kind == '[' && many != never:
		before := len(read.resolved)
		list := eachItem(v, func(n int, item json.RawMessage) json.RawMessage {
			one, _ := r.oneOption(ctx, read, f, at(f.Key, n), item)
			return one
		})
		if len(read.resolved) > before {
			list = unrepeated(list)
		}
		return list
	case kind == '[' || kind == '{':
		read.problems = append(read.problems, fmt.Sprintf("%s: got %s; give one value (%s)", read.given(f.Key), brief(v), f.Label))
		return v
	}
	one, ok := r.oneOption(ctx, read, f, f.Key, v)
	if many != always {
		return one
	}
	list := slices.Concat([]byte("["), one, []byte("]"))
	if ok {
		read.repairs = append(read.repairs, schema.Repair{Path: f.Key, From: brief(v), To: brief(list)})
	} else {
		read.problems[len(read.problems)-1] += "; give a list of them"
	}
	return list
}

// unrepeated is a list in which each item stands once: two words for an option are that option.
func unrepeated(list json.RawMessage) json.RawMessage {
	var kept []json.RawMessage
	eachItem(list, func(_ int, item json.RawMessage) json.RawMessage {
		if !slices.ContainsFunc(kept, func(k json.RawMessage) bool { return string(k) == string(item) }) {
			kept = append(kept, item)
		}
		return item
	})
	return encoded(kept)
}

// oneOption is the allowed value that v is. It is not ok where v is none, which read then says.
func (r *reading) oneOption(ctx context.Context, read *fieldsRead, f *workspace.Field, path string, v json.RawMessage) (option json.RawMessage, ok bool) {
	said := string(v)
	if jsontext.Value(v).Kind() == '"' {
		said = text(jsontext.Value(v))
	}
	within := r.within()
	within.Field = f.Key
	match, err := r.Workspace.Resolve(ctx, workspace.FieldOption, said, within)
	if e, unresolved := errors.AsType[*workspace.UnresolvedError](err); unresolved {
		read.problems = append(read.problems, read.given(path)+": "+r.unresolved(e))
		return v, false
	}
	if err != nil {
		read.failed = cmp.Or(read.failed, &words{path: read.given(path), text: said, err: err})
		return v, true
	}
	known := r.definition(ctx, f.Key)
	if known == nil {
		return v, true // it was there a moment ago; what has become of it, Heffl says
	}
	for _, o := range known.Options {
		if o.Value != match.ID {
			continue
		}
		switch {
		case o.Value != said:
			read.resolved = append(read.resolved, understood{path, said, o.Value, o.Label, match.How})
		case same(o.JSON, v):
			return v, true
		default:
			read.repairs = append(read.repairs, schema.Repair{Path: path, From: brief(v), To: brief(o.JSON)})
		}
		return o.JSON, true
	}
	return v, true
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
	faults := s.Check(raw)
	if len(faults) == 0 {
		return
	}
	raw, repairs := s.Repair(raw, faults, r.Zone)
	read.repairs = append(read.repairs, repairs...)
	read.faults = s.Check(raw)
	for i, f := range read.faults {
		read.faults[i].Path = read.given(f.Path)
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
	switch is := func(words ...string) bool { return isOf(f.Type, words...) }; {
	case takesMany(f.Type) == always:
		p.Type = "array"
	case is("phone", "telephone", "mobile"): // a phone number is no number
		p.Type = "string"
	case is("number", "currency", "money", "decimal", "integer", "int", "float", "double", "percent", "percentage", "amount"):
		p.Type = "number"
	case is("date", "datetime", "timestamp"):
		p.Type, p.Format = "string", schema.Day
	case is("boolean", "bool", "checkbox", "toggle", "switch"):
		p.Type = "boolean"
	case is("text", "string", "textarea", "email", "mail", "link", "url", "option", "select", "dropdown", "choice"):
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
	switch {
	case isOf(fieldType, "multiple", "multi", "multiselect", "array", "list", "tags", "checkboxes"):
		return always
	case isOf(fieldType, "single", "dropdown", "radio"):
		return never
	}
	return unknownMany
}

// isOf reports whether one of some words is in a type's name, however that is written: SINGLE_OPTION, singleOption.
func isOf(fieldType string, words ...string) bool {
	is := func(part string) bool {
		part = strings.TrimFunc(part, func(r rune) bool { return !unicode.IsLetter(r) })
		return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, part) })
	}
	from, lower := 0, false
	for i, r := range fieldType {
		if !unicode.IsLetter(r) || unicode.IsUpper(r) && lower {
			if is(fieldType[from:i]) {
				return true
			}
			from = i
		}
		lower = unicode.IsLower(r)
	}
	return is(fieldType[from:])
}
