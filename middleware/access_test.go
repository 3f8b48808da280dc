package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

func TestPublicLooksAtNoCredential(t *testing.T) {
	p := newProgram(t)
	h := middleware.Public[*account]().Protect(whoami)
	want(t, ask(h, "POST", "/", cookies(p.token(t, "ada")), field("Origin", "https://evil.example")), "nobody")
	if p.resolved.Load() != 0 {
		t.Error("the resolver was asked")
	}
}

func TestConditions(t *testing.T) {
	p := newProgram(t)
	signedIn := middleware.Required(p.bearer)
	now := start.Unix()
	for name, row := range map[string]struct {
		access middleware.Access[*account]
		raw    string
		want   string
	}{
		"one scope":                     {signedIn.With(middleware.Scope("read")), p.token(t, "ada", "scope", "read write"), "ada"},
		"both scopes":                   {signedIn.With(middleware.Scope("read", "write")), p.token(t, "ada", "scope", "write read"), "ada"},
		"scopes as a list":              {signedIn.With(middleware.Scope("write")), p.token(t, "ada", "scope", []string{"read", "write"}), "ada"},
		"one of two":                    {signedIn.With(middleware.Scope("read", "write")), p.token(t, "ada", "scope", "read"), "403 insufficient_scope"},
		"C-10: no scope claim":          {signedIn.With(middleware.Scope("read")), p.token(t, "ada"), "403 insufficient_scope"},
		"the beginning of a scope":      {signedIn.With(middleware.Scope("read")), p.token(t, "ada", "scope", "read:all"), "403 insufficient_scope"},
		"another case":                  {signedIn.With(middleware.Scope("read")), p.token(t, "ada", "scope", "READ"), "403 insufficient_scope"},
		"scopes in one list element":    {signedIn.With(middleware.Scope("read")), p.token(t, "ada", "scope", []string{"read write"}), "403 insufficient_scope"},
		"a scope that is no text":       {signedIn.With(middleware.Scope("read")), p.token(t, "ada", "scope", []any{"read", 1}), "403 insufficient_scope"},
		"one of the roles":              {signedIn.With(middleware.Role("admin", "owner")), p.token(t, "ada", "roles", []string{"user", "owner"}), "ada"},
		"a role that is one text":       {signedIn.With(middleware.Role("admin")), p.token(t, "ada", "roles", "admin"), "ada"},
		"none of the roles":             {signedIn.With(middleware.Role("admin")), p.token(t, "ada", "roles", []string{"user"}), "403 permission_denied"},
		"a role in another claim":       {signedIn.With(middleware.Role("admin")), p.token(t, "ada", "role", "admin"), "403 permission_denied"},
		"a text that holds the role":    {signedIn.With(middleware.Role("admin")), p.token(t, "ada", "roles", "admin user"), "403 permission_denied"},
		"a claim of any name":           {signedIn.With(middleware.ClaimIn("tenant", "a", "b")), p.token(t, "ada", "tenant", "b"), "ada"},
		"the user, not the token":       {signedIn.Where(func(a *account) bool { return a.Admin }), p.token(t, "admin-ada"), "admin-ada"},
		"a user who may not":            {signedIn.Where(func(a *account) bool { return a.Admin }), p.token(t, "ada"), "403 permission_denied"},
		"signed in just now":            {signedIn.With(middleware.MaxAuthAge(10*time.Minute, p.clock)), p.token(t, "ada", "auth_time", now), "ada"},
		"exactly as long ago":           {signedIn.With(middleware.MaxAuthAge(10*time.Minute, p.clock)), p.token(t, "ada", "auth_time", now-600), "ada"},
		"a second too long ago":         {signedIn.With(middleware.MaxAuthAge(10*time.Minute, p.clock)), p.token(t, "ada", "auth_time", now-601), "401 step_up_required"},
		"a clock a little behind":       {signedIn.With(middleware.MaxAuthAge(10*time.Minute, p.clock)), p.token(t, "ada", "auth_time", now+60), "ada"},
		"signed in in the future":       {signedIn.With(middleware.MaxAuthAge(10*time.Minute, p.clock)), p.token(t, "ada", "auth_time", now+61), "401 step_up_required"},
		"no auth_time":                  {signedIn.With(middleware.MaxAuthAge(10*time.Minute, p.clock)), p.token(t, "ada"), "401 step_up_required"},
		"an auth_time that is no date":  {signedIn.With(middleware.MaxAuthAge(10*time.Minute, p.clock)), p.token(t, "ada", "auth_time", "now"), "401 step_up_required"},
		"all conditions must hold":      {signedIn.With(middleware.Scope("read")).With(middleware.Role("admin")), p.token(t, "ada", "scope", "read"), "403 permission_denied"},
		"the first that fails is named": {signedIn.With(middleware.Scope("x"), middleware.Role("admin")), p.token(t, "ada"), "403 insufficient_scope"},
	} {
		t.Run(name, func(t *testing.T) { want(t, ask(row.access.Protect(whoami), "GET", "/", bearer(row.raw)), row.want) })
	}
	t.Run("an access with conditions leaves the one it was made of alone", func(t *testing.T) {
		signedIn.With(middleware.Role("admin"))
		want(t, ask(signedIn.Protect(whoami), "GET", "/", bearer(p.token(t, "ada"))), "ada")
		first, second := signedIn.With(middleware.Scope("a")), signedIn.With(middleware.Scope("b"))
		both := first.With(middleware.Role("admin"))
		_ = both
		want(t, ask(first.Protect(whoami), "GET", "/", bearer(p.token(t, "ada", "scope", "a"))), "ada")
		want(t, ask(second.Protect(whoami), "GET", "/", bearer(p.token(t, "ada", "scope", "b"))), "ada")
	})
	t.Run("challenges", func(t *testing.T) {
		w := ask(signedIn.With(middleware.Scope("notes:read", "notes:write")).Protect(whoami), "GET", "/", bearer(p.token(t, "ada")))
		if got := w.Header().Get("WWW-Authenticate"); got != `Bearer error="insufficient_scope", scope="notes:read notes:write"` {
			t.Errorf("scope: %q", got)
		}
		w = ask(signedIn.With(middleware.MaxAuthAge(10*time.Minute, p.clock)).Protect(whoami), "GET", "/", bearer(p.token(t, "ada")))
		if got := w.Header().Get("WWW-Authenticate"); got != `Bearer error="insufficient_user_authentication", max_age="600"` {
			t.Errorf("age: %q", got)
		}
	})
}

// C-14: a token that was verified before is judged by the policy of now.
func TestAStricterPolicyHoldsForTokensVerifiedBefore(t *testing.T) {
	p := newProgram(t)
	ada := p.token(t, "ada", "scope", "read")
	access := middleware.Required(p.bearer)
	want(t, ask(access.Protect(whoami), "GET", "/", bearer(ada)), "ada")
	want(t, ask(access.With(middleware.Scope("write")).Protect(whoami), "GET", "/", bearer(ada)), "403 insufficient_scope")
	p.at(start.Add(time.Minute))
	want(t, ask(access.Protect(whoami), "GET", "/", bearer(ada)), "401 token_expired")
}

func TestMethods(t *testing.T) {
	p := newProgram(t)
	signedIn := middleware.Required(p.cookie)
	viewSet := middleware.Methods{
		"GET": middleware.Public[*account](), "POST": middleware.Required(p.cookie, p.bearer),
		"DELETE": signedIn.Where(func(a *account) bool { return a.Admin }),
	}.Protect(whoami)
	ada := p.token(t, "ada")
	for name, row := range map[string]struct {
		method  string
		changes []change
		want    string
	}{
		"public reads":                       {"GET", nil, "nobody"},
		"HEAD is as GET":                     {"HEAD", nil, "nobody"},
		"a cookie for writes":                {"POST", []change{cookies(ada), p.page("ada")}, "ada"},
		"or a bearer":                        {"POST", []change{bearer(ada)}, "ada"},
		"not nothing":                        {"POST", nil, "401 not_authenticated"},
		"no bearer here":                     {"DELETE", []change{bearer(ada)}, "401 not_authenticated"},
		"not everybody":                      {"DELETE", []change{cookies(ada), p.page("ada")}, "403 permission_denied"},
		"admins":                             {"DELETE", []change{cookies(p.token(t, "admin-bob")), p.page("admin-bob")}, "admin-bob"},
		"nobody thought of it":               {"PUT", []change{bearer(ada)}, "405 method_not_allowed"},
		"X-14: in lower case":                {"post", []change{bearer(ada)}, "405 method_not_allowed"},
		"X-14: a field that overrides it":    {"POST", []change{field("X-HTTP-Method-Override", "GET")}, "401 not_authenticated"},
		"OPTIONS must be named, like others": {"OPTIONS", nil, "405 method_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ask(viewSet, row.method, "/", row.changes...)
			want(t, w, row.want)
			if allow := w.Header().Get("Allow"); (w.Code == 405) != (allow == "DELETE, GET, HEAD, POST") {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
	t.Run("a star for all others", func(t *testing.T) {
		h := middleware.Methods{"GET": middleware.Public[*account](), "HEAD": signedIn, "*": signedIn}.Protect(whoami)
		want(t, ask(h, "GET", "/"), "nobody")
		want(t, ask(h, "PATCH", "/"), "401 not_authenticated")
		if w := ask(h, "HEAD", "/"); w.Code != 401 {
			t.Errorf("a HEAD that is named is not as GET: %d", w.Code)
		}
	})
}

func TestRoutes(t *testing.T) {
	p := newProgram(t)
	signedIn := middleware.Required(p.bearer)
	seen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path)
		if r.URL.RawPath != "" {
			fmt.Fprint(w, " ", r.URL.RawPath)
		}
	})
	h := middleware.Routes{
		"/":            middleware.Public[*account](),
		"/notes/":      middleware.Methods{"GET": middleware.Public[*account](), "*": signedIn},
		"/notes/admin": signedIn.Where(func(a *account) bool { return a.Admin }),
		"/API/v1":      signedIn,
	}.Protect(seen)
	ada := bearer(p.token(t, "ada"))
	for _, row := range []struct{ method, path, want string }{
		{"GET", "/", "/"},
		{"POST", "/other", "/other"},
		{"GET", "/notes", "/notes"},
		{"GET", "/notes/7", "/notes/7"},
		{"POST", "/notes", "401 not_authenticated"},
		{"POST", "/notes/7", "401 not_authenticated"},
		{"POST", "/notesandmore", "/notesandmore"}, // whole segments
		{"GET", "/notes/admin", "401 not_authenticated"},
		{"GET", "/notes/admin/", "401 not_authenticated"},
		{"GET", "/notes/admin/x", "401 not_authenticated"},
		{"GET", "/notes/administrators", "/notes/administrators"},
		{"GET", "/API/v1/x", "401 not_authenticated"},
		// What another program would read otherwise.
		{"GET", "/notes/%61dmin/x", "400 bad_path"},
		{"GET", "/%6eotes/%37", "400 bad_path"},
		{"GET", "/notes/%37", "/notes/7 /notes/%37"},
		{"GET", "/notes/x/../admin", "400 bad_path"},
		{"GET", "/notes/%2e%2e/admin", "400 bad_path"},
		{"GET", "/notes%2fadmin", "400 bad_path"},
		{"GET", "/notes//admin", "400 bad_path"},
		{"GET", "//notes/admin", "400 bad_path"},
		{"GET", `/notes\admin`, "400 bad_path"},
		{"GET", "/notes%5cadmin", "400 bad_path"},
		{"GET", "/notes/admin%00", "400 bad_path"},
		{"GET", "/notes/Admin", "400 bad_path"},
		{"GET", "/NOTES/7", "400 bad_path"},
		{"GET", "/api/v1/x", "400 bad_path"},
		{"GET", "/notes/admin;x=1", "400 bad_path"},
		{"GET", "/notes;x/admin", "400 bad_path"},
		{"GET", "/notes/7;x=1", "/notes/7;x=1"},
		{"GET", "/notes/caf%c3%a9", "/notes/café /notes/caf%c3%a9"},
		{"GET", "/notes/caf%C3%A9", "/notes/café"},
		{"GET", "/notes/a%3bb", "/notes/a;b /notes/a%3bb"},
		{"GET", "/notes/a%3Fb", "/notes/a?b"},
		{"GET", "/notes/ada%40example.com", "/notes/ada@example.com /notes/ada%40example.com"},
	} {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			w := ask(h, row.method, "http://app.example"+strings.ReplaceAll(row.path, `\`, "%5c"))
			want(t, w, row.want)
		})
	}
	t.Run("with a user", func(t *testing.T) {
		want(t, ask(h, "POST", "/notes/7", ada), "/notes/7")
		want(t, ask(h, "GET", "/notes/admin", ada), "403 permission_denied")
		want(t, ask(h, "GET", "/notes/admin", bearer(p.token(t, "admin-bob"))), "/notes/admin")
	})
	t.Run("what nobody thought of is not open", func(t *testing.T) {
		h := middleware.Routes{"/notes": middleware.Public[*account]()}.Protect(seen)
		want(t, ask(h, "GET", "/"), "404 not_found")
		want(t, ask(h, "GET", "/admin"), "404 not_found")
		want(t, ask(h, "GET", "/notes/x"), "/notes/x")
	})
	t.Run("the path that the handler sees is judged", func(t *testing.T) {
		h := http.StripPrefix("/v1", middleware.Routes{"/v1": middleware.Public[*account](), "/notes": signedIn}.Protect(seen))
		want(t, ask(h, "GET", "/v1/notes"), "401 not_authenticated")
	})
}

// Routers by decoded paths and routers by escapes as they were sent must come to the same prefix.
func TestEveryReadingOfAPathComesUnderTheSamePolicy(t *testing.T) {
	p := newProgram(t)
	signedIn, public := middleware.Required(p.bearer), middleware.Public[*account]()
	opened := middleware.Routes{
		"/": public, "/@admin": signedIn, "/v1/notes:purge": signedIn, "/a|b": signedIn, "/café": signedIn, "/straße": signedIn,
	}.Protect(whoami)
	closed := middleware.Routes{"/": signedIn, "/static": public, "/@public": public}.Protect(whoami)
	for _, row := range []struct {
		name, path string
		h          http.Handler
		want       string
	}{
		{"P-16: a reserved character, as it is", "/@admin/users", opened, "401 not_authenticated"},
		{"P-16: escaped", "/%40admin/users", opened, "400 bad_path"},
		{"P-16: a colon, as it is", "/v1/notes:purge", opened, "401 not_authenticated"},
		{"P-16: escaped", "/v1/notes%3Apurge", opened, "400 bad_path"},
		{"P-16: escaped in lower case", "/v1/notes%3apurge", opened, "400 bad_path"},
		{"P-22: in the absolute form", "http://app.example/v1/notes%3Apurge", opened, "400 bad_path"},
		{"a character that net/url escapes", "/a|b", opened, "401 not_authenticated"},
		{"the same, escaped", "/a%7Cb", opened, "401 not_authenticated"},
		{"non-ASCII, escaped as browsers do", "/caf%C3%A9/x", opened, "401 not_authenticated"},
		{"non-ASCII, in another case", "/CAF%C3%89/x", opened, "400 bad_path"},
		{"non-ASCII, escaped in lower case", "/caf%c3%a9/x", opened, "400 bad_path"},
		{"a letter that has another one in upper case", "/stra%C5%BF%C5%BFe", opened, "nobody"},
		{"the long s", "/%C5%BFtra%C3%9Fe", opened, "400 bad_path"},
		{"escapes where nothing depends on them", "/users/ada%40example.com", opened, "nobody"},
		{"open, as it is", "/static/app.js", closed, "nobody"},
		{"open when decoded alone", "/st%61tic/1", closed, "400 bad_path"},
		{"the same beside a brace that net/url would escape", "/st%61tic/1{", closed, "400 bad_path"},
		{"P-14: an encoded slash", "/static%2Fsecret", closed, "400 bad_path"},
		{"P-14: an encoded slash beside a brace", "/static%2Fsecret{", closed, "400 bad_path"},
		{"P-14: an encoded slash beside a raw byte", "/static%2Fsecret\x80", closed, "400 bad_path"},
		{"a raw byte", "/static/\xff", closed, "400 bad_path"},
		{"P-19: a fragment", "/static/x#/y", closed, "400 bad_path"},
		{"a brace", "/static/{x}", closed, "nobody"},
		{"open when decoded alone, a reserved character", "/%40public/x", closed, "400 bad_path"},
		{"parameters, decoded", "/static%3B/x", closed, "400 bad_path"},
		{"parameters", "/static;/x", closed, "400 bad_path"},
	} {
		t.Run(row.name+" "+row.path, func(t *testing.T) { want(t, ask(row.h, "GET", row.path), row.want) })
	}
	t.Run("one of the two forms was changed on the way", func(t *testing.T) {
		want(t, ask(closed, "GET", "/%73tatic/x", func(r *http.Request) { r.URL.Path = "/static/y" }), "400 bad_path")
		want(t, ask(closed, "GET", "/x", func(r *http.Request) { r.URL.RawPath = "/static" }), "400 bad_path")
	})
	t.Run("the request is passed on as it is", func(t *testing.T) {
		ask(closed, "GET", "/static/%7Ex", func(r *http.Request) {
			url := *r.URL
			t.Cleanup(func() {
				if *r.URL != url {
					t.Errorf("%v became %v", url, *r.URL)
				}
			})
		})
	})
}

func TestWhatCannotWorkPanicsAtTheStart(t *testing.T) {
	p := newProgram(t)
	signedIn := middleware.Required(p.bearer)
	var none *middleware.Bearer[*account]
	for name, start := range map[string]func(){
		"no authenticator":                func() { middleware.Required[*account](nil) },
		"a nil authenticator":             func() { middleware.Optional(p.bearer, none) },
		"the zero access":                 func() { middleware.Access[*account]{}.Protect(whoami) },
		"no handler":                      func() { signedIn.Protect(nil) },
		"a condition of nobody":           func() { middleware.Optional(p.bearer).With(middleware.Role("admin")) },
		"Where of nobody":                 func() { middleware.Public[*account]().Where(func(*account) bool { return true }) },
		"a nil condition":                 func() { signedIn.With(nil) },
		"Where without a function":        func() { signedIn.Where(nil) },
		"WithUser without a function":     func() { middleware.WithUser[*account](nil) },
		"Func of an optional user":        func() { middleware.Optional(p.bearer).Func(nil) },
		"no scope":                        func() { middleware.Scope() },
		"an empty scope":                  func() { middleware.Scope("") },
		"a scope with a quote":            func() { middleware.Scope(`a"b`) },
		"a scope with a line break":       func() { middleware.Scope("a\r\nb") },
		"no role":                         func() { middleware.Role() },
		"an age of nothing":               func() { middleware.MaxAuthAge(0, nil) },
		"no method":                       func() { middleware.Methods{}.Protect(whoami) },
		"a method in lower case":          func() { middleware.Methods{"get": signedIn}.Protect(whoami) },
		"two methods in one key":          func() { middleware.Methods{"GET POST": signedIn}.Protect(whoami) },
		"a method without policy":         func() { middleware.Methods{"GET": nil}.Protect(whoami) },
		"no route":                        func() { middleware.Routes{}.Protect(whoami) },
		"a route without slash":           func() { middleware.Routes{"notes": signedIn}.Protect(whoami) },
		"a route that is no clean path":   func() { middleware.Routes{"/a/../b": signedIn}.Protect(whoami) },
		"a route with an escape":          func() { middleware.Routes{"/%61": signedIn}.Protect(whoami) },
		"a route with a wildcard":         func() { middleware.Routes{"/users/{id}/admin": signedIn}.Protect(whoami) },
		"a route with a star":             func() { middleware.Routes{"/users/*": signedIn}.Protect(whoami) },
		"a route with parameters":         func() { middleware.Routes{"/a;b": signedIn}.Protect(whoami) },
		"a route with a line break":       func() { middleware.Routes{"/a\nb": signedIn}.Protect(whoami) },
		"a route in two cases, not ASCII": func() { middleware.Routes{"/É": signedIn, "/é": signedIn}.Protect(whoami) },
		"a route given twice":             func() { middleware.Routes{"/a": signedIn, "/a/": signedIn}.Protect(whoami) },
		"routes that differ in case":      func() { middleware.Routes{"/a": signedIn, "/A": signedIn}.Protect(whoami) },
		"a route of the zero access":      func() { middleware.Routes{"/": middleware.Access[*account]{}}.Protect(whoami) },
		"a route with a policy not there": func() { middleware.Routes{"/": nil}.Protect(whoami) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "middleware: ") {
					t.Errorf("got %q, want a panic that says why", text)
				}
			}()
			start()
		})
	}
}

func TestTwoUserTypesAreKeptApart(t *testing.T) {
	p := newProgram(t)
	claims, err := middleware.NewBearer(p.tokens, middleware.Claims)
	check(t, err)
	h := middleware.Required(claims).Func(func(w http.ResponseWriter, r *http.Request, user token.Claims) {
		_, found := middleware.UserFromContext[*account](r.Context())
		fmt.Fprint(w, user.String("sub"), " ", found)
	})
	want(t, ask(h, "GET", "/", bearer(p.token(t, "ada"))), "ada false")
	want(t, ask(middleware.Required(p.bearer).Protect(h), "GET", "/", bearer(p.token(t, "ada"))), "ada true")
}

func TestWithUserBehindATable(t *testing.T) {
	p := newProgram(t)
	mux := http.NewServeMux()
	mux.Handle("/", middleware.WithUser(func(w http.ResponseWriter, _ *http.Request, user *account) { io.WriteString(w, user.ID) }))
	tree := middleware.Routes{"/": middleware.Optional(p.bearer), "/me": middleware.Required(p.bearer)}.Protect(mux)
	before := p.resolved.Load()
	want(t, ask(tree, "GET", "/me", bearer(p.token(t, "ada"))), "ada")
	if got := p.resolved.Load() - before; got != 1 {
		t.Errorf("the resolver was asked %d times", got)
	}
	want(t, ask(tree, "GET", "/open"), "401 not_authenticated")
}

func TestTheInnermostDecidesWhoItIs(t *testing.T) {
	p := newProgram(t)
	inner := middleware.Optional(p.cookie).Protect(whoami)
	want(t, ask(middleware.Required(p.bearer).Protect(inner), "GET", "/", bearer(p.token(t, "ada"))), "nobody")
}

func TestAnswersArePrivate(t *testing.T) {
	p := newProgram(t)
	said := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, s-maxage=60")
		w.Header().Set("CDN-Cache-Control", "max-age=60")
		io.WriteString(w, "x")
	})
	for name, h := range map[string]http.Handler{"required": middleware.Required(p.bearer).Protect(said), "optional": middleware.Optional(p.bearer).Protect(said)} {
		got := ask(h, "GET", "/", bearer(p.token(t, "ada"))).Header()
		if got.Get("Cache-Control") != "private" || got.Get("CDN-Cache-Control") != "" || fmt.Sprint(got["Vary"]) != "[Cookie Authorization]" {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := ask(middleware.Public[*account]().Protect(said), "GET", "/").Header(); got.Get("Cache-Control") != "public, s-maxage=60" {
		t.Errorf("public: %v", got)
	}
}

// apiKey is an authenticator of the program's own.
type apiKey struct{ key string }

func (a apiKey) Authenticate(_ http.ResponseWriter, r *http.Request) (middleware.Identity[*account], error) {
	switch r.Header.Get("X-Api-Key") {
	case "":
		return middleware.Identity[*account]{}, middleware.ErrNoCredential
	case a.key:
		return middleware.Identity[*account]{User: &account{ID: "robot"}}, nil
	}
	return middleware.Identity[*account]{}, problem.New(problem.TokenInvalid)
}

func TestAnAuthenticatorOfTheProgramsOwn(t *testing.T) {
	p := newProgram(t)
	h := middleware.Required(p.bearer, apiKey{"k"}).Protect(whoami)
	want(t, ask(h, "GET", "/", field("X-Api-Key", "k")), "robot")
	want(t, ask(h, "GET", "/", field("X-Api-Key", "x")), "401 token_invalid")
	want(t, ask(h, "GET", "/", field("X-Api-Key", "k"), bearer("x")), "robot")
	id := middleware.Identity[*account]{User: &account{ID: "robot"}}
	if claims := id.Claims(); claims == nil || len(claims) != 0 {
		t.Errorf("claims of no token: %v", claims)
	}
}
