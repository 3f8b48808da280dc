// Command echo serves notes with echo. Each route, and each group of routes, says who may use it.
package main

import (
	"log"
	"net/http"

	"github.com/labstack/echo/v5"
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

	e := echo.New()
	e.HTTPErrorHandler = writeProblem(e.HTTPErrorHandler)
	e.POST("/login", echo.WrapHandler(app.SignIn))
	e.POST("/logout", echo.WrapHandler(app.SignOut))
	e.POST("/token", echo.WrapHandler(app.Token))
	e.GET("/notes", func(c *echo.Context) error { return c.JSON(http.StatusOK, app.List()) })
	e.POST("/notes", as(func(c *echo.Context, account notes.Account) error {
		var draft notes.Draft
		if err := notes.ReadJSON(c.Response(), c.Request(), &draft); err != nil {
			return err
		}
		note, err := app.Add(account, draft)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusCreated, note)
	}), protect(signedIn))
	e.GET("/notes/export", as(func(c *echo.Context, account notes.Account) error {
		return c.JSON(http.StatusOK, app.Export(account))
	}), protect(export))
	inside := e.Group("/staff", protect(staff))
	inside.GET("/notes", func(c *echo.Context) error { return c.JSON(http.StatusOK, app.StaffList()) })
	inside.DELETE("/notes/:id", func(c *echo.Context) error {
		if err := app.Remove(c.Param("id")); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	})
	return e
}

// protect makes an access a middleware of echo. The account is in echo's context, for as, and in the request's.
func protect(access middleware.Access[notes.Account]) echo.MiddlewareFunc {
	wrapped := echo.WrapMiddleware(access.Protect)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return wrapped(func(c *echo.Context) error {
			if account, ok := middleware.UserFromContext[notes.Account](c.Request().Context()); ok {
				c.Set("account", account)
			}
			return next(c)
		})
	}
}

// as gives a handler the account that protect has let in.
func as(next func(*echo.Context, notes.Account) error) echo.HandlerFunc {
	return func(c *echo.Context) error {
		account, err := echo.ContextGet[notes.Account](c, "account")
		if err != nil { // the route is open to anybody
			return err
		}
		return next(c, account)
	}
}

// writeProblem is an error handler that answers with the problem that an error is, and leaves echo's own errors to echo.
func writeProblem(echos echo.HTTPErrorHandler) echo.HTTPErrorHandler {
	return func(c *echo.Context, err error) {
		if problem.From(err).Code == problem.Internal {
			echos(c, err)
			return
		}
		problem.Write(c.Response(), c.Request(), err)
	}
}
