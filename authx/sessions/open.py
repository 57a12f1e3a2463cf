"""Opens a session: one sign-in on one device."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Case, Value, When
from django.views.decorators.debug import sensitive_variables

from authx import tokens
from authx.audit.events import AFTER_FAILURE, build_event, record_events
from authx.audit.logs import SESSION_CREATED, log_event_after_commit
from authx.codec import digest_of, token_codec
from authx.context import current_context
from authx.devices import SignInAssessment, assess_sign_in, mint_credential
from authx.errors import ConflictError
from authx.models import (
    DeviceSession,
    EventKind,
    SecurityEvent,
    auth_hashes,
)
from authx.policy import lifetimes_of
from authx.sessions.derivation import new_access_token
from authx.sessions.locking import atomic, lock_unchanged
from authx.sessions.values import Device, TokenPair
from authx.signals import send_after_commit, session_opened, sessions_revoked
from authx.tokens import Token, TokenKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@sensitive_variables()
def open_session(*, user: "User", device: Device) -> TokenPair:
    """Open a session for a user whose credentials were just checked; return its first pair.

    Replaces the session of the same installation, and evicts the least recently used sessions
    beyond SESSION_LIMIT_PER_USER. Raises CredentialsChangedError if the password has changed since
    `user` was read, InvalidCredentialsError if the user is gone or inactive.
    """
    with atomic():
        user = lock_unchanged(user)
        # Before the new session exists, which would make its own device a known one. The clock is
        # read under the lock, so that the sessions of a user are as old as their order says.
        assessment = assess_sign_in(
            user,
            raw_credential=device.credential,
        )
        events = enforce_session_limit(user, assessment, device)
        pair = insert_session(
            user=user, device=device, device_id=assessment.device_id, now=assessment.now
        )
        reason = AFTER_FAILURE if assessment.failed_before else ""
        events.append(build_event(EventKind.SIGNED_IN, session=pair.session, reason=reason))
        if assessment.is_new_device:
            events.append(build_event(EventKind.NEW_DEVICE, session=pair.session))
        record_events(events)
        return pair


def enforce_session_limit(
    user: "User", assessment: SignInAssessment, device: Device
) -> list[SecurityEvent]:
    """Revoke the session of the same installation and the least recently used beyond the limit.

    Exact only while the caller holds the lock of `lock_unchanged`. Returns the events to record.
    """
    replaced: list[DeviceSession] = []
    live: list[DeviceSession] = []
    hashes, now = auth_hashes(user), assessment.now
    for session in assessment.unrevoked:
        if device.installation_id and session.installation_id == device.installation_id:
            replaced.append(session)
        elif session.is_live(now) and session.auth_hash in hashes:
            live.append(session)
    evicted = live[lifetimes_of(user, device).session_limit - 1 :]
    if not replaced and not evicted:
        return []
    replaced_ids = [session.pk for session in replaced]
    evicted_ids = [session.pk for session in evicted]
    unrevoked = DeviceSession.objects.unrevoked().filter(pk__in=replaced_ids + evicted_ids)
    count = unrevoked.update(
        revoked_at=now,
        revoked_reason=Case(
            When(pk__in=replaced_ids, then=Value(EventKind.REPLACED)),
            default=Value(EventKind.EVICTED),
        ),
    )
    if count != len(replaced_ids + evicted_ids):
        # Another process has just ended one of them, and has recorded why.
        raise ConflictError
    _send_revoked(user, replaced_ids, EventKind.REPLACED)
    _send_revoked(user, evicted_ids, EventKind.EVICTED)
    return [
        *(build_event(EventKind.REPLACED, session=session) for session in replaced),
        *(build_event(EventKind.EVICTED, session=session) for session in evicted),
    ]


def _send_revoked(user: "User", session_ids: Iterable[uuid.UUID], reason: EventKind) -> None:
    ids = list(session_ids)
    if ids:
        send_after_commit(
            sessions_revoked,
            sender=DeviceSession,
            user_id=user.pk,
            session_ids=ids,
            reason=reason,
            count=len(ids),
            everywhere=False,
        )


def insert_session(
    *, user: "User", device: Device, device_id: uuid.UUID, now: datetime
) -> TokenPair:
    """Write a session with its first pair, whose secret comes from the system's CSPRNG."""
    context = current_context()
    session_id = uuid.uuid4()
    refresh_token = Token(TokenKind.REFRESH, session_id, 0, tokens.new_secret())
    raw_refresh_token = token_codec().mint(refresh_token)
    lifetimes = lifetimes_of(user, device)
    absolute_expires_at = now + lifetimes.session_ttl
    idle_expires_at = min(now + lifetimes.refresh_token_ttl, absolute_expires_at)
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
        last_ip=context.ip,
        last_user_agent=context.user_agent,
        installation_id=device.installation_id,
        device_id=device_id,
        name=device.name,
        platform=device.platform,
        app_version=device.app_version,
    )
    send_after_commit(session_opened, sender=DeviceSession, session=session)
    log_event_after_commit(SESSION_CREATED, user_id=user.pk, session_id=session.pk)
    raw_device_credential = mint_credential(user, device_id)
    return TokenPair(
        *(session, raw_access_token, raw_refresh_token, session.expiry, now),
        raw_device_credential,
    )
