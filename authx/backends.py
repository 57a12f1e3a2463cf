"""Django's own password backend, made safe for sessions."""

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib.auth import backends
from django.http import HttpRequest

from authx.sessions.hash_upgrades import hash_upgrades_followed

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class ModelBackend(backends.ModelBackend):
    """Lets sessions follow a password hash that any sign-in upgrades, the admin's included."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> "User | None":
        with hash_upgrades_followed():
            return super().authenticate(request, username=username, password=password, **kwargs)

    async def aauthenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> "User | None":
        check = sync_to_async(self.authenticate)
        return await check(request, username=username, password=password, **kwargs)
