package proxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/memory"
)

// A Backend for Frontend: it signs users in, keeps their tokens in cookies, and turns the cookie into a bearer token for the
// service behind it.
func ExampleNew() {
	ctx := context.Background()

	// The service, which may be written in any language. It verifies the bearer by our published keys: see
	// docs/howto/upstream-tokens.md.
	orders := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s, bearer: %t, cookies: %d", r.URL.Path, strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "), len(r.Cookies()))
	}))
	defer orders.Close()

	// The program. In one of yours the address is fixed, the secret comes from a file, and the store is store/sqlite.
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	publicURL := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	quiet := slog.New(slog.DiscardHandler)
	secret := must(tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret())))
	store := memory.New(memory.Config{})
	service := must(tokenjar.New(ctx, tokenjar.Config{Issuer: publicURL, Secret: secret, Store: store, Logger: quiet}))
	running, stop := context.WithCancel(ctx)
	defer stop()
	go service.Run(running)
	guard := must(session.New(session.Config{Service: service, PublicURL: publicURL}))
	auth := must(httpapi.New(httpapi.Config{Guard: guard}))
	bff := must(proxy.New(proxy.Config{
		Guard: guard, PublicURL: publicURL, Logger: quiet,
		Routes: []proxy.Route{
			{Path: "/api", Upstream: orders.URL, Audience: "orders", StripPrefix: true}, // for who is signed in
			{Path: "/api/menu", Upstream: orders.URL, Auth: proxy.None},                 // for everybody
		},
	}))
	mux.Handle("/auth/", auth)
	mux.Handle("/.well-known/jwks.json", auth)
	mux.Handle("/api/", bff)

	// A browser.
	must(tokenjar.CreateUser(ctx, store, must(password.New(password.Config{})), password.Policy{}, tokenjar.NewUser{
		Username: "ada", Email: "ada@example.com", Password: "umbrella-kettle-92",
	}))
	browser := &http.Client{Jar: must(cookiejar.New(nil))}
	show := func(path string) {
		answer := must(browser.Get(publicURL + path))
		defer answer.Body.Close()
		if code := answer.Header.Get("X-Tokenjar-Problem"); code != "" {
			fmt.Println(answer.StatusCode, code)
			return
		}
		fmt.Println(answer.StatusCode, string(must(io.ReadAll(answer.Body))))
	}
	show("/api/orders")
	show("/api/menu")
	login := must(http.NewRequest("POST", publicURL+"/auth/login", bytes.NewReader([]byte(`{"username":"ada","password":"umbrella-kettle-92"}`))))
	login.Header.Set("Content-Type", "application/json")
	login.Header.Set("Origin", publicURL)
	must(browser.Do(login)).Body.Close()
	show("/api/orders")

	// Output:
	// 401 not_authenticated
	// 200 /api/menu, bearer: false, cookies: 0
	// 200 /orders, bearer: true, cookies: 0
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
