package httpapi

import (
	"context"
	"time"

	"github.com/tokenjar/tokenjar"
)

// Session is one of the user's sessions, as a list shows it.
type Session struct {
	ID         string    `json:"id"`
	Name       string    `json:"name" doc:"Given by the user; empty when there is none"`
	UserAgent  string    `json:"user_agent"`
	IP         string    `json:"ip"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at" doc:"When it was last renewed"`
	ExpiresAt  time.Time `json:"expires_at" doc:"When it ends if it is not used"`
	Current    bool      `json:"current" doc:"The session of this very request"`
	Shared     *Shared   `json:"shared,omitempty" doc:"Another client that got the answer of a renewal as well, the last one there was; absent when none has. It may be a device that changed its network between two tries, or a copy of a token: a user who does not know it should end the session"`
}

// Shared tells of another client that got the answer of a renewal as well.
type Shared struct {
	At        time.Time `json:"at"`
	IP        string    `json:"ip"`
	UserAgent string    `json:"user_agent"`
}

type sessionsOutput struct {
	Body struct {
		Sessions []Session `json:"sessions" nullable:"false"`
	}
}

// sessions lists the user's live sessions, the most recently used first.
func (a *API) sessions(ctx context.Context, _ *struct{}) (*sessionsOutput, error) {
	id, err := member(ctx)
	if err != nil {
		return nil, err
	}
	list, err := a.service.Sessions(ctx, id.UserID)
	if err != nil {
		return nil, err
	}
	out := &sessionsOutput{}
	out.Body.Sessions = make([]Session, len(list))
	for i, s := range list {
		out.Body.Sessions[i] = publicSession(s, id)
	}
	return out, nil
}

func publicSession(s tokenjar.Session, id tokenjar.Identity) Session {
	var shared *Shared
	if s.SharedGen > 0 {
		shared = &Shared{At: s.SharedAt.UTC().Truncate(time.Second), IP: s.SharedIP, UserAgent: s.SharedUserAgent}
	}
	return Session{
		Shared: shared,
		ID:     s.ID, Name: s.Name, UserAgent: s.UserAgent, IP: s.IP,
		CreatedAt: s.CreatedAt.UTC().Truncate(time.Second), LastUsedAt: s.LastSeenAt.UTC().Truncate(time.Second),
		ExpiresAt: s.IdleExpiresAt.UTC(), Current: s.ID == id.SessionID,
	}
}

type oneSessionInput struct {
	ID string `path:"id" maxLength:"64" doc:"Id of one of the user's sessions"`
}

type renameSessionInput struct {
	// Not oneSessionInput embedded: huma passes over structs whose name is not exported.
	ID   string `path:"id" maxLength:"64" doc:"Id of one of the user's sessions"`
	Body struct {
		Name string `json:"name" maxLength:"100" doc:"One line; empty takes the name away"`
	}
}

type emptyOutput struct {
	Body struct{}
}

// renameSession names one of the user's sessions.
func (a *API) renameSession(ctx context.Context, in *renameSessionInput) (*emptyOutput, error) {
	id, err := member(ctx)
	if err != nil {
		return nil, err
	}
	return &emptyOutput{}, a.service.RenameSession(ctx, id.UserID, in.ID, in.Body.Name)
}

// endSession ends one of the user's sessions; the current one too, whose cookies then are dead and go at the next
// refresh.
func (a *API) endSession(ctx context.Context, in *oneSessionInput) (*emptyOutput, error) {
	id, err := member(ctx)
	if err != nil {
		return nil, err
	}
	return &emptyOutput{}, a.service.EndSession(ctx, id.UserID, in.ID)
}

type endedOutput struct {
	Body struct {
		Ended int `json:"ended" doc:"How many sessions were ended"`
	}
}

// endOtherSessions ends all sessions of the user but this one.
func (a *API) endOtherSessions(ctx context.Context, _ *struct{}) (*endedOutput, error) {
	id, err := member(ctx)
	if err != nil {
		return nil, err
	}
	n, err := a.service.EndOtherSessions(ctx, id.UserID, id.SessionID)
	if err != nil {
		return nil, err
	}
	out := &endedOutput{}
	out.Body.Ended = n
	return out, nil
}
