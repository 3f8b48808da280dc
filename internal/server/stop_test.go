package server_test

import (
	"net"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

func TestGracefulStop(t *testing.T) {
	t.Parallel() // it waits the notice out, within which requests have to succeed
	w := servertest.Start(t, servertest.Setup{Options: func(o *server.Options) { o.Notice = 4 * time.Second }})
	ada := w.SignIn(t, servertest.Ada)
	hold := w.Store.HoldNext()
	under := make(chan servertest.RawAnswer, 1)
	c := w.Raw(t)
	c.Write("GET /auth/user HTTP/1.1\r\nHost: " + w.Host() + "\r\nAuthorization: Bearer " + ada.Access + "\r\n\r\n")
	<-hold.Entered
	go func() {
		a, _ := c.Read("GET")
		under <- a
	}()
	if a := w.Send(t, "GET", "/readyz", ""); a.Status != 200 {
		t.Fatalf("readyz before the stop: %d", a.Status)
	}
	w.Stop()
	// First it says so, while it still answers.
	var ready servertest.Answer
	for ready.Status != 503 {
		ready = w.Send(t, "GET", "/readyz", "") // at once, or within the notice
	}
	if ready.Code() != "store_unavailable" || ready.Header.Get("Retry-After") == "" {
		t.Errorf("readyz: %s", ready.Body)
	}
	if a := w.Send(t, "GET", "/healthz", ""); a.Status != 200 {
		t.Errorf("healthz: %d", a.Status)
	}
	if a := w.Send(t, "GET", "/auth/session", ""); a.Status != 200 {
		t.Errorf("a request meanwhile: %d", a.Status)
	}
	// Then it takes no new ones.
	for {
		conn, err := net.Dial("tcp", w.Addr())
		if err != nil {
			break
		}
		conn.Close()
	}
	select {
	case a := <-under:
		t.Fatalf("the request under way was answered before it could be: %v", a)
	default:
	}
	close(hold.Release)
	if a := <-under; a.Status != 200 {
		t.Errorf("the request under way: %v", a)
	}
}
