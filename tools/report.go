package tools

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// A Report tells of a call that has ended, for logs, metrics and audits. It holds no argument, and
// no key or token.
type Report struct {
	Call    string // an ID of its own, which the log has too
	At      time.Time
	Took    time.Duration
	Waited  time.Duration // how much of that it has waited for Heffl's rate limit, or to look again
	Tool    string
	Effect  Effect
	Caller  string // Caller.Name
	Client  string // what the MCP client calls itself, and its version; anybody can claim anything
	Tenant  string // whose the call was: see Tenant
	Object  string // the ID of what was made, changed or answered with; empty: nothing
	Outcome string // heffl-mcp/outcome

	// Arguments is a hash of them, as they were sent to Heffl or would have been. It is made for who asks.
	Arguments func() string
}

// A reporting is a Report that is being made: several requests of a call may wait at once.
type reporting struct {
	Report
	waited atomic.Int64
}

// report begins one.
func report(ctx context.Context, tool string, effect Effect, who Caller, req mcp.CallToolRequest) *reporting {
	return &reporting{Report: Report{Call: rand.Text()[:12], At: time.Now(), Tool: tool, Effect: effect, Caller: who.Name, Client: clientOf(ctx, req), Outcome: broken}}
}

// end completes the report, and hands it to the log and to who else wants to know.
func (r *reporting) end(ctx context.Context, c *call) {
	r.Took, r.Waited = time.Since(r.At), time.Duration(r.waited.Load())
	c.Log.LogAttrs(ctx, slog.LevelInfo, "tool called", slog.String("call", r.Call), slog.String("tool", r.Tool), slog.String("outcome", r.Outcome),
		slog.String("id", r.Object), slog.String("caller", r.Caller), slog.String("client", r.Client), slog.Duration("took", r.Took))
	if c.Reports != nil {
		r.Tenant, r.Arguments = c.Tenant, func() string { return fingerprint(c.raw) }
		c.Reports(ctx, r.Report)
	}
}

// clientOf is what the client calls itself: on the request since 2026-07-28, in its session before.
func clientOf(ctx context.Context, req mcp.CallToolRequest) string {
	var info mcp.Implementation
	if m := req.Params.Meta; m != nil && m.AdditionalFields[mcp.MetaKeyClientInfo] != nil {
		info = implementation(m.AdditionalFields[mcp.MetaKeyClientInfo])
	}
	if s, ok := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo); ok && info.Name == "" {
		info = s.GetClientInfo()
	}
	return line(info.Name+" "+info.Version, 80)
}

// implementation is what a client says of itself. One that says nothing of use has said nothing.
func implementation(said any) (info mcp.Implementation) {
	if raw, err := json.Marshal(said); err == nil {
		_ = json.Unmarshal(raw, &info)
	}
	return info
}
