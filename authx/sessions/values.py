"""What goes into a session and what comes out of it."""

from dataclasses import dataclass, field
from datetime import datetime

from authx.models import DeviceSession
from authx.tokens import RawToken


@dataclass(frozen=True, slots=True)
class Device:
    """What an app says of its device: for users to read, and never a basis for a decision."""

    installation_id: str = ""
    name: str = ""
    platform: str = ""
    app_version: str = ""
    # The exception: what an earlier sign-in on this device brought proves that it is known.
    credential: str = field(default="", repr=False)


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
