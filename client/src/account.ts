import type { Auth, OperationOptions } from './auth.js'
import type { Profile, Session, User } from './wire.js'

/** What a signed-in user may look at and change of the own account. */
export interface Account {
  /** Where the user is signed in. */
  readonly sessions: {
    list(options?: OperationOptions): Promise<Session[]>
    /** Names a session; the empty name takes the name away. */
    name(id: string, name: string, options?: OperationOptions): Promise<void>
    /** Ends a session, which may be the one that is used. */
    end(id: string, options?: OperationOptions): Promise<void>
    /** Ends all other sessions and returns how many there were. */
    endOthers(options?: OperationOptions): Promise<number>
  }
  /** Changes the password. All other sessions end, this one goes on. */
  changePassword(oldPassword: string, newPassword: string, options?: OperationOptions): Promise<void>
  /** Changes some of the profile; all tabs show it. */
  updateUser(profile: Profile, options?: OperationOptions): Promise<User>
}

/**
 * The operations of the account, for the pages that need them: what is not imported is not in the bundle.
 *
 * @example
 * const { sessions } = account(auth)
 * for (const session of await sessions.list()) show(session)
 */
export function account({ call }: Pick<Auth, 'call'>): Account {
  const path = (id: string) => '/sessions/' + encodeURIComponent(id)
  return {
    sessions: {
      list: async (options) => ((await call('GET', '/sessions', options)) as { sessions: Session[] }).sessions,
      async name(id, name, options) {
        await call('PATCH', path(id), { ...options, body: { name } })
      },
      async end(id, options) {
        await call('DELETE', path(id), options)
      },
      endOthers: async (options) => ((await call('DELETE', '/sessions', options)) as { ended: number }).ended,
    },
    async changePassword(old_password, new_password, options) {
      await call('POST', '/password/change', { ...options, body: { old_password, new_password } })
    },
    updateUser: async (profile, options) => (await call('PATCH', '/user', { ...options, body: profile })) as User,
  }
}
