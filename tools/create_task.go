package tools

import (
	"context"

	"heffl-mcp/heffl"

	"github.com/go-json-experiment/json/jsontext"
)

// create_task: POST /tasks, https://docs.heffl.com/api-v2-reference/objects/create-task
var createTask = tool{
	Name:     "create_task",
	Title:    "Create a task",
	About:    "Add a follow-up to a deal, a lead or neither. Names work for IDs; custom fields by key (cf_*) or label. Safe to repeat: the same call never makes two.",
	Effect:   Adds,
	Args:     of[TaskArgs](),
	Result:   of[TaskResult](),
	Entity:   "tasks",
	Complete: oneSubject,
	Run:      typed(runCreateTask),
}

// TaskArgs is what the model sends: the body of POST /tasks under Heffl's own names, but for what the
// task is about, which Heffl has as entity and entityId.
type TaskArgs struct {
	Title          string                    `json:"title" jsonschema_extras:"x-visible=true,x-aka=name subject task"`
	DealID         string                    `json:"dealId,omitempty" names:"deal" jsonschema_extras:"x-visible=true,x-aka=deal dealTitle entityId" jsonschema_description:"Title, number or ID"`
	LeadID         string                    `json:"leadId,omitempty" names:"lead" jsonschema_extras:"x-visible=true,x-aka=lead leadName" jsonschema_description:"Name, e-mail or ID"`
	Description    string                    `json:"description,omitempty" jsonschema_extras:"x-visible=true,x-aka=notes note details body"`
	Type           string                    `json:"type,omitempty" jsonschema:"enum=call,enum=todo,enum=meeting" jsonschema_extras:"x-aka=kind taskType"`
	Priority       string                    `json:"priority,omitempty" jsonschema:"enum=LOW,enum=MEDIUM,enum=HIGH" jsonschema_extras:"x-aka=importance urgency"`
	DueDate        string                    `json:"dueDate,omitempty" jsonschema:"format=date-time" jsonschema_extras:"x-aka=due dueAt deadline date when" jsonschema_description:"Day (2026-06-30) or RFC 3339"`
	AssigneeIDs    []string                  `json:"assigneeIds,omitempty" names:"user" jsonschema_extras:"x-visible=true,x-aka=assignees assignee assignedTo assigneeId owner ownerUserId user userId" jsonschema_description:"Users: name, e-mail or ID"`
	AllowDuplicate bool                      `json:"allowDuplicate,omitempty" jsonschema_extras:"x-aka=force duplicate ignoreDuplicates" jsonschema_description:"Only if the user wants a second one"`
	Custom         map[string]jsontext.Value `json:",embed" jsonschema:"-" keys:"^cf_"`
}

// TaskResult is the task as Heffl answers. Only id is held to be there.
type TaskResult struct {
	ID    string `json:"id"`
	Title string `json:"title,omitempty" jsonschema_extras:"x-nullable=true"`
}

// subjects are what a task can be about: the argument that names it, and what Heffl calls its kind.
var subjects = []struct{ argument, entity string }{{"dealId", "deals"}, {"leadId", "leads"}}

// oneSubject refuses a task that is about a deal and a lead.
func oneSubject(_ context.Context, r *reading) error {
	_, deal := r.doc.get("dealId")
	if _, lead := r.doc.get("leadId"); deal && lead {
		r.problems = append(r.problems, "leadId: a task is about a deal or a lead, not both; leave one of dealId and leadId out")
	}
	return nil
}

func runCreateTask(ctx context.Context, c *call, args TaskArgs) (*answer, error) {
	return c.add(ctx, write{
		lookout: c.taskLookout(taskBody(c.body())), lookoutOf: c.taskLookout,
		match: func() []string { return []string{foldTitle(args.Title), args.DealID, args.LeadID} },
		about: about{Title: args.Title},
		send:  c.Heffl.CreateTask,
	})
}

// taskBody is what is sent of the arguments: entity and entityId in the place of what names it.
func taskBody(args object) object {
	var body object
	for _, m := range args {
		about := object{m}
		for _, s := range subjects {
			if s.argument == m.name {
				about = object{{"entity", quoted(s.entity)}, {"entityId", m.value}}
			}
		}
		body = append(body, about...)
	}
	return body
}

// taskLookout finds the task that a send of body has made: by its title and what it is about. What
// Heffl's search for tasks looks into is not documented, so that it finds nothing means nothing.
func (c *call) taskLookout(body object) lookout {
	title, _ := body.str("title")
	about, _ := body.str("entityId")
	return lookout{
		thing: thing{"task", "tasks", []fact{{"number", "number "}, {"title", ""}, {"type", "type "}, {"status", ""}, {"priority", "priority "}, {"dueDate", "due "}}},
		body:  body,
		list: func(ctx context.Context, _, cursor string) (*heffl.Page, error) {
			return c.Heffl.ListTasks(ctx, heffl.ListQuery{PageSize: 100, Cursor: cursor})
		},
		like: func(task object) bool {
			is, _ := task.str("title")
			of, _ := task.str("entityId")
			return oneSpaced(is) == oneSpaced(title) && of == about
		},
	}
}
