"""What the rules of authx refuse; none of these knows HTTP, one handler maps them to answers."""

from datetime import timedelta
from typing import Any
from uuid import UUID


class AuthxError(Exception):
    """Root of every refusal; `reason` is for the log, never for the answer."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class ForgedTokenError(AuthxError):
    """Raised for a string that this server never minted as a token of the wanted kind."""


class InvalidAccessTokenError(AuthxError):
    """Raised when an access token is refused: unknown, expired, revoked, or its user is."""


class InvalidRefreshTokenError(AuthxError):
    """Raised when a refresh token is refused, for whatever reason."""


class SessionEndedError(InvalidRefreshTokenError):
    """Raised for a genuine refresh token of a session that has ended."""

    def __init__(self, reason: str, session_id: UUID, user_id: Any) -> None:
        super().__init__(reason)
        self.session_id = session_id
        self.user_id = user_id


class RefreshTokenReusedError(InvalidRefreshTokenError):
    """Raised when a consumed refresh token came back; its session is revoked by then."""


class InvalidCredentialsError(AuthxError):
    """Raised when a sign-in is refused: unknown name, wrong password, inactive account."""


class WrongPasswordError(AuthxError):
    """Raised when someone signed in does not know the account's present password."""


class InvalidServiceError(AuthxError):
    """Raised when no live service of ours is behind a request that only those may make."""


class ConflictError(AuthxError):
    """Raised when another process changed the same row first; trying again is right."""


class CredentialsChangedError(ConflictError):
    """Raised when the password changed between its check and the opening of a session."""


class LateDuplicateError(AuthxError):
    """Raised for the copy of a refresh that the app itself has long completed.

    Its idempotency key tells it from a theft; the app has a newer pair in its store.
    """

    def __init__(self, session_id: UUID, user_id: Any) -> None:
        super().__init__("late duplicate")
        self.session_id = session_id
        self.user_id = user_id


class TooManyRotationsError(AuthxError):
    """Raised for a refresh while too many generations are still in their grace period."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("too many rotations")
        self.wait = wait
