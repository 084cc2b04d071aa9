package heffl

import (
	"context"
	"encoding/json"
	"errors"
)

// CreateDeal makes one deal: POST /deals. The body is a JSON object with at least title, clientId
// and pipelineId; it is sent as it is. The answer is the new deal, as Heffl returns it; it does
// not repeat the currency, tags, assignees, contacts and products of the request.
//
// Heffl documents no way to send the same request twice and get one deal. After an error, ask
// [EffectOf] before sending again.
//
// Source, as read on 2026-11-22: https://docs.heffl.com/api-v2-reference/objects/create-deal
func (c *Client) CreateDeal(ctx context.Context, body json.RawMessage) (*Response, error) {
	return c.create(ctx, "/deals", body)
}

// ID is the ID of the object in the answer, such as "dl_abc123": its `id`, or else its `data.id`.
// Heffl documents answers without a wrapper; `data` is read in case there is one. CreateDeal
// returns no answer without an ID, but a *BodyError.
func (r *Response) ID() string {
	id, _ := objectID(r.Body)
	return id
}

// Object is the object in the answer that [Response.ID] is of: the body, or else its `data`.
func (r *Response) Object() json.RawMessage {
	if wrapped := members(r.Body)["data"]; members(wrapped)["id"] != nil && members(r.Body)["id"] == nil {
		return wrapped
	}
	return r.Body
}

// Why the body of a 2xx is of no use. BodyError.Err is one of these, or the failure to read it.
var (
	ErrNotJSON   = errors.New("not JSON")
	ErrNotObject = errors.New("not a JSON object")
	ErrNoID      = errors.New("a JSON object without an id")
)

func objectID(body json.RawMessage) (string, error) {
	if !json.Valid(body) {
		return "", ErrNotJSON
	}
	object := members(body)
	if object == nil {
		return "", ErrNotObject
	}
	for _, o := range []map[string]json.RawMessage{object, members(object["data"])} {
		var id string
		if json.Unmarshal(o["id"], &id) == nil && id != "" {
			return id, nil
		}
	}
	return "", ErrNoID
}

// members returns the members of a JSON object, or nil for anything else. Decoding into a struct
// would also take "ID" for "id", and give up on the rest when one member has another type.
func members(object json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(object, &m) != nil {
		return nil
	}
	return m
}
