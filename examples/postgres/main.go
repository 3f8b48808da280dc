// Command postgres signs in the people of a PostgreSQL table of its own: tokens in a cookie, and nothing of tokenjar's in the
// database.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

const schema = `CREATE TABLE IF NOT EXISTS accounts (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- the subject of tokens: never given twice
  email    text NOT NULL UNIQUE,                            -- in lower case
  phc      text NOT NULL,                                   -- the password's hash
  disabled timestamptz
)`

// An Account is a row of the table.
type Account struct {
	ID    int64  `json:"id"`
	Email string `json:"email"`
}

type program struct {
	db      *pgxpool.Pool
	hasher  *password.Hasher
	encoder *token.Encoder
	auth    *middleware.Cookie[Account]
	session cookie.JWT
	csrf    cookie.CSRF
}

func main() {
	ctx := context.Background()
	db := must(pgxpool.New(ctx, os.Getenv("DATABASE_URL")))
	must(db.Exec(ctx, schema))
	if len(os.Args) == 2 { // postgres ada@example.com < file-with-her-password
		chosen := strings.TrimRight(string(must(io.ReadAll(os.Stdin))), "\r\n")
		if err := register(ctx, db, must(password.New(password.Config{})), os.Args[1], chosen); err != nil {
			log.Fatal(err)
		}
		return
	}
	log.Fatal(http.ListenAndServe("localhost:8080", routes(db, "http://localhost:8080"))) // https://… for anything but this machine
}

func routes(db *pgxpool.Pool, publicURL string) http.Handler {
	// Keys that are made anew at each start sign everybody out: token.ParseKeys reads one that is kept.
	keys := must(token.NewRing(must(token.GenerateKey(token.ES256))))
	csrfTokens := must(csrf.NewTokens([]byte(rand.Text() + rand.Text())))

	p := &program{db: db, hasher: must(password.New(password.Config{}))}
	p.encoder = must(token.NewEncoder(token.EncoderConfig{Keys: keys, Type: "at+jwt", Issuer: publicURL, Audience: publicURL}))
	decoder := must(token.NewDecoder(token.DecoderConfig{Keys: keys, Type: "at+jwt", Issuer: publicURL, Audience: publicURL}))
	p.session = cookie.JWT{InsecureAllowHTTP: strings.HasPrefix(publicURL, "http://")}
	p.csrf = cookie.CSRF{With: p.session}
	p.auth = must(middleware.NewCookie(must(token.NewCache(decoder)), p.account, middleware.CookieConfig{
		Cookie: p.session, PublicURL: publicURL, CSRFTokens: csrfTokens,
	}))

	mux := http.NewServeMux()
	mux.Handle("POST /login", p.auth.ProtectOrigin(http.HandlerFunc(p.signIn)))
	mux.Handle("/me", middleware.Required(p.auth).Func(func(w http.ResponseWriter, r *http.Request, account Account) {
		json.NewEncoder(w).Encode(account)
	}))
	return mux
}

// account is asked for each request whose token is good: who is it? Nobody is 401; a database that does not answer is 503, and
// signs nobody out.
func (p *program) account(ctx context.Context, claims token.Claims) (Account, error) {
	id, err := strconv.ParseInt(claims.String("sub"), 10, 64)
	if err != nil {
		return Account{}, middleware.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // and one that never answers is one that does not
	defer cancel()
	a := Account{ID: id}
	err = p.db.QueryRow(ctx, `SELECT email FROM accounts WHERE id = $1 AND disabled IS NULL`, id).Scan(&a.Email)
	if errors.Is(err, pgx.ErrNoRows) {
		return Account{}, middleware.ErrNotFound
	}
	return a, err
}

// life is how long a sign-in is good. An account that is disabled is out at its next request.
const life = 8 * time.Hour

func (p *program) signIn(w http.ResponseWriter, r *http.Request) {
	account, err := p.checkPassword(w, r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	claims := token.Claims{"sub": strconv.FormatInt(account.ID, 10), "sid": rand.Text()}
	raw, err := p.encoder.Encode(claims, life)
	if err == nil {
		err = p.session.SetFor(w, raw, life)
	}
	if err == nil {
		err = p.csrf.SetFor(w, p.auth.CSRFToken(claims), life)
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(account)
}

// checkPassword returns whose address and password a request brings. To a stranger an account that does not exist, one that is
// disabled and a wrong password are the same, in answer and time. How often they may be tried is for the program to limit.
func (p *program) checkPassword(w http.ResponseWriter, r *http.Request) (Account, error) {
	var in struct{ Email, Password string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&in); err != nil {
		return Account{}, problem.New(problem.ValidationFailed).WithStatus(http.StatusBadRequest)
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	var a Account
	var phc string
	err := p.db.QueryRow(ctx, `SELECT id, email, phc FROM accounts WHERE email = $1 AND disabled IS NULL`, strings.ToLower(in.Email)).
		Scan(&a.ID, &a.Email, &phc)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		if err := p.hasher.VerifyNobody(r.Context(), in.Password); err != nil {
			return Account{}, err
		}
		return Account{}, problem.New(problem.InvalidCredentials)
	case err != nil:
		return Account{}, fmt.Errorf("%w: %w", middleware.ErrUnavailable, err)
	}
	result, err := p.hasher.Verify(r.Context(), phc, in.Password)
	switch {
	case err != nil:
		return Account{}, err
	case !result.OK:
		return Account{}, problem.New(problem.InvalidCredentials)
	}
	return a, nil
}

// register adds an account.
func register(ctx context.Context, db *pgxpool.Pool, hasher *password.Hasher, email, chosen string) error {
	if err := (password.Policy{}).Check(chosen, email); err != nil {
		return err
	}
	phc, err := hasher.Hash(ctx, chosen)
	if err != nil {
		return err
	}
	if _, err := db.Exec(ctx, `INSERT INTO accounts (email, phc) VALUES ($1, $2)`, strings.ToLower(email), phc); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
