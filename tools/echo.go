package tools

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// answeredAs is where Heffl's answer has another name for what a request calls so.
var answeredAs = map[string]string{"sourceId": "crmSourceId"}

// compareEcho holds what was sent against what Heffl's answer says: the properties that it does
// not repeat, and those that it gives another value.
func compareEcho(sent, answered object) (unconfirmed, differing []string) {
	for _, m := range sent {
		name := m.name
		if other, ok := answeredAs[name]; ok {
			name = other
		}
		echo, ok := answered.get(name)
		switch {
		case string(m.value) == "null": // left to Heffl
		case !ok && m.name == "contacts" && shownByEmail(m.value, answered):
		case !ok:
			unconfirmed = append(unconfirmed, m.name)
		case !same(m.value, echo):
			differing = append(differing, m.name+" sent "+brief(m.value)+", answered "+brief(echo))
		}
	}
	return unconfirmed, differing
}

// confirm says what compareEcho has found.
func (a *answer) confirm(unconfirmed, differing []string) {
	if len(unconfirmed) > 0 {
		a.text += "\nSent, but not repeated in Heffl's answer, so not confirmed: " + strings.Join(unconfirmed, ", ") + "."
		a.meta[ours+"notConfirmed"] = unconfirmed
	}
	if len(differing) > 0 {
		a.text += "\nHeffl's answer differs from what was sent: " + strings.Join(differing, "; ") + "."
		a.meta[ours+"differs"] = differing
	}
}

// shownByEmail reports whether an answer, which has the contacts' e-mails alone, has one for each that
// was sent.
func shownByEmail(contacts json.RawMessage, answered object) bool {
	var sent, emails []json.RawMessage
	shown, _ := answered.get("contactEmails")
	return json.Unmarshal(contacts, &sent) == nil && json.Unmarshal(shown, &emails) == nil && len(sent) > 0 && len(emails) == len(sent)
}

// same reports whether two JSON values mean the same: numbers by value, date-times by instant.
func same(a, b json.RawMessage) bool {
	x, y := jsontext.Value(a), jsontext.Value(b)
	switch {
	case bytes.Equal(a, b):
		return true
	case x.Kind() != y.Kind():
		return false
	case x.Kind() == '0':
		return sameNumber(string(x), string(y))
	case x.Kind() == '"':
		s, t := text(x), text(y)
		return s == t || sameInstant(s, t)
	}
	x, y = x.Clone(), y.Clone()
	// Digits beyond a float64 count: they are what was sent.
	keep := []jsontext.Options{jsontext.CanonicalizeRawInts(false)}
	return x.Canonicalize(keep...) == nil && y.Canonicalize(keep...) == nil && string(x) == string(y)
}

// sameNumber compares every digit, but only of numbers that a float64 can hold: big.Rat would
// write out the million digits of an answer's 1e1000000.
func sameNumber(a, b string) bool {
	f, err := strconv.ParseFloat(a, 64)
	g, err2 := strconv.ParseFloat(b, 64)
	if err != nil || err2 != nil || f != g || f == 0 {
		return err == nil && err2 == nil && f == g
	}
	x, ok := new(big.Rat).SetString(a)
	y, ok2 := new(big.Rat).SetString(b)
	return ok && ok2 && x.Cmp(y) == 0
}

// text is a JSON string without its quotes and escapes.
func text(v jsontext.Value) string {
	if bytes.IndexByte(v, '\\') < 0 && utf8.Valid(v) {
		return string(bytes.Trim(v, `"`))
	}
	s, _ := jsontext.AppendUnquote(nil, v)
	return string(s)
}

func sameInstant(a, b string) bool {
	const year = len("2026")
	if len(a) <= year || len(b) <= year || a[year] != '-' || b[year] != '-' {
		return false // most texts are none, and to say why costs more than to look
	}
	x, err := time.Parse(time.RFC3339, strings.ToUpper(a))
	y, err2 := time.Parse(time.RFC3339, strings.ToUpper(b))
	return err == nil && err2 == nil && x.Equal(y)
}
