-- The audit trail. The id is the order in which events were added: of one time, the higher is the later.
-- A text that is not known is empty. detail is a JSON object of texts.
CREATE TABLE audit_events (
  id         INTEGER NOT NULL PRIMARY KEY,
  at         INTEGER NOT NULL,
  name       TEXT    NOT NULL,
  reason     TEXT    NOT NULL,
  user_id    TEXT    NOT NULL,
  session_id TEXT    NOT NULL,
  ip         TEXT    NOT NULL,
  user_agent TEXT    NOT NULL,
  request_id TEXT    NOT NULL,
  detail     TEXT    NOT NULL
) STRICT;

-- The trail by time, and pruning.
CREATE INDEX audit_events_at ON audit_events (at);
-- The trail of one user. What was tried under names that nobody has is the bulk of a flood, and is nobody's.
CREATE INDEX audit_events_user ON audit_events (user_id, at) WHERE user_id <> '';
