"""What a project decides about a person: whether they may sign in, and for how long."""

from dataclasses import dataclass, fields, replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.http import HttpRequest
from django.utils.module_loading import import_string

from authx import conf
from authx.audit.events import record_event
from authx.errors import ConflictError, OverloadedError
from authx.models import EventKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# What says nothing about the user; OSError is that of every network connection.
OUTAGES: Final = (DatabaseError, OSError, ConflictError, OverloadedError)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lives, and how many live ones its user has."""

    refresh_token_ttl: timedelta
    session_ttl: timedelta
    session_limit: int

    def __post_init__(self) -> None:
        spans = (self.refresh_token_ttl, self.session_ttl)
        are_spans = all(isinstance(one, timedelta) and one > timedelta(0) for one in spans)
        is_limit = type(self.session_limit) is int and self.session_limit > 0
        if not (are_spans and is_limit and self.refresh_token_ttl <= self.session_ttl):
            raise ImproperlyConfigured(f"AUTHX['LIFETIMES'] has led to {self!r}.")


def lifetimes_of(user: "User", device: Any) -> Lifetimes:
    """Return the settings, or what AUTHX["LIFETIMES"] says differently.

    `device` has the fields of a Device. Asked at a sign-in and at every refresh; what is stored on
    a session until then stays. Raises ImproperlyConfigured for an answer that makes no sense.
    """
    default = Lifetimes(
        conf.refresh_token_ttl(), conf.session_ttl(), conf.authx_setting("SESSION_LIMIT_PER_USER")
    )
    path = conf.authx_setting("LIFETIMES")
    if path is None:
        return default
    own = dict(import_string(path)(user, device) or {})
    if unknown := own.keys() - {one.name for one in fields(Lifetimes)}:
        raise ImproperlyConfigured(f"AUTHX['LIFETIMES'] has answered {sorted(unknown)}.")
    return replace(default, **own)


def browser_lifetimes(user: "User") -> tuple[timedelta, timedelta]:
    """Return how long a browser stays signed in without use, and at most."""
    # A user model need not know staff.
    return conf.browser_ttls(is_staff=getattr(user, "is_staff", False))


def require_may_sign_in(user: "User", request: HttpRequest | None) -> None:
    """Ask AUTHX["SIGN_IN_POLICY"]; raises whatever that function raises, and records a refusal.

    Asked only after the credentials were right, so that it says nothing about an account to
    strangers. An APIException of DRF keeps its status, code, words and extra data.
    """
    path = conf.authx_setting("SIGN_IN_POLICY")
    if path is None:
        return
    try:
        import_string(path)(user, request)
    except Exception as error:
        if not _is_outage(error):
            record_event(
                kind=EventKind.SIGN_IN_FAILED, user_id=user.pk, reason="refused_by_the_project"
            )
        raise


def _is_outage(error: Exception) -> bool:
    # An APIException of DRF, which this module does not import.
    status = getattr(error, "status_code", None)
    is_server_error = isinstance(status, int) and status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return is_server_error or isinstance(error, OUTAGES)
