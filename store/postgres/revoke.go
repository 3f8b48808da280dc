package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenjar/tokenjar"
)

// Revoking takes every row that nobody has revoked yet, also one that is merely over: a clock that steps back must not
// bring a session to life after its end was acknowledged.

// RevokeSessions implements [tokenjar.SessionStore].
func (s *Store) RevokeSessions(
	ctx context.Context, userID string, ids []string, why tokenjar.Reason,
) ([]string, error) {
	return write(ctx, s, "revoke sessions", func(t *tx) ([]string, error) {
		if err := t.clock(); err != nil {
			return nil, err
		}
		ended, err := revokeByID(t, userID, ids, why)
		return confirmed(t, ended, err)
	})
}

// confirmed sees to it that what is reported as ended is so on the standby as well when an earlier call has ended it, whose
// commit nobody confirmed.
func confirmed(t *tx, ended []string, err error) ([]string, error) {
	if err == nil && len(ended) == 0 {
		err = t.confirm()
	}
	return ended, err
}

func revokeByID(t *tx, userID string, ids []string, why tokenjar.Reason) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ended, err := t.ids(`
WITH named AS MATERIALIZED (
  SELECT id FROM sessions
   WHERE id = ANY ($3::text[]) AND ($4 = '' OR user_id = $4) AND revoked_at IS NULL
   ORDER BY id FOR NO KEY UPDATE)
UPDATE sessions s SET revoked_at = $1, revoke_reason = $2
  FROM named WHERE s.id = named.id AND s.revoked_at IS NULL
RETURNING s.id`, t.now, text(why), texts(ids), text(userID))
	t.ended(why, ended...)
	return ended, err
}

// RevokeUserSessions implements [tokenjar.SessionStore].
func (s *Store) RevokeUserSessions(
	ctx context.Context, userID, except string, why tokenjar.Reason,
) ([]string, error) {
	return write(ctx, s, "revoke sessions of user", func(t *tx) ([]string, error) {
		if err := t.clock(); err != nil {
			return nil, err
		}
		ended, err := revokeUser(t, userID, except, why)
		return confirmed(t, ended, err)
	})
}

func revokeUser(t *tx, userID, except string, why tokenjar.Reason) ([]string, error) {
	ended, err := t.ids(`
WITH named AS MATERIALIZED (
  SELECT id FROM sessions
   WHERE user_id = $3 AND id <> $4 AND revoked_at IS NULL
   ORDER BY id FOR NO KEY UPDATE)
UPDATE sessions s SET revoked_at = $1, revoke_reason = $2
  FROM named WHERE s.id = named.id AND s.revoked_at IS NULL
RETURNING s.id`, t.now, text(why), text(userID), text(except))
	slices.Sort(ended)
	t.ended(why, ended...)
	return ended, err
}

// RaiseClaims implements [tokenjar.SessionStore].
func (s *Store) RaiseClaims(ctx context.Context, userID string, generation int64) error {
	_, err := write(ctx, s, "raise claims", func(t *tx) (struct{}, error) {
		if err := t.clock(); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, raiseClaims(t, userID, generation)
	})
	return err
}

func raiseClaims(t *tx, userID string, generation int64) error {
	n, err := t.exec(`
INSERT INTO claims_changes (user_id, gen, changed_at) SELECT $1, $2::bigint, $3 WHERE $2 > 0
    ON CONFLICT (user_id) DO UPDATE SET gen = excluded.gen, changed_at = excluded.changed_at
 WHERE excluded.gen > claims_changes.gen`, text(userID), generation, t.now)
	if n > 0 {
		t.changed()
	} else if err == nil {
		err = t.confirm()
	}
	return err
}

// News implements [tokenjar.SessionStore]. It is one statement, and its time is from before the rows were read: what is
// committed after it will be asked for again.
func (s *Store) News(ctx context.Context, since time.Time) (tokenjar.News, error) {
	found := new(tokenjar.News) // not touched again by a caller who left early
	err := s.poll(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
SELECT now, about, id, reason, gen, at
  FROM `+nowSQL+`
  LEFT JOIN (SELECT 'session' AS about, id, revoke_reason AS reason, 0::bigint AS gen, revoked_at AS at
               FROM sessions WHERE revoked_at >= $2
              UNION ALL
             SELECT 'claims', user_id, '', gen, changed_at FROM claims_changes WHERE changed_at >= $2) n ON true
 ORDER BY at, id`, s.at(), millis(since))
		if err != nil {
			return err
		}
		_, err = collect(rows, func(r scanner) (struct{}, error) { return struct{}{}, scanNews(r, found) })
		return err
	})
	if err != nil {
		return tokenjar.News{}, storeError("read news", err)
	}
	return *found, nil
}

// scanNews adds a row to the news; where there are none, the only row has the time alone.
func scanNews(row scanner, news *tokenjar.News) error {
	var now int64
	var about *string
	var id, reason *text
	var gen, at *int64
	if err := row.Scan(&now, &about, &id, &reason, &gen, &at); err != nil {
		return err
	}
	news.At = fromMillis(now)
	switch {
	case about == nil:
	case *about == "session":
		news.Revocations = append(news.Revocations,
			tokenjar.Revocation{SessionID: string(*id), Reason: tokenjar.Reason(*reason), At: fromMillis(*at)})
	default:
		news.ClaimsChanges = append(news.ClaimsChanges,
			tokenjar.ClaimsChange{UserID: string(*id), Generation: *gen, At: fromMillis(*at)})
	}
	return nil
}

// PruneSessions implements [tokenjar.SessionStore]. It deletes in transactions of 500 rows and passes over those that
// somebody else holds; on an error the number says how many are gone already.
//
// A row is looked at again once it is locked: one that was rotated or revoked in that moment stays.
func (s *Store) PruneSessions(ctx context.Context, keep time.Duration, limit int) (int, bool, error) {
	const op = "prune sessions"
	age := max(keep, 0).Milliseconds()
	n, err := pruneInChunks(limit, func(want int) (int, error) {
		if _, err := s.statement(ctx, op, `
DELETE FROM claims_changes
 WHERE user_id IN (SELECT user_id FROM claims_changes, `+nowSQL+`
                    WHERE changed_at < now - $2
                    ORDER BY changed_at LIMIT $3 FOR UPDATE OF claims_changes SKIP LOCKED)`, s.at(), age, want); err != nil {
			return 0, err
		}
		over, err := s.statement(ctx, op, `
DELETE FROM sessions
 WHERE id IN (SELECT id FROM sessions, `+nowSQL+`
               WHERE revoked_at IS NULL AND end_hour <= (now - $2) / 3600000 AND idle_expires_at < now - $2
               ORDER BY end_hour LIMIT $3 FOR UPDATE OF sessions SKIP LOCKED)`, s.at(), age, want)
		if err != nil || over == want {
			return over, err
		}
		// A revocation is kept for its own sake, however long ago the session would have been over.
		revoked, err := s.statement(ctx, op, `
DELETE FROM sessions
 WHERE id IN (SELECT id FROM sessions, `+nowSQL+`
               WHERE revoked_at < now - $2
               ORDER BY revoked_at LIMIT $3 FOR UPDATE OF sessions SKIP LOCKED)`, s.at(), age, want-over)
		return over + revoked, err
	})
	return n, err == nil && n > 0 && n == limit, err
}

// pruneChunk bounds how long rotations wait behind one transaction that deletes.
const pruneChunk = 500

// pruneInChunks has at most limit rows deleted, in transactions of their own, until one finds fewer than it may take.
func pruneInChunks(limit int, deleteOld func(want int) (int, error)) (total int, err error) {
	for total < limit {
		want := min(limit-total, pruneChunk)
		n, err := deleteOld(want)
		total += n
		if err != nil || n < want {
			return total, err
		}
	}
	return total, nil
}
