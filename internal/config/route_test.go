package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/proxy"
)

func TestMistakesInRoutes(t *testing.T) {
	const api = "path: /api/, upstream: \"http://127.0.0.1:9000\""
	tests := []struct {
		name string
		file string
		env  []string
		want []string // all lines, in order
	}{
		{name: "all mistakes of all routes at once, each with its line",
			file: "routes:\n  - path: api\n    upstream: ftp://h\n    auth: some\n    max_body: 10MB\n    websocket: yes\n" +
				"  - upstrem: http://h\n    path: /b/\n    token: all\n  - {}\n  -\n  - text\n",
			want: []string{
				`tokenjar.yaml:2: routes[0].path: "api" is no plain prefix: begin with a slash; no escapes, parameters, //, dots as segments or wildcards`,
				`tokenjar.yaml:3: routes[0].upstream: "ftp://h": the scheme must be http or https`,
				`tokenjar.yaml:4: routes[0].auth: "some" is not known: use required, optional or none`,
				`tokenjar.yaml:5: routes[0].max_body: "10MB" is no size: write a whole number of bytes, or of KiB, MiB or GiB, as 64KiB`,
				`tokenjar.yaml:6: routes[0].websocket: must be true or false, not text`,
				`tokenjar.yaml:7: routes[1].upstrem: unknown setting; did you mean routes[1].upstream?`,
				`tokenjar.yaml:9: routes[1].token: "all" is not known: use audience, forward or none`,
				`tokenjar.yaml:10: routes[2].path: is missing: write it, as /api/`,
				`tokenjar.yaml:10: routes[2].upstream: is missing: write it, as http://127.0.0.1:9000`,
				`tokenjar.yaml:11: routes[3]: is empty: remove it, or write its settings`,
				`tokenjar.yaml:12: routes[4]: is a section: write its settings below it, indented, or as {name: value}`,
			}},
		{name: "lists that are none",
			file: "routes: {path: /api/}\nfrontends: text\n",
			want: []string{"tokenjar.yaml:1: routes: is a list of sections: begin each with a hyphen, or write [{name: value}]",
				"tokenjar.yaml:2: frontends: is a list of sections: begin each with a hyphen, or write [{name: value}]"}},
		{name: "settings, routes and methods twice",
			file: "routes:\n  - path: /a\n    path: /b\n    upstream: http://h:1\n    methods: {GET: none, GET: required}\nroutes: []\n",
			want: []string{"tokenjar.yaml:3: routes[0].path: is set twice; first in line 2",
				"tokenjar.yaml:5: routes[0].methods.GET: is set twice; first in line 5",
				"tokenjar.yaml:6: routes: is set twice; first in line 1"}},
		{name: "settings without a value",
			file: "routes:\n  - path:\n    upstream: ~\n    methods:\n    audience:\n    session_check:\n    auth:\n",
			want: []string{"tokenjar.yaml:2: routes[0].path: has no value: write one, as /api/",
				"tokenjar.yaml:3: routes[0].upstream: has no value: write one, as http://127.0.0.1:9000",
				"tokenjar.yaml:4: routes[0].methods: has no value: write one, or remove the line to have the default",
				`tokenjar.yaml:5: routes[0].audience: has no value: write "" for none, or remove the line to have the default`,
				`tokenjar.yaml:6: routes[0].session_check: has no value: write "" for none, or remove the line to have the default`,
				"tokenjar.yaml:7: routes[0].auth: has no value: write one, or remove the line to have the default"}},
		{name: "settings of another level",
			file: "path: /api/\nroutes:\n  - {" + api + ", listen: \":1\", spa: {dir: x}, auth: {path: /x}, spa.dir: x}\nfrontend: []\n",
			want: []string{"tokenjar.yaml:1: path: unknown setting; did you mean auth.path?",
				"tokenjar.yaml:3: routes[0].listen: unknown setting",
				"tokenjar.yaml:3: routes[0].spa: unknown setting",
				"tokenjar.yaml:3: routes[0].auth: must be text, not a section",
				"tokenjar.yaml:3: routes[0].spa.dir: unknown setting",
				"tokenjar.yaml:4: frontend: unknown setting; did you mean frontends?"}},
		{name: "parts of YAML that are not read",
			file: "routes:\n  - &a {" + api + "}\n  - *a\n  - <<: *a\n  - {path: !!str /x, upstream: http://h, methods: {GET: &b none, 1: none}}\n",
			want: []string{"tokenjar.yaml:2: routes[0]: anchors (&) are not supported: write the value itself",
				"tokenjar.yaml:3: routes[1]: aliases (*) are not supported: write the value itself",
				"tokenjar.yaml:4: merge keys (<<) are not supported: write the settings out",
				"tokenjar.yaml:4: routes[2].path: is missing: write it, as /api/",
				"tokenjar.yaml:4: routes[2].upstream: is missing: write it, as http://127.0.0.1:9000",
				"tokenjar.yaml:5: routes[3].path: tags (!) are not supported: write the value itself",
				"tokenjar.yaml:5: routes[3].methods.GET: anchors (&) are not supported: write the value itself",
				"tokenjar.yaml:5: the name of a method is a plain word"}},
		{name: "methods",
			file: "routes:\n  - path: /api/\n    upstream: http://h\n    methods:\n      get: none\n      TRACE: none\n      GET: nobody\n      PUT: []\n" +
				"      POST: [cookie, token]\n      PATCH: [bearer, bearer]\n      DELETE: true\n      HEAD:\n      OPTIONS: {a: b}\n" +
				"  - {path: /b, upstream: http://h, methods: GET}\n",
			want: []string{
				"tokenjar.yaml:5: routes[0].methods.get: is no method that is served: use GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS; did you mean GET?",
				"tokenjar.yaml:6: routes[0].methods.TRACE: is no method that is served: use GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
				`tokenjar.yaml:7: routes[0].methods.GET: "nobody" is no rule: use required, optional, none, or a list of cookie and bearer`,
				"tokenjar.yaml:8: routes[0].methods.PUT: names nothing by which a request may be authenticated: write none to let anybody in",
				`tokenjar.yaml:9: routes[0].methods.POST: item 2: "token" is none: a list holds cookie, bearer or both`,
				"tokenjar.yaml:10: routes[0].methods.PATCH: item 2: bearer stands twice",
				"tokenjar.yaml:11: routes[0].methods.DELETE: must be required, optional, none, or a list of cookie and bearer, not a truth value",
				"tokenjar.yaml:12: routes[0].methods.HEAD: must be required, optional, none, or a list of cookie and bearer, not nothing",
				"tokenjar.yaml:13: routes[0].methods.OPTIONS: must be required, optional, none, or a list of cookie and bearer, not a section",
				"tokenjar.yaml:14: routes[1].methods: must be rules for methods, as {GET: none, POST: [cookie, bearer]}, not text",
			}},
		{name: "a name that cannot be printed",
			file: "routes:\n  - {" + api + ", methods: {\"a\\e[2J\": none}, \"b\\n\": 1}\n",
			want: []string{`tokenjar.yaml:2: "routes[0].methods.a\x1b[2J": is no method that is served: use GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS`,
				`tokenjar.yaml:2: "routes[0].b\n": unknown setting`}},
		{name: "bounds", file: "routes:\n  - {" + api + ", connect_timeout: 0, header_timeout: 2h, idle_timeout: 10, max_body: 1025GiB, max_requests: 0, max_streams: many, max_per_session: -1}\n",
			want: []string{`tokenjar.yaml:2: routes[0].connect_timeout: "0" is out of range: use 10ms to 5m`,
				`tokenjar.yaml:2: routes[0].header_timeout: "2h" is out of range: use 10ms to 1h`,
				`tokenjar.yaml:2: routes[0].idle_timeout: "10" has no unit: write 10s for seconds, 10m for minutes`,
				`tokenjar.yaml:2: routes[0].max_body: "1025GiB" is out of range: use 0 to 1024GiB`,
				"tokenjar.yaml:2: routes[0].max_requests: 0 is out of range: use 1 to 100000",
				"tokenjar.yaml:2: routes[0].max_streams: must be a whole number, not text",
				"tokenjar.yaml:2: routes[0].max_per_session: -1 is out of range: use 0 to 1000000"}},
		{name: "two routes of one path",
			file: "routes:\n  - {" + api + "}\n  - {path: /api, upstream: http://h}\n  - {path: /api/x, upstream: http://h}\n  - {path: /api, upstream: http://i}\n",
			want: []string{`tokenjar.yaml:3: routes[1].path: "/api" is the path of routes[0] as well: keep one of them`,
				`tokenjar.yaml:5: routes[3].path: "/api" is the path of routes[0] as well: keep one of them`}},
		{name: "routes that are never reached, since what is ours comes first",
			file: "routes:\n  - {path: /auth/, upstream: http://h}\n  - {path: /auth/login, upstream: http://h}\n  - {path: /healthz, upstream: http://h}\n" +
				"  - {path: /readyz/x, upstream: http://h}\n  - {path: /docs/, upstream: http://h}\n  - {path: /openapi.json, upstream: http://h}\n" +
				"  - {path: /.well-known/jwks.json, upstream: http://h}\n  - {path: /assets/, upstream: http://h}\n",
			want: []string{
				`tokenjar.yaml:2: routes[0].path: "/auth/" is never reached: all below /auth is served here itself; use another, or set auth.path to another`,
				`tokenjar.yaml:3: routes[1].path: "/auth/login" is never reached: all below /auth is served here itself; use another, or set auth.path to another`,
				`tokenjar.yaml:4: routes[2].path: "/healthz" is never reached: /healthz is served here itself; use another`,
				`tokenjar.yaml:5: routes[3].path: "/readyz/x" is never reached: /readyz is served here itself; use another`,
				`tokenjar.yaml:6: routes[4].path: "/docs/" is never reached: /docs is served here itself; use another, or set auth.docs to false`,
				`tokenjar.yaml:7: routes[5].path: "/openapi.json" is never reached: /openapi.json is served here itself; use another, or set auth.docs to false`,
				`tokenjar.yaml:8: routes[6].path: "/.well-known/jwks.json" is never reached: /.well-known/jwks.json is served here itself; use another`,
				`tokenjar.yaml:9: routes[7].path: "/assets/" hides the files of the page to sign in at /: use another, or have spa or a route lead from / as well`,
			}},
		{name: "P-42 services that are none",
			file: "listen: :8080\nadmin: {listen: 127.0.0.1:9090}\nroutes:\n  - {path: /a, upstream: \"http://169.254.169.254\"}\n  - {path: /b, upstream: \"http://localhost:8080\"}\n" +
				"  - {path: /c, upstream: \"http://127.0.0.1:9090/metrics\"}\n  - {path: /d, upstream: \"http://ada:hunter2@h\"}\n" +
				"  - {path: /e, upstream: \"http://ada:hunter2@h:x\"}\n  - {path: /f, upstream: \"http://h/?a\"}\n  - {path: /g, upstream: \"http://2852039166\"}\n",
			want: []string{
				`tokenjar.yaml:4: routes[0].upstream: "http://169.254.169.254": link-local, multicast and unspecified addresses are no services`,
				`tokenjar.yaml:5: routes[1].upstream: "http://localhost:8080" is where we listen ourselves: requests would go round for ever`,
				`tokenjar.yaml:6: routes[2].upstream: "http://127.0.0.1:9090/metrics" is where we listen ourselves: requests would go round for ever`,
				`tokenjar.yaml:7: routes[3].upstream: must not have a user name or password in it: remove what stands before the @`,
				`tokenjar.yaml:8: routes[4].upstream: is no address: write http://host:port, or https://host`,
				`tokenjar.yaml:9: routes[5].upstream: "http://h/?a" must not have a query or a fragment`,
				`tokenjar.yaml:10: routes[6].upstream: "http://2852039166": write the address as four numbers from 0 to 255, or the name of the host`,
			}},
		{name: "what the proxy refuses is said in the names of the settings",
			file: "routes:\n  - {" + api + ", token: none, audience: Token, scopes: [a], strip_headers: [Cookie, a b], pass_headers: [Authorization, X_User, Forwarded]}\n" +
				"  - {path: /b, upstream: http://h, scopes: [\"a b\"]}\n",
			want: []string{
				"tokenjar.yaml:2: routes[0].audience: has no effect with token none: remove it",
				"tokenjar.yaml:2: routes[0].scopes: have no effect with token none: remove them",
				"tokenjar.yaml:2: routes[0].strip_headers: Cookie cannot be removed",
				`tokenjar.yaml:2: routes[0].strip_headers: "a b" is no name of a header`,
				"tokenjar.yaml:2: routes[0].pass_headers: Authorization may pass only where auth and token are none: otherwise it is ours to set",
				`tokenjar.yaml:2: routes[0].pass_headers: "X_User" is no name of letters, digits and hyphens: programs take others for one another`,
				"tokenjar.yaml:2: routes[0].pass_headers: Forwarded is ours to set",
				`tokenjar.yaml:3: routes[1].scopes: "a b" is no scope-token (RFC 6749, section 3.3): no blanks, quotes or backslashes`,
			}},
		{name: "an audience of our own",
			file: "public_url: https://app.example.com\ntoken: {issuer: \"https://issuer.example.com\"}\nroutes:\n  - {path: /a, upstream: \"https://app.example.com/x\"}\n" +
				"  - {path: /b, upstream: http://h, audience: \"https://issuer.example.com\"}\n  - {path: /c, upstream: \"https://app.example.com\", token: none}\n" +
				"  - {path: /d, upstream: http://h, audience: \"https://shop.example.com\"}\nfrontends: [{public_url: \"https://shop.example.com\"}]\n",
			want: []string{
				`tokenjar.yaml:4: routes[0].audience: "https://app.example.com" is our own, by token.audience: the service could use its tokens here; name the service, as orders`,
				`tokenjar.yaml:5: routes[1].audience: "https://issuer.example.com" is our own, by token.issuer: the service could use its tokens here; name the service, as orders`,
				`tokenjar.yaml:7: routes[3].audience: "https://shop.example.com" is our own, by frontends[0].public_url: the service could use its tokens here; name the service, as orders`,
			}},
		{name: "an audience that is our own in the environment", file: "routes:\n  - {" + api + ", audience: api}\n", env: []string{"TOKENJAR_TOKEN_AUDIENCE=api"},
			want: []string{`tokenjar.yaml:2: routes[0].audience: "api" is our own, by token.audience: the service could use its tokens here; name the service, as orders`}},
		{name: "checks of sessions that are not stricter, or of none",
			file: "token: {session_check: database}\nroutes:\n  - {" + api + ", session_check: cached}\n  - {path: /b, upstream: http://h, session_check: stateless}\n" +
				"  - {path: /c, upstream: http://h, auth: none, session_check: database}\n",
			want: []string{
				"tokenjar.yaml:3: routes[0].session_check: cached is not stricter than token.session_check, database, which holds on every route: remove it",
				`tokenjar.yaml:4: routes[1].session_check: "stateless" is not known: use cached or database, or "" for none`,
				"tokenjar.yaml:5: routes[2].session_check: has no effect where auth is none: remove it",
			}},
		{name: "a page to sign in that only opens to who is signed in",
			file: "routes:\n  - {path: /, upstream: http://h}\n",
			want: []string{`tokenjar.yaml:2: auth.login_page: "/" is on routes[0], which only opens to who is signed in, so that browsers would be sent there in a circle: set auth to optional there, name a page elsewhere, or none by ""`}},
		{name: "a page to sign in that is closed by the rule of its method",
			file: "auth: {login_page: /app/in}\nroutes:\n  - {path: /, upstream: http://h, auth: none}\n  - {path: /app, upstream: http://h, auth: none, methods: {GET: cookie}}\n",
			want: []string{`tokenjar.yaml:1: auth.login_page: "/app/in" is on routes[1], which only opens to who is signed in, so that browsers would be sent there in a circle: set auth to optional there, name a page elsewhere, or none by ""`}},
		{name: "OR-02 pages to sign in that are elsewhere", file: "auth: {login_page: //evil.example}\n",
			want: []string{`tokenjar.yaml:1: auth.login_page: "//evil.example" must be a plain path: no //, backslash, blank, query or escape`}},
		{name: "OR-02 by an address", file: "auth: {login_page: \"https://evil.example/\"}\n",
			want: []string{`tokenjar.yaml:1: auth.login_page: "https://evil.example/" must begin with a slash`}},
		{name: "a query that is none", file: "auth: {login_page: \"/in?a=b#c\"}\n",
			want: []string{`tokenjar.yaml:1: auth.login_page: "/in?a=b#c" must have a plain query: no backslash, blank or #`}},
		{name: "OR-02 by a backslash", file: "auth: {login_page: \"/\\\\evil.example\"}\n",
			want: []string{`tokenjar.yaml:1: auth.login_page: "/\\evil.example" must be a plain path: no //, backslash, blank, query or escape`}},
		{name: "pages from two places, and under a route that has all paths",
			file: "spa: {dir: dist, dev_server: \"http://127.0.0.1:5173\"}\nroutes: [{path: /, upstream: \"http://ada:hunter2@h\", auth: none}]\n",
			want: []string{`tokenjar.yaml:1: spa.dir: is never reached, because routes[0] leads all paths to a service: keep one of them`,
				`tokenjar.yaml:1: spa.dev_server: cannot be set together with spa.dir: keep one of them`,
				`tokenjar.yaml:2: routes[0].upstream: must not have a user name or password in it: remove what stands before the @`}},
		{name: "a policy that lets scripts loose, and one of no pages", file: "spa: {dir: dist, csp: \"script-src 'unsafe-inline'; frame-ancestors https://evil.example\"}\n" +
			"frontends: [{public_url: \"http://localhost:9\", spa: {csp: \"img-src https://a.example\"}}]\n",
			want: []string{
				`tokenjar.yaml:1: spa.csp: script-src: "'unsafe-inline'" is no source that can be added: write addresses, as https://api.example.com`,
				`tokenjar.yaml:1: spa.csp: frame-ancestors cannot be changed`,
				`tokenjar.yaml:2: frontends[0].spa.csp: has no effect without frontends[0].spa.dir: remove it`,
			}},
		{name: "development servers elsewhere", file: "public_url: https://app.example.com\n",
			env: []string{"TOKENJAR_SPA_DEV_SERVER=http://192.168.0.7:5173/app"},
			want: []string{
				`TOKENJAR_SPA_DEV_SERVER: spa.dev_server: "http://192.168.0.7:5173/app" is not on this machine: a development server serves the source of the application to whoever asks; use 127.0.0.1, or spa.dir with what was built`,
				`TOKENJAR_SPA_DEV_SERVER: spa.dev_server: "http://192.168.0.7:5173/app" must have no path: write http://192.168.0.7:5173`,
				"TOKENJAR_SPA_DEV_SERVER: spa.dev_server: is for writing the application, on a loopback address, and public_url is https: use spa.dir with what was built",
			}},
		{name: "a development server that is this one", file: "spa: {dev_server: \"http://localhost:8080\"}\n",
			want: []string{`tokenjar.yaml:1: spa.dev_server: "http://localhost:8080" is where we listen ourselves: requests would go round for ever`}},
		{name: "a folder of pages with the secret, the database or the settings in it", file: "spa: {dir: .}\n",
			want: []string{
				`tokenjar.yaml:1: spa.dir: "." holds secret_file "tokenjar.secret", so everybody could read it: name a folder with nothing but the application`,
				`tokenjar.yaml:1: spa.dir: "." holds database "tokenjar.db", so everybody could read it: name a folder with nothing but the application`,
				`tokenjar.yaml:1: spa.dir: "." holds "tokenjar.yaml", so everybody could read it: name a folder with nothing but the application`,
			}},
		{name: "by a way around", file: "secret_file: /etc/t/../tokenjar/s\ndatabase: sqlite:/var/db\nfrontends:\n  - {public_url: \"https://a.example.com\", spa: {dir: /etc/tokenjar/}}\n",
			want: []string{`tokenjar.yaml:4: frontends[0].spa.dir: "/etc/tokenjar/" holds secret_file "/etc/t/../tokenjar/s", so everybody could read it: name a folder with nothing but the application`}},
		{name: "the whole machine", file: "database: postgres://db/x\nspa: {dir: /}\n", env: []string{"TOKENJAR_SECRET_FILE=/run/s"},
			want: []string{`tokenjar.yaml:2: spa.dir: "/" holds secret_file "/run/s", so everybody could read it: name a folder with nothing but the application`,
				`tokenjar.yaml:2: spa.dir: "/" holds "tokenjar.yaml", so everybody could read it: name a folder with nothing but the application`}},
		{name: "frontends", file: "public_url: https://app.example.com\nfrontends:\n  - {}\n  - public_url: http://shop.example.com\n  - public_url: https://app.example.com:443\n" +
			"  - public_url: https://app.example.com\n  - public_url: https://b.example.com\n    routes:\n      - {path: /auth/x, upstream: http://h}\n      - {path: /y, upstream: http://h, pat: 1}\n" +
			"  - public_url: https://b.example.com\n    spa: {dev_server: \"http://127.0.0.1:1\"}\n  - public_url: http://localhost:1\n",
			want: []string{
				"tokenjar.yaml:3: frontends[0].public_url: is missing: write it, as https://shop.example.com",
				`tokenjar.yaml:4: frontends[1].public_url: "http://shop.example.com" is plain http for a host that is not this machine: use https, with TLS ended in front of this server`,
				`tokenjar.yaml:5: frontends[2].public_url: "https://app.example.com:443" has to be scheme, host and port alone, as browsers write them: https://app.example.com`,
				`tokenjar.yaml:6: frontends[3].public_url: "https://app.example.com" has the host of public_url: requests could not be told apart`,
				`tokenjar.yaml:9: frontends[4].routes[0].path: "/auth/x" is never reached: all below /auth is served here itself; use another, or set auth.path to another`,
				"tokenjar.yaml:10: frontends[4].routes[1].pat: unknown setting; did you mean frontends[4].routes[1].path?",
				`tokenjar.yaml:11: frontends[5].public_url: "https://b.example.com" has the host of frontends[4].public_url: requests could not be told apart`,
				"tokenjar.yaml:12: frontends[5].spa.dev_server: is for writing the application, on a loopback address, and frontends[5].public_url is https: use frontends[5].spa.dir with what was built",
			}},
		{name: "one host by two schemes", file: "public_url: http://localhost\nfrontends: [{public_url: \"https://localhost\"}]\n",
			want: []string{`tokenjar.yaml:2: frontends[0].public_url: "https://localhost" has the host of public_url: requests could not be told apart`}},
		{name: "the host of the default", file: "frontends: [{public_url: \"http://localhost:8080\"}]\n",
			want: []string{`tokenjar.yaml:1: frontends[0].public_url: "http://localhost:8080" has the host of public_url: requests could not be told apart`}},
		{name: "cookies that a frontend cannot have",
			file: "public_url: https://app.example.com\ncookies: {domain: example.com}\nfrontends:\n  - public_url: https://a.example.com\n  - public_url: https://other.example\n",
			want: []string{`tokenjar.yaml:5: frontends[1].public_url: "https://other.example" cannot have the cookies of these settings: cookies.domain: "example.com" is neither the public host "other.example" nor a parent of it`}},
		{name: "cookies that need https",
			file: "public_url: https://app.example.com\ncookies: {same_site: None, access: a b}\nfrontends: [{public_url: \"http://localhost:1\"}]\n",
			want: []string{`tokenjar.yaml:2: cookies.access: "a b" is not a cookie name: use letters, digits, hyphens and underscores`,
				`tokenjar.yaml:3: frontends[0].public_url: "http://localhost:1" cannot have the cookies of these settings: cookies.same_site: None needs Secure cookies: use an https public_url, or Lax`}},
		{name: "forward-auth with nowhere to be, and in no dialect", file: "admin: {forward_auth: nginx}\n",
			want: []string{"tokenjar.yaml:1: admin.forward_auth: needs admin.listen, where it is served: set that, as to 127.0.0.1:9090"}},
		{name: "forward-auth in no dialect", file: "admin: {forward_auth: ngnix}\n",
			want: []string{`tokenjar.yaml:1: admin.forward_auth: "ngnix" is not known: use nginx, traefik, caddy or envoy, or "" for none; did you mean nginx?`}},
		{name: "lists in the environment", env: []string{"TOKENJAR_ROUTES=/api/=http://h", "TOKENJAR_FRONTENDS="},
			want: []string{"TOKENJAR_ROUTES: routes: is a list of sections: write it into the file",
				"TOKENJAR_FRONTENDS: frontends: is a list of sections: write it into the file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.LoadText(config.Source{Environ: tt.env}, "tokenjar.yaml", tt.file)
			if err == nil {
				t.Fatal("accepted")
			}
			if got, want := err.Error(), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a password is shown")
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	got, err := config.LoadText(config.Source{Environ: []string{"TOKENJAR_AUTH_DOCS=false"}}, "tokenjar.yaml", `
auth: {path: /api/auth, login_page: /in}
routes:
# a route above what is ours has the rest
- path: /
  upstream: http://127.0.0.1:9000
  methods:
    GET: none
    PUT: [bearer]
    POST: [bearer, cookie]
    DELETE: cookie
    PATCH: optional
  max_body: 1048576
  idle_timeout: 1m30s
- {path: /api/, upstream: "https://orders.example.com/v1", max_body: 64KiB, methods: {GET: [cookie]}, session_check: database}
- {path: /docs, upstream: "http://docs:80", auth: none, scopes: []}
- {path: /.well-known/, upstream: "http://docs:80", auth: none, max_body: 0, methods: {}}
frontends:
- public_url: http://127.0.0.1:8081
  routes:
  - path: /api/
    upstream: http://127.0.0.1:9001
- spa: {dir: shop}
  public_url: https://shop.example.com
  routes:
`)
	if err != nil {
		t.Fatal(err)
	}
	route := func(path, upstream string, change func(*config.Route)) config.Route {
		r := config.DefaultRoute()
		r.Path, r.Upstream = path, upstream
		if change != nil {
			change(&r)
		}
		return r
	}
	want := config.Defaults()
	want.Auth.Path, want.Auth.LoginPage, want.Auth.Docs = "/api/auth", "/in", false
	want.Routes = []config.Route{
		route("/", "http://127.0.0.1:9000", func(r *config.Route) {
			r.Methods = map[string]config.MethodRule{
				"GET": {Auth: "none"}, "PUT": {Auth: "required", OnlyBearer: true}, "POST": {Auth: "required"},
				"DELETE": {Auth: "required", OnlyCookie: true}, "PATCH": {Auth: "optional"},
			}
			r.MaxBody, r.IdleTimeout = 1<<20, 90e9
		}),
		route("/api/", "https://orders.example.com/v1", func(r *config.Route) {
			r.MaxBody, r.SessionCheck = 64<<10, "database"
			r.Methods = map[string]config.MethodRule{"GET": {Auth: "required", OnlyCookie: true}}
		}),
		route("/docs", "http://docs:80", func(r *config.Route) { r.Auth = "none" }),
		route("/.well-known/", "http://docs:80", func(r *config.Route) { r.Auth, r.MaxBody = "none", 0 }),
	}
	want.Frontends = []config.Frontend{
		{PublicURL: "http://127.0.0.1:8081", Routes: []config.Route{route("/api/", "http://127.0.0.1:9001", nil)}},
		{PublicURL: "https://shop.example.com", SPA: config.SPA{Dir: "shop"}},
	}
	if !reflect.DeepEqual(got.Config, want) {
		t.Errorf("got  %+v\nwant %+v", got.Config, want)
	}
}

func TestADefaultRouteIsThatOfTheLibrary(t *testing.T) {
	want := proxy.Route{
		Auth: proxy.Required, Token: proxy.Audience, ConnectTimeout: proxy.DefaultConnectTimeout, HeaderTimeout: proxy.DefaultHeaderTimeout,
		IdleTimeout: proxy.DefaultIdleTimeout, MaxBody: proxy.DefaultMaxBody, MaxRequests: proxy.DefaultMaxRequests,
		MaxStreams: proxy.DefaultMaxStreams,
	}
	if got := config.DefaultRoute().ProxyRoute(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestEverySettingOfARouteReachesTheProxy(t *testing.T) {
	v := reflect.ValueOf(everyRouteSetting().ProxyRoute())
	for field := range v.Type().Fields() {
		if v.FieldByIndex(field.Index).IsZero() {
			t.Errorf("%s is not set", field.Name)
		}
	}
	unlimited := config.DefaultRoute()
	unlimited.MaxBody = 0
	if got := unlimited.ProxyRoute().MaxBody; got != -1 {
		t.Errorf("max_body 0: got %d, want -1, which is any", got)
	}
}

func TestAConfigurationThatAProgramHasMade(t *testing.T) {
	c := config.Defaults()
	c.Routes = []config.Route{{Path: "/api/", Upstream: "http://127.0.0.1:9000"}}
	if err := c.Check(); err != nil {
		t.Errorf("what is zero has its default: got %v", err)
	}
	for name, change := range map[string]func(*config.Route){
		"routes[0].path: is missing": func(r *config.Route) { r.Path = "" },
		"routes[0].auth: ":           func(r *config.Route) { r.Auth = "all" },
		"routes[0].max_streams: ":    func(r *config.Route) { r.MaxStreams = -1 },
		"routes[0].max_per_session:": func(r *config.Route) { r.MaxPerSession = -1 },
		"routes[0].methods: GET: ": func(r *config.Route) {
			r.Methods = map[string]config.MethodRule{"GET": {Auth: "optional", OnlyCookie: true}}
		},
		"routes[0].methods: is no method": func(r *config.Route) { r.Methods = map[string]config.MethodRule{"get": {Auth: "none"}} },
	} {
		c.Routes = []config.Route{{Path: "/api/", Upstream: "http://127.0.0.1:9000"}}
		change(&c.Routes[0])
		if err := c.Check(); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

func TestWarningsOfRoutes(t *testing.T) {
	tests := []struct {
		name, file string
		env        []string
		want       []string // beginnings
	}{
		{name: "what may be chosen without a word", file: `routes:
- {path: /a, upstream: "http://127.0.0.1:1"}
- {path: /b, upstream: "http://10.1.2.3", pass_headers: [X-Trace, X-CSRFToken]}
- {path: /c, upstream: "http://orders:8000"}
- {path: /d, upstream: "http://orders.prod.svc.cluster.local"}
- {path: /e, upstream: "http://[fd00::1]"}
- {path: /f, upstream: "https://api.example.com"}
- {path: /g, upstream: "http://100.64.0.1", auth: none, csrf: none, token: forward}
- {path: /h, upstream: "http://nas.home.arpa", auth: none, token: none, pass_headers: [Authorization]}
`},
		{name: "CSRF off", file: "routes: [{path: /a, upstream: \"http://h\", csrf: none}]\n",
			want: []string{"routes[0].csrf is none: any page of any site can make a signed-in browser send any request to /a"}},
		{name: "CSRF off where a method asks who it is", file: "routes: [{path: /a, upstream: \"http://h\", auth: none, csrf: none, methods: {POST: cookie}}]\n",
			want: []string{"routes[0].csrf is none"}},
		{name: "tokens of users", file: "frontends: [{public_url: \"https://a.example.com\", routes: [{path: /a, upstream: \"http://h\", token: forward}]}]\n",
			want: []string{"frontends[0].routes[0].token is forward: the service at http://h, behind /a, gets the users' own access tokens"}},
		{name: "plain http across the internet", file: "routes: [{path: /a, upstream: \"http://api.example.com\"}, {path: /b, upstream: \"http://8.8.8.8\"}, {path: /c, upstream: \"http://me.github.io.\"}]\n",
			want: []string{"routes[0].upstream http://api.example.com is plain http to another network", "routes[1].upstream", "routes[2].upstream"}},
		{name: "headers that say who somebody is", file: "routes: [{path: /a, upstream: \"http://h\", pass_headers: [x-user, CF-Connecting-IP, X-Trace]}]\n",
			want: []string{"routes[0].pass_headers: services believe x-user about who sends a request", "routes[0].pass_headers: services believe CF-Connecting-IP"}},
		{name: "parts of lists in the environment", env: []string{"TOKENJAR_ROUTES_0_PATH=/a", "TOKENJAR_FRONTENDS_SERVICE_HOST=10.0.0.1", "TOKENJAR_ROUTES_PORT=tcp://10.0.0.1:80"},
			want: []string{"TOKENJAR_ROUTES_0_PATH in the environment is no setting and has no effect: routes are written into the file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.LoadText(config.Source{Environ: tt.env}, "tokenjar.yaml", tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Warnings) != len(tt.want) {
				t.Fatalf("got %q, want %q", got.Warnings, tt.want)
			}
			for i, w := range got.Warnings {
				if !strings.HasPrefix(w, tt.want[i]) {
					t.Errorf("got %q, want %q", w, tt.want[i])
				}
			}
		})
	}
}

func TestFoldersOfPagesCountFromTheFolderOfTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "t.yaml")
	text := "spa: {dir: dist}\nfrontends:\n  - {public_url: \"https://a.example.com\", spa: {dir: a}}\n  - {public_url: \"https://b.example.com\", spa: {dir: /srv/b}}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := config.Load(config.Source{File: file})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{l.SPA.Dir, l.Frontends[0].SPA.Dir, l.Frontends[1].SPA.Dir}
	if want := []string{filepath.Join(dir, "dist"), filepath.Join(dir, "a"), "/srv/b"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	l, err = config.Load(config.Source{File: file, Environ: []string{"TOKENJAR_SPA_DIR=web"}})
	if err != nil || l.SPA.Dir != "web" {
		t.Errorf("of the environment: got %q, %v", l.SPA.Dir, err)
	}
}

func TestValuesOfRoutesSayWhereTheyComeFrom(t *testing.T) {
	l, err := config.LoadText(config.Source{}, "t.yaml", `routes:
  - path: /api/
    methods: {GET: none, POST: [cookie, bearer]}
    upstream: http://127.0.0.1:9000
frontends:
  - public_url: https://shop.example.com
    spa:
      dir: shop
`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range l.Values() {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got[v.Key] = string(line)
	}
	for _, want := range []string{
		`{"key":"routes[0].path","value":"/api/","from":"t.yaml:2"}`,
		`{"key":"routes[0].methods","value":{"GET":"none","POST":"required"},"from":"t.yaml:3"}`,
		`{"key":"routes[0].max_body","value":"10MiB","from":"default"}`,
		`{"key":"routes[0].max_requests","value":512,"from":"default"}`,
		`{"key":"routes[0].scopes","value":[],"from":"default"}`,
		`{"key":"frontends[0].public_url","value":"https://shop.example.com","from":"t.yaml:6"}`,
		`{"key":"frontends[0].spa.dir","value":"shop","from":"t.yaml:8"}`,
		`{"key":"frontends[0].routes","value":[],"from":"default"}`,
	} {
		var v config.Value
		if err := json.Unmarshal([]byte(want), &v); err != nil {
			t.Fatal(err)
		}
		if got[v.Key] != want {
			t.Errorf("got %s, want %s", got[v.Key], want)
		}
	}
	if got["routes"] != "" {
		t.Errorf("a list that is not empty: %s", got["routes"])
	}
	var out bytes.Buffer
	if err := config.PrintValues(&out, l); err != nil {
		t.Fatal(err)
	}
	again, err := config.LoadText(config.Source{}, "t.yaml", out.String())
	if err != nil || !reflect.DeepEqual(again.Config, l.Config) {
		t.Errorf("what is printed is read back as %+v, %v, want %+v; it was:\n%s", again.Config, err, l.Config, out.String())
	}
}

// A hundred routes with everything printed are read in the time that a start may take.
func TestManyRoutesAreReadBack(t *testing.T) {
	c := config.Defaults()
	for i := range 200 {
		r := everyRouteSetting()
		r.Path = fmt.Sprintf("/r%d", i)
		c.Routes = append(c.Routes, r)
	}
	var out bytes.Buffer
	if err := config.PrintValues(&out, config.Loaded{Config: c}); err != nil {
		t.Fatal(err)
	}
	again, err := config.LoadText(config.Source{}, "t.yaml", out.String())
	if err != nil || !reflect.DeepEqual(again.Config, c) {
		t.Errorf("got %v", err)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]config.Size{
		"0": 0, "1": 1, "1000": 1000, "1024": 1 << 10, "1KiB": 1 << 10, "1536KiB": 1536 << 10, "10MiB": 10 << 20, "1024GiB": 1 << 40,
	} {
		got, err := config.ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
		if back, err := config.ParseSize(want.String()); err != nil || back != want {
			t.Errorf("%d is written as %q and read as %d, %v", want, want, back, err)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "+1", "01", "1.5MiB", "1 MiB", "1MB", "1mib", "1K", "1B", "1KiBKiB", "1e3", "0x10", "1_000",
		"9223372036854775808", "9007199254740992KiB", "8589934592GiB"} {
		if n, err := config.ParseSize(text); err == nil {
			t.Errorf("%q is read as %d", text, n)
		}
	}
}

func TestTheExamplesOfTheReferenceAreRight(t *testing.T) {
	for section, text := range examples {
		l, err := config.LoadText(config.Source{}, "tokenjar.yaml", text)
		if err != nil || l.Warnings != nil {
			t.Errorf("%s: %v, %q", section, err, l.Warnings)
		}
	}
}
