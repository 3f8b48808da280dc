# What articles.go beside it replaces, as the guides of django-ninja-aio have it.
from django.conf import settings
from django.contrib.auth import aauthenticate, get_user_model
from django.http import HttpResponse
from ninja import Schema
from ninja.errors import AuthenticationError
from ninja_aio import APIViewSet, NinjaAIO
from ninja_aio.auth import AsyncJwtBearer, AsyncJwtCookie, delete_jwt_cookie, encode_jwt, set_jwt_cookie

from .models import Article

api = NinjaAIO()
User = get_user_model()


class Account:
    jwt_public = settings.JWT_PUBLIC_KEY
    claims = {
        "iss": {"essential": True, "value": settings.JWT_ISSUER},
        "aud": {"essential": True, "value": settings.JWT_AUDIENCE},
        "sub": {"essential": True},
    }

    async def auth_handler(self, request):
        return await User.objects.filter(pk=self.dcd.claims["sub"], is_active=True).afirst()


class Bearer(Account, AsyncJwtBearer):
    pass


class Cookie(Account, AsyncJwtCookie):
    pass


@api.viewset(model=Article)
class Articles(APIViewSet):
    auth = [Bearer(), Cookie()]
    get_auth = None


class Credentials(Schema):
    username: str
    password: str


@api.post("/auth/login/", auth=None)
async def login(request, data: Credentials, response: HttpResponse):
    user = await aauthenticate(request, username=data.username, password=data.password)
    if user is None:
        raise AuthenticationError()
    set_jwt_cookie(response, encode_jwt({"sub": str(user.pk)}, duration=900), max_age=900)
    return {"message": "ok"}


@api.post("/auth/logout/", auth=None)
async def logout(request, response: HttpResponse):
    delete_jwt_cookie(response)
    return {"message": "logged out"}


@api.get("/auth/me/", auth=Cookie())
async def me(request):
    return {"user_id": request.auth.id, "username": request.auth.username}
