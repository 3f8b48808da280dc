package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenjar/tokenjar"
)

// auditBatch is how many events go into one write.
const auditBatch = 500

// audit adds what a command has done to the audit trail of a store that keeps one. It is called when all is done: what
// it cannot write is reported, not undone.
func audit(ctx context.Context, store any, events ...tokenjar.AuditEvent) error {
	trail, ok := store.(tokenjar.AuditStore)
	if !ok {
		return nil
	}
	now := time.Now().UTC()
	for i := range events {
		e := &events[i]
		e.At = now
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail["by"] = "command line"
	}
	for batch := range slices.Chunk(events, auditBatch) {
		if err := trail.AppendAudit(ctx, batch); err != nil {
			return withHint(fmt.Errorf("write the audit trail: %w", err), "what was asked for is done; only its record is missing")
		}
	}
	return nil
}

// revoked are the events of sessions that a command ended.
func revoked(userID string, ids []string, why tokenjar.Reason) []tokenjar.AuditEvent {
	events := make([]tokenjar.AuditEvent, len(ids))
	for i, id := range ids {
		events[i] = tokenjar.AuditEvent{Name: "session.revoked", Reason: string(why), UserID: userID, SessionID: id}
	}
	return events
}
