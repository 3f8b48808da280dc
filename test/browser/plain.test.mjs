// A page without our client: axios and fetch as the documents say, and as people write them who come from elsewhere.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test as nodeTest } from 'node:test';

import { expire, jar, visit } from './app.mjs';
import { missingTLS } from './front.mjs';
import { cleanUp, missing, repository, required } from './harness.mjs';

const test = (name, options, body) => nodeTest(name, { timeout: 90_000, ...options }, body);
const example = (name) => readFileSync(join(repository, 'examples', 'client', name), 'utf8');

const page = `<!doctype html><html lang="en"><title>plain</title>
<script type="importmap">{"imports": {"axios": "/assets/axios.js"}}</script><script type="module" src="/assets/app.js"></script></html>`;

// As it stands in many pages: names are given, and the rest is axios.
const pasted = `import axios from 'axios'
export const api = axios.create({ withCredentials: true, xsrfCookieName: 'NAME', xsrfHeaderName: 'X-CSRFToken' })`;

// A composable as it goes from one Vue project to the next: it reads the cookie, refreshes once for all who wait, and tries again.
const composable = `let refreshing = null
export function useApi(base = '') {
  const cookie = (name) => document.cookie.split('; ').find((pair) => pair.startsWith(name + '='))?.slice(name.length + 1)
  const request = (path, options = {}) => fetch(base + path, { ...options, credentials: 'include',
    headers: { 'Content-Type': 'application/json', 'X-CSRFToken': cookie('csrftoken') ?? '', ...options.headers } })
  async function call(path, options) {
    let response = await request(path, options)
    if (response.status === 401 && path !== '/auth/login') {
      refreshing ??= request('/auth/token/refresh', { method: 'POST' }).finally(() => { refreshing = null })
      if ((await refreshing).ok) response = await request(path, options)
    }
    return response
  }
  return { get: (path) => call(path), post: (path, body) => call(path, { method: 'POST', body: JSON.stringify(body) }) }
}`;

/** The application with one module that calls the API, and window.ask, which answers with the status and the body. */
const files = (api, ask) => ({
  'index.html': page,
  'assets/axios.js': readFileSync(new URL('node_modules/axios/dist/esm/axios.min.js', import.meta.url), 'utf8'),
  'assets/api.js': api,
  'assets/app.js': `import * as module from './api.js'\n${ask}\nwindow.ready = true`,
});
const withAxios = (api) =>
  files(api, `window.ask = (method, url, data) => module.api({ method, url, data, validateStatus: null }).then((r) => ({ status: r.status, body: r.data }))`);
const withFetch = (api, choose) =>
  files(api, `const real = fetch\nwindow.refused = 0
window.fetch = async (...args) => { const r = await real(...args); if (r.status === 401) window.refused += 1; return r }
${choose}\nwindow.ask = async (...args) => { const r = await call(...args); return { status: r.status, body: await r.json().catch(() => null) } }`);

const ask = (tab, ...args) => tab.evaluate((list) => window.ask(...list), args);
const signIn = async (tab, { username, password }) => {
  const answer = await ask(tab, 'post', '/auth/login', { username, password });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
};

if (missing && required) nodeTest('browser tests can run', () => assert.fail(missing));
if (missingTLS && required) nodeTest('https can be tested', () => assert.fail(missingTLS));
const skip = missing && !required ? missing : false;
after(cleanUp);

describe('a page without our client', { skip, concurrency: 2 }, () => {
  if (missing) return;

  for (const tls of [false, true]) {
    const cookie = tls ? '__Host-csrftoken' : 'csrftoken';
    const scheme = tls ? 'https' : 'http';
    for (const [name, api] of [
      ['as the how-to says', example('axios.js')],
      ['with withCredentials and the two names', pasted.replace('NAME', cookie)],
    ]) {
      test(`axios ${name} signs in, writes, is renewed and signs out on ${scheme}`, { skip: tls && !required && (missingTLS || false) }, async (t) => {
        const { front, server, service, context, open } = await visit(t, { tls, session: 'transparent_renewal: true', files: withAxios(api) });
        const tab = await open();
        assert.equal((await ask(tab, 'get', '/api/orders')).status, 401);
        await signIn(tab, server);
        assert.equal((await ask(tab, 'post', '/api/orders', { item: 7 })).status, 200);
        assert.equal(front.requests.at(-1).headers['x-csrftoken'], (await jar(context))[cookie]);

        const before = await jar(context);
        await expire(context);
        assert.equal((await ask(tab, 'post', '/api/orders', { item: 8 })).status, 200);
        const after = await jar(context);
        for (const one of tls ? ['__Host-access_token', '__Host-refresh_token'] : ['access_token', 'refresh_token']) {
          assert.ok(after[one] && after[one] !== before[one], `${one} is new`);
        }
        assert.equal(front.seen('/auth/token/refresh').length, 0); // renewed on the way
        assert.equal(service.requests.filter((request) => request.method === 'POST').length, 2);

        assert.equal((await ask(tab, 'post', '/auth/logout')).status, 200);
        assert.deepEqual(await jar(context), {});
        assert.equal((await ask(tab, 'get', '/api/orders')).status, 401);
      });
    }
  }

  test('axios without the names is refused, and told why', {}, async (t) => {
    const { front, server, service, open } = await visit(t, { files: withAxios(`import axios from 'axios'\nexport const api = axios.create({ withCredentials: true })`) });
    const tab = await open();
    await signIn(tab, server);
    const { status, body } = await ask(tab, 'post', '/api/orders', {});
    assert.deepEqual([status, body.code, body.action], [403, 'csrf_failed', 'fix_request']);
    assert.equal(front.requests.at(-1).headers['x-csrftoken'], undefined);
    assert.equal(service.requests.length, 0);
  });

  for (const [name, api, choose] of [
    ['fetch as the how-to says', example('fetch.js'), `const call = (method, path, body) => module.api(path, { method: method.toUpperCase(), ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }) })`],
    ['a composable around fetch', composable, `const { get, post } = module.useApi()\nconst call = (method, path, body) => method === 'get' ? get(path) : post(path, body ?? {})`],
  ]) {
    test(`${name} refreshes once for all who wait, where nothing is renewed on the way`, {}, async (t) => {
      const { front, server, service, context, open } = await visit(t, { files: withFetch(api, choose) });
      const tab = await open();
      await signIn(tab, server);
      assert.equal((await ask(tab, 'post', '/api/orders', { item: 7 })).status, 200);
      await expire(context);
      // All twenty are refused before the refresh is answered.
      const held = front.hold('/auth/token/refresh');
      const twenty = tab.evaluate(() => Promise.all(Array.from({ length: 20 }, (_, i) => window.ask(i % 2 ? 'post' : 'get', `/api/orders/${i}`, i % 2 ? { i } : undefined))));
      await tab.waitForFunction(() => window.refused === 20);
      held.release();
      assert.deepEqual((await twenty).map(({ status }) => status), Array(20).fill(200));
      assert.equal(front.seen('/auth/token/refresh').length, 1);
      assert.equal(service.requests.filter((request) => request.method === 'POST').length, 11);

      assert.equal((await ask(tab, 'get', '/api/closed')).status, 401); // the service's own
      assert.equal((await ask(tab, 'post', '/auth/logout')).status, 200);
      assert.deepEqual(await jar(context), {});
    });
  }
});
