-- When an answer with the newest token was last known not to have begun, and of which generation. For the client that rotated
-- a grace begins there as well.
ALTER TABLE sessions ADD COLUMN undelivered_gen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN undelivered_at INTEGER;
