"""Small changes to a session that neither open nor end it."""

from collections.abc import Mapping, Sequence
from typing import Any

from authx.models import DeviceSession
from authx.sessions.own_data import storable


def update_device(
    *, session: DeviceSession, name: str | None = None, data: Mapping[str, Any] | None = None
) -> None:
    """Store the name that the user gave a device, and `data` of the project; None keeps what is.

    `data` replaces what was stored. Raises ValueError for `data` that cannot be stored.
    """
    changes: dict[str, Any] = {} if name is None else {"name": name}
    if data is not None:
        changes["data"] = storable(data)
    if changes:
        DeviceSession.objects.filter(pk=session.pk).update(**changes)
    for field, value in changes.items():
        setattr(session, field, value)


def update_auth_hash(*, user_id: Any, old: Sequence[str], new: str) -> None:
    """Keep the sessions of a user whose password was hashed anew; in the caller's transaction.

    `old` are the session auth hashes of the previous password hash (see models.auth_hashes). A
    session with another one belongs to another password and stays as it is.
    """
    sessions = DeviceSession.objects.unrevoked().filter(user_id=user_id, auth_hash__in=old)
    sessions.update(auth_hash=new)
