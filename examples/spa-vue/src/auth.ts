import { account, createAuth } from '@tokenjar/client'

/** The one client of the page. Requests wait while the user signs in again, so that nothing typed is lost. */
export const auth = createAuth({ park: true })

/** Where the user is signed in. */
export const { sessions } = account(auth)
