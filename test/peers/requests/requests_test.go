//go:build linux

package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// What is measured is a request that each variant lets in, and each would refuse another one.
func TestEachVariantKnowsItsCookieAndNobodyElses(t *testing.T) {
	for i, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			h, cookies, err := v.make(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			spoilt := []byte(cookies)
			for at, c := range spoilt { // the first character of each value
				switch {
				case at == 0 || spoilt[at-1] != '=':
				case c == 'x':
					spoilt[at] = 'y'
				default:
					spoilt[at] = 'x'
				}
			}
			for _, row := range []struct {
				sent string
				want int
			}{
				{cookies + "; other=xxx", http.StatusOK}, {string(spoilt), http.StatusUnauthorized}, {"other=xxx", http.StatusUnauthorized},
			} {
				r := httptest.NewRequest(http.MethodGet, "https://app.example.com/things", nil)
				r.Header.Set("Cookie", row.sent)
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				want := row.want
				if i == 0 {
					want = http.StatusOK // bare asks for nothing
				}
				if w.Code != want {
					t.Errorf("%.40s…: got %d, want %d", row.sent, w.Code, want)
				}
			}
		})
	}
}

func TestReadsWrk(t *testing.T) {
	const said = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n" +
		"  80000 requests in 1.00s, 9.63MB read\nRequests/sec:  78874.27\nTransfer/sec:      9.60MB\n"
	got, err := read(said, time.Second)
	if err != nil || got != (turn{cpu: 12.5, rate: 78874.27}) {
		t.Errorf("got %+v and %v", got, err)
	}
	for _, bad := range []string{"", said + "  Non-2xx or 3xx responses: 3\n", said + "  Socket errors: connect 0, read 1\n"} {
		if _, err := read(bad, time.Second); err == nil {
			t.Errorf("no error of:\n%s", bad)
		}
	}
}
