"""Whether a right password was let in: at some doors it is not enough, such as at the admin's.

The password backend cannot know. What it accepted counts as a success once somebody was signed in,
and otherwise, at the end of the request, like a wrong password.
"""

from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from django.db import DatabaseError
from rest_framework.response import Response

from authx.audit.events import record_event
from authx.context import CONTEXT_KEY
from authx.models import EventKind
from authx.passwords.limits import Attempt

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest, HttpResponse

# The attribute of the request, and of the user.
ACCEPTED: Final = "_authx_accepted"


@dataclass
class Accepted:
    """A right password, for which nobody is signed in yet."""

    user_id: Any
    attempt: Attempt
    is_admitted: bool = False

    def admit(self) -> None:
        self.is_admitted = True
        self.attempt.succeed()


def note_accepted(request: Any, user: "User", attempt: Attempt) -> None:
    """Note that a backend has accepted a password; within another attempt, that one decides."""
    accepted = Accepted(user.pk, attempt)
    request = getattr(request, "_request", request)  # DRF's wraps Django's.
    # Without a request, or without the middleware that ends it, nobody tells what became of it.
    if attempt.bucket is None or CONTEXT_KEY not in getattr(request, "META", {}):
        accepted.admit()
    else:
        vars(request)[ACCEPTED] = vars(user)[ACCEPTED] = accepted


def note_admitted(user: Any) -> None:
    """Note that a user is signed in, by whatever way."""
    accepted = vars(user).pop(ACCEPTED, None)
    if accepted is not None:
        accepted.admit()


def is_undecided(request: "HttpRequest") -> bool:
    """Return whether a right password was accepted, and nobody was signed in by it so far."""
    accepted = vars(request).get(ACCEPTED)
    return accepted is not None and not accepted.is_admitted


def end_request(request: "HttpRequest", response: "HttpResponse") -> None:
    """Record a right password that did not let its owner in; called after the response."""
    accepted = vars(request).pop(ACCEPTED, None)
    if accepted is None or accepted.is_admitted:
        return
    # A view of DRF that issues tokens of another scheme sends no signal of Django. A form, such as
    # that of the admin, responds to a refusal with 200.
    has_succeeded = isinstance(response, Response) and response.status_code < HTTPStatus.BAD_REQUEST
    # DRF sets the user of a request that carries a password instead of a token.
    is_signed_in = getattr(getattr(request, "user", None), "pk", None) == accepted.user_id
    if has_succeeded or is_signed_in:
        accepted.admit()
        return
    # An unavailable database is reported elsewhere.
    with suppress(DatabaseError):
        record_event(kind=EventKind.SIGN_IN_FAILED, user_id=accepted.user_id, reason="not_admitted")
