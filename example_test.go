package tokenjar_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/store/memory"
)

// prices is an event stream of a program: it stands behind session.Guard.Required, which has judged the request once. It lasts
// as long as the session does.
func prices(service *tokenjar.Service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, ok := tokenjar.IdentityFromContext(r.Context())
		if !ok {
			http.Error(w, "sign in", http.StatusUnauthorized)
			return
		}
		ctx, cancel := service.Bind(r.Context(), id)
		defer cancel()
		news := subscribe(ctx) // whatever the program waits for, it waits for it with this context
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case price := <-news:
				fmt.Fprintf(w, "data: %d\n\n", price)
				http.NewResponseController(w).Flush()
			case <-ctx.Done():
				// A WebSocket would be closed here, with 4401. The browser asks anew for an event stream, and is told 401 if
				// the session is over; after a change of roles it is renewed and let in.
				switch cause := context.Cause(ctx); {
				case errors.Is(cause, tokenjar.ErrSessionEnded):
					fmt.Println("the session has ended")
				case errors.Is(cause, tokenjar.ErrTokenExpired):
					fmt.Println("the user's claims have changed")
				}
				return
			}
		}
	}
}

// subscribe stands for the program's own news.
func subscribe(context.Context) <-chan int {
	news := make(chan int, 1)
	news <- 42
	return news
}

func ExampleService_Bind() {
	ctx, stop := context.WithCancel(context.Background())
	service, err := newExampleService(ctx)
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- service.Run(ctx) }()

	grant, err := service.Login(ctx, tokenjar.Credentials{
		Username: "ada", Password: "correct horse battery staple",
	}, tokenjar.Client{})
	if err != nil {
		log.Fatal(err)
	}
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // session.Guard.Required
		defer close(over)
		prices(service)(w, r.WithContext(tokenjar.ContextWithIdentity(r.Context(), grant.Identity())))
	}))
	res, err := http.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	events := bufio.NewScanner(res.Body)
	events.Scan()
	fmt.Println(events.Text())

	// The user signs out in another tab.
	if err := service.Logout(ctx, service.SignedSessions([]string{grant.AccessToken}, nil)); err != nil {
		log.Fatal(err)
	}
	<-over
	for events.Scan() { // the stream ends
	}
	res.Body.Close()
	server.Close()
	stop()
	<-done
	// Output:
	// data: 42
	// the session has ended
}

// newExampleService is a service with one user, in memory.
func newExampleService(ctx context.Context) (*tokenjar.Service, error) {
	hasher, err := password.New(password.Config{})
	if err != nil {
		return nil, err
	}
	hash, err := hasher.Hash(ctx, "correct horse battery staple")
	if err != nil {
		return nil, err
	}
	store := memory.New(memory.Config{})
	err = store.CreateUser(ctx, tokenjar.User{ID: "1", Username: "ada", Active: true, PasswordHash: tokenjar.PasswordHash(hash)})
	if err != nil {
		return nil, err
	}
	secret, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	if err != nil {
		return nil, err
	}
	return tokenjar.New(ctx, tokenjar.Config{Issuer: "https://app.example.com", Secret: secret, Store: store, Passwords: hasher})
}
