package session

import (
	"net/http"

	"github.com/tokenjar/tokenjar"
)

// Recognized reports whether a request is judged the short way.
func (g *Guard) Recognized(r *http.Request) bool {
	_, err := g.recognize(r)
	return err != errNotPlain
}

// IdentifyTheLongWay is Identify without the short way.
func (g *Guard) IdentifyTheLongWay(r *http.Request) (tokenjar.Identity, error) {
	cred, err := g.judgeAll(r)
	if err == nil && cred.NeedsRenewal() {
		err = cred.Reason
	}
	if err != nil {
		return tokenjar.Identity{}, err
	}
	return cred.Identity, nil
}
