-- Whom an answer was last given to late. What is kept open for that answer while it has not begun is open for that client alone;
-- of answers that were given late before this, for nobody.
ALTER TABLE sessions ADD COLUMN late_retry_ip TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN late_retry_user_agent TEXT NOT NULL DEFAULT '';
