package server_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	st "github.com/tokenjar/tokenjar/internal/servertest"
)

func TestTheDemosServiceGetsATokenOfItsOwnAndVerifiesIt(t *testing.T) {
	w := st.Start(t, st.Setup{Demo: true})
	service := w.Server.SampleURL()
	ada := w.Browser(t)
	ada.Login(t, st.Ada)
	a := ada.Do(t, "GET", "/api/hello?x=1", "", st.AddHeader("Cookie", "theme=dark"), st.Header("X-Forwarded-For", "10.9.8.7"))
	got := a.JSON(t)
	claims, _ := got["claims"].(map[string]any)
	received, _ := got["received"].(map[string]any)
	if a.Status != 200 || claims["sub"] != "user-"+st.Ada || claims["aud"] != service || claims["iss"] != w.URL {
		t.Errorf("got %d %s, want what a token for %s says", a.Status, a.Body, service)
	}
	if received["Cookie"] != "there are some" || received["X-CSRFToken"] != nil || received["X-Forwarded-For"] != "127.0.0.1" || "http://"+received["Host"].(string) != service {
		t.Errorf("the service received %v", received)
	}
	if strings.Contains(string(a.Body), "eyJ") || strings.Contains(string(a.Body), "dark") {
		t.Errorf("the answer shows a credential: %s", a.Body)
	}
	if a := ada.Do(t, "GET", "/api/hello", ""); a.JSON(t)["received"].(map[string]any)["Cookie"] != nil {
		t.Errorf("cookies of ours reach the service: %s", a.Body)
	}
	w.Refused(t, 401, "not_authenticated", "GET", "/api/hello", "")
}

func TestTheDemosServiceBelievesNothingElse(t *testing.T) {
	w := st.Start(t, st.Setup{Demo: true})
	service := w.Server.SampleURL()
	own := w.SignIn(t, st.Ada).Access
	for name, fields := range map[string][]string{
		"no token": nil, "the user's own token": {"Bearer " + own}, "a token that nobody signed": {"Bearer eyJhbGciOiJub25lIn0.e30."}, "another scheme": {"Basic YWRhOng="},
		"two fields": {"Bearer " + own, "Bearer " + own}, "nothing behind the scheme": {"Bearer "}, "no scheme": {own},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", service+"/api/hello", nil)
		if err != nil {
			t.Fatal(err)
		}
		if fields != nil {
			r.Header["Authorization"] = fields
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 401 || strings.Contains(string(body), "claims") {
			t.Errorf("%s: %d %s %v", name, res.StatusCode, body, err)
		}
	}
}

func TestTheDemosServiceEndsWithTheDemo(t *testing.T) {
	var address string
	t.Run("while it runs", func(t *testing.T) {
		w := st.Start(t, st.Setup{Demo: true})
		address = strings.TrimPrefix(w.Server.SampleURL(), "http://")
		if !strings.HasPrefix(address, "127.0.0.1:") {
			t.Errorf("others reach it at %s", address)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("it goes on")
	}
}
