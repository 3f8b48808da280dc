-- The ids of accounts that were deleted: they are never given again, for tokens may name them.
CREATE TABLE deleted_users (
  id TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
