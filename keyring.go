package tokenjar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// KeyRingConfig is what opens the key ring of a store. Store and Secret are required.
type KeyRingConfig struct {
	Store  KeyRingStore
	Secret Secret
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// A KeyRing administers the sealed key ring of a store, beside a running server or without one. A running server takes
// on what changes within a second. It is safe for concurrent use, by several processes as well: of two changes at once
// the second is made on top of the first.
//
// Its methods return [ErrKeyRingSealed] when no line of the secret opens the ring, and [ErrStoreUnavailable].
type KeyRing struct {
	box sealedBox
	now func() time.Time
}

// OpenKeyRing checks the configuration. It reads nothing.
func OpenKeyRing(cfg KeyRingConfig) (*KeyRing, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("tokenjar: KeyRingConfig.Store is required")
	case cfg.Secret.IsZero():
		return nil, errors.New("tokenjar: KeyRingConfig.Secret is required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &KeyRing{box: sealedBox{cfg.Store, cfg.Secret}, now: cfg.Now}, nil
}

// Keys returns the keys: the active one, the next ones, the retired and the compromised ones, each the youngest first. A
// store that no server has used has none.
func (r *KeyRing) Keys(ctx context.Context) ([]KeyInfo, error) {
	box, _, err := r.box.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return box.infos(), nil
}

// Rotate makes a new key. It is published as the next one and signs after twice [JWKSMaxAge]; with now it signs at once,
// and services that keep the key set may refuse its tokens for that long. Keys that were to be next are replaced by it.
func (r *KeyRing) Rotate(ctx context.Context, alg token.Algorithm, now bool) (KeyInfo, error) {
	key, err := newSigningKey(alg)
	if err != nil {
		return KeyInfo{}, fmt.Errorf("rotate key: %w", err)
	}
	info, err := r.install(ctx, key, now)
	if err != nil {
		return KeyInfo{}, fmt.Errorf("rotate key: %w", err)
	}
	return info, nil
}

// Import adds a private key made elsewhere, as [KeyRing.Rotate] does a new one. [ErrConflict] when the same key, or one
// of its id, is in the ring or was compromised there. Symmetric keys are refused.
func (r *KeyRing) Import(ctx context.Context, key *token.Key, now bool) (KeyInfo, error) {
	switch {
	case key.Algorithm() == token.HS256:
		return KeyInfo{}, errors.New("import key: HS256 is symmetric: every service that verifies could also sign")
	case !key.CanSign():
		return KeyInfo{}, errors.New("import key: the private part is missing")
	}
	info, err := r.install(ctx, key, now)
	if err != nil {
		return KeyInfo{}, fmt.Errorf("import key: %w", err)
	}
	return info, nil
}

func (r *KeyRing) install(ctx context.Context, key *token.Key, signsNow bool) (info KeyInfo, err error) {
	_, _, err = r.box.edit(ctx, func(b *keyBox) (bool, error) {
		now := r.now().UTC()
		from := now.Add(keyLead)
		if signsNow || b.first(KeyActive) == nil {
			from = now
		}
		for i := range b.Keys {
			if k := &b.Keys[i]; k.Status == KeyNext { // it has signed nothing, yet may be known: it goes like a retired one
				k.Status, k.RetiredAt = KeyRetired, now
			}
		}
		if err := b.add(key, now, from); err != nil {
			return false, err
		}
		info = b.info(*b.find(key.ID()))
		return true, nil
	})
	return info, err
}

// Compromise makes a key verify nothing from now on, on every node within a second. When it was the active one, the next
// key signs at once, or a new one of the same algorithm. Sessions go on: refresh tokens are not signed by the ring, and
// who shows a token of that key is renewed. It returns the keys as they are then; [ErrNotFound].
func (r *KeyRing) Compromise(ctx context.Context, id string) ([]KeyInfo, error) {
	box, _, err := r.box.edit(ctx, func(b *keyBox) (bool, error) {
		if k := b.find(id); k != nil && k.Status == KeyCompromised {
			return false, nil
		}
		return true, b.compromise(id, r.now().UTC())
	})
	if err != nil {
		return nil, fmt.Errorf("compromise key: %w", err)
	}
	return box.infos(), nil
}

// Export returns a key as a JWK with its private members; [ErrNotFound], also for a compromised one, whose private part
// has been destroyed.
func (r *KeyRing) Export(ctx context.Context, id string) (jwk []byte, err error) {
	box, _, err := r.box.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("export key: %w", err)
	}
	k := box.find(id)
	if k == nil || !k.key.CanSign() {
		return nil, fmt.Errorf("export key %s: %w", id, ErrNotFound)
	}
	return k.JWK, nil
}

// ExportPublic returns the public part of a key as a JWK; [ErrNotFound].
func (r *KeyRing) ExportPublic(ctx context.Context, id string) (jwk []byte, err error) {
	box, _, err := r.box.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("export key: %w", err)
	}
	k := box.find(id)
	if k == nil {
		return nil, fmt.Errorf("export key %s: %w", id, ErrNotFound)
	}
	return k.key.MarshalPublic()
}

// Reseal seals the ring under the first line of the secret. It reports whether it was sealed under another one.
func (r *KeyRing) Reseal(ctx context.Context) (changed bool, err error) {
	for range maxRingEdits {
		sealed, version, err := r.box.store.KeyRing(ctx)
		if err != nil || version == 0 {
			return false, err
		}
		plain, byFirst, err := r.box.secret.open(labelKeyRing, boxAAD(version), sealed)
		if err != nil {
			return false, errSealed
		}
		if byFirst {
			return false, nil
		}
		box, err := parseKeyBox(plain)
		if err != nil {
			return false, err
		}
		if err := r.box.save(ctx, box, version); !errors.Is(err, ErrConflict) {
			return err == nil, err
		}
	}
	return false, errKeepsChanging
}

// A sealedBox is the box in its store.
type sealedBox struct {
	store  KeyRingStore
	secret Secret
}

var (
	errSealed        = fmt.Errorf("%w: use the secret this store was made with (all its lines)", ErrKeyRingSealed)
	errKeepsChanging = fmt.Errorf("the key ring keeps changing: %w", ErrConflict)
)

// maxRingEdits bounds how often an edit is made again because another process was faster.
const maxRingEdits = 8

// load opens the box. A store without one gives an empty box of version 0.
func (s sealedBox) load(ctx context.Context) (keyBox, int64, error) {
	sealed, version, err := s.store.KeyRing(ctx)
	if err != nil || version == 0 {
		return keyBox{}, 0, err
	}
	plain, _, err := s.secret.open(labelKeyRing, boxAAD(version), sealed)
	if err != nil {
		return keyBox{}, 0, errSealed
	}
	box, err := parseKeyBox(plain)
	return box, version, err
}

// boxAAD is what is sealed beside a box: its version, so that no box can stand in another one's place.
func boxAAD(version int64) string { return "version " + strconv.FormatInt(version, 10) }

func (s sealedBox) save(ctx context.Context, box keyBox, version int64) error {
	plain, err := json.Marshal(box)
	if err != nil {
		return err
	}
	sealed, err := s.secret.seal(labelKeyRing, boxAAD(version+1), plain)
	if err != nil {
		return err
	}
	return s.store.SaveKeyRing(ctx, sealed, version)
}

// edit changes the box, on top of what other processes have made of it, and returns what it is then and its version.
func (s sealedBox) edit(ctx context.Context, change func(*keyBox) (changed bool, err error)) (keyBox, int64, error) {
	for range maxRingEdits {
		box, version, err := s.load(ctx)
		if err != nil {
			return keyBox{}, 0, err
		}
		changed, err := change(&box)
		if err != nil || !changed {
			return box, version, err
		}
		if err := s.save(ctx, box, version); !errors.Is(err, ErrConflict) {
			return box, version + 1, err
		}
	}
	return keyBox{}, 0, errKeepsChanging
}
