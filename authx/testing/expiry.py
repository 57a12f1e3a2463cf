"""Lets tokens and sessions expire without waiting."""

from datetime import timedelta
from typing import Final

from authx import clock
from authx.models import DeviceSession, write_alias
from authx.testing.environment import require_test_environment

# Expired by the database's clock whatever precision it has.
AGO: Final = timedelta(seconds=1)


def expire_access_token(session: DeviceSession) -> None:
    """Let the newest access token expire; the refresh token is still accepted.

    An access token that a refresh has superseded is not the newest.
    """
    _end(session, "expiry")


def expire_refresh_token(session: DeviceSession) -> None:
    """Let the session expire as if its device had not refreshed for REFRESH_TOKEN_TTL."""
    _end(session, "expiry", "idle_expires_at")


def expire_session(session: DeviceSession) -> None:
    """Let the session reach its longest life, SESSION_TTL, however often it has refreshed."""
    _end(session, "expiry", "idle_expires_at", "absolute_expires_at")


def _end(session: DeviceSession, *columns: str) -> None:
    require_test_environment()
    end = clock.database_now() - AGO
    DeviceSession.objects.filter(pk=session.pk).update(**dict.fromkeys(columns, end))
    session.refresh_from_db(using=write_alias(), fields=columns)
