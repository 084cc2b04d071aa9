package serve

import (
	"net/http"
	"sync"
	"time"
)

// timedWriter gives every write its own deadline, so that a client that stops reading holds nothing for long.
// On a stream of events it breaks a long silence with a comment, which keeps a proxy from ending the stream, and
// finds out a client that has vanished without a word: the write fails, and net/http ends the request.
type timedWriter struct {
	http.ResponseWriter
	control *http.ResponseController

	mu      sync.Mutex // of all writing: the comments come from a timer
	begun   bool
	ended   bool
	silence *time.Timer // nil: not a stream
}

func newTimedWriter(w http.ResponseWriter) *timedWriter {
	return &timedWriter{ResponseWriter: w, control: http.NewResponseController(w)}
}

// begin and done go round everything that is written, with mu held.
func (w *timedWriter) begin() {
	w.begun = true
	// Not every ResponseWriter of a test has deadlines.
	_ = w.control.SetWriteDeadline(time.Now().Add(writeTimeout))
}

func (w *timedWriter) done() {
	if w.silence != nil && !w.ended {
		w.silence.Reset(keepAlive)
	}
}

func (w *timedWriter) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin()
	w.ResponseWriter.WriteHeader(status)
	if w.silence == nil && w.Header().Get("Content-Type") == eventStream {
		w.silence = time.AfterFunc(keepAlive, w.comment)
	}
}

// Write takes whole events of a stream, between which a comment may come.
func (w *timedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin()
	defer w.done()
	return w.ResponseWriter.Write(p)
}

func (w *timedWriter) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin()
	defer w.done()
	return w.control.Flush()
}

func (w *timedWriter) Flush() { _ = w.FlushError() }

func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *timedWriter) hasBegun() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun
}

// comment is what the timer does. Its errors need no answer: they end the request.
func (w *timedWriter) comment() {
	if !w.mu.TryLock() {
		return // there is no silence: something is being written, and the timer starts again after it
	}
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	w.begin()
	defer w.done()
	_, _ = w.ResponseWriter.Write([]byte(": keep-alive\n\n"))
	_ = w.control.Flush()
}

// end stops the comments. Nothing is written after it.
func (w *timedWriter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.silence != nil {
		w.silence.Stop()
	}
}
