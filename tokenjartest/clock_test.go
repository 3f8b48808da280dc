package tokenjartest_test

import (
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/tokenjartest"
)

func TestClock(t *testing.T) {
	begin := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for name, c := range map[string]*tokenjartest.Clock{
		"of the zero time": tokenjartest.NewClock(time.Time{}), "that is zero": {},
	} {
		t.Run("a clock "+name+" begins at the documented moment", func(t *testing.T) {
			if got := c.Now(); got != begin {
				t.Errorf("got %s, want %s", got, begin)
			}
			c.Advance(time.Minute)
			if got := c.Now(); got != begin.Add(time.Minute) {
				t.Errorf("got %s, want a minute later", got)
			}
		})
	}
	t.Run("it goes back as well, and to where it is set", func(t *testing.T) {
		c := tokenjartest.NewClock(begin)
		c.Advance(-time.Hour)
		if got := c.Now(); got != begin.Add(-time.Hour) {
			t.Errorf("got %s", got)
		}
		c.Set(begin.In(time.FixedZone("", 3600)))
		if got := c.Now(); got != begin || got.Location() != time.UTC {
			t.Errorf("got %s, want %s", got, begin)
		}
	})
	t.Run("it stands still, without the monotonic part of the machine's clock", func(t *testing.T) {
		now := time.Now()
		c := tokenjartest.NewClock(now)
		if got := c.Now(); got != now.Round(0).UTC() || got != c.Now() {
			t.Errorf("got %v, want %v", got, now.Round(0).UTC())
		}
	})
	t.Run("it may be moved and read from everywhere at once", func(t *testing.T) {
		c := tokenjartest.NewClock(begin)
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() { c.Advance(time.Second); c.Now() })
		}
		group.Wait()
		if got := c.Now(); got != begin.Add(100*time.Second) {
			t.Errorf("got %s", got)
		}
	})
}
