package tokenjar

import (
	"context"
	"fmt"
)

// secrets are a secret and what is derived from it, swapped as a whole when the secret is changed.
type secrets struct {
	secret  Secret
	refresh refreshKeys
	csrf    [][]byte
}

func newSecrets(cfg Config, secret Secret) (*secrets, error) {
	refresh, err := newRefreshKeys(cfg, secret)
	if err != nil {
		return nil, err
	}
	return &secrets{secret: secret, refresh: refresh, csrf: secret.keys(labelCSRF)}, nil
}

func (s *Service) refreshKeys() refreshKeys { return s.secrets.Load().refresh }

// CSRFKeys returns the keys that package csrf MACs its tokens with: the first issues, all verify. They change when the
// secret does; the slice that is returned does not.
func (s *Service) CSRFKeys() [][]byte { return s.secrets.Load().csrf }

// ReplaceSecret puts another secret to use, as when its file has got a new line: the first line signs from now on, all
// verify. A line that is gone ends the sessions whose tokens it signed. It reports whether the secret was another one.
//
// It fails, and the secret in use stays, with [ErrKeyRingSealed] when no line opens the key ring, and with
// [ErrStoreUnavailable] when the ring cannot be read.
func (s *Service) ReplaceSecret(ctx context.Context, secret Secret) (changed bool, err error) {
	if secret.IsZero() {
		return false, fmt.Errorf("replace secret: %w", errEmptySecret)
	}
	if secret.equal(s.secrets.Load().secret) {
		return false, nil
	}
	if _, _, err := (sealedBox{s.store, secret}).load(ctx); err != nil {
		return false, fmt.Errorf("replace secret: %w", err)
	}
	derived, err := newSecrets(s.cfg, secret)
	if err != nil {
		return false, fmt.Errorf("replace secret: %w", err)
	}
	s.secrets.Store(derived)
	s.event(ctx, AuditEvent{Name: "secret.replaced"})
	return true, nil
}
