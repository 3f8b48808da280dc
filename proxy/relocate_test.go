package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenjar/tokenjar/proxy"
)

// What a service sends browsers to. UP stands for its own address.
func TestWhereAServiceSendsABrowser(t *testing.T) {
	s := newService(t)
	var field, value string
	s.answer = func(w http.ResponseWriter, _ *http.Request) { w.Header()[field] = []string{value} }
	app, _ := newApp(t,
		proxy.Route{Path: "/plain", Upstream: s.URL, Auth: proxy.None},
		proxy.Route{Path: "/cut", Upstream: s.URL, Auth: proxy.None, StripPrefix: true},
		proxy.Route{Path: "/based", Upstream: s.URL + "/v1", Auth: proxy.None, StripPrefix: true},
	)
	up := func(text string) string { return strings.ReplaceAll(text, "UP", s.URL) }
	for _, c := range []struct{ path, says, want string }{ // where it says; where the browser goes
		{"/plain", "UP/x?a=b#c", "/x?a=b#c"},
		{"/plain", "UP", "/"},
		{"/plain", "/x", "/x"},
		{"/plain", "x", "x"},
		{"/plain", "https://other.example/x", "https://other.example/x"},
		{"/cut", "UP/x", "/cut/x"},
		{"/cut", "/x", "/cut/x"},
		{"/cut", "x", "x"},
		{"/cut", "//other.example/x", "//other.example/x"},
		{"/based", "UP/v1/x", "/based/x"},
		{"/based", "UP/v12/x", "UP/v12/x"},
		{"/plain", "UP//other.example/x", "UP//other.example/x"}, // would be another host
		{"/plain", "http://ada@UP/x", "http://ada@UP/x"},
	} {
		for _, form := range []struct{ field, says, want string }{
			{"Location", "%", "%"},
			{"Content-Location", "%", "%"},
			{"Refresh", "5; url=%", "5; url=%"},
			{"Refresh", "0;URL='%'", "0; url=%"},
			{"Refresh", "1.5 , Url = \"%\" and more", "1.5; url=%"},
			{"Refresh", "5;%", "5; url=%"},
			{"Refresh", "5 %", "5; url=%"},
		} {
			field, value = form.field, strings.ReplaceAll(form.says, "%", up(c.says))
			want := strings.ReplaceAll(form.want, "%", up(c.want))
			if c.says == c.want && field == "Refresh" {
				want = value // untouched
			}
			got := app.Anonymous().Get(c.path + "/page").Header[field]
			if len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s: %s: got %q, want %q", c.path, field, value, got, want)
			}
		}
	}
	for _, value = range []string{"5", "5;", "", "soon; url=" + s.URL, "5url=" + s.URL, "-1; url=" + s.URL, "; url=" + s.URL, "5; url="} {
		field = "Refresh"
		if got := app.Anonymous().Get("/cut/page").Header[field]; len(got) != 1 || got[0] != value {
			t.Errorf("%q: got %q", value, got)
		}
	}
}
