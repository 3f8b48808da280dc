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
