//go:build !unix

package heffl

import (
	"syscall"
	"time"
)

// alive reports whether a connection that has been idle is still one. Nothing tells here, so that only one which was used a moment
// ago is taken for one: a request on a dead connection would have to be looked for.
func alive(_ syscall.RawConn, idle time.Duration) bool { return idle < time.Second }
