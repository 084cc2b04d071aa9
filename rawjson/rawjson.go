// Package rawjson finds its way through JSON that is known to be valid, without decoding it: numbers keep their digits,
// strings their code points, and what nobody asks for is not looked at.
//
//	for o := rawjson.In(text, 0); o.Next(); {
//		fmt.Printf("%s: %s\n", o.Name, o.Value())
//	}
//
// A decoder (encoding/json, jsontext) checks what it reads, which takes many times as long. What is not valid is cut
// where it ends, or gives members that make no sense; it does no other harm.
package rawjson

import (
	"bytes"
	"encoding/json"
)

// An Object reads one member of a JSON object after the other.
type Object struct {
	Name     []byte // of the member, without escapes
	From, To int    // where in the text its value is

	text []byte
	next int // the place of the object at first, then the end of the last member
}

// In reads the object that begins at a place in text, after blanks. Anything but an object has no members.
func In(text []byte, at int) Object { return Object{text: text, next: at} }

// Value is that of the member: a part of the text.
func (o *Object) Value() []byte { return o.text[o.From:o.To:o.To] }

// Next goes to the next member; false after the last.
func (o *Object) Next() bool {
	i := skipBlanks(o.text, o.next)
	if i == len(o.text) || o.text[i] != '{' && (o.text[i] != ',' || o.Name == nil) {
		return false
	}
	i = skipBlanks(o.text, i+1)
	if i == len(o.text) || o.text[i] != '"' {
		return false
	}
	end := stringEnd(o.text, i)
	o.Name = o.text[i+1 : max(end-1, i+1)]
	if bytes.IndexByte(o.Name, '\\') >= 0 {
		var name string
		if json.Unmarshal(o.text[i:end], &name) == nil {
			o.Name = []byte(name)
		}
	}
	colon := skipBlanks(o.text, end)
	o.From = skipBlanks(o.text, min(colon+1, len(o.text)))
	o.To = valueEnd(o.text, o.From)
	o.next = o.To
	return true
}

// Items passes the items of an array on, each a part of the text, until yield says false. Anything but an array has none.
func Items(text []byte) func(yield func(item []byte) bool) {
	return func(yield func([]byte) bool) {
		i := skipBlanks(text, 0)
		if i == len(text) || text[i] != '[' {
			return
		}
		for {
			from := skipBlanks(text, i+1)
			if from == len(text) || text[from] == ']' {
				return
			}
			to := valueEnd(text, from)
			if to == from || !yield(text[from:to:to]) {
				return
			}
			if i = skipBlanks(text, to); i == len(text) || text[i] != ',' {
				return
			}
		}
	}
}

func skipBlanks(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// stringEnd is the end of the string whose first quote is at i.
func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(text)
}

// valueEnd is the end of the value that begins at i.
func valueEnd(text []byte, i int) int {
	depth := 0
	for i < len(text) {
		switch text[i] {
		case '"':
			i = stringEnd(text, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // of what the value is in
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}
