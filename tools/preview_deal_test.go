package tools

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"heffl-mcp/heffl/sandbox"

	"github.com/google/go-cmp/cmp"
)

// TestPreviewDeal holds that what is shown is what create_deal then sends.
func TestPreviewDeal(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		`{` + minimal + `}`,
		`{"title":"Rollout","clientId":"Northwind","pipelineId":"Sales","stageId":"Proposal","ownerUserId":"sara@heffl-sandbox.example","tags":["VIP"],"cf_region":"north"}`,
		`{"title":"Rollout","clientId":"Zurcher Mobel","pipelineId":"enterprise","Security review":"passed","price":"25000","priority":"high","products":{"productId":"SEAT-1Y","quantity":2.50}}`,
		`{` + minimal + `,"price":1e2,"cf_seats":9007199254740993,"stageId":null,"products":[{"productId":"prd_onboarding","quantity":1,"name":"Zwei Tage"}],"allowDuplicate":true}`,
	} {
		sb := newSandbox(t)
		c := connect(t, sb)
		shown := callTool(t, c, "preview_deal", args)
		if sent := writes(sb.Requests()); len(sent) > 0 {
			t.Errorf("preview_deal(%s) sent %+v, want nothing", args, sent)
		}
		made := callTool(t, c, "create_deal", args)
		sent := writes(sb.Requests())
		if shown.IsError || made.IsError || len(sent) != 1 {
			t.Errorf("preview_deal(%s) = %s\ncreate_deal() = %s", args, textOf(shown), textOf(made))
			continue
		}
		var result struct {
			Body     json.RawMessage
			Resolved []any
		}
		if err := json.Unmarshal(shown.RawStructuredContent, &result); err != nil {
			t.Fatal(err)
		}
		if got, want := string(result.Body), string(sent[0].Body); got != want {
			t.Errorf("preview_deal(%s) shows %s, and create_deal sent %s", args, got, want)
		}
		said, _ := notesOf(made)["heffl-mcp/resolved"].([]any)
		if diff := cmp.Diff(said, result.Resolved); diff != "" {
			t.Errorf("preview_deal(%s) resolved otherwise than create_deal (-create +preview):\n%s", args, diff)
		}
	}
}

func TestPreviewDealSays(t *testing.T) {
	t.Parallel()
	const there = `{"title":"acme RENEWAL","clientId":"Acme","pipelineId":"Sales"}`
	for name, tt := range map[string]struct {
		before string // a call of create_deal
		args   string
		fault  func(*http.Request) sandbox.Fault
		says   []string
	}{
		"a deal that looks the same":         {args: there, says: []string{"A deal that looks the same is there: dl_acme_renewal", `"lookAlike":{"id":"dl_acme_renewal"`, "allowDuplicate"}},
		"a deal made before":                 {before: `{` + minimal + `}`, args: `{` + minimal + `}`, says: []string{"an earlier call has made dl_1001", `"made":"dl_1001"`}},
		"a deal made before, by other words": {before: `{` + minimal + `}`, args: `{"title":"Rollout","clientId":"Northwind","pipelineId":"sales"}`, says: []string{"an earlier call has made dl_1001"}},
		"one more is wanted":                 {before: `{` + minimal + `}`, args: `{` + minimal + `,"allowDuplicate":true}`, says: []string{"would send this body. A deal that looks the same is there: dl_1001"}},
		"a look-up that failed": {
			args: `{` + minimal + `}`,
			fault: func(r *http.Request) sandbox.Fault {
				if strings.HasSuffix(r.URL.Path, "/deals") {
					return sandbox.Fault{Kind: sandbox.TooMany, When: sandbox.Before, Wait: 10 * time.Minute}
				}
				return sandbox.Fault{}
			},
			says: []string{"could not be looked up", `"body":{"title":"Rollout"`},
		},
	} {
		sb := sandbox.New(sandbox.Options{RateLimit: -1, Fault: tt.fault})
		t.Cleanup(func() { sb.Close() })
		c := connect(t, sb)
		if tt.before != "" {
			callTool(t, c, "create_deal", tt.before)
		}
		r := callTool(t, c, "preview_deal", tt.args)
		for _, part := range tt.says {
			if text := textOf(r); r.IsError || !strings.Contains(text, part) {
				t.Errorf("preview_deal(%s) = %s, want it to say %s", name, text, part)
			}
		}
	}
	sb := newSandbox(t)
	c := connect(t, sb)
	const wrong = `{"title":"Rollout","clientId":"Falcon Logistics","pipelineId":"Sales","amount":5}`
	shown, refused := textOf(callTool(t, c, "preview_deal", wrong)), textOf(callTool(t, c, "create_deal", wrong))
	if strings.TrimPrefix(shown, "preview_deal") != strings.TrimPrefix(refused, "create_deal") {
		t.Errorf("preview_deal(wrong) = %s, and create_deal(wrong) = %s, want the same", shown, refused)
	}
}
