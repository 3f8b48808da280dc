package sqlite

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/tokenjar/tokenjar"
)

// Revoking takes every row that nobody has revoked yet, also one that is merely over: a clock that steps back must not
// bring a session to life after its end was acknowledged.

// RevokeSessions implements [tokenjar.SessionStore].
func (s *Store) RevokeSessions(
	ctx context.Context, userID string, ids []string, why tokenjar.Reason,
) ([]string, error) {
	return write(ctx, s, "revoke sessions", func(t *tx) ([]string, error) {
		return revokeByID(t, userID, ids, why)
	})
}

// revokeChunk is how many ids go into one statement: a list of any length is taken, in one transaction.
const revokeChunk = 500

func revokeByID(t *tx, userID string, ids []string, why tokenjar.Reason) ([]string, error) {
	var ended []string
	for chunk := range slices.Chunk(ids, revokeChunk) {
		list, err := json.Marshal(chunk)
		if err != nil {
			return nil, err
		}
		revoked, err := t.texts(`
UPDATE sessions SET revoked_at = ?1, revoke_reason = ?2
 WHERE id IN (SELECT value FROM json_each(?3)) AND (?4 = '' OR user_id = ?4) AND revoked_at IS NULL
RETURNING id`, millis(t.now), why, string(list), userID)
		if err != nil {
			return nil, err
		}
		ended = append(ended, revoked...)
	}
	return ended, nil
}

// RevokeUserSessions implements [tokenjar.SessionStore].
func (s *Store) RevokeUserSessions(
	ctx context.Context, userID, except string, why tokenjar.Reason,
) ([]string, error) {
	return write(ctx, s, "revoke sessions of user", func(t *tx) ([]string, error) {
		return revokeUser(t, userID, except, why)
	})
}

func revokeUser(t *tx, userID, except string, why tokenjar.Reason) ([]string, error) {
	ended, err := t.texts(`
UPDATE sessions SET revoked_at = ?1, revoke_reason = ?2
 WHERE user_id = ?3 AND id <> ?4 AND revoked_at IS NULL
RETURNING id`, millis(t.now), why, userID, except)
	slices.Sort(ended)
	return ended, err
}

// RaiseClaims implements [tokenjar.SessionStore].
func (s *Store) RaiseClaims(ctx context.Context, userID string, generation int64) error {
	_, err := write(ctx, s, "raise claims", func(t *tx) (struct{}, error) {
		return struct{}{}, raiseClaims(t, userID, generation)
	})
	return err
}

func raiseClaims(t *tx, userID string, generation int64) error {
	_, err := t.exec(`
INSERT INTO claims_changes (user_id, gen, changed_at) SELECT ?1, ?2, ?3 WHERE ?2 > 0
    ON CONFLICT (user_id) DO UPDATE SET gen = excluded.gen, changed_at = excluded.changed_at
 WHERE excluded.gen > claims_changes.gen`, userID, generation, millis(t.now))
	return err
}

// News implements [tokenjar.SessionStore].
func (s *Store) News(ctx context.Context, since time.Time) (tokenjar.News, error) {
	news := tokenjar.News{At: clock(s.now)} // before the read: what is committed after it will be asked for again
	var err error
	if news.Revocations, err = s.revocations(ctx, since); err == nil {
		news.ClaimsChanges, err = s.claimsChanges(ctx, since)
	}
	if err != nil {
		return tokenjar.News{}, storeError("read news", err)
	}
	return news, nil
}

func (s *Store) claimsChanges(ctx context.Context, since time.Time) ([]tokenjar.ClaimsChange, error) {
	return rows(ctx, s, func(r scanner) (tokenjar.ClaimsChange, error) {
		var c tokenjar.ClaimsChange
		var at int64
		err := r.Scan(&c.UserID, &c.Generation, &at)
		c.At = fromMillis(at)
		return c, err
	}, `
SELECT user_id, gen, changed_at
  FROM claims_changes
 WHERE changed_at >= ?1
 ORDER BY changed_at, user_id`, millis(since))
}

func (s *Store) revocations(ctx context.Context, since time.Time) ([]tokenjar.Revocation, error) {
	return rows(ctx, s, func(r scanner) (tokenjar.Revocation, error) {
		var v tokenjar.Revocation
		var at int64
		err := r.Scan(&v.SessionID, &v.Reason, &at)
		v.At = fromMillis(at)
		return v, err
	}, `
SELECT id, revoke_reason, revoked_at
  FROM sessions
 WHERE revoked_at >= ?1
 ORDER BY revoked_at, id`, millis(since))
}

// PruneSessions implements [tokenjar.SessionStore]. It works in transactions of at most 50 rows; on an error the number
// says how many are gone already. A database that an earlier version wrote has every session looked at once.
func (s *Store) PruneSessions(ctx context.Context, keep time.Duration, limit int) (deleted int, more bool, err error) {
	return pruneInChunks(ctx, s, "prune sessions", limit, func(t *tx, want int) (pruned, error) {
		before := millis(t.now.Add(-max(keep, 0)))
		if _, err := t.exec(`
DELETE FROM claims_changes
 WHERE user_id IN (SELECT user_id FROM claims_changes WHERE changed_at < ?1 ORDER BY changed_at LIMIT ?2)`,
			before, want); err != nil {
			return pruned{}, err
		}
		over, err := t.exec(`
DELETE FROM sessions
 WHERE id IN (SELECT id FROM sessions WHERE revoked_at IS NULL AND prune_at < ?1 ORDER BY prune_at, id LIMIT ?2)
   AND idle_expires_at < ?1`, before, want)
		if err != nil {
			return pruned{}, err
		}
		// What is left of those are sessions that have been used since somebody looked. The first places are theirs now.
		alive, err := t.exec(`
UPDATE sessions SET prune_at = idle_expires_at
 WHERE id IN (SELECT id FROM sessions WHERE revoked_at IS NULL AND prune_at < ?1 ORDER BY prune_at, id LIMIT ?2)`,
			before, want-int(over))
		if err != nil {
			return pruned{}, err
		}
		// A revocation is kept for its own sake, however long ago the session would have been over.
		revoked, err := t.exec(`
DELETE FROM sessions
 WHERE id IN (SELECT id FROM sessions WHERE revoked_at < ?1 ORDER BY revoked_at LIMIT ?2)`,
			before, want-int(over+alive))
		return pruned{deleted: int(over + revoked), seen: int(over + alive + revoked)}, err
	})
}

// pruneChunk bounds how long rotations wait behind one transaction that deletes. With a million sessions each row is on a
// page of its own in each of its trees: 500 rows held everybody for a tenth of a second on a busy machine.
const pruneChunk = 50

// pruned is what one of them did: it deleted so many of the rows it has seen.
type pruned struct{ deleted, seen int }

// pruneInChunks has at most limit rows seen, in transactions of their own that see at most want rows each. The one that
// sees fewer is the last, and there is no more. Rows that are seen and stay count as well: after migration 5 these are all
// live sessions, and a call would go on for as long as there are any.
func pruneInChunks(
	ctx context.Context, s *Store, op string, limit int, chunk func(t *tx, want int) (pruned, error),
) (deleted int, more bool, err error) {
	for seen := 0; seen < limit; {
		want := min(limit-seen, pruneChunk)
		p, err := write(ctx, s, op, func(t *tx) (pruned, error) { return chunk(t, want) })
		deleted, seen = deleted+p.deleted, seen+p.seen
		if err != nil || p.seen < want {
			return deleted, false, err
		}
	}
	return deleted, limit > 0, nil
}
