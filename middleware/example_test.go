package middleware_test

import (
	"context"
	"fmt"
	"log"
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
	if code := w.Header().Get("X-Tokenjar-Problem"); code != "" {
		fmt.Println(w.Code, code)
		return
	}
	fmt.Println(w.Code, w.Body)
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
		Cookie: jwt, PublicURL: address, CSRFTokens: must(csrf.NewTokens([]byte("an example key of 32 bytes......"))), CSRFClaim: "sub",
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
		PublicURL: "https://app.example", CSRFTokens: must(csrf.NewTokens([]byte("an example key of 32 bytes......"))), CSRFClaim: "sub",
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
