// Command embed is a program of one's own with sign-in by cookie: its handler, our sessions.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

func main() {
	ctx, url := context.Background(), "http://localhost:8080" // https://… for anything but this machine
	secret := must(tokenjar.ParseSecret(must(os.ReadFile("app.secret"))))
	store := must(sqlite.Open(ctx, "app.db", sqlite.Config{}))
	service := must(tokenjar.New(ctx, tokenjar.Config{Issuer: url, Secret: secret, Store: store}))
	go service.Run(ctx)
	guard := must(session.New(session.Config{Service: service, PublicURL: url}))
	auth := must(httpapi.New(httpapi.Config{Guard: guard}))

	mux := http.NewServeMux()
	mux.Handle("/auth/", auth)                                    // sign in, stay in, sign out
	mux.Handle("/hello", guard.Required(http.HandlerFunc(hello))) // your own
	log.Fatal(http.ListenAndServe("localhost:8080", mux))
}

func hello(w http.ResponseWriter, r *http.Request) {
	id, _ := tokenjar.IdentityFromContext(r.Context())
	fmt.Fprintln(w, "hello", id.UserID)
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
