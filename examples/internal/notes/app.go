// Package notes is the program behind the examples for routers, as far as no router is concerned: its accounts, its tokens,
// its notes. It forgets everything when it ends.
package notes

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/csrf"
	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/token"
)

// life is how long a token is good. What happens to an account is seen at once all the same, since each request looks it up.
const life = time.Hour

// App is the program. It is safe for concurrent use.
type App struct {
	// Cookie and Bearer tell who sent a request; each example makes a chain of them.
	Cookie *middleware.Cookie[Account]
	Bearer *middleware.Bearer[Account]
	// SignIn takes a name and a password and sets the cookies, SignOut deletes them, Token answers with a bearer token.
	SignIn, SignOut, Token http.Handler

	accounts Accounts
	encoder  *token.Encoder
	session  cookie.JWT
	csrf     cookie.CSRF

	mu    sync.Mutex
	notes []Note
	last  int
}

// New makes the program that browsers know under publicURL. It panics where that is no address.
func New(publicURL string, accounts Accounts) *App {
	a := &App{accounts: accounts}

	// Tokens of our own. A key that is made anew at each start signs everybody out: token.ParseKeys reads one that is kept.
	keys := must(token.NewRing(must(token.GenerateKey(token.ES256))))
	a.encoder = must(token.NewEncoder(token.EncoderConfig{Keys: keys, Type: "at+jwt", Issuer: publicURL, Audience: publicURL}))
	decoder := must(token.NewDecoder(token.DecoderConfig{Keys: keys, Type: "at+jwt", Issuer: publicURL, Audience: publicURL}))
	tokens := must(token.NewCache(decoder))

	// The same tokens in a cookie and in the Authorization field, for users of our own.
	a.session = cookie.JWT{InsecureAllowHTTP: strings.HasPrefix(publicURL, "http://")} // for https: __Host-access_token
	a.csrf = cookie.CSRF{With: a.session}
	a.Bearer = must(middleware.NewBearer(tokens, a.account))
	a.Cookie = must(middleware.NewCookie(tokens, a.account, middleware.CookieConfig{
		Cookie: a.session, PublicURL: publicURL, CSRFTokens: must(csrf.NewTokens([]byte(rand.Text() + rand.Text()))),
	}))

	// No page of another site signs a visitor in, to an account of its choice, or out.
	a.SignIn = a.Cookie.ProtectOrigin(http.HandlerFunc(a.signIn))
	a.SignOut = a.Cookie.ProtectOrigin(http.HandlerFunc(a.signOut))
	a.Token = http.HandlerFunc(a.token)
	return a
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
