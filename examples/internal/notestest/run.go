package notestest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/examples/internal/notes"
)

// Run runs all visits to a program. Nothing is to stand between routes and its router but what the example has there.
func Run(t *testing.T, routes func(*notes.App) http.Handler) {
	t.Run("visits", func(t *testing.T) { visits(t, routes) })
	t.Run("sign-in sets the two cookies, and sign-out deletes them", func(t *testing.T) { signInAndOut(t, routes) })
	t.Run("a database that fails signs nobody out", func(t *testing.T) { databaseFails(t, routes) })
	t.Run("no spelling of a path leads around the policy", func(t *testing.T) { spellings(t, routes) })
}

const note = `{"text":"buy milk"}`

// visits are judged one by one, in this order, on one site: note 1 is there from the first write on.
func visits(t *testing.T, routes func(*notes.App) http.Handler) {
	s := newSite(t, routes)
	nobody, ada, grace := s.browser(t), s.signedIn(t, "ada"), s.signedIn(t, "grace")
	adasProgram, gracesProgram := s.program(t, "ada"), s.program(t, "grace")
	dead := with("Cookie", "__Host-access_token=eyJhbGciOiJFUzI1NiJ9.e30.AAAA")

	for _, v := range []struct {
		name         string
		who          *visitor
		method, path string
		changes      []change
		status       int
		code         string // of the refusal
		private      bool
		body         string // is in the answer
		challenge    string
	}{
		{name: "anybody reads", who: nobody, method: "GET", path: "/notes", status: 200, body: "[]"},
		{name: "nobody writes", who: nobody, method: "POST", path: "/notes", status: 401, code: "not_authenticated", challenge: "Bearer"},
		{name: "nobody writes, from a program", who: nobody, method: "POST", path: "/notes", changes: []change{program}, status: 401, code: "not_authenticated"},

		{name: "a cookie with its CSRF token writes", who: ada, method: "POST", path: "/notes", status: 201, private: true, body: `"author":"ada"`},
		{name: "a cookie without CSRF token does not", who: ada, method: "POST", path: "/notes", changes: []change{without("X-CSRFToken")}, status: 403, code: "csrf_failed"},
		{name: "nor with somebody else's", who: ada, method: "POST", path: "/notes", changes: []change{with("X-CSRFToken", grace.cookie("__Host-csrftoken"))}, status: 403, code: "csrf_failed"},
		{name: "nor from a page of another site", who: ada, method: "POST", path: "/notes", changes: []change{foreign}, status: 403, code: "origin_not_allowed"},
		{name: "nor from one that learnt the CSRF token", who: ada, method: "POST", path: "/notes", changes: []change{with("Origin", "https://evil.example")}, status: 403, code: "origin_not_allowed"},

		{name: "a bearer writes without a CSRF token", who: adasProgram, method: "POST", path: "/notes", status: 201, private: true, body: `"author":"ada"`},
		{name: "from wherever", who: adasProgram, method: "POST", path: "/notes", changes: []change{foreign}, status: 201},
		{name: "a dead cookie does not hide a good bearer", who: adasProgram, method: "POST", path: "/notes", changes: []change{dead}, status: 201},
		{name: "a dead cookie alone", who: nobody, method: "POST", path: "/notes", changes: []change{dead}, status: 401, code: "token_invalid", challenge: `Bearer error="invalid_token"`},
		{name: "a forged bearer", who: adasProgram, method: "POST", path: "/notes", changes: []change{with("Authorization", "Bearer "+adasProgram.bearer[:len(adasProgram.bearer)-8]+"AAAAAAAA")}, status: 401, code: "token_invalid"},
		{name: "the tokens of two users", who: ada, method: "POST", path: "/notes", changes: []change{with("Authorization", "Bearer "+gracesProgram.bearer)}, status: 401, code: "token_invalid"},
		{name: "a bearer does not make up for a failed CSRF check", who: ada, method: "POST", path: "/notes", changes: []change{foreign, with("Authorization", "Bearer "+adasProgram.bearer)}, status: 403, code: "origin_not_allowed"},

		{name: "nobody is let in to the staff's part", who: nobody, method: "GET", path: "/staff/notes", status: 401, code: "not_authenticated"},
		{name: "an account is not", who: ada, method: "GET", path: "/staff/notes", status: 403, code: "permission_denied"},
		{name: "its program is not", who: adasProgram, method: "DELETE", path: "/staff/notes/1", status: 403, code: "permission_denied"},
		{name: "staff is", who: grace, method: "GET", path: "/staff/notes", status: 200, private: true, body: `"account_id":"1"`},
		{name: "staff's program is", who: gracesProgram, method: "GET", path: "/staff/notes", status: 200, private: true},
		{name: "staff needs the CSRF token as well", who: grace, method: "DELETE", path: "/staff/notes/1", changes: []change{without("X-CSRFToken")}, status: 403, code: "csrf_failed"},
		{name: "staff deletes", who: grace, method: "DELETE", path: "/staff/notes/1", status: 204, private: true},
		{name: "what is gone is gone", who: grace, method: "DELETE", path: "/staff/notes/1", status: 404, code: "not_found"},

		{name: "a cookie has the scope", who: ada, method: "GET", path: "/notes/export", status: 200, private: true, body: `"author":"ada"`},
		{name: "a bearer does not", who: adasProgram, method: "GET", path: "/notes/export", status: 403, code: "insufficient_scope", challenge: `Bearer error="insufficient_scope", scope="notes:export"`},

		{name: "a wrong password", who: nobody, method: "POST", path: "/login", status: 401, code: "invalid_credentials"},
		{name: "a page of another site signs nobody in", who: nobody, method: "POST", path: "/login", changes: []change{foreign}, status: 403, code: "origin_not_allowed"},
		{name: "nor out", who: ada, method: "POST", path: "/logout", changes: []change{foreign}, status: 403, code: "origin_not_allowed"},
		{name: "an empty note", who: ada, method: "POST", path: "/notes?empty", status: 422, code: "validation_failed"},
	} {
		t.Run(v.name, func(t *testing.T) {
			body := map[string]string{"POST /notes": note, "POST /notes?empty": "{}", "POST /login": `{"name":"ada","password":"wrong"}`}[v.method+" "+v.path]
			a := v.who.send(t, v.method, v.path, body, v.changes...)
			a.want(t, v.status, v.code)
			if v.private {
				a.wantPrivate(t)
			}
			if !strings.Contains(a.body, v.body) {
				t.Errorf("the answer is %s, without %s", a.body, v.body)
			}
			if got := a.header.Get("WWW-Authenticate"); v.challenge != "" && got != v.challenge {
				t.Errorf("the challenge is %q, want %q", got, v.challenge)
			}
		})
	}
}

func signInAndOut(t *testing.T, routes func(*notes.App) http.Handler) {
	v := newSite(t, routes).browser(t)
	in := v.send(t, "POST", "/login", credentials("ada"))
	in.want(t, http.StatusOK, "")
	if len(in.cookies) != 2 || strings.Contains(in.body, "eyJ") {
		t.Fatalf("sign-in sets %v and answers %s", in.cookies, in.body)
	}
	for i, c := range in.cookies {
		name, forScript := []string{"__Host-access_token", "__Host-csrftoken"}[i], i == 1
		if c.Name != name || !c.Secure || c.HttpOnly == forScript || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge <= 0 {
			t.Errorf("got the cookie %s, want %s", c, name)
		}
	}
	if got := in.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("sign-in may be stored: Cache-Control %q", got)
	}
	v.send(t, "POST", "/notes", note).want(t, http.StatusCreated, "")

	out := v.send(t, "POST", "/logout", "")
	out.want(t, http.StatusNoContent, "")
	if len(out.cookies) != 2 {
		t.Errorf("sign-out sets %v", out.cookies)
	}
	for i, c := range out.cookies {
		if c.Name != in.cookies[i].Name || c.Value != "" || c.MaxAge >= 0 {
			t.Errorf("sign-out sets %s", c)
		}
	}
	v.send(t, "POST", "/notes", note).want(t, http.StatusUnauthorized, "not_authenticated")
}

func databaseFails(t *testing.T, routes func(*notes.App) http.Handler) {
	s := newSite(t, routes)
	ada, adasProgram := s.signedIn(t, "ada"), s.program(t, "ada")
	s.accounts.fails.Store(true)
	for _, v := range []*visitor{ada, adasProgram} {
		a := v.send(t, "POST", "/notes", note)
		a.want(t, http.StatusServiceUnavailable, "store_unavailable")
		if a.header.Get("Retry-After") == "" || strings.Contains(a.body, "connection refused") {
			t.Errorf("503 with Retry-After %q: %s", a.header.Get("Retry-After"), a.body)
		}
		v.send(t, "GET", "/staff/notes", "").want(t, http.StatusServiceUnavailable, "store_unavailable")
	}
	ada.send(t, "GET", "/notes", "").want(t, http.StatusOK, "") // nobody is asked for there
	s.accounts.fails.Store(false)
	for _, v := range []*visitor{ada, adasProgram} {
		v.send(t, "POST", "/notes", note).want(t, http.StatusCreated, "")
	}
}
