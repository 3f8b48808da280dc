// A page that uses the client as an application does, and what the tests ask it.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { visit as visitApp } from './app.mjs';
import { missing as missingBrowser, record, repository, required } from './harness.mjs';

const built = join(repository, 'client', 'dist');

/** Why there is no client to test, as a sentence, or ''. */
export const missing =
  missingBrowser || (existsSync(join(built, 'index.js')) ? '' : 'the client is not built: run npm ci and npm run build in client');
export const skip = missing && !required ? missing : false;

export const refresh = '/auth/token/refresh';

/**
 * The application: it shows who is here, and nothing private to anybody else. Options of createAuth come from the address.
 * window.seen is every status there was.
 */
export function clientFiles() {
  const modules = readdirSync(built).filter((name) => name.endsWith('.js'));
  return {
    ...Object.fromEntries(modules.map((name) => [`assets/client/${name}`, readFileSync(join(built, name), 'utf8')])),
    'index.html': `<!doctype html><html lang="en"><title>orders</title><p id="status"></p><p id="private"></p>
<script type="module" src="/assets/app.js"></script></html>`,
    'assets/app.js': `import { createAuth } from './client/index.js'
const auth = window.auth = createAuth(JSON.parse(new URLSearchParams(location.search).get('options') ?? '{}'))
window.seen = []
const show = () => {
  const { status, user } = auth.getSnapshot()
  if (window.seen.at(-1) !== status) window.seen.push(status)
  document.getElementById('status').textContent = status
  document.getElementById('private').textContent = status === 'authenticated' ? 'for ' + user.username + ' alone' : ''
}
auth.subscribe(show)
show()
// What a request came to, as something that can be handed out of the page.
window.ask = (url = '/api/orders', init) => auth.fetch(url, init).then(
  async (answer) => ({ status: answer.status, body: await answer.json().catch(() => null) }),
  (error) => ({ error: error.code ?? error.name }))
window.ready = true`,
  };
}

/**
 * Starts everything and opens tabs that carry the client, one of which signs in. Nothing is renewed on the way unless session
 * says so: whatever renewal there is, a page has asked for, and the front counts it.
 */
export async function visit(t, { tabs = 1, client = {}, signIn = true, ...options } = {}) {
  const app = await visitApp(t, { files: clientFiles(), ...options });
  const open = (more = {}) => app.open(pathOf({ ...client, ...more }));
  const pages = await Promise.all(Array.from({ length: tabs }, () => open()));
  if (signIn) {
    await login(pages[0], app.server);
    for (const page of pages) await reaches(page, 'authenticated');
  }
  return { ...app, open, pages, page: pages[0] };
}

export const pathOf = (options) => `/?options=${encodeURIComponent(JSON.stringify(options))}`;

export const login = (page, { username, password }) => page.evaluate((credentials) => window.auth.login(credentials).then(() => {}), { username, password });

/** What a request through the client came to: { status, body }, or { error } with its code. */
export const ask = (page, ...args) => page.evaluate((list) => window.ask(...list), args);

/** The same, once it is 200: what has to be waited for is waited for in the page. */
export const succeeds = (page, ...args) =>
  page.waitForFunction(async (list) => (await window.ask(...list)).status === 200, args, { polling: 200 });

export const status = (page) => page.textContent('#status');

/** Waits until the page shows a status and, for somebody who is signed in, the name. */
export const reaches = (page, status, username = '') =>
  page.waitForFunction(
    ([want, name]) => document.getElementById('status').textContent === want && document.getElementById('private').textContent.includes(name),
    [status, username],
  );

/** The page has never been anything but these, in this order. */
export const assertSeen = async (page, ...statuses) => assert.deepEqual(await page.evaluate(() => window.seen), statuses);

/** Ends the session from outside: no tab is told. */
export async function endBehind(front, context) {
  const cookies = Object.fromEntries((await context.cookies()).map(({ name, value }) => [name, value]));
  const answer = await fetch(`${front.origin}/auth/logout`, {
    method: 'POST',
    headers: { Cookie: Object.entries(cookies).map((pair) => pair.join('=')).join('; '), 'X-CSRFToken': cookies.csrftoken },
  });
  assert.equal(answer.status, 200);
}

/** How often each refresh token was shown to the server, by the refresh calls that it got. */
export function spendings(front) {
  const times = new Map();
  for (const { headers } of front.seen(refresh)) {
    const token = /(?:^|; )refresh_token=([^;]+)/.exec(headers.cookie ?? '')?.[1];
    times.set(token, (times.get(token) ?? 0) + 1);
  }
  return [...times.values()];
}

/** Nothing that script could see in this run holds a token, and script sends none. */
export function assertNoTokenSeen() {
  const kinds = new Set(record.saw.map(({ what }) => what));
  for (const what of ['body', 'headers', 'document.cookie', 'url', 'request', 'document', 'storage', 'broadcast', 'globals']) {
    assert.ok(kinds.has(what), `the record has ${what}`);
  }
  assert.deepEqual([...new Set(record.secrets.values())].sort(), ['access_token', 'refresh_token']);
  for (const { what, text } of record.saw) {
    assert.doesNotMatch(text, /eyJ[\w-]{8,}\.[\w-]{8,}\./, `a JWT in ${what}`);
    if (what === 'document.cookie') assert.match(text, /^(csrftoken=[\w.-]+)?$/);
    if (what === 'request') assert.doesNotMatch(text, /"authorization"/i, 'script sent an Authorization header');
    for (const [value, name] of record.secrets) {
      assert.ok(!text.includes(value.split('.').at(-1)), `the ${name} in ${what}: ${text.slice(0, 200)}`);
    }
  }
}

/** Puts all that hangs on the page's window within reach of the record: what the client keeps, as deep as it is open. */
export async function noteGlobals(pages) {
  for (const page of pages) {
    const text = await page.evaluate(() => {
      const met = new Set();
      const words = [];
      const walk = (value, depth) => {
        if (typeof value === 'string') words.push(value);
        if (value === null || !['object', 'function'].includes(typeof value) || met.has(value) || depth > 6 || value instanceof Node) return;
        met.add(value);
        for (const key of Reflect.ownKeys(value)) {
          try {
            words.push(String(key));
            walk(value[key], depth + 1);
          } catch {} // a getter of something that is not there
        }
      };
      for (const key of Object.keys(window)) if (!['window', 'self', 'frames', 'parent', 'top'].includes(key)) walk(window[key], 0);
      return words.join('\n');
    });
    record.saw.push({ what: 'globals', text });
  }
}
