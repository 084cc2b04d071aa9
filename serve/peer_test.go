package serve

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// However long mcp-go takes from when it says that it will put something into the queue until it does, it is written, and
// all that is answered meanwhile too.
func TestPeerWaitsForANotification(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var written []string
		flushed := 0
		emit := func(message []byte) error { written = append(written, string(message)); return nil }
		flush := func() error { flushed = len(written); return nil }
		p := newPeer(core{mcp: server.NewMCPServer("toy", "1"), log: logger(nil)}, emit, flush)
		stop := make(chan struct{})
		end := make(chan error)
		go func() { end <- p.forward(stop) }()
		note := mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION, Notification: mcp.Notification{Method: "notifications/x"}}
		answer := func(id string) {
			p.enqueue(fault{[]byte(id), 1, "no"}.frame())
			p.write()
		}
		const said = `{"jsonrpc":"2.0","method":"notifications/x"}`
		answered := func(id string) string { return `{"jsonrpc":"2.0","id":` + id + `,"error":{"code":1,"message":"no"}}` }

		answer("1")
		queue := p.session.NotificationChannel()
		synctest.Wait()
		answer("2")
		synctest.Wait()
		if flushed != 2 {
			t.Errorf("%d messages are flushed while a notification is on its way, want 2", flushed)
		}
		queue <- note
		synctest.Wait()
		if flushed != 3 {
			t.Errorf("%d messages are flushed after the notification, want 3", flushed)
		}
		p.session.NotificationChannel() <- note
		answer("3")
		synctest.Wait()
		p.session.NotificationChannel() // one that mcp-go drops
		synctest.Wait()
		p.enqueue(fault{[]byte("4"), 1, "no"}.frame())
		close(stop)
		if err := <-end; err != nil {
			t.Errorf("forward = %v, want nil", err)
		}
		want := []string{answered("1"), answered("2"), said, said, answered("3"), answered("4")}
		if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(strings.Join(written, "")), "\n")); diff != "" || flushed != len(want) {
			t.Errorf("%d flushed; written (-want +got):\n%s", flushed, diff)
		}
	})
}

// Whoever finds that nothing can be written any more, everybody gets to know, and nobody waits.
func TestPeerCannotWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		emit := func([]byte) error { return io.ErrClosedPipe }
		p := newPeer(core{mcp: server.NewMCPServer("toy", "1"), log: logger(nil)}, emit, func() error { return nil })
		end := make(chan error)
		go func() { end <- p.forward(nil) }()
		for range 2 * queueSize {
			p.enqueue(fault{[]byte("1"), 1, "no"}.frame())
			p.write()
		}
		if err := <-end; err != io.ErrClosedPipe {
			t.Errorf("forward = %v, want %v", err, io.ErrClosedPipe)
		}
	})
}
