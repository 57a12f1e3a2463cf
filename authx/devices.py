"""Known devices: whether a user has signed in on a device before, and still wants it.

A sign-in brings a device credential, which the device shows at its next sign-in (OWASP, "device
cookies"). It is minted for one user and one device, like a token, so the database stores only the
id inside it, which proves nothing. What the app calls its device proves nothing either.

A device stays known while it has a session, and after its last sign-in as long as events are kept.
It is forgotten with the password, and when the session of the device was ended for it: in the list
of devices, by a sign-out everywhere, by an operator, or because a token was used twice. Its own
sign-out and a sweep do not end it.
"""

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.db.models import Exists, FilteredRelation, Q, Subquery

from authx import clock
from authx.codec import token_codec
from authx.errors import ForgedTokenError
from authx.models import DeviceSession, EventKind, SecurityEvent, all_users, auth_hashes
from authx.tokens import RawToken, Token, TokenKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User

UNREVOKED = Q(auth_token_set__revoked_at__isnull=True)
# How long ago login() may have set it, by the clock of its process.
JUST_NOW = timedelta(minutes=1)
ATTEMPTS = (EventKind.SIGNED_IN, EventKind.SIGN_IN_FAILED)
# The ends of one session that make its device unknown, and those of all sessions.
FORGET_ONE: Final = (
    EventKind.ENDED_BY_USER,
    EventKind.ENDED_BY_OPERATOR,
    EventKind.REUSE_DETECTED,
)
FORGET_ALL: Final = (EventKind.SIGNED_OUT_EVERYWHERE, EventKind.DEACTIVATED)

# The columns of an unrevoked session that a sign-in needs, for its decision and its events.
SESSION_COLUMNS = (
    *("id", "user_id", "installation_id", "device_id", "name", "platform", "auth_hash"),
    *("idle_expires_at", "revoked_at"),
)


class SignInAssessment(NamedTuple):
    """What sessions and events show of a sign-in; `now` is the database's clock."""

    device_id: uuid.UUID
    is_new_device: bool
    failed_before: bool
    # The most recently used first, with SESSION_COLUMNS only.
    unrevoked: list[DeviceSession]
    now: datetime


class Evidence(NamedTuple):
    """What the tables say of the device of a credential."""

    has_session: bool
    last_event: str | None


def mint_credential(user: "User", device_id: uuid.UUID) -> RawToken:
    """Return the credential of a device, for this user with the present password."""
    password = user.get_session_auth_hash()
    return token_codec().mint_device(device_id, user=str(user.pk), password=password)


def find_known_device(user: "User", raw_credential: str) -> uuid.UUID | None:
    """Return the id of the device that a credential proves to be known to a user, or None.

    A forged credential, and one of another user, costs no query; another one costs one.
    """
    credential = _credential_of(user, raw_credential)
    if credential is None:
        return None
    rows = _unrevoked_sessions(user, *_evidence(user, credential))
    is_known = bool(rows) and _is_known(user, credential, Evidence(*rows[0][0]))
    return credential.session_id if is_known else None


def known_devices(*, user_id: Any) -> set[uuid.UUID]:
    """Return the ids of the devices that sessions or events of a user show."""
    sessions = DeviceSession.objects.filter(user_id=user_id).values_list("device_id", flat=True)
    sign_ins = SecurityEvent.objects.filter(
        user_id=user_id, kind=EventKind.SIGNED_IN, device_id__isnull=False
    )
    # One statement for both tables.
    rows: Any = sign_ins.values_list("device_id", flat=True).union(sessions)
    return set(rows)


def assess_sign_in(
    user: "User", *, raw_credential: str, is_noted: bool = False
) -> SignInAssessment:
    """Compare a sign-in with earlier ones; exact while the caller holds the user's lock.

    The first sign-in of an account is not a new device. `is_noted`: Django's login() has set
    `last_login` for this one.
    """
    credential = _credential_of(user, raw_credential)
    evidence = _evidence(user, credential) if credential else ()
    events = SecurityEvent.objects.filter(user_id=user.pk)
    rows = _unrevoked_sessions(
        user,
        Exists(DeviceSession.objects.filter(user_id=user.pk)),
        Exists(events.filter(kind=EventKind.SIGNED_IN)),
        Subquery(_newest(events.filter(kind__in=ATTEMPTS))),
        clock.database_now(),
        *evidence,
    )
    any_session, any_sign_in, last_attempt, now, *found = rows[0][0]
    is_known = credential is not None and _is_known(user, credential, Evidence(*found))
    # `last_login` is kept for longer than events.
    last_login = user.last_login
    if is_noted and last_login is not None and last_login > now - JUST_NOW:
        last_login = None
    is_first = not any_session and not any_sign_in and last_login is None
    return SignInAssessment(
        device_id=credential.session_id if credential and is_known else uuid.uuid4(),
        is_new_device=not is_known and not is_first,
        failed_before=last_attempt == EventKind.SIGN_IN_FAILED,
        unrevoked=[DeviceSession(**session) for _, session in rows if session["id"]],
        now=now,
    )


def _credential_of(user: "User", raw_credential: str) -> Token | None:
    """Return a credential that this server minted for a user; what else a client sends is none."""
    codec = token_codec()
    try:
        credential = codec.parse(raw_credential, TokenKind.DEVICE)
    except ForgedTokenError:
        return None
    return credential if codec.is_device_of(credential, user=str(user.pk)) else None


def _evidence(user: "User", credential: Token) -> tuple[Exists, Subquery]:
    """Return the expressions of an Evidence."""
    device_id = credential.session_id
    sessions = DeviceSession.objects.unrevoked().filter(
        user_id=user.pk, device_id=device_id, auth_hash__in=auth_hashes(user)
    )
    of_device = Q(kind__in=(EventKind.SIGNED_IN, *FORGET_ONE), device_id=device_id)
    # Whoever ends all sessions of a user at once leaves an event without a session.
    of_all = Q(kind__in=FORGET_ONE, device_id=None) | Q(kind__in=FORGET_ALL)
    events = SecurityEvent.objects.filter(of_device | of_all, user_id=user.pk)
    return Exists(sessions), Subquery(_newest(events))


def _is_known(user: "User", credential: Token, evidence: Evidence) -> bool:
    # Sessions follow an upgrade of the stored hash, which a credential cannot.
    if evidence.has_session:
        return True
    is_current = token_codec().is_device_under(credential, passwords=auth_hashes(user))
    return is_current and evidence.last_event == EventKind.SIGNED_IN


def _newest(events: Any) -> Any:
    return events.order_by("-created_at", "-pk").values("kind")[:1]


def _unrevoked_sessions(
    user: "User", *expressions: Any
) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return a row for each unrevoked session, at least one: the expressions and the columns.

    One statement, whatever the expressions ask. None for a user who is gone.
    """
    rows = (
        all_users()
        .filter(pk=user.pk)
        .annotate(session=FilteredRelation("auth_token_set", condition=UNREVOKED))
        .order_by("-session__last_used_at", "-session__created_at")
        .values_list(*expressions, *(f"session__{name}" for name in SESSION_COLUMNS))
    )
    count = len(expressions)
    return [(row[:count], dict(zip(SESSION_COLUMNS, row[count:], strict=True))) for row in rows]
