package stress_test

import (
	"math/rand/v2"
	"testing"

	"github.com/tokenjar/tokenjar/internal/stress"
)

func TestEveryRunHasSeedsOfItsOwnAndOneCanBeRepeated(t *testing.T) {
	t.Setenv("TOKENJAR_SEED", "")
	if a, b := stress.Seed(t), stress.Seed(t); a == b || a == 0 {
		t.Errorf("two runs begin with %d and %d", a, b)
	}
	seeds := make(map[uint64]bool)
	stress.Seeds(t, 10, func(seed uint64, _ *rand.Rand) { seeds[seed] = true })
	if want := stress.Times(t, 10); len(seeds) != want && !stress.Race {
		t.Errorf("%d seeds, want %d", len(seeds), want)
	}
	t.Setenv("TOKENJAR_SEED", "4711")
	var first, again []uint64
	for _, numbers := range []*[]uint64{&first, &again} {
		stress.Seeds(t, 10, func(seed uint64, rng *rand.Rand) { *numbers = append(*numbers, seed, rng.Uint64()) })
	}
	if len(first) != 2 || first[0] != 4711 || again[1] != first[1] {
		t.Errorf("the one that was asked for gave %d, and then %d", first, again)
	}
}
