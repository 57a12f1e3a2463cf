"""Ends sessions on purpose; holds from the very next request, in every process.

Each is one UPDATE of rows that rotations change in place: it waits for a rotation in flight and
then still matches the row, so nothing that a rotation hands out survives it.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from authx import tokens
from authx.errors import ForgedTokenError
from authx.models import DeviceSession, DeviceSessionQuerySet, RevocationReason
from authx.signals import send_after_commit, sessions_revoked
from authx.tokens import TokenKind


def revoke_session(*, session: DeviceSession, reason: RevocationReason) -> bool:
    """Say whether this very call ended the session."""
    return bool(
        _revoke(
            DeviceSession.objects.filter(pk=session.pk),
            user_id=session.user_id,
            session_ids=[session.pk],
            reason=reason,
        )
    )


def revoke_all(*, user_id: Any, reason: RevocationReason, keep: UUID | None = None) -> int:
    """Return how many sessions of a person were ended; `keep` names one that goes on."""
    sessions = DeviceSession.objects.filter(user_id=user_id)
    if keep is not None:
        sessions = sessions.exclude(pk=keep)
    return _revoke(sessions, user_id=user_id, session_ids=None, reason=reason)


def revoke_everyone(*, reason: RevocationReason) -> int:
    """Return how many sessions of all people were ended."""
    return _revoke(DeviceSession.objects.all(), user_id=None, session_ids=None, reason=reason)


def revoke_by_token(*, raw_token: str) -> DeviceSession | None:
    """End the session that a token of either kind belongs to and return it (RFC 7009 section 2.1).

    The tag alone is enough, so that a device can sign out with whatever it still holds. Returns
    None for a token that ends nothing; the caller must not tell these apart.
    """
    for kind in TokenKind:
        try:
            session_id = tokens.parse(raw_token, kind).session_id
        except ForgedTokenError:
            continue
        session = DeviceSession.objects.unrevoked().filter(pk=session_id).first()
        if session and revoke_session(session=session, reason=RevocationReason.SIGNED_OUT):
            return session
    return None


def _revoke(
    sessions: DeviceSessionQuerySet,
    *,
    user_id: Any,
    session_ids: Sequence[UUID] | None,
    reason: RevocationReason,
) -> int:
    with transaction.atomic():
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
