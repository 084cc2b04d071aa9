package tools

import (
	"context"
	"encoding/json"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"heffl-mcp/journal"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/mark3labs/mcp-go/mcp"
)

// MetaSource is the member of a call's _meta by which a client says which message the call is for: an
// object with messageId, sender and date, all of them optional strings. The messageId is the
// Message-ID of an e-mail, or another ID that no other message has; of one message, at most one deal is
// made unless the user wants another. Sender is an address or a name, date an RFC 3339 or an e-mail's
// date-time; the journal keeps them for people.
const MetaSource = "heffl-mcp/source"

// A source is the message that a call is for.
type source struct {
	MessageID string `json:"messageId,omitempty"`
	Sender    string `json:"sender,omitempty"`
	Date      string `json:"date,omitempty"` // RFC 3339
}

const (
	minMessageID = 8   // characters: a shorter one is likely to be a mere count
	maxMessageID = 998 // a line of an e-mail
	maxSender    = 320 // an address
)

// sourceOf reads the message that a call is for, and says what is wrong with how it is given. Nil: none was.
func sourceOf(req mcp.CallToolRequest) (*source, []string) {
	if req.Params.Meta == nil {
		return nil, nil
	}
	given, ok := req.Params.Meta.AdditionalFields[MetaSource]
	if !ok || given == nil {
		return nil, nil
	}
	fields, ok := given.(map[string]any)
	if !ok {
		return nil, []string{"_meta " + MetaSource + ": want an object with messageId, sender and date"}
	}
	var s source
	var problems []string
	wrong := func(name, want string) { problems = append(problems, "_meta "+MetaSource+"."+name+": "+want) }
	for name, value := range fields {
		text, isText := value.(string)
		text = strings.TrimSpace(text)
		switch {
		case !slices.Contains([]string{"messageId", "sender", "date"}, name):
			wrong(line(name, 40), "unknown; there are messageId, sender and date")
		case !isText || text == "" || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
			wrong(name, "want a string of one line; leave it out where it is not known")
		case name == "messageId":
			if s.MessageID, ok = messageID(text); !ok {
				wrong(name, "want the message's own ID as it is in its header, such as <b1c9@acme.example>: 8 to 998 characters without spaces")
			}
		case name == "sender":
			if s.Sender = text; utf8.RuneCountInString(text) > maxSender {
				wrong(name, "longer than 320 characters")
			}
		case name == "date":
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				at, err = mail.ParseDate(text)
			}
			if s.Date = at.Format(time.RFC3339); err != nil {
				wrong(name, "want a date-time, such as 2026-11-12T15:48:09-05:00 or the Date of an e-mail")
			}
		}
	}
	slices.Sort(problems)
	return &s, problems
}

// messageID is an ID without what differs between two spellings of it: the angle brackets, and the case of
// the domain.
func messageID(text string) (id string, ok bool) {
	if inner, found := strings.CutPrefix(text, "<"); found {
		if text, found = strings.CutSuffix(inner, ">"); !found {
			return "", false
		}
	}
	n := utf8.RuneCountInString(text)
	if n < minMessageID || n > maxMessageID || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '<' || r == '>' }) {
		return "", false
	}
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		text = text[:at] + strings.ToLower(text[at:])
	}
	return text, true
}

// namesMessage is how a text says which message it is about, as the header of an e-mail does.
var namesMessage = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[\s,;(])message-id:\s*(<[^<>\s]+>)`)
})

// orIn is the source, or where that has no message's ID and the text of one custom field has, that message: a model cannot
// set _meta, but a user may have it write down where a deal comes from. The declared properties are no custom fields. Of
// several messages, none is the one.
func (s *source) orIn(given object, declared []string) *source {
	if s != nil && s.MessageID != "" {
		return s
	}
	found := map[string]bool{}
	for _, m := range given {
		if slices.Contains(declared, m.name) || jsontext.Value(m.value).Kind() != '"' {
			continue
		}
		for _, named := range namesMessage().FindAllStringSubmatch(text(jsontext.Value(m.value)), -1) {
			if id, ok := messageID(named[1]); ok {
				found[id] = true
			}
		}
	}
	if len(found) != 1 {
		return s
	}
	var said source
	if s != nil {
		said = *s
	}
	for said.MessageID = range found {
	}
	return &said
}

// origin is the message as the journal has it; empty where it has no ID.
func (s *source) origin() string {
	if s == nil || s.MessageID == "" {
		return ""
	}
	return hash("message", s.MessageID)
}

// attachable is a record of the call's arguments, if it may answer for the call's message too: it does unless
// something else was made for that.
func (c *call) attachable(ctx context.Context, rec *journal.Record, tool string) *journal.Record {
	if rec == nil || c.origin == "" || rec.Origin == c.origin {
		return rec
	}
	if _, other, err := c.Journal.MadeOf(ctx, c.Tenant, tool, c.origin); err != nil || other {
		return nil
	}
	return rec
}

// attach has a record answer for the call's message from now on, and reports whether it does. One that stands for
// another message answers without that.
func (c *call) attach(ctx context.Context, rec *journal.Record) bool {
	if c.origin == "" || rec.Origin != "" {
		return true
	}
	ok, err := c.Journal.Attach(ctx, rec.ID, c.origin)
	return ok && err == nil
}

// otherwise says how the arguments of a call differ from those of which something was made for the same
// message, by the bodies that were sent and would have been.
func otherwise(made, asked object) (differences []string) {
	for _, m := range asked {
		was, ok := made.get(m.name)
		switch {
		case !ok:
			differences = append(differences, m.name+" (made without, now "+brief(m.value)+")")
		case !same(was, m.value):
			differences = append(differences, m.name+" (made with "+brief(was)+", now "+brief(m.value)+")")
		}
	}
	for _, m := range made {
		if _, ok := asked.get(m.name); !ok {
			differences = append(differences, m.name+" (made with "+brief(m.value)+", now without)")
		}
	}
	return differences
}

// ofMessage is what was made of a record for the call's message from other arguments than the call's.
func (c *call) ofMessage(made *found, rec *journal.Record, asked object) *found {
	of := *made
	of.forMessage, of.differences = true, otherwise(parse(sentOf(rec)), asked)
	return &of
}

// sentOf is the body that a record is about.
func sentOf(rec *journal.Record) json.RawMessage {
	var was about
	_ = json.Unmarshal(rec.About, &was) // of what cannot be read, nothing is known
	return was.Sent
}
