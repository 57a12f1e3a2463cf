"""What is kept: of secrets only digests, and the trail of what happened."""

from authx.models.passwords import PasswordFailures
from authx.models.services import Service
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
    "PasswordFailures",
    "RevocationReason",
    "SecurityEvent",
    "Service",
    "SweepLease",
    "auth_hashes",
    "last_use",
]
