import os

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["app.example.com"]  # the host of public_url: see USE_X_FORWARDED_HOST
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", "shop.db")}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
STATIC_URL = "/static/"

# Who is who comes with each request. SessionMiddleware, AuthenticationMiddleware and CsrfViewMiddleware are not here: there
# is no cookie that Django would believe, and tokenjar has judged the origin and the CSRF token.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "shop.bearer.bearer_middleware",
]
TOKENJAR_ISSUER = "https://app.example.com"  # public_url of tokenjar
TOKENJAR_AUDIENCE = "shop"                   # audience of the route
TOKENJAR_KEYS = os.environ.get("TOKENJAR_KEYS", TOKENJAR_ISSUER + "/.well-known/jwks.json")

# tokenjar sets both fields itself and removes what a client sends, so they can be believed: where nobody but tokenjar reaches
# this process.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
USE_X_FORWARDED_HOST = True
