package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/examples/upstream"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// The program in front of the Go service of docs/howto/upstream-tokens.md. Both read the machine's clock.
func TestBFF(t *testing.T) {
	app := tokenjartest.New(t, tokenjartest.Config{Clock: tokenjartest.NewClock(time.Now())})
	var service http.Handler
	orders := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/menu" {
			w.Write([]byte("tea\n"))
			return
		}
		service.ServeHTTP(w, r)
	}))
	defer orders.Close()
	handler, err := newBFF(app.Service, app.URL, orders.URL)
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(handler) // the service reaches us by another address than browsers
	defer keys.Close()
	service, err = upstream.New(upstream.Settings{
		Issuer: app.Service.Issuer(), Audience: "orders", Keys: keys.URL, Private: netip.MustParsePrefix("127.0.0.1/32"),
	})
	if err != nil {
		t.Fatal(err)
	}
	app.Serve(handler)

	stranger, ada := app.Anonymous(), app.SignIn("ada")
	if a := stranger.Get("/").Want(200); !strings.Contains(string(a.Body), "Order tea") {
		t.Errorf("the page: got %s", a.Body)
	}
	stranger.Get("/app.js").Want(200)
	stranger.Get("/api/menu").Want(200)
	stranger.Get("/api/hello").Want(401)
	stranger.Post("/api/orders", nil).Want(401)
	if a := ada.Get("/api/hello").Want(200); string(a.Body) != "hello "+ada.User.ID+"\n" {
		t.Errorf("got %s", a.Body)
	}
	ada.Post("/api/orders", nil).Want(201)
	ada.Post("/api/orders", nil, tokenjartest.WithoutCSRF).Want(403)
	ada.Post("/api/orders", nil, tokenjartest.CrossSite).Want(403)
	for _, odd := range []string{"/api//hello", "/api/../auth/user", "/api/%2e%2e/x", "/api/x%2fy"} {
		ada.Get(odd).Want(400)
	}
	ada.SignOut()
	ada.Get("/api/hello").Want(401)
}
