package answer

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPrivately(t *testing.T) {
	for said, want := range map[string]string{
		"":                                   "private",
		"public":                             "private",
		"public, max-age=60":                 "private, max-age=60",
		"max-age=60":                         "private, max-age=60",
		"private, max-age=60":                "private, max-age=60",
		"PRIVATE":                            "PRIVATE",
		"Public, S-MaxAge=600, max-age=1":    "private, max-age=1",
		"no-store":                           "no-store",
		"no-cache":                           "private, no-cache",
		`private="Set-Cookie", max-age=9`:    "no-store",
		`no-cache="X, public", public`:       "no-store",
		"private=set-cookie":                 "private",
		" public ,, max-age=1 , immutable ,": "private, max-age=1, immutable",
		"publicity":                          "private, publicity",
		"public=x":                           "private",
		"must-revalidate, s-maxage = 5":      "private, must-revalidate",
		"max-age=60, no-store, public":       "max-age=60, no-store",
		"must-understand, no-store":          "private, must-understand, no-store",
		"must-understand, private":           "must-understand, private",
		"s-maxage=1, stale-while-revalidate": "private, stale-while-revalidate",
		"proxy-revalidate, public, max-age=": "private, proxy-revalidate, max-age=",
	} {
		if got := privately([]string{said}); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
	if got := privately([]string{"public", "max-age=1"}); got != "private, max-age=1" {
		t.Errorf("two lines: %q", got)
	}
	if got := privately(nil); got != "private" {
		t.Errorf("no line: %q", got)
	}
}

func TestProtectCaches(t *testing.T) {
	given := func() http.Header {
		return http.Header{
			"Cache-Control": {"public, max-age=600"}, "ETag": {"x"}, "Etag": {"y"}, "Last-Modified": {"z"}, "Expires": {"z"}, "Vary": {"Accept-Encoding"},
			"CDN-Cache-Control": {"max-age=1"}, "Cloudflare-Cdn-Cache-Control": {"max-age=1"}, "Surrogate-Control": {"x"}, "X-Accel-Expires": {"9"},
			"X-Cdn-Cache-Control-Note": {"kept"}, "Age": {"1"},
		}
	}
	h := given()
	ProtectCaches(h, true)
	if fmt.Sprint(h) != "map[Age:[1] Cache-Control:[no-store] Vary:[Accept-Encoding Cookie Authorization] X-Cdn-Cache-Control-Note:[kept]]" {
		t.Errorf("with a cookie: %v", h)
	}
	h = given()
	ProtectCaches(h, false)
	if fmt.Sprint(h) != "map[Age:[1] Cache-Control:[private, max-age=600] ETag:[x] Etag:[y] Expires:[z] Last-Modified:[z] Vary:[Accept-Encoding Cookie Authorization] X-Cdn-Cache-Control-Note:[kept]]" {
		t.Errorf("without: %v", h)
	}
	for said, want := range map[string]string{"": "[Cookie Authorization]", "Cookie": "[Cookie Authorization]", "authorization,COOKIE": "[authorization,COOKIE]", "*": "[*]", "X-Cookie": "[X-Cookie Cookie Authorization]"} {
		h := http.Header{}
		if said != "" {
			h.Set("Vary", said)
		}
		ProtectCaches(h, false)
		if got := fmt.Sprint(h["Vary"]); got != want {
			t.Errorf("Vary %q: got %s, want %s", said, got, want)
		}
	}
}

// notifier is an answer whose connection can be seen to close.
type notifier struct {
	http.ResponseWriter
	closed chan bool
}

func (n notifier) CloseNotify() <-chan bool { return n.closed }

func TestCloseNotify(t *testing.T) {
	closed := make(chan bool, 1)
	closed <- true
	if got := (&Writer{ResponseWriter: notifier{nil, closed}}).CloseNotify(); got != (<-chan bool)(closed) {
		t.Error("it is not that of the answer below")
	}
	select {
	case <-(&Writer{}).CloseNotify():
		t.Error("it fires where nobody knows")
	default:
	}
}

func TestTheHeadHasLeftWhenNothingCanHoldItBackAnyMore(t *testing.T) {
	small, large := make([]byte, 100), make([]byte, heldBack)
	for name, c := range map[string]struct {
		handle func(a *Writer)
		want   bool // before the handler has ended
	}{
		"nothing is written":            {func(*Writer) {}, false},
		"an early hint":                 {func(a *Writer) { a.WriteHeader(http.StatusEarlyHints) }, false},
		"a status":                      {func(a *Writer) { a.WriteHeader(200) }, false},
		"a little":                      {func(a *Writer) { a.Write(small) }, false},
		"a little, flushed":             {func(a *Writer) { a.Write(small); a.Flush() }, true},
		"a status, flushed":             {func(a *Writer) { a.WriteHeader(200); http.NewResponseController(a).Flush() }, true},
		"a lot":                         {func(a *Writer) { a.Write(large) }, true},
		"a lot, bit by bit":             {func(a *Writer) { writeTimes(a, small, 100) }, true},
		"nearly a lot, bit by bit":      {func(a *Writer) { writeTimes(a, small, 80) }, false},
		"the connection is handed over": {func(a *Writer) { a.Hijack() }, true},
		"another grant is carried":      {func(a *Writer) { a.Carry(nil, nil, nil) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			left := 0
			a := &Writer{ResponseWriter: httptest.NewRecorder()}
			a.Carry([]*http.Cookie{{Name: "a", Value: "b"}}, func() bool { return false }, func() { left++ })
			c.handle(a)
			if got := left > 0; got != c.want {
				t.Errorf("while the handler is at work: got %v, want %v", got, c.want)
			}
			a.Finish()
			if left != 1 {
				t.Errorf("it was told of %d times, want once", left)
			}
		})
	}
}

func writeTimes(a *Writer, b []byte, n int) {
	for range n {
		a.Write(b)
	}
}
