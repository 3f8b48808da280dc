// A service as people write them: it knows nothing of cookies, takes who it is from the bearer, and speaks WebSocket.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

/** Starts it; requests are what it got: { method, url, headers, claims }. It leads /api/away to where redirect says. */
export async function startService(t) {
  const requests = [];
  const service = { requests };
  const sockets = new Set();
  const server = createServer((request, response) => {
    const got = { method: request.method, url: request.url, headers: request.headers, claims: claimsOf(request) };
    requests.push(got);
    if (request.url.startsWith('/api/events')) {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: hello\n\n');
      return;
    }
    if (request.url.startsWith('/api/closed')) return response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end(); // its own refusal
    if (request.url.startsWith('/api/away')) return response.writeHead(307, { Location: service.redirect }).end();
    response.writeHead(200, { 'Content-Type': 'application/json', 'Set-Cookie': 'access_token=stolen; Path=/' });
    response.end(JSON.stringify({ sub: got.claims?.sub ?? null, jti: got.claims?.jti ?? null, url: request.url }));
  });
  server.on('upgrade', (request, socket) => {
    requests.push({ method: 'upgrade', url: request.url, headers: request.headers, claims: claimsOf(request) });
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (frame) => {
      if ((frame[0] & 0x0f) === 8) return socket.end(); // close
      const masked = frame.subarray(2, 6);
      const text = frame.subarray(6).map((byte, i) => byte ^ masked[i % 4]); // short messages alone
      socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  return Object.assign(service, { url: `http://127.0.0.1:${server.address().port}`, sockets });
}

/** The claims of the bearer, not verified: what the service gets is looked at here, not who signed it. */
function claimsOf(request) {
  const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  return token ? JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString()) : null;
}
