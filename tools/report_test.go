package tools

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestReports holds what is told of calls: who, what, how it ended, and nothing of what was said.
func TestReports(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var got []Report
	c := connectTo(t, Deps{
		Heffl: inProcess(newSandbox(t)), Journal: memory(t), Tenant: "t", Log: slog.New(slog.NewJSONHandler(&log, nil)),
		Caller:  func(context.Context) Caller { return Caller{Name: "token-1"} },
		Reports: func(_ context.Context, r Report) { got = append(got, r) },
	})
	const secret = "a title that only the user and Heffl may know"
	callTool(t, c, "create_deal", `{"title":"`+secret+`","clientId":"Acme","pipelineId":"Sales"}`)
	callTool(t, c, "create_deal", `{"title":"`+secret+`","clientId":"Acme","pipelineId":"Sales"}`)
	callTool(t, c, "create_deal", `{"title":"`+secret+`"}`)
	callTool(t, c, "preview_deal", `{"title":"`+secret+`","clientId":"Acme","pipelineId":"Sales"}`)
	want := []Report{
		{Tool: "create_deal", Effect: Adds, Object: "dl_1001", Outcome: created},
		{Tool: "create_deal", Effect: Adds, Object: "dl_1001", Outcome: replayed},
		{Tool: "create_deal", Effect: Adds, Outcome: invalid},
		{Tool: "preview_deal", Effect: ReadOnly, Outcome: previewed},
	}
	for i := range want {
		want[i].Caller, want[i].Tenant = "token-1", "t"
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Report{}, "Call", "At", "Took", "Arguments", "Client")); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	calls := map[string]bool{}
	for _, r := range got {
		calls[r.Call] = true
		if r.At.IsZero() || r.Took <= 0 || len(r.Arguments()) != 32 || !strings.Contains(log.String(), r.Call) {
			t.Errorf("a report lacks something, or the log its call: %+v\n%s", r, log.String())
		}
	}
	if len(calls) != len(want) || strings.Contains(log.String(), secret) {
		t.Errorf("%d calls have %d IDs, or the log tells what was said: %s", len(want), len(calls), log.String())
	}
}
