package session_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/token"
)

// An ordinary request is judged the short way. What comes out must be what the long way says.

func TestTheShortWayAndTheLongWayAgree(t *testing.T) {
	for name, bearerFirst := range map[string]bool{"cookie first": false, "bearer first": true} {
		t.Run(name, func(t *testing.T) {
			e := newEmbedded(t, func(c *session.Config) { c.BearerFirst = bearerFirst })
			ada, eve, gone := e.SignIn(t, servertest.Ada), e.SignIn(t, servertest.Eve), e.SignIn(t, servertest.Ada)
			if err := e.Service.EndSession(t.Context(), gone.UserID, gone.SessionID); err != nil {
				t.Fatal(err)
			}
			expired := e.SignAccess(t, ada, token.Claims{"exp": e.Clock.Now().Unix()})
			accesses := []string{ada.Access, ada.Access, ada.Access, eve.Access, gone.Access, expired, forged(ada.Access), "junk", "", `"` + ada.Access + `"`, ada.Access + " "}
			refreshes := []string{ada.Refresh, ada.Refresh, ada.Refresh, eve.Refresh, gone.Refresh, forged(eve.Refresh), forged(ada.Refresh), "junk", "", eve.Refresh + "%20"}
			names := []string{"access_token", "refresh_token", "csrftoken", "theme", "access_token ", "Access_Token", "__Host-access_token", "xaccess_token", "access_token_"}
			rapid.Check(t, func(t *rapid.T) {
				draw := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
				var pairs []string
				for range rapid.IntRange(0, 5).Draw(t, "cookies") {
					switch name := draw("name", names...); {
					case strings.Contains(strings.ToLower(name), "access"):
						pairs = append(pairs, name+"="+draw("access", accesses...))
					case strings.Contains(name, "refresh"):
						pairs = append(pairs, name+"="+draw("refresh", refreshes...))
					default:
						pairs = append(pairs, name+"="+draw("other", "x", "", "a=b", ada.CSRF, ada.Access))
					}
				}
				r := httptest.NewRequest(draw("method", "GET", "HEAD", "POST", "DELETE", "OPTIONS"), e.URL+"/", nil)
				r.Header = http.Header{}
				switch sep := draw("separator", "; ", ";", ";\t ", ";;", "\n"); sep {
				case "\n":
					r.Header["Cookie"] = pairs
				default:
					r.Header["Cookie"] = []string{strings.Join(pairs, sep)}
				}
				switch draw("Authorization", "none", "none", "none", "good", "eve's", "junk", "revoked", "basic", "two", "malformed") {
				case "good":
					r.Header["Authorization"] = []string{"Bearer " + ada.Access}
				case "eve's":
					r.Header["Authorization"] = []string{"bearer " + eve.Access}
				case "junk":
					r.Header["Authorization"] = []string{"Bearer junk"}
				case "revoked":
					r.Header["Authorization"] = []string{"Bearer " + gone.Access}
				case "basic":
					r.Header["Authorization"] = []string{"Basic eDp5"}
				case "two":
					r.Header["Authorization"] = []string{"Bearer " + ada.Access, "Bearer " + ada.Access}
				case "malformed":
					r.Header["Authorization"] = []string{"Bearer a b"}
				}
				for header, values := range map[string][]string{
					"Origin": {"", "", e.Origin, "https://evil.example", "null"}, "Sec-Fetch-Site": {"same-origin", "", "cross-site", "same-site"},
					"X-Csrftoken": {ada.CSRF, "", eve.CSRF, "junk"}, "Upgrade": {"", "", "", "websocket"},
				} {
					if v := draw(header, values...); v != "" {
						r.Header[header] = []string{v}
					}
				}
				got, gotErr := e.guard.Identify(r)
				want, wantErr := e.guard.IdentifyTheLongWay(r)
				if again, err := e.guard.Identify(r); again.UserID != got.UserID || outcome(err) != outcome(gotErr) {
					t.Fatalf("the second time: %v %v, then %v %v", got.UserID, gotErr, again.UserID, err)
				}
				if got.UserID != want.UserID || got.SessionID != want.SessionID || got.Generation != want.Generation || !got.ExpiresAt.Equal(want.ExpiresAt) || outcome(gotErr) != outcome(wantErr) {
					t.Fatalf("got %+v, %v, want %+v, %v", got, gotErr, want, wantErr)
				}
				if (gotErr == nil) != (got.UserID != "") {
					t.Fatalf("got %+v and %v", got, gotErr)
				}
			})
			// The ordinary ones for certain, so that the rest is not compared with itself alone.
			for name, change := range map[string]func(*http.Request){
				"signed in": ada.As, "access cookie alone": e.Cookies(ada.Access, ""), "foreign page": func(r *http.Request) { ada.As(r); servertest.CrossSite(r) },
			} {
				for _, method := range []string{"GET", "POST"} {
					r := e.Request(t, method, "/", "", change)
					got, gotErr := e.guard.Identify(r)
					want, wantErr := e.guard.IdentifyTheLongWay(r)
					if !e.guard.Recognized(r) || got.SessionID != want.SessionID || outcome(gotErr) != outcome(wantErr) {
						t.Errorf("%s %s: recognized %v, got %v, %v, want %v, %v", method, name, e.guard.Recognized(r), got, gotErr, want, wantErr)
					}
				}
			}
		})
	}
}

// forged is a token whose signature does not hold.
func forged(raw string) string {
	c := byte('A')
	if raw[len(raw)-20] == c {
		c = 'B'
	}
	return raw[:len(raw)-20] + string(c) + raw[len(raw)-19:]
}

// outcome is what a client sees of an error.
func outcome(err error) string {
	if err == nil {
		return ""
	}
	p := problem.From(err)
	return string(p.Code) + " " + string(p.Action) + " " + p.Detail
}

func TestIdentifyRenewsNothing(t *testing.T) {
	e := newEmbedded(t)
	p := e.SignIn(t, servertest.Ada)
	before := e.Digest(t)
	_, err := e.guard.Identify(e.Request(t, "GET", "/", "", p.RefreshOnly))
	if got := problem.From(err); got.Status != 401 || got.Action != problem.Refresh {
		t.Errorf("a refresh cookie alone: %v", err)
	}
	if e.Digest(t) != before || p.Generation(t) != 1 {
		t.Error("something changed")
	}
	for range 2 {
		id, err := e.guard.Identify(e.Request(t, "GET", "/", "", p.As))
		if err != nil || id.UserID != p.UserID || id.SessionID != p.SessionID || id.Claims().String("sub") != p.UserID {
			t.Errorf("got %+v, %v", id, err)
		}
	}
	for name, row := range map[string]struct {
		change func(*http.Request)
		code   problem.Code
	}{
		"no CSRF token":  {func(r *http.Request) { p.As(r); r.Header.Del("X-CSRFToken") }, problem.CSRFFailed},
		"a foreign page": {func(r *http.Request) { p.As(r); servertest.CrossSite(r) }, problem.OriginNotAllowed},
		"nobody":         {func(*http.Request) {}, problem.NotAuthenticated},
	} {
		id, err := e.guard.Identify(e.Request(t, "POST", "/", "", row.change))
		if err == nil || problem.From(err).Code != row.code || id != (tokenjar.Identity{}) {
			t.Errorf("%s: got %+v, %v", name, id, err)
		}
	}
}

func TestAnOrdinaryRequestAllocatesTwice(t *testing.T) {
	e := newEmbedded(t)
	p := e.SignIn(t, servertest.Ada)
	r := e.Request(t, "GET", "/", "", p.As)
	handler := e.guard.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := tokenjar.IdentityFromContext(r.Context()); !ok || id.UserID != p.UserID {
			t.Error("nobody")
		}
	}))
	w := httptest.NewRecorder()
	if n := testing.AllocsPerRun(100, func() {
		clear(w.Header())
		handler.ServeHTTP(w, r)
	}); n > 2 {
		t.Errorf("identity in the context: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := e.guard.Identify(r); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("accessor: %v allocations", n)
	}
}

func TestAnswersShareNoHeaderValues(t *testing.T) {
	e := newEmbedded(t)
	p := e.SignIn(t, servertest.Ada)
	handler := e.guard.Required(http.HandlerFunc(whoami))
	for range 3 {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, e.Request(t, "GET", "/", "", p.As))
		h := rec.Header()
		if h.Get("Cache-Control") != "private" || strings.Join(h["Vary"], ",") != "Cookie,Authorization" {
			t.Fatalf("got %v", h)
		}
		h.Add("Vary", "X")
		h.Add("Cache-Control", "public")
		if h["Cache-Control"][0] != "private" || h["Vary"][1] != "Authorization" {
			t.Fatalf("one field's values ran into another's: %v", h)
		}
		h["Vary"][0], h["Cache-Control"][0] = "*", "public" // as a careless handler around us would
	}
}

func TestTheContextOfARequestIsAnOrdinaryOne(t *testing.T) {
	e := newEmbedded(t)
	p := e.SignIn(t, servertest.Ada)
	type key struct{}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	for name, around := range map[string]func(context.Context) context.Context{
		"bare":                   func(ctx context.Context) context.Context { return ctx },
		"with a server's logger": func(ctx context.Context) context.Context { return tokenjar.ContextWithLogger(ctx, logger) },
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the long way, then the short one
				ctx, cancel := context.WithCancel(context.WithValue(around(t.Context()), key{}, "kept"))
				h := e.guard.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					derived, stop := context.WithTimeout(context.WithValue(r.Context(), "x", "y"), time.Minute)
					defer stop()
					if id, ok := tokenjar.IdentityFromContext(derived); !ok || id.SessionID != p.SessionID || derived.Value(key{}) != "kept" || derived.Value("x") != "y" {
						t.Errorf("got %v %v %v", id, ok, derived.Value(key{}))
					}
					if !tokenjar.HasLogger(derived) || name != "bare" && tokenjar.LoggerFromContext(derived) != logger {
						t.Error("not the logger of the server around")
					}
					if tokenjar.RequestIDFromContext(derived) != "" {
						t.Error("a request id out of nothing")
					}
					cancel()
					<-derived.Done()
				}))
				h.ServeHTTP(httptest.NewRecorder(), e.Request(t, "GET", "/", "", p.As).WithContext(ctx))
				// An anonymous guard within keeps who was found without.
				outer := e.guard.Required(e.guard.Optional(http.HandlerFunc(whoami)))
				rec := httptest.NewRecorder()
				outer.ServeHTTP(rec, e.Request(t, "GET", "/", "", p.As))
				if rec.Body.String() != "user-ada true" {
					t.Errorf("nested: %s", rec.Body)
				}
			}
		})
	}
}

// staleGuard is a guard over a service of a program that forgot Run.
func staleGuard(t *testing.T, w *servertest.World, change func(*tokenjar.Config)) *session.Guard {
	t.Helper()
	secret, err := tokenjar.ParseSecret([]byte(servertest.Secret))
	if err != nil {
		t.Fatal(err)
	}
	cfg := tokenjar.Config{Issuer: w.URL, Secret: secret, Store: w.Store, Now: w.Clock.Now, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	change(&cfg)
	service, err := tokenjar.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	g, err := session.New(session.Config{Service: service, PublicURL: w.URL, Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestANodeWithoutNewsAnswers503AndKeepsTheCookies(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*tokenjar.Config)
		status int
	}{
		"cached":           {func(*tokenjar.Config) {}, 503},
		"stale allowed":    {func(c *tokenjar.Config) { c.AllowStaleSessions = true }, 200},
		"stateless":        {func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckStateless }, 200},
		"database":         {func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckDatabase }, 200},
		"database is down": {func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckDatabase }, 503},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEmbedded(t)
			e.guard = staleGuard(t, e.World, row.change)
			p := e.SignIn(t, servertest.Ada)
			handlers := map[string]http.Handler{"required": e.guard.Required(http.HandlerFunc(whoami)), "optional": e.guard.Optional(http.HandlerFunc(whoami))}
			for kind, h := range handlers {
				if res, body := e.ask(t, h, "GET", "/", p.As); res.StatusCode != 200 || body != "user-ada true" {
					t.Fatalf("%s: %d %s", kind, res.StatusCode, body)
				}
			}
			e.Clock.Advance(tokenjar.MaxStaleness + time.Second)
			e.Store.SetDown(name == "database is down")
			for kind, h := range handlers {
				for who, as := range map[string]func(*http.Request){"by cookie": p.As, "by bearer": servertest.Bearer(p.Access), "by the access cookie alone": e.Cookies(p.Access, "")} {
					res, body := e.ask(t, h, "GET", "/", as)
					if res.StatusCode != row.status || len(res.Cookies()) != 0 {
						t.Errorf("%s, %s: %d %s %v", kind, who, res.StatusCode, body, res.Cookies())
					}
					if row.status == 503 && (res.Header.Get("Retry-After") == "" || res.Header.Get("X-Tokenjar-Problem") != "store_unavailable") {
						t.Errorf("%s, %s: %v", kind, who, res.Header)
					}
				}
			}
			if res, body := e.ask(t, handlers["optional"], "GET", "/"); res.StatusCode != 200 || body != " false" {
				t.Errorf("who asks for nobody is not refused: %d %s", res.StatusCode, body)
			}
		})
	}
}

func TestTheDatabaseSaysWhoIsSignedOut(t *testing.T) {
	e := newEmbedded(t)
	e.guard = staleGuard(t, e.World, func(c *tokenjar.Config) { c.SessionCheck = tokenjar.CheckDatabase })
	p := e.SignIn(t, servertest.Ada)
	required, optional := e.guard.Required(http.HandlerFunc(whoami)), e.guard.Optional(http.HandlerFunc(whoami))
	if res, _ := e.ask(t, required, "GET", "/", p.As); res.StatusCode != 200 {
		t.Fatalf("got %d", res.StatusCode)
	}
	if err := e.Service.EndSession(t.Context(), p.UserID, p.SessionID); err != nil { // on another node
		t.Fatal(err)
	}
	if res, body := e.ask(t, required, "GET", "/", p.As); res.StatusCode != 401 || res.Header.Get("X-Tokenjar-Problem") != "token_revoked" || len(res.Cookies()) != 0 {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	if res, body := e.ask(t, optional, "GET", "/", p.As); res.StatusCode != 200 || body != " false" {
		t.Errorf("optional: %d %s", res.StatusCode, body)
	}
}

func TestBearerFirst(t *testing.T) {
	e := newEmbedded(t, func(c *session.Config) { c.BearerFirst = true })
	ada, eve, gone := e.SignIn(t, servertest.Ada), e.SignIn(t, servertest.Eve), e.SignIn(t, servertest.Eve)
	if err := e.Service.EndSession(t.Context(), gone.UserID, gone.SessionID); err != nil {
		t.Fatal(err)
	}
	expired := e.SignAccess(t, eve, token.Claims{"exp": e.Clock.Now().Unix()})
	both := func(as func(*http.Request), bearer string) func(*http.Request) {
		return func(r *http.Request) { as(r); servertest.Bearer(bearer)(r) }
	}
	without := func(as func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) { as(r); r.Header.Del("X-CSRFToken") }
	}
	foreign := func(as func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) { as(r); servertest.CrossSite(r) }
	}
	h := e.guard.Required(http.HandlerFunc(whoami))
	for _, row := range []struct {
		name   string
		method string
		as     func(*http.Request)
		status int
		body   string
	}{
		{"a bearer beside cookies of another user wins", "GET", both(ada.As, eve.Access), 200, "user-eve true"},
		{"and needs no CSRF token", "POST", without(both(ada.As, eve.Access)), 200, "user-eve true"},
		{"and no origin", "POST", foreign(without(both(ada.As, eve.Access))), 200, "user-eve true"},
		{"a bearer beside a refresh cookie alone wins, and nothing is renewed", "GET", both(ada.RefreshOnly, eve.Access), 200, "user-eve true"},
		{"a bearer beside bad cookies wins", "POST", both(e.Cookies("junk", "junk"), eve.Access), 200, "user-eve true"},
		{"a bearer beside cookies of two users wins", "GET", both(e.Cookies(ada.Access, eve.Refresh), eve.Access), 200, "user-eve true"},
		{"X-11: a garbage bearer turns no CSRF token off", "POST", without(both(ada.As, "junk")), 403, "csrf_failed"},
		{"X-11: a garbage bearer turns no origin off", "POST", foreign(both(ada.As, "junk")), 403, "origin_not_allowed"},
		{"X-11: a forged bearer", "POST", without(both(ada.As, forged(eve.Access))), 403, "csrf_failed"},
		{"X-11: an expired bearer", "POST", without(both(ada.As, expired)), 403, "csrf_failed"},
		{"X-11: a revoked bearer", "POST", without(both(ada.As, gone.Access)), 403, "csrf_failed"},
		{"X-11: a refresh token as a bearer", "POST", without(both(ada.As, ada.Refresh)), 403, "csrf_failed"},
		{"X-11: a malformed Authorization field", "POST", func(r *http.Request) { without(ada.As)(r); r.Header.Set("Authorization", "Bearer "+eve.Access+" x") }, 403, "csrf_failed"},
		{"X-11: two Authorization fields", "POST", func(r *http.Request) {
			ada.As(r)
			r.Header["Authorization"] = []string{"Bearer " + eve.Access, "Bearer " + eve.Access}
		}, 400, "validation_failed"},
		{"a bearer that does not verify leaves the cookies their say", "POST", both(ada.As, "junk"), 200, "user-ada true"},
		{"an expired bearer as well", "GET", both(ada.As, expired), 200, "user-ada true"},
		{"a bearer alone", "POST", servertest.Bearer(eve.Access), 200, "user-eve true"},
		{"a bad bearer alone", "GET", servertest.Bearer("junk"), 401, "token_invalid"},
		{"a revoked bearer alone", "GET", servertest.Bearer(gone.Access), 401, "token_revoked"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := e.Digest(t)
			res, body := e.ask(t, h, row.method, "/", row.as)
			if res.StatusCode != row.status || !strings.Contains(body, row.body) || len(res.Cookies()) != 0 {
				t.Errorf("got %d %s %v", res.StatusCode, body, res.Cookies())
			}
			if e.Digest(t) != before {
				t.Error("something changed")
			}
		})
	}
	if res, _ := e.ask(t, h, "GET", "/", both(ada.RefreshOnly, "junk")); res.StatusCode != 200 || len(res.Cookies()) != 3 {
		t.Errorf("a garbage bearer beside a refresh cookie: %d %v, want a renewal as without it", res.StatusCode, res.Cookies())
	}
	byDefault := newEmbedded(t)
	p, other := byDefault.SignIn(t, servertest.Ada), byDefault.SignIn(t, servertest.Eve)
	if res, _ := byDefault.ask(t, byDefault.guard.Required(http.HandlerFunc(whoami)), "GET", "/", both(p.As, other.Access)); res.StatusCode != 401 {
		t.Errorf("by default: %d", res.StatusCode)
	}
}

func TestTheGuardFollowsTheSecret(t *testing.T) {
	e := newEmbedded(t)
	p := e.SignIn(t, servertest.Ada)
	h := e.guard.Required(http.HandlerFunc(whoami))
	old := e.guard.CSRFToken(p.SessionID)
	secret, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret() + "\n" + servertest.Secret + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Service.ReplaceSecret(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	fresh := e.guard.CSRFToken(p.SessionID)
	if fresh == old {
		t.Fatal("the token is still made with the old line")
	}
	for name, row := range map[string]struct {
		token  string
		status int
	}{"new line": {fresh, 200}, "old line": {old, 200}, "neither": {strings.Repeat("A", 43), 403}} {
		for range 2 {
			if res, body := e.ask(t, h, "POST", "/", p.As, servertest.Header("X-CSRFToken", row.token)); res.StatusCode != row.status {
				t.Errorf("%s: %d %s", name, res.StatusCode, body)
			}
		}
	}
	if secret, err = tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret())); err != nil {
		t.Fatal(err)
	}
	_, _ = e.Service.ReplaceSecret(t.Context(), secret) // refused: the ring does not open; nothing changes
	if e.guard.CSRFToken(p.SessionID) != fresh {
		t.Error("a secret that was refused is in use")
	}
}
