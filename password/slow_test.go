package password_test

import (
	"encoding/binary"
	"math/bits"

	"golang.org/x/crypto/blake2b"
)

type block [128]uint64

// slowArgon2id is Argon2id version 0x13 as RFC 9106, section 3 has it, with secret and associated data, written
// to be compared with the RFC and not to be fast.
func slowArgon2id(password, salt, secret, data []byte, passes, memory, lanes, tagLen uint32) []byte {
	// 3.2: H_0.
	le := binary.LittleEndian
	var in []byte
	for _, v := range []uint32{lanes, tagLen, memory, passes, 0x13, 2} {
		in = le.AppendUint32(in, v)
	}
	for _, s := range [][]byte{password, salt, secret, data} {
		in = append(le.AppendUint32(in, uint32(len(s))), s...)
	}
	h0 := blake2b.Sum512(in)

	columns := memory / (4 * lanes) * 4
	segment := columns / 4
	b := make([][]block, lanes)
	for lane := range b {
		b[lane] = make([]block, columns)
		for col := range uint32(2) {
			seed := le.AppendUint32(le.AppendUint32(append([]byte(nil), h0[:]...), col), uint32(lane))
			for i, raw := 0, variableHash(seed, 1024); i < 128; i++ {
				b[lane][col][i] = le.Uint64(raw[8*i:])
			}
		}
	}

	for pass := range passes {
		for slice := range uint32(4) {
			for lane := range lanes {
				// 3.4.1.2: addresses independent of the data in the first half of the first pass.
				independent := pass == 0 && slice < 2
				var address block
				for index := range segment {
					col := slice*segment + index
					if independent && index%128 == 0 {
						z := block{uint64(pass), uint64(lane), uint64(slice), uint64(lanes * columns), uint64(passes), 2, uint64(index/128 + 1)}
						inner := compress(&block{}, &z)
						address = compress(&block{}, &inner)
					}
					if pass == 0 && col < 2 {
						continue
					}
					previous := (col + columns - 1) % columns
					pseudo := b[lane][previous][0]
					if independent {
						pseudo = address[index%128]
					}
					j1, j2 := uint64(uint32(pseudo)), uint32(pseudo>>32)

					// 3.4.1.3: which block that refers to.
					from := j2 % lanes
					if pass == 0 && slice == 0 {
						from = lane
					}
					var size, start uint32
					if pass == 0 {
						size = slice * segment
					} else {
						size, start = 3*segment, (slice+1)%4*segment
					}
					switch {
					case from == lane:
						size += index - 1
					case index == 0:
						size--
					}
					x := j1 * j1 >> 32
					y := uint64(size) * x >> 32
					ref := (start + uint32(uint64(size)-1-y)) % columns

					out := compress(&b[lane][previous], &b[from][ref])
					if pass > 0 {
						for i := range out {
							out[i] ^= b[lane][col][i]
						}
					}
					b[lane][col] = out
				}
			}
		}
	}

	final := make([]byte, 1024)
	for i := range 128 {
		var v uint64
		for lane := range b {
			v ^= b[lane][columns-1][i]
		}
		le.PutUint64(final[8*i:], v)
	}
	return variableHash(final, tagLen)
}

// variableHash is H' of section 3.3.
func variableHash(in []byte, size uint32) []byte {
	in = append(binary.LittleEndian.AppendUint32(nil, size), in...)
	if size <= 64 {
		h, _ := blake2b.New(int(size), nil)
		h.Write(in)
		return h.Sum(nil)
	}
	var out []byte
	v := blake2b.Sum512(in)
	for size-uint32(len(out)) > 64 {
		out = append(out, v[:32]...)
		if left := size - uint32(len(out)); left <= 64 {
			h, _ := blake2b.New(int(left), nil)
			h.Write(v[:])
			return h.Sum(out)
		}
		v = blake2b.Sum512(v[:])
	}
	return out
}

// compress is G of section 3.5, with the permutation P of section 3.6 over rows and then columns.
func compress(x, y *block) block {
	var r block
	for i := range r {
		r[i] = x[i] ^ y[i]
	}
	q := r
	for row := range 8 {
		var at [16]int
		for i := range at {
			at[i] = 16*row + i
		}
		permute(&q, at)
	}
	for col := range 8 {
		var at [16]int
		for i := range at {
			at[i] = 16*(i/2) + 2*col + i%2
		}
		permute(&q, at)
	}
	for i := range q {
		q[i] ^= r[i]
	}
	return q
}

func permute(q *block, at [16]int) {
	gb := func(i, j, k, l int) {
		a, b, c, d := &q[at[i]], &q[at[j]], &q[at[k]], &q[at[l]]
		mix := func(x, y uint64) uint64 { return x + y + 2*uint64(uint32(x))*uint64(uint32(y)) }
		*a = mix(*a, *b)
		*d = bits.RotateLeft64(*d^*a, -32)
		*c = mix(*c, *d)
		*b = bits.RotateLeft64(*b^*c, -24)
		*a = mix(*a, *b)
		*d = bits.RotateLeft64(*d^*a, -16)
		*c = mix(*c, *d)
		*b = bits.RotateLeft64(*b^*c, -63)
	}
	for _, g := range [8][4]int{{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15}, {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14}} {
		gb(g[0], g[1], g[2], g[3])
	}
}
