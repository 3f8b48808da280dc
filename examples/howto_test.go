package examples_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/examples/claims"
	"github.com/tokenjar/tokenjar/examples/userstore"
	"github.com/tokenjar/tokenjar/examples/verify"
	"github.com/tokenjar/tokenjar/httpapi"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/session"
	"github.com/tokenjar/tokenjar/store/sqlite"
	"github.com/tokenjar/tokenjar/token"
)

// A program is one that embeds the library, with a user ada.
type program struct {
	service *tokenjar.Service
	guard   *session.Guard
	mux     *http.ServeMux
	url     string
	store   *sqlite.Store
}

const adasPassword = "umbrella-kettle-92"

func newProgram(t *testing.T, change func(*tokenjar.Config)) *program {
	t.Helper()
	p := &program{mux: http.NewServeMux()}
	server := httptest.NewServer(p.mux)
	t.Cleanup(server.Close)
	p.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)

	var err error
	if p.store, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), sqlite.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.store.Close() })
	secret, err := tokenjar.ParseSecret([]byte(tokenjar.GenerateSecret()))
	if err != nil {
		t.Fatal(err)
	}
	cfg := tokenjar.Config{
		Issuer: p.url, Secret: secret, Store: p.store,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&cfg)
	}
	if p.service, err = tokenjar.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if p.guard, err = session.New(session.Config{Service: p.service, PublicURL: p.url}); err != nil {
		t.Fatal(err)
	}
	auth, err := httpapi.New(httpapi.Config{Guard: p.guard})
	if err != nil {
		t.Fatal(err)
	}
	p.mux.Handle("/auth/", auth)
	p.mux.Handle("/.well-known/jwks.json", auth)
	return p
}

func newHasher(t *testing.T) *password.Hasher {
	t.Helper()
	hasher, err := password.New(password.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return hasher
}

// withAda makes the user of the examples in the built-in store.
func (p *program) withAda(t *testing.T, staff bool) *program {
	t.Helper()
	_, err := tokenjar.CreateUser(t.Context(), p.store, newHasher(t), password.Policy{}, tokenjar.NewUser{
		Username: "ada", Email: "ada@example.com", Password: adasPassword, Staff: staff,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signIn signs ada in, and returns her browser and her tokens, which the browser would not show.
func signIn(t *testing.T, url string) (v *visitor, access, refresh string) {
	t.Helper()
	v = newVisitor(t, url)
	in := v.call("POST", "/auth/login", `{"username":"ada","password":"`+adasPassword+`"}`)
	in.want(t, http.StatusOK, "")
	return v, in.cookies["access_token"].Value, in.cookies["refresh_token"].Value
}

// loopback is where the issuers of these tests are.
var loopback = netip.MustParsePrefix("127.0.0.1/32")

// The three verifiers of docs/howto/verify-tokens.md take the same token and refuse the same ones.
func TestVerifiersInOtherServices(t *testing.T) {
	p := newProgram(t, nil).withAda(t, false)
	_, access, refresh := signIn(t, p.url)
	u, err := p.store.FindUser(t.Context(), tokenjar.Identifier{Username: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	forged := access[:len(access)-8] + "AAAAAAAA"

	check := func(t *testing.T, run func(issuer, audience, token string) (string, error)) {
		t.Helper()
		if sub, err := run(p.url, p.url, access); err != nil || sub != u.ID {
			t.Errorf("a good token: got %q, %v, want %q", sub, err, u.ID)
		}
		for name, args := range map[string][3]string{
			"a refresh token":                {p.url, p.url, refresh},
			"a forged token":                 {p.url, p.url, forged},
			"a token for somebody else":      {p.url, "https://other.example", access},
			"text that is no token":          {p.url, p.url, "hello"},
			"a token without a signature":    {p.url, p.url, access[:strings.LastIndex(access, ".")+1]},
			"a token that says it is signed": {p.url, p.url, "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0" + access[strings.Index(access, "."):]},
		} {
			if sub, err := run(args[0], args[1], args[2]); err == nil {
				t.Errorf("%s is taken for %q", name, sub)
			}
		}
	}

	t.Run("Go", func(t *testing.T) {
		check(t, func(issuer, audience, raw string) (string, error) {
			w := newVerifier(t, issuer, audience)(raw)
			if w.Code == http.StatusOK {
				return strings.TrimSpace(w.Body.String()), nil
			}
			if w.Code != http.StatusUnauthorized {
				t.Errorf("got %d, want 401", w.Code)
			}
			return "", errors.New(w.Body.String())
		})
	})
	t.Run("Go, when the keys cannot be had", func(t *testing.T) {
		if w := newVerifier(t, "http://localhost:1", p.url)(access); w.Code != http.StatusServiceUnavailable {
			t.Errorf("got %d, want 503: it is not the client's fault", w.Code)
		}
	})
	t.Run("Go, when the keys change", func(t *testing.T) {
		service := newVerifier(t, p.url, p.url)
		if w := service(access); w.Code != http.StatusOK {
			t.Fatalf("a good token: got %d %s", w.Code, w.Body)
		}
		if w := service(otherKeysToken(t, p.url)); w.Code != http.StatusUnauthorized {
			t.Errorf("a token of an unknown key: got %d, want 401", w.Code)
		}
	})
	t.Run("Node", func(t *testing.T) {
		modules := nodeModules(t)
		script := copyTo(t, "verify/verify.mjs", filepath.Dir(modules))
		check(t, func(args ...string) func(string, string, string) (string, error) {
			return func(issuer, audience, token string) (string, error) {
				return output1(append(args, issuer, audience, token))
			}
		}("node", script))
	})
	t.Run("Python", func(t *testing.T) {
		python := ""
		for _, p := range []string{"python3", "/usr/bin/python3"} {
			if exec.Command(p, "-c", "import jwt, cryptography").Run() == nil {
				python = p
			}
		}
		if python == "" {
			skip(t, "PyJWT is not installed: apt-get install python3-jwt, or pip install 'pyjwt[crypto]'")
		}
		check(t, func(issuer, audience, token string) (string, error) {
			return output1([]string{python, "verify/verify.py", issuer, audience, token})
		})
	})
}

// newVerifier returns what the service of verify.go answers to a token.
func newVerifier(t *testing.T, issuer, audience string) func(raw string) *httptest.ResponseRecorder {
	t.Helper()
	signedIn, err := verify.New(issuer, audience, loopback)
	if err != nil {
		t.Fatal(err)
	}
	service := verify.Handler(signedIn)
	return func(raw string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+raw)
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		return w
	}
}

// otherKeysToken is one that looks right, of a key that is not published.
func otherKeysToken(t *testing.T, url string) string {
	t.Helper()
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing(key)
	if err != nil {
		t.Fatal(err)
	}
	e, err := token.NewEncoder(token.EncoderConfig{Keys: ring, Type: "at+jwt", Issuer: url, Audience: url})
	if err != nil {
		t.Fatal(err)
	}
	text, err := e.Encode(token.Claims{"sub": "mallory", "sid": "1"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// output1 runs a program and returns the line it printed.
func output1(args []string) (string, error) {
	var stderr strings.Builder
	c := exec.Command(args[0], args[1:]...)
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), err
}

// nodeModules installs the packages that the snippets import, in a folder of their own. The registry may be out of reach.
func nodeModules(t *testing.T) string {
	t.Helper()
	need(t, "node", "npm")
	dir := os.Getenv("TOKENJAR_DOCS_NODE") // a folder with node_modules/jose and node_modules/axios
	if dir == "" {
		dir = t.TempDir()
		c := exec.Command("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, "jose@6", "axios@1")
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			skip(t, "jose and axios cannot be installed: %v\n%s", err, out)
		}
	}
	return filepath.Join(dir, "node_modules")
}

// copyTo copies a snippet to where node finds its packages.
func copyTo(t *testing.T, path, dir string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), filepath.Base(path))
	write(t, to, string(text))
	if err := os.Symlink(filepath.Join(dir, "node_modules"), filepath.Join(filepath.Dir(to), "node_modules")); err != nil {
		t.Fatal(err)
	}
	return to
}

// People of one's own table sign in, are renewed, and are locked out at once.
func TestOwnUserTable(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "people.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	phc, err := newHasher(t).Hash(t.Context(), adasPassword)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(userstore.Schema); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO people (login, mail, phc) VALUES ('ada', 'ada@example.com', ?)`, phc); err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, func(c *tokenjar.Config) { c.Users = userstore.Store{DB: db} })
	p.mux.Handle("/api/me", p.guard.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := tokenjar.IdentityFromContext(r.Context())
		fmt.Fprintf(w, "{%q:%q}", "id", id.UserID)
	})))

	stranger := newVisitor(t, p.url)
	stranger.call("POST", "/auth/login", `{"username":"bob","password":"`+adasPassword+`"}`).
		want(t, http.StatusUnauthorized, "invalid_credentials")

	v, _, _ := signIn(t, p.url)
	other := newVisitor(t, p.url)
	other.call("POST", "/auth/login", `{"email":"ADA@example.com","password":"`+adasPassword+`"}`).want(t, http.StatusOK, "")
	if got := v.call("GET", "/api/me", "").body["id"]; got != "1" {
		t.Errorf("the subject is %v, want the row's id", got)
	}
	if got := v.call("PATCH", "/auth/user", `{"first_name":"Ada"}`).body["first_name"]; got != "Ada" {
		t.Errorf("first_name is %v after PATCH", got)
	}
	v.forget("access_token")
	v.call("GET", "/api/me", "").want(t, http.StatusOK, "")

	if err := userstore.Block(t.Context(), db, p.service, "1"); err != nil {
		t.Fatal(err)
	}
	v.call("GET", "/api/me", "").want(t, http.StatusUnauthorized, "token_revoked")
	other.call("GET", "/api/me", "").want(t, http.StatusUnauthorized, "token_revoked")
	stranger.call("POST", "/auth/login", `{"username":"ada","password":"`+adasPassword+`"}`).
		want(t, http.StatusUnauthorized, "invalid_credentials")

	// A table that does not answer ends nothing.
	if _, err := db.Exec(`UPDATE people SET blocked = 0`); err != nil {
		t.Fatal(err)
	}
	v, _, _ = signIn(t, p.url)
	if _, err := db.Exec(`ALTER TABLE people RENAME TO gone`); err != nil {
		t.Fatal(err)
	}
	v.forget("access_token")
	v.call("GET", "/api/me", "").want(t, http.StatusServiceUnavailable, "store_unavailable")
	if _, err := db.Exec(`ALTER TABLE gone RENAME TO people`); err != nil {
		t.Fatal(err)
	}
	v.call("GET", "/api/me", "").want(t, http.StatusOK, "")
}

func TestClaimsOfTheHookDecide(t *testing.T) {
	for _, staff := range []bool{true, false} {
		p := newProgram(t, func(c *tokenjar.Config) { c.Claims = claims.Claims }).withAda(t, staff)
		p.mux.Handle("/staff", claims.WithRole(p.guard, "staff").Func(func(w http.ResponseWriter, _ *http.Request, c token.Claims) {
			fmt.Fprintf(w, "{%q:%q}", "email", c.String("email"))
		}))
		newVisitor(t, p.url).call("GET", "/staff", "").want(t, http.StatusUnauthorized, "not_authenticated")
		v, _, _ := signIn(t, p.url)
		if !staff {
			v.call("GET", "/staff", "").want(t, http.StatusForbidden, "permission_denied")
			continue
		}
		v.forget("access_token") // and the session is renewed on the way, as behind the guard
		in := v.call("GET", "/staff", "")
		in.want(t, http.StatusOK, "")
		if in.body["email"] != "ada@example.com" || in.cookies["access_token"] == nil {
			t.Errorf("got %v, and the cookies %v", in.body, in.cookies)
		}
	}
}

// The snippets for pages run in Node with a document of a few lines; the server is played by the test's script.
func TestSnippetsForPages(t *testing.T) {
	need(t, "node")
	t.Run("fetch refreshes once for three requests, and only for a 401 of ours", func(t *testing.T) {
		dir := t.TempDir()
		snippet, err := os.ReadFile("client/fetch.js")
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "fetch.mjs"), string(snippet))
		write(t, filepath.Join(dir, "run.mjs"), `
globalThis.document = { cookie: 'theme=dark; csrftoken=tok' }
let live = false, log = []
const answer = (status, body, headers) => new Response(JSON.stringify(body), { status, headers })
globalThis.fetch = async (path, init) => {
  log.push([init.method ?? 'GET', path, init.headers.get('X-CSRFToken')].join(' '))
  if (path === '/auth/token/refresh') { live = true; return answer(200, {}) }
  if (path === '/theirs') return answer(401, {})
  return live ? answer(200, { ok: true }) : answer(401, { action: 'refresh' }, { 'X-Tokenjar-Problem': 'token_expired' })
}
const { api } = await import('./fetch.mjs')
const three = await Promise.all([api('/a'), api('/b', { method: 'POST' }), api('/c')])
const theirs = await api('/theirs')
console.log(JSON.stringify({ status: [...three, theirs].map(a => a.status), log }))
`)
		out, err := output1([]string{"node", filepath.Join(dir, "run.mjs")})
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Status []int
			Log    []string
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got.Status) != "[200 200 200 401]" {
			t.Errorf("statuses: %v", got.Status)
		}
		if n := strings.Count(out, "POST /auth/token/refresh tok"); n != 1 || strings.Count(out, "/theirs") != 1 {
			t.Errorf("requests: %q", got.Log)
		}
		if !strings.Contains(out, "POST /b tok") || !strings.Contains(out, `"GET /a "`) {
			t.Errorf("the header is not where it belongs: %q", got.Log)
		}
	})
	t.Run("axios sends the header to our own origin", func(t *testing.T) {
		for scheme, name := range map[string]string{"http:": "csrftoken", "https:": "__Host-csrftoken"} {
			modules := nodeModules(t)
			script := copyTo(t, "client/axios.js", filepath.Dir(modules))
			dir := filepath.Dir(script)
			if err := os.Rename(script, filepath.Join(dir, "axios-snippet.mjs")); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "run.mjs"), fmt.Sprintf(`
const origin = %q + '//app.example.com'
globalThis.window = { location: { href: origin + '/' } }
globalThis.location = { protocol: %q, href: origin + '/', origin }
globalThis.document = { cookie: %q + '=tok', createElement: () => ({ setAttribute() {} }) }
Object.defineProperty(globalThis, 'navigator', { value: { product: 'Gecko', userAgent: 'x' } })
globalThis.window.document = globalThis.document
let seen = []
globalThis.fetch = async (r, init) => {
  const q = r instanceof Request ? r : new Request(r, init)
  seen.push(new Headers(init?.headers ?? q.headers).get('X-CSRFToken') ?? new Headers(q.headers).get('X-CSRFToken'))
  return new Response('{}', { headers: { 'Content-Type': 'application/json' } })
}
const { api } = await import('./axios-snippet.mjs')
await api.post(origin + '/api/note', {}, { adapter: 'fetch' })
await api.post('https://elsewhere.example/', {}, { adapter: 'fetch' })
console.log(JSON.stringify(seen))
`, scheme, scheme, name))
			out, err := output1([]string{"node", filepath.Join(dir, "run.mjs")})
			if err != nil {
				t.Fatal(err)
			}
			if out != `["tok",null]` {
				t.Errorf("%s: the headers are %s, want one for our own origin alone", scheme, out)
			}
		}
	})
}
