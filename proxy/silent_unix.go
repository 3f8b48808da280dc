//go:build unix

package proxy

import (
	"net"
	"syscall"
)

// isSilent reports whether a connection is open and nothing has arrived on it that nobody has read.
func isSilent(conn net.Conn) bool {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK // no byte, and no end
		return true
	})
	return err == nil && silent
}
