package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
)

// FuzzConfig: whatever the file, nothing panics, every mistake is on a line of its own, and what is accepted is printed
// and read back equal.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"", "listen: :1\n", "session: {idle: 1d12h, grace: 0, renewal_exclude: [/a, '/b@c']}\n",
		"token:\n  issuer: \"it's \\\"quoted\\\": #1 \\\\ \\u00e9\"\n  audience: 'a: b'\n  client_id: - x\n",
		"cookies: {legacy_scopes: [/a@example.com, /], domain: .example.com}\npublic_url: https://app.example.com\n",
		"? a\n: b\n", "a: &x 1\nb: *x\n<<: *x\n", "%YAML 1.2\n---\nlisten: :1\n...\n", "- a\n- b\n", "listen: |\n  x\n",
		"{listen: ':1'}", "\"listen\": \":1\"", "listen : ':1'", "log: {level: warn, }", "password:\n  min_length: 12\n",
		"token: {issuer: null}", "token: {issuer: '~'}", "token: {issuer: '0x1'}", "token: {issuer: y}", "token: {issuer: '-'}",
		"routes:\n  - path: /a\n    upstream: http://h\n    methods: {GET: none, POST: [cookie, bearer], PUT: bearer, get: none}\n    max_body: 1KiB\n",
		"routes: [{path: /, upstream: 'http://h:1/b'}, {path: /}, ~, x, [], {}]\nspa: {dir: d}\n", "routes: {}\n", "routes: [[[]]]\n",
		"frontends:\n- public_url: https://a.example.com\n  spa: {dir: x}\n  routes:\n  - path: /b/\n    upstream: https://h\n    token: none\n- routes: ~\n",
		"routes:\n  - {path: /a, upstream: http://h, session_check: database, pass_headers: [X-User], scopes: ['y']}\nroutes: []\n",
		"spa: {dev_server: 'http://[::1]:1'}\nadmin: {forward_auth: nginx, listen: ':1'}\nauth: {login_page: ''}\n",
	} {
		f.Add(seed, "")
	}
	f.Add("database: postgres://a:b@c,[::1]:1/d?sslmode=x&y=%40&password=z\n", "")
	f.Add("", "https://app.example.com")
	f.Fuzz(func(t *testing.T, file, issuer string) {
		if len(file) > 4096 {
			return
		}
		src := config.Source{Environ: []string{"TOKENJAR_TOKEN_ISSUER=" + issuer}}
		l, err := config.LoadText(src, "tokenjar.yaml", file)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "tokenjar.yaml") && !strings.HasPrefix(line, "TOKENJAR_") {
					t.Errorf("a mistake without its place: %q", line)
				}
			}
			return
		}
		text, again := printAndLoad(t, l.Config)
		if !reflect.DeepEqual(again, l.Config) {
			t.Errorf("got  %+v\nwant %+v\nfrom:\n%s", again, l.Config, text)
		}
	})
}
