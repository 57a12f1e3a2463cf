"""Users and sessions, copied in SQL from real ones; some of the sessions are then really opened."""

from secrets import SystemRandom, token_urlsafe
from time import sleep
from typing import Any, Final
from uuid import uuid4

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from authx.context import RequestContext, use_context
from authx.models import DeviceSession
from authx.sessions.open import open_session
from authx.sessions.refresh import refresh_session
from authx.sessions.values import Device
from tests.benchmarks.copying import copy_row
from tests.cluster.users import PASSWORD, name_of

SESSIONS_PER_USER: Final = 2
TEMPLATE: Final = "template"
# What a session has after some days: eight remembered idempotency keys, one recent generation.
ROTATIONS: Final = 10
GRACE_PERIOD_SECONDS: Final = 10.5
CONTEXT: Final = RequestContext(
    ip="198.51.100.217", user_agent="Example/4.12.0 (iPhone; iOS 19.1; Scale/3.00)"
)
# An end of this number of days ago is past the retention.
ENDED_DAYS: Final = "(8 + number %% 30)"


def add_users(count: int) -> None:
    """Copy a user; all have one password, and the hash that production would store."""
    template = User.objects.create(
        username=TEMPLATE, email=f"{TEMPLATE}@localhost", password=make_password(PASSWORD)
    )
    name = "'user-' || (number - 1)"
    copy_row(User, template.pk, count, username=name, email=f"{name} || '@localhost'")


def add_sessions(live: int, ended: int) -> None:
    """Copy a session so many times; those that have ended lie evenly among those that live."""
    total = live + ended
    key = _template_session()
    first, users = User.objects.get(username=name_of(0)).pk, User.objects.count() - 1
    is_ended = f"number * {ended}::bigint / {total} <> (number - 1) * {ended}::bigint / {total}"
    day = "interval '1 day'"
    created_at = f"now() - {day} * (number %% 149)"
    idle_ends = f"{day} * CASE WHEN {is_ended} THEN -{ENDED_DAYS} ELSE 1 + number %% 29 END"
    copy_row(
        DeviceSession,
        key,
        total,
        id="gen_random_uuid()",
        user_id=f"{first} + number %% {users}",
        installation_id="gen_random_uuid()::text",
        created_at=created_at,
        authenticated_at=created_at,
        absolute_expires_at=f"{created_at} + {day} * 180",
        idle_expires_at=f"now() + {idle_ends}",
    )
    DeviceSession.objects.filter(pk=key).delete()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def sign_in(count: int) -> list[str]:
    """Open sessions of as many users, anywhere in the table; return their refresh tokens."""
    first, users = User.objects.get(username=name_of(0)).pk, User.objects.count() - 1
    raw_tokens = []
    for number in SystemRandom().sample(range(users), count):
        user = User.objects.get(pk=first + number)
        with use_context(CONTEXT):
            pair = open_session(user=user, device=_device())
        _move(pair.session)
        raw_tokens.append(str(pair.raw_refresh_token))
    return raw_tokens


def settle() -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _device() -> Device:
    return Device(
        installation_id=str(uuid4()), name="Anna's phone", platform="ios", app_version="4.12.0"
    )


def _template_session() -> Any:
    """Return the key of a session that has rotated for some time."""
    with use_context(CONTEXT):
        pair = open_session(user=User.objects.get(username=TEMPLATE), device=_device())
        for rotation in range(ROTATIONS):
            if rotation == ROTATIONS - 1:
                sleep(GRACE_PERIOD_SECONDS)
            key = token_urlsafe()
            pair = refresh_session(raw_token=pair.raw_refresh_token, idempotency_key=key)
    return pair.session.pk


def _move(session: DeviceSession) -> None:
    """Let a new session take the place of a copied one of its user.

    New rows lie side by side in a few pages, which are in memory; the rows of a table that is in
    use for long are anywhere.
    """
    copies = DeviceSession.objects.filter(user=session.user, idle_expires_at__gt=timezone.now())
    copy = copies.exclude(pk=session.pk).first()
    if copy is None:
        return
    fields = [field.attname for field in session._meta.concrete_fields if not field.generated]
    values = DeviceSession.objects.values(*fields).get(pk=session.pk)
    with transaction.atomic():
        DeviceSession.objects.filter(pk=session.pk).delete()
        DeviceSession.objects.filter(pk=copy.pk).update(
            **{("user" if name == "user_id" else name): value for name, value in values.items()}
        )
