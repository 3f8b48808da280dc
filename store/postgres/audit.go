package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tokenjar/tokenjar"
)

// maxAuditPage is how many events AuditTrail returns at most.
const maxAuditPage = 1000

// AppendAudit implements [tokenjar.AuditStore]. An At of zero becomes the store's time. However many events there are, they
// are one statement. Nodes append one after the other, so that the ids of events are in the order of their commits.
func (s *Store) AppendAudit(ctx context.Context, events []tokenjar.AuditEvent) error {
	const op = "append audit events"
	ats := make([]*int64, len(events))
	var ids, names, reasons, users, sessions, ips, agents, requests, details []string
	for i, e := range events {
		detail := []byte("{}")
		if len(e.Detail) > 0 {
			var err error
			if detail, err = json.Marshal(e.Detail); err != nil {
				return fmt.Errorf("%s: %w", op, err)
			}
		}
		ats[i], ids = nullMillis(e.At), append(ids, encodeText(e.ID))
		names, reasons = append(names, encodeText(e.Name)), append(reasons, encodeText(e.Reason))
		users, sessions = append(users, encodeText(e.UserID)), append(sessions, encodeText(e.SessionID))
		ips, agents = append(ips, encodeText(e.IP)), append(agents, encodeText(e.UserAgent))
		requests, details = append(requests, encodeText(e.RequestID)), append(details, encodeText(string(detail)))
	}
	if len(events) == 0 {
		return ctxError(ctx, op)
	}
	_, err := write(ctx, s, op, func(t *tx) (int64, error) {
		if err := t.lock("audit"); err != nil {
			return 0, err
		}
		return t.exec(`
INSERT INTO audit_events (event_id, at, name, reason, user_id, session_id, ip, user_agent, request_id, detail)
SELECT nullif(event_id, ''), coalesce(at, $1), name, reason, user_id, session_id, ip, user_agent, request_id, detail
  FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
         $10::text[], $11::text[]) WITH ORDINALITY
       AS e (at, name, reason, user_id, session_id, ip, user_agent, request_id, detail, event_id, n)
 ORDER BY n
    ON CONFLICT DO NOTHING`, t.now, ats, names, reasons, users, sessions, ips, agents, requests, details, ids)
	})
	return err
}

const auditColumns = `coalesce(event_id, ''), at, name, reason, user_id, session_id, ip, user_agent, request_id, detail`

// AuditTrail implements [tokenjar.AuditStore]. A filter by name alone looks through the events of the time asked for.
func (s *Store) AuditTrail(ctx context.Context, f tokenjar.AuditFilter) ([]tokenjar.AuditEvent, error) {
	sql, args := `
SELECT `+auditColumns+`
  FROM audit_events
 WHERE at >= $1 AND ($2 = '' OR name = $2)
 ORDER BY at DESC, id DESC LIMIT $3`, []any{millis(f.Since), text(f.Name), page(f.Limit, maxAuditPage)}
	if f.UserID != "" {
		sql = `
SELECT ` + auditColumns + `
  FROM audit_events
 WHERE user_id = $4 AND user_id <> '' AND at >= $1 AND ($2 = '' OR name = $2)
 ORDER BY at DESC, id DESC LIMIT $3`
		args = append(args, text(f.UserID))
	}
	return query(ctx, s, "read audit trail", scanAudit, sql, args...)
}

// maxAuditRows is how many events are kept at most, about 2.5 GB: what strangers can cause must not fill the disk that the
// sessions are on.
const maxAuditRows = 5_000_000

// PruneAudit implements [tokenjar.AuditStore]. Beyond 5,000,000 events the oldest are deleted whatever their age. It
// deletes in transactions of 500 rows; on an error the number says how many are gone already.
func (s *Store) PruneAudit(ctx context.Context, keep time.Duration, limit int) (int, error) {
	const op = "prune audit trail"
	return pruneInChunks(limit, func(want int) (int, error) {
		old, err := s.statement(ctx, op, `
DELETE FROM audit_events
 WHERE id IN (SELECT id FROM audit_events, `+nowSQL+` WHERE at < now - $2
               ORDER BY at, id LIMIT $3 FOR UPDATE OF audit_events SKIP LOCKED)`, s.at(), max(keep, 0).Milliseconds(), want)
		if err != nil || old == want {
			return old, err
		}
		many, err := s.statement(ctx, op, `
DELETE FROM audit_events
 WHERE id IN (SELECT id FROM audit_events WHERE id <= (SELECT max(id) FROM audit_events) - $1
               ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)`, s.auditRows, want-old)
		return old + many, err
	})
}

// scanAudit reads a row of auditColumns.
func scanAudit(row scanner) (tokenjar.AuditEvent, error) {
	var e tokenjar.AuditEvent
	var at int64
	var detail text
	err := row.Scan((*text)(&e.ID), &at, (*text)(&e.Name), (*text)(&e.Reason), (*text)(&e.UserID), (*text)(&e.SessionID), (*text)(&e.IP),
		(*text)(&e.UserAgent), (*text)(&e.RequestID), &detail)
	if err != nil {
		return tokenjar.AuditEvent{}, err
	}
	if err := json.Unmarshal([]byte(detail), &e.Detail); err != nil {
		return tokenjar.AuditEvent{}, fmt.Errorf("audit detail: %w", errDamaged)
	}
	if len(e.Detail) == 0 {
		e.Detail = nil
	}
	e.At = fromMillis(at)
	return e, nil
}

// page is a limit as it is kept: at most most, which is also the default.
func page(limit, most int) int {
	if limit <= 0 || limit > most {
		return most
	}
	return limit
}
