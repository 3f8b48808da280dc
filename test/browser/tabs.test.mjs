// The client in several tabs: they expire together, one dies or stands still in the middle of a renewal, one signs out, one
// comes back from the back/forward cache.

import assert from 'node:assert/strict';
import { after, describe, test as nodeTest } from 'node:test';

import { expire, jar } from './app.mjs';
import { ask, assertNoTokenSeen, assertSeen, endBehind, login, missing, noteGlobals, reaches, refresh, skip, spendings, visit } from './client.mjs';
import { cleanUp, required, startNeighbour } from './harness.mjs';

const test = (name, body) => nodeTest(name, { timeout: 90_000 }, body);
const alive = { ownProcesses: true, backForwardCache: true }; // one browser for both
const stayed = ['unknown', 'anonymous', 'authenticated'];

if (missing && required) nodeTest('the client can be tested', () => assert.fail(missing));
after(cleanUp);

describe('the client in several tabs', { skip, concurrency: 2 }, () => {
  if (missing) return;

  // ---- expiry -------------------------------------------------------------------------------------------------------

  test('five tabs that meet an expired token together cost two refreshes at most, and all stay in', async (t) => {
    const { front, context, pages } = await visit(t, { tabs: 5 });
    await expire(context);
    const answers = await Promise.all(pages.map((page, i) => ask(page, `/api/orders/${i}`)));
    assert.deepEqual(answers.map((answer) => answer.status), Array(5).fill(200));
    const calls = front.seen(refresh).length;
    assert.ok(calls <= 2, `${calls} refreshes`);
    for (const page of pages) await assertSeen(page, ...stayed);
    await noteGlobals(pages);
    t.diagnostic(`5 tabs, one request each: ${calls} refresh calls`);
  });

  test('five tabs that renew before the end, at the same time, spend no token more than twice', async (t) => {
    const { front, pages } = await visit(t, { tabs: 5, accessLifetime: '4s', client: { grace: 0 } });
    await front.until(refresh, 3);
    for (const page of pages) assert.equal((await ask(page)).status, 200);
    const spent = spendings(front);
    assert.ok(spent.every((times) => times <= 2), `each token was spent ${spent} times`);
    for (const page of pages) await assertSeen(page, ...stayed);
    t.diagnostic(`5 tabs by themselves: ${spent} refresh calls per token`);
    // Nobody did anything until then: such renewals do not keep a session from going idle.
    assert.deepEqual(front.seen(refresh).slice(0, 3).map(({ headers }) => headers['x-passive']), ['1', '1', '1']);
  });

  test('where the server renews on the way no tab refreshes, and all stay in', async (t) => {
    const { front, context, pages } = await visit(t, { tabs: 5, session: 'transparent_renewal: true' });
    await expire(context);
    const answers = await Promise.all(pages.map((page, i) => ask(page, `/api/orders/${i}`, { method: 'POST' })));
    assert.deepEqual(answers.map((answer) => answer.status), Array(5).fill(200));
    assert.equal(front.seen(refresh).length, 0);
    for (const page of pages) await assertSeen(page, ...stayed);
  });

  for (const without of ['locks', 'BroadcastChannel']) {
    test(`without ${without} all tabs stay in`, async (t) => {
      const { context, server, open, front } = await visit(t, { tabs: 0, signIn: false });
      await context.addInitScript((name) => Object.defineProperty(name === 'locks' ? Navigator.prototype : window, name, { value: undefined }), without);
      const first = await open();
      assert.equal(await first.evaluate((name) => typeof (name === 'locks' ? navigator.locks : window[name]), without), 'undefined');
      await login(first, server);
      const pages = [first, await open(), await open()];
      for (const page of pages) await reaches(page, 'authenticated', 'ada');
      await expire(context);
      const answers = await Promise.all(pages.map((page) => ask(page)));
      assert.deepEqual(answers.map((answer) => answer.status), [200, 200, 200]);
      assert.ok(front.seen(refresh).length <= 3);
    });
  }

  // ---- one of them dies or stands still while it renews -----------------------------------------------------------------

  /** Three tabs: the first holds the lock, since its refresh is not answered yet; the others wait for the lock. */
  async function waiting(t) {
    const visitor = await visit(t, { tabs: 3, context: alive });
    const { front, context, pages } = visitor;
    await expire(context);
    const held = front.hold(refresh);
    await pages[0].evaluate(() => void window.ask());
    await held.arrived;
    const answers = Promise.all(pages.slice(1).map((page) => ask(page)));
    await pages[1].waitForFunction(async () => (await navigator.locks.query()).pending.length === 2);
    const since = performance.now();
    const served = async () => {
      assert.deepEqual((await answers).map((answer) => answer.status), [200, 200]);
      t.diagnostic(`the others waited ${Math.round(performance.now() - since)} ms`);
      for (const page of pages.slice(1)) await assertSeen(page, ...stayed);
    };
    return { ...visitor, held, served, cdp: await context.newCDPSession(pages[0]) };
  }
  const holders = (page) => page.evaluate(async () => (await navigator.locks.query()).held.length);

  test('a tab that is closed while it renews lets the others go on', async (t) => {
    const { front, pages, served } = await waiting(t);
    await pages[0].close();
    await served();
    assert.equal(front.seen(refresh).length, 2);
  });

  test('a tab that crashes while it renews lets the others go on', async (t) => {
    const { front, pages, served, cdp } = await waiting(t);
    const crashed = pages[0].waitForEvent('crash');
    cdp.send('Page.crash').catch(() => {}); // nobody is left to answer
    await crashed;
    await served();
    assert.equal(front.seen(refresh).length, 2);
    await pages[0].close();
  });

  // A debugger stops a tab as sleep does. (Page.setWebLifecycleState freezes nothing in a headless browser: its pages are never hidden.)
  test('a tab that stands still while it renews keeps its lock, and the others go on without', async (t) => {
    const { front, pages, held, served, cdp } = await waiting(t);
    await cdp.send('Debugger.enable');
    const paused = new Promise((resolve) => cdp.once('Debugger.paused', resolve));
    await cdp.send('Debugger.pause');
    held.release();
    await paused;
    await served();
    assert.equal(await holders(pages[1]), 1, 'it still holds the lock');
    assert.ok(front.seen(refresh).length <= 3);
    await cdp.send('Debugger.disable');
    assert.equal((await ask(pages[0])).status, 200);
    await assertSeen(pages[0], ...stayed);
  });

  // ---- who is here --------------------------------------------------------------------------------------------------

  test('sign-in, sign-out and a change of user reach all tabs', async (t) => {
    const { server, open, pages } = await visit(t, { tabs: 3, users: ['ada', 'bob'] });
    for (const page of pages) await reaches(page, 'authenticated', 'ada');
    await login(pages[1], { ...server, username: 'bob' });
    for (const page of pages) await reaches(page, 'authenticated', 'bob');
    await pages[2].evaluate(() => window.auth.logout());
    for (const page of pages) await reaches(page, 'anonymous');
    assert.equal(await pages[0].textContent('#private'), '');
    await login(pages[0], server);
    for (const page of [...pages, await open()]) await reaches(page, 'authenticated', 'ada');
    for (const page of pages) assert.ok(!(await page.evaluate(() => window.seen)).includes('expired'));
  });

  test('an answer that was on its way when another tab signed out is given to nobody', async (t) => {
    const { front, server, pages } = await visit(t, { tabs: 2, users: ['ada', 'bob'] });
    for (const [end, then] of [
      [(page) => page.evaluate(() => window.auth.logout()), ['anonymous']],
      [(page) => login(page, { ...server, username: 'bob' }), ['authenticated', 'bob']],
    ]) {
      const held = front.hold('/api/orders');
      const answer = ask(pages[0]);
      await held.arrived;
      await end(pages[1]);
      await reaches(pages[0], ...then);
      held.release();
      assert.deepEqual(await answer, { error: 'session_ended' });
      await login(pages[1], server);
      await reaches(pages[0], 'authenticated', 'ada');
    }
  });

  for (const without of ['nothing', 'BroadcastChannel']) {
    test(`a tab out of sight saves nothing as somebody who has signed in since in another, without ${without}`, async (t) => {
      const { context, server, service, open } = await visit(t, { tabs: 0, users: ['ada', 'bob'], signIn: false });
      if (without !== 'nothing') await context.addInitScript((name) => Object.defineProperty(window, name, { value: undefined }), without);
      const hidden = await open();
      await login(hidden, server);
      await reaches(hidden, 'authenticated', 'ada');
      // A headless browser hides no page, so this one says itself that it is hidden.
      await hidden.evaluate(() => {
        Object.defineProperty(document, 'hidden', { value: true });
        document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
      });
      const other = await open();
      await reaches(other, 'authenticated', 'ada');
      assert.equal((await ask(hidden, '/api/draft', { method: 'PUT', body: 'of ada' })).status, 200);
      await login(other, { ...server, username: 'bob' });
      assert.match(await hidden.textContent('#private'), /ada/, 'it has not looked');
      for (const init of [{ method: 'PUT', body: 'of ada' }, {}]) {
        const answer = await ask(hidden, '/api/draft', init);
        // The first is refused, and shows the page who is here; what the page asks after that is for bob.
        if (init.method) assert.deepEqual(answer, { error: 'session_ended' });
        else assert.equal(answer.status, 200);
      }
      await reaches(hidden, 'authenticated', 'bob');
      assert.deepEqual(service.requests.map(({ method }) => method), ['PUT', 'GET']);
      assert.notEqual(service.requests[0].claims.sub, service.requests[1].claims.sub);
    });
  }

  test('what waits for ada is sent as nobody else when its page comes out of the back/forward cache', async (t) => {
    const { front, server, service, context, page } = await visit(t, { tabs: 1, users: ['ada', 'bob'], context: alive });
    await endBehind(front, context);
    await page.evaluate(() => {
      window.kept = true;
      window.letter = window.ask('/api/letters', { method: 'POST', body: 'of ada', park: true });
    });
    await reaches(page, 'expired');
    const neighbour = await startNeighbour(t, front.origin);
    await page.goto(neighbour.crossSite);
    await signInAs(context, front, server, 'bob');
    await page.goBack({ waitUntil: 'commit' });
    await reaches(page, 'authenticated', 'bob');
    assert.equal(await page.evaluate(() => window.kept), true, 'the page comes out of the cache');
    assert.deepEqual(await page.evaluate(() => window.letter), { error: 'session_ended' });
    assert.deepEqual(service.requests, []);
  });

  // ---- back/forward cache ---------------------------------------------------------------------------------------------

  for (const [happens, act, end] of [
    ['nothing happened', async () => {}, ['authenticated', 'ada']],
    ['the user signed out', signOut, ['anonymous', '']],
    ['somebody else signed in', async (context, front, server) => { await signOut(context, front); await signInAs(context, front, server, 'bob'); }, ['authenticated', 'bob']],
  ]) {
    test(`a page out of the back/forward cache shows nobody's data but the present user's, when ${happens}`, async (t) => {
      const visitor = await visit(t, { tabs: 1, users: ['ada', 'bob'], context: alive });
      const { front, server, context, page } = visitor;
      await page.evaluate(() => {
        window.kept = true;
        window.painted = [];
        addEventListener('pageshow', ({ persisted }) => {
          const paint = () => {
            const text = document.getElementById('private').textContent;
            if (window.painted.at(-1) !== text) window.painted.push(text);
            requestAnimationFrame(paint);
          };
          if (persisted) requestAnimationFrame(paint);
        });
      });
      const neighbour = await startNeighbour(t, front.origin);
      await page.goto(neighbour.crossSite);
      await act(context, front, server); // not by a tab with the client: a message would make the browser drop the page it keeps
      await page.goBack({ waitUntil: 'commit' });
      await page.waitForFunction(() => window.painted?.length > 0);
      await reaches(page, ...end);
      assert.equal(await page.evaluate(() => window.kept), true, 'the page comes out of the cache');
      const painted = await page.evaluate(() => window.painted);
      const mine = end[1] ? `for ${end[1]} alone` : '';
      assert.ok(painted.every((text) => text === '' || text === mine), `what could be seen: ${JSON.stringify(painted)}`);
      if (happens === 'nothing happened') assert.deepEqual(painted, [mine], 'and the signed-out page never');
    });
  }

  test('script reads no token: no cookie, storage, global, body, header, message or address of the whole run holds one', () => {
    assertNoTokenSeen();
  });
});

/** Signs out as another page of this browser does, without the client. */
async function signOut(context, front) {
  const { csrftoken } = await jar(context);
  const answer = await context.request.post(`${front.origin}/auth/logout`, { headers: { Origin: front.origin, 'X-CSRFToken': csrftoken } });
  assert.equal(answer.status(), 200);
  assert.deepEqual(await jar(context), {});
}

async function signInAs(context, front, { password }, username) {
  const answer = await context.request.post(`${front.origin}/auth/login`, { headers: { Origin: front.origin }, data: { username, password } });
  assert.equal(answer.status(), 200);
}
