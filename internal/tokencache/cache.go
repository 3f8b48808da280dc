// Package tokencache remembers the texts of tokens that were verified. A public-key signature costs fifty to a hundred
// microseconds; finding out that the same text was verified before costs about a hundred nanoseconds. Its rules:
//
//   - It remembers that a text was genuine, and a memo of what it says; never that it was accepted. Times, revocations and
//     whatever a route demands are judged on every hit, by the caller. What failed is not given to it.
//   - A [Cache] belongs to one decoder and one key ring. There is no way to reach an entry through another decoder, and a
//     swapped ring, which has another epoch, starts with an empty shelf.
//   - The key is the whole text: a seeded hash of its signature finds it, a comparison of every byte decides.
//   - It is bounded by construction. Texts are appended to chunks; when there are enough chunks, the oldest one goes,
//     with all that is in it. Nothing is allocated before the first token, and a chunk whose tokens have all expired
//     goes with the next call of [Cache.Expire].
//   - Reading takes no lock and allocates nothing. The collector finds no pointers in it but one for each chunk.
package tokencache

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// MaxToken is the longest token in bytes that is remembered; no cookie holds more.
const MaxToken = 4 << 10

const (
	chunkSize = 12 << 10 // bytes; what an [Entry] that is kept keeps in memory
	maxChunks = 2048     // 24 MiB
	minSlots  = 1 << 10
	maxSlots  = 1 << 18 // 2 MiB
	slotWays  = 4       // slots in which one hash may stand
	roomy     = 8       // slots for each record: of so many, one token in 5,000 finds its four taken and displaces another

	recordHeader = 20 // bytes, see Record
)

// Cache remembers what one decoder has verified. It is safe for concurrent use; [New] makes one.
type Cache struct {
	seed  maphash.Seed
	shelf atomic.Pointer[shelf]
	mu    sync.Mutex // held by writers

	_      [64]byte // what follows is written at every request, what stands before is read
	misses atomic.Int64
	_      [64]byte
	hits   [stripes]counter
	_      [64]byte
}

// New returns an empty cache.
func New() *Cache { return &Cache{seed: maphash.MakeSeed()} }

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

// A Record is one verified token, to be remembered. Token and Memo are copied.
type Record struct {
	Token string

	// The token is good from NotBefore on until Expires, not at Expires itself: seconds since 1970.
	Expires, NotBefore int64

	// Memo is what the caller will want to know of the token at a hit. It means nothing here.
	Memo string
}

// In a chunk, numbers are little-endian:
//
//	 0 expires   8 not before   16 length of token   18 length of memo: 16 bits each
//	20 token, memo; then up to 7 bytes so that the next one begins at a multiple of 8
func (r *Record) size() int { return recordHeader + len(r.Token) + len(r.Memo) }

// An Entry is a record found in a chunk: a view of memory that is never written again, and of which the texts are part.
type Entry struct {
	head  *[recordHeader]byte
	texts string
}

func (e Entry) length(at int) int { return int(binary.LittleEndian.Uint16(e.head[at:])) }
func (e Entry) size() int         { return recordHeader + len(e.texts) }

// Found reports whether the entry is one. The other methods are for entries that were found.
func (e Entry) Found() bool { return e.head != nil }

// Expires returns [Record.Expires].
func (e Entry) Expires() int64 { return int64(binary.LittleEndian.Uint64(e.head[0:])) }

// NotBefore returns [Record.NotBefore].
func (e Entry) NotBefore() int64 { return int64(binary.LittleEndian.Uint64(e.head[8:])) }

// Token returns the text that was verified.
func (e Entry) Token() string { return e.texts[:e.length(16)] }

// Memo returns [Record.Memo].
func (e Entry) Memo() string { return e.texts[e.length(16):] }

// ValidAt judges the times at that moment.
func (e Entry) ValidAt(now time.Time) bool {
	seconds := now.Unix()
	return seconds < e.Expires() && seconds >= e.NotBefore()
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

// stripes is how many counters share the hits, so that processors do not wait for one another to count: each of them has
// one for itself for as long as there are not more of them.
const stripes = 64

// A counter has a line of the processors' caches to itself.
type counter struct {
	atomic.Int64
	_ [56]byte
}

// lanes hands each processor its stripe: what a sync.Pool gives back is what the same processor put there. After a
// collection a processor may get another one, which costs it nothing but the line.
var (
	lanes    = sync.Pool{New: func() any { return &lane{lastLane.Add(1) % stripes} }}
	lastLane atomic.Uint32
)

type lane struct{ stripe uint32 }

// Hit counts a token that was found. When a look counts is the caller's to say.
func (c *Cache) Hit() {
	l := lanes.Get().(*lane)
	c.hits[l.stripe].Add(1)
	lanes.Put(l)
}

// Miss counts a miss: see [Cache.Hit].
func (c *Cache) Miss() { c.misses.Add(1) }

// Counts returns how many hits and misses were counted.
func (c *Cache) Counts() (hits, misses int64) {
	for i := range c.hits {
		hits += c.hits[i].Load()
	}
	return hits, c.misses.Load()
}

// Find returns the entry of a text that was verified with the ring of that epoch.
func (c *Cache) Find(epoch uint64, text string) Entry {
	s := c.shelf.Load()
	if s == nil || s.epoch != epoch || len(text) > MaxToken {
		return Entry{}
	}
	return s.find(HashTail(c.seed, text), text)
}

func (s *shelf) find(hash uint64, text string) Entry {
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
		if e := c.entry(int(slot&(1<<placeBits-1)) * 8); e.Token() == text {
			return e
		}
	}
	return Entry{}
}

func (s *shelf) bucket(hash uint64) []atomic.Uint64 { return bucketOf(*s.slots.Load(), hash) }

func bucketOf(slots []atomic.Uint64, hash uint64) []atomic.Uint64 {
	at := hash % uint64(len(slots)/slotWays) * slotWays
	return slots[at : at+slotWays : at+slotWays]
}

func (c *chunk) entry(at int) Entry {
	e := Entry{head: (*[recordHeader]byte)(c.data[at:])}
	begin := at + recordHeader
	texts := c.data[begin : begin+e.length(16)+e.length(18)]
	// This is what strings.Builder.String does: the bytes are never written again.
	e.texts = unsafe.String(unsafe.SliceData(texts), len(texts))
	return e
}

// HashTail hashes the end of a token, where the signature is: two that verify do not share it, and one that does not
// verify, but was given the end of one that does, only costs the comparison.
func HashTail(seed maphash.Seed, text string) uint64 {
	return maphash.String(seed, text[max(0, len(text)-64):])
}

// Add remembers a token that was verified with the ring of that epoch, which must have been asked for before the token was
// verified. What does not fit, or is of an earlier ring than the newest that was seen here, is not remembered.
func (c *Cache) Add(epoch uint64, r Record) {
	if len(r.Token) > MaxToken || r.size() > len(chunk{}.data) {
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
	hash := HashTail(c.seed, r.Token)
	if s.find(hash, r.Token).Found() {
		return // somebody else was faster
	}
	number, at := s.write(r, c.seed)
	put(s.bucket(hash), hash, number, at)
	if slots := len(*s.slots.Load()); s.entries > slots/roomy && slots < maxSlots {
		s.grow(c.seed, 2*slots)
	}
}

// write appends a record and returns its chunk and place.
func (s *shelf) write(r Record, seed maphash.Seed) (number uint64, at int) {
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
	binary.LittleEndian.PutUint64(b[0:], uint64(r.Expires))
	binary.LittleEndian.PutUint64(b[8:], uint64(r.NotBefore))
	binary.LittleEndian.PutUint16(b[16:], uint16(len(r.Token)))
	binary.LittleEndian.PutUint16(b[18:], uint16(len(r.Memo)))
	copy(b[recordHeader+copy(b[recordHeader:], r.Token):], r.Memo)
	c.used = min((at+r.size()+7)&^7, len(c.data))
	c.count++
	c.latest = max(c.latest, r.Expires)
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
		yield(HashTail(seed, e.Token()), at)
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

// Expire forgets the chunks in which every token has expired, and everything when nothing is left.
func (c *Cache) Expire(now time.Time) {
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

// Forget forgets everything.
func (c *Cache) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shelf.Store(nil)
}

// Len returns how many records are held, expired ones included.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.shelf.Load(); s != nil {
		return s.entries
	}
	return 0
}
