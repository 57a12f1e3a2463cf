"""Ends sessions on purpose; holds from the very next request, in every process.

Each is one UPDATE of rows that rotations change in place: it waits for a rotation in flight and
then still matches the row, so nothing that a rotation hands out survives it.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from authx.audit.events import record_event
from authx.codec import token_codec
from authx.errors import ForgedTokenError
from authx.models import DeviceSession, DeviceSessionQuerySet, EventKind, RevocationReason
from authx.sessions.locking import atomic, lock_user, retry_on_conflict
from authx.sessions.statements import find_session
from authx.sessions.use import find_session_by_access_token
from authx.signals import send_after_commit, sessions_revoked
from authx.tokens import RawToken, TokenKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def revoke_session(
    *,
    session: DeviceSession,
    reason: RevocationReason,
    kind: EventKind | None = None,
    detail: str = "",
) -> bool:
    """Say whether this very call ended the session; recorded as `kind`, the reason's by default."""

    def attempt() -> bool:
        with atomic():
            ended = _revoke(
                DeviceSession.objects.filter(pk=session.pk),
                user_id=session.user_id,
                session_ids=[session.pk],
                reason=reason,
            )
            if ended:
                record_event(kind=kind or EventKind(reason.value), session=session, reason=detail)
        return bool(ended)

    return retry_on_conflict(attempt)


def revoke_all(
    *,
    user_id: Any,
    reason: RevocationReason,
    keep: UUID | None = None,
    by: DeviceSession | None = None,
) -> int:
    """Return how many sessions of a user were ended; `keep` names one that goes on.

    `by` is the session that asked for it, for the trail.
    """
    sessions = DeviceSession.objects.filter(user_id=user_id)
    if keep is not None:
        sessions = sessions.exclude(pk=keep)

    def attempt() -> int:
        with atomic():
            # Two of these take the same rows, each in an order of its own, and would deadlock.
            lock_user(user_id)
            count = revoke_locked(sessions, user_id=user_id, reason=reason)
            if count:
                kind = EventKind(reason.value)
                record_event(kind=kind, user_id=user_id, session=by, reason=f"{count} sessions")
        return count

    return retry_on_conflict(attempt)


def revoke_locked(
    sessions: DeviceSessionQuerySet, *, user_id: Any, reason: RevocationReason
) -> int:
    """Return how many of a user's sessions were ended; for those who hold the user's lock."""
    return _revoke(sessions, user_id=user_id, session_ids=None, reason=reason)


def revoke_all_users(*, reason: RevocationReason) -> int:
    """Return how many sessions of all users were ended; one event tells of all of them."""

    def attempt() -> int:
        with atomic():
            everybodys = DeviceSession.objects.all()
            count = _revoke(everybodys, user_id=None, session_ids=None, reason=reason)
            if count:
                record_event(kind=EventKind(reason.value), reason=f"{count} sessions of everybody")
        return count

    return retry_on_conflict(attempt)


@sensitive_variables()
def revoke_by_token(*, raw_token: str) -> "User | None":
    """End the session that a token of either kind belongs to, if any (RFC 7009 section 2.1).

    Returns whom it signed out.

    A refresh token of any generation will do, so that a device can sign out with whatever it still
    holds; an access token has to be one that its session still knows, for old ones lie about in
    logs.
    """
    session = _session_of(raw_token)
    if session is not None and revoke_session(
        session=session, reason=RevocationReason.SIGNED_OUT, kind=EventKind.TOKEN_REVOKED
    ):
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
        return find_session_by_access_token(raw_token=RawToken(raw_token), token=access_token)
    return None


def _revoke(
    sessions: DeviceSessionQuerySet,
    *,
    user_id: Any,
    session_ids: Sequence[UUID] | None,
    reason: RevocationReason,
) -> int:
    """Return how many were ended; in the caller's transaction, with the event about it."""
    count = sessions.unrevoked().update(revoked_at=timezone.now(), revoked_reason=reason)
    if count:
        send_after_commit(
            sessions_revoked,
            sender=DeviceSession,
            user_id=user_id,
            session_ids=session_ids,
            reason=reason,
            count=count,
        )
    return count
