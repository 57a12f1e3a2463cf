"""What is kept: of secrets only digests, and the trail of what happened."""

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
from authx.models.trail import EventKind, Notice, SecurityEvent

# Django finds an app's models here, and here only.
__all__ = [
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
    "write_alias",
]
