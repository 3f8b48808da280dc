package torture

import (
	"context"
	"fmt"
	"time"
)

// tryClocks compares the clocks that answers have shown: R8. Of each clock all readings together give two bounds.
func (r *run) tryClocks(ctx context.Context) error {
	for _, n := range r.nodes { // those that have issued no token yet have a Date at least
		s, err := r.live(ctx)
		if err != nil {
			return err
		}
		a, err := r.rotate(ctx, n, s)
		if err != nil {
			return err
		}
		r.noteClock(a)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := map[string]offset{}
	var order []string
	for _, o := range r.offsets {
		k, seen := known[o.clock]
		if !seen {
			order = append(order, o.clock)
			known[o.clock] = o
			continue
		}
		k.lo, k.hi = max(k.lo, o.lo), min(k.hi, o.hi)
		known[o.clock] = k
	}
	worst := time.Duration(0)
	for i, a := range order {
		for _, b := range order[i+1:] {
			apart := max(known[a].lo-known[b].hi, known[b].lo-known[a].hi)
			if worst = max(worst, apart); apart > maxSkew {
				r.fail("R8", fmt.Sprintf("%s and %s are at least %s apart", a, b, apart.Round(time.Millisecond)),
					"Tokens are refused as too early, or live longer on one node than on another.",
					"NTP on the nodes and on the database's machine; behind a proxy the Date header may be the proxy's")
			}
		}
	}
	r.pass("R8", fmt.Sprintf("%d clocks agree to within %s, as far as whole seconds tell", len(order), maxSkew),
		"that the store's clock alone decides was not tried: it would have to be set")
	r.figures("R8", map[string]float64{"clocks": float64(len(order)), "apart_at_least_ms": milliseconds(worst)})
	return nil
}
