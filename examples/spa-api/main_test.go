package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// A page that has no note yet must not be able to write over the one that is kept here.
func TestANoteIsReplacedByANoteAlone(t *testing.T) {
	iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{
		Audience: "notes", Clock: tokenjartest.NewClock(time.Now()), // the service reads the machine's clock
	})
	api, err := newAPI(iss.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	ada := iss.Token(token.Claims{"sub": "ada", "sid": "s-1"}, time.Minute)
	send := func(method, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/api/note", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+ada)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w
	}
	for _, tt := range []struct {
		name, body string
		status     int
		kept       string
	}{
		{"a note", `{"note":"first"}`, http.StatusOK, "first"},
		{"none, in so many words", `{"note":null}`, http.StatusUnprocessableEntity, "first"},
		{"none at all", `{}`, http.StatusUnprocessableEntity, "first"},
		{"nothing", `null`, http.StatusUnprocessableEntity, "first"},
		{"a number", `{"note":1}`, http.StatusUnprocessableEntity, "first"},
		{"too much", `{"note":"` + strings.Repeat("x", 10_000) + `"}`, http.StatusUnprocessableEntity, "first"},
		{"an empty one", `{"note":""}`, http.StatusOK, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if w := send("PUT", tt.body); w.Code != tt.status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, tt.status)
			}
			if got, want := send("GET", "").Body.String(), `{"note":"`+tt.kept+`"}`+"\n"; got != want {
				t.Errorf("kept: got %s, want %s", got, want)
			}
		})
	}
}
