package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/token"
)

// Which credential counts (design, section 8), row by row.

type change = func(*http.Request)

func all(changes ...change) change {
	return func(r *http.Request) {
		for _, c := range changes {
			c(r)
		}
	}
}

func TestWhichCredentialCounts(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada, ada2, eve, gone := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve), w.SignIn(t, servertest.Eve)
	if err := w.Service.EndSession(t.Context(), gone.UserID, gone.SessionID); err != nil {
		t.Fatal(err)
	}
	expired := func(p servertest.Pair) string {
		return w.SignAccess(t, p, token.Claims{"exp": w.Clock.Now().Unix(), "iat": w.Clock.Now().Add(-time.Minute).Unix()})
	}
	const junk = "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"
	csrfOf := func(p servertest.Pair) change { return servertest.Header("X-CSRFToken", p.CSRF) }
	for _, row := range []struct {
		name   string
		method string // GET by default
		change change
		status int
		code   string
		user   string // who it is, with 200
	}{
		{name: "a live access cookie decides", change: w.Cookies(ada.Access, ""), user: "ada"},
		{name: "a bearer alone decides", change: servertest.Bearer(ada.Access), user: "ada"},
		{name: "the scheme is compared without case (J-25)", change: servertest.Header("Authorization", "bEARER "+ada.Access), user: "ada"},
		{name: "J-33: cookie good and bearer bad: the bearer is ignored", change: all(w.Cookies(ada.Access, ""), servertest.Bearer(junk)), user: "ada"},
		{name: "J-33: cookie good and bearer malformed: the bearer is ignored", change: all(w.Cookies(ada.Access, ""), servertest.Header("Authorization", "Bearer a b")), user: "ada"},
		{name: "J-33: cookie bad and bearer good: the bearer counts", change: all(w.Cookies(junk, ""), servertest.Bearer(eve.Access)), user: "eve"},
		{name: "J-33: both good for two users: 401", change: all(w.Cookies(ada.Access, ""), servertest.Bearer(eve.Access)), status: 401, code: "token_invalid"},
		{name: "both good for one user: the cookie counts", change: all(w.Cookies(ada.Access, ""), servertest.Bearer(ada2.Access)), user: "ada"},
		{name: "X-23: a bearer beside a cookie does not switch CSRF off", method: "PATCH", change: all(w.Cookies(ada.Access, ""), servertest.Bearer(ada.Access)), status: 403, code: "csrf_failed"},
		{name: "X-23: a junk bearer beside a cookie does not switch CSRF off", method: "PATCH", change: all(w.Cookies(ada.Access, ""), servertest.Bearer(junk)), status: 403, code: "csrf_failed"},
		{name: "X-23: a bearer beside a refresh cookie alone does not switch CSRF off", method: "PATCH", change: all(w.Cookies("", ada2.Refresh), servertest.Bearer(ada.Access)), status: 403, code: "csrf_failed"},
		{name: "X-23: a bearer alone needs no CSRF token", method: "PATCH", change: all(servertest.NoSignal, servertest.Bearer(ada.Access)), user: "ada"},
		{name: "X-23: a bearer alone needs no origin", method: "PATCH", change: all(servertest.CrossSite, servertest.Bearer(ada.Access)), user: "ada"},
		{name: "X-23: a bearer beside a bad cookie passes rule 1 first", method: "PATCH", change: all(servertest.CrossSite, w.Cookies(junk, ""), servertest.Bearer(ada.Access)), status: 403, code: "origin_not_allowed"},
		{name: "CK-18: access and refresh cookie of different users: 401", change: w.Cookies(ada.Access, eve.Refresh), status: 401, code: "token_invalid"},
		{name: "CK-18: of different sessions of one user: the live access token decides", change: w.Cookies(ada.Access, ada2.Refresh), user: "ada"},
		{name: "CK-18: and the CSRF token is its session's", method: "PATCH", change: all(w.Cookies(ada.Access, ada2.Refresh), csrfOf(ada2)), status: 403, code: "csrf_failed"},
		{name: "CK-18: with its session's it passes", method: "PATCH", change: all(w.Cookies(ada.Access, ada2.Refresh), csrfOf(ada)), user: "ada"},
		{name: "an expired access cookie alone: 401, sign in", change: w.Cookies(expired(ada), ""), status: 401, code: "token_expired"},
		{name: "a revoked access cookie is never renewed", change: w.Cookies(gone.Access, eve.Refresh), status: 401, code: "token_revoked"},
		{name: "a revoked bearer: 401", change: servertest.Bearer(gone.Access), status: 401, code: "token_revoked"},
		{name: "a refresh cookie of an ended session: 401", change: w.Cookies("", gone.Refresh), status: 401, code: "session_ended"},
		{name: "T-15: a refresh token as bearer: 401", change: servertest.Bearer(ada.Refresh), status: 401, code: "token_invalid"},
		{name: "T-15: a refresh token as access cookie: 401", change: w.Cookies(ada.Refresh, ""), status: 401, code: "token_invalid"},
		{name: "T-15: an access token as refresh cookie: 401", change: w.Cookies("", ada.Access), status: 401, code: "token_invalid"},
		{name: "no credential: 401", change: func(*http.Request) {}, status: 401, code: "not_authenticated"},
		{name: "the CSRF cookie alone is no credential", change: servertest.RawCookie("csrftoken=" + ada.CSRF), status: 401, code: "not_authenticated"},
		{name: "CK-01: two access cookies of one user, the dead one first", change: servertest.RawCookie("access_token=" + expired(ada) + "; access_token=" + ada.Access), user: "ada"},
		{name: "CK-01: two access cookies of one user, the dead one last", change: servertest.RawCookie("access_token=" + ada.Access + "; access_token=" + junk), user: "ada"},
		{name: "CK-01: in two lines", change: all(servertest.RawCookie("access_token="+junk), servertest.AddHeader("Cookie", "access_token="+ada.Access)), user: "ada"},
		{name: "CK-01: two that verify for two users: 401", change: servertest.RawCookie("access_token=" + ada.Access + "; access_token=" + eve.Access), status: 401, code: "token_invalid"},
		{name: "CK-01: the same, the other way round: 401", change: servertest.RawCookie("access_token=" + eve.Access + "; access_token=" + ada.Access), status: 401, code: "token_invalid"},
		{name: "CK-01: two refresh cookies of two users: 401", change: servertest.RawCookie("refresh_token=" + eve.Refresh + "; refresh_token=" + ada.Refresh), status: 401, code: "token_invalid"},
		{name: "CK-07: a longer path puts the tossed cookie first: the rule is the same", change: servertest.RawCookie("access_token=tossed; access_token=" + ada.Access + "; refresh_token=tossed; refresh_token=" + ada.Refresh), user: "ada"},
		{name: "CK-01: of two live sessions the newest counts, and its CSRF token", method: "PATCH", change: all(servertest.RawCookie("access_token="+ada2.Access+"; access_token="+ada.Access), csrfOf(ada2)), user: "ada"},
		{name: "CK-01: of two live sessions the older one's CSRF token is not enough", method: "PATCH", change: all(servertest.RawCookie("access_token="+ada2.Access+"; access_token="+ada.Access), csrfOf(ada)), status: 403, code: "csrf_failed"},
		{name: "CK-03: the name in another case is not ours", change: servertest.RawCookie("ACCESS_TOKEN=" + ada.Access), status: 401, code: "not_authenticated"},
		{name: "C-10: claims in other places are ignored", change: all(servertest.RawCookie("role=admin; sub=user-ada"), servertest.Header("X-User", "ada"), servertest.Header("X-Auth-User", "user-ada")), status: 401, code: "not_authenticated"},
	} {
		t.Run(row.name, func(t *testing.T) {
			method, body := row.method, ""
			if method == "" {
				method = "GET"
			} else {
				body = `{}`
			}
			if row.user == "" {
				w.Refused(t, row.status, row.code, method, "/auth/user", body, row.change)
				return
			}
			a := w.Send(t, method, "/auth/user", body, row.change)
			if a.Status != 200 || a.JSON(t)["username"] != row.user {
				t.Errorf("got %d %s, want %s", a.Status, a.Body, row.user)
			}
			if len(a.Cookies()) != 0 {
				t.Errorf("sets %v", a.Cookies())
			}
		})
	}
	t.Run("the newest generation of a session counts for renewal", func(t *testing.T) {
		p := w.SignIn(t, servertest.Ada)
		first := w.Send(t, "POST", "/auth/token/refresh", "", p.RefreshOnly)
		newest := cookieValue(first, "refresh_token")
		w.Clock.Advance(time.Minute) // the first token would be judged as reuse by now
		a := w.Send(t, "GET", "/auth/user", "", servertest.RawCookie("refresh_token="+p.Refresh+"; refresh_token="+newest))
		if a.Status != 200 || !p.Live(t) || p.Generation(t) != 3 {
			t.Errorf("got %d %s, live %v, generation %d", a.Status, a.Body, p.Live(t), p.Generation(t))
		}
	})
}

func TestAuthorizationField(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada, eve := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
	for name, field := range map[string]string{
		"no scheme":             ada.Access,
		"empty":                 "",
		"scheme alone":          "Bearer",
		"scheme and blank":      "Bearer ",
		"two blanks":            "Bearer  " + ada.Access,
		"tab":                   "Bearer\t" + ada.Access,
		"two tokens":            "Bearer " + ada.Access + " " + ada.Access,
		"comma list":            "Bearer " + ada.Access + ", Bearer " + eve.Access,
		"comma list of schemes": "Basic YTpi, Bearer " + ada.Access,
		"percent sequence":      "Bearer " + strings.Replace(ada.Access, ".", "%2E", 1),
		"eight-bit byte":        "Bearer " + ada.Access + "\xe9",
		"quoted":                `Bearer "` + ada.Access + `"`,
		"padded":                "Bearer " + ada.Access + "=",
		"another scheme":        "Basic YTpi",
		"token as parameter":    "Bearer token=" + ada.Access,
	} {
		t.Run("J-25: "+name, func(t *testing.T) {
			before := w.Digest(t)
			a := w.Send(t, "GET", "/auth/user", "", func(r *http.Request) { r.Header["Authorization"] = []string{field} })
			if a.Status != 401 || w.Digest(t) != before {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
			if a := w.Send(t, "GET", "/auth/session", "", func(r *http.Request) { r.Header["Authorization"] = []string{field} }); a.Status != 200 || string(a.Body) != "{\"authenticated\":false}\n" {
				t.Errorf("session: %d %s", a.Status, a.Body)
			}
		})
	}
	for name, fields := range map[string][]string{
		"two bearers":         {"Bearer " + ada.Access, "Bearer " + ada.Access},
		"Basic and Bearer":    {"Basic YTpi", "Bearer " + ada.Access},
		"Bearer and an empty": {"Bearer " + ada.Access, ""},
	} {
		two := func(r *http.Request) { r.Header["Authorization"] = fields }
		t.Run("J-26: "+name, func(t *testing.T) {
			for _, route := range []string{"GET /auth/user", "GET /auth/session", "GET /auth/csrf", "POST /auth/token/verify", "POST /auth/logout", "POST /auth/token/refresh", "POST /auth/login"} {
				method, path, _ := strings.Cut(route, " ")
				w.Refused(t, 400, "validation_failed", method, path, "", two)
				w.Refused(t, 400, "validation_failed", method, path, "", ada.As, two)
			}
		})
	}
	t.Run("J-26 comes after the origin", func(t *testing.T) {
		w.Refused(t, 403, "origin_not_allowed", "PATCH", "/auth/user", "{}", ada.As, servertest.CrossSite, servertest.AddHeader("Authorization", "a"), servertest.AddHeader("Authorization", "b"))
	})
}

func TestWrongTypAndPurpose(t *testing.T) {
	t.Parallel()
	w := servertest.Start(t)
	ada := w.SignIn(t, servertest.Ada)
	for _, typ := range []string{"", "JWT", "AT+JWT", "application/at+jwt", "refresh+jwt", "rt+jwt", "dpop+jwt"} {
		t.Run("J-22: typ "+typ, func(t *testing.T) {
			raw := w.SignAccessTyped(t, typ, ada, nil)
			// RFC 9068, section 4, lets "application/" stand before it: only the documented value passes here.
			asCookieAndBearer(t, w, raw, "wrong_token_type", "token_invalid")
		})
	}
	for name, claims := range map[string]token.Claims{
		"C-01: without exp":                    {"exp": nil},
		"C-01: exp as text":                    {"exp": "4102444800"},
		"C-01: exp negative":                   {"exp": -1},
		"C-01: exp zero":                       {"exp": 0},
		"C-01: exp beyond any time":            {"exp": 9.3e18},
		"C-01: exp is true":                    {"exp": true},
		"C-03: nbf in a year":                  {"nbf": w.Clock.Now().AddDate(1, 0, 0).Unix()},
		"C-05: without iss":                    {"iss": nil},
		"C-05: iss with a slash":               {"iss": w.URL + "/"},
		"C-05: iss in another case":            {"iss": strings.ToUpper(w.URL)},
		"C-05: iss as list":                    {"iss": []string{w.URL}},
		"C-06: without aud":                    {"aud": nil},
		"C-06: aud empty":                      {"aud": ""},
		"C-06: aud empty list":                 {"aud": []string{}},
		"C-06: another aud":                    {"aud": "https://other.example"},
		"C-09: without sub":                    {"sub": nil},
		"C-09: sub empty":                      {"sub": ""},
		"C-09: sub is a number":                {"sub": 1},
		"without sid":                          {"sid": nil},
		"without token_type":                   {"token_type": nil},
		"token_type refresh":                   {"token_type": "refresh"},
		"without gen":                          {"gen": nil},
		"gen is a fraction":                    {"gen": 1.5},
		"C-11: a token for another service":    {"aud": "http://127.0.0.1:9000"},
		"C-07: aud of a thousand":              {"aud": many(1000)},
		"auth_time missing":                    {"auth_time": nil},
		"C-06: aud null is as good as missing": {"aud": []any{nil}},
	} {
		t.Run(name, func(t *testing.T) {
			asCookieAndBearer(t, w, w.SignAccess(t, ada, claims), "token_invalid", "token_expired")
		})
	}
	t.Run("C-07: aud list that holds ours passes", func(t *testing.T) {
		raw := w.SignAccess(t, ada, token.Claims{"aud": []string{"https://other.example", w.URL}})
		if a := w.Send(t, "GET", "/auth/user", "", servertest.Bearer(raw)); a.Status != 200 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
	t.Run("C-09, S-05: a genuine token of nobody: 401, no 404", func(t *testing.T) {
		raw := w.SignAccess(t, ada, token.Claims{"sub": "user-\u0430da"}) // a Cyrillic a
		w.Refused(t, 401, "session_ended", "GET", "/auth/user", "", servertest.Bearer(raw))
	})
	t.Run("S-11: a session id never issued is not adopted", func(t *testing.T) {
		other := ada
		other.SessionID = "0190b5a0-0000-7000-8000-000000000000"
		w.Refused(t, 401, "session_ended", "GET", "/auth/csrf", "", w.Cookies(w.SignAccess(t, other, nil), ""))
		w.Refused(t, 401, "session_ended", "GET", "/auth/user", "", w.Cookies("", w.SignRefresh(t, other, nil)))
	})
}

func many(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "x"
	}
	return list
}

// asCookieAndBearer tries an access token that must not be believed, both ways, on a read route.
func asCookieAndBearer(t *testing.T, w *servertest.World, raw string, codes ...string) {
	t.Helper()
	for kind, c := range map[string]change{"cookie": w.Cookies(raw, ""), "bearer": servertest.Bearer(raw)} {
		before := w.Digest(t)
		a := w.Send(t, "GET", "/auth/user", "", c)
		fits := false
		for _, code := range codes {
			fits = fits || a.Code() == code
		}
		if a.Status != 401 || !fits {
			t.Errorf("as %s: got %d %s, want 401 and one of %v", kind, a.Status, a.Body, codes)
		}
		if w.Digest(t) != before {
			t.Errorf("as %s: something changed", kind)
		}
	}
}

func cookieValue(a servertest.Answer, base string) string {
	for _, c := range a.Cookies() {
		if strings.HasSuffix(c.Name, base) {
			return c.Value
		}
	}
	return ""
}
