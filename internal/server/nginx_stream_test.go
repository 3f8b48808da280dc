package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/nginxtest"
	"github.com/tokenjar/tokenjar/internal/servertest"
)

// Streams of a route through the nginx of docs/howto/nginx.md, with its paths and ports replaced.
func TestStreamsThroughNginx(t *testing.T) {
	nginxtest.Find(t)
	said := make(chan string)
	over := make(chan struct{})
	defer close(over)
	api := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/events" {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			for {
				select {
				case text := <-said:
					fmt.Fprintf(w, "data: %s\n\n", text)
					w.(http.Flusher).Flush()
				case <-r.Context().Done():
					return
				case <-over:
					return
				}
			}
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x05hello")
		io.Copy(io.Discard, rw)
	})
	w := servertest.Start(t, servertest.HTTPS, servertest.Setup{Config: func(c *config.Config) {
		c.TrustedProxies = []string{"127.0.0.1"}
		c.Routes = []config.Route{{Path: "/api", Upstream: api.URL, Auth: "required", Token: "audience", WebSocket: true}}
	}})
	dir, plain, front := t.TempDir(), nginxtest.FreeAddress(t), nginxtest.FreeAddress(t)
	pool := nginxtest.Certificate(t, dir, "app.example.com")
	shown, err := os.ReadFile("../../examples/nginx/tokenjar.conf")
	if err != nil {
		t.Fatal(err)
	}
	nginxtest.Start(t, dir, front, strings.NewReplacer(
		"listen 80;", "listen "+plain+";", "listen 443 ssl;", "listen "+front+" ssl;", "/etc/ssl/app.example.com", dir+"/app.example.com",
		"http://127.0.0.1:8080", "http://"+w.Addr(),
	).Replace(string(shown)))
	ada := w.SignIn(t, servertest.Ada)

	// open sends a request of hers and returns the head of its answer and what comes behind it.
	open := func(path, more string) (string, *bufio.Reader) {
		t.Helper()
		conn, err := tls.Dial("tcp", front, &tls.Config{RootCAs: pool, ServerName: "app.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute)) // what is held back fails the test
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app.example.com\r\nCookie: %s=%s\r\n%s\r\n", path, w.AccessName(), ada.Access, more)
		r := bufio.NewReader(conn)
		return readUntil(t, r, "\r\n\r\n"), r
	}
	head, events := open("/api/events", "Connection: close\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 200") {
		t.Fatalf("event stream: %s", head)
	}
	for _, text := range []string{"one", "two"} { // each arrives before there is another
		said <- text
		if got := readUntil(t, events, "\n\n"); !strings.Contains(got, "data: "+text) {
			t.Fatalf("got %q, want %s", got, text)
		}
	}

	head, socket := open("/api/socket", "Origin: https://app.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 101") {
		t.Fatalf("WebSocket: %s", head)
	}
	if got := readUntil(t, socket, "hello"); got != "\x81\x05hello" {
		t.Errorf("got %q", got)
	}

	if err := w.Service.EndSession(t.Context(), ada.UserID, ada.SessionID); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(socket)
	if code := []byte{4401 >> 8, 4401 & 0xff}; len(rest) < 4 || rest[0] != 0x88 || !bytes.Equal(rest[2:4], code) {
		t.Errorf("the WebSocket ends with %q, want a Close frame with 4401", rest)
	}
	if rest, err := io.ReadAll(events); err != nil && err != io.ErrUnexpectedEOF || bytes.Contains(rest, []byte("data:")) {
		t.Errorf("the event stream ends with %q, %v", rest, err)
	}
}

// readUntil reads up to a text.
func readUntil(t *testing.T, r *bufio.Reader, end string) string {
	t.Helper()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), end) {
		c, err := r.ReadByte()
		if err != nil {
			t.Fatalf("after %q: %v", b.String(), err)
		}
		b.WriteByte(c)
	}
	return b.String()
}
