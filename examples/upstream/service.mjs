// ISSUER=https://app.example.com AUDIENCE=orders PORT=9000 node service.mjs, with jose 6 (npm install jose)
import { createServer } from 'node:http'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const { ISSUER, AUDIENCE, PORT, KEYS = ISSUER, COOLDOWN_MS = 30_000 } = process.env

// Made once. It fetches the keys when they are needed, keeps them, and asks again for a key it does not know.
const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', KEYS), {
  cacheMaxAge: 300_000, cooldownDuration: Number(COOLDOWN_MS),
})

// signedIn returns the claims of a request's token. It throws an answer: 401, or 503 when the keys cannot be had.
async function signedIn(request) {
  const [, token] = /^Bearer ([^ ]+)$/i.exec(request.headers.authorization ?? '') ?? []
  if (!token) throw { status: 401, text: 'no token' }
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: ISSUER, audience: AUDIENCE, typ: 'at+jwt', algorithms: ['ES256'], requiredClaims: ['sub', 'exp'],
    })
    return payload
  } catch (error) {
    const isTokens = error instanceof errors.JOSEError && ![errors.JOSEError.code, errors.JWKSTimeout.code].includes(error.code)
    throw isTokens ? { status: 401, text: error.code } : { status: 503, text: 'keys cannot be had' }
  }
}

async function answer(request) {
  const claims = await signedIn(request)
  switch (`${request.method} ${request.url}`) {
    case 'GET /hello':
      return { status: 200, text: `hello ${claims.sub}` }
    case 'POST /orders':
      if (!(claims.scope ?? '').split(' ').includes('orders:write')) return { status: 403, text: 'scope orders:write is needed' }
      return { status: 201, text: `ordered by ${claims.sub}` }
    default:
      return { status: 404, text: 'not found' }
  }
}

const server = createServer(async (request, response) => {
  const { status = 500, text = 'fault' } = await answer(request).catch((thrown) => thrown)
  if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer')
  response.writeHead(status, { 'Content-Type': 'text/plain' }).end(text + '\n')
})
server.listen(Number(PORT), '127.0.0.1', () => console.log('listening'))
