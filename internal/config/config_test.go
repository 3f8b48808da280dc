package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/cookie"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/token"
)

func TestMistakes(t *testing.T) {
	const name = "tokenjar.yaml"
	tests := []struct {
		name string
		file string
		env  []string
		flag map[string]string
		want []string // all lines, in order
	}{
		{name: "an unknown setting with a near one",
			file: "session:\n  idel: 3h\n",
			want: []string{"tokenjar.yaml:2: session.idel: unknown setting; did you mean session.idle?"}},
		{name: "a setting in no section or another one",
			file: "idle: 3h\ntoken:\n  domain: x.example\n",
			want: []string{"tokenjar.yaml:1: idle: unknown setting; did you mean session.idle?",
				"tokenjar.yaml:3: token.domain: unknown setting; did you mean cookies.domain?"}},
		{name: "an unknown section",
			file: "cookie:\n  domain: x.example\n",
			want: []string{"tokenjar.yaml:1: cookie: unknown setting; did you mean cookies?"}},
		{name: "a dotted name",
			file: "session.idle: 3h\n",
			want: []string{"tokenjar.yaml:1: session.idle: write idle below session, or as session: {idle: …}"}},
		{name: "an unknown setting never shows its value",
			file: "secret: hunter2hunter2\n",
			want: []string{"tokenjar.yaml:1: secret: unknown setting"}},
		{name: "wrong types",
			file: "listen: 8080\nsession: {idle: [3h], grace: true, max_per_user: \"3\", transparent_renewal: yes}\n" +
				"csrf: {trusted_origins: https://x.example}\ntoken: text\nlog: [a]\nauth: {path: {a: b}}\n",
			want: []string{
				"tokenjar.yaml:1: listen: must be text, not a number: write it as 127.0.0.1:8080",
				"tokenjar.yaml:2: session.idle: must be a duration, as 90s, 15m, 24h or 30d, not a list",
				"tokenjar.yaml:2: session.grace: must be a duration, as 90s, 15m, 24h or 30d, not a truth value",
				"tokenjar.yaml:2: session.max_per_user: must be a whole number, not text",
				"tokenjar.yaml:2: session.transparent_renewal: must be true or false, not text",
				"tokenjar.yaml:3: csrf.trusted_origins: must be a list: put it in [ ]",
				"tokenjar.yaml:4: token: is a section: write its settings below it, indented, or as {name: value}",
				"tokenjar.yaml:5: log: is a section: write its settings below it, indented, or as {name: value}",
				"tokenjar.yaml:6: auth.path: must be text, not a section",
			}},
		{name: "no value",
			file: "public_url:\nsession:\n  idle: ~\n",
			want: []string{`tokenjar.yaml:1: public_url: has no value: write "" for none, or remove the line to have the default`,
				"tokenjar.yaml:3: session.idle: has no value: write one, or remove the line to have the default"}},
		{name: "bad durations",
			file: "session:\n  idle: 10\n  remember: 3 days\n  absolute: 401d\n  grace: -1s\ntoken:\n  access_lifetime: 1500ms\n",
			want: []string{
				`tokenjar.yaml:2: session.idle: "10" has no unit: write 10s for seconds, 10m for minutes`,
				`tokenjar.yaml:3: session.remember: "3 days" is no duration: write 90s, 15m, 24h or 30d`,
				`tokenjar.yaml:4: session.absolute: "401d" is out of range: use 1s to 400d`,
				`tokenjar.yaml:5: session.grace: "-1s" is out of range: use 0 to 60s`,
				"tokenjar.yaml:7: token.access_lifetime: 1.5s is no whole number of seconds",
			}},
		{name: "bad numbers",
			file: "session:\n  max_per_user: 0\npassword:\n  min_length: 010\n  hash_slots: 99999999999999999999\n",
			want: []string{
				"tokenjar.yaml:2: session.max_per_user: 0 is out of range: use 1 to 1000000",
				`tokenjar.yaml:4: password.min_length: "010": write a whole number in plain digits`,
				`tokenjar.yaml:5: password.hash_slots: "99999999999999999999" is out of range: use 0 to 1024`,
			}},
		{name: "unknown words",
			file: "token: {algorithm: HS256}\ncookies: {same_site: lax, prefix: __Host-}\nlog: {level: loud}\n",
			want: []string{
				"tokenjar.yaml:1: token.algorithm: HS256 is for programs that embed the library: every service that could verify it could also sign; use ES256",
				`tokenjar.yaml:2: cookies.same_site: "lax" is not known: use Lax, Strict or None; did you mean Lax?`,
				`tokenjar.yaml:2: cookies.prefix: "__Host-" is not known: use auto, host, secure or none`,
				`tokenjar.yaml:3: log.level: "loud" is not known: use debug, info, warn or error`,
			}},
		{name: "settings and sections twice",
			file: "listen: :1\nlog: {level: info}\nlisten: :2\nlog: {level: warn}\n",
			want: []string{"tokenjar.yaml:3: listen: is set twice; first in line 1",
				"tokenjar.yaml:4: log: is set twice; first in line 2"}},
		{name: "a syntax error",
			file: "listen: :1\nlog: {level: info\n",
			want: []string{"tokenjar.yaml:2: this is not YAML: could not find flow mapping end token '}'"}},
		{name: "a path of the API that no request could be brought to",
			file: "auth: {path: /API/auth}\n",
			want: []string{`tokenjar.yaml:1: auth.path: "/API/auth" must be in lower case: write "/api/auth"`}},
		{name: "a header that proxies take for another",
			file: "cors: {allowed_origins: [\"http://localhost:1\"], allowed_headers: [X_Custom]}\n",
			want: []string{`tokenjar.yaml:1: cors.allowed_headers: item 1: "X_Custom" is no name of a header: list each by its name, of letters, digits and hyphens`}},
		{name: "a secret that is set, but empty", env: []string{"TOKENJAR_SECRET="},
			want: []string{"TOKENJAR_SECRET: is set, but empty: give it the secret, or unset it to have the one of secret_file"}},
		{name: "a secret in place of its path is not shown",
			env:  []string{"TOKENJAR_SECRET_FILE=q0Xc/2bVt7Yk9LmN3pRs5uWx8zA1Cd4Ef6Gh+iJkLmN="},
			want: []string{"TOKENJAR_SECRET_FILE: secret_file: looks like the secret itself, so it is not shown: put that into a file, or into TOKENJAR_SECRET; if it is a path, write ./ before it"}},
		{name: "nor in hexadecimal", file: "secret_file: \"" + strings.Repeat("0123456789abcdef", 4) + "\"\n",
			want: []string{"tokenjar.yaml:1: secret_file: looks like the secret itself, so it is not shown: put that into a file, or into TOKENJAR_SECRET; if it is a path, write ./ before it"}},
		{name: "a tab",
			file: "log:\n\tlevel: info\n",
			want: []string{"tokenjar.yaml:2: this is not YAML: found character '\\t' that cannot start any token"}},
		{name: "no mapping",
			file: "just text\n",
			want: []string{"tokenjar.yaml:1: settings are written as name: value, one a line"}},
		{name: "parts of YAML that are not read",
			file: "listen: &a 127.0.0.1:1\nlog: {level: !!str info}\nauth: {path: *a}\ncookies: {<<: *a}\npublic_url: |\n  x\n",
			want: []string{
				"tokenjar.yaml:1: listen: anchors (&) are not supported: write the value itself",
				"tokenjar.yaml:2: log.level: tags (!) are not supported: write the value itself",
				"tokenjar.yaml:3: auth.path: aliases (*) are not supported: write the value itself",
				"tokenjar.yaml:4: merge keys (<<) are not supported: write the settings out",
				"tokenjar.yaml:5: public_url: block texts (| and >) are not supported: write the value itself",
			}},
		{name: "two documents", file: "listen: :1\n---\nlisten: :2\n",
			want: []string{"tokenjar.yaml:3: a second document begins before this line: keep one"}},
		{name: "a directive", file: "%YAML 1.1\n---\nlisten: 127.0.0.1:1\n",
			want: []string{"tokenjar.yaml:1: directives are not supported: remove the line"}},
		{name: "not UTF-8", file: "listen: \xff\n",
			want: []string{"tokenjar.yaml: is not UTF-8: save it as UTF-8 text"}},
		{name: "nested without end", file: strings.Repeat("[", 5_000),
			want: []string{"tokenjar.yaml: is nested more than 32 deep"}},
		{name: "nested without end in a line", file: strings.Repeat("- ", 50_000),
			want: []string{"tokenjar.yaml: has far more entries than a configuration"}},
		{name: "more entries than the parser could take", file: strings.Repeat("a: b\n", 20_000),
			want: []string{"tokenjar.yaml: has far more entries than a configuration"}},
		{name: "control characters do not reach the terminal",
			file: "listen: \"a\\e[2Jb\"\n\"x\\ny\": 1\n",
			want: []string{"tokenjar.yaml:1: listen: contains U+001B, which cannot be printed: remove it",
				`tokenjar.yaml:2: "x\ny": unknown setting`}},
		{name: "addresses",
			file: "listen: 127.0.0.1:http\n",
			want: []string{`tokenjar.yaml:1: listen: "127.0.0.1:http": the port is a number from 0 to 65535: write host:port, as 127.0.0.1:8080, or :8080 for all addresses`}},
		{name: "plain http for a public host",
			file: "public_url: http://app.example.com\n",
			want: []string{`tokenjar.yaml:1: public_url: "http://app.example.com" is plain http for a host that is not this machine: use https, with TLS ended in front of this server`}},
		{name: "a public URL with a path",
			file: "public_url: https://app.example.com/app?x=1\n",
			want: []string{`tokenjar.yaml:1: public_url: "https://app.example.com/app?x=1" has to be scheme, host and port alone, as browsers write them: https://app.example.com`}},
		{name: "a public URL with a password does not show it",
			file: "public_url: https://ada:hunter2@app.example.com\n",
			want: []string{"tokenjar.yaml:1: public_url: must not have a user name or password in it: remove what stands before the @"}},
		{name: "a database URL with a password does not show it",
			file: "database: postgres:ada:hunter2@db/x\n",
			want: []string{"tokenjar.yaml:1: database: must be postgres://<user>@<host>/<database>, with what is special in a user or password written as %40 and so on"}},
		{name: "databases that are none",
			file: "database: \"sqlite::memory:\"\n",
			want: []string{"tokenjar.yaml:1: database: must be a file: sessions and users would be gone at every restart"}},
		{name: "no secret file", file: "secret_file: \"\"\n",
			want: []string{"tokenjar.yaml:1: secret_file: names no file: write its path, or remove the line to have the default"}},
		{name: "SameSite=None without Secure",
			file: "cookies: {same_site: None}\n",
			want: []string{"tokenjar.yaml:1: cookies.same_site: None needs Secure cookies: use an https public_url, or Lax"}},
		{name: "Domain with __Host-",
			file: "public_url: https://app.example.com\ncookies:\n  prefix: host\n  domain: example.com\n",
			want: []string{"tokenjar.yaml:3: cookies.prefix: __Host- cookies cannot have a cookies.domain: leave cookies.domain empty, or use secure or auto"}},
		{name: "a domain of somebody else, and a public suffix in the legacy scopes",
			file: "public_url: https://app.example.com\ncookies:\n  domain: other.example\n  legacy_scopes: [/, /app@com]\n",
			want: []string{
				`tokenjar.yaml:3: cookies.domain: "other.example" is neither the public host "app.example.com" nor a parent of it`,
				`tokenjar.yaml:4: cookies.legacy_scopes: item 2: "com" is a single label, which browsers refuse: leave it empty`,
			}},
		{name: "a prefix that needs https",
			file: "cookies: {prefix: host}\n",
			want: []string{"tokenjar.yaml:1: cookies.prefix: __Host- cookies need https: use auto or none on loopback http"}},
		{name: "cookie names",
			file: "cookies: {access: __Host-a, refresh: \"a b\", csrf: Access}\n",
			want: []string{
				`tokenjar.yaml:1: cookies.access: "__Host-a" bears a prefix: leave it out and set cookies.prefix`,
				`tokenjar.yaml:1: cookies.refresh: "a b" is not a cookie name: use letters, digits, hyphens and underscores`,
			}},
		{name: "cookies of one name",
			file: "cookies: {access: jar, refresh: JAR}\n",
			want: []string{`tokenjar.yaml:1: cookies.refresh: "JAR" equals cookies.access when compared without case: use different names`}},
		{name: "trusted origins",
			file: "csrf:\n  trusted_origins: [\"null\", \"*\", https://X.example, https://ok.example]\n",
			want: []string{
				`tokenjar.yaml:2: csrf.trusted_origins: item 1: "null": null cannot be trusted: any sandboxed frame sends it`,
				`tokenjar.yaml:2: csrf.trusted_origins: item 2: "*": wildcards are not supported: list each origin`,
				`tokenjar.yaml:2: csrf.trusted_origins: item 3: "https://X.example": write it as browsers send it: "https://x.example"`,
			}},
		{name: "items that are no text",
			file: "csrf:\n  trusted_origins:\n    - 1\n    - [a]\n    - \"\"\n",
			want: []string{"tokenjar.yaml:3: csrf.trusted_origins: item 1 must be text, not a number: put it in quotes",
				"tokenjar.yaml:4: csrf.trusted_origins: item 2 must be text, not a list: put it in quotes"}},
		{name: "renewal without grace, spelt out",
			file: "session:\n  grace: 0\n  transparent_renewal: true\n",
			want: []string{"tokenjar.yaml:3: session.transparent_renewal: cannot be true with session.grace 0, because every parallel request would end the session: set session.grace to 10s, or this to false"}},
		{name: "paths",
			file: "auth: {path: /auth/}\ntrusted_proxies: [10.0.0.0/33, 0.0.0.0/0]\nsession: {renewal_exclude: [admin, /a/../b]}\n",
			want: []string{
				`tokenjar.yaml:1: auth.path: "/auth/" must be a prefix without a slash at the end, as /auth or /api/auth`,
				`tokenjar.yaml:2: trusted_proxies: 10.0.0.0/33, 0.0.0.0/0 (everybody) is no network of proxies: write 10.0.0.0/8 or 192.0.2.7`,
				`tokenjar.yaml:3: session.renewal_exclude: item 1: "admin" must begin with a slash`,
				`tokenjar.yaml:3: session.renewal_exclude: item 2: "/a/../b" must not contain . or .. as a segment`,
			}},
		{name: "an API on a path that is taken",
			file: "auth: {path: /.well-known}\n",
			want: []string{`tokenjar.yaml:1: auth.path: "/.well-known" is taken: /.well-known is served at the root; use another, as /auth`}},
		{name: "mistakes of all sources at once, in their order",
			file: "listen: nowhere\nsessions: {}\n",
			env:  []string{"TOKENJAR_SESSION_IDLE=soon", "TOKENJAR_CSRF_TRUSTED_ORIGINS=https://a.example,,x", "TOKENJAR_LOG_LEVEL="},
			flag: map[string]string{"public_url": "app.example.com"},
			want: []string{
				"tokenjar.yaml:1: listen: \"nowhere\" is no address: write host:port, as 127.0.0.1:8080, or :8080 for all addresses",
				"tokenjar.yaml:2: sessions: unknown setting; did you mean session?",
				`TOKENJAR_SESSION_IDLE: session.idle: "soon" is no duration: write 90s, 15m, 24h or 30d`,
				"TOKENJAR_CSRF_TRUSTED_ORIGINS: csrf.trusted_origins: item 2: is empty: remove it",
				`TOKENJAR_LOG_LEVEL: log.level: "" is not known: use debug, info, warn or error`,
				`--public-url: public_url: "app.example.com" is no address: write https://host, or http://localhost:port`,
			}},
		{name: "a mistake in the file counts although a flag overrules it",
			file: "listen: 8080\n",
			flag: map[string]string{"listen": "127.0.0.1:1"},
			want: []string{"tokenjar.yaml:1: listen: must be text, not a number: write it as 127.0.0.1:8080"}},
		{name: "tokens for services behind no proxy",
			file: "admin: {listen: 127.0.0.1:9090, forward_auth_audience: orders}\n",
			want: []string{"tokenjar.yaml:1: admin.forward_auth_audience: has no effect without admin.forward_auth: remove it, or say which proxy asks"}},
		{name: "tokens for services that are good for us",
			file: "public_url: https://app.example.com\nadmin: {listen: 127.0.0.1:9090, forward_auth: caddy, forward_auth_audience: \"https://app.example.com\"}\n",
			want: []string{`tokenjar.yaml:2: admin.forward_auth_audience: "https://app.example.com" is our own: a service could use its tokens on us; name the services, as https://orders.internal`}},
		{name: "O-03 CORS origins that are none",
			file: "public_url: https://app.example.com\ncors:\n  allowed_origins: [\"*\", \"null\", https://*.example.com, https://a.example.com/app, https://a.example.com., //a.example.com, \".*\", https://app.example.com@evil.example]\n",
			want: []string{
				`tokenjar.yaml:3: cors.allowed_origins: item 1: "*": wildcards are not supported: list each origin`,
				`tokenjar.yaml:3: cors.allowed_origins: item 2: "null": null cannot be trusted: any sandboxed frame sends it`,
				`tokenjar.yaml:3: cors.allowed_origins: item 3: "https://*.example.com": wildcards are not supported: list each origin`,
				`tokenjar.yaml:3: cors.allowed_origins: item 4: "https://a.example.com/app": write it as browsers send it: "https://a.example.com"`,
				`tokenjar.yaml:3: cors.allowed_origins: item 5: "https://a.example.com.": remove the trailing dot of the host`,
				`tokenjar.yaml:3: cors.allowed_origins: item 6: "//a.example.com": the scheme must be http or https`,
				`tokenjar.yaml:3: cors.allowed_origins: item 7: ".*": wildcards are not supported: list each origin`,
				`tokenjar.yaml:3: cors.allowed_origins: item 8: "https://app.example.com@evil.example": remove the user information before @`,
			}},
		{name: "O-03 origins of another site with Lax and Strict",
			file: "public_url: https://app.example.com\ncookies: {same_site: Strict}\ncors: {allowed_origins: [https://example.com, https://other.example, http://app.example.com]}\n" +
				"csrf: {trusted_origins: [\"https://app.example.com:8443\", https://example.org]}\n",
			want: []string{
				`tokenjar.yaml:3: cors.allowed_origins: item 2: "https://other.example" is another site than the public_url https://app.example.com: with cookies.same_site Strict browsers send it no cookies; use hosts below one domain with one scheme, or cookies.same_site None`,
				`tokenjar.yaml:3: cors.allowed_origins: item 3: "http://app.example.com" is another site than the public_url https://app.example.com: with cookies.same_site Strict browsers send it no cookies; use hosts below one domain with one scheme, or cookies.same_site None`,
				`tokenjar.yaml:4: csrf.trusted_origins: item 2: "https://example.org" is another site than the public_url https://app.example.com: with cookies.same_site Strict browsers send it no cookies; use hosts below one domain with one scheme, or cookies.same_site None`,
			}},
		{name: "O-03 neighbours under a public suffix are other sites",
			file: "public_url: https://ada.github.io\ncors: {allowed_origins: [https://eve.github.io]}\n",
			want: []string{`tokenjar.yaml:2: cors.allowed_origins: item 1: "https://eve.github.io" is another site than the public_url https://ada.github.io: with cookies.same_site Lax browsers send it no cookies; use hosts below one domain with one scheme, or cookies.same_site None`}},
		{name: "O-06 headers that pages may send",
			file: "cors: {allowed_origins: [\"http://localhost:1\"], allowed_headers: [X-Trace, \"*\", \"a b\"]}\n",
			want: []string{`tokenjar.yaml:1: cors.allowed_headers: item 2: "*" is no name of a header: list each by its name, of letters, digits and hyphens`,
				`tokenjar.yaml:1: cors.allowed_headers: item 3: "a b" is no name of a header: list each by its name, of letters, digits and hyphens`}},
		{name: "F-22 an allow-list that is empty allows nobody, so what depends on it is a mistake",
			file: "cors: {allowed_origins: [], allowed_headers: [X-Trace]}\ntrusted_proxies: [\"\"]\n",
			want: []string{"tokenjar.yaml:1: cors.allowed_headers: has no effect without cors.allowed_origins: remove it, or say whose pages may send them",
				"tokenjar.yaml:2: trusted_proxies: item 1: is empty: remove it"}},
		{name: "F-22 options that contradict each other",
			file: "token: {session_check: database, stale_sessions: allow}\nlisten: :8080\nadmin: {listen: 127.0.0.1:8080}\n",
			want: []string{"tokenjar.yaml:1: token.stale_sessions: allow has a meaning only with token.session_check cached, not database: remove it",
				`tokenjar.yaml:3: admin.listen: "127.0.0.1:8080" is where listen answers everybody: use another port, as 127.0.0.1:9090`}},
		{name: "F-22 the environment contradicts the file",
			file: "token: {stale_sessions: allow}\n",
			env:  []string{"TOKENJAR_TOKEN_SESSION_CHECK=stateless", "TOKENJAR_ADMIN_LISTEN=localhost:8080"},
			want: []string{"tokenjar.yaml:1: token.stale_sessions: allow has a meaning only with token.session_check cached, not stateless: remove it",
				`TOKENJAR_ADMIN_LISTEN: admin.listen: "localhost:8080" is where listen answers everybody: use another port, as 127.0.0.1:9090`}},
		{name: "limits, and how often keys change",
			file: "limits:\n  login_per_account: 0/m\n  login_per_address: 5 per minute\ntoken:\n  rotate_every: 1h\n  session_check: none\nauth: {order: cookie}\nadmin: {listen: 9090:}\n",
			want: []string{
				`tokenjar.yaml:2: limits.login_per_account: "0/m" is no limit: write a number from 1 to 1000000 and /s, /m, /h or /d, as 5/m`,
				`tokenjar.yaml:3: limits.login_per_address: "5 per minute" is no limit: write a number from 1 to 1000000 and /s, /m, /h or /d, as 5/m`,
				"tokenjar.yaml:5: token.rotate_every: 1h is out of range: use 1d or more, or 0 for never",
				`tokenjar.yaml:6: token.session_check: "none" is not known: use cached, database or stateless`,
				`tokenjar.yaml:7: auth.order: "cookie" is not known: use cookie_first or bearer_first`,
				`tokenjar.yaml:8: admin.listen: "9090:": the port is a number from 0 to 65535: write host:port, as 127.0.0.1:8080, or :8080 for all addresses`,
			}},
		{name: "K-19 there is one secret, and no setting gives a purpose a key of its own",
			file: "csrf: {key: x}\ncookies: {key: x}\ntoken: {secret: x, signing_key: x}\n",
			want: []string{"tokenjar.yaml:1: csrf.key: unknown setting", "tokenjar.yaml:2: cookies.key: unknown setting",
				"tokenjar.yaml:3: token.secret: unknown setting", "tokenjar.yaml:3: token.signing_key: unknown setting"}},
		{name: "K-19 a secret whose lines are equal",
			env:  []string{"TOKENJAR_SECRET=hunter2-Qw9Lr7tYb2NzHm5sJd8FgCa4PeUo6\nhunter2-Qw9Lr7tYb2NzHm5sJd8FgCa4PeUo6"},
			want: []string{"TOKENJAR_SECRET: secret line 2 stands twice"}},
		{name: "two secrets",
			file: "secret_file: a.secret\n",
			env:  []string{"TOKENJAR_SECRET=hunter2"},
			want: []string{"TOKENJAR_SECRET: is set and so is secret_file (tokenjar.yaml:1): keep one of them"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.LoadText(config.Source{Environ: tt.env, Flags: tt.flag}, name, tt.file)
			if err == nil {
				t.Fatal("accepted")
			}
			if got, want := err.Error(), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a password or secret is shown")
			}
		})
	}
}

func TestPrecedence(t *testing.T) {
	const file = "listen: 127.0.0.1:1\nsession: {idle: 1h, remember: 2h, absolute: 3h}\ncsrf: {trusted_origins: [\"http://localhost:1\"]}\n"
	got, err := config.LoadText(config.Source{
		Environ: []string{
			"TOKENJAR_SESSION_REMEMBER=20h", "TOKENJAR_SESSION_ABSOLUTE=30h", "HOME=/x",
			"TOKENJAR_CSRF_TRUSTED_ORIGINS=http://localhost:2, http://localhost:3", "TOKENJAR_SESSION_RENEWAL_EXCLUDE=",
			"TOKENJAR_COOKIES_LEGACY_SCOPES=/app",
		},
		Flags: map[string]string{"session.absolute": "300h"},
	}, "tokenjar.yaml", "\ufeff"+file)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Defaults()
	want.Listen = "127.0.0.1:1"
	want.Session.Idle = time.Hour
	want.Session.Remember = 20 * time.Hour
	want.Session.Absolute = 300 * time.Hour
	want.Session.RenewalExclude = nil
	want.CSRF.TrustedOrigins = []string{"http://localhost:2", "http://localhost:3"}
	want.Cookies.LegacyScopes = []cookie.Scope{{Path: "/app"}}
	if !reflect.DeepEqual(got.Config, want) {
		t.Errorf("got  %+v\nwant %+v", got.Config, want)
	}
}

func TestDefaultsAreTheLibrarys(t *testing.T) {
	c := config.Defaults()
	if err := c.Check(); err != nil {
		t.Fatalf("the defaults do not pass: %v", err)
	}
	if w := c.Warnings(); w != nil {
		t.Errorf("the defaults warn: %q", w)
	}
	type same struct{ got, want any }
	for name, s := range map[string]same{
		"access lifetime": {c.Token.AccessLifetime, tokenjar.DefaultAccessLifetime},
		"idle":            {c.Session.Idle, tokenjar.DefaultIdle},
		"remember":        {c.Session.Remember, tokenjar.DefaultRememberIdle},
		"absolute":        {c.Session.Absolute, tokenjar.DefaultAbsolute},
		"grace":           {c.Session.Grace, tokenjar.DefaultGrace},
		"rotate every":    {c.Token.RotateEvery, tokenjar.DefaultRotateEvery},
		"session check":   {c.Token.SessionCheck, tokenjar.CheckCached},
		"max per user":    {c.Session.MaxPerUser, tokenjar.DefaultMaxPerUser},
		"algorithm":       {c.Token.Algorithm, token.ES256},
		"listen":          {c.Listen, "127.0.0.1:8080"},
		"database path":   {c.DatabasePath(), "tokenjar.db"},
		"url":             {c.URL(4711), "http://localhost:4711"},
	} {
		if !reflect.DeepEqual(s.got, s.want) {
			t.Errorf("%s: got %v, want %v", name, s.got, s.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name string
		file string
		env  []string
		want []string // beginnings
	}{
		{name: "reachable over the network with a loopback address", file: "listen: :8080\n",
			want: []string{"listen :8080 can be reached over the network, but public_url is a loopback address"}},
		{name: "behind TLS", file: "listen: :8080\npublic_url: https://app.example.com\n"},
		{name: "grace 0 switches renewal off", file: "session: {grace: 0}\n",
			want: []string{"session.grace is 0, so session.transparent_renewal is off"}},
		{name: "grace 0 with renewal off", file: "session: {grace: 0s, transparent_renewal: false}\n"},
		{name: "sessions that go idle in use", file: "session: {idle: 5m}\n",
			want: []string{"token.access_lifetime (5m) is not shorter than session.idle (5m)"}},
		{name: "lives that are cut", file: "session: {idle: 2d, remember: 40d, absolute: 36h}\n",
			want: []string{"session.idle (2d) is longer than session.absolute (36h)", "session.remember (40d) is longer than session.absolute (36h)"}},
		{name: "defaults that are cut", file: "session: {absolute: 12h}\n"},
		{name: "more hashes than cores", file: "password: {hash_slots: 1024}\n",
			want: []string{"password.hash_slots (1024) is more than this machine has cores ("}},
		{name: "long paths of a secret", file: "secret_file: /run/secrets/production/tokenjar/secret\n"},
		{name: "origins below one domain, on whatever port, are one site",
			file: "public_url: https://app.example.com\ncsrf: {trusted_origins: [https://c.example.com, \"https://app.example.com:81\"]}\n" +
				"cors: {allowed_origins: [https://example.com]}\n"},
		{name: "origins of other sites with SameSite=None, one in plain http",
			file: "public_url: https://app.example.com\ncookies: {same_site: None}\ncsrf: {trusted_origins: [https://other.example]}\n" +
				"cors: {allowed_origins: [https://other.example, http://b.example.com]}\n",
			want: []string{"cors.allowed_origins: http://b.example.com is plain http: whoever can change its traffic can read for its users"}},
		{name: "a page of this machine on another port",
			file: "csrf: {trusted_origins: [\"http://localhost:5173\"]}\ncors: {allowed_origins: [\"http://localhost:5173\"], allowed_headers: [X-Trace]}\n"},
		{name: "no check of sessions", file: "token: {session_check: stateless}\n",
			want: []string{"token.session_check is stateless: after a sign-out access tokens still work, for up to 5m"}},
		{name: "what may be chosen without a word",
			file: "token: {session_check: database, rotate_every: 0}\nauth: {order: bearer_first, docs: false}\nadmin: {listen: 127.0.0.1:9090}\n"},
		{name: "stale sessions let in", file: "token: {stale_sessions: allow}\n"},
		{name: "an admin listener on the network", file: "admin: {listen: :9090}\n",
			want: []string{"admin.listen :9090 can be reached over the network"}},
		{name: "a misspelt variable", env: []string{"TOKENJAR_SESSION_IDEL=3h", "TOKENJAR_LISTN=:1", "TOKENJAR_SESSION_COLOUR=x"},
			want: []string{"TOKENJAR_SESSION_IDEL in the environment is no setting and has no effect; did you mean TOKENJAR_SESSION_IDLE?",
				"TOKENJAR_LISTN in the environment is no setting and has no effect; did you mean TOKENJAR_LISTEN?",
				"TOKENJAR_SESSION_COLOUR in the environment is no setting and has no effect"}},
		{name: "a file for what is no secret", env: []string{"TOKENJAR_DATABASE_FILE=/run/secrets/db"},
			want: []string{"TOKENJAR_DATABASE_FILE in the environment has no effect: only the secret is read from a file of its own (TOKENJAR_SECRET_FILE); use TOKENJAR_DATABASE"}},
		{name: "what Kubernetes and tests put there",
			env: []string{"TOKENJAR_SERVICE_HOST=10.0.0.1", "TOKENJAR_SERVICE_PORT=80", "TOKENJAR_SERVICE_PORT_HTTP=80",
				"TOKENJAR_PORT=tcp://10.0.0.1:80", "TOKENJAR_PORT_80_TCP=x", "TOKENJAR_PORT_80_TCP_ADDR=x",
				"TOKENJAR_AUTH_SERVICE_HOST=x", "TOKENJAR_AUTH_PORT_80_TCP_PROTO=x", "TOKENJAR_VECTORS=1",
				"TOKENJAR_REQUIRE_ALL=1", "TOKENJAR_BIN=x", "TOKENJAR=1", "OTHER_SESSION_IDEL=1"}},
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
			if got.Session.Grace == 0 && got.Session.TransparentRenewal {
				t.Error("grace 0, and renewal is on")
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if l, err := config.Load(config.Source{}); err != nil || l.File != "" {
		t.Fatalf("no file: got %q, %v", l.File, err)
	}
	if _, err := config.Load(config.Source{File: "named.yaml"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a named file that is missing: got %v", err)
	}
	if _, err := config.Load(config.Source{File: dir}); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: got %v", err)
	}
	write(t, "tokenjar.yaml", 0o644, "listen: 127.0.0.1:1\n")
	if l, err := config.Load(config.Source{}); err != nil || l.File != "tokenjar.yaml" || l.Listen != "127.0.0.1:1" {
		t.Errorf("the default file: got %q, %q, %v", l.File, l.Listen, err)
	}
	if l, err := config.Load(config.Source{NoFile: true}); err != nil || l.Listen != "127.0.0.1:8080" {
		t.Errorf("no file wanted: got %q, %v", l.Listen, err)
	}
	write(t, "big.yaml", 0o644, "#"+strings.Repeat("x", 1<<20))
	if _, err := config.Load(config.Source{File: "big.yaml"}); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("a large file: got %v", err)
	}

	sparse, err := os.Create("huge.yaml")
	if err == nil {
		err = errors.Join(sparse.Truncate(1<<30), sparse.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(config.Source{File: "huge.yaml"}); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("F-22 a file of 1 GB: got %v", err)
	}
	if err := os.Symlink("loop.yaml", "loop.yaml"); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(config.Source{File: "loop.yaml"}); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("F-22 a file that cannot be read: got %v", err)
	}

	if err := os.Mkdir("etc", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "etc/t.yaml", 0o644, "secret_file: s\ndatabase: sqlite:d.db\n")
	l, err := config.Load(config.Source{File: "etc/t.yaml"})
	if err != nil || l.SecretFile != filepath.Join("etc", "s") || l.DatabasePath() != filepath.Join("etc", "d.db") {
		t.Errorf("paths of a file elsewhere: got %q, %q, %v", l.SecretFile, l.DatabasePath(), err)
	}
	l, err = config.Load(config.Source{File: "etc/t.yaml", Environ: []string{"TOKENJAR_SECRET_FILE=s2", "TOKENJAR_DATABASE=sqlite:/abs/d.db"}})
	if err != nil || l.SecretFile != "s2" || l.DatabasePath() != "/abs/d.db" {
		t.Errorf("paths of the environment: got %q, %q, %v", l.SecretFile, l.DatabasePath(), err)
	}
}

func TestSecret(t *testing.T) {
	t.Chdir(t.TempDir())
	good := tokenjar.GenerateSecret()
	tests := []struct {
		name    string
		mode    os.FileMode
		text    string
		warning string
		err     string
	}{
		{name: "private", mode: 0o600, text: good + "\n"},
		{name: "read-only", mode: 0o400, text: good},
		{name: "group", mode: 0o640, text: good, warning: "the group of group can read or change the secret"},
		{name: "world-readable", mode: 0o644, text: good, err: "everybody on this machine can read or change"},
		{name: "world-writable", mode: 0o602, text: good, err: "everybody on this machine can read or change"},
		{name: "short", mode: 0o600, text: "hunter2", err: "secret line 1 has 7 bytes"},
		{name: "empty", mode: 0o600, text: "\n", err: "the secret is empty"},
		{name: "large", mode: 0o600, text: strings.Repeat(good+"x\n", 2000), err: "larger than 64 KiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(t, tt.name, tt.mode, tt.text)
			s, warning, err := config.ReadSecret(tt.name)
			switch {
			case tt.err == "" && (err != nil || s.IsZero()):
				t.Errorf("got %v, %v", s, err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), tt.text[:1]+tt.text[1:]) && tt.text != "\n"):
				t.Errorf("got %v, want %q", err, tt.err)
			case !strings.HasPrefix(warning, tt.warning) || tt.warning == "" && warning != "":
				t.Errorf("got warning %q, want %q", warning, tt.warning)
			}
		})
	}
	if _, _, err := config.ReadSecret("missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
	if _, _, err := config.ReadSecret("."); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("directory: got %v", err)
	}
	l, err := config.Load(config.Source{Environ: []string{"TOKENJAR_SECRET=" + good}})
	if err != nil || !l.SecretInEnvironment() {
		t.Fatalf("secret in the environment: %v", err)
	}
	if s, _, err := l.Secret(); err != nil || s.IsZero() {
		t.Errorf("secret in the environment: got %v", err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d", "%q"} {
		printed := fmt.Sprintf(verb, any(l))
		if strings.Contains(printed, good) || strings.Contains(printed, fmt.Sprintf("%x", good)) ||
			strings.Contains(printed, strings.Trim(fmt.Sprintf("%d", []byte(good)), "[]")) {
			t.Errorf("a configuration printed with %s shows the secret", verb)
		}
	}
	_, err = config.Load(config.Source{Environ: []string{"TOKENJAR_SECRET=hunter2"}})
	if err == nil || err.Error() != "TOKENJAR_SECRET: secret line 1 has 7 bytes: at least 32 are needed" {
		t.Errorf("short secret in the environment: got %v", err)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "10s": 10 * time.Second, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute,
		"400d": 9600 * time.Hour, "106751d": 106751 * 24 * time.Hour,
	} {
		got, err := config.ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
		if back, err := config.ParseDuration(config.FormatDuration(want)); err != nil || back != want {
			t.Errorf("%v is written as %q and read as %v, %v", want, config.FormatDuration(want), back, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "+1d", "1.5d", "1d-5h", "1d5", "106752d", "106751d24h", "9999999999d", "1w", "10", "1e3", "∞", "nan", "1 d"} {
		if d, err := config.ParseDuration(text); err == nil {
			t.Errorf("%q is read as %v", text, d)
		}
	}
}

func write(t *testing.T, path string, mode os.FileMode, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func TestThePasswordOfADatabaseIsNeverPrinted(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://ada@db/app":                         "postgres://ada@db/app",
		"postgres://ada:hunter2@db:5432/app":            "postgres://ada:[hidden]@db:5432/app",
		"postgresql://ada:hunter2@a:1,b:2/app?x=1":      "postgresql://ada:[hidden]@a:1,b:2/app?x=1",
		"postgres://ada:hunter2@db/app?x=a@b":           "postgres://ada:[hidden]@b",
		"postgres://ada:hunt:er2@db/app":                "postgres://ada:[hidden]@db/app",
		"postgres://ada:hunt/er2@db/app":                "postgres://ada:[hidden]@db/app",
		"postgres://ada:hunt?er2@db/app":                "postgres://ada:[hidden]@db/app",
		"postgres://ada:hunt@er2@db/app":                "postgres://ada:[hidden]@db/app",
		"postgres:///app?user=ada&password=hunter2&x=1": "postgres:///app?user=ada&password=[hidden]&x=1",
		"postgres:///app?PASSWORD=hunter2":              "postgres:///app?PASSWORD=[hidden]",
		"postgres:///app?pass%77ord=hunter2":            "postgres:///app?pass%77ord=[hidden]",
		"postgres://ada@db/app?sslpassword=hunter2":     "postgres://ada@db/app?sslpassword=[hidden]",
		"postgres:ada:hunter2@db/app":                   "postgres:ada:[hidden]@db/app",
		"postgres://db/app?password=hunter2@x":          "postgres://db/app?password=[hidden]",
		"postgres://ada:hunter2&pass=x@db/app":          "postgres://ada:[hidden]",
		"postgres://db/app?host=/tmp":                   "postgres://db/app?host=/tmp",
		"postgres://db/app?user=ada;password=hunter2":   "postgres://db/app?user=ada;password=[hidden]",
		"postgres://ada%3Ahunter2@db/app":               "postgres://ada%3A[hidden]@db/app",
	} {
		c := config.Defaults()
		c.Database = url
		if got := c.DatabaseName(); got != want {
			t.Errorf("name of %s: got %s, want %s", url, got, want)
		}
		var printed strings.Builder
		if err := config.Print(&printed, c); err != nil {
			t.Fatal(err)
		}
		for _, v := range (config.Loaded{Config: c}).Values() {
			fmt.Fprintln(&printed, v)
		}
		for _, part := range []string{"hunter2", "er2"} {
			if strings.Contains(printed.String(), part) {
				t.Errorf("%s: its password is printed", url)
			}
		}
	}
}
