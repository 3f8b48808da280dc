package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/problem"
)

// While a service is away every request to it fails, thousands a second perhaps, and a line for each would bury all others and
// fill the disk. The log gets one when it goes away, then at most one in ten seconds with how often it was asked in vain, and
// one when it answers again. A service that does both by turns gets at most two in ten seconds. What became of a single request
// stands in the server's own line about it; the counts of [Stats] leave nothing out.

// outageEvery is how often a fault that goes on is told of.
const outageEvery = 10 * time.Second

// An outage is what the log has been told of the faults of a service.
type outage struct {
	away    atomic.Bool // it has been told of a fault, and not yet that it is over
	absent  sparing
	broken  sparing // answers that were begun
	crowded sparing // requests for which there was no place
}

// A sparing fault is told of now and then, with how often it has come since.
type sparing struct {
	mu   sync.Mutex
	last time.Time // that it was told of
	came int64
}

// tell counts a fault, and reports whether to tell of it, with those that nobody was told of.
func (s *sparing) tell(now time.Time) (came int64, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came++
	if since := now.Sub(s.last); since < outageEvery && since >= 0 {
		return 0, false
	}
	came, s.came, s.last = s.came, 0, now
	return came, true
}

// failedWith tells of a request without an answer.
func (r *route) failedWith(ctx context.Context, code problem.Code, err error) {
	if came, due := r.to.outage.absent.tell(r.proxy.now()); due {
		r.to.outage.away.Store(true)
		r.tell(ctx, "a service does not answer", came, slog.String("code", string(code)), slog.String("fault", fault(err)))
	}
}

// brokeOff tells of an answer that was begun and not finished.
func (r *route) brokeOff(ctx context.Context, err error) {
	if came, due := r.to.outage.broken.tell(r.proxy.now()); due {
		r.tell(ctx, "a service broke off its answer", came, slog.String("fault", fault(err)))
	}
}

// crowded tells of a request for which there was no place.
func (r *route) crowded(ctx context.Context) {
	if came, due := r.to.outage.crowded.tell(r.proxy.now()); due {
		r.tell(ctx, "a service has all that it may get at once", came)
	}
}

func (r *route) tell(ctx context.Context, message string, came int64, more ...slog.Attr) {
	r.proxy.log.LogAttrs(ctx, slog.LevelError, message, append([]slog.Attr{slog.String("path", r.Path),
		slog.String("upstream", r.upstream.Host), slog.Int64("times", came),
		slog.String("request_id", tokenjar.RequestIDFromContext(ctx))}, more...)...)
}

// answered tells that a service is back, if it was told to be away.
func (r *route) answered(ctx context.Context) {
	if away := &r.to.outage.away; away.Load() && away.CompareAndSwap(true, false) {
		r.proxy.log.InfoContext(ctx, "a service answers again", "path", r.Path, "upstream", r.upstream.Host)
	}
}

// writeQuietly answers with a problem that the log is told of here, and not by package problem.
func writeQuietly(w http.ResponseWriter, req *http.Request, err error) {
	problem.Write(w, req.WithContext(tokenjar.ContextWithLogger(req.Context(), silent)), err)
}

var silent = slog.New(slog.DiscardHandler)
