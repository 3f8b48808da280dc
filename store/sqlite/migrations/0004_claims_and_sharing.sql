-- The generation of what a user's claims are built from.
ALTER TABLE users ADD COLUMN claims_gen INTEGER NOT NULL DEFAULT 0;

-- Whose access tokens of an older generation count as expired. A row is needed as long as one of them may live.
CREATE TABLE claims_changes (
  user_id    TEXT    NOT NULL PRIMARY KEY,
  gen        INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_changes_at ON claims_changes (changed_at);

-- To whom, beside the client that rotated, the answer of a rotation was given last.
ALTER TABLE sessions ADD COLUMN shared_gen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN shared_at INTEGER;
ALTER TABLE sessions ADD COLUMN shared_ip TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN shared_user_agent TEXT NOT NULL DEFAULT '';
