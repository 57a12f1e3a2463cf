"""Known devices: whether a user has signed in on a device before."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db.models import Exists, FilteredRelation, Q, Subquery

from authx import clock
from authx.models import DeviceSession, EventKind, SecurityEvent, write_alias
from authx.models.events import SecurityEventQuerySet

if TYPE_CHECKING:
    from django.contrib.auth.models import User

UNREVOKED = Q(auth_token_set__revoked_at__isnull=True)
# How long ago login() may have set it, by the clock of its process.
JUST_NOW = timedelta(minutes=1)
ATTEMPTS = (EventKind.SIGNED_IN, EventKind.SIGN_IN_FAILED)


# The columns of an unrevoked session that a sign-in needs, for its decision and its events.
SESSION_COLUMNS = (
    *("id", "user_id", "installation_id", "name", "platform", "auth_hash", "idle_expires_at"),
    "revoked_at",
)


class SignInAssessment(NamedTuple):
    """What sessions and events show of a sign-in; `now` is the database's clock."""

    is_new_device: bool
    failed_before: bool
    # The most recently used first, with SESSION_COLUMNS only.
    unrevoked: list[DeviceSession]
    now: datetime


def is_known_device(*, user_id: Any, installation_id: str) -> bool:
    """Return whether sessions or events show a sign-in of this user on an installation."""
    if not installation_id:
        return False
    known = {"user_id": user_id, "installation_id": installation_id}
    # One statement for both tables.
    sessions = DeviceSession.objects.filter(**known).values("installation_id")
    sign_ins = _sign_ins(user_id).filter(**known).values("installation_id")
    known_to_either: bool = sign_ins.union(sessions).exists()
    return known_to_either


def assess_sign_in(
    user: "User", *, installation_id: str, platform: str, user_agent: str, is_noted: bool = False
) -> SignInAssessment:
    """Compare a sign-in with earlier ones; exact while the caller holds the user's lock.

    Without an installation id, platform and user agent identify the device. The first sign-in of an
    account is not a new device. `is_noted`: Django's login() has set `last_login` for this one.
    """
    sessions = DeviceSession.objects.filter(user_id=user.pk)
    sign_ins = _sign_ins(user.pk)
    if installation_id:
        same_sessions = sessions.filter(installation_id=installation_id)
        same_sign_ins = sign_ins.filter(installation_id=installation_id)
    else:
        device = {"installation_id": "", "platform": platform}
        same_sessions = sessions.filter(**device, last_user_agent=user_agent)
        same_sign_ins = sign_ins.filter(**device, user_agent=user_agent)
    attempts = SecurityEvent.objects.filter(user_id=user.pk, kind__in=ATTEMPTS)
    rows = _unrevoked_sessions(
        user,
        *(Exists(found) for found in (same_sessions, same_sign_ins, sessions, sign_ins)),
        Subquery(attempts.order_by("-created_at", "-pk").values("kind")[:1]),
        clock.database_now(),
    )
    in_sessions, in_events, any_session, any_sign_in, last_attempt, now = rows[0][0]
    # `last_login` is kept for longer than events.
    last_login = user.last_login
    if is_noted and last_login is not None and last_login > now - JUST_NOW:
        last_login = None
    is_first = not any_session and not any_sign_in and last_login is None
    return SignInAssessment(
        is_new_device=not in_sessions and not in_events and not is_first,
        failed_before=last_attempt == EventKind.SIGN_IN_FAILED,
        unrevoked=[DeviceSession(**session) for _, session in rows if session["id"]],
        now=now,
    )


def _unrevoked_sessions(
    user: "User", *expressions: Any
) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return a row for each unrevoked session, at least one: the expressions and the columns.

    One statement, whatever the expressions ask.
    """
    rows = (
        get_user_model()
        ._base_manager.using(write_alias())
        .filter(pk=user.pk)
        .annotate(session=FilteredRelation("auth_token_set", condition=UNREVOKED))
        .order_by("-session__last_used_at", "-session__created_at")
        .values_list(*expressions, *(f"session__{name}" for name in SESSION_COLUMNS))
    )
    count = len(expressions)
    return [(row[:count], dict(zip(SESSION_COLUMNS, row[count:], strict=True))) for row in rows]


def _sign_ins(user_id: Any) -> SecurityEventQuerySet:
    return SecurityEvent.objects.filter(user_id=user_id, kind=EventKind.SIGNED_IN)
