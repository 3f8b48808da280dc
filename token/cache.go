package token

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar/internal/tokencache"
)

// A Cache is a [Verifier] that remembers which tokens its decoder has accepted: the same text again costs a hash and a
// comparison instead of a signature, a hundred nanoseconds instead of fifty microseconds and more, and no allocation.
//
// What it remembers is that a text is genuine and meets the decoder's demands on claims, which never change. It does not
// remember that the token was accepted: exp, nbf and iat are judged at each call, by the decoder's clock and with its
// leeways. Whatever a route demands beyond the decoder's rules, and whether the token, its session or its user have been
// revoked, is for the caller to judge at each call, as after [Decoder.Decode]. It knows nothing of routes and
// revocations.
//
//   - Only its own decoder's verdicts are in it. For another audience, or other rules, make another decoder and cache.
//   - When the keys change ([EpochKeySet]), nothing of before is found again, from the next call on.
//   - The whole text is compared. A token with one bit changed, or an ECDSA signature's twin, is verified anew.
//   - What was refused is not remembered, so that no forgery, however well formed, takes the place of a good token.
//   - Neither are tokens over 4 KiB, nor those whose exp, nbf or iat has a fraction of a second: they are verified at each
//     call.
//   - It needs at most 26 MiB and starts small; beyond, the tokens that came first go first, which is also how those without
//     exp go. It runs nothing in the background: what has expired is dropped when a token is added, once a minute.
//
// It is safe for concurrent use, and readers never wait for one another. [NewCache] makes one.
type Cache struct {
	decoder *Decoder
	keys    EpochKeySet
	known   *tokencache.Cache
	swept   atomic.Int64 // when what has expired was last dropped, in seconds since 1970
}

// sweepEvery is how often what has expired is dropped, in seconds.
const sweepEvery = 60

// NewCache makes a cache in front of d. It refuses a decoder whose [DecoderConfig.Keys] is no [EpochKeySet], because a key
// could go without the cache learning of it, and one with [DecoderConfig.InsecureIgnoreTimes], whose tokens authenticate
// nobody.
func NewCache(d *Decoder) (*Cache, error) {
	if err := d.Authenticates(); err != nil {
		return nil, err
	}
	keys, ok := d.config.Keys.(EpochKeySet)
	if !ok {
		return nil, fmt.Errorf("token: NewCache: DecoderConfig.Keys is a %T, which does not say when its keys change: "+
			"use a *Ring, a *LiveRing or another EpochKeySet", d.config.Keys)
	}
	return &Cache{decoder: d, keys: keys, known: tokencache.New()}, nil
}

// Authenticates returns nil for a cache that was made with NewCache: see [Decoder.Authenticates].
func (c *Cache) Authenticates() error {
	if c == nil || c.decoder == nil {
		return errors.New("token: a cache is required, made with NewCache")
	}
	return nil // NewCache has asked the decoder
}

// Verify answers as [Decoder.Verify] of its decoder would. A token that is found needs no key, so it does not wait for
// ctx.
func (c *Cache) Verify(ctx context.Context, raw string) (Verified, error) {
	epoch := c.keys.Epoch() // before verifying: what an old key verified is never remembered under the new ones
	if e := c.known.Find(epoch, raw); e.Found() && c.valid(e) {
		c.known.Hit()
		return recall(e), nil
	}
	c.known.Miss()
	v, w, err := c.decoder.verify(ctx, raw)
	if err != nil {
		return Verified{}, err
	}
	if w.whole && len(raw) <= tokencache.MaxToken {
		c.known.Add(epoch, tokencache.Record{Token: raw, Expires: w.ends, NotBefore: w.starts, Memo: note(raw, v)})
		c.sweep()
	}
	return v, nil
}

// valid judges the times as [Decoder.judgeTimes] does. Leeways may have fractions of a second, claims here have none: that
// now has not reached exp+leeway is the same as that the second of now-leeway is before exp.
func (c *Cache) valid(e tokencache.Entry) bool {
	now := c.decoder.config.Now()
	late, early := now, now
	if leeway := c.decoder.config.Leeway; leeway != 0 {
		late = now.Add(-leeway)
	}
	if leeway := c.decoder.config.EarlyLeeway; leeway != 0 {
		early = now.Add(leeway)
	}
	return late.Unix() < e.Expires() && early.Unix() >= e.NotBefore()
}

// sweep drops what has expired, once a minute. A clock that was set back begins a new minute.
func (c *Cache) sweep() {
	now := c.decoder.config.Now()
	seconds, last := now.Unix(), c.swept.Load()
	if passed := seconds - last; 0 <= passed && passed < sweepEvery || !c.swept.CompareAndSwap(last, seconds) {
		return
	}
	c.known.Expire(now.Add(-c.decoder.config.Leeway))
}

// The memo of a token: begin and end of its payload, length of sub, 16 bits each, little-endian; then sub and iss.
const memoHeader = 6

func note(raw string, v Verified) string {
	begin, end := payloadOf(raw)
	b := make([]byte, 0, memoHeader+len(v.subject)+len(v.issuer))
	for _, n := range []int{begin, end, len(v.subject)} {
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
	}
	b = append(b, v.subject...)
	return string(append(b, v.issuer...))
}

func recall(e tokencache.Entry) Verified {
	memo := e.Memo()
	at := func(i int) int { return int(memo[i]) | int(memo[i+1])<<8 }
	texts := memo[memoHeader:]
	v := Verified{header: e.Token()[:at(0)-1], payload: e.Token()[at(0):at(2)], subject: texts[:at(4)], issuer: texts[at(4):]}
	if e.Expires() != math.MaxInt64 {
		v.expires = time.Unix(e.Expires(), 0).UTC()
	}
	return v
}

// CacheStats is what a [Cache] counts.
type CacheStats struct {
	Hits   int64 // tokens that were found
	Misses int64 // tokens that were verified, or refused
}

// Stats returns the counts since the cache was made.
func (c *Cache) Stats() CacheStats {
	hits, misses := c.known.Counts()
	return CacheStats{Hits: hits, Misses: misses}
}
