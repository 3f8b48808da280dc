package cli

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"time"

	"github.com/tokenjar/tokenjar"
)

// auditBatch is how many events go into one write.
const auditBatch = 500

// audit adds what a command has done to the audit trail of a store that keeps one, and under which user of the system it
// ran. It is called as soon as all is done, before anything is printed: nobody who reads the output can keep the record
// from being written. What it cannot write is reported, not undone.
func audit(ctx context.Context, store any, events ...tokenjar.AuditEvent) error {
	trail, ok := store.(tokenjar.AuditStore)
	if !ok {
		return nil
	}
	now, by := time.Now().UTC(), osUser()
	for i := range events {
		e := &events[i]
		e.At = now
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail["by"], e.Detail["os_user"] = "command line", by
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

// osUser returns the name of the system's user, or the number of one without a name. It is the system's word: variables
// of the environment are not asked.
func osUser() string {
	uid := os.Getuid()
	if uid < 0 { // a system whose users have no number
		if u, err := user.Current(); err == nil {
			return u.Username
		}
		return "unknown"
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(uid)
}
