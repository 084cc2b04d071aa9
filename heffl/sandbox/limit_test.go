package sandbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"heffl-mcp/heffl/sandbox"
)

func TestRateLimitWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, a := start(t, sandbox.Options{RateLimit: 2})
		for _, step := range []struct {
			wait   time.Duration // before the request
			key    string
			status int
			want   []string // limit, remaining, reset
		}{
			{0, "a", 200, []string{"2", "1", "60"}},
			{20500 * time.Millisecond, "a", 200, []string{"2", "0", "40"}}, // 39.5 s, rounded up
			{0, "a", 429, []string{"2", "0", "40"}},
			{0, "b", 200, []string{"2", "1", "60"}}, // its own window
			{39 * time.Second, "a", 429, []string{"2", "0", "1"}},
			{500 * time.Millisecond, "a", 200, []string{"2", "1", "60"}},
		} {
			time.Sleep(step.wait)
			got := a.with("X-Api-Key", step.key).do("GET", "/tags", "")
			if got.status != step.status {
				t.Errorf("key %s: GET /tags = %d, want %d", step.key, got.status, step.status)
			}
			headers := []string{got.header.Get("RateLimit-Limit"), got.header.Get("RateLimit-Remaining"), got.header.Get("RateLimit-Reset")}
			if diff := cmp.Diff(step.want, headers); diff != "" {
				t.Errorf("key %s: RateLimit-* (-want +got):\n%s", step.key, diff)
			}
			if got.status == 429 && errorCode(t, got) != "TOO_MANY_REQUESTS" {
				t.Errorf("error = %s, want TOO_MANY_REQUESTS", got.body)
			}
		}
	})
}

func TestRateLimitDefaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, a := start(t, sandbox.Options{})
		for i := range 61 {
			want := map[bool]int{true: 200, false: 429}[i < 60]
			if got := a.do("GET", "/tags", ""); got.status != want {
				t.Fatalf("request %d = %d, want %d", i+1, got.status, want)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, a := start(t, unlimited)
		for range 61 {
			if got := a.do("GET", "/tags", ""); got.status != 200 || got.header.Get("RateLimit-Limit") != "" {
				t.Fatalf("without a limit: %d, RateLimit-Limit %q", got.status, got.header.Get("RateLimit-Limit"))
			}
		}
	})
}

func TestFaultNamesTheWait(t *testing.T) {
	t.Parallel()
	_, a := start(t, sandbox.Options{})
	got := a.with(sandbox.FaultHeader, "before:429;wait=2500ms").do("GET", "/tags", "")
	if reset, left := got.header.Get("RateLimit-Reset"), got.header.Get("RateLimit-Remaining"); reset != "3" || left != "0" {
		t.Errorf("RateLimit-Reset, RateLimit-Remaining = %q, %q, want 3, 0", reset, left)
	}
}
