// Command bff is a Backend for Frontend in one program: it serves a page, signs users in by cookie, and sends what the page
// asks of /api/ to a service, with a token made for that service. The page and the service know nothing of cookies.
package main

import (
	"cmp"
	"context"
	"embed"
	"io/fs"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

//go:embed web
var web embed.FS

func main() {
	ctx := context.Background()
	addr := "localhost:" + cmp.Or(os.Getenv("PORT"), "8080")
	url := "http://" + addr // as browsers know us; https://… for anything but this machine

	secret := must(tokenjar.ParseSecret(must(os.ReadFile("tokenjar.secret"))))
	store := must(sqlite.Open(ctx, "tokenjar.db", sqlite.Config{}))
	service := must(tokenjar.New(ctx, tokenjar.Config{Issuer: url, Secret: secret, Store: store}))
	go service.Run(ctx)

	handler := must(newBFF(service, url, cmp.Or(os.Getenv("ORDERS"), "http://127.0.0.1:9000")))
	log.Println("open", url)
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// newBFF returns the whole site: the API to sign in, the way to the service, and the page.
func newBFF(service *tokenjar.Service, url, orders string) (http.Handler, error) {
	guard, err := session.New(session.Config{Service: service, PublicURL: url})
	if err != nil {
		return nil, err
	}
	auth, err := httpapi.New(httpapi.Config{Guard: guard})
	if err != nil {
		return nil, err
	}
	api, err := proxy.New(proxy.Config{
		Guard: guard, PublicURL: url,
		Routes: []proxy.Route{
			{Path: "/api", Upstream: orders, StripPrefix: true, Audience: "orders", Scopes: []string{"orders:write"}},
			{Path: "/api/menu", Upstream: orders, Auth: proxy.None}, // anybody's
		},
	})
	if err != nil {
		return nil, err
	}
	page, err := fs.Sub(web, "web")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/auth/", auth)
	mux.Handle("/.well-known/jwks.json", auth) // where the service gets the keys
	mux.Handle("/", http.FileServerFS(page))
	// Not under the mux: it would answer odd paths with redirects. What is not plain is 400.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if api.RouteOf(r.URL.EscapedPath()) != "" {
			api.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
