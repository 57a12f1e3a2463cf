"""What goes into a session and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from authx.models import DeviceSession
from authx.tokens import RawToken


@dataclass(frozen=True, slots=True)
class Device:
    """What an app says of its device: for users to read, and never a basis for a decision."""

    installation_id: str = ""
    name: str = ""
    platform: str = ""
    app_version: str = ""
    # What the project keeps with the session; no secret of authx, but often one of the project.
    data: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    # What an earlier sign-in on this device brought proves that it is known.
    credential: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """What AUTHX["LIFETIMES"] returns for a sign-in; for None, the setting of that name holds.

    `access_token_ttl` is TOKEN_TTL, `session_limit` SESSION_LIMIT_PER_USER: it counts all sessions
    of the user, on whatever devices.
    """

    access_token_ttl: timedelta | None = None
    refresh_token_ttl: timedelta | None = None
    session_ttl: timedelta | None = None
    session_limit: int | None = None


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that was revoked, with the `data` that its device had stored."""

    id: UUID
    user_id: Any
    data: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access and a refresh token issued together; `now` is the time of the operation.

    Spans are whole seconds, rounded down, so that none promises too much.
    """

    session: DeviceSession
    raw_access_token: RawToken = field(repr=False)
    raw_refresh_token: RawToken = field(repr=False)
    access_expires_at: datetime
    now: datetime
    # Only a sign-in brings one, and a change of the password: whoever copied a refresh token must
    # not become a known device by it.
    raw_device_credential: RawToken = field(default=RawToken(""), repr=False)

    @property
    def token_type(self) -> str:
        return "Bearer"

    @property
    def expires_in(self) -> int:
        return max(0, self._seconds_until(self.access_expires_at))

    @property
    def refresh_token_expires_in(self) -> int:
        return self._seconds_until(self.session.idle_expires_at)

    @property
    def session_expires_in(self) -> int:
        return self._seconds_until(self.session.absolute_expires_at)

    def _seconds_until(self, instant: datetime) -> int:
        return int((instant - self.now).total_seconds())
