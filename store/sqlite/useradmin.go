package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/tokenjar/tokenjar"
)

// What ends sessions does so in the transaction of the change itself: there is no moment at which the password is
// another one already and a session of the old one still lives.

// maxUserPage is how many users Users returns at most.
const maxUserPage = 1000

// Users implements [tokenjar.UserAdmin]. A limit of 0, below, or above 1000 is 1000.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]tokenjar.User, error) {
	list, err := rows(ctx, s, scanUser, `
SELECT `+userColumns+` FROM users WHERE id > ?1 ORDER BY id LIMIT ?2`, after, page(limit, maxUserPage))
	if err != nil {
		return nil, storeError("list users", err)
	}
	return list, nil
}

// SetUserActive implements [tokenjar.UserAdmin]. Disabling an account that is disabled moves the epoch again.
func (s *Store) SetUserActive(ctx context.Context, id string, active bool) ([]string, error) {
	return write(ctx, s, "set user active", func(t *tx) ([]string, error) {
		n, err := t.exec(`
UPDATE users SET active = ?1, auth_epoch = CASE WHEN ?1 THEN auth_epoch ELSE auth_epoch + 1 END
 WHERE id = ?2`, active, id)
		switch {
		case err != nil:
			return nil, err
		case n == 0:
			return nil, tokenjar.ErrNotFound
		case active:
			return nil, nil
		}
		return revokeUser(t, id, "", tokenjar.ReasonUserDisabled)
	})
}

// SetUserRoles implements [tokenjar.UserAdmin].
func (s *Store) SetUserRoles(ctx context.Context, id string, r tokenjar.Roles) error {
	_, err := write(ctx, s, "set user roles", func(t *tx) (struct{}, error) {
		u, err := scanUser(t.row(`SELECT `+userColumns+` FROM users WHERE id = ?1`, id))
		if err != nil || u.Staff == r.Staff && u.Superuser == r.Superuser {
			return struct{}{}, err
		}
		if _, err := t.exec(`UPDATE users SET staff = ?1, superuser = ?2, claims_gen = ?3 WHERE id = ?4`,
			r.Staff, r.Superuser, u.ClaimsGen+1, id); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, raiseClaims(t, id, u.ClaimsGen+1)
	})
	return err
}

// SetPassword implements [tokenjar.UserAdmin]. The user need not be active.
func (s *Store) SetPassword(ctx context.Context, p tokenjar.PasswordChange) ([]string, error) {
	return write(ctx, s, "set password", func(t *tx) ([]string, error) {
		epoch, err := replacePassword(t, p)
		if errors.Is(err, errDone) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		kept, err := t.exec(`
UPDATE sessions SET auth_epoch = ?1, auth_time = ?2
 WHERE id = ?3 AND user_id = ?4 AND auth_epoch = ?1 - 1
   AND revoked_at IS NULL AND idle_expires_at > ?2 AND expires_at > ?2`, epoch, millis(t.now), p.Keep, p.UserID)
		if err != nil {
			return nil, err
		}
		if kept == 0 {
			p.Keep = ""
		}
		return revokeUser(t, p.UserID, p.Keep, tokenjar.ReasonPasswordChanged)
	})
}

// errDone says that an earlier call has made this change.
var errDone = errors.New("done before")

// replacePassword writes the hash and returns the new epoch. A hash that is the new one already was written by the same
// change: each has a salt of its own.
func replacePassword(t *tx, p tokenjar.PasswordChange) (epoch int64, err error) {
	err = t.row(`
UPDATE users SET password_hash = ?1, auth_epoch = auth_epoch + 1
 WHERE id = ?2 AND (?3 = '' OR password_hash = ?3)
RETURNING auth_epoch`, string(p.NewHash), p.UserID, string(p.OldHash)).Scan(&epoch)
	if !errors.Is(err, sql.ErrNoRows) {
		return epoch, err
	}
	var stored string
	err = t.row(`SELECT password_hash FROM users WHERE id = ?1`, p.UserID).Scan(&stored)
	switch {
	case err != nil:
		return 0, err // no row: not found
	case stored == string(p.NewHash) && stored != "":
		return 0, errDone
	}
	return 0, tokenjar.ErrConflict
}

// DeleteUser implements [tokenjar.UserAdmin]. The id is remembered, so that CreateUser can refuse it, and a deletion
// whose answer was lost can be asked for again.
func (s *Store) DeleteUser(ctx context.Context, id string) ([]string, error) {
	return write(ctx, s, "delete user", func(t *tx) ([]string, error) {
		n, err := t.exec(`DELETE FROM users WHERE id = ?1`, id)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			var before bool
			return nil, t.row(`SELECT true FROM deleted_users WHERE id = ?1`, id).Scan(&before) // no row: not found
		}
		if _, err := t.exec(`INSERT INTO deleted_users (id) VALUES (?1)`, id); err != nil {
			return nil, err
		}
		return revokeUser(t, id, "", tokenjar.ReasonUserDisabled)
	})
}
