package heffl

import (
	"context"
	"encoding/json"
	"net/http"
)

// CreateTask makes one task: POST /tasks, by the rules of [Client.CreateDeal]. Its body has at least
// a title. The deal or lead that it is about is named by entity ("deals", "leads" or "projects") and
// entityId, which go together.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/objects/create-task and
// https://docs.heffl.com/api-v2/agent-workflows
func (c *Client) CreateTask(ctx context.Context, body json.RawMessage) (*Response, error) {
	return c.write(ctx, http.MethodPost, "/tasks", body)
}

// ListTasks lists tasks, a page at a time and by Heffl's default the newest first: GET /tasks. It
// waits and reads again as [Client.ListDeals] does. What a search looks into is not documented. A row
// has the members of [Client.CreateTask]'s answer, as far as is known.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2/listing-and-filters and
// https://docs.heffl.com/api-v2-reference/objects/get-a-task
func (c *Client) ListTasks(ctx context.Context, q ListQuery) (*Page, error) {
	return c.page(ctx, "/tasks", q.values())
}
