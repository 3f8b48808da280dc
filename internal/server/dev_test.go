package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
	st "github.com/tokenjar/tokenjar/internal/servertest"
)

// source matches the paths at which the development server of these tests has a source.
var source = regexp.MustCompile(`^/(@|src/|node_modules/)`)

// upgrader is a service that answers handshakes with the subprotocol that was asked for, and sends back what it gets.
func upgrader(t *testing.T, seen chan<- http.Header) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			seen <- r.Header.Clone()
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("X-Content-Type-Options", "nosniff") // for the tests' own rules
			w.Header().Set("X-Host", r.Host)
			w.Header().Set("ETag", `"dev"`)
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if source.MatchString(r.URL.Path) || r.URL.RawQuery == "raw" {
				w.Header().Set("Content-Type", "text/javascript")
			}
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
		if a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("Content-Security-Policy") != "" ||
			a.Header.Get("Cross-Origin-Resource-Policy") != "same-origin" || a.Header.Get("X-Frame-Options") != "SAMEORIGIN" {
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
	from := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			st.NoSignal(r)
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Add(pairs[i], pairs[i+1])
			}
		}
	}
	fetch := func(site, mode, dest string, more ...string) func(*http.Request) {
		return from(append([]string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", mode, "Sec-Fetch-Dest", dest}, more...)...)
	}
	const page, script = "/orders/42", "/src/main.ts"
	typed := fetch("none", "navigate", "document")
	old := "text/html,application/xhtml+xml,*/*;q=0.8" // what a browser accepts that opens a page
	for _, c := range []struct {
		name   string
		method string
		target string
		change func(*http.Request)
		pass   bool
	}{
		{"a page of ours loads a script", "GET", script, fetch("same-origin", "cors", "script"), true},
		{"a page of ours loads a tool", "GET", "/@vite/client", fetch("same-origin", "no-cors", "script"), true},
		{"a page of ours says its origin as well", "GET", script, fetch("same-origin", "cors", "empty", "Origin", w.Origin), true},
		{"a page of ours posts", "POST", "/__open-in-editor", fetch("same-origin", "cors", "empty", "Origin", w.Origin), true},
		{"a page of ours opens a source", "GET", script, fetch("same-origin", "navigate", "document"), true},
		{"a page of ours in a browser without Sec-Fetch-Site", "GET", script, from("Referer", w.Origin+"/orders/42"), true},
		{"a page of ours opens a source there", "GET", script, from("Accept", old, "Referer", w.Origin+"/"), true},
		{"a person opens the application", "GET", "/", typed, true},
		{"a person opens a page", "GET", page, typed, true},
		{"a person opens a page with dots", "GET", "/users/ada.lovelace", typed, true},
		{"a person opens a page that was opened before", "GET", page, fetch("none", "navigate", "document", "If-None-Match", `"dev"`), true},
		{"a person opens a page in an old browser", "GET", page, from("Accept", old), true},
		{"curl", "GET", script, from("Accept", "*/*"), true},
		{"curl posts", "POST", "/hook", from("Accept", "*/*"), true},
		{"a program without any header", "GET", "/@vite/client", from(), true},

		{"a person opens a source", "GET", script, typed, false},
		{"a person opens a source that looks like a page", "GET", "/src/App", typed, false},
		{"a person opens a page's source", "GET", page + "?raw", typed, false},
		{"a person opens a source that is in his cache", "GET", script, fetch("none", "navigate", "document", "If-None-Match", `"dev"`), false},
		{"a person opens a source in an old browser", "GET", script, from("Accept", old), false},
		{"a person opens a tool", "GET", "/@vite/client", typed, false},
		{"a person opens a file of the disk", "GET", "/@fs/etc/index.html", typed, false},
		{"a person opens a file of the disk, escaped", "GET", "/%40fs/etc/index.html", typed, false},
		{"a person opens a file of the disk, behind an escaped slash", "GET", "/x%2F@fs/index.html", typed, false},
		{"a person opens a file of the disk, in capitals", "GET", "/@FS/etc/index.html", typed, false},
		{"a link in a message starts a program", "GET", "/__open-in-editor?file=a", typed, false},
		{"that in an old browser", "GET", "/__open-in-editor?file=a", from("Accept", old), false},
		{"a form is sent to a tool from an old browser", "POST", "/__open-in-editor", from("Accept", old), false},
		{"a tool below a base", "GET", "/app/node_modules/.vite/deps/vue.js", typed, false},
		{"what no person does: a script", "GET", page, fetch("none", "no-cors", "script"), false},
		{"what no person does: a post", "POST", page, typed, false},
		{"what no person does: an origin", "GET", page, fetch("none", "navigate", "document", "Origin", w.Origin), false},

		{"another site's script element", "GET", script, fetch("cross-site", "no-cors", "script"), false},
		{"another site's image", "GET", "/logo.svg", fetch("cross-site", "no-cors", "image"), false},
		{"another site's fetch without CORS", "GET", page, fetch("cross-site", "no-cors", "empty"), false},
		{"another site's fetch", "GET", script, fetch("cross-site", "cors", "empty", "Origin", "https://evil.example"), false},
		{"another port's fetch", "GET", script, fetch("same-site", "cors", "empty", "Origin", "http://localhost:3000"), false},
		{"another site's link to a source", "GET", script, fetch("cross-site", "navigate", "document"), false},
		{"another site's link to a tool", "GET", "/@fs/etc/passwd", fetch("cross-site", "navigate", "document"), false},
		{"another site's link to a page", "GET", page, fetch("cross-site", "navigate", "document"), true},
		{"a sibling site's link to a page", "GET", page, fetch("same-site", "navigate", "document"), true},
		{"another port's link", "GET", page, fetch("same-site", "navigate", "document"), true},
		{"another site's frame", "GET", page, fetch("cross-site", "navigate", "iframe"), false},
		{"another site's object", "GET", page, fetch("cross-site", "navigate", "object"), false},
		{"another site's form", "POST", page, fetch("cross-site", "navigate", "document", "Origin", "null"), false},
		{"another site's preflight", "OPTIONS", script, fetch("cross-site", "cors", "empty", "Origin", "https://evil.example"), false},
		{"an origin that the API trusts", "POST", page, fetch("same-site", "cors", "empty", "Origin", "http://localhost:3999"), false},
		{"that reads", "GET", script, fetch("same-site", "cors", "empty", "Origin", "http://localhost:3999"), false},
		{"a word nobody knows", "GET", script, fetch("odd", "cors", "script"), false},
		{"two words", "GET", script, from("Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"), false},
		{"a contradiction", "GET", script, fetch("same-origin", "cors", "empty", "Origin", "https://evil.example"), false},
		{"two origins", "GET", script, from("Origin", w.Origin, "Origin", "https://evil.example"), false},
		{"another origin in an old browser", "GET", script, from("Origin", "https://evil.example"), false},
		{"that asks for the head", "HEAD", script, from("Origin", "https://evil.example"), false},
		{"that asks for the methods", "OPTIONS", script, from("Origin", "https://evil.example"), false},
		{"a sandboxed frame in an old browser", "GET", script, from("Origin", "null"), false},
		{"the same host by another scheme", "GET", script, from("Origin", strings.Replace(w.Origin, "http:", "https:", 1)), false},
		{"another site's script element in an old browser", "GET", script, from("Referer", "https://evil.example/"), false},
		{"another port's", "GET", script, from("Referer", "http://localhost:1/"), false},
		{"another site's that resembles ours", "GET", script, from("Referer", w.Origin+".evil.example/"), false},
		{"another site's that names us as its user", "GET", script, from("Referer", w.Origin+"@evil.example/"), false},
		{"another site's link in an old browser", "GET", page, from("Accept", old, "Referer", "https://evil.example/"), false},
		{"a Referer that is none", "GET", script, from("Referer", "::"), false},
		{"two Referers", "GET", script, from("Referer", w.Origin+"/", "Referer", "https://evil.example/"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := w.Send(t, c.method, c.target, "", c.change)
			got := string(a.Body)
			switch {
			case c.pass && (a.Status != 200 || got != "dev "+c.target):
				t.Errorf("%d %q, want what the development server says", a.Status, got)
			case !c.pass && (a.Status != 403 || c.method != "HEAD" && a.Code() != "origin_not_allowed" || strings.Contains(got, "dev /") || a.Header.Get("ETag") != ""):
				t.Errorf("%d %v %q, want a refusal and nothing else", a.Status, a.Header, got)
			}
		})
	}
}

func TestANameThatLeadsHereIsNoWayToADevelopmentServer(t *testing.T) {
	seen := make(chan http.Header, 10)
	w := st.Start(t, st.Setup{Config: func(c *config.Config) { c.SPA.DevServer = upgrader(t, seen).URL }})
	port := w.Origin[strings.LastIndexByte(w.Origin, ':'):]
	for _, host := range []string{"evil.example" + port, "127.0.0.1.nip.io" + port, "127.0.0.1" + port, "localhost.evil.example" + port, "localhost.", "localhost"} {
		// To the browser the page is one of this very origin.
		a := w.Send(t, "GET", "/src/main.ts", "", func(r *http.Request) { r.Host = host }, st.Header("Referer", "http://"+host+"/"))
		if a.Status != 421 {
			t.Errorf("%s: %d", host, a.Status)
		}
	}
	if len(seen) != 0 {
		t.Errorf("the development server got %d requests", len(seen))
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
