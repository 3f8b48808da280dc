package proxy

import (
	"crypto/rand"
	"encoding/binary"
)

// What must be known of WebSocket frames (RFC 6455, section 5.2) to put one of our own between two of others.

// A frames follows a stream of frames and knows where one ends. The payload is not looked at.
type frames struct {
	head [14]byte // of the frame that has begun
	have int      // bytes of it
	left uint64   // bytes of its payload that are still to come
}

// between reports whether the next byte begins a frame.
func (f *frames) between() bool { return f.have == 0 && f.left == 0 }

// pass follows what was sent.
func (f *frames) pass(b []byte) {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(b)))
			f.left -= n
			b = b[n:]
			continue
		}
		f.head[f.have] = b[0]
		f.have++
		b = b[1:]
		if size, known := f.headSize(); known && f.have == size {
			f.left = f.payloadSize()
			f.have = 0
		}
	}
}

// rest returns how many of these bytes belong to the frame that has begun.
func (f *frames) rest(b []byte) (n int) {
	ahead := *f
	for n < len(b) && !ahead.between() {
		step := 1
		if ahead.left > 0 {
			step = int(min(ahead.left, uint64(len(b)-n)))
		}
		ahead.pass(b[n : n+step])
		n += step
	}
	return n
}

// headSize returns how long the head is, once that can be told.
func (f *frames) headSize() (size int, known bool) {
	if f.have < 2 {
		return 0, false
	}
	size = 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4
	}
	return size, true
}

func (f *frames) payloadSize() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}

// Status codes of a Close frame (RFC 6455, sections 7.4.1 and 7.4.2).
const (
	closeGoingAway = 1001
	closeTryLater  = 1013
	closeSession   = 4401 // the session that opened the stream is over, or its claims have changed
)

// closeFrame returns a Close frame (RFC 6455, section 5.5.1). One to a server is masked.
func closeFrame(code uint16, reason string, masked bool) []byte {
	payload := append(binary.BigEndian.AppendUint16(nil, code), reason...)
	frame := []byte{0x88, byte(len(payload))}
	if !masked {
		return append(frame, payload...)
	}
	frame[1] |= 0x80
	var key [4]byte
	rand.Read(key[:])
	frame = append(frame, key[:]...)
	for i, c := range payload {
		frame = append(frame, c^key[i%4])
	}
	return frame
}
