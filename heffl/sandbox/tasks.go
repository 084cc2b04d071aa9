package sandbox

// taskFields are the body of POST /tasks. https://docs.heffl.com/api-v2-reference/objects/create-task
func taskFields() []field {
	return []field{
		{name: "title", kind: asName, required: true},
		{name: "description", kind: asText, nullable: true},
		{name: "status", kind: asEnum, oneOf: []string{"OPEN", "IN_PROGRESS", "ON_HOLD", "COMPLETED", "CANCELLED"}},
		{name: "type", kind: asEnum, oneOf: []string{"call", "todo", "meeting"}},
		{name: "priority", kind: asEnum, oneOf: levels, nullable: true},
		{name: "startDate", kind: asTime},
		{name: "dueDate", kind: asTime},
		{name: "showTime", kind: asFlag},
		{name: "durationMinutes", kind: asAmount},
		{name: "assigneeIds", kind: asList, of: listOf(userRef)},
		{name: "tagIds", kind: asList, of: listOf(tagRef)},
		{name: "entity", kind: asEnum, oneOf: []string{"projects", "leads", "deals"}},
		{name: "entityId", kind: asText, nullable: true},
	}
}

// tasks serves tasks. What can be searched, ordered and filtered by is not documented, but for the first order.
func (s *Sandbox) tasks() *resource {
	return &resource{
		name: "tasks", singular: "Task", prefix: "tsk_", series: "TSK", single: true,
		fields:  taskFields(),
		orderBy: []order{{"createdAt", byCreated}, {"dueDate", byField("dueDate")}},
		filters: []string{"status", "type", "priority"},
		searched: func(rec *record) []string {
			return []string{rec.fields.text("title"), rec.number}
		},
		settle: s.settleTask,
		view:   s.taskView,
	}
}

// settleTask fills in defaults, which are not documented, and checks what the task is about: entity and entityId go
// together. https://docs.heffl.com/api-v2/agent-workflows
func (s *Sandbox) settleTask(_, next fields) *apiError {
	for name, value := range map[string]any{"status": "OPEN", "type": "todo", "showTime": false, "assigneeIds": []string{}, "tagIds": []string{}} {
		if next[name] == nil {
			next[name] = encode(value)
		}
	}
	entity, about := next.text("entity"), next.text("entityId")
	if (entity == "") != (about == "") {
		missing := map[bool]string{true: "entity", false: "entityId"}[entity == ""]
		return invalid(issue{missing, "entity and entityId must be provided together"})
	}
	to, held := map[string]reference{"deals": dealRef, "leads": leadRef}[entity]
	if !held {
		return nil // nothing, or a project, of which the sandbox has none
	}
	v := &validator{}
	v.value("entityId", field{kind: asID, to: to}, encode(about))
	if len(v.issues) > 0 {
		return invalid(v.issues...)
	}
	return s.checkExists(v)
}

func (s *Sandbox) taskView(rec *record) object {
	f := rec.fields
	about := map[string]any{}
	if f.isSet("entityId") {
		about[f.text("entity")] = f["entityId"]
	}
	var client any
	if deal := s.find("deals", f.text("entityId")); deal != nil {
		client = deal.fields["clientId"]
	}
	var completed any
	if f.text("status") == "COMPLETED" {
		completed = stamp(rec.updated)
	}
	o := object{{"id", rec.id}, {"number", rec.number}}
	o = append(o, f.pick("title", "status", "type", "showTime", "assigneeIds", "tagIds")...)
	o = append(o, f.pick("description", "priority", "dueDate", "startDate", "durationMinutes")...)
	o = append(o, member{"completedOn", completed})
	o = append(o, f.pick("entity", "entityId")...)
	o = append(o, object{
		{"projectId", about["projects"]},
		{"leadId", about["leads"]},
		{"dealId", about["deals"]},
		{"clientId", client},
		{"contactId", nil},
		{"createdById", nil},
		{"createdByName", nil},
	}...)
	return append(o, stamps(rec)...)
}
