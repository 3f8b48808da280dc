/** So long before its end an access token is renewed, in milliseconds; at most a quarter of its life. */
export const early = 60_000

/** The server renews by itself in the last seconds of an access token. */
export const ownRenewal = 10_000

/** A page that comes back asks who is here, unless it has asked so lately. */
export const lately = 10_000

/** Seconds on the wire are whole. */
export const rounding = 1500

/** Whatever a server says, so many seconds later it is asked again. */
export const longest = 300

/** Timers count 31 bits of milliseconds; sessions may live longer. */
export const furthest = 2e9

/** After so many milliseconds without an answer to a question of the client's own there is none. */
export const patience = 10_000
