# ISSUER=https://app.example.com AUDIENCE=orders PORT=9000 python3 service.py, with PyJWT 2 (apt install python3-jwt)
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import jwt

ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]

# Made once. It fetches the keys when they are needed, keeps them, and asks again for a key it does not know.
KEYS = jwt.PyJWKClient(os.environ.get("KEYS", ISSUER) + "/.well-known/jwks.json", cache_keys=False, lifespan=300)


class Answer(Exception):
    def __init__(self, status, text):
        self.status, self.text = status, text


def signed_in(headers):
    """The claims of a request's token, or an Answer: 401, or 503 when the keys cannot be had."""
    kind, _, token = headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        raise Answer(401, "no token")
    try:
        claims = jwt.decode(
            token, KEYS.get_signing_key_from_jwt(token).key, algorithms=["ES256"], issuer=ISSUER, audience=AUDIENCE,
            options={"require": ["iss", "aud", "exp", "sub"]})
        if jwt.get_unverified_header(token).get("typ") != "at+jwt":  # verified by now: the signature covers it
            raise Answer(401, "no access token")
        return claims
    except jwt.InvalidTokenError as error:
        raise Answer(401, str(error))
    except jwt.PyJWKClientError as error:  # 503 when the keys cannot be had, 401 when there is none of that name
        raise Answer(503 if "Fail to fetch" in str(error) else 401, str(error))


def answer(method, path, headers):
    claims = signed_in(headers)
    if (method, path) == ("GET", "/hello"):
        return 200, "hello " + claims["sub"]
    if (method, path) == ("POST", "/orders"):
        if "orders:write" not in claims.get("scope", "").split():
            return 403, "scope orders:write is needed"
        return 201, "ordered by " + claims["sub"]
    return 404, "not found"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            status, text = answer(self.command, self.path, self.headers)
        except Answer as refused:
            status, text = refused.status, refused.text
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text) + 1))
        self.end_headers()
        self.wfile.write((text + "\n").encode())

    do_POST = do_GET

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler) as server:
        print("listening", flush=True)
        server.serve_forever()
