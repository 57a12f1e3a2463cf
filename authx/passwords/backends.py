"""Django's password backend with limits on attempts."""

from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib.auth import backends, get_user_model
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx.audit.events import record_event
from authx.models import EventKind, user_manager
from authx.passwords.admission import note_accepted
from authx.passwords.check import check_password, hash_dummy_password
from authx.passwords.limits import (
    browser_bucket,
    password_attempt,
    resolved_in_attempt,
    sign_in_attempt,
)
from authx.sessions.cookies import DEVICE_COOKIE
from authx.usernames import find_by_natural_key

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@sensitive_variables()
def check_again(user: "User", raw_password: str) -> bool:
    """Check the password of a user who is signed in by a cookie; raises RateLimitError."""
    with password_attempt(browser_bucket(user.pk)) as attempt:
        is_right = check_password(user, raw_password)
        if is_right:
            attempt.succeed()
        else:
            record_event(
                kind=EventKind.PASSWORD_CHANGE_FAILED, user_id=user.pk, reason="in_a_browser"
            )
    return is_right


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
        cookies = {} if request is None else request.COOKIES
        with sign_in_attempt(username, cookies.get(DEVICE_COOKIE, "")) as attempt:
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
        """Return the user of a Django session, such as that of the admin, as it is now.

        Pages that ask for the password again, such as to change it, call `request.user.
        check_password()`: the method of this user counts attempts as a sign-in does.
        """
        user: User | None = user_manager().filter(pk=user_id).first()
        if user is None or not self.user_can_authenticate(user):
            return None
        vars(user)["check_password"] = partial(check_again, user)
        return user

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
