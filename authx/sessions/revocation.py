"""Ends sessions on purpose; holds from the very next request, in every process.

Each is one UPDATE of rows that rotations change in place: it waits for a rotation in flight and
then still matches the row, so nothing that a rotation hands out survives it.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from authx import tokens
from authx.errors import ForgedTokenError
from authx.models import DeviceSession, DeviceSessionQuerySet, RevocationReason
from authx.signals import send_after_commit, sessions_revoked
from authx.tokens import RawToken, TokenKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User


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
    with transaction.atomic():
        # Two of these take the same rows, each in an order of its own, and would deadlock.
        lock_person(user_id)
        return _revoke(sessions, user_id=user_id, session_ids=None, reason=reason)


def lock_person(user_id: Any) -> "User | None":
    """Return a person's row as it is now, held until the transaction ends.

    NO KEY UPDATE: a plain FOR UPDATE would wait for the KEY SHARE lock that the insert of an access
    token takes on its user, and deadlock against that rotation.
    """
    people = get_user_model()._base_manager.select_for_update(no_key=True, of=("self",))
    locked: User | None = people.filter(pk=user_id).first()
    return locked


def revoke_everyone(*, reason: RevocationReason) -> int:
    """Return how many sessions of all people were ended."""
    return _revoke(DeviceSession.objects.all(), user_id=None, session_ids=None, reason=reason)


def revoke_by_token(*, raw_token: str) -> None:
    """End the session that a token of either kind belongs to, if any (RFC 7009 section 2.1).

    A refresh token of any generation will do, so that a device can sign out with whatever it still
    holds; an access token has to have its row still, for old ones lie about in logs.
    """
    session = _session_of(raw_token)
    if session is not None:
        revoke_session(session=session, reason=RevocationReason.SIGNED_OUT)


def _session_of(raw_token: str) -> DeviceSession | None:
    sessions = DeviceSession.objects.unrevoked()
    with suppress(ForgedTokenError):
        refresh_token = tokens.parse(raw_token, TokenKind.REFRESH)
        return sessions.filter(pk=refresh_token.session_id).first()
    with suppress(ForgedTokenError):
        tokens.parse(raw_token, TokenKind.ACCESS)
        return sessions.filter(access_tokens=tokens.digest_of(RawToken(raw_token))).first()
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
