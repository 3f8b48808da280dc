package tokenjar

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// An AuditEvent is one security decision: who signed in or failed to, what ended a session and why. There is no secret
// in it, and no text of a client's that could be a password.
type AuditEvent struct {
	ID        string // of the event, made once; "" for none
	At        time.Time
	Name      string // "login.succeeded", "session.revoked", …
	Reason    string // a word of ours
	UserID    string
	SessionID string
	IP        string
	UserAgent string
	RequestID string
	Detail    map[string]string // further words of ours
}

// An AuditFilter selects audit events. Empty fields select everything.
type AuditFilter struct {
	UserID string
	Name   string
	Since  time.Time
	Limit  int // at most 1000, which is also the default
}

// An AuditStore keeps the audit trail. Its methods fail as those of [SessionStore] do.
type AuditStore interface {
	// AppendAudit adds events, all or none. One whose ID is there already is passed over: it was added by an earlier call
	// whose commit was in doubt.
	AppendAudit(ctx context.Context, events []AuditEvent) error
	// AuditTrail returns events, the newest first; of one time the last added first.
	AuditTrail(ctx context.Context, f AuditFilter) ([]AuditEvent, error)
	// PruneAudit deletes at most limit events that are older than keep, the oldest first, and returns how many.
	PruneAudit(ctx context.Context, keep time.Duration, limit int) (int, error)
}

// Events are logged before the decision is answered, and reach the store a moment later, many in one write: nobody waits
// for the trail, and a flood of failed sign-ins does not become a flood of commits. What the store cannot take is kept,
// up to a bound; beyond it events are counted as dropped and stand in the log alone.
const maxPendingAudit = 10000

// auditBatch is how many events go to the store in one write: rotations wait for it, two milliseconds on SQLite.
const auditBatch = 100

// What any stranger can cause as often as a connection carries it (tries that are turned away, one token shown again and
// again) is one row a minute for each kind, user, session and address, with the count: a flood must not fill the disk.
// The log and the metrics have each of them.
const (
	floodWindow = time.Minute
	maxFloods   = 1000 // beyond them, one count for all others
)

type auditTrail struct {
	mu      sync.Mutex
	pending []AuditEvent
	dropped int64
	floods  map[floodKey]*AuditEvent // with their count so far, beyond the first
	counts  map[floodKey]int
	until   time.Time // when they are written
}

// floodKey is what events of a flood have in common.
type floodKey struct{ name, reason, userID, sessionID, ip string }

// isFlood reports whether events like this one cost their sender next to nothing.
func (e AuditEvent) isFlood() bool {
	switch e.Name {
	case eventGraceReplay, eventLostRace, eventEnded, eventReused:
		return true
	}
	return strings.HasPrefix(e.Reason, "limit_")
}

// coalesce reports whether an event has been counted instead of being kept. The first of a flood is kept as it is.
func (t *auditTrail) coalesce(e AuditEvent) bool {
	if !e.isFlood() {
		return false
	}
	key := floodKey{e.Name, e.Reason, e.UserID, e.SessionID, e.IP}
	if _, known := t.floods[key]; !known && len(t.floods) >= maxFloods {
		key = floodKey{name: e.Name, reason: e.Reason} // one of so many
		e.UserID, e.SessionID, e.IP, e.UserAgent, e.RequestID = "", "", "", "", ""
	}
	if t.floods == nil {
		t.floods, t.counts = make(map[floodKey]*AuditEvent), make(map[floodKey]int)
		t.until = e.At.Add(floodWindow)
	}
	if _, known := t.floods[key]; known {
		t.floods[key].At = e.At
		t.counts[key]++
		return true
	}
	t.floods[key] = &e
	return false
}

// settle moves the counts of a window that is over to the events that wait, as events of their own.
func (t *auditTrail) settle(now time.Time, all bool) {
	early := t.until.Sub(now) > floodWindow // the clock was set back
	if t.floods == nil || !all && !early && now.Before(t.until) {
		return
	}
	for key, e := range t.floods {
		if n := t.counts[key]; n > 0 {
			e.ID = newEventID() // beside the first one, which has been kept
			e.Detail = map[string]string{"further": strconv.Itoa(n)}
			t.pending = append(t.pending, *e)
		}
	}
	t.floods, t.counts = nil, nil
}

// event makes a security decision known: to the log, to the metrics, to the trail. There is one event for each decision.
func (s *Service) event(ctx context.Context, e AuditEvent) {
	e.ID, e.At = newEventID(), s.now().UTC()
	if e.RequestID == "" {
		e.RequestID = RequestIDFromContext(ctx)
	}
	if e.IP == "" {
		from := clientFromContext(ctx)
		e.IP, e.UserAgent = from.IP, from.UserAgent
	}
	e = e.clean()
	e.Log(ctx, s.log)
	if s.cfg.OnEvent != nil {
		s.cfg.OnEvent(e)
	}
	if s.cfg.Audit == nil {
		return
	}
	s.audit.mu.Lock()
	defer s.audit.mu.Unlock()
	if s.audit.coalesce(e) {
		return
	}
	if len(s.audit.pending) >= maxPendingAudit {
		s.audit.dropped++
		return
	}
	s.audit.pending = append(s.audit.pending, e)
}

// newEventID returns a random id that begins with the time, so that a store finds those of one moment side by side.
func newEventID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return "" // the system has no random numbers: better twice than not at all
	}
	return id.String()
}

// maxAuditText bounds each text of an event, in bytes.
const maxAuditText = 256

// clean makes every text one that any log and any store can take: valid UTF-8 of bounded length without control
// characters. Ids and addresses may come from the program around us; one event that a store refuses for ever would keep
// all later ones waiting.
func (e AuditEvent) clean() AuditEvent {
	for _, text := range []*string{&e.Reason, &e.UserID, &e.SessionID, &e.IP, &e.UserAgent, &e.RequestID} {
		*text = plainText(*text)
	}
	if len(e.Detail) > 0 {
		e.Detail = maps.Clone(e.Detail)
		for key, text := range e.Detail {
			e.Detail[key] = plainText(text)
		}
	}
	return e
}

// The text is a copy: what it was cut from may be a whole header, and events may wait for long.
func plainText(s string) string {
	odd := func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }
	if strings.ContainsFunc(s, odd) {
		s = strings.Map(func(r rune) rune {
			if odd(r) {
				return ' '
			}
			return r
		}, s)
	}
	if len(s) > maxAuditText {
		s = strings.ToValidUTF8(s[:maxAuditText], "")
	}
	return strings.Clone(s)
}

// flushAudit writes the events that wait at the call, the oldest first. What could not be written waits on, in its
// place, and is written once even if it had arrived. Events that arrive meanwhile are for the next call, so that a flood of them keeps nothing else waiting.
func (s *Service) flushAudit(ctx context.Context) error { return s.writeAudit(ctx, false) }

// writeAudit does so; the last time, with the counts of floods that are not over.
func (s *Service) writeAudit(ctx context.Context, last bool) error {
	s.audit.mu.Lock()
	s.audit.settle(s.now().UTC(), last)
	waiting := len(s.audit.pending)
	s.audit.mu.Unlock()
	for waiting > 0 {
		s.audit.mu.Lock()
		batch := s.audit.pending[:min(waiting, auditBatch)]
		s.audit.mu.Unlock()
		if err := s.cfg.Audit.AppendAudit(ctx, batch); err != nil {
			return fmt.Errorf("%d audit events wait: %w", waiting, err)
		}
		waiting -= len(batch)
		s.audit.mu.Lock()
		s.audit.pending = s.audit.pending[len(batch):]
		if len(s.audit.pending) == 0 {
			s.audit.pending = nil // so that the array does not grow at one end for ever
		}
		s.audit.mu.Unlock()
	}
	return nil
}

// Log writes the event as one line of log at level Info.
func (e AuditEvent) Log(ctx context.Context, log *slog.Logger) {
	attrs := []slog.Attr{slog.String("event", e.Name)}
	for _, a := range []struct{ key, value string }{
		{"reason", e.Reason}, {"user_id", e.UserID}, {"session_id", e.SessionID}, {"client_ip", e.IP},
		{"user_agent", e.UserAgent}, {"request_id", e.RequestID},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
		attrs = append(attrs, slog.String(key, e.Detail[key]))
	}
	log.LogAttrs(ctx, slog.LevelInfo, "security event", attrs...)
}
