// Package ratelimit bounds how often a password is tried: for an account, whoever tries it, and from an address, whatever
// is tried. [Logins] is the [tokenjar.LoginLimits] of one process.
//
// What is promised:
//
//   - A [Rate] is a burst and its even refill: 5/m is five at once, then one every twelve seconds. The algorithm is the
//     generic cell rate algorithm (GCRA) of throttled/v2. A refused try costs nothing, so nobody is ever locked out for
//     good: one try passes after each refill.
//   - Every try counts, the successful ones as well. Signing in to an account of one's own gives nothing back.
//   - Memory is fixed, and no flood of names or addresses resets anybody's count: see the comment in sketch.go.
//   - Time comes from Config.Now, and only goes forward: a clock that steps back neither locks out nor lets through.
//
// Counts are in the memory of this process. A restart forgets them, and of n processes side by side each allows the full
// rate: n times as much in all.
//
// What it does not do: bound all tries together, from many addresses against many accounts. That is the job of the hash
// slots of package password, which shed what exceeds the processors.
//
// Like a store, it implements an interface of the root package, and imports nothing else of ours.
package ratelimit
