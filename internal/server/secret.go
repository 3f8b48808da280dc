package server

import (
	"context"
	"errors"
	"time"

	"github.com/tokenjar/tokenjar"
)

// secretEvery is how often the secret is read again: with it, a line added to the file is in force on a node within the
// bound that revocations have.
const secretEvery = 250 * time.Millisecond

// followSecret puts a changed secret to use while the server runs. What cannot be read or used changes nothing: the
// secret in use stays, and one line of log says what is wrong, once for each state of the file.
func (s *Server) followSecret(ctx context.Context, read func() (tokenjar.Secret, error)) {
	tick := time.NewTicker(secretEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		secret, err := read()
		changed := false
		if err == nil {
			changed, err = s.service.ReplaceSecret(ctx, secret)
		}
		switch {
		case errors.Is(err, tokenjar.ErrStoreUnavailable), ctx.Err() != nil:
			// It is tried again; the store's silence is logged where it belongs.
		case err != nil && err.Error() != said:
			said = err.Error()
			s.log.ErrorContext(ctx, "the secret cannot be changed to what the file says; the one in use stays", "err", err)
		case changed:
			said = ""
			s.log.InfoContext(ctx, "the secret has been read again")
		case err == nil && said != "":
			said = ""
			s.log.InfoContext(ctx, "the secret can be read again")
		}
	}
}
