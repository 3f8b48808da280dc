package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/cli"
)

// A server that answers everything but a sign-in and a question for its keys is not well, and the session that it may have begun
// is told of, with the command that ends it.
func TestDoctorTellsOfWhatWasBrokenOffAndOfASessionThatMayBeLeft(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/login" || r.URL.Path == "/.well-known/jwks.json" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		http.SetCookie(w, &http.Cookie{Name: "access_token", Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		io.WriteString(w, `{"authenticated":false,"status":"ok"}`)
	}))
	t.Cleanup(server.Close)
	for _, tt := range []struct {
		format string
		want   []string
	}{
		{"--json=false", []string{"BROKE OFF  the public keys are there\n  why      it was broken off: ", " not tried, 1 broken off, ", "session-lost"}},
		{"--json", []string{`"result":"broken_off","why":"it was broken off: `, `"broken_off":1,`, `"finding":"session-lost"`, `"session_left":true}`}},
	} {
		code, stdout, stderr := cli.Run(goodPassword, nil, "doctor", server.URL, "--username", "ada", "--password-stdin", tt.format)
		if want := "tokenjar: a session may be left: tokenjar sessions revoke --user ada\n"; code != 1 || stderr != want {
			t.Errorf("%s: got %d and %q, want 1 and %q", tt.format, code, stderr, want)
		}
		for _, want := range tt.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: want %q in\n%s", tt.format, want, stdout)
			}
		}
	}
}
