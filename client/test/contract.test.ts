import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createAuthIn } from '../src/create-auth-in.js'
import { account, type AuthOptions } from '../src/index.js'
import { fakeServer } from '../src/testing.js'

// The client against the real binary, and the same against the server of the testing kit, which is worth something only as long as
// it answers alike. TOKENJAR_BIN names the binary.

const password = 'correct horse battery staple'

/** A browser without a page: cookies, and a fetch that sends them. */
interface Browser {
  readonly origin: string
  readonly fetch: typeof fetch
  readonly cookie: string
  /** The access token runs out. */
  expire(): void
}

interface Place {
  browser(): Browser | Promise<Browser>
  stop(): void
}

function fake(): Place {
  const origin = 'http://localhost'
  return {
    browser() {
      const server = fakeServer({ origin, users: [{ username: 'ada', password }], transparentRenewal: false })
      return {
        origin,
        fetch: server.fetch,
        get cookie() {
          return server.cookie
        },
        expire: () => server.advanceTo('access-expired'),
      }
    },
    stop() {},
  }
}

async function real(): Promise<Place> {
  const binary = process.env['TOKENJAR_BIN']!
  const folder = mkdtempSync(join(tmpdir(), 'tokenjar-contract-'))
  writeFileSync(join(folder, 'tokenjar.secret'), randomBytes(32).toString('base64') + '\n', { mode: 0o600 })
  writeFileSync(join(folder, 'tokenjar.yaml'), 'listen: 127.0.0.1:0\nsession: {transparent_renewal: false}\nlimits: {login_per_account: 100/m, login_per_address: 100/m}\n')
  const made = spawnSync(binary, ['users', 'create', 'ada', '--email', 'ada@example.com', '--password-stdin'], { cwd: folder, input: password + '\n', encoding: 'utf8' })
  if (made.status !== 0) throw new Error(made.stderr)
  const child: ChildProcess = spawn(binary, ['serve'], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const port = await new Promise<string>((resolve, reject) => {
    const read = (text: string) => {
      const found = /127\.0\.0\.1:(\d+)/.exec((output += text))
      if (found) resolve(found[1]!)
    }
    child.stdout!.setEncoding('utf8').on('data', read)
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (output += text))
    void once(child, 'exit').then(() => reject(new Error('serve ended:\n' + output)))
  })
  const origin = 'http://localhost:' + port
  return {
    browser() {
      const jar = new Map<string, string>()
      return {
        origin,
        async fetch(input, { mode: _, ...init } = {}) {
          const headers = new Headers(init.headers)
          headers.set('Cookie', [...jar].map((pair) => pair.join('=')).join('; '))
          headers.set('Origin', origin)
          const answer = await fetch(input, { ...init, headers })
          for (const line of answer.headers.getSetCookie()) {
            const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!
            if (value && !/max-age=0/i.test(line)) jar.set(name!, value)
            else jar.delete(name!)
          }
          return answer
        },
        get cookie() {
          return jar.has('csrftoken') ? 'csrftoken=' + jar.get('csrftoken') : ''
        },
        expire: () => void jar.delete('access_token'), // as the browser does at its end
      }
    },
    stop() {
      child.kill('SIGTERM')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function open(browser: Browser, options: AuthOptions = {}) {
  const { origin, fetch } = browser
  const document = {
    baseURI: origin,
    hidden: false,
    get cookie() {
      return browser.cookie
    },
  }
  return createAuthIn({ fetch, location: { origin, href: origin }, document }, { proactive: false, ...options })
}

const missing = process.env['TOKENJAR_BIN'] ? '' : ', skipped: TOKENJAR_BIN names no binary to talk to'

describe.each([
  ['the server of the testing kit', fake, false],
  ['the real server' + missing, real, missing !== ''],
] as const)('%s', (_, start, skip) => {
  describe.skipIf(skip)('answers the client', () => {
    let place: Place
    let browser: Browser
    beforeAll(async () => void (place = await start()))
    afterAll(() => place.stop())
    beforeEach(async () => void (browser = await place.browser()))

    test('who signs in is shown, may change something, and signs out', async () => {
      const auth = open(browser)
      expect((await auth.load()).status).toBe('anonymous')
      await expect(auth.login({ username: 'ada', password: 'wrong' })).rejects.toMatchObject({ code: 'invalid_credentials', problem: { action: 'fix_request' } })
      expect(await auth.login({ username: 'ada', password })).toMatchObject({ username: 'ada', email: 'ada@example.com' })
      expect(auth.getSnapshot().expiresAt).toBeGreaterThan(Date.now() + 60_000)
      expect(browser.cookie).toMatch(/^csrftoken=./)
      expect(await account(auth).updateUser({ first_name: 'Ada' })).toMatchObject({ first_name: 'Ada' })
      expect(auth.getSnapshot().user?.first_name).toBe('Ada')
      await auth.logout()
      expect(browser.cookie).toBe('')
      expect((await auth.load()).status).toBe('anonymous')
    })

    test('an access token that has run out is renewed, once for all requests', async () => {
      const auth = open(browser)
      await auth.login({ username: 'ada', password })
      browser.expire()
      const answers = await Promise.all(Array.from({ length: 10 }, () => auth.fetch('/auth/user')))
      expect(answers.map((a) => a.status)).toEqual(Array(10).fill(200))
      expect(await auth.refresh()).toEqual({ outcome: 'refreshed' })
    })

    test('two pages that renew at the same moment both stay signed in', async () => {
      const [one, two] = [open(browser), open(browser)]
      await one.login({ username: 'ada', password })
      await two.load()
      browser.expire()
      const answers = await Promise.all([one.fetch('/auth/user'), two.fetch('/auth/user')])
      expect(answers.map((a) => a.status)).toEqual([200, 200])
      expect([await one.load(), await two.load()].map((s) => s.status)).toEqual(['authenticated', 'authenticated'])
    })

    test('a page that cannot read the cookie gets the token from the server', async () => {
      const auth = open({ ...browser, fetch: browser.fetch, cookie: '' })
      await auth.login({ username: 'ada', password })
      expect(await account(auth).updateUser({ last_name: 'Lovelace' })).toMatchObject({ last_name: 'Lovelace' })
    })

    test('sessions are listed, named and ended', async () => {
      const auth = open(browser)
      await auth.login({ username: 'ada', password })
      const { sessions } = account(auth)
      await sessions.endOthers()
      const [mine, ...others] = await sessions.list()
      expect(others).toEqual([])
      expect(mine).toMatchObject({ current: true, name: '' })
      await sessions.name(mine!.id, 'the laptop')
      expect(await sessions.list()).toMatchObject([{ name: 'the laptop' }])
      await expect(sessions.end('nobody')).rejects.toMatchObject({ code: 'not_found' })
      await sessions.end(mine!.id)
      expect(auth.getSnapshot().status).toBe('expired')
      const answer = await auth.fetch('/auth/user')
      expect([answer.status, answer.headers.get('X-Tokenjar-Problem')]).toEqual([401, 'token_revoked'])
      expect((await auth.refresh()).outcome).toBe('session_ended')
    })

    test('a change of the password keeps the session', async () => {
      const auth = open(browser)
      await auth.login({ username: 'ada', password })
      const { changePassword } = account(auth)
      await expect(changePassword('wrong', 'another good long one')).rejects.toMatchObject({ code: 'invalid_credentials' })
      expect(auth.getSnapshot().status).toBe('authenticated')
      await changePassword(password, 'another good long one')
      await changePassword('another good long one', password)
      expect((await auth.fetch('/auth/user')).status).toBe(200)
    })

    test('a request waits for the user to sign in again', async () => {
      const auth = open(browser, { park: true })
      await auth.login({ username: 'ada', password })
      const [mine] = (await account(auth).sessions.list()).filter((s) => s.current)
      await account(auth).sessions.end(mine!.id)
      const parked = auth.fetch('/auth/user')
      await auth.login({ username: 'ada', password })
      expect((await parked).status).toBe(200)
    })
  })
})
