package sandbox

import (
	_ "embed"
	"encoding/json"
	"time"
)

// dataJSON is the workspace. Reference data and leads stand in it as the API answers them; companies, contacts, deals and
// tasks as they would be sent, with their ID and with daysAgo, their age: their stamps count back from the sandbox's
// start, so that whatever is made later is newer, on any clock.
//
//go:embed data.json
var dataJSON []byte

// workspaceData is the form of data.json.
type workspaceData struct {
	Reference    map[string][]json.RawMessage `json:"reference"`
	CustomFields []customField                `json:"customFields"`
	Records      map[string][]fields          `json:"records"`
}

// load fills the store. What can be sent goes through the same checks as if it were; a fault in data.json is a fault of
// this package.
func (s *Sandbox) load(now time.Time) {
	var data workspaceData
	unmarshal(dataJSON, &data)
	s.custom = data.CustomFields
	for _, r := range s.resources {
		for _, raw := range data.Reference[r.name] {
			s.loadReference(r, raw, now)
		}
		for _, f := range data.Records[r.name] {
			id, created := f.text("id"), now.Add(-age(f))
			delete(f, "id")
			delete(f, "daysAgo")
			next, problem := s.accept(r, nil, f)
			if problem != nil {
				panic("sandbox: data.json: " + id + ": " + string(problem.reply().body))
			}
			s.insert(r, id, next, created, 0)
		}
	}
}

// loadReference adds a row that is answered as it stands. The stages of a pipeline are records of their own too.
func (s *Sandbox) loadReference(r *resource, raw json.RawMessage, now time.Time) {
	var f fields
	unmarshal(raw, &f)
	s.insert(r, f.text("id"), f, now, 0).raw = raw
	if r.name != "pipelines" {
		return
	}
	var stages []fields
	unmarshal(f["stages"], &stages)
	for _, stage := range stages {
		stage["pipelineId"] = f["id"]
		s.insert(s.resource("stages"), stage.text("id"), stage, now, 0)
	}
}

func age(f fields) time.Duration {
	var days int
	unmarshal(f["daysAgo"], &days)
	return time.Duration(days) * 24 * time.Hour
}
