package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tokenjar/tokenjar"
)

// maxAuditPage is how many events AuditTrail returns at most.
const maxAuditPage = 1000

// AppendAudit implements [tokenjar.AuditStore]. An At of zero becomes the store's time. However many events there are,
// they are one operation of the writer: everybody else waits for all of them, so callers hand over some hundreds at once.
func (s *Store) AppendAudit(ctx context.Context, events []tokenjar.AuditEvent) error {
	const op = "append audit events"
	details := make([]string, len(events)) // before the writer's turn
	for i, e := range events {
		if len(e.Detail) == 0 {
			details[i] = "{}"
			continue
		}
		text, err := json.Marshal(e.Detail)
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		details[i] = string(text)
	}
	_, err := write(ctx, s, op, func(t *tx) (struct{}, error) {
		for i, e := range events {
			at := e.At
			if at.IsZero() {
				at = t.now
			}
			if _, err := t.exec(`
INSERT INTO audit_events (event_id, at, name, reason, user_id, session_id, ip, user_agent, request_id, detail)
VALUES (nullif(?1, ''), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT DO NOTHING`, e.ID, millis(at), e.Name, e.Reason, e.UserID, e.SessionID, e.IP,
				e.UserAgent, e.RequestID, details[i]); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

const auditColumns = `coalesce(event_id, ''), at, name, reason, user_id, session_id, ip, user_agent, request_id, detail`

// AuditTrail implements [tokenjar.AuditStore]. A filter by name alone looks through the events of the time asked for.
func (s *Store) AuditTrail(ctx context.Context, f tokenjar.AuditFilter) ([]tokenjar.AuditEvent, error) {
	query, args := `
SELECT `+auditColumns+`
  FROM audit_events
 WHERE at >= ?1 AND (?2 = '' OR name = ?2)
 ORDER BY at DESC, id DESC LIMIT ?3`, []any{millis(f.Since), f.Name, page(f.Limit, maxAuditPage)}
	if f.UserID != "" {
		query = `
SELECT ` + auditColumns + `
  FROM audit_events
 WHERE user_id = ?4 AND user_id <> '' AND at >= ?1 AND (?2 = '' OR name = ?2)
 ORDER BY at DESC, id DESC LIMIT ?3`
		args = append(args, f.UserID)
	}
	list, err := rows(ctx, s, scanAudit, query, args...)
	if err != nil {
		return nil, storeError("read audit trail", err)
	}
	return list, nil
}

// maxAuditRows is how many events are kept at most, about 2 GB: what strangers can cause must not fill the disk that the
// sessions are on.
const maxAuditRows = 5_000_000

// PruneAudit implements [tokenjar.AuditStore]. Beyond 5,000,000 events the oldest are deleted whatever their age. It
// deletes in transactions of 50 rows; on an error the number says how many are gone already.
func (s *Store) PruneAudit(ctx context.Context, keep time.Duration, limit int) (int, error) {
	n, _, err := pruneInChunks(ctx, s, "prune audit trail", limit, func(t *tx, want int) (pruned, error) {
		old, err := t.exec(`
DELETE FROM audit_events
 WHERE id IN (SELECT id FROM audit_events WHERE at < ?1 ORDER BY at, id LIMIT ?2)`,
			millis(t.now.Add(-max(keep, 0))), want)
		if err != nil || int(old) == want {
			return pruned{int(old), int(old)}, err
		}
		many, err := t.exec(`
DELETE FROM audit_events
 WHERE id IN (SELECT id FROM audit_events WHERE id <= (SELECT max(id) FROM audit_events) - ?1 ORDER BY id LIMIT ?2)`,
			s.auditRows, want-int(old))
		return pruned{int(old + many), int(old + many)}, err
	})
	return n, err
}

// scanAudit reads a row of auditColumns.
func scanAudit(row scanner) (tokenjar.AuditEvent, error) {
	var e tokenjar.AuditEvent
	var at int64
	var detail []byte
	err := row.Scan(&e.ID, &at, &e.Name, &e.Reason, &e.UserID, &e.SessionID, &e.IP, &e.UserAgent, &e.RequestID, &detail)
	if err != nil {
		return tokenjar.AuditEvent{}, err
	}
	if err := json.Unmarshal(detail, &e.Detail); err != nil {
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
