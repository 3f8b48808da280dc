package examples_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/examples/ninja"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/token"
)

// The program that takes the place of one on django-ninja-aio-crud, over HTTP and beside the one it replaces.

// ninjaUsers is the table of the page's program.
type ninjaUsers map[string]ninja.User

func (u ninjaUsers) User(_ context.Context, id string) (ninja.User, error) {
	if user, ok := u[id]; ok {
		return user, nil
	}
	return ninja.User{}, middleware.ErrNotFound
}

func (u ninjaUsers) CheckPassword(_ context.Context, username, password string) (ninja.User, error) {
	for _, user := range u {
		if user.Username == username && password == adasPassword {
			return user, nil
		}
	}
	return ninja.User{}, middleware.ErrNotFound
}

// The program that the page shows, in the place of the Django program.
func TestTheProgramThatReplacesDjangoNinjaAio(t *testing.T) {
	private, _ := rsaPEM()
	users := ninjaUsers{"42": {ID: "42", Username: "ada", Active: true}, "43": {ID: "43", Username: "bob"}}
	articles := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "{%q:%q}", "did", r.Method) })
	settings := ninja.Settings{PrivateKey: private, Issuer: ninjaIssuer, Audience: ninjaAudience, CSRFKey: []byte(ninjaCSRFKey), Users: users}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	settings.PublicURL = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	mux.Handle("/", mustGet[http.Handler](t)(ninja.New(settings, articles)))

	v := newVisitor(t, settings.PublicURL)
	v.call("GET", "/articles/", "").want(t, http.StatusOK, "")
	v.call("POST", "/articles/", "").want(t, http.StatusUnauthorized, "not_authenticated")
	v.call("GET", "/auth/me/", "").want(t, http.StatusUnauthorized, "not_authenticated")
	for _, wrong := range []string{`{"username":"ada","password":"no"}`, `{"username":"eve","password":"no"}`,
		`{"username":"bob","password":"` + adasPassword + `"}`} {
		v.call("POST", "/auth/login/", wrong).want(t, http.StatusUnauthorized, "invalid_credentials")
	}
	in := v.call("POST", "/auth/login/", `{"username":"ada","password":"`+adasPassword+`"}`)
	in.want(t, http.StatusOK, "")
	if c := in.cookies["access_token"]; in.body["message"] != "ok" || c == nil || c.MaxAge != 900 || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
		t.Errorf("got %v, %v", in.body, in.cookies)
	}
	if c := in.cookies["csrftoken"]; c == nil || c.HttpOnly {
		t.Errorf("the CSRF cookie is not one that script can read: %v", c)
	}
	if me := v.call("GET", "/auth/me/", ""); me.body["user_id"] != "42" || me.body["username"] != "ada" {
		t.Errorf("got %v", me.body)
	}
	v.call("PATCH", "/articles/1", "").want(t, http.StatusOK, "")
	v.csrf = ""
	v.call("PATCH", "/articles/1", "").want(t, http.StatusForbidden, "csrf_failed")
	v.csrf, _ = v.call("GET", "/auth/csrf/", "").body["csrftoken"].(string)
	v.call("PATCH", "/articles/1", "").want(t, http.StatusOK, "")

	users["42"] = ninja.User{ID: "42", Username: "ada"}
	v.call("GET", "/auth/me/", "").want(t, http.StatusUnauthorized, "session_ended")
	users["42"] = ninja.User{ID: "42", Username: "ada", Active: true}

	out := v.call("POST", "/auth/logout/", "")
	if out.body["message"] != "logged out" || out.cookies["access_token"] == nil || out.cookies["access_token"].MaxAge >= 0 {
		t.Errorf("got %v, %v", out.body, out.cookies)
	}
	v.call("GET", "/auth/me/", "").want(t, http.StatusUnauthorized, "not_authenticated")
	foreign := mustGet[*http.Request](t)(http.NewRequest("POST", settings.PublicURL+"/auth/login/", strings.NewReader(`{}`)))
	foreign.Header.Set("Origin", "https://evil.example")
	v.do(foreign).want(t, http.StatusForbidden, "origin_not_allowed")

	t.Run("a user whom Django signed in", func(t *testing.T) {
		raw := withoutKid(t, &ninjaBench{now: time.Now()})
		h := mustGet[http.Handler](t)(ninja.New(withURL(settings, ninjaURL), articles))
		jar := []string{"Cookie", "access_token=" + raw + "; csrftoken=WqY1Sd0nYfJ2Ux7dOJ0jLJdYb0bqk0mS", "Origin", ninjaURL}
		wantAnswer(t, askNinja(h, "GET", "/auth/me/", jar...), `200 {"user_id":"42","username":"ada"}`)
		wantAnswer(t, askNinja(h, "POST", "/articles/", append(jar, csrf.Header, "WqY1Sd0nYfJ2Ux7dOJ0jLJdYb0bqk0mS")...), "403 csrf_failed")
		token := strings.TrimSuffix(strings.TrimPrefix(askNinja(h, "GET", "/auth/csrf/", jar...), `200 {"csrftoken":"`), `"}`)
		wantAnswer(t, askNinja(h, "POST", "/articles/", append(jar, csrf.Header, token)...), `200 {"did":"POST"}`)
	})
	t.Run("mistakes show when it starts", func(t *testing.T) {
		for want, change := range map[string]func(*ninja.Settings){
			"JWT_PRIVATE_KEY: is required":        func(s *ninja.Settings) { s.PrivateKey = nil },
			"DecoderConfig.Issuer is required":    func(s *ninja.Settings) { s.Issuer = "" },
			"DecoderConfig.Audience is required":  func(s *ninja.Settings) { s.Audience = "" },
			"use at least 32":                     func(s *ninja.Settings) { s.CSRFKey = []byte("short") },
			"plain http for":                      func(s *ninja.Settings) { s.PublicURL = "http://blog.example" },
			"CookieConfig.PublicURL: is required": func(s *ninja.Settings) { s.PublicURL = "" },
		} {
			s := withURL(settings, ninjaURL)
			change(&s)
			_, err := ninja.New(s, articles)
			wantError(t, err, want)
		}
	})
}

func withURL(s ninja.Settings, url string) ninja.Settings {
	s.PublicURL = url
	return s
}

// With sessions, Django's tokens are taken beside them until the last is over.
func TestDjangosTokensBesideSessions(t *testing.T) {
	p := newProgram(t, nil).withAda(t, false)
	guard := mustGet[*session.Guard](t)(session.New(session.Config{Service: p.service, PublicURL: ninjaURL}))
	b := newNinjaBench(t)
	h := ninja.Both(guard, b.cookie(t, b.handler("django"), nil), b.handler("session")).Func(answerVia)
	wantAnswer(t, askNinja(h, "GET", "/"), "401 not_authenticated")
	wantAnswer(t, askNinja(h, "GET", "/", "Cookie", "access_token="+withoutKid(t, b)), `200 {"via":"django","sub":"42"}`)

	_, access, _ := signIn(t, p.url)
	if got := askNinja(h, "GET", "/", "Cookie", "__Host-access_token="+access); !strings.HasPrefix(got, `200 {"via":"session","sub":"`) {
		t.Errorf("got %s", got)
	}
	wantAnswer(t, askNinja(h, "POST", "/", "Cookie", "__Host-access_token="+access, "Origin", ninjaURL), "403 csrf_failed")

	// The operations are where the guides of django-ninja-aio have them, with a slash at the end or without.
	v := newVisitor(t, p.url)
	v.call("POST", "/auth/login/", `{"username":"ada","password":"`+adasPassword+`"}`).want(t, http.StatusOK, "")
	stolen := mustGet[*http.Request](t)(http.NewRequest("GET", p.url+"/auth/user/", nil))
	for _, c := range v.client.Jar.Cookies(stolen.URL) {
		stolen.AddCookie(c)
	}
	v.call("GET", "/auth/user/", "").want(t, http.StatusOK, "")
	v.call("POST", "/auth/token/refresh/", "").want(t, http.StatusOK, "")
	v.call("POST", "/auth/logout/", "").want(t, http.StatusOK, "")
	(&visitor{t: t, client: &http.Client{}}).do(stolen).want(t, http.StatusUnauthorized, "token_revoked")
}

// What Python signs is taken here, and the reverse. Joserfc is what django-ninja-aio signs with; Debian has PyJWT.
func TestTokensOfPythonAndOurs(t *testing.T) {
	b := newNinjaBench(t)
	b.now = time.Now()
	private, public := rsaPEM()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "private.pem"), string(private))
	write(t, filepath.Join(dir, "public.pem"), string(public))
	write(t, filepath.Join(dir, "ours"), b.token(t, token.Claims{"sub": "42"}))
	for _, library := range []struct{ name, script string }{
		{"PyJWT", `
import time, jwt
now = int(time.time())
print(jwt.encode({"iat": now, "nbf": now, "exp": now + 900, "sub": "42", "iss": "blog-api", "aud": "blog-clients"},
    open("private.pem").read(), algorithm="RS256", headers={"typ": "JWT"}))
raw = open("ours").read()
print(jwt.decode(raw, open("public.pem").read(), algorithms=["RS256"], issuer="blog-api", audience="blog-clients",
    options={"require": ["exp", "iss", "aud", "sub"]})["sub"], sorted(jwt.get_unverified_header(raw)))
`},
		{"joserfc", `
import datetime
from joserfc import jwk, jwt
now = datetime.datetime.now(datetime.timezone.utc)
private = jwk.RSAKey.import_key(open("private.pem").read())
print(jwt.encode({"alg": "RS256", "typ": "JWT"}, {"iat": now, "nbf": now, "exp": now + datetime.timedelta(seconds=900),
    "sub": "42", "iss": "blog-api", "aud": "blog-clients"}, private, algorithms=["RS256"]))
token = jwt.decode(open("ours").read(), jwk.RSAKey.import_key(open("public.pem").read()), algorithms=["RS256"])
jwt.JWTClaimsRegistry(iss={"essential": True, "value": "blog-api"}, aud={"essential": True, "value": "blog-clients"},
    sub={"essential": True}).validate(token.claims)
print(token.claims["sub"], sorted(token.header))
`},
	} {
		t.Run(library.name, func(t *testing.T) {
			python := pythonWith(map[string]string{"PyJWT": "jwt, cryptography", "joserfc": "joserfc"}[library.name])
			switch {
			case python == "" && library.name == "PyJWT":
				skip(t, "PyJWT is not installed: apt-get install python3-jwt, or pip install 'pyjwt[crypto]'")
			case python == "": // even where all else must be there: not every distribution has it
				t.Skip("joserfc is not installed: pip install joserfc")
			}
			script := filepath.Join(dir, "with-"+library.name+".py")
			write(t, script, library.script)
			c := exec.Command(python, script)
			c.Dir = dir
			var stderr strings.Builder
			c.Stderr = &stderr
			out, err := c.Output()
			if err != nil {
				t.Fatalf("our token is not taken: %v\n%s", err, stderr.String())
			}
			theirs, read, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			if want := "42 ['alg', 'kid', 'typ']"; read != want {
				t.Errorf("they read %q, want %q", read, want)
			}
			cfg := b.config()
			cfg.Now, cfg.EarlyLeeway = time.Now, 5*time.Second
			claims := mustGet[token.Claims](t)(mustGet[*token.Decoder](t)(token.NewDecoder(cfg)).Decode(theirs))
			if claims.String("sub") != "42" {
				t.Errorf("we read %v", claims)
			}
		})
	}
	t.Run("the file that the page shows is Python", func(t *testing.T) {
		python := pythonWith("ast")
		if python == "" {
			skip(t, "Python is not installed")
		}
		if out, err := exec.Command(python, "-c", `import ast; ast.parse(open("ninja/views.py").read())`).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// pythonWith returns a Python that has these modules, "" when there is none.
func pythonWith(modules string) string {
	for _, p := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(p, "-c", "import "+modules).Run() == nil {
			return p
		}
	}
	return ""
}
