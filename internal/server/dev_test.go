package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
	st "github.com/tokenjar/tokenjar/internal/servertest"
)

// upgrader is a service that answers handshakes with the subprotocol that was asked for, and sends back what it gets.
func upgrader(t *testing.T, seen chan<- http.Header) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			seen <- r.Header.Clone()
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("X-Content-Type-Options", "nosniff") // for the tests' own rules
			w.Header().Set("X-Host", r.Host)
			io.WriteString(w, "dev "+r.RequestURI)
			return
		}
		seen <- r.Header.Clone()
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n"+
			"Sec-WebSocket-Protocol: "+r.Header.Get("Sec-WebSocket-Protocol")+"\r\n\r\n")
		io.Copy(conn, rw)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestADevelopmentServerGetsWhatIsLeftAndNothingOfTheSession(t *testing.T) {
	seen := make(chan http.Header, 1)
	vite := upgrader(t, seen)
	w := st.Start(t, st.Setup{Config: func(c *config.Config) { c.SPA.DevServer = vite.URL }})
	b := w.Browser(t)
	b.Login(t, st.Ada)
	for _, target := range []string{"/", "/orders/42", "/@vite/client", "/@fs/srv/app/x.ts?t=1", "/node_modules/.vite/deps/vue.js?v=1a2b", "/a%2Fb", "/src/App.vue?vue&type=style&index=0&lang.css"} {
		a := b.Do(t, "GET", target, "", st.Header("Authorization", "Bearer x"), st.Header("X-CSRFToken", "canary"), st.Header("X-Forwarded-User", "eve"),
			st.AddHeader("Cookie", "theme=dark"))
		if a.Status != 200 || string(a.Body) != "dev "+target {
			t.Errorf("%s: %d %s", target, a.Status, a.Body)
			continue
		}
		got := <-seen
		if got.Get("Cookie") != "theme=dark" || got.Get("Authorization") != "" || got.Get("X-Csrftoken") != "" || got.Get("X-Forwarded-User") != "" {
			t.Errorf("%s: the development server got %v", target, got)
		}
		if a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("Content-Security-Policy") != "" {
			t.Errorf("%s: %v", target, a.Header)
		}
		if a.Header.Get("X-Host") != strings.TrimPrefix(vite.URL, "http://") {
			t.Errorf("%s: Host %s", target, a.Header.Get("X-Host"))
		}
	}
	if a := w.Send(t, "GET", "/auth/session", ""); a.Status != 200 || strings.HasPrefix(string(a.Body), "dev") {
		t.Errorf("the API: %d %s", a.Status, a.Body)
	}
}

func TestOtherPagesDoNotReachADevelopmentServer(t *testing.T) {
	seen := make(chan http.Header, 100)
	w := st.Start(t, st.Setup{Config: func(c *config.Config) {
		c.SPA.DevServer = upgrader(t, seen).URL
		c.CSRF.TrustedOrigins = []string{"http://localhost:3999"} // of the API; what builds pages trusts nobody
	}})
	site := func(site, mode, dest string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("Sec-Fetch-Mode", mode)
			r.Header.Set("Sec-Fetch-Dest", dest)
		}
	}
	for _, c := range []struct {
		method string
		change func(*http.Request)
		status int
	}{
		{"GET", site("same-origin", "cors", "script"), 200}, {"GET", site("none", "navigate", "document"), 200}, {"GET", site("cross-site", "navigate", "document"), 200},
		{"GET", st.NoSignal, 200}, {"POST", site("same-origin", "cors", "empty"), 200},
		{"GET", site("cross-site", "no-cors", "script"), 403}, {"GET", site("same-site", "cors", "empty"), 403}, {"GET", site("cross-site", "navigate", "iframe"), 403},
		{"GET", site("odd", "cors", "script"), 403}, {"GET", st.AddHeader("Sec-Fetch-Site", "cross-site"), 403}, {"POST", st.CrossSite, 403},
		{"POST", func(r *http.Request) {
			r.Header.Set("Origin", "http://localhost:3999")
			r.Header.Set("Sec-Fetch-Site", "same-site")
		}, 403},
		{"OPTIONS", site("cross-site", "cors", "empty"), 403},
	} {
		if a := w.Send(t, c.method, "/src/main.ts", "", c.change); a.Status != c.status {
			r := w.Request(t, c.method, "/", "", c.change)
			t.Errorf("%s with %v: %d, want %d", c.method, r.Header, a.Status, c.status)
		}
	}
}

func TestHotReloadPassesForOurOwnPagesAlone(t *testing.T) {
	seen := make(chan http.Header, 10)
	w := st.Start(t, st.Setup{Config: func(c *config.Config) { c.SPA.DevServer = upgrader(t, seen).URL }})
	handshake := func(target, origin, protocol, more string) (*http.Response, net.Conn, *bufio.Reader) {
		t.Helper()
		conn, err := net.Dial("tcp", w.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		head := "GET " + target + " HTTP/1.1\r\nHost: " + strings.TrimPrefix(w.URL, "http://") + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + protocol + "\r\n" + more
		if origin != "" {
			head += "Origin: " + origin + "\r\n"
		}
		if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
			t.Fatal(err)
		}
		buf := bufio.NewReader(conn)
		res, err := http.ReadResponse(buf, nil)
		if err != nil {
			t.Fatal(err)
		}
		return res, conn, buf
	}
	for _, c := range []struct{ target, protocol string }{{"/", "vite-hmr"}, {"/?token=a_B-3", "vite-hmr"}, {"/deep/er", "vite-ping"}} {
		res, conn, buf := handshake(c.target, w.Origin, c.protocol, "Sec-Fetch-Site: same-origin\r\nCookie: access_token=canary; theme=dark\r\n")
		if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Protocol") != c.protocol {
			t.Errorf("%s: %d %v", c.target, res.StatusCode, res.Header)
			continue
		}
		if got := <-seen; got.Get("Cookie") != "theme=dark" || got.Get("Sec-Websocket-Protocol") != c.protocol {
			t.Errorf("%s: the development server got %v", c.target, got)
		}
		frame := "\x81\x85\x00\x00\x00\x00hello"
		if _, err := io.WriteString(conn, frame); err != nil {
			t.Fatal(err)
		}
		back := make([]byte, len(frame))
		if _, err := io.ReadFull(buf, back); err != nil || string(back) != frame {
			t.Errorf("%s: got %q and %v", c.target, back, err)
		}
		conn.Close()
	}
	for _, c := range []struct{ origin, more string }{
		{"https://evil.example", ""}, {"", ""}, {"null", ""}, {w.Origin, "Sec-Fetch-Site: cross-site\r\n"}, {"http://localhost:1", "Sec-Fetch-Site: same-site\r\n"},
		{strings.Replace(w.Origin, "http", "https", 1), ""}, {w.Origin + ".evil.example", ""},
	} {
		if res, _, _ := handshake("/", c.origin, "vite-hmr", c.more); res.StatusCode != 403 {
			t.Errorf("from %q with %q: %d", c.origin, c.more, res.StatusCode)
		}
	}
	if n := len(seen); n != 0 {
		t.Errorf("the development server got %d handshakes of other pages", n)
	}
}
