package main

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/tokenjar/tokenjar/examples/internal/notestest"
)

func TestEcho(t *testing.T) { notestest.Run(t, routes) }

func TestRoutesInFrontOfEcho(t *testing.T) {
	for name, config := range map[string]echo.RouterConfig{
		"echo as it is":             {},
		"UseEscapedPathForMatching": {UseEscapedPathForMatching: true},
		"UnescapePathParamValues":   {UnescapePathParamValues: true},
	} {
		t.Run(name, func(t *testing.T) {
			notestest.RoutesInFront(t, func(open, staff http.Handler) http.Handler {
				e := echo.NewWithConfig(echo.Config{Router: echo.NewRouter(config)})
				e.Any("/*", echo.WrapHandler(open))
				e.Any("/staff", echo.WrapHandler(staff))
				e.Any("/staff/notes", echo.WrapHandler(staff))
				e.Any("/staff/notes/:id", echo.WrapHandler(staff))
				return e
			})
		})
	}
}
