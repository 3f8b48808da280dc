package httpapi

import (
	"net/http"
	"slices"

	"github.com/tokenjar/tokenjar/problem"
)

// Which problems an operation may answer with, for the document. The contract test holds every answer against it.

// A refusal is a problem with the status it has in one place.
type refusal struct {
	status int
	code   problem.Code
}

// usual returns problems with the status they usually have.
func usual(codes ...problem.Code) []refusal {
	list := make([]refusal, len(codes))
	for i, code := range codes {
		list[i] = refusal{problem.New(code).Status, code}
	}
	return list
}

var (
	unreadable  = refusal{http.StatusBadRequest, problem.ValidationFailed}
	wrongPast   = refusal{http.StatusForbidden, problem.InvalidCredentials} // the old password
	readsBody   = append(usual(problem.BodyTooLarge, problem.UnsupportedMediaType, problem.ValidationFailed), unreadable)
	readsHeader = append(usual(problem.HeaderTooLarge), unreadable) // cookies and Authorization
	asksStore   = usual(problem.StoreUnavailable, problem.Overloaded)
	makesTokens = append(usual(problem.ClaimsTooLarge), asksStore...)
	triesLogin  = append(usual(problem.InvalidCredentials, problem.RateLimited), makesTokens...)
	noUser      = usual(problem.NotAuthenticated, problem.TokenInvalid, problem.TokenExpired, problem.TokenRevoked,
		problem.WrongTokenType, problem.SessionEnded, problem.SessionReused)
	noRefresh = usual(problem.RefreshMissing, problem.TokenInvalid, problem.TokenExpired, problem.WrongTokenType,
		problem.SessionEnded, problem.SessionReused)
	notThere = usual(problem.NotFound, problem.ValidationFailed) // an id that nothing has, or that nothing can have
	forgery  = usual(problem.OriginNotAllowed, problem.CSRFFailed)
	// asksMember is what any operation for signed-in users may refuse; forgery beside it, where it is unsafe.
	asksMember = slices.Concat(readsHeader, noUser, makesTokens)
)

// refuses says with which problems an operation may answer.
func refuses(sets ...[]refusal) func(*operation) {
	return func(op *operation) { op.refusals = append(op.refusals, slices.Concat(sets...)...) }
}

// everywhere are the refusals that no operation lists: those before a path is looked up, those of paths that lead
// nowhere, and a fault of ours.
var everywhere = []struct {
	code     problem.Code
	statuses []int
	when     string
}{
	{problem.BadPath, []int{http.StatusBadRequest}, "The path can be read in more than one way."},
	{problem.MisdirectedHost, []int{http.StatusMisdirectedRequest, http.StatusBadRequest}, "The request names another host, or none."},
	{problem.MethodNotAllowed, []int{http.StatusMethodNotAllowed}, "The path does not know the method; the Allow header names those it knows."},
	{problem.NotFound, []int{http.StatusNotFound}, "The path leads nowhere."},
	{problem.Internal, []int{http.StatusInternalServerError}, "A fault of ours, logged under the request id."},
}
