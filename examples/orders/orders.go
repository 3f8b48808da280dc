// Package orders is a program of one's own, as far as its tests are concerned: handlers behind the guard.
package orders

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/session"
)

// Order is what somebody wants.
type Order struct {
	Item string    `json:"item"`
	By   string    `json:"by"` // user id
	At   time.Time `json:"at"`
}

// Shop takes orders. Now is its clock.
type Shop struct {
	Now func() time.Time

	mu     sync.Mutex
	orders []Order
}

// Handler serves the shop: everybody sees the menu, and users have orders.
func (s *Shop) Handler(guard *session.Guard) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /menu", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("tea\n")) })
	mux.Handle("GET /orders", guard.Required(http.HandlerFunc(s.list)))
	mux.Handle("POST /orders", guard.Required(http.HandlerFunc(s.order)))
	return mux
}

func (s *Shop) order(w http.ResponseWriter, r *http.Request) {
	id, _ := tokenjar.IdentityFromContext(r.Context())
	var o Order
	if json.NewDecoder(r.Body).Decode(&o) != nil || o.Item == "" {
		http.Error(w, "what do you want?", http.StatusUnprocessableEntity)
		return
	}
	o.By, o.At = id.UserID, s.Now()
	s.mu.Lock()
	s.orders = append(s.orders, o)
	s.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
}

func (s *Shop) list(w http.ResponseWriter, r *http.Request) {
	id, _ := tokenjar.IdentityFromContext(r.Context())
	s.mu.Lock()
	defer s.mu.Unlock()
	own := []Order{}
	for _, o := range s.orders {
		if o.By == id.UserID {
			own = append(own, o)
		}
	}
	json.NewEncoder(w).Encode(own)
}
