package orders_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/examples/claims"
	"github.com/tokenjar/tokenjar/examples/orders"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

func newShop(t *testing.T) *tokenjartest.App {
	t.Helper()
	app := tokenjartest.New(t, tokenjartest.Config{})
	shop := &orders.Shop{Now: app.Clock.Now}
	app.Serve(shop.Handler(app.Guard))
	return app
}

func TestEverybodyHasTheirOwnOrders(t *testing.T) {
	app := newShop(t)
	ada, eve := app.SignIn("ada"), app.SignIn("eve")
	ada.Post("/orders", orders.Order{Item: "tea"}).Want(201)

	var list []orders.Order
	ada.Get("/orders").Want(200).JSON(&list)
	if len(list) != 1 || list[0].By != ada.User.ID || list[0].At != app.Clock.Now() {
		t.Errorf("ada has %v", list)
	}
	eve.Get("/orders").Want(200).JSON(&list)
	if len(list) != 0 {
		t.Errorf("eve has %v", list)
	}
}

func TestWhoMayOrder(t *testing.T) {
	app := newShop(t)
	ada, phone := app.SignIn("ada"), app.Bearer("ada")
	order := orders.Order{Item: "tea"}

	app.Anonymous().Post("/orders", order).Want(401)
	phone.Post("/orders", order).Want(201)                         // an app, with a bearer token
	ada.Post("/orders", order, tokenjartest.WithoutCSRF).Want(403) // another site's form, as far as it gets
	ada.Post("/orders", order, tokenjartest.CrossSite).Want(403)   // and what the origin says of it
	ada.Post("/orders", "tea").Want(422)                           // hers, but no JSON
}

func TestASessionOutlivesItsAccessToken(t *testing.T) {
	app := newShop(t)
	ada := app.SignIn("ada")
	app.Clock.Advance(5 * time.Minute) // the access token is over, and is renewed with the next request
	ada.Get("/orders").Want(200)
	app.Clock.Advance(25 * time.Hour) // nobody was here for a day
	ada.Get("/orders").Want(401)
}

func TestTabsAndBrowsers(t *testing.T) {
	app := newShop(t)
	ada := app.SignIn("ada")
	tab, laptop := ada.Tab(), app.SignIn("ada") // the same cookies; another browser with another session
	tab.SignOut()
	ada.Get("/orders").Want(401)
	laptop.Get("/orders").Want(200)
}

func TestHandlersAlone(t *testing.T) {
	app := tokenjartest.New(t, tokenjartest.Config{})
	handler := (&orders.Shop{Now: app.Clock.Now}).Handler(app.Guard)

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, app.Request("POST", "/orders", "ada", orders.Order{Item: "tea"}))
	if w.Code != 201 {
		t.Errorf("got %d: %s", w.Code, w.Body)
	}
}

func TestStaffAlone(t *testing.T) {
	app := tokenjartest.New(t, tokenjartest.Config{
		Service: func(c *tokenjar.Config) { c.Claims = claims.Claims },
	})
	app.User("grace", func(u *tokenjar.User) { u.Staff = true })
	app.Serve(claims.WithRole(app.Guard, "staff").Protect((&orders.Shop{}).Handler(app.Guard)))
	app.SignIn("grace").Get("/menu").Want(200)
	app.SignIn("ada").Get("/menu").Want(403)
}
