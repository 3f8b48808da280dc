package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

// Account is a program's own user.
type Account struct {
	ID    string
	Staff bool
}

// accounts stands for the program's own table.
var accounts = map[string]Account{"7": {ID: "7"}, "8": {ID: "8", Staff: true}}

// findAccount is the program's Resolver: not found is 401, and any other error would be 503.
func findAccount(_ context.Context, claims token.Claims) (Account, error) {
	account, ok := accounts[claims.String("sub")]
	if !ok {
		return Account{}, middleware.ErrNotFound
	}
	return account, nil
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// tokensOf makes what a program needs to issue and to verify tokens of its own.
func tokensOf(address string) (*token.Encoder, *token.Cache) {
	ring := must(token.NewRing(must(token.GenerateKey(token.ES256))))
	encoder := must(token.NewEncoder(token.EncoderConfig{Keys: ring, Type: "at+jwt", Issuer: address, Audience: address}))
	decoder := must(token.NewDecoder(token.DecoderConfig{Keys: ring, Type: "at+jwt", Issuer: address, Audience: address}))
	return encoder, must(token.NewCache(decoder))
}

// send sends a request and prints its answer: the body, or the code of the problem.
func send(h http.Handler, method, path string, header ...string) {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	switch code, wait := w.Header().Get("X-Tokenjar-Problem"), w.Header().Get("Retry-After"); {
	case wait != "":
		fmt.Println(w.Code, code, "retry after", wait)
	case code != "":
		fmt.Println(w.Code, code)
	default:
		fmt.Println(w.Code, w.Body)
	}
}

// exampleCSRF makes the CSRF tokens of the examples.
func exampleCSRF() *csrf.Tokens {
	return must(csrf.NewTokens([]byte("an example key of 32 bytes......")))
}

// Not found is 401. Any other error is 503, since the program cannot tell: also where nobody need be signed in, for a user
// must not be taken for a stranger because a database is down.
func ExampleResolver() {
	encoder, tokens := tokensOf("https://api.example")
	var database error // nil while it answers
	resolve := func(ctx context.Context, claims token.Claims) (Account, error) {
		if database != nil {
			return Account{}, database
		}
		return findAccount(ctx, claims)
	}
	bearer := must(middleware.NewBearer(tokens, resolve))
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account, ok := middleware.UserFromContext[Account](r.Context())
		fmt.Fprint(w, "hello ", account.ID, " ", ok)
	})
	required := middleware.Required(bearer).Protect(hello)
	optional := middleware.Optional(bearer).Protect(hello)

	known := "Bearer " + must(encoder.Encode(token.Claims{"sub": "7"}, 5*time.Minute))
	unknown := "Bearer " + must(encoder.Encode(token.Claims{"sub": "99"}, 5*time.Minute))
	send(required, "GET", "/", "Authorization", known)
	send(required, "GET", "/", "Authorization", unknown)
	send(optional, "GET", "/", "Authorization", unknown)

	database = errors.New("connection refused")
	send(required, "GET", "/", "Authorization", known)
	send(optional, "GET", "/", "Authorization", known)
	send(optional, "GET", "/") // nobody is looked up
	// Output:
	// 200 hello 7 true
	// 401 session_ended
	// 200 hello  false
	// 503 store_unavailable retry after 1
	// 503 store_unavailable retry after 1
	// 200 hello  false
}

// A bearer token, and the program's own user in the handler.
func ExampleBearer() {
	encoder, tokens := tokensOf("https://api.example")
	bearer := must(middleware.NewBearer(tokens, findAccount))

	me := middleware.Required(bearer).Func(func(w http.ResponseWriter, _ *http.Request, account Account) {
		fmt.Fprint(w, "account ", account.ID)
	})

	send(me, "GET", "/me")
	send(me, "GET", "/me", "Authorization", "Bearer "+must(encoder.Encode(token.Claims{"sub": "7"}, 5*time.Minute)))
	send(me, "GET", "/me", "Authorization", "Bearer "+must(encoder.Encode(token.Claims{"sub": "99"}, 5*time.Minute)))
	// Output:
	// 401 not_authenticated
	// 200 account 7
	// 401 session_ended
}

// A token in a cookie: set at sign-in, read on each request, with CSRF on.
func ExampleCookie() {
	const address = "https://app.example"
	encoder, tokens := tokensOf(address)
	jwt := cookie.JWT{} // __Host-access_token; HttpOnly; Secure; SameSite=Lax
	auth := must(middleware.NewCookie(tokens, findAccount, middleware.CookieConfig{
		Cookie: jwt, PublicURL: address, CSRFTokens: exampleCSRF(), CSRFClaim: "sub",
	}))

	signIn := auth.ProtectOrigin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims := token.Claims{"sub": "7"} // once the password has been checked
		raw, err := encoder.Encode(claims, 15*time.Minute)
		if err == nil {
			err = jwt.SetFor(w, raw, 15*time.Minute)
		}
		if err == nil {
			err = cookie.CSRF{With: jwt}.SetFor(w, auth.CSRFToken(claims), 15*time.Minute)
		}
		if err != nil {
			http.Error(w, "sign-in failed", http.StatusInternalServerError)
		}
	}))
	notes := middleware.Required(auth).Func(func(w http.ResponseWriter, r *http.Request, account Account) {
		fmt.Fprint(w, r.Method, " by account ", account.ID)
	})

	w := httptest.NewRecorder()
	signIn.ServeHTTP(w, httptest.NewRequest("POST", "/login", nil))
	cookies := w.Result().Cookies()

	session := cookies[0].Name + "=" + cookies[0].Value
	send(notes, "GET", "/notes", "Cookie", session)
	send(notes, "POST", "/notes", "Cookie", session, "Origin", address)
	send(notes, "POST", "/notes", "Cookie", session, "Origin", address, csrf.Header, cookies[1].Value)
	// Output:
	// 200 GET by account 7
	// 403 csrf_failed
	// 200 POST by account 7
}

// The first authenticator that succeeds counts. A dead cookie does not hide a good bearer, and where nobody is needed, a bad
// credential is nobody's.
func Example_chain() {
	encoder, tokens := tokensOf("https://app.example")
	bearer := must(middleware.NewBearer(tokens, findAccount))
	jar := must(middleware.NewCookie(tokens, findAccount, middleware.CookieConfig{
		PublicURL: "https://app.example", CSRFTokens: exampleCSRF(), CSRFClaim: "sub",
	}))
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account, ok := middleware.UserFromContext[Account](r.Context())
		fmt.Fprint(w, "hello ", account.ID, " ", ok)
	})
	raw := must(encoder.Encode(token.Claims{"sub": "7"}, 5*time.Minute))

	required := middleware.Required(jar, bearer).Protect(hello)
	send(required, "GET", "/", "Cookie", "__Host-access_token="+raw)
	send(required, "GET", "/", "Cookie", "__Host-access_token=dead", "Authorization", "Bearer "+raw)
	send(required, "GET", "/")

	optional := middleware.Optional(jar, bearer).Protect(hello)
	send(optional, "GET", "/", "Cookie", "__Host-access_token=dead")
	// Output:
	// 200 hello 7 true
	// 200 hello 7 true
	// 401 not_authenticated
	// 200 hello  false
}

// A failed CSRF check ends the chain, although a good bearer follows: what may have been forged is not let in some other way.
func Example_chainEndsWithCSRF() {
	encoder, tokens := tokensOf("https://app.example")
	bearer := must(middleware.NewBearer(tokens, findAccount))
	jar := must(middleware.NewCookie(tokens, findAccount, middleware.CookieConfig{
		PublicURL: "https://app.example", CSRFTokens: exampleCSRF(), CSRFClaim: "sub",
	}))
	save := middleware.Required(jar, bearer).Func(func(w http.ResponseWriter, _ *http.Request, account Account) {
		fmt.Fprint(w, "saved by ", account.ID)
	})

	claims := token.Claims{"sub": "7"}
	raw := must(encoder.Encode(claims, 5*time.Minute))
	const origin = "https://app.example"
	send(save, "POST", "/", "Origin", origin, "Authorization", "Bearer "+raw)
	send(save, "POST", "/", "Origin", origin, "Authorization", "Bearer "+raw, "Cookie", "__Host-access_token="+raw)
	send(save, "POST", "/", "Origin", origin, "Authorization", "Bearer "+raw, "Cookie", "__Host-access_token="+raw,
		csrf.Header, jar.CSRFToken(claims))
	// Output:
	// 200 saved by 7
	// 403 csrf_failed
	// 200 saved by 7
}

// The handlers that sign in and out need no cookie, so only their origin can be judged: without that another site could sign
// a visitor in to an account of its choice.
func ExampleCookie_ProtectOrigin() {
	_, tokens := tokensOf("https://app.example")
	auth := must(middleware.NewCookie(tokens, findAccount, middleware.CookieConfig{
		PublicURL: "https://app.example", TrustedOrigins: []string{"https://spa.example"}, CSRFTokens: exampleCSRF(), CSRFClaim: "sub",
	}))
	signIn := auth.ProtectOrigin(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "signed in") // once the password has been checked
	}))

	send(signIn, "POST", "/login", "Origin", "https://app.example")
	send(signIn, "POST", "/login", "Origin", "https://spa.example")
	send(signIn, "POST", "/login", "Origin", "https://evil.example")
	send(signIn, "POST", "/login", "Origin", "null", "Sec-Fetch-Site", "cross-site")
	send(signIn, "POST", "/login") // no browser: a program that could send any Origin
	// Output:
	// 200 signed in
	// 200 signed in
	// 403 origin_not_allowed
	// 403 origin_not_allowed
	// 200 signed in
}

// InsecureSkipCSRF gives up all that stands between a page of any site and the signed-in user: whatever such a page makes the
// browser send, the cookie goes along and the request is the user's. It is for a service whose unsafe requests are judged
// elsewhere, as by a gateway in front, and it is logged at every start.
func ExampleCookieConfig_insecureSkipCSRF() {
	encoder, tokens := tokensOf("https://app.example")
	jar := must(middleware.NewCookie(tokens, findAccount, middleware.CookieConfig{
		InsecureSkipCSRF: true, // no PublicURL and no CSRFTokens are needed then
		Logger:           slog.New(slog.DiscardHandler),
	}))
	transfer := middleware.Required(jar).Func(func(w http.ResponseWriter, _ *http.Request, account Account) {
		fmt.Fprint(w, "transferred by ", account.ID)
	})

	cookies := "__Host-access_token=" + must(encoder.Encode(token.Claims{"sub": "7"}, 5*time.Minute))
	send(transfer, "POST", "/transfer", "Cookie", cookies, "Origin", "https://evil.example")
	// Output:
	// 200 transferred by 7
}

// Anybody reads; who writes is signed in by a cookie, with CSRF; and only editors delete, by the roles in the token.
func ExampleMethods_cookie() {
	const origin = "https://app.example"
	encoder, tokens := tokensOf(origin)
	jar := must(middleware.NewCookie(tokens, findAccount, middleware.CookieConfig{
		PublicURL: origin, CSRFTokens: exampleCSRF(), CSRFClaim: "sub",
	}))
	signedIn := middleware.Required(jar)
	pages := middleware.Methods{
		"GET":    middleware.Public[Account](),
		"DELETE": signedIn.With(middleware.Role("editor")),
		"*":      signedIn,
	}.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method, " done") }))

	page := func(claims token.Claims) []string { // what a page of the program sends
		return []string{
			"Cookie", "__Host-access_token=" + must(encoder.Encode(claims, 5*time.Minute)),
			"Origin", origin, csrf.Header, jar.CSRFToken(claims),
		}
	}
	send(pages, "GET", "/pages/1")
	send(pages, "PUT", "/pages/1")
	send(pages, "PUT", "/pages/1", page(token.Claims{"sub": "7"})...)
	send(pages, "DELETE", "/pages/1", page(token.Claims{"sub": "7", "roles": []string{"author"}})...)
	send(pages, "DELETE", "/pages/1", page(token.Claims{"sub": "8", "roles": []string{"author", "editor"}})...)
	// Output:
	// 200 GET done
	// 401 not_authenticated
	// 200 PUT done
	// 403 permission_denied
	// 200 DELETE done
}

// As in a view set: anybody reads, accounts write, and only staff deletes, after a sign-in that is not old.
func ExampleMethods() {
	encoder, tokens := tokensOf("https://app.example")
	signedIn := middleware.Required(must(middleware.NewBearer(tokens, findAccount)))
	notes := middleware.Methods{
		"GET":    middleware.Public[Account](),
		"POST":   signedIn.With(middleware.Scope("notes:write")),
		"DELETE": signedIn.Where(func(a Account) bool { return a.Staff }).With(middleware.MaxAuthAge(10*time.Minute, nil)),
	}.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "done") }))

	bearer := func(claims token.Claims) string { return "Bearer " + must(encoder.Encode(claims, 5*time.Minute)) }
	send(notes, "GET", "/notes")
	send(notes, "POST", "/notes", "Authorization", bearer(token.Claims{"sub": "7", "scope": "notes:read"}))
	send(notes, "POST", "/notes", "Authorization", bearer(token.Claims{"sub": "7", "scope": "notes:read notes:write"}))
	send(notes, "DELETE", "/notes", "Authorization", bearer(token.Claims{"sub": "7", "auth_time": time.Now().Unix()}))
	send(notes, "DELETE", "/notes", "Authorization", bearer(token.Claims{"sub": "8", "auth_time": time.Now().Add(-time.Hour).Unix()}))
	send(notes, "DELETE", "/notes", "Authorization", bearer(token.Claims{"sub": "8", "auth_time": time.Now().Unix()}))
	send(notes, "PUT", "/notes")
	// Output:
	// 200 done
	// 403 insufficient_scope
	// 200 done
	// 403 permission_denied
	// 401 step_up_required
	// 200 done
	// 405 method_not_allowed
}

// A whole tree of handlers, in front of whatever router, in one declaration.
func ExampleRoutes() {
	encoder, tokens := tokensOf("https://app.example")
	signedIn := middleware.Required(must(middleware.NewBearer(tokens, findAccount)))
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })

	tree := middleware.Routes{
		"/":            middleware.Public[Account](),
		"/notes":       middleware.Methods{"GET": middleware.Public[Account](), "*": signedIn},
		"/notes/admin": signedIn.Where(func(a Account) bool { return a.Staff }),
	}.Protect(mux)

	bearer := "Bearer " + must(encoder.Encode(token.Claims{"sub": "7"}, 5*time.Minute))
	send(tree, "GET", "/about")
	send(tree, "GET", "/notes/1")
	send(tree, "POST", "/notes/1")
	send(tree, "POST", "/notes/1", "Authorization", bearer)
	send(tree, "GET", "/notes/admin", "Authorization", bearer)
	send(tree, "GET", "/notes/Admin") // a router might take it for the same
	send(tree, "GET", "/notes/x/../admin")
	// Output:
	// 200 /about
	// 200 /notes/1
	// 401 not_authenticated
	// 200 /notes/1
	// 403 permission_denied
	// 400 bad_path
	// 400 bad_path
}

// Routes decides about a tree of handlers, and the handlers in it are given the user.
func ExampleWithUser() {
	encoder, tokens := tokensOf("https://app.example")
	mux := http.NewServeMux()
	mux.Handle("GET /notes", middleware.WithUser(func(w http.ResponseWriter, _ *http.Request, account Account) {
		fmt.Fprint(w, "notes of ", account.ID)
	}))
	tree := middleware.Routes{
		"/notes": middleware.Required(must(middleware.NewBearer(tokens, findAccount))),
	}.Protect(mux)

	send(tree, "GET", "/notes", "Authorization", "Bearer "+must(encoder.Encode(token.Claims{"sub": "7"}, 5*time.Minute)))
	send(tree, "GET", "/notes")
	send(mux, "GET", "/notes") // with nothing in front it lets nobody in
	// Output:
	// 200 notes of 7
	// 401 not_authenticated
	// 401 not_authenticated
}
