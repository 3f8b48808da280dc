// The example applications in a real browser: their builds, served by the binary under its policy, with the service behind it.
// What is asked for by its role and name here is what a screen reader says.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, describe, test as nodeTest } from 'node:test';

import { cleanUp, missing, openContext, record, repository, required, settle, startServe } from '../browser/harness.mjs';

const applications = ['react', 'vue'];
const axe = await import('axe-core').catch(() => null);
const dist = (name) => join(repository, 'examples', `spa-${name}`, 'dist');
const lacking =
  missing ||
  (!axe && 'axe-core is not installed: run npm ci in test/spa') ||
  (!applications.every((name) => existsSync(join(dist(name), 'index.html'))) && 'the applications are not built: run make spa') ||
  (!process.env.SPA_API && 'SPA_API does not name the service: run make spa');
const skip = lacking && !required ? lacking : false;
const test = (name, body) => nodeTest(name, { timeout: 120_000 }, body);

if (lacking && required) {
  test('the tests of the applications can run', () => assert.fail(lacking));
}
after(cleanUp);

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts the site of an application: the binary in front, the service behind. */
async function start(t, name, settings = '', options = {}) {
  const port = await freePort();
  process.env.TOKENJAR_TOKEN_ACCESS_LIFETIME ??= '5m'; // nothing is renewed by itself while a test looks elsewhere
  const yaml = readFileSync(join(repository, 'examples', `spa-${name}`, 'tokenjar.yaml'), 'utf8');
  // The example's own file, but for the addresses and for the session's life.
  const [routes] = /^routes:\n(?: .*\n)+/m.exec(yaml);
  const site = await startServe(t, `spa: {dir: ${JSON.stringify(dist(name))}}\n${routes.replace('127.0.0.1:9000', `127.0.0.1:${port}`)}${settings}`, options);
  const service = spawn(process.env.SPA_API, { env: { ...process.env, ISSUER: site.origin, PORT: String(port) }, stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(() => service.kill());
  await new Promise((resolve, reject) => {
    let said = '';
    service.stderr.setEncoding('utf8').on('data', (text) => (said += text).includes('listening') && resolve());
    service.on('exit', () => reject(new Error(`the service ended: ${said}`)));
  });
  return site;
}

async function open(context, site, path = '/') {
  const page = await context.newPage();
  await page.goto(site.origin + path);
  return page;
}

async function signIn(page, site) {
  await page.getByLabel('Name').fill(site.username);
  await page.getByLabel('Password').fill(site.password);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: /note|signed in/ }).waitFor();
}

/** The same user on another device, over plain HTTP. */
async function device({ origin, username, password }) {
  const headers = { 'Content-Type': 'application/json', 'User-Agent': 'phone' };
  const login = await fetch(`${origin}/auth/login`, { method: 'POST', headers, body: JSON.stringify({ username, password }) });
  assert.equal(login.status, 200);
  const pairs = login.headers.getSetCookie().map((line) => line.split(';')[0]);
  const csrf = pairs.find((pair) => pair.startsWith('csrftoken=')).slice('csrftoken='.length);
  const call = (method, path, body) =>
    fetch(origin + path, { method, headers: { Cookie: pairs.join('; '), 'X-CSRFToken': csrf, ...(body && { 'Content-Type': 'application/json' }) }, body });
  return {
    endOthers: async () => assert.equal((await call('DELETE', '/auth/sessions')).status, 200),
    signedIn: async () => (await (await call('GET', '/auth/session')).json()).authenticated,
    note: async () => (await (await call('GET', '/api/note')).json()).note,
    write: async (note) => assert.equal((await call('PUT', '/api/note', JSON.stringify({ note }))).status, 200),
  };
}

/** What a screen reader hears of how things went. */
const heard = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();
const focused = (page) => page.evaluate(() => document.activeElement?.getAttribute('name') ?? document.activeElement?.textContent);

/** Nothing that axe-core knows to be wrong, in both colour schemes. */
async function accessible(page, where) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.evaluate(axe.default.source);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    assert.deepEqual(
      violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`),
      [],
      `${where}, ${colorScheme}`,
    );
  }
}

for (const name of applications) {
  describe(`the application in ${name}`, { skip }, () => {
    if (lacking) return;

    test('a deep link leads through the form to sign in and back to itself, by the keyboard alone', async (t) => {
      const site = await start(t, name);
      const page = await open(await openContext(t), site, '/sessions');
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      assert.equal(new URL(page.url()).searchParams.get('next'), '/sessions');
      await page.keyboard.press('Tab');
      if ((await focused(page)) !== 'username') await page.getByLabel('Name').focus();
      await page.keyboard.type(site.username);
      await page.keyboard.press('Tab');
      await page.keyboard.type('wrong');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').filter({ hasText: 'not right' }).waitFor();
      assert.equal(await focused(page), 'password');
      await accessible(page, 'the form to sign in, with a problem');
      await page.keyboard.type(site.password);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Where you are signed in' }).waitFor();
      assert.equal(new URL(page.url()).pathname, '/sessions');
      assert.equal(await focused(page), 'Where you are signed in');
      assert.match(await page.title(), /^Sessions/);
    });

    test('an address that leads elsewhere does not', async (t) => {
      const site = await start(t, name);
      const context = await openContext(t);
      for (const next of ['//evil.example/', '/.//evil.example/', 'https://evil.example/']) {
        const page = await open(context, site, '/sign-in?next=' + encodeURIComponent(next));
        if (next.startsWith('//')) await signIn(page, site); // whoever is signed in already is sent on at once
        else await page.getByRole('heading', { name: 'Your note' }).waitFor();
        assert.equal(page.url(), site.origin + '/');
      }
    });

    test('whoever is signed in never sees the form, however late the server answers', async (t) => {
      const site = await start(t, name);
      const context = await openContext(t);
      await signIn(await open(context, site), site);
      const page = await context.newPage();
      let answer;
      const asked = new Promise((resolve) => page.route('**/auth/session', (route) => resolve((answer = () => route.continue()))));
      await page.addInitScript(() => {
        window.shown = '';
        new MutationObserver(() => (window.shown += document.body?.innerText ?? '')).observe(document, { childList: true, subtree: true });
      });
      await page.goto(site.origin + '/');
      await asked;
      await page.getByText('One moment').waitFor();
      await answer();
      await page.getByRole('heading', { name: 'Your note' }).waitFor();
      assert.doesNotMatch(await page.evaluate(() => window.shown), /Password/);
    });

    test('a note that is saved when the session has ended is saved after signing in in place', async (t) => {
      const site = await start(t, name);
      const page = await open(await openContext(t), site);
      await signIn(page, site);
      const text = page.getByLabel('Text');
      await page.waitForFunction(() => !document.querySelector('textarea').readOnly);
      await text.fill('half a thought');
      const phone = await device(site);
      await phone.endOthers();
      await page.getByRole('button', { name: 'Save' }).focus();
      await page.keyboard.press('Enter');
      await page.getByRole('dialog', { name: 'Sign in again' }).waitFor();
      assert.equal(await focused(page), 'password');
      assert.equal(await text.inputValue(), 'half a thought');
      assert.equal(await phone.note(), '');
      await accessible(page, 'the dialog to sign in again');
      // Chromium closes a dialog at the third Escape at the latest, whatever the page says of it.
      for (let i = 0; i < 4; i += 1) await page.keyboard.press('Escape');
      await page.getByRole('dialog', { name: 'Sign in again' }).waitFor();
      await page.keyboard.type(site.password);
      await page.keyboard.press('Enter');
      await heard(page, 'Saved.');
      assert.equal(await page.getByRole('dialog').count(), 0);
      assert.equal(await focused(page), 'Save');
      assert.equal(await phone.note(), 'half a thought');
      await page.reload();
      await page.waitForFunction(() => document.querySelector('textarea')?.value === 'half a thought');
      await accessible(page, 'the note');
    });

    test('a note that could not be had is not overwritten', async (t) => {
      const site = await start(t, name);
      const phone = await device(site);
      await phone.write('kept');
      const page = await (await openContext(t)).newPage();
      const sent = [];
      await page.route('**/api/note', (route) => {
        sent.push(route.request().method());
        return route.request().method() === 'GET' ? route.fulfill({ status: 502 }) : route.continue();
      });
      await page.goto(site.origin);
      await signIn(page, site);
      await heard(page, 'The note cannot be had right now.');
      await page.getByRole('button', { name: 'Save' }).focus();
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Sign out' }).click(); // goes out after what Enter has sent
      await heard(page, 'You are signed out.');
      assert.ok(!sent.includes('PUT'), 'what was never loaded was saved');
      assert.equal(await phone.note(), 'kept');
    });

    test('whoever leaves instead of signing in again sends nothing', async (t) => {
      const site = await start(t, name);
      const page = await open(await openContext(t), site);
      await signIn(page, site);
      await page.waitForFunction(() => !document.querySelector('textarea').readOnly);
      await page.getByLabel('Text').fill('better not');
      const phone = await device(site);
      await phone.endOthers();
      await page.getByRole('button', { name: 'Save' }).click();
      await page.getByRole('button', { name: 'Leave instead' }).click();
      await page.getByRole('heading', { name: 'Sign in', exact: true }).waitFor();
      assert.equal(await page.getByRole('dialog').count(), 0);
      assert.equal(await phone.note(), '');
    });

    test('sessions are listed, named and ended', async (t) => {
      const site = await start(t, name);
      const page = await open(await openContext(t), site, '/sessions');
      await signIn(page, site);
      const [one, two, three] = [await device(site), await device(site), await device(site)];
      await page.reload();
      const items = page.getByRole('listitem');
      await items.nth(3).waitFor();
      const own = items.filter({ hasText: 'this one' });
      await own.getByLabel('Name', { exact: true }).fill('the desk');
      await own.getByRole('button', { name: /^Name / }).click();
      await heard(page, 'The session is called the desk now.');
      await own.getByText('the desk').waitFor();
      await accessible(page, 'the sessions');
      await page.getByRole('button', { name: 'End phone' }).first().click();
      await heard(page, 'The session has ended.');
      await items.nth(3).waitFor({ state: 'detached' });
      const living = async () => (await Promise.all([one, two, three].map((phone) => phone.signedIn()))).filter(Boolean).length;
      assert.equal(await living(), 2);
      await page.getByRole('button', { name: 'End all others' }).click();
      await heard(page, 'All other sessions have ended.');
      await page.getByRole('button', { name: 'End all others' }).waitFor({ state: 'detached' });
      assert.equal(await items.count(), 1);
      assert.equal(await living(), 0);
    });

    test('a warning comes before the session goes idle, and staying takes it away in all tabs', async (t) => {
      const site = await start(t, name, 'session: {idle: 71s}\n'); // a minute, and the grace, within which a new token is not renewed
      const context = await openContext(t);
      const page = await open(context, site);
      await signIn(page, site);
      const other = await open(context, site);
      const warning = (tab) => tab.getByRole('alert').filter({ hasText: 'Your session ends at' });
      await Promise.all([warning(page).waitFor(), warning(other).waitFor()]);
      await accessible(page, 'the warning');
      const told = await Promise.all([page, other].map((tab) => warning(tab).textContent()));
      await page.getByRole('button', { name: 'Stay signed in' }).click();
      await heard(page, 'You stay signed in.');
      // Another one comes some seconds later, with another time in it: on a slow machine there is no moment without.
      const gone = (text) => [...document.querySelectorAll('[role=alert]')].every((alert) => alert.textContent !== text);
      await Promise.all([page, other].map((tab, i) => tab.waitForFunction(gone, told[i])));
    });

    test('signing in and out in one tab is signing in and out in the other', async (t) => {
      const site = await start(t, name);
      const context = await openContext(t);
      const [one, two] = [await open(context, site), await open(context, site, '/sessions')];
      await two.getByRole('heading', { name: 'Sign in' }).waitFor();
      await signIn(one, site);
      await two.getByRole('heading', { name: 'Where you are signed in' }).waitFor();
      await two.getByRole('button', { name: 'Sign out' }).click();
      await one.getByRole('heading', { name: 'Sign in' }).waitFor();
      await heard(two, 'You are signed out.');
      assert.equal(await one.getByLabel('Text').count(), 0);
      await one.goBack().catch(() => {}); // there may be nothing to go back to
      assert.equal(await one.getByLabel('Text').count(), 0);
      await settle(context);
    });

    test('what was said to one user is not said to the next', async (t) => {
      const site = await start(t, name, '', { users: ['ada', 'bob'] });
      const context = await openContext(t);
      const page = await open(context, site);
      await signIn(page, site);
      await page.waitForFunction(() => !document.querySelector('textarea').readOnly);
      await page.getByRole('button', { name: 'Save' }).click();
      await heard(page, 'Saved.');
      const said = () => page.locator('[role=status]').textContent(); // by its role nothing is found that is empty
      const other = await open(context, site);
      await other.getByRole('button', { name: 'Sign out' }).click();
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      assert.equal(await said(), '');
      await signIn(other, { ...site, username: 'bob' });
      await page.getByText('bob', { exact: true }).waitFor();
      await page.getByRole('heading', { name: 'Your note' }).waitFor();
      assert.equal(await said(), '');
    });
  });
}

describe('both applications', { skip }, () => {
  if (lacking) return;

  test('have run under the policy, without an error and without a token in reach of script', () => {
    assert.ok(record.saw.length > 0 && record.secrets.size > 0);
    for (const { what, text } of record.saw) {
      if (what === 'console') assert.doesNotMatch(text, /Content Security Policy/);
      assert.notEqual(what, 'error', text);
      for (const [secret, cookie] of record.secrets) {
        if (secret.length > 20) assert.ok(!text.includes(secret), `${cookie} was within reach of script: ${what}`);
      }
    }
  });

  // Each is whole, so that it can be read and copied alone: what they have in common is there twice, and the same.
  for (const file of ['src/app.css', 'src/auth.ts', 'src/explain.ts', 'src/returnPath.ts', 'public/mark.svg', 'index.html', 'tokenjar.yaml']) {
    test(`have the same ${file}`, () => {
      const [one, two] = applications.map((name) => readFileSync(join(repository, 'examples', `spa-${name}`, file), 'utf8'));
      assert.equal(one.replace('main.tsx', 'main.ts'), two);
    });
  }
});
