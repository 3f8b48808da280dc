from functools import wraps

from django.http import JsonResponse
from django.urls import path
from django.views.decorators.http import require_GET, require_POST


def signed_in(view):
    """401 for strangers. Not login_required: a script would take the page it redirects to for the answer."""
    @wraps(view)
    def wrapped(request, *args, **kwargs):
        if not request.user.is_authenticated:
            return JsonResponse({"detail": "sign in"}, status=401, headers={"WWW-Authenticate": "Bearer"})
        return view(request, *args, **kwargs)
    return wrapped


@require_GET
@signed_in
def hello(request):
    return JsonResponse({"hello": request.user.username, "at": request.build_absolute_uri(), "secure": request.is_secure()})


@require_POST
@signed_in
def order(request):
    return JsonResponse({"by": request.user.username}, status=201)


urlpatterns = [path("api/hello", hello), path("api/orders", order)]
