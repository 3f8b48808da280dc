package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
)

func usersCommand(o *options) *cobra.Command {
	return group("users", "Manage the users", "  tokenjar users create ada --email ada@example.com",
		usersCreateCommand(o), usersListCommand(o), usersShowCommand(o), usersActiveCommand(o, false),
		usersActiveCommand(o, true), usersSetPasswordCommand(o), usersSetRolesCommand(o), usersDeleteCommand(o))
}

// oneUser refuses anything but one argument.
func oneUser(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usagef("one user is needed, by name, address or id, not %d", len(args))
	}
	return nil
}

// withUser runs do with the user whom a word names.
func (o *options) withUser(ctx context.Context, word string, do func(cfg config.Loaded, store dataStore, u tokenjar.User) error) error {
	return o.withStore(ctx, func(cfg config.Loaded, store dataStore) error {
		u, err := findUser(ctx, store, word)
		if err != nil {
			return err
		}
		return do(cfg, store, u)
	})
}

// findUser returns the user whose name, address or id a word is. A word that is the name of one and the id of another
// user names nobody: it could be chosen to be taken for somebody else.
func findUser(ctx context.Context, store dataStore, word string) (tokenjar.User, error) {
	id := tokenjar.Identifier{Username: word}
	if strings.Contains(word, "@") {
		id = tokenjar.Identifier{Email: word}
	}
	named, nameErr := store.FindUser(ctx, id)
	byID, idErr := store.User(ctx, word)
	for _, err := range []error{nameErr, idErr} {
		if err != nil && !errors.Is(err, tokenjar.ErrNotFound) {
			return tokenjar.User{}, err
		}
	}
	switch {
	case nameErr != nil && idErr != nil:
		return tokenjar.User{}, withHint(fmt.Errorf("there is no user %s", word), "tokenjar users list shows all of them")
	case nameErr == nil && idErr == nil && named.ID != byID.ID:
		return tokenjar.User{}, withHint(fmt.Errorf("%s is the name of one user and the id of another", word),
			"name the first by address or by the id %s", named.ID)
	case nameErr == nil:
		return named, nil
	}
	return byID, nil
}

// userRecord is a user for programs. The password hash stays where it is.
type userRecord struct {
	ID            string  `json:"id"`
	Username      string  `json:"username"`
	Email         string  `json:"email"`
	FirstName     string  `json:"first_name"`
	LastName      string  `json:"last_name"`
	Active        bool    `json:"active"`
	EmailVerified bool    `json:"email_verified"`
	Staff         bool    `json:"staff"`
	Superuser     bool    `json:"superuser"`
	HasPassword   bool    `json:"has_password"`
	CreatedAt     *string `json:"created_at"`
	LastLogin     *string `json:"last_login"`
}

func userJSON(u tokenjar.User) userRecord {
	return userRecord{
		ID: u.ID, Username: u.Username, Email: u.Email, FirstName: u.FirstName, LastName: u.LastName, Active: u.Active,
		EmailVerified: u.EmailVerified, Staff: u.Staff, Superuser: u.Superuser, HasPassword: u.PasswordHash != "",
		CreatedAt: momentOrNull(u.CreatedAt), LastLogin: momentOrNull(u.LastLogin),
	}
}

// endedRecord says, for programs, what a command did to a user.
type endedRecord struct {
	ID            string `json:"id"`
	Username      string `json:"username"`
	SessionsEnded int    `json:"sessions_ended"`
}

func endedJSON(u tokenjar.User, ended []string) endedRecord {
	return endedRecord{ID: u.ID, Username: u.Username, SessionsEnded: len(ended)}
}

// eachUser goes through all users in the order of their ids, a page at a time. pageDone is called after each page.
func eachUser(ctx context.Context, store dataStore, do func(tokenjar.User) error, pageDone func() error) error {
	const page = 500
	after := ""
	for {
		users, err := store.Users(ctx, after, page)
		if err != nil {
			return err
		}
		for _, u := range users {
			if err := do(u); err != nil {
				return err
			}
			after = u.ID
		}
		if err := pageDone(); err != nil || len(users) < page {
			return err
		}
	}
}
