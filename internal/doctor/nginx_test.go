package doctor_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/doctor"
	"github.com/tokenjar/tokenjar/internal/nginxtest"
)

// The configuration of docs/howto/nginx.md in a real nginx: it is well as it is, and with one line changed there is the finding
// of that line.
func TestBehindNginx(t *testing.T) {
	nginxtest.Find(t)
	for _, tt := range []struct {
		name     string
		old, new string
		finds    string
	}{
		{"as shown", "", "", ""},
		{"no Host", "proxy_set_header Host              $host;", "", "host"},
		{"no X-Forwarded-Proto but one of its own", "X-Forwarded-Proto $scheme", "X-Forwarded-Proto http", "forwarded-proto"},
		{"cookies with a path", "proxy_cache off;", "proxy_cache off; proxy_cookie_path / /app/;", "cookie-prefix"},
		{"cookies with a domain", "proxy_cache off;", `proxy_cache off; proxy_cookie_path / "/; Domain=example.com";`, "cookie-prefix"},
		{"cookies without Secure", "proxy_cache off;", "proxy_cache off; proxy_cookie_flags ~ nosecure;", "cookie-prefix"},
		{"cookies without SameSite", "proxy_cache off;", "proxy_cache off; proxy_cookie_flags ~ nosamesite;", "cookie-samesite"},
		{"cookies without HttpOnly", "proxy_cache off;", "proxy_cache off; proxy_cookie_flags ~ nohttponly;", "cookie-flags"},
		{"HttpOnly for all", "proxy_cache off;", "proxy_cache off; proxy_cookie_flags ~ httponly;", "csrf-cookie-hidden"},
		{"small buffers for requests", "large_client_header_buffers 8 16k;", "client_header_buffer_size 1k; large_client_header_buffers 4 1k;", "request-too-large"},
		{"small buffers for answers", "proxy_buffer_size 16k;", "proxy_buffer_size 1k;", "answer-too-large"},
		{"a path behind the address", "proxy_pass http://127.0.0.1:8080;", "proxy_pass http://127.0.0.1:8080/app/;", "no-api"},
		{"headers hidden", "proxy_cache off;", "proxy_cache off; proxy_hide_header Set-Cookie;", "set-cookie-removed"},
		{"no cookies passed on", "proxy_cache off;", `proxy_cache off; proxy_set_header Cookie "";`, "cookie-removed"},
		{"health closed", "location / {", "location = /readyz { return 444; } location / {", "health-hidden"},
		{"a redirect with 301", "return 308", "return 301", "redirect-method"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := open(t, build{})
			conf := f.throughNginx()
			if tt.old != "" && !strings.Contains(conf, tt.old) {
				t.Fatalf("the configuration has no %s", tt.old)
			}
			f.startNginx(strings.Replace(conf, tt.old, tt.new, 1))
			report := f.examine(f.nginxSettings())
			var want []string
			if tt.finds != "" {
				want = []string{tt.finds}
			}
			if got := names(report); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q: %+v", got, want, report.Outcomes)
			}
		})
	}
}

// throughNginx returns the configuration that is shown.
func (f *front) throughNginx() string {
	f.t.Helper()
	shown, err := os.ReadFile("../../examples/nginx/tokenjar.conf")
	if err != nil {
		f.t.Fatal(err)
	}
	return string(shown)
}

// startNginx has browsers meet an nginx. Paths and ports are replaced, nothing else.
func (f *front) startNginx(conf string) {
	f.t.Helper()
	dir := f.t.TempDir()
	f.pool = nginxtest.Certificate(f.t, dir, host)
	f.addrs = map[string]string{"443": nginxtest.FreeAddress(f.t), "80": nginxtest.FreeAddress(f.t)}
	nginxtest.Start(f.t, dir, f.addrs["443"], strings.NewReplacer(
		"listen 443 ssl;", "listen "+f.addrs["443"]+" ssl;", "listen 80;", "listen "+f.addrs["80"]+";",
		"/etc/ssl/", dir+"/", "http://127.0.0.1:8080", "http://"+f.world.Addr(),
	).Replace(conf))
}

// nginxSettings examine the front with an account. The time that nginx tells is the machine's, and that of the test is not.
func (f *front) nginxSettings() doctor.Config {
	cfg := f.settings()
	cfg.Transport = dating{cfg.Transport, f.world.Clock}
	return cfg
}

// What a finding advises is what nginx and tokenjar take.
func TestAdviceIsTaken(t *testing.T) {
	fill := strings.NewReplacer("{url}", public, "{host}", host, "{origin}", sibling).Replace
	for _, k := range doctor.Kinds() {
		if k.Title == "" || k.Why == "" || k.Fix == "" {
			t.Errorf("%s says too little", k.Name)
		}
		if k.Setting != "" {
			text := fill(k.Setting) + "\n"
			if !strings.HasPrefix(text, "public_url:") {
				text += "public_url: " + public + "\n"
			}
			file := filepath.Join(t.TempDir(), "tokenjar.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(config.Source{File: file}); err != nil {
				t.Errorf("%s: %s: %v", k.Name, text, err)
			}
		}
		if !k.Note && k.Setting == "" && k.Nginx == "" && !slices.Contains([]string{"not-ready", "cookie-size", "clock", "cors-twice", "session-lost"}, k.Name) {
			t.Errorf("%s has no line that mends it", k.Name)
		}
	}
	nginx, dir := nginxtest.Find(t), t.TempDir()
	nginxtest.Certificate(t, dir, host)
	for _, k := range doctor.Kinds() {
		lines := strings.ReplaceAll(fill(k.Nginx), "/etc/ssl/", dir+"/")
		if !k.InServer {
			if !strings.Contains(lines, "proxy_pass") {
				lines += " proxy_pass http://127.0.0.1:8080;"
			}
			lines = "location / { " + lines + " }"
		}
		conf := fmt.Sprintf("pid %s/nginx.pid; error_log stderr; events {} http { access_log off; server { listen 127.0.0.1:8443; %s } }", dir, lines)
		path := filepath.Join(dir, k.Name+".conf")
		if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(nginx, "-t", "-e", "stderr", "-p", dir, "-c", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", k.Name, err, out)
		}
	}
}

// What nginx answers when it is alone is no answer of ours.
func TestNginxWithoutTheServer(t *testing.T) {
	nginxtest.Find(t)
	f := open(t, build{})
	f.startNginx(strings.Replace(f.throughNginx(), "http://127.0.0.1:8080", "http://"+nginxtest.FreeAddress(t), 1))
	cfg := f.nginxSettings()
	if got := names(f.examine(cfg)); !slices.Equal(got, []string{"no-api"}) {
		t.Errorf("got %q", got)
	}
}
