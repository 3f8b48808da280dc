// What differs between browsers and matters to us, in Firefox and WebKit: which cookies they keep and send, locks and messages
// between tabs, and the back/forward cache. README.md says how they are driven and what cannot be.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, test as nodeTest } from 'node:test';

import { startApp } from '../browser/app.mjs';
import { clientFiles, pathOf, refresh } from '../browser/client.mjs';
import { cleanUp, required, startNeighbour } from '../browser/harness.mjs';
import { browsers } from './drive.mjs';

const test = (name, body) => nodeTest(name, { timeout: 90_000 }, body);
const quietly = ['unknown', 'anonymous', 'authenticated'];

/** Asks a tab until it says yes. While a page is being left nothing can be asked. */
async function until(tab, body, ...args) {
  for (;;) {
    const answer = await tab.evaluate(body, ...args).catch(() => null);
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const reaches = (tab, status, name = '') =>
  until(tab, (want, who) => document.getElementById('status').textContent === want && document.getElementById('private').textContent.includes(who), status, name);
const login = (tab, { username, password }) => tab.evaluate((credentials) => window.auth.login(credentials).then(() => true), { username, password });
const ask = (tab) => tab.evaluate(() => window.ask());
const seen = (tab) => tab.evaluate(() => window.seen);

after(cleanUp);

for (const name of process.env.BROWSERS?.split(',') ?? Object.keys(browsers)) {
  const { missing, start } = browsers[name];
  if (missing && required) nodeTest(`${name} can be driven`, () => assert.fail(missing));

  describe(name, { skip: missing && !required ? missing : false }, () => {
    if (missing) return;
    let browser;
    before(async () => {
      browser = await start();
    });
    after(() => browser?.close());

    /** Starts everything, opens tabs that carry the client, and signs in by the first of them. */
    async function visit(t, { tabs = 1, ...options } = {}) {
      const app = await startApp(t, { files: { ...clientFiles(), 'plain.html': '<!doctype html><title>plain</title>' }, ...options });
      const pages = [];
      t.after(async () => {
        for (const page of pages) await page.close().catch(() => {}); // one may be closed already
      });
      const open = async (path = pathOf({})) => {
        const page = await browser.newTab();
        pages.push(page);
        await page.goto(new URL(path, app.front.origin).href);
        return page;
      };
      for (let i = 0; i < tabs; i += 1) await until(await open(), () => window.ready === true);
      await browser.clearCookies(); // they are those of localhost, on all its ports
      await login(pages[0], app.server);
      for (const page of pages) await reaches(page, 'authenticated', 'ada');
      return { ...app, open, pages: [...pages], page: pages[0] };
    }

    test('this is the browser', (t) => t.diagnostic(browser.version));

    // ---- cookies ----------------------------------------------------------------------------------------------------

    test('the cookies of http://localhost are kept and sent, and script reads the CSRF token alone', async (t) => {
      const { front, page } = await visit(t);
      const cookies = await browser.cookies();
      assert.deepEqual(cookies.map((cookie) => cookie.name).sort(), ['access_token', 'csrftoken', 'refresh_token']);
      for (const cookie of cookies) {
        assert.equal(cookie.httpOnly, cookie.name !== 'csrftoken', cookie.name);
        assert.equal(cookie.secure, false, cookie.name);
        assert.equal(cookie.sameSite, 'Lax', cookie.name);
      }
      assert.match(await page.evaluate(() => document.cookie), /^csrftoken=[^;]+$/);
      assert.equal((await page.evaluate(() => window.ask('/api/orders', { method: 'POST' }))).status, 200);
      await page.goto(`${front.origin}/plain.html`);
      await page.goto(front.origin + pathOf({}));
      await reaches(page, 'authenticated', 'ada');
      await browser.clearCookie('access_token');
      assert.equal((await ask(page)).status, 200);
      assert.equal(front.seen(refresh).length, 1);
      await page.evaluate(() => window.auth.logout().then(() => true));
      assert.deepEqual(await browser.cookies(), []);
    });

    test('why our names have no prefix on http://localhost: not every browser keeps Secure cookies there', async (t) => {
      const server = createServer((request, response) => {
        if (request.url === '/set') response.setHeader('Set-Cookie', ['plain=1; Path=/', 'secure=1; Secure; Path=/', '__Host-prefixed=1; Secure; Path=/']);
        response.setHeader('Content-Type', 'text/html').end(`<title>cookies</title><p id="sent">${request.headers.cookie ?? ''}</p>`);
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const tab = await browser.newTab();
      t.after(async () => {
        await tab.close();
        server.closeAllConnections();
        server.close();
      });
      const origin = `http://localhost:${server.address().port}`;
      await tab.goto(origin);
      await browser.clearCookies();
      await tab.goto(`${origin}/set`);
      await tab.goto(origin);
      const sent = await until(tab, () => document.getElementById('sent').textContent.split('; ').map((pair) => pair.split('=')[0]));
      assert.deepEqual(sent.sort(), { firefox: ['__Host-prefixed', 'plain', 'secure'], webkit: ['plain'] }[name]);
    });

    test('a page of another site can send requests, and none of our cookies go along', async (t) => {
      const { front, page } = await visit(t);
      const { crossSite } = await startNeighbour(t, front.origin);
      const elsewhere = await browser.newTab();
      t.after(() => elsewhere.close());
      await elsewhere.goto(crossSite);
      await elsewhere.evaluate((url) => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include' }).then(() => true, () => false), `${front.origin}/auth/logout`);
      const [request] = front.seen('/auth/logout');
      assert.equal(request.headers.cookie, undefined);
      assert.equal((await ask(page)).status, 200);
    });

    // ---- locks and messages -----------------------------------------------------------------------------------------

    test('five tabs that meet an expired token together cost two refreshes at most, and all stay in', async (t) => {
      const { front, pages } = await visit(t, { tabs: 5 });
      await browser.clearCookie('access_token');
      // A driver may speak to one tab at a time only: the requests begin together, when one tab says so.
      for (const page of pages) {
        await page.evaluate(() => {
          window.begun = new Promise((resolve) => (new BroadcastChannel('begin').onmessage = resolve)).then(() => window.ask());
          return true;
        });
      }
      const [first, ...others] = pages;
      await first.evaluate(() => {
        new BroadcastChannel('begin').postMessage(null); // to the channel of this tab as well
        return true;
      });
      for (const page of [first, ...others]) assert.equal((await page.evaluate(() => window.begun)).status, 200);
      const calls = front.seen(refresh).length;
      assert.ok(calls >= 1 && calls <= 2, `${calls} refreshes`);
      for (const page of pages) assert.deepEqual(await seen(page), quietly);
      t.diagnostic(`${calls} refresh calls`);
    });

    test('a tab that is closed while it renews lets the others go on', async (t) => {
      const { front, pages } = await visit(t, { tabs: 3 });
      const [holder, ...others] = pages;
      await browser.clearCookie('access_token');
      const held = front.hold(refresh);
      await holder.evaluate(() => void window.ask());
      await held.arrived;
      for (const page of others) await page.evaluate(() => void (window.answer = window.ask()));
      await until(others[0], () => navigator.locks.query().then((locks) => locks.pending.length === 2));
      await holder.close();
      for (const page of others) assert.equal((await page.evaluate(() => window.answer)).status, 200);
      assert.equal(front.seen(refresh).length, 2);
      for (const page of others) assert.deepEqual(await seen(page), quietly);
    });

    test('a tab that never gives the lock back does not stop the others', async (t) => {
      const { front, pages } = await visit(t, { tabs: 3 });
      const [holder, ...others] = pages;
      await holder.evaluate(() => new Promise((held) => void navigator.locks.request(`tokenjar:${location.origin}/auth`, () => new Promise(() => held(true)))));
      await browser.clearCookie('access_token');
      for (const page of others) await page.evaluate(() => void (window.answer = window.ask()));
      await until(others[0], () => navigator.locks.query().then((locks) => locks.pending.length === 2));
      for (const page of others) assert.equal((await page.evaluate(() => window.answer)).status, 200);
      assert.equal(await others[0].evaluate(() => navigator.locks.query().then((locks) => locks.held.length)), 1);
      assert.ok(front.seen(refresh).length <= 2);
    });

    test('sign-out and a change of user reach all tabs', async (t) => {
      const { server, pages } = await visit(t, { tabs: 3, users: ['ada', 'bob'] });
      await login(pages[1], { ...server, username: 'bob' });
      for (const page of pages) await reaches(page, 'authenticated', 'bob');
      await pages[2].evaluate(() => window.auth.logout().then(() => true));
      for (const page of pages) await reaches(page, 'anonymous');
    });

    // ---- the back/forward cache ---------------------------------------------------------------------------------------

    for (const signsOut of [false, true]) {
      test(`a page out of the back/forward cache shows ${signsOut ? 'nothing private after a sign-out' : 'its user at once, when nothing happened'}`, async (t) => {
        const { front, page } = await visit(t);
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
          return true;
        });
        await page.goto(`${front.origin}/plain.html`);
        if (signsOut) {
          // By a page without the client: its message would have the kept page dropped, or brought up to date.
          const status = await page.evaluate(() => {
            const token = document.cookie.split('=')[1];
            return fetch('/auth/logout', { method: 'POST', headers: { 'X-CSRFToken': token } }).then((answer) => answer.status);
          });
          assert.equal(status, 200);
        }
        await page.back();
        await reaches(page, signsOut ? 'anonymous' : 'authenticated');
        assert.equal(await page.evaluate(() => window.kept === true), true, 'the page comes out of the cache');
        const painted = await until(page, () => window.painted.length > 0 && window.painted);
        assert.deepEqual(painted, signsOut ? [''] : ['for ada alone']);
      });
    }

    // ---- last: WebKit remembers from now on that localhost is https (Strict-Transport-Security), on all its ports ----------

    test('on https the cookies are kept and sent under names with __Host-', async (t) => {
      const { page } = await visit(t, { tls: true });
      const cookies = await browser.cookies();
      assert.deepEqual(cookies.map((cookie) => cookie.name).sort(), ['__Host-access_token', '__Host-csrftoken', '__Host-refresh_token']);
      for (const cookie of cookies) assert.equal(cookie.secure, true, cookie.name);
      assert.match(await page.evaluate(() => document.cookie), /^__Host-csrftoken=[^;]+$/);
      assert.equal((await page.evaluate(() => window.ask('/api/orders', { method: 'POST' }))).status, 200);
      await page.evaluate(() => window.auth.logout().then(() => true));
      assert.deepEqual(await browser.cookies(), []);
    });
  });
}
