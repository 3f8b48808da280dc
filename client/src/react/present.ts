import type { Snapshot } from '../snapshot.js'

/** The snapshot of a page that needs somebody: there is a user, though the session may have ended meanwhile. */
export type Present = Extract<Snapshot, { status: 'authenticated' | 'expired' }>
