//go:build unix && !aix

package proxy

import (
	"net"
	"syscall"
)

// A silence tells whether a connection is open and nothing has arrived on it that nobody has read.
type silence struct {
	raw  syscall.RawConn // nil: it cannot be told
	peek func(fd uintptr) bool
	held bool
}

func newSilence(conn net.Conn) *silence {
	s := &silence{}
	if c, ok := conn.(syscall.Conn); ok {
		s.raw, _ = c.SyscallConn()
	}
	var b [1]byte
	s.peek = func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		s.held = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK // no byte, and no end
		return true
	}
	return s
}

// holds looks without waiting. It is not safe for concurrent use.
func (s *silence) holds() bool {
	s.held = false
	return s.raw != nil && s.raw.Read(s.peek) == nil && s.held
}
