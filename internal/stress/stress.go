// Package stress says how long tests of races go on. TOKENJAR_STRESS multiplies what every run does (1 by default; make
// stress sets 100). Every run has seeds of its own; TOKENJAR_SEED repeats the one that a failure printed.
package stress

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Times returns how often to do what an ordinary run does n times.
func Times(t testing.TB, n int) int {
	t.Helper()
	return n * int(number(t, "TOKENJAR_STRESS", 1))
}

// Seed returns a seed that no run has had before, or that of TOKENJAR_SEED, and logs it: a test that fails prints it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := number(t, "TOKENJAR_SEED", 1+rand.Uint64N(1<<31))
	t.Logf("to begin with the same seed: TOKENJAR_SEED=%d go test -run '^%s$'", seed, t.Name())
	return seed
}

// Seeds runs a case with each of n seeds, or n times TOKENJAR_STRESS, and stops at the first that fails, saying how to
// repeat it. The case must decide everything by its random numbers.
func Seeds(t testing.TB, n int, run func(seed uint64, rng *rand.Rand)) {
	t.Helper()
	if Race {
		n = max(n/25, 1) // make test does all of them without it
	}
	first, n := Seed(t), Times(t, n)
	if os.Getenv("TOKENJAR_SEED") != "" {
		n = 1
	}
	for seed := first; seed < first+uint64(n); seed++ {
		one(t, seed, run)
	}
}

func one(t testing.TB, seed uint64, run func(uint64, *rand.Rand)) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Fatalf("to repeat this one: TOKENJAR_SEED=%d go test -run '^%s$'", seed, t.Name())
		}
	}()
	run(seed, rand.New(rand.NewPCG(seed, seed)))
}

func number(t testing.TB, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		t.Fatalf("%s is %q, but must be a number of at least 1", name, text)
	}
	return n
}
