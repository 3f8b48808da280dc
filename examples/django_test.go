package examples_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar"
)

// The project of docs/howto/django.md, run by Django, behind the real binary with the settings of that page. Ports are replaced,
// nothing else.
func TestDjangoBehindTheBinary(t *testing.T) {
	python := python(t, "django, jwt, cryptography", "python3-django python3-jwt python3-cryptography")
	port, service, dir, public := freePort(t), freePort(t), t.TempDir(), "https://app.example.com"
	project, err := filepath.Abs("django")
	if err != nil {
		t.Fatal(err)
	}
	nginx := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // as the service sees it
		r.URL.Scheme, r.URL.Host, r.RequestURI = "https", "app.example.com", ""
		answer, err := inFront{"127.0.0.1:" + port}.RoundTrip(r)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		io.Copy(w, answer.Body)
	}))
	defer nginx.Close()
	django := newShell(project, "DJANGO_SETTINGS_MODULE=shop.settings", "SECRET_KEY="+tokenjar.GenerateSecret(), "DATABASE="+dir+"/shop.db",
		"TOKENJAR_KEYS="+nginx.URL+"/.well-known/jwks.json", "PYTHONDONTWRITEBYTECODE=1")
	django.run(t, python+" -m django check --fail-level ERROR >&2 && "+python+" -m django migrate -v 0 --run-syncdb >&2")
	django.start(t, python+` -c '
from wsgiref.simple_server import make_server
from django.core.wsgi import get_wsgi_application
with make_server("127.0.0.1", `+service+`, get_wsgi_application()) as server:
    print("listening", flush=True)
    server.serve_forever()'`, "listening")

	conf, err := os.ReadFile("django/tokenjar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "tokenjar.yaml"), strings.NewReplacer(":8080", ":"+port, ":9000", ":"+service).Replace(string(conf)))
	write(t, filepath.Join(dir, "tokenjar.secret"), tokenjar.GenerateSecret()+"\n")
	sh := newShell(dir, "PATH="+cli(t)+":"+os.Getenv("PATH"))
	sh.run(t, `chmod 600 tokenjar.secret; printf '%s\n' '`+adasPassword+`' | tokenjar users create ada --email ada@example.com --password-stdin`)
	sh.start(t, "tokenjar serve", "tokenjar: serving|"+public)

	// A browser behind the nginx that ends TLS, which is us.
	v := newVisitor(t, public)
	v.client.Transport = inFront{"127.0.0.1:" + port}
	v.call("GET", "/api/hello", "").want(t, http.StatusUnauthorized, "not_authenticated")
	in := v.call("POST", "/auth/login", `{"username":"ada","password":"`+adasPassword+`"}`)
	in.want(t, http.StatusOK, "")
	sub := in.body["user"].(map[string]any)["id"]
	for range 2 {
		hello := v.call("GET", "/api/hello", "")
		hello.want(t, http.StatusOK, "")
		if hello.body["hello"] != sub || hello.body["at"] != public+"/api/hello" || hello.body["secure"] != true {
			t.Errorf("Django says %v", hello.body)
		}
	}
	v.call("POST", "/api/orders", "").want(t, http.StatusCreated, "")
	v.call("GET", "/api/orders", "").want(t, http.StatusMethodNotAllowed, "") // Django's, not ours
	csrf := v.csrf
	v.csrf = ""
	v.call("POST", "/api/orders", "").want(t, http.StatusForbidden, "csrf_failed")
	v.csrf = csrf

	// Whoever reaches Django by another way is nobody.
	direct := "http://127.0.0.1:" + service
	for _, raw := range []string{"hello", in.cookies["__Host-access_token"].Value, in.cookies["__Host-refresh_token"].Value} {
		r, err := http.NewRequest("GET", direct+"/api/hello", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "app.example.com"
		r.Header.Set("Authorization", "Bearer "+raw)
		(&visitor{t: t, client: &http.Client{}}).do(r).want(t, http.StatusUnauthorized, "")
	}
	v.call("POST", "/auth/logout", "").want(t, http.StatusOK, "")
	v.call("POST", "/api/orders", "").want(t, http.StatusUnauthorized, "not_authenticated")
}

// inFront sends requests as an nginx does that ends TLS.
type inFront struct{ addr string }

func (p inFront) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.Host = r.URL.Host
	out.URL.Scheme, out.URL.Host = "http", p.addr
	out.Header.Set("X-Forwarded-For", "198.51.100.7")
	out.Header.Set("X-Forwarded-Proto", r.URL.Scheme)
	return http.DefaultTransport.RoundTrip(out)
}
