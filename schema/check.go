package schema

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// A Fault is one thing that is wrong with a JSON document.
type Fault struct {
	Path    string // where: products[1].quantity; empty means the document itself
	Keyword string // the JSON Schema keyword that it breaks, "unknown" for a property that is not there, or "json"
	Got     string // what came, shortened; what is wrong with it where Keyword is "json"; empty where nothing came
	Want    string // what is allowed, in words
	Meant   string // the property that was probably meant, where Keyword is "unknown"
	Guessed bool   // Meant is only spelled nearly so: it may be a slip, or another word
}

// Error is the fault as one line without an end mark.
func (f Fault) Error() string {
	var b strings.Builder
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	switch f.Keyword {
	case "required":
		b.WriteString("missing; give " + f.Want)
	case "unknown":
		b.WriteString("unknown property; ")
		if f.Meant != "" {
			b.WriteString("did you mean " + f.Meant + "?")
		} else {
			b.WriteString("allowed are " + f.Want)
		}
	case "json":
		b.WriteString(f.Got + "; give " + f.Want)
	default:
		b.WriteString("got " + f.Got + "; give " + f.Want)
	}
	return b.String()
}

// Check reads one JSON document, and returns every fault that it has in the order of their paths.
func (s *Schema) Check(raw []byte) []Fault {
	if r := s.rules(); r != nil && r.sound(raw, s.use) {
		return nil
	}
	return s.faults(raw)
}

// faults are what the guard and the validator find.
func (s *Schema) faults(raw []byte) []Fault {
	v, faults := decode(raw, s.use)
	if len(faults) > 0 && (v == nil || slices.ContainsFunc(faults, func(f Fault) bool { return f.Path == "" })) {
		return faults // there is no whole document to say more about
	}
	compiled, err := s.compiled()
	if err != nil {
		panic(err) // see Compile
	}
	if broken, ok := errors.AsType[*validator.ValidationError](compiled.Validate(v)); ok {
		w := wording{root: s.root(), doc: v}
		w.walk(broken)
		faults = append(faults, w.faults...)
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return comparePaths(a.Path, b.Path) })
	return faults
}

// comparePaths orders paths as text, but lines[2] before lines[10].
func comparePaths(a, b string) int {
	for a != "" && b != "" {
		i, j := digits(a), digits(b)
		if i > 0 && j > 0 && i != j {
			return i - j // no index has a leading zero: the longer is the greater
		}
		i, j = max(i, 1), max(j, 1)
		if c := strings.Compare(a[:i], b[:j]); c != 0 {
			return c
		}
		a, b = a[i:], b[j:]
	}
	return len(a) - len(b)
}

// digits is how many digits s begins with.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }

// In reports whether the fault is at or below a member of the document's root.
func (f Fault) In(member string) bool {
	rest, ok := strings.CutPrefix(f.Path, join("", member))
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// wording turns the validator's tree into faults. The validator's own sentences group digits, go
// exponential and name Go types; these say what came and what is allowed.
type wording struct {
	root   *jsonschema.Schema
	doc    any
	faults []Fault
}

func (w *wording) walk(e *validator.ValidationError) {
	node, value, path := w.at(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			w.faults = append(w.faults, Fault{Path: join(path, name), Keyword: "required", Want: describe(property(node, name))})
		}
	case *kind.AdditionalProperties:
		w.faults = append(w.faults, unknown(node, path, k.Properties)...)
	case *kind.AnyOf:
		w.faults = append(w.faults, Fault{Path: path, Keyword: "anyOf", Got: shorten(value), Want: alternatives})
	default:
		if len(e.Causes) > 0 {
			for _, c := range e.Causes {
				w.walk(c)
			}
			return
		}
		w.faults = append(w.faults, Fault{Path: path, Keyword: keyword(e), Got: shorten(value), Want: allowed(e, node)})
	}
}

func keyword(e *validator.ValidationError) string {
	if p := e.ErrorKind.KeywordPath(); len(p) > 0 {
		return p[0]
	}
	return "schema"
}

// at follows an instance location to the schema and the value there, and writes it as a path.
func (w *wording) at(location []string) (*jsonschema.Schema, any, string) {
	node, value := w.root, w.doc
	var path []byte
	for _, step := range location {
		switch v := value.(type) {
		case map[string]any:
			node, value = property(node, step), v[step]
			path = appendKey(path, step)
		case []any:
			i, _ := strconv.Atoi(step)
			value = v[i]
			path = appendIndex(path, i)
			if node != nil {
				node = node.Items
			}
		}
	}
	return node, value, string(path)
}

func property(s *jsonschema.Schema, name string) *jsonschema.Schema {
	if s == nil || s.Properties == nil {
		return nil
	}
	return s.Properties.Value(name)
}

func appendIndex(path []byte, i int) []byte {
	return append(strconv.AppendInt(append(path, '['), int64(i), 10), ']')
}

func appendKey(path []byte, key string) []byte {
	if !plain(key) {
		return append(append(append(path, '['), quote(key)...), ']')
	}
	if len(path) > 0 {
		path = append(path, '.')
	}
	return append(path, key...)
}

func join(path, key string) string { return string(appendKey([]byte(path), key)) }

// plain reports whether a key reads well in a path as it is.
func plain(key string) bool {
	return key != "" && len(key) <= maxShown && !strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// maxShown bounds how much of a caller's own text comes back in a fault, in bytes.
const maxShown = 80

// shorten writes a value as JSON, cut to what is needed to recognise it.
func shorten(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return quote(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "an array of " + strconv.Itoa(len(v))
	default:
		return "an object"
	}
}

func quote(s string) string {
	cut := s
	if len(cut) > maxShown {
		cut = cut[:maxShown]
		for !utf8.ValidString(cut) {
			cut = cut[:len(cut)-1]
		}
	}
	q := strconv.QuoteToGraphic(cut)
	if len(cut) < len(s) {
		return q[:len(q)-1] + "…\" (" + strconv.Itoa(utf8.RuneCountInString(s)) + " characters)"
	}
	return q
}
