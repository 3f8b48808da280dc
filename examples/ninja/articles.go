// Package ninja is what a view set of django-ninja-aio with AsyncJwtBearer and AsyncJwtCookie becomes: views.py beside it
// is what it was. Cookie, keys, issuer and audience are the same, so whoever is signed in stays so.
package ninja

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// User is a row of the program's own table.
type User struct {
	ID, Username string
	Active       bool
}

// Users is that table. Its methods return middleware.ErrNotFound where there is no such user; CheckPassword also for a
// wrong password, in the same time.
type Users interface {
	User(ctx context.Context, id string) (User, error)
	CheckPassword(ctx context.Context, username, password string) (User, error)
}

// Settings are Django's, and the three that it had elsewhere.
type Settings struct {
	PrivateKey       []byte // JWT_PRIVATE_KEY: PEM or JWK. The public key is part of it.
	Issuer, Audience string // JWT_ISSUER, JWT_AUDIENCE

	PublicURL string // the address that browsers know: https, or http://localhost while developing
	CSRFKey   []byte // 32 random bytes, in place of SECRET_KEY
	Users     Users
}

const life = 15 * time.Minute // duration=900 and max_age=900

type program struct {
	users   Users
	encoder *token.Encoder
	cookie  cookie.JWT
	jar     *middleware.Cookie[User]
}

// New returns the handler of the program. Whatever is wrong with s is an error here, not at the first request.
func New(s Settings, articles http.Handler) (http.Handler, error) {
	key, err := token.ParseSigningKey("JWT_PRIVATE_KEY", s.PrivateKey)
	if err != nil {
		return nil, err
	}
	ring, err := token.NewRing(key) // of one key, so that a token without kid is taken
	if err != nil {
		return nil, err
	}
	encoder, err := token.NewEncoder(token.EncoderConfig{Keys: ring, Type: "JWT", Issuer: s.Issuer, Audience: s.Audience})
	if err != nil {
		return nil, err
	}
	decoder, err := token.NewDecoder(token.DecoderConfig{
		Keys: ring, Type: "JWT", Issuer: s.Issuer, Audience: s.Audience, // each is required of every token
		Rules:       map[string]token.Rule{"sub": {Essential: true}},
		EarlyLeeway: 5 * time.Second, // Django's clock may be ahead: its nbf is the very second
	})
	if err != nil {
		return nil, err
	}
	tokens, err := token.NewCache(decoder)
	if err != nil {
		return nil, err
	}
	csrfTokens, err := csrf.NewTokens(s.CSRFKey)
	if err != nil {
		return nil, err
	}

	p := &program{users: s.Users, encoder: encoder}
	p.cookie = cookie.JWT{
		Name: "access_token", Prefix: cookie.None, MaxAge: life, // as Django names it
		InsecureAllowHTTP: strings.HasPrefix(s.PublicURL, "http://"), // DEBUG; on loopback alone
	}
	p.jar, err = middleware.NewCookie(tokens, p.account, middleware.CookieConfig{
		Cookie: p.cookie, PublicURL: s.PublicURL, CSRFTokens: csrfTokens, CSRFClaim: "sub",
	})
	if err != nil {
		return nil, err
	}
	bearer, err := middleware.NewBearer(tokens, p.account)
	if err != nil {
		return nil, err
	}

	signedIn := middleware.Required(bearer, p.jar) // auth = [Bearer(), Cookie()]
	byCookie := middleware.Required(p.jar)
	mux := http.NewServeMux()
	mux.Handle("/articles/", middleware.Methods{
		"GET": middleware.Public[User](), // get_auth = None
		"*":   signedIn,
	}.Protect(articles))
	mux.Handle("GET /auth/me/{$}", byCookie.Func(p.me))
	mux.Handle("GET /auth/csrf/{$}", byCookie.Protect(http.HandlerFunc(p.csrf)))
	mux.Handle("POST /auth/login/{$}", p.jar.ProtectOrigin(http.HandlerFunc(p.login)))
	mux.Handle("POST /auth/logout/{$}", p.jar.ProtectOrigin(http.HandlerFunc(p.logout)))
	return mux, nil
}

// account is auth_handler. What it cannot tell, because the table does not answer, is 503 and not 401.
func (p *program) account(ctx context.Context, claims token.Claims) (User, error) {
	user, err := p.users.User(ctx, claims.String("sub"))
	if err == nil && !user.Active {
		err = middleware.ErrNotFound
	}
	return user, err
}

func (p *program) login(w http.ResponseWriter, r *http.Request) {
	var in struct{ Username, Password string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&in); err != nil {
		problem.Write(w, r, problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest))
		return
	}
	user, err := p.users.CheckPassword(r.Context(), in.Username, in.Password)
	if errors.Is(err, middleware.ErrNotFound) || err == nil && !user.Active {
		err = problem.New(problem.InvalidCredentials)
	}
	if err == nil {
		err = p.signIn(w, user)
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	answer(w, map[string]string{"message": "ok"})
}

// signIn sets both cookies: the token, which no script can read, and the CSRF token, which script sends back.
func (p *program) signIn(w http.ResponseWriter, user User) error {
	claims := token.Claims{"sub": user.ID}
	raw, err := p.encoder.Encode(claims, life)
	if err != nil {
		return err
	}
	if err := p.cookie.Set(w, raw); err != nil {
		return err
	}
	return cookie.CSRF{With: p.cookie}.Set(w, p.jar.CSRFToken(claims))
}

func (p *program) logout(w http.ResponseWriter, r *http.Request) {
	if err := errors.Join(p.cookie.Delete(w), cookie.CSRF{With: p.cookie}.Delete(w)); err != nil {
		problem.Write(w, r, err)
		return
	}
	answer(w, map[string]string{"message": "logged out"})
}

func (p *program) me(w http.ResponseWriter, _ *http.Request, user User) {
	answer(w, map[string]string{"user_id": user.ID, "username": user.Username})
}

// csrf is for pages whose user was signed in by Django, and so has no CSRF token of ours yet.
func (p *program) csrf(w http.ResponseWriter, r *http.Request) {
	id, _ := middleware.IdentityFromContext[User](r.Context())
	answer(w, map[string]string{"csrftoken": p.jar.CSRFToken(id.Claims())})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(body)
}
