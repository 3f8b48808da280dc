package tokenjar_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar"
)

// What is kept open for one client, and others who show the same token.

// A neighbour is in the owner's network, with his browser's name.
var neighbour = tokenjar.Client{IP: "192.0.2.99", UserAgent: laptop.UserAgent}

// A thief who shows a copy first and keeps his own request slow stretches the time in which it may be shown again.
func TestT06AThiefGainsNothingByASlowRequest(t *testing.T) {
	t.Run("elsewhere, first and silent: by the owner's second refresh, as ever", func(t *testing.T) {
		inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
			g := w.login(t)
			_, delivered := w.slowly(t, g, thief)
			defer delivered()
			time.Sleep(15 * time.Second)
			g = w.show(t, g, laptop) // the late retry
			w.events.want(t, "refresh.late_retry", 1)
			_, delivered = w.slowly(t, g, thief)
			defer delivered()
			time.Sleep(15 * time.Second)
			_, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: laptop})
			wantErr(t, err, tokenjar.ErrSessionReused)
		})
	})
	t.Run("elsewhere, out of the owner's slow request: nothing", func(t *testing.T) {
		inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
			g := w.login(t)
			w.show(t, g, laptop) // and the answer is lost
			time.Sleep(time.Minute)
			_, delivered := w.slowly(t, g, laptop) // the late retry, which is used up by that
			defer delivered()
			time.Sleep(15 * time.Second)
			_, err := w.other.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: thief})
			wantErr(t, err, tokenjar.ErrSessionReused)
		})
	})
	t.Run("elsewhere, who is given the owner's lost answer: nothing by keeping that request slow", func(t *testing.T) {
		inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
			g := w.login(t)
			w.show(t, g, laptop) // and the answer is lost
			time.Sleep(time.Minute)
			_, delivered := w.slowly(t, g, thief) // the late retry
			defer delivered()
			time.Sleep(40 * time.Second)
			_, err := w.other.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: laptop})
			wantErr(t, err, tokenjar.ErrSessionReused)
		})
	})
	t.Run("next door, who uses what he gets: by the owner's next refresh, also within the minute", func(t *testing.T) {
		inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
			g := w.login(t)
			_, delivered := w.slowly(t, g, neighbour)
			defer delivered()
			time.Sleep(20 * time.Second)
			got := w.other.show(t, g, neighbour)
			if _, err := w.other.Authenticate(got.AccessToken); err != nil {
				t.Fatal(err)
			}
			time.Sleep(11 * time.Second)
			_, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: laptop})
			wantErr(t, err, tokenjar.ErrSessionReused)
			_, err = w.other.Refresh(t.Context(), tokenjar.RefreshRequest{Token: got.RefreshToken, Client: neighbour})
			wantErr(t, err, tokenjar.ErrSessionReused)
		})
	})
}

// The owner waits, and somebody else asks at that very moment: one flight would serve both.
func TestT06WhatIsKeptOpenForOneIsNotSharedWithWhoAsksBesideHim(t *testing.T) {
	for name, row := range map[string]struct {
		client    tokenjar.Client
		used      bool  // the successor is in use
		err       error // of who asks beside the owner
		late      int   // late retries
		rotations int   // that the store is asked for
	}{
		"from elsewhere: he is judged alone, a late retry":                    {client: thief, late: 1, rotations: 2},
		"from elsewhere, the successor is in use: he is judged alone, a copy": {client: thief, used: true, err: tokenjar.ErrSessionReused, rotations: 2},
		"from next door: they share":                                          {client: neighbour, rotations: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWaitingRoom(t, func(t *testing.T, w *waitingRoom) {
				g := w.login(t)
				next, delivered := w.slowly(t, g, laptop)
				defer delivered()
				time.Sleep(15 * time.Second)
				if row.used {
					if _, err := w.Authenticate(next.AccessToken); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				asks := func(c tokenjar.Client) chan answered {
					done := make(chan answered, 1)
					go func() {
						got, err := w.Refresh(t.Context(), tokenjar.RefreshRequest{Token: g.RefreshToken, Client: c})
						done <- answered{got, err}
					}()
					synctest.Wait()
					return done
				}
				before := w.calls.count("Rotate")
				pass := w.calls.hold("Rotate")
				owner, other := asks(laptop), asks(row.client)
				pass <- struct{}{}
				if got := <-owner; got.err != nil || got.grant.RefreshToken != next.RefreshToken {
					t.Fatalf("the owner got %v", got.err)
				}
				close(pass)
				got := <-other
				wantErr(t, got.err, row.err)
				if got.err == nil && got.grant.RefreshToken != next.RefreshToken {
					t.Error("there are two successors")
				}
				if n := w.calls.count("Rotate") - before; n != row.rotations {
					t.Errorf("the store was asked %d times, want %d", n, row.rotations)
				}
				w.events.want(t, "refresh.late_retry", row.late)
				w.events.want(t, "refresh.shared_successor", row.late)
			})
		})
	}
}

type answered struct {
	grant tokenjar.Grant
	err   error
}
