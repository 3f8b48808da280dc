package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/servertest"
	"github.com/tokenjar/tokenjar/internal/stress"
	"github.com/tokenjar/tokenjar/internal/upstreamtest"
)

// Many users' requests go over few connections to one service, which resets them, closes them early, answers in odd framing and
// sends what nobody asked for; and clients leave in the middle. Nobody may ever get an answer that was made for somebody else.

// mixedRequests is how many an ordinary run sends.
const mixedRequests = 10_000

func TestTenThousandParallelRequestsGetTheirOwnAnswers(t *testing.T) {
	service := upstreamtest.NewRecorder(t)
	service.Forget()
	log.SetOutput(io.Discard) // where net/http tells of what a service sends unasked
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	w := servertest.Start(t, routes(
		proxyRoute("/api/", service.URL, func(r *config.Route) { r.MaxRequests = 8 }),
		proxyRoute("/maybe/", service.URL, withAuth("optional"), func(r *config.Route) { r.MaxRequests = 8 }),
	))
	service.Answer(oddAnswer)
	var users []servertest.Pair
	for range 8 {
		users = append(users, w.SignIn(t, servertest.Ada), w.SignIn(t, servertest.Eve))
	}
	n := stress.Times(t, mixedRequests)
	if stress.Race {
		n /= 5 // make test does all of them without it
	}
	var mine, refused, cut atomic.Int64
	var number atomic.Int64
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 7))
			d := &dialogue{addr: w.Addr()}
			defer d.close()
			for i := number.Add(1); i <= int64(n) && !t.Failed(); i = number.Add(1) {
				user, nobody := users[rng.IntN(len(users))], rng.IntN(8) == 0
				path, who := fmt.Sprintf("/api/%d", i), user.SessionID
				head := credentials(user)
				if nobody {
					path, who, head = fmt.Sprintf("/maybe/%d", i), "", ""
				}
				text := oddRequest(rng, w, user, path, head)
				if rng.IntN(20) == 0 { // leave in the middle
					d.close()
					conn, err := net.Dial("tcp", w.Addr())
					if err != nil {
						t.Error(err)
						return
					}
					conn.Write([]byte(text[:len(text)-rng.IntN(3)]))
					if rng.IntN(2) == 0 {
						conn.(*net.TCPConn).SetLinger(0)
					}
					conn.Close()
					cut.Add(1)
					continue
				}
				status, body, err := d.ask(text)
				switch {
				case err != nil: // the service broke off, and so did we
					cut.Add(1)
				case status == 200:
					if want := path + " of " + who + "."; string(body) != want {
						t.Errorf("a foreign answer: got %q, want %q", body, want)
					}
					mine.Add(1)
				case status == 502 || status == 503 || status == 429: // one user's share are all the places, which come back a moment later
					refused.Add(1)
				default:
					t.Errorf("%d %s: %q", status, body, text)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d answers, %d refusals, %d cut off, over %d connections to the service", mine.Load(), refused.Load(), cut.Load(), service.Conns())
	if int(mine.Load()) < n/4 {
		t.Errorf("only %d of %d requests were answered", mine.Load(), n)
	}
}

// oddRequest writes a request in one of several framings.
func oddRequest(rng *rand.Rand, w *servertest.World, user servertest.Pair, path, head string) string {
	host := "Host: " + w.Host() + "\r\n"
	unsafe := strings.NewReplacer("{origin}", w.Origin, "{csrf}", user.CSRF).Replace(unsafeHead)
	inner := "GET /api/smuggled HTTP/1.1\r\n" + host + "\r\n"
	switch rng.IntN(6) {
	case 0:
		return fmt.Sprintf("POST %s HTTP/1.1\r\n%s%s%sContent-Length: %d\r\n\r\n%s", path, host, head, unsafe, len(inner), inner)
	case 1:
		return fmt.Sprintf("POST %s HTTP/1.1\r\n%s%s%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", path, host, head, unsafe, len(inner), inner)
	case 2:
		return fmt.Sprintf("POST %s HTTP/1.1\r\n%s%s%sContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", path, host, head, unsafe)
	case 3:
		return fmt.Sprintf("GET %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s", path, host, head, len(inner), inner)
	}
	return fmt.Sprintf("GET %s HTTP/1.1\r\n%s%s\r\n", path, host, head)
}

// oddAnswer answers with the path and the session that a request was for, in one of many framings.
func oddAnswer(r upstreamtest.Request) upstreamtest.Answer {
	body := r.Target + " of " + sessionOf(r) + "."
	length := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	switch rand.IntN(24) {
	case 0:
		return upstreamtest.Answer{Reset: true}
	case 1:
		return upstreamtest.Answer{Bytes: length, Reset: true}
	case 2:
		return upstreamtest.Answer{Bytes: length[:len(length)-3], Close: true}
	case 3:
		return upstreamtest.Answer{Bytes: length + length} // the second for nobody
	case 4:
		return upstreamtest.Answer{Bytes: length + "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", Close: true}
	case 5:
		return upstreamtest.Answer{Bytes: "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + length}
	case 6:
		return upstreamtest.Answer{Bytes: "HTTP/1.0 200 OK\r\n\r\n" + body, Close: true}
	case 7:
		return upstreamtest.Answer{Bytes: fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body)+100, len(body), body)}
	case 8:
		return upstreamtest.Answer{Bytes: length, Close: true} // without a word of it
	case 9:
		return upstreamtest.Answer{Bytes: fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n%x\r\n%s\r\n0\r\nX-T: 1\r\n\r\n", len(body), body)}
	case 10:
		return upstreamtest.Answer{Bytes: length, Pause: time.Millisecond}
	}
	return upstreamtest.Answer{Bytes: length}
}

// sessionOf reads the session out of the token that a service was sent, "" for none.
func sessionOf(r upstreamtest.Request) string {
	values := r.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	parts := strings.Split(values[0], ".")
	if len(parts) != 3 {
		return values[0]
	}
	var claims struct {
		SID string `json:"sid"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return values[0]
	}
	return claims.SID
}
