package tokenjar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenjar/tokenjar/token"
)

// A service follows the key ring in the store: what another process changes, or time does, is in force within a moment. A
// service that cannot follow it does not know which keys are compromised, which is as bad as not knowing which sessions
// have ended: both are news, and without news nobody is let in for long (see check.go).

// ringState is the ring in use, swapped as a whole.
type ringState struct {
	ring          *token.Ring
	longestAccess time.Duration
	epoch         uint64    // one more at each swap
	version       int64     // of the box
	asOf, due     time.Time // when the box was judged, and when it is to be judged again
	created       time.Time // of the signing key
}

// openKeyRing loads the ring, or makes the first one, and brings it in line with the configuration. Several nodes may
// start at once: the first one writes, the others read again.
func (s *Service) openKeyRing(ctx context.Context) error {
	return s.updateKeyRing(ctx, s.adapt)
}

// adapt brings a box in line with the configuration: a key of the configured algorithm signs, or will.
func (s *Service) adapt(box *keyBox) (changed bool, err error) {
	now := s.now().UTC()
	if s.cfg.AccessLifetime > box.LongestAccess {
		box.LongestAccess, changed = s.cfg.AccessLifetime, true
	}
	changed = box.advance(now) || changed
	active, next := box.first(KeyActive), box.first(KeyNext)
	switch {
	case active == nil:
		_, err = box.generate(s.cfg.Algorithm, now, now)
		return true, err
	case next != nil && next.key.Algorithm() == s.cfg.Algorithm, next == nil && active.key.Algorithm() == s.cfg.Algorithm:
		return changed, nil
	}
	if _, err := box.generate(s.cfg.Algorithm, now, now.Add(keyLead)); err != nil {
		return false, fmt.Errorf("Config.Algorithm: %w", err)
	}
	return true, nil
}

// pollKeyRing takes on what another process has done to the ring, and moves its keys on when their time has come.
func (s *Service) pollKeyRing(ctx context.Context) error {
	current := s.keys.Load()
	_, version, err := s.store.KeyRing(ctx)
	switch {
	case err != nil:
		return err
	case version == 0:
		return errors.New("the key ring is gone from the store; the one in memory is kept")
	case version < current.version:
		// A backup was put back under a running server, or somebody wants a compromised key to be good again.
		return errors.New("the key ring in the store is older than the one in use, which is kept: start this server anew " +
			"if that is meant")
	}
	now := s.now()
	setBack := now.Before(current.asOf.Add(-keySlack))
	if version == current.version && !setBack && (current.due.IsZero() || now.Before(current.due)) {
		return nil
	}
	err = s.updateKeyRing(ctx, func(box *keyBox) (bool, error) {
		now := s.now().UTC()
		moved := box.advance(now)
		renewed, err := box.renew(s.cfg.Algorithm, s.cfg.RotateEvery, now)
		return moved || renewed, err
	})
	if errors.Is(err, ErrKeyRingSealed) {
		return fmt.Errorf("%w; the ring in memory is kept", err)
	}
	return err
}

// updateKeyRing edits the box and puts the ring it describes to use. On an error the ring in use stays.
func (s *Service) updateKeyRing(ctx context.Context, change func(*keyBox) (bool, error)) error {
	s.ringMu.Lock()
	defer s.ringMu.Unlock()
	box := sealedBox{s.store, s.secrets.Load().secret}
	var before, after []KeyInfo
	var changed bool
	state, version, err := box.edit(ctx, func(b *keyBox) (_ bool, err error) {
		before = b.infos()
		changed, err = change(b)
		after = b.infos()
		return changed, err
	})
	if err != nil {
		return err
	}
	if changed { // by this process: one event for each step
		s.keyEvents(ctx, before, after)
	}
	ring, err := state.ring()
	if err != nil {
		return err
	}
	next := &ringState{
		ring: ring, longestAccess: state.LongestAccess, epoch: 1, version: version,
		asOf: s.now(), due: state.due(s.cfg.RotateEvery),
	}
	if active := state.first(KeyActive); active != nil {
		next.created = active.CreatedAt
	}
	if old := s.keys.Load(); old != nil {
		next.epoch = old.epoch + 1
	}
	s.keys.Store(next)
	return nil
}

// keyEvents makes known which keys have changed their status.
func (s *Service) keyEvents(ctx context.Context, before, after []KeyInfo) {
	status := make(map[string]KeyStatus)
	for _, k := range before {
		status[k.ID] = k.Status
	}
	for _, k := range after {
		if status[k.ID] != k.Status {
			s.event(ctx, AuditEvent{Name: "key." + string(k.Status), Detail: map[string]string{
				"key_id": k.ID, "algorithm": string(k.Algorithm),
			}})
		}
		delete(status, k.ID)
	}
	for id := range status {
		s.event(ctx, AuditEvent{Name: "key.gone", Detail: map[string]string{"key_id": id}})
	}
}

// JWKS returns the public keys that verify our access tokens, as a JSON Web Key Set (RFC 7517, section 5). It may be
// kept for [JWKSMaxAge].
func (s *Service) JWKS() []byte { return s.keys.Load().ring.JWKS() }

// currentRing lets encoder and decoder follow the ring when it is swapped.
type currentRing struct{ s *Service }

func (c currentRing) Verify(compact string) (token.Header, []byte, error) {
	return c.s.keys.Load().ring.Verify(compact)
}

func (c currentRing) Sign(typ string, payload []byte) (string, error) {
	return c.s.keys.Load().ring.Sign(typ, payload)
}
