package tokenjar_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/history"
	"github.com/tokenjar/tokenjar/internal/stress"
)

// serviceClient is a client of a service, without HTTP between them.
type serviceClient struct{ *world }

func (c serviceClient) answer(g tokenjar.Grant, err error) history.Answer {
	var many *tokenjar.ReplayError
	switch {
	case err == nil:
		return history.Answer{Outcome: history.OK, Tokens: history.Tokens{Session: g.SessionID, Refresh: g.RefreshToken, Access: g.AccessToken}}
	case isOver(err), errors.Is(err, tokenjar.ErrTokenRevoked):
		return history.Answer{Outcome: history.Ended, Note: err.Error()}
	case errors.As(err, &many):
		return history.Answer{Outcome: history.Refused}
	case errors.Is(err, tokenjar.ErrStoreUnavailable):
		return history.Answer{Outcome: history.Unknown, Note: err.Error()}
	}
	return history.Answer{Outcome: history.Unknown, Err: err}
}

func (c serviceClient) Login(ctx context.Context) history.Answer {
	return c.answer(c.OpenSession(ctx, c.user, tokenjar.Credentials{}))
}

func (c serviceClient) Refresh(ctx context.Context, t history.Tokens) history.Answer {
	return c.answer(c.Service.Refresh(ctx, tokenjar.RefreshRequest{Token: t.Refresh}))
}

func (c serviceClient) Revoke(ctx context.Context, t history.Tokens) history.Answer {
	return c.answer(tokenjar.Grant{}, c.Logout(ctx, c.SignedSessions([]string{t.Access}, []string{t.Refresh})))
}

func (c serviceClient) Read(_ context.Context, t history.Tokens) history.Answer {
	_, err := c.Authenticate(t.Access)
	return c.answer(tokenjar.Grant{}, err)
}

// Whatever clients of one service ask for at once, one sequence of events explains what they are told.
func TestHistoriesOfOneServiceAreLinearizable(t *testing.T) { // T-02, T-09, T-11
	onEveryStore(t, func(t *testing.T, w *world) {
		n := 12
		if _, slow := w.store.(interface{ Close() error }); slow {
			n = 4
		}
		j, seed := &history.Journal{}, stress.Seed(t)
		var storms sync.WaitGroup
		for i := range 4 {
			user := w.newUser(t, fmt.Sprint("user-", i))
			storms.Go(func() {
				mine := *w
				mine.user = user
				c := serviceClient{&mine}
				err := history.Storm{
					Journal: j, Name: fmt.Sprint("storm ", i), Clients: []history.Client{c, c, c, c},
					Sessions: stress.Times(t, n), Steps: 15, Seed: seed + uint64(i), Thief: i%2 == 0,
				}.Run(t.Context())
				if err != nil {
					t.Error(err)
				}
			})
		}
		storms.Wait()
		checkHistory(t, j, history.Rules{Grace: true}, n*4*40)
	}, func(c *tokenjar.Config) { c.MaxPerUser = 1000 })
}

// checkHistory checks a journal, and that enough stands in it for the check to mean something.
func checkHistory(t *testing.T, j *history.Journal, rules history.Rules, atLeast int) {
	t.Helper()
	ops := j.Ops()
	told := make(map[string]int)
	for _, op := range ops {
		told[fmt.Sprint(op.Kind, " ", op.Outcome)]++
	}
	t.Logf("%d operations: %v", len(ops), told)
	if len(ops) < atLeast || told["refresh ok"] < len(ops)/20 || told["read ended"] == 0 || told["refresh ended"] == 0 {
		t.Errorf("the history is too thin: %d operations: %v", len(ops), told)
	}
	if err := history.Check(ops, rules); err != nil {
		t.Error(err)
	}
}
