package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tokenjar/tokenjar"
)

// Rotate implements [tokenjar.SessionStore].
//
// The newest token of a living session, which is nearly every call, is claimed by one conditional statement. Whatever
// that statement does not match is read in the same transaction and judged.
func (s *Store) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	return write(ctx, s, "rotate session", func(t *tx) (tokenjar.Verdict, error) {
		if !r.UserGone {
			rotated, err := claim(t, r)
			if err == nil {
				return tokenjar.Verdict{Outcome: tokenjar.OutcomeRotated, Session: rotated, Changed: true}, nil
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return tokenjar.Verdict{}, err
			}
		}
		return judge(t, r)
	})
}

// What it sets is what [tokenjar.Session.Judge] says of a newest token, and its conditions are those under which Judge
// says so; a property test holds the two together.
const claimSQL = `
UPDATE sessions
   SET gen = gen + 1, current_hash = ?1, rotated_at = ?2, successor_seen = 0, replay_count = 0,
       user_agent = ?3, ip = ?4,
       last_seen_at = CASE WHEN ?5 THEN last_seen_at ELSE ?2 END,
       idle_expires_at = CASE WHEN ?5 THEN idle_expires_at
                              WHEN remember THEN min(expires_at, ?6)
                              ELSE min(expires_at, ?7) END
 WHERE id = ?8 AND user_id = ?9 AND current_hash = ?10 AND auth_epoch = ?11
   AND revoked_at IS NULL AND idle_expires_at > ?2 AND expires_at > ?2
RETURNING prune_at > idle_expires_at, ` + sessionColumns

// claim spends the newest token of a living session, or returns sql.ErrNoRows when it is not that.
func claim(t *tx, r tokenjar.Rotation) (tokenjar.Session, error) {
	var late bool
	row := t.row(claimSQL, r.Successor[:], millis(t.now), r.UserAgent, r.IP, r.Passive,
		millis(t.now.Add(r.Timing.RememberIdle).Truncate(time.Second)),
		millis(t.now.Add(r.Timing.Idle).Truncate(time.Second)),
		r.SessionID, r.UserID, r.Presented[:], r.AuthEpoch)
	s, err := scanSession(behind{row, &late}, t.now)
	if err == nil && late {
		// The end came nearer: the clock stepped back, or the idle time is a shorter one now.
		_, err = t.exec(`UPDATE sessions SET prune_at = idle_expires_at WHERE id = ?1`, r.SessionID)
	}
	return s, err
}

// behind is a row whose first column is read to first.
type behind struct {
	row   scanner
	first any
}

func (b behind) Scan(dest ...any) error { return b.row.Scan(append([]any{b.first}, dest...)...) }

// judge reads the row, has it judged, and writes the verdict.
func judge(t *tx, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	row, err := scanSession(t.row(selectSession, r.SessionID), t.now)
	if errors.Is(err, sql.ErrNoRows) {
		return tokenjar.Verdict{Outcome: tokenjar.OutcomeEnded}, nil
	} else if err != nil {
		return tokenjar.Verdict{}, err
	}
	v := row.Judge(r, t.now)
	if !v.Changed {
		return v, nil
	}
	a := v.Session
	n, err := t.exec(`
UPDATE sessions
   SET gen = ?1, current_hash = ?2, rotated_at = ?3, successor_seen = ?4, replay_count = ?5,
       late_retry_gen = ?6, late_retry_at = ?7, user_agent = ?8, ip = ?9, last_seen_at = ?10, idle_expires_at = ?11,
       revoked_at = ?12, revoke_reason = ?13, shared_gen = ?14, shared_at = ?15, shared_ip = ?16, shared_user_agent = ?17,
       late_retry_ip = ?18, late_retry_user_agent = ?19, prune_at = min(prune_at, ?11)
 WHERE id = ?20 AND gen = ?21 AND current_hash = ?22 AND revoked_at IS NULL`,
		a.Generation, a.CurrentHash[:], millis(a.RotatedAt), a.SuccessorSeen, a.ReplayCount,
		a.LateRetryGen, nullMillis(a.LateRetryAt), a.UserAgent, a.IP, millis(a.LastSeenAt), millis(a.IdleExpiresAt),
		nullMillis(a.RevokedAt), a.RevokeReason, a.SharedGen, nullMillis(a.SharedAt), a.SharedIP, a.SharedUserAgent,
		a.LateRetryIP, a.LateRetryUserAgent, row.ID, row.Generation, row.CurrentHash[:])
	if err == nil && n != 1 {
		// Not possible within one transaction; if it ever is, nobody must be told that it worked.
		err = fmt.Errorf("%w: %d rows were written", tokenjar.ErrStoreUnavailable, n)
	}
	if err != nil {
		return tokenjar.Verdict{}, err
	}
	return v, nil
}
