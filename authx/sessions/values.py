"""What goes into a session and what comes out of it."""

from dataclasses import dataclass, field
from datetime import datetime

from authx.models import DeviceSession
from authx.tokens import RawToken


@dataclass(frozen=True, slots=True)
class Device:
    """What an app says of the device it runs on: for users to read, never for a decision."""

    installation_id: str = ""
    name: str = ""
    platform: str = ""
    app_version: str = ""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access and a refresh token issued together; `now` is the clock of the operation."""

    session: DeviceSession
    raw_access_token: RawToken = field(repr=False)
    raw_refresh_token: RawToken = field(repr=False)
    access_expires_at: datetime
    now: datetime
