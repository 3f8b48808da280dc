package tokenjar

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// The key ring signs access tokens, and them alone. It lies in the store as one box, sealed under the secret, so that
// a stolen database neither shows a private key nor lets anybody add a key of their own. The box is sealed together with
// its version: an earlier box is refused by a server that runs. Only a whole database put back as it was, rows and version,
// brings its keys back, at the next start.
//
//	next ──▶ active ──▶ retired ──▶ gone
//	            │           │
//	            └─────▶ compromised
//
// A next key is published before it signs, for twice as long as anybody may keep the key set, so that no service meets
// a signature of a key it cannot know. A retired key verifies until its last token is dead. What is compromised verifies
// nothing from then on; its id stays in the box, so that it cannot be imported again.
//
// This file is the life of keys as pure functions of a box and a time.

// KeyStatus is where a signing key is in its life.
type KeyStatus string

// The life of a key.
const (
	KeyNext        KeyStatus = "next"        // published, not yet signing
	KeyActive      KeyStatus = "active"      // signs and verifies
	KeyRetired     KeyStatus = "retired"     // verifies until its last token is dead
	KeyCompromised KeyStatus = "compromised" // verifies nothing
)

// JWKSMaxAge is how long anybody may keep the published key set before asking again.
const JWKSMaxAge = 5 * time.Minute

// keyLead is how long a key is published before it signs.
const keyLead = 2 * JWKSMaxAge

// keySlack is added to the longest life of a token before a retired key goes: the clocks of our nodes differ.
const keySlack = time.Minute

// keyBox is what is sealed. Its JSON is the stored form.
type keyBox struct {
	Keys          []boxedKey    `json:"keys"`
	LongestAccess time.Duration `json:"longest_access"` // longest access life ever issued, ns
}

type boxedKey struct {
	JWK       json.RawMessage `json:"jwk"` // with its private members, unless compromised
	Status    KeyStatus       `json:"status"`
	CreatedAt time.Time       `json:"created_at"`
	ActiveAt  time.Time       `json:"active_at,omitzero"`  // when it began to sign, or will
	RetiredAt time.Time       `json:"retired_at,omitzero"` // when it ceased to: retired or compromised

	key *token.Key // read from JWK
}

// parseKeyBox reads the stored form. Every key is checked as if it came from outside.
func parseKeyBox(plain []byte) (keyBox, error) {
	var b keyBox
	if err := json.Unmarshal(plain, &b); err != nil {
		return keyBox{}, fmt.Errorf("the key ring is damaged: %w", err)
	}
	active := 0
	for i := range b.Keys {
		k := &b.Keys[i]
		key, err := token.ParseKey(k.JWK)
		if err != nil {
			return keyBox{}, fmt.Errorf("a key of the ring: %w", err)
		}
		k.key = key
		switch k.Status {
		case KeyActive:
			active++
			if k.ActiveAt.IsZero() {
				k.ActiveAt = k.CreatedAt
			}
		case KeyNext, KeyRetired, KeyCompromised:
		default:
			return keyBox{}, fmt.Errorf("the key ring is damaged: key %s is %q", key.ID(), k.Status)
		}
	}
	if active > 1 {
		return keyBox{}, errors.New("the key ring is damaged: two keys are active")
	}
	return b, nil
}

// ring builds the ring that the box describes.
func (b *keyBox) ring() (*token.Ring, error) {
	var signing *token.Key
	var verifying []*token.Key
	for _, k := range b.Keys {
		switch k.Status {
		case KeyActive:
			signing = k.key
		case KeyNext, KeyRetired:
			verifying = append(verifying, k.key.Public())
		}
	}
	return token.NewRing(signing, verifying...)
}

// find returns the key of an id.
func (b *keyBox) find(id string) *boxedKey {
	for i := range b.Keys {
		if b.Keys[i].key.ID() == id {
			return &b.Keys[i]
		}
	}
	return nil
}

// first returns a key of a status: the active one, or the next one that signs first.
func (b *keyBox) first(status KeyStatus) *boxedKey {
	var found *boxedKey
	for i := range b.Keys {
		if k := &b.Keys[i]; k.Status == status && (found == nil || k.ActiveAt.Before(found.ActiveAt)) {
			found = k
		}
	}
	return found
}

// add puts a key into the box as a next one that signs from a time on; from now on, it is the active one.
func (b *keyBox) add(key *token.Key, now, from time.Time) error {
	for _, k := range b.Keys {
		// By material as well: under another id a compromised key would be as good as new.
		if k.key.ID() == key.ID() || k.key.Thumbprint() == key.Thumbprint() {
			return fmt.Errorf("the ring has this key, or had it, as %s: %w", k.key.ID(), ErrConflict)
		}
	}
	jwk, err := key.MarshalPrivate()
	if err != nil {
		return err
	}
	b.Keys = append(b.Keys, boxedKey{JWK: jwk, Status: KeyNext, CreatedAt: now, ActiveAt: from, key: key})
	b.advance(now)
	return nil
}

// generate adds a new key.
func (b *keyBox) generate(alg token.Algorithm, now, from time.Time) (*token.Key, error) {
	key, err := newSigningKey(alg)
	if err != nil {
		return nil, err
	}
	return key, b.add(key, now, from)
}

// newSigningKey makes a key whose id can be typed: one that begins with a hyphen would be taken for a flag.
func newSigningKey(alg token.Algorithm) (*token.Key, error) {
	for {
		key, err := token.GenerateKey(alg)
		if err != nil || key.ID()[0] != '-' {
			return key, err
		}
	}
}

// advance moves keys on in their lives, and reports whether any has moved. When several have been waiting beyond their
// time they sign in turn, so that the one that was due last is the active one. What a clock once far ahead has written is
// brought back to now: it must not keep a key waiting, or signing, for years.
func (b *keyBox) advance(now time.Time) (changed bool) {
	for i := range b.Keys {
		k := &b.Keys[i]
		latest := now.Add(keySlack)
		if k.Status == KeyNext {
			latest = now.Add(keyLead + keySlack)
		}
		for _, at := range []*time.Time{&k.ActiveAt, &k.RetiredAt} {
			if at.After(latest) {
				*at, changed = latest, true
			}
		}
	}
	for next := b.first(KeyNext); next != nil && !now.Before(next.ActiveAt); next = b.first(KeyNext) {
		if active := b.first(KeyActive); active != nil {
			active.Status, active.RetiredAt = KeyRetired, now
		}
		next.Status, changed = KeyActive, true
	}
	kept := b.Keys[:0]
	for _, k := range b.Keys {
		if k.Status == KeyRetired && now.After(b.goneAt(k)) {
			changed = true
			continue
		}
		kept = append(kept, k)
	}
	b.Keys = kept
	return changed
}

// goneAt is when the last token of a retired key is dead.
func (b *keyBox) goneAt(k boxedKey) time.Time { return k.RetiredAt.Add(b.LongestAccess + keySlack) }

// compromise makes a key verify nothing, and has another one sign if it was the active one.
func (b *keyBox) compromise(id string, now time.Time) error {
	k := b.find(id)
	if k == nil {
		return fmt.Errorf("key %s: %w", id, ErrNotFound)
	}
	jwk, err := k.key.MarshalPublic()
	if err != nil {
		return err
	}
	signed := k.Status == KeyActive
	k.JWK, k.key, k.Status, k.RetiredAt = jwk, k.key.Public(), KeyCompromised, now
	if !signed {
		return nil
	}
	// Nobody has the new key in a key set of theirs yet. That is the lesser evil.
	if next := b.first(KeyNext); next != nil {
		next.ActiveAt = now
		b.advance(now)
		return nil
	}
	_, err = b.generate(k.key.Algorithm(), now, now)
	return err
}

// due is when the box changes by itself next: a key begins to sign, goes, or grows too old. Zero: never.
func (b *keyBox) due(rotateEvery time.Duration) (at time.Time) {
	soonest := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, k := range b.Keys {
		switch {
		case k.Status == KeyNext:
			soonest(k.ActiveAt)
		case k.Status == KeyRetired:
			soonest(b.goneAt(k).Add(1))
		case k.Status == KeyActive && rotateEvery > 0 && b.first(KeyNext) == nil:
			soonest(k.ActiveAt.Add(rotateEvery))
		}
	}
	return at
}

// renew adds a next key when the active one has grown too old and none is waiting.
func (b *keyBox) renew(alg token.Algorithm, rotateEvery time.Duration, now time.Time) (changed bool, err error) {
	active := b.first(KeyActive)
	if rotateEvery <= 0 || active == nil || b.first(KeyNext) != nil || now.Before(active.ActiveAt.Add(rotateEvery)) {
		return false, nil
	}
	_, err = b.generate(alg, now, now.Add(keyLead))
	return true, err
}

// KeyInfo is what may be shown of a key.
type KeyInfo struct {
	ID        string
	Algorithm token.Algorithm
	Status    KeyStatus
	CreatedAt time.Time
	// ChangesAt is when the status changes by itself: from next to active, from retired to gone. Zero: it does not.
	ChangesAt time.Time
}

// infos lists the keys, the active one first, then the next ones, then by age, the youngest first.
func (b *keyBox) infos() []KeyInfo {
	list := make([]KeyInfo, 0, len(b.Keys))
	for _, k := range b.Keys {
		list = append(list, b.info(k))
	}
	order := map[KeyStatus]int{KeyActive: 0, KeyNext: 1, KeyRetired: 2, KeyCompromised: 3}
	slices.SortFunc(list, func(x, y KeyInfo) int {
		return cmp.Or(order[x.Status]-order[y.Status], y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(x.ID, y.ID))
	})
	return list
}

func (b *keyBox) info(k boxedKey) KeyInfo {
	i := KeyInfo{ID: k.key.ID(), Algorithm: k.key.Algorithm(), Status: k.Status, CreatedAt: k.CreatedAt}
	switch k.Status {
	case KeyNext:
		i.ChangesAt = k.ActiveAt
	case KeyRetired:
		i.ChangesAt = b.goneAt(k)
	}
	return i
}
