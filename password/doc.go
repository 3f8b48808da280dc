// Package password hashes passwords with Argon2id and says which passwords may be chosen.
//
// A [Hasher] makes and checks hashes in PHC strings (RFC 9106), with the parameters in the hash. It runs at most
// Slots of them at once and lets a bounded number wait, because each takes about 20 ms of a core and 19 MiB: without
// that, a burst of logins stalls every other request. Beyond the queue it refuses at once with a [*BusyError].
//
// Login code calls [Hasher.Verify] for a user that exists and [Hasher.VerifyNobody] for one that does not, and gives
// both the same answer. Both do the same work, also for a stored hash that is damaged or cheaper than today's, so
// neither the answer nor its time says whether there is an account.
//
// A [Policy] judges a password at registration and change: its length, and whether it is common or derived from the
// user's own name or mail. There are no composition rules (OWASP ASVS 5.0, 6.2), and nothing is trimmed, folded or
// normalised before hashing: the bytes typed are the bytes compared.
//
// The package imports nothing else of tokenjar. Limits on attempts belong to package ratelimit.
package password
