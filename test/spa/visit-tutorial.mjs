// Does in a real browser what docs/tutorial/spa.md says to try: node visit-tutorial.mjs URL. Ends with 0 when all of it is so, and
// with 3 and a sentence when there is no browser to try it in.

import assert from 'node:assert/strict';

import { cleanUp, missing, openContext } from '../browser/harness.mjs';

if (missing) {
  console.error(missing);
  process.exit(3);
}
const [, , url] = process.argv;
const later = [];
const context = await openContext({ after: (end) => later.push(end) });
try {
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(url);
  const signIn = async (password) => {
    await page.getByLabel('Name').fill('ada');
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
  };
  await signIn('not-the-password');
  await page.getByRole('alert').filter({ hasText: /\w/ }).waitFor();
  await signIn('umbrella-kettle-92');
  await page.getByRole('heading', { name: 'Hello ada' }).waitFor();
  await page.getByRole('listitem').filter({ hasText: 'Chrome' }).waitFor();

  await page.reload();
  await page.getByRole('heading', { name: 'Hello ada' }).waitFor();
  const cookies = new Map((await context.cookies()).map((cookie) => [cookie.name, cookie.httpOnly]));
  assert.deepEqual([cookies.get('access_token'), cookies.get('refresh_token'), cookies.get('csrftoken')], [true, true, false]);
  assert.doesNotMatch(await page.evaluate(() => document.cookie), /access_token|refresh_token/);

  const other = await context.newPage();
  await other.goto(url);
  await other.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  // The browser itself reports the refused password; nothing else may be wrong.
  assert.deepEqual(complaints.filter((text) => !/status of 401/.test(text)), []);
} finally {
  for (const end of later.reverse()) await end();
  await cleanUp();
}
