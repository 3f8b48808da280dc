// Command servemux serves notes with net/http alone. One table in front of the router says who may do what.
package main

import (
	"log"
	"net/http"

	"github.com/tokenjar/tokenjar/examples/internal/notes"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/problem"
)

func main() {
	app := notes.New("http://localhost:8080", notes.Demo()) // https://… for anything but this machine
	log.Fatal(http.ListenAndServe("localhost:8080", routes(app)))
}

func routes(app *notes.App) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /login", app.SignIn)
	mux.Handle("POST /logout", app.SignOut)
	mux.Handle("POST /token", app.Token)
	mux.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		notes.WriteJSON(w, http.StatusOK, app.List())
	})
	mux.Handle("POST /notes", middleware.WithUser(func(w http.ResponseWriter, r *http.Request, account notes.Account) {
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
	mux.Handle("GET /notes/export", middleware.WithUser(func(w http.ResponseWriter, r *http.Request, account notes.Account) {
		notes.WriteJSON(w, http.StatusOK, app.Export(account))
	}))
	mux.HandleFunc("GET /staff/notes", func(w http.ResponseWriter, r *http.Request) {
		notes.WriteJSON(w, http.StatusOK, app.StaffList())
	})
	mux.HandleFunc("DELETE /staff/notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		if err := app.Remove(r.PathValue("id")); err != nil {
			problem.Write(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})

	anybody := middleware.Public[notes.Account]()
	signedIn := middleware.Required(app.Cookie, app.Bearer) // the first that succeeds
	return middleware.Routes{
		"/login":        anybody,
		"/logout":       anybody,
		"/token":        anybody,
		"/notes":        middleware.Methods{"GET": anybody, "POST": signedIn},
		"/notes/export": signedIn.With(middleware.Scope("notes:export")),
		"/staff":        signedIn.Where(notes.Account.IsStaff),
	}.Protect(mux)
}
