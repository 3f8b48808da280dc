"""Signs the user of a request in by the bearer token that tokenjar's proxy sends. There is no session of Django's."""
import jwt
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.http import JsonResponse

# Made once. It fetches the keys when they are needed, keeps them, and asks again for a key it does not know.
KEYS = jwt.PyJWKClient(settings.TOKENJAR_KEYS, cache_keys=False, lifespan=300)


def claims_of(token):
    claims = jwt.decode(
        token, KEYS.get_signing_key_from_jwt(token).key, algorithms=["ES256"],
        issuer=settings.TOKENJAR_ISSUER, audience=settings.TOKENJAR_AUDIENCE,
        options={"require": ["iss", "aud", "exp", "sub"]})
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":  # verified by now: the signature covers it
        raise jwt.InvalidTokenError("no access token")
    return claims


def bearer_middleware(get_response):
    def middleware(request):
        request.user, request.claims = AnonymousUser(), {}
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            try:
                request.claims = claims_of(token)
            except (jwt.InvalidTokenError, jwt.PyJWKClientError) as error:
                status = 503 if "Fail to fetch" in str(error) else 401
                return JsonResponse({"detail": str(error)}, status=status, headers={"WWW-Authenticate": "Bearer"})
            # Whom tokenjar knows is a user here: a row to hang one's own data on. It has no password.
            request.user, made = get_user_model().objects.get_or_create(username=request.claims["sub"])
            if made:
                request.user.set_unusable_password()
                request.user.save()
            if not request.user.is_active:
                return JsonResponse({"detail": "disabled"}, status=403)
        return get_response(request)
    return middleware
