// A visitor of tokenjar demo, and what has to be true of all that its tests saw.
//
// Every test starts its own server and its own browser profile. Nothing waits for a time to pass; everything waits for
// something to be so.

import assert from 'node:assert/strict';
import { describe, test as nodeTest } from 'node:test';

import { csrfCookie, missing, openContext, record, required, startDemo } from './harness.mjs';

/** A test that hangs fails, and says which one it was. */
export const test = (name, ...rest) => {
  const body = rest.pop();
  nodeTest(name, { timeout: 90_000, ...rest[0] }, body);
};

export const signedIn = '#view-in:not([hidden])';
export const signedOut = '#view-out:not([hidden])';

/** Opens a demo, a profile and the page. */
export async function visit(t, { demoOptions, ...contextOptions } = {}) {
  const demo = await startDemo(t, demoOptions);
  const context = await openContext(t, contextOptions);
  const page = await context.newPage();
  await page.goto(demo.origin);
  return { demo, context, page };
}

export async function signIn(page, demo) {
  await page.waitForSelector(signedOut);
  await page.fill('#identity', demo.username);
  await page.fill('#password', demo.password);
  await page.click('#sign-in-button');
  await page.waitForSelector(signedIn);
  await page.waitForSelector('.session');
}

export async function visitSignedIn(t, options) {
  const visitor = await visit(t, options);
  await signIn(visitor.page, visitor.demo);
  return visitor;
}

/** What the API answers to this browser, seen by script of our own page. */
export function ask(page, path) {
  return page.evaluate(async (url) => {
    const response = await fetch(url);
    return { status: response.status, problem: response.headers.get('X-Tokenjar-Problem') };
  }, path);
}

export const sessionCookies = (cookies) => cookies.filter((cookie) => cookie.name !== csrfCookie);

export const skip = missing && !required ? missing : false;
if (missing && required) {
  test('browser tests can run', () => assert.fail(missing));
}

/** The last tests of a file: promise 1, held against all that its tests saw, of which the least number of cookies says that it was much. */
export function wholeRun(cookies) {
  describe('the whole run', { skip }, () => {
    if (missing) return;

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
      assert.ok(record.secrets.size > cookies, `${record.secrets.size} cookie values were collected`);
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
  });
}
