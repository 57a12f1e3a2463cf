"""Sessions, password failures and the audit trail; of secrets, only digests are stored."""

from authx.models.event_kinds import REVOCATIONS, EventKind
from authx.models.events import Notification, SecurityEvent
from authx.models.passwords import PasswordFailures
from authx.models.sessions import (
    DeviceSession,
    DeviceSessionQuerySet,
    SweepLease,
    all_users,
    auth_hashes,
    user_manager,
    write_alias,
)

# Django finds an app's models here, and here only.
__all__ = [
    "REVOCATIONS",
    "DeviceSession",
    "DeviceSessionQuerySet",
    "EventKind",
    "Notification",
    "PasswordFailures",
    "SecurityEvent",
    "SweepLease",
    "all_users",
    "auth_hashes",
    "user_manager",
    "write_alias",
]
