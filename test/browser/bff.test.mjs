// The Backend for Frontend in a real browser: the page comes from the binary, its API is a service behind it, and the page
// never holds a token.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test as nodeTest } from 'node:test';

import { cleanUp, missing, openContext, record, required, settle, startNeighbour, startServe } from './harness.mjs';
import { startService } from './service.mjs';

const test = (name, body) => nodeTest(name, { timeout: 90_000 }, body);

const index = `<!doctype html><html lang="en"><title>orders</title><link rel="stylesheet" href="/assets/app-B7xQ2k9d.css">
<h1>orders</h1><p id="where"></p><script>window.inline = true</script><script type="module" src="/assets/app-Ck3P0aZx.js"></script></html>`;

const script = `document.getElementById('where').textContent = location.pathname;
window.signIn = async (username, password) => (await fetch('/auth/login', { method: 'POST', headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ username, password }) })).status;
window.call = async (path, options) => { const r = await fetch(path, options); return { status: r.status, problem: r.headers.get('X-Tokenjar-Problem'),
  type: r.headers.get('Content-Type'), redirected: r.redirected, body: r.ok ? await r.json() : null }; };
window.csrf = () => /csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? '';
window.live = (path) => new Promise((resolve, reject) => { const s = new WebSocket(location.origin.replace('http', 'ws') + path); window.socket = s;
  window.over = new Promise((over) => { s.onclose = (e) => { over({ code: e.code, reason: e.reason }); reject(new Error('closed ' + e.code)); }; });
  s.onopen = () => { s.send('hi'); }; s.onmessage = (e) => resolve(e.data); });
window.events = (path) => new Promise((resolve) => { const s = new EventSource(path); window.source = s;
  window.ended = new Promise((over) => { s.onerror = () => { if (s.readyState === EventSource.CLOSED) over('closed'); }; });
  s.onmessage = (e) => resolve(e.data); });
window.ready = true;`;

/** Starts service and server, and opens the page. */
async function visit(t, { path = '/' } = {}) {
  const service = await startService(t);
  const pages = mkdtempSync(join(tmpdir(), 'tokenjar-spa-'));
  t.after(() => rmSync(pages, { recursive: true, force: true }));
  mkdirSync(join(pages, 'assets'));
  writeFileSync(join(pages, 'index.html'), index);
  writeFileSync(join(pages, 'assets', 'app-Ck3P0aZx.js'), script);
  writeFileSync(join(pages, 'assets', 'app-B7xQ2k9d.css'), 'h1 { color: rgb(1, 2, 3) }');
  const server = await startServe(
    t,
    `spa: {dir: ${JSON.stringify(pages)}}
routes:
  - {path: /api/, upstream: ${JSON.stringify(service.url)}, audience: orders}
  - {path: /live/, upstream: ${JSON.stringify(service.url)}, audience: live, websocket: true}
`,
  );
  const context = await openContext(t);
  const page = await open(context, server, path);
  return { service, server, context, page };
}

async function open(context, server, path) {
  const page = await context.newPage();
  await page.goto(server.origin + path);
  await page.waitForFunction(() => window.ready);
  return page;
}

const signIn = (page, { username, password }) => page.evaluate((args) => window.signIn(...args), [username, password]);
const call = (page, path, options) => page.evaluate((args) => window.call(...args), [path, options]);

if (missing && required) {
  test('browser tests can run', () => assert.fail(missing));
}

const skip = missing && !required ? missing : false;
after(cleanUp);

describe('tokenjar in front of a page and its API', { skip, concurrency: 2 }, () => {
  if (missing) return;

  test('a deep link opens the page, under a policy that its inline script passes', async (t) => {
    const { server, page } = await visit(t, { path: '/orders/7' });
    assert.equal(await page.textContent('#where'), '/orders/7');
    assert.equal(await page.evaluate(() => window.inline), true);
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('h1')).color), 'rgb(1, 2, 3)');
    const injected = await page.evaluate(
      () =>
        new Promise((resolve) => {
          addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective), { once: true });
          const script = document.createElement('script');
          script.textContent = 'window.injected = true';
          document.body.append(script);
        }),
    );
    assert.match(injected, /^script-src/);
    assert.equal(await page.evaluate(() => window.injected), undefined);
    const [document, asset] = await page.evaluate(async () =>
      Promise.all(
        ['/orders/8', '/assets/app-Ck3P0aZx.js'].map(async (url) => (await fetch(url, { headers: { Accept: 'text/html, */*' } })).headers.get('Cache-Control')),
      ),
    );
    assert.match(document, /no-cache/);
    assert.match(asset, /immutable/);
    assert.equal((await page.evaluate(async (url) => (await fetch(url)).status, `${server.origin}/assets/missing.js`)), 404);
  });

  test('a fetch of a protected path is never redirected, a navigation is sent to sign in', async (t) => {
    const { server, page } = await visit(t);
    const refused = await call(page, '/api/list');
    assert.deepEqual([refused.status, refused.problem, refused.redirected], [401, 'not_authenticated', false]);
    await page.goto(`${server.origin}/api/list?page=2`);
    const at = new URL(page.url());
    assert.equal(at.origin, server.origin);
    assert.equal(at.pathname, '/');
    assert.equal(at.searchParams.get('next'), '/api/list?page=2');
  });

  test('the access token runs out during use, and nobody notices', async (t) => {
    const { service, server, page } = await visit(t);
    assert.equal(await signIn(page, server), 200);
    const seen = new Set();
    const until = Date.now() + 9_000; // two lives of an access token
    while (Date.now() < until) {
      const answer = await call(page, '/api/list');
      assert.equal(answer.status, 200);
      seen.add(answer.body.jti);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    assert.ok(seen.size >= 3, `the service got ${seen.size} tokens`);
    for (const request of service.requests) {
      assert.equal(request.claims.aud, 'orders');
      assert.ok(!/access_token|refresh_token|csrftoken/.test(request.headers.cookie ?? ''), 'a cookie of ours reached the service');
    }
    const post = { method: 'POST' };
    assert.equal((await call(page, '/api/list', post)).problem, 'csrf_failed');
    const csrf = await page.evaluate(() => window.csrf());
    assert.equal((await call(page, '/api/list', { ...post, headers: { 'X-CSRFToken': csrf } })).status, 200);
    assert.equal(service.requests.at(-1).headers['x-csrftoken'], undefined);
  });

  test('a WebSocket and an event stream close when another tab signs out', async (t) => {
    const { service, server, context, page } = await visit(t);
    assert.equal(await signIn(page, server), 200);
    assert.equal(await page.evaluate(() => window.live('/live/feed')), 'hi');
    assert.equal(await page.evaluate(() => window.events('/api/events')), 'hello');
    assert.equal(service.requests.find((request) => request.method === 'upgrade').claims.aud, 'live');
    const other = await open(context, server, '/settings');
    const out = await other.evaluate(async () => (await fetch('/auth/logout', { method: 'POST', headers: { 'X-CSRFToken': window.csrf() } })).status);
    assert.equal(out, 200);
    const { code, reason } = await page.evaluate(() => window.over);
    assert.equal(code, 4401);
    assert.equal(reason, 'session_ended');
    assert.equal(await page.evaluate(() => window.ended), 'closed'); // it asked again, and was told 401
    assert.equal((await call(page, '/api/list')).status, 401);
    await settle(context);
  });

  test('a page of another origin opens no WebSocket', async (t) => {
    const { service, server, context, page } = await visit(t);
    assert.equal(await signIn(page, server), 200);
    const neighbour = await startNeighbour(t, server.origin);
    for (const origin of [neighbour.crossSite, neighbour.sameSite]) { // to the second one the browser does send our cookies
      const elsewhere = await context.newPage();
      await elsewhere.goto(origin);
      const outcome = await elsewhere.evaluate(
        (url) =>
          new Promise((resolve) => {
            const socket = new WebSocket(url);
            socket.onopen = () => resolve('open');
            socket.onclose = (event) => resolve(event.code);
          }),
        `${server.origin.replace('http', 'ws')}/live/feed`,
      );
      assert.equal(outcome, 1006, origin);
    }
    assert.equal(service.sockets.size, 0);
  });

  test('script has seen no token', async () => {
    for (const { what, text } of record.saw) {
      for (const [secret, name] of record.secrets) {
        if (secret.length > 20) assert.ok(!text.includes(secret), `${name} was within reach of script: ${what}`);
      }
      if (what === 'body' || what === 'document.cookie' || what === 'storage') assert.ok(!/eyJ[\w-]+\.eyJ/.test(text), `a token in ${what}`);
    }
    assert.ok(record.saw.length > 0 && record.secrets.size > 0);
  });
});
