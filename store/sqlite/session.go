package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/tokenjar/tokenjar"
)

// CreateSession implements [tokenjar.SessionStore].
func (s *Store) CreateSession(ctx context.Context, n tokenjar.NewSession) (tokenjar.Session, []string, error) {
	type created struct {
		session tokenjar.Session
		ended   []string
	}
	c, err := write(ctx, s, "create session", func(t *tx) (c created, err error) {
		if c.ended, err = revokeByID(t, "", n.Replaces, tokenjar.ReasonReplaced); err != nil {
			return c, err
		}
		c.session = n.Open(t.now)
		if err := insertSession(t, c.session, n.OwnUserStore); err != nil {
			return c, err
		}
		if n.MaxPerUser > 0 {
			over, err := t.texts(revokeBeyondCap, millis(t.now), tokenjar.ReasonSessionLimit, n.UserID, n.ID,
				n.MaxPerUser-1)
			if err != nil {
				return c, err
			}
			c.ended = append(c.ended, over...)
		}
		return c, nil
	})
	return c.session, c.ended, err
}

// The row is there only if the user still is: the password hash that was checked may have been replaced meanwhile, and
// whoever replaced it has already ended the sessions there were.
const insertSessionSQL = `
INSERT INTO sessions (id, user_id, auth_epoch, created_at, auth_time, last_seen_at, idle_expires_at, expires_at,
       remember, gen, current_hash, rotated_at, successor_seen, replay_count, late_retry_gen, late_retry_at,
       user_agent, ip, name, revoked_at, revoke_reason, prune_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, 0, 0, NULL, ?13, ?14, ?15, NULL, '', ?7
 WHERE ?16 OR EXISTS (SELECT 1 FROM users WHERE id = ?2 AND active = 1 AND auth_epoch = ?3)`

func insertSession(t *tx, s tokenjar.Session, ownUserStore bool) error {
	n, err := t.exec(insertSessionSQL, s.ID, s.UserID, s.AuthEpoch, millis(s.CreatedAt), millis(s.AuthTime),
		millis(s.LastSeenAt), millis(s.IdleExpiresAt), millis(s.ExpiresAt), s.Remember, s.Generation,
		s.CurrentHash[:], millis(s.RotatedAt), s.UserAgent, s.IP, s.Name, ownUserStore)
	if err == nil && n == 0 {
		return tokenjar.ErrInvalidCredentials
	}
	return err
}

// The new session is left out by id: a clock that stepped back must not make it the least recently used.
const revokeBeyondCap = `
UPDATE sessions SET revoked_at = ?1, revoke_reason = ?2
 WHERE id IN (SELECT id FROM sessions
               WHERE user_id = ?3 AND id <> ?4 AND revoked_at IS NULL AND idle_expires_at > ?1 AND expires_at > ?1
               ORDER BY last_seen_at DESC, id DESC LIMIT -1 OFFSET ?5)
RETURNING id`

const sessionColumns = `id, user_id, auth_epoch, created_at, auth_time, last_seen_at, idle_expires_at, expires_at,
       remember, gen, current_hash, rotated_at, successor_seen, replay_count, late_retry_gen, late_retry_at,
       user_agent, ip, name, revoked_at, revoke_reason, shared_gen, shared_at, shared_ip, shared_user_agent,
       undelivered_gen, undelivered_at, late_retry_ip, late_retry_user_agent`

const selectSession = `SELECT ` + sessionColumns + ` FROM sessions WHERE id = ?1`

// Session implements [tokenjar.SessionStore].
func (s *Store) Session(ctx context.Context, id string) (tokenjar.Session, error) {
	found, err := scanSession(s.row(ctx, selectSession, id), clock(s.now))
	if err != nil {
		return tokenjar.Session{}, storeError("read session", s.readError(err))
	}
	return found, nil
}

// UserSessions implements [tokenjar.SessionStore].
func (s *Store) UserSessions(ctx context.Context, userID string) ([]tokenjar.Session, error) {
	now := clock(s.now)
	list, err := rows(ctx, s, func(r scanner) (tokenjar.Session, error) { return scanSession(r, now) }, `
SELECT `+sessionColumns+`
  FROM sessions
 WHERE user_id = ?1 AND revoked_at IS NULL AND idle_expires_at > ?2 AND expires_at > ?2
 ORDER BY last_seen_at DESC, id DESC`, userID, millis(now))
	if err != nil {
		return nil, storeError("list sessions", err)
	}
	return list, nil
}

// RenameSession implements [tokenjar.SessionStore].
func (s *Store) RenameSession(ctx context.Context, userID, id, name string) error {
	_, err := write(ctx, s, "rename session", func(t *tx) (struct{}, error) {
		n, err := t.exec(`
UPDATE sessions SET name = ?1
 WHERE id = ?2 AND user_id = ?3 AND revoked_at IS NULL AND idle_expires_at > ?4 AND expires_at > ?4`,
			name, id, userID, millis(t.now))
		if err == nil && n == 0 {
			err = tokenjar.ErrNotFound
		}
		return struct{}{}, err
	})
	return err
}

// MarkSeen implements [tokenjar.SessionStore].
func (s *Store) MarkSeen(ctx context.Context, seen []tokenjar.Seen) error {
	_, err := write(ctx, s, "mark sessions seen", func(t *tx) (struct{}, error) {
		for _, m := range seen {
			if _, err := t.exec(`UPDATE sessions SET successor_seen = 1 WHERE id = ?1 AND gen = ?2 AND successor_seen = 0`,
				m.SessionID, m.Generation); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

// MarkUndelivered implements [tokenjar.SessionStore].
func (s *Store) MarkUndelivered(ctx context.Context, answers []tokenjar.Undelivered) error {
	_, err := write(ctx, s, "mark answers undelivered", func(t *tx) (struct{}, error) {
		for _, m := range answers {
			if _, err := t.exec(`
UPDATE sessions SET undelivered_gen = ?1, undelivered_at = ?2
 WHERE id = ?3 AND gen = ?1 AND successor_seen = 0
   AND revoked_at IS NULL AND idle_expires_at > ?2 AND expires_at > ?2`,
				m.Generation, millis(t.now), m.SessionID); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

// MarkShared implements [tokenjar.SessionStore].
func (s *Store) MarkShared(ctx context.Context, shared []tokenjar.Shared) ([]tokenjar.Shared, error) {
	return write(ctx, s, "mark sessions shared", func(t *tx) ([]tokenjar.Shared, error) {
		var noted []tokenjar.Shared
		for _, m := range shared {
			n, err := t.exec(`
UPDATE sessions SET shared_gen = ?1, shared_at = ?2, shared_ip = ?3, shared_user_agent = ?4
 WHERE id = ?5 AND gen = ?1 AND shared_gen <> ?1 AND revoked_at IS NULL`,
				m.Generation, millis(t.now), m.IP, m.UserAgent, m.SessionID)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				noted = append(noted, m)
			}
		}
		return noted, nil
	})
}

// scanSession reads a row of sessionColumns.
func scanSession(row scanner, now time.Time) (tokenjar.Session, error) {
	var (
		s                                               tokenjar.Session
		created, auth, lastSeen, idle, expires, rotated int64
		lateRetry, revoked, shared, undelivered         sql.Null[int64]
		hash                                            []byte
		reason                                          string
	)
	err := row.Scan(&s.ID, &s.UserID, &s.AuthEpoch, &created, &auth, &lastSeen, &idle, &expires, &s.Remember,
		&s.Generation, &hash, &rotated, &s.SuccessorSeen, &s.ReplayCount, &s.LateRetryGen, &lateRetry,
		&s.UserAgent, &s.IP, &s.Name, &revoked, &reason, &s.SharedGen, &shared, &s.SharedIP, &s.SharedUserAgent,
		&s.UndeliveredGen, &undelivered, &s.LateRetryIP, &s.LateRetryUserAgent)
	if err != nil {
		return tokenjar.Session{}, err
	}
	if len(hash) != len(s.CurrentHash) {
		return tokenjar.Session{}, fmt.Errorf("session hash: %w", errDamaged)
	}
	copy(s.CurrentHash[:], hash)
	s.CreatedAt, s.AuthTime, s.LastSeenAt = fromMillis(created), fromMillis(auth), fromMillis(lastSeen)
	s.IdleExpiresAt, s.ExpiresAt, s.RotatedAt = fromMillis(idle), fromMillis(expires), fromMillis(rotated)
	s.LateRetryAt, s.RevokedAt, s.SharedAt = fromNullMillis(lateRetry), fromNullMillis(revoked), fromNullMillis(shared)
	s.UndeliveredAt = fromNullMillis(undelivered)
	s.RevokeReason = tokenjar.Reason(reason)
	s.ReadAt = now
	return s, nil
}

// millis is a time as it is stored.
func millis(t time.Time) int64 { return t.UnixMilli() }

// nullMillis is a time that may be zero as it is stored.
func nullMillis(t time.Time) sql.Null[int64] {
	return sql.Null[int64]{V: t.UnixMilli(), Valid: !t.IsZero()}
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func fromNullMillis(ms sql.Null[int64]) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return fromMillis(ms.V)
}
