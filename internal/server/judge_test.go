package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// target sends one request with a raw request line and Host field; the connection is closed after it.
func target(t *testing.T, w *servertest.World, method, target, host string, fields ...string) servertest.RawAnswer {
	t.Helper()
	text := method + " " + target + " HTTP/1.1\r\n"
	if host != "" {
		text += "Host: " + host + "\r\n"
	}
	for _, f := range fields {
		text += f + "\r\n"
	}
	answers := w.Answers(t, text+"Connection: close\r\n\r\n", method)
	if len(answers) != 1 {
		t.Fatalf("%s %s: %d answers", method, target, len(answers))
	}
	a := answers[0]
	if a.Field("Location") != "" || a.Status/100 == 3 {
		t.Errorf("OR-10: %s %s: redirected to %q", method, target, a.Field("Location"))
	}
	return a
}

func TestPathsOverHTTP(t *testing.T) {
	w := servertest.Start(t, servertest.Setup{Demo: true})
	ada := w.SignIn(t, servertest.Ada)
	auth := "Authorization: Bearer " + ada.Access
	before := w.Digest(t)
	for path, want := range map[string]int{
		// Refused, never redirected and never repaired.
		"/api/%2e%2e/auth/user": 400, "/api/%2E%2e/auth/user": 400, "/api/.%2e/auth/user": 400, "/api/./hello": 400, "/api/hello/%2e": 400,
		"/api/..%2fauth/user": 400, "/api/%2f..%2fauth/user": 400, "/api%2fhello": 400, "/api/..%5cauth": 400, `/api/..\auth`: 400, `/auth\user`: 400,
		"/api/..;/auth/user": 400, "/api/.;/hello": 400, "/api;x=1/hello": 400, "/auth;x/user": 400, "/api/hello;x": 400, "/api/hello;x=/../..": 400,
		"/api/../auth/user": 400, "//auth/user": 400, "//api//hello": 400, "/./api/hello": 400, "/auth//user": 400, "/auth/user//": 400,
		"/auth/user#/public": 400, "/api/hello#x": 400, "/auth/user%00": 400, "/auth/user%0a": 400, "/auth/us\xffer": 400, "/auth/caf\xc3\xa9": 400,
		"/auth/%ff": 400, "/auth/%c0%ae%c0%ae/user": 400, "/auth/%zz": 400, "/auth/%": 400, "/AUTH/user": 400, "/Auth/user": 400, "/API/hello": 400,
		"/api/HELLO": 400, "/HealthZ": 400, "/.WELL-KNOWN/jwks.json": 400, "/aUtH;x/user": 400, "/healthz;x": 400,
		strings.Repeat("/", 3000): 400, "/auth/%u002e": 400,
		// Passed on in one form, or not there.
		"/auth/user": 200, "/auth/user/": 200, "/%61uth/%75ser": 200, "/auth/us%65r": 200, "/api/hello": 200, "/api/%68ello": 200,
		"/api/hello/": 404, "/auth/user;x": 404, "/auth/USER": 404, "/auth/user%20": 404, "/auth/user%23": 404, "/auth/user%3f": 404, "/auth/%252e%252e/user": 404,
		"/auth": 404, "/auth/": 404, "/authx": 404, "/nothing": 404, "/auth/user?x=/public": 200, "/auth/user?a=/../b": 200, "/auth/user?#": 200, "/?": 200,
		"/auth/user/%e2%80%ae": 404, "/auth/...": 404, "/metrics": 404, "/debug/pprof/": 404, "/forward-auth": 404, "/.git/config": 404, "/auth/sessions/{id}": 405,
	} {
		t.Run("P-13..P-21, M-4, M-5, M-8: "+path, func(t *testing.T) {
			a := target(t, w, "GET", path, w.Host(), auth)
			if a.Status != want {
				t.Errorf("got %d %s, want %d", a.Status, a.Body, want)
			}
			// net/http refuses a few itself, before a handler runs.
			if want == 400 && a.Field("X-Tokenjar-Problem") != "bad_path" && a.Field("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("got %s", a.Head)
			}
			for _, method := range []string{"POST", "DELETE"} { // never carried elsewhere
				if b := target(t, w, method, path, w.Host(), "Content-Length: 0"); b.Status == 200 || b.Status/100 == 3 || b.Status/100 == 5 {
					if !(method == "POST" && strings.HasPrefix(path, "/api") && b.Status == 401) {
						t.Errorf("%s: got %d", method, b.Status)
					}
				}
			}
		})
	}
	if w.Digest(t) != before {
		t.Error("something changed")
	}
}

func TestHosts(t *testing.T) {
	for name, setup := range map[string]servertest.Setup{
		"https": servertest.HTTPS, "loopback": {},
		"port": {Config: func(c *config.Config) { c.PublicURL = "https://app.example.com:8443" }},
	} {
		w := servertest.Start(t, setup)
		own := w.Host()
		bare, _, _ := strings.Cut(own, ":")
		rows := map[string]int{
			own: 200, "evil.example": 421, bare + ".": 421, "x." + own: 421, own + ".evil.example": 421, "a@" + own: 400, strings.ToUpper(own): 421,
			bare + ":1": 421, "127.0.0.1": 421, "[::1]": 421, "0": 421, bare + ":0443": 421, "xn--pp-kia.example.com": 421,
		}
		if name == "https" {
			rows[own+":443"], rows[own+":80"] = 200, 421
		} else {
			rows[bare] = 421 // the port is part of the origin
		}
		for host, want := range rows {
			t.Run("P-22: "+name+": "+host, func(t *testing.T) {
				a := target(t, w, "GET", "/auth/session", host)
				if a.Status != want {
					t.Errorf("got %d %s, want %d", a.Status, a.Body, want)
				}
				if want == 421 && a.Field("X-Tokenjar-Problem") != "misdirected_host" {
					t.Errorf("got %s", a.Head)
				}
				if strings.Contains(a.Head+a.Body, "evil.example") {
					t.Errorf("OR-05: the host is reflected: %s%s", a.Head, a.Body)
				}
				// A load balancer asks by address; nothing there changes anything.
				if health := target(t, w, "GET", "/healthz", host); want != 400 && health.Status != 200 {
					t.Errorf("healthz: %d", health.Status)
				}
				if health := target(t, w, "POST", "/readyz", host, "Content-Length: 0"); want != 400 && health.Status != 405 {
					t.Errorf("X-13: POST readyz: %d", health.Status)
				}
				if docs := target(t, w, "GET", "/openapi.json", host); want == 421 && docs.Status != 421 {
					t.Errorf("openapi: %d", docs.Status)
				}
			})
		}
		t.Run("M-7: "+name+": the absolute form decides", func(t *testing.T) {
			if a := target(t, w, "GET", "http://evil.example/auth/session", own); a.Status != 421 {
				t.Errorf("foreign target: %d", a.Status)
			}
			if a := target(t, w, "GET", "http://"+own+"/auth/session", "evil.example"); a.Status != 200 {
				t.Errorf("own target: %d", a.Status)
			}
			if a := target(t, w, "GET", "http://"+own, own); a.Status != 200 {
				t.Errorf("own target without path: %d", a.Status)
			}
			if a := target(t, w, "GET", "http://"+own+"/auth/../x", own); a.Status != 400 {
				t.Errorf("own target with dots: %d", a.Status)
			}
			if a := target(t, w, "GET", "/auth/session", own, "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"); a.Status != 200 || strings.Contains(a.Head+a.Body, "evil") {
				t.Errorf("OR-05: forwarded host: %d", a.Status)
			}
		})
		t.Run("P-22: "+name+": two Host fields", func(t *testing.T) {
			if a := target(t, w, "GET", "/auth/session", own, "Host: evil.example"); a.Status != 400 {
				t.Errorf("got %d", a.Status)
			}
		})
		t.Run("M-27: "+name+": HTTP/1.0 without Host", func(t *testing.T) {
			answers := w.Answers(t, "GET /auth/session HTTP/1.0\r\n\r\n")
			if len(answers) != 1 || answers[0].Status != 400 {
				t.Errorf("got %v", answers)
			}
			if answers := w.Answers(t, "GET /healthz HTTP/1.0\r\n\r\n"); len(answers) != 1 || answers[0].Status != 200 {
				t.Errorf("healthz: %v", answers)
			}
		})
		t.Run("P-22: "+name+": HTTP/1.1 without Host", func(t *testing.T) {
			if a := target(t, w, "GET", "/auth/session", ""); a.Status != 400 {
				t.Errorf("got %d", a.Status)
			}
		})
	}
}

func TestMethods(t *testing.T) {
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	before := w.Digest(t)
	cookie := "Cookie: access_token=" + ada.Access + "; refresh_token=" + ada.Refresh
	for _, method := range []string{"TRACE", "TRACK", "get", "Get", "post", "delete", "PROPFIND", "BREW", "GETX", "G"} {
		t.Run("M-6, P-24: "+method, func(t *testing.T) {
			for _, path := range []string{"/auth/user", "/auth/logout", "/", "/healthz", "/.well-known/jwks.json", "/nothing"} {
				a := target(t, w, method, path, w.Host(), cookie)
				if a.Status != 405 || a.Field("Allow") != "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT" {
					t.Errorf("%s: got %d, Allow %q", path, a.Status, a.Field("Allow"))
				}
				if strings.Contains(a.Head+a.Body, ada.Access) {
					t.Errorf("%s: the request is reflected", path)
				}
			}
		})
	}
	t.Run("M-6: CONNECT", func(t *testing.T) {
		if a := target(t, w, "CONNECT", w.Host(), w.Host(), cookie); a.Status != 405 {
			t.Errorf("own host: %d", a.Status)
		}
		if a := target(t, w, "CONNECT", "/auth/../x", w.Host(), cookie); a.Status != 405 {
			t.Errorf("path: %d", a.Status)
		}
		if a := target(t, w, "CONNECT", "evil.example:443", "evil.example:443", cookie); a.Status != 421 {
			t.Errorf("other host: %d", a.Status)
		}
	})
	t.Run("OPTIONS *", func(t *testing.T) {
		if a := target(t, w, "OPTIONS", "*", w.Host()); a.Status != 400 {
			t.Errorf("got %d", a.Status)
		}
	})
	t.Run("the page takes GET and HEAD", func(t *testing.T) {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			if a := target(t, w, method, "/", w.Host(), "Content-Length: 0"); a.Status != 405 || a.Field("Allow") != "GET, HEAD" {
				t.Errorf("%s: %d %q", method, a.Status, a.Field("Allow"))
			}
		}
	})
	if w.Digest(t) != before {
		t.Error("something changed")
	}
}

func TestSmuggling(t *testing.T) {
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	before := w.Digest(t)
	host := "Host: " + w.Host() + "\r\n"
	second := "GET /auth/nothing-smuggled HTTP/1.1\r\n" + host + "\r\n"
	for name, fields := range map[string]string{
		"CL before TE": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "TE before CL": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		"TE alone": "Transfer-Encoding: chunked\r\n",
	} {
		for _, path := range []string{"/auth/logout", "/auth/login", "/auth/token/refresh", "/auth/user", "/nothing", "/healthz"} {
			t.Run("P-25, M-9: "+name+": "+path, func(t *testing.T) {
				answers := w.Answers(t, "POST "+path+" HTTP/1.1\r\n"+host+fields+"\r\n0\r\n\r\n"+second, "POST")
				if len(answers) != 1 || answers[0].Field("Connection") != "close" {
					t.Errorf("%d answers: %v", len(answers), answers)
				}
			})
		}
	}
	for name, fields := range map[string]string{
		"two lengths": "Content-Length: 0\r\nContent-Length: 5\r\n", "+5": "Content-Length: +5\r\n", "5, 5": "Content-Length: 5, 5\r\n", "5, 6": "Content-Length: 5, 6\r\n", "-1": "Content-Length: -1\r\n",
		"0x5": "Content-Length: 0x5\r\n", "2^64": "Content-Length: 18446744073709551616\r\n", "identity behind": "Transfer-Encoding: chunked, identity\r\n",
		"xchunked": "Transfer-Encoding: xchunked\r\n", "chunked twice": "Transfer-Encoding: chunked, chunked\r\n", "in two lines": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"blank before the colon": "Content-Length : 5\r\n", "TE with blank before the colon": "Transfer-Encoding : chunked\r\n", "vertical tab": "Transfer-Encoding: \vchunked\r\n",
		"a name with a control character": "X\x01: y\r\n", "a value with NUL": "X: a\x00b\r\n", "a name of nothing": ": x\r\n", "no colon": "X\r\n",
	} {
		t.Run("P-26: "+name, func(t *testing.T) {
			answers := w.Answers(t, "POST /auth/logout HTTP/1.1\r\n"+host+fields+"\r\nhello"+second, "POST")
			if len(answers) != 1 || answers[0].Status != 400 && answers[0].Status != 501 || answers[0].Field("Connection") != "close" {
				t.Errorf("%d answers: %v", len(answers), answers)
			}
		})
	}
	t.Run("P-26: TE on HTTP/1.0", func(t *testing.T) {
		answers := w.Answers(t, "POST /auth/logout HTTP/1.0\r\n"+host+"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+second, "POST")
		if len(answers) != 1 {
			t.Errorf("%d answers: %v", len(answers), answers)
		}
	})
	for name, body := range map[string]string{
		"a size with a plus": "+5\r\nhello\r\n0\r\n\r\n", "17 digits": "00000000000000005\r\nhello\r\n0\r\n\r\n", "a negative size": "-1\r\n\r\n", "letters": "xyz\r\nhello\r\n0\r\n\r\n",
		"bare line feed": "5\nhello\n0\n\n", "data too long": "1\r\nhello\r\n0\r\n\r\n", "an extension of 64 kB": "5;" + strings.Repeat("x", 64<<10) + "\r\nhello\r\n0\r\n\r\n",
	} {
		t.Run("P-27: "+name, func(t *testing.T) {
			text := "POST /auth/login HTTP/1.1\r\n" + host + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + body + second
			answers := w.Answers(t, text, "POST")
			if len(answers) > 1 || len(answers) == 1 && answers[0].Status/100 != 4 {
				t.Errorf("%d answers: %v", len(answers), answers)
			}
		})
	}
	t.Run("two requests in one write get two answers, each its own", func(t *testing.T) {
		one := "GET /auth/user HTTP/1.1\r\n" + host + "Authorization: Bearer " + ada.Access + "\r\n\r\n"
		two := "GET /auth/user HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n"
		answers := w.Answers(t, one+two)
		if len(answers) != 2 || answers[0].Status != 200 || answers[1].Status != 401 {
			t.Errorf("got %v", answers)
		}
	})
	t.Run("a body that is not read is not taken for a request", func(t *testing.T) {
		inner := "GET /auth/smuggled HTTP/1.1\r\n" + host + "\r\n"
		for _, path := range []string{"/auth/user", "/auth/sessions", "/nothing", "/auth/login", "/"} {
			text := fmt.Sprintf("DELETE %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", path, host, len(inner), inner)
			answers := w.Answers(t, text+"GET /healthz HTTP/1.1\r\n"+host+"Connection: close\r\n\r\n", "DELETE", "GET")
			if len(answers) != 2 || answers[1].Status != 200 {
				t.Errorf("%s: %v", path, answers)
			}
		}
	})
	for name, want := range map[string]int{"M-10: bare line feeds": 200, "M-10: a folded field": 200} {
		t.Run(name, func(t *testing.T) {
			text := "GET /healthz HTTP/1.1\r\n" + host + "X: a\r\n b\r\nConnection: close\r\n\r\n"
			if strings.Contains(name, "bare") {
				text = strings.ReplaceAll("GET /healthz HTTP/1.1\r\n"+host+"Connection: close\r\n\r\n", "\r\n", "\n")
			}
			if answers := w.Answers(t, text); len(answers) != 1 || answers[0].Status != want {
				t.Errorf("got %v", answers)
			}
		})
	}
	t.Run("P-35: other protocols are not switched to", func(t *testing.T) {
		for _, fields := range []string{"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n", "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"} {
			answers := w.Answers(t, "GET /auth/session HTTP/1.1\r\n"+host+fields+"\r\n")
			if len(answers) != 1 || answers[0].Status != 200 {
				t.Errorf("got %v", answers)
			}
		}
		c := w.Raw(t)
		c.Write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		if a, err := c.Read("GET"); err == nil && a.Status/100 == 2 {
			t.Errorf("got %v", a)
		}
	})
	if w.Digest(t) != before {
		t.Error("something changed")
	}
}
