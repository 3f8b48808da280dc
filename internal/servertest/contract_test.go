package servertest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/servertest"
)

// The check must be able to fail. Each row makes the document say something else than the server does, or the answer
// something else than the document.
func TestTheContractCheckFails(t *testing.T) {
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	user := w.Send(t, "GET", "/auth/user", "", p.As)
	login := w.Browser(t).Login(t, servertest.Ada)
	refused := w.Send(t, "GET", "/auth/user", "")
	unknown := w.Send(t, "GET", "/auth/nothing", "")
	deaf := w.Send(t, "POST", "/auth/user", "", p.As)
	head := w.Send(t, "HEAD", "/auth/user", "", p.As)
	options := w.Send(t, "OPTIONS", "/auth/user", "")
	session := w.Send(t, "GET", "/auth/session", "", p.As)
	page := w.Send(t, "GET", "/", "")

	type object = map[string]any
	in := func(doc any, path ...string) object {
		for _, name := range path {
			doc = doc.(object)[name]
		}
		return doc.(object)
	}
	for _, row := range []struct {
		name         string
		method, path string
		answer       servertest.Answer
		doctor       func(doc object)
		change       func(a *servertest.Answer)
		fails        string // "" when the answer is described
	}{
		{"as it is: a success", "GET", "/auth/user", user, nil, nil, ""},
		{"as it is: with a slash", "GET", "/auth/user/", user, nil, nil, ""},
		{"as it is: login", "POST", "/auth/login", login, nil, nil, ""},
		{"as it is: a refusal", "GET", "/auth/user", refused, nil, nil, ""},
		{"as it is: a path that leads nowhere", "GET", "/auth/nothing", unknown, nil, nil, ""},
		{"as it is: a method that is not served", "POST", "/auth/user", deaf, nil, nil, ""},
		{"as it is: HEAD", "HEAD", "/auth/user", head, nil, nil, ""},
		{"as it is: OPTIONS", "OPTIONS", "/auth/user", options, nil, nil, ""},
		{"as it is: the page of another room", "GET", "/", page, nil, nil, ""},

		{"the path is not described", "GET", "/auth/user", user, func(doc object) { delete(in(doc, "paths"), "/auth/user") }, nil, "status 200"},
		{"the method is not described", "GET", "/auth/user", user, func(doc object) { delete(in(doc, "paths", "/auth/user"), "get") }, nil, "status 200"},
		{"the status is not described", "GET", "/auth/user", refused, func(doc object) { delete(in(doc, "paths", "/auth/user", "get", "responses"), "401") }, nil, "status 401"},
		{"the success is not described", "GET", "/auth/user", user, func(doc object) { delete(in(doc, "paths", "/auth/user", "get", "responses"), "200") }, nil, "status 200"},
		{"the type is another", "GET", "/auth/user", user, func(doc object) {
			in(doc, "paths", "/auth/user", "get", "responses", "200")["content"] = object{"text/plain": object{}}
		}, nil, "type"},
		{"nothing is described of the body", "GET", "/auth/user", user, func(doc object) {
			delete(in(doc, "paths", "/auth/user", "get", "responses", "200"), "content")
		}, nil, "body"},
		{"a member of another type", "GET", "/auth/user", user, func(doc object) {
			in(doc, "components", "schemas", "User", "properties", "username")["type"] = "integer"
		}, nil, "username"},
		{"a member that is not described", "GET", "/auth/user", user, func(doc object) {
			delete(in(doc, "components", "schemas", "User", "properties"), "email")
		}, nil, "email"},
		{"a member that is missing", "GET", "/auth/user", user, func(doc object) {
			user := in(doc, "components", "schemas", "User")
			user["required"] = append(user["required"].([]any), "age")
		}, nil, "age"},
		{"a required header", "GET", "/auth/user", user, func(doc object) {
			in(doc, "paths", "/auth/user", "get", "responses", "200", "headers")["X-Age"] = object{"required": true}
		}, nil, "X-Age"},
		{"cookies that are not described", "POST", "/auth/login", login, func(doc object) {
			delete(in(doc, "paths", "/auth/login", "post", "responses", "200", "headers"), "Set-Cookie")
		}, nil, "Set-Cookie"},
		{"a format", "GET", "/auth/session", session, func(doc object) {
			in(doc, "components", "schemas", "User", "properties", "username")["format"] = "date-time"
		}, nil, "username"},
		{"the code is not among those of the status", "GET", "/auth/user", refused, func(doc object) {
			name := strings.TrimPrefix(in(doc, "paths", "/auth/user", "get", "responses", "401")["$ref"].(string), "#/components/responses/")
			in(doc, "components", "responses", name, "content", "application/problem+json", "schema", "properties", "code")["enum"] = []any{"token_expired"}
		}, nil, "code"},
		{"a refusal on any path is not described", "POST", "/auth/user", deaf, func(doc object) {
			delete(in(doc, "components", "responses"), "method_not_allowed")
		}, nil, "status 405"},
		{"a refusal on any path with another status", "GET", "/auth/nothing", unknown, func(doc object) {
			in(doc, "components", "responses", "not_found")["x-status"] = []any{410}
		}, nil, "status 404"},

		{"no challenge", "GET", "/auth/user", refused, nil, func(a *servertest.Answer) { a.Header.Del("WWW-Authenticate") }, "WWW-Authenticate"},
		{"no request id", "GET", "/auth/user", refused, nil, func(a *servertest.Answer) { a.Header.Del("X-Request-Id") }, "X-Request-Id"},
		{"no Allow", "POST", "/auth/user", deaf, nil, func(a *servertest.Answer) { a.Header.Del("Allow") }, "Allow"},
		{"a body behind OPTIONS", "OPTIONS", "/auth/user", options, nil, func(a *servertest.Answer) { a.Body = user.Body }, "body"},
		{"the status in the body is another", "GET", "/auth/user", refused, nil, func(a *servertest.Answer) {
			a.Body = []byte(strings.Replace(string(a.Body), `"status":401`, `"status":403`, 1))
		}, "status"},
		{"an action that is none", "GET", "/auth/user", refused, nil, func(a *servertest.Answer) {
			a.Body = []byte(strings.Replace(string(a.Body), `"action":"login"`, `"action":"wait"`, 1))
		}, "action"},
		{"a body behind HEAD", "HEAD", "/auth/user", head, nil, func(a *servertest.Answer) { a.Body = user.Body }, "body"},
		{"a body that is no JSON", "GET", "/auth/user", user, nil, func(a *servertest.Answer) { a.Body = []byte("<html>") }, "no JSON"},
		{"two documents", "GET", "/auth/user", user, nil, func(a *servertest.Answer) { a.Body = append(a.Body, "{}"...) }, "no JSON"},
		{"a server fault in place of a success", "GET", "/auth/user", user, nil, func(a *servertest.Answer) { a.Status = 502 }, "status 502"},
		{"a success on a path that leads nowhere", "GET", "/auth/nothing", user, nil, nil, "status 200"},
		{"a refusal of the page that is no problem document", "POST", "/", deaf, nil, func(a *servertest.Answer) { a.Body = []byte(`{"detail":"no"}`) }, "missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var doc object
			if err := json.Unmarshal(w.Server.Contract(), &doc); err != nil {
				t.Fatal(err)
			}
			if row.doctor != nil {
				row.doctor(doc)
			}
			text, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			contract, err := servertest.NewContract(text)
			if err != nil {
				t.Fatal(err)
			}
			a := row.answer
			a.Header, a.Body = a.Header.Clone(), append([]byte(nil), a.Body...)
			if row.change != nil {
				row.change(&a)
			}
			err = contract.Check(row.method, row.path, a)
			switch {
			case row.fails == "" && err != nil:
				t.Errorf("got %v", err)
			case row.fails != "" && (err == nil || !strings.Contains(err.Error(), row.fails)):
				t.Errorf("got %v, want a failure about %q", err, row.fails)
			}
		})
	}
}

func TestTheContractIsTheServedDocument(t *testing.T) {
	w := servertest.Start(t, servertest.HTTPS)
	if a := w.Send(t, http.MethodGet, "/openapi.json", ""); string(a.Body) != string(w.Server.Contract()) {
		t.Error("answers are held against another document than the served one")
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"paths":{}}`} {
		if _, err := servertest.NewContract([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a contract", bad)
		}
	}
}
