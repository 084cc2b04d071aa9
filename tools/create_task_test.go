package tools

import (
	"strings"
	"testing"
	"time"
)

func TestCreateTask(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]conversation{
		"on a deal, in words": {
			`{"title":"Call about the renewal","dealId":"Acme renewal","type":"Call","priority":"high","dueDate":"2027-03-02","assigneeIds":"James O'Neill","channel":"Phone"}`,
			`GET /custom-fields
GET /deals
GET /users
POST /tasks {"title":"Call about the renewal","entity":"deals","entityId":"dl_acme_renewal","type":"call","priority":"HIGH","dueDate":"2027-03-02T00:00:00Z","assigneeIds":["usr_james"],"cf_channel":"Phone"}`,
			[]string{`Created the task tsk_1001 (number "TSK003", "Call about the renewal", type "call", "OPEN", priority "HIGH", due "2027-03-02T00:00:00.000Z").`,
				`dealId "Acme renewal" as dl_acme_renewal`, `assigneeIds[0] "James O'Neill" as usr_james`},
		},
		"on a lead": {
			`{"title":"Send prices","leadId":"ld_fair_booth","description":"As on the fair"}`,
			`POST /tasks {"title":"Send prices","entity":"leads","entityId":"ld_fair_booth","description":"As on the fair"}`,
			[]string{`Created the task tsk_1001`},
		},
		"on nothing": {
			`{"title":"Tidy up","dealId":null}`, `POST /tasks {"title":"Tidy up"}`, []string{`Created the task tsk_1001`, `dealId: read null as not given`},
		},
		"as one that is there": {
			`{"title":"Call José about the renewal","dealId":"dl_acme_renewal"}`,
			`POST /tasks {"title":"Call José about the renewal","entity":"deals","entityId":"dl_acme_renewal"}`, []string{`Created the task tsk_1001`},
		},
		"on a deal that is none": {
			`{"title":"Call","dealId":"No such deal"}`, "GET /deals\nGET /deals", []string{`dealId: no deal is named "No such deal"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v.play(t, "create_task")
		})
	}
}

func TestCreateTaskRefuses(t *testing.T) {
	t.Parallel()
	for args, says := range map[string][]string{
		`{}`:            {"correct 1 fault", "title: missing; give a non-empty string"},
		`{"title":" "}`: {"title: got"},
		`{"title":"a","dealId":"dl_1","leadId":"ld_1"}`: {"correct 1 fault", "leadId: a task is about a deal or a lead, not both; leave one of dealId and leadId out"},
		`{"title":"a","dealId":"dl_1","leadId":"ld_1","type":"mail","priority":"URGENT","dueDate":"tomorrow"}`: {
			"correct 4 faults", "type: got \"mail\"; give one of call, todo, meeting", "priority: got \"URGENT\"; give one of LOW, MEDIUM, HIGH", "dueDate: got", "leadId: "},
		`{"title":"a","dealId":"clt_1"}`:                   {`dealId: "clt_1" is the ID of a client, and a deal is wanted here`},
		`{"title":"a","assigneeIds":["tag_1"]}`:            {`assigneeIds[0]: "tag_1" is the ID of a tag`},
		`{"title":"a","entity":"deals","entityId":"dl_1"}`: {"entityId: unknown property; did you mean dealId?", "entity: unknown property"},
		// What is allowed is told once, however many properties are unknown.
		`{"title":"a","color":1,"shade":2}`:     {"color: unknown property; allowed are title, ", "shade: unknown property; allowed are the same as for color"},
		`{"title":"a","due_date":"2027-03-02"}`: {"due_date: unknown property; did you mean dueDate?"},
	} {
		sb := newSandbox(t)
		text := textOf(callTool(t, connect(t, sb), "create_task", args))
		for _, part := range append(says, "nothing was sent") {
			if !strings.Contains(text, part) {
				t.Errorf("create_task(%s) = %q, want it to say %q", args, text, part)
			}
		}
		if sent := writes(sb.Requests()); len(sent) > 0 {
			t.Errorf("create_task(%s): Heffl receives %+v, want nothing but look-ups", args, sent)
		}
	}
}

// TestCreateTaskWindow holds that the same arguments are one task, and a day later another.
func TestCreateTaskWindow(t *testing.T) {
	t.Parallel()
	in(t, "", func(t *testing.T) {
		s := newStageOf(t, "create_task", "/tasks", Deps{Journal: memory(t)})
		const args = `{"title":"Call back","dealId":"dl_acme_renewal"}`
		s.is(s.call(args), created)
		time.Sleep(23 * time.Hour)
		s.is(s.call(args), replayed)
		time.Sleep(2 * time.Hour)
		s.is(s.call(args), created)
		s.count(2, 2)
	})
	in(t, "among more tasks than one look reads", func(t *testing.T) {
		s := newStageOf(t, "create_task", "/tasks", Deps{Journal: memory(t)}, "before:drop")
		const args = `{"title":"Call back"}`
		s.is(s.call(args), unsettled)
		for range 501 {
			s.direct("POST", "/tasks", `{"title":"Import"}`)
		}
		time.Sleep(time.Minute)
		s.is(s.call(args), unsettled, "Heffl has more tasks than one look reads")
	})
}
