package cookie_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/cookie"
)

// Setting the cookies at login, reading them on the next request, clearing them at logout.
func Example() {
	p, err := cookie.New(cookie.Config{PublicURL: "https://app.example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}

	w := httptest.NewRecorder()
	access, err := p.Access("header.claims.signature", 5*time.Minute)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := cookie.Set(w, access); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.Header().Get("Set-Cookie"))

	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", `theme=dark; __Host-access_token=header.claims.signature; __Host-refresh_token="quoted"`)
	cookies, err := p.Read(r.Header)
	fmt.Println(cookies.Access.Values, cookies.Refresh.Present(), cookies.Refresh.Values, cookies.CSRF.Present(), err)

	for _, c := range p.Clear() {
		fmt.Println(c)
	}
	// Output:
	// __Host-access_token=header.claims.signature; Path=/; Max-Age=300; HttpOnly; Secure; SameSite=Lax
	// [header.claims.signature] true [] false <nil>
	// __Host-access_token=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax
	// __Host-refresh_token=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax
	// __Host-csrftoken=; Path=/; Max-Age=0; Secure; SameSite=Lax
}

// A mix that browsers would reject is refused, with what to change.
func ExampleNew() {
	_, err := cookie.New(cookie.Config{
		PublicURL: "https://app.example.com",
		Prefix:    cookie.Host,
		Domain:    "example.com",
		Access:    "__Host-access_token",
	})
	fmt.Println(err)
	// Output:
	// cookie: Prefix: __Host- cookies cannot have a Domain: leave Domain empty, or use secure or auto
	// cookie: Access: "__Host-access_token" bears a prefix: leave it out and set Prefix
}

// Set writes any cookie of the program, and refuses what net/http would drop or alter.
func ExampleSet() {
	w := httptest.NewRecorder()
	err := cookie.Set(w, &http.Cookie{Name: "theme", Value: "dark; Domain=evil.example", SameSite: http.SameSiteLaxMode})
	fmt.Println(err)
	// Output:
	// cookie "theme": the value is empty or holds a control, blank, quote, comma, semicolon, backslash, percent or non-ASCII byte
}

// The cookie of one token: declared once, set and deleted in one line each.
func ExampleJWT() {
	session := cookie.JWT{Name: "session", MaxAge: 15 * time.Minute, SameSite: http.SameSiteStrictMode}
	if err := session.Check(); err != nil { // when the program starts
		fmt.Println(err)
		return
	}
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"

	login := func(w http.ResponseWriter, _ *http.Request) {
		if err := session.Set(w, token); err != nil {
			http.Error(w, "not signed in", http.StatusInternalServerError)
		}
	}
	logout := func(w http.ResponseWriter, _ *http.Request) {
		if err := session.Delete(w); err != nil {
			http.Error(w, "not signed out", http.StatusInternalServerError)
		}
	}

	for _, handler := range []http.HandlerFunc{login, logout} {
		w := httptest.NewRecorder()
		handler(w, httptest.NewRequest("POST", "/", nil))
		fmt.Println(w.Header().Get("Set-Cookie"))
	}
	h := http.Header{"Cookie": {"theme=dark; " + session.CookieName() + "=" + token}}
	found, err := session.Read(h)
	fmt.Println(found.Values, err)
	// Output:
	// __Host-session=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln; Path=/; Max-Age=900; HttpOnly; Secure; SameSite=Strict
	// __Host-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict
	// [eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln] <nil>
}

// For services that know the cookie as access_token and nothing else, leaving out the prefix is spelled out. The cookie
// ends with its token here.
func ExampleJWT_SetFor() {
	access := cookie.JWT{Prefix: cookie.None}
	const token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"

	now := time.Now()
	expires := now.Add(5 * time.Minute) // the token's exp

	w := httptest.NewRecorder()
	err := access.SetFor(w, token, expires.Sub(now))
	fmt.Println(w.Header().Get("Set-Cookie"), err)

	fmt.Println(access.SetFor(w, token, -time.Second))
	// Output:
	// access_token=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln; Path=/; Max-Age=300; HttpOnly; Secure; SameSite=Lax <nil>
	// cookie access_token: life -1s is over
}

// A token that browsers would not keep is refused, and nothing is written: the program learns of it, where a browser would say
// nothing and the user would not be signed in. Take claims out of the token.
func ExampleJWT_Set_tooLarge() {
	session := cookie.JWT{Name: "session"}
	payload := strings.Repeat("groups", 700) // too many claims

	w := httptest.NewRecorder()
	err := session.Set(w, "eyJhbGciOiJFUzI1NiJ9."+payload+".c2ln")
	fmt.Println(err)
	fmt.Println(errors.Is(err, cookie.ErrTooLarge), len(w.Header()))
	// Output:
	// cookie __Host-session: cookie: name and value exceed 4096 bytes
	// true 0
}

// A mix that browsers would refuse, or that would be unsafe, writes nothing.
func ExampleJWT_Check() {
	fmt.Println(cookie.JWT{SameSite: http.SameSiteNoneMode, InsecureAllowHTTP: true}.Check())
	fmt.Println(cookie.JWT{Prefix: cookie.Host, Domain: "co.uk"}.Check())
	// Output:
	// cookie: SameSite: None needs Secure cookies: leave InsecureAllowHTTP out, or Lax
	// cookie: Domain: "co.uk" is a public suffix, shared with strangers: leave it empty or name your own domain
	// cookie: Prefix: __Host- cookies cannot have a Domain: leave Domain empty, or use secure or auto
}

// The CSRF cookie that goes with it has its attributes and life, but script can read it.
func ExampleCSRF() {
	session := cookie.JWT{MaxAge: time.Hour}
	csrf := cookie.CSRF{With: session}

	w := httptest.NewRecorder()
	err := csrf.Set(w, "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") // of csrf.Tokens.Issue
	fmt.Println(w.Header().Get("Set-Cookie"), err)
	fmt.Println(csrf.Set(w, "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"))
	// Output:
	// __Host-csrftoken=3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; Path=/; Max-Age=3600; Secure; SameSite=Lax <nil>
	// cookie __Host-csrftoken: the value holds other bytes than letters, digits, hyphens and underscores
}
