package upstreamtest

import (
	"net"
	"testing"
)

// Refusing returns an address at which nobody listens until the test ends. It is the near end of a connection: one that was
// closed would be free for the next who listens, and on a busy machine that is soon.
func Refusing(t testing.TB) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}
