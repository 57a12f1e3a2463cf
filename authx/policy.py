"""What a project decides about a person whose credentials were right."""

from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.utils.module_loading import import_string

from authx import conf
from authx.audit.events import record_event
from authx.models import EventKind

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def require_may_sign_in(user: "User", request: HttpRequest | None) -> None:
    """Ask AUTHX["SIGN_IN_POLICY"]; raises whatever that function raises, and records it.

    Asked only after the credentials were right, so that it says nothing about an account to
    strangers. An APIException of DRF keeps its status, code and words.
    """
    path = conf.authx_setting("SIGN_IN_POLICY")
    if path is None:
        return
    try:
        import_string(path)(user, request)
    except Exception:
        record_event(
            kind=EventKind.SIGN_IN_FAILED, user_id=user.pk, reason="refused_by_the_project"
        )
        raise
