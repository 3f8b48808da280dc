package examples_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The configuration of docs/howto/nginx.md in a real nginx, in front of the real binary. Paths and ports are replaced,
// nothing else.
func TestBehindNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if _, err := os.Stat("/usr/sbin/nginx"); err != nil {
			skip(t, "nginx is not installed: apt-get install nginx-light")
		}
		nginx = "/usr/sbin/nginx"
	}
	dir := t.TempDir()
	bin := cli(t)
	backend, http80, https443 := freePort(t), freePort(t), freePort(t)
	public := "https://app.example.com"

	sh := newShell(dir, "PATH="+bin+":"+os.Getenv("PATH"),
		"TOKENJAR_LISTEN=127.0.0.1:"+backend, "TOKENJAR_PUBLIC_URL="+public, "TOKENJAR_TRUSTED_PROXIES=127.0.0.1")
	sh.run(t, `printf '%s\n' '`+adasPassword+`' | tokenjar users create ada --email ada@example.com --password-stdin`)
	log := sh.start(t, "tokenjar serve", "tokenjar: serving|"+public)

	pool := certificate(t, dir, "app.example.com")
	conf, err := os.ReadFile("nginx/tokenjar.conf")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		"listen 80;", "listen 127.0.0.1:"+http80+";", "listen 443 ssl;", "listen 127.0.0.1:"+https443+" ssl;",
		"/etc/ssl/app.example.com", dir+"/app.example.com", "http://127.0.0.1:8080", "http://127.0.0.1:"+backend,
	).Replace(string(conf))
	write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off;
pid %[1]s/nginx.pid;
error_log stderr info;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
%[2]s}
`, dir, text))
	sh.start(t, nginx+" -e stderr -p "+dir+" -c "+dir+"/nginx.conf", "start worker process")

	v := newVisitor(t, public)
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	v.client.Transport = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		Dial: func(network, addr string) (net.Conn, error) {
			port := https443
			if strings.HasSuffix(addr, ":80") {
				port = http80
			}
			return net.Dial(network, "127.0.0.1:"+port)
		},
	}
	v.call("GET", "/readyz", "").want(t, http.StatusOK, "")

	in := v.call("POST", "/auth/login", `{"username":"ada","password":"`+adasPassword+`"}`)
	in.want(t, http.StatusOK, "")
	for _, name := range []string{"access_token", "refresh_token", "csrftoken"} {
		if c := in.cookies["__Host-"+name]; c == nil || !c.Secure || c.Path != "/" || c.Domain != "" {
			t.Errorf("cookie %s: got %v", name, c)
		}
	}
	v.forget("__Host-access_token")
	v.call("PATCH", "/auth/user", `{"first_name":"Ada"}`).want(t, http.StatusOK, "")

	// The client's address is nginx' peer, whatever the client writes into the header.
	r, err := http.NewRequest("GET", public+"/auth/user", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "198.51.100.66")
	r.Header.Set("X-Forwarded-Proto", "http")
	v.do(r).want(t, http.StatusOK, "")
	if strings.Contains(log.String(), "198.51.100.66") {
		t.Error("an address that the client wrote is in the log")
	}

	// Plain http is sent to https, and by another name nobody is served.
	resp, err := v.client.Get("http://app.example.com/auth/user?x=1")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusPermanentRedirect || got != public+"/auth/user?x=1" {
		t.Errorf("by http: got %d to %q", resp.StatusCode, got)
	}
	other, err := http.NewRequest("GET", public+"/auth/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	other.Host = "other.example"
	v.do(other).want(t, http.StatusMisdirectedRequest, "misdirected_host")

	// A path is judged as the browser wrote it: nginx passes it on without merging or decoding.
	odd, err := http.NewRequest("GET", public+"/auth//user", nil)
	if err != nil {
		t.Fatal(err)
	}
	v.do(odd).want(t, http.StatusBadRequest, "bad_path")
	v.call("POST", "/auth/logout", "").want(t, http.StatusOK, "")
}

// certificate makes one for a name and returns who trusts it.
func certificate(t *testing.T, dir, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, name+".pem"), string(public))
	write(t, filepath.Join(dir, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(public)
	return pool
}
