package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A service that uses up half of the time to accept has the other half for its part of the handshake, and not all of it again.
func TestAConnectionAndItsHandshakeHaveOneTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		accept time.Duration
		want   time.Duration // until it is given up
	}{
		{"at once, and then silence", 0, 5 * time.Second},
		{"late, and then silence", 3 * time.Second, 5 * time.Second},
		{"never", time.Hour, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var service net.Conn
				dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
					select {
					case <-ctx.Done():
						return nil, ctx.Err()
					case <-time.After(c.accept):
					}
					var conn net.Conn
					conn, service = net.Pipe()
					go io.Copy(io.Discard, service)
					return conn, nil
				}
				begin := time.Now()
				_, err := dialTLS(dial, 5*time.Second)(t.Context(), "tcp", "service.example:443")
				if took := time.Since(begin); took != c.want || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("given up after %s with %v, want %s", took, err, c.want)
				}
				if service != nil {
					if _, err := service.Write([]byte("x")); err == nil {
						t.Error("the connection is open")
					}
				}
			})
		})
	}
}
