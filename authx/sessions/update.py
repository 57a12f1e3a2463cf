"""Small changes to a session that neither open nor end it."""

from collections.abc import Sequence
from typing import Any

from authx.models import DeviceSession


def rename_session(*, session: DeviceSession, name: str) -> None:
    """Store the name that the user gave a device."""
    DeviceSession.objects.filter(pk=session.pk).update(name=name)
    session.name = name


def update_auth_hash(*, user_id: Any, old: Sequence[str], new: str) -> None:
    """Keep the sessions of a user whose password was hashed anew; in the caller's transaction.

    `old` are the session auth hashes of the previous password hash (see models.auth_hashes). A
    session with another one belongs to another password and stays as it is.
    """
    sessions = DeviceSession.objects.unrevoked().filter(user_id=user_id, auth_hash__in=old)
    sessions.update(auth_hash=new)
