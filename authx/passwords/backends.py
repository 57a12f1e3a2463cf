"""Django's own password backend, made safe for sessions."""

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib.auth import backends, get_user_model
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.passwords.check import check_password, hash_dummy_password
from authx.passwords.limits import password_attempt, sign_in_limits

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class ModelBackend(backends.ModelBackend):
    """Limits guessing at every door, the admin's included; sessions follow an upgraded hash."""

    @sensitive_variables()
    def authenticate(
        self,
        request: HttpRequest | None,  # noqa: ARG002 -- Django's signature
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> "User | None":
        username = kwargs.get(get_user_model().USERNAME_FIELD) if username is None else username
        if username is None or password is None:
            return None
        with password_attempt(*sign_in_limits(username)) as attempt:
            user = self._check(username, password)
            if user is not None:
                attempt.succeed()
        return user

    def _check(self, username: str, password: str) -> "User | None":
        """Check as Django's own does, by the one check that counts: one hash on every path."""
        users = get_user_model()
        try:
            user: User = users._default_manager.get_by_natural_key(username)
        except users.DoesNotExist:
            hash_dummy_password(password)
            return None
        right = check_password(user, password)
        return user if right and self.user_can_authenticate(user) else None

    async def aauthenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> "User | None":
        check = sync_to_async(self.authenticate)
        return await check(request, username=username, password=password, **kwargs)
