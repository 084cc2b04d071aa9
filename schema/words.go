package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode"

	"github.com/agnivade/levenshtein"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// allowed says what would be right where e is wrong.
func allowed(e *validator.ValidationError, node *jsonschema.Schema) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Minimum:
		return "a number of at least " + number(k.Want)
	case *kind.Maximum:
		return "a number of at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "a number above " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "a number below " + number(k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("at least %d values", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("at most %d values", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("at most %d characters", k.Want)
	case *kind.MinLength:
		if k.Want > 1 {
			return fmt.Sprintf("at least %d characters", k.Want)
		}
	case *kind.Type:
		if node == nil {
			return "an object"
		}
	}
	return describe(node)
}

// alternatives are what anyScalarOrList lets through, in words.
const alternatives = "a string, a number, true, false, null, or a list of strings or numbers"

// describe says in words what a property takes: its kind, then what its description says.
func describe(s *jsonschema.Schema) string {
	if s == nil {
		return "a value that is allowed here"
	}
	what := kindOf(s)
	if nullable(s) {
		what += " or null"
	}
	if s.Description != "" {
		what += " (" + s.Description + ")"
	}
	return what
}

func kindOf(s *jsonschema.Schema) string {
	form, _ := s.Extras["x-form"].(string)
	switch {
	case form != "" && s.Type == "string":
		return form
	case len(s.Enum) > 0:
		return "one of " + list(s.Enum)
	case s.Format == "date-time":
		return "an RFC 3339 date-time such as 2026-06-30T00:00:00Z"
	case s.Format == Day:
		return "a day such as 2026-06-30, or an RFC 3339 date-time"
	case s.Type == "number":
		return "a JSON number"
	case s.Type == "integer":
		return "a whole number"
	case s.Type == "boolean":
		return "true or false"
	case s.Type == "array" && s.Items != nil:
		return "an array, each item " + kindOf(s.Items)
	case s.Type == "array":
		return "an array"
	case s.Type == "object":
		return "an object with " + strings.Join(keys(s), ", ")
	case s.MinLength != nil || s.Pattern != "" || s.Extras["x-visible"] == true:
		return "a non-empty string"
	default:
		return "a string"
	}
}

// keys are the names that an object takes: its properties, then what its patterns let in.
func keys(s *jsonschema.Schema) []string {
	names := properties(s)
	for pattern := range s.PatternProperties {
		names = append(names, strings.TrimPrefix(pattern, "^")+"*")
	}
	return names
}

func list(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return json.Number(strings.TrimRight(r.FloatString(18), "0")).String()
}

// maxGuesses bounds how many unknown properties of one object are compared with the known ones.
const maxGuesses = 20

// unknown are the faults of properties that the schema does not have.
func unknown(node *jsonschema.Schema, path string, names []string) []Fault {
	slices.Sort(names) // the validator walks a map
	known := strings.Join(keys(node), ", ")
	faults := make([]Fault, len(names))
	for i, name := range names {
		faults[i] = Fault{Path: join(path, name), Keyword: "unknown", Want: known}
		if i < maxGuesses {
			faults[i].Meant, faults[i].Guessed = meant(node, name)
		}
	}
	return faults
}

// meant is the property of node that a wrong name most likely stands for: the same but for case
// and separators, a usual other name for it, or a slip of one or two letters. Two properties that
// are equally likely are neither.
func meant(node *jsonschema.Schema, name string) (property string, guessed bool) {
	if len(name) > maxShown {
		return "", false
	}
	folded := fold(name)
	for known, s := range node.Properties.FromOldest() {
		aka, _ := s.Extras["x-aka"].(string)
		if folded == fold(known) || slices.ContainsFunc(strings.Fields(aka), func(a string) bool { return folded == fold(a) }) {
			return known, false
		}
	}
	for pattern := range node.PatternProperties {
		prefix := strings.TrimPrefix(pattern, "^")
		if n := len(prefix); len(name) > n && strings.EqualFold(name[:n], prefix) {
			return prefix + strings.ToLower(name[n:]), false
		}
	}
	best, guess := 3, ""
	for known := range node.Properties.KeysFromOldest() {
		switch d := levenshtein.ComputeDistance(folded, fold(known)); {
		case 2*d >= len(known): // a short name is near to everything
		case d < best:
			best, guess = d, known
		case d == best:
			guess = ""
		}
	}
	return guess, guess != ""
}

// fold drops what people write differently in a name: clientId, client_id, Client-ID.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}
