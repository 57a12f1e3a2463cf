"""Fresh proof: a permission that asks for a recent sign-in (RFC 9470)."""

from datetime import timedelta
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from authx import clock
from authx.models import DeviceSession
from authx.rest.authentication import challenge


class RecentSignInRequired(APIException):
    """Raised where the user last presented a credential too long ago; `max_age` in seconds.

    The tokens of the app are still good: it asks for the password, and repeats the request.
    """

    status_code = status.HTTP_401_UNAUTHORIZED
    default_detail = "Authenticate again: the last time is too long ago."
    default_code = "insufficient_user_authentication"

    def __init__(self, max_age: timedelta) -> None:
        super().__init__()
        seconds = int(max_age.total_seconds())
        # RFC 9470 section 3.
        self.auth_header = (
            f'{challenge("unauthorized")}, error="{self.default_code}", '
            f'error_description="{self.default_detail}", max_age="{seconds}"'
        )


def RecentSignIn(max_age: timedelta) -> type[BasePermission]:  # noqa: N802 -- reads as a class
    """Return a permission for sessions whose user has presented a credential within `max_age`.

    `permission_classes = [IsAuthenticated, RecentSignIn(timedelta(minutes=10))]`.
    """
    return type("RecentSignIn", (_RecentSignIn,), {"max_age": max_age})


class _RecentSignIn(BasePermission):
    max_age: timedelta

    def has_permission(self, request: Request, view: Any) -> bool:
        session: Any = request.auth
        if not isinstance(session, DeviceSession):
            return False
        if clock.read_at(session) - session.authenticated_at > self.max_age:
            raise RecentSignInRequired(self.max_age)
        return True
