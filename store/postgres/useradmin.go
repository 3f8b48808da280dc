package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/tokenjar/tokenjar"
)

// What ends sessions does so in the transaction of the change itself: there is no moment at which the password is
// another one already and a session of the old one still lives. Each begins by writing the user's row, which is the lock
// that a sign-in takes as well (session.go), and each statement after it sees what had committed until then: the session
// of a sign-in that came before is there and ends, one that comes later reads the new epoch. Users are locked before
// sessions, everywhere.

// maxUserPage is how many users Users returns at most.
const maxUserPage = 1000

// Users implements [tokenjar.UserAdmin]. A limit of 0, below, or above 1000 is 1000.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]tokenjar.User, error) {
	return query(ctx, s, "list users", scanUser, `
SELECT `+userColumns+` FROM users WHERE id > $1 ORDER BY id LIMIT $2`, text(after), page(limit, maxUserPage))
}

// SetUserActive implements [tokenjar.UserAdmin]. Disabling an account that is disabled moves the epoch again.
func (s *Store) SetUserActive(ctx context.Context, id string, active bool) ([]string, error) {
	return write(ctx, s, "set user active", func(t *tx) ([]string, error) {
		var there bool
		err := t.first(`
UPDATE users SET active = $1, auth_epoch = CASE WHEN $1 THEN auth_epoch ELSE auth_epoch + 1 END
 WHERE id = $2
RETURNING true`, active, text(id)).Scan(&there)
		if err != nil || active {
			return nil, err // no row: not found
		}
		return revokeUser(t, id, "", tokenjar.ReasonUserDisabled)
	})
}

// SetUserRoles implements [tokenjar.UserAdmin].
func (s *Store) SetUserRoles(ctx context.Context, id string, r tokenjar.Roles) error {
	_, err := write(ctx, s, "set user roles", func(t *tx) (struct{}, error) {
		u, err := scanUser(t.first(`SELECT `+userColumns+` FROM users WHERE id = $1 FOR NO KEY UPDATE`, text(id)))
		if err != nil {
			return struct{}{}, err
		}
		if u.Staff == r.Staff && u.Superuser == r.Superuser {
			return struct{}{}, t.confirm()
		}
		if _, err := t.exec(`UPDATE users SET staff = $1, superuser = $2, claims_gen = $3 WHERE id = $4`,
			r.Staff, r.Superuser, u.ClaimsGen+1, text(id)); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, raiseClaims(t, id, u.ClaimsGen+1)
	})
	return err
}

// SetPassword implements [tokenjar.UserAdmin]. The user need not be active.
//
// A rotation of the session that is kept either has committed, or waits and then finds the new epoch: its caller is told
// to read the user again.
func (s *Store) SetPassword(ctx context.Context, p tokenjar.PasswordChange) ([]string, error) {
	return write(ctx, s, "set password", func(t *tx) ([]string, error) {
		epoch, err := replacePassword(t, p)
		if errors.Is(err, errDone) {
			return nil, t.confirm()
		} else if err != nil {
			return nil, err
		}
		kept, err := t.exec(`
UPDATE sessions SET auth_epoch = $1, auth_time = $2
 WHERE id = $3 AND user_id = $4 AND auth_epoch = $1 - 1
   AND revoked_at IS NULL AND idle_expires_at > $2 AND expires_at > $2`, epoch, t.now, text(p.Keep), text(p.UserID))
		if err != nil {
			return nil, err
		}
		if kept == 0 {
			p.Keep = ""
		}
		return revokeUser(t, p.UserID, p.Keep, tokenjar.ReasonPasswordChanged)
	})
}

// errDone says that an earlier call has made this change. Its commit was perhaps not confirmed, so this one waits for one.
var errDone = errors.New("done before")

// replacePassword writes the hash and returns the new epoch. A hash that is the new one already was written by the same
// change: each has a salt of its own.
func replacePassword(t *tx, p tokenjar.PasswordChange) (epoch int64, err error) {
	err = t.first(`
UPDATE users SET password_hash = $1, auth_epoch = auth_epoch + 1
 WHERE id = $2 AND ($3 = '' OR password_hash = $3)
RETURNING auth_epoch`, text(p.NewHash), text(p.UserID), text(p.OldHash)).Scan(&epoch)
	if !errors.Is(err, pgx.ErrNoRows) {
		return epoch, err
	}
	var stored text
	err = t.row(`SELECT password_hash FROM users WHERE id = $1`, text(p.UserID)).Scan(&stored)
	switch {
	case err != nil:
		return 0, err // no row: not found
	case stored == text(p.NewHash) && stored != "":
		return 0, errDone
	}
	return 0, tokenjar.ErrConflict
}

// DeleteUser implements [tokenjar.UserAdmin]. The id is remembered, so that CreateUser can refuse it, and a deletion
// whose answer was lost can be asked for again.
func (s *Store) DeleteUser(ctx context.Context, id string) ([]string, error) {
	return write(ctx, s, "delete user", func(t *tx) ([]string, error) {
		if err := lockUser(t, id); err != nil {
			return nil, err
		}
		n, err := t.exec(`DELETE FROM users WHERE id = $1`, text(id))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			var before bool
			if err := t.row(`SELECT true FROM deleted_users WHERE id = $1`, text(id)).Scan(&before); err != nil {
				return nil, err // no row: not found
			}
			return nil, t.confirm()
		}
		if _, err := t.exec(`INSERT INTO deleted_users (id) VALUES ($1)`, text(id)); err != nil {
			return nil, err
		}
		return revokeUser(t, id, "", tokenjar.ReasonUserDisabled)
	})
}
