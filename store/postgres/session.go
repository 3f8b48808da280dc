package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tokenjar/tokenjar"
)

// CreateSession implements [tokenjar.SessionStore].
//
// It begins with the lock of the user, so that of two sign-ins on two nodes the second counts the first one's session.
// The row in users is that lock where there is one, and is read with it: whoever changes the password, disables or
// deletes the user writes that row first. Either that has committed, and the epoch read here is another one; or it
// waits for this sign-in, and then ends the new session with the others, for its next statement sees it.
func (s *Store) CreateSession(ctx context.Context, n tokenjar.NewSession) (tokenjar.Session, []string, error) {
	type created struct {
		session tokenjar.Session
		ended   []string
	}
	c, err := write(ctx, s, "create session", func(t *tx) (c created, err error) {
		if err := lockForLogin(t, n); err != nil {
			return c, err
		}
		if c.ended, err = revokeByID(t, "", n.Replaces, tokenjar.ReasonReplaced); err != nil {
			return c, err
		}
		c.session = n.Open(fromMillis(t.now))
		if err := insertSession(t, c.session); err != nil {
			return c, err
		}
		if n.MaxPerUser > 0 {
			over, err := t.ids(revokeBeyondCap, t.now, text(tokenjar.ReasonSessionLimit), text(n.UserID), text(n.ID),
				n.MaxPerUser-1)
			if err != nil {
				return c, err
			}
			t.ended(tokenjar.ReasonSessionLimit, over...)
			c.ended = append(c.ended, over...)
		}
		return c, nil
	})
	return c.session, c.ended, err
}

func lockForLogin(t *tx, n tokenjar.NewSession) error {
	if n.OwnUserStore {
		return lockUser(t, n.UserID)
	}
	var there bool
	err := t.first(`SELECT true FROM users WHERE id = $1 AND active AND auth_epoch = $2 FOR NO KEY UPDATE`,
		text(n.UserID), n.AuthEpoch).Scan(&there)
	if errors.Is(err, pgx.ErrNoRows) {
		return tokenjar.ErrInvalidCredentials
	}
	return err
}

// lockUser takes the lock of a user id that need not be in the table, until the transaction ends.
func lockUser(t *tx, id string) error { return t.lock("user " + encodeText(id)) }

func insertSession(t *tx, s tokenjar.Session) error {
	_, err := t.exec(`
INSERT INTO sessions (id, user_id, auth_epoch, created_at, auth_time, last_seen_at, idle_expires_at, expires_at,
       remember, gen, current_hash, rotated_at, successor_seen, replay_count, late_retry_gen, late_retry_at,
       user_agent, ip, name, revoked_at, revoke_reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, false, 0, 0, NULL, $13, $14, $15, NULL, '')`,
		text(s.ID), text(s.UserID), s.AuthEpoch, millis(s.CreatedAt), millis(s.AuthTime),
		millis(s.LastSeenAt), millis(s.IdleExpiresAt), millis(s.ExpiresAt), s.Remember, s.Generation,
		s.CurrentHash[:], millis(s.RotatedAt), text(s.UserAgent), text(s.IP), text(s.Name))
	return err
}

// Rows of several sessions are locked in the order of their ids, everywhere: so no two transactions that change several
// each wait for the other. A row that changed between being found and being locked is looked at again.

// The new session is left out by id: a clock that stepped back must not make it the least recently used.
const revokeBeyondCap = `
WITH over AS MATERIALIZED (
  SELECT id FROM sessions
   WHERE id IN (SELECT id FROM sessions
                 WHERE user_id = $3 AND id <> $4 AND revoked_at IS NULL AND idle_expires_at > $1 AND expires_at > $1
                 ORDER BY last_seen_at DESC, id DESC OFFSET $5)
   ORDER BY id FOR NO KEY UPDATE)
UPDATE sessions s SET revoked_at = $1, revoke_reason = $2
  FROM over WHERE s.id = over.id AND s.revoked_at IS NULL
RETURNING s.id`

const sessionColumns = `id, user_id, auth_epoch, created_at, auth_time, last_seen_at, idle_expires_at, expires_at,
       remember, gen, current_hash, rotated_at, successor_seen, replay_count, late_retry_gen, late_retry_at,
       user_agent, ip, name, revoked_at, revoke_reason, shared_gen, shared_at, shared_ip, shared_user_agent,
       undelivered_gen, undelivered_at, late_retry_ip, late_retry_user_agent`

const sessionSQL = `
SELECT ` + sessionColumns + `, now FROM sessions, ` + nowSQL + ` WHERE id = $2`

// Session implements [tokenjar.SessionStore].
func (s *Store) Session(ctx context.Context, id string) (tokenjar.Session, error) {
	return one(ctx, s, "read session", scanSession, sessionSQL, s.at(), text(id))
}

// UserSessions implements [tokenjar.SessionStore].
func (s *Store) UserSessions(ctx context.Context, userID string) ([]tokenjar.Session, error) {
	return query(ctx, s, "list sessions", scanSession, `
SELECT `+sessionColumns+`, now
  FROM sessions, `+nowSQL+`
 WHERE user_id = $2 AND revoked_at IS NULL AND idle_expires_at > now AND expires_at > now
 ORDER BY last_seen_at DESC, id DESC`, s.at(), text(userID))
}

// RenameSession implements [tokenjar.SessionStore].
func (s *Store) RenameSession(ctx context.Context, userID, id, name string) error {
	const op = "rename session"
	n, err := s.statement(ctx, op, `
UPDATE sessions SET name = $2
  FROM `+nowSQL+`
 WHERE id = $3 AND user_id = $4 AND revoked_at IS NULL AND idle_expires_at > now AND expires_at > now`,
		s.at(), text(name), text(id), text(userID))
	if err == nil && n == 0 {
		err = storeError(op, tokenjar.ErrNotFound)
	}
	return err
}

// MarkSeen implements [tokenjar.SessionStore].
func (s *Store) MarkSeen(ctx context.Context, seen []tokenjar.Seen) error {
	if len(seen) == 0 {
		return ctxError(ctx, "mark sessions seen")
	}
	seen = slices.SortedFunc(slices.Values(seen), func(a, b tokenjar.Seen) int { return strings.Compare(a.SessionID, b.SessionID) })
	ids, gens := make([]string, len(seen)), make([]int64, len(seen))
	for i, m := range seen {
		ids[i], gens[i] = encodeText(m.SessionID), m.Generation
	}
	_, err := write(ctx, s, "mark sessions seen", func(t *tx) (int64, error) {
		return t.exec(`
WITH marked AS MATERIALIZED (
  SELECT s.id, s.gen FROM sessions s JOIN unnest($1::text[], $2::bigint[]) AS m (id, gen) ON s.id = m.id AND s.gen = m.gen
   WHERE NOT s.successor_seen
   ORDER BY s.id FOR NO KEY UPDATE OF s)
UPDATE sessions s SET successor_seen = true
  FROM marked WHERE s.id = marked.id AND s.gen = marked.gen`, ids, gens)
	})
	return err
}

// MarkUndelivered implements [tokenjar.SessionStore].
func (s *Store) MarkUndelivered(ctx context.Context, answers []tokenjar.Undelivered) error {
	n := len(answers)
	if n == 0 {
		return ctxError(ctx, "mark answers undelivered")
	}
	ids, gens := make([]string, n), make([]int64, n)
	for i, m := range answers {
		ids[i], gens[i] = encodeText(m.SessionID), m.Generation
	}
	_, err := write(ctx, s, "mark answers undelivered", func(t *tx) (int64, error) {
		if err := t.clock(); err != nil {
			return 0, err
		}
		return t.exec(`
WITH undelivered AS MATERIALIZED (
  SELECT s.id, s.gen FROM sessions s JOIN unnest($2::text[], $3::bigint[]) AS m (id, gen) ON s.id = m.id AND s.gen = m.gen
   WHERE NOT s.successor_seen AND s.revoked_at IS NULL AND s.idle_expires_at > $1 AND s.expires_at > $1
   ORDER BY s.id FOR NO KEY UPDATE OF s)
UPDATE sessions s SET undelivered_gen = s.gen, undelivered_at = $1
  FROM undelivered u WHERE s.id = u.id AND s.gen = u.gen`, t.now, ids, gens)
	})
	return err
}

// MarkShared implements [tokenjar.SessionStore].
func (s *Store) MarkShared(ctx context.Context, shared []tokenjar.Shared) ([]tokenjar.Shared, error) {
	n := len(shared)
	if n == 0 {
		return nil, ctxError(ctx, "mark sessions shared")
	}
	ids, ips, agents, gens := make([]string, n), make([]string, n), make([]string, n), make([]int64, n)
	for i, m := range shared {
		ids[i], ips[i], agents[i], gens[i] = encodeText(m.SessionID), encodeText(m.IP), encodeText(m.UserAgent), m.Generation
	}
	return write(ctx, s, "mark sessions shared", func(t *tx) ([]tokenjar.Shared, error) {
		if err := t.clock(); err != nil {
			return nil, err
		}
		rows, err := t.Query(t.ctx, `
WITH named AS MATERIALIZED (SELECT id FROM sessions WHERE id = ANY ($2::text[]) ORDER BY id FOR NO KEY UPDATE)
UPDATE sessions s SET shared_gen = m.gen, shared_at = $1, shared_ip = m.ip, shared_user_agent = m.user_agent
  FROM named, unnest($2::text[], $3::bigint[], $4::text[], $5::text[]) WITH ORDINALITY AS m (id, gen, ip, user_agent, n)
 WHERE s.id = named.id AND s.id = m.id AND s.gen = m.gen AND s.shared_gen <> m.gen AND s.revoked_at IS NULL
RETURNING m.n`, t.now, ids, gens, ips, agents)
		if err != nil {
			return nil, err
		}
		return collect(rows, func(r scanner) (tokenjar.Shared, error) {
			var n int64
			if err := r.Scan(&n); err != nil {
				return tokenjar.Shared{}, err
			}
			return shared[n-1], nil
		})
	})
}

// scanSession reads a row of sessionColumns and the store's time.
func scanSession(row scanner) (tokenjar.Session, error) {
	var (
		s                                                    tokenjar.Session
		created, auth, lastSeen, idle, expires, rotated, now int64
		lateRetry, revoked, shared, undelivered              *int64
		hash                                                 []byte
	)
	err := row.Scan((*text)(&s.ID), (*text)(&s.UserID), &s.AuthEpoch, &created, &auth, &lastSeen, &idle, &expires, &s.Remember,
		&s.Generation, &hash, &rotated, &s.SuccessorSeen, &s.ReplayCount, &s.LateRetryGen, &lateRetry,
		(*text)(&s.UserAgent), (*text)(&s.IP), (*text)(&s.Name), &revoked, (*text)(&s.RevokeReason),
		&s.SharedGen, &shared, (*text)(&s.SharedIP), (*text)(&s.SharedUserAgent),
		&s.UndeliveredGen, &undelivered, (*text)(&s.LateRetryIP), (*text)(&s.LateRetryUserAgent), &now)
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
	s.ReadAt = fromMillis(now)
	return s, nil
}
