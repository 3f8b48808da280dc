// Firefox and WebKit behind one small face: tabs that go somewhere, run script and go back.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';

const puppeteer = await import('puppeteer-core').then((module) => module.default).catch(() => null);
const first = (...paths) => paths.filter(Boolean).find((path) => existsSync(path));
const firefox = first(process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox');
const webkitDriver = first(process.env.WEBKIT_DRIVER, '/usr/bin/WebKitWebDriver');
const xvfb = first('/usr/bin/xvfb-run');

/** The browsers by name: why each cannot run here, as a sentence, or '', and how it is started. */
export const browsers = {
  firefox: {
    missing: !puppeteer ? 'puppeteer-core is not installed: run npm ci in test/browsers' : !firefox ? 'no Firefox was found: install firefox-esr' : '',
    start: startFirefox,
  },
  webkit: {
    missing: !webkitDriver
      ? 'no WebKitWebDriver was found: install webkit2gtk-driver'
      : !process.env.DISPLAY && !xvfb
        ? 'there is no display: install xvfb and xauth'
        : '',
    start: startWebKit,
  },
};

// Windows: each tab has one of its own. Of the tabs of one window all but one are hidden, and a hidden page asks the server nothing.

/** Firefox over WebDriver BiDi. */
async function startFirefox() {
  const browser = await puppeteer.launch({ browser: 'firefox', executablePath: firefox, headless: true, acceptInsecureCerts: true });
  return {
    version: await browser.version(),
    async newTab() {
      const page = await browser.newPage({ type: 'window' });
      return {
        goto: (url) => page.goto(url),
        evaluate: (body, ...args) => page.evaluate(body, ...args),
        back: () => page.evaluate(() => setTimeout(() => history.back())).then(() => {}), // a kept page tells the driver of no navigation
        close: () => page.close(),
      };
    },
    async clearCookie(name) {
      for (const cookie of await browser.cookies()) if (cookie.name === name) await browser.deleteCookie(cookie);
    },
    clearCookies: async () => browser.deleteCookie(...(await browser.cookies())),
    cookies: async () => (await browser.cookies()).map(({ name, value, httpOnly, secure, sameSite }) => ({ name, value, httpOnly, secure, sameSite })),
    close: () => browser.close(),
  };
}

/** WebKit over W3C WebDriver. The protocol knows one tab at a time: every command says first which one it is for. */
async function startWebKit() {
  const port = await freePort();
  const command = [webkitDriver, `--port=${port}`, '--host=127.0.0.1'];
  if (!process.env.DISPLAY) command.unshift(xvfb, '-a');
  const driver = spawn(command[0], command.slice(1), {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true, // a group of its own, to be ended with all that it started
    env: {
      ...process.env,
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', // the sandbox needs rights that containers do not have
      WEBKIT_DISABLE_DMABUF_RENDERER: '1', // and the renderer a graphics device
      LIBGL_ALWAYS_SOFTWARE: '1',
    },
  });
  let complaint = '';
  driver.stderr.setEncoding('utf8').on('data', (text) => (complaint += text));
  let ended = false;
  driver.once('exit', () => (ended = true));
  const orphan = () => process.kill(-driver.pid, 'SIGKILL'); // when the tests are ended from outside
  process.once('exit', orphan);
  process.once('SIGTERM', () => process.exit(143)); // a signal alone would not say 'exit'
  const stop = async () => {
    process.off('exit', orphan);
    process.kill(-driver.pid, 'SIGTERM');
    if (!ended) await once(driver, 'exit');
    driver.stderr.destroy(); // whoever is left of the group must not keep us
  };
  const call = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  };
  while (!(await call('GET', '/status').catch(() => null))) {
    if (ended) throw new Error(`WebKitWebDriver ended: ${complaint}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  let created;
  try {
    created = await call('POST', '/session', { capabilities: { alwaysMatch: { acceptInsecureCerts: true } } });
    await call('POST', `/session/${created.sessionId}/timeouts`, { script: 60_000 });
  } catch (error) {
    await stop();
    throw error;
  }
  const session = `/session/${created.sessionId}`;
  let turn = Promise.resolve();
  const inTab = (handle, work) => {
    const mine = turn.then(() => call('POST', `${session}/window`, { handle })).then(work);
    turn = mine.catch(() => {});
    return mine;
  };
  // The first tab stays as it is: with the last one the session would end. Cookies are those of a tab's page.
  const open = new Set();
  const base = (await call('GET', `${session}/window/handles`))[0];
  const anyTab = (work) => inTab([...open].at(-1), work);
  return {
    version: `${created.capabilities.browserName} ${created.capabilities.browserVersion}`,
    async newTab() {
      const { handle } = await inTab(base, () => call('POST', `${session}/window/new`, { type: 'window' }));
      open.add(handle);
      return {
        goto: (url) =>
          inTab(handle, async () => {
            await call('POST', `${session}/url`, { url });
            // It is answered too early when the page moves to another process.
            const there = { script: 'return [location.href, document.readyState].join(" ")', args: [] };
            while ((await call('POST', `${session}/execute/sync`, there).catch(() => '')) !== `${new URL(url).href} complete`) {
              await new Promise((resolve) => setTimeout(resolve, 20));
            }
          }),
        evaluate: (body, ...args) =>
          inTab(handle, async () => {
            const script = `const done = arguments[arguments.length - 1], args = [...arguments].slice(0, -1);
              Promise.resolve().then(() => (${body})(...args)).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
            const { value, error } = await call('POST', `${session}/execute/async`, { script, args });
            if (error) throw new Error(error);
            return value;
          }),
        back: () =>
          inTab(handle, async () => {
            const here = { script: 'return document.readyState === "complete" && location.href', args: [] };
            const before = await call('POST', `${session}/execute/sync`, here);
            await call('POST', `${session}/back`, {});
            // Script that is begun in a page that is being left is never answered: only short questions until then.
            while ([before, false].includes(await call('POST', `${session}/execute/sync`, here).catch(() => false))) {
              await new Promise((resolve) => setTimeout(resolve, 20));
            }
          }),
        close: () => {
          open.delete(handle);
          return inTab(handle, () => call('DELETE', `${session}/window`));
        },
      };
    },
    clearCookie: (name) => anyTab(() => call('DELETE', `${session}/cookie/${name}`)),
    clearCookies: () => anyTab(() => call('DELETE', `${session}/cookie`)),
    cookies: async () =>
      (await anyTab(() => call('GET', `${session}/cookie`))).map(({ name, value, httpOnly, secure, sameSite }) => ({ name, value, httpOnly, secure, sameSite })),
    async close() {
      await call('DELETE', session).catch(() => {});
      await stop();
    },
  };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
