package csrf

import "net/http"

// Protect returns a handler that asks rule 1 of every request and passes it on to next, or hands it with the
// *[Error] to deny, which writes the answer. GET, HEAD and OPTIONS always pass, so they must change nothing; the
// handler behind a WebSocket route calls [Origins.CheckHandshake] itself.
//
// It is for routes without a session, such as a program's own login, and for programs without sessions of ours, in place
// of [net/http.CrossOriginProtection]: it does not ask for rule 2, which needs to know the session. A request with
// neither Origin nor Sec-Fetch-Site passes, as in [Origins.Check], where own is explained too. Method overrides in
// headers or forms are not looked at. The handler is safe for concurrent use if deny and next are.
func (o *Origins) Protect(own string, deny func(http.ResponseWriter, *http.Request, error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions:
		default:
			if err := o.Check(r.Header, own); err != nil {
				deny(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
