package install

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlFormat is TOML, where each server is a table of its own.
type tomlFormat struct{}

// A table is the part of a document that begins with a header, or before the first one.
type table struct {
	key      []string // nil: the root
	from, to int      // whole lines: the header, and all up to the last line that has something of the table
	pairs    []pair
}

// A pair is a key with its value.
type pair struct {
	key      []string
	from, to int
}

func (tomlFormat) add(text []byte, c *client, v Server) ([]byte, error) {
	there, err := tomlFormat{}.find(text, c, v.Name)
	if err != nil {
		return nil, err
	}
	lines := []string{"command = " + quoted(v.Command)}
	args := ""
	if len(v.Args) > 0 {
		w := &writer{space: " "}
		w.value(v.Args, "")
		args = "args = " + w.String()
		lines = append(lines, args)
	}
	newline := "\n"
	if bytes.Contains(text, []byte("\r\n")) {
		newline = "\r\n"
	}
	if there == nil {
		if v.Key != "" {
			lines = append(lines, "env = { "+keyVariable+" = "+quoted(v.Key)+" }")
		}
		return checkTOML(appendTOML(text, append([]string{"[" + c.container + "." + v.Name + "]"}, lines...), newline))
	}
	table := tableOf(text, []string{c.container, v.Name})
	if table == nil || table.pair("command") == nil {
		return nil, errors.New("the server is not written as a table of its own; edit it by hand")
	}
	if v.Key != "" && v.Key != there.Key {
		return nil, errors.New("the server is there already, without this key; take it out with uninstall first")
	}
	var cuts []cut
	command := table.pair("command")
	if there.Command != v.Command {
		cuts = append(cuts, cut{command.from, command.to, lines[0]})
	}
	switch old := table.pair("args"); {
	case slices.Equal(there.Args, v.Args):
	case old == nil:
		cuts = append(cuts, cut{command.to, command.to, newline + args})
	case args == "":
		cuts = append(cuts, cut{lineOf(text, old.from), lineEnd(text, old.to), ""})
	default:
		cuts = append(cuts, cut{old.from, old.to, args})
	}
	slices.SortStableFunc(cuts, func(a, b cut) int { return a.from - b.from })
	return checkTOML(splice(text, cuts...))
}

// appendTOML adds lines at the end, a line apart from what is before them.
func appendTOML(text []byte, lines []string, newline string) []byte {
	text = slices.Clone(text)
	if len(text) > 0 {
		if !bytes.HasSuffix(text, []byte("\n")) {
			text = append(text, newline...)
		}
		text = append(text, newline...)
	}
	return append(text, strings.Join(lines, newline)+newline...)
}

// checkTOML is a document, if it is one: a table at the end does not go with everything that can be before it.
func checkTOML(text []byte) ([]byte, error) {
	if _, err := parseTOML(text); err != nil {
		return nil, errors.New("the servers are not written as tables of their own, so that none can be added here; add it by hand")
	}
	return text, nil
}

func (tomlFormat) remove(text []byte, c *client, name string) ([]byte, error) {
	key := []string{c.container, name}
	if tableOf(text, key) == nil {
		return nil, errors.New("the server is not written as a table of its own; take it out by hand")
	}
	var cuts []cut
	for _, t := range tables(text) {
		if len(t.key) < len(key) || !slices.Equal(t.key[:len(key)], key) {
			continue
		}
		from := t.from
		if before := bytes.TrimSuffix(bytes.TrimSuffix(text[:from], []byte("\n")), []byte("\r")); len(before) < from && (len(before) == 0 || bytes.HasSuffix(before, []byte("\n"))) {
			from = len(before) // the empty line before it
		}
		cuts = append(cuts, cut{from, t.to, ""})
	}
	return checkTOML(splice(text, cuts...))
}

func (tomlFormat) find(text []byte, c *client, name string) (*Server, error) {
	servers, err := serversOfTOML(text, c)
	if err != nil {
		return nil, err
	}
	entry, ok := servers[name]
	if !ok {
		return nil, nil
	}
	v, ok := serverOfTOML(entry, name)
	if !ok || !ours(v.Command) {
		return nil, errForeign
	}
	return v, nil
}

func (tomlFormat) all(text []byte, c *client) (found []Server, err error) {
	servers, err := serversOfTOML(text, c)
	for name, entry := range servers {
		if v, ok := serverOfTOML(entry, name); ok && ours(v.Command) {
			found = append(found, *v)
		}
	}
	slices.SortFunc(found, func(a, b Server) int { return strings.Compare(a.Name, b.Name) })
	return found, err
}

func parseTOML(text []byte) (map[string]any, error) {
	var all map[string]any
	err := toml.Unmarshal(text, &all)
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := e.Position() // without the library's words: they quote the document, which may hold secrets
		return nil, fmt.Errorf("it is not valid TOML (line %d, column %d); mend it, or move it away, and run this again", row, column)
	}
	if err != nil {
		return nil, errors.New("it is not valid TOML; mend it, or move it away, and run this again")
	}
	return all, nil
}

func serversOfTOML(text []byte, c *client) (map[string]any, error) {
	all, err := parseTOML(text)
	if err != nil || all[c.container] == nil {
		return nil, err
	}
	servers, ok := all[c.container].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is not a table; mend it, or move the file away, and run this again", c.container)
	}
	return servers, nil
}

func serverOfTOML(entry any, name string) (*Server, bool) {
	members, ok := entry.(map[string]any)
	if !ok {
		return nil, false
	}
	v := &Server{Name: name}
	v.Command, _ = members["command"].(string)
	args, _ := members["args"].([]any)
	for _, a := range args {
		text, ok := a.(string)
		if !ok {
			return nil, false
		}
		v.Args = append(v.Args, text)
	}
	env, _ := members["env"].(map[string]any)
	v.Key, _ = env[keyVariable].(string)
	return v, true
}

// tables are the parts of a valid document.
func tables(text []byte) []table {
	all := []table{{}}
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		e := p.Expression()
		var key []string
		from := -1
		for it := e.Key(); it.Next(); {
			if from < 0 {
				from = int(it.Node().Raw.Offset)
			}
			key = append(key, string(it.Node().Data))
		}
		if e.Kind != unstable.KeyValue {
			all = append(all, table{key: key, from: lineOf(text, from), to: lineEnd(text, from)})
			continue
		}
		t := &all[len(all)-1]
		to := int(e.Raw.Offset + e.Raw.Length)
		to = len(bytes.TrimRight(text[:to], " \t"))
		t.to = lineEnd(text, to)
		t.pairs = append(t.pairs, pair{key, from, to})
	}
	return all
}

func tableOf(text []byte, key []string) *table {
	all := tables(text)
	if i := slices.IndexFunc(all, func(t table) bool { return slices.Equal(t.key, key) }); i >= 0 {
		return &all[i]
	}
	return nil
}

func (t *table) pair(key string) *pair {
	if i := slices.IndexFunc(t.pairs, func(p pair) bool { return slices.Equal(p.key, []string{key}) }); i >= 0 {
		return &t.pairs[i]
	}
	return nil
}

// lineOf is where the line of an offset begins.
func lineOf(text []byte, offset int) int { return bytes.LastIndexByte(text[:offset], '\n') + 1 }

// lineEnd is where the line after that of an offset begins.
func lineEnd(text []byte, offset int) int {
	if i := bytes.IndexByte(text[offset:], '\n'); i >= 0 {
		return offset + i + 1
	}
	return len(text)
}
