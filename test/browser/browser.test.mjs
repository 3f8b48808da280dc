// tokenjar demo in a real browser: what the visitor sees, what script can reach, what a hostile page can do.
//
// Every test starts its own server and its own browser profile. Nothing waits for a time to pass; everything waits for
// something to be so.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test as nodeTest } from 'node:test';

import {
  cleanUp,
  csrfCookie,
  missing,
  openContext,
  pageHash,
  record,
  repository,
  required,
  settle,
  startDemo,
  startNeighbour,
} from './harness.mjs';

/** A test that hangs fails, and says which one it was. */
const test = (name, ...rest) => {
  const body = rest.pop();
  nodeTest(name, { timeout: 90_000, ...rest[0] }, body);
};

const signedIn = '#view-in:not([hidden])';
const signedOut = '#view-out:not([hidden])';

/** Opens a demo, a profile and the page. */
async function visit(t, { demoOptions, ...contextOptions } = {}) {
  const demo = await startDemo(t, demoOptions);
  const context = await openContext(t, contextOptions);
  const page = await context.newPage();
  await page.goto(demo.origin);
  return { demo, context, page };
}

async function signIn(page, demo) {
  await page.waitForSelector(signedOut);
  await page.fill('#identity', demo.username);
  await page.fill('#password', demo.password);
  await page.click('#sign-in-button');
  await page.waitForSelector(signedIn);
  await page.waitForSelector('.session');
}

async function visitSignedIn(t, options) {
  const visitor = await visit(t, options);
  await signIn(visitor.page, visitor.demo);
  return visitor;
}

/** What the API answers to this browser, seen by script of our own page. */
function ask(page, path) {
  return page.evaluate(async (url) => {
    const response = await fetch(url);
    return { status: response.status, problem: response.headers.get('X-Tokenjar-Problem') };
  }, path);
}

/**
 * Posts by fetch from a page or frame of another origin, with cookies. The server refuses, and forbids the browser to
 * hand the answer to that page: one of the two is what can be seen here.
 */
async function assertRefused(page, where, url) {
  const ended = (name) => page.waitForEvent(name, (request) => request.url() === url && request.method() === 'POST');
  const [request] = await Promise.all([
    Promise.any([ended('requestfinished'), ended('requestfailed')]),
    where.evaluate((to) => fetch(to, { method: 'POST', mode: 'no-cors', credentials: 'include' }).then(() => {}, () => {}), url),
  ]);
  const outcome = request.failure()?.errorText ?? String((await request.response()).status());
  assert.match(outcome, /^403$|^net::ERR_BLOCKED_BY_RESPONSE/, `${url} from ${where.url()}`);
}

const sessionCookies = (cookies) => cookies.filter((cookie) => cookie.name !== csrfCookie);

if (missing && required) {
  test('browser tests can run', () => assert.fail(missing));
}

const skip = missing && !required ? missing : false;
after(cleanUp);

describe('tokenjar demo in a browser', { skip, concurrency: 3 }, () => {
  if (missing) return;

  // ---- sign in, stay, renew -----------------------------------------------------------------------------------------

  test('the form signs in and the page says who is here', async (t) => {
    const { demo, page } = await visit(t);
    await page.waitForSelector(signedOut);
    assert.equal(await page.title(), 'tokenjar');
    await signIn(page, demo);
    assert.match(await page.textContent('#hello'), /^Hello, ./);
    assert.equal(await page.textContent('#you-username'), demo.username);
    assert.equal(await page.textContent('.session .badge'), 'this browser');
    assert.equal((await ask(page, '/auth/user')).status, 200);
  });

  test('one click fills in the account of the demo', async (t) => {
    const { demo, page } = await visit(t);
    await page.click('#demo-fill');
    assert.equal(await page.inputValue('#identity'), demo.username);
    assert.equal(await page.inputValue('#password'), demo.password);
    await page.keyboard.press('Enter');
    await page.waitForSelector(signedIn);
  });

  test('a wrong password shows the error at the form and keeps the name', async (t) => {
    const { demo, context, page } = await visit(t);
    await page.waitForSelector(signedOut);
    await page.fill('#identity', demo.username);
    await page.fill('#password', `${demo.password}-wrong`);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#sign-in-problem:not([hidden])');
    assert.ok((await page.textContent('#sign-in-problem')).length > 10);
    assert.equal(await page.inputValue('#identity'), demo.username);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'password');
    assert.deepEqual(sessionCookies(await context.cookies()), []);
    await page.fill('#password', demo.password);
    await page.keyboard.press('Enter');
    await page.waitForSelector(signedIn);
  });

  test('an empty form says what is missing, at the field', async (t) => {
    const { page } = await visit(t);
    await page.waitForSelector(signedOut);
    await page.click('#sign-in-button');
    assert.match(await page.textContent('#identity-error'), /user name/);
    assert.equal(await page.getAttribute('#identity', 'aria-invalid'), 'true');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'identity');
  });

  test('a reload keeps one signed in and never shows the form', async (t) => {
    const { context, page } = await visitSignedIn(t);
    await context.addInitScript(() => {
      window.flashed = false;
      const look = () => {
        if (document.getElementById('sign-in')?.checkVisibility()) window.flashed = true;
        requestAnimationFrame(look);
      };
      look();
    });
    // The answer is held back until the page has been looked at without it.
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await page.route('**/auth/session', async (route) => {
      await held;
      await route.continue();
    });
    await page.reload();
    await page.waitForSelector('#waiting-text', { state: 'visible' });
    assert.equal(await page.isVisible('#sign-in'), false);
    assert.equal(await page.isVisible('#hello'), false);
    release();
    await page.waitForSelector(signedIn);
    assert.equal(await page.evaluate(() => window.flashed), false);
  });

  test('the access token runs out and the next API call carries on without noticing', async (t) => {
    const { context, page } = await visitSignedIn(t, { demoOptions: { accessLifetime: '8s' } });
    const refused = [];
    page.on('response', (response) => {
      if (response.status() >= 400) refused.push(`${response.status()} ${response.url()}`);
    });
    const before = await page.evaluate(() => fetch('/auth/session').then((r) => r.json()));
    const old = await context.cookies();
    await page.waitForSelector('#jar[data-state="empty"]');
    assert.equal(await page.textContent('#access-time'), 'has run out');
    assert.equal((await context.cookies()).some((cookie) => cookie.name === 'access_token'), false);

    await page.click('#api-get');
    await page.waitForSelector('#api-answer[data-state="full"]');
    assert.equal(await page.textContent('#api-status'), '200');
    assert.match(await page.textContent('#api-facts'), /had run out.*brought a new one/s);
    assert.match(await page.textContent('#life-note'), /GET \S+ renewed the access token/);

    const now = await page.evaluate(() => fetch('/auth/session').then((r) => r.json()));
    assert.ok(Date.parse(now.access_expiration) > Date.parse(before.access_expiration), `${now.access_expiration} is later`);
    const values = new Set(old.map((cookie) => cookie.value));
    const renewed = sessionCookies(await context.cookies());
    assert.equal(renewed.length, 2);
    for (const cookie of renewed) assert.ok(!values.has(cookie.value), `${cookie.name} is new`);
    assert.deepEqual(refused, []);
  });

  test('"Renew now" brings new tokens', async (t) => {
    const { context, page } = await visitSignedIn(t, { demoOptions: { accessLifetime: '300s' } });
    const before = new Set((await context.cookies()).map((cookie) => cookie.value));
    await page.click('#renew');
    await page.waitForSelector('#life-note:not([hidden])');
    assert.match(await page.textContent('#life-note'), /was renewed.*until \d/);
    for (const cookie of sessionCookies(await context.cookies())) assert.ok(!before.has(cookie.value), `${cookie.name} is new`);
  });

  test('a POST passes with the CSRF header and is refused without it', async (t) => {
    const { page } = await visitSignedIn(t);
    await page.click('#api-post');
    await page.waitForFunction(() => document.getElementById('api-status').textContent === '200');
    await page.click('#api-post-bare');
    await page.waitForFunction(() => document.getElementById('api-status').textContent === '403');
    assert.match(await page.textContent('#api-body'), /csrf_failed/);
    assert.match(await page.textContent('#api-facts'), /Refused, as it should be/);
  });

  test('names can be changed', async (t) => {
    const { page } = await visitSignedIn(t);
    await page.fill('#first-name', 'Grace');
    await page.fill('#last-name', '<b>Hopper</b>');
    await page.click('#names-save');
    await page.waitForSelector('#names-note:not([hidden])');
    assert.equal(await page.textContent('#hello'), 'Hello, Grace');
    assert.equal(await page.textContent('#who-name'), 'Grace <b>Hopper</b>');
    await page.reload();
    await page.waitForSelector(signedIn);
    assert.equal(await page.inputValue('#last-name'), '<b>Hopper</b>');
  });

  // ---- tabs and sessions --------------------------------------------------------------------------------------------

  test('a second tab is signed in', async (t) => {
    const { demo, context } = await visitSignedIn(t);
    const second = await context.newPage();
    await second.goto(demo.origin);
    await second.waitForSelector(signedIn);
    assert.equal(await second.textContent('#you-username'), demo.username);
  });

  test('sign-out in one tab signs out both, and the old cookies open nothing', async (t) => {
    const { demo, context, page } = await visitSignedIn(t);
    const second = await context.newPage();
    await second.goto(demo.origin);
    await second.waitForSelector(signedIn);
    const stolen = await context.cookies();

    await page.click('#sign-out');
    await page.waitForSelector(signedOut);
    await second.waitForSelector(signedOut);
    assert.match(await page.textContent('#entry-reason'), /You are signed out/);
    assert.match(await second.textContent('#entry-reason'), /another tab/);
    for (const tab of [page, second]) {
      assert.doesNotMatch(await tab.evaluate(() => document.getElementById('view-in').textContent), /Hello|@/);
      assert.equal((await ask(tab, '/api/hello')).status, 401);
      assert.equal((await ask(tab, '/auth/user')).status, 401);
    }

    const thief = await openContext(t);
    await thief.addCookies(stolen);
    const elsewhere = await thief.newPage();
    await elsewhere.goto(demo.origin);
    await elsewhere.waitForSelector(signedOut);
    assert.equal((await ask(elsewhere, '/auth/user')).status, 401);
    assert.equal((await ask(elsewhere, '/api/hello')).status, 401);
  });

  test('ending another session signs that browser out at its next step', async (t) => {
    const { demo, page } = await visitSignedIn(t);
    const other = await openContext(t);
    const elsewhere = await other.newPage();
    await elsewhere.goto(demo.origin);
    await signIn(elsewhere, demo);

    await page.reload();
    await page.waitForSelector('.session:nth-child(2) button');
    await page.click('.session:nth-child(2) button');
    await page.waitForFunction(() => document.querySelectorAll('.session').length === 1);
    await page.waitForSelector('#sessions-note:not([hidden])');

    // On a slow machine the page notices by itself before it is clicked.
    await Promise.race([elsewhere.click('#api-get').catch(() => {}), elsewhere.waitForSelector(signedOut)]);
    await elsewhere.waitForSelector(signedOut);
    assert.match(await elsewhere.textContent('#entry-reason'), /ended|sign in/);
    assert.equal((await ask(page, '/auth/user')).status, 200);
  });

  test('a copied token that another client shows is seen in the list of sessions', async (t) => {
    const { demo, context, page } = await visitSignedIn(t, { demoOptions: { accessLifetime: '300s' } });
    const copy = (await context.cookies()).find((cookie) => cookie.name === 'refresh_token').value;
    await page.click('#renew');
    await page.waitForSelector('#life-note:not([hidden])');
    assert.equal(await page.isVisible('.session-shared'), false);
    const answer = await fetch(`${demo.origin}/auth/token/refresh`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'User-Agent': 'curl/8.14 <b>thief</b>' },
      body: JSON.stringify({ refresh: copy }),
    });
    assert.equal(answer.status, 200); // within the grace: the same successor, which the page holds as well
    await page.waitForFunction(async () => (await (await fetch('/auth/sessions')).json()).sessions[0].shared !== undefined);
    await page.reload();
    await page.waitForSelector('.session-shared');
    assert.match(await page.textContent('.session-shared'), /127\.0\.0\.1 was given this session's tokens as well/);
    assert.equal(await page.locator('.session-shared b').count(), 0);
  });

  test('"Sign out everywhere" ends the session of another browser too', async (t) => {
    const { demo, page } = await visitSignedIn(t);
    const other = await openContext(t);
    const elsewhere = await other.newPage();
    await elsewhere.goto(demo.origin);
    await signIn(elsewhere, demo);
    await page.click('#sign-out-all');
    await page.waitForSelector(signedOut);
    assert.equal((await ask(elsewhere, '/auth/user')).status, 401);
  });

  test('a server that does not answer signs nobody out', async (t) => {
    const { page } = await visitSignedIn(t);
    const unavailable = {
      status: 503,
      contentType: 'application/problem+json',
      headers: { 'Retry-After': '1', 'X-Tokenjar-Problem': 'store_unavailable' },
      body: JSON.stringify({ status: 503, code: 'store_unavailable', detail: 'The session store does not answer.', request_id: 'req-7' }),
    };
    for (const [fail, words] of [
      [(route) => route.abort(), /cannot be reached.*session is kept/],
      [(route) => route.fulfill(unavailable), /does not answer.*try again.*req-7/],
    ]) {
      await page.route(/\/(api|auth)\//, fail);
      await page.click('#api-get');
      await page.waitForSelector('#banner:not([hidden])');
      assert.match(await page.textContent('#banner'), words);
      assert.equal(await page.isVisible('#hello'), true);
      await page.unroute(/\/(api|auth)\//, fail);
      await page.click('#banner-retry');
      await page.waitForSelector('#banner', { state: 'hidden' });
      assert.equal(await page.isVisible('#hello'), true);
    }
    await page.waitForSelector('#api-answer[data-state="full"]');
  });

  test('after sign-in ?next= is followed to our own origin only', async (t) => {
    const { demo, context, page } = await visit(t);
    const hostile = ['https://evil.example/', '//evil.example/', '/\\evil.example/', '/\t/evil.example/', 'javascript:alert(1)', '\\/evil.example'];
    for (const next of hostile) {
      await page.goto(`${demo.origin}/?next=${encodeURIComponent(next)}`);
      await page.waitForSelector(signedOut);
      assert.equal(await page.isVisible('#entry-next'), false, `${JSON.stringify(next)} is offered`);
    }
    await signIn(page, demo);
    assert.equal(new URL(page.url()).origin, demo.origin);

    await context.clearCookies();
    await page.goto(`${demo.origin}/?next=${encodeURIComponent('/api/hello?a=1')}`);
    await page.waitForSelector(signedOut);
    await page.fill('#identity', demo.username);
    await page.fill('#password', demo.password);
    await page.click('#sign-in-button');
    await page.waitForURL(`${demo.origin}/api/hello?a=1`);
  });

  // ---- cookies (CK) -------------------------------------------------------------------------------------------------

  test('CK: the browser holds the session cookies HttpOnly, SameSite=Lax, Path=/, for this host alone', async (t) => {
    const { context } = await visitSignedIn(t, { demoOptions: { accessLifetime: '300s' } });
    const cookies = await context.cookies();
    assert.deepEqual(cookies.map((cookie) => cookie.name).sort(), ['access_token', csrfCookie, 'refresh_token']);
    for (const cookie of cookies) {
      assert.equal(cookie.httpOnly, cookie.name !== csrfCookie, `${cookie.name} HttpOnly`);
      assert.equal(cookie.sameSite, 'Lax', `${cookie.name} SameSite`);
      assert.equal(cookie.path, '/', `${cookie.name} Path`);
      assert.equal(cookie.domain, 'localhost', `${cookie.name} Domain`); // a leading dot would mean a Domain attribute
    }
    const refresh = cookies.find((cookie) => cookie.name === 'refresh_token');
    assert.equal(refresh.expires, -1, 'without "Keep me signed in" the refresh cookie ends with the browser');
  });

  test('CK: "Keep me signed in" makes the refresh cookie outlive the browser', async (t) => {
    const { demo, context, page } = await visit(t);
    await page.waitForSelector(signedOut);
    await page.check('#remember');
    await signIn(page, demo);
    const cookies = await context.cookies();
    for (const name of ['refresh_token', csrfCookie]) {
      const { expires } = cookies.find((cookie) => cookie.name === name);
      assert.ok(expires > Date.now() / 1000 + 86_400, `${name} expires in more than a day`);
    }
  });

  test('CK-10: after sign-out the jar is empty', async (t) => {
    const { context, page } = await visitSignedIn(t, { demoOptions: { accessLifetime: '300s' } });
    assert.equal((await context.cookies()).length, 3);
    await page.click('#sign-out');
    await page.waitForSelector(signedOut);
    assert.deepEqual(await context.cookies(), []);
  });

  test('CK-19: script finds the name of the CSRF cookie and no other', async (t) => {
    const { page } = await visitSignedIn(t);
    const names = await page.evaluate(async () => ({
      document: document.cookie.split('; ').map((pair) => pair.split('=')[0]),
      store: (await cookieStore.getAll()).map((cookie) => cookie.name),
    }));
    assert.deepEqual(names, { document: [csrfCookie], store: [csrfCookie] });
    assert.match(await page.textContent('#peek-cookies'), new RegExp(`^${csrfCookie}=`));
    assert.match(await page.textContent('#peek-local'), /^empty/);
    assert.match(await page.textContent('#peek-session'), /^empty/);
    assert.match(await page.textContent('#peek-set-cookie'), /^0 of \d+/);
  });

  // ---- other pages (X) ----------------------------------------------------------------------------------------------

  test('X: neither a form nor a fetch of another origin signs the visitor out', async (t) => {
    const { demo, context, page } = await visitSignedIn(t);
    const neighbour = await startNeighbour(t, demo.origin);
    const cookies = await context.cookies();
    for (const origin of [neighbour.crossSite, neighbour.sameSite]) {
      const attacker = await context.newPage();
      const logout = () => attacker.waitForResponse((response) => response.url().endsWith('/auth/logout') && response.request().method() === 'POST');

      await attacker.goto(origin);
      await assertRefused(attacker, attacker, `${demo.origin}/auth/logout`);

      const [posted] = await Promise.all([logout(), attacker.click('button')]);
      assert.equal(posted.status(), 403, `form from ${origin}`);
      assert.equal(posted.headers()['x-tokenjar-problem'], 'origin_not_allowed');
      await attacker.waitForURL(`${demo.origin}/auth/logout`); // the refusal is a document now, and the page at rest
      await attacker.close();
    }
    const values = (list) => list.filter((cookie) => cookie.name !== 'access_token').map((cookie) => cookie.value);
    assert.deepEqual(values(await context.cookies()), values(cookies));
    await page.reload();
    await page.waitForSelector(signedIn);
    assert.equal((await ask(page, '/auth/user')).status, 200);
  });

  test('X-21: a sandboxed frame, whose origin is null, is refused', async (t) => {
    const { demo, context, page } = await visitSignedIn(t);
    const neighbour = await startNeighbour(t, demo.origin);
    const attacker = await context.newPage();
    await attacker.goto(`${neighbour.sameSite}/sandbox`);
    const frame = await (await attacker.waitForSelector('iframe')).contentFrame();
    await frame.waitForSelector('button');
    await frame.evaluate((url) => fetch(url, { method: 'POST', mode: 'no-cors' }).then(() => {}), neighbour.crossSite);
    assert.deepEqual(neighbour.origins, ['null'], 'the frame is what the test means');
    await assertRefused(attacker, frame, `${demo.origin}/auth/logout`);
    assert.equal((await ask(page, '/auth/user')).status, 200);
  });

  test('X-25: the page cannot be framed', async (t) => {
    const { demo, context } = await visitSignedIn(t);
    const neighbour = await startNeighbour(t, demo.origin);
    for (const origin of [neighbour.crossSite, neighbour.sameSite]) {
      const attacker = await context.newPage();
      const [message] = await Promise.all([
        attacker.waitForEvent('console', (one) => one.text().includes('frame-ancestors')),
        attacker.goto(`${origin}/frame`),
      ]);
      assert.match(message.text(), /frame-ancestors 'none'/);
      const frame = attacker.frames().find((one) => one !== attacker.mainFrame());
      assert.equal(await frame.locator('#sign-in').count(), 0);
      await attacker.close();
    }
  });

  // ---- the back button (S-15) ---------------------------------------------------------------------------------------

  for (const backForwardCache of [false, true]) {
    const name = backForwardCache ? 'kept alive by the browser' : 'loaded again';
    test(`S-15: after sign-out the back button shows nothing private, on a page ${name}`, async (t) => {
      // Tokens of a few seconds would be renewed meanwhile, and the news of it makes the browser drop what it keeps.
      const { demo, context, page } = await visitSignedIn(t, { backForwardCache, demoOptions: { accessLifetime: '300s' } });
      await page.evaluate(() => (window.sameDocument = true));
      const neighbour = await startNeighbour(t, demo.origin);
      await page.goto(`${demo.origin}/auth/user`); // private, as a document of its own
      assert.match(await page.textContent('body'), new RegExp(demo.username));
      await page.goto(neighbour.crossSite);

      const second = await context.newPage();
      await second.goto(demo.origin);
      await second.waitForSelector(signedIn);
      // Not by the button: its message to other tabs would make the browser drop the page it keeps.
      await second.evaluate(async (name) => {
        const token = document.cookie.split('; ').find((pair) => pair.startsWith(`${name}=`)).slice(name.length + 1);
        const response = await fetch('/auth/logout', { method: 'POST', headers: { 'X-CSRFToken': token } });
        if (!response.ok) throw new Error(`sign-out: ${response.status}`);
      }, csrfCookie);

      await page.goBack({ waitUntil: 'commit' });
      await page.waitForFunction(() => location.pathname === '/auth/user' && document.body?.textContent.includes('not_authenticated'));
      await page.goBack({ waitUntil: 'commit' });
      await page.waitForSelector(signedOut);
      assert.equal(await page.evaluate(() => window.sameDocument === true), backForwardCache, 'the page is as the test means it');
      assert.doesNotMatch(await page.evaluate(() => document.getElementById('view-in').textContent), /Hello, |@/);
    });
  }

  // ---- keyboard, names, contrast, small screens ---------------------------------------------------------------------

  test('the keyboard alone signs in, reaches every control, and the focus can be seen', async (t) => {
    const { demo, page } = await visit(t);
    await page.waitForSelector(signedOut);
    await page.waitForFunction(() => document.activeElement.id === 'identity');
    await page.keyboard.type(demo.username);
    await page.keyboard.press('Tab');
    await page.keyboard.type(demo.password);
    await page.keyboard.press('Enter');
    await page.waitForSelector(signedIn);
    await page.waitForSelector('.session');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'hello');

    await page.reload();
    await page.waitForSelector('.session');
    const expected = await page.evaluate(() =>
      [...document.querySelectorAll('a[href], button, input, [tabindex="0"]')].filter((e) => e.checkVisibility()).length,
    );
    const reached = new Set();
    for (let i = 0; i < expected; i += 1) {
      await page.keyboard.press('Tab');
      const { where, outline } = await page.evaluate(() => {
        const e = document.activeElement;
        const all = [...document.querySelectorAll('*')];
        return { where: all.indexOf(e), outline: getComputedStyle(e).outlineStyle };
      });
      assert.notEqual(outline, 'none', `the focus on element ${where} can be seen`);
      reached.add(where);
    }
    assert.equal(reached.size, expected);
    assert.deepEqual([...reached], [...reached].sort((a, b) => a - b), 'the order is that of the document');
  });

  test('the skip link is the first stop and leads to the content', async (t) => {
    const { page } = await visitSignedIn(t);
    await page.reload();
    await page.waitForSelector(signedIn);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.activeElement.id === 'main');
  });

  test('every control has a name, every picture is named or hidden, and headings are in order', async (t) => {
    const { demo, context, page } = await visit(t);
    const look = async () => {
      const session = await context.newCDPSession(page);
      const { nodes } = await session.send('Accessibility.getFullAXTree');
      await session.detach();
      const roles = ['button', 'textbox', 'checkbox', 'link', 'progressbar', 'timer', 'img', 'region', 'table', 'heading'];
      for (const node of nodes) {
        if (node.ignored || !roles.includes(node.role?.value) || node.role.value === 'table') continue;
        assert.ok(node.name?.value?.trim(), `a ${node.role.value} has no name: ${JSON.stringify(node.properties)}`);
      }
      const levels = nodes.filter((node) => !node.ignored && node.role?.value === 'heading').map((node) => node.properties.find((p) => p.name === 'level').value.value);
      assert.equal(levels[0], 1);
      levels.reduce((before, level) => (assert.ok(level <= before + 1, `h${level} after h${before}`), level));
    };
    await page.waitForSelector(signedOut);
    await look();
    await signIn(page, demo);
    await look();
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
    assert.deepEqual(
      await page.$$eval('#sign-in input', (inputs) => inputs.map((input) => input.autocomplete)),
      ['username', 'current-password', ''],
    );
  });

  test('text has the contrast of WCAG AA, light and dark', async (t) => {
    const demo = await startDemo(t);
    for (const colorScheme of ['light', 'dark']) {
      const context = await openContext(t, { colorScheme });
      const page = await context.newPage();
      await page.goto(demo.origin);
      await page.waitForSelector(signedOut);
      assert.deepEqual(await page.evaluate(faint), [], `${colorScheme}, signed out`);
      await page.click('#sign-in-button');
      await page.fill('#identity', 'nobody');
      await page.fill('#password', 'not-the-password');
      await page.click('#sign-in-button');
      await page.waitForSelector('#sign-in-problem:not([hidden])');
      assert.deepEqual(await page.evaluate(faint), [], `${colorScheme}, with a problem`);
      await signIn(page, demo);
      await page.click('#api-post-bare');
      await page.waitForSelector('#api-answer[data-state="full"]');
      assert.deepEqual(await page.evaluate(faint), [], `${colorScheme}, signed in`);
    }
  });

  test('a phone shows everything without scrolling sideways', async (t) => {
    const { demo, page } = await visit(t, { viewport: { width: 360, height: 740 } });
    const sideways = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    await page.waitForSelector(signedOut);
    assert.equal(await sideways(), 0);
    await signIn(page, demo);
    await page.click('#api-post-bare');
    await page.waitForSelector('#api-answer[data-state="full"]');
    assert.equal(await sideways(), 0);
    await page.setViewportSize({ width: 320, height: 600 });
    assert.equal(await sideways(), 0);
  });

});

describe('the whole run', { skip }, () => {
  if (missing) return;

  // ---- promise 1 --------------------------------------------------------------------------------

  test('the page runs within its own policy: no error, no violation, in the whole run', () => {
    const broken = record.saw.filter(({ what, text }) => what === 'error' || (what === 'console' && /Content Security Policy/i.test(text) && !/frame-ancestors/.test(text)));
    assert.deepEqual(broken, []);
  });

  test('script never saw a token: no body, header, cookie, storage, URL, message or document of the whole run holds one', () => {
    // The record must be able to catch one: it holds what script may see.
    const kinds = new Set(record.saw.map(({ what }) => what));
    for (const what of ['body', 'headers', 'document.cookie', 'url', 'request', 'document', 'storage', 'broadcast']) {
      assert.ok(kinds.has(what), `the record has ${what}`);
    }
    assert.ok(record.saw.some(({ what, text }) => what === 'document.cookie' && text.includes(`${csrfCookie}=`)));
    assert.ok(record.secrets.size > 40, `${record.secrets.size} cookie values were collected`);
    assert.deepEqual([...new Set(record.secrets.values())].sort(), ['access_token', 'refresh_token']);

    for (const { what, text } of record.saw) {
      assert.doesNotMatch(text, /eyJ[\w-]{8,}\.[\w-]{8,}\./, `a JWT in ${what}`);
      for (const [value, name] of record.secrets) {
        const signature = value.split('.').at(-1);
        assert.ok(!text.includes(value) && !text.includes(signature), `the ${name} in ${what}: ${text.slice(0, 200)}`);
      }
      if (what === 'request') assert.doesNotMatch(text, /"authorization"/i, 'script sent an Authorization header');
    }
  });

  // ---- the picture in the documents ---------------------------------------------------------------------------------

  test('the screenshots are taken', async (t) => {
    const directory = process.env.TOKENJAR_SCREENSHOT_DIR ?? mkdtempSync(join(tmpdir(), 'tokenjar-screenshots-'));
    if (!process.env.TOKENJAR_SCREENSHOT_DIR) t.after(() => rmSync(directory, { recursive: true }));
    const demo = await startDemo(t);
    mkdirSync(directory, { recursive: true });
    for (const colorScheme of ['light', 'dark']) {
      const context = await openContext(t, { colorScheme, viewport: { width: 1280, height: 940 } });
      const page = await context.newPage();
      await pose(page, context, demo.origin);
      const picture = await page.screenshot({ path: join(directory, `demo-${colorScheme}.png`), animations: 'disabled', caret: 'hide' });
      assert.ok(picture.length > 50_000, `the ${colorScheme} picture is nearly empty: ${picture.length} bytes`);
    }
    writeFileSync(join(directory, 'demo.sha256'), `${pageHash()}\n`);
  });

  test('the screenshot is of this page', (t) => {
    const images = join(repository, 'docs', 'images');
    if (!existsSync(images)) {
      t.skip('docs/images does not exist yet: make screenshot makes it');
      return;
    }
    const file = join(images, 'demo.sha256');
    const taken = existsSync(file) ? readFileSync(file, 'utf8').trim() : 'none';
    assert.equal(taken, pageHash(), 'the screenshot is older than the page: run make screenshot');
  });
});

/** Runs in the page: texts whose contrast with what is behind them is under 4.5 to 1, or 3 to 1 for large ones. */
function faint() {
  const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, below) => {
    const mix = (key) => top[key] * top.a + below[key] * (1 - top.a);
    return { r: mix('r'), g: mix('g'), b: mix('b'), a: 1 };
  };
  const luminance = ({ r, g, b }) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.a > 0) layers.push(color);
      if (color.a === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.closest('.visually-hidden, noscript')) continue;
    const style = getComputedStyle(element);
    const below = ground(element);
    let color = over(parse(style.color), below);
    for (let e = element; e; e = e.parentElement) {
      const opacity = Number(getComputedStyle(e).opacity);
      if (opacity < 1 && e.getAttribute('aria-disabled') !== 'true') color = over({ ...color, a: opacity }, below);
    }
    const [light, dark] = [luminance(color), luminance(below)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${element.className || element.tagName}: ${text.slice(0, 40)}`);
  }
  return found;
}

/** Brings the page to the same moment of the same story each time: the server's answers and the clock are set. */
async function pose(page, context, origin) {
  const user = { id: '019cb839-f0a4-7b52-8c6d-1e94a3d07f25', username: 'demo', email: 'demo@example.com', email_verified: true, first_name: 'Ada', last_name: 'Lovelace' };
  const day = '2026-03-04';
  let access = `${day}T10:05:00Z`;
  let now = `${day}T10:00:00Z`;
  const session = () => {
    const left = (Date.parse(access) - Date.parse(now)) / 1000;
    return { authenticated: true, user, access_expiration: left > 0 ? access : null, access_expires_in: left > 0 ? left : null, refresh_expiration: new Date(Date.parse(access) + 86_100_000).toISOString() };
  };
  const sessions = {
    sessions: [
      { id: '1', user_agent: 'Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0 Safari/537.36', ip: '127.0.0.1', created_at: `${day}T10:00:00Z`, last_used_at: `${day}T10:00:00Z`, expires_at: '2026-03-05T10:00:00Z', name: '', current: true },
      { id: '2', user_agent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/604.1', ip: '192.0.2.44', created_at: '2026-03-02T18:20:00Z', last_used_at: `${day}T08:14:00Z`, expires_at: '2026-03-05T08:14:00Z', name: '', current: false },
    ],
  };
  await context.addCookies([{ name: csrfCookie, value: 'Vb3kQ9xTz0mR7cWn', url: origin, sameSite: 'Lax' }]);
  await page.route('**/auth/session', (route) => route.fulfill({ json: session() }));
  await page.route('**/auth/sessions', (route) => route.fulfill({ json: sessions }));
  await page.route('**/api/hello', (route) => {
    access = new Date(Date.parse(now) + 300_000).toISOString();
    const body = {
      message: 'Hello from a service behind the proxy.',
      method: 'GET',
      received: { Authorization: 'Bearer, verified with the published keys', Host: '127.0.0.1:40123', 'X-Forwarded-Host': new URL(origin).host },
      claims: { aud: 'http://127.0.0.1:40123', sub: user.id },
    };
    return route.fulfill({ json: body });
  });
  await page.clock.setFixedTime(now);
  await page.goto(origin);
  await page.waitForSelector('.session');
  for (const time of ['10:06:20', '10:12:10']) {
    now = `${day}T${time}Z`;
    await page.clock.setFixedTime(now);
    await page.waitForSelector('#jar[data-state="empty"]');
    await page.click('#api-get');
    await page.waitForSelector('#jar[data-state="live"]');
    await page.waitForFunction(() => document.getElementById('api-facts').textContent.includes('brought a new one'));
  }
  now = `${day}T10:13:22Z`;
  await page.clock.setFixedTime(now);
  await page.waitForFunction(() => document.getElementById('jar-time').textContent === '3:48');
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.activeElement.blur());
  await page.evaluate(() => document.fonts.ready);
}
