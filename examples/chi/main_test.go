package main

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/tokenjar/tokenjar/examples/internal/notestest"
)

func TestChi(t *testing.T) { notestest.Run(t, routes) }

// What chi's own middleware makes of a path, it makes behind the policy.
func TestRoutesInFrontOfChi(t *testing.T) {
	for name, middlewares := range map[string]chi.Middlewares{
		"chi as it is": nil,
		"CleanPath":    {middleware.CleanPath},
		"StripSlashes": {middleware.StripSlashes},
	} {
		t.Run(name, func(t *testing.T) {
			notestest.RoutesInFront(t, func(open, staff http.Handler) http.Handler {
				r := chi.NewRouter()
				r.Use(middlewares...)
				r.Handle("/*", open)
				r.Handle("/staff", staff)
				r.Handle("/staff/notes", staff)
				r.Handle("/staff/notes/{id}", staff)
				return r
			})
		})
	}
}
