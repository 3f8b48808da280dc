// What stands between browser and binary in these tests: a proxy that keeps a record of every request, and that loses,
// cuts, holds or refuses answers where a test says so.
//
// A browser whose request dies on a connection that was used before sends it again by itself, even a POST, so that the page
// would not see that an answer is lost. So a connection carries one request, but for the files that a page begins with.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, createServer, request as send } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Starts it on http://localhost, or on https://localhost with a certificate that nobody trusts. Give origin to the server
 * as its public_url, and the server's address to lead.
 */
export async function startFront(t, { tls = false } = {}) {
  const front = new Front();
  const answer = (request, response) => front.answer(request, response);
  const server = tls ? createSecureServer(certificate(t), answer) : createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const rule of front.rules) rule.release?.();
    front.agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  front.drop = () => server.closeIdleConnections();
  front.origin = `${tls ? 'https' : 'http'}://localhost:${server.address().port}`;
  return front;
}

class Front {
  /** Every request in the order of arrival: { method, path, at, headers, status, fault }. status is the server's answer. */
  requests = [];
  rules = [];
  agent = new Agent({ keepAlive: true });
  watchers = new Set();

  /** Says where the server is, as http://127.0.0.1:8080. */
  lead(address) {
    this.address = address;
  }

  /** The requests for a path, the newest last. What a browser asks before a request of another origin is none. */
  seen(path) {
    return this.requests.filter((request) => request.method !== 'OPTIONS' && request.path.split('?')[0] === path);
  }

  /** Resolves when n requests for a path have come. */
  async until(path, n) {
    while (this.seen(path).length < n) await new Promise((resolve) => this.watchers.add(resolve));
  }

  /** Loses the next answers for a path: the server has given them, the browser gets none. */
  lose(path, times = 1) {
    return this.rule({ fault: 'lost', path, times });
  }

  /** Sends the head and half of the body of the next answers for a path, and no more. */
  cut(path, times = 1) {
    return this.rule({ fault: 'cut', path, times });
  }

  /** Answers 503 in place of the server, as it does while its store is down. */
  refuse(path, times = 1) {
    return this.rule({ fault: 'refused', path, times });
  }

  /** Keeps the next answers for a path until release is called; arrived resolves when the server has given the first. */
  hold(path, times = 1) {
    const rule = this.rule({ fault: 'held', path, times });
    rule.released = new Promise((resolve) => (rule.release = resolve));
    rule.arrived = new Promise((resolve) => (rule.arrive = resolve));
    return rule;
  }

  /** Takes all faults back. What is held is let go. */
  mend() {
    for (const rule of this.rules) rule.release?.();
    this.rules = [];
  }

  rule(rule) {
    this.drop();
    this.rules.push(rule);
    return rule;
  }

  async answer(request, response) {
    const path = request.url.split('?')[0];
    const rule = request.method === 'OPTIONS' ? undefined : this.rules.find((one) => one.path === path && one.times > 0);
    if (rule) rule.times -= 1;
    const seen = { method: request.method, path: request.url, at: performance.now(), headers: request.headers, status: 0, fault: rule?.fault ?? null };
    this.requests.push(seen);
    for (const wake of this.watchers) wake();
    this.watchers.clear();
    if (rule?.fault === 'refused') {
      request.resume();
      return unavailable(response, request.headers.origin);
    }
    let answer;
    try {
      answer = await this.ask(request);
    } catch {
      return response.destroy(); // the server is gone, or the browser is
    }
    seen.status = answer.status;
    if (rule?.fault === 'held') {
      rule.arrive();
      await rule.released;
    }
    if (rule?.fault === 'lost') return response.destroy();
    response.writeHead(answer.status, path.startsWith('/assets/') ? answer.headers : { ...answer.headers, Connection: 'close' });
    if (rule?.fault !== 'cut') return response.end(answer.body);
    response.write(answer.body.subarray(0, answer.body.length / 2), () => response.destroy());
  }

  /** The server's whole answer. It is complete before any of it is lost, and so is what the server did. */
  async ask(request) {
    const { connection: _, ...headers } = request.headers;
    const onward = send(this.address + request.url, { method: request.method, headers, agent: this.agent });
    onward.on('error', () => {}); // once() below tells it while it matters
    request.pipe(onward);
    const [answer] = await once(onward, 'response');
    const body = Buffer.concat(await answer.toArray());
    const { connection: __, 'keep-alive': ___, 'transfer-encoding': ____, ...kept } = answer.headers;
    return { status: answer.statusCode, headers: kept, body };
  }
}

function unavailable(response, origin) {
  const cors = origin ? { 'Access-Control-Allow-Origin': origin, 'Access-Control-Allow-Credentials': 'true' } : {};
  response.writeHead(503, {
    'Content-Type': 'application/problem+json',
    'Retry-After': '1',
    'X-Tokenjar-Problem': 'store_unavailable',
    Connection: 'close',
    ...cors,
  });
  response.end(JSON.stringify({ title: 'Service Unavailable', status: 503, code: 'store_unavailable', action: 'retry', request_id: 'front' }));
}

/** Why there can be no https here, as a sentence, or ''. */
export const missingTLS = spawnSync('openssl', ['version']).status === 0 ? '' : 'openssl is not installed';

function certificate(t) {
  const folder = mkdtempSync(join(tmpdir(), 'tokenjar-tls-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert],
  ]);
  if (made.status !== 0) throw new Error(`openssl req: ${made.stderr}`);
  return { key: readFileSync(key), cert: readFileSync(cert) };
}
