package proxy_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/proxy"
	"github.com/tokenjar/tokenjar/tokenjartest"
)

func TestAWebSocketCarriesWhateverItsEndsSay(t *testing.T) {
	s := newSocketService(t)
	app, p := newApp(t, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
	ada := app.SignIn("ada")
	client, service := connect(t, app, ada, s, "Sec-WebSocket-Protocol: chat.v2, chat.v1")
	if got := client.answer; got.Header.Get("Sec-WebSocket-Protocol") != "chat.v2" || strings.Contains(got.Status, "Welcome") {
		t.Errorf("the handshake was answered %s, %v", got.Status, got.Header)
	}
	big := strings.Repeat("0123456789abcdef", 10<<20/16)
	for _, way := range [][2]*peer{{client, service}, {service, client}} {
		from, to := way[0], way[1]
		for _, size := range []int{0, 1, 125, 126, 127, 2047, 2048, 2049, 65535, 65536, 100000} {
			from.send(blob, big[:size])
			to.want(blob, big[:size])
		}
		go from.send(blob, big)
		to.want(blob, big)
		for _, f := range []frame{
			{op: text, payload: []byte("in ")}, {fin: true, op: ping, payload: []byte("between")}, {payload: []byte("three ")}, {fin: true, payload: []byte("parts")},
		} {
			from.write(from.bytes(f))
			if got := to.want(f.op, string(f.payload)); got.fin != f.fin {
				t.Errorf("fragment %q: fin is %v", f.payload, got.fin)
			}
		}
		to.send(pong, "between")
		from.want(pong, "between")
	}
	if st := p.Stats(); st.WebSockets != 1 || st.StreamsOpened != 1 {
		t.Errorf("counts: %+v", st)
	}
	client.send(closes, closePayload(4000, "bye"))
	service.wantClose(4000, "bye")
	service.send(closes, closePayload(4000, "bye, bye"))
	service.Close()
	client.wantClose(4000, "bye, bye")
	client.wantEnd()
	client.Close()
	settled(t, p)
	if st := p.Stats(); st.StreamsEnded != 0 {
		t.Errorf("counts: %+v", st)
	}
}

func TestAWebSocketHandshakeIsJudged(t *testing.T) { // P-34, X-group: any page may open one
	s := newSocketService(t)
	app, _ := newApp(t,
		proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true},
		proxy.Route{Path: "/open", Upstream: s.URL, WebSocket: true, Auth: proxy.Optional},
		proxy.Route{Path: "/api", Upstream: s.URL},
	)
	ada, stranger := app.SignIn("ada"), app.Anonymous()
	for _, c := range []struct {
		name    string
		who     *tokenjartest.Client
		path    string
		status  int
		changes []string
	}{
		{"our own origin", ada, "/ws/x", 101, nil},
		{"our own origin, from a browser without Fetch Metadata", ada, "/ws/x", 101, []string{"-Sec-Fetch-Site"}},
		{"another origin", ada, "/ws/x", 403, []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}},
		{"another origin that says it is ours", ada, "/ws/x", 403, []string{"Origin: https://evil.example"}},
		{"no origin", ada, "/ws/x", 403, []string{"-Origin", "-Sec-Fetch-Site"}},
		{"no origin, but metadata", ada, "/ws/x", 403, []string{"-Origin"}},
		{"origin null", ada, "/ws/x", 403, []string{"Origin: null"}},
		{"our host over http", ada, "/ws/x", 403, []string{"Origin: http://" + strings.TrimPrefix(app.URL, "https://")}},
		{"another origin on an optional route", ada, "/open/x", 403, []string{"Origin: https://evil.example"}},
		{"a stranger", stranger, "/ws/x", 401, nil},
		{"a stranger on an optional route", stranger, "/open/x", 101, nil},
		{"a route without WebSockets", ada, "/api/x", 403, nil},
		{"another protocol", ada, "/ws/x", 400, []string{"Upgrade: h2c"}},
		{"two protocols", ada, "/ws/x", 400, []string{"Upgrade: websocket, h2c"}},
		{"settings of another protocol", ada, "/ws/x", 400, []string{"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, status := handshake(t, app, c.who, c.path, c.changes...)
			if status != c.status {
				body, _ := io.ReadAll(client.answer.Body)
				t.Fatalf("got %d, want %d: %s", status, c.status, body)
			}
			if c.status == 101 {
				s.end(t)
			} else if len(s.ends) > 0 {
				t.Error("the service was asked")
			}
		})
	}
}

func TestAWebSocketIsNotOpenedAnonymouslyForWhoNeedsARefresh(t *testing.T) {
	s := newSocketService(t)
	app, _ := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true, Auth: proxy.Optional})
	ada := app.SignIn("ada")
	app.Clock.Advance(10 * time.Minute)
	refused, status := handshake(t, app, ada, "/ws/chat")
	body, _ := io.ReadAll(refused.answer.Body)
	if status != 401 || !strings.Contains(string(body), `"action":"refresh"`) || len(s.ends) > 0 {
		t.Fatalf("got %d %s, and the service was asked: %v", status, body, len(s.ends) > 0)
	}
	ada.Refresh()
	client, _ := connect(t, app, ada, s)
	ada.SignOut()
	client.wantClose(4401, "session_ended") // it was hers
	connect(t, app, ada, s)                 // and now a stranger's
}

func TestAWebSocketEndsWithItsSession(t *testing.T) { // promise 4, S-06
	for _, c := range []struct {
		name   string
		end    func(app *tokenjartest.App, ada *tokenjartest.Client)
		reason string
	}{
		{"sign-out in another tab", func(_ *tokenjartest.App, ada *tokenjartest.Client) { ada.Tab().SignOut() }, "session_ended"},
		{"sign-out everywhere, in another browser", func(app *tokenjartest.App, _ *tokenjartest.Client) {
			app.SignIn("ada").Post("/auth/logout?all=true", nil).Want(200)
		}, "session_ended"},
		{"a new sign-in in the same browser", func(app *tokenjartest.App, ada *tokenjartest.Client) {
			ada.Tab().Post("/auth/login", map[string]string{"username": "ada", "password": tokenjartest.Password}).Want(200)
		}, "session_ended"},
		{"a change of roles", func(app *tokenjartest.App, ada *tokenjartest.Client) {
			if err := app.Service.SetUserRoles(t.Context(), ada.User.ID, rolesOfStaff); err != nil {
				t.Error(err)
			}
		}, "token_expired"},
		{"a disabled account", func(app *tokenjartest.App, ada *tokenjartest.Client) {
			if err := app.Service.SetUserActive(t.Context(), ada.User.ID, false); err != nil {
				t.Error(err)
			}
		}, "session_ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSocketService(t)
			app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{Linger: quick}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
			ada, eve := app.SignIn("ada"), app.SignIn("eve")
			client, service := connect(t, app, ada, s)
			evesClient, evesService := connect(t, app, eve, s)
			c.end(app, ada)
			client.wantClose(4401, c.reason)
			client.wantEnd()
			service.wantClose(1001, "")
			client.send(text, "too late") // to nobody
			client.Close()
			service.wantEnd()
			evesClient.send(text, "still here")
			evesService.want(text, "still here")
			evesClient.Close()
			evesService.Close()
			settled(t, p)
			if st := p.Stats(); st.StreamsOpened != 2 || st.StreamsEnded != 1 {
				t.Errorf("counts: %+v", st)
			}
		})
	}
}

func TestAWebSocketSurvivesRotation(t *testing.T) {
	s := newSocketService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
	ada := app.SignIn("ada")
	client, service := connect(t, app, ada, s)
	for i := range 3 {
		app.Clock.Advance(5 * time.Minute)
		ada.Refresh()
		client.send(text, fmt.Sprint("after rotation ", i))
		service.want(text, fmt.Sprint("after rotation ", i))
	}
	ada.SignOut()
	client.wantClose(4401, "session_ended")
	service.wantClose(1001, "")
	client.Close()
	service.Close()
	settled(t, p)
}

func TestACloseFrameWaitsForTheFrameUnderWay(t *testing.T) {
	s := newSocketService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
	for cut := range 12 { // in the head, in the payload, at the end of either
		ada := app.SignIn("ada")
		client, service := connect(t, app, ada, s)
		whole := service.bytes(frame{fin: true, op: text, payload: []byte(strings.Repeat("x", 130))})
		at := []int{1, 2, 3, 4, 5, 6, 20, 100, 130, 132, 133, 134}[cut]
		service.write(whole[:at])
		if got, err := client.r.Peek(at); err != nil || !bytes.Equal(got, whole[:at]) {
			t.Fatalf("the beginning of the frame: %q, %v", got, err)
		}
		ada.SignOut()
		service.wantClose(1001, "") // this side had no frame under way
		service.write(append(whole[at:], service.bytes(frame{fin: true, op: text, payload: []byte("the next")})...))
		client.want(text, strings.Repeat("x", 130))
		client.wantClose(4401, "session_ended")
		client.wantEnd()
		client.Close()
		service.Close()
	}
	settled(t, p)
}

func TestNothingHoldsUpTheEndOfAWebSocket(t *testing.T) {
	for _, c := range []struct {
		name string
		hold func(t *testing.T, client, service *peer)
	}{
		{"the service stops in the middle of a frame", func(t *testing.T, client, service *peer) {
			service.write(service.bytes(frame{fin: true, op: text, payload: make([]byte, 1000)})[:500])
			client.r.Peek(500)
		}},
		{"the client stops in the middle of a frame", func(t *testing.T, client, service *peer) {
			client.write(client.bytes(frame{fin: true, op: text, payload: make([]byte, 1000)})[:500])
			service.r.Peek(500)
		}},
		{"the client reads nothing", func(t *testing.T, client, service *peer) { flood(t, service) }},
		{"the service reads nothing", func(t *testing.T, client, service *peer) { flood(t, client) }},
		{"neither says anything", func(t *testing.T, client, service *peer) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSocketService(t)
			app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{Linger: quick}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true, MaxStreams: 1})
			ada := app.SignIn("ada")
			client, service := connect(t, app, ada, s)
			c.hold(t, client, service)
			ada.SignOut()
			settled(t, p)
			for _, end := range []*peer{client, service} { // both connections are over
				if _, err := io.Copy(io.Discard, end.r); isTimeout(err) {
					t.Error("a connection is still open")
				}
			}
			until(t, "the place is free", func() bool { return p.Counted("/ws") == 0 })
			connect(t, app, app.SignIn("ada"), s)
		})
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// flood sends until the other side's buffers are full.
func flood(t *testing.T, from *peer) {
	t.Helper()
	message := from.bytes(frame{fin: true, op: blob, payload: make([]byte, 64<<10)})
	for {
		from.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := from.Conn.Write(message); err != nil {
			return
		}
	}
}

func TestAClientThatReadsNothingIsNotWaitedForForEver(t *testing.T) {
	t.Parallel() // it waits
	s := newSocketService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{Piece: tolerant}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
	_, service := connect(t, app, app.SignIn("ada"), s)
	flood(t, service)
	settled(t, p)
	if st := p.Stats(); st.StreamsEnded != 0 {
		t.Errorf("counts: %+v", st)
	}
}

func TestHalfAConnectionMayStillAnswer(t *testing.T) {
	s := newSocketService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
	ada := app.SignIn("ada")

	client, service := connect(t, app, ada, s)
	client.send(closes, closePayload(1000, ""))
	client.Conn.(*tls.Conn).CloseWrite()
	service.wantClose(1000, "")
	service.wantEnd() // the half is closed here as well
	service.send(closes, closePayload(1000, "bye"))
	service.Close()
	client.wantClose(1000, "bye")
	client.wantEnd()
	settled(t, p)

	client, service = connect(t, app, ada, s)
	service.send(closes, closePayload(1000, ""))
	tcp(service.Conn).CloseWrite()
	client.wantClose(1000, "")
	client.wantEnd()
	client.send(closes, closePayload(1000, "bye"))
	service.wantClose(1000, "bye")
	client.Close()
	settled(t, p)

	app, p = newTimedApp(t, tokenjartest.Config{}, proxy.Timing{Closing: quick}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
	ada = app.SignIn("ada")
	client, service = connect(t, app, ada, s) // who never answers is cut off
	tcp(service.Conn).CloseWrite()
	client.wantEnd()
	settled(t, p)
	service.wantEnd()
	client, service = connect(t, app, ada, s)
	client.Conn.(*tls.Conn).CloseWrite()
	service.wantEnd()
	settled(t, p)
	client.wantEnd()
}

func TestAnEndThatDiesTakesTheOtherWithIt(t *testing.T) {
	s := newSocketService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
	ada := app.SignIn("ada")
	die := func(conn net.Conn) { // as a killed process does
		tcp(conn).SetLinger(0)
		tcp(conn).Close()
	}
	client, service := connect(t, app, ada, s)
	die(service.Conn)
	client.wantEnd()
	settled(t, p)
	client, service = connect(t, app, ada, s)
	die(client.Conn)
	service.wantEnd()
	settled(t, p)
}

func TestASessionThatEndsDuringTheHandshake(t *testing.T) {
	s := newSocketService(t)
	asked, mayAnswer := make(chan struct{}), make(chan struct{})
	s.before = func(*http.Request) { asked <- struct{}{}; <-mayAnswer }
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
	for range 8 { // whichever comes first, the answer to the handshake is first on the line
		ada := app.SignIn("ada")
		go func() {
			<-asked
			ada.SignOut()
			mayAnswer <- struct{}{}
		}()
		client, status := handshake(t, app, ada, "/ws")
		if status != 101 {
			t.Fatalf("the handshake: %d", status)
		}
		client.wantClose(4401, "session_ended")
		service := s.end(t)
		service.wantClose(1001, "")
		client.Close()
		service.Close()
	}
	settled(t, p)
}

func TestWhatAClientSendsTooEarlyIsNotLost(t *testing.T) {
	s := newSocketService(t)
	app, _ := newApp(t, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
	masked := (&peer{client: true}).bytes(frame{fin: true, op: text, payload: []byte("early")})
	client, service := connect(t, app, app.SignIn("ada"), s, "!"+string(masked))
	service.want(text, "early")
	client.send(text, "in time")
	service.want(text, "in time")
}

func TestOneWebSocketTooManyIsTurnedAway(t *testing.T) {
	s := newSocketService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true, MaxStreams: 2, MaxRequests: 1})
	ada := app.SignIn("ada")
	first, itsService := connect(t, app, ada, s)
	connect(t, app, ada, s)
	refused, status := handshake(t, app, ada, "/ws")
	if status != 503 || refused.answer.Header.Get("Retry-After") == "" || refused.answer.Header.Get("X-Tokenjar-Problem") != "upstream_unavailable" {
		t.Errorf("got %d, %v", status, refused.answer.Header)
	}
	if st := p.Stats(); st.Refused != 1 || st.WebSockets != 2 {
		t.Errorf("counts: %+v", st)
	}
	first.Close()
	itsService.Close()
	until(t, "the place of one is free", func() bool { return p.Counted("/ws") == 2 })
	connect(t, app, ada, s)
}

func TestAStopClosesWebSocketsAndTakesNoMore(t *testing.T) {
	s := newSocketService(t)
	app, p := newTimedApp(t, tokenjartest.Config{}, proxy.Timing{Linger: quick}, proxy.Route{Path: "/ws", Upstream: s.URL, WebSocket: true})
	ada := app.SignIn("ada")
	client, service := connect(t, app, ada, s)
	connect(t, app, ada, s) // nobody reads at either end of this one
	p.Stop()
	if st := p.Stats(); st.StreamsEnded != 0 || st.WebSockets != 0 {
		t.Errorf("when Stop returns: %+v", st)
	}
	client.wantClose(1001, "")
	client.wantEnd()
	service.wantClose(1001, "")
	refused, status := handshake(t, app, ada, "/ws")
	if status != 503 || refused.answer.Header.Get("X-Tokenjar-Problem") != "store_unavailable" {
		t.Errorf("a handshake after it: %d, %v", status, refused.answer.Header)
	}
	p.Stop() // does no harm
}

var rolesOfStaff = tokenjar.Roles{Staff: true}
