package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
)

// Tokens are what a client holds of a session.
type Tokens struct {
	Session string
	Refresh string
	Access  string
	CSRF    string // of a client with cookies
}

// An Answer is what a client was told, with the tokens it was given.
type Answer struct {
	Outcome Outcome
	Tokens
	Note string
	// Err says that this is no answer that anybody should get, whatever happened.
	Err error
}

// A Client asks a service, as a page or a program would. Its methods are called by one goroutine at a time.
type Client interface {
	Login(ctx context.Context) Answer
	Refresh(ctx context.Context, t Tokens) Answer
	Revoke(ctx context.Context, t Tokens) Answer
	Read(ctx context.Context, t Tokens) Answer
}

// A Storm is clients that live sessions together: they share what they are given, as tabs share cookies, and ask for
// different things at the same time.
type Storm struct {
	Journal  *Journal
	Name     string   // of this storm, in the journal
	Clients  []Client // at one or at several nodes
	Sessions int      // how many are lived, one after another
	Steps    int      // what each client asks for in each
	Seed     uint64   // of what they ask for: a seed gives that again, but when they ask is up to the machine
	// Thief makes one in fifty-five refreshes show a token older than the one before the newest, which ends the session.
	Thief bool
}

// Run lives the sessions, or as many as there are until the context ends. It returns an error for answers that nobody
// should get; whether the others are right is for [Check].
func (s Storm) Run(ctx context.Context) error {
	var errs []error
	for n := range s.Sessions {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, s.live(ctx, n))
	}
	return errors.Join(append(errs, s.Journal.Err())...)
}

// live lives one session: sign-in, clients side by side, sign-out, and a look at what is left.
func (s Storm) live(ctx context.Context, n int) error {
	rng := rand.New(rand.NewPCG(s.Seed, uint64(n)))
	j := &jar{}
	if err := s.ask(ctx, 0, Login, j, Tokens{}); err != nil || len(j.tokens) == 0 {
		return err
	}
	errs := make([]error, len(s.Clients))
	var wg sync.WaitGroup
	for i := range s.Clients {
		own := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
		wg.Go(func() {
			for step := 0; step < s.Steps && ctx.Err() == nil && errs[i] == nil; step++ {
				kind, back := s.choose(own)
				errs[i] = s.ask(ctx, i, kind, j, j.back(back))
			}
		})
	}
	wg.Wait()
	if rng.IntN(4) > 0 {
		errs = append(errs, s.ask(ctx, rng.IntN(len(s.Clients)), Revoke, j, j.back(0)))
	}
	for i := range s.Clients {
		errs = append(errs, s.ask(ctx, i, Read, j, j.back(0)), s.ask(ctx, i, Refresh, j, j.back(i%2)))
	}
	return errors.Join(errs...)
}

// choose says what to ask for next, and with how old a token.
func (s Storm) choose(rng *rand.Rand) (kind Kind, back int) {
	switch n := rng.IntN(400); {
	case n < 200:
		return Refresh, 0
	case n < 216: // by the time it arrives it may be older, and the session ends
		return Refresh, 1
	case n < 220 && s.Thief:
		return Refresh, 2 + rng.IntN(3)
	case n < 222:
		return Revoke, rng.IntN(3)
	}
	return Read, rng.IntN(2)
}

// ask asks for one thing and writes it down.
func (s Storm) ask(ctx context.Context, client int, kind Kind, j *jar, with Tokens) error {
	op := Op{Client: fmt.Sprint(s.Name, "/", client), Kind: kind, Session: with.Session}
	do := map[Kind]func(context.Context, Tokens) Answer{
		Login:   func(ctx context.Context, _ Tokens) Answer { return s.Clients[client].Login(ctx) },
		Refresh: s.Clients[client].Refresh, Revoke: s.Clients[client].Revoke, Read: s.Clients[client].Read,
	}[kind]
	if kind == Refresh {
		op.Token = Name(with.Refresh)
	}
	entry := s.Journal.Begin(op)
	a := do(ctx, with)
	successor := ""
	if a.Outcome == OK && (kind == Login || kind == Refresh) {
		successor = Name(a.Refresh)
		j.add(a.Tokens)
	}
	entry.End(a.Outcome, a.Session, successor, a.Note)
	if a.Err != nil {
		return fmt.Errorf("%s %s: %w", op.Client, kind, a.Err)
	}
	return nil
}

// A jar is what the clients of a session hold together, the newest last.
type jar struct {
	mu     sync.Mutex
	tokens []Tokens
}

// add puts tokens into the jar, once. The order is that of the generations: nobody is given a successor before somebody has
// shown its parent from here.
func (j *jar) add(t Tokens) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, known := range j.tokens {
		if known.Refresh == t.Refresh {
			return
		}
	}
	j.tokens = append(j.tokens, t)
}

// back returns the newest tokens (0), those before them (1), and so on, or the oldest there are.
func (j *jar) back(n int) Tokens {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tokens[max(len(j.tokens)-1-n, 0)]
}
