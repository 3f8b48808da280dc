// A server that renders pages, in front of the binary: what @tokenjar/client/ssr says of the browser's cookies, and what of the
// answers reaches the browser. A browser's part is played over HTTP.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, test as nodeTest } from 'node:test';

import { cleanUp, repository, required, startServe } from '../browser/harness.mjs';

const built = join(repository, 'client', 'dist', 'ssr.js');
const lacking = existsSync(built) ? '' : 'the client is not built: run make spa';
const skip = lacking && !required ? lacking : false;
const test = (name, body) => nodeTest(name, { timeout: 120_000, skip }, body);
const { createServerAuth } = lacking ? {} : await import(built);
after(cleanUp);

/** A server that renders pages for everybody who asks, each page with a short wait in it. */
async function startRenderer(t, site) {
  const server = createServer(async (request, response) => {
    const page = await createServerAuth({
      baseUrl: site.origin,
      cookie: request.headers.cookie,
      origin: request.headers.origin,
      headers: { 'User-Agent': request.headers['user-agent'] },
    });
    const { user } = page.auth.getSnapshot();
    const sessions = user && (await (await page.auth.fetch('/auth/sessions')).json()).sessions;
    let changed = null;
    if (request.method === 'POST') {
      changed = await page.auth.fetch('/auth/user', { method: 'PATCH', headers: { 'Content-Type': 'application/json' }, body: '{"last_name":"L"}' }).then((r) => r.status, String);
    }
    for (const [name, value] of page.headers()) response.appendHeader(name, value);
    response.end(JSON.stringify({ state: page.state, agents: sessions?.map((session) => session.user_agent), changed }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}/`;
}

/** A browser, as far as cookies go. */
function browser(agent) {
  const jar = new Map();
  const visit = async (url, init = {}) => {
    const headers = { 'User-Agent': agent, Cookie: [...jar].map((pair) => pair.join('=')).join('; '), ...init.headers };
    const response = await fetch(url, { ...init, headers });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (/max-age=0/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  const signIn = ({ origin, username, password }) =>
    visit(`${origin}/auth/login`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username, password }) });
  return { jar, visit, signIn };
}

test('a session whose access token has run out is renewed while a page is drawn, and the browser keeps it', async (t) => {
  process.env.TOKENJAR_TOKEN_ACCESS_LIFETIME = '5m';
  const site = await startServe(t, '');
  const pages = await startRenderer(t, site);
  const ada = browser('Firefox of Ada');
  assert.equal((await ada.signIn(site)).status, 200);

  const fresh = await ada.visit(pages);
  assert.deepEqual(fresh.headers.getSetCookie(), []);
  assert.equal(JSON.parse(fresh.text).state.user.username, 'ada');

  for (let i = 0; i < 3; i++) {
    const before = new Map(ada.jar);
    ada.jar.delete('access_token');
    const page = await ada.visit(pages);
    assert.deepEqual(page.headers.getSetCookie().map((line) => line.split('=')[0]).sort(), ['access_token', 'csrftoken', 'refresh_token']);
    assert.notEqual(ada.jar.get('refresh_token'), before.get('refresh_token'));
    assert.equal(page.headers.get('cache-control'), 'no-store');
    const { state, agents } = JSON.parse(page.text);
    assert.ok(state.access_expires_in > 200);
    assert.deepEqual(agents, ['Firefox of Ada']); // the list shows the browser, and nobody who shares the session
    for (const [name, value] of ada.jar) assert.ok(!page.text.includes(value), `${name} is in the page`);
  }
  assert.equal(JSON.parse((await ada.visit(`${site.origin}/auth/session`)).text).authenticated, true);
});

test('what changes something needs the origin of the site', async (t) => {
  process.env.TOKENJAR_TOKEN_ACCESS_LIFETIME = '5m';
  const site = await startServe(t, '');
  const pages = await startRenderer(t, site);
  const ada = browser('Firefox');
  await ada.signIn(site);
  const post = async (headers) => JSON.parse((await ada.visit(pages, { method: 'POST', headers })).text).changed;
  assert.equal(await post({ Origin: site.origin }), 200);
  assert.equal(await post({ Origin: 'https://evil.example' }), 403);
  assert.match(await post({}), /origin/);
});

test('pages that are drawn at the same time do not mix', async (t) => {
  process.env.TOKENJAR_TOKEN_ACCESS_LIFETIME = '5m';
  const site = await startServe(t, '');
  const pages = await startRenderer(t, site);
  const signedIn = browser('Firefox');
  await signedIn.signIn(site);
  signedIn.jar.delete('access_token');
  const stranger = browser('Chrome');
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? signedIn : stranger).visit(pages)));
  for (const [i, { text, headers }] of answers.entries()) {
    assert.equal(JSON.parse(text).state.authenticated, i % 2 === 1);
    if (i % 2 === 0) assert.deepEqual(headers.getSetCookie(), []);
  }
  assert.equal(stranger.jar.size, 0);
  assert.equal(JSON.parse((await signedIn.visit(`${site.origin}/auth/session`)).text).authenticated, true);
});
