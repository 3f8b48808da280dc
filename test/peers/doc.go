// Package peers holds package token against the other JOSE libraries for Go: golang-jwt, go-jose and jwx. It has a go.mod
// of its own, so that none of them becomes a dependency of the product.
//
//   - differential_test.go gives the same tokens to all four, 10^5 valid ones that something was done to, and wants a
//     reason from verdicts_test.go for every difference: above all for what only we accept.
//   - vectors_test.go does so with Project Wycheproof's.
//   - interop_test.go: what one signs or publishes, the others take.
//   - bench_test.go prints what each costs beside the bare operation of crypto/*.
//   - requests measures a request with a cookie behind our guard, behind a middleware of golang-jwt, go-chi/jwtauth and
//     alexedwards/scs.
//
// Each library is set up as its documentation tells a careful user to, with every check its API offers switched on, for
// one key and one algorithm.
package peers
