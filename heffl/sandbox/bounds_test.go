package sandbox

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

func TestOldWindowsAreForgotten(t *testing.T) {
	t.Parallel()
	l := limiter{limit: 1, windows: map[string]*window{}}
	now := time.Now()
	for i := range 3 * maxWindows {
		now = now.Add(time.Second)
		l.take(strconv.Itoa(i), now, http.Header{})
	}
	if n := len(l.windows); n > maxWindows+1 {
		t.Errorf("%d windows are kept, want at most %d", n, maxWindows+1)
	}
}

func TestOldRequestsAreForgotten(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequest(http.MethodPost, BaseURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	many := &requestLog{}
	for range maxRequests + 5 {
		many.add(r, "/deals", nil, time.Time{})
	}
	if n := len(many.list); n != maxRequests {
		t.Errorf("%d requests are kept, want %d", n, maxRequests)
	}
	long := &requestLog{}
	for range 40 {
		long.add(r, "/deals", make([]byte, maxBody), time.Time{})
	}
	if n := len(long.list); n != maxRequestBytes/maxBody {
		t.Errorf("%d requests of %d bytes are kept, want %d", n, maxBody, maxRequestBytes/maxBody)
	}
}
