"""Django's password backend with limits on attempts."""

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib.auth import backends, get_user_model
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.models import user_manager
from authx.passwords.admission import note_accepted
from authx.passwords.check import check_password, hash_dummy_password
from authx.passwords.limits import resolved_in_attempt, sign_in_attempt
from authx.usernames import find_by_natural_key

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class ModelBackend(backends.ModelBackend):
    """Limits password attempts on every sign-in path, the admin's included.

    An upgrade of the stored hash keeps the user's sessions valid.
    """

    @sensitive_variables()
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> "User | None":
        username = kwargs.get(get_user_model().USERNAME_FIELD) if username is None else username
        if username is None or password is None:
            return None
        with sign_in_attempt(username) as attempt:
            user = self._check(username, password)
            if user is not None:
                note_accepted(request, user, attempt)
        return user

    def find_user(self, username: str) -> "User | None":
        """Return the user whom a name signs in, or None; a subclass may look elsewhere.

        Attempts are counted for this user, however the name is written.
        """
        return find_by_natural_key(username)

    def _check(self, username: str, password: str) -> "User | None":
        """Check as Django's backend does, with one hash computation on every path."""
        resolved = resolved_in_attempt(username, self)
        user = resolved.user if resolved else self.find_user(username)
        if user is None:
            hash_dummy_password(password)
            return None
        is_right = check_password(user, password)
        return user if is_right and self.user_can_authenticate(user) else None

    def get_user(self, user_id: Any) -> "User | None":
        """Return the user of a Django session, such as that of the admin, as it is now."""
        user: User | None = user_manager().filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None

    async def aget_user(self, user_id: Any) -> "User | None":
        return await sync_to_async(self.get_user)(user_id)

    async def aauthenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> "User | None":
        check = sync_to_async(self.authenticate)
        return await check(request, username=username, password=password, **kwargs)
