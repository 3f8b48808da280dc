-- Times are unix milliseconds, UTC; NULL is "never". Ids and keys are compared and ordered by bytes.

-- A rotation changes no column that an index holds, but for end_hour once in an hour: so the new row stands in the page
-- of the old one and no index is written (a heap-only tuple), as long as the page has room.
CREATE TABLE sessions (
  id                text COLLATE "C" NOT NULL PRIMARY KEY,
  user_id           text COLLATE "C" NOT NULL,
  auth_epoch        bigint  NOT NULL,
  created_at        bigint  NOT NULL,
  auth_time         bigint  NOT NULL,
  last_seen_at      bigint  NOT NULL,
  idle_expires_at   bigint  NOT NULL,
  expires_at        bigint  NOT NULL,
  remember          boolean NOT NULL,
  gen               bigint  NOT NULL,
  current_hash      bytea   NOT NULL CHECK (length(current_hash) = 32),
  rotated_at        bigint  NOT NULL,
  successor_seen    boolean NOT NULL,
  replay_count      integer NOT NULL,
  late_retry_gen    bigint  NOT NULL,
  late_retry_at     bigint,
  user_agent        text    NOT NULL,
  ip                text    NOT NULL,
  name              text    NOT NULL,
  revoked_at        bigint,
  revoke_reason     text    NOT NULL,
  shared_gen        bigint  NOT NULL DEFAULT 0,
  shared_at         bigint,
  shared_ip         text    NOT NULL DEFAULT '',
  shared_user_agent text    NOT NULL DEFAULT '',
  end_hour          bigint  NOT NULL GENERATED ALWAYS AS (idle_expires_at / 3600000) STORED
) WITH (fillfactor = 80);

-- The list of a user's sessions, the cap, and "end all": rows that nobody has ended.
CREATE INDEX sessions_user ON sessions (user_id) WHERE revoked_at IS NULL;
-- What other nodes ask for every moment, and pruning of what was revoked.
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;
-- Pruning of what is over. The idle limit never passes the absolute one, so it is the end.
CREATE INDEX sessions_end ON sessions (end_hour) WHERE revoked_at IS NULL;

CREATE TABLE users (
  id             text COLLATE "C" NOT NULL PRIMARY KEY,
  username       text    NOT NULL,
  username_key   text COLLATE "C" NOT NULL UNIQUE,
  email          text    NOT NULL,
  email_key      text COLLATE "C" UNIQUE,
  first_name     text    NOT NULL,
  last_name      text    NOT NULL,
  password_hash  text    NOT NULL,
  active         boolean NOT NULL,
  email_verified boolean NOT NULL,
  staff          boolean NOT NULL,
  superuser      boolean NOT NULL,
  auth_epoch     bigint  NOT NULL,
  claims_gen     bigint  NOT NULL DEFAULT 0,
  last_login     bigint,
  created_at     bigint  NOT NULL
);

-- The ids of accounts that were deleted: they are never given again, for tokens may name them.
CREATE TABLE deleted_users (
  id text COLLATE "C" NOT NULL PRIMARY KEY
);

-- From which generation of claims on a user's access tokens count. What no living token could be up against is deleted.
CREATE TABLE claims_changes (
  user_id    text COLLATE "C" NOT NULL PRIMARY KEY,
  gen        bigint NOT NULL,
  changed_at bigint NOT NULL
);
CREATE INDEX claims_changes_at ON claims_changes (changed_at);

CREATE TABLE keyring (
  id      integer NOT NULL PRIMARY KEY CHECK (id = 1),
  version bigint  NOT NULL,
  box     bytea   NOT NULL
);

-- The audit trail. The id is the order in which events were added: of one time, the higher is the later.
-- A text that is not known is empty. detail is a JSON object of texts.
CREATE TABLE audit_events (
  id         bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         bigint NOT NULL,
  name       text   NOT NULL,
  reason     text   NOT NULL,
  user_id    text COLLATE "C" NOT NULL,
  session_id text   NOT NULL,
  ip         text   NOT NULL,
  user_agent text   NOT NULL,
  request_id text   NOT NULL,
  detail     text   NOT NULL
);

-- The trail by time, and pruning.
CREATE INDEX audit_events_at ON audit_events (at);
-- The trail of one user. What was tried under names that nobody has is the bulk of a flood, and is nobody's.
CREATE INDEX audit_events_user ON audit_events (user_id, at) WHERE user_id <> '';
