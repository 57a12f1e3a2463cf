"""What is kept: sessions and tokens as digests, and the trail of what happened to them."""

from authx.models.sessions import (
    AccessToken,
    DeviceSession,
    DeviceSessionQuerySet,
    RevocationReason,
    SweepLease,
    auth_hashes,
    last_use,
)
from authx.models.trail import EventKind, Notice, SecurityEvent

# Django finds an app's models here, and here only.
__all__ = [
    "AccessToken",
    "DeviceSession",
    "DeviceSessionQuerySet",
    "EventKind",
    "Notice",
    "RevocationReason",
    "SecurityEvent",
    "SweepLease",
    "auth_hashes",
    "last_use",
]
