package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// field declares one member of a request.
type field struct {
	name     string
	kind     kind
	required bool      // on create
	nullable bool      // null is taken as a value
	oneOf    []string  // of an enum
	to       reference // of an id
	members  []field   // of a nested object
	of       *field    // the items of a list
}

// kind is what a member has to be.
type kind int

const (
	asText     kind = iota // any string
	asName                 // a string that is not empty
	asEnum                 // one of field.oneOf
	asID                   // an ID that field.to takes
	asTime                 // RFC 3339; answered in UTC with milliseconds
	asDay                  // 2026-06-30, or RFC 3339; answered as sent
	asEmail                // a bare address
	asURI                  // absolute
	asPhone                // digits and the usual marks between them
	asCurrency             // three capital letters
	asNumber               // any a double can hold in size
	asAmount               // a number that is not negative
	asFlag                 // a boolean
	asObject               // an object of field.members
	asList                 // an array of field.of
)

// jsonType is the JSON type that a kind is written as.
func (k kind) jsonType() string {
	switch k {
	case asNumber, asAmount:
		return "number"
	case asFlag:
		return "boolean"
	case asObject:
		return "object"
	case asList:
		return "array"
	default:
		return "string"
	}
}

// jsonType is the type of a valid JSON value.
func jsonType(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	default:
		return "number"
	}
}

// validator collects all that is wrong with a request, so that one answer tells it all.
type validator struct {
	issues  []issue
	pending []pendingID
}

// pendingID is a well-formed ID whose existence is still to be checked.
type pendingID struct {
	to reference
	id string
}

func (v *validator) fault(path, format string, args ...any) {
	v.issues = append(v.issues, issue{path, fmt.Sprintf(format, args...)})
}

// object checks the members of an object and returns them as they are kept. Custom fields at the top are left to
// acceptCustom. partial is an update, where nothing is required.
func (v *validator) object(path string, declared []field, sent fields, partial bool) fields {
	clean := fields{}
	known := map[string]bool{}
	for _, f := range declared {
		known[f.name] = true
		raw, given := sent[f.name]
		switch {
		case given:
			clean[f.name] = v.value(join(path, f.name), f, raw)
		case f.required && !partial:
			v.fault(join(path, f.name), "Required")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if !known[name] && (path != "" || !strings.HasPrefix(name, "cf_")) {
			v.issues = append(v.issues, unknownField(join(path, name)))
		}
	}
	return clean
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// value checks one value and returns it as it is kept; what it returns for a bad one does not matter.
func (v *validator) value(path string, f field, raw json.RawMessage) json.RawMessage {
	if f.nullable && isNull(raw) {
		return raw
	}
	if got, want := jsonType(raw), f.kind.jsonType(); got != want {
		v.fault(path, "Expected %s, received %s", want, got)
		return raw
	}
	switch f.kind {
	case asNumber, asAmount:
		v.number(path, f, raw)
		return raw
	case asFlag:
		return raw
	case asObject:
		var sent fields
		unmarshal(raw, &sent)
		return encode(v.object(path, f.members, sent, false))
	case asList:
		var items []json.RawMessage
		unmarshal(raw, &items)
		for i, item := range items {
			items[i] = v.value(join(path, strconv.Itoa(i)), *f.of, item)
		}
		return encode(items)
	default:
		return v.text(path, f, raw)
	}
}

// number keeps to what a double can hold in size, though not in digits.
func (v *validator) number(path string, f field, raw json.RawMessage) {
	n, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case err != nil:
		v.fault(path, "Number must be finite")
	case f.kind == asAmount && n < 0:
		v.fault(path, "Number must be greater than or equal to 0")
	}
}

var (
	phoneForm    = pattern(`^\+?[0-9][0-9 ()./-]{2,}$`)
	currencyForm = pattern(`^[A-Z]{3}$`)
	rfc3339      = pattern(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
)

// pattern compiles a regular expression when it is first needed: a program that has the sandbox in it seldom serves it.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// text checks what is written as a string. The words of the messages are in the style of the one that is documented
// ("Required"); what they really are is not known.
func (v *validator) text(path string, f field, raw json.RawMessage) json.RawMessage {
	var s string
	unmarshal(raw, &s)
	switch f.kind {
	case asName:
		if s == "" {
			v.fault(path, "String must contain at least 1 character(s)")
		}
	case asEnum:
		if !slices.Contains(f.oneOf, s) {
			v.fault(path, "Invalid enum value. Expected '%s', received '%s'", strings.Join(f.oneOf, "' | '"), s)
		}
	case asID:
		switch {
		case !strings.HasPrefix(s, f.to.prefix) || s == f.to.prefix:
			v.fault(path, "Invalid ID. Expected a %s ID", f.to.prefix)
		case f.to.in != nil:
			v.pending = append(v.pending, pendingID{f.to, s})
		}
	case asTime:
		// A day without a time is refused, an offset other than Z is taken: neither is documented.
		t, err := parseTime(s)
		if err != nil {
			v.fault(path, "Invalid datetime")
			break
		}
		return encode(stamp(t))
	case asDay:
		if _, err := time.Parse(time.DateOnly, s); err == nil {
			break
		}
		if _, err := parseTime(s); err != nil {
			v.fault(path, "Invalid date")
		}
	case asEmail:
		if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
			v.fault(path, "Invalid email")
		}
	case asURI:
		if u, err := url.Parse(s); err != nil || u.Scheme == "" || u.Host == "" {
			v.fault(path, "Invalid url")
		}
	case asPhone:
		if !phoneForm().MatchString(s) {
			v.fault(path, "Invalid phone number")
		}
	case asCurrency:
		if !currencyForm().MatchString(s) {
			v.fault(path, "Invalid currency code. Expected 3 letters, as in USD")
		}
	}
	return raw
}

// parseTime is strict about RFC 3339, which time.Parse is not: it takes T0:00:00, a comma before the fraction and +24:60.
func parseTime(s string) (time.Time, error) {
	if !rfc3339().MatchString(s) {
		return time.Time{}, errors.New("not RFC 3339")
	}
	return time.Parse(time.RFC3339, s)
}

// unmarshal decodes JSON that was parsed before and is of the right type.
func unmarshal(raw json.RawMessage, into any) {
	if err := json.Unmarshal(raw, into); err != nil {
		panic("sandbox: unmarshal: " + err.Error())
	}
}
