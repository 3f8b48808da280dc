package notes

import (
	"context"

	"github.com/tokenjar/tokenjar/middleware"
	"github.com/tokenjar/tokenjar/password"
	"github.com/tokenjar/tokenjar/problem"
	"github.com/tokenjar/tokenjar/token"
)

// An Account is the program's own user.
type Account struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Staff bool   `json:"staff"`
}

// IsStaff is for middleware.Access.Where.
func (a Account) IsStaff() bool { return a.Staff }

// Accounts is the program's table of users: a map here, and a real one in examples/postgres.
type Accounts interface {
	// ByID returns an account, or middleware.ErrNotFound for one that does not exist or may not come in. Any other error
	// says that the table cannot be asked.
	ByID(ctx context.Context, id string) (Account, error)
	// ByPassword returns an account whose password this is.
	ByPassword(ctx context.Context, name, password string) (Account, error)
}

// account is the middleware.Resolver: who is the user of this token?
func (a *App) account(ctx context.Context, claims token.Claims) (Account, error) {
	return a.accounts.ByID(ctx, claims.String("sub"))
}

// Map is a table of accounts that never changes.
type Map struct {
	byID   map[string]Account
	byName map[string]entry
	hasher *password.Hasher
}

type entry struct {
	Account
	hash string
}

// Demo returns a table with ada, and grace of the staff. Both have the password "umbrella-kettle-92".
func Demo() *Map {
	m := &Map{map[string]Account{}, map[string]entry{}, must(password.New(password.Config{}))}
	for _, a := range []Account{{ID: "1", Name: "ada"}, {ID: "2", Name: "grace", Staff: true}} {
		m.byID[a.ID] = a
		m.byName[a.Name] = entry{a, must(m.hasher.Hash(context.Background(), "umbrella-kettle-92"))}
	}
	return m
}

// ByID implements [Accounts].
func (m *Map) ByID(_ context.Context, id string) (Account, error) {
	account, ok := m.byID[id]
	if !ok {
		return Account{}, middleware.ErrNotFound
	}
	return account, nil
}

// ByPassword implements [Accounts]. Neither its answer nor its time tells whether there is such a name.
func (m *Map) ByPassword(ctx context.Context, name, password string) (Account, error) {
	found, ok := m.byName[name]
	if !ok {
		if err := m.hasher.VerifyNobody(ctx, password); err != nil {
			return Account{}, err
		}
		return Account{}, problem.New(problem.InvalidCredentials)
	}
	result, err := m.hasher.Verify(ctx, found.hash, password)
	if err != nil {
		return Account{}, err
	}
	if !result.OK {
		return Account{}, problem.New(problem.InvalidCredentials)
	}
	return found.Account, nil
}
