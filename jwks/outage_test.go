package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenjar/tokenjar/jwks"
	"github.com/tokenjar/tokenjar/token"
)

// What happens when keys cannot be had, or have become old.

func TestAnOutageAtTheFirstUseBlamesNobody(t *testing.T) {
	is := newIssuer(t)
	a := newKey(t, "a", token.ES256)
	is.fail(http.StatusServiceUnavailable)
	r, c := is.remote(t, nil)
	for range 5 {
		wantError(t, verify(r, sign(t, a)), token.ErrKeysUnavailable)
		wantError(t, verify(r, unknown(t)), token.ErrKeysUnavailable)
		wantError(t, r.Load(t.Context()), token.ErrKeysUnavailable)
	}
	is.wantFetches(t, 1)
	if r.Ready() {
		t.Error("ready without keys")
	}
	is.publish(t, a)
	wantError(t, verify(r, sign(t, a)), token.ErrKeysUnavailable) // the first second has not passed
	c.move(time.Second)
	wantError(t, verify(r, sign(t, a)), nil)
	wantError(t, verify(r, unknown(t)), token.ErrSignature)
	is.wantFetches(t, 2)
}

func TestInAnOutageOldKeysVerifyUntilTheyAreTooOld(t *testing.T) {
	a := newKey(t, "a", token.ES256)
	for name, c := range map[string]struct {
		maxStale, life time.Duration
	}{
		"a day by default":        {0, 24*time.Hour + 10*time.Minute},
		"an hour":                 {time.Hour, time.Hour + 10*time.Minute},
		"not at all, if negative": {-1, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t)
			is.publish(t, a)
			r, clk := is.remote(t, func(cfg *jwks.Config) { cfg.MaxStale = c.maxStale })
			wantError(t, verify(r, sign(t, a)), nil)
			before := r.Epoch()
			is.fail(http.StatusBadGateway)
			clk.move(c.life - time.Second)
			wantError(t, verify(r, sign(t, a)), nil)
			jwks.Settle(r)
			if r.Epoch() != before {
				t.Error("the epoch has changed while the keys verify")
			}
			clk.move(time.Second)
			if r.Epoch() == before {
				t.Error("the keys are too old and the epoch is the same: what was verified is remembered")
			}
			if r.Ready() {
				t.Error("ready with keys that are too old")
			}
			clk.move(time.Minute)
			wantError(t, verify(r, sign(t, a)), token.ErrKeysUnavailable)
			dead := r.Epoch()

			// Back again, with the same keys.
			is.publish(t, a)
			clk.move(time.Minute)
			wantError(t, verify(r, sign(t, a)), nil)
			if again := r.Epoch(); again == before || again == dead {
				t.Errorf("epoch %d is used again", again)
			}
		})
	}
}

func TestKeysThatWereTooOldStayGoneWhenTheClockStepsBack(t *testing.T) {
	is := newIssuer(t)
	a := newKey(t, "a", token.ES256)
	is.publish(t, a)
	r, c := is.remote(t, nil)
	wantError(t, verify(r, sign(t, a)), nil)
	is.fail(http.StatusBadGateway)
	c.move(48 * time.Hour)
	wantError(t, verify(r, sign(t, a)), token.ErrKeysUnavailable)
	c.move(-48 * time.Hour)
	wantError(t, verify(r, sign(t, a)), token.ErrKeysUnavailable)
}

func TestLoad(t *testing.T) {
	is := newIssuer(t)
	a := newKey(t, "a", token.ES256)
	is.publish(t, a)
	r, c := is.remote(t, nil)
	for range 3 {
		wantError(t, r.Load(t.Context()), nil)
	}
	is.wantFetches(t, 1)
	c.move(10 * time.Minute)
	wantError(t, r.Load(t.Context()), nil)
	is.wantFetches(t, 2)
	is.fail(http.StatusNotFound)
	c.move(10 * time.Minute)
	err := r.Load(t.Context())
	wantError(t, err, token.ErrKeysUnavailable)
	if !strings.Contains(err.Error(), "status 404") {
		t.Errorf("got %v, want the reason", err)
	}
	wantError(t, verify(r, sign(t, a)), nil) // older keys go on
	is.wantFetches(t, 3)
}

func TestClockStepsBackNeitherFreezeTheRenewalNorCauseAStorm(t *testing.T) {
	a, b := newKey(t, "a", token.ES256), newKey(t, "b", token.ES256)
	for _, step := range []time.Duration{-time.Second, -90 * time.Second, -365 * 24 * time.Hour} {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			is := newIssuer(t)
			is.publish(t, a)
			r, c := is.remote(t, nil)
			wantError(t, verify(r, sign(t, a)), nil)
			c.move(step)
			for range 100 {
				wantError(t, verify(r, sign(t, a)), nil)
				jwks.Settle(r)
			}
			is.wantFetches(t, 2) // once, to have a time that means something
			is.publish(t, b)
			c.move(10 * time.Minute)
			wantError(t, verify(r, sign(t, a)), nil)
			jwks.Settle(r)
			wantError(t, verify(r, sign(t, a)), token.ErrSignature)
			is.wantFetches(t, 3)

			// The same while the issuer is down.
			is.fail(http.StatusBadGateway)
			c.move(time.Minute)
			wantError(t, verify(r, unknown(t)), token.ErrKeysUnavailable)
			c.move(step)
			for range 100 {
				wantError(t, verify(r, sign(t, b)), nil)
				jwks.Settle(r)
				wantError(t, verify(r, unknown(t)), token.ErrKeysUnavailable)
			}
			if n := is.fetches.Load(); n != 5 {
				t.Errorf("%d fetches, want 5", n)
			}
			is.publish(t, a, b)
			c.move(2 * time.Second)
			wantError(t, verify(r, sign(t, a)), nil)
		})
	}
	t.Run("with a failure at the first use", func(t *testing.T) {
		is := newIssuer(t)
		is.fail(http.StatusBadGateway)
		r, c := is.remote(t, nil)
		wantError(t, verify(r, sign(t, a)), token.ErrKeysUnavailable)
		is.publish(t, a)
		c.move(-time.Hour)
		wantError(t, verify(r, sign(t, a)), nil)
		is.wantFetches(t, 2)
	})
}

func TestTheLogHearsOfAnOutageOnce(t *testing.T) {
	is := newIssuer(t)
	a := newKey(t, "a", token.ES256)
	is.publish(t, a)
	var log logbook
	r, c := is.remote(t, func(cfg *jwks.Config) {
		cfg.Logger = log.logger()
		cfg.URL += "?apikey=hunter2"
	})
	wantError(t, verify(r, sign(t, a)), nil)
	for range 2 {
		is.fail(http.StatusInternalServerError)
		c.move(time.Hour)
		for range 20 {
			c.move(time.Minute)
			_ = verify(r, sign(t, a))
			if err := verify(r, unknown(t)); strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v shows the query", err)
			}
			jwks.Settle(r)
		}
		is.publish(t, a)
		c.move(time.Minute)
		wantError(t, r.Load(t.Context()), nil)
	}
	for part, want := range map[string]int{
		"level=WARN": 2, "verification keys cannot be fetched": 2, "verification keys can be fetched again": 2,
		"verification keys have changed": 1, "level=ERROR": 0, "hunter2": 0, "url=" + is.URL + "/keys": 5,
	} {
		if got := log.count(part); got != want {
			t.Errorf("%q is logged %d times, want %d:\n%s", part, got, want, &log)
		}
	}
	if is.fetches.Load() < 10 {
		t.Error("the outage was not asked about")
	}
}

func TestAFetchEndsAfterItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bubble(t, jwks.Config{}, func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		start := time.Now()
		_, _, err := r.Verify(sign(t, newKey(t, "a", token.ES256)))
		wantError(t, err, token.ErrKeysUnavailable)
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v looks like the end of the request", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestFailedFetchesBackOff(t *testing.T) {
	a := newKey(t, "a", token.ES256)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var asked []string
		down := true
		r := bubble(t, jwks.Config{}, func(*http.Request) (*http.Response, error) {
			asked = append(asked, time.Since(start).String())
			if down {
				return nil, errors.New("connection refused")
			}
			return answer(keySet(t, a))
		})
		raw := sign(t, a)
		for time.Since(start) < 2*time.Minute {
			wantError(t, verify(r, raw), token.ErrKeysUnavailable)
			time.Sleep(100 * time.Millisecond)
		}
		if got, want := fmt.Sprint(asked), "[0s 1s 3s 7s 15s 31s 1m1s 1m31s]"; got != want {
			t.Errorf("asked at %s, want %s", got, want)
		}
		down = false
		time.Sleep(time.Minute)
		wantError(t, verify(r, raw), nil)

		// After a success it begins with a second again.
		down, asked = true, nil
		time.Sleep(time.Hour)
		start = time.Now()
		for time.Since(start) < 10*time.Second {
			wantError(t, verify(r, raw), nil)
			time.Sleep(100 * time.Millisecond)
		}
		if got, want := fmt.Sprint(asked), "[0s 1s 3s 7s]"; got != want {
			t.Errorf("asked at %s, want %s", got, want)
		}
	})
}

func TestKeysAreRenewedOnTime(t *testing.T) {
	a := newKey(t, "a", token.ES256)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var asked []string
		r := bubble(t, jwks.Config{}, func(*http.Request) (*http.Response, error) {
			asked = append(asked, time.Since(start).String())
			return answer(keySet(t, a))
		})
		for time.Since(start) < 35*time.Minute {
			wantError(t, verify(r, sign(t, a)), nil)
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		if got, want := fmt.Sprint(asked), "[0s 10m0s 20m0s 30m0s]"; got != want {
			t.Errorf("asked at %s, want %s", got, want)
		}
	})
}

func TestAPanicOfATransportIsAnOutage(t *testing.T) {
	for name, f := range map[string]transport{
		"it panics":             func(*http.Request) (*http.Response, error) { panic("hunter2") },
		"it returns nothing":    func(*http.Request) (*http.Response, error) { return nil, nil },
		"its answer has no end": func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			r := bubble(t, jwks.Config{}, f)
			wantError(t, verify(r, unknown(t)), token.ErrKeysUnavailable)
			jwks.Settle(r)
		})
	}
}
