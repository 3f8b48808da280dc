// Package userstore lets the people in a table of one's own sign in.
package userstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/tokenjar/tokenjar"
)

// Schema is the table that this program has had all along, with two columns more: phc, the password's hash, and epoch.
const Schema = `CREATE TABLE people (
  id      INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: it is the subject of tokens
  login   TEXT NOT NULL UNIQUE,              -- as tokenjar.UsernameKey has it
  mail    TEXT NOT NULL UNIQUE,              -- as tokenjar.EmailKey has it
  first   TEXT NOT NULL DEFAULT '',
  last    TEXT NOT NULL DEFAULT '',
  blocked INTEGER NOT NULL DEFAULT 0,
  phc     TEXT NOT NULL,
  epoch   INTEGER NOT NULL DEFAULT 0         -- one more with each new password and each block
)`

// Store is a tokenjar.UserStore over that table.
type Store struct{ DB *sql.DB }

var _ tokenjar.UserStore = Store{}

const columns = `SELECT id, login, mail, first, last, blocked, phc, epoch FROM people WHERE `

// FindUser returns who wants to sign in.
func (s Store) FindUser(ctx context.Context, id tokenjar.Identifier) (tokenjar.User, error) {
	column, key, ok := "login", "", false
	if id.Email != "" {
		column = "mail"
		key, ok = tokenjar.EmailKey(id.Email)
	} else {
		key, ok = tokenjar.UsernameKey(id.Username)
	}
	if !ok {
		return tokenjar.User{}, tokenjar.ErrNotFound // nobody can have such a name
	}
	return scan(s.DB.QueryRowContext(ctx, columns+column+" = ?", key))
}

// User returns the user of a token's subject.
func (s Store) User(ctx context.Context, id string) (tokenjar.User, error) {
	return scan(s.DB.QueryRowContext(ctx, columns+"id = ?", id))
}

// RecordLogin stores a password's new hash, if there is one. It leaves the epoch alone.
func (s Store) RecordLogin(ctx context.Context, id string, rec tokenjar.LoginRecord) error {
	if rec.NewHash == "" {
		return nil
	}
	_, err := s.DB.ExecContext(ctx, `UPDATE people SET phc = ? WHERE id = ? AND phc = ?`,
		string(rec.NewHash), id, string(rec.OldHash))
	return unavailable(err)
}

// UpdateProfile changes what users may change about themselves.
func (s Store) UpdateProfile(ctx context.Context, id string, p tokenjar.Profile) (tokenjar.User, error) {
	return scan(s.DB.QueryRowContext(ctx, `UPDATE people SET first = coalesce(?, first), last = coalesce(?, last)
		WHERE id = ? RETURNING id, login, mail, first, last, blocked, phc, epoch`, p.FirstName, p.LastName, id))
}

func scan(row *sql.Row) (u tokenjar.User, err error) {
	var id int64
	var blocked bool
	var phc string
	err = row.Scan(&id, &u.Username, &u.Email, &u.FirstName, &u.LastName, &blocked, &phc, &u.AuthEpoch)
	if errors.Is(err, sql.ErrNoRows) {
		return tokenjar.User{}, tokenjar.ErrNotFound
	}
	u.ID, u.Active, u.PasswordHash = strconv.FormatInt(id, 10), !blocked, tokenjar.PasswordHash(phc)
	return u, unavailable(err)
}

// unavailable says that the table could not be asked. That must never look like a user who does not exist, since it
// would end sessions.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("people: %w: %w", tokenjar.ErrStoreUnavailable, err)
}

// Block locks somebody out: nobody signs in, no session is renewed, and those there are end now.
func Block(ctx context.Context, db *sql.DB, service *tokenjar.Service, id string) error {
	if _, err := db.ExecContext(ctx, `UPDATE people SET blocked = 1, epoch = epoch + 1 WHERE id = ?`, id); err != nil {
		return err
	}
	_, err := service.LogoutAll(ctx, id)
	return err
}
