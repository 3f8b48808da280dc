package postgres

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// insertRows stores rows as they are, whatever they say.
func insertRows(s *Store, rows ...tokenjar.Session) error {
	_, err := write(context.Background(), s, "insert", func(t *tx) (struct{}, error) {
		for _, r := range rows {
			_, err := t.exec(`INSERT INTO sessions (`+sessionColumns+`)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)`,
				text(r.ID), text(r.UserID), r.AuthEpoch, millis(r.CreatedAt), millis(r.AuthTime), millis(r.LastSeenAt),
				millis(r.IdleExpiresAt), millis(r.ExpiresAt), r.Remember, r.Generation, r.CurrentHash[:],
				millis(r.RotatedAt), r.SuccessorSeen, r.ReplayCount, r.LateRetryGen, nullMillis(r.LateRetryAt),
				text(r.UserAgent), text(r.IP), text(r.Name), nullMillis(r.RevokedAt), text(r.RevokeReason),
				r.SharedGen, nullMillis(r.SharedAt), text(r.SharedIP), text(r.SharedUserAgent),
				r.UndeliveredGen, nullMillis(r.UndeliveredAt), text(r.LateRetryIP), text(r.LateRetryUserAgent))
			if err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

// Rows and rotations are drawn so that each condition is met, missed, or missed by a millisecond.
func drawRow(t *rapid.T, now time.Time) tokenjar.Session {
	near := func(label string) time.Time {
		return now.Add(rapid.SampledFrom([]time.Duration{
			-time.Hour, -11 * time.Second, -10 * time.Second, -time.Second, -time.Millisecond, 0, time.Millisecond,
			time.Second, time.Hour, 48 * time.Hour,
		}).Draw(t, label)).Truncate(time.Millisecond)
	}
	later := func(label string) time.Time {
		return now.Add(rapid.SampledFrom([]time.Duration{
			time.Hour, time.Hour, 48 * time.Hour, time.Millisecond, 0, -time.Millisecond, time.Second,
		}).Draw(t, label)).Truncate(time.Millisecond)
	}
	s := tokenjar.Session{
		ID: uuid.NewString(), UserID: "user", AuthEpoch: 1, Remember: rapid.Bool().Draw(t, "remember"),
		UserAgent: "old agent", IP: "192.0.2.1", Name: "name", CreatedAt: now.Add(-time.Hour), AuthTime: now.Add(-time.Hour),
		LastSeenAt: near("last seen"), IdleExpiresAt: later("idle end"), ExpiresAt: later("end"),
		Generation: rapid.Int64Range(1, 6).Draw(t, "gen"), RotatedAt: near("rotated"),
		SuccessorSeen: rapid.Bool().Draw(t, "seen"), ReplayCount: rapid.IntRange(0, 66).Draw(t, "replays"),
		LateRetryGen: rapid.Int64Range(0, 6).Draw(t, "late gen"),
	}
	if s.LateRetryGen > 0 {
		s.LateRetryAt, s.LateRetryIP, s.LateRetryUserAgent = near("late at"), "198.51.100.7", "new agent"
	}
	if rapid.IntRange(0, 4).Draw(t, "revoked") == 0 {
		s.RevokedAt = near("revoked at")
		s.RevokeReason = rapid.SampledFrom([]tokenjar.Reason{tokenjar.ReasonReuse, tokenjar.ReasonLogout}).Draw(t, "reason")
	}
	if s.SharedGen = rapid.Int64Range(0, 6).Draw(t, "shared gen"); s.SharedGen > 0 {
		s.SharedAt, s.SharedIP, s.SharedUserAgent = near("shared at"), "203.0.113.9", "third agent"
	}
	if s.UndeliveredGen = rapid.Int64Range(0, 6).Draw(t, "undelivered gen"); s.UndeliveredGen > 0 {
		s.UndeliveredAt = near("undelivered at")
	}
	s.CurrentHash = hash(s.ID, s.Generation)
	return s
}

func drawRotation(t *rapid.T, s tokenjar.Session) tokenjar.Rotation {
	r := show(s.ID, s.Generation-rapid.SampledFrom([]int64{0, 0, 0, 1, 1, 2}).Draw(t, "token"))
	r.AuthEpoch = rapid.SampledFrom([]int64{1, 1, 1, 1, 2, 0}).Draw(t, "epoch")
	r.UserGone = rapid.IntRange(0, 9).Draw(t, "gone") == 0
	if rapid.IntRange(0, 9).Draw(t, "other user") == 0 {
		r.UserID = "other"
	}
	r.Passive = rapid.Bool().Draw(t, "passive")
	r.UserAgent, r.IP = "new agent", "198.51.100.7"
	if rapid.Bool().Draw(t, "same client") {
		r.UserAgent, r.IP = s.UserAgent, s.IP
	}
	r.Timing.Idle = rapid.SampledFrom([]time.Duration{time.Minute, 90*time.Minute + 7*time.Millisecond}).Draw(t, "idle")
	r.Timing.Grace = rapid.SampledFrom([]time.Duration{0, 10 * time.Second}).Draw(t, "grace")
	return r
}

func TestRotateDecidesAndWritesExactlyWhatJudgeSays(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, int(250*time.Millisecond), time.UTC)
	cfg, dsn := quiet(), pgtest.Schema(t)
	cfg.Now, cfg.Timeout = func() time.Time { return now }, time.Minute
	alone, together := openAt(t, dsn, cfg, tuning{batch: 1}), openAt(t, dsn, cfg, tuning{always: true})
	ways := map[string]func(context.Context, tokenjar.Rotation) (tokenjar.Verdict, error){
		"a spend of its own":    alone.Rotate,
		"a spend in a batch":    together.Rotate,
		"without the fast path": alone.judge,
	}
	var fast, slow atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		row := drawRow(t, now)
		r := drawRotation(t, row)
		want := row.Judge(r, now)
		if want.Outcome == tokenjar.OutcomeRotated {
			fast.Add(1)
		} else {
			slow.Add(1)
		}
		for name, rotate := range ways {
			twin := row
			twin.ID = uuid.NewString()
			if err := insertRows(alone, twin); err != nil {
				t.Fatal(err)
			}
			r.SessionID = twin.ID
			got, err := rotate(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := alone.Session(context.Background(), twin.ID)
			if err != nil {
				t.Fatal(err)
			}
			got.Session.ID, stored.ID = row.ID, row.ID
			if got != want {
				t.Fatalf("verdict, %s:\n got %+v\nwant %+v", name, got, want)
			}
			if stored != want.Session {
				t.Fatalf("row, %s:\n got %+v\nwant %+v", name, stored, want.Session)
			}
		}
	})
	if fast.Load() == 0 || slow.Load() == 0 {
		t.Errorf("%d rotations and %d other verdicts: one kind was not tested", fast.Load(), slow.Load())
	}
}

// Rotations that come back in one statement are judged as if they had come one after the other: whatever the order, the same
// sessions are rotated, and of several that show one token one rotates it.
func TestABatchDecidesAsItsRotationsOneByOne(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, int(250*time.Millisecond), time.UTC)
	cfg, dsn := quiet(), pgtest.Schema(t)
	cfg.Now, cfg.Timeout = func() time.Time { return now }, time.Minute
	s := openAt(t, dsn, cfg, tuning{})
	rapid.Check(t, func(t *rapid.T) {
		var batch []*spend
		want := make(map[string]bool) // whether a session is rotated
		for range rapid.IntRange(1, 5).Draw(t, "sessions") {
			row := drawRow(t, now)
			if err := insertRows(s, row); err != nil {
				t.Fatal(err)
			}
			want[row.ID] = false
			for range rapid.IntRange(1, 4).Draw(t, "spends") {
				r := drawRotation(t, row)
				r.UserGone = false // is judged without a spend
				if row.Judge(r, now).Outcome == tokenjar.OutcomeRotated {
					want[row.ID] = true
				}
				batch = append(batch, &spend{r: r})
			}
		}
		batch = rapid.Permutation(batch).Draw(t, "order")
		err := s.spender.onConnection(func(ctx context.Context, conn *pgxpool.Conn) error { return spendMany(ctx, conn, s, batch) })
		if err != nil {
			t.Fatal(err)
		}
		won := make(map[string]int)
		for _, q := range batch {
			if q.session.ID == "" {
				continue
			}
			won[q.r.SessionID]++
			if q.session.ID != q.r.SessionID || q.session.CurrentHash != q.r.Successor || q.session.UserAgent != q.r.UserAgent {
				t.Fatalf("a spend got the row of another one: %+v and %+v", q.r, q.session)
			}
		}
		for id, rotated := range want {
			if got := won[id]; got > 1 || (got == 1) != rotated {
				t.Fatalf("session %s was spent %d times, and should be rotated: %v", id, got, rotated)
			}
		}
	})
}
