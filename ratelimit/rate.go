package ratelimit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Rate is how many are allowed at once, and in which time as many are refilled, evenly.
type Rate struct {
	Burst int           // 1 to 1,000,000
	Per   time.Duration // 1 s to 24 h
}

const maxBurst = 1_000_000

var units = []struct {
	name string
	per  time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}}

// ParseRate reads a rate such as "5/m": a number from 1 to 1,000,000, a slash, and s, m, h or d. There is no other
// spelling, and none for "no limit".
func ParseRate(s string) (Rate, error) {
	number, unit, _ := strings.Cut(s, "/")
	for _, u := range units {
		if unit != u.name {
			continue
		}
		n, err := strconv.Atoi(number)
		r := Rate{Burst: n, Per: u.per}
		if err == nil && strconv.Itoa(n) == number && r.check() == nil { // no sign, no leading zero
			return r, nil
		}
	}
	return Rate{}, fmt.Errorf("%q is no rate: write a number from 1 to %d, a slash, and s, m, h or d, such as 5/m", s, maxBurst)
}

// String returns the rate as ParseRate reads it, if it is one of a second, minute, hour or day.
func (r Rate) String() string {
	for _, u := range units {
		if r.Per == u.per {
			return fmt.Sprintf("%d/%s", r.Burst, u.name)
		}
	}
	return fmt.Sprintf("%d/%s", r.Burst, r.Per)
}

func (r Rate) check() error {
	if r.Burst < 1 || r.Burst > maxBurst {
		return fmt.Errorf("%d at once: must be 1 to %d", r.Burst, maxBurst)
	}
	if r.Per < time.Second || r.Per > 24*time.Hour {
		return fmt.Errorf("per %s: must be 1s to 24h", r.Per)
	}
	return nil
}
