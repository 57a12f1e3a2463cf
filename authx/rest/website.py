"""Keeps the users of a website signed in while a project moves from Django's password backend."""

from typing import Any, Final

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from authx.passwords.backends import ModelBackend
from authx.rest.middleware import Middleware

REPLACED: Final = "django.contrib.auth.backends.ModelBackend"


class WebsiteSessionMiddleware(Middleware):
    """Lets the backend of authx take over sessions that Django's `ModelBackend` has opened.

    Django ignores a session whose backend is no longer in AUTHENTICATION_BACKENDS. It compares a
    session with the password of its user as before. Belongs after SessionMiddleware and before
    AuthenticationMiddleware, until the last of these sessions has expired.
    """

    def __call__(self, request: HttpRequest) -> Any:
        if self.is_async:
            return self.__acall__(request)
        # A visitor without a session gets none, and no response that varies with it.
        if request.session.session_key and request.session.get(BACKEND_SESSION_KEY) == REPLACED:
            request.session[BACKEND_SESSION_KEY] = successor()
        return self.get_response(request)

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        session = request.session
        if session.session_key and await session.aget(BACKEND_SESSION_KEY) == REPLACED:
            await session.aset(BACKEND_SESSION_KEY, successor())
        response: HttpResponse = await self.get_response(request)
        return response


def successor() -> str:
    """Return the first backend of the project that is that of authx, or derives from it.

    Without one, the session keeps the backend that it has.
    """
    backends = (
        name
        for name in settings.AUTHENTICATION_BACKENDS
        if issubclass(import_string(name), ModelBackend)
    )
    return next(backends, REPLACED)
