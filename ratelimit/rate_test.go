package ratelimit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/ratelimit"
)

func TestParseRate(t *testing.T) {
	for s, want := range map[string]ratelimit.Rate{
		"5/m":       {Burst: 5, Per: time.Minute},
		"1/s":       {Burst: 1, Per: time.Second},
		"1000000/h": {Burst: 1_000_000, Per: time.Hour},
		"20/d":      {Burst: 20, Per: 24 * time.Hour},
	} {
		got, err := ratelimit.ParseRate(s)
		if err != nil || got != want {
			t.Errorf("%q: got %+v and %v, want %+v", s, got, err, want)
		}
		if got.String() != s {
			t.Errorf("%q is written %q", s, got)
		}
		if _, err := ratelimit.New(ratelimit.Config{PerAccount: got, PerAddress: got}); err != nil {
			t.Errorf("%q is no limit: %v", s, err)
		}
	}
	for _, s := range []string{
		"", "off", "0", "5", "/", "/m", "5/", "0/m", "-5/m", "+5/m", "05/m", "5/M", "5/min", "5/m ", " 5/m", "5 /m", "5/ m",
		"5/m/m", "1.5/m", "1e3/m", "0x5/m", "1_000/m", "1000001/m", "99999999999999999999/m", "٥/m", "5/w", "5/60s", "5/m\n", "5/m\x00",
	} {
		got, err := ratelimit.ParseRate(s)
		if err == nil || got != (ratelimit.Rate{}) || !strings.Contains(err.Error(), "such as 5/m") {
			t.Errorf("%q: got %+v and %v, want a refusal that says what to write", s, got, err)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	f.Add("5/m")
	f.Add("0/d")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ratelimit.ParseRate(s); err == nil && r.String() != s {
			t.Errorf("%q is written %q: it has two spellings", s, r)
		}
	})
}

func TestRatesAndSizesOutOfBoundsAreRefused(t *testing.T) {
	for name, cfg := range map[string]ratelimit.Config{
		"account":       {PerAccount: ratelimit.Rate{Burst: 0, Per: time.Minute}},
		"address":       {PerAddress: ratelimit.Rate{Burst: -1, Per: time.Minute}},
		"too many":      {PerAddress: ratelimit.Rate{Burst: 1_000_001, Per: time.Hour}},
		"no time":       {PerAccount: ratelimit.Rate{Burst: 5}},
		"negative time": {PerAccount: ratelimit.Rate{Burst: 5, Per: -time.Minute}},
		"short time":    {PerAccount: ratelimit.Rate{Burst: 5, Per: time.Second - 1}},
		"long time":     {PerAccount: ratelimit.Rate{Burst: 5, Per: 24*time.Hour + 1}},
		"MaxKeys":       {MaxKeys: -1},
		"MaxKeys, high": {MaxKeys: 1<<24 + 1},
	} {
		if _, err := ratelimit.New(cfg); err == nil {
			t.Errorf("%s: %+v was taken", name, cfg)
		}
	}
}
