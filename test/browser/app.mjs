// An application as its developers deploy it: pages from the binary, their API behind it, and a front between browser and
// binary that counts and fails requests.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { startFront } from './front.mjs';
import { openContext, startServe } from './harness.mjs';
import { startService } from './service.mjs';

/**
 * Starts service, binary and front. files are the application: path → text. session and settings are lines of
 * tokenjar.yaml; transparent renewal is off, so that nobody but the page renews.
 */
export async function startApp(t, { files, session = 'transparent_renewal: false', settings = '', tls = false, ...options }) {
  const service = await startService(t);
  const front = await startFront(t, { tls });
  const server = await startServe(
    t,
    `public_url: ${front.origin}
spa: {dir: ${JSON.stringify(folderOf(t, files))}}
session: {${session}}
limits: {login_per_account: 1000/m, login_per_address: 1000/m}
routes:
  - {path: /api/, upstream: ${JSON.stringify(service.url)}, audience: orders}
${settings}`,
    { accessLifetime: '300s', ...options },
  );
  front.lead(server.address);
  return { service, front, server };
}

/** The same, and a browser profile. open() opens a page of the application and waits until its script has run. */
export async function visit(t, { context: contextOptions, ...options }) {
  const app = await startApp(t, options);
  const context = await openContext(t, { ignoreHTTPSErrors: Boolean(options.tls), ...contextOptions });
  context.setDefaultTimeout(30_000); // several tabs at once, on a machine that has other work
  const open = async (path = '/') => {
    const page = await context.newPage();
    await page.goto(new URL(path, app.front.origin).href);
    await page.waitForFunction(() => window.ready);
    return page;
  };
  return { ...app, context, open };
}

/** Takes the access cookie away, as its Max-Age does. The session goes on. */
export const expire = (context) => context.clearCookies({ name: /^(__Host-)?access_token$/ });

/** The values of the cookies by name. */
export async function jar(context) {
  return Object.fromEntries((await context.cookies()).map(({ name, value }) => [name, value]));
}

/** A folder with these files, for as long as the test runs. */
export function folderOf(t, files) {
  const folder = mkdtempSync(join(tmpdir(), 'tokenjar-app-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}
