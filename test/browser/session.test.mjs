// tokenjar demo in a browser: signing in, staying and signing out, in one tab and several, and the cookies that are left.

import assert from 'node:assert/strict';
import { after, describe } from 'node:test';

import { ask, sessionCookies, signedIn, signedOut, signIn, skip, test, visit, visitSignedIn, wholeRun } from './demo.mjs';
import { cleanUp, csrfCookie, missing, openContext } from './harness.mjs';

after(cleanUp);

describe('a session of tokenjar demo', { skip, concurrency: 3 }, () => {
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
});

wholeRun(20);
