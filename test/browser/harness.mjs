// What the browser tests stand on: the real binary, a real browser, a hostile neighbour, and a record of everything that
// script could see during the whole run.

import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const playwright = await import('playwright-core').catch(() => null);
const chromium = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable']
  .filter(Boolean)
  .find((path) => existsSync(path));

/** Why the tests cannot run here, as a sentence, or ''. */
export const missing = !playwright
  ? 'playwright-core is not installed: run npm ci in test/browser'
  : !chromium
    ? 'no Chromium was found: install it or set CHROMIUM to its path'
    : '';

/** With TOKENJAR_REQUIRE_ALL=1 nothing may be skipped: what is missing is a failure. */
export const required = process.env.TOKENJAR_REQUIRE_ALL === '1';

// ---------------------------------------------------------------------------------------------------------------------
// The binary
// ---------------------------------------------------------------------------------------------------------------------

const scratch = mkdtempSync(join(tmpdir(), 'tokenjar-browser-'));
let building;

/** The binary under test: TOKENJAR_BIN, or one built from this tree, once. */
function binary() {
  building ??= (async () => {
    if (process.env.TOKENJAR_BIN) return process.env.TOKENJAR_BIN;
    const out = join(scratch, 'tokenjar');
    const build = spawn('go', ['build', '-o', out, './cmd/tokenjar'], { cwd: repository, stdio: 'inherit' });
    const [code] = await once(build, 'exit');
    if (code !== 0) throw new Error(`go build ./cmd/tokenjar: exit code ${code}`);
    return out;
  })();
  return building;
}

/**
 * Starts `tokenjar demo` with an access token of a few seconds and stops it when the test ends.
 *
 * Every test has its own: its own user, its own sessions, its own limits.
 */
export async function startDemo(t, { accessLifetime = '4s' } = {}) {
  const child = spawn(await binary(), ['demo', '--listen', '127.0.0.1:0', '--access-lifetime', accessLifetime], {
    cwd: scratch,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  const exit = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`tokenjar demo ended (${code ?? signal}) before it was ready:\n${output}${log}`);
  });
  exit.catch(() => {}); // the end that we asked for is no error
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const hard = setTimeout(() => child.kill('SIGKILL'), 5000);
    await once(child, 'exit');
    clearTimeout(hard);
  });
  const ready = new Promise((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      const origin = /http:\/\/localhost:\d+/.exec(output)?.[0];
      const username = /^\s*user(?:name)?\s*:?\s+(\S+)\s*$/im.exec(output)?.[1];
      const password = /^\s*password\s*:?\s+(\S+)\s*$/im.exec(output)?.[1];
      if (origin && username && password) resolve({ origin, username, password });
    });
  });
  const demo = await Promise.race([ready, exit]);
  await Promise.race([answers(`${demo.origin}/auth/session`), exit]);
  return demo;
}

/**
 * Starts `tokenjar serve` in a folder of its own with its users, and stops it when the test ends. settings are lines of
 * tokenjar.yaml beside those that make it a test. origin is what browsers know it by, address where it listens.
 */
export async function startServe(t, settings, { accessLifetime = '4s', users = ['ada'] } = {}) {
  const folder = mkdtempSync(join(scratch, 'serve-'));
  const password = 'correct horse battery staple';
  writeFileSync(join(folder, 'tokenjar.secret'), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'tokenjar.yaml'), `listen: 127.0.0.1:0\ntoken: {access_lifetime: ${accessLifetime}}\n${settings}`);
  const run = async (...args) => spawn(await binary(), args, { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] });
  for (const name of users) {
    const create = await run('users', 'create', name, '--email', `${name}@example.com`, '--password-stdin');
    let complaint = '';
    create.stderr.setEncoding('utf8').on('data', (text) => (complaint += text));
    create.stdin.on('error', () => {}); // it may be gone by then: the exit code says so
    create.stdin.end(`${password}\n`);
    const [code] = await once(create, 'exit');
    if (code !== 0) throw new Error(`users create: exit code ${code}: ${complaint}`);
  }
  const child = await run('serve');
  let output = '';
  const log = [];
  child.stderr.setEncoding('utf8').on('data', (text) => log.push(text));
  const exit = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`tokenjar serve ended (${code ?? signal}) before it was ready:\n${output}${log.join('')}`);
  });
  exit.catch(() => {}); // the end that we asked for is no error
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const hard = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await once(child, 'exit');
    clearTimeout(hard);
  });
  const ready = new Promise((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      const [, origin, at] = /serves (\S+) \(listening on (\S+)\)/.exec(output) ?? [];
      if (origin) resolve({ origin, address: `http://${at}` });
    });
  });
  const { origin, address } = await Promise.race([ready, exit]);
  await Promise.race([answers(`${address}/readyz`), exit]);
  return { origin, address, folder, username: users[0], password };
}

async function answers(url) {
  for (;;) {
    const response = await fetch(url).catch(() => null);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The browser
// ---------------------------------------------------------------------------------------------------------------------

const browsers = new Map();

/**
 * A browser shared by the tests. backForwardCache starts one that keeps left pages alive, as browsers of people do;
 * ownProcesses one whose tabs can die or stand still alone.
 */
function browser({ backForwardCache = false, ownProcesses = false } = {}) {
  const kind = `${backForwardCache} ${ownProcesses}`;
  if (!browsers.has(kind)) {
    browsers.set(
      kind,
      playwright.chromium.launch({
        executablePath: chromium,
        headless: true,
        args: [
          '--no-sandbox',
          '--disable-gpu',
          '--disable-quic',
          '--no-first-run',
          '--disable-background-networking',
          '--disable-component-update',
          '--disable-sync',
          ...(ownProcesses ? [] : ['--renderer-process-limit=3']), // a process per tab is most of what these tests cost
        ],
        ignoreDefaultArgs: backForwardCache ? ['--disable-back-forward-cache'] : [],
      }),
    );
  }
  return browsers.get(kind);
}

export async function cleanUp() {
  for (const one of browsers.values()) await (await one).close();
  rmSync(scratch, { recursive: true, force: true });
}

/** Opens a fresh profile, watched by the record below unless it is to be measured, and closes it when the test ends. */
export async function openContext(t, { backForwardCache, ownProcesses, watched = true, ...options } = {}) {
  const context = await (await browser({ backForwardCache, ownProcesses })).newContext({
    locale: 'en-GB',
    timezoneId: 'UTC',
    reducedMotion: 'reduce', // a jar that sways in a dozen tabs costs more than the tests
    ...options,
  });
  context.setDefaultTimeout(30_000); // a machine may have other work; nothing that is so is waited for longer
  t.after(async () => {
    if (watched) await settle(context);
    await context.close();
  });
  if (watched) await watch(context);
  return context;
}

// ---------------------------------------------------------------------------------------------------------------------
// The record: what script saw, and what it must never see
// ---------------------------------------------------------------------------------------------------------------------

export const csrfCookie = 'csrftoken';

export const record = {
  saw: [], // { what, text }: everything within reach of script
  secrets: new Map(), // cookie value → cookie name, the CSRF cookie excepted
  pending: new Set(),
};

function keep(promise) {
  const one = promise.catch(() => {}).finally(() => record.pending.delete(one)); // a page that closed has no more to say
  record.pending.add(one);
}

function secret(name, value) {
  if (value && name !== csrfCookie) record.secrets.set(value, name);
}

async function watch(context) {
  await context.exposeBinding('__saw', (_, what, text) => {
    record.saw.push({ what, text });
  });
  await context.addInitScript(spy);
  context.on('console', (message) => record.saw.push({ what: 'console', text: message.text() }));
  context.on('weberror', (error) => record.saw.push({ what: 'error', text: String(error.error()) }));
  context.on('request', (request) => {
    record.saw.push({ what: 'url', text: request.url() });
    const { cookie: _, ...headers } = request.headers(); // the browser's part, which script never sees
    record.saw.push({ what: 'request', text: `${JSON.stringify(headers)} ${request.postData() ?? ''}` });
  });
  context.on('response', (response) => {
    keep(
      response.headersArray().then((headers) => {
        for (const { name, value } of headers) {
          if (name.toLowerCase() !== 'set-cookie') continue;
          // The driver joins several of one name by line breaks in some versions.
          for (const line of value.split('\n')) {
            const [, cookie, text] = /^([^=;]+)=([^;]*)/.exec(line) ?? [];
            if (cookie) secret(cookie.trim(), text);
          }
        }
      }),
    );
  });
}

/** Notes the cookies of the moment and all that the open pages hold. */
export async function settle(context) {
  for (const cookie of await context.cookies()) secret(cookie.name, cookie.value);
  for (const page of context.pages()) {
    keep(page.content().then((text) => record.saw.push({ what: 'document', text })));
    keep(
      page
        .evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }, location.href, window.name, history.state]))
        .then((text) => record.saw.push({ what: 'storage', text })),
    );
  }
  // The driver may never tell the headers of an answer whose page was left at that moment.
  await Promise.race([Promise.all(record.pending), new Promise((resolve) => setTimeout(resolve, 3000).unref())]);
}

/** Runs in every page before its scripts: whatever they can read is reported before they read it. */
function spy() {
  const saw = (what, text) => window.__saw?.(what, String(text));
  const wrap = (response) => async () => {
    await saw('headers', JSON.stringify([...response.headers]));
    await saw('body', `${response.url} ${await response.clone().text()}`);
    return response;
  };

  const realFetch = window.fetch;
  window.fetch = async (...args) => {
    const response = await realFetch.apply(window, args);
    return response.type === 'opaque' ? response : wrap(response)();
  };

  const realSend = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function send(...args) {
    this.addEventListener('loadend', () => saw('xhr', `${this.getAllResponseHeaders()} ${this.responseText}`));
    return realSend.apply(this, args);
  };

  const cookie = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie');
  let last;
  Object.defineProperty(Document.prototype, 'cookie', {
    ...cookie,
    get() {
      const text = cookie.get.call(this);
      if (text !== last) saw('document.cookie', text);
      last = text;
      return text;
    },
  });

  for (const storage of [localStorageOrNull(), sessionStorageOrNull()]) {
    if (storage && storage.length > 0) saw('storage', JSON.stringify({ ...storage }));
  }
  const realSet = Storage.prototype.setItem;
  Storage.prototype.setItem = function setItem(key, value) {
    saw('storage', `${key} ${value}`);
    return realSet.call(this, key, value);
  };

  const realPost = BroadcastChannel.prototype.postMessage;
  BroadcastChannel.prototype.postMessage = function postMessage(message) {
    saw('broadcast', JSON.stringify(message));
    return realPost.call(this, message);
  };

  function localStorageOrNull() {
    try {
      return localStorage;
    } catch {
      return null; // a sandboxed frame has none
    }
  }
  function sessionStorageOrNull() {
    try {
      return sessionStorage;
    } catch {
      return null;
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The neighbour
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Starts another web server on this machine. Its page holds a form that posts to target.
 *
 * As crossSite (http://127.0.0.1) it is another site than http://localhost; as sameSite (http://localhost, another
 * port) it is the same site, so that the browser does send it our SameSite=Lax cookies.
 */
export async function startNeighbour(t, target) {
  const pages = {
    '/': `<!doctype html><title>neighbour</title><form method="post" action="${target}/auth/logout"><button>Win a prize</button></form>`,
    '/frame': `<!doctype html><title>frame</title><iframe src="${target}/"></iframe>`,
    '/sandbox': '<!doctype html><title>sandbox</title><iframe sandbox="allow-scripts allow-forms" src="/"></iframe>',
  };
  const origins = []; // the Origin header of every POST it got itself
  const server = createServer((request, response) => {
    if (request.method === 'POST') origins.push(request.headers.origin);
    const page = pages[request.url];
    response.writeHead(page ? 200 : 404, { 'Content-Type': 'text/html; charset=utf-8' });
    response.end(page ?? '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address();
  return { crossSite: `http://127.0.0.1:${port}`, sameSite: `http://localhost:${port}`, origins };
}

// ---------------------------------------------------------------------------------------------------------------------
// The screenshot's age
// ---------------------------------------------------------------------------------------------------------------------

/** One hash over the names and bytes of all files that make the look of the page: all but the client, which draws nothing. */
export function pageHash() {
  const directory = join(repository, 'internal', 'ui', 'assets');
  const hash = createHash('sha256');
  for (const name of readdirSync(directory).sort()) {
    if (name === 'client.js') continue;
    const bytes = readFileSync(join(directory, name));
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}
