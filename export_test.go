package tokenjar

import "context"

// OpenSession opens a session without a password, for tests that are not about signing in: a hash takes its time.
func (s *Service) OpenSession(ctx context.Context, u User, in Credentials) (Grant, error) {
	return s.openSession(ctx, u, in, Client{IP: "192.0.2.1", UserAgent: "test"})
}

// PollRevocations is what Run does every moment.
func (s *Service) PollRevocations(ctx context.Context) error { return s.pollRevocations(ctx) }

// PollKeyRing is what Run does every moment.
func (s *Service) PollKeyRing(ctx context.Context) error { return s.pollKeyRing(ctx) }

// FlushAudit is what Run does every moment.
func (s *Service) FlushAudit(ctx context.Context) error { return s.flushAudit(ctx) }
