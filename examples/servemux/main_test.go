package main

import (
	"net/http"
	"testing"

	"github.com/tokenjar/tokenjar/examples/internal/notestest"
)

func TestServeMux(t *testing.T) { notestest.Run(t, routes) }

func TestRoutesInFrontOfServeMux(t *testing.T) {
	notestest.RoutesInFront(t, func(open, staff http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/", open)
		mux.Handle("/staff", staff)
		mux.Handle("/staff/notes", staff)
		mux.Handle("/staff/notes/{id}", staff)
		return mux
	})
}
