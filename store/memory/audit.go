package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tokenjar/tokenjar"
)

// AppendAudit implements [tokenjar.AuditStore]. An At of zero becomes the store's time.
func (s *Store) AppendAudit(ctx context.Context, events []tokenjar.AuditEvent) error {
	now, err := s.enter(ctx, "append audit events")
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, e := range events {
		if e.ID != "" {
			if s.auditIDs[e.ID] {
				continue
			}
			s.auditIDs[e.ID] = true
		}
		if e.At = millis(e.At); e.At.IsZero() {
			e.At = now
		}
		e.Detail = cloneDetail(e.Detail)
		after, _ := slices.BinarySearchFunc(s.audit, e.At, func(have tokenjar.AuditEvent, at time.Time) int {
			if have.At.After(at) {
				return 1
			}
			return -1
		})
		s.audit = slices.Insert(s.audit, after, e) // nearly always at the end
	}
	return nil
}

// AuditTrail implements [tokenjar.AuditStore].
func (s *Store) AuditTrail(ctx context.Context, f tokenjar.AuditFilter) ([]tokenjar.AuditEvent, error) {
	if _, err := s.enter(ctx, "read audit trail"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	since, limit := millis(f.Since), page(f.Limit)
	var list []tokenjar.AuditEvent
	for _, e := range slices.Backward(s.audit) {
		if len(list) == limit || e.At.Before(since) {
			break
		}
		if (f.UserID == "" || e.UserID == f.UserID) && (f.Name == "" || e.Name == f.Name) {
			e.Detail = cloneDetail(e.Detail)
			list = append(list, e)
		}
	}
	return list, nil
}

// PruneAudit implements [tokenjar.AuditStore].
func (s *Store) PruneAudit(ctx context.Context, keep time.Duration, limit int) (int, error) {
	now, err := s.enter(ctx, "prune audit trail")
	if err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	before := now.Add(-max(keep, 0))
	n := 0
	for n < limit && n < len(s.audit) && s.audit[n].At.Before(before) {
		n++
	}
	for _, e := range s.audit[:n] {
		delete(s.auditIDs, e.ID)
	}
	s.audit = slices.Delete(s.audit, 0, n)
	return n, nil
}

// cloneDetail returns a copy that is nobody else's; nil when there is nothing in it.
func cloneDetail(detail map[string]string) map[string]string {
	if len(detail) == 0 {
		return nil
	}
	return maps.Clone(detail)
}

// page is a limit as it is kept: at most 1000, which is also the default.
func page(limit int) int {
	if limit <= 0 || limit > 1000 {
		return 1000
	}
	return limit
}
