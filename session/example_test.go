package session_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/memory"
	"github.com/tokenjar/tokenjar/token"
)

const exampleURL = "https://app.example.com"

// A guard around a handler: who is signed in gets through, and an unsafe request needs the CSRF token of the session.
func Example() {
	guard := exampleGuard()
	orders := guard.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := tokenjar.IdentityFromContext(r.Context())
		fmt.Fprint(w, r.Method, " by ", id.UserID)
	}))

	cookies, csrfToken := signIn(guard, "ada")
	send(orders, "GET", "/orders")
	send(orders, "GET", "/orders", "Cookie", cookies)
	send(orders, "POST", "/orders", "Cookie", cookies, "Origin", exampleURL)
	send(orders, "POST", "/orders", "Cookie", cookies, "Origin", exampleURL, "X-CSRFToken", csrfToken)
	send(orders, "POST", "/orders", "Cookie", cookies, "Origin", "https://evil.example", "X-CSRFToken", csrfToken)
	// Output:
	// 401 not_authenticated
	// 200 GET by u-1
	// 403 csrf_failed
	// 200 POST by u-1
	// 403 origin_not_allowed
}

// Member is the program's own user.
type Member struct {
	ID    string
	Admin bool
}

var members = map[string]Member{"u-1": {ID: "u-1"}, "u-2": {ID: "u-2", Admin: true}}

func findMember(_ context.Context, claims token.Claims) (Member, error) {
	member, ok := members[claims.String("sub")]
	if !ok {
		return Member{}, middleware.ErrNotFound
	}
	return member, nil
}

// The rules of package middleware for sessions, and the program's own user in its handlers: anybody reads, members write, and
// only an admin deletes, after a sign-in that is not old.
func ExampleAuthenticator() {
	guard := exampleGuard()
	signedIn := middleware.Required(session.Authenticator(guard, findMember))
	pages := middleware.Methods{
		"GET":    middleware.Public[Member](),
		"DELETE": signedIn.Where(func(m Member) bool { return m.Admin }).With(middleware.MaxAuthAge(10*time.Minute, nil)),
		"*":      signedIn,
	}.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		member, _ := middleware.UserFromContext[Member](r.Context())
		fmt.Fprintf(w, "%s by %q", r.Method, member.ID)
	}))

	send(pages, "GET", "/pages/1")
	send(pages, "PUT", "/pages/1")
	for _, user := range []string{"ada", "grace"} {
		cookies, csrfToken := signIn(guard, user)
		send(pages, "PUT", "/pages/1", "Cookie", cookies, "Origin", exampleURL, "X-CSRFToken", csrfToken)
		send(pages, "DELETE", "/pages/1", "Cookie", cookies, "Origin", exampleURL, "X-CSRFToken", csrfToken)
	}
	// Output:
	// 200 GET by ""
	// 401 not_authenticated
	// 200 PUT by "u-1"
	// 403 permission_denied
	// 200 PUT by "u-2"
	// 200 DELETE by "u-2"
}

const examplePassword = "umbrella-kettle-92"

// exampleGuard makes a service with the users ada and grace, and its guard.
func exampleGuard() *session.Guard {
	ctx := context.Background()
	hash := must(must(password.New(password.Config{})).Hash(ctx, examplePassword))
	store := memory.New(memory.Config{})
	for id, name := range map[string]string{"u-1": "ada", "u-2": "grace"} {
		err := store.CreateUser(ctx, tokenjar.User{ID: id, Username: name, PasswordHash: tokenjar.PasswordHash(hash), Active: true})
		if err != nil {
			log.Fatal(err)
		}
	}
	service := must(tokenjar.New(ctx, tokenjar.Config{
		Issuer: exampleURL, Secret: must(tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))), Store: store,
		Logger: slog.New(slog.DiscardHandler),
	}))
	return must(session.New(session.Config{Service: service, PublicURL: exampleURL}))
}

// signIn returns what a browser has after a sign-in: its cookies, and the CSRF token for pages to send. Package httpapi has the
// routes for it.
func signIn(guard *session.Guard, user string) (cookies, csrfToken string) {
	credentials := tokenjar.Credentials{Username: user, Password: examplePassword}
	grant := must(guard.Service().Login(context.Background(), credentials, tokenjar.Client{}))
	var pairs []string
	for _, c := range must(guard.GrantCookies(grant)) {
		if c.MaxAge >= 0 {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; "), guard.CSRFToken(grant.SessionID)
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// send sends a request and prints its answer: the body, or the code of the problem.
func send(h http.Handler, method, path string, header ...string) {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if code := w.Header().Get("X-Tokenjar-Problem"); code != "" {
		fmt.Println(w.Code, code)
		return
	}
	fmt.Println(w.Code, w.Body)
}
