package postgres

import (
	"context"

	"github.com/tokenjar/tokenjar"
)

// CreateUser implements [tokenjar.UserAdmin]. A CreatedAt of zero becomes the store's time. It returns a
// [*tokenjar.ValidationError] for a name or address that has no key, or an empty id, and [tokenjar.ErrConflict] also for
// the id of an account that was deleted.
//
// The lock of the id keeps a deletion away: one that is under way is waited for, and its note is then seen.
func (s *Store) CreateUser(ctx context.Context, u tokenjar.User) error {
	const op = "create user"
	name, ok := tokenjar.UsernameKey(u.Username)
	if !ok {
		return storeError(op, invalid("username"))
	}
	var email *string
	if u.Email != "" {
		key, ok := tokenjar.EmailKey(u.Email)
		if !ok {
			return storeError(op, invalid("email"))
		}
		email = &key
	}
	if u.ID == "" {
		return storeError(op, invalid("id"))
	}
	_, err := write(ctx, s, op, func(t *tx) (struct{}, error) {
		if err := lockUser(t, u.ID); err != nil {
			return struct{}{}, err
		}
		created := t.now
		if !u.CreatedAt.IsZero() {
			created = millis(u.CreatedAt)
		}
		n, err := t.exec(`
INSERT INTO users (id, username, username_key, email, email_key, first_name, last_name, password_hash, active,
       email_verified, staff, superuser, auth_epoch, claims_gen, last_login, created_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16
 WHERE NOT EXISTS (SELECT 1 FROM deleted_users WHERE id = $1)`,
			text(u.ID), text(u.Username), text(name), text(u.Email), email, text(u.FirstName), text(u.LastName),
			text(u.PasswordHash), u.Active, u.EmailVerified, u.Staff, u.Superuser, u.AuthEpoch, u.ClaimsGen,
			nullMillis(u.LastLogin), created)
		if err == nil && n == 0 {
			err = tokenjar.ErrConflict
		}
		return struct{}{}, err
	})
	return err
}

const userColumns = `id, username, email, first_name, last_name, password_hash, active, email_verified, staff,
       superuser, auth_epoch, claims_gen, last_login, created_at`

// FindUser implements [tokenjar.UserStore].
func (s *Store) FindUser(ctx context.Context, id tokenjar.Identifier) (tokenjar.User, error) {
	const op = "find user"
	if err := ctx.Err(); err != nil {
		return tokenjar.User{}, storeError(op, err)
	}
	query, key, ok := "", "", false
	switch {
	case id.Username != "" && id.Email == "":
		query = `SELECT ` + userColumns + ` FROM users WHERE username_key = $1`
		key, ok = tokenjar.UsernameKey(id.Username)
	case id.Email != "" && id.Username == "":
		query = `SELECT ` + userColumns + ` FROM users WHERE email_key = $1`
		key, ok = tokenjar.EmailKey(id.Email)
	}
	if !ok {
		return tokenjar.User{}, storeError(op, tokenjar.ErrNotFound)
	}
	return one(ctx, s, op, scanUser, query, text(key))
}

// User implements [tokenjar.UserStore].
func (s *Store) User(ctx context.Context, id string) (tokenjar.User, error) {
	return one(ctx, s, "read user", scanUser, `SELECT `+userColumns+` FROM users WHERE id = $1`, text(id))
}

// RecordLogin implements [tokenjar.UserStore].
func (s *Store) RecordLogin(ctx context.Context, id string, rec tokenjar.LoginRecord) error {
	const op = "record login"
	n, err := s.statement(ctx, op, `
UPDATE users
   SET last_login = $1,
       password_hash = CASE WHEN $2::text <> '' AND password_hash = $3 THEN $2 ELSE password_hash END
 WHERE id = $4`, nullMillis(rec.At), text(rec.NewHash), text(rec.OldHash), text(id))
	if err == nil && n == 0 {
		err = storeError(op, tokenjar.ErrNotFound)
	}
	return err
}

// UpdateProfile implements [tokenjar.UserStore].
func (s *Store) UpdateProfile(ctx context.Context, id string, p tokenjar.Profile) (tokenjar.User, error) {
	return one(ctx, s, "update profile", scanUser, `
UPDATE users SET first_name = coalesce($1, first_name), last_name = coalesce($2, last_name)
 WHERE id = $3
RETURNING `+userColumns, (*text)(p.FirstName), (*text)(p.LastName), text(id))
}

// scanUser reads a row of userColumns.
func scanUser(row scanner) (tokenjar.User, error) {
	var u tokenjar.User
	var lastLogin *int64
	var created int64
	err := row.Scan((*text)(&u.ID), (*text)(&u.Username), (*text)(&u.Email), (*text)(&u.FirstName), (*text)(&u.LastName),
		(*text)(&u.PasswordHash), &u.Active, &u.EmailVerified, &u.Staff, &u.Superuser, &u.AuthEpoch, &u.ClaimsGen,
		&lastLogin, &created)
	if err != nil {
		return tokenjar.User{}, err
	}
	u.LastLogin, u.CreatedAt = fromNullMillis(lastLogin), fromMillis(created)
	return u, nil
}

// invalid returns the error for a field of a new user that cannot be taken.
func invalid(field string) error {
	return &tokenjar.ValidationError{Fields: []tokenjar.FieldError{{
		Field: field, Code: "invalid", Detail: "This cannot be used.",
	}}}
}
