package proxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

// Services that speak TLS, well or not.

// authority is one that the services' certificates are of: this process trusts it alone.
var authority = func() *x509.Certificate {
	key := authorityKey
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "proxy-test-ca")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	}
	if err != nil {
		panic(err)
	}
	os.Setenv("SSL_CERT_FILE", filepath.Join(dir, "ca.pem")) // read once, when a certificate is first judged
	os.Setenv("SSL_CERT_DIR", filepath.Join(dir, "none"))
	if _, err := x509.SystemCertPool(); err != nil {
		panic(err)
	}
	os.RemoveAll(dir)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}()

var authorityKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

func certificate(t *testing.T, change func(*x509.Certificate), parent *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if change != nil {
		change(template)
	}
	signer := authorityKey
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTheCertificateOfAServiceIsJudged(t *testing.T) { // P-38, V12
	serve := func(cert tls.Certificate, change func(*tls.Config)) string {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		if change != nil {
			change(s.TLS)
		}
		s.Config.ErrorLog = quietLog
		s.StartTLS()
		t.Cleanup(s.Close)
		return s.URL
	}
	plain := newService(t)
	good := certificate(t, nil, authority)
	for _, c := range []struct {
		name   string
		url    string
		status int
	}{
		{"a good one", serve(good, nil), 200},
		{"of its own", serve(certificate(t, nil, nil), nil), 502},
		{"expired", serve(certificate(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, authority), nil), 502},
		{"of tomorrow", serve(certificate(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, authority), nil), 502},
		{"of another host", serve(certificate(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} }, authority), nil), 502},
		{"a version of TLS that is out of use", serve(good, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), 502},
		{"none: it does not speak TLS", strings.Replace(plain.URL, "http:", "https:", 1), 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, faulty("/tls", c.url))
			if got := ask(app, "GET", "/tls/x", nil); got.status != c.status || got.status == 200 && got.body != "ok" {
				t.Errorf("got %d %q, %v", got.status, got.body, got.err)
			}
			if st := p.Stats(); (st.Unavailable == 1) != (c.status == 502) {
				t.Errorf("counts: %+v", st)
			}
		})
	}
	if plain.count() != 0 {
		t.Error("a request was sent in the clear")
	}
}

// quietLog takes what a server says of handshakes that are meant to fail.
var quietLog = log.New(io.Discard, "", 0)
