"""AUTHX["LIFETIMES"]: what a project says of the lifetimes and the limit of one sign-in."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from authx import conf
from authx.sessions.values import Device, Lifetimes

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def lifetimes_of(user: "User", device: Device) -> Lifetimes:
    """Ask the function of the project, once for each session; raises ImproperlyConfigured.

    Requests and refreshes do not ask: what it says is stored with the session.
    """
    path = conf.authx_setting("LIFETIMES")
    if path is None:
        return Lifetimes()
    answer: Lifetimes = import_string(path)(user, device)
    if problem := _problem_of(answer):
        raise ImproperlyConfigured(f"AUTHX['LIFETIMES'] is {path!r}, which returned {problem}.")
    return answer


def _problem_of(answer: Any) -> str:
    """Return what is wrong with an answer; "" for nothing. The rules are those of the settings."""
    if not isinstance(answer, Lifetimes):
        return f"{answer!r}, and no authx.api.Lifetimes"
    for name in ("access_token_ttl", "refresh_token_ttl", "session_ttl"):
        value = getattr(answer, name)
        if value is not None and not _is_lifetime(value):
            return f"{name}={value!r}, and no positive timedelta of at most ten years"
    limit = answer.session_limit
    if limit is not None and (type(limit) is not int or limit < 1):
        return f"session_limit={limit!r}, and no whole number from 1"
    return _problem_of_access(answer.access_token_ttl)


def _problem_of_access(ttl: timedelta | None) -> str:
    if ttl is None:
        return ""
    if ttl > conf.access_token_max_ttl():
        return f"access_token_ttl={ttl!r}, more than AUTO_REFRESH_MAX_TTL"
    if conf.knox_setting("AUTO_REFRESH") and ttl <= conf.min_renewal_interval():
        return f"access_token_ttl={ttl!r}, which MIN_REFRESH_INTERVAL reaches"
    if ttl <= conf.refresh_token_grace_period():
        return f"access_token_ttl={ttl!r}, which REFRESH_TOKEN_GRACE_PERIOD reaches"
    return ""


def _is_lifetime(value: Any) -> bool:
    return isinstance(value, timedelta) and timedelta(0) < value <= conf.MAX_LIFETIME
