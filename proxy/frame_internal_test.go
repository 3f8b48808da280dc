package proxy

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/tokenjar/tokenjar/internal/stress"
)

// However frames are cut into pieces, it is known where one ends.
func TestTheEndOfAFrameIsKnownHoweverItIsCut(t *testing.T) {
	stress.Seeds(t, 300, func(seed uint64, rng *rand.Rand) {
		var all []byte
		borders := map[int]bool{0: true}
		for range 1 + rng.IntN(8) {
			size := []int{0, 1, 2, 125, 126, 127, 300, 65535, 65536}[rng.IntN(9)]
			if size < 300 && rng.IntN(2) == 0 {
				size = rng.IntN(300)
			}
			all = append(all, randomFrame(rng, size)...)
			borders[len(all)] = true
		}
		var f frames
		for at := 0; at < len(all); {
			step := 1 + rng.IntN(min(len(all)-at, 1+rng.IntN(2000)))
			piece := all[at : at+step]
			if n := f.rest(piece); n < step {
				if !borders[at+n] {
					t.Fatalf("at %d: the frame ends after %d bytes, which is no border", at, n)
				}
				for cut := at; cut < at+n; cut++ {
					if borders[cut] && !(cut == at && f.between()) {
						t.Fatalf("at %d: a border at %d was passed over", at, cut)
					}
				}
			}
			f.pass(piece)
			at += step
			if f.between() != borders[at] {
				t.Fatalf("at %d: between is %v", at, f.between())
			}
		}
	})
}

func randomFrame(rng *rand.Rand, size int) []byte {
	head := []byte{byte(rng.Uint32()), byte(rng.Uint32()) & 0x80}
	form := rng.IntN(3) // also longer forms than needed: nobody's to correct here
	switch {
	case size > 65535 || form == 2:
		head[1] |= 127
		head = binary.BigEndian.AppendUint64(head, uint64(size))
	case size > 125 || form == 1:
		head[1] |= 126
		head = binary.BigEndian.AppendUint16(head, uint16(size))
	default:
		head[1] |= byte(size)
	}
	if head[1]&0x80 != 0 {
		head = append(head, 1, 2, 3, 4)
	}
	payload := make([]byte, size)
	for i := range min(len(payload), 100) {
		payload[i] = byte(rng.Uint32())
	}
	return append(head, payload...)
}

// What is copied is the same, and only what is large is copied through a large buffer.
func TestPumpCopiesEverything(t *testing.T) {
	stress.Seeds(t, 50, func(seed uint64, rng *rand.Rand) {
		var want bytes.Buffer
		src := pieces{rng: rng, left: 20, all: &want}
		var got bytes.Buffer
		if n, err := pump(&got, &src); err != nil || int(n) != want.Len() || !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Fatalf("%d of %d bytes, %v", got.Len(), want.Len(), err)
		}
	})
}

// A frame whose length nobody could send is followed for as long as it is sent.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5}, uint8(3))
	f.Add([]byte{0x81, 0x7e, 0, 2, 'o', 'k', 0x88, 2, 3, 232}, uint8(1))
	f.Fuzz(func(t *testing.T, all []byte, step uint8) {
		var whole, cut frames
		whole.pass(all)
		for rest := all; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			if own := cut.rest(rest[:n]); own > n {
				t.Fatalf("%d of %d bytes", own, n)
			}
			cut.pass(rest[:n])
			rest = rest[n:]
		}
		if whole.left != cut.left || whole.have != cut.have {
			t.Fatalf("in one piece %+v, in pieces %+v", whole, cut)
		}
	})
}

// pieces is a reader of random pieces.
type pieces struct {
	rng  *rand.Rand
	left int
	all  *bytes.Buffer
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.left--; p.left < 0 {
		return 0, io.EOF
	}
	n := p.rng.IntN(len(b) + 1)
	if p.rng.IntN(2) == 0 {
		n = len(b)
	}
	for i := range b[:n] {
		b[i] = byte(i) ^ byte(p.left)
	}
	p.all.Write(b[:n])
	return n, nil
}
