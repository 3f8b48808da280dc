package main

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/tokenjar/tokenjar/examples/internal/notestest"
)

func init() { gin.SetMode(gin.ReleaseMode) }

func TestGin(t *testing.T) { notestest.Run(t, routes) }

func TestRoutesInFrontOfGin(t *testing.T) {
	for name, set := range map[string]func(*gin.Engine){
		"gin as it is":      func(*gin.Engine) {},
		"RemoveExtraSlash":  func(e *gin.Engine) { e.RemoveExtraSlash = true },
		"RedirectFixedPath": func(e *gin.Engine) { e.RedirectFixedPath = true },
		"UseRawPath":        func(e *gin.Engine) { e.UseRawPath = true },
		"UseEscapedPath":    func(e *gin.Engine) { e.UseEscapedPath = true },
	} {
		t.Run(name, func(t *testing.T) {
			notestest.RoutesInFront(t, func(open, staff http.Handler) http.Handler {
				e := gin.New()
				set(e)
				e.NoRoute(func(c *gin.Context) { c.Status(http.StatusOK) }, gin.WrapH(open))
				e.Any("/staff", gin.WrapH(staff))
				e.Any("/staff/notes", gin.WrapH(staff))
				e.Any("/staff/notes/:id", gin.WrapH(staff))
				return e
			})
		})
	}
}
