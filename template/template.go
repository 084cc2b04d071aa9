// Package template fills in pages that are written as for text/template: fields, if, range, define and template, and
// not for the one function.
//
//	pages, err := template.Parse(files, "*.md")
//	text, err := pages.Fill("letter.md", struct{ Name string }{"Anna"})
//
// It reads them with text/template's own parser. What it leaves out is that a template may call any method by its name: for the
// sake of that, the linker keeps every exported method of every library in a program that uses text/template.
package template

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"strings"
	"text/template/parse"
)

// Pages are templates, by the names of their files and by those that they define.
type Pages map[string]*parse.Tree

// Parse reads the files that match a pattern.
func Parse(files fs.FS, pattern string) (Pages, error) {
	names, err := fs.Glob(files, pattern)
	if err != nil {
		return nil, err
	}
	pages := Pages{}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		trees, err := parse.Parse(name, string(text), "", "", map[string]any{"not": true})
		if err != nil {
			return nil, err
		}
		maps.Copy(pages, trees)
	}
	return pages, nil
}

// Fill is a page with data in it: a struct, or a map whose keys are strings. A field or a key that is not there is an error. What it has are
// texts, numbers, truths, such structs and maps, lists of these, and pointers to what has a String method.
func (p Pages) Fill(name string, data any) (string, error) {
	var b strings.Builder
	err := p.fill(&b, name, reflect.ValueOf(data))
	return b.String(), err
}

func (p Pages) fill(b *strings.Builder, name string, dot reflect.Value) error {
	t := p[name]
	if t == nil {
		return fmt.Errorf("there is no template %q", name)
	}
	if err := p.list(b, t.Root, dot); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (p Pages) list(b *strings.Builder, list *parse.ListNode, dot reflect.Value) error {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		if err := p.node(b, n, dot); err != nil {
			return err
		}
	}
	return nil
}

func (p Pages) node(b *strings.Builder, node parse.Node, dot reflect.Value) error {
	switch n := node.(type) {
	case *parse.TextNode:
		b.Write(n.Text)
		return nil
	case *parse.ActionNode:
		v, err := value(n.Pipe, dot)
		if err == nil {
			fmt.Fprint(b, v.Interface())
		}
		return err
	case *parse.IfNode:
		v, err := value(n.Pipe, dot)
		if err != nil {
			return err
		}
		if truth(v) {
			return p.list(b, n.List, dot)
		}
		return p.list(b, n.ElseList, dot)
	case *parse.RangeNode:
		v, err := value(n.Pipe, dot)
		if err != nil {
			return err
		}
		if v.Kind() != reflect.Slice {
			return fmt.Errorf("%s is no list", n.Pipe)
		}
		if v.Len() == 0 {
			return p.list(b, n.ElseList, dot)
		}
		for i := range v.Len() {
			if err := p.list(b, n.List, v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case *parse.TemplateNode:
		v, err := value(n.Pipe, dot)
		if err != nil {
			return err
		}
		return p.fill(b, n.Name, v)
	}
	return fmt.Errorf("%s is not understood here", node)
}

// value is what stands between the braces: dot, a field, or not and one of these.
func value(pipe *parse.PipeNode, dot reflect.Value) (reflect.Value, error) {
	if pipe == nil {
		return dot, errors.New("a template is to be given its data, such as {{template \"name\" .}}")
	}
	if len(pipe.Cmds) != 1 || len(pipe.Decl) > 0 {
		return dot, fmt.Errorf("%s is not understood here", pipe)
	}
	args := pipe.Cmds[0].Args
	if len(args) == 2 && args[0].Type() == parse.NodeIdentifier { // not: there is no other
		v, err := operand(args[1], dot)
		if err != nil {
			return dot, err
		}
		return reflect.ValueOf(!truth(v)), nil
	}
	if len(args) != 1 {
		return dot, fmt.Errorf("%s is not understood here", pipe)
	}
	return operand(args[0], dot)
}

func operand(node parse.Node, dot reflect.Value) (reflect.Value, error) {
	switch n := node.(type) {
	case *parse.DotNode:
		return dot, nil
	case *parse.FieldNode:
		for _, name := range n.Ident {
			var err error
			if dot, err = field(dot, name); err != nil {
				return dot, err
			}
		}
		return dot, nil
	}
	return dot, fmt.Errorf("%s is not understood here", node)
}

func field(v reflect.Value, name string) (reflect.Value, error) {
	var found reflect.Value
	switch v.Kind() {
	case reflect.Struct:
		found = v.FieldByName(name)
	case reflect.Map:
		found = v.MapIndex(reflect.ValueOf(name))
	}
	if !found.IsValid() {
		return v, errors.New("there is no " + name)
	}
	return found, nil
}

// truth says that there is something: no empty list, text or map, and nothing that is 0, false or nil.
func truth(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String:
		return v.Len() > 0
	}
	return !v.IsZero()
}
