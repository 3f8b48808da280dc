package servertest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// An Answer is a response, read to the end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON decodes the body.
func (a Answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.Body, &v); err != nil {
		t.Fatalf("status %d, body is no JSON object: %v: %q", a.Status, err, a.Body)
	}
	return v
}

// Code returns the code of a problem document, "" for another answer.
func (a Answer) Code() string {
	var v struct {
		Code string `json:"code"`
	}
	json.Unmarshal(a.Body, &v)
	return v.Code
}

// Cookies returns the cookies that the answer sets.
func (a Answer) Cookies() []*http.Cookie { return (&http.Response{Header: a.Header}).Cookies() }

// Clears reports whether the answer deletes the access and refresh cookie.
func (a Answer) Clears() bool {
	n := 0
	for _, c := range a.Cookies() {
		if c.MaxAge < 0 && c.Value == "" {
			n++
		}
	}
	return n >= 3
}

// Do sends a request and reads the answer.
func (w *World) Do(t testing.TB, client *http.Client, r *http.Request) Answer {
	t.Helper()
	res, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	a := Answer{Status: res.StatusCode, Header: res.Header, Body: body}
	for _, c := range a.Cookies() {
		w.Canary(c.Value)
	}
	w.Canary(a.tokens()...)
	w.checkInvariants(t, r, a)
	w.CheckContract(t, r.Method, sentPath(r), a)
	return a
}

// sentPath is the path of a request as it goes over the wire.
func sentPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.URL.RequestURI(), "?")
	return path
}

// CheckContract fails the test unless the served OpenAPI document describes an answer.
func (w *World) CheckContract(t testing.TB, method, path string, a Answer) {
	t.Helper()
	if c := w.Contract(t); c != nil {
		check := c.Check
		if w.others {
			check = c.CheckBesideOthers
		}
		if err := check(method, path, a); err != nil {
			t.Errorf("contract: %s %s: %d: %v: %.300s", method, path, a.Status, err, a.Body)
		}
	}
}

// tokens returns the tokens in a body, of the answers that have some.
func (a Answer) tokens() []string {
	var v struct {
		Access  string `json:"access"`
		Refresh string `json:"refresh"`
	}
	if json.Unmarshal(a.Body, &v) != nil {
		return nil
	}
	return []string{v.Access, v.Refresh}
}

// checkInvariants holds for every answer, whatever was sent (attacks, section 0.3).
func (w *World) checkInvariants(t testing.TB, r *http.Request, a Answer) {
	t.Helper()
	where := r.Method + " " + r.URL.Path
	if a.Status == 500 && !w.Store.panicking() {
		t.Errorf("INV-1 %s: 500: %s", where, a.Body)
	}
	for _, secret := range []string{Password, Secret, "goroutine ", "SELECT ", "runtime error"} {
		if bytes.Contains(a.Body, []byte(secret)) {
			t.Errorf("INV-3 %s: the body holds %q", where, secret)
		}
	}
	for _, c := range a.Cookies() {
		if len(c.Value) > 40 && !strings.Contains(c.Name, "csrf") && bytes.Contains(a.Body, []byte(c.Value)) {
			t.Errorf("INV-3 %s: the body holds a token that is set as a cookie", where)
		}
	}
	if a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("INV-5 %s: no nosniff", where)
	}
	if strings.HasPrefix(r.URL.Path, "/auth/") && a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("INV-5 %s: Cache-Control is %q", where, a.Header.Get("Cache-Control"))
	}
	if a.Status >= 400 {
		if a.Header.Get("Content-Type") != "application/problem+json" && r.Method != http.MethodHead {
			t.Errorf("INV-5 %s: a refusal of type %q: %s", where, a.Header.Get("Content-Type"), a.Body)
		}
		for _, c := range a.Cookies() {
			if c.MaxAge >= 0 && r.Context().Value(renewalKey{}) == nil {
				t.Errorf("INV-4 %s: refused with %d, yet sets %s", where, a.Status, c.Name)
			}
		}
		if code := a.Code(); r.Method != http.MethodHead && (code == "" || code != a.Header.Get("X-Tokenjar-Problem")) {
			t.Errorf("%s: code %q, header %q", where, code, a.Header.Get("X-Tokenjar-Problem"))
		}
		if (a.Status == 401) != (a.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: status %d with WWW-Authenticate %q", where, a.Status, a.Header.Get("WWW-Authenticate"))
		}
		if (a.Status == 429 || a.Status == 503) && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: status %d without Retry-After", where, a.Status)
		}
	}
	if a.Header.Get("Server") != "" {
		t.Errorf("%s: Server is %q", where, a.Header.Get("Server"))
	}
}
