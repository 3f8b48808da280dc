package tokenjartest

import (
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar"
)

// A Client is somebody who uses an app: a browser with a page of the app in it, or, from [App.Bearer], a program with
// tokens of its own. It is safe for concurrent use, as the tabs of a browser are.
//
// A browser keeps cookies by the time of the app's clock, and adds to each request to the app what a browser and the script
// of our page would: Sec-Fetch-Site and, if the method is unsafe, Origin and the CSRF token from its cookie. It refuses
// cookies whose name has a prefix that their attributes do not keep.
type Client struct {
	// HTTP is the client itself, for code that wants one: it does all of the above. Redirects are answers and are not
	// followed; set CheckRedirect to nil to follow them.
	HTTP *http.Client
	// User is who signed in, as of then. Of [App.Anonymous] it is nobody.
	User tokenjar.User

	t      testing.TB
	app    *App
	jar    *jar          // nil: no browser
	tokens *bearerTokens // nil: no bearer
}

// bearerTokens are those of a client without cookies.
type bearerTokens struct {
	mu              sync.Mutex
	access, refresh string
}

func (b *bearerTokens) get() (access, refresh string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.access, b.refresh
}

// take keeps the tokens of an answer.
func (b *bearerTokens) take(r *Response) {
	r.t.Helper()
	var pair struct{ Access, Refresh string }
	r.JSON(&pair)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.access, b.refresh = pair.Access, pair.Refresh
}

// SignIn signs a user in through the real login, in a browser of their own, and makes the user if need be ([App.User]).
// Called again for the same user it is another browser, with another session. It fails the test when the login is refused.
//
// It costs one check of a password, 20 to 40 ms of a core, for hashes are as strong as in production. The hash that the
// password is checked against is made once in a process. [App.Request] signs in once for many requests.
func (a *App) SignIn(user string) *Client {
	a.t.Helper()
	u := a.User(user)
	c := a.Anonymous()
	c.Post(a.API.Prefix()+"/login", credentials(u)).Want(http.StatusOK)
	c.User = u
	return c
}

// Anonymous returns a browser that nobody has signed in with.
func (a *App) Anonymous() *Client { return a.client(&Client{jar: newJar(a.Clock)}) }

// Bearer signs a user in for tokens, as an app on a phone does: a client that sends "Authorization: Bearer" and knows no
// cookies. Otherwise it is as [App.SignIn], with a session of its own. Nobody renews its access token but
// [Client.Refresh].
func (a *App) Bearer(user string) *Client {
	a.t.Helper()
	u := a.User(user)
	c := a.client(&Client{tokens: &bearerTokens{}})
	c.tokens.take(c.Post(a.API.Prefix()+"/token", credentials(u), Header("Authorization", "")).Want(http.StatusOK))
	c.User = u
	return c
}

func credentials(u tokenjar.User) map[string]string {
	return map[string]string{"username": u.Username, "password": Password}
}

// client gives a client its app and the means to send.
func (a *App) client(c *Client) *Client {
	c.t, c.app = a.t, a
	c.HTTP = &http.Client{
		Transport:     sender{client: c, next: a.server.Client().Transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if c.jar != nil {
		c.HTTP.Jar = c.jar
	}
	return c
}

// Tab returns another tab of the same browser: it has the same cookies, also those that either gets from now on. Of a
// bearer it is another client with the same tokens.
func (c *Client) Tab() *Client {
	return c.app.With(c.t).client(&Client{User: c.User, jar: c.jar, tokens: c.tokens})
}

// With returns the same client for another test, most often a subtest: what fails then fails t.
func (c *Client) With(t testing.TB) *Client {
	d := *c
	d.t = t
	return &d
}

// Get sends a GET request: [Client.Send] without a body.
func (c *Client) Get(path string, changes ...func(*http.Request)) *Response {
	c.t.Helper()
	return c.Send(http.MethodGet, path, nil, changes...)
}

// Post sends a POST request: see [Client.Send].
func (c *Client) Post(path string, body any, changes ...func(*http.Request)) *Response {
	c.t.Helper()
	return c.Send(http.MethodPost, path, body, changes...)
}

// Send sends a request for a path of the app and reads the answer. A body of nil is none, [url.Values] are a form, text
// and bytes are JSON already, an [io.Reader] is sent as it is and without a type, and anything else is encoded as JSON.
// The changes are made before the client adds what is its own: [Header], [WithoutCSRF], [CrossSite] or any other.
//
// It fails the test when there is no answer or the request cannot be made, and for no status: that is for
// [Response.Want].
func (c *Client) Send(method, path string, body any, changes ...func(*http.Request)) *Response {
	c.t.Helper()
	reader, media := c.encode(body)
	r, err := http.NewRequest(method, c.target(path), reader)
	if err != nil {
		c.t.Fatal(err)
	}
	prepare(r, media, changes)
	return c.Do(r)
}

// Do sends a request of [http.NewRequest], whose URL may be a path of the app, and reads the answer. It fails the test when
// there is none.
func (c *Client) Do(r *http.Request) *Response {
	c.t.Helper()
	if r.URL.Host == "" {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host = c.app.base.Scheme, c.app.base.Host
	}
	asked := r.Method + " " + r.URL.RequestURI()
	res, err := c.HTTP.Do(r)
	if err != nil {
		c.t.Fatalf("%s: no answer: %v", asked, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%s: status %d: the answer ended early: %v", asked, res.StatusCode, err)
	}
	return &Response{Status: res.StatusCode, Header: res.Header, Body: body, t: c.t, asked: asked}
}

// Refresh renews the session, as a page does whose access token has run out, or a bearer with its refresh token. It fails
// the test when that is refused; to test a refusal, post to /auth/token/refresh.
func (c *Client) Refresh() *Response {
	c.t.Helper()
	path := c.app.API.Prefix() + "/token/refresh"
	if c.tokens == nil {
		return c.Post(path, nil).Want(http.StatusOK)
	}
	_, refresh := c.tokens.get()
	r := c.Post(path, map[string]string{"refresh": refresh}, Header("Authorization", "")).Want(http.StatusOK)
	c.tokens.take(r)
	return r
}

// SignOut ends the session of this client, and no other one of the user. A browser loses its cookies; a bearer keeps its
// tokens, which are good for nothing from then on. It fails the test when the sign-out is refused.
func (c *Client) SignOut() *Response {
	c.t.Helper()
	if c.tokens == nil {
		return c.Post(c.app.API.Prefix()+"/logout", nil).Want(http.StatusOK)
	}
	_, refresh := c.tokens.get()
	return c.Post(c.app.API.Prefix()+"/token/blacklist", map[string]string{"refresh": refresh}).Want(http.StatusOK)
}

// Cookies returns the cookies of the browser by name, with the attributes they were set with. MaxAge is what is left of
// their lives by the app's clock, in seconds; it is zero for those that go when the browser is closed.
func (c *Client) Cookies() []*http.Cookie {
	if c.jar == nil {
		return nil
	}
	return c.jar.all()
}

// cookie returns the value of a cookie that the app would get.
func (c *Client) cookie(name string) string {
	for _, each := range c.jar.Cookies(c.app.base) {
		if each.Name == name {
			return each.Value
		}
	}
	return ""
}

// AccessToken returns the access token that the next request would bear, and "" if it would bear none: for what is asked
// by other means than this client, and for putting it where it does not belong.
func (c *Client) AccessToken() string {
	if c.tokens != nil {
		access, _ := c.tokens.get()
		return access
	}
	return c.cookie(c.app.Guard.AccessCookieName())
}

// Identity returns who this client's access token speaks for, which is what a handler behind the guard finds in the
// context of a request. It fails the test when the client has no good access token.
func (c *Client) Identity() tokenjar.Identity {
	c.t.Helper()
	id, err := c.app.Service.Authenticate(c.AccessToken())
	if err != nil {
		c.t.Fatalf("tokenjartest: this client has no good access token: %v", err)
	}
	return id
}
