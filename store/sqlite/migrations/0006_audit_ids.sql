-- Each event has an id of its own, made before it is written: an event whose commit was in doubt is written again, and is
-- there once. Those of before have none.
ALTER TABLE audit_events ADD COLUMN event_id TEXT;
CREATE UNIQUE INDEX audit_events_event ON audit_events (event_id) WHERE event_id IS NOT NULL;
