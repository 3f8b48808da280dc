// Answers with how Node's HTTP server and its URL (WHATWG) understand a request.
import http from 'node:http';

let count = 0;
const attempt = (f) => {
  try {
    return [f()];
  } catch {
    return [];
  }
};

const server = http.createServer({ insecureHTTPParser: true, keepAliveTimeout: 60_000 }, (req, res) => {
  count += 1;
  const fields = [];
  for (let i = 0; i < req.rawHeaders.length; i += 2) fields.push([req.rawHeaders[i], req.rawHeaders[i + 1]]);
  for (const [name, value] of Object.entries(req.headers)) fields.push([name, String(value)]);
  const raw = req.url.split('?')[0];
  const paths = [
    raw,
    ...attempt(() => decodeURIComponent(raw)),
    ...attempt(() => new URL(req.url, 'http://service').pathname),
    ...attempt(() => decodeURIComponent(new URL(req.url, 'http://service').pathname)),
    ...attempt(() => new URL(raw.replaceAll('\\', '/'), 'http://service').pathname),
  ];
  const cookies = [];
  for (const separator of [/; */, /[;,] */, /[;, ]+/]) {
    for (const pair of (req.headers.cookie ?? '').split(separator)) {
      const name = pair.split('=')[0].trim();
      cookies.push(name, ...attempt(() => decodeURIComponent(name)));
    }
  }
  const body = Buffer.from(JSON.stringify({ target: req.url, paths, fields, cookies, count }));
  req.resume();
  res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length });
  res.end(body);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
