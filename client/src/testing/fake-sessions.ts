import type { Problem, User } from '../wire.js'

/** What a browser's cookies hold. Readable here, as nowhere else: in a browser the first two are HttpOnly. */
export interface Jar {
  access?: string | undefined
  refresh?: string | undefined
  csrf?: string | undefined
}

export interface FakeSession {
  readonly id: string
  readonly user: User
  readonly created: number
  generation: number
  rotated: number
  idleEnd: number
  /** Somebody has used what the last renewal gave, so the token before it may not be shown any more. */
  seen: boolean
  ended?: Problem['code']
  /** The same browser signed in again. */
  replaced?: boolean
  name: string
}

export interface Grant {
  access: string
  refresh: string
  csrf: string
}

/** The sessions of the fake server, with the rules of the real one: one successor for each token, and reuse ends the session. */
export class FakeSessions {
  readonly all = new Map<string, FakeSession>()
  private readonly ends = new Map<string, number>() // of access tokens
  private count = 0
  readonly now: () => number
  readonly life: { access: number; session: number; grace: number }

  constructor(now: () => number, life: { access: number; session: number; grace: number }) {
    this.now = now
    this.life = life
  }

  open(user: User): Grant {
    const now = this.now()
    const id = 's' + ++this.count
    const session: FakeSession = {
      id, user, created: now, generation: 0, rotated: now, idleEnd: now + this.life.session * 1000, seen: true, name: '',
    }
    this.all.set(id, session)
    return this.grant(session)
  }

  /** Access tokens end within the second, as on the wire. */
  private grant(session: FakeSession): Grant {
    const access = `access.${session.id}.${session.generation}`
    const end = Math.min(session.rotated + this.life.access * 1000, session.idleEnd)
    this.ends.set(access, Math.floor(end / 1000) * 1000)
    return { access, refresh: `refresh.${session.id}.${session.generation}`, csrf: 'csrf.' + session.id }
  }

  accessEnd(token: string): number {
    return this.ends.get(token) ?? 0
  }

  /** The session that a token names, alive or not. */
  of(token: string | undefined): FakeSession | undefined {
    const session = this.all.get(token?.split('.')[1] ?? '')
    if (session && !session.ended && this.now() >= session.idleEnd) session.ended = 'session_ended'
    return session
  }

  /** The session of an access token that is good now. */
  authenticate(token: string | undefined): FakeSession | undefined {
    const session = this.of(token)
    if (!session || session.ended || this.now() >= this.accessEnd(token!)) return undefined
    if (generation(token!) === session.generation) session.seen = true
    return session
  }

  /** Whether an access token would be good, had its session not been ended. */
  revoked(token: string | undefined): boolean {
    return !!this.of(token)?.ended && this.now() < this.accessEnd(token!)
  }

  /** Whether a refresh token could be spent: the newest, or one whose answer may have been lost. */
  spendable(token: string | undefined): FakeSession | undefined {
    const session = this.of(token)
    return session && !session.ended && this.judge(session, generation(token!)) ? session : undefined
  }

  private judge(session: FakeSession, shown: number): 'newest' | 'before' | undefined {
    if (shown === session.generation) return 'newest'
    const lost = this.now() < session.rotated + this.life.grace * 1000 || !session.seen
    return shown === session.generation - 1 && lost ? 'before' : undefined
  }

  /** Spends a refresh token. */
  rotate(token: string | undefined, passive: boolean): Grant | Problem['code'] {
    const session = this.of(token)
    if (!session) return 'refresh_missing'
    if (session.ended) return session.ended
    const verdict = this.judge(session, generation(token!))
    if (!verdict) return (session.ended = 'session_reused')
    if (verdict === 'newest') {
      session.generation++
      session.rotated = this.now()
      session.seen = false
      if (!passive) session.idleEnd = session.rotated + this.life.session * 1000
    }
    return this.grant(session)
  }
}

const generation = (token: string) => Number(token.split('.')[2])
