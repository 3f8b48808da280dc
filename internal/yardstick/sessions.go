package yardstick

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tokenjar/tokenjar"
)

// Sessions are sessions in a store, each of a user of its own, and the clients who refresh them: the same load for every
// store. One method at a time.
type Sessions struct {
	store tokenjar.SessionStore
	next  []uint32 // the number of each one's newest token; 0 of those that are over
}

// atOnce is how many sessions are opened at the same time, so that a store that commits together can.
const atOnce = 512

// NewSessions opens n sessions in the order of their ids, as they would be over time. Those that over says are over within
// a second; nobody refreshes them. Over may be nil.
func NewSessions(ctx context.Context, store tokenjar.SessionStore, n int, over func(i int) bool) (*Sessions, error) {
	s := &Sessions{store: store, next: make([]uint32, n)}
	numbers := make(chan int)
	go func() {
		defer close(numbers)
		for i := range n {
			numbers <- i
		}
	}()
	return s, together(atOnce, func(int) (err error) {
		for i := range numbers {
			if err != nil {
				continue // let the others' numbers pass
			}
			t := timing
			if over != nil && over(i) {
				t = tokenjar.Timing{Idle: time.Second, RememberIdle: time.Second, Absolute: time.Second}
			} else {
				s.next[i] = 1
			}
			_, _, err = store.CreateSession(ctx, tokenjar.NewSession{
				ID: sessionID(i), UserID: userID(i), First: tokenHash(i, 1), Timing: t, UserAgent: userAgent, IP: address,
				OwnUserStore: true,
			})
		}
		return err
	})
}

var timing = tokenjar.Timing{
	Idle: 24 * time.Hour, RememberIdle: 20 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour, Grace: 10 * time.Second,
}

const (
	userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	address   = "203.0.113.77"
)

// An id is as long as a UUID and ordered by time as version 7 is; users come in no order.
func sessionID(i int) string { return fmt.Sprintf("01a20129-%04x-7675-a3ac-%012x", i>>8, i) }
func userID(i int) string {
	return fmt.Sprintf("%08x-6a1f-4d6e-9c5b-%012x", uint32(i)*0x9e3779b1, i)
}

// tokenHash stands for the hash of a session's token n: no two are equal.
func tokenHash(i int, n uint32) (h tokenjar.Hash) {
	binary.BigEndian.PutUint32(h[:], n)
	binary.BigEndian.PutUint64(h[4:], uint64(i))
	return h
}

// Refreshes are what clients were answered.
type Refreshes struct {
	Rate float64 // a second
	Wait Spread  // milliseconds until each was committed
}

// Refresh has clients refresh sessions, one after another and each of them at random, as long as more says. No session is
// refreshed by two of them at once.
func (s *Sessions) Refresh(ctx context.Context, clients int, more func() bool) (Refreshes, error) {
	waits := make([]Spread, clients)
	begin := time.Now()
	err := together(clients, func(c int) error {
		for more() {
			i := rand.IntN((len(s.next)-c+clients-1)/clients)*clients + c
			if s.next[i] == 0 {
				continue
			}
			r := tokenjar.Rotation{
				SessionID: sessionID(i), UserID: userID(i), Presented: tokenHash(i, s.next[i]), Successor: tokenHash(i, s.next[i]+1),
				Timing: timing, UserAgent: userAgent, IP: address,
			}
			sent := time.Now()
			v, err := s.store.Rotate(ctx, r)
			if err == nil && v.Outcome != tokenjar.OutcomeRotated {
				err = fmt.Errorf("session %d, token %d: %s", i, s.next[i], v.Outcome)
			}
			if err != nil {
				return err
			}
			s.next[i]++
			waits[c] = append(waits[c], float64(time.Since(sent))/float64(time.Millisecond))
		}
		return nil
	})
	took := time.Since(begin)
	var all Refreshes
	for _, w := range waits {
		all.Wait = append(all.Wait, w...)
	}
	all.Rate = float64(len(all.Wait)) / took.Seconds()
	return all, err
}

// For is a condition that holds for a while from now.
func For(d time.Duration) func() bool {
	deadline := time.Now().Add(d)
	return func() bool { return time.Now().Before(deadline) }
}

// together runs do(0) to do(n-1) at the same time and returns their errors.
func together(n int, do func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
