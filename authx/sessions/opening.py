"""Opens a session: one sign-in on one device."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Case, Value, When
from django.utils import timezone

from authx import conf, tokens
from authx.context import Source
from authx.models import DeviceSession, RevocationReason, auth_hashes, last_use
from authx.sessions.access import access_token_row
from authx.sessions.people import lock_unchanged
from authx.sessions.values import Device, TokenPair
from authx.signals import send_after_commit, session_opened, sessions_revoked
from authx.tokens import Token, TokenKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def open_session(*, user: "User", device: Device, source: Source) -> TokenPair:
    """Return the first pair of a new session of a person whose credentials were just checked.

    Replaces the session of the same installation and evicts what exceeds the device limit, least
    recently used first. Raises what `lock_unchanged` does.
    """
    with transaction.atomic():
        user = lock_unchanged(user)
        # Read under the lock, so that sessions of a person are as old as their order says.
        now = timezone.now()
        make_room(user=user, installation_id=device.installation_id, now=now)
        return insert_session(user=user, device=device, source=source, now=now)


def make_room(*, user: "User", installation_id: str, now: datetime) -> None:
    """Revoke the session of the same installation and the least recently used beyond the limit.

    Exact only under the lock of `lock_unchanged`.
    """
    replaced, live = [], []
    hashes = auth_hashes(user)
    unrevoked = DeviceSession.objects.unrevoked().filter(user=user)
    for session in unrevoked.annotate(used_at=last_use()).order_by("-used_at", "-created_at"):
        if installation_id and session.installation_id == installation_id:
            replaced.append(session.pk)
        elif session.is_live(now) and session.auth_hash in hashes:
            live.append(session.pk)
    evicted = live[conf.own("DEVICE_LIMIT") - 1 :]
    if not replaced and not evicted:
        return
    DeviceSession.objects.unrevoked().filter(pk__in=replaced + evicted).update(
        revoked_at=now,
        revoked_reason=Case(
            When(pk__in=replaced, then=Value(RevocationReason.REPLACED)),
            default=Value(RevocationReason.EVICTED),
        ),
    )
    _announce(user, replaced, RevocationReason.REPLACED)
    _announce(user, evicted, RevocationReason.EVICTED)


def _announce(user: "User", session_ids: Iterable[uuid.UUID], reason: RevocationReason) -> None:
    ids = list(session_ids)
    if ids:
        send_after_commit(
            sessions_revoked,
            sender=DeviceSession,
            user_id=user.pk,
            session_ids=ids,
            reason=reason,
            count=len(ids),
        )


def insert_session(*, user: "User", device: Device, source: Source, now: datetime) -> TokenPair:
    """Write a session and its first access token; both secrets come from the system's CSPRNG."""
    session_id = uuid.uuid4()
    secret_key = conf.secret_keys()[0]
    raw_refresh_token = tokens.mint(
        Token(TokenKind.REFRESH, session_id, 0, tokens.new_secret()), secret_key
    )
    raw_access_token = tokens.mint(
        Token(TokenKind.ACCESS, session_id, 0, tokens.new_secret()), secret_key
    )
    absolute_expires_at = now + conf.session_ttl()
    session = DeviceSession.objects.create(
        id=session_id,
        user=user,
        digest=tokens.digest_of(raw_refresh_token),
        nonce=tokens.new_nonce(),
        auth_hash=user.get_session_auth_hash(),
        created_at=now,
        rotated_at=now,
        # The first pair has no predecessor that could be retried.
        confirmed_at=now,
        idle_expires_at=min(now + conf.refresh_token_ttl(), absolute_expires_at),
        absolute_expires_at=absolute_expires_at,
        last_used_at=now,
        last_ip=source.ip,
        last_user_agent=source.user_agent,
        installation_id=device.installation_id,
        name=device.name,
        platform=device.platform,
        app_version=device.app_version,
    )
    access_token = access_token_row(
        raw_token=raw_access_token, session=session, nonce=tokens.new_nonce(), now=now
    )
    access_token.save(force_insert=True)
    send_after_commit(session_opened, sender=DeviceSession, session=session)
    return TokenPair(session, raw_access_token, raw_refresh_token, access_token.expiry, now)
