//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-chi/jwtauth/v5"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/memory"
)

// A variant is one way to find out who sends a request. Its handler answers whom it knows as bare does.
type variant struct {
	name, aim string
	// make returns the handler and the Cookie header of somebody whom it knows.
	make func(ctx context.Context) (h http.Handler, cookies string, err error)
}

const bareName = "bare"

// variants in the order of the table. The first is what the others are compared with.
var variants = []variant{
	{bareName, "", func(context.Context) (http.Handler, string, error) { return http.HandlerFunc(bare), "", nil }},
	{"tokenjar, identity in the context (ES256)", "≥ 0.94", inContext},
	{"tokenjar, accessor (ES256)", "≥ 0.97", byAccessor},
	{"golang-jwt in a middleware, HS256", "", func(context.Context) (http.Handler, string, error) {
		return golangJWT(jwt.SigningMethodHS256, secret, secret)
	}},
	{"golang-jwt in a middleware, ES256", "", func(context.Context) (http.Handler, string, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, "", err
		}
		return golangJWT(jwt.SigningMethodES256, key, &key.PublicKey)
	}},
	{"go-chi/jwtauth v5, HS256", "", jwtAuth},
	{"alexedwards/scs v2, memory store", "", scsSessions},
}

var (
	secret = []byte("kV3xQ9wLr7tYb2NzHm5sJd8FgCa4PeUo6iXnTqW1")
	plain  = []string{"text/plain; charset=utf-8"}
	okay   = []byte("ok\n")
)

func bare(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = plain
	w.Write(okay)
}

// answer is the end of a handler that has found a user, or has not.
func answer(w http.ResponseWriter, r *http.Request, user string) {
	if user == "" {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	bare(w, r)
}

// guard returns our guard, in a service with one user who is signed in.
func guard(ctx context.Context) (*session.Guard, string, error) {
	const url, phrase = "https://app.example.com", "correct horse battery staple"
	hasher, err := password.New(password.Config{})
	if err != nil {
		return nil, "", err
	}
	hash, err := hasher.Hash(ctx, phrase)
	if err != nil {
		return nil, "", err
	}
	store := memory.New(memory.Config{})
	user := tokenjar.User{ID: uuid.NewString(), Username: "ada", Active: true, PasswordHash: tokenjar.PasswordHash(hash)}
	if err := store.CreateUser(ctx, user); err != nil {
		return nil, "", err
	}
	key, err := tokenjar.ParseSecret(secret)
	if err != nil {
		return nil, "", err
	}
	service, err := tokenjar.New(ctx, tokenjar.Config{
		Issuer: url, Secret: key, Store: store, Passwords: hasher, AccessLifetime: time.Hour, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, "", err
	}
	go service.Run(ctx)
	g, err := session.New(session.Config{Service: service, PublicURL: url})
	if err != nil {
		return nil, "", err
	}
	grant, err := service.Login(ctx, tokenjar.Credentials{Username: "ada", Password: phrase}, tokenjar.Client{})
	if err != nil {
		return nil, "", err
	}
	return g, "__Host-access_token=" + grant.AccessToken + "; __Host-refresh_token=" + grant.RefreshToken +
		"; __Host-csrftoken=" + g.CSRFToken(grant.SessionID), nil
}

func inContext(ctx context.Context) (http.Handler, string, error) {
	g, cookies, err := guard(ctx)
	if err != nil {
		return nil, "", err
	}
	return g.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := tokenjar.IdentityFromContext(r.Context())
		answer(w, r, id.UserID)
	})), cookies, nil
}

func byAccessor(ctx context.Context) (http.Handler, string, error) {
	g, cookies, err := guard(ctx)
	if err != nil {
		return nil, "", err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := g.Identify(r)
		answer(w, r, id.UserID)
	}), cookies, nil
}

// claims are as many as our access token has.
func claims() jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"iss": "https://app.example.com", "aud": "https://app.example.com", "sub": uuid.NewString(), "sid": uuid.NewString(),
		"jti": uuid.NewString(), "scp": "read write", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

type userKey struct{}

// golangJWT is the middleware that nearly every program with that library has.
func golangJWT(method jwt.SigningMethod, private, public any) (http.Handler, string, error) {
	token, err := jwt.NewWithClaims(method, claims()).SignedString(private)
	if err != nil {
		return nil, "", err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{method.Alg()}), jwt.WithExpirationRequired(),
		jwt.WithIssuer("https://app.example.com"), jwt.WithAudience("https://app.example.com"))
	middleware := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cookie, err := r.Cookie("access_token")
			if err != nil {
				http.Error(w, "no token", http.StatusUnauthorized)
				return
			}
			token, err := parser.Parse(cookie.Value, func(*jwt.Token) (any, error) { return public, nil })
			if err != nil {
				http.Error(w, "bad token", http.StatusUnauthorized)
				return
			}
			user, _ := token.Claims.GetSubject()
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
		})
	}
	return middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := r.Context().Value(userKey{}).(string)
		answer(w, r, user)
	})), "access_token=" + token, nil
}

func jwtAuth(context.Context) (http.Handler, string, error) {
	auth := jwtauth.New("HS256", secret, nil)
	_, token, err := auth.Encode(claims())
	if err != nil {
		return nil, "", err
	}
	h := jwtauth.Verifier(auth)(jwtauth.Authenticator(auth)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, claims, _ := jwtauth.FromContext(r.Context())
		user, _ := claims["sub"].(string)
		answer(w, r, user)
	})))
	return h, "jwt=" + token, nil
}

func scsSessions(ctx context.Context) (http.Handler, string, error) {
	manager := scs.New()
	ctx, err := manager.Load(ctx, "")
	if err != nil {
		return nil, "", err
	}
	manager.Put(ctx, "user", uuid.NewString())
	token, _, err := manager.Commit(ctx)
	if err != nil {
		return nil, "", err
	}
	return manager.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, manager.GetString(r.Context(), "user"))
	})), fmt.Sprintf("%s=%s", manager.Cookie.Name, token), nil
}
