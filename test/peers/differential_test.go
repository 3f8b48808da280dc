package peers_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenjar/tokenjar/test/peers"
)

// The same tokens to all four libraries.
//
//	TOKENJAR_PEERS_CASES=1000000 TOKENJAR_PEERS_SEED=7 go test -run Mutations -timeout 60m -v ./...
//
// The seed is 1 unless set, so a run repeats; "random" takes another each time and prints it.

const leastCases = 100_000

// mix says which share of the cases an algorithm gets: by what its verifications and signatures cost.
var mix = []struct {
	algorithm string
	share     int
}{{"HS256", 58}, {"EdDSA", 20}, {"ES256", 12}, {"RS256", 6}, {"PS256", 3}, {"ES384", 1}}

// Two questions are asked of each token: is the signature good, and are the claims?
const (
	signature = "signature"
	claims    = "claims"
	panics    = "panics" // not a question: its classes are the libraries
)

// A row counts what became of the tokens of one class, under one of the questions.
type row struct {
	cases, accepted int            // by us
	laxer           map[string]int // we accept, this library refuses
	stricter        map[string]int // we refuse, this library accepts
	example         map[string]string
}

type report map[string]map[string]*row // by question, class

func newReport() report { return report{signature: {}, claims: {}, panics: {}} }

func (r report) row(question, class string) *row {
	found := r[question][class]
	if found == nil {
		found = &row{laxer: make(map[string]int), stricter: make(map[string]int), example: make(map[string]string)}
		r[question][class] = found
	}
	return found
}

func (r report) add(other report) {
	for question, classes := range other {
		for class, from := range classes {
			to := r.row(question, class)
			to.cases, to.accepted = to.cases+from.cases, to.accepted+from.accepted
			for name, n := range from.laxer {
				to.laxer[name] += n
			}
			for name, n := range from.stricter {
				to.stricter[name] += n
			}
			for name, raw := range from.example {
				if old := to.example[name]; old == "" || raw < old { // the same one whichever worker was first
					to.example[name] = raw
				}
			}
		}
	}
}

// ask gives one token to all and files the answers. faults are what no table can excuse.
func (r report) ask(all []peers.Library, class, raw string) (faults []error) {
	payloads, subjects := make([][]byte, len(all)), make([]string, len(all))
	good, decoded := make([]error, len(all)), make([]error, len(all))
	for i, library := range all {
		payloads[i], good[i] = library.Verify(raw)
		decoded[i] = good[i]
		// Whoever refuses the signature cannot be asked for claims, but for jwx, which has two ways to a signature.
		if good[i] == nil || library.Name() == "jwx" {
			subjects[i], decoded[i] = library.Decode(raw)
		}
		var panicked *peers.PanicError
		if errors.As(good[i], &panicked) || errors.As(decoded[i], &panicked) {
			r.row(panics, library.Name()).cases++
			if i == 0 {
				faults = append(faults, panicked)
			}
		}
	}
	r.file(all, signature, class, raw, good)
	r.file(all, claims, class, raw, decoded)
	for i, library := range all[1:] {
		if good[0] == nil && good[i+1] == nil && !bytes.Equal(bytes.TrimSpace(payloads[i+1]), bytes.TrimSpace(payloads[0])) {
			faults = append(faults, fmt.Errorf("we read the payload %q, %s %q", payloads[0], library.Name(), payloads[i+1]))
		}
		if decoded[0] == nil && decoded[i+1] == nil && subjects[i+1] != subjects[0] {
			faults = append(faults, fmt.Errorf("we read sub %q, %s %q", subjects[0], library.Name(), subjects[i+1]))
		}
	}
	return faults
}

func (r report) file(all []peers.Library, question, class, raw string, verdicts []error) {
	row := r.row(question, class)
	row.cases++
	if verdicts[0] == nil {
		row.accepted++
	}
	for i, library := range all[1:] {
		name := library.Name()
		switch verdict := verdicts[i+1]; {
		case verdicts[0] == nil && verdict != nil:
			row.laxer[name]++
			if row.example[name] == "" || raw < row.example[name] {
				row.example[name] = raw
			}
		case verdicts[0] != nil && verdict == nil:
			row.stricter[name]++
		}
	}
}

// settings reads the environment.
func settings(t *testing.T) (seed uint64, cases int) {
	t.Helper()
	seed, cases = 1, leastCases
	if text := os.Getenv("TOKENJAR_PEERS_CASES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < leastCases {
			t.Fatalf("TOKENJAR_PEERS_CASES is %q, want a number of at least %d", text, leastCases)
		}
		cases = n
	}
	switch text := os.Getenv("TOKENJAR_PEERS_SEED"); text {
	case "":
	case "random":
		seed = rand.Uint64()
	default:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("TOKENJAR_PEERS_SEED is %q, want a number or \"random\"", text)
		}
		seed = n
	}
	return seed, cases
}

func TestMutations(t *testing.T) {
	seed, cases := settings(t)
	t.Logf("%d tokens, TOKENJAR_PEERS_SEED=%d", cases, seed)

	type setup struct {
		mutator *mutator
		all     []peers.Library
	}
	var setups []setup
	var shares []int // which setup each hundredth of the cases gets
	for i, m := range mix {
		key := newKey(t, "k", m.algorithm, 1)
		other := newKey(t, "other", mix[(i+1)%len(mix)].algorithm, 2)
		setups = append(setups, setup{newMutator(t, key, other), libraries(t, key)})
		for range m.share {
			shares = append(shares, i)
		}
	}
	for _, s := range setups {
		for _, raw := range s.mutator.valid {
			for _, library := range s.all {
				if _, err := library.Decode(raw); err != nil {
					t.Fatalf("%s refuses a valid %s token: %v\n%s", library.Name(), s.mutator.key.Algorithm, err, raw)
				}
			}
		}
	}

	total := newReport()
	var next atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			mine := newReport()
			for {
				n := next.Add(1) - 1
				if n >= int64(cases) {
					break
				}
				r := rand.New(rand.NewPCG(seed, uint64(n)))
				s := setups[pick(r, shares)]
				class, raw := s.mutator.next(r)
				for _, fault := range mine.ask(s.all, class, raw) {
					t.Errorf("case %d, %s, %s: %v\n%s", n, s.mutator.key.Algorithm, class, fault, raw)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total.add(mine)
		})
	}
	wg.Wait()

	executed := 0
	for _, row := range total[signature] {
		executed += row.cases
	}
	if executed != cases {
		t.Errorf("%d tokens were tried, want %d", executed, cases)
	}
	for class, row := range total[claims] {
		if want := row.cases; taken[class] && row.accepted != want || !taken[class] && row.accepted != 0 {
			t.Errorf("%s: we accept %d of %d tokens, want all of them: %v", class, row.accepted, row.cases, taken[class])
		}
	}
	for class := range taken {
		if total[claims][class] == nil {
			t.Errorf("%s does not occur", class)
		}
	}
	for name, row := range total[panics] {
		t.Logf("%s panicked %d times, which is taken for a refusal", name, row.cases)
	}
	compare(t, total, differences(laxerTable), differences(stricterTable))
}

// A difference is one that has been looked at.
type difference struct{ question, class, library string }

// compare holds what happened against the tables, both ways, and prints it.
func compare(t *testing.T, total report, laxer, stricter map[difference]string) {
	t.Helper()
	met := make(map[difference]bool)
	var lines []string
	for _, question := range []string{signature, claims} {
		for _, class := range slices.Sorted(maps.Keys(total[question])) {
			row := total[question][class]
			for _, name := range slices.Sorted(maps.Keys(row.laxer)) {
				d := difference{question, class, name}
				met[d] = true
				if laxer[d] == "" {
					t.Errorf("we accept what %s refuses: %s, %s, %d of %d tokens, such as\n%s", name, question, class, row.laxer[name], row.cases, row.example[name])
				}
			}
			for _, name := range slices.Sorted(maps.Keys(row.stricter)) {
				d := difference{question, class, name}
				met[d] = true
				if stricter[d] == "" {
					t.Errorf("we refuse what %s accepts, and no reason is listed: %s, %s, %d of %d tokens", name, question, class, row.stricter[name], row.cases)
				}
			}
			if len(row.laxer)+len(row.stricter) > 0 {
				lines = append(lines, fmt.Sprintf("%-9s  %-60s %6d %8d   %-36s %s", question, class, row.cases, row.accepted, counts(row.stricter), counts(row.laxer)))
			}
		}
	}
	for _, table := range []map[difference]string{laxer, stricter} {
		for d := range table {
			if !met[d] {
				t.Errorf("listed, but it does not happen: %s, %s, %s", d.question, d.class, d.library)
			}
		}
	}
	t.Logf("differences\n%-9s  %-60s %6s %8s   %-36s %s\n%s", "question", "class", "tokens", "we take", "we refuse, but accepted by", "we accept, but refused by", strings.Join(lines, "\n"))
}

func counts(of map[string]int) string {
	var list []string
	names := slices.Collect(maps.Keys(of))
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
	for _, name := range names {
		list = append(list, fmt.Sprintf("%s %d", name, of[name]))
	}
	return strings.Join(list, ", ")
}

func publicJWK(key peers.Key) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public, KeyID: "k", Algorithm: key.Algorithm}
}
