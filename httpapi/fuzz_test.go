package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"
)

// serve sends a request through the whole tree, without a connection.
func serve(w *servertest.World, h http.Handler, method, path, body string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = w.Host()
	r.Header = header
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

// described fails the test unless the document describes an answer.
func described(t *testing.T, w *servertest.World, method, path string, rec *httptest.ResponseRecorder) {
	t.Helper()
	w.CheckContract(t, method, path, servertest.Answer{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()})
}

// FuzzLoginBody: a body of any bytes is a success or a refusal by the contract, never a fault of ours.
func FuzzLoginBody(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"username":"ada","password":""}`, `{"username":"","password":"x"}`, `{"username":1}`, `{"a":{"b":{}}}`, "\ufeff{}", `{"username":"\ud800"}`,
		`{"USERNAME":"ada","Password":"x"}`, `{"password":"x","password":"y"}`, `{"username":null}`, `{"remember":1e400}`, `{"":0}`, `{"email":"a@b","username":"c","password":"d"}`,
	} {
		f.Add([]byte(seed), "application/json")
	}
	f.Add([]byte(`{}`), "text/plain")
	f.Add([]byte(`{}`), "application/json; charset=")
	w := servertest.Start(f)
	h := w.Server.Handler()
	f.Fuzz(func(t *testing.T, body []byte, media string) {
		for _, path := range []string{"/auth/login", "/auth/token"} {
			rec := serve(w, h, "POST", path, string(body), http.Header{"Content-Type": {media}})
			switch rec.Code {
			case 400, 401, 413, 415, 422, 429:
			default:
				t.Errorf("%s: %d for %q: %s", path, rec.Code, body, rec.Body)
			}
			if len(rec.Result().Cookies()) != 0 || rec.Header().Get("X-Tokenjar-Problem") == "" {
				t.Errorf("%s: %d: %v", path, rec.Code, rec.Header())
			}
			described(t, w, "POST", path, rec)
		}
	})
}

// FuzzCredentialHeaders: without a genuine token nothing gets in, and nothing breaks.
func FuzzCredentialHeaders(f *testing.F) {
	w := servertest.Start(f)
	p := w.SignIn(f, servertest.Ada)
	forged := forge(p.Access)
	for _, seed := range [][3]string{
		{"", "", ""}, {"Bearer " + forged, "", ""}, {"", "access_token=" + forged, ""}, {"", `access_token="x"; refresh_token=` + forge(p.Refresh), "x"}, {"Bearer  x", "a=b;;;=;", "\xff"},
		{"Basic YTpi", "access_token", p.CSRF}, {"bearer ..", "refresh_token=..", "A"}, {"Bearer e30.e30.", "access_token=e30.e30.; access_token=x", ""}, {"\x00", "\x00=\x00", "\x00"},
		{"Bearer eyJhbGciOiJub25lIn0.e30.", "refresh_token=eyJhbGciOiJub25lIn0.e30.", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	h := w.Server.Handler()
	f.Fuzz(func(t *testing.T, authorization, cookies, csrf string) {
		for _, genuine := range []string{p.Access, p.Refresh} {
			if strings.Contains(authorization+cookies, genuine) {
				return
			}
		}
		before := w.Digest(t)
		header := http.Header{"Authorization": {authorization}, "Cookie": {cookies}, "X-Csrftoken": {csrf}, "Origin": {w.Origin}}
		for _, r := range []string{"GET /auth/user", "PATCH /auth/user", "GET /auth/csrf", "DELETE /auth/sessions", "POST /auth/token/refresh", "POST /auth/token/verify", "POST /auth/password/change", "PUT /auth/user"} {
			method, path, _ := strings.Cut(r, " ")
			if rec := serve(w, h, method, path, "", header.Clone()); rec.Code/100 != 4 {
				t.Errorf("%s: %d %s", r, rec.Code, rec.Body)
			} else {
				described(t, w, method, path, rec)
			}
		}
		rec := serve(w, h, "GET", "/auth/session", "", header.Clone())
		if rec.Code != 431 && rec.Body.String() != "{\"authenticated\":false}\n" {
			t.Errorf("session: %d %s", rec.Code, rec.Body)
		}
		if rec := serve(w, h, "POST", "/auth/logout", "", header.Clone()); rec.Code != 200 && rec.Code != 431 {
			t.Errorf("logout: %d %s", rec.Code, rec.Body)
		}
		if rec := serve(w, h, "POST", "/auth/token/blacklist", "", header.Clone()); rec.Code != 200 && rec.Code != 401 && rec.Code != 431 {
			t.Errorf("blacklist: %d %s", rec.Code, rec.Body)
		}
		if w.Digest(t) != before {
			t.Error("something changed")
		}
	})
}
