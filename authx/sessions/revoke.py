"""Revocation: one device, all devices of a user, or all users; holds from the next request.

Each is one UPDATE of rows that rotations change in place. It waits for a rotation in flight and
then still matches the row, so a pair that this rotation issued is revoked as well.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from authx import clock
from authx.audit.events import record_event
from authx.codec import token_codec
from authx.errors import ForgedTokenError
from authx.models import REVOCATIONS, DeviceSession, DeviceSessionQuerySet, EventKind
from authx.sessions.durability import wait_for_standby
from authx.sessions.ends import tell_all_ended, tell_ended
from authx.sessions.locking import atomic, lock_user, retry_on_conflict
from authx.sessions.statements import find_session, update_returning
from authx.sessions.use import find_session_by_access_token
from authx.tokens import RawToken, TokenKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def revoke_session(
    *,
    session: DeviceSession,
    reason: EventKind,
    detail: str = "",
) -> bool:
    """End one session; return whether this call ended it.

    `reason` is one of models.REVOCATIONS; `detail` is stored with the event.
    """

    def attempt() -> bool:
        with atomic():
            ended = _revoke(
                DeviceSession.objects.filter(pk=session.pk),
                user_id=session.user_id,
                reason=reason,
            )
            if ended:
                record_event(kind=reason, session=session, reason=detail)
            else:
                wait_for_standby()
        return bool(ended)

    return retry_on_conflict(attempt)


def revoke_all(
    *,
    user_id: Any,
    reason: EventKind,
    keep: UUID | None = None,
    by: DeviceSession | None = None,
) -> int:
    """End the sessions of a user; return how many.

    `keep` is the id of one that stays; `by` is the session that asked for it, for the event.
    """
    sessions = DeviceSession.objects.filter(user_id=user_id)
    if keep is not None:
        sessions = sessions.exclude(pk=keep)

    def attempt() -> int:
        with atomic():
            # Two parallel calls update the same rows, possibly in different order: a deadlock.
            lock_user(user_id)
            count = revoke_locked(sessions, user_id=user_id, reason=reason)
            if count:
                # The restore of a backup reads it (restore.py).
                detail = f"{count} sessions" if keep is None else f"{count} sessions, kept {keep}"
                record_event(kind=reason, user_id=user_id, session=by, reason=detail)
            else:
                wait_for_standby()
        return count

    return retry_on_conflict(attempt)


def revoke_locked(sessions: DeviceSessionQuerySet, *, user_id: Any, reason: EventKind) -> int:
    """End sessions of a user whose row the caller has locked; return how many."""
    return _revoke(sessions, user_id=user_id, reason=reason, everywhere=True)


def revoke_all_users(*, reason: EventKind) -> int:
    """End the sessions of all users; return how many. One event reports all of them."""

    def attempt() -> int:
        with atomic():
            # A time that is known here finds them again; without any session, there is none.
            now = DeviceSession.objects.values_list(clock.database_now(), flat=True).first()
            ending = _ending(reason) | {"revoked_at": now}
            count = DeviceSession.objects.unrevoked().update(**ending) if now else 0
            if now and count:
                tell_all_ended(revoked_at=now, reason=reason)
                record_event(kind=reason, reason=f"{count} sessions of all users")
            else:
                wait_for_standby()
        return count

    return retry_on_conflict(attempt)


def revoke_several(*, session_ids: Sequence[UUID], reason: EventKind, detail: str) -> int:
    """End these sessions, of any users; return how many. One event reports all of them."""

    def attempt() -> int:
        with atomic():
            sessions = DeviceSession.objects.filter(pk__in=session_ids)
            count = _revoke(sessions, user_id=None, reason=reason)
            if count:
                record_event(kind=reason, reason=detail)
        return count

    return retry_on_conflict(attempt)


@sensitive_variables()
def revoke_by_token(*, raw_token: str) -> "User | None":
    """End the session that a token of either kind belongs to, if any (RFC 7009 section 2.1).

    Returns the user that it signed out. A refresh token of any generation ends its session, so
    that a device can sign out with what it still holds. Of access tokens only the newest and those
    in their grace period do: older ones can be found in logs.
    """
    session = _session_of(raw_token)
    if session is not None and revoke_session(session=session, reason=EventKind.TOKEN_REVOKED):
        user: User = session.user
        return user
    return None


def _session_of(raw_token: str) -> DeviceSession | None:
    codec = token_codec()
    with suppress(ForgedTokenError):
        refresh_token = codec.parse(raw_token, TokenKind.REFRESH)
        return find_session(refresh_token.session_id)
    with suppress(ForgedTokenError):
        access_token = codec.parse(raw_token, TokenKind.ACCESS)
        session = find_session_by_access_token(raw_token=RawToken(raw_token), token=access_token)
        if session is None:
            # An earlier try may have ended it.
            wait_for_standby()
        return session
    return None


def _revoke(
    sessions: DeviceSessionQuerySet, *, user_id: Any, reason: EventKind, everywhere: bool = False
) -> int:
    """Return how many were ended; in the caller's transaction, which records the event.

    Raises ValueError for a kind of event that is not a revocation.
    """
    ended = update_returning(sessions.unrevoked(), **_ending(reason))
    tell_ended(ended, user_id=user_id, reason=reason, everywhere=everywhere)
    return len(ended)


def _ending(reason: EventKind) -> dict[str, Any]:
    if reason not in REVOCATIONS:
        raise ValueError(f"{reason!r} does not end a session.")
    return {"revoked_at": clock.database_now(), "revoked_reason": reason}
