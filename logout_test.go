package tokenjar_test

import (
	"context"
	"testing"

	"github.com/tokenjar/tokenjar"
)

// What another node ended a moment ago is over here as well, as soon as this node says that everything is over or has been
// told so by the store.
func TestR9ANodeThatSaysAllIsOverTakesNothingThatEndedElsewhere(t *testing.T) { // S-02
	for name, end := range map[string]func(ctx context.Context, w *world, asking, elsewhere tokenjar.Grant) error{
		"logout": func(ctx context.Context, w *world, _, elsewhere tokenjar.Grant) error {
			return w.Logout(ctx, w.SignedSessions([]string{elsewhere.AccessToken}, nil))
		},
		"logout all": func(ctx context.Context, w *world, asking, _ tokenjar.Grant) error {
			_, err := w.LogoutAll(ctx, asking.User.ID)
			return err
		},
		"end others": func(ctx context.Context, w *world, asking, _ tokenjar.Grant) error {
			_, err := w.EndOtherSessions(ctx, asking.User.ID, asking.SessionID)
			return err
		},
		"disable": func(ctx context.Context, w *world, asking, _ tokenjar.Grant) error {
			return w.SetUserActive(ctx, asking.User.ID, false)
		},
		"change the password": func(ctx context.Context, w *world, asking, _ tokenjar.Grant) error {
			return w.ChangePassword(ctx, tokenjar.PasswordChangeRequest{Identity: asking.Identity(), Old: testPassword, New: newPassword})
		},
		"refresh": func(ctx context.Context, w *world, _, elsewhere tokenjar.Grant) error {
			_, err := w.Refresh(ctx, tokenjar.RefreshRequest{Token: elsewhere.RefreshToken})
			wantErr(t, err, tokenjar.ErrSessionEnded)
			return nil
		},
		"look at the session": func(ctx context.Context, w *world, _, elsewhere tokenjar.Grant) error {
			_, err := w.LiveSession(ctx, elsewhere.Identity())
			wantErr(t, err, tokenjar.ErrSessionEnded)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryStore(t, func(t *testing.T, w *world) {
				asking, elsewhere := w.login(t), w.login(t)
				if err := w.second(t).Logout(t.Context(), w.SignedSessions(nil, []string{elsewhere.RefreshToken})); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Authenticate(elsewhere.AccessToken); err != nil {
					t.Fatalf("this node knows of it already: %v", err)
				}
				if err := end(t.Context(), w, asking, elsewhere); err != nil {
					t.Fatal(err)
				}
				_, err := w.Authenticate(elsewhere.AccessToken)
				wantErr(t, err, tokenjar.ErrTokenRevoked)
			})
		})
	}
}
