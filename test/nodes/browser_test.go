package nodes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
)

// A browser keeps cookies and sends them as a page's script would. It is used by one goroutine at a time; pages share it
// by [browser.tab].
type browser struct {
	cluster *cluster
	url     *url.URL
	jar     *cookiejar.Jar
	client  *http.Client
}

// browser returns one that asks a node, or nginx (nil).
func (c *cluster) browser(t testing.TB, n *node) *browser {
	t.Helper()
	u, err := url.Parse(c.url)
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{c, u, jar, &http.Client{Jar: jar, Transport: c.through(n), Timeout: patience}}
}

// tab returns a browser with the same cookies that asks another node.
func (b *browser) tab(n *node) *browser {
	client := *b.client
	client.Transport = b.cluster.through(n)
	return &browser{b.cluster, b.url, b.jar, &client}
}

// An answer is what a browser was told.
type answer struct {
	status int
	code   string // of a problem
	header http.Header
	body   []byte
	err    error // there was none
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s %.300s", a.status, a.code, a.body)
}

// do sends a request. body may be nil.
func (b *browser) do(method, path string, body any) answer {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return answer{err: err}
		}
		content = bytes.NewReader(data)
	}
	r, err := http.NewRequest(method, b.cluster.url+path, content)
	if err != nil {
		return answer{err: err}
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if method != http.MethodGet {
		r.Header.Set("Origin", b.cluster.url)
		if token := b.cookie("csrftoken"); token != "" {
			r.Header.Set("X-CSRFToken", token)
		}
	}
	res, err := b.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, code: res.Header.Get("X-Tokenjar-Problem"), header: res.Header}
	a.body, a.err = io.ReadAll(res.Body)
	return a
}

// want sends a request and fails the test unless the answer has the status.
func (b *browser) want(t testing.TB, status int, method, path string, body any) answer {
	t.Helper()
	a := b.do(method, path, body)
	if a.err != nil || a.status != status {
		t.Fatalf("%s %s: %s, want %d", method, path, a, status)
	}
	return a
}

func (b *browser) signIn(t testing.TB, user string) {
	t.Helper()
	b.want(t, http.StatusOK, "POST", "/auth/login", map[string]string{"username": user, "password": thePassword})
}

// cookie returns the value of a cookie; "" when there is none.
func (b *browser) cookie(name string) string {
	for _, c := range b.jar.Cookies(b.url) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// set puts a cookie into the jar; an empty value removes it.
func (b *browser) set(name, value string) {
	c := &http.Cookie{Name: name, Value: value, Path: "/"}
	if value == "" {
		c.MaxAge = -1
	}
	b.jar.SetCookies(b.url, []*http.Cookie{c})
}
