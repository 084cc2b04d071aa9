//go:build unix && !aix

package heffl

import (
	"errors"
	"syscall"
	"time"
)

// listen is how long an idle connection is listened to before it is used: not at all, since alive has asked the system.
const listen = -time.Second

// alive reports whether the system has nothing to be read from a connection, neither its end nor what nobody asked for. Of one that
// is none of the system's it cannot tell.
func alive(conn syscall.RawConn) bool {
	if conn == nil {
		return true
	}
	quiet := false
	err := conn.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && quiet
}
