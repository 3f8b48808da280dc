// Another origin of this machine: it serves the same page with the client, without the policy that the binary gives it, and
// takes whatever it is sent.

import { once } from 'node:events';
import { createServer } from 'node:http';

import { clientFiles, pathOf } from './client.mjs';

const types = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8' };

/** Starts it. page(options) is the address of the page; requests are all that came, as { method, url, headers }. */
export async function neighbour(t) {
  const files = clientFiles();
  const requests = [];
  const server = createServer((request, response) => {
    const { method, url, headers } = request;
    requests.push({ method, url, headers });
    const name = url.split('?')[0].slice(1) || 'index.html';
    // As inviting as can be: any origin, with cookies, with any header.
    response.writeHead(200, {
      'Content-Type': types[name.split('.').at(-1)] ?? 'application/json',
      'Access-Control-Allow-Origin': headers.origin ?? '*',
      'Access-Control-Allow-Credentials': 'true',
      'Access-Control-Allow-Headers': headers['access-control-request-headers'] ?? '',
    });
    response.end(files[name] ?? '{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://localhost:${server.address().port}`;
  return { origin, requests, page: (options) => origin + pathOf(options) };
}
