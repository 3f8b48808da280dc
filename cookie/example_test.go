package cookie_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
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
