// Package mcpspec holds what a server writes against the official JSON schema of the protocol's revision. It is for
// tests alone.
//
//	var c mcpspec.Conversation
//	c.Sent(request)
//	...
//	if err := c.Received(reply); err != nil {
//		t.Error(err)
//	}
//
// Beside the schema it holds that each request gets one answer and no answer comes without a request. The schemas are
// those that the official conformance suite bundles (LICENSE says under which terms), written by .ci/schemas.mjs. The
// suite has none for 2024-11-05: that revision is held to 2025-03-26, which, of what a server writes, only adds to it.
package mcpspec

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	assumed = "2025-03-26" // where a client has not said its revision, as the protocol has it for HTTP
	modern  = "2026-07-28" // the first without a handshake
	noID    = "null"
)

// revisionKey is where a request since 2026-07-28 says its revision, in params._meta.
const revisionKey = "io.modelcontextprotocol/protocolVersion"

// A Conversation is what went over one connection, or was posted on one HTTP request. The zero value is ready; it may be
// used by several goroutines.
type Conversation struct {
	mu     sync.Mutex
	told   string               // revision, by Speaks
	agreed string               // and by a handshake; empty where there was none
	last   string               // revision of the last request
	open   map[string][]request // by id, those without an answer, the oldest first
}

type request struct{ method, revision string }

// message is the part of a JSON-RPC message by which it is judged.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Meta map[string]any `json:"_meta"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// Speaks tells the revision of what follows, where it is known from elsewhere, such as a header.
func (c *Conversation) Speaks(revision string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told, c.last = revision, revision
}

// Agreed is the revision of the last handshake, empty where there was none.
func (c *Conversation) Agreed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.agreed
}

// Sent notes what a client is about to send. What is no JSON object can only be refused, without an id.
func (c *Conversation) Sent(raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var m message
	if _, is := parsed(raw).(map[string]any); !is {
		return
	}
	_ = json.Unmarshal(raw, &m) // a member of another type is as good as none
	if m.ID == nil || m.Method == "" && (m.Result != nil || m.Error != nil) {
		return
	}
	c.last = cmp.Or(c.agreed, c.told)
	if said, ok := m.Params.Meta[revisionKey].(string); ok {
		c.last = said
	}
	if c.open == nil {
		c.open = make(map[string][]request)
	}
	c.open[string(m.ID)] = append(c.open[string(m.ID)], request{m.Method, c.last})
}

// Received says what is wrong with a message from the server: with its form, or with there being one.
func (c *Conversation) Received(raw []byte) error {
	err := c.received(raw)
	if err != nil {
		return fmt.Errorf("the server wrote %s: %w", raw, err)
	}
	return nil
}

func (c *Conversation) received(raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var m message
	if err := json.Unmarshal(raw, &m); err != nil {
		return err
	}
	if m.Method != "" {
		s := of(c.last)
		kind := "Notification"
		if m.ID != nil {
			kind = "Request"
		}
		if kind == "Request" && s.revision >= modern {
			return fmt.Errorf("a server sends no requests in revision %s", s.revision)
		}
		definition := s.byMethod[m.Method]
		if !strings.HasSuffix(definition, kind) {
			return fmt.Errorf("revision %s has no %s %q", s.revision, strings.ToLower(kind), m.Method)
		}
		return errors.Join(s.check("JSONRPC"+kind, raw), s.check(definition, raw))
	}
	answered, err := c.take(m)
	if err != nil {
		return err
	}
	if answered.method == "initialize" && m.Error == nil {
		var agreed struct {
			Revision string `json:"protocolVersion"`
		}
		if err := json.Unmarshal(m.Result, &agreed); err != nil {
			return err
		}
		c.agreed, c.last, answered.revision = agreed.Revision, agreed.Revision, agreed.Revision
	}
	return of(answered.revision).checkAnswer(answered.method, m, raw)
}

// take is the request that m answers.
func (c *Conversation) take(m message) (request, error) {
	id := string(m.ID)
	if id == noID && m.Error != nil {
		return request{revision: c.last}, nil // to what could not be read
	}
	open := c.open[id]
	if len(open) == 0 {
		return request{}, fmt.Errorf("no request with id %s waits for an answer", id)
	}
	c.open[id] = open[1:]
	return open[0], nil
}

// official is the schema of a revision.
type official struct {
	revision string
	compiler *jsonschema.Compiler
	names    map[string]bool
	byMethod map[string]string // name of the definition of a request or notification

	mu       sync.Mutex // a compiler is for one at a time
	compiled map[string]*jsonschema.Schema

	fine sync.Map // hashes of what was found to fit, with the name of what it fits: tests say the same many times
}

//go:embed *.json
var files embed.FS

var (
	mu      sync.Mutex
	schemas = make(map[string]*official)
)

// of is the schema of a revision. One that does not exist is no way out: the assumed one stands in for it.
func of(revision string) *official {
	mu.Lock()
	defer mu.Unlock()
	if _, err := files.Open(revision + ".json"); err != nil {
		revision = assumed
	}
	if schemas[revision] == nil {
		schemas[revision] = load(revision)
	}
	return schemas[revision]
}

// load reads a schema that was tested to be there and good; it panics where that is no longer so.
func load(revision string) *official {
	raw, err := files.ReadFile(revision + ".json")
	if err != nil {
		panic(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		panic(err)
	}
	s := &official{revision: revision, compiler: jsonschema.NewCompiler(), names: make(map[string]bool), byMethod: make(map[string]string), compiled: make(map[string]*jsonschema.Schema)}
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource(s.url(""), doc); err != nil {
		panic(err)
	}
	var form struct {
		Defs, Definitions map[string]struct {
			Properties struct {
				Method struct{ Const string }
			}
		}
	}
	if err := json.Unmarshal(bytes.Replace(raw, []byte(`"$defs"`), []byte(`"defs"`), 1), &form); err != nil {
		panic(err)
	}
	if form.Defs == nil {
		form.Defs = form.Definitions
	}
	for name, d := range form.Defs {
		s.names[name] = true
		if d.Properties.Method.Const != "" && !strings.HasPrefix(name, "Client") && !strings.HasPrefix(name, "Server") { // those are unions
			s.byMethod[d.Properties.Method.Const] = name
		}
	}
	return s
}

// url is where a definition stands.
func (s *official) url(definition string) string {
	if definition == "" {
		return "mem:///" + s.revision + ".json"
	}
	keyword := "definitions"
	if s.revision >= "2025-11-25" {
		keyword = "$defs"
	}
	return fmt.Sprintf("%s#/%s/%s", s.url(""), keyword, definition)
}

// either is the first of several names that the revision has: some have changed from one to the next.
func (s *official) either(names ...string) string {
	i := slices.IndexFunc(names, func(n string) bool { return s.names[n] })
	return names[max(i, 0)]
}

func (s *official) checkAnswer(method string, m message, raw []byte) error {
	if m.Error != nil {
		if string(m.ID) == noID { // JSON-RPC has that where the id of a request could not be read; the schema leaves it out, or has no word for it
			return s.checkValue(s.either("JSONRPCErrorResponse", "JSONRPCError"), map[string]any{"jsonrpc": "2.0", "id": "", "error": parsed(m.Error)})
		}
		return s.check(s.either("JSONRPCErrorResponse", "JSONRPCError"), raw)
	}
	name, ok := strings.CutSuffix(s.byMethod[method], "Request")
	if !ok {
		return fmt.Errorf("revision %s has no method %s", s.revision, method)
	}
	if whole := name + "ResultResponse"; s.names[whole] {
		return s.check(whole, raw)
	}
	return errors.Join(
		s.check(s.either("JSONRPCResultResponse", "JSONRPCResponse"), raw),
		s.check(s.either(name+"Result", "EmptyResult"), m.Result),
	)
}

func (s *official) check(definition string, raw []byte) error {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteString(definition + " ")
	h.Write(raw)
	if _, ok := s.fine.Load(h.Sum64()); ok {
		return nil
	}
	err := s.checkValue(definition, parsed(raw))
	if err == nil {
		s.fine.Store(h.Sum64(), nil)
	}
	return err
}

var seed = maphash.MakeSeed()

// checkValue holds a value to a definition.
func (s *official) checkValue(definition string, value any) error {
	schema, err := s.definition(definition)
	if err != nil {
		return err
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("not a %s of %s: %w", definition, s.revision, err)
	}
	return nil
}

func (s *official) definition(name string) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.compiled[name] == nil {
		schema, err := s.compiler.Compile(s.url(name))
		if err != nil {
			return nil, err
		}
		s.compiled[name] = schema
	}
	return s.compiled[name], nil
}

// parsed is JSON in the form that the validator takes; what is none is nil, which no definition allows.
func parsed(raw []byte) any {
	v, _ := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	return v
}
