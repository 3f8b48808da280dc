-- Times are unix milliseconds, UTC; NULL is "never". Booleans are 0 and 1.

-- Sessions are clustered by their time-ordered id: a sign-in appends at the right edge, and a rotation is one seek.
CREATE TABLE sessions (
  id              TEXT    NOT NULL PRIMARY KEY,
  user_id         TEXT    NOT NULL,
  auth_epoch      INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  auth_time       INTEGER NOT NULL,
  last_seen_at    INTEGER NOT NULL,
  idle_expires_at INTEGER NOT NULL,
  expires_at      INTEGER NOT NULL,
  remember        INTEGER NOT NULL,
  gen             INTEGER NOT NULL,
  current_hash    BLOB    NOT NULL CHECK (length(current_hash) = 32),
  rotated_at      INTEGER NOT NULL,
  successor_seen  INTEGER NOT NULL,
  replay_count    INTEGER NOT NULL,
  late_retry_gen  INTEGER NOT NULL,
  late_retry_at   INTEGER,
  user_agent      TEXT    NOT NULL,
  ip              TEXT    NOT NULL,
  name            TEXT    NOT NULL,
  revoked_at      INTEGER,
  revoke_reason   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- The list of a user's sessions, the cap, and "end all": rows that nobody has ended.
CREATE INDEX sessions_user ON sessions (user_id) WHERE revoked_at IS NULL;
-- What other processes ask for every moment, and pruning of what was revoked.
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;
-- Pruning of what is over. The idle limit never passes the absolute one, so it is the end.
CREATE INDEX sessions_end ON sessions (idle_expires_at) WHERE revoked_at IS NULL;

CREATE TABLE users (
  id             TEXT    NOT NULL PRIMARY KEY,
  username       TEXT    NOT NULL,
  username_key   TEXT    NOT NULL UNIQUE,
  email          TEXT    NOT NULL,
  email_key      TEXT    UNIQUE,
  first_name     TEXT    NOT NULL,
  last_name      TEXT    NOT NULL,
  password_hash  TEXT    NOT NULL,
  active         INTEGER NOT NULL,
  email_verified INTEGER NOT NULL,
  staff          INTEGER NOT NULL,
  superuser      INTEGER NOT NULL,
  auth_epoch     INTEGER NOT NULL,
  last_login     INTEGER,
  created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keyring (
  id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL,
  box     BLOB    NOT NULL
) STRICT;
