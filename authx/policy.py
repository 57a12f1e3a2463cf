"""What a project decides about a person whose credentials were right."""

from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

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
    # Python's own PermissionError is an OSError too; one of the system has a number.
    is_refusal = isinstance(error, PermissionError) and error.errno is None
    return not is_refusal and (is_server_error or isinstance(error, OUTAGES))
