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
	json.NewEncoder(w).Encode(map[string]any{
		"message":         "Hello from a protected API.",
		"method":          r.Method,
		"user_id":         id.UserID,
		"session_id":      id.SessionID,
		"signed_in_at":    id.AuthTime.UTC().Format(time.RFC3339),
		"identity_until":  id.ExpiresAt.UTC().Format(time.RFC3339),
		"token_in_script": false,
	})
}
