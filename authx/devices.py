"""Whom and what sessions and trail remember: installations, first sign-ins, failed attempts."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db.models import Exists, FilteredRelation, Q, Subquery

from authx import clock
from authx.models import DeviceSession, EventKind, SecurityEvent, write_alias
from authx.models.events import SecurityEventQuerySet

if TYPE_CHECKING:
    from django.contrib.auth.models import User

UNREVOKED = Q(auth_token_set__revoked_at__isnull=True)
ATTEMPTS = (EventKind.SIGNED_IN, EventKind.SIGN_IN_FAILED)


# Of an unrevoked session, what a sign-in decides by, and what its event tells.
SESSION_COLUMNS = (
    *("id", "user_id", "installation_id", "name", "platform", "auth_hash", "idle_expires_at"),
    "revoked_at",
)


class SignInAssessment(NamedTuple):
    """What is remembered of a user who signs in, at an instant of the database's clock."""

    is_new_device: bool
    failed_before: bool
    # The most recently used first; with no columns but those above.
    unrevoked: list[DeviceSession]
    now: datetime


def is_known_device(*, user_id: Any, installation_id: str) -> bool:
    """Say whether a user ever signed in on an installation, as far as is remembered."""
    if not installation_id:
        return False
    known = {"user_id": user_id, "installation_id": installation_id}
    # One statement: whichever of the two remembers it.
    sessions = DeviceSession.objects.filter(**known).values("installation_id")
    sign_ins = _sign_ins(user_id).filter(**known).values("installation_id")
    known_to_either: bool = sign_ins.union(sessions).exists()
    return known_to_either


def assess_sign_in(
    user: "User", *, installation_id: str, platform: str, user_agent: str
) -> SignInAssessment:
    """Compare a sign-in with what is remembered of a user; exact under the user's lock.

    Without an installation id, platform and user agent have to do. The first sign-in of an account
    is no news to anybody.
    """
    sessions = DeviceSession.objects.filter(user_id=user.pk)
    sign_ins = _sign_ins(user.pk)
    of_device = {"installation_id": installation_id} | (
        {} if installation_id else {"platform": platform}
    )
    by_agent = {} if installation_id else {"user_agent": user_agent}
    by_last_agent = {} if installation_id else {"last_user_agent": user_agent}
    attempts = SecurityEvent.objects.filter(user_id=user.pk, kind__in=ATTEMPTS)
    # One statement: a row for each unrevoked session, and at least one.
    rows = (
        get_user_model()
        ._base_manager.using(write_alias())
        .filter(pk=user.pk)
        .annotate(session=FilteredRelation("auth_token_set", condition=UNREVOKED))
        .order_by("-session__last_used_at", "-session__created_at")
        .values_list(
            Exists(sessions.filter(**of_device, **by_last_agent)),
            Exists(sign_ins.filter(**of_device, **by_agent)),
            Exists(sessions),
            Exists(sign_ins),
            Subquery(attempts.order_by("-created_at", "-pk").values("kind")[:1]),
            clock.database_now(),
            *(f"session__{name}" for name in SESSION_COLUMNS),
        )
    )
    found = [(row[:6], dict(zip(SESSION_COLUMNS, row[6:], strict=True))) for row in rows]
    in_sessions, in_trail, any_session, any_sign_in, last_attempt, now = found[0][0]
    # Django's own note of the last sign-in outlives the trail.
    is_first = not any_session and not any_sign_in and user.last_login is None
    return SignInAssessment(
        is_new_device=not in_sessions and not in_trail and not is_first,
        failed_before=last_attempt == EventKind.SIGN_IN_FAILED,
        unrevoked=[DeviceSession(**session) for _, session in found if session["id"]],
        now=now,
    )


def _sign_ins(user_id: Any) -> SecurityEventQuerySet:
    return SecurityEvent.objects.filter(user_id=user_id, kind=EventKind.SIGNED_IN)
