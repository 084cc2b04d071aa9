package sandbox_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCreateTask(t *testing.T) {
	t.Parallel()
	_, a := start(t, clock)
	got := a.do("POST", "/tasks", `{"title": "Call", "type": "call", "priority": null, "dueDate": "2026-12-01T08:00:00Z", "durationMinutes": 30,
		"assigneeIds": ["usr_sara"], "tagIds": ["tag_vip"], "entity": "deals", "entityId": "dl_acme_renewal", "cf_channel": "Phone"}`)
	want := `{"id":"tsk_1001","number":"TSK003","title":"Call","status":"OPEN","type":"call","showTime":false,"assigneeIds":["usr_sara"],` +
		`"tagIds":["tag_vip"],"description":null,"priority":null,"dueDate":"2026-12-01T08:00:00.000Z","startDate":null,"durationMinutes":30,` +
		`"completedOn":null,"entity":"deals","entityId":"dl_acme_renewal","projectId":null,"leadId":null,"dealId":"dl_acme_renewal",` +
		`"clientId":"clt_acme","contactId":null,"createdById":null,"createdByName":null,"createdAt":"2026-11-22T12:00:00.000Z",` +
		`"updatedAt":"2026-11-22T12:00:00.000Z","cf_channel":"Phone"}`
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Errorf("POST /tasks (-want +got):\n%s", diff)
	}
	least := a.ok("POST", "/tasks", `{"title": "Think"}`)
	if diff := cmp.Diff([]any{"OPEN", "todo", []any{}, nil}, []any{least["status"], least["type"], least["tagIds"], least["entity"]}); diff != "" {
		t.Errorf("POST /tasks of the least (-want +got):\n%s", diff)
	}
	if done := a.ok("PATCH", "/tasks/tsk_1001", `{"status": "COMPLETED"}`); done["completedOn"] != "2026-11-22T12:00:00.000Z" {
		t.Errorf("completedOn = %v, want the time of the update", done["completedOn"])
	}
	a.ok("DELETE", "/tasks/tsk_1001", "")
}

func TestTaskOfALead(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	got := a.ok("POST", "/tasks", `{"title": "Call", "entity": "leads", "entityId": "ld_web_form"}`)
	if got["leadId"] != "ld_web_form" || got["dealId"] != nil || got["clientId"] != nil {
		t.Errorf("leadId, dealId, clientId = %v, %v, %v, want ld_web_form, nil, nil", got["leadId"], got["dealId"], got["clientId"])
	}
}

func TestTasksRefused(t *testing.T) {
	t.Parallel()
	_, a := start(t, unlimited)
	for body, want := range map[string]string{
		`{"type": "todo"}`:                                                 "title: Required",
		`{"title": "t", "type": "CALL"}`:                                   "type: Invalid enum value. Expected 'call' | 'todo' | 'meeting', received 'CALL'",
		`{"title": "t", "durationMinutes": -1}`:                            "durationMinutes: Number must be greater than or equal to 0",
		`{"title": "t", "entity": "deals"}`:                                "entityId: entity and entityId must be provided together",
		`{"title": "t", "entityId": "dl_acme_renewal"}`:                    "entity: entity and entityId must be provided together",
		`{"title": "t", "entity": "leads", "entityId": "dl_acme_renewal"}`: "entityId: Invalid ID. Expected a ld_ ID",
		`{"title": "t", "assignees": ["usr_sara"]}`:                        "Unknown field: assignees. Only documented fields and cf_* keys are allowed.",
	} {
		if diff := cmp.Diff([]string{want}, issuesOf(t, a.do("POST", "/tasks", body))); diff != "" {
			t.Errorf("POST /tasks %s (-want +got):\n%s", body, diff)
		}
	}
	if got := a.do("POST", "/tasks", `{"title": "t", "entity": "deals", "entityId": "dl_none"}`); got.status != 404 {
		t.Errorf("a task of no deal = %d %s, want 404", got.status, got.body)
	}
}
