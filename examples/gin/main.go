// Command gin serves notes with gin. Each route, and each group of routes, says who may use it; protect.go is what that
// takes.
package main

import (
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/tokenjar/tokenjar/examples/internal/notes"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/problem"
)

func main() {
	app := notes.New("http://localhost:8080", notes.Demo()) // https://… for anything but this machine
	log.Fatal(http.ListenAndServe("localhost:8080", routes(app)))
}

func routes(app *notes.App) http.Handler {
	signedIn := middleware.Required(app.Cookie, app.Bearer) // the first that succeeds
	export := signedIn.With(middleware.Scope("notes:export"))
	staff := signedIn.Where(notes.Account.IsStaff)

	r := gin.New()
	r.Use(gin.Recovery())
	r.POST("/login", gin.WrapH(app.SignIn))
	r.POST("/logout", gin.WrapH(app.SignOut))
	r.POST("/token", gin.WrapH(app.Token))
	r.GET("/notes", func(c *gin.Context) { c.JSON(http.StatusOK, app.List()) })
	r.POST("/notes", protect(signedIn), as(func(c *gin.Context, account notes.Account) {
		var draft notes.Draft
		if err := notes.ReadJSON(c.Writer, c.Request, &draft); err != nil {
			problem.Write(c.Writer, c.Request, err)
			return
		}
		note, err := app.Add(account, draft)
		if err != nil {
			problem.Write(c.Writer, c.Request, err)
			return
		}
		c.JSON(http.StatusCreated, note)
	}))
	r.GET("/notes/export", protect(export), as(func(c *gin.Context, account notes.Account) {
		c.JSON(http.StatusOK, app.Export(account))
	}))
	inside := r.Group("/staff", protect(staff))
	inside.GET("/notes", func(c *gin.Context) { c.JSON(http.StatusOK, app.StaffList()) })
	inside.DELETE("/notes/:id", func(c *gin.Context) {
		if err := app.Remove(c.Param("id")); err != nil {
			problem.Write(c.Writer, c.Request, err)
			return
		}
		c.Status(http.StatusNoContent)
	})
	return r
}
