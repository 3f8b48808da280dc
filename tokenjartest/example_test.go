package tokenjartest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tokenjar/tokenjar"
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
