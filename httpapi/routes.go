package httpapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// register lists all operations: method, path, how a request is judged before it runs, and what runs.
func (a *API) register() {
	at := a.prefix
	// sign in, stay in, sign out
	add(a, a.signIn, post(at+"/login", "login", "Sign in", body), a.login)
	add(a, a.spend, post(at+"/logout", "logout", "Sign out"), a.logout)
	add(a, a.spend, post(at+"/token/refresh", "refresh", "Renew the session", bodyWithToken("refresh")), a.refresh)
	// who is signed in
	add(a, a.check, post(at+"/token/verify", "verify", "Check a token", bodyWithToken("token")), a.verify)
	add(a, a.open, get(at+"/session", "session", "Tell whether somebody is signed in"), a.session)
	add(a, a.open, get(at+"/csrf", "csrf", "Get the CSRF token"), a.csrf)
	add(a, a.member, get(at+"/user", "user", "Show the signed-in user"), a.user)
	add(a, a.member, patch(at+"/user", "updateUser", "Change the signed-in user", body), a.updateUser)
	// where
	add(a, a.member, get(at+"/sessions", "sessions", "List own sessions"), a.sessions)
	add(a, a.member, remove(at+"/sessions", "endOtherSessions", "End all other sessions"), a.endOtherSessions)
	add(a, a.member, patch(at+"/sessions/{id}", "renameSession", "Name a session", body), a.renameSession)
	add(a, a.member, remove(at+"/sessions/{id}", "endSession", "End a session"), a.endSession)
	// for machines, at the root
	add(a, a.public, get("/.well-known/jwks.json", "jwks", "Public keys that verify access tokens"), a.jwks)
	add(a, a.public, get("/healthz", "healthz", "Tell whether the process runs"), a.healthz)
	add(a, a.public, get("/readyz", "readyz", "Tell whether requests should be sent here"), a.readyz)
	a.routes["/openapi.json"] = methodTable{http.MethodGet: http.HandlerFunc(a.serveDocument)}
}

// An operation is huma's, with what our gates need to know.
type operation struct {
	huma.Operation
	body    bool     // it reads a JSON body
	token   string   // the member of the body that may bring a token
	members []string // that the body may have
}

func body(op *operation) { op.body = true }

func bodyWithToken(member string) func(*operation) {
	return func(op *operation) { op.body, op.token = true, member }
}

func post(path, id, summary string, more ...func(*operation)) operation {
	return newOperation(http.MethodPost, path, id, summary, more)
}

func get(path, id, summary string, more ...func(*operation)) operation {
	return newOperation(http.MethodGet, path, id, summary, more)
}

func patch(path, id, summary string, more ...func(*operation)) operation {
	return newOperation(http.MethodPatch, path, id, summary, more)
}

func remove(path, id, summary string, more ...func(*operation)) operation {
	return newOperation(http.MethodDelete, path, id, summary, more)
}

func newOperation(method, path, id, summary string, more []func(*operation)) operation {
	op := operation{Operation: huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary,
		DefaultStatus: http.StatusOK,
		MaxBodyBytes:  maxBody,
		// Bodies have been read and their limits judged before huma sees them.
		BodyReadTimeout: -1,
	}}
	for _, set := range more {
		set(&op)
	}
	return op
}
