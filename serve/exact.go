package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/mark3labs/mcp-go/mcp"
)

// MetaRawArguments is the member of a call's params._meta by which a tool knows that its arguments come as a
// JSON string that holds their text. It is true then, and never there otherwise: one that a client sends is
// taken out.
//
// A tool finds the bytes of its arguments in CallToolParams.RawArguments. But mcp-go decodes them too, and
// over a number that no float64 holds, like 1e309, it refuses the call with words about Go. The string gets
// such arguments past it, so that the tool can say which argument is wrong.
const MetaRawArguments = "heffl-mcp/rawArguments"

// exactArguments makes sure that a tool gets the arguments that the client sent. It refuses a tools/call that
// says something twice, where mcp-go would take the last, and gives mcp-go the stand-in of MetaRawArguments
// for arguments that it could not take. The message is valid JSON.
func exactArguments(message []byte, id json.RawMessage) ([]byte, *fault) {
	var top [1]span
	if bad := locate(message, span{0, len(message)}, "the message", []string{"params"}, top[:]); bad != "" {
		return nil, &fault{id, mcp.INVALID_PARAMS, bad}
	}
	var in [3]span
	if bad := locate(message, top[0], "params", []string{"arguments", "_meta", "name"}, in[:]); bad != "" {
		return nil, &fault{id, mcp.INVALID_PARAMS, bad}
	}
	arguments, meta := in[0], in[1]
	beyond := beyondFloat64(arguments.of(message))
	if !beyond && !hasMember(meta.of(message), MetaRawArguments) {
		return message, nil
	}
	members := make(map[string]json.RawMessage)
	if meta.to > 0 && json.Unmarshal(meta.of(message), &members) != nil {
		return message, nil // not an object: mcp-go refuses the call
	}
	delete(members, MetaRawArguments)
	if !beyond {
		return meta.replace(message, encoded(members)), nil
	}
	if members == nil { // it was null
		members = make(map[string]json.RawMessage)
	}
	members[MetaRawArguments] = json.RawMessage("true")
	text, mark := encoded(string(arguments.of(message))), encoded(members)
	switch {
	case meta.to == 0:
		return arguments.replace(message, slices.Concat(text, []byte(`,"_meta":`), mark)), nil
	case meta.from < arguments.from: // the later first, which moves nothing before it
		return meta.replace(arguments.replace(message, text), mark), nil
	}
	return arguments.replace(meta.replace(message, mark), text), nil
}

// encoded is a value that cannot fail to encode.
func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// locate finds the members of an object by name. Anything but an object has none. It returns what is wrong
// where encoding/json would take another member for one of them: a repeated one, or one that differs in case.
func locate(text []byte, in span, what string, names []string, places []span) (wrong string) {
	for o := (object{text[:in.to], in.from}); ; {
		name, value, ok := o.member()
		if !ok {
			return ""
		}
		i := slices.IndexFunc(names, func(n string) bool { return bytes.EqualFold(name, []byte(n)) })
		switch {
		case i < 0:
		case string(name) != names[i]:
			return fmt.Sprintf("%q in %s must be written %q", name, what, names[i])
		case places[i].to > 0:
			return fmt.Sprintf("%s has more than one %q; send it once", what, name)
		default:
			places[i] = value
		}
	}
}

func hasMember(text []byte, want string) bool {
	for o := (object{text: text}); ; {
		name, _, ok := o.member()
		if !ok || string(name) == want {
			return ok
		}
	}
}

// beyondFloat64 says whether JSON has a number that encoding/json cannot make a float64 of.
func beyondFloat64(text []byte) bool {
	const safe = 308 // so many digits, without an exponent, are less than the largest float64
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			i = stringEnd(text, i)
		case c == '-' || '0' <= c && c <= '9':
			number := text[i:valueEnd(text, i)]
			if len(number) > safe || bytes.ContainsAny(number, "eE") {
				if _, err := strconv.ParseFloat(string(number), 64); err != nil {
					return true
				}
			}
			i += len(number)
		default:
			i++
		}
	}
	return false
}

// span is the place of a value in a text; zero when there is none.
type span struct{ from, to int }

func (s span) of(text []byte) []byte { return text[s.from:s.to] }

func (s span) replace(text, with []byte) []byte {
	return slices.Concat(text[:s.from], with, text[s.to:])
}

// object reads one member of a JSON object after the other, without decoding the values. (encoding/json
// would hide that a member is repeated; its tokens are many times as slow.)
type object struct {
	text []byte // valid JSON as far as it is read
	next int    // the place of the object at first, then the end of the last member
}

// member is the next member; not ok after the last, or when there is no object.
func (o *object) member() (name []byte, value span, ok bool) {
	i := skipBlanks(o.text, o.next)
	if i == len(o.text) || o.text[i] != '{' && o.text[i] != ',' {
		return nil, span{}, false
	}
	i = skipBlanks(o.text, i+1)
	if o.text[i] == '}' {
		return nil, span{}, false
	}
	end := stringEnd(o.text, i)
	name = o.text[i+1 : end-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var unescaped string
		if json.Unmarshal(o.text[i:end], &unescaped) == nil {
			name = []byte(unescaped)
		}
	}
	colon := skipBlanks(o.text, end)
	value.from = skipBlanks(o.text, colon+1)
	value.to = valueEnd(o.text, value.from)
	o.next = value.to
	return name, value, true
}

func skipBlanks(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// stringEnd is the end of the string whose first quote is at i.
func stringEnd(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
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
