package tools

import (
	"strings"
	"testing"
)

// TestFloors holds that no argument gets past what the operator allows.
func TestFloors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, tool, args string
		says             string // part of the refusal; empty: it is done
	}{
		{"an allowed pipeline by name", "create_deal", `{"title":"a","clientId":"Acme","pipelineId":"Sales"}`, ""},
		{"an allowed owner", "create_deal", `{"title":"a","clientId":"Acme","pipelineId":"dpl_sales","ownerUserId":"sara"}`, ""},
		{"another pipeline by name", "create_deal", `{"title":"a","clientId":"Acme","pipelineId":"Enterprise"}`, "pipelineId: this server may only work with the pipelines Sales (dpl_sales)"},
		{"another pipeline by ID", "create_deal", `{"title":"a","clientId":"clt_acme","pipelineId":"dpl_enterprise"}`, "pipelineId: this server may only work with"},
		{"a pipeline that is not there", "create_deal", `{"title":"a","clientId":"clt_acme","pipelineId":"dpl_none"}`, "pipelineId: this server may only work with"},
		{"another owner", "create_deal", `{"title":"a","clientId":"clt_acme","pipelineId":"Sales","ownerUserId":"Lena"}`, "ownerUserId: this server may only work with the users Sara Haddad (usr_sara), James O'Neill (usr_james)"},
		{"another assignee", "create_deal", `{"title":"a","clientId":"clt_acme","pipelineId":"Sales","assignees":["usr_james","usr_lena"]}`, "assignees[1]: this server may only work with"},
		{"another, twice as much wanted", "create_deal", `{"title":"a","clientId":"clt_acme","pipelineId":"Enterprise","allowDuplicate":true}`, "pipelineId: this server may only work with"},
		{"a preview of another", "preview_deal", `{"title":"a","clientId":"clt_acme","pipelineId":"Enterprise"}`, "pipelineId: this server may only work with"},
		{"a deal of an allowed pipeline", "update_deal", `{"dealId":"Acme renewal","price":1}`, ""},
		{"a deal of another pipeline", "update_deal", `{"dealId":"Al Noor rollout","price":1}`, "dealId: this server may only work with the pipelines"},
		{"a deal of another pipeline by ID", "update_deal", `{"dealId":"dl_alnoor_rollout","price":1}`, "dealId: this server may only work with the pipelines"},
		{"a deal to another owner", "update_deal", `{"dealId":"Acme renewal","ownerUserId":"Lena"}`, "ownerUserId: this server may only work with"},
		{"a task on an allowed deal", "create_task", `{"title":"a","dealId":"dl_acme_renewal"}`, ""},
		{"a task on another deal", "create_task", `{"title":"a","dealId":"dl_alnoor_rollout"}`, "dealId: this server may only work with"},
		{"a task for another user", "create_task", `{"title":"a","assigneeIds":["Lena"]}`, "assigneeIds[0]: this server may only work with"},
		{"a client of another owner", "create_client", `{"type":"company","name":"Weyland","ownerUserId":"usr_lena"}`, "ownerUserId: this server may only work with"},
		{"a look at another pipeline", "find_deals", `{"pipelineId":"Enterprise"}`, ""},
	} {
		sb := newSandbox(t)
		r := callTool(t, connectTo(t, Deps{Heffl: inProcess(sb), Pipelines: []string{"sales"}, Owners: []string{"Sara", "james@heffl-sandbox.example"}}), tt.tool, tt.args)
		text := textOf(r)
		if r.IsError != (tt.says != "") || !strings.Contains(text, tt.says) {
			t.Errorf("%s: %s(%s) = %s, want %q", tt.name, tt.tool, tt.args, text, tt.says)
		}
		if sent := writes(sb.Requests()); tt.says != "" && len(sent) > 0 {
			t.Errorf("%s: Heffl received %+v, want no write", tt.name, sent)
		}
	}
	sb := newSandbox(t)
	text := textOf(callTool(t, connectTo(t, Deps{Heffl: inProcess(sb), Pipelines: []string{"Sales", "Retail"}}), "create_deal", `{`+minimal+`}`))
	if !strings.Contains(text, `HEFFL_MCP_PIPELINES names "Retail"`) || len(writes(sb.Requests())) > 0 {
		t.Errorf("with a floor that is not there, create_deal() = %s, want that nothing is sent", text)
	}
}
