// The figures of the client, measured: make browser-figures. How many refresh calls an expiry costs, and what a request waits
// longer when it meets an expired token.

import assert from 'node:assert/strict';

import { expire, jar } from './app.mjs';
import { missing, refresh, visit } from './client.mjs';
import { cleanUp } from './harness.mjs';

if (missing) throw new Error(missing);

/** Runs work with what tests have to clean up by, and cleans up. */
async function measured(work) {
  const undo = [];
  try {
    await work({ after: (one) => undo.unshift(one) });
  } finally {
    for (const one of undo) await one();
  }
}

const client = { grace: 0 };
const ways = [
  ['the page renews', 'transparent_renewal: false'],
  ['the server renews on the way', 'transparent_renewal: true'],
];

console.log('| an expired token meets | how | refresh calls | requests to the service |\n| --- | --- | --- | --- |');
for (const [how, session] of ways) {
  for (const [what, tabs, requests] of [
    ['1 tab, 1 request', 1, 1],
    ['1 tab, 50 parallel requests', 1, 50],
    ['5 tabs, 1 request each', 5, 1],
    ['5 tabs, 50 parallel requests each', 5, 50],
  ]) {
    await measured(async (t) => {
      const { front, service, context, pages } = await visit(t, { tabs, client, session });
      const calls = [];
      const sent = [];
      for (let round = 0; round < 5; round += 1) {
        await expire(context);
        const already = front.seen(refresh).length;
        const before = service.requests.length;
        const answers = await Promise.all(
          pages.map((page) => page.evaluate((n) => Promise.all(Array.from({ length: n }, () => window.ask())).then((all) => all.map(({ status }) => status)), requests)),
        );
        assert.ok(answers.flat().every((status) => status === 200), String(answers));
        calls.push(front.seen(refresh).length - already);
        sent.push(service.requests.length - before);
      }
      console.log(`| ${what} | ${how} | ${spread(calls)} | ${spread(sent)} |`);
    });
  }
}

console.log('\n| one request, milliseconds in the page | live token | expired token | added |\n| --- | --- | --- | --- |');
for (const [how, session] of ways) {
  await measured(async (t) => {
    const { context, page } = await visit(t, { client, session, context: { watched: false } });
    const time = () =>
      page.evaluate(async () => {
        const start = performance.now();
        const { status } = await window.ask();
        return { status, took: performance.now() - start };
      });
    const took = { live: [], expired: [], added: [] };
    for (let round = 0; round < 41; round += 1) {
      const live = await time();
      const { access_token: old } = await jar(context);
      await expire(context);
      const expired = await time();
      assert.deepEqual([live.status, expired.status], [200, 200]);
      assert.notEqual((await jar(context)).access_token, old);
      if (round === 0) continue; // the first of each opens what stays open
      took.live.push(live.took);
      took.expired.push(expired.took);
      took.added.push(expired.took - live.took);
    }
    console.log(`| ${how} | ${quartiles(took.live)} | ${quartiles(took.expired)} | ${quartiles(took.added)} |`);
  });
}
await cleanUp();

function spread(values) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? `${least}` : `${least} to ${most}`;
}

/** The median, and in brackets the quartiles. */
function quartiles(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))].toFixed(1);
  return `${at(0.5)} (${at(0.25)} to ${at(0.75)})`;
}
