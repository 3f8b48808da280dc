// node verify.mjs ISSUER AUDIENCE TOKEN, with jose 6 (npm install jose)
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [issuer, audience, token] = process.argv.slice(2)

// Made once. It fetches the keys when they are needed, keeps them, and asks again for a key it does not know.
const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', issuer), { cacheMaxAge: 300_000 })

const { payload } = await jwtVerify(token, keys, {
  issuer, audience, typ: 'at+jwt', algorithms: ['ES256'], requiredClaims: ['sub', 'sid', 'exp'],
})
console.log(payload.sub)
