package tokenjartest_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

func TestUnsafeRequests(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{})
	ada := app.SignIn("ada")
	for _, tt := range []struct {
		name   string
		change []func(*http.Request)
		status int
		code   string
	}{
		{"a page of ours", nil, 200, ""},
		{"without the CSRF header", []func(*http.Request){tokenjartest.WithoutCSRF}, 403, "csrf_failed"},
		{"with another's CSRF token", []func(*http.Request){tokenjartest.Header("X-CSRFToken", strings.Repeat("a", 43))}, 403, "csrf_failed"},
		{"of another site", []func(*http.Request){tokenjartest.CrossSite}, 403, "origin_not_allowed"},
		{"a program that says nothing of where it is from", []func(*http.Request){
			tokenjartest.Header("Origin", ""), tokenjartest.Header("Sec-Fetch-Site", "")}, 200, ""},
	} {
		for _, path := range []string{"/me", "/"} {
			t.Run(tt.name+" "+path, func(t *testing.T) {
				for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
					got := ada.With(t).Send(method, path, nil, tt.change...).Want(tt.status)
					if string(got.Code()) != tt.code {
						t.Errorf("%s: got %q, want %q", method, got.Code(), tt.code)
					}
				}
				w := httptest.NewRecorder()
				app.ServeHTTP(w, ada.Request("POST", path, nil, tt.change...))
				if w.Code != tt.status {
					t.Errorf("recorded: got %d, want %d", w.Code, tt.status)
				}
			})
		}
	}
	t.Run("a safe request needs none of it", func(t *testing.T) {
		ada.With(t).Get("/me", tokenjartest.WithoutCSRF, tokenjartest.CrossSite).Want(200)
	})
	t.Run("a bearer needs none of it", func(t *testing.T) {
		app.With(t).Bearer("ada").Post("/me", nil, tokenjartest.CrossSite).Want(200)
	})
}

func TestWhatAClientAdds(t *testing.T) {
	t.Parallel()
	app := tokenjartest.New(t, tokenjartest.Config{})
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(r.Header) })
	app.Serve(echo)
	headers := func(r *tokenjartest.Response) (h http.Header) { r.JSON(&h); return h }

	ada := app.SignIn("ada")
	safe, unsafe := headers(ada.Get("/")), headers(ada.Post("/", nil))
	if safe.Get("Origin") != "" || safe.Get("X-CSRFToken") != "" || safe.Get("Sec-Fetch-Site") != "same-origin" {
		t.Errorf("GET: got %v", safe)
	}
	if unsafe.Get("Origin") != app.URL || len(unsafe.Get("X-CSRFToken")) != 43 || unsafe.Get("Sec-Fetch-Site") != "same-origin" {
		t.Errorf("POST: got %v", unsafe)
	}
	if got := headers(app.Anonymous().Post("/", nil)); got.Get("Origin") != app.URL || got["X-Csrftoken"] != nil || got["Cookie"] != nil {
		t.Errorf("nobody: got %v", got)
	}
	phone := app.Bearer("ada")
	got := headers(phone.Post("/", nil))
	if got.Get("Authorization") != "Bearer "+phone.AccessToken() || got["Cookie"] != nil || got["Origin"] != nil || phone.Cookies() != nil {
		t.Errorf("bearer: got %v", got)
	}

	t.Run("nobody else gets any of it", func(t *testing.T) {
		elsewhere := httptest.NewServer(echo)
		defer elsewhere.Close()
		other := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1) // cookies are a host's, whatever the port
		for name, c := range map[string]*tokenjartest.Client{"browser": ada, "bearer": phone} {
			res, err := c.HTTP.Post(other, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			var h http.Header
			json.NewDecoder(res.Body).Decode(&h)
			res.Body.Close()
			for _, field := range []string{"Origin", "X-Csrftoken", "Cookie", "Authorization", "Sec-Fetch-Site"} {
				if h[field] != nil {
					t.Errorf("%s: another server got %s: %q", name, field, h[field])
				}
			}
		}
	})
	t.Run("code that wants an http.Client gets one", func(t *testing.T) {
		res, err := ada.HTTP.Post(app.URL+"/", "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var h http.Header
		json.NewDecoder(res.Body).Decode(&h)
		if h.Get("X-CSRFToken") == "" || h.Get("Cookie") == "" {
			t.Errorf("got %v", h)
		}
	})
}

func TestBodies(t *testing.T) {
	t.Parallel()
	app := tokenjartest.New(t, tokenjartest.Config{})
	app.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.Header.Get("Content-Type")+" "+string(body))
	}))
	c := app.Anonymous()
	for _, tt := range []struct {
		name string
		body any
		want string
	}{
		{"nothing", nil, " "},
		{"a struct", struct{ Item string }{"tea"}, `application/json {"Item":"tea"}`},
		{"text", `{"item":"tea"}`, `application/json {"item":"tea"}`},
		{"bytes", []byte(`[1]`), `application/json [1]`},
		{"a form", url.Values{"item": {"green tea"}}, "application/x-www-form-urlencoded item=green+tea"},
		{"a reader", strings.NewReader("tea"), " tea"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := c.With(t).Post("/", tt.body).Text(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("a change has the last word", func(t *testing.T) {
		if got := c.With(t).Post("/", "tea", tokenjartest.Header("Content-Type", "text/plain")).Text(); got != "text/plain tea" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a request of one's own", func(t *testing.T) {
		for _, target := range []string{"/x", app.URL + "/x"} {
			r, err := http.NewRequest("PUT", target, strings.NewReader("tea"))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.With(t).Do(r).Want(200).Text(); got != " tea" {
				t.Errorf("got %q", got)
			}
		}
	})
}

func TestClientsNeverShareCookies(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{})
	ada, again, eve, nobody := app.SignIn("ada"), app.SignIn("ada"), app.SignIn("eve"), app.Anonymous()
	if ada.Identity().SessionID == again.Identity().SessionID || ada.User.ID != again.User.ID || ada.User.ID == eve.User.ID {
		t.Errorf("got %+v, %+v and %+v", ada.Identity(), again.Identity(), eve.Identity())
	}
	seen := map[string]bool{}
	for _, c := range []*tokenjartest.Client{ada, again, eve} {
		if len(c.Cookies()) != 3 {
			t.Errorf("got %d cookies", len(c.Cookies()))
		}
		for _, each := range c.Cookies() {
			if seen[each.Value] {
				t.Errorf("two clients have one %s", each.Name)
			}
			seen[each.Value] = true
		}
	}
	if len(nobody.Cookies()) != 0 || nobody.AccessToken() != "" {
		t.Errorf("nobody has %v", nobody.Cookies())
	}
	ada.SignOut()
	for _, tt := range []struct {
		client *tokenjartest.Client
		status int
	}{{ada, 401}, {again, 200}, {eve, 200}} {
		tt.client.Get("/me").Want(tt.status)
	}
}

func TestTabsAreOneBrowser(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{})
	ada := app.SignIn("ada")
	tab := ada.Tab()
	app.Clock.Advance(5 * time.Minute)
	t.Run("of many tabs that are renewed at once, none is signed out", func(t *testing.T) {
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if got := ada.Tab().With(t).Get("/me"); got.Status != 200 {
					t.Errorf("got %d %s", got.Status, got.Code())
				}
			})
		}
		group.Wait()
	})
	tab.Get("/me").Want(200)
	if tab.AccessToken() != ada.AccessToken() || tab.User != ada.User {
		t.Error("the tabs have different cookies")
	}
	tab.SignOut()
	ada.Get("/me").Want(401)
	if len(ada.Cookies()) != 0 {
		t.Errorf("signed out in another tab, but here are %v", ada.Cookies())
	}
	phone := app.Bearer("ada")
	phone.Refresh()
	if other := phone.Tab(); other.AccessToken() != phone.AccessToken() {
		t.Error("two of one bearer have different tokens")
	}
}

func TestSigningOutEndsTheBearersSessionOnlyIfItIsTheSame(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{})
	ada, phone := app.SignIn("ada"), app.Bearer("ada")
	same := tokenjartest.Header("Authorization", "Bearer "+ada.AccessToken())
	app.Anonymous().Get("/me", same).Want(200)
	ada.SignOut()
	if got := app.Anonymous().Get("/me", same).Want(401); got.Code() != "token_revoked" {
		t.Errorf("a bearer with the token of the session: got %s", got.Code())
	}
	phone.Get("/me").Want(200)

	again := app.SignIn("ada")
	access := phone.AccessToken()
	phone.SignOut()
	if phone.AccessToken() != access {
		t.Error("the bearer has forgotten its token")
	}
	phone.Get("/me").Want(401)
	again.Get("/me").Want(200)
}

func TestAStolenRefreshTokenCanBePlayed(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{})
	ada, thief := app.SignIn("ada"), app.Anonymous()
	base, err := url.Parse(app.URL)
	if err != nil {
		t.Fatal(err)
	}
	thief.HTTP.Jar.SetCookies(base, ada.Cookies())
	thief.Get("/me").Want(200)
	for range 3 {
		app.Clock.Advance(5 * time.Minute)
		ada.Get("/me").Want(200)
	}
	if got := thief.Get("/me").Want(401); got.Code() != "session_reused" {
		t.Errorf("got %s", got.Code())
	}
	ada.Get("/me").Want(401)
}

func TestRequestsThatAreRecorded(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{})
	ask := func(method, path, user string, changes ...func(*http.Request)) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, app.Request(method, path, user, nil, changes...))
		return w
	}
	ada := app.User("ada")
	for _, method := range []string{"GET", "POST"} {
		if w := ask(method, "/me", "ada"); w.Code != 200 || w.Body.String() != ada.ID {
			t.Errorf("%s: got %d %s", method, w.Code, w.Body)
		}
		if w := ask(method, "/me", ""); w.Code != 401 {
			t.Errorf("%s: nobody got %d", method, w.Code)
		}
	}
	if w := ask("POST", "/me", "ada", tokenjartest.WithoutCSRF); w.Code != 403 {
		t.Errorf("without the header: got %d", w.Code)
	}
	if r := app.Request("POST", "/me", "ada", nil, tokenjartest.WithoutCSRF); len(r.Header.Values("X-CSRFToken")) != 0 || r.Header["X-Csrftoken"] != nil {
		t.Errorf("got %v", r.Header)
	}

	t.Run("one session serves them for as long as it is good", func(t *testing.T) {
		sessions := func() int {
			list, err := app.Service.Sessions(t.Context(), ada.ID)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		if n := sessions(); n != 1 {
			t.Errorf("got %d sessions, want 1", n)
		}
		app.Clock.Advance(time.Hour)
		if w := ask("POST", "/me", "ada"); w.Code != 200 || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("an hour later: got %d, cookies %q", w.Code, w.Header()["Set-Cookie"])
		}
		if _, err := app.Service.LogoutAll(t.Context(), ada.ID); err != nil {
			t.Fatal(err)
		}
		if w := ask("POST", "/me", "ada"); w.Code != 200 {
			t.Errorf("after a sign-out everywhere: got %d", w.Code)
		}
	})
	t.Run("a context without any request", func(t *testing.T) {
		id, ok := tokenjar.IdentityFromContext(app.With(t).Context("ada"))
		if !ok || id.UserID != ada.ID || id.Claims().String("iss") != app.URL {
			t.Errorf("got %+v %v", id, ok)
		}
	})
	t.Run("a bearer's", func(t *testing.T) {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, app.With(t).Bearer("ada").Request("POST", "/me", nil))
		if w.Code != 200 {
			t.Errorf("got %d", w.Code)
		}
	})
}

func TestRedirectsAreAnswers(t *testing.T) {
	t.Parallel()
	app := tokenjartest.New(t, tokenjartest.Config{})
	mux := http.NewServeMux()
	mux.Handle("/old", http.RedirectHandler("/new", http.StatusSeeOther))
	mux.HandleFunc("/new", whoami)
	app.Serve(mux)
	c := app.Anonymous()
	if got := c.Get("/old").Want(303).Header.Get("Location"); got != "/new" {
		t.Errorf("got %q", got)
	}
	c.HTTP.CheckRedirect = nil
	c.Get("/old").Want(200)
}

func TestWhatFailsATest(t *testing.T) {
	t.Parallel()
	app := newApp(t, tokenjartest.Config{})
	ada := app.SignIn("ada")
	for _, tt := range []struct {
		name string
		do   func(t testing.TB)
		says []string
	}{
		{"another status", func(t testing.TB) { ada.With(t).Post("/me", nil, tokenjartest.WithoutCSRF).Want(201) },
			[]string{"POST /me", "got status 403, want 201", "csrf_failed"}},
		{"a body that is no JSON", func(t testing.TB) { ada.With(t).Get("/me?x=1").JSON(&struct{}{}) },
			[]string{"GET /me?x=1", "status 200", ada.User.ID}},
		{"no body at all", func(t testing.TB) { ada.With(t).Send("HEAD", "/me", nil).Want(500) }, []string{"(no body)"}},
		{"a path that is none", func(t testing.TB) { ada.With(t).Get("me") }, []string{`"me"`, "slash"}},
		{"a path that is another server's", func(t testing.TB) { ada.With(t).Get("//evil.example/") }, []string{"is no path"}},
		{"a method that is none", func(t testing.TB) { ada.With(t).Send("GE T", "/", nil) }, []string{"GE T"}},
		{"a body that cannot be encoded", func(t testing.TB) { ada.With(t).Post("/", func() {}) }, []string{"body"}},
		{"a server's request", func(t testing.TB) { ada.With(t).Do(ada.Request("GET", "/me", nil)) }, []string{"RequestURI"}},
		{"an answer that ends early", func(t testing.TB) {
			app := tokenjartest.New(t, tokenjartest.Config{})
			app.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "100")
				io.WriteString(w, "tea")
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}))
			app.Anonymous().Get("/")
		}, []string{"GET /", "early"}},
		{"a reader that fails", func(t testing.TB) { ada.With(t).Post("/", failingReader{}) }, []string{"out of ink"}},
		{"a refresh that is refused", func(t testing.TB) { app.With(t).Anonymous().Refresh() }, []string{"refresh_missing"}},
		{"an identity of nobody", func(t testing.TB) { app.With(t).Anonymous().Identity() }, []string{"no good access token"}},
	} {
		t.Run(tt.name, func(t *testing.T) { wantFailure(t, tt.do, tt.says...) })
	}
	t.Run("no status does", func(t *testing.T) {
		if got := failure(t, func(t testing.TB) { app.With(t).Anonymous().Get("/me") }); got != "" {
			t.Errorf("it failed: %s", got)
		}
	})
	t.Run("a message has no endless body", func(t *testing.T) {
		app := tokenjartest.New(t, tokenjartest.Config{})
		app.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("tea ", 1<<16)) }))
		if got := failure(t, func(t testing.TB) { app.With(t).Anonymous().Get("/").Want(201) }); len(got) > 1200 {
			t.Errorf("it has %d bytes", len(got))
		}
	})
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("out of ink") }
