"""Opens a session: one sign-in on one device."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.db.models import Case, Value, When
from django.views.decorators.debug import sensitive_variables

from authx import conf, tokens
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
from authx.policy import browser_lifetimes
from authx.sessions.derivation import new_access_token
from authx.sessions.ends import tell_ended
from authx.sessions.lifetimes import lifetimes_of
from authx.sessions.locking import atomic, lock_unchanged
from authx.sessions.own_data import storable
from authx.sessions.statements import update_returning
from authx.sessions.values import Device, Lifetimes, TokenPair
from authx.signals import send_after_commit, session_opened
from authx.tokens import Token, TokenKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User

Opened = TypeVar("Opened", TokenPair, DeviceSession)

# What stands in the columns of a browser's tokens, which do not exist: no hash has this form.
NO_TOKENS: Final = {"digest": "no access token", "refresh_digest": "no refresh token"}


@sensitive_variables()
def open_session(*, user: "User", device: Device) -> TokenPair:
    """Open a session for a user whose credentials were just checked; return its first pair.

    Replaces the session of the same installation, and evicts the least recently used sessions
    beyond the limit. Raises CredentialsChangedError if the password has changed since `user` was
    read, InvalidCredentialsError if the user is gone or inactive, ValueError for `data` that cannot
    be stored, ImproperlyConfigured for a wrong answer of LIFETIMES.
    """
    device = replace(device, data=storable(device.data))
    # Before the lock: it is a function of the project, which may take long.
    lifetimes = lifetimes_of(user, device)
    insert = partial(insert_session, lifetimes=lifetimes)
    limit = lifetimes.session_limit
    return _open(user, device, insert, limit=limit, is_noted=False)


def open_browser_session(*, user: "User", device: Device) -> DeviceSession:
    """Open a session for a browser that is signed in by a cookie; as open_session, without tokens.

    Its lifetimes are those of browsers, and its end moves with its use (browsers.py).
    """
    return _open(user, device, insert_browser_session, limit=None, is_noted=True)


def session_of(opened: TokenPair | DeviceSession) -> DeviceSession:
    """Return what was opened, without its tokens."""
    return opened.session if isinstance(opened, TokenPair) else opened


def _open(
    user: "User",
    device: Device,
    insert: Callable[..., Opened],
    *,
    limit: int | None,
    is_noted: bool,
) -> Opened:
    with atomic():
        user = lock_unchanged(user)
        # Before the new session exists, which would make its own device a known one. The clock is
        # read under the lock, so that the sessions of a user are as old as their order says.
        assessment = assess_sign_in(
            user,
            raw_credential=device.credential,
            is_noted=is_noted,
        )
        events = enforce_session_limit(
            user, assessment, installation_id=device.installation_id, limit=limit
        )
        opened = insert(
            user=user, device=device, device_id=assessment.device_id, now=assessment.now
        )
        session = session_of(opened)
        reason = AFTER_FAILURE if assessment.failed_before else ""
        events.append(build_event(EventKind.SIGNED_IN, session=session, reason=reason))
        if assessment.is_new_device:
            events.append(build_event(EventKind.NEW_DEVICE, session=session))
        record_events(events)
        return opened


def enforce_session_limit(
    user: "User", assessment: SignInAssessment, *, installation_id: str, limit: int | None
) -> list[SecurityEvent]:
    """Revoke the session of the same installation and the least recently used beyond the limit.

    Without a `limit`, SESSION_LIMIT_PER_USER holds. Exact only while the caller holds the lock of
    `lock_unchanged`. Returns the events to record.
    """
    replaced: list[DeviceSession] = []
    live: list[DeviceSession] = []
    hashes, now = auth_hashes(user), assessment.now
    for session in assessment.unrevoked:
        if installation_id and session.installation_id == installation_id:
            replaced.append(session)
        elif session.is_live(now) and session.auth_hash in hashes:
            live.append(session)
    evicted = live[(limit or conf.authx_setting("SESSION_LIMIT_PER_USER")) - 1 :]
    if not replaced and not evicted:
        return []
    replaced_ids = [session.pk for session in replaced]
    evicted_ids = [session.pk for session in evicted]
    unrevoked = DeviceSession.objects.unrevoked().filter(pk__in=replaced_ids + evicted_ids)
    ended = update_returning(
        unrevoked,
        revoked_at=now,
        revoked_reason=Case(
            When(pk__in=replaced_ids, then=Value(EventKind.REPLACED)),
            default=Value(EventKind.EVICTED),
        ),
    )
    if len(ended) != len(replaced_ids + evicted_ids):
        # Another process has just ended one of them, and has recorded why.
        raise ConflictError
    for ids, kind in ((replaced_ids, EventKind.REPLACED), (evicted_ids, EventKind.EVICTED)):
        of_kind = [session for session in ended if session.id in ids]
        tell_ended(of_kind, user_id=user.pk, reason=kind)
    return [
        *(build_event(EventKind.REPLACED, session=session) for session in replaced),
        *(build_event(EventKind.EVICTED, session=session) for session in evicted),
    ]


def insert_session(
    *,
    user: "User",
    device: Device,
    device_id: uuid.UUID,
    lifetimes: Lifetimes,
    now: datetime,
) -> TokenPair:
    """Write a session with its first pair, whose secret comes from the system's CSPRNG."""
    session_id = uuid.uuid4()
    refresh_token = Token(TokenKind.REFRESH, session_id, 0, tokens.new_secret())
    raw_refresh_token = token_codec().mint(refresh_token)
    ends_at = now + (lifetimes.session_ttl or conf.session_ttl())
    refresh_ttl = lifetimes.refresh_token_ttl or conf.refresh_token_ttl()
    idle_ends_at = min(now + refresh_ttl, ends_at)
    raw_access_token, columns = new_access_token(
        refresh_token,
        session_expires_at=idle_ends_at,
        now=now,
        ttl=lifetimes.access_token_ttl or conf.access_token_ttl(),
    )
    columns |= {"id": session_id, "device_id": device_id}
    columns |= {"refresh_digest": digest_of(raw_refresh_token)}
    columns |= {"idle_expires_at": idle_ends_at, "absolute_expires_at": ends_at}
    columns |= {
        "access_token_ttl": lifetimes.access_token_ttl,
        "refresh_token_ttl": lifetimes.refresh_token_ttl,
    }
    session = _insert(user, device, now, columns)
    return TokenPair(
        *(session, raw_access_token, raw_refresh_token, session.expiry, now),
        mint_credential(user, device_id),
    )


def insert_browser_session(
    *, user: "User", device: Device, device_id: uuid.UUID, now: datetime
) -> DeviceSession:
    """Write a session that has no tokens, so that nothing but its cookie can use it."""
    idle_ttl, ttl = browser_lifetimes(user)
    ends = {"idle_expires_at": now + idle_ttl, "absolute_expires_at": now + ttl}
    none = {**NO_TOKENS, "access_nonce": b"", "expiry": now}
    return _insert(user, device, now, {**none, **ends, "device_id": device_id})


def _insert(user: "User", device: Device, now: datetime, columns: dict[str, Any]) -> DeviceSession:
    context = current_context()
    session = DeviceSession.objects.create(
        user=user,
        auth_hash=user.get_session_auth_hash(),
        created_at=now,
        authenticated_at=now,
        rotated_at=now,
        # The first pair has no predecessor that could be retried.
        confirmed_at=now,
        last_used_at=now,
        last_ip=context.ip,
        last_user_agent=context.user_agent,
        installation_id=device.installation_id,
        name=device.name,
        platform=device.platform,
        app_version=device.app_version,
        data=device.data or {},
        **columns,
    )
    send_after_commit(session_opened, sender=DeviceSession, session=session)
    log_event_after_commit(SESSION_CREATED, user_id=user.pk, session_id=session.pk)
    return session
