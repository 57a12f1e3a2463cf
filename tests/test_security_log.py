"""Each security event is one record, under its name in OWASP's vocabulary, with all that helps."""

import logging
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.urls import path
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.views import APIView

from authx.audit import logs
from authx.audit.events import record_event
from authx.models import EventKind
from backend.urls import urlpatterns as backend_urlpatterns
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone, grace_period_over

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parent.parent
FIELDS = {"event", "outcome", "user_id", "session_id", "reason"} | {
    *("ip", "user_agent", "request_id", "method", "path")
}


class ForbiddenView(APIView):
    def get(self, request: Request) -> None:
        raise PermissionDenied(str(request.user))


urlpatterns = [path("forbidden", ForbiddenView.as_view()), *backend_urlpatterns]


def go_where_it_may_not(phone: Phone) -> None:
    headers = {"authorization": f"Bearer {phone.access_token}"}
    assert phone.client.get("/forbidden", headers=headers).status_code == 403


def passwords(current: str) -> dict[str, str]:
    return {"current_password": current, "new_password": "another horse entirely"}


def reuse(phone: Phone) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    grace_period_over()
    phone.try_refresh(stolen)


def succeed_after_failing(phone: Phone) -> None:
    phone.try_sign_in("wrong password")
    Phone(device=phone.device).sign_in()


def lose_an_answer(phone: Phone) -> None:
    phone.try_refresh()
    phone.refresh()


def use_after_the_end(phone: Phone) -> None:
    phone.send("POST", "logout")
    phone.try_refresh()


def deactivate(_: Phone) -> None:
    user = User.objects.get()
    user.is_active = False
    user.save()


def operator(_: Phone) -> None:
    call_command("revoke_sessions", "--all", stdout=StringIO())


def on_kind(kind: EventKind) -> Callable[[Phone], None]:
    return lambda _: record_event(kind=kind, user_id=User.objects.get().pk)


INFO, WARNING, CRITICAL = logging.INFO, logging.WARNING, logging.CRITICAL
OTHER = {"installation_id": "another"}
OCCASIONS: list[tuple[str, int, int, Callable[[Phone], Any]]] = [
    ("authn_login_success", INFO, 1, lambda _: Phone(device=OTHER).sign_in()),
    ("authn_login_newdevice", WARNING, 1, lambda _: Phone(device=OTHER).sign_in()),
    ("session_created", INFO, 1, lambda _: Phone(device=OTHER).sign_in()),
    ("session_replaced", INFO, 1, lambda phone: Phone(device=phone.device).sign_in()),
    ("authn_login_successafterfail", WARNING, 1, succeed_after_failing),
    ("authn_login_success", INFO, 0, succeed_after_failing),
    ("authn_login_fail", WARNING, 1, lambda phone: phone.try_sign_in("wrong password")),
    ("authn_login_fail", WARNING, 1, lambda _: Phone("nobody").try_sign_in()),
    ("authn_password_change", INFO, 1, lambda p: p.send("POST", "password", passwords(PASSWORD))),
    (
        "authn_password_change_fail",
        WARNING,
        1,
        lambda phone: phone.send("POST", "password", passwords("wrong")),
    ),
    ("session_renewed", INFO, 1, lambda phone: phone.refresh()),
    ("session_renewed", INFO, 2, lose_an_answer),
    ("authn_token_reuse", CRITICAL, 1, reuse),
    ("authn_token_refused", INFO, 0, reuse),
    ("session_renewal_refused", INFO, 1, lambda _: Phone().try_refresh("axr_forged")),
    ("authn_token_refused", INFO, 1, lambda _: Phone(pair={"access_token": "axa_x"}).call()),
    ("session_use_after_expire", WARNING, 1, use_after_the_end),
    ("session_logout", INFO, 1, lambda phone: phone.send("POST", "logout")),
    ("session_logout", INFO, 1, lambda phone: phone.send("POST", "logout-all", {})),
    (
        "authn_token_revoked",
        WARNING,
        1,
        lambda phone: phone.send("POST", "revoke", {"token": phone.access_token}),
    ),
    ("authn_token_revoked", WARNING, 1, lambda p: p.send("DELETE", f"devices/{p.session_id}")),
    ("authn_token_revoked", WARNING, 1, operator),
    ("authn_token_revoked", WARNING, 1, deactivate),
    ("authn_token_revoked", WARNING, 1, lambda _: User.objects.get().delete()),
    ("authn_login_fail_max", WARNING, 1, on_kind(EventKind.SIGN_IN_LIMITED)),
    ("authn_login_lock", WARNING, 1, on_kind(EventKind.PASSWORD_LOCKED)),
    ("authn_login_unlock", WARNING, 1, on_kind(EventKind.PASSWORD_UNLOCKED)),
    ("excess_rate_limit_exceeded", WARNING, 1, on_kind(EventKind.RATE_LIMITED)),
    ("authz_fail", WARNING, 1, go_where_it_may_not),
]


def records_of(caplog: pytest.LogCaptureFixture, event: str) -> list[Any]:
    return [one for one in caplog.records if getattr(one, "event", None) == event]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("event", "level", "count", "occur"),
    OCCASIONS,
    ids=[f"{number} {case[0]}" for number, case in enumerate(OCCASIONS)],
)
def test_each_event_is_one_record_of_its_level(  # noqa: PLR0913, PLR0917 -- a table
    phone: Phone, committed: Any, caplog: Any, event: str, level: int, count: int, occur: Any
) -> None:
    caplog.clear()
    with committed():
        occur(phone)
    records = records_of(caplog, event)
    assert [one.levelno for one in records] == [level] * count
    assert {one.name for one in records} <= {"authx.security"}


def test_an_eviction_is_one_record(
    phone: Phone, committed: Any, caplog: Any, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 1}
    with committed():
        Phone(device=OTHER).sign_in()
    (told,) = records_of(caplog, "excess_sessions_exceeded")
    assert (told.levelno, told.session_id) == (WARNING, phone.session_id)


def test_a_fresh_access_token_for_a_lost_one_is_one_record(
    clock: Clock, phone: Phone, committed: Any, caplog: Any
) -> None:
    phone.try_refresh()
    clock.forward(hours=1)
    with committed():
        phone.refresh()
    (told,) = records_of(caplog, "authn_token_created")
    assert (told.levelno, told.reason) == (INFO, "retry")


def test_a_record_says_who_what_where_and_with_which_outcome(
    phone: Phone, committed: Any, caplog: Any
) -> None:
    headers = {"user-agent": "App/1"}
    with committed():
        answer = phone.send("POST", "logout", headers=headers, REMOTE_ADDR="192.0.2.7")
    (told,) = records_of(caplog, "session_logout")
    assert {name: getattr(told, name) for name in FIELDS} == {
        "event": "session_logout",
        "outcome": "success",
        "user_id": str(User.objects.get().pk),
        "session_id": phone.session_id,
        "reason": "signed_out",
        "ip": "192.0.2.7",
        "user_agent": "App/1",
        "request_id": answer.headers["X-Request-ID"],
        "method": "POST",
        "path": "/users/logout",
    }


def test_a_refused_refresh_is_logged_with_its_session(phone: Phone, caplog: Any) -> None:
    phone.send("POST", "logout")
    phone.try_refresh()
    (told,) = records_of(caplog, "session_use_after_expire")
    assert (told.session_id, told.reason) == (phone.session_id, "signed_out")
    assert told.outcome == "failure"


def documented() -> dict[str, str]:
    """Return name and level of every event in the inventory of SECURITY.md."""
    rows = re.findall(
        r"^\| `(\w+)` \| (INFO|WARNING|ERROR|CRITICAL) \|",
        (ROOT / "SECURITY.md").read_text(),
        re.MULTILINE,
    )
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_the_inventory_names_every_event_and_no_other() -> None:
    told = {entry.name: logging.getLevelName(entry.level) for entry in logs.ALL_LOG_EVENTS}
    assert documented() == told


def test_every_kind_of_event_has_a_name_in_the_logs() -> None:
    assert set(logs.LOG_EVENTS) == set(EventKind)


def test_the_inventory_names_every_field() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert [name for name in sorted(FIELDS) if f"`{name}`" not in text] == []
