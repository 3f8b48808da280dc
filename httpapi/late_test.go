package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/session"
)

// Answers overtake each other. What comes last must not undo what was answered before it.

func TestASlowAnswerDoesNotSetCookiesThatWereOvertaken(t *testing.T) { // R9
	for name, overtake := range map[string]func(t *testing.T, s *tokenjar.Service, p servertest.Pair){
		"by a logout": func(t *testing.T, s *tokenjar.Service, p servertest.Pair) {
			if err := s.Logout(t.Context(), s.SignedSessions(nil, []string{p.Refresh})); err != nil {
				t.Fatal(err)
			}
		},
		"by a further rotation": func(t *testing.T, s *tokenjar.Service, p servertest.Pair) {
			again, err := s.Refresh(t.Context(), tokenjar.RefreshRequest{Token: p.Refresh}) // the same successor
			if err == nil {
				_, err = s.Refresh(t.Context(), tokenjar.RefreshRequest{Token: again.RefreshToken})
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"by nothing": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := servertest.Start(t)
			service, guard := embedded(t, w)
			entered, leave := make(chan struct{}), make(chan struct{})
			slow := guard.Required(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				close(entered)
				<-leave
			}))
			p := w.SignIn(t, servertest.Ada)
			r := httptest.NewRequest("GET", w.URL+"/slow", nil)
			p.RefreshOnly(r)
			rec := httptest.NewRecorder()
			done := make(chan struct{})
			go func() {
				slow.ServeHTTP(rec, r)
				close(done)
			}()
			<-entered
			want := 3
			if overtake != nil {
				overtake(t, service, p)
				want = 0
			}
			close(leave)
			<-done
			if got := len(rec.Result().Cookies()); got != want || rec.Code != 200 {
				t.Errorf("status %d with %d cookies, want 200 with %d", rec.Code, got, want)
			}
		})
	}
}

func TestAHandshakeIsNotRenewed(t *testing.T) {
	w := servertest.Start(t)
	_, guard := embedded(t, w)
	p := w.SignIn(t, servertest.Ada)
	for range 3 { // whoever takes the connection over writes its own 101: cookies would be lost, the third time is reuse
		r := httptest.NewRequest("GET", w.URL+"/ws", nil)
		p.RefreshOnly(r)
		r.Header.Set("Origin", w.Origin)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		rec := httptest.NewRecorder()
		guard.Required(http.NotFoundHandler()).ServeHTTP(rec, r)
		if rec.Code != 401 || !strings.Contains(rec.Body.String(), `"action":"refresh"`) || len(rec.Result().Cookies()) != 0 {
			t.Errorf("got %d %s", rec.Code, rec.Body)
		}
		w.Clock.Advance(6 * time.Minute)
	}
	if n := p.Generation(t); n != 1 {
		t.Errorf("generation is %d: a token was spent", n)
	}
}

func TestAnOldAnswerDoesNotClearTheCookiesOfANewSignIn(t *testing.T) {
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	login := func(password string) string {
		return fmt.Sprintf(`{"username":%q,"password":%q}`, servertest.Ada, password)
	}
	if a := w.Send(t, "POST", "/auth/login", login(servertest.Password), p.As); a.Status != 200 {
		t.Fatalf("tab 2 signs in: %d %s", a.Status, a.Body)
	}
	// Tab 1 sent its requests with the cookies of before, and their answers come last.
	for name, a := range map[string]servertest.Answer{
		"wrong password":             w.Send(t, "POST", "/auth/login", login("wrong password"), p.As),
		"refresh":                    w.Send(t, "POST", "/auth/token/refresh", "", p.As),
		"refresh without CSRF token": w.Send(t, "POST", "/auth/token/refresh", "", w.Cookies(p.Access, p.Refresh)),
	} {
		if a.Status != 401 || a.Clears() {
			t.Errorf("%s: %d, cookies cleared: %v: %s", name, a.Status, a.Clears(), a.Body)
		}
	}
}

func TestADeadCookieIsToldWhyAlsoWithoutACSRFToken(t *testing.T) {
	w := servertest.Start(t)
	p := w.SignIn(t, servertest.Ada)
	if _, err := w.Store.RevokeSessions(t.Context(), "", []string{p.SessionID}, tokenjar.ReasonReuse); err != nil {
		t.Fatal(err)
	}
	a := w.Send(t, "POST", "/auth/token/refresh", "", w.Cookies("", p.Refresh))
	if a.Status != 401 || a.Code() != "session_reused" || !a.Clears() {
		t.Errorf("got %d %s, cleared %v", a.Status, a.Body, a.Clears())
	}
}

func TestManyValuesOfOneNameAreNotVerified(t *testing.T) {
	w := servertest.Start(t)
	var pairs []string
	for i := range 9 {
		pairs = append(pairs, fmt.Sprintf("%s=forged%d", w.AccessName(), i))
	}
	if a := w.Send(t, "GET", "/auth/user", "", servertest.RawCookie(strings.Join(pairs, "; "))); a.Status != 431 {
		t.Errorf("nine: %d %s", a.Status, a.Body)
	}
	if a := w.Send(t, "GET", "/auth/user", "", servertest.RawCookie(strings.Join(pairs[:8], "; "))); a.Status != 401 {
		t.Errorf("eight: %d %s", a.Status, a.Body)
	}
}

func TestAShortRequestMakesNoLongAnswer(t *testing.T) {
	w := servertest.Start(t)
	var members []string
	for i := range 5000 {
		members = append(members, fmt.Sprintf(`"m%d":1`, i))
	}
	a := w.Send(t, "POST", "/auth/login", "{"+strings.Join(members, ",")+"}", servertest.Header("Content-Type", "application/json"))
	if a.Status != 422 || len(a.Body) > 8<<10 {
		t.Errorf("got %d with %d bytes", a.Status, len(a.Body))
	}
}

func TestALibraryWithoutGraceMustNotRenew(t *testing.T) {
	w := servertest.Start(t)
	secret, err := tokenjar.ParseSecret([]byte(servertest.Secret))
	if err != nil {
		t.Fatal(err)
	}
	service, err := tokenjar.New(t.Context(), tokenjar.Config{Issuer: w.URL, Secret: secret, Store: w.Store, InsecureNoGrace: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.New(session.Config{Service: service, PublicURL: w.URL}); err == nil {
		t.Error("renewal without grace was taken")
	}
	if _, err := session.New(session.Config{Service: service, PublicURL: w.URL, NoRenewal: true}); err != nil {
		t.Error(err)
	}
}

func TestARevokedCookieDoesNotHideAGoodBearer(t *testing.T) { // J-33
	w := servertest.Start(t)
	dead, live := w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve)
	if err := w.Service.Logout(t.Context(), []tokenjar.SignedSession{{SessionID: dead.SessionID, UserID: dead.UserID}}); err != nil {
		t.Fatal(err)
	}
	for name, cookies := range map[string]func(*http.Request){
		"access": w.Cookies(dead.Access, ""), "refresh": w.Cookies("", dead.Refresh), "both": w.Cookies(dead.Access, dead.Refresh),
	} {
		a := w.Send(t, "GET", "/auth/user", "", cookies, servertest.Bearer(live.Access))
		if a.Status != 200 || a.JSON(t)["username"] != servertest.Eve {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}
