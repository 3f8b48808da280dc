package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/token"
)

// The guard as one authenticator of package middleware.

func TestAuthenticatorLendsTheGuard(t *testing.T) {
	e := newEmbedded(t)
	guarded := session.Authenticator(e.guard, middleware.Claims)
	h := middleware.Methods{
		"GET": middleware.Optional(guarded),
		"PUT": middleware.Required(guarded).With(middleware.MaxAuthAge(10*time.Minute, e.Clock.Now)),
		"*":   middleware.Required(guarded),
	}.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := middleware.IdentityFromContext[token.Claims](r.Context())
		if !ok {
			fmt.Fprint(w, "nobody")
			return
		}
		fmt.Fprint(w, id.User.String("sub"), " ", id.Token.(tokenjar.Identity).Generation, " ", id.ByCookie)
	}))
	ada := e.SignIn(t, servertest.Ada)
	bearer := servertest.Bearer(ada.Access)
	for name, row := range map[string]struct {
		method  string
		changes []func(*http.Request)
		status  int
		want    string
	}{
		"nobody":                          {"GET", nil, 200, "nobody"},
		"a cookie":                        {"GET", []func(*http.Request){ada.As}, 200, "user-ada 1 true"},
		"a cookie, the short way":         {"GET", []func(*http.Request){ada.As}, 200, "user-ada 1 true"},
		"a bearer":                        {"POST", []func(*http.Request){bearer}, 200, "user-ada 1 false"},
		"nobody where somebody is needed": {"POST", nil, 401, "not_authenticated"},
		"no CSRF token":                   {"POST", []func(*http.Request){ada.As, servertest.Header("X-CSRFToken", "")}, 403, "csrf_failed"},
		"with it":                         {"POST", []func(*http.Request){ada.As}, 200, "user-ada 1 true"},
		"another site":                    {"POST", []func(*http.Request){ada.As, servertest.CrossSite}, 403, "origin_not_allowed"},
		"signed in just now":              {"PUT", []func(*http.Request){bearer}, 200, "user-ada 1 false"},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := e.ask(t, h, row.method, "/", row.changes...)
			if res.StatusCode != row.status || !strings.Contains(body, row.want) || len(res.Cookies()) != 0 {
				t.Errorf("got %d %s %v, want %d %s", res.StatusCode, body, res.Cookies(), row.status, row.want)
			}
		})
	}
	t.Run("renewed on the way, whatever the answer is", func(t *testing.T) {
		p := e.SignIn(t, servertest.Ada)
		res, body := e.ask(t, h, "POST", "/", p.RefreshOnly, p.WithCSRF)
		if res.StatusCode != 200 || body != "user-ada 2 true" || len(res.Cookies()) != 3 || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %d %s %v", res.StatusCode, body, res.Header)
		}
		p = e.SignIn(t, servertest.Ada)
		refused := middleware.Required(guarded).Where(func(token.Claims) bool { return false }).Protect(h)
		res, body = e.ask(t, refused, "GET", "/", p.RefreshOnly)
		if res.StatusCode != 403 || !strings.Contains(body, "permission_denied") || len(res.Cookies()) != 3 || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("refused: got %d %s %v", res.StatusCode, body, res.Header)
		}
	})
	t.Run("signing in again makes a sign-in recent, renewing does not", func(t *testing.T) {
		p := e.SignIn(t, servertest.Ada)
		e.Clock.Advance(11 * time.Minute)
		if res, body := e.ask(t, h, "PUT", "/", p.RefreshOnly, p.WithCSRF); res.StatusCode != 401 || !strings.Contains(body, "step_up_required") || len(res.Cookies()) != 3 {
			t.Errorf("got %d %s", res.StatusCode, body)
		}
		if res, body := e.ask(t, h, "PUT", "/", servertest.Bearer(e.SignIn(t, servertest.Ada).Access)); res.StatusCode != 200 {
			t.Errorf("got %d %s", res.StatusCode, body)
		}
	})
	t.Run("an answer that nobody wraps cannot carry the cookies, and fails", func(t *testing.T) {
		p := e.SignIn(t, servertest.Ada)
		r := httptest.NewRequest("GET", "/", nil)
		p.RefreshOnly(r)
		if _, err := guarded.Authenticate(httptest.NewRecorder(), r); err == nil {
			t.Error("it succeeds")
		}
	})
}

// robot takes one key, as an authenticator of the program's own.
type robot struct{}

func (robot) Authenticate(_ http.ResponseWriter, r *http.Request) (middleware.Identity[token.Claims], error) {
	if r.Header.Get("X-Api-Key") == "" {
		return middleware.Identity[token.Claims]{}, middleware.ErrNoCredential
	}
	return middleware.Identity[token.Claims]{User: token.Claims{"sub": "robot"}}, nil
}

func TestAuthenticatorInAChain(t *testing.T) {
	e := newEmbedded(t)
	ada, bob := e.SignIn(t, servertest.Ada), e.SignIn(t, servertest.Eve)
	h := middleware.Required(session.Authenticator(e.guard, middleware.Claims), robot{}).
		Func(func(w http.ResponseWriter, _ *http.Request, user token.Claims) { fmt.Fprint(w, user.String("sub")) })
	key := servertest.Header("X-Api-Key", "k")
	dead := e.Cookies(ada.Access[:len(ada.Access)-6]+"AAAAAA", "")
	for name, row := range map[string]struct {
		changes []func(*http.Request)
		status  int
		want    string
	}{
		"the session counts":                           {[]func(*http.Request){ada.As, key}, 200, "user-ada"},
		"a dead cookie hides nobody":                   {[]func(*http.Request){dead, key}, 200, "robot"},
		"nor does one that a foreign page sent":        {[]func(*http.Request){dead, key, servertest.CrossSite}, 200, "robot"},
		"a foreign page with a dead cookie and no key": {[]func(*http.Request){dead, servertest.CrossSite}, 403, "origin_not_allowed"},
		"a foreign page with a session ends it":        {[]func(*http.Request){ada.As, key, servertest.CrossSite}, 403, "origin_not_allowed"},
		"so does a missing CSRF token":                 {[]func(*http.Request){ada.As, key, servertest.Header("X-CSRFToken", "")}, 403, "csrf_failed"},
		"and two users":                                {[]func(*http.Request){ada.As, servertest.Bearer(bob.Access), key}, 401, "token_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			if res, body := e.ask(t, h, "POST", "/", row.changes...); res.StatusCode != row.status || !strings.Contains(body, row.want) {
				t.Errorf("got %d %s, want %d %s", res.StatusCode, body, row.status, row.want)
			}
		})
	}
}

// J-33: a session beside a bearer of the same issuer for another user, whichever is asked first.
func TestASessionBesideABearerOfAnotherUser(t *testing.T) {
	e := newEmbedded(t)
	ada := e.SignIn(t, servertest.Ada)
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing(key)
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{Keys: ring, Type: "JWT", Issuer: e.Service.Issuer(), Audience: "api", Now: e.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{Keys: ring, Type: "JWT", Issuer: e.Service.Issuer(), Audience: "api", Now: e.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	other, err := middleware.NewBearer(decoder, middleware.Claims)
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(user string) func(*http.Request) {
		raw, err := encoder.Encode(token.Claims{"sub": user}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return servertest.Bearer(raw)
	}
	guarded := session.Authenticator(e.guard, middleware.Claims)
	show := func(w http.ResponseWriter, _ *http.Request, user token.Claims) { fmt.Fprint(w, user.String("sub")) }
	for name, h := range map[string]http.Handler{
		"session first": middleware.Required(guarded, other).Func(show), "bearer first": middleware.Required(other, guarded).Func(show),
	} {
		for _, row := range []struct {
			name    string
			changes []func(*http.Request)
			status  int
			want    string
		}{
			{"one user", []func(*http.Request){ada.As, bearer("user-ada")}, 200, "user-ada"},
			{"two users", []func(*http.Request){ada.As, bearer("user-eve")}, 401, "token_invalid"},
			{"a dead session", []func(*http.Request){e.Cookies("x", "y"), bearer("user-eve")}, 200, "user-eve"},
		} {
			t.Run(name+": "+row.name, func(t *testing.T) {
				if res, body := e.ask(t, h, "GET", "/admin/x", row.changes...); res.StatusCode != row.status || !strings.Contains(body, row.want) {
					t.Errorf("got %d %s, want %d %s", res.StatusCode, body, row.status, row.want)
				}
			})
		}
	}
}

func TestASessionIsFoundByTheRootsAccessorToo(t *testing.T) {
	e := newEmbedded(t)
	ada, eve := e.SignIn(t, servertest.Ada), e.SignIn(t, servertest.Eve)
	h := middleware.Optional(session.Authenticator(e.guard, middleware.Claims)).Protect(http.HandlerFunc(whoami))
	for name, row := range map[string]struct {
		h      http.Handler
		change func(*http.Request)
		want   string
	}{
		"signed in":                  {h, ada.As, "user-ada true"},
		"nobody":                     {h, func(*http.Request) {}, " false"},
		"behind the guard, the same": {e.guard.Required(h), eve.As, "user-eve true"},
	} {
		if res, body := e.ask(t, row.h, "GET", "/", row.change); res.StatusCode != 200 || body != row.want {
			t.Errorf("%s: got %d %q, want %q", name, res.StatusCode, body, row.want)
		}
	}
	robots := middleware.Required(robot{}).Protect(http.HandlerFunc(whoami))
	if _, body := e.ask(t, e.guard.Required(robots), "GET", "/", ada.As, servertest.Header("X-Api-Key", "k")); body != "user-ada true" {
		t.Errorf("an authenticator without tokens hides the session of the guard: %q", body)
	}
}

func TestAuthenticatorPeeks(t *testing.T) {
	e := newEmbedded(t)
	ada := e.SignIn(t, servertest.Ada)
	peeker := session.Authenticator(e.guard, middleware.Claims).(middleware.Peeker)
	for name, row := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"both cookies": {ada.As, 2}, "a refresh cookie alone": {ada.RefreshOnly, 1}, "a bearer": {servertest.Bearer(ada.Access), 1}, "dead cookies": {e.Cookies("x", "y"), 0},
		"nothing": {func(*http.Request) {}, 0}, "more cookies than are read": {servertest.RawCookie(strings.Repeat("a=b; ", 300)), 0},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		row.change(r)
		got := peeker.Peek(t.Context(), r)
		if len(got) != row.want {
			t.Errorf("%s: got %d tokens, want %d", name, len(got), row.want)
		}
		for _, one := range got {
			if claims := one.Claims(); claims.String("sub") != "user-ada" || claims.String("iss") != e.Service.Issuer() {
				t.Errorf("%s: got %v", name, claims)
			}
		}
	}
}

func TestAuthenticatorResolvesTheProgramsUser(t *testing.T) {
	e := newEmbedded(t)
	ada := e.SignIn(t, servertest.Ada)
	for name, row := range map[string]struct {
		err    error
		status int
	}{
		"found": {nil, 200}, "not found": {tokenjar.ErrNotFound, 401}, "a database that does not answer": {fmt.Errorf("refused"), 503},
	} {
		guarded := session.Authenticator(e.guard, func(_ context.Context, c token.Claims) (string, error) { return c.String("sub"), row.err })
		h := middleware.Required(guarded).Func(func(w http.ResponseWriter, _ *http.Request, user string) { fmt.Fprint(w, user) })
		if res, body := e.ask(t, h, "GET", "/", ada.As); res.StatusCode != row.status {
			t.Errorf("%s: got %d %s", name, res.StatusCode, body)
		}
	}
	for name, make := range map[string]func(){
		"no guard":    func() { session.Authenticator[token.Claims](nil, middleware.Claims) },
		"no resolver": func() { session.Authenticator[token.Claims](e.guard, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			make()
		}()
	}
}
