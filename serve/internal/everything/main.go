// Everything is the server that the official conformance suite asks for, with tools, resources and prompts under the
// names that it calls, on the ways in of package serve. It is for tests alone:
//
//	go run ./serve/internal/everything
//
// listens on a free port of this machine, says its address on standard error, and runs until it is told to stop. What
// the suite expects of it is in the suite: conformance server --suite all.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"heffl-mcp/serve"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	h := &serve.HTTP{MCP: everything(), Log: log}
	ln, err := h.Listen(ctx, "127.0.0.1:0")
	if err == nil {
		log.Info("serving", "url", "http://"+ln.Addr().String()+"/mcp")
		err = h.Serve(ctx, ln)
	}
	if err != nil {
		log.Error("cannot serve", "error", err)
		os.Exit(1)
	}
}

func everything() *server.MCPServer {
	s := server.NewMCPServer("everything", "1", server.WithToolCapabilities(true), server.WithPromptCapabilities(true), server.WithResourceCapabilities(false, true), server.WithCompletions(), server.WithLogging())
	addContents(s)
	addNotifying(s)
	addRequests(s)
	addAsking(s)
	addResources(s)
	addPrompts(s)
	s.AddTool(mcp.NewToolWithRawSchema("json_schema_2020_12_tool", "Has a schema of many keywords", json.RawMessage(manyKeywords)), says("ok"))
	return s
}

// manyKeywords is a schema that a server must hand on as it is.
const manyKeywords = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
	"properties": {
		"name": {"type": "string"},
		"address": {"$ref": "#/$defs/address"},
		"contactMethod": {"type": "string", "enum": ["phone", "email"]},
		"phone": {"type": "string"},
		"email": {"type": "string"}
	},
	"allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
	"if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
	"then": {"required": ["phone"]},
	"else": {"required": ["email"]},
	"additionalProperties": false
}`

// The smallest picture and sound, in base64.
const (
	png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
	wav = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
)

func embedded(uri, kind, text string) mcp.Content {
	return mcp.NewEmbeddedResource(mcp.TextResourceContents{URI: uri, MIMEType: kind, Text: text})
}

// The suite wants everything described.
func newTool(name string, opts ...mcp.ToolOption) mcp.Tool {
	return mcp.NewTool(name, append(opts, mcp.WithDescription("Does what its name says"))...)
}

func newPrompt(name string, opts ...mcp.PromptOption) mcp.Prompt {
	return mcp.NewPrompt(name, append(opts, mcp.WithPromptDescription("Says what its name says"))...)
}

// answers is a tool that always says the same.
func answers(result *mcp.CallToolResult) server.ToolHandlerFunc {
	return func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { return result, nil }
}

func says(text string) server.ToolHandlerFunc { return answers(mcp.NewToolResultText(text)) }

func shows(content ...mcp.Content) server.ToolHandlerFunc {
	return answers(&mcp.CallToolResult{Content: content})
}

// addContents adds a tool for each kind of content.
func addContents(s *server.MCPServer) {
	image, sound := mcp.NewImageContent(png, "image/png"), mcp.NewAudioContent(wav, "audio/wav")
	for name, run := range map[string]server.ToolHandlerFunc{
		"test_simple_text":            says("This is a simple text response for testing."),
		"test_image_content":          shows(image),
		"test_audio_content":          shows(sound),
		"test_embedded_resource":      shows(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")),
		"test_multiple_content_types": shows(mcp.NewTextContent("Multiple content types test:"), image, embedded("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`)),
		"test_error_handling":         answers(mcp.NewToolResultError("This tool intentionally returns an error for testing")),
		"test_reconnection":           says("Reconnected"),
	} {
		s.AddTool(newTool(name), run)
	}
	s.AddTool(mcp.NewToolWithRawSchema("test_custom_headers", "Has an argument that clients repeat in a header", json.RawMessage(
		`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}},"required":["region"]}`)), says("ok"))
}

// addNotifying adds tools that say something before their result.
func addNotifying(s *server.MCPServer) {
	s.AddTool(newTool("test_tool_with_logging"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for _, words := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
			// Whatever the level: no session is there that could keep the one that a client has set.
			if err := s.SendNotificationToClient(ctx, string(mcp.MethodNotificationMessage), map[string]any{"level": "info", "data": words}); err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("done"), nil
	})
	s.AddTool(newTool("test_logging_tool"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		err := s.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelInfo, "everything", "a word"))
		return mcp.NewToolResultText("done"), err
	})
	s.AddTool(newTool("test_tool_with_progress"), func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if r.Params.Meta == nil || r.Params.Meta.ProgressToken == nil {
			return mcp.NewToolResultText("nobody asked for progress"), nil
		}
		for _, done := range []int{0, 50, 100} {
			if err := s.SendNotificationToClient(ctx, string(mcp.MethodNotificationProgress), map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": done, "total": 100}); err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("done"), nil
	})
	s.AddTool(newTool("test_trigger_tool_change"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.AddTool(newTool("test_added"), says("ok"))
		return mcp.NewToolResultText("done"), nil
	})
	s.AddTool(newTool("test_trigger_prompt_change"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.AddPrompt(newPrompt("test_added"), prompts(mcp.NewTextContent("ok")))
		return mcp.NewToolResultText("done"), nil
	})
}

// addRequests adds tools that have a question for the client, in the way of the revisions before 2026-07-28.
func addRequests(s *server.MCPServer) {
	s.AddTool(newTool("test_sampling", mcp.WithString("prompt", mcp.Required())), func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		got, err := s.RequestSampling(ctx, mcp.CreateMessageRequest{CreateMessageParams: sampling(r.GetString("prompt", ""))}) //nolint:staticcheck // deprecated, and still asked for
		if err != nil {
			return mcp.NewToolResultError(err.Error()), nil
		}
		return mcp.NewToolResultText(fmt.Sprint("LLM response: ", got.Content)), nil
	})
	for name, properties := range map[string]string{
		"test_elicitation":                  `{"username":{"type":"string"},"email":{"type":"string"}}`,
		"test_elicitation_sep1034_defaults": `{"name":{"type":"string","default":"John Doe"},"age":{"type":"integer","default":30},"score":{"type":"number","default":95.5},"status":{"type":"string","enum":["active","inactive","pending"],"default":"active"},"verified":{"type":"boolean","default":true}}`,
		"test_elicitation_sep1330_enums":    `{"untitledSingle":{"type":"string","enum":["option1","option2"]}}`,
	} {
		s.AddTool(newTool(name), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			got, err := s.RequestElicitation(ctx, mcp.ElicitationRequest{Params: elicitation("Some facts, please", properties)})
			if err != nil {
				return mcp.NewToolResultError(err.Error()), nil
			}
			return mcp.NewToolResultText(fmt.Sprintf("action=%s, content=%v", got.Action, got.Content)), nil
		})
	}
}

func sampling(words string) mcp.CreateMessageParams {
	return mcp.CreateMessageParams{MaxTokens: 100, Messages: []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(words)}}}
}

func elicitation(words, properties string) mcp.ElicitationParams {
	return mcp.ElicitationParams{Message: words, RequestedSchema: map[string]any{"type": "object", "properties": json.RawMessage(properties)}}
}

// A question is one that a tool has for the client, in the way of 2026-07-28: its result is the question, and the
// client calls again with the answer.
type question struct {
	id         string
	capability string // that the client must have
	put        func(*server.InputRequestBuilder, string)
}

func elicits(id, words, property, kind string) question {
	return question{id, "elicitation", func(b *server.InputRequestBuilder, id string) {
		b.Elicit(id, elicitation(words, fmt.Sprintf(`{%q:{"type":%q}}`, property, kind)))
	}}
}

func samples(id, words string) question {
	return question{id, "sampling", func(b *server.InputRequestBuilder, id string) { b.Sample(id, sampling(words)) }}
}

func roots(id string) question {
	return question{id, "roots", func(b *server.InputRequestBuilder, id string) { b.Roots(id) }}
}

// addAsking adds tools that ask in rounds.
func addAsking(s *server.MCPServer) {
	name := elicits("user_name", "What is your name?", "name", "string")
	for tool, rounds := range map[string][][]question{
		"test_input_required_result_elicitation":     {{name}},
		"test_input_required_result_sampling":        {{samples("capital_question", "What is the capital of France?")}},
		"test_input_required_result_list_roots":      {{roots("client_roots")}},
		"test_input_required_result_request_state":   {{elicits("confirm", "Please confirm", "ok", "boolean")}},
		"test_input_required_result_tampered_state":  {{elicits("confirm", "Please confirm", "ok", "boolean")}},
		"test_input_required_result_multiple_inputs": {{name, samples("greeting", "Generate a greeting"), roots("client_roots")}},
		"test_input_required_result_multi_round":     {{elicits("step1", "What is your name?", "name", "string")}, {elicits("step2", "What is your favorite color?", "color", "string")}},
		"test_input_required_result_capabilities":    {{name, samples("greeting", "Generate a greeting"), roots("client_roots")}},
		"test_streaming_elicitation":                 {{name}},
	} {
		s.AddTool(newTool(tool), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			declared := capabilities(r)
			if tool != "test_input_required_result_capabilities" {
				declared = nil
			}
			b, err := ask(rounds, declared, r.Params.InputResponses, r.Params.RequestState)
			if b != nil {
				return b.ToolResult(), err
			}
			answers, _ := json.Marshal(r.Params.InputResponses) // they were JSON when they came
			return mcp.NewToolResultText("state-ok: " + string(answers)), err
		})
	}
	s.AddTool(newTool("test_missing_capability"), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if _, ok := capabilities(r)["sampling"]; !ok {
			return nil, mcp.MissingRequiredClientCapabilityError{Capability: "sampling"}
		}
		return mcp.NewToolResultText("ok"), nil
	})
}

// capabilities are what the client said of itself in a request.
func capabilities(r mcp.CallToolRequest) map[string]any {
	if r.Params.Meta == nil {
		return nil
	}
	declared, _ := r.Params.Meta.AdditionalFields[mcp.MetaKeyClientCapabilities].(map[string]any)
	return declared
}

var secret = []byte(rand.Text())

// state is the number of a round, signed: it comes back through the client.
func state(round int) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte{byte(round)})
	return fmt.Sprint(round, ".", hex.EncodeToString(mac.Sum(nil)))
}

// ask is what the client has to be asked next, nil when nothing. Where the client has declared capabilities, it is asked
// nothing beyond them.
func ask(rounds [][]question, declared map[string]any, answers mcp.InputResponses, came string) (*server.InputRequestBuilder, error) {
	round := 0
	if came != "" {
		var signed string
		if _, err := fmt.Sscanf(strings.Replace(came, ".", " ", 1), "%d %s", &round, &signed); err != nil || !hmac.Equal([]byte(came), []byte(state(round))) {
			return nil, errors.New("requestState is not one of this server")
		}
	}
	if answered(rounds[round], answers) {
		if round++; round == len(rounds) {
			return nil, nil
		}
	}
	b := server.NewInputRequestBuilder(state(round))
	for _, q := range rounds[round] {
		if _, can := declared[q.capability]; can || declared == nil {
			q.put(b, q.id)
		}
	}
	return b, nil
}

func answered(questions []question, answers mcp.InputResponses) bool {
	for _, q := range questions {
		answer, ok := answers[q.id]
		method := map[string]mcp.MCPMethod{"elicitation": mcp.MethodElicitationCreate, "sampling": mcp.MethodSamplingCreateMessage, "roots": mcp.MethodListRoots}[q.capability]
		if !ok || answer.DecodeFor(method) != nil {
			return false
		}
	}
	return true
}

func addResources(s *server.MCPServer) {
	s.AddResource(mcp.NewResource("test://static-text", "static-text", mcp.WithMIMEType("text/plain")), func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: "test://static-text", MIMEType: "text/plain", Text: "This is the content of the static text resource."}}, nil
	})
	s.AddResource(mcp.NewResource("test://static-binary", "static-binary", mcp.WithMIMEType("image/png")), func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		return []mcp.ResourceContents{mcp.BlobResourceContents{URI: "test://static-binary", MIMEType: "image/png", Blob: png}}, nil
	})
	s.AddResourceTemplate(mcp.NewResourceTemplate("test://template/{id}/data", "template", mcp.WithTemplateMIMEType("application/json")), func(_ context.Context, r mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		id := strings.Split(r.Params.URI, "/")[3]
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: r.Params.URI, MIMEType: "application/json", Text: fmt.Sprintf(`{"id":%q,"templateTest":true,"data":%q}`, id, "Data for ID: "+id)}}, nil
	})
}

// prompts is a prompt of these messages of the user.
func prompts(contents ...mcp.Content) server.PromptHandlerFunc {
	return func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return messages(contents...), nil
	}
}

func messages(contents ...mcp.Content) *mcp.GetPromptResult {
	r := new(mcp.GetPromptResult)
	for _, c := range contents {
		r.Messages = append(r.Messages, mcp.PromptMessage{Role: mcp.RoleUser, Content: c})
	}
	return r
}

func addPrompts(s *server.MCPServer) {
	s.AddPrompt(newPrompt("test_simple_prompt"), prompts(mcp.NewTextContent("This is a simple prompt for testing.")))
	s.AddPrompt(newPrompt("test_prompt_with_image"), prompts(mcp.NewImageContent(png, "image/png"), mcp.NewTextContent("Please analyze the image above.")))
	s.AddPrompt(newPrompt("test_prompt_with_arguments", mcp.WithArgument("arg1", mcp.RequiredArgument()), mcp.WithArgument("arg2", mcp.RequiredArgument())), func(_ context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return messages(mcp.NewTextContent(fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", r.Params.Arguments["arg1"], r.Params.Arguments["arg2"]))), nil
	})
	s.AddPrompt(newPrompt("test_prompt_with_embedded_resource", mcp.WithArgument("resourceUri", mcp.RequiredArgument())), func(_ context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return messages(embedded(r.Params.Arguments["resourceUri"], "text/plain", "Embedded resource content for testing."), mcp.NewTextContent("Please process the embedded resource above.")), nil
	})
	s.AddPrompt(newPrompt("test_input_required_result_prompt"), func(_ context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		b, err := ask([][]question{{elicits("user_context", "What context should the prompt use?", "context", "string")}}, nil, r.Params.InputResponses, r.Params.RequestState)
		if b != nil {
			return b.PromptResult(), err
		}
		return messages(mcp.NewTextContent("ok")), err
	})
}
