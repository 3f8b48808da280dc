package examples_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/examples/upstream"
	"github.com/tokenjar/tokenjar/token"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// python returns a Python that has modules, and the package of Debian to name when there is none.
func python(t *testing.T, modules, packages string) string {
	t.Helper()
	for _, p := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(p, "-c", "import "+modules).Run() == nil {
			return p
		}
	}
	skip(t, "%s cannot be imported: apt-get install %s", modules, packages)
	return ""
}

// upstreams start the service of docs/howto/upstream-tokens.md in each language, and return its address.
var upstreams = map[string]func(t *testing.T, issuer, audience string) string{
	"go": func(t *testing.T, issuer, audience string) string {
		h, err := upstream.New(upstream.Settings{Issuer: issuer, Audience: audience, Private: loopback, Cooldown: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	},
	"node": func(t *testing.T, issuer, audience string) string {
		script := copyTo(t, "upstream/service.mjs", filepath.Dir(nodeModules(t)))
		return startService(t, filepath.Dir(script), "node service.mjs", issuer, audience)
	},
	"python": func(t *testing.T, issuer, audience string) string {
		return startService(t, "upstream", python(t, "jwt, cryptography", "python3-jwt python3-cryptography")+" -B service.py", issuer, audience)
	},
}

func startService(t *testing.T, dir, command, issuer, audience string, environ ...string) string {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	newShell(dir, append(environ, "ISSUER="+issuer, "AUDIENCE="+audience, "PORT="+port, "COOLDOWN_MS=1")...).start(t, command, "listening")
	return "http://127.0.0.1:" + port
}

// keepNode installs node's packages once for all of a test.
func keepNode(t *testing.T) {
	t.Helper()
	t.Setenv("TOKENJAR_DOCS_NODE", filepath.Dir(nodeModules(t)))
}

// eventually asks again until it is so: a service asks for unknown keys once a second at most.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s: not within 20 seconds", what)
			return
		}
	}
}

// ask sends a request as the proxy does, and returns the status and the text of the answer.
func ask(t *testing.T, method, url, bearer string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode == http.StatusUnauthorized && !strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("401 without WWW-Authenticate")
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

// The service takes a token that is meant for it, and no other, in every language; and it follows the keys while it serves.
func TestServicesBehindTheProxyTakeTheirTokensAlone(t *testing.T) {
	keepNode(t)
	for language, start := range upstreams {
		t.Run(language, func(t *testing.T) {
			iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{Audience: "orders", Clock: tokenjartest.NewClock(time.Now())})
			url := start(t, iss.Issuer, iss.Audience)
			expect := func(what string, status int, text, method, path, raw string) {
				t.Helper()
				if got, body := ask(t, method, url+path, raw); got != status || text != "" && body != text {
					t.Errorf("%s: got %d %s, want %d %s", what, got, body, status, text)
				}
			}
			ada := token.Claims{"sub": "ada", "scope": "orders:read orders:write"}
			good := iss.Token(ada, time.Minute)
			expect("a token for it", 200, "hello ada", "GET", "/hello", good)
			expect("the scope that is needed", 201, "ordered by ada", "POST", "/orders", good)
			for _, scope := range []any{"orders:read", "orders:writes", "", nil} {
				claims := token.Claims{"sub": "ada"}
				if scope != nil {
					claims["scope"] = scope
				}
				expect("another scope", 403, "", "POST", "/orders", iss.Token(claims, time.Minute))
			}
			expect("no token", 401, "", "GET", "/hello", "")
			expect("text", 401, "", "GET", "/hello", "hello")
			expect("a token that names nobody", 401, "", "GET", "/hello", iss.Token(token.Claims{}, time.Minute))
			for what, raw := range iss.Bad(ada) {
				expect("a token that is "+what, 401, "", "GET", "/hello", raw)
			}
			iss.Rotate()
			eventually(t, "a token of the new key", func() bool {
				status, _ := ask(t, "GET", url+"/hello", iss.Token(ada, time.Minute))
				return status == 200
			})
			expect("a token of the key before", 200, "hello ada", "GET", "/hello", good)
		})
	}
	t.Run("keys that cannot be had", func(t *testing.T) {
		for language, start := range upstreams {
			t.Run(language, func(t *testing.T) {
				iss := tokenjartest.NewIssuer(t, tokenjartest.IssuerConfig{Audience: "orders", Clock: tokenjartest.NewClock(time.Now())})
				url := start(t, iss.Issuer, iss.Audience)
				iss.Break(http.StatusServiceUnavailable)
				if got, body := ask(t, "GET", url+"/hello", iss.Token(token.Claims{"sub": "ada"}, time.Minute)); got != 503 {
					t.Errorf("got %d %s, want 503: it is not the client's fault", got, body)
				}
			})
		}
	})
}

// The settings of docs/howto/upstream-tokens.md in the real binary, in front of all three services and of one that shows what
// it gets.
func TestServicesBehindTheBinary(t *testing.T) {
	keepNode(t)
	port := freePort(t)
	public := "http://localhost:" + port
	var seen []string
	recorder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head, _ := httputil.DumpRequest(r, false)
		seen = append(seen, string(head)) // one at a time
	}))
	defer recorder.Close()
	addresses := map[string]string{}
	for language, start := range upstreams {
		addresses[language] = start(t, public, "orders")
	}
	var conf strings.Builder
	conf.WriteString("listen: 127.0.0.1:" + port + "\npublic_url: " + public + "\nroutes:\n")
	for language, url := range addresses {
		conf.WriteString("  - {path: /" + language + "/, upstream: '" + url + "', strip_prefix: true, audience: orders, scopes: ['orders:write']}\n")
		conf.WriteString("  - {path: /" + language + "-reader/, upstream: '" + url + "', strip_prefix: true, audience: orders}\n")
		conf.WriteString("  - {path: /" + language + "-wrong/, upstream: '" + url + "', strip_prefix: true, audience: billing}\n")
		conf.WriteString("  - {path: /" + language + "-user/, upstream: '" + url + "', strip_prefix: true, token: forward}\n")
		conf.WriteString("  - {path: /" + language + "-none/, upstream: '" + url + "', strip_prefix: true, token: none}\n")
	}
	conf.WriteString("  - {path: /see/, upstream: '" + recorder.URL + "', audience: orders, scopes: ['orders:write']}\n")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tokenjar.yaml"), conf.String())
	sh := newShell(dir, "PATH="+cli(t)+":"+os.Getenv("PATH"))
	write(t, filepath.Join(dir, "tokenjar.secret"), tokenjar.GenerateSecret()+"\n")
	sh.run(t, `chmod 600 tokenjar.secret; printf '%s\n' '`+adasPassword+`' | tokenjar users create ada --email ada@example.com --password-stdin`)
	sh.start(t, "tokenjar serve", "tokenjar: serving|"+public)

	v, access, refresh := signIn(t, public)
	send := func(method, path string) (int, string, http.Header) {
		t.Helper()
		r, err := http.NewRequest(method, public+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", public)
		r.Header.Set("X-CSRFToken", v.csrf)
		answer, err := v.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, strings.TrimSpace(string(text)), answer.Header
	}
	send("GET", "/see/me")
	if len(seen) != 1 || strings.Contains(seen[0], access) || strings.Contains(seen[0], refresh) || strings.Contains(seen[0], "Cookie") {
		t.Fatalf("the service got %q", seen)
	}
	_, bearer, _ := strings.Cut(seen[0], "Authorization: Bearer ")
	bearer, _, _ = strings.Cut(bearer, "\r\n")
	for language, direct := range addresses {
		for _, c := range []struct {
			method, path string
			status       int
		}{
			{"GET", "/" + language + "/hello", 200},
			{"POST", "/" + language + "/orders", 201},
			{"GET", "/" + language + "-reader/hello", 200},
			{"POST", "/" + language + "-reader/orders", 403}, // no scope
			{"GET", "/" + language + "-wrong/hello", 401},    // meant for another service
			{"GET", "/" + language + "-user/hello", 401},     // meant for us
			{"GET", "/" + language + "-none/hello", 401},
		} {
			status, body, header := send(c.method, c.path)
			if status != c.status || header.Get("X-Tokenjar-Problem") != "" {
				t.Errorf("%s %s: got %d %s, want the service's %d", c.method, c.path, status, body, c.status)
			}
		}
		for what, raw := range map[string]string{
			"the user's access token": access, "the refresh token": refresh, "a forged token": bearer[:len(bearer)-8] + "AAAAAAAA",
			"no signature": bearer[:strings.LastIndexByte(bearer, '.')+1],
		} {
			if got, body := ask(t, "GET", direct+"/hello", raw); got != 401 {
				t.Errorf("%s: %s: got %d %s", language, what, got, body)
			}
		}
		if got, body := ask(t, "POST", direct+"/orders", bearer); got != 201 {
			t.Errorf("%s: what the proxy sends: got %d %s", language, got, body)
		}
	}
	sh.run(t, "tokenjar keys rotate --now >&2") // while it serves; the server follows within a second
	// Nobody sees the rotations, and the token of a service is nothing here.
	for language := range addresses {
		eventually(t, language+", after the keys were rotated", func() bool {
			status, _, _ := send("GET", "/"+language+"/hello")
			return status == 200
		})
	}
	if got, _ := ask(t, "GET", public+"/see/me", bearer); got != 401 {
		t.Errorf("the token of a service is taken here: got %d", got)
	}
	if got, _ := ask(t, "GET", public+"/go/hello", ""); got != 401 {
		t.Errorf("a stranger: got %d", got)
	}
}
