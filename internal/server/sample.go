package server

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
)

// The demo's sample API: what a program behind the guard sees. It is an ordinary handler that knows nothing of cookies.

const samplePath = "/api/hello"

func serveSample(w http.ResponseWriter, r *http.Request) {
	id, _ := tokenjar.IdentityFromContext(r.Context())
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, HEAD, POST")
		problem.Write(w, r, problem.New(problem.MethodNotAllowed))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(struct {
		Message       string    `json:"message"`
		Method        string    `json:"method"`
		UserID        string    `json:"user_id"`
		SessionID     string    `json:"session_id"`
		SignedInAt    time.Time `json:"signed_in_at"`
		IdentityUntil time.Time `json:"identity_until"`
	}{"Hello from a protected API.", r.Method, id.UserID, id.SessionID, id.AuthTime.UTC(), id.ExpiresAt.UTC()})
}
