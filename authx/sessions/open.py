"""Opens a session: one sign-in on one device."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Case, Value, When
from django.views.decorators.debug import sensitive_variables

from authx import conf, tokens
from authx.audit.events import AFTER_FAILURE, build_event, record_events
from authx.audit.logs import log_event_after_commit
from authx.audit.vocabulary import SESSION_CREATED
from authx.codec import digest_of, token_codec
from authx.context import RequestContext
from authx.devices import SignInAssessment, assess_sign_in
from authx.errors import ConflictError
from authx.models import (
    DeviceSession,
    EventKind,
    RevocationReason,
    SecurityEvent,
    auth_hashes,
)
from authx.sessions.derivation import new_access_token
from authx.sessions.locking import atomic, lock_unchanged
from authx.sessions.values import Device, TokenPair
from authx.signals import send_after_commit, session_opened, sessions_revoked
from authx.tokens import Token, TokenKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@sensitive_variables()
def open_session(*, user: "User", device: Device, source: RequestContext) -> TokenPair:
    """Return the first pair of a new session of a user whose credentials were just checked.

    Replaces the session of the same installation and evicts what exceeds the device limit, least
    recently used first. Raises what `lock_unchanged` does.
    """
    with atomic():
        user = lock_unchanged(user)
        # Before there is a new session, which it would take for an old acquaintance. Its clock is
        # read under the lock, so that sessions of a user are as old as their order says.
        seen = assess_sign_in(
            user,
            installation_id=device.installation_id,
            platform=device.platform,
            user_agent=source.user_agent,
        )
        events = enforce_session_limit(user, seen, installation_id=device.installation_id)
        pair = insert_session(user=user, device=device, source=source, now=seen.now)
        reason = AFTER_FAILURE if seen.failed_before else ""
        events.append(build_event(EventKind.SIGNED_IN, session=pair.session, reason=reason))
        if seen.is_new_device:
            events.append(build_event(EventKind.NEW_DEVICE, session=pair.session))
        record_events(events)
        return pair


def enforce_session_limit(
    user: "User", seen: SignInAssessment, *, installation_id: str
) -> list[SecurityEvent]:
    """Revoke the session of the same installation and the least recently used beyond the limit.

    Exact only under the lock of `lock_unchanged`. Returns what is to be recorded of it.
    """
    replaced: list[DeviceSession] = []
    live: list[DeviceSession] = []
    hashes, now = auth_hashes(user), seen.now
    for session in seen.unrevoked:
        if installation_id and session.installation_id == installation_id:
            replaced.append(session)
        elif session.is_live(now) and session.auth_hash in hashes:
            live.append(session)
    evicted = live[conf.own("SESSION_LIMIT_PER_USER") - 1 :]
    if not replaced and not evicted:
        return []
    replaced_ids = [session.pk for session in replaced]
    evicted_ids = [session.pk for session in evicted]
    unrevoked = DeviceSession.objects.unrevoked().filter(pk__in=replaced_ids + evicted_ids)
    count = unrevoked.update(
        revoked_at=now,
        revoked_reason=Case(
            When(pk__in=replaced_ids, then=Value(RevocationReason.REPLACED)),
            default=Value(RevocationReason.EVICTED),
        ),
    )
    if count != len(replaced_ids + evicted_ids):
        # One of them was signed out beside this, and that is recorded as what it was.
        raise ConflictError
    _announce(user, replaced_ids, RevocationReason.REPLACED)
    _announce(user, evicted_ids, RevocationReason.EVICTED)
    return [
        *(build_event(EventKind.REPLACED, session=session) for session in replaced),
        *(build_event(EventKind.EVICTED, session=session) for session in evicted),
    ]


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


def insert_session(
    *, user: "User", device: Device, source: RequestContext, now: datetime
) -> TokenPair:
    """Write a session with its first pair, whose secret comes from the system's CSPRNG."""
    session_id = uuid.uuid4()
    refresh_token = Token(TokenKind.REFRESH, session_id, 0, tokens.new_secret())
    raw_refresh_token = token_codec().mint(refresh_token)
    absolute_expires_at = now + conf.session_ttl()
    idle_expires_at = min(now + conf.refresh_token_ttl(), absolute_expires_at)
    raw_access_token, columns = new_access_token(
        refresh_token, session_expires_at=idle_expires_at, now=now
    )
    session = DeviceSession.objects.create(
        **columns,
        id=session_id,
        user=user,
        refresh_digest=digest_of(raw_refresh_token),
        auth_hash=user.get_session_auth_hash(),
        created_at=now,
        authenticated_at=now,
        rotated_at=now,
        # The first pair has no predecessor that could be retried.
        confirmed_at=now,
        idle_expires_at=idle_expires_at,
        absolute_expires_at=absolute_expires_at,
        last_used_at=now,
        last_ip=source.ip,
        last_user_agent=source.user_agent,
        installation_id=device.installation_id,
        name=device.name,
        platform=device.platform,
        app_version=device.app_version,
    )
    send_after_commit(session_opened, sender=DeviceSession, session=session)
    log_event_after_commit(SESSION_CREATED, user_id=user.pk, session_id=session.pk)
    return TokenPair(session, raw_access_token, raw_refresh_token, session.expiry, now)
