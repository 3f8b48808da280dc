// The client in a real browser, against the real binary: one tab, and what can go wrong between the two.

import assert from 'node:assert/strict';
import { after, describe, test as nodeTest } from 'node:test';

import { expire, jar } from './app.mjs';
import { ask, assertNoTokenSeen, assertSeen, endBehind, login, missing, noteGlobals, reaches, refresh, skip, status, succeeds, visit } from './client.mjs';
import { cleanUp, openContext, required } from './harness.mjs';
import { neighbour } from './neighbour.mjs';

const test = (name, body) => nodeTest(name, { timeout: 90_000 }, body);
const quietly = ['unknown', 'anonymous', 'authenticated']; // all that a page ever is that signs in and stays

if (missing && required) nodeTest('the client can be tested', () => assert.fail(missing));
after(cleanUp);

describe('the client in a tab', { skip, concurrency: 2 }, () => {
  if (missing) return;

  test('fifty parallel requests that meet an expired token share one refresh', async (t) => {
    const { front, service, context, page } = await visit(t, { client: { grace: 0 } });
    await expire(context);
    const statuses = await page.evaluate(async () => {
      const fifty = Array.from({ length: 50 }, (_, i) => window.ask(`/api/orders/${i}`, { method: i % 2 ? 'POST' : 'GET' }));
      return (await Promise.all(fifty)).map((answer) => answer.status ?? answer.error);
    });
    assert.deepEqual(statuses, Array(50).fill(200));
    assert.equal(front.seen(refresh).length, 1);
    for (let i = 0; i < 50; i += 1) assert.ok(front.seen(`/api/orders/${i}`).length <= 2, `request ${i} was sent once more at most`);
    assert.equal(service.requests.length, 50); // what was refused never reached it
    await assertSeen(page, ...quietly);
    assert.match(await page.evaluate(() => document.cookie), /^csrftoken=[^;]+$/);
    await noteGlobals([page]);
  });

  test('a token that the server refuses is renewed, however young it is', async (t) => {
    const { front, context, page } = await visit(t); // within the grace of the sign-in
    await expire(context);
    assert.equal((await ask(page)).status, 200);
    assert.equal(front.seen(refresh).length, 1);
  });

  test('a refusal of the service behind is handed on as it is', async (t) => {
    const { front, page } = await visit(t, { client: { grace: 0 } });
    assert.equal((await ask(page, '/api/closed')).status, 401);
    assert.equal(front.seen('/api/closed').length, 1);
    assert.equal(front.seen(refresh).length, 0);
    assert.equal(await status(page), 'authenticated');
  });

  for (const fault of ['lose', 'cut']) {
    const name = fault === 'lose' ? 'lost' : 'cut in the middle';
    test(`an answer of the refresh that is ${name} signs nobody out, and the request does not notice`, async (t) => {
      const { front, context, page } = await visit(t, { client: { grace: 0 } });
      await expire(context);
      const { refresh_token: before } = await jar(context);
      front[fault](refresh);
      assert.equal((await ask(page)).status, 200);
      assert.equal(front.seen(refresh).length, 2);
      assert.notEqual((await jar(context)).refresh_token, before);
      await assertSeen(page, ...quietly);
    });
  }

  for (const [fault, code] of [
    ['lose', 'network'],
    ['refuse', 'store_unavailable'],
  ]) {
    const name = fault === 'lose' ? 'no refresh is answered' : 'the server answers 503';
    test(`while ${name} requests fail with a code, the user stays, and afterwards the page goes on`, async (t) => {
      const { front, context, page } = await visit(t, { client: { grace: 0 } });
      await expire(context);
      front[fault](refresh, Infinity);
      front[fault]('/auth/session', Infinity);
      assert.deepEqual(await ask(page), { error: code });
      const calls = front.seen(refresh).length;
      assert.deepEqual(await ask(page), { error: code }); // told from memory: the server is left alone for a while
      assert.equal(front.seen(refresh).length, calls);
      assert.equal(await page.evaluate(() => window.auth.load().catch((error) => error.code)), code);
      assert.equal(await status(page), 'authenticated');
      front.mend();
      await succeeds(page);
      await assertSeen(page, ...quietly);
    });
  }

  test('offline signs nobody out, and the page goes on when it is back', async (t) => {
    const { front, context, page } = await visit(t, { client: { grace: 0 } });
    await expire(context);
    await context.setOffline(true);
    assert.deepEqual(await ask(page), { error: 'TypeError' });
    assert.equal((await page.evaluate(() => window.auth.refresh())).outcome, 'try_later');
    assert.equal(front.seen(refresh).length, 0);
    await context.setOffline(false);
    await page.waitForFunction(() => navigator.onLine);
    await succeeds(page);
    await assertSeen(page, ...quietly);
  });

  test('a session that is over ends once, says why, and nothing loops', async (t) => {
    const { front, context, page } = await visit(t, { client: { grace: 0 } });
    await endBehind(front, context);
    assert.equal((await ask(page)).status, 401);
    await reaches(page, 'expired');
    assert.equal(await page.evaluate(() => window.auth.getSnapshot().reason), 'token_revoked');
    assert.ok(front.seen('/api/orders').length <= 2, 'the request');
    assert.ok(front.seen(refresh).length <= 1, 'the refresh');
    assert.equal((await ask(page)).status, 401);
    await assertSeen(page, ...quietly, 'expired');
  });

  // ---- clocks -------------------------------------------------------------------------------------------------------

  for (const hours of [-7, 7]) {
    const name = `${Math.abs(hours)} hours ${hours < 0 ? 'slow' : 'fast'}`;
    test(`a machine whose clock is ${name} is as good as any`, async (t) => {
      const { front, context, page } = await visitWithClock(t, hours);
      for (let i = 0; i < 10; i += 1) assert.equal((await ask(page)).status, 200);
      assert.equal(front.seen(refresh).length, 0);
      await expire(context);
      assert.equal((await ask(page)).status, 200);
      assert.equal(front.seen(refresh).length, 1);
      const left = await page.evaluate(() => window.auth.getSnapshot().expiresAt - Date.now());
      assert.ok(left > 23.5 * 3600_000 && left <= 24 * 3600_000 + 60_000, `the session is idle in ${left} ms`);
      await assertSeen(page, ...quietly);
    });

    test(`a clock that is put ${Math.abs(hours)} hours ${hours < 0 ? 'back' : 'forward'} in use costs one refresh at most`, async (t) => {
      const { front, context, page } = await visitWithClock(t, 0);
      await page.evaluate((by) => window.jump(by), hours * 3600_000);
      await expire(context); // as the browser does, by the same clock; and after a jump back the server has to be believed
      for (let i = 0; i < 10; i += 1) assert.equal((await ask(page)).status, 200, `request ${i}`);
      assert.equal((await page.evaluate(() => window.auth.ensure())).outcome, 'refreshed');
      assert.equal(front.seen(refresh).length, 1);
      await assertSeen(page, ...quietly);
    });
  }

  // ---- other origins ------------------------------------------------------------------------------------------------

  test('a page of another origin signs in, writes and renews, and no third origin gets anything of it', async (t) => {
    const home = await neighbour(t);
    const third = await neighbour(t);
    const { front, server, service, context } = await visit(t, {
      signIn: false,
      tabs: 0,
      settings: `cors: {allowed_origins: ["${home.origin}"]}\ncsrf: {trusted_origins: ["${home.origin}"]}`,
    });
    const page = await context.newPage();
    await page.goto(home.page({ baseUrl: front.origin, grace: 0 }));
    await page.waitForFunction(() => window.ready);
    await login(page, server);
    await reaches(page, 'authenticated', server.username);
    assert.equal((await ask(page, '/api/orders', { method: 'POST' })).status, 200);
    await expire(context);
    assert.equal((await ask(page, '/api/orders', { method: 'POST' })).status, 200);
    assert.equal(front.seen(refresh).length, 1);
    assert.deepEqual(service.requests.map((request) => request.method), ['POST', 'POST']);

    const { csrftoken } = await jar(context);
    assert.ok(csrftoken.length > 20);
    await ask(page, `${third.origin}/collect`, { method: 'POST', body: 'x' });
    await ask(page, `${third.origin}/collect`);
    await ask(page, `${front.origin.replace('localhost', '127.0.0.1')}/api/orders`, { method: 'POST' }); // the same port, another origin
    const got = third.requests.filter((request) => request.url === '/collect' && request.method !== 'OPTIONS');
    assert.equal(got.length, 2);
    for (const { headers } of third.requests) {
      assert.equal(headers['x-csrftoken'], undefined);
      assert.equal(headers.cookie, undefined);
      assert.ok(!JSON.stringify(headers).includes(csrftoken));
    }
    assert.equal(front.requests.at(-1).headers['x-csrftoken'], undefined);
    assert.ok(!(front.requests.at(-1).headers['access-control-request-headers'] ?? '').includes('csrf'));
    assert.equal((await page.evaluate(() => window.auth.logout())), undefined);
    assert.deepEqual(await jar(context), {});
  });

  for (const elsewhere of [false, true]) {
    test(`the CSRF token does not follow a redirect to a third origin, from a page of ${elsewhere ? 'another' : 'our own'} origin`, async (t) => {
      const home = await neighbour(t);
      const third = await neighbour(t);
      const { front, server, service, context, open } = await visit(t, {
        signIn: false,
        tabs: 0,
        settings: `cors: {allowed_origins: ["${home.origin}"]}\ncsrf: {trusted_origins: ["${home.origin}"]}`,
      });
      service.redirect = `${third.origin}/collect`;
      const page = elsewhere ? await context.newPage() : await open({});
      if (elsewhere) {
        await page.goto(home.page({ baseUrl: front.origin }));
        await page.waitForFunction(() => window.ready);
      }
      await login(page, server);
      await ask(page, '/api/away', { method: 'POST', body: '{}' });
      assert.ok(service.requests.some((request) => request.url === '/api/away'));
      for (const { method, headers } of third.requests) assert.equal(headers['x-csrftoken'], undefined, `the token of a ${method}`);
    });
  }

  test('script reads no token: no cookie, storage, global, body, header, message or address of the whole run holds one', () => {
    assertNoTokenSeen();
  });
});

/** A visitor whose clock is wrong by hours from the beginning, and can be put on with window.jump. */
async function visitWithClock(t, hours) {
  const app = await visit(t, { tabs: 0, signIn: false, client: { grace: 0 } });
  await app.context.addInitScript((start) => {
    const Real = Date;
    let by = start;
    window.jump = (ms) => (by += ms);
    window.Date = class extends Real {
      constructor(...args) {
        if (args.length > 0) super(...args);
        else super(Real.now() + by);
      }
      static now() {
        return Real.now() + by;
      }
    };
  }, hours * 3600_000);
  const page = await app.open();
  await login(page, app.server);
  await reaches(page, 'authenticated');
  return { ...app, page };
}
