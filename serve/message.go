package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"heffl-mcp/rawjson"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/mark3labs/mcp-go/mcp"
)

// Methods that a transport has to know by name. All others are mcp-go's business.
const (
	methodInitialize = string(mcp.MethodInitialize)
	methodCall       = string(mcp.MethodToolsCall)
	methodRead       = string(mcp.MethodResourcesRead)
	methodPrompt     = string(mcp.MethodPromptsGet)
	methodComplete   = string(mcp.MethodCompletionComplete)
	methodListen     = string(mcp.MethodSubscriptionsListen)
	methodCancelled  = string(mcp.MethodNotificationCancelled)
)

// internalError is all that a client learns of a panic or of a result that cannot be encoded.
const internalError = "internal error; the server's log has the details"

// kind is what a JSON-RPC message is.
type kind int

const (
	request kind = iota
	notification
	response // of the client, to a request that this server never sends: ignored
)

// envelope is the part of a JSON-RPC message that a transport reads. The rest is decoded once, by mcp-go.
type envelope struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"` // as the client wrote it: digits beyond 2^53 come back unchanged
	Method  string          `json:"method"`
	Result  present         `json:"result"`
	Error   present         `json:"error"`

	kind      kind
	params    span            // where parseRequest has found them; zero: it has not
	arguments json.RawMessage // of a tools/call, taken out of the message; nil: none
	meta      json.RawMessage // of a tools/call that has arguments; empty: none
	tool      string          // that an ordinary tools/call is for (see Tools); empty: it is none
}

// of is the context of a call with its arguments, for mcp-go to hand on.
func (e envelope) of(ctx context.Context) context.Context {
	if e.arguments == nil {
		return ctx
	}
	return context.WithValue(ctx, argumentsKey{}, e.arguments)
}

// present notes that a member is there, and keeps nothing of it.
type present bool

func (p *present) UnmarshalJSON([]byte) error { *p = true; return nil }

// fault is a message that cannot be handled, and the answer to it.
type fault struct {
	id      json.RawMessage // nil when the message has no usable one
	code    int
	message string
}

// read gives the envelope of one message, and the message as mcp-go is to get it (see takeArguments); or it says what is
// wrong.
func read(message []byte, whole func(tool string) bool) (envelope, []byte, *fault) {
	env, bad := parse(message)
	if bad == nil && env.kind == request && env.Method == methodCall {
		message, bad = env.takeArguments(message, whole)
	}
	return env, message, bad
}

// parseRequest reads the envelope of a request as nearly every client writes it. Where it is not ok, parse knows more.
func parseRequest(message []byte) (env envelope, ok bool) {
	if !jsontext.Value(message).IsValid(jsontext.AllowDuplicateNames(true)) {
		return env, false
	}
	var method, id []byte
	for o := rawjson.In(message, 0); o.Next(); {
		switch v := o.Value(); string(o.Name) {
		case "jsonrpc":
			if env.Version != "" || string(v) != `"`+mcp.JSONRPC_VERSION+`"` {
				return env, false
			}
			env.Version = mcp.JSONRPC_VERSION
		case "id":
			if id != nil {
				return env, false
			}
			id = v
		case "method":
			if method != nil || v[0] != '"' || bytes.IndexByte(v, '\\') >= 0 {
				return env, false
			}
			method = v[1 : len(v)-1]
		case "params":
			if env.params.to > 0 {
				return env, false
			}
			env.params = span{o.From, o.To}
		default:
			return env, false
		}
	}
	env.ID, env.Method = usable(id), string(method)
	return env, env.Version != "" && env.ID != nil && env.Method != ""
}

// parse reads the envelope of one message, or says what is wrong with it.
func parse(message []byte) (envelope, *fault) {
	if env, ok := parseRequest(message); ok {
		return env, nil
	}
	return parseAny(message)
}

// parseAny is parse for every message there may be.
func parseAny(message []byte) (envelope, *fault) {
	var env envelope
	err := json.Unmarshal(message, &env)
	if err != nil {
		if batch(message) {
			return env, &fault{nil, mcp.INVALID_REQUEST, "batches are not supported: send each message on its own"}
		}
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return env, &fault{usable(env.ID), mcp.INVALID_REQUEST, "not a JSON-RPC message: " + wrong.Value + " in place of " + expected(wrong)}
		}
		return env, &fault{nil, mcp.PARSE_ERROR, "not valid JSON: " + err.Error()}
	}
	id := usable(env.ID)
	invalid := func(format string, args ...any) (envelope, *fault) {
		return env, &fault{id, mcp.INVALID_REQUEST, fmt.Sprintf(format, args...)}
	}
	null := string(env.ID) == "null"
	switch answer := bool(env.Result || env.Error); {
	case env.Version != mcp.JSONRPC_VERSION:
		return invalid(`"jsonrpc" must be "2.0"`)
	case answer && env.Method != "":
		return invalid("a message is a request or a response, not both")
	case answer:
		env.kind = response
	case env.Method == "":
		return invalid(`no "method"`)
	case env.ID == nil, null && strings.HasPrefix(env.Method, "notifications/"):
		env.kind = notification
	case id == nil:
		return invalid(`"id" must be a string or a number`)
	}
	return env, nil
}

// expected names the JSON type that a member of the envelope, or the message itself, should have had.
func expected(wrong *json.UnmarshalTypeError) string {
	if wrong.Field == "" {
		return "an object"
	}
	return "a string in " + strconv.Quote(wrong.Field)
}

func batch(message []byte) bool {
	message = bytes.TrimLeft(message, " \t\r\n")
	return len(message) > 0 && message[0] == '[' && json.Valid(message)
}

// usable is id if MCP allows it (a string or a number), else nil. A number that no float64 holds is not
// usable, because mcp-go reads ids as one.
func usable(id json.RawMessage) json.RawMessage {
	if len(id) == 0 {
		return nil
	}
	if id[0] == '"' {
		return id
	}
	if _, err := strconv.ParseFloat(string(id), 64); err != nil {
		return nil
	}
	return id
}

// cancelled is the id that a notifications/cancelled names, nil if none.
func cancelled(message []byte) json.RawMessage {
	var n struct {
		Params struct {
			RequestID json.RawMessage `json:"requestId"`
		} `json:"params"`
	}
	if json.Unmarshal(message, &n) != nil {
		return nil
	}
	return usable(n.Params.RequestID)
}

// lastID finds the id at the very end of a message, where JavaScript clients write it.
var lastID = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`,\s*"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+)\s*\}\s*$`)
})

// glimpseID is the id of a message of which only the beginning and the end are known, nil if neither shows it.
func glimpseID(head, tail []byte) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(head))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for {
		key, err := dec.Token()
		var value json.RawMessage
		if err != nil || dec.Decode(&value) != nil || dec.InputOffset() == int64(len(head)) {
			break
		}
		if key == "id" {
			return usable(value)
		}
	}
	if m := lastID().FindSubmatch(tail); m != nil && json.Valid(m[1]) { // it may look like an id and be none, as 07 does
		return usable(bytes.Clone(m[1]))
	}
	return nil
}

// frame is one encoded message with the newline that ends it. Frames are reused: the one who writes a frame
// releases it.
type frame struct {
	bytes.Buffer
	enc  *json.Encoder
	note mcp.JSONRPCNotification // this frame as an element of a session's queue
}

// frameKey is where frame.note holds the frame. A note of a handler has a method, that of a frame none.
const frameKey = "frame"

// queued is the frame in an element of a session's queue, or nil for a notification still to be encoded.
func queued(n mcp.JSONRPCNotification) *frame {
	if n.Method != "" {
		return nil
	}
	f, _ := n.Params.AdditionalFields[frameKey].(*frame)
	return f
}

var frames = sync.Pool{New: func() any {
	f := new(frame)
	f.enc = json.NewEncoder(&f.Buffer)
	f.enc.SetEscapeHTML(false)
	f.note.Params.AdditionalFields = map[string]any{frameKey: f}
	return f
}}

// keep is the largest buffer, in bytes, that is worth keeping for the next message.
const keep = 64 << 10

func (f *frame) release() {
	if f.Cap() <= keep {
		frames.Put(f)
	}
}

// newFrame encodes a message. What a handler returned may have methods of its own that panic; that is an
// error too.
func newFrame(message any) (f *frame, err error) {
	defer func() {
		if v := recover(); v != nil {
			f, err = nil, fmt.Errorf("panic: %v", v)
		}
	}()
	f = frames.Get().(*frame)
	f.Reset()
	if err := f.enc.Encode(message); err != nil {
		return nil, err
	}
	return f, nil
}

// responseFrame encodes mcp-go's response to the request with the given id, which replaces the float64
// that mcp-go made of it.
func responseFrame(id json.RawMessage, r mcp.JSONRPCMessage) (*frame, error) {
	switch r := r.(type) {
	case mcp.JSONRPCResponse:
		if result, ok := r.Result.(*mcp.CallToolResult); ok {
			return resultFrame(r.JSONRPC, id, result)
		}
		return newFrame(struct {
			JSONRPC string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Result  any             `json:"result"`
		}{r.JSONRPC, id, r.Result})
	case mcp.JSONRPCError:
		return newFrame(errorMessage{r.JSONRPC, id, r.Error})
	}
	return nil, fmt.Errorf("no response but a %T", r)
}

// resultFrame is the frame of a tool's result.
func resultFrame(version string, id json.RawMessage, result *mcp.CallToolResult) (f *frame, err error) {
	defer func() {
		if v := recover(); v != nil {
			f, err = nil, fmt.Errorf("panic: %v", v)
		}
	}()
	f = frames.Get().(*frame)
	f.Reset()
	b := append(f.AvailableBuffer(), `{"jsonrpc":"`...)
	b = append(append(append(append(b, version...), `","id":`...), id...), `,"result":`...)
	if b, err = appendResult(b, result); err != nil {
		return nil, err
	}
	f.Write(append(b, "}\n"...))
	return f, nil
}

// appendResult writes what mcp-go would (https://modelcontextprotocol.io/specification/2026-07-28/schema#calltoolresult), but
// a text and JSON without maps and a second reading. All else is left to mcp-go.
func appendResult(b []byte, r *mcp.CallToolResult) ([]byte, error) {
	text, isText := onlyText(r)
	structured, isRaw := r.StructuredContent.(json.RawMessage)
	known := isText && (isRaw || r.StructuredContent == nil) && len(r.RawStructuredContent)+len(r.InputRequests)+len(r.RequestState) == 0 &&
		(r.Meta == nil || r.Meta.ProgressToken == nil && r.Meta.AdditionalFields != nil)
	if !known || !fitsLine(structured) || endsLine(text) || !utf8.ValidString(text) {
		raw, err := r.MarshalJSON()
		return append(b, raw...), err
	}
	b = append(b, '{')
	if r.Meta != nil {
		meta, err := json.Marshal(r.Meta.AdditionalFields)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, `"_meta":`...), meta...), ',')
	}
	if r.ResultType != "" {
		b = append(append(append(b, `"resultType":"`...), r.ResultType...), `",`...)
	}
	b = append(b, `"content":[{"type":"text","text":`...)
	b, _ = jsontext.AppendQuote(b, text) // it is valid Unicode
	b = append(b, `}]`...)
	if len(structured) > 0 {
		b = append(append(b, `,"structuredContent":`...), structured...)
	}
	if r.IsError {
		b = append(b, `,"isError":true`...)
	}
	return append(b, '}'), nil
}

// onlyText is the content of a result that is one text, and nothing is said of it.
func onlyText(r *mcp.CallToolResult) (text string, ok bool) {
	if len(r.Content) != 1 {
		return "", false
	}
	c, ok := r.Content[0].(mcp.TextContent)
	return c.Text, ok && c.Meta == nil && c.Annotations == nil
}

// endsLine reports whether a text has what ends a line to some readers, though not to JSON.
func endsLine(text string) bool {
	return strings.Contains(text, "\u2028") || strings.Contains(text, "\u2029")
}

// fitsLine reports whether it is JSON, and can stand in a line as it is.
func fitsLine(v json.RawMessage) bool {
	return len(v) == 0 || bytes.IndexByte(v, '\n') < 0 && bytes.IndexByte(v, '\r') < 0 &&
		!bytes.Contains(v, []byte("\u2028")) && !bytes.Contains(v, []byte("\u2029")) && jsontext.Value(v).IsValid(jsontext.AllowDuplicateNames(true))
}

type errorMessage struct {
	JSONRPC string                  `json:"jsonrpc"`
	ID      json.RawMessage         `json:"id"` // null when the request's is not known
	Error   mcp.JSONRPCErrorDetails `json:"error"`
}

// frame encodes the answer to f.
func (f fault) frame() *frame {
	out, err := newFrame(errorMessage{mcp.JSONRPC_VERSION, f.id, mcp.JSONRPCErrorDetails{Code: f.code, Message: f.message}})
	if err != nil { // only an id that is not JSON can fail, and parse lets none through
		panic(err)
	}
	return out
}

// eventStream is the media type of a stream of events.
const eventStream = "text/event-stream"

const eventStart = "event: message\ndata: "

// writeEvent writes a message that ends in a newline as one event, in one piece.
func writeEvent(w io.Writer, message []byte) error {
	event := frames.Get().(*frame)
	defer event.release()
	event.Reset()
	event.WriteString(eventStart)
	event.Write(message)
	event.WriteByte('\n')
	_, err := w.Write(event.Bytes())
	return err
}
