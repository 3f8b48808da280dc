package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenjar/tokenjar"
)

// Rotate implements [tokenjar.SessionStore].
//
// The newest token of a living session, which is nearly every call, is spent by one conditional statement, which is a
// transaction of its own. Of two that spend one token the second waits for the first, looks at its conditions again on
// the row as that left it, and finds none that holds. Whatever the statement does not match is locked, read and judged
// in a transaction. Between the two anything may happen: the judgement begins afresh.
func (s *Store) Rotate(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	if !r.UserGone {
		rotated, err := s.spender.spend(ctx, r)
		if err == nil {
			return tokenjar.Verdict{Outcome: tokenjar.OutcomeRotated, Session: rotated, Changed: true}, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return tokenjar.Verdict{}, storeError("rotate session", err)
		}
	}
	return s.judge(ctx, r)
}

// judge decides without a spend.
//
// The token of a session that is over is answered from a plain read: nothing is written, and nobody is waited for. That
// a late retry or a reuse is due is believed only of a server that confirms commits. One whose synchronous standby is away
// does not: it commits, and nobody is told, so an honest client has shown its token over and over without an answer.
func (s *Store) judge(ctx context.Context, r tokenjar.Rotation) (tokenjar.Verdict, error) {
	const op = "rotate session"
	judged := new(tokenjar.Verdict) // not touched again by a caller who left early
	err := s.do(ctx, func(running context.Context, c *pgxpool.Conn) error {
		v, over, err := judgeOver(running, c, s, r)
		if err != nil || over {
			*judged = v
			return err
		}
		for confirmed := false; ; confirmed = true {
			v, err = tried(running, s, c, func(t *tx) (tokenjar.Verdict, error) { return judge(t, r, confirmed) })
			if !errors.Is(err, errUnconfirmed) {
				*judged = v
				return err
			}
			if _, err := c.Exec(running, confirmSQL); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil { // nobody would get the answer
				return err
			}
		}
	})
	if err != nil {
		return tokenjar.Verdict{}, storeError(op, err)
	}
	return *judged, nil
}

// judgeOver reads the row without its lock, and decides if that is final: there is none, it is another user's, over, or
// revoked.
func judgeOver(ctx context.Context, c *pgxpool.Conn, s *Store, r tokenjar.Rotation) (v tokenjar.Verdict, over bool, err error) {
	row, err := scanSession(c.QueryRow(ctx, sessionSQL, s.at(), text(r.SessionID)))
	if errors.Is(err, pgx.ErrNoRows) {
		return tokenjar.Verdict{Outcome: tokenjar.OutcomeEnded}, true, nil
	} else if err != nil {
		return tokenjar.Verdict{}, false, err
	}
	v = row.Judge(r, row.ReadAt)
	return v, !v.Changed && (v.Outcome == tokenjar.OutcomeEnded || v.Outcome == tokenjar.OutcomeReused), nil
}

// errUnconfirmed says that the verdict waits for a commit that the server confirms.
var errUnconfirmed = errors.New("to be judged once a commit was confirmed")

// judge reads the row, has it judged, and writes the verdict. It holds the row's lock from the reading on, so a revocation,
// a password change or another rotation has either committed before and is seen, or waits and sees this one. Unless a
// commit was confirmed in this call, it writes neither a late retry nor a reuse.
func judge(t *tx, r tokenjar.Rotation, confirmed bool) (tokenjar.Verdict, error) {
	row, err := scanSession(t.first(`
SELECT `+sessionColumns+`, 0::bigint FROM sessions WHERE id = $1 FOR NO KEY UPDATE`, text(r.SessionID)))
	if errors.Is(err, pgx.ErrNoRows) {
		return tokenjar.Verdict{Outcome: tokenjar.OutcomeEnded}, nil
	} else if err != nil {
		return tokenjar.Verdict{}, err
	}
	v := row.Judge(r, fromMillis(t.now))
	if !v.Changed {
		return v, nil
	}
	if !confirmed && (v.Outcome == tokenjar.OutcomeLateRetry || v.Outcome == tokenjar.OutcomeReused) {
		return tokenjar.Verdict{}, errUnconfirmed
	}
	a := v.Session
	n, err := t.exec(`
UPDATE sessions
   SET gen = $1, current_hash = $2, rotated_at = $3, successor_seen = $4, replay_count = $5,
       late_retry_gen = $6, late_retry_at = $7, user_agent = $8, ip = $9, last_seen_at = $10, idle_expires_at = $11,
       revoked_at = $12, revoke_reason = $13, shared_gen = $14, shared_at = $15, shared_ip = $16, shared_user_agent = $17,
       late_retry_ip = $18, late_retry_user_agent = $19
 WHERE id = $20 AND gen = $21 AND current_hash = $22 AND revoked_at IS NULL`,
		a.Generation, a.CurrentHash[:], millis(a.RotatedAt), a.SuccessorSeen, a.ReplayCount,
		a.LateRetryGen, nullMillis(a.LateRetryAt), text(a.UserAgent), text(a.IP), millis(a.LastSeenAt), millis(a.IdleExpiresAt),
		nullMillis(a.RevokedAt), text(a.RevokeReason), a.SharedGen, nullMillis(a.SharedAt), text(a.SharedIP), text(a.SharedUserAgent),
		text(a.LateRetryIP), text(a.LateRetryUserAgent), text(row.ID), row.Generation, row.CurrentHash[:])
	if err == nil && n != 1 {
		// Not possible under the lock; if it ever is, nobody must be told that it worked.
		err = fmt.Errorf("%w: %d rows were written", tokenjar.ErrStoreUnavailable, n)
	}
	if err != nil {
		return tokenjar.Verdict{}, err
	}
	if v.Revoked {
		t.ended(a.RevokeReason, row.ID)
	}
	return v, nil
}
