package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tokenjar/tokenjar"
)

// What ends a session, or changes the keys or a user's claims, is told to all nodes by a notification that is part of the
// same transaction: it is sent when that commits, and not at all when it does not. A notification says which sessions
// ended, so that nobody has to ask; one with nothing in it says "ask".

const (
	// maxPayload is how long a notification may be, in bytes: PostgreSQL takes 8000, less one.
	maxPayload = 7900
	// maxTold is how many notifications one transaction sends at most. Beyond it the nodes ask.
	maxTold = 16
)

// A told is the text of a notification.
type told struct {
	At     int64           `json:"at"`
	Reason tokenjar.Reason `json:"reason"`
	IDs    []string        `json:"ids"`
}

// ended notes sessions that this transaction ends.
func (t *tx) ended(why tokenjar.Reason, ids ...string) {
	for len(ids) > 0 {
		fit, size := 0, 200 // what stands around the ids
		for fit < len(ids) && size+jsonSize(ids[fit]) <= maxPayload {
			size += jsonSize(ids[fit])
			fit++
		}
		payload, err := json.Marshal(told{t.now, why, ids[:fit]})
		if fit == 0 || err != nil { // an id longer than any notification
			t.changed()
			return
		}
		t.news, ids = append(t.news, string(payload)), ids[fit:]
	}
}

// jsonSize bounds what a text takes in a list.
func jsonSize(s string) int {
	encoded, _ := json.Marshal(s) // a string always encodes
	return len(encoded) + 1
}

// changed notes that this transaction changes what nodes have to ask for.
func (t *tx) changed() { t.news = append(t.news, "") }

// tell sends what was noted.
func (t *tx) tell() error {
	if len(t.news) == 0 {
		return nil
	}
	if len(t.news) > maxTold {
		t.news = []string{""}
	}
	_, err := t.exec(`SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload`, t.store.place.channel, t.news)
	return err
}

// alive is how often a connection that hears nothing is asked whether it still is one, and how long it may take to say so.
const (
	aliveEvery  = 2 * time.Second
	aliveWithin = 2 * time.Second
)

// Watch implements [tokenjar.Watcher]. It has a connection of its own, and calls changed from one goroutine. That the
// connection is lost is noticed within 4 seconds; the error then wraps [tokenjar.ErrStoreUnavailable].
func (s *Store) Watch(ctx context.Context, changed func([]tokenjar.Revocation)) error {
	const op = "watch"
	err := s.watch(ctx, changed)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := storeError(op, err); errors.Is(err, tokenjar.ErrStoreUnavailable) {
		return err
	}
	return fmt.Errorf("%s: %w", op, tokenjar.ErrStoreUnavailable)
}

func (s *Store) watch(ctx context.Context, changed func([]tokenjar.Revocation)) error {
	if s.closed.Load() {
		return errClosed
	}
	connecting, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	c, err := pgx.ConnectConfig(connecting, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	if _, err := c.Exec(connecting, `LISTEN `+pgx.Identifier{s.place.channel}.Sanitize()); err != nil {
		return err
	}
	changed(nil)
	for {
		quiet, cancel := context.WithTimeout(ctx, aliveEvery)
		n, err := c.WaitForNotification(quiet)
		cancel()
		switch {
		case err == nil:
			changed(revocations(n))
		case ctx.Err() != nil:
			return ctx.Err()
		case pgconn.Timeout(err) && !c.IsClosed():
			asked, cancel := context.WithTimeout(ctx, aliveWithin)
			err := c.Ping(asked)
			cancel()
			if err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// revocations reads a notification; nil: the caller has to ask.
func revocations(n *pgconn.Notification) []tokenjar.Revocation {
	var t told
	if n.Payload == "" || json.Unmarshal([]byte(n.Payload), &t) != nil {
		return nil
	}
	list := make([]tokenjar.Revocation, len(t.IDs))
	for i, id := range t.IDs {
		list[i] = tokenjar.Revocation{SessionID: id, Reason: t.Reason, At: fromMillis(t.At)}
	}
	return list
}
