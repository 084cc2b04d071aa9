package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// What no honest argument reaches, and what a validator must not be given: big.Rat takes 74 ms for
// 1e-999999 and the validator panics just beyond it.
const (
	maxDepth    = 32
	maxNumber   = 64     // characters of a number
	maxExponent = 308    // of a number, either way
	maxValues   = 10_000 // in one document
	maxSlips    = 1000   // keys given twice and numbers out of range, in one document
)

// decode reads one JSON document into the form that the validator takes, numbers as json.Number
// with the digits they came with. What encoding/json lets pass or repairs in silence is a fault:
// a key twice in one object (the last would win), trailing data, invalid Unicode, endless depth.
//
// An answer is read with more patience than a question: it is what it is, and larger.
func decode(raw []byte, use Use) (any, []Fault) {
	d := decoder{Decoder: jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowDuplicateNames(true)), limit: maxValues, depth: maxDepth}
	if use == Output {
		d.limit, d.depth = 100*maxValues, 100*maxDepth
	}
	v, err := d.value()
	if err == nil {
		if _, end := d.ReadToken(); !errors.Is(end, io.EOF) {
			d.fault("", "trailing data", "one JSON value and nothing after it")
		}
	}
	switch {
	case errors.Is(err, errStop): // the fault is noted
	case err != nil:
		d.fault("", "not valid JSON, "+syntax(err), "one JSON object in valid UTF-8")
	}
	return v, d.faults
}

// errStop ends decoding where going on would be pointless or dangerous.
var errStop = errors.New("stop")

type decoder struct {
	*jsontext.Decoder
	values int // read so far
	limit  int // of values
	depth  int
	faults []Fault
}

func (d *decoder) fault(path, got, want string) {
	d.faults = append(d.faults, Fault{Path: path, Keyword: "json", Got: got, Want: want})
}

func (d *decoder) value() (any, error) {
	if d.values++; d.values > d.limit {
		d.fault("", fmt.Sprintf("more than %d values", d.limit), "far fewer")
		return nil, errStop
	}
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case '{':
		return d.object()
	case '[':
		return d.array()
	case '"':
		return t.String(), nil
	case '0':
		return d.number(t.String()), nil
	case 'n':
		return nil, nil
	default:
		return t.Bool(), nil
	}
}

func (d *decoder) object() (any, error) {
	if err := d.deep(); err != nil {
		return nil, err
	}
	m := make(map[string]any, 16)
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := t.String()
		if _, twice := m[key]; twice {
			if len(d.faults) == maxSlips {
				d.fault("", fmt.Sprintf("more than %d keys given twice", maxSlips), "each once")
				return nil, errStop
			}
			d.fault(d.path(), "given twice", "it once")
		}
		if m[key], err = d.value(); err != nil {
			return m, err
		}
	}
	_, err := d.ReadToken()
	return m, err
}

func (d *decoder) array() (any, error) {
	if err := d.deep(); err != nil {
		return nil, err
	}
	a := []any{}
	for d.PeekKind() != ']' {
		v, err := d.value()
		if err != nil {
			return a, err
		}
		a = append(a, v)
	}
	_, err := d.ReadToken()
	return a, err
}

func (d *decoder) deep() error {
	if d.StackDepth() <= d.depth {
		return nil
	}
	d.fault("", fmt.Sprintf("nested more than %d deep", d.depth), "values as the schema says")
	return errStop
}

func (d *decoder) number(s string) json.Number {
	if len(s) > maxNumber {
		d.fault(d.path(), fmt.Sprintf("a number of %d characters", len(s)), fmt.Sprintf("at most %d", maxNumber))
		return "0"
	}
	if !inRange(s) {
		d.fault(d.path(), s+" is out of range", fmt.Sprintf("a number between -1e%d and 1e%d", maxExponent, maxExponent))
		return "0"
	}
	return json.Number(s)
}

// inRange reports whether a number has an exponent that big.Rat takes at once, and is one that
// other programs read: beyond a float64 it is infinite to them.
func inRange(s string) bool {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return false
	}
	i := strings.IndexAny(s, "eE")
	if i < 0 || f != 0 {
		return true
	}
	e, err := strconv.Atoi(s[i+1:]) // what vanishes in a float64 may still be dear to write out
	return err == nil && e >= -maxExponent
}

// path is where the decoder stands, written as Fault.Path is.
func (d *decoder) path() string {
	var b []byte
	for i := 1; i <= d.StackDepth(); i++ {
		kind, n := d.StackIndex(i)
		if kind == '[' {
			b = appendIndex(b, int(n)-1)
		}
		if kind == '{' {
			b = appendKey(b, keyAt(d.StackPointer(), i))
		}
	}
	return string(b)
}

// keyAt is the i-th segment of p, counted from 1.
func keyAt(p jsontext.Pointer, i int) string {
	for token := range p.Tokens() {
		if i--; i == 0 {
			return token
		}
	}
	return ""
}

func syntax(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return "it ends too early"
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Sprintf("%v at byte %d", e.Err, e.ByteOffset)
	}
	return err.Error()
}
