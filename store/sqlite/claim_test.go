package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/tokenjar/tokenjar"
	"pgregory.net/rapid"
)

// insertRows stores rows as they are, whatever they say.
func insertRows(s *Store, rows ...tokenjar.Session) error {
	_, err := write(context.Background(), s, "insert", func(t *tx) (struct{}, error) {
		for _, r := range rows {
			_, err := t.exec(`INSERT INTO sessions (`+sessionColumns+`)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				r.ID, r.UserID, r.AuthEpoch, millis(r.CreatedAt), millis(r.AuthTime), millis(r.LastSeenAt),
				millis(r.IdleExpiresAt), millis(r.ExpiresAt), r.Remember, r.Generation, r.CurrentHash[:],
				millis(r.RotatedAt), r.SuccessorSeen, r.ReplayCount, r.LateRetryGen, nullMillis(r.LateRetryAt),
				r.UserAgent, r.IP, r.Name, nullMillis(r.RevokedAt), r.RevokeReason,
				r.SharedGen, nullMillis(r.SharedAt), r.SharedIP, r.SharedUserAgent,
				r.UndeliveredGen, nullMillis(r.UndeliveredAt), r.LateRetryIP, r.LateRetryUserAgent)
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
	cfg := quiet()
	cfg.Now = func() time.Time { return now }
	s := openAt(t, dbPath(t), cfg, tuning{})
	var fast, slow atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		row := drawRow(t, now)
		r := drawRotation(t, row)
		twin := row // to be judged without the fast path
		twin.ID = uuid.NewString()
		if err := insertRows(s, row, twin); err != nil {
			t.Fatal(err)
		}
		want := row.Judge(r, now)
		got, err := s.Rotate(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("verdict:\n got %+v\nwant %+v", got, want)
		}
		stored, err := s.Session(context.Background(), row.ID)
		if err != nil {
			t.Fatal(err)
		}
		if stored != want.Session {
			t.Fatalf("row:\n got %+v\nwant %+v", stored, want.Session)
		}
		if got.Outcome == tokenjar.OutcomeRotated {
			fast.Add(1)
		} else {
			slow.Add(1)
		}

		r.SessionID = twin.ID
		judged, err := write(context.Background(), s, "judge", func(t *tx) (tokenjar.Verdict, error) { return judge(t, r) })
		if err != nil {
			t.Fatal(err)
		}
		judged.Session.ID = row.ID
		if judged != want {
			t.Fatalf("verdict without the fast path:\n got %+v\nwant %+v", judged, want)
		}
	})
	if fast.Load() == 0 || slow.Load() == 0 {
		t.Errorf("%d rotations and %d other verdicts: one kind was not tested", fast.Load(), slow.Load())
	}
}

func TestT17NoTokenIDIsInTheFiles(t *testing.T) {
	path := dbPath(t)
	s := openAt(t, path, quiet(), tuning{})
	id := login(t, s)
	for n := range int64(5) {
		wantOutcome(t, s, id, n+1, tokenjar.OutcomeRotated)
	}
	dump := dumpFiles(t, path)
	for n := range int64(7) {
		jti := fmt.Sprintf("%s/%d", id, n)
		if dump.contains([]byte(jti)) {
			t.Errorf("token id %s stands in the files", jti)
		}
		if n == 6 {
			h := hash(id, n)
			if !dump.contains(h[:]) {
				t.Error("the newest token's hash is not in the files: the search does not work")
			}
		}
	}
}

func TestALinkToTheDatabaseIsTheSameDatabase(t *testing.T) {
	path := dbPath(t)
	s := openAt(t, path, quiet(), tuning{})
	release, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	other := openAt(t, link, quiet(), tuning{})
	if _, err := other.Lock(); err == nil {
		t.Error("two servers use one database, by two names")
	}
}
