"""What authx refuses. None of these knows HTTP; authx.rest.exceptions maps them to responses."""

from collections.abc import Sequence
from datetime import timedelta
from math import ceil
from typing import Any
from uuid import UUID


class AuthxError(Exception):
    """The root of every refusal; `reason` is for the log, and is not part of a response."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class ForgedTokenError(AuthxError):
    """Raised for a string that this server did not mint as a token of the expected kind."""


class InvalidAccessTokenError(AuthxError):
    """Raised when an access token is refused: unknown, expired or revoked, or its user inactive."""


class InvalidRefreshTokenError(AuthxError):
    """Raised when a refresh token is refused, for whatever reason."""


class SessionEndedError(InvalidRefreshTokenError):
    """Raised for a genuine refresh token of a session that has ended."""

    def __init__(self, reason: str, session_id: UUID, user_id: Any) -> None:
        super().__init__(reason)
        self.session_id = session_id
        self.user_id = user_id


class RefreshTokenReusedError(InvalidRefreshTokenError):
    """Raised when a consumed refresh token was presented again; its session has been revoked."""


class InvalidCredentialsError(AuthxError):
    """Raised when a sign-in is refused: unknown name, wrong password, inactive account."""


class WrongPasswordError(AuthxError):
    """Raised when the current password of a signed-in user is wrong."""


class InvalidRecoveryTokenError(AuthxError):
    """Raised for the token of a mailed link that is wrong, used, or older than half an hour."""


class InvalidServiceError(AuthxError):
    """Raised when the credential of a service is missing, unknown or revoked."""


class ConflictError(AuthxError):
    """Raised when another process changed the same row first; the caller may try again."""


class CredentialsChangedError(ConflictError):
    """Raised when the stored password has changed since it was checked."""


class OverloadedError(AuthxError):
    """Raised when as many passwords are hashed as may be at once; nothing was checked."""

    def __init__(self) -> None:
        super().__init__("overloaded")


class LateDuplicateError(AuthxError):
    """Raised for a copy of a refresh that the app itself completed earlier.

    Its idempotency key, or its time in a queue, shows that it is no theft; the app has stored a
    newer pair.
    """

    def __init__(self, session_id: UUID, user_id: Any) -> None:
        super().__init__("late duplicate")
        self.session_id = session_id
        self.user_id = user_id


class RateLimitError(AuthxError):
    """Raised when a rate limit is exceeded.

    `wait` is in whole seconds. `exceeded` holds the limits that were exceeded for the first time in
    their window: the caller records these.
    """

    def __init__(self, wait: int, exceeded: Sequence[Any] = ()) -> None:
        super().__init__("rate limit")
        self.wait = wait
        self.exceeded = exceeded


class TooManyRotationsError(RateLimitError):
    """Raised for a refresh while too many generations are still in their grace period."""

    def __init__(self, grace_period: timedelta) -> None:
        super().__init__(ceil(grace_period.total_seconds()) + 1)
