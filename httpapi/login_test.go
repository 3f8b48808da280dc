package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

func credentials(user, password string) string {
	return fmt.Sprintf(`{"username":%q,"password":%q}`, user, password)
}

// An unknown user, a wrong password and a disabled account get the same bytes, apart from the request id.
func TestFailedLoginsLookTheSame(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	attempts := map[string]string{
		"wrong password": credentials("ada", "wrong"), "unknown user": credentials("nobody", servertest.Password),
		"disabled": credentials(servertest.Disabled, servertest.Password), "disabled, wrong password": credentials(servertest.Disabled, "wrong"),
		"wrong password by e-mail": credentials("ada@example.com", "wrong"), "unknown e-mail": credentials("nobody@example.com", "wrong"),
		"a name nobody can have":     credentials("a b\tc", "wrong"),
		"an address nobody can have": credentials("a@b@c", "wrong"), "a name of 254": credentials(strings.Repeat("a", 254), "wrong"),
		"disabled by e-mail":                  `{"email":"disabled@example.com","password":"` + servertest.Password + `"}`,
		"L-13: password with a blank before":  credentials("ada", " "+servertest.Password),
		"L-13: password with a blank behind":  credentials("ada", servertest.Password+" "),
		"L-13: password with a line end":      credentials("ada", servertest.Password+"\n"),
		"L-13: password in another case":      credentials("ada", strings.ToUpper(servertest.Password)),
		"LG-03: the password typed as a name": credentials(strings.ReplaceAll(servertest.Password, " ", "-"), servertest.Password),
		"SQL":                                 credentials("' OR 1=1 --", "' OR 1=1 --"), "LG-06: a template": credentials("${jndi:ldap://x}", "{{7*7}}%s"),
	}
	for kind, as := range map[string]change{"without cookies": func(*http.Request) {}, "with live cookies": p.As, "with dead cookies": w.Cookies("junk", "junk")} {
		var want servertest.Answer
		names := slices.Sorted(maps.Keys(attempts))
		if kind != "without cookies" {
			names = []string{"disabled", "unknown user", "wrong password"} // each costs a password hash
		}
		for _, name := range names {
			t.Run("L-01, INV-8: "+kind+": "+name, func(t *testing.T) {
				before := len(w.Log.Events())
				a := w.Refused(t, 401, "invalid_credentials", "POST", "/auth/login", attempts[name], as)
				if events := w.Log.Events()[before:]; len(events) != 1 || events[0] != "login.failed" {
					t.Errorf("INV-7: events %v", events)
				}
				a.Body = []byte(strings.Replace(string(a.Body), a.Header.Get("X-Request-Id"), "", 1))
				for _, varying := range []string{"X-Request-Id", "Date"} {
					a.Header.Del(varying)
				}
				if want.Status == 0 {
					want = a
				}
				if string(a.Body) != string(want.Body) || fmt.Sprint(a.Header) != fmt.Sprint(want.Header) {
					t.Errorf("got\n%v\n%s\nwant\n%v\n%s", a.Header, a.Body, want.Header, want.Body)
				}
			})
		}
	}
}

func TestLoginAnswers(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t, servertest.HTTPS)
	for name, body := range map[string]string{
		"name": credentials("ada", servertest.Password), "name in another case": credentials("ADA", servertest.Password),
		"e-mail as name": credentials("ada@example.com", servertest.Password), "e-mail": fmt.Sprintf(`{"email":"Ada@Example.com","password":%q}`, servertest.Password),
		"remembered": fmt.Sprintf(`{"username":"ada","password":%q,"remember":true}`, servertest.Password),
	} {
		t.Run(name, func(t *testing.T) {
			a := w.Send(t, "POST", "/auth/login", body)
			if a.Status != 200 || len(a.Cookies()) != 3 {
				t.Fatalf("got %d %s", a.Status, a.Body)
			}
			var got struct {
				User map[string]any `json:"user"`
				Exp  string         `json:"access_expiration"`
				In   int            `json:"access_expires_in"`
				Ref  string         `json:"refresh_expiration"`
			}
			if err := json.Unmarshal(a.Body, &got); err != nil || got.User["username"] != "ada" || got.In < 280 || got.In > 300 || !strings.HasSuffix(got.Exp, "Z") || !strings.HasSuffix(got.Ref, "Z") {
				t.Errorf("got %s", a.Body)
			}
			if members := a.JSON(t); len(members) != 4 {
				t.Errorf("members: %s", a.Body)
			}
			for _, c := range a.Cookies() {
				if persistent := c.MaxAge > 0; persistent != (name == "remembered" || strings.HasSuffix(c.Name, "access_token")) {
					t.Errorf("%s: Max-Age %d", c.Name, c.MaxAge)
				}
			}
		})
	}
}

func TestCredentialsInTheURL(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	const canary = "canary-password-in-the-url"
	w.Canary(canary)
	for _, query := range []string{"?username=ada&password=" + canary, "?password=" + canary, "?a=1", "?all=true&password=" + canary, "?%70assword=" + canary, "?;", "?=", "?refresh=" + canary, "?token=" + canary} {
		for _, path := range []string{"/auth/login", "/auth/token/refresh", "/auth/token/verify", "/auth/logout", "/auth/login/", "/auth/token", "/auth/token/blacklist"} {
			t.Run("I-11: "+path+query, func(t *testing.T) {
				a := w.Refused(t, 400, "validation_failed", "POST", path+query, "")
				if strings.Contains(string(a.Body), canary) {
					t.Errorf("the answer repeats it: %s", a.Body)
				}
			})
		}
	}
	w.Refused(t, 400, "validation_failed", "POST", "/auth/login?username=ada", credentials("ada", servertest.Password))
	if strings.Contains(w.Log.String(), canary) {
		t.Error("I-11: the query was logged")
	}
}

func TestLoginReplacesWhatTheBrowserHad(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	t.Run("L-17: the same user: new session, new CSRF token, the old one is over", func(t *testing.T) {
		b := w.Browser(t)
		b.Login(t, servertest.Ada)
		access, refresh, csrf := b.Cookie("access_token"), b.Cookie("refresh_token"), b.Cookie("csrftoken")
		b.Login(t, servertest.Ada)
		if b.Cookie("access_token") == access || b.Cookie("refresh_token") == refresh || b.Cookie("csrftoken") == csrf {
			t.Error("a cookie was kept")
		}
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", w.Cookies(access, ""))
		w.Refused(t, 401, "session_ended", "POST", "/auth/token/refresh", "", w.Cookies("", refresh), csrfHeader(csrf))
	})
	t.Run("L-17: another user: nothing of the first is left", func(t *testing.T) {
		b, p := w.Browser(t), w.SignIn(t, servertest.Ada)
		b.Use(p)
		a := b.Do(t, "POST", "/auth/login", credentials(servertest.Eve, servertest.Password))
		if a.Status != 200 || p.Live(t) {
			t.Errorf("got %d, the old session lives: %v", a.Status, p.Live(t))
		}
		if who := b.Do(t, "GET", "/auth/user", "").JSON(t)["username"]; who != "eve" {
			t.Errorf("now %v", who)
		}
	})
	t.Run("L-18: cookies chosen by somebody else are all replaced, and their sessions end", func(t *testing.T) {
		b, attacker := w.Browser(t), w.SignIn(t, servertest.Eve)
		b.Use(attacker)
		a := b.Do(t, "POST", "/auth/login", credentials(servertest.Ada, servertest.Password))
		if a.Status != 200 || len(a.Cookies()) != 3 || attacker.Live(t) {
			t.Errorf("got %d %v", a.Status, a.Cookies())
		}
		for base, old := range map[string]string{"access_token": attacker.Access, "refresh_token": attacker.Refresh, "csrftoken": attacker.CSRF} {
			if b.Cookie(base) == old {
				t.Errorf("%s was kept", base)
			}
		}
		w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", attacker.As)
	})
	t.Run("L-18: a session id that was never issued is not adopted", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		p.SessionID = "0190b5a0-0000-7000-8000-000000000000"
		a := w.Send(t, "POST", "/auth/login", credentials(servertest.Ada, servertest.Password), w.Cookies(w.SignAccess(t, p, nil), w.SignRefresh(t, p, nil)))
		if a.Status != 200 {
			t.Fatalf("got %d %s", a.Status, a.Body)
		}
		if _, err := w.Store.Session(t.Context(), p.SessionID); err == nil {
			t.Error("it was created")
		}
	})
	t.Run("a failed login ends nothing and keeps live cookies", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		if a := w.Refused(t, 401, "invalid_credentials", "POST", "/auth/login", credentials("nobody", "x"), p.As); len(a.Cookies()) != 0 || !p.Live(t) {
			t.Errorf("cookies %v", a.Cookies())
		}
	})
	t.Run("other sessions of the user live on", func(t *testing.T) {
		p, b := w.SignIn(t, servertest.Ada), w.Browser(t)
		b.Login(t, servertest.Ada)
		if !p.Live(t) {
			t.Error("another browser's session ended")
		}
	})
}

func TestStoredHashesThatAreDamaged(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	for name, phc := range map[string]string{
		"empty": "", "unknown format": "md5$abc", "absurd cost": "$argon2id$v=19$m=16777216,t=9,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA", "cut": "$argon2id$v=19$m=65536",
	} {
		user := "damaged-" + strings.ReplaceAll(name, " ", "-")
		if err := w.Store.CreateUser(t.Context(), tokenjar.User{ID: user, Username: user, PasswordHash: tokenjar.PasswordHash(phc), Active: true}); err != nil {
			t.Fatal(err)
		}
		t.Run("L-15: "+name, func(t *testing.T) {
			w.Refused(t, 401, "invalid_credentials", "POST", "/auth/login", credentials(user, "x"+phc))
		})
	}
}

func TestPathsOfTheLoginRoute(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	for path, want := range map[string]int{"/auth/login": 422, "/auth/login/": 422, "/auth/%6cogin": 422, "/auth/%6Cogin": 422, "//auth/login": 400, "/auth//login": 400, "/AUTH/login": 400, "/auth/LOGIN": 404, "/auth/login/x": 404, "/auth/login;a=b": 404, "/auth/./login": 400} {
		t.Run("L-11: "+path, func(t *testing.T) {
			a := w.Answers(t, "POST "+path+" HTTP/1.1\r\nHost: "+w.Host()+"\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
			if len(a) != 1 || a[0].Status != want || a[0].Field("Location") != "" {
				t.Errorf("got %v, want %d", a, want)
			}
		})
	}
}
