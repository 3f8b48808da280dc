-- Every rotation moves the end of its session. An index of the ends was written to at two random places each time, which at
-- a million sessions is most of what reaches the disk. prune_at stays where it is: it is the end or earlier, and pruning
-- moves it up when it finds that the session lives. 0 has it looked at once.
ALTER TABLE sessions ADD COLUMN prune_at INTEGER NOT NULL DEFAULT 0;
DROP INDEX sessions_end;
CREATE INDEX sessions_prune ON sessions (prune_at) WHERE revoked_at IS NULL;
