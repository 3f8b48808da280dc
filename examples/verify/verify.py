# python3 verify.py ISSUER AUDIENCE TOKEN, with PyJWT 2 (pip install 'pyjwt[crypto]')
import sys
import jwt

issuer, audience, token = sys.argv[1:]

# Made once. It fetches the keys when they are needed, keeps them, and asks again for a key it does not know.
keys = jwt.PyJWKClient(issuer + "/.well-known/jwks.json", lifespan=300)

claims = jwt.decode(
    token, keys.get_signing_key_from_jwt(token).key, algorithms=["ES256"], issuer=issuer, audience=audience,
    options={"require": ["iss", "aud", "exp", "sub", "sid"]})
if jwt.get_unverified_header(token).get("typ") != "at+jwt":  # verified by now: the signature covers it
    raise jwt.InvalidTokenError("this is no access token")
print(claims["sub"])
