package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// An overWriter is an answer's writer that must not be touched after its handler. Nothing protects over: what is set then is a
// race as well, which the race detector sees.
type overWriter struct {
	*httptest.ResponseRecorder
	over bool
	late atomic.Bool
	set  atomic.Int64
}

func (w *overWriter) SetReadDeadline(time.Time) error {
	if w.set.Add(1); w.over {
		w.late.Store(true)
	}
	return nil
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
func (endless) Close() error               { return nil }

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A transport that goes on sending a body whose request has been answered must not set deadlines for the next request, which
// has the connection by then.
func TestAnAnsweredRequestSetsNoDeadlineForTheNext(t *testing.T) {
	for range 300 {
		w := &overWriter{ResponseRecorder: httptest.NewRecorder()}
		sent := make(chan error)
		p, err := New(Config{PublicURL: "https://app.example", Routes: []Route{{Path: "/up", Upstream: "http://service.example", Auth: None, MaxBody: -1}},
			Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
				body := exchangeOf(r.Context()).body
				go func() {
					buf := make([]byte, 16)
					_, err := body.Read(buf)
					for err == nil && !w.late.Load() {
						_, err = body.Read(buf)
					}
					sent <- err
				}()
				for w.set.Load() == 0 { // the sending has begun
					time.Sleep(time.Microsecond)
				}
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			})})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "https://app.example/up", io.NopCloser(endless{}))
		p.ServeHTTP(w, r)
		w.over = true
		if err := <-sent; err == nil {
			t.Fatal("a deadline was set after the handler's end")
		}
	}
}
