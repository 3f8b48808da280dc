// Package torture tries the rotation contract on a running deployment, from outside: many refreshes at once, answers
// that are thrown away, old tokens, sign-out against refresh. It gives one verdict for each rule of the contract.
//
// It is a client over net/http and knows nothing of a store. It opens sessions of one account, which it ends again, and
// keeps to a bound of requests a second and in all. What the verdicts look like in a terminal is internal/cli's.
package torture
