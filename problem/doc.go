// Package problem turns errors into what a client is told: an RFC 9457 problem document with a stable code, the next
// thing to do, and a request id. It knows nothing of sessions and users, so that a program which only verifies tokens
// gets none of them.
//
// # Where to start
//
//   - [Write] answers with whatever an error means. Packages middleware, session and httpapi write their refusals with
//     it; a program's own handlers do the same, so that its clients meet one form.
//   - [New] makes a [Problem] of a [Code], for a refusal of the program's own; it is an error, so a handler may return
//     it. Its With methods return copies with another sentence, status, action, challenge, or with the members that
//     cannot be taken.
//   - [From] says which problem an error is, and how an error type of any package says it of itself, without importing
//     this one.
//   - [Prepare] sets the header fields alone, for frameworks that write bodies themselves.
//
// # What is promised
//
//   - A code keeps its name and its meaning; texts may be reworded. Each code has one usual status and one usual
//     [Action].
//   - The errors of packages token, csrf and cookie are known here. What says nothing is 500, with the detail in the
//     log and nothing of it in the answer.
//   - Every refusal bears the code in the field [Header] as well, is stored by no cache, and has a challenge where it
//     is 401 and Retry-After where it is 429 or 503. No cookie is touched.
//   - What is our own fault, 500 and above, is logged under the request id that the client is told; not so a client
//     that has left, and keys that cannot be fetched, which package jwks logs.
//   - All functions and methods may be called at the same time.
//
// # What is left to the caller
//
//   - What is given to [Problem.WithDetail], [Problem.WithErrors] and [Problem.WithChallenge] must hold nothing secret,
//     and nothing that the client could have forged into it.
//   - Telling a user who is not there from a database that does not answer: an error that carries neither code is 500.
//   - An answer that has begun cannot become a problem: write it before the first byte.
package problem
