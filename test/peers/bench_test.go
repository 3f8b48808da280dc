package peers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/test/peers"
)

// What tokens cost, beside the bare operation of crypto/* and beside the other libraries. All variants take turns in many
// short rounds, in another order each time, so that what the machine does besides falls on all of them; a ratio is the
// median of those of the rounds. Time is that of the thread on the processors. Printed as Markdown for docs/performance.md:
//
//	make peers-bench, or: go test -run '^$' -bench . -benchtime 1x
//
// TOKENJAR_PEERS_ROUNDS is the number of rounds, 200 unless set.

const roundTime = time.Millisecond // what one variant takes in one round

// A contender is one variant of an operation and what its rounds gave.
type contender struct {
	name  string
	run   func()
	batch int

	rounds            []float64 // ns for one operation
	bytes, allocation float64
}

func rounds(b *testing.B) int {
	text := os.Getenv("TOKENJAR_PEERS_ROUNDS")
	if text == "" {
		return 200
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("TOKENJAR_PEERS_ROUNDS is %q, want a number", text)
	}
	return n
}

// race runs the contenders in turns.
func race(b *testing.B, contenders []*contender) {
	runtime.LockOSThread() // cpuTime is that of a thread
	defer runtime.UnlockOSThread()
	for _, c := range contenders {
		c.rounds, c.batch = nil, 1
		for {
			took := min(c.once(), c.once(), c.once()) // the first ones are cold
			if took >= roundTime || c.batch >= 1<<20 {
				break
			}
			c.batch = max(c.batch+1, int(float64(c.batch)*min(10, float64(roundTime)/float64(max(1, took)))))
		}
		c.memory()
	}
	for range rounds(b) {
		for _, i := range mathrand.Perm(len(contenders)) {
			c := contenders[i]
			c.rounds = append(c.rounds, float64(c.once().Nanoseconds())/float64(c.batch))
		}
	}
}

func (c *contender) once() time.Duration {
	start := cpuTime()
	for range c.batch {
		c.run()
	}
	return cpuTime() - start
}

// memory counts what one operation allocates: the least of a few measurements, since the runtime allocates too.
func (c *contender) memory() {
	for range 3 {
		var before, after runtime.MemStats
		const times = 50
		runtime.ReadMemStats(&before)
		for range times {
			c.run()
		}
		runtime.ReadMemStats(&after)
		bytes, allocations := float64(after.TotalAlloc-before.TotalAlloc)/times, float64(after.Mallocs-before.Mallocs)/times
		if c.allocation == 0 || allocations < c.allocation {
			c.bytes, c.allocation = bytes, allocations
		}
	}
}

func (c *contender) fastest() float64 { return slices.Min(c.rounds) }
func (c *contender) median() float64  { return percentile(c.rounds, 0.5) }

// ratio compares with another contender, round by round.
func (c *contender) ratio(to *contender) string {
	list := make([]float64, len(c.rounds))
	for i := range list {
		list[i] = c.rounds[i] / to.rounds[i]
	}
	return fmt.Sprintf("%s [%s–%s]", digits(percentile(list, 0.5)), digits(percentile(list, 0.1)), digits(percentile(list, 0.9)))
}

func percentile(values []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

// digits writes a ratio: two places, one from 10 on.
func digits(v float64) string {
	if v >= 10 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// whole writes nanoseconds and bytes with commas.
func whole(v float64) string {
	text := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func printRow(cells ...string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }

func printHead(names ...string) {
	printRow(names...)
	printRow(slices.Repeat([]string{"---"}, len(names))...)
}

// rawVerify is the check of one signature with crypto/*, everything that can be prepared prepared.
func rawVerify(b *testing.B, key peers.Key, input, signature []byte) func() {
	digest := func() []byte { sum := sha256.Sum256(input); return sum[:] }
	var good func() bool
	switch public := key.Public.(type) {
	case *ecdsa.PublicKey:
		half := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
		der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			b.Fatal(err)
		}
		good = func() bool { return ecdsa.VerifyASN1(public, digest(), der) }
	case ed25519.PublicKey:
		good = func() bool { return ed25519.Verify(public, input, signature) }
	case *rsa.PublicKey:
		good = func() bool { return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest(), signature) == nil }
	case []byte:
		good = func() bool {
			mac := hmac.New(sha256.New, public)
			mac.Write(input)
			return hmac.Equal(mac.Sum(nil), signature)
		}
	}
	return func() {
		if !good() {
			b.Fatal("the bare check fails")
		}
	}
}

// rawSign makes one signature with crypto/*.
func rawSign(b *testing.B, key peers.Key, input []byte) func() {
	digest := func() []byte { sum := sha256.Sum256(input); return sum[:] }
	return func() {
		var err error
		switch private := key.Private.(type) {
		case *ecdsa.PrivateKey:
			_, err = ecdsa.SignASN1(rand.Reader, private, digest())
		case ed25519.PrivateKey:
			ed25519.Sign(private, input)
		case *rsa.PrivateKey:
			_, err = rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest())
		case []byte:
			mac := hmac.New(sha256.New, private)
			mac.Write(input)
			mac.Sum(nil)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// benchClaims are what an access token of ours holds, beside what Sign adds: nine claims in all.
var benchClaims = map[string]any{"sub": "0198a1b2-user-ada", "sid": "01JQ5T7W9Z", "scp": []string{"read", "write"}}

// contenders of verifying and of signing: crypto/* first, then our signature alone, then the whole of every library.
func contenders(b *testing.B, key peers.Key) (verify, sign []*contender) {
	all, err := peers.Libraries(key, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	ours := all[0].(*peers.Tokenjar)
	signed, err := ours.Sign(benchClaims)
	if err != nil {
		b.Fatal(err)
	}
	dot := strings.LastIndexByte(signed, '.')
	input, payload := []byte(signed[:dot]), split(signed)[1]
	signature, err := base64.RawURLEncoding.DecodeString(signed[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	claims, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		b.Fatal(err)
	}
	fatal := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	verify = []*contender{
		{name: "crypto/*", run: rawVerify(b, key, input, signature)},
		{name: "tokenjar, signature", run: func() { _, err := ours.Verify(signed); fatal(err) }},
	}
	sign = []*contender{
		{name: "crypto/*", run: rawSign(b, key, input)},
		{name: "tokenjar, signature", run: func() { _, err := ours.Ring.Sign(peers.Type, claims); fatal(err) }},
	}
	for _, library := range all {
		verify = append(verify, &contender{name: library.Name(), run: func() { _, err := library.Decode(signed); fatal(err) }})
		sign = append(sign, &contender{name: library.Name(), run: func() { _, err := library.Sign(benchClaims); fatal(err) }})
	}
	return verify, sign
}

func BenchmarkTokens(b *testing.B) {
	for b.Loop() {
		var names []string
		all := make(map[string][]*contender)
		for _, algorithm := range []string{"ES256", "EdDSA", "RS256", "HS256"} {
			verify, sign := contenders(b, newKey(b, "k", algorithm, 1))
			race(b, verify)
			race(b, sign)
			all["verify "+algorithm], all["sign "+algorithm] = verify, sign
		}
		for _, operation := range []string{"verify", "sign"} {
			for _, algorithm := range []string{"ES256", "EdDSA", "RS256", "HS256"} {
				names = append(names, operation+" "+algorithm)
			}
		}
		columns := []string{""}
		for _, c := range all[names[0]] {
			columns = append(columns, c.name)
		}
		table := func(title string, columns []string, from int, cell func(c, raw *contender) string) {
			fmt.Printf("\n%s\n\n", title)
			printHead(columns...)
			for _, name := range names {
				cells := []string{name}
				for _, c := range all[name][from:] {
					cells = append(cells, cell(c, all[name][0]))
				}
				printRow(cells...)
			}
		}
		table(fmt.Sprintf("Times the bare operation: median of %d rounds [10th–90th percentile]", rounds(b)),
			slices.Concat(columns[:1], columns[2:]), 1, func(c, raw *contender) string { return c.ratio(raw) })
		table("Nanoseconds: fastest round · median", columns, 0, func(c, _ *contender) string {
			return whole(c.fastest()) + " · " + whole(c.median())
		})
		table("Bytes · allocations", columns, 0, func(c, _ *contender) string {
			return whole(c.bytes) + " · " + whole(c.allocation)
		})
	}
}

// BenchmarkFlood is what a flood of malformed tokens costs. The others are given the key, not a set of keys, so they check
// the signature of a token with an unknown kid.
func BenchmarkFlood(b *testing.B) {
	key := newKey(b, "k", "ES256", 1)
	all, err := peers.Libraries(key, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	good, err := all[0].Sign(benchClaims)
	if err != nil {
		b.Fatal(err)
	}
	parts := split(good)
	unknown, err := libraries(b, newKey(b, "unknown", "ES256", 2))[0].Sign(benchClaims)
	if err != nil {
		b.Fatal(err)
	}
	quoted, err := json.Marshal(good)
	if err != nil {
		b.Fatal(err)
	}
	flood := []struct{ name, raw string }{
		{"random text, 40 bytes", "q3Zk8Pq0XwT5vN2mR7yLsA1dF6gH9jKcB4uEiOoW"},
		{"dots, 8 KiB", strings.Repeat(".", 8<<10)},
		{"oversized, 64 KiB", parts[0] + "." + strings.Repeat("A", 64<<10) + "." + parts[2]},
		{"JSON string", string(quoted)},
		{"header no JSON", b64(`{"alg":"ES256","kid":`) + "." + parts[1] + "." + parts[2]},
		{"alg none", b64(`{"alg":"none"}`) + "." + parts[1] + "."},
		{"alg of another key", b64(`{"alg":"HS256","kid":"k","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2]},
		{"signature too short", good[:len(good)-2]},
		{"unknown kid, well formed", unknown},
	}
	for b.Loop() {
		fmt.Printf("\nMalformed tokens, nanoseconds: fastest round · median\n\n")
		columns := []string{""}
		for _, library := range all {
			columns = append(columns, library.Name())
		}
		printHead(columns...)
		for _, f := range flood {
			var variants []*contender
			for _, library := range all {
				variants = append(variants, &contender{name: library.Name(), run: func() {
					if _, err := library.Decode(f.raw); err == nil {
						b.Fatalf("%s accepts %s", library.Name(), f.name)
					}
				}})
			}
			race(b, variants)
			cells := []string{f.name}
			for _, c := range variants {
				cells = append(cells, whole(c.fastest())+" · "+whole(c.median()))
			}
			printRow(cells...)
		}
	}
}
