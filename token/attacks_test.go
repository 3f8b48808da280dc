package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// Rows of the attack catalogue that are about many or large inputs, or about what a library leaves to its caller.

// sshLine is how OpenSSH writes a public key (RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4).
func sshLine(public any) string {
	wire := func(parts ...[]byte) (b []byte) {
		for _, part := range parts {
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
		}
		return b
	}
	mpint := func(n *big.Int) []byte {
		if n.BitLen()%8 == 0 {
			return append([]byte{0}, n.Bytes()...)
		}
		return n.Bytes()
	}
	name, blob := "", []byte(nil)
	switch public := public.(type) {
	case ed25519.PublicKey:
		name = "ssh-ed25519"
		blob = wire([]byte(name), public)
	case *ecdsa.PublicKey:
		name = "ecdsa-sha2-nistp256"
		point, _ := public.Bytes()
		blob = wire([]byte(name), []byte("nistp256"), point)
	case *rsa.PublicKey:
		name = "ssh-rsa"
		blob = wire([]byte(name), mpint(big.NewInt(int64(public.E))), mpint(public.N))
	}
	return name + " " + base64.StdEncoding.EncodeToString(blob)
}

func TestJ02MACUnderAnOpenSSHLine(t *testing.T) {
	for _, alg := range []token.Algorithm{token.ES256, token.EdDSA, token.RS256} {
		ring := newRing(t, newKey(t, "k", alg))
		line := sshLine(token.PublicMaterial(newKey(t, "k", alg)))
		blob, err := base64.StdEncoding.DecodeString(strings.Fields(line)[1])
		if err != nil {
			t.Fatal(err)
		}
		shapes := map[string][]byte{"line": []byte(line), "line with its end": []byte(line + "\n"), "line with a comment": []byte(line + " me@host"), "blob": blob}
		if public, ok := token.PublicMaterial(newKey(t, "k", alg)).(ed25519.PublicKey); ok {
			shapes["raw point"] = public
		}
		for name, secret := range shapes {
			t.Run(fmt.Sprintf("J-02 %s key as an OpenSSH %s", alg, name), func(t *testing.T) {
				input := b64([]byte(`{"alg":"HS256","kid":"k","typ":"at+jwt"}`)) + "." + b64(marshal(t, goodClaims(nil)))
				mac := hmac.New(sha256.New, secret)
				mac.Write([]byte(input))
				wantRefused(t, ring, input+"."+b64(mac.Sum(nil)), token.ErrSignature)
			})
		}
	}
}

// J-21: what is deep, long or of many members is refused in under 10 ms, correctly signed or not, by every reader there is.
func TestJ21SizesAreRefusedAtOnce(t *testing.T) {
	key := newKey(t, "k", token.HS256)
	ring := newRing(t, key)
	decoder := newDecoder(t, ring, nil)
	cache := newCache(t, decoder)
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d":0`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	limit := 10 * time.Millisecond
	if underRace() {
		limit *= 10
	}
	nested := func(n int) string { return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }
	for name, text := range map[string]string{
		"10k arrays deep": nested(10_000), "100k arrays deep": nested(100_000), "100k objects deep": strings.Repeat(`{"a":`, 100_000),
		"5 MB of text": `{"x":"` + strings.Repeat("x", 5<<20) + `"}`, "100k members": members(100_000), "1 MB of digits": `{"exp":` + strings.Repeat("9", 1<<20) + "}",
		"5 kB nested": nested(2500), "5 kB of members": members(500), "5 kB of braces": strings.Repeat("{", 5000), "5 kB of escapes": `{"` + strings.Repeat(`\u0061`, 800) + `":`,
	} {
		raws := []string{token.SignRaw(key, `{"alg":"HS256","kid":"k","typ":"at+jwt"}`, []byte(text)), b64([]byte(text)) + ".e30.AAAA", text}
		data, inPEM := []byte(text), []byte("-----BEGIN PUBLIC KEY-----\n"+text)
		for reader, read := range map[string]func() error{
			"token":    func() error { _, err := decoder.Decode(raws[0]); return err },
			"header":   func() error { _, err := decoder.Decode(raws[1]); return err },
			"no token": func() error { _, err := decoder.Decode(raws[2]); return err },
			"cache":    func() error { _, err := cache.Verify(t.Context(), raws[0]); return err },
			"claims":   func() error { claims, err := token.ReadClaims(data); return judgeNone(decoder, claims, err) },
			"JWK":      func() error { _, err := token.ParseKey(data); return err },
			"key set":  func() error { _, err := token.ParseKeySet(data); return err },
			"setting":  func() error { _, err := token.ParseKeys("KEY", data); return err },
			"PEM":      func() error { _, err := token.ParsePEM("", "", data); return err },
			"PEM inside": func() error {
				_, err := token.ParsePEM("", "", inPEM)
				return err
			},
		} {
			best := time.Duration(math.MaxInt64)
			for range 5 { // the machine may be busy
				start := time.Now()
				err := read()
				best = min(best, time.Since(start))
				if err == nil {
					t.Fatalf("J-21 %s as %s: accepted", name, reader)
				}
				if best < limit {
					break
				}
			}
			if best > limit {
				t.Errorf("J-21 %s as %s: refused after %v", name, reader, best)
			}
		}
	}
}

// judgeNone refuses claims that were read, since they lack everything.
func judgeNone(decoder *token.Decoder, claims token.Claims, err error) error {
	if err != nil {
		return err
	}
	return decoder.Check(claims)
}

func TestJ34EverySingleBitCounts(t *testing.T) {
	for _, alg := range allAlgorithms {
		t.Run("J-34 "+string(alg), func(t *testing.T) {
			t.Parallel()
			ring := newRing(t, newKey(t, "k", alg))
			good := mustSign(t, ring, testType, []byte(`{"iss":"i"}`))
			for at := range len(good) {
				for bit := range 8 {
					flipped := []byte(good)
					flipped[at] ^= 1 << bit
					if _, _, err := ring.Verify(string(flipped)); err == nil {
						t.Errorf("byte %d bit %d: accepted", at, bit)
					}
				}
			}
		})
	}
}

// K-17: no jti twice among a million, each of 130 bits that look like fair coins: the monobit and the runs test of NIST SP
// 800-22 over all bits, and every position of the text for itself. The bounds are five standard deviations and more: such a
// test fails a sound generator less than once in a million runs.
func TestK17IdentifiersAreUniqueAndRandom(t *testing.T) {
	encoder := newEncoder(t, newRing(t, newKey(t, "k", token.HS256)))
	const alphabet, length = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 26
	total, workers := 1_000_000, 4
	if testing.Short() || underRace() {
		total = 100_000
	}
	var mu sync.Mutex
	seen := make(map[[2]uint64]struct{}, total)
	var ones, runs int64
	var counts [length][32]int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			var ids [][2]uint64
			var ownOnes, ownRuns int64
			var own [length][32]int64
			last := int64(-1)
			for range total / workers {
				claims, err := encoder.Complete(nil, time.Minute)
				jti := claims.String("jti")
				if err != nil || len(jti) != length {
					t.Errorf("jti %q, %v", jti, err)
					return
				}
				var id [2]uint64
				for i := range length {
					value := strings.IndexByte(alphabet, jti[i])
					if value < 0 {
						t.Errorf("jti %q has a character outside base32", jti)
						return
					}
					own[i][value]++
					id[i/13] = id[i/13]<<5 | uint64(value) // 13 characters are 65 bits: one is shifted out, and may be
					for shift := 4; shift >= 0; shift-- {
						bit := int64(value >> shift & 1)
						ownOnes += bit
						if bit != last {
							ownRuns++
						}
						last = bit
					}
				}
				ids = append(ids, id)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, id := range ids {
				seen[id] = struct{}{}
			}
			ones, runs = ones+ownOnes, runs+ownRuns
			for i := range own {
				for value := range own[i] {
					counts[i][value] += own[i][value]
				}
			}
		})
	}
	wait.Wait()
	t.Logf("%d ids", total)
	if len(seen) != total {
		t.Errorf("%d different ids of %d", len(seen), total)
	}
	bits := float64(total * length * 5)
	if off := math.Abs(float64(ones)-bits/2) / math.Sqrt(bits/4); off > 6 {
		t.Errorf("monobit: %d ones of %.0f bits, %.1f standard deviations off", ones, bits, off)
	}
	if off := math.Abs(float64(runs)-bits/2) / math.Sqrt(bits/4); off > 6 {
		t.Errorf("runs: %d in %.0f bits, %.1f standard deviations off", runs, bits, off)
	}
	for i := range counts {
		for value, n := range counts[i] {
			want := float64(total) / 32
			if off := math.Abs(float64(n)-want) / math.Sqrt(want*31/32); off > 7 {
				t.Errorf("%q at place %d: %d times, %.1f standard deviations off", alphabet[value], i, n, off)
			}
		}
	}
}

// underRace reports whether the race detector slows everything down.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// C-17: a decoder and a cache take the same token again, which is what an access token is for. For a token that may be used
// once, the library gives what is needed, one jti for one token however it is spelled, and remembering it until exp is the
// caller's job.
func TestC17OneTimeUseIsTheCallersByJTI(t *testing.T) {
	ring := newRing(t, newKey(t, "k", token.ES256))
	encoder := newEncoder(t, ring)
	decoder := newDecoder(t, ring, nil)
	cache := newCache(t, decoder)
	raw, err := encoder.Encode(token.Claims{"sub": "user-1"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]time.Time{} // by jti, until exp
	useOnce := func(verifier token.Verifier, raw string) bool {
		v, err := verifier.Verify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		jti := v.Claims().String("jti")
		if _, again := used[jti]; again || jti == "" {
			return false
		}
		used[jti] = v.ExpiresAt()
		return true
	}
	if !useOnce(cache, raw) {
		t.Error("C-17 the first use was refused")
	}
	for name, again := range map[string]string{"the same text": raw, "its ECDSA twin": highSTwin(t, raw)} {
		if useOnce(cache, again) || useOnce(decoder, again) {
			t.Errorf("C-17 %s was used again", name)
		}
	}
	other, err := encoder.Encode(token.Claims{"sub": "user-1"}, time.Minute)
	if err != nil || !useOnce(cache, other) {
		t.Errorf("C-17 another token of the same user was refused: %v", err)
	}
}
