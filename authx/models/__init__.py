"""What is kept: of secrets only digests, and the trail of what happened."""

from authx.models.events import EventKind, Notification, SecurityEvent
from authx.models.passwords import PasswordFailures
from authx.models.services import Service
from authx.models.sessions import (
    DeviceSession,
    DeviceSessionQuerySet,
    RevocationReason,
    SweepLease,
    auth_hashes,
    write_alias,
)

# Django finds an app's models here, and here only.
__all__ = [
    "DeviceSession",
    "DeviceSessionQuerySet",
    "EventKind",
    "Notification",
    "PasswordFailures",
    "RevocationReason",
    "SecurityEvent",
    "Service",
    "SweepLease",
    "auth_hashes",
    "write_alias",
]
