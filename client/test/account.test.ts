import { describe, expect, test } from 'vitest'
import { account, AuthError, retryQuery, returnTo } from '../src/index.js'
import { after, pass, signedIn, stopTime } from './world.js'

stopTime()

describe('the account', () => {
  test('sessions are listed, named and ended', async () => {
    const { auth, server } = await signedIn()
    const { sessions } = account(auth)
    server.signIn() // as another browser would: the first session goes on
    const [first, second] = await after(100, sessions.list())
    expect([first!.current, second!.current]).toEqual([false, true])
    await after(100, sessions.name(first!.id, 'the old laptop'))
    expect((await after(100, sessions.list()))[0]!.name).toBe('the old laptop')
    expect(await after(100, sessions.endOthers())).toBe(1)
    expect(await after(100, sessions.list())).toHaveLength(1)
    await expect(after(100, sessions.end('../user'))).rejects.toMatchObject({ code: 'not_found' })
    await after(100, sessions.end(second!.id))
    expect(auth.getSnapshot()).toMatchObject({ status: 'expired', reason: 'session_ended' })
  })

  test('a change of the profile reaches all tabs', async () => {
    const { tabs } = await signedIn(2)
    expect(await after(100, account(tabs[0]!.auth).updateUser({ first_name: 'Ada' }))).toMatchObject({ first_name: 'Ada' })
    expect(tabs.map(({ auth }) => auth.getSnapshot().user?.first_name)).toEqual(['Ada', 'Ada'])
  })

  test('a change of the password keeps this session', async () => {
    const { auth, server } = await signedIn()
    const { changePassword } = account(auth)
    await expect(after(100, changePassword('wrong', 'new password'))).rejects.toMatchObject({ code: 'invalid_credentials' })
    await after(100, changePassword('secret', 'new password'))
    expect(auth.getSnapshot().status).toBe('authenticated')
    await after(100, auth.logout())
    await after(100, auth.login({ email: 'ada@example.com', password: 'new password' }))
    expect(server.signedIn?.username).toBe('ada')
  })

  test('an operation that meets an expired token is renewed like any request', async () => {
    const { auth, server, w } = await signedIn()
    server.advanceTo('access-expired')
    expect(await after(100, account(auth).sessions.list())).toHaveLength(1)
    expect(w.seen('/auth/token/refresh')).toHaveLength(1)
  })

  test('refusals carry the code, the problem and when to try again', async () => {
    const { auth, server } = await signedIn()
    server.refuse('rate_limited', { path: '/login', retryAfter: 17 })
    const error = await after(100, auth.login({ username: 'ada', password: 'x' }).catch((e: unknown) => e))
    expect(error).toBeInstanceOf(AuthError)
    expect(error).toMatchObject({ name: 'AuthError', code: 'rate_limited', retryAfter: 17, problem: { status: 429, request_id: 'FAKE' } })
  })

  test('sign-out everywhere ends the other sessions too', async () => {
    const { auth, server } = await signedIn()
    server.signIn()
    await after(100, auth.logout({ everywhere: true }))
    await pass(100)
    expect(server.requests.at(-1)).toMatchObject({ status: 200 })
    expect(server.signedIn).toBe(null)
  })
})

describe('retryQuery', () => {
  const refused = (code: 'csrf_failed', action: 'fix_request' | 'retry' | 'login') =>
    new AuthError(code, 0, { code, action, type: '', title: '', status: 0, detail: '', request_id: '' })
  test.each<[unknown, number, boolean]>([
    [new TypeError('Failed to fetch'), 0, true],
    [new TypeError('Failed to fetch'), 3, false],
    [new AuthError('network'), 1, true],
    [new AuthError('session_ended'), 0, false],
    [new AuthError('body_not_replayable'), 0, false],
    [refused('csrf_failed', 'fix_request'), 0, false],
    [refused('csrf_failed', 'login'), 0, false],
    [refused('csrf_failed', 'retry'), 2, true],
    [null, 0, true],
  ])('%s after %i failures: %s', (error, failures, want) => {
    expect(retryQuery(failures, error)).toBe(want)
  })
})

describe('returnTo', () => {
  const here = 'https://app.example.com'
  test.each([
    ['?next=/orders/42', '/orders/42'],
    ['?a=b&next=%2Fa%3Fb%3Dc%23d', '/a?b=c#d'],
    ['', '/'],
  ])('%s leads to %s', (search, want) => expect(returnTo(search, here)).toBe(here + want))

  const out = [
    '//evil.example', '/\\evil.example', '\\/evil.example', '\\\\evil.example', '/\t/evil.example', '/\n/evil.example', '///evil.example', 'https:evil.example',
    'https://evil.example', 'http:/evil.example', 'javascript:alert(1)', 'java\nscript:alert(1)', 'data:text/html,x', '', 'evil.example', '@evil.example',
    ' //evil.example', '/ /evil.example', '/\u00a0/evil.example', '\u0000//evil.example', '/.//evil.example', '/..//evil.example', '/a/../..//evil.example', '/%2F/evil.example',
  ]
  test.each(out)('%j stays on the site', (next) => {
    const target = returnTo('?next=' + encodeURIComponent(next), here)
    expect(new URL(target).origin).toBe(here)
    expect(new URL(target, 'https://other.example').origin).toBe(here)
  })
})
