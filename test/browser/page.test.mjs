// The page of tokenjar demo in a browser: what a hostile page can do to it, what the back button shows, who can use it without
// a mouse or a good eye, and its picture.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe } from 'node:test';

import { ask, signedIn, signedOut, signIn, skip, test, visit, visitSignedIn, wholeRun } from './demo.mjs';
import { cleanUp, csrfCookie, missing, openContext, pageHash, repository, startDemo, startNeighbour } from './harness.mjs';

after(cleanUp);


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

describe('the page of tokenjar demo', { skip, concurrency: 3 }, () => {
  if (missing) return;

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

wholeRun(10);

describe('the picture in the documents', { skip }, () => {
  if (missing) return;

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
