package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tokenjar/tokenjar"
)

// A commit costs a flush of the disk, and each statement a good deal of the server's time. So tokens that wait to be
// spent are spent together: one statement, one flush.
//
//   - Nobody waits for company. A spend for which a worker is free is sent alone, at once; what comes while all are at
//     work is taken together by the next one that is done.
//   - A row that a batch does not return was not spent: it is judged by its caller, alone. Of two spends of one token in a
//     batch the statement takes one, and names it.
//   - A batch that the server has undone, whatever the reason, is no answer to anybody in it: each is tried again,
//     alone. One whose commit is in doubt is in doubt for all.

const (
	maxBatch     = 64
	spendWorkers = 4
)

// A spend is one call that waits for its token to be spent.
type spend struct {
	ctx     context.Context
	r       tokenjar.Rotation
	state   atomic.Int32
	session tokenjar.Session
	done    chan error // takes one answer: nil, pgx.ErrNoRows, errAlone, or what went wrong
}

const (
	stateWaiting int32 = iota
	stateTaken         // by a worker: it will be sent and answered
	stateLeft          // by its caller: it must not be sent
)

// errAlone tells a caller that nothing was done, and that the token is to be spent without others.
var errAlone = errors.New("to be spent alone")

type spender struct {
	store   *Store
	batch   int
	always  bool // also a spend that is the only one goes as a batch
	hooks   hooks
	workers sync.WaitGroup

	mu     sync.RWMutex // guards closed, and queue against being closed during a send
	closed bool
	queue  chan *spend
}

func newSpender(s *Store, t tuning) *spender {
	c := &spender{
		store: s, batch: orDefault(t.batch, maxBatch), always: t.always, hooks: t.hooks,
		queue: make(chan *spend, s.queue),
	}
	for range orDefault(t.workers, spendWorkers) {
		c.workers.Go(c.run)
	}
	return c
}

// spend spends the newest token of a living session, or returns pgx.ErrNoRows when it is not that.
func (c *spender) spend(ctx context.Context, r tokenjar.Rotation) (tokenjar.Session, error) {
	if err := ctx.Err(); err != nil {
		return tokenjar.Session{}, err
	}
	q := &spend{ctx: ctx, r: r, done: make(chan error, 1)}
	if err := c.send(q); err != nil {
		return tokenjar.Session{}, err
	}
	err := q.wait()
	switch {
	case errors.Is(err, errAlone):
		return c.alone(ctx, r)
	case err != nil:
		return tokenjar.Session{}, err
	}
	return q.session, nil
}

func (q *spend) wait() error {
	select {
	case err := <-q.done:
		return err
	case <-q.ctx.Done():
	}
	if q.state.CompareAndSwap(stateWaiting, stateLeft) {
		return q.ctx.Err()
	}
	// It is being made. An answer that is there already is the better one.
	select {
	case err := <-q.done:
		return err
	default:
		return q.ctx.Err()
	}
}

func (c *spender) send(q *spend) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return errClosed
	}
	select {
	case c.queue <- q:
		return nil
	default:
		return errQueueFull
	}
}

// stop refuses further spends and waits for those that are queued.
func (c *spender) stop() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.queue)
	}
	c.mu.Unlock()
	c.workers.Wait()
}

// run is a worker's goroutine.
func (c *spender) run() {
	batch := make([]*spend, 0, c.batch)
	for first := range c.queue {
		batch = appendTaken(batch[:0], first)
	fill:
		for len(batch) < c.batch {
			select {
			case q, ok := <-c.queue:
				if !ok {
					break fill
				}
				batch = appendTaken(batch, q)
			default:
				break fill
			}
		}
		if len(batch) > 0 {
			c.make(batch)
		}
		clear(batch) // let go of what the spends hold
	}
}

// appendTaken takes a spend into this batch, or answers one whose caller has gone.
func appendTaken(batch []*spend, q *spend) []*spend {
	if !q.state.CompareAndSwap(stateWaiting, stateTaken) {
		return batch
	}
	if err := q.ctx.Err(); err != nil {
		q.done <- err
		return batch
	}
	return append(batch, q)
}

// make makes a batch and answers it.
func (c *spender) make(batch []*spend) {
	if c.hooks.batch != nil {
		c.hooks.batch(len(batch))
	}
	err := c.onConnection(func(ctx context.Context, conn *pgxpool.Conn) error {
		if len(batch) == 1 && !c.always {
			var err error
			batch[0].session, err = spendOne(ctx, conn, c.store, batch[0].r)
			return err
		}
		return spendMany(ctx, conn, c.store, batch)
	})
	for _, q := range batch {
		switch {
		case err != nil && len(batch) > 1 && undone(err):
			q.done <- errAlone
		case err != nil:
			q.done <- err
		case q.session.ID == "":
			q.done <- pgx.ErrNoRows
		default:
			q.done <- nil
		}
	}
}

// alone spends one token without the workers.
func (c *spender) alone(ctx context.Context, r tokenjar.Rotation) (tokenjar.Session, error) {
	spent := new(tokenjar.Session) // not touched again by a caller who left early
	err := c.store.do(ctx, func(ctx context.Context, conn *pgxpool.Conn) (err error) {
		*spent, err = spendOne(ctx, conn, c.store, r)
		return err
	})
	if err != nil {
		return tokenjar.Session{}, err
	}
	return *spent, nil
}

func (c *spender) onConnection(run func(context.Context, *pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.store.timeout)
	defer cancel()
	conn, err := c.store.acquire(ctx, c.store.pool)
	if err != nil {
		return err
	}
	return c.store.on(conn, context.Background(), run)
}

// What it sets is what [tokenjar.Session.Judge] says of a newest token, and its conditions are those under which Judge
// says so; a property test holds the two together. r is the rotation, by itself or one of many.
const spendSQL = `
UPDATE sessions s
   SET gen = gen + 1, current_hash = r.successor, rotated_at = now, successor_seen = false, replay_count = 0,
       user_agent = r.user_agent, ip = r.ip,
       last_seen_at = CASE WHEN r.passive THEN last_seen_at ELSE now END,
       idle_expires_at = CASE WHEN r.passive THEN idle_expires_at
                              ELSE least(expires_at, (now + CASE WHEN remember THEN r.remember_idle ELSE r.idle END) / 1000 * 1000)
                         END
  FROM `

const spendWhereSQL = `, ` + nowSQL + `
 WHERE s.id = r.id AND s.user_id = r.user_id AND s.current_hash = r.presented AND s.auth_epoch = r.auth_epoch
   AND coalesce(s.revoked_at, 0) < 1 AND s.idle_expires_at > now AND s.expires_at > now
RETURNING `

// qualified are the session's columns where those of r stand beside them.
var qualified = "s." + strings.Join(strings.Fields(sessionColumns), " s.")

var spendOneSQL = spendSQL + `(SELECT $2::text AS id, $3::text AS user_id, $4::bytea AS presented, $5::bytea AS successor,
       $6::bigint AS auth_epoch, $7::text AS user_agent, $8::text AS ip, $9::boolean AS passive, $10::bigint AS remember_idle,
       $11::bigint AS idle) r` + spendWhereSQL + qualified + `, now`

var spendManySQL = spendSQL + `unnest($2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::bigint[], $7::text[], $8::text[],
       $9::boolean[], $10::bigint[], $11::bigint[]) WITH ORDINALITY
       AS r (id, user_id, presented, successor, auth_epoch, user_agent, ip, passive, remember_idle, idle, n)` +
	spendWhereSQL + `r.n, ` + qualified + `, now`

// spendOne spends one token; pgx.ErrNoRows when it is not the newest of a living session.
func spendOne(ctx context.Context, conn *pgxpool.Conn, s *Store, r tokenjar.Rotation) (tokenjar.Session, error) {
	return scanSession(conn.QueryRow(ctx, spendOneSQL, s.at(), text(r.SessionID), text(r.UserID), r.Presented[:], r.Successor[:],
		r.AuthEpoch, text(r.UserAgent), text(r.IP), r.Passive, r.Timing.RememberIdle.Milliseconds(), r.Timing.Idle.Milliseconds()))
}

// spendMany spends the tokens of a batch, and fills in the sessions of those that succeed.
func spendMany(ctx context.Context, conn *pgxpool.Conn, s *Store, batch []*spend) error {
	// In the order of ids, in which every statement locks rows: the server goes through the list from its beginning.
	slices.SortFunc(batch, func(a, b *spend) int { return strings.Compare(a.r.SessionID, b.r.SessionID) })
	n := len(batch)
	ids, users, agents, ips := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	presented, successors := make([][]byte, n), make([][]byte, n)
	epochs, rememberIdles, idles, passive := make([]int64, n), make([]int64, n), make([]int64, n), make([]bool, n)
	for i, q := range batch {
		r := &q.r
		ids[i], users[i], agents[i], ips[i] = encodeText(r.SessionID), encodeText(r.UserID), encodeText(r.UserAgent), encodeText(r.IP)
		presented[i], successors[i] = r.Presented[:], r.Successor[:]
		epochs[i], passive[i] = r.AuthEpoch, r.Passive
		rememberIdles[i], idles[i] = r.Timing.RememberIdle.Milliseconds(), r.Timing.Idle.Milliseconds()
	}
	rows, err := conn.Query(ctx, spendManySQL, s.at(), ids, users, presented, successors, epochs, agents, ips, passive, rememberIdles, idles)
	if err != nil {
		return err
	}
	type spent struct {
		n       int64
		session tokenjar.Session
	}
	list, err := collect(rows, func(row scanner) (c spent, err error) {
		c.session, err = scanSession(numbered{row, &c.n})
		return c, err
	})
	if err != nil {
		return err
	}
	for _, c := range list { // only now that it is committed
		batch[c.n-1].session = c.session
	}
	return nil
}

// numbered is a row that begins with a number.
type numbered struct {
	scanner
	n *int64
}

func (r numbered) Scan(dest ...any) error { return r.scanner.Scan(append([]any{r.n}, dest...)...) }
