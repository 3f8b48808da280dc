package server_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/server"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/token"
)

// operations returns every operation the server describes, so that one added later is tried as well.
func operations(t *testing.T, w *servertest.World) (list []struct{ method, path string }) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(w.Send(t, "GET", "/openapi.json", "").Body, &document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		for method := range methods {
			list = append(list, struct{ method, path string }{strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "canary-session-id")})
		}
	}
	if len(list) < 15 {
		t.Fatalf("only %d operations", len(list))
	}
	return list
}

// LG-01, LG-02, LG-03: every operation, with every kind of credential, in every kind of failure. When the test ends, the
// world searches its log, which is at debug level, for every password, token and canary.
func TestNoSecretReachesLogOrMetrics(t *testing.T) {
	w := servertest.Start(t, servertest.Setup{Demo: true}, withAdmin)
	w.MayPanic = true
	const typed = "canary-typed-password-in-the-wrong-field"
	canaries := []string{typed, "canary-password", "canary-new-password", "canary-header", "canary-cookie", "canary-query", "canary-member"}
	w.Canary(canaries...)

	good, other, over := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve), w.SignIn(t, servertest.Ada)
	expired := good
	expired.Access = w.SignAccess(t, good, token.Claims{"exp": w.Clock.Now().Add(-time.Minute).Unix(), "iat": w.Clock.Now().Add(-time.Hour).Unix(), "nbf": nil})
	forged := good
	forged.Access, forged.Refresh = good.Access[:len(good.Access)-8]+"AAAAAAAA", good.Refresh[:len(good.Refresh)-8]+"AAAAAAAA"
	w.Canary(expired.Access, forged.Access, forged.Refresh)
	w.Send(t, "POST", "/auth/logout", "", over.As)

	credentials := map[string]func(*http.Request){
		"nobody": func(*http.Request) {}, "good cookies": good.As, "of another user": other.As, "a session that is over": over.As,
		"expired": expired.As, "forged": forged.As, "good bearer": servertest.Bearer(good.Access), "bad bearer": servertest.Bearer("canary-header.x.y"),
		"refresh token as bearer": servertest.Bearer(good.Refresh), "basic": servertest.Header("Authorization", "Basic canary-header"),
		"bad cookie":     servertest.RawCookie("access_token=canary-cookie; refresh_token=canary-cookie; csrftoken=canary-cookie"),
		"bad CSRF token": func(r *http.Request) { good.As(r); r.Header.Set("X-CSRFToken", "canary-header") },
		"cross-site":     func(r *http.Request) { good.As(r); servertest.CrossSite(r) },
		"access token in the refresh cookie": func(r *http.Request) {
			servertest.RawCookie("refresh_token=" + good.Access + "; access_token=" + good.Refresh)(r)
		},
	}
	bodies := []string{
		"", `{`, `{"canary-member":"canary-member"}`, `{"refresh":"canary-member","token":"canary-member"}`,
		fmt.Sprintf(`{"refresh":%q}`, forged.Refresh), fmt.Sprintf(`{"token":%q}`, expired.Access), fmt.Sprintf(`{"token":%q}`, good.Access),
		`{"first_name":"canary-member"`, `{"name":"canary-member","name":"canary-member"}`,
		`{"old_password":"canary-password","new_password":"canary-new-password"}`,
	}
	sweep := func() {
		for _, op := range operations(t, w) {
			for _, as := range credentials {
				for i, body := range bodies {
					if (op.method == "GET" || op.method == "DELETE") && i > 0 {
						break
					}
					r := w.Request(t, op.method, op.path+"?canary-query=canary-query", body, as, servertest.Renewing)
					if i%2 == 1 {
						r.URL.RawQuery = ""
					}
					w.Do(t, http.DefaultClient, r)
				}
			}
		}
	}
	sweep()
	w.Store.SetDown(true)
	for _, path := range []string{"/auth/login", "/auth/logout", "/auth/token/refresh", "/auth/user"} {
		w.Send(t, "POST", path, `{"username":"`+typed+`","password":"canary-password"}`, good.As)
	}
	w.Store.SetDown(false)
	w.Store.SetPanic(true)
	w.Send(t, "GET", "/auth/user", "", other.As)
	w.Store.SetPanic(false)

	b := w.Browser(t)
	for _, body := range []string{
		`{"username":"` + typed + `","password":"x"}`, `{"email":"` + typed + `@example.com","password":"x"}`, `{"username":"ada","password":"canary-password"}`,
		`{"username":"disabled","password":"` + servertest.Password + `"}`, `{"username":["` + typed + `"],"password":"x"}`, `{"username":"` + typed + `"}`,
		`{"username":"` + typed + `","email":"` + typed + `","password":"canary-password"}`, `{"username":"` + strings.Repeat(typed, 100) + `","password":"x"}`,
	} {
		b.Do(t, "POST", "/auth/login", body)
	}
	b.Login(t, servertest.Ada)
	b.Do(t, "POST", "/auth/token/refresh", "")
	// Nobody puts a token into a path but by mistake.
	for _, secret := range []string{good.Access, good.Refresh} {
		w.Send(t, "GET", "/auth/sessions/"+secret, "")
		w.Send(t, "DELETE", "/auth/sessions/"+secret, "", good.As)
		w.Send(t, "GET", "/nothing/"+secret+"/x?token="+secret, "")
	}
	scraped := w.Server.Scrape()
	for _, secret := range append(canaries, servertest.Password, servertest.Secret, good.Access, good.Refresh, good.CSRF, b.Cookie("refresh_token"), "user-ada", good.SessionID) {
		if secret == "" || strings.Contains(scraped, secret) {
			t.Errorf("LG-01: the metrics hold %q", secret)
		}
	}
	for _, word := range []string{typed, "Basic ", "Bearer ", "Set-Cookie", "access_token=", "csrftoken=", "/eyJ"} {
		if strings.Contains(w.Log.String(), word) {
			t.Errorf("LG-02, LG-03: the log holds %q", word)
		}
	}
	for _, event := range []string{`"event":"login.failed"`, `"event":"login.succeeded"`, `"event":"session.revoked"`} {
		if !strings.Contains(w.Log.String(), event) {
			t.Errorf("LG-10: no %s", event)
		}
	}
}

func TestATokenInAURLIsNoCredential(t *testing.T) {
	w := servertest.Start(t, servertest.Setup{Demo: true})
	ada := w.SignIn(t, servertest.Ada)
	before := w.Digest(t)
	for _, name := range []string{"access_token", "token", "jwt", "refresh", "refresh_token", "authorization", "csrftoken", "X-CSRFToken"} {
		for _, secret := range []string{ada.Access, ada.Refresh, "Bearer%20" + ada.Access} {
			query := "?" + name + "=" + secret
			for _, path := range []string{"/auth/user", "/auth/sessions", "/api/hello"} {
				if a := w.Send(t, "GET", path+query, ""); a.Status != 401 || a.Header.Get("Location") != "" {
					t.Errorf("LG-07: %s?%s: %d %q", path, name, a.Status, a.Header.Get("Location"))
				}
			}
			if a := w.Send(t, "GET", "/auth/session"+query, ""); strings.Contains(string(a.Body), "true") {
				t.Errorf("LG-07: session?%s: %s", name, a.Body)
			}
			for _, path := range []string{"/auth/token/refresh", "/auth/token/verify", "/auth/logout"} {
				if a := w.Send(t, "POST", path+query, ""); a.Status == 200 {
					t.Errorf("LG-07: %s?%s: %d %s", path, name, a.Status, a.Body)
				}
			}
		}
	}
	if w.Digest(t) != before {
		t.Error("LG-07: a token in a URL changed something")
	}
}

func TestTheTextLogHasOneLineForEachRecordToo(t *testing.T) {
	var log servertest.Log
	w := servertest.Start(t, servertest.Setup{Options: func(o *server.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}})
	host := "Host: " + w.Host() + "\r\n"
	for _, text := range []string{"\x1b[31mred", "a\tb", "\xff\xfe", "\u202e", "\u2028time=x", `" level=ERROR msg=forged`, "${jndi:ldap://x}", "%s%n{{7*7}}", "x level=ERROR msg=forged"} {
		for _, request := range []string{
			"GET /auth/session HTTP/1.1\r\n" + host + "User-Agent: " + text + "\r\nConnection: close\r\n\r\n",
			"GET /" + strings.ReplaceAll(text, " ", "%20") + " HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n",
			"POST /auth/login HTTP/1.1\r\n" + host + "User-Agent: " + text + "\r\nContent-Type: application/json\r\nContent-Length: 31\r\nConnection: close\r\n\r\n" + `{"username":"x","password":"y"}`,
		} {
			w.Answers(t, request, "POST")
		}
	}
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "time=") || strings.Count(line, " level=") > 1+strings.Count(line, `\" level=`)+strings.Count(line, `"x level=`) {
			t.Errorf("LG-05: %q", line)
		}
		for _, r := range strings.TrimSuffix(line, "\n") {
			if r < ' ' || r == 0x7f || r == 0xfffd || r == '\u202e' || r == '\u2028' {
				t.Errorf("LG-05, LG-06: %U in %q", r, line)
			}
		}
	}
	if !strings.Contains(log.String(), "${jndi:ldap://x}") || !strings.Contains(log.String(), "%s%n{{7*7}}") {
		t.Error("LG-06: what a client sent is not kept as it is")
	}
}
