package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
)

// jsonFormat is JSON with comments and trailing commas, which some clients take and the others have none of. A byte order
// mark stays.
type jsonFormat struct{}

// A member of an object that is written; its value is a string, a []string or an []member.
type member struct {
	name  string
	value any
}

func (jsonFormat) add(text []byte, c *client, v Server) ([]byte, error) {
	text, mark := withoutMark(text)
	there, err := jsonFormat{}.find(text, c, v.Name)
	if err != nil {
		return nil, err
	}
	path := []string{c.container, v.Name}
	if there == nil {
		var entry []member
		if c.typed {
			entry = append(entry, member{"type", "stdio"})
		}
		entry = append(entry, member{"command", v.Command})
		if len(v.Args) > 0 {
			entry = append(entry, member{"args", v.Args})
		}
		if v.Key != "" {
			entry = append(entry, member{"env", []member{{keyVariable, v.Key}}})
		}
		text, err = setJSON(text, path, entry)
		return append(mark, text...), err
	}
	if there.Command != v.Command {
		if text, err = setJSON(text, append(path, "command"), v.Command); err != nil {
			return nil, err
		}
	}
	switch {
	case slices.Equal(there.Args, v.Args):
	case len(v.Args) == 0:
		text, err = removeJSON(text, append(path, "args"))
	default:
		text, err = setJSON(text, append(path, "args"), v.Args)
	}
	if err == nil && v.Key != "" && there.Key != v.Key {
		text, err = setJSON(text, append(path, "env", keyVariable), v.Key)
	}
	return append(mark, text...), err
}

func (jsonFormat) remove(text []byte, c *client, name string) ([]byte, error) {
	text, mark := withoutMark(text)
	text, err := removeJSON(text, []string{c.container, name})
	return append(mark, text...), err
}

func (jsonFormat) find(text []byte, c *client, name string) (*Server, error) {
	text, _ = withoutMark(text)
	root, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	_, entry, err := root.at([]string{c.container, name})
	if err != nil || entry == nil {
		return nil, err
	}
	v, err := serverOf(*entry.Value, name)
	if err != nil {
		return nil, err
	}
	if !ours(v.Command) {
		return nil, errForeign
	}
	return v, nil
}

func (jsonFormat) all(text []byte, c *client) ([]Server, error) {
	text, _ = withoutMark(text)
	root, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	_, servers, err := root.at([]string{c.container})
	if err != nil || servers == nil {
		return nil, err
	}
	object, ok := servers.Value.Value.(*hujson.Object)
	if !ok {
		return nil, notAnObject([]string{c.container})
	}
	var found []Server
	for _, m := range object.Members {
		if v, err := serverOf(m.Value, m.Name.Value.(hujson.Literal).String()); err == nil && ours(v.Command) {
			found = append(found, *v)
		}
	}
	return found, nil
}

// serverOf reads what an entry starts. What is of another form than it ought to be is of another program.
func serverOf(entry hujson.Value, name string) (*Server, error) {
	var e struct {
		Command string            `json:"command"`
		Args    []string          `json:"args"`
		Env     map[string]string `json:"env"`
	}
	plain := entry.Clone()
	plain.Standardize()
	if err := json.Unmarshal(plain.Pack(), &e); err != nil {
		return nil, errForeign
	}
	return &Server{Name: name, Command: e.Command, Args: e.Args, Key: e.Env[keyVariable]}, nil
}

var mark = []byte("\ufeff")

// withoutMark splits the byte order mark off that some editors write.
func withoutMark(text []byte) (rest, before []byte) {
	if rest, ok := bytes.CutPrefix(text, mark); ok {
		return rest, slices.Clone(mark)
	}
	return text, nil
}

// A node is a place in a document.
type node struct {
	text []byte
	*hujson.Value
	parent *node
}

// parseJSON reads a document; one that is empty is an empty object.
func parseJSON(text []byte) (*node, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}\n")
	}
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8 text; save it as UTF-8 and run this again")
	}
	v, err := hujson.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("it is not valid JSON (%s); mend it, or move it away, and run this again", place(err))
	}
	return &node{text: text, Value: &v}, nil
}

// place is where a document is wrong. The words of the library are left out: they quote the document, which may hold secrets.
func place(err error) string {
	where, _, ok := strings.Cut(strings.TrimPrefix(err.Error(), "hujson: "), ": ")
	if !ok || !strings.HasPrefix(where, "line ") {
		return "it cannot be read"
	}
	return where
}

func notAnObject(path []string) error {
	what := "it"
	if len(path) > 0 {
		what = strings.Join(path, ".")
	}
	return fmt.Errorf("%s is not a JSON object; mend it, or move the file away, and run this again", what)
}

// at goes down a path: it returns the last object on the way, and the value at the end, or nil where there is none.
func (n *node) at(path []string) (object, value *node, err error) {
	value = n
	for i, name := range path {
		if value == nil {
			return object, nil, nil
		}
		object = value
		members, ok := object.Value.Value.(*hujson.Object)
		if !ok {
			return nil, nil, notAnObject(path[:i])
		}
		value = nil
		for j := range members.Members {
			m := &members.Members[j]
			if m.Name.Value.(hujson.Literal).String() != name {
				continue
			}
			if value != nil {
				return nil, nil, fmt.Errorf("it has %q twice, and which one counts is not known; take one of them out and run this again", name)
			}
			value = &node{n.text, &m.Value, object}
		}
	}
	return object, value, nil
}

// setJSON gives what is at a path another value, and adds the members on the way that are not there.
func setJSON(text []byte, path []string, value any) ([]byte, error) {
	root, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	for i := range path {
		object, there, err := root.at(path[:i+1])
		if err != nil {
			return nil, err
		}
		if there == nil {
			for _, name := range slices.Backward(path[i+1:]) {
				value = []member{{name, value}}
			}
			return object.insert(member{path[i], value}), nil
		}
		if i == len(path)-1 {
			w := there.writer()
			w.value(value, w.indentOf(there.StartOffset))
			return splice(root.text, cut{there.StartOffset, there.EndOffset, w.String()}), nil
		}
	}
	return nil, errors.New("there is no path")
}

const blank = " \t\r\n"

// insert adds a member at the end of an object: behind the comments that are there, which are about what is before them.
func (n *node) insert(m member) []byte {
	object := n.Value.Value.(*hujson.Object)
	w := n.writer()
	own := w.indentOf(n.StartOffset)
	indent := own + w.unit
	for _, there := range object.Members {
		if bytes.Contains(there.Name.BeforeExtra, []byte("\n")) {
			indent = w.indentOf(there.Name.StartOffset)
		}
	}

	end := n.EndOffset - 1 // of the brace
	at := end - len(object.AfterExtra) + len(bytes.TrimRight(object.AfterExtra, blank))
	trailing := false
	var cuts []cut
	if count := len(object.Members); count > 0 {
		last := object.Members[count-1].Value
		if trailing = last.AfterExtra != nil; !trailing {
			cuts = append(cuts, cut{last.EndOffset, last.EndOffset, ","})
		}
		if w.inline {
			w.WriteString(w.space)
		}
	}
	if !w.inline {
		w.WriteString(w.newline + indent)
	}
	w.member(m, indent)
	if trailing {
		w.WriteByte(',')
	}
	if !w.inline && !bytes.Contains(n.text[at:end], []byte("\n")) {
		w.WriteString(w.newline + own)
	}
	return splice(n.text, append(cuts, cut{at, at, w.String()})...)
}

// removeJSON takes the member at a path out, with the comma that it needed. Comments stay.
func removeJSON(text []byte, path []string) ([]byte, error) {
	root, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	parent, value, err := root.at(path)
	if err != nil || value == nil {
		return text, err
	}
	object := parent.Value.Value.(*hujson.Object)
	i := slices.IndexFunc(object.Members, func(m hujson.ObjectMember) bool { return m.Value.StartOffset == value.StartOffset })
	m := object.Members[i]
	before := m.Name.BeforeExtra
	start := m.Name.StartOffset - len(before) + len(bytes.TrimRight(before, blank))
	comma := func(v hujson.Value) cut {
		at := v.EndOffset + len(v.AfterExtra)
		return cut{at, at + 1, ""}
	}
	cuts := []cut{{start, m.Value.EndOffset, ""}}
	switch last := len(object.Members) - 1; {
	case i < last || m.Value.AfterExtra != nil:
		cuts = append(cuts, comma(m.Value))
	case i > 0:
		cuts = append([]cut{comma(object.Members[i-1].Value)}, cuts...)
	}
	if len(object.Members) == 1 && len(bytes.Trim(slices.Concat(before, m.Value.AfterExtra, object.AfterExtra), blank)) == 0 {
		cuts = []cut{{parent.StartOffset + 1, parent.EndOffset - 1, ""}}
	}
	return splice(root.text, cuts...), nil
}

// A cut puts text in the place of a range of a document.
type cut struct {
	from, to int
	text     string
}

// splice makes cuts, which are in order.
func splice(text []byte, cuts ...cut) []byte {
	var b bytes.Buffer
	at := 0
	for _, c := range cuts {
		b.Write(text[at:c.from])
		b.WriteString(c.text)
		at = c.to
	}
	b.Write(text[at:])
	return b.Bytes()
}

// A writer writes JSON as the document around it is written.
type writer struct {
	strings.Builder
	text    []byte
	newline string
	unit    string // of indentation
	space   string // after a comma or colon on a line
	inline  bool   // all on one line
}

// writer is one for what is to be within an object, or in its place.
func (n *node) writer() *writer {
	w := &writer{text: n.text, newline: "\n", unit: "  ", space: " "}
	if bytes.Contains(n.text, []byte("\r\n")) {
		w.newline = "\r\n"
	}
	root := n
	for root.parent != nil {
		root = root.parent
	}
	if object, ok := root.Value.Value.(*hujson.Object); ok && len(object.Members) > 0 {
		first := string(object.Members[0].Name.BeforeExtra)
		if i := strings.LastIndexByte(first, '\n'); i >= 0 && i+1 < len(first) && strings.Trim(first[i:], blank) == "" {
			w.unit = first[i+1:]
		}
		if len(object.Members[0].Value.BeforeExtra) == 0 {
			w.space = ""
		}
	}
	for n.parent != nil && !n.told() {
		n = n.parent
	}
	w.inline = n.told() && !n.lined()
	return w
}

// told reports whether an object shows how its members are laid out.
func (n *node) told() bool {
	object, ok := n.Value.Value.(*hujson.Object)
	return ok && (len(object.Members) > 0 || n.lined())
}

// lined reports whether an object's members are on lines of their own.
func (n *node) lined() bool {
	object, ok := n.Value.Value.(*hujson.Object)
	if !ok {
		return false
	}
	extras := [][]byte{object.AfterExtra}
	for _, m := range object.Members {
		extras = append(extras, m.Name.BeforeExtra, m.Name.AfterExtra, m.Value.BeforeExtra, m.Value.AfterExtra)
	}
	return slices.ContainsFunc(extras, func(e []byte) bool { return bytes.Contains(e, []byte("\n")) })
}

// indentOf is what the line of an offset begins with.
func (w *writer) indentOf(offset int) string {
	line := string(w.text[bytes.LastIndexByte(w.text[:offset], '\n')+1 : offset])
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

func (w *writer) member(m member, indent string) {
	w.WriteString(quoted(m.name) + ":" + w.space)
	w.value(m.value, indent)
}

func (w *writer) value(v any, indent string) {
	switch v := v.(type) {
	case string:
		w.WriteString(quoted(v))
	case []string:
		var all []string
		for _, s := range v {
			all = append(all, quoted(s))
		}
		w.WriteString("[" + strings.Join(all, ","+w.space) + "]")
	case []member:
		w.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				w.WriteByte(',')
			}
			switch {
			case !w.inline:
				w.WriteString(w.newline + indent + w.unit)
			case i > 0:
				w.WriteString(w.space)
			}
			w.member(m, indent+w.unit)
		}
		if !w.inline {
			w.WriteString(w.newline + indent)
		}
		w.WriteByte('}')
	}
}

// quoted is a string of JSON, and of TOML too: their escapes are the same for what Server.check lets through.
func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string encodes, and a buffer takes it
	return strings.TrimSuffix(b.String(), "\n")
}
