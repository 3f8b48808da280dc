package password_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/tokenjar/tokenjar/password"
)

func newHasher(t testing.TB, cfg password.Config) *password.Hasher {
	t.Helper()
	h, err := password.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// work is one call of the key derivation.
type work struct {
	memory, time uint32
	threads      uint8
	password     string
}

func (w work) total() int { return int(w.memory) * int(w.time) }

// record replaces the derivation of h with a cheap stand-in and returns what it was asked to do.
func record(h *password.Hasher) *[]work {
	var calls []work
	h.Derive(func(pw, salt []byte, memory, time uint32, threads uint8, keyLen uint32) []byte {
		calls = append(calls, work{memory, time, threads, string(pw)})
		return cheapTag(pw, salt, keyLen)
	})
	return &calls
}

func cheapTag(pw, salt []byte, keyLen uint32) []byte {
	return argon2.IDKey(pw, salt, 1, 8, 1, keyLen)
}

func total(calls []work) (n int) {
	for _, w := range calls {
		n += w.total()
	}
	return n
}

func TestRealHash(t *testing.T) {
	h := newHasher(t, password.Config{})
	phc, err := h.Hash(t.Context(), "kettle-orbit")
	if err != nil {
		t.Fatal(err)
	}
	var salt, tag string
	if n, err := fmt.Sscanf(strings.ReplaceAll(phc, "$", " "), " argon2id v=19 m=19456,t=2,p=1 %s %s", &salt, &tag); n != 2 {
		t.Fatalf("got %q, want $argon2id$v=19$m=19456,t=2,p=1$salt$tag: %v", phc, err)
	}
	rawSalt, _ := base64.RawStdEncoding.DecodeString(salt)
	rawTag, _ := base64.RawStdEncoding.DecodeString(tag)
	if want := argon2.IDKey([]byte("kettle-orbit"), rawSalt, 2, 19456, 1, 32); len(rawSalt) != 16 || !bytes.Equal(rawTag, want) {
		t.Errorf("got a salt of %d bytes and tag %x, want 16 and %x", len(rawSalt), rawTag, want)
	}
	if res, err := h.Verify(t.Context(), phc, "kettle-orbit"); err != nil || res != (password.Result{OK: true}) {
		t.Errorf("right password: got %+v, %v, want OK without rehash", res, err)
	}
	if res, err := h.Verify(t.Context(), phc, "kettle-orbiT"); err != nil || res != (password.Result{}) {
		t.Errorf("wrong password: got %+v, %v, want not OK", res, err)
	}
	if again, _ := h.Hash(t.Context(), "kettle-orbit"); again == phc {
		t.Error("two hashes of one password are equal: the salt is not random")
	}
}

// The encoded hashes are those of the reference implementation's own test (github.com/P-H-C/phc-winner-argon2,
// src/test.c, Argon2id version 0x13).
func TestReferenceVectors(t *testing.T) {
	h := newHasher(t, password.Config{})
	for _, phc := range []string{
		"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
		"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
	} {
		if res, err := h.Verify(t.Context(), phc, "password"); err != nil || res != (password.Result{OK: true, Rehash: true}) {
			t.Errorf("%s: got %+v, %v, want OK with rehash", phc, res, err)
		}
	}
}

// The test vector of RFC 9106, section 5.3, uses a secret and associated data, which PHC strings and x/crypto do not
// have. So it is run through a slow Argon2id written here from the RFC alone, which is then compared with our hashes.
func TestRFC9106Vector(t *testing.T) {
	got := slowArgon2id(bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 16), bytes.Repeat([]byte{3}, 8), bytes.Repeat([]byte{4}, 12), 3, 32, 4, 32)
	const want = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
	if fmt.Sprintf("%x", got) != want {
		t.Fatalf("RFC 9106, 5.3: got %x, want %s", got, want)
	}
	h := newHasher(t, password.Config{})
	for _, c := range []struct {
		memory, time uint32
		threads      uint8
		keyLen       uint32
	}{{8, 1, 1, 16}, {33, 2, 1, 32}, {64, 3, 2, 32}, {100, 1, 3, 64}} {
		salt := []byte("salt of the row")
		tag := slowArgon2id([]byte("kettle\x00orbit"), salt, nil, nil, c.time, c.memory, uint32(c.threads), c.keyLen)
		phc := fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", c.memory, c.time, c.threads,
			base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(tag))
		h.Derive(func(pw, salt []byte, memory, time uint32, threads uint8, keyLen uint32) []byte {
			if memory > 1000 {
				return nil // the work that evens out the time
			}
			return argon2.IDKey(pw, salt, time, memory, threads, keyLen)
		})
		if res, err := h.Verify(t.Context(), phc, "kettle\x00orbit"); err != nil || !res.OK {
			t.Errorf("%s: got %+v, %v, want OK", phc, res, err)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  password.Config
		want string // part of the error, "" for none
	}{
		{"zero value", password.Config{}, ""},
		{"the minimum spelled out", password.Config{Memory: 19456, Time: 2, Threads: 1, Slots: 1, Queue: 1}, ""},
		{"second recommendation of RFC 9106", password.Config{Memory: 65536, Time: 3, Threads: 4}, ""},
		{"memory below 19 MiB", password.Config{Memory: 19455}, "Memory"},
		{"memory beyond the maximum", password.Config{Memory: 1 << 24}, "Memory"},
		{"one pass", password.Config{Time: 1, Memory: 65536}, "Time"},
		{"too many passes", password.Config{Time: 17}, "Time"},
		{"work beyond the maximum", password.Config{Memory: 131072, Time: 5}, "Memory times Time"},
		{"too many lanes", password.Config{Threads: 17}, "Threads"},
		{"negative slots", password.Config{Slots: -1}, "Slots"},
		{"negative queue", password.Config{Queue: -1}, "Queue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := password.New(tt.cfg)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error naming %q", err, tt.want)
			}
		})
	}
	_, err := password.New(password.Config{Memory: 1, Time: 1, Slots: -1})
	for _, field := range []string{"Memory", "Time", "Slots"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want every mistake named, %s too", err, field)
		}
	}
}

func TestExactBytesAreCompared(t *testing.T) { // L-13
	h := newHasher(t, password.Config{})
	record(h)
	for _, tt := range []struct{ name, set, other string }{
		{"L-13 NUL does not cut", "kettle\x00orbit", "kettle\x00other"},
		{"L-13 NUL at the end counts", "kettle-orbit\x00", "kettle-orbit"},
		{"L-13 CR and LF count", "kettle-orbit\r\n", "kettle-orbit"},
		{"L-13 leading blank counts", " kettle-orbit", "kettle-orbit"},
		{"L-13 trailing blank counts", "kettle-orbit ", "kettle-orbit"},
		{"L-13 case counts", "Kettle-orbit", "kettle-orbit"},
		{"L-13 NFC and NFD are two passwords", "caf\u00e9-orbit", "cafe\u0301-orbit"},
		{"L-13 emoji", "orbit🦊🌵", "orbit🦊🌴"},
		{"L-13 invalid UTF-8 is not replaced", "orbit\xff\xfe", "orbit\ufffd\ufffd"},
		{"L-13 byte 73 counts, as it does not in bcrypt", strings.Repeat("k", 72) + "a", strings.Repeat("k", 72) + "b"},
		{"L-13 the last of 1024 bytes counts", strings.Repeat("k", 1023) + "a", strings.Repeat("k", 1023) + "b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			phc, err := h.Hash(t.Context(), tt.set)
			if err != nil {
				t.Fatal(err)
			}
			if res, err := h.Verify(t.Context(), phc, tt.set); err != nil || !res.OK {
				t.Errorf("same password: got %+v, %v, want OK", res, err)
			}
			if res, err := h.Verify(t.Context(), phc, tt.other); err != nil || res.OK {
				t.Errorf("other password: got %+v, %v, want not OK", res, err)
			}
		})
	}
}

func TestLengthOfPassword(t *testing.T) {
	h := newHasher(t, password.Config{})
	calls := record(h)
	for _, pw := range []string{"", strings.Repeat("k", 1025), strings.Repeat("k", 1<<20)} {
		if _, err := h.Hash(t.Context(), pw); !errors.Is(err, password.ErrLength) {
			t.Errorf("Hash of %d bytes: got %v, want ErrLength", len(pw), err)
		}
	}
	if len(*calls) != 0 {
		t.Errorf("got %d derivations for refused passwords, want none", len(*calls))
	}
	phc, _ := h.Hash(t.Context(), "k")
	for _, pw := range []string{"", strings.Repeat("k", 1025), strings.Repeat("k", 1<<20)} {
		*calls = nil
		res, err := h.Verify(t.Context(), phc, pw)
		if err != nil || res.OK || total(*calls) != 2*19456 {
			t.Errorf("Verify of %d bytes: got %+v, %v and work %d, want not OK and the work of a wrong password", len(pw), res, err, total(*calls))
		}
		if got := len((*calls)[0].password); got > password.MaxBytes {
			t.Errorf("got %d bytes hashed, want at most %d", got, password.MaxBytes)
		}
	}
	// The tag of a cut password must not let the uncut one in.
	cut, _ := h.Hash(t.Context(), strings.Repeat("k", 1024))
	if res, _ := h.Verify(t.Context(), cut, strings.Repeat("k", 1025)); res.OK {
		t.Error("a password over the limit matches the hash of its beginning")
	}
}

const (
	goodSalt = "c29tZXNhbHQ"                                 // 8 bytes
	goodTag  = "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4" // 32 bytes
)

// damaged are rows that no password matches and for which no work is done beyond that for an unknown user.
var damaged = []struct{ name, phc string }{
	{"empty", ""},
	{"blank", " "},
	{"dollars only", "$$$$$"},
	{"plain text", "kettle-orbit"},
	{"unusable password of Django", "!AbCdEf"},
	{"bcrypt", "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"},
	{"PBKDF2 of Django", "pbkdf2_sha256$600000$c2FsdA$aGFzaA"},
	{"Argon2i", "$argon2i$v=19$m=256,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"Argon2d", "$argon2d$v=19$m=256,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"Argon2id in another case", "$Argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"version 16", "$argon2id$v=16$m=256,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"no version", "$argon2id$m=256,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"something before it", "x$argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"something after it", "$argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "$" + goodTag + "$"},
	{"line break at the end", "$argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "$" + goodTag + "\n"},
	{"line break inside the tag", "$argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "$nf65EOgL\nrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
	{"truncated tag", "$argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "$nf65EOgLrQMR"},
	{"truncated before the tag", "$argon2id$v=19$m=256,t=2,p=1$" + goodSalt},
	{"empty tag", "$argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "$"},
	{"empty salt", "$argon2id$v=19$m=256,t=2,p=1$$" + goodTag},
	{"short salt", "$argon2id$v=19$m=256,t=2,p=1$c29tZQ$" + goodTag},
	{"padded base64", "$argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "=$" + goodTag},
	{"base64url", "$argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "$" + strings.ReplaceAll(goodTag, "/", "_")},
	{"spare bits in the salt", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHR$" + goodTag},
	{"memory of 16 GiB", "$argon2id$v=19$m=16777216,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"memory one above the maximum", "$argon2id$v=19$m=131073,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"memory beyond 32 bits", "$argon2id$v=19$m=4294967552,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"memory below 8 per lane", "$argon2id$v=19$m=31,t=2,p=4$" + goodSalt + "$" + goodTag},
	{"memory of zero", "$argon2id$v=19$m=0,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"passes of zero", "$argon2id$v=19$m=256,t=0,p=1$" + goodSalt + "$" + goodTag},
	{"passes without end", "$argon2id$v=19$m=256,t=4294967295,p=1$" + goodSalt + "$" + goodTag},
	{"work beyond the maximum", "$argon2id$v=19$m=131072,t=5,p=1$" + goodSalt + "$" + goodTag},
	{"lanes of zero", "$argon2id$v=19$m=256,t=2,p=0$" + goodSalt + "$" + goodTag},
	{"lanes that wrap to one", "$argon2id$v=19$m=19456,t=2,p=257$" + goodSalt + "$" + goodTag},
	{"leading zero", "$argon2id$v=19$m=0256,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"signs", "$argon2id$v=19$m=+256,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"negative", "$argon2id$v=19$m=-256,t=2,p=1$" + goodSalt + "$" + goodTag},
	{"parameters in another order", "$argon2id$v=19$t=2,m=256,p=1$" + goodSalt + "$" + goodTag},
	{"a parameter more", "$argon2id$v=19$m=256,t=2,p=1,data=AAAA$" + goodSalt + "$" + goodTag},
	{"a megabyte", "$argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "$" + strings.Repeat("A", 1<<20)},
	{"NUL after it", "$argon2id$v=19$m=256,t=2,p=1$" + goodSalt + "$" + goodTag + "\x00"},
}

func TestDamagedHashes(t *testing.T) { // L-15
	h := newHasher(t, password.Config{})
	calls := record(h)
	for _, tt := range damaged {
		t.Run("L-15 "+tt.name, func(t *testing.T) {
			for _, pw := range []string{"password", "", strings.Repeat("k", 2000)} {
				*calls = nil
				res, err := h.Verify(t.Context(), tt.phc, pw)
				if !errors.Is(err, password.ErrMalformed) || res != (password.Result{}) {
					t.Errorf("got %+v, %v, want ErrMalformed", res, err)
				}
				if got := total(*calls); got != 2*19456 {
					t.Errorf("got work %d, want %d, that of an unknown user", got, 2*19456)
				}
				if err != nil && tt.phc != "" && strings.TrimSpace(tt.phc) != "" && strings.Contains(err.Error(), tt.phc) {
					t.Errorf("the error %q holds the stored hash", err)
				}
			}
		})
	}
}

func TestRehash(t *testing.T) {
	h := newHasher(t, password.Config{Memory: 20480, Time: 3})
	record(h)
	encode := func(params string, saltLen, tagLen uint32) string {
		salt := bytes.Repeat([]byte{7}, int(saltLen))
		return "$argon2id$v=19$" + params + "$" + base64.RawStdEncoding.EncodeToString(salt) + "$" +
			base64.RawStdEncoding.EncodeToString(cheapTag([]byte("kettle"), salt, tagLen))
	}
	for _, tt := range []struct {
		name, phc string
		want      bool
	}{
		{"today's parameters", encode("m=20480,t=3,p=1", 16, 32), false},
		{"less memory", encode("m=19456,t=3,p=1", 16, 32), true},
		{"fewer passes", encode("m=20480,t=2,p=1", 16, 32), true},
		{"more lanes", encode("m=20480,t=3,p=2", 16, 32), true},
		{"more memory", encode("m=65536,t=3,p=1", 16, 32), true},
		{"shorter salt", encode("m=20480,t=3,p=1", 8, 32), true},
		{"shorter tag", encode("m=20480,t=3,p=1", 16, 16), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if res, err := h.Verify(t.Context(), tt.phc, "kettle"); err != nil || res != (password.Result{OK: true, Rehash: tt.want}) {
				t.Errorf("got %+v, %v, want OK with Rehash=%v", res, err, tt.want)
			}
			if res, err := h.Verify(t.Context(), tt.phc, "other"); err != nil || res != (password.Result{}) {
				t.Errorf("wrong password: got %+v, %v, want neither OK nor Rehash", res, err)
			}
		})
	}
}

// Work stands for time here: what takes the same work takes the same time.
func TestUnknownUsersCostTheSame(t *testing.T) { // L-02, L-03
	h := newHasher(t, password.Config{})
	calls := record(h)
	phc, _ := h.Hash(t.Context(), "kettle-orbit")
	hash := func(params string) string { return "$argon2id$v=19$" + params + "$" + goodSalt + "$" + goodTag }

	workOf := func(name string, f func() error) int {
		t.Helper()
		*calls = nil
		if err := f(); err != nil && !errors.Is(err, password.ErrMalformed) {
			t.Fatalf("%s: %v", name, err)
		}
		return total(*calls)
	}
	verify := func(phc string) func() error {
		return func() error { _, err := h.Verify(t.Context(), phc, "wrong"); return err }
	}
	nobody := func() error { return h.VerifyNobody(t.Context(), "wrong") }

	want := 2 * 19456
	for name, f := range map[string]func() error{
		"L-02 known user": verify(phc), "L-02 unknown user": nobody, "L-03 damaged row": verify("damaged"),
		"L-03 cheaper row": verify(hash("m=4096,t=3,p=1")), "L-03 far cheaper row": verify(hash("m=8,t=1,p=1")),
		"L-03 slightly cheaper row": verify(hash("m=19454,t=2,p=1")),
	} {
		if got := workOf(name, f); got < want*99/100 || got > want {
			t.Errorf("%s: got work %d, want %d", name, got, want)
		}
	}

	workOf("the first dear row", verify(hash("m=102400,t=2,p=8")))
	want = 2 * 102400
	for name, f := range map[string]func() error{
		"L-03 dearer row": verify(hash("m=102400,t=2,p=8")), "L-03 ordinary row": verify(phc), "L-03 unknown user": nobody, "L-03 damaged row": verify(""),
	} {
		if got := workOf(name, f); got < want*99/100 || got > want {
			t.Errorf("%s after a dearer row was met: got work %d, want %d", name, got, want)
		}
	}
	for _, w := range *calls {
		if w.memory > 128*1024 {
			t.Errorf("got %d KiB in one derivation, want at most the maximum", w.memory)
		}
	}
	if got := workOf("new hash", func() error { _, err := h.Hash(t.Context(), "kettle-orbit"); return err }); got != 2*19456 {
		t.Errorf("new hash: got work %d, want today's", got)
	}
}

// peak counts how many are inside at once.
type peak struct {
	mu        sync.Mutex
	now, most int
}

func (p *peak) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now++
	p.most = max(p.most, p.now)
}

func (p *peak) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now--
}

func TestAdmission(t *testing.T) { // L-14
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, password.Config{Slots: 2, Queue: 5})
		var p peak
		h.Derive(func(_, _ []byte, _, _ uint32, _ uint8, keyLen uint32) []byte {
			p.enter()
			time.Sleep(20 * time.Millisecond)
			p.leave()
			return make([]byte, keyLen)
		})
		var wg sync.WaitGroup
		var ok, busy atomic.Int32
		for range 200 {
			wg.Go(func() {
				start := time.Now()
				err := h.VerifyNobody(t.Context(), "kettle")
				var be *password.BusyError
				switch {
				case err == nil:
					ok.Add(1)
				case errors.As(err, &be):
					busy.Add(1)
					if be.RetryAfter < time.Second || be.RetryAfter > 30*time.Second || be.RetryAfter%time.Second != 0 {
						t.Errorf("got RetryAfter %v, want whole seconds from 1 to 30", be.RetryAfter)
					}
					if waited := time.Since(start); waited != 0 {
						t.Errorf("refused after %v, want at once", waited)
					}
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if p.most != 2 || ok.Load() != 7 || busy.Load() != 193 || h.Waiting() != 0 {
			t.Errorf("L-14: got %d at once, %d served, %d refused, %d left waiting, want 2, 7, 193, 0", p.most, ok.Load(), busy.Load(), h.Waiting())
		}
		if err := h.VerifyNobody(t.Context(), "kettle"); err != nil {
			t.Errorf("after the burst: got %v, want a free slot", err)
		}
	})
}

func TestOverloadLooksTheSameToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, password.Config{Slots: 1, Queue: 1})
		h.Derive(func(_, _ []byte, _, _ uint32, _ uint8, keyLen uint32) []byte {
			time.Sleep(time.Second)
			return make([]byte, keyLen)
		})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _ = h.VerifyNobody(t.Context(), "kettle") })
		}
		synctest.Wait()
		for name, f := range map[string]func() error{
			"known user": func() error {
				_, err := h.Verify(t.Context(), "$argon2id$v=19$m=19456,t=2,p=1$"+goodSalt+"$"+goodTag, "x")
				return err
			},
			"damaged row":  func() error { _, err := h.Verify(t.Context(), "damaged", "x"); return err },
			"long":         func() error { _, err := h.Verify(t.Context(), "", strings.Repeat("k", 2000)); return err },
			"unknown user": func() error { return h.VerifyNobody(t.Context(), "x") },
			"new hash":     func() error { _, err := h.Hash(t.Context(), "x"); return err },
		} {
			var be *password.BusyError
			if err := f(); !errors.As(err, &be) {
				t.Errorf("%s: got %v, want *BusyError", name, err)
			}
		}
		wg.Wait()
	})
}

func TestCancellationWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, password.Config{Slots: 1, Queue: 2})
		var hashes atomic.Int32
		h.Derive(func(_, _ []byte, _, _ uint32, _ uint8, keyLen uint32) []byte {
			hashes.Add(1)
			time.Sleep(time.Second)
			return make([]byte, keyLen)
		})
		var wg sync.WaitGroup
		wg.Go(func() { _ = h.VerifyNobody(t.Context(), "kettle") })
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := h.Hash(ctx, "kettle"); err != context.DeadlineExceeded || time.Since(start) != 100*time.Millisecond {
			t.Errorf("got %v after %v, want the deadline's error at 100ms", err, time.Since(start))
		}
		if h.Waiting() != 0 {
			t.Errorf("got %d waiting, want the place in the queue given back", h.Waiting())
		}
		wg.Wait()
		if err := h.VerifyNobody(ctx, "kettle"); err != context.DeadlineExceeded {
			t.Errorf("context already over, slot free: got %v, want its error", err)
		}
		if hashes.Load() != 1 {
			t.Errorf("got %d hashes, want 1: cancelled ones do no work", hashes.Load())
		}
	})
}

func TestSlotIsFreedAfterPanic(t *testing.T) {
	h := newHasher(t, password.Config{Slots: 1, Queue: 1})
	h.Derive(func(_, _ []byte, _, _ uint32, _ uint8, _ uint32) []byte { panic("broken") })
	func() {
		defer func() { _ = recover() }()
		_ = h.VerifyNobody(t.Context(), "kettle")
	}()
	record(h)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := h.VerifyNobody(ctx, "kettle"); err != nil {
		t.Errorf("got %v, want the slot back", err)
	}
}

func TestDefaultSlotsLeaveACore(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for procs, want := range map[int]int{1: 1, 2: 1, 4: 3} {
		runtime.GOMAXPROCS(procs)
		synctest.Test(t, func(t *testing.T) {
			h := newHasher(t, password.Config{})
			var p peak
			h.Derive(func(_, _ []byte, _, _ uint32, _ uint8, keyLen uint32) []byte {
				p.enter()
				time.Sleep(time.Millisecond)
				p.leave()
				return make([]byte, keyLen)
			})
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() { _ = h.VerifyNobody(t.Context(), "kettle") })
			}
			wg.Wait()
			if p.most != want {
				t.Errorf("GOMAXPROCS %d: got %d at once, want %d", procs, p.most, want)
			}
		})
	}
}

func FuzzPasswordHash(f *testing.F) {
	for _, d := range damaged {
		f.Add(d.phc)
	}
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$" + goodSalt + "$" + goodTag)
	f.Add("$argon2id$v=19$m=131072,t=4,p=16$" + goodSalt + "$" + goodTag)
	f.Fuzz(func(t *testing.T, phc string) {
		out, memory, passes, threads, err := password.Reencode(phc)
		if err != nil {
			if !errors.Is(err, password.ErrMalformed) {
				t.Fatalf("got %v, want ErrMalformed", err)
			}
			return
		}
		if out != phc {
			t.Fatalf("two spellings: %q and %q", phc, out)
		}
		if memory > 128*1024 || passes > 16 || threads > 16 || memory*passes > 512*1024 || memory < 8*uint32(threads) {
			t.Fatalf("%q: cost m=%d t=%d p=%d is out of bounds", phc, memory, passes, threads)
		}
	})
}

// Compare the two: everything beside the derivation is noise.
func BenchmarkHash(b *testing.B) {
	h := newHasher(b, password.Config{})
	b.Run("Hash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := h.Hash(b.Context(), "kettle-orbit-93-lamp"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("raw", func(b *testing.B) {
		b.ReportAllocs()
		salt := make([]byte, 16)
		for b.Loop() {
			binary.BigEndian.PutUint64(salt, binary.BigEndian.Uint64(salt)+1)
			argon2.IDKey([]byte("kettle-orbit-93-lamp"), salt, 2, 19456, 1, 32)
		}
	})
}

// BenchmarkBusy measures a refusal while every slot and the queue are taken.
func BenchmarkBusy(b *testing.B) {
	h := newHasher(b, password.Config{Slots: 1, Queue: 1})
	release := make(chan struct{})
	h.Derive(func(_, _ []byte, _, _ uint32, _ uint8, keyLen uint32) []byte {
		<-release
		return make([]byte, keyLen)
	})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _ = h.VerifyNobody(context.Background(), "kettle") })
	}
	for h.Waiting() == 0 {
		runtime.Gosched()
	}
	b.ReportAllocs()
	for b.Loop() {
		var be *password.BusyError
		if err := h.VerifyNobody(b.Context(), "kettle"); !errors.As(err, &be) {
			b.Fatal(err)
		}
	}
	close(release)
	wg.Wait()
}
