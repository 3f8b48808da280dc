package tokenjartest_test

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// shop is the program under test: it takes orders from whoever is signed in.
func shop(guard *session.Guard, service *tokenjar.Service) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		id, _ := tokenjar.IdentityFromContext(r.Context())
		user, err := service.ActiveUser(r.Context(), id)
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "ordered by ", user.Username)
	})
	return guard.Required(mux)
}

func Example() {
	t := newExampleT() // in a test this is its own t
	defer t.finish()

	app := tokenjartest.New(t, tokenjartest.Config{})
	app.Serve(shop(app.Guard, app.Service))

	ada := app.SignIn("ada")
	fmt.Println(ada.Post("/orders", nil).Want(201).Text())
	fmt.Println(app.Anonymous().Post("/orders", nil).Code())
	fmt.Println(ada.Post("/orders", nil, tokenjartest.WithoutCSRF).Code())

	app.Clock.Advance(5 * time.Minute) // the access token has run out, and is renewed on the way
	answer := ada.Post("/orders", nil).Want(201)
	fmt.Println(answer.Text(), "with", len(answer.Cookies()), "new cookies")

	ada.SignOut()
	fmt.Println(ada.Post("/orders", nil).Code())
	// Output:
	// ordered by ada
	// not_authenticated
	// csrf_failed
	// ordered by ada with 3 new cookies
	// not_authenticated
}

// Without a network: a request that is signed in already, and a recorder.
func ExampleApp_Request() {
	t := newExampleT()
	defer t.finish()

	app := tokenjartest.New(t, tokenjartest.Config{})
	handler := shop(app.Guard, app.Service)
	for _, user := range []string{"ada", ""} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, app.Request("POST", "/orders", user, nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 201
	// 401
}

// A program that verifies tokens refuses every one that is not for it.
func ExampleIssuer_Bad() {
	t := newExampleT()
	defer t.finish()

	iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{Issuer: "https://id.example"})
	decoder := iss.Decoder() // in a program: one that fetches iss.JWKSURL

	claims, err := decoder.Decode(iss.Token(token.Claims{"sub": "ada"}, time.Minute))
	fmt.Println(claims.String("sub"), err)
	for what, raw := range iss.Bad(token.Claims{"sub": "ada"}) {
		_, err := decoder.Decode(raw)
		fmt.Printf("%s: %v\n", what, err)
	}
	// Output:
	// ada <nil>
	// expired: token: expired
	// not yet valid: token: not yet valid: nbf is in the future
	// for another audience: token: claim aud: another audience
	// of another issuer: token: claim iss: another issuer
	// of another type: token: wrong type
	// forged: token: signature does not verify
	// unsigned: token: malformed
	// altered: token: signature does not verify
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// notebook is a program with tokens and users of its own, and without a Service: it signs in with a cookie that it sets itself.
func notebook(publicURL string, now func() time.Time) http.Handler {
	keys := must(token.NewRing(must(token.GenerateKey(token.ES256))))
	encoder := must(token.NewEncoder(token.EncoderConfig{
		Keys: keys, Type: "at+jwt", Issuer: publicURL, Audience: publicURL, Now: now,
	}))
	decoder := must(token.NewDecoder(token.DecoderConfig{
		Keys: keys, Type: "at+jwt", Issuer: publicURL, Audience: publicURL, Now: now,
	}))
	jwt := cookie.JWT{MaxAge: 15 * time.Minute}
	auth := must(middleware.NewCookie(must(token.NewCache(decoder)), middleware.Claims, middleware.CookieConfig{
		Cookie: jwt, PublicURL: publicURL, CSRFTokens: must(csrf.NewTokens([]byte("an example key of 32 bytes......"))), CSRFClaim: "sub",
	}))

	mux := http.NewServeMux()
	mux.Handle("POST /login", auth.ProtectOrigin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims := token.Claims{"sub": r.PostFormValue("user")} // once the password has been checked
		raw, err := encoder.Encode(claims, jwt.MaxAge)
		if err == nil {
			err = errors.Join(jwt.Set(w, raw), cookie.CSRF{With: jwt}.Set(w, auth.CSRFToken(claims)))
		}
		if err != nil {
			http.Error(w, "sign-in failed", http.StatusInternalServerError)
		}
	})))
	mux.Handle("/notes", middleware.Required(auth).Func(func(w http.ResponseWriter, r *http.Request, claims token.Claims) {
		fmt.Fprint(w, r.Method, " by ", claims.String("sub"))
	}))
	return mux
}

// A program with tokens of its own and without a Service, signed in to by its own route. The client is the browser: it keeps the
// cookies, and sends the origin and, from the program's CSRF cookie, the header.
func Example_ownTokens() {
	t := newExampleT()
	defer t.finish()

	app := tokenjartest.New(t, tokenjartest.Config{})
	app.Serve(notebook(app.URL, app.Clock.Now))

	ada := app.Anonymous() // a browser in which nobody has signed in yet
	ada.Get("/notes").Want(401)
	ada.Post("/login", url.Values{"user": {"ada"}}).Want(200)
	fmt.Println(ada.Post("/notes", nil).Want(200).Text())

	fmt.Println(ada.Post("/notes", nil, tokenjartest.WithoutCSRF).Want(403).Code())
	fmt.Println(ada.Post("/notes", nil, tokenjartest.CrossSite).Want(403).Code())
	fmt.Println(ada.Post("/login", url.Values{"user": {"eve"}}, tokenjartest.CrossSite).Want(403).Code())

	app.Clock.Advance(15 * time.Minute) // the browser has dropped the cookie, and the token has expired
	fmt.Println(ada.Get("/notes").Want(401).Code())
	// Output:
	// POST by ada
	// csrf_failed
	// origin_not_allowed
	// origin_not_allowed
	// not_authenticated
}
