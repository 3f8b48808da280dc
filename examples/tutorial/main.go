// Command hello keeps one note for each signed-in user.
package main

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/sqlite"
)

//go:embed web
var web embed.FS

func main() {
	ctx := context.Background()
	addr := "localhost:" + cmp.Or(os.Getenv("PORT"), "8080")
	url := "http://" + addr // as browsers know us; https://… for anything but this machine

	// Sessions and users live in one SQLite file. All keys come from one secret.
	secret := must(tokenjar.ParseSecret(must(os.ReadFile("tokenjar.secret"))))
	store := must(sqlite.Open(ctx, "tokenjar.db", sqlite.Config{}))
	service := must(tokenjar.New(ctx, tokenjar.Config{
		Issuer: url, Secret: secret, Store: store,
		AccessLifetime: 30 * time.Second, // short, so that you can watch it run out; the default is 5 minutes
	}))
	go service.Run(ctx)

	// The guard finds out who sends a request. The API signs users in, keeps them in and signs them out.
	guard := must(session.New(session.Config{Service: service, PublicURL: url}))
	auth := must(httpapi.New(httpapi.Config{Guard: guard}))

	mux := http.NewServeMux()
	mux.Handle("/auth/", auth)
	mux.Handle("/api/note", guard.Required(http.HandlerFunc(note))) // yours: only signed-in users get here
	mux.Handle("/", http.FileServerFS(must(fs.Sub(web, "web"))))

	listener := must(net.Listen("tcp", addr))
	log.Println("open", url)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(listener))
}

// notes are kept by user id. A program of your own has a table here.
var notes sync.Map

// note shows a user's own note, and replaces it.
func note(w http.ResponseWriter, r *http.Request) {
	id, _ := tokenjar.IdentityFromContext(r.Context())
	switch r.Method {
	case http.MethodGet:
	case http.MethodPut:
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1000))
		if err != nil {
			http.Error(w, "a note has at most 1000 bytes", http.StatusRequestEntityTooLarge)
			return
		}
		notes.Store(id.UserID, string(text))
	default:
		http.Error(w, "use GET or PUT", http.StatusMethodNotAllowed)
		return
	}
	text, _ := notes.LoadOrStore(id.UserID, "")
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"note": text})
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
