package postgres

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/pgtest"
)

// BenchmarkRotate measures, in turns on the same machine and the same server, which flushes its log to the disk:
//
//	rotations/s  the store as it is: tokens that wait are spent together
//	single/s     each spend a statement of its own, on a connection for each client
//	four/s       each rotation a transaction of four round trips (BEGIN, SELECT FOR UPDATE, UPDATE, COMMIT), on a
//	             connection for each client
//
// and the ratios to these, with their standard deviation over the iterations. flush-µs is what one flush takes on the
// disk, in the same run; commit-µs what the server takes for the least it can commit, an UPDATE of one number in one row. The flush of a development machine may cost next to nothing, so the second half adds the
// millisecond that a cloud volume takes, by a library in front of the server's fdatasync.
//
//	go test ./store/postgres -run '^$' -bench Rotate -benchtime 20x
func BenchmarkRotate(b *testing.B) {
	for _, flush := range []time.Duration{0, time.Millisecond} {
		b.Run(fmt.Sprintf("flush=+%v", flush), func(b *testing.B) {
			o := pgtest.Options{Durable: true}
			if flush > 0 {
				o.Environ = []string{"LD_PRELOAD=" + slowFlush(b, flush)}
			}
			server := pgtest.StartWith(b, o)
			for _, clients := range []int{1, 8, 64} {
				b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { compareWays(b, server.DSN(), clients, flush) })
			}
		})
	}
}

func compareWays(b *testing.B, dsn string, clients int, slower time.Duration) {
	dsn = pgtest.With(dsn, "connect_timeout", "60") // 64 connections at once, on a machine that may be busy
	cfg, own := quiet(), pgtest.With(dsn, "pool_max_conns", "64")
	cfg.Timeout = time.Minute
	product := newLoad(b, openAt(b, dsn, cfg, tuning{}), clients, (*Store).rotate)
	single := newLoad(b, openAt(b, own, cfg, tuning{batch: 1, workers: 64}), clients, (*Store).rotate)
	four := newLoad(b, openAt(b, own, cfg, tuning{}), clients, (*Store).inFourRoundTrips)
	var overSingle, overFour, flushes, commits, rotations samples
	least := leastCommit(b, dsn)
	for _, l := range []*load{product, single, four} { // statements are prepared, connections made
		l.run(b, 10)
	}
	for b.Loop() {
		// One iteration is about two thousand rotations in each way: what begins and ends it is little beside them.
		each := 1 + 2000/clients
		a, s, f := product.run(b, each), single.run(b, each), four.run(b, each)
		overSingle.add(a / s)
		overFour.add(a / f)
		rotations.add(1e6 / a)
		flushes.add(float64(flushOnce(b).Microseconds()) + float64(slower.Microseconds()))
		commits.add(float64(least().Microseconds()))
	}
	b.ReportMetric(product.rate(), "rotations/s")
	b.ReportMetric(single.rate(), "single/s")
	b.ReportMetric(four.rate(), "four/s")
	b.ReportMetric(overSingle.mean(), "x-single")
	b.ReportMetric(overSingle.deviation(), "±")
	b.ReportMetric(overFour.mean(), "x-four")
	b.ReportMetric(overFour.deviation(), "±four")
	b.ReportMetric(flushes.median(), "flush-µs")
	b.ReportMetric(commits.median(), "commit-µs")
	if clients == 1 {
		b.ReportMetric(rotations.median()/flushes.median(), "flushes/rotation")
		b.ReportMetric(rotations.median()/commits.median(), "commits/rotation")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkTold measures transactions that change a row each, as many at once as the store has connections, where flushes
// take a millisecond longer: told/s with the notification that says a session has ended, silent/s without, in turns. The
// server commits those with one after the other.
//
//	go test ./store/postgres -run '^$' -bench Told -benchtime 20x
func BenchmarkTold(b *testing.B) {
	server := pgtest.StartWith(b, pgtest.Options{Durable: true, Environ: []string{"LD_PRELOAD=" + slowFlush(b, time.Millisecond)}})
	for _, clients := range []int{1, maxConnections} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := openAt(b, pgtest.With(server.DSN(), "connect_timeout", "60"), quiet(), tuning{})
			told, silent := newLoad(b, s, clients, (*Store).renameAndTell), newLoad(b, s, clients, (*Store).rename)
			for _, l := range []*load{told, silent} {
				l.run(b, 10)
				l.done, l.within = 0, 0
			}
			var ratio, flushes samples
			for b.Loop() {
				t, s := told.run(b, 1+200/clients), silent.run(b, 1+200/clients)
				ratio.add(s / t)
				flushes.add(float64(flushOnce(b).Microseconds() + 1000))
			}
			b.ReportMetric(told.rate(), "told/s")
			b.ReportMetric(silent.rate(), "silent/s")
			b.ReportMetric(ratio.mean(), "x-silent")
			b.ReportMetric(ratio.deviation(), "±")
			b.ReportMetric(flushes.median(), "flush-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// rename changes a column that no index has.
func (s *Store) rename(ctx context.Context, id string, n int64) error {
	_, err := write(ctx, s, "rename", func(t *tx) (int64, error) {
		return t.exec(`UPDATE sessions SET name = $1 WHERE id = $2`, fmt.Sprint(n), text(id))
	})
	return err
}

// renameAndTell does so and tells it as the end of the session, which it is not.
func (s *Store) renameAndTell(ctx context.Context, id string, n int64) error {
	_, err := write(ctx, s, "rename", func(t *tx) (int64, error) {
		t.ended(tokenjar.ReasonLogout, id)
		return t.exec(`UPDATE sessions SET name = $1 WHERE id = $2`, fmt.Sprint(n), text(id))
	})
	return err
}

// BenchmarkRotateAmongMany measures rotations of 64 clients among a thousand sessions and among a million, each of another
// session, taken at random, in turns: ratio. A page that is changed for the first time after a checkpoint is written to the
// log as a whole, so a minute of that is left out, and reported beside it: first is the ratio of the first moment.
//
//	go test ./store/postgres -run '^$' -bench AmongMany -benchtime 20x
func BenchmarkRotateAmongMany(b *testing.B) {
	server := pgtest.StartWith(b, pgtest.Options{Durable: true, Settings: map[string]string{"shared_buffers": "1GB", "max_wal_size": "8GB"}})
	few, many := fill(b, server, "few", 1000), fill(b, server, "many", 1_000_000)
	var ratio samples
	few.run(b, 100)
	first := many.run(b, 100) / few.run(b, 100)
	for range 10 {
		many.run(b, 500)
	}
	for _, l := range []*load{few, many} {
		l.done, l.within = 0, 0
	}
	for b.Loop() {
		m, f := many.run(b, 50), few.run(b, 50)
		ratio.add(m / f)
	}
	b.ReportMetric(few.rate(), "few/s")
	b.ReportMetric(many.rate(), "many/s")
	b.ReportMetric(ratio.mean(), "ratio")
	b.ReportMetric(ratio.deviation(), "±")
	b.ReportMetric(first, "first")
	b.ReportMetric(0, "ns/op")
}

// fill makes a schema with n sessions in it, and a load that goes through them in a random order.
func fill(b *testing.B, server *pgtest.Server, schema string, n int) *load {
	ctx := context.Background()
	pool := pgtest.Pool(b, server.DSN())
	exec := func(sql string) {
		if _, err := pool.Exec(ctx, sql); err != nil {
			b.Fatal(err)
		}
	}
	exec(`CREATE SCHEMA ` + schema)
	cfg := quiet()
	cfg.Timeout = time.Minute
	s := openAt(b, pgtest.With(server.DSN(), "search_path", schema), cfg, tuning{})
	exec(fmt.Sprintf(`
INSERT INTO %s.sessions (id, user_id, auth_epoch, created_at, auth_time, last_seen_at, idle_expires_at, expires_at,
       remember, gen, current_hash, rotated_at, successor_seen, replay_count, late_retry_gen, late_retry_at,
       user_agent, ip, name, revoked_at, revoke_reason)
SELECT id, 'user', 0, now, now, now, now + 86400000, now + 30 * 86400000::bigint,
       false, 1, sha256((id || '/1')::bytea), now, false, 0, 0, NULL,
       'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', '192.0.2.1', '', NULL, ''
  FROM (SELECT lpad(i::text, 36, '0') AS id, (extract(epoch FROM now()) * 1000)::bigint AS now FROM generate_series(0, %d) i) t`,
		schema, n-1))
	exec(`VACUUM ANALYZE ` + schema + `.sessions`)
	exec(`CHECKPOINT`)
	l := &load{store: s}
	gens, order := make([]int64, n), rand.Perm(n)
	const clients = 64
	turns := make([]int, clients)
	l.way = func(s *Store, ctx context.Context, client string, _ int64) error {
		i := int(client[0])
		session := order[turns[i]%(n/clients)*clients+i] // no two clients ever take the same one
		turns[i]++
		gens[session]++
		return s.rotate(ctx, fmt.Sprintf("%036d", session), gens[session])
	}
	for i := range clients {
		l.ids, l.next = append(l.ids, string([]byte{byte(i)})), append(l.next, 1)
	}
	return l
}

// rotate is the store's own way.
func (s *Store) rotate(ctx context.Context, id string, n int64) error {
	_, err := s.Rotate(ctx, show(id, n))
	return err
}

// inFourRoundTrips rotates as a program does that locks the row, looks at it, and writes it.
func (s *Store) inFourRoundTrips(ctx context.Context, id string, n int64) error {
	return s.do(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		t, err := c.Begin(ctx)
		if err != nil {
			return err
		}
		defer t.Rollback(ctx)
		row, err := scanSession(t.QueryRow(ctx, `SELECT `+sessionColumns+`, 0::bigint FROM sessions WHERE id = $1 FOR UPDATE`, text(id)))
		if err != nil {
			return err
		}
		v := row.Judge(show(id, n), time.Now())
		if !v.Changed || v.Revoked {
			return fmt.Errorf("got %s", v.Outcome)
		}
		a := v.Session
		if _, err := t.Exec(ctx, `
UPDATE sessions SET gen = $1, current_hash = $2, rotated_at = $3, successor_seen = false, replay_count = 0, user_agent = $4,
       ip = $5, last_seen_at = $6, idle_expires_at = $7 WHERE id = $8`,
			a.Generation, a.CurrentHash[:], millis(a.RotatedAt), text(a.UserAgent), text(a.IP), millis(a.LastSeenAt),
			millis(a.IdleExpiresAt), text(id)); err != nil {
			return err
		}
		return t.Commit(ctx)
	})
}

// A load is a store and its clients, each with a chain of tokens.
type load struct {
	store  *Store
	way    func(s *Store, ctx context.Context, id string, n int64) error
	ids    []string
	next   []int64
	done   int
	within time.Duration
}

func newLoad(b *testing.B, s *Store, clients int, way func(*Store, context.Context, string, int64) error) *load {
	l := &load{store: s, way: way}
	for range clients {
		l.ids = append(l.ids, login(b, s))
		l.next = append(l.next, 1)
	}
	return l
}

// run has each client rotate a number of times, and returns how many rotations a second that was.
func (l *load) run(b *testing.B, each int) float64 {
	begin := time.Now()
	var wg sync.WaitGroup
	for i, id := range l.ids {
		wg.Go(func() {
			for range each {
				if err := l.way(l.store, context.Background(), id, l.next[i]); err != nil {
					b.Error(err)
					return
				}
				l.next[i]++
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	l.within += took
	l.done += each * len(l.ids)
	return float64(each*len(l.ids)) / took.Seconds()
}

func (l *load) rate() float64 { return float64(l.done) / l.within.Seconds() }

// samples are what was measured, once in an iteration.
type samples []float64

func (s *samples) add(v float64) { *s = append(*s, v) }

func (s samples) mean() float64 {
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return sum / float64(len(s))
}

func (s samples) deviation() float64 {
	sum := 0.0
	for _, v := range s {
		sum += (v - s.mean()) * (v - s.mean())
	}
	return math.Sqrt(sum / float64(len(s)))
}

func (s samples) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

// leastCommit returns what measures the least that the server can commit, the mean of a hundred.
func leastCommit(b *testing.B, dsn string) func() time.Duration {
	pool := pgtest.Pool(b, dsn)
	exec := func(sql string) {
		if _, err := pool.Exec(context.Background(), sql); err != nil {
			b.Fatal(err)
		}
	}
	exec(`CREATE TABLE IF NOT EXISTS least (id integer PRIMARY KEY, n integer)`)
	exec(`INSERT INTO least VALUES (1, 0) ON CONFLICT DO NOTHING`)
	const times = 100
	return func() time.Duration {
		begin := time.Now()
		for range times {
			exec(`UPDATE least SET n = n + 1 WHERE id = 1`)
		}
		return time.Since(begin) / times
	}
}

// flushOnce writes a page of the server's log beside its data and has it flushed, as a commit does.
func flushOnce(b *testing.B) time.Duration {
	f, err := os.CreateTemp("", "flush")
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page := make([]byte, 8192)
	// The server's log is written over, not lengthened.
	for range 2 {
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	const times = 8
	begin := time.Now()
	for range times {
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begin) / times
}

// slowFlush compiles a library that has each flush of a file take longer.
func slowFlush(b *testing.B, by time.Duration) string {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		b.Skip("a slower disk needs a C compiler: gcc is not installed")
	}
	dir, err := os.MkdirTemp("", "slowflush") // not b.TempDir: that is root's alone, and the server is another user
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	source := fmt.Sprintf(`
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int slow(const char *name, int fd) {
	int (*flush)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	int result = flush(fd);
	usleep(%d);
	return result;
}
int fsync(int fd) { return slow("fsync", fd); }
int fdatasync(int fd) { return slow("fdatasync", fd); }
`, by.Microseconds())
	c, library := filepath.Join(dir, "slow.c"), filepath.Join(dir, "slow.so")
	if err := os.WriteFile(c, []byte(source), 0o644); err != nil {
		b.Fatal(err)
	}
	if text, err := exec.Command(gcc, "-shared", "-fPIC", "-O2", "-o", library, c, "-ldl").CombinedOutput(); err != nil {
		b.Fatalf("gcc: %v\n%s", err, text)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	return library
}
