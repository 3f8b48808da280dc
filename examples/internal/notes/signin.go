package notes

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// signIn sets two cookies: the token, which no script can read, and the CSRF token, for script to send back.
func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	account, err := a.checkPassword(w, r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	claims := token.Claims{
		"sub": account.ID, "sid": rand.Text(), "scope": "notes:write notes:export",
		"auth_time": time.Now().Unix(), // for middleware.MaxAuthAge
	}
	raw, err := a.encoder.Encode(claims, life)
	if err == nil {
		err = a.session.SetFor(w, raw, life)
	}
	if err == nil {
		err = a.csrf.SetFor(w, a.Cookie.CSRFToken(claims), life)
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	WriteJSON(w, http.StatusOK, account)
}

// signOut deletes the cookies. The token stays good until it expires, for whoever has a copy.
func (a *App) signOut(w http.ResponseWriter, r *http.Request) {
	err := a.session.Delete(w)
	if err == nil {
		err = a.csrf.Delete(w)
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// token answers a program, which sends it back in the Authorization field. It may write notes, and not export them.
func (a *App) token(w http.ResponseWriter, r *http.Request) {
	account, err := a.checkPassword(w, r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	raw, err := a.encoder.Encode(token.Claims{"sub": account.ID, "scope": "notes:write"}, life)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	WriteJSON(w, http.StatusOK, map[string]any{"access_token": raw, "token_type": "Bearer", "expires_in": int(life.Seconds())})
}

// checkPassword returns whose name and password a request brings. How often they may be tried is for the program to limit.
func (a *App) checkPassword(w http.ResponseWriter, r *http.Request) (Account, error) {
	var in struct{ Name, Password string }
	if err := ReadJSON(w, r, &in); err != nil {
		return Account{}, err
	}
	return a.accounts.ByPassword(r.Context(), in.Name, in.Password)
}

// ReadJSON reads the body of a request. Its error is for problem.Write.
func ReadJSON(w http.ResponseWriter, r *http.Request, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(into); err != nil {
		return problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest).WithDetail("The body is not the JSON that belongs here.")
	}
	return nil
}

// WriteJSON answers with a value.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
