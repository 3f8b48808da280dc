package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

func limited(header, read, idle time.Duration, connections int) servertest.Setup {
	return servertest.Setup{Options: func(o *server.Options) { o.SetLimits(header, read, time.Minute, idle, connections) }}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	const soon = 150 * time.Millisecond
	ended := func(t *testing.T, c *servertest.Raw, begin time.Time) servertest.RawAnswer {
		t.Helper()
		a, err := c.Read("POST")
		if err == nil {
			_, err = c.Read("POST")
		}
		if err == nil {
			t.Error("R-01: the connection goes on")
		}
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("R-01: cut off after %v", took)
		}
		return a
	}
	t.Run("R-01 slow header", func(t *testing.T) {
		w := servertest.Start(t, limited(soon, time.Minute, time.Minute, 100))
		for _, sent := range []string{"", "G", "GET /auth/session HTTP/1.1\r\n", "GET /auth/session HTTP/1.1\r\nHost: " + w.Host() + "\r\nX-A: b\r\n"} {
			c, begin := w.Raw(t), time.Now()
			c.Write(sent)
			if a := ended(t, c, begin); a.Status != 0 && a.Status/100 != 4 {
				t.Errorf("after %q: %v", sent, a)
			}
		}
	})
	t.Run("R-01 slow body", func(t *testing.T) {
		w := servertest.Start(t, limited(time.Minute, soon, time.Minute, 100))
		for _, path := range []string{"/auth/login", "/auth/token/refresh", "/auth/token/verify", "/nothing"} {
			c, begin := w.Raw(t), time.Now()
			c.Write("POST " + path + " HTTP/1.1\r\nHost: " + w.Host() + "\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{")
			if a := ended(t, c, begin); a.Status/100 != 4 {
				t.Errorf("%s: %v", path, a)
			}
		}
		c, begin := w.Raw(t), time.Now()
		c.Write("POST /auth/login HTTP/1.1\r\nHost: " + w.Host() + "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
		if a := ended(t, c, begin); a.Status/100 != 4 {
			t.Errorf("chunked: %v", a)
		}
	})
	t.Run("R-01 idle connection", func(t *testing.T) {
		w := servertest.Start(t, limited(time.Minute, time.Minute, soon, 100))
		c := w.Raw(t)
		c.Write("GET /auth/session HTTP/1.1\r\nHost: " + w.Host() + "\r\n\r\n")
		if a, err := c.Read("GET"); err != nil || a.Status != 200 {
			t.Fatalf("got %v, %v", a, err)
		}
		ended(t, c, time.Now())
	})
	t.Run("R-01 others are served meanwhile", func(t *testing.T) {
		w := servertest.Start(t, limited(time.Minute, time.Minute, time.Minute, 1000))
		for i := range 200 {
			c := w.Raw(t)
			c.Write([]string{"GET /", "POST /auth/login HTTP/1.1\r\nHost: " + w.Host() + "\r\nContent-Length: 9\r\n\r\n{"}[i%2])
		}
		begin := time.Now()
		for range 20 {
			if a := w.Send(t, "GET", "/auth/session", ""); a.Status != 200 {
				t.Fatalf("got %d", a.Status)
			}
		}
		if took := time.Since(begin); took > 30*time.Second { // half of what those who are slow may take
			t.Errorf("20 requests took %v", took)
		}
	})
}

func TestConnectionsAreBoundedAndNewOnesAreServed(t *testing.T) {
	w := servertest.Start(t, limited(time.Minute, time.Minute, time.Minute, 3))
	var all []*servertest.Raw
	for i := range 100 { // one after the other, and all stay open as far as the client is concerned
		c := w.Raw(t)
		c.Write("GET /auth/session HTTP/1.1\r\nHost: " + w.Host() + "\r\n\r\n")
		if a, err := c.Read("GET"); err != nil || a.Status != 200 {
			t.Fatalf("R-02: number %d: %v %v", i, a, err)
		}
		all = append(all, c)
	}
	counted(t, w, "tokenjar_connections_open 3")
	counted(t, w, "tokenjar_connections_shed_total 97")
	for _, c := range all[:90] {
		if a, err := c.Read("GET"); err == nil {
			t.Fatalf("R-02: still there: %v", a)
		}
	}
	if got := strings.Count(w.Log.String(), "too many connections"); got != 1 {
		t.Errorf("R-14: told %d times", got)
	}
}

func TestConnectionsThatSendNothingMakeRoomToo(t *testing.T) {
	w := servertest.Start(t, limited(time.Minute, time.Minute, time.Minute, 3))
	for range 20 {
		w.Raw(t).Write("GET / HT")
	}
	if a := w.Send(t, "GET", "/auth/session", ""); a.Status != 200 {
		t.Errorf("R-01: got %d", a.Status)
	}
}

func TestWhatIsBeingServedIsNeverClosedForAnother(t *testing.T) {
	w := servertest.Start(t, limited(time.Minute, time.Minute, time.Minute, 1))
	ada := w.SignIn(t, servertest.Ada)
	c := w.Raw(t)
	hold := w.Store.HoldNext()
	c.Write("GET /auth/user HTTP/1.1\r\nHost: " + w.Host() + "\r\nAuthorization: Bearer " + ada.Access + "\r\n\r\n")
	<-hold.Entered
	for range 3 { // turned away at once, not left waiting
		if a, err := w.Raw(t).Read("GET"); err == nil {
			t.Errorf("got %v", a)
		}
	}
	close(hold.Release)
	if a, err := c.Read("GET"); err != nil || a.Status != http.StatusOK {
		t.Errorf("the one being served: %v %v", a, err)
	}
}
