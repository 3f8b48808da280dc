package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tokenjar/tokenjar"
)

// CreateSession implements [tokenjar.SessionStore].
func (s *Store) CreateSession(ctx context.Context, n tokenjar.NewSession) (tokenjar.Session, []string, error) {
	const op = "create session"
	now, err := s.enter(ctx, op)
	if err != nil {
		return tokenjar.Session{}, nil, err
	}
	defer s.mu.Unlock()

	if !n.OwnUserStore {
		u := s.users[n.UserID]
		if u == nil || !u.Active || u.AuthEpoch != n.AuthEpoch {
			return tokenjar.Session{}, nil, fmt.Errorf("%s: %w", op, tokenjar.ErrInvalidCredentials)
		}
	}
	if s.sessions[n.ID] != nil {
		return tokenjar.Session{}, nil, fmt.Errorf("%s: %w", op, tokenjar.ErrConflict)
	}

	var ended []string
	for _, id := range n.Replaces {
		if row := s.sessions[id]; revoke(row, tokenjar.ReasonReplaced, now) {
			ended = append(ended, id)
		}
	}
	if n.MaxPerUser > 0 {
		live := s.live(n.UserID, now)
		for _, old := range live[min(n.MaxPerUser-1, len(live)):] {
			revoke(s.sessions[old.ID], tokenjar.ReasonSessionLimit, now)
			ended = append(ended, old.ID)
		}
	}

	row := n.Open(now)
	s.sessions[n.ID] = &row
	if s.byUser[n.UserID] == nil {
		s.byUser[n.UserID] = make(map[string]*tokenjar.Session)
	}
	s.byUser[n.UserID][n.ID] = &row
	return row, ended, nil
}

// Session implements [tokenjar.SessionStore].
func (s *Store) Session(ctx context.Context, id string) (tokenjar.Session, error) {
	const op = "read session"
	now, err := s.enter(ctx, op)
	if err != nil {
		return tokenjar.Session{}, err
	}
	defer s.mu.Unlock()
	row := s.sessions[id]
	if row == nil {
		return tokenjar.Session{}, fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	}
	return readAt(row, now), nil
}

// Rotate implements [tokenjar.SessionStore].
func (s *Store) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	now, err := s.enter(ctx, "rotate session")
	if err != nil {
		return tokenjar.Verdict{}, err
	}
	defer s.mu.Unlock()
	row := s.sessions[r.SessionID]
	if row == nil {
		return tokenjar.Verdict{Outcome: tokenjar.OutcomeEnded}, nil
	}
	v := row.Judge(r, now)
	if v.Changed {
		*row = v.Session
	}
	return v, nil
}

// MarkSeen implements [tokenjar.SessionStore].
func (s *Store) MarkSeen(ctx context.Context, seen []tokenjar.Seen) error {
	if _, err := s.enter(ctx, "mark sessions seen"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, m := range seen {
		if row := s.sessions[m.SessionID]; row != nil && row.Generation == m.Generation {
			row.SuccessorSeen = true
		}
	}
	return nil
}

// MarkUndelivered implements [tokenjar.SessionStore].
func (s *Store) MarkUndelivered(ctx context.Context, answers []tokenjar.Undelivered) error {
	now, err := s.enter(ctx, "mark answers undelivered")
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	for _, m := range answers {
		row := s.sessions[m.SessionID]
		if row == nil || row.Generation != m.Generation || row.SuccessorSeen {
			continue
		}
		if read := readAt(row, now); read.Live() {
			row.UndeliveredGen, row.UndeliveredAt = m.Generation, now
		}
	}
	return nil
}

// MarkShared implements [tokenjar.SessionStore].
func (s *Store) MarkShared(ctx context.Context, shared []tokenjar.Shared) ([]tokenjar.Shared, error) {
	now, err := s.enter(ctx, "mark sessions shared")
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var noted []tokenjar.Shared
	for _, m := range shared {
		row := s.sessions[m.SessionID]
		if row == nil || row.Generation != m.Generation || row.SharedGen == m.Generation || !row.RevokedAt.IsZero() {
			continue
		}
		row.SharedGen, row.SharedAt, row.SharedIP, row.SharedUserAgent = m.Generation, now, m.IP, m.UserAgent
		noted = append(noted, m)
	}
	return noted, nil
}

// UserSessions implements [tokenjar.SessionStore].
func (s *Store) UserSessions(ctx context.Context, userID string) ([]tokenjar.Session, error) {
	now, err := s.enter(ctx, "list sessions")
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.live(userID, now), nil
}

// RenameSession implements [tokenjar.SessionStore].
func (s *Store) RenameSession(ctx context.Context, userID, id, name string) error {
	const op = "rename session"
	now, err := s.enter(ctx, op)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	row := s.sessions[id]
	if row == nil || row.UserID != userID {
		return fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	}
	if read := readAt(row, now); !read.Live() {
		return fmt.Errorf("%s: %w", op, tokenjar.ErrNotFound)
	}
	row.Name = name
	return nil
}

// RevokeSessions implements [tokenjar.SessionStore].
func (s *Store) RevokeSessions(
	ctx context.Context, userID string, ids []string, why tokenjar.Reason,
) ([]string, error) {
	now, err := s.enter(ctx, "revoke sessions")
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var ended []string
	for _, id := range ids {
		row := s.sessions[id]
		if row != nil && userID != "" && row.UserID != userID {
			continue
		}
		if revoke(row, why, now) {
			ended = append(ended, id)
		}
	}
	return ended, nil
}

// RevokeUserSessions implements [tokenjar.SessionStore].
func (s *Store) RevokeUserSessions(
	ctx context.Context, userID, except string, why tokenjar.Reason,
) ([]string, error) {
	now, err := s.enter(ctx, "revoke sessions of user")
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.revokeUser(userID, except, why, now), nil
}

// RaiseClaims implements [tokenjar.SessionStore].
func (s *Store) RaiseClaims(ctx context.Context, userID string, generation int64) error {
	now, err := s.enter(ctx, "raise claims")
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.raiseClaims(userID, generation, now)
	return nil
}

func (s *Store) raiseClaims(userID string, generation int64, now time.Time) {
	if generation > s.claims[userID].Generation {
		s.claims[userID] = tokenjar.ClaimsChange{UserID: userID, Generation: generation, At: now}
	}
}

// News implements [tokenjar.SessionStore].
func (s *Store) News(ctx context.Context, since time.Time) (tokenjar.News, error) {
	now, err := s.enter(ctx, "read news")
	if err != nil {
		return tokenjar.News{}, err
	}
	defer s.mu.Unlock()
	since = millis(since)
	news := tokenjar.News{At: now}
	for id, row := range s.sessions {
		if !row.RevokedAt.IsZero() && !row.RevokedAt.Before(since) {
			news.Revocations = append(news.Revocations,
				tokenjar.Revocation{SessionID: id, Reason: row.RevokeReason, At: row.RevokedAt})
		}
	}
	for _, change := range s.claims {
		if !change.At.Before(since) {
			news.ClaimsChanges = append(news.ClaimsChanges, change)
		}
	}
	slices.SortFunc(news.Revocations, func(a, b tokenjar.Revocation) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.SessionID, b.SessionID))
	})
	slices.SortFunc(news.ClaimsChanges, func(a, b tokenjar.ClaimsChange) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.UserID, b.UserID))
	})
	return news, nil
}

// PruneSessions implements [tokenjar.SessionStore].
func (s *Store) PruneSessions(ctx context.Context, keep time.Duration, limit int) (int, bool, error) {
	now, err := s.enter(ctx, "prune sessions")
	if err != nil {
		return 0, false, err
	}
	defer s.mu.Unlock()
	before := now.Add(-max(keep, 0))
	maps.DeleteFunc(s.claims, func(_ string, c tokenjar.ClaimsChange) bool { return c.At.Before(before) })
	n := 0
	for id, row := range s.sessions {
		if n >= limit {
			break
		}
		// A revocation is kept for its own sake, however long ago the session would have been over: an access token
		// may outlive the row's idle limit.
		end := row.IdleExpiresAt
		if !row.RevokedAt.IsZero() {
			end = row.RevokedAt
		}
		if !end.Before(before) {
			continue
		}
		delete(s.sessions, id)
		delete(s.byUser[row.UserID], id)
		if len(s.byUser[row.UserID]) == 0 {
			delete(s.byUser, row.UserID)
		}
		n++
	}
	return n, n > 0 && n == limit, nil
}

// live returns the live sessions of a user, the most recently used first.
func (s *Store) live(userID string, now time.Time) []tokenjar.Session {
	var list []tokenjar.Session
	for _, row := range s.byUser[userID] {
		if read := readAt(row, now); read.Live() {
			list = append(list, read)
		}
	}
	slices.SortFunc(list, func(a, b tokenjar.Session) int {
		return cmp.Or(b.LastSeenAt.Compare(a.LastSeenAt), cmp.Compare(b.ID, a.ID))
	})
	return list
}

// revokeUser ends all sessions of a user but one.
func (s *Store) revokeUser(userID, except string, why tokenjar.Reason, now time.Time) []string {
	var ended []string
	for id, row := range s.byUser[userID] {
		if id != except && revoke(row, why, now) {
			ended = append(ended, id)
		}
	}
	slices.Sort(ended)
	return ended
}

// revoke ends a session that nobody has ended yet. One that is merely over is marked as well: a clock that steps back
// must not bring it to life after it was revoked.
func revoke(row *tokenjar.Session, why tokenjar.Reason, now time.Time) bool {
	if row == nil || !row.RevokedAt.IsZero() {
		return false
	}
	row.RevokedAt, row.RevokeReason = now, why
	return true
}

// readAt returns a copy of a row as it is read at a time.
func readAt(row *tokenjar.Session, now time.Time) tokenjar.Session {
	read := *row
	read.ReadAt = now
	return read
}
