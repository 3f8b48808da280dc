package session_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/memory"
)

// Handlers that take longer to answer than the grace of a renewal, in a bubble of synctest: time passes by itself.

// A slowNode is one node of a deployment. Its handler begins its answer after the time that the request names.
type slowNode struct {
	service *tokenjar.Service
	guard   *session.Guard
	handler http.Handler
}

// newNodes starts nodes on one store, with a user who can sign in.
func newNodes(t *testing.T, n int) (nodes []*slowNode, stop func()) {
	t.Helper()
	hasher, err := password.New(password.Config{})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := tokenjar.ParseSecret([]byte(servertest.Secret))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := hasher.Hash(t.Context(), servertest.Password)
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(memory.Config{})
	user := tokenjar.User{ID: "ada", Username: servertest.Ada, Active: true, PasswordHash: tokenjar.PasswordHash(hash)}
	if err := store.CreateUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	for range n {
		service, err := tokenjar.New(t.Context(), tokenjar.Config{
			Issuer: "https://app.example.com", Secret: secret, Store: store, Passwords: hasher,
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		guard, err := session.New(session.Config{Service: service, PublicURL: "https://app.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- service.Run(ctx) }()
		nodes = append(nodes, &slowNode{service, guard, guard.Required(http.HandlerFunc(answerSlowly))})
	}
	return nodes, func() {
		cancel()
		for range nodes {
			<-done
		}
	}
}

func answerSlowly(w http.ResponseWriter, r *http.Request) {
	after, err := time.ParseDuration(r.URL.Query().Get("after"))
	if err != nil {
		http.Error(w, "bad time", http.StatusBadRequest)
		return
	}
	if r.URL.Query().Has("begun") {
		io.WriteString(w, "so far nothing, and that stays in a buffer\n")
	}
	time.Sleep(after)
	io.WriteString(w, "here it is\n")
}

// get sends a request with a refresh cookie and returns the one that is set, "" when none is.
func (n *slowNode) get(t *testing.T, refresh, query string) (set string) {
	t.Helper()
	r := httptest.NewRequest("GET", "https://app.example.com/slow?"+query, nil)
	r.AddCookie(&http.Cookie{Name: n.guard.RefreshCookieName(), Value: refresh})
	rec := httptest.NewRecorder()
	n.handler.ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		t.Errorf("%s: %d %s", query, rec.Code, rec.Body)
	}
	for _, c := range rec.Result().Cookies() {
		if c.Name == n.guard.RefreshCookieName() {
			set = c.Value
		}
	}
	return set
}

func (n *slowNode) signIn(t *testing.T) tokenjar.Grant {
	t.Helper()
	g, err := n.service.Login(t.Context(), tokenjar.Credentials{Username: servertest.Ada, Password: servertest.Password}, tokenjar.Client{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestASlowHandlerCostsNobodyTheSession(t *testing.T) { // T-05
	for name, query := range map[string]string{"nothing is written before": "after=58s", "a little is written at once": "begun&after=58s"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes, stop := newNodes(t, 2)
				defer stop()
				refresh := nodes[0].signIn(t).RefreshToken
				for range 4 { // a late retry would be there once in three rotations
					set := make(chan string)
					go func() { set <- nodes[0].get(t, refresh, query) }()
					var others []string
					for range 3 {
						time.Sleep(15 * time.Second)
						for _, n := range nodes {
							others = append(others, n.get(t, refresh, "after=0s"))
						}
					}
					next := <-set
					for _, other := range others {
						if next == "" || other != next {
							t.Fatalf("two successors, or none: %q and %q", next, other)
						}
					}
					time.Sleep(5 * time.Minute)
					refresh = next
				}
			})
		})
	}
}

func TestALateAnswerSetsNoCookiesOverThoseOfAnotherNode(t *testing.T) { // R9
	for name, after := range map[string]string{"soon after the grace": "11s", "minutes later": "8m"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nodes, stop := newNodes(t, 2)
				defer stop()
				refresh := nodes[0].signIn(t).RefreshToken
				set := make(chan string)
				go func() { set <- nodes[0].get(t, refresh, "after="+after) }()
				time.Sleep(5 * time.Second)
				newer := nodes[1].get(t, nodes[1].get(t, refresh, "after=0s"), "after=0s")
				if late := <-set; late != "" {
					t.Error("an old token is set over a newer one")
				}
				if nodes[0].get(t, newer, "after=0s") == "" {
					t.Error("the newer one is not good any more")
				}
			})
		})
	}
}

func TestALateAnswerThatNothingHasOvertakenSetsItsCookies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, stop := newNodes(t, 2)
		defer stop()
		late := nodes[0].get(t, nodes[0].signIn(t).RefreshToken, "after=10m")
		if late == "" || nodes[1].get(t, late, "after=0s") == "" {
			t.Errorf("%q is set", late)
		}
	})
}
