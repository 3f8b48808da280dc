package servertest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// A Browser keeps cookies and sends what a browser sends from a page of the site.
type Browser struct {
	World  *World
	Jar    http.CookieJar
	Client *http.Client
}

// Browser returns a fresh browser.
func (w *World) Browser(t testing.TB) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := w.newClient(t)
	client.Jar = jar
	return &Browser{World: w, Jar: jar, Client: client}
}

func (w *World) newClient(t testing.TB) *http.Client {
	return &http.Client{
		Transport:     w.Transport(t),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Transport connects to the server whatever host and scheme a URL names, as a proxy that ends TLS would.
func (w *World) Transport(t testing.TB) http.RoundTripper {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, w.addr)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return plain{transport}
}

type plain struct{ next http.RoundTripper }

func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	r.URL.Scheme = "http"
	return p.next.RoundTrip(r)
}

// Request builds a request as a page of the site would send it: Origin on unsafe methods, Sec-Fetch-Site, the CSRF
// header if the jar has the cookie. Changes are applied last.
func (b *Browser) Request(t testing.TB, method, path, body string, changes ...func(*http.Request)) *http.Request {
	t.Helper()
	r := b.World.Request(t, method, path, body)
	if token := b.Cookie("csrftoken"); token != "" && !isSafe(method) {
		r.Header.Set("X-CSRFToken", token)
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

// Do sends such a request.
func (b *Browser) Do(t testing.TB, method, path, body string, changes ...func(*http.Request)) Answer {
	t.Helper()
	return b.World.Do(t, b.Client, b.Request(t, method, path, body, changes...))
}

// Login signs a user in and fails the test if that fails.
func (b *Browser) Login(t testing.TB, user string) Answer {
	t.Helper()
	a := b.Do(t, http.MethodPost, "/auth/login", fmt.Sprintf(`{"username":%q,"password":%q}`, user, Password))
	if a.Status != 200 {
		t.Fatalf("login: %d %s", a.Status, a.Body)
	}
	return a
}

// Use puts the cookies of a session into the jar.
func (b *Browser) Use(p Pair) {
	u, _ := url.Parse(b.World.URL)
	var list []*http.Cookie
	for base, value := range map[string]string{"access_token": p.Access, "refresh_token": p.Refresh, "csrftoken": p.CSRF} {
		list = append(list, &http.Cookie{Name: b.World.prefix() + base, Value: value, Path: "/", Secure: u.Scheme == "https"})
	}
	b.Jar.SetCookies(u, list)
}

// Cookie returns the value of a cookie in the jar by its name without prefix, "" if it is not there.
func (b *Browser) Cookie(base string) string {
	u, _ := url.Parse(b.World.URL)
	for _, c := range b.Jar.Cookies(u) {
		if strings.TrimPrefix(strings.TrimPrefix(c.Name, "__Host-"), "__Secure-") == base {
			return c.Value
		}
	}
	return ""
}

// DropCookie deletes a cookie from the jar, by its name without prefix.
func (b *Browser) DropCookie(base string) {
	u, _ := url.Parse(b.World.URL)
	for _, c := range b.Jar.Cookies(u) {
		if strings.HasSuffix(c.Name, base) {
			b.Jar.SetCookies(u, []*http.Cookie{{Name: c.Name, Path: "/", MaxAge: -1, Secure: u.Scheme == "https"}})
		}
	}
}
