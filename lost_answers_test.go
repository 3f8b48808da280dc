package tokenjar_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar"
)

// An honest browser's line of bad luck: with probability q the answer of a rotation is lost and the browser comes again only
// after the grace. One such loss in three rotations is made good; docs/why/rotation.md says how often that is not enough,
// and this is its formula, held against the table itself.
func TestHowOftenLostAnswersLookLikeTheft(t *testing.T) {
	const lives = 4000
	for _, q := range []float64{0.1, 0.3} {
		rng := rand.New(rand.NewPCG(11, 12))
		rotations := 0
		for range lives {
			rotations += rotationsUntilEnd(t, rng, q)
		}
		got := float64(rotations) / lives
		want := (1 + 2*q - q*q) / (q * q * (2 - q))
		if math.Abs(got-want) > 0.06*want {
			t.Errorf("q = %v: a session lives for %.1f rotations, the formula says %.1f", q, got, want)
		}
	}
}

// rotationsUntilEnd rotates a session that nobody has copied until it ends for reuse.
func rotationsUntilEnd(t *testing.T, rng *rand.Rand, q float64) int {
	t.Helper()
	hash := func(n int) tokenjar.Hash { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	timing := tokenjar.Timing{Idle: 24 * time.Hour, Absolute: 200 * 365 * 24 * time.Hour, Grace: 10 * time.Second}
	now := time.Unix(1_750_000_000, 0)
	row := tokenjar.NewSession{UserID: "ada", First: hash(1), Timing: timing}.Open(now)
	for n := 1; ; n++ {
		show := tokenjar.Rotation{UserID: "ada", Presented: hash(n), Successor: hash(n + 1), Timing: timing}
		now = now.Add(5 * time.Minute)
		v := row.Judge(show, now)
		if v.Outcome != tokenjar.OutcomeRotated {
			t.Fatalf("rotation %d: %s", n, v.Outcome)
		}
		if rng.Float64() < q { // nobody gets the answer
			now = now.Add(time.Minute)
			if v = v.Session.Judge(show, now); v.Outcome == tokenjar.OutcomeReused {
				return n
			} else if v.Outcome != tokenjar.OutcomeLateRetry {
				t.Fatalf("late retry %d: %s", n, v.Outcome)
			}
		}
		row = v.Session
		row.SuccessorSeen = true
	}
}
