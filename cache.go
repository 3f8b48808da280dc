package tokenjar

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// The cache of verified access tokens. A public-key signature costs fifty to a hundred microseconds; finding out that
// the same text was verified before costs about a hundred nanoseconds. Its rules:
//
//   - It remembers that a text was genuine, and what it says; never that it was accepted. Times, revocations and
//     whatever a route demands are judged on every hit. What failed is not remembered.
//   - It belongs to one decoder and one key ring. There is no way to reach an entry through another decoder, and a
//     swapped ring starts with an empty shelf.
//   - The key is the whole text: a seeded hash of its signature finds it, a comparison of every byte decides.
//   - It is bounded by construction. Texts are appended to chunks; when there are enough chunks, the oldest one goes,
//     with all that is in it. Nothing is allocated before the first token, and a chunk whose tokens have all expired
//     goes within a minute.
//   - Reading takes no lock. The collector finds no pointers in it but one for each chunk.
const (
	chunkSize = 12 << 10 // bytes; what an [Identity] that is kept keeps in memory
	maxChunks = 2048     // 24 MiB
	minSlots  = 1 << 10
	maxSlots  = 1 << 17 // 1 MiB
	slotWays  = 4       // slots in which one hash may stand
	maxCached = 4 << 10 // bytes of a token; no cookie holds more

	recordHeader = 50 // bytes, see record
)

// tokenCache remembers what one decoder has verified. Its zero value is not ready: it needs a seed.
type tokenCache struct {
	seed  maphash.Seed
	shelf atomic.Pointer[shelf]
	mu    sync.Mutex // held by writers

	_            [64]byte // what follows is written at every request, what stands before is read
	hits, misses atomic.Int64
	_            [64]byte
}

// A shelf is all that was verified with one key ring.
//
// Why reading without a lock is safe: bytes of a chunk are written once, before the slot that leads to them is stored,
// and never again. A reader loads the slot first (both are atomic, so the bytes are visible to it), then the chunk.
// If that chunk has been dropped meanwhile, the reader either still holds it, in which case it is as it ever was and the
// collector keeps it, or finds another number on the chunk in its place and takes that for a miss. Slots that lead into
// a chunk are cleared before the chunk is replaced, so a number that comes round again finds none of them.
type shelf struct {
	epoch  uint64 // of the key ring
	slots  atomic.Pointer[[]atomic.Uint64]
	chunks [maxChunks]atomic.Pointer[chunk]

	// For writers alone.
	newest  uint64 // number of the chunk that is written to; 0: none yet
	entries int    // records in all chunks
}

// A chunk holds records one after another.
type chunk struct {
	number uint64
	used   int
	count  int   // of records
	latest int64 // when the last of them expires, in seconds since 1970
	data   [chunkSize - 32]byte
}

// A record is one verified token, to be remembered. In a chunk, numbers are little-endian:
//
//	 0 hash of the session id   8 exp   16 auth_time   24 gen   32 not before, all in seconds
//	40 length of token, user id, session id; begin and end of the payload within the token: 16 bits each
//	50 token, user id, session id; then up to 7 bytes so that the next one begins at a multiple of 8
type record struct {
	session            uint64
	expires, authTime  int64 // seconds since 1970, as notBefore
	generation         int64
	notBefore          int64
	token, userID, sid string
}

func (r *record) size() int { return recordHeader + len(r.token) + len(r.userID) + len(r.sid) }

// An entry is a record found in a chunk: a view of memory that is never written again, and of which the texts are part.
type entry struct {
	head  *[recordHeader]byte
	texts string
}

func (e entry) found() bool          { return e.head != nil }
func (e entry) number(at int) uint64 { return binary.LittleEndian.Uint64(e.head[at:]) }
func (e entry) length(at int) int    { return int(binary.LittleEndian.Uint16(e.head[at:])) }
func (e entry) size() int            { return recordHeader + len(e.texts) }
func (e entry) session() uint64      { return e.number(0) }
func (e entry) generation() int64    { return int64(e.number(24)) }
func (e entry) token() string        { return e.texts[:e.length(40)] }

func (e entry) userID() string {
	begin := e.length(40)
	return e.texts[begin : begin+e.length(42)]
}

func (e entry) sessionID() string { return e.texts[e.length(40)+e.length(42):] }

// validAt judges the times as the decoder would.
func (e entry) validAt(now time.Time) bool {
	seconds := now.Unix()
	return seconds < int64(e.number(8)) && seconds >= int64(e.number(32))
}

func (e entry) identity() Identity {
	return Identity{
		UserID: e.userID(), SessionID: e.sessionID(), Generation: e.generation(),
		AuthTime: time.Unix(int64(e.number(16)), 0).UTC(), ExpiresAt: time.Unix(int64(e.number(8)), 0).UTC(),
		payload: e.texts[e.length(46):e.length(48)],
	}
}

// A slot is 0 or leads to a record: 23 bits of its hash, 29 bits of its chunk's number, 12 bits of its place in units of
// 8 bytes.
const (
	placeBits  = 12
	numberBits = 29
	numberMask = 1<<numberBits - 1
	tagShift   = placeBits + numberBits
)

func slotOf(hash, number uint64, at int) uint64 {
	return hash>>tagShift<<tagShift | (number&numberMask)<<placeBits | uint64(at)/8
}

// find returns the entry of a text that was verified with the ring of that epoch.
func (c *tokenCache) find(epoch uint64, text string) entry {
	s := c.shelf.Load()
	if s == nil || s.epoch != epoch || len(text) > maxCached {
		return entry{}
	}
	return s.find(hashTail(c.seed, text), text)
}

func (s *shelf) find(hash uint64, text string) entry {
	bucket := s.bucket(hash)
	for i := range bucket {
		slot := bucket[i].Load()
		if slot == 0 || (slot^hash)>>tagShift != 0 {
			continue
		}
		number := slot >> placeBits & numberMask
		c := s.chunks[number%maxChunks].Load()
		if c == nil || c.number&numberMask != number {
			continue
		}
		if e := c.entry(int(slot&(1<<placeBits-1)) * 8); e.token() == text {
			return e
		}
	}
	return entry{}
}

func (s *shelf) bucket(hash uint64) []atomic.Uint64 { return bucketOf(*s.slots.Load(), hash) }

func bucketOf(slots []atomic.Uint64, hash uint64) []atomic.Uint64 {
	at := hash % uint64(len(slots)/slotWays) * slotWays
	return slots[at : at+slotWays : at+slotWays]
}

func (c *chunk) entry(at int) entry {
	e := entry{head: (*[recordHeader]byte)(c.data[at:])}
	begin := at + recordHeader
	texts := c.data[begin : begin+e.length(40)+e.length(42)+e.length(44)]
	// This is what strings.Builder.String does: the bytes are never written again.
	e.texts = unsafe.String(unsafe.SliceData(texts), len(texts))
	return e
}

// hashTail hashes the end of a token, where the signature is: two that verify do not share it, and one that does not
// verify, but was given the end of one that does, only costs the comparison.
func hashTail(seed maphash.Seed, text string) uint64 {
	return maphash.String(seed, text[max(0, len(text)-64):])
}

// add remembers a token that was verified with the ring of that epoch. What does not fit is not remembered. The texts
// are copied.
func (c *tokenCache) add(epoch uint64, r record) {
	if len(r.token) > maxCached || r.size() > len(chunk{}.data) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shelf.Load()
	switch {
	case s == nil || s.epoch < epoch:
		s = &shelf{epoch: epoch}
		slots := make([]atomic.Uint64, minSlots)
		s.slots.Store(&slots)
		c.shelf.Store(s)
	case s.epoch > epoch:
		return // verified with a ring that has been replaced meanwhile
	}
	hash := hashTail(c.seed, r.token)
	if s.find(hash, r.token).found() {
		return // somebody else was faster
	}
	number, at := s.write(r, c.seed)
	put(s.bucket(hash), hash, number, at)
	if slots := len(*s.slots.Load()); s.entries > slots/2 && slots < maxSlots {
		s.grow(c.seed, 2*slots)
	}
}

// write appends a record and returns its chunk and place.
func (s *shelf) write(r record, seed maphash.Seed) (number uint64, at int) {
	c := s.chunks[s.newest%maxChunks].Load()
	if c == nil || c.used+r.size() > len(c.data) {
		s.newest++
		if s.newest&numberMask == 0 {
			s.newest++ // so that no slot is ever 0
		}
		s.drop(s.newest%maxChunks, seed)
		c = &chunk{number: s.newest}
		s.chunks[s.newest%maxChunks].Store(c)
	}
	at = c.used
	b := c.data[at : at+r.size()]
	for i, n := range []uint64{
		r.session, uint64(r.expires), uint64(r.authTime), uint64(r.generation), uint64(r.notBefore),
	} {
		binary.LittleEndian.PutUint64(b[8*i:], n)
	}
	begin, end := payloadOf(r.token)
	for i, n := range []int{len(r.token), len(r.userID), len(r.sid), begin, end} {
		binary.LittleEndian.PutUint16(b[40+2*i:], uint16(n))
	}
	rest := b[recordHeader:]
	for _, text := range []string{r.token, r.userID, r.sid} {
		rest = rest[copy(rest, text):]
	}
	c.used = min((at+r.size()+7)&^7, len(c.data))
	c.count++
	c.latest = max(c.latest, r.expires)
	s.entries++
	return c.number, at
}

// put stores the slot of a record: in a free one, or in place of the oldest.
func put(bucket []atomic.Uint64, hash, number uint64, at int) {
	var oldest *atomic.Uint64
	age := uint64(0)
	for i := range bucket {
		slot := bucket[i].Load()
		behind := (number - slot>>placeBits) & numberMask
		if slot == 0 {
			behind = math.MaxUint64
		}
		if oldest == nil || behind > age {
			oldest, age = &bucket[i], behind
		}
	}
	oldest.Store(slotOf(hash, number, at))
}

// each calls yield for each record of a chunk, with its hash and place.
func (c *chunk) each(seed maphash.Seed, yield func(hash uint64, at int)) {
	for at, n := 0, 0; n < c.count; n++ {
		e := c.entry(at)
		yield(hashTail(seed, e.token()), at)
		at += (e.size() + 7) &^ 7
	}
}

// drop forgets a chunk: first the slots that lead to it, then the chunk.
func (s *shelf) drop(index uint64, seed maphash.Seed) {
	c := s.chunks[index].Load()
	if c == nil {
		return
	}
	c.each(seed, func(hash uint64, at int) {
		bucket := s.bucket(hash)
		for i := range bucket {
			bucket[i].CompareAndSwap(slotOf(hash, c.number, at), 0)
		}
	})
	s.chunks[index].Store(nil)
	s.entries -= c.count
}

// grow makes a larger table and fills it, the oldest chunk first, so that where there is no room the newest stay.
// Readers go on with the old one until then.
func (s *shelf) grow(seed maphash.Seed, size int) {
	slots := make([]atomic.Uint64, size)
	for i := range uint64(maxChunks) {
		if c := s.chunks[(s.newest+1+i)%maxChunks].Load(); c != nil {
			c.each(seed, func(hash uint64, at int) { put(bucketOf(slots, hash), hash, c.number, at) })
		}
	}
	s.slots.Store(&slots)
}

// expire forgets the chunks in which every token has expired, and everything when nothing is left.
func (c *tokenCache) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shelf.Load()
	if s == nil {
		return
	}
	for i := range uint64(maxChunks) {
		if chunk := s.chunks[i].Load(); chunk != nil && chunk.latest <= now.Unix() {
			s.drop(i, c.seed)
		}
	}
	if s.entries == 0 {
		c.shelf.Store(nil)
	}
}
