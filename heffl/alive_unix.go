//go:build unix

package heffl

import (
	"errors"
	"syscall"
	"time"
)

// alive reports whether a connection that has been idle is still one: there is nothing to be read from it, neither its end nor
// what nobody asked for. One that is none of the system's is.
func alive(conn syscall.RawConn, _ time.Duration) bool {
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
