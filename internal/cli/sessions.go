package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenjar/tokenjar"
	"github.com/tokenjar/tokenjar/internal/config"
	"github.com/tokenjar/tokenjar/internal/plural"
)

func sessionsCommand(o *options) *cobra.Command {
	return group("sessions", "Look at sessions and end them", "  tokenjar sessions list --user ada",
		sessionsListCommand(o), sessionsRevokeCommand(o), sessionsPruneCommand(o))
}

// sessionRecord is a session for programs.
type sessionRecord struct {
	ID            string  `json:"id"`
	UserID        string  `json:"user_id"`
	Username      string  `json:"username"`
	Name          string  `json:"name"`
	UserAgent     string  `json:"user_agent"`
	IP            string  `json:"ip"`
	Remember      bool    `json:"remember"`
	CreatedAt     *string `json:"created_at"`
	LastSeenAt    *string `json:"last_seen_at"`
	IdleExpiresAt *string `json:"idle_expires_at"`
	ExpiresAt     *string `json:"expires_at"`

	SharedAt        *string `json:"shared_at"`
	SharedIP        string  `json:"shared_ip"`
	SharedUserAgent string  `json:"shared_user_agent"`
}

func sessionsListCommand(o *options) *cobra.Command {
	var user string
	var asJSON bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the live sessions",
		Long:    "List prints the live sessions of all users, or of one; those of each user with the most recently used first.",
		Example: "  tokenjar sessions list --user ada",
		Args:    cobra.NoArgs,
	}
	c.Flags().Var((*text)(&user), "user", "only those of this `user`, by name, address or id")
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, _ []string) error {
		return o.withStore(ctx, func(_ config.Loaded, store dataStore) error {
			t := newTable(o.stdout, "USER", "BEGUN", "LAST USED", "ADDRESS", "AGENT", "ID")
			list := func(u tokenjar.User) error {
				sessions, err := store.UserSessions(ctx, u.ID)
				if err != nil {
					return err
				}
				for _, s := range sessions {
					if !asJSON {
						agent := s.UserAgent
						if s.Name != "" {
							agent = s.Name
						}
						t.row(u.Username, moment(s.CreatedAt), moment(s.LastSeenAt), s.IP, clip(agent), s.ID)
						continue
					}
					if err := printJSON(o.stdout, sessionRecord{
						ID: s.ID, UserID: s.UserID, Username: u.Username, Name: s.Name, UserAgent: s.UserAgent, IP: s.IP,
						Remember: s.Remember, CreatedAt: momentOrNull(s.CreatedAt), LastSeenAt: momentOrNull(s.LastSeenAt),
						IdleExpiresAt: momentOrNull(s.IdleExpiresAt), ExpiresAt: momentOrNull(s.ExpiresAt),
						SharedAt: momentOrNull(s.SharedAt), SharedIP: s.SharedIP, SharedUserAgent: s.SharedUserAgent,
					}); err != nil {
						return err
					}
				}
				return nil
			}
			var err error
			if user != "" {
				var u tokenjar.User
				if u, err = findUser(ctx, store, user); err == nil {
					err = errors.Join(list(u), t.flush())
				}
			} else {
				err = eachUser(ctx, store, list, t.flush)
			}
			if err == nil && !asJSON && !t.begun {
				fmt.Fprintln(o.stderr, "tokenjar: there are no live sessions")
			}
			return err
		})
	})
	return c
}

func sessionsRevokeCommand(o *options) *cobra.Command {
	var user string
	var all, asJSON bool
	c := &cobra.Command{
		Use:   "revoke ID… | --user USER | --all",
		Short: "End sessions",
		Long: `Revoke ends sessions: those of the ids, all of a user, or all there are. A running server takes it on within a second.
The users can sign in again; to keep somebody out, see tokenjar users disable.

After a backup was put back, --all makes sure that nothing that ended since then is alive again.`,
		Example: "  tokenjar sessions revoke --user ada",
		Args: func(_ *cobra.Command, ids []string) error {
			ways := 0
			for _, chosen := range []bool{len(ids) > 0, user != "", all} {
				if chosen {
					ways++
				}
			}
			if ways != 1 {
				return usagef("say which sessions: their ids, or --user, or --all")
			}
			return nil
		},
	}
	c.Flags().Var((*text)(&user), "user", "all of this `user`, by name, address or id")
	c.Flags().BoolVar(&all, "all", false, "all of all users")
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, ids []string) error {
		return o.withStore(ctx, func(_ config.Loaded, store dataStore) error {
			ended := 0
			ofUser := func(u tokenjar.User) error {
				list, err := store.RevokeUserSessions(ctx, u.ID, "", tokenjar.ReasonRevoked)
				if err != nil {
					return err
				}
				ended += len(list)
				return audit(ctx, store, revoked(u.ID, list, tokenjar.ReasonRevoked)...)
			}
			var err error
			switch {
			case all:
				err = eachUser(ctx, store, ofUser, func() error { return nil })
			case user != "":
				var u tokenjar.User
				if u, err = findUser(ctx, store, user); err == nil {
					err = ofUser(u)
				}
			default:
				ended, err = revokeByID(ctx, store, ids)
			}
			if err != nil && ended == 0 {
				return err
			}
			return errors.Join(err, o.say(asJSON, map[string]int{"sessions_ended": ended}, "%s ended", plural.Count(ended, "session", "sessions")))
		})
	})
	return c
}

// revokeByID ends the sessions of the ids, or none when there is one that does not exist.
func revokeByID(ctx context.Context, store dataStore, ids []string) (int, error) {
	owner := make(map[string]string, len(ids))
	for _, id := range ids {
		s, err := store.Session(ctx, id)
		if errors.Is(err, tokenjar.ErrNotFound) {
			return 0, withHint(fmt.Errorf("there is no session %s: nothing was ended", id), "tokenjar sessions list shows the live ones")
		}
		if err != nil {
			return 0, err
		}
		owner[id] = s.UserID
	}
	ended, err := store.RevokeSessions(ctx, "", ids, tokenjar.ReasonRevoked)
	if err != nil {
		return 0, err
	}
	var events []tokenjar.AuditEvent
	for _, id := range ended {
		events = append(events, revoked(owner[id], []string{id}, tokenjar.ReasonRevoked)...)
	}
	return len(ended), audit(ctx, store, events...)
}

const (
	// pruneKeep is how long ended sessions are needed: the longest life that access tokens may be given, and the overlap
	// with which servers ask for revocations.
	pruneKeep  = 24*time.Hour + time.Minute
	pruneBatch = 5000
)

func sessionsPruneCommand(o *options) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "prune",
		Short: "Delete what is left of sessions that ended long ago",
		Long: `Prune deletes sessions that have been over, or ended, for more than a day. Nobody is signed out. A running server does
the same by itself, a little at a time.`,
		Example: "  tokenjar sessions prune",
		Args:    cobra.NoArgs,
	}
	jsonFlag(c, &asJSON)
	c.RunE = fail(func(ctx context.Context, _ []string) error {
		return o.withStore(ctx, func(_ config.Loaded, store dataStore) error {
			total := 0
			for {
				n, more, err := store.PruneSessions(ctx, pruneKeep, pruneBatch)
				total += n
				if err != nil {
					return err
				}
				if !more {
					return o.say(asJSON, map[string]int{"sessions_deleted": total}, "%s deleted", plural.Count(total, "session", "sessions"))
				}
			}
		})
	})
	return c
}
