package csrf_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/tokenjar/tokenjar/csrf"
)

// Rule 1, then rule 2, on a request that a session cookie authenticates.
func Example() {
	public, _ := url.Parse("https://app.example.com/")
	own, _ := csrf.SerializeOrigin(public)
	origins, _ := csrf.NewOrigins([]string{"https://spa.example.net"})
	tokens, _ := csrf.NewTokens([]byte("an example key of 32 bytes......"))

	judge := func(r *http.Request, session string) error {
		if err := origins.Check(r.Header, own); err != nil {
			return err
		}
		return tokens.Check(r.Header, session)
	}

	r := httptest.NewRequest("POST", "/notes", nil)
	r.Header.Set("Origin", "https://app.example.com")
	r.Header.Set(csrf.Header, tokens.Issue("session-1"))
	fmt.Println(judge(r, "session-1"))
	fmt.Println(judge(r, "session-2"))

	r.Header.Set("Origin", "https://evil.example")
	err := judge(r, "session-1")
	var refusal *csrf.Error
	fmt.Println(errors.Is(err, csrf.ErrOrigin), errors.As(err, &refusal), refusal.Reason)
	// Output:
	// <nil>
	// csrf: token not accepted: mismatch
	// true true foreign_origin
}

func ExampleOrigins_Protect() {
	origins, _ := csrf.NewOrigins(nil)
	deny := func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusForbidden)
	}
	notes := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "saved") })
	h := origins.Protect("https://app.example.com", deny, notes)

	r := httptest.NewRequest("POST", "/notes", nil)
	r.Header.Set("Sec-Fetch-Site", "same-site")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Print(w.Code, " ", w.Body)
	// Output: 403 csrf: origin not allowed: same_site
}

// A program's own login route. Nothing authenticates the request yet, so rule 2 has no session to ask about; rule 1 is
// what keeps another site from signing a visitor in to an account of its choice.
func ExampleOrigins_Protect_login() {
	public, _ := url.Parse("https://app.example.com/") // of the configuration, not of the request
	own, err := csrf.SerializeOrigin(public)
	if err != nil {
		fmt.Println(err)
		return
	}
	origins, err := csrf.NewOrigins(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	deny := func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusForbidden)
	}
	login := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "signed in") // after the password was right
	})
	mux := http.NewServeMux()
	mux.Handle("POST /login", origins.Protect(own, deny, login))

	for _, origin := range []string{"https://app.example.com", "https://evil.example"} {
		r := httptest.NewRequest("POST", "/login", nil)
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 signed in
	// 403 csrf: origin not allowed: foreign_origin
}

// The token is bound to a claim of the JWT that the cookie holds: sid, which stays when the JWT is renewed. jti does
// not, and a page that was loaded before the renewal would be refused.
func ExampleTokens() {
	tokens, err := csrf.NewTokens([]byte("an example key of 32 bytes......"))
	if err != nil {
		fmt.Println(err)
		return
	}
	type claims struct{ SessionID, TokenID string } // sid and jti

	atLogin := claims{SessionID: "session-1", TokenID: "jwt-1"}
	bound := tokens.Issue(atLogin.SessionID) // goes to the page in a cookie that script can read
	wrong := tokens.Issue(atLogin.TokenID)

	renewed := claims{SessionID: "session-1", TokenID: "jwt-2"} // of the token that verified with the next request
	r := httptest.NewRequest("POST", "/notes", nil)
	r.Header.Set(csrf.Header, bound)
	fmt.Println("sid:", tokens.Check(r.Header, renewed.SessionID))
	r.Header.Set(csrf.Header, wrong)
	fmt.Println("jti:", tokens.Check(r.Header, renewed.TokenID))
	// Output:
	// sid: <nil>
	// jti: csrf: token not accepted: mismatch
}
