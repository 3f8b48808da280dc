// Command chi serves notes with chi. Each route, and each group of routes, says who may use it.
package main

import (
	"log"
	"net/http"

	"github.com/go-chi/chi/v5"
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

	r := chi.NewRouter()
	r.Method("POST", "/login", app.SignIn)
	r.Method("POST", "/logout", app.SignOut)
	r.Method("POST", "/token", app.Token)
	r.Get("/notes", func(w http.ResponseWriter, r *http.Request) {
		notes.WriteJSON(w, http.StatusOK, app.List())
	})
	r.Method("POST", "/notes", signedIn.Func(func(w http.ResponseWriter, r *http.Request, account notes.Account) {
		var draft notes.Draft
		if err := notes.ReadJSON(w, r, &draft); err != nil {
			problem.Write(w, r, err)
			return
		}
		note, err := app.Add(account, draft)
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		notes.WriteJSON(w, http.StatusCreated, note)
	}))
	r.Method("GET", "/notes/export", export.Func(func(w http.ResponseWriter, r *http.Request, account notes.Account) {
		notes.WriteJSON(w, http.StatusOK, app.Export(account))
	}))
	r.Route("/staff", func(r chi.Router) {
		r.Use(staff.Protect)
		r.Get("/notes", func(w http.ResponseWriter, r *http.Request) {
			notes.WriteJSON(w, http.StatusOK, app.StaffList())
		})
		r.Delete("/notes/{id}", func(w http.ResponseWriter, r *http.Request) {
			if err := app.Remove(chi.URLParam(r, "id")); err != nil {
				problem.Write(w, r, err)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
	})
	return r
}
