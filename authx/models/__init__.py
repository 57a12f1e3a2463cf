"""What is kept, of sessions, passwords and services: digests only, never a token."""

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

__all__ = [
    "AccessToken",
    "DeviceSession",
    "DeviceSessionQuerySet",
    "PasswordFailures",
    "RevocationReason",
    "Service",
    "SweepLease",
    "auth_hashes",
    "last_use",
]
