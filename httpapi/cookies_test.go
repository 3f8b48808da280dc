package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"
)

// badCookies are Cookie fields that hold nothing of ours that is good, though other readers may find something in them.
func badCookies(w *servertest.World, p servertest.Pair) map[string]string {
	name := w.AccessName()
	return map[string]string{
		"CK-05: quoted":                      name + `="` + p.Access + `"`,
		"CK-05: half a quote":                name + `="` + p.Access,
		"CK-05: closing quote":               name + `=` + p.Access + `"`,
		"CK-05: $Version before it":          `$Version=1; ` + name + `="` + p.Access + `"; $Path=/`,
		"CK-06: percent escape":              name + "=" + strings.Replace(p.Access, ".", "%2E", 1),
		"CK-06: blank before the value":      name + "= " + p.Access,
		"CK-06: blank inside":                name + "=" + p.Access[:9] + " " + p.Access[9:],
		"CK-06: comma behind":                name + "=" + p.Access + ",",
		"CK-06: eight-bit byte":              name + "=" + p.Access + "\xe9",
		"CK-06: backslash":                   name + "=" + p.Access + `\`,
		"CK-06: tab behind":                  name + "=" + p.Access + "\tx",
		"blank between name and =":           name + " =" + p.Access,
		"blank value":                        name + "=",
		"without =":                          name,
		"CK-03: name in another case":        strings.ToUpper(name) + "=" + p.Access,
		"CK-02: the name with a prefix more": "__Secure-" + name + "=" + p.Access,
		"forged":                             name + "=" + forge(p.Access),
		"truncated":                          name + "=" + p.Access[:len(p.Access)-1],
		"too long":                           name + "=" + strings.Repeat("A", 4097),
		"only dots":                          name + "=" + strings.Repeat(".", 1000),
		"stale form":                         name + "=abcdef0123456789",
		"two bad ones":                       name + "=x; " + name + "=y",
	}
}

// forge changes one character in the middle of the signature.
func forge(raw string) string {
	i := len(raw) - 20
	c := byte('A')
	if raw[i] == c {
		c = 'B'
	}
	return raw[:i] + string(c) + raw[i+1:]
}

func TestBadCookiesAreNoCredential(t *testing.T) {
	t.Parallel()
	for name, setup := range map[string]servertest.Setup{"https": servertest.HTTPS, "loopback": {}} {
		t.Run(name, func(t *testing.T) {
			w := servertest.Start(t, setup)
			ada := w.SignIn(t, servertest.Ada)
			for name, field := range badCookies(w, ada) {
				t.Run(name, func(t *testing.T) {
					raw := func(r *http.Request) { r.Header["Cookie"] = []string{field} }
					before := w.Digest(t)
					if a := w.Send(t, "GET", "/auth/user", "", raw); a.Status != 401 || len(a.Cookies()) != 0 {
						t.Errorf("user: %d %s %v", a.Status, a.Body, a.Cookies())
					}
					if a := w.Send(t, "GET", "/auth/session", "", raw); string(a.Body) != "{\"authenticated\":false}\n" || len(a.Cookies()) != 0 {
						t.Errorf("session: %d %s", a.Status, a.Body)
					}
					if a := w.Send(t, "GET", "/auth/csrf", "", raw); a.Status != 401 || len(a.Cookies()) != 0 {
						t.Errorf("csrf: %d %s", a.Status, a.Body)
					}
					if a := w.Send(t, "POST", "/auth/token/verify", "", raw); a.Status != 401 {
						t.Errorf("verify: %d %s", a.Status, a.Body)
					}
					// A good cookie beside it is still read (CK-05: nothing is swallowed).
					if a := w.Send(t, "GET", "/auth/user", "", raw, servertest.AddHeader("Cookie", w.AccessName()+"="+ada.Access)); a.Status != 200 {
						t.Errorf("with a good one beside it: %d %s", a.Status, a.Body)
					}
					// And the other two of the session still work.
					if a := w.Send(t, "GET", "/auth/session", "", raw, servertest.AddHeader("Cookie", w.RefreshName()+"="+ada.Refresh)); a.JSON(t)["authenticated"] != true {
						t.Errorf("with a good refresh cookie: %d %s", a.Status, a.Body)
					}
					if w.Digest(t) != before {
						t.Error("something changed")
					}
				})
			}
		})
	}
	t.Run("CK-02: on https the unprefixed name is not read", func(t *testing.T) {
		w := servertest.Start(t, servertest.HTTPS)
		ada := w.SignIn(t, servertest.Ada)
		w.Refused(t, 401, "not_authenticated", "GET", "/auth/user", "", servertest.RawCookie("access_token="+ada.Access))
	})
	t.Run("CK-05: a quote does not span a semicolon", func(t *testing.T) {
		w := servertest.Start(t)
		ada := w.SignIn(t, servertest.Ada)
		field := `$Version=1; a="x; access_token=` + ada.Access + `; b=y"`
		if a := w.Send(t, "GET", "/auth/user", "", servertest.RawCookie(field)); a.Status != 200 {
			t.Errorf("the cookie inside the quotes was swallowed: %d %s", a.Status, a.Body)
		}
	})
}

// Stale, forged, blank, doubled and quoted cookies at the routes that must work all the same, and clear what is dead.
func TestBadCookiesHinderNeitherLoginNorLogout(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	gone := w.SignIn(t, servertest.Ada)
	if err := w.Service.EndSession(t.Context(), gone.UserID, gone.SessionID); err != nil {
		t.Fatal(err)
	}
	fields := badCookies(w, ada)
	for name, pair := range map[string][2]string{
		"session ended": {gone.Access, gone.Refresh}, "forged": {forge(ada.Access), forge(ada.Refresh)}, "swapped": {ada.Refresh, ada.Access},
	} {
		fields[name+", both"] = "access_token=" + pair[0] + "; refresh_token=" + pair[1]
		fields[name+", refresh"] = "refresh_token=" + pair[1]
	}
	for name, field := range fields {
		t.Run(name, func(t *testing.T) {
			raw := func(r *http.Request) { r.Header["Cookie"] = []string{field} }
			ours := strings.Contains(field, w.AccessName()) && !strings.Contains(field, "__Secure-") || strings.Contains(field, w.RefreshName())
			if a := w.Send(t, "POST", "/auth/logout", "", raw); a.Status != 200 || !a.Clears() {
				t.Errorf("S-07: logout: %d %s", a.Status, a.Body)
			}
			a := w.Send(t, "POST", "/auth/token/refresh", "", raw)
			if a.Status != 401 || a.JSON(t)["action"] != "login" || a.Clears() != ours {
				t.Errorf("refresh: %d %s, cookies %v", a.Status, a.Body, a.Cookies())
			}
			if !ada.Live(t) {
				t.Fatal("S-07: the session was ended by a cookie that is not genuine")
			}
			switch name { // each costs a password hash
			case "CK-05: quoted", "forged", "blank value", "two bad ones", "session ended, both", "session ended, refresh", "swapped, both", "CK-03: name in another case":
			default:
				return
			}
			if a := w.Send(t, "POST", "/auth/login", `{"username":"nobody","password":"x"}`, raw); a.Code() != "invalid_credentials" || a.Clears() != ours {
				t.Errorf("login: %d %s, cookies %v", a.Status, a.Body, a.Cookies())
			}
		})
	}
	t.Run("a login with the right password replaces them", func(t *testing.T) {
		b := w.Browser(t)
		a := b.Do(t, "POST", "/auth/login", fmt.Sprintf(`{"username":"ada","password":%q}`, servertest.Password),
			servertest.RawCookie(`access_token="x"; refresh_token=`+forge(ada.Refresh)+`; csrftoken=x`))
		if a.Status != 200 || len(a.Cookies()) != 3 {
			t.Errorf("got %d %s %v", a.Status, a.Body, a.Cookies())
		}
		if !ada.Live(t) {
			t.Error("a forged cookie ended a session")
		}
	})
}

func TestTooManyCookies(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	padding := func(n int) string { return strings.Repeat("a=b; ", n) }
	for name, field := range map[string]string{
		"CK-14: 3,001 and ours last":   padding(3001) + "access_token=" + ada.Access + "; refresh_token=" + ada.Refresh,
		"CK-14: 3,001 and ours first":  "access_token=" + ada.Access + "; " + padding(3001),
		"CK-14: 10,000":                padding(10000) + "access_token=" + ada.Access,
		"X-19: 201 without ours":       padding(201) + "z=1",
		"CK-14: semicolons alone":      "access_token=" + ada.Access + strings.Repeat(";", 3001),
		"CK-14: 201 and ours between":  padding(100) + "access_token=" + ada.Access + "; " + padding(101) + "z=1",
		"X-19: the CSRF cookie beyond": "access_token=" + ada.Access + "; " + padding(300) + "csrftoken=" + ada.CSRF,
	} {
		for _, r := range []struct{ method, path, body string }{
			{"GET", "/auth/user", ""}, {"PATCH", "/auth/user", "{}"}, {"GET", "/auth/session", ""}, {"GET", "/auth/csrf", ""},
			{"POST", "/auth/login", `{"username":"ada","password":"x"}`}, {"POST", "/auth/logout", ""}, {"POST", "/auth/token/refresh", ""},
			{"POST", "/auth/token/verify", ""}, {"DELETE", "/auth/sessions", ""},
			{"POST", "/auth/token/blacklist", ""}, {"PUT", "/auth/user", `{"first_name":"x","last_name":"x"}`}, {"POST", "/auth/password/change", passwords("x", "y")},
		} {
			t.Run(name+", "+r.method+" "+r.path, func(t *testing.T) {
				w.Refused(t, 431, "header_too_large", r.method, r.path, r.body, servertest.RawCookie(field))
			})
		}
	}
	t.Run("200 are read", func(t *testing.T) {
		if a := w.Send(t, "GET", "/auth/user", "", servertest.RawCookie(padding(199)+"access_token="+ada.Access)); a.Status != 200 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
	for size, want := range map[int]int{8 << 10: 200, 16 << 10: 200, 48 << 10: 200, 64 << 10: 431, 256 << 10: 431} {
		t.Run(fmt.Sprintf("CK-13: a Cookie field of %d bytes: %d", size, want), func(t *testing.T) {
			field := "access_token=" + ada.Access + "; pad=" + strings.Repeat("x", size)
			answers := w.Answers(t, "GET /auth/user HTTP/1.1\r\nHost: "+w.Host()+"\r\nConnection: close\r\nCookie: "+field+"\r\n\r\n")
			if len(answers) != 1 || answers[0].Status != want {
				t.Errorf("got %v", answers)
			}
		})
	}
}

func TestCookiesAsSet(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t, servertest.HTTPS)
	ada := w.SignIn(t, servertest.Ada)
	a := w.Send(t, "POST", "/auth/token/refresh", "", ada.RefreshOnly)
	set := map[string]*http.Cookie{}
	for _, c := range a.Cookies() {
		set[c.Name] = c
		if !c.Secure || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || c.HttpOnly == (c.Name == "__Host-csrftoken") {
			t.Errorf("CK-19: %v", c)
		}
		if len(c.Name)+len(c.Value) > 4096 {
			t.Errorf("CK-09: %s has %d bytes", c.Name, len(c.Value))
		}
	}
	if len(set) != 3 || set["__Host-access_token"] == nil || set["__Host-refresh_token"] == nil || set["__Host-csrftoken"] == nil {
		t.Fatalf("cookies: %v", a.Cookies())
	}
	cleared := w.Send(t, "POST", "/auth/logout", "", ada.As)
	if len(cleared.Cookies()) != 3 {
		t.Fatalf("logout: %v", cleared.Cookies())
	}
	for _, c := range cleared.Cookies() {
		o := set[c.Name]
		if o == nil || c.Value != "" || c.MaxAge >= 0 || c.Path != o.Path || c.Domain != o.Domain || c.Secure != o.Secure || c.HttpOnly != o.HttpOnly || c.SameSite != o.SameSite {
			t.Errorf("CK-10: set as %v, cleared as %v", o, c)
		}
	}
}
