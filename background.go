package tokenjar

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	pollEvery  = 250 * time.Millisecond // revocations made elsewhere, and the key ring
	flushEvery = 200 * time.Millisecond // generations seen, and audit events
	pruneEvery = time.Minute
	lastNotes  = 3 * time.Second // for what is written at the end: a busy disk has it, a store that is gone is not waited for
	pruneBatch = 500             // rows looked at, or deleted, at once
)

// Run does the work beside the requests until ctx is cancelled: it learns of revocations made by other processes, follows
// the key ring and moves its keys on, notes which tokens have been used and which answers have not begun, writes the audit
// trail, ends sessions whose sign-in was not answered, and deletes sessions and audit events that are long over. Faults of the
// store are logged and tried again. It returns the context's error, and an error at once when it already runs.
func (s *Service) Run(ctx context.Context) error {
	if !s.runMu.TryLock() {
		return errors.New("tokenjar: Run is already running")
	}
	defer s.runMu.Unlock()
	s.running.Store(true)
	defer s.running.Store(false)
	var work sync.WaitGroup
	// One loop each: what has to write must not keep waiting what has to be known within a second.
	for _, t := range []task{
		{"learn of revocations and keys", pollEvery, 3, func(ctx context.Context) (time.Duration, error) {
			return pollEvery, s.pollNews(ctx)
		}},
		{"note what was used", flushEvery, 3, func(ctx context.Context) (time.Duration, error) {
			return flushEvery, errors.Join(s.flushSeen(ctx), s.flushShared(ctx))
		}},
		{"note which answers are undelivered", s.undeliveredEvery(), 3, func(ctx context.Context) (time.Duration, error) {
			return s.undeliveredEvery(), s.noteUndelivered(ctx)
		}},
		{"write the audit trail", flushEvery, 3, func(ctx context.Context) (time.Duration, error) {
			return flushEvery, s.flushAudit(ctx)
		}},
		{"end what is bound to sessions that are over", boundEvery, 3, func(ctx context.Context) (time.Duration, error) {
			return boundEvery, s.checkBound(ctx)
		}},
		{"end sessions that nobody got", orphanEvery, 3, func(ctx context.Context) (time.Duration, error) {
			return orphanEvery, s.endOrphans(ctx)
		}},
		{"delete what is over", pruneEvery, 1, func(ctx context.Context) (time.Duration, error) {
			s.revoked.forget(s.now())
			s.claims.forget(s.now())
			s.verified.Expire(s.now())
			s.upstream.expire(s.now())
			more, err := s.prune(ctx)
			if more {
				return flushEvery, err // a batch at a time, so that nothing else waits for it
			}
			return pruneEvery, err
		}},
	} {
		work.Go(func() { s.repeat(ctx, t) })
	}
	if store, ok := s.store.(Watcher); ok {
		work.Go(func() { s.watch(ctx, store) })
	}
	work.Wait()
	// What was accepted and decided in the last moments must not look unused, or be missing, after a restart.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastNotes)
	defer cancel()
	if err := errors.Join(s.flushSeen(last), s.flushShared(last), s.writeAudit(last, true)); err != nil {
		s.log.Warn("the last notes could not be written", "err", err)
	}
	return ctx.Err()
}

// A task is work that is done again and again.
type task struct {
	name     string
	first    time.Duration // until it is done for the first time
	patience int           // failures in a row after which it is told of
	do       func(context.Context) (next time.Duration, err error)
}

// repeat does a task until the context ends. Of failures there is one line of log when they have lasted and one when they
// are over, however long that takes.
func (s *Service) repeat(ctx context.Context, t task) {
	timer := time.NewTimer(t.first)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next, err := t.do(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if failures++; failures == t.patience {
				s.log.Warn("background work fails and is tried again", "work", t.name, "err", err)
			}
		default:
			if failures >= t.patience {
				s.log.Info("background work succeeds again", "work", t.name)
			}
			failures = 0
		}
		timer.Reset(next)
	}
}

// prune deletes a batch of what has long ended, and reports whether there may be more.
func (s *Service) prune(ctx context.Context) (more bool, err error) {
	_, more, err = s.store.PruneSessions(ctx, s.keys.Load().longestAccess+revocationOverlap, pruneBatch)
	if err != nil || s.cfg.Audit == nil {
		return more, err
	}
	events, err := s.cfg.Audit.PruneAudit(ctx, s.cfg.AuditKeep, pruneBatch)
	return more || events == pruneBatch, err
}
