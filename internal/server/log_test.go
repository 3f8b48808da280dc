package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/servertest"
)

// lines returns the log's records since a mark, each parsed; a line that is no record fails the test.
func lines(t *testing.T, w *servertest.World, since int) []map[string]any {
	t.Helper()
	var list []map[string]any
	for line := range strings.Lines(w.Log.String()[since:]) {
		var rec map[string]any
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Errorf("LG-05: no record: %q", line)
		}
		for _, r := range line[:len(line)-1] {
			if r < ' ' || r == 0x7f {
				t.Errorf("LG-05: a control character in %q", line)
			}
		}
		list = append(list, rec)
	}
	return list
}

func TestOneLinePerRequest(t *testing.T) {
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	for _, row := range []struct {
		method, path string
		status       float64
		problem      string
	}{
		{"GET", "/auth/user", 200, ""}, {"GET", "/auth/user?token=canary-in-the-query", 200, ""}, {"GET", "/nothing", 404, "not_found"}, {"HEAD", "/auth/session", 200, ""},
		{"PATCH", "/auth/sessions/x", 415, "unsupported_media_type"}, {"BREW", "/", 405, "method_not_allowed"}, {"GET", "/", 200, ""}, {"OPTIONS", "/auth/user", 204, ""},
	} {
		since := len(w.Log.String())
		body := ""
		if row.status == 415 {
			body = "x"
		}
		a := w.Send(t, row.method, row.path, body, ada.As, func(r *http.Request) {
			if body != "" {
				r.Header.Set("Content-Type", "text/plain")
			}
		})
		var found []map[string]any
		for _, rec := range waitForRequests(t, w, since, 1) {
			if rec["msg"] == "request" {
				found = append(found, rec)
			}
		}
		path, _, _ := strings.Cut(row.path, "?")
		if len(found) != 1 || found[0]["status"] != row.status || found[0]["method"] != row.method || found[0]["path"] != path || found[0]["problem"] != row.problem || found[0]["request_id"] != a.Header.Get("X-Request-Id") {
			t.Errorf("%s %s: %v", row.method, row.path, found)
		}
	}
	if strings.Contains(w.Log.String(), "canary-in-the-query") {
		t.Error("the query is logged")
	}
}

// waitForRequests returns the records since a mark once there are n requests among them: a request's line is written
// after its answer.
func waitForRequests(t *testing.T, w *servertest.World, since, n int) []map[string]any {
	t.Helper()
	for {
		if strings.Count(w.Log.String()[since:], `"msg":"request"`) >= n {
			return lines(t, w, since)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestLogInjection(t *testing.T) {
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	host := "Host: " + w.Host() + "\r\n"
	forged := `{"msg":"forged"}`
	evil := []string{"\x1b[31mred", "a\tb", "\xff\xfe", "%0a" + forged, "\u202e", "\u2028" + forged, `"` + forged, "${jndi:ldap://x}", "%s%n{{7*7}}", strings.Repeat("A", 20<<10)}
	for _, text := range evil {
		t.Run(fmt.Sprintf("LG-05, LG-06: %.20q", text), func(t *testing.T) {
			for name, request := range map[string]string{
				"user agent": "GET /auth/session HTTP/1.1\r\n" + host + "User-Agent: " + text + "\r\nConnection: close\r\n\r\n",
				"path":       "GET /" + text + " HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n",
				"query":      "GET /auth/session?" + text + " HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n",
				"method":     "X" + strings.ReplaceAll(text, "\t", "") + " / HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n",
				"host":       "GET / HTTP/1.1\r\nHost: " + text + "\r\nConnection: close\r\n\r\n",
				"field name": "GET / HTTP/1.1\r\n" + host + "X" + text + ": x\r\nConnection: close\r\n\r\n",
				"kid":        "GET /auth/user HTTP/1.1\r\n" + host + "Cookie: access_token=" + text + "\r\nConnection: close\r\n\r\n",
				"rotation by that agent": "POST /auth/token/refresh HTTP/1.1\r\n" + host + "User-Agent: " + text + "\r\nX-CSRFToken: " + ada.CSRF +
					"\r\nCookie: refresh_token=" + ada.Refresh + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			} {
				answers := w.Answers(t, request)
				if len(answers) != 1 || answers[0].Status/100 == 5 {
					t.Errorf("%s: %v", name, answers)
				}
			}
		})
	}
	for _, rec := range lines(t, w, 0) {
		if rec["msg"] == "forged" || rec["level"] == nil {
			t.Errorf("LG-05: a forged line: %v", rec)
		}
		for key, v := range rec {
			if s, ok := v.(string); ok && len(s) > 1024 {
				t.Errorf("LG-05: %s holds %d bytes", key, len(s))
			}
		}
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	w := servertest.Start(t)
	w.Canary("canary-wrong-password", "canary-in-a-body-member", "canary-bearer-of-nobody")
	b := w.Browser(t)
	b.Login(t, servertest.Ada)
	b.Do(t, "GET", "/auth/user", "")
	b.Do(t, "POST", "/auth/token/refresh", "")
	b.Do(t, "POST", "/auth/login", `{"username":"ada","password":"canary-wrong-password"}`)
	b.Do(t, "POST", "/auth/login", `{"username":"canary-in-a-body-member","password":`)
	b.Do(t, "PATCH", "/auth/user", `{"canary-in-a-body-member":"canary-in-a-body-member"}`)
	b.Do(t, "GET", "/auth/user", "", servertest.RawCookie("access_token=canary-bearer-of-nobody"))
	w.Send(t, "GET", "/auth/user", "", servertest.Bearer("canary-bearer-of-nobody"))
	w.Store.SetDown(true)
	b.Do(t, "POST", "/auth/token/refresh", "")
	b.Do(t, "POST", "/auth/login", `{"username":"ada","password":"canary-wrong-password"}`)
	b.Do(t, "POST", "/auth/logout", "")
	w.Store.SetDown(false)
	eve := w.SignIn(t, servertest.Eve)
	tokens := w.Send(t, "POST", "/auth/token/refresh", fmt.Sprintf(`{"refresh":%q}`, eve.Refresh)).JSON(t)
	w.Canary(tokens["access"].(string), tokens["refresh"].(string))
	b.Do(t, "POST", "/auth/logout?all=true", "")
	// LG-01: the world searches its log, at debug level, when the test ends.
}

func TestPanicInAHandler(t *testing.T) {
	w := servertest.Start(t)
	w.MayPanic = true
	ada := w.SignIn(t, servertest.Ada)
	w.Store.SetPanic(true)
	since := len(w.Log.String())
	a := w.Send(t, "GET", "/auth/user", "", ada.As)
	id := a.Header.Get("X-Request-Id")
	if a.Status != 500 || a.Code() != "internal_error" || a.JSON(t)["request_id"] != id || id == "" || len(a.Cookies()) != 0 {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
	for _, part := range []string{"injected", "goroutine", ".go:", "panic"} {
		if strings.Contains(string(a.Body)+fmt.Sprint(a.Header), part) {
			t.Errorf("the answer tells %q: %s", part, a.Body)
		}
	}
	found := map[string]int{}
	for _, rec := range waitForRequests(t, w, since, 1) {
		found[rec["msg"].(string)]++
		if rec["request_id"] != id {
			t.Errorf("a line about another request: %v", rec)
		}
	}
	if found["panic"] != 1 || found["request"] != 1 {
		t.Errorf("lines: %v", found)
	}
	w.Store.SetPanic(false)
	if a := w.Send(t, "GET", "/auth/user", "", ada.As); a.Status != 200 {
		t.Errorf("afterwards: %d %s", a.Status, a.Body)
	}
}

func TestNothingThatATerminalObeysReachesTheLog(t *testing.T) { // LG-05
	w := servertest.Start(t)
	for _, path := range []string{"/\u009b31mforged", "/%C2%9B31m", "/\u202eabc", "/a\u0085b"} {
		w.Answers(t, "GET "+path+" HTTP/1.1\r\nHost: "+w.Host()+"\r\nConnection: close\r\n\r\n", "GET")
	}
	for _, r := range w.Log.String() {
		if r > '~' && r != '·' && r != '…' {
			t.Fatalf("the log holds %U", r)
		}
	}
}
