package httpapi_test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/token"
)

func TestTokenTimesToTheSecond(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	now := w.Clock.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, row := range []struct {
		name   string
		claims token.Claims
		status int
		code   string
	}{
		{"C-02: exp is one second ahead", token.Claims{"exp": at(time.Second)}, 200, ""},
		{"C-02: exp is now: expired", token.Claims{"exp": at(0)}, 401, "token_expired"},
		{"C-02: exp was a second ago", token.Claims{"exp": at(-time.Second)}, 401, "token_expired"},
		{"C-02: exp was a year ago", token.Claims{"exp": now.AddDate(-1, 0, 0).Unix()}, 401, "token_expired"},
		{"C-03: nbf in 10 s", token.Claims{"nbf": at(10 * time.Second)}, 200, ""},
		{"C-03: nbf in 11 s", token.Claims{"nbf": at(11 * time.Second)}, 401, "token_invalid"},
		{"C-03: nbf in a year", token.Claims{"nbf": now.AddDate(1, 0, 0).Unix()}, 401, "token_invalid"},
		{"C-03: iat in 10 s", token.Claims{"iat": at(10 * time.Second)}, 200, ""},
		{"C-03: iat in 11 s", token.Claims{"iat": at(11 * time.Second)}, 401, "token_invalid"},
		{"C-13: expired and of another audience: the audience is what counts", token.Claims{"exp": at(-time.Hour), "aud": "https://other.example"}, 401, "token_invalid"},
	} {
		t.Run(row.name, func(t *testing.T) {
			raw := w.SignAccess(t, p, row.claims)
			if row.status == 200 {
				if a := w.Send(t, "GET", "/auth/user", "", servertest.Bearer(raw)); a.Status != 200 {
					t.Errorf("got %d %s", a.Status, a.Body)
				}
				return
			}
			w.Refused(t, row.status, row.code, "GET", "/auth/user", "", servertest.Bearer(raw))
			w.Refused(t, row.status, row.code, "GET", "/auth/user", "", w.Cookies(raw, ""))
		})
	}
	t.Run("C-13: expired and forged: the forgery is what counts", func(t *testing.T) {
		raw := forge(w.SignAccess(t, p, token.Claims{"exp": at(-time.Hour)}))
		w.Refused(t, 401, "token_invalid", "GET", "/auth/user", "", servertest.Bearer(raw))
	})
	t.Run("C-02: a refresh token ends in its second", func(t *testing.T) {
		w.Refused(t, 401, "token_expired", "POST", "/auth/token/refresh", "", w.Cookies("", w.SignRefresh(t, p, token.Claims{"exp": at(0)})), p.WithCSRF)
		w.Refused(t, 401, "token_expired", "GET", "/auth/user", "", w.Cookies("", w.SignRefresh(t, p, token.Claims{"exp": at(0)})))
	})
	t.Run("C-02: with the world's clock: an access token lives to its last second", func(t *testing.T) {
		raw := w.SignAccess(t, p, nil) // five minutes
		w.Clock.Advance(5*time.Minute - time.Second)
		if a := w.Send(t, "GET", "/auth/user", "", servertest.Bearer(raw)); a.Status != 200 {
			t.Errorf("a second before: %d %s", a.Status, a.Body)
		}
		w.Clock.Advance(time.Second)
		w.Refused(t, 401, "token_expired", "GET", "/auth/user", "", servertest.Bearer(raw))
	})
}

func TestIdleAndAbsoluteLimits(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	t.Run("T-13: an unused session ends after the idle time", func(t *testing.T) {
		p, q := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada)
		w.Clock.Advance(24*time.Hour - 2*time.Second)
		if a := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly); a.Status != 200 {
			t.Errorf("before: %d %s", a.Status, a.Body)
		}
		w.Clock.Advance(2 * time.Second)
		if a := w.Send(t, "POST", "/auth/token/refresh", "", q.RefreshOnly); a.Status != 401 || !a.Clears() {
			t.Errorf("after: %d %s", a.Status, a.Body)
		}
	})
	t.Run("S-17, T-13: constant use does not move the absolute end", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		refresh := p.Refresh
		for day := range 32 {
			w.Clock.Advance(23 * time.Hour)
			a := w.Send(t, "POST", "/auth/token/refresh", "", w.Cookies("", refresh), p.WithCSRF)
			if a.Status == 401 {
				if hours := (day + 1) * 23; hours < 30*24 {
					t.Fatalf("over after %d hours", hours)
				}
				return
			}
			refresh = cookieValue(a, "refresh_token")
		}
		t.Error("alive after 32 times 23 hours")
	})
}

func TestClockSteps(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{
		"+1 h": time.Hour, "-1 h": -time.Hour, "-1 day": -24 * time.Hour, "to 1970": time.Until(time.Unix(60, 0)), // a machine's clock never shows less than 0
		"to 2106": time.Until(time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC)),
	} {
		t.Run("C-15: "+name, func(t *testing.T) {
			w := servertest.Start(t)
			p := w.SignIn(t, servertest.Ada)
			dead := w.SignIn(t, servertest.Ada)
			if a := w.Send(t, "POST", "/auth/logout", "", dead.As); a.Status != 200 {
				t.Fatal(a.Status)
			}
			w.Clock.Advance(step)
			for _, r := range []struct{ method, path string }{{"GET", "/auth/user"}, {"GET", "/auth/session"}, {"POST", "/auth/token/refresh"}, {"GET", "/auth/csrf"}, {"GET", "/auth/sessions"}, {"POST", "/auth/token/verify"}} {
				if a := w.Send(t, r.method, r.path, "", p.As, servertest.Renewing); a.Status != 200 && a.Status != 401 {
					t.Errorf("%s %s: %d %s", r.method, r.path, a.Status, a.Body)
				}
				if a := w.Send(t, r.method, r.path, "", dead.As); a.Status == 200 && r.path != "/auth/session" {
					t.Errorf("%s %s: a session that was ended came back: %s", r.method, r.path, a.Body)
				}
			}
			b := w.Browser(t)
			login := b.Do(t, "POST", "/auth/login", credentials("ada", servertest.Password))
			if login.Status != 200 {
				t.Fatalf("at %s: login: %d %s\n%s", w.Clock.Now(), login.Status, login.Body, w.Log)
			}
			// The jar's clock is the real one, so what it keeps depends on the step: the answer's cookies are used.
			next := w.Send(t, "GET", "/auth/user", "", w.Cookies(cookieValue(login, "access_token"), cookieValue(login, "refresh_token")))
			if next.Status != 200 {
				t.Errorf("after a login: %d %s", next.Status, next.Body)
			}
			w.Clock.Advance(-step)
			w.Refused(t, 401, "token_revoked", "GET", "/auth/user", "", w.Cookies(dead.Access, ""))
		})
	}
	t.Run("C-15: a refresh token refused as expired stays dead when the clock steps back", func(t *testing.T) {
		w := servertest.Start(t)
		p := w.SignIn(t, servertest.Ada)
		w.Clock.Advance(25 * time.Hour)
		a := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
		if a.Status != 401 || !a.Clears() {
			t.Fatalf("got %d %s", a.Status, a.Body)
		}
		w.Clock.Advance(-25 * time.Hour)
		w.Refused(t, 401, "session_ended", "POST", "/auth/token/refresh", "", p.RefreshOnly)
		if p.Live(t) {
			t.Error("the session is live again")
		}
	})
	t.Run("T-18: a spent token never becomes unused", func(t *testing.T) {
		w := servertest.Start(t)
		p := w.SignIn(t, servertest.Ada)
		first := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
		second := w.Send(t, "POST", "/auth/token/refresh", "", w.Cookies("", cookieValue(first, "refresh_token")), p.WithCSRF)
		if second.Status != 200 {
			t.Fatal(second.Status)
		}
		w.Clock.Advance(-time.Hour)
		a := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
		if a.Status == 200 && cookieValue(a, "refresh_token") != cookieValue(first, "refresh_token") || p.Generation(t) > 3 {
			t.Errorf("a second branch: %d %s", a.Status, a.Body)
		}
	})
}

func TestTimesInAnswers(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	a := w.Send(t, "GET", "/auth/session", "", p.As).JSON(t)
	now := w.Clock.Now().UTC()
	if a["access_expiration"] != now.Add(5*time.Minute).Format(time.RFC3339) || a["access_expires_in"] != 300.0 ||
		a["refresh_expiration"] != now.Add(24*time.Hour).Format(time.RFC3339) {
		t.Errorf("at %s: %v", now, a)
	}
}

// The zone of the machine decides nothing.
func TestOtherTimeZones(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Pacific/Kiritimati", ""} {
		t.Run("C-18: TZ="+zone, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^(TestTokenTimesToTheSecond|TestIdleAndAbsoluteLimits|TestTimesInAnswers)$")
			cmd.Env = append(os.Environ(), "TZ="+zone)
			out, err := cmd.CombinedOutput()
			if err != nil || bytes.Count(out, []byte("\n--- PASS: ")) < 3 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
