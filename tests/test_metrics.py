"""What happens is counted once, under labels that no request can multiply or fill with a name."""

import ast
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone
from prometheus_client import REGISTRY, CollectorRegistry

from authx.audit.events import record_event
from authx.audit.logs import REFRESH_REFUSED
from authx.contrib.metrics.instruments import METHODS, REFUSAL_REASONS
from authx.contrib.metrics.state import StateCollector
from authx.models import DeviceSession, EventKind, Notification
from authx.passwords.bulkhead import Bulkhead
from authx.sessions.sweep import sweep
from authx.signals import security_event_logged
from authx.throttling.store import store_at
from backend.urls import urlpatterns as ours
from tests.conftest import Clock
from tests.failing_database import fail_every_statement
from tests.guessing import guess
from tests.phone import PASSWORD, Phone, grace_period_over
from tests.web_server import until

ROOT = Path(__file__).resolve().parent.parent
KEY, OTHER_KEY = "a-key-of-this-app-1", "a-key-of-this-app-2"
LABELS = {"event", "outcome", "reason", "limit", "table", "route", "method", "status", "le"}


def fail(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError


urlpatterns = [*ours, path("failing", fail, name="failing")]


def samples(registry: CollectorRegistry = REGISTRY) -> dict[tuple[str, str], float]:
    """Return the value of each series of authx, by its name and labels."""
    found = [sample for metric in registry.collect() for sample in metric.samples]
    return {
        (one.name, ",".join(map("=".join, sorted(one.labels.items())))): one.value
        for one in found
        if one.name.startswith("authx_") and not one.name.endswith("_created")
    }


def state() -> dict[tuple[str, str], float]:
    registry = CollectorRegistry()
    registry.register(StateCollector())
    return samples(registry)


def use_after_logout(phone: Phone) -> None:
    phone.send("POST", "logout")
    phone.try_refresh()


def reuse(phone: Phone) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    grace_period_over()
    phone.try_refresh(stolen)


def retry(phone: Phone, first: str = "", second: str = "") -> None:
    phone.try_refresh(key=first)
    phone.try_refresh(key=second)


def retry_after_use(phone: Phone) -> None:
    consumed = phone.refresh_token
    phone.refresh().call()
    phone.try_refresh(consumed)


REFRESHES = "authx_refreshes_total"
OCCASIONS: list[tuple[str, str, float, Callable[[Phone], Any]]] = [
    ("authx_sign_ins_total", "outcome=success", 1, lambda phone: phone.sign_in()),
    ("authx_sign_ins_total", "outcome=failure", 1, lambda phone: phone.try_sign_in("wrong")),
    ("authx_sign_ins_total", "outcome=failure", 1, lambda _: Phone("nobody").try_sign_in()),
    (REFRESHES, "outcome=rotated,reason=", 1, lambda phone: phone.refresh()),
    (REFRESHES, "outcome=rotated,reason=", 1, retry),
    (REFRESHES, "outcome=retried,reason=retry before the first use", 1, retry),
    (
        REFRESHES,
        "outcome=retried,reason=retry with the same key",
        1,
        lambda phone: retry(phone, KEY, KEY),
    ),
    (
        REFRESHES,
        "outcome=retried,reason=retry in the grace period",
        1,
        lambda phone: retry(phone, KEY, OTHER_KEY),
    ),
    (REFRESHES, "outcome=retried,reason=retry in the grace period", 1, retry_after_use),
    (REFRESHES, "outcome=reuse,reason=", 1, reuse),
    (REFRESHES, "outcome=refused,reason=signed_out", 1, use_after_logout),
    (
        REFRESHES,
        "outcome=refused,reason=wrong size or prefix",
        1,
        lambda phone: phone.try_refresh("axr_forged"),
    ),
    (
        "authx_access_token_refusals_total",
        "reason=signed_out",
        1,
        lambda phone: (phone.send("POST", "logout"), phone.call()),
    ),
    (
        "authx_revoked_sessions_total",
        "reason=signed_out_everywhere",
        2,
        lambda phone: (Phone().sign_in(), phone.send("POST", "logout-all", {})),
    ),
    ("authx_revoked_sessions_total", "reason=reuse_detected", 1, reuse),
    (
        "authx_security_events_total",
        "event=session_created",
        1,
        lambda _: Phone(device={"installation_id": "new"}).sign_in(),
    ),
    (
        "authx_rate_limit_refusals_total",
        "limit=sign-ins to an account",
        2,
        lambda _: [guess() for _ in range(7)],
    ),
    (
        "authx_http_request_duration_seconds_count",
        "method=POST,route=authx:token,status=200",
        1,
        lambda phone: phone.refresh(),
    ),
    (
        "authx_http_request_duration_seconds_count",
        "method=GET,route=none,status=404",
        1,
        lambda _: Client().get("/no/such/path"),
    ),
    (
        "authx_http_request_duration_seconds_count",
        "method=other,route=authx:me,status=405",
        1,
        lambda phone: phone.send("BREW", "me"),
    ),
]


@pytest.mark.parametrize(
    ("name", "labels", "count", "occur"), OCCASIONS, ids=[f"{one[0]} {one[1]}" for one in OCCASIONS]
)
def test_what_happens_is_counted_once(  # noqa: PLR0913, PLR0917 -- a table
    phone: Phone, committed: Any, name: str, labels: str, count: float, occur: Any
) -> None:
    before = samples().get((name, labels), 0)
    with committed():
        occur(phone)
    assert samples()[name, labels] - before == count


@pytest.mark.parametrize("outcome", ["rotated", "reuse"])
def test_a_refresh_counts_from_zero_so_that_the_first_one_is_an_increase(outcome: str) -> None:
    assert (REFRESHES, f"outcome={outcome},reason=") in samples()


@pytest.mark.urls(__name__)
def test_a_request_that_fails_is_counted_and_no_longer_in_progress(db: None) -> None:
    counted = "authx_http_request_duration_seconds_count", "method=GET,route=failing,status=500"
    before = samples().get(counted, 0)
    Client(raise_request_exception=False).get("/failing")
    assert samples()[counted] - before == 1
    assert samples()["authx_http_requests_in_progress", "route=failing"] == 0


@pytest.mark.urls(__name__)
def test_a_request_is_in_progress_while_its_view_runs(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(request: HttpRequest) -> HttpResponse:
        seen.append(samples()["authx_http_requests_in_progress", "route=failing"])
        return HttpResponse()

    monkeypatch.setattr(urlpatterns[-1], "callback", look)
    Client().get("/failing")
    assert seen == [1]


def test_password_checks_are_counted_while_they_run_and_wait() -> None:
    def counted() -> list[float]:
        checks = "authx_password_checks"
        return [samples().get((checks, f"state={state}"), 0) for state in ("running", "waiting")]

    one = Bulkhead(1)
    with ThreadPoolExecutor() as pool:
        with one.place(0):
            assert counted() == [1, 0]
            waiting = pool.submit(enter, one)
            assert until(lambda: counted() == [1, 1], seconds=10)
        waiting.result()
    assert counted() == [0, 0]


def enter(bulkhead: Bulkhead) -> None:
    with bulkhead.place(seconds=10):
        pass


def test_no_request_adds_a_series(phone: Phone, committed: Any) -> None:
    def knock(marker: str) -> None:
        with committed():
            client = Client(raise_request_exception=False)
            for method in ("GET", "BREW", marker.upper()):
                client.generic(method, f"/{marker}/x", headers={"user-agent": marker})
                client.generic(method, f"/users/devices/{marker}")
            Phone(marker).try_sign_in(marker)
            Phone().try_refresh(f"axr_{marker}")
            Phone(pair={"access_token": marker}).call()
            Phone(device={"name": marker, "installation_id": marker}).sign_in()
            phone.try_refresh(key=f"a-key-of-sixteen-{marker}")

    knock("first")
    before = samples().keys()
    for number in range(3):
        knock(f"other{number}")
    assert samples().keys() == before
    assert not [series for series in before if "first" in series[1].replace("first use", "")]


def test_no_label_names_a_user_a_session_or_an_address(phone: Phone) -> None:
    collected = [sample for metric in REGISTRY.collect() for sample in metric.samples]
    names = {name for one in collected if one.name.startswith("authx_") for name in one.labels}
    assert names - {"task", "state"} <= LABELS


def reasons_in(source: str) -> Iterator[str]:
    """Yield the reasons that the source gives for refusing a token."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            is_refusal = node.func.id in {
                "ForgedTokenError",
                "InvalidAccessTokenError",
                "InvalidRefreshTokenError",
            }
            constants = [one for one in node.args if isinstance(one, ast.Constant)]
            yield from (str(one.value) for one in constants if is_refusal)


def test_every_reason_for_refusing_a_token_has_a_series_of_its_own() -> None:
    sources = [
        *(ROOT / "authx" / "sessions").glob("*.py"),
        *(ROOT / "authx" / "rest").rglob("*.py"),
        ROOT / "authx" / "tokens.py",
    ]
    found = {reason for path in sources for reason in reasons_in(path.read_text())}
    assert "tag does not verify" in found
    assert found <= REFUSAL_REASONS


def test_a_reason_of_a_project_is_counted_as_other() -> None:
    counted = REFRESHES, "outcome=refused,reason=other"
    before = samples().get(counted, 0)
    for reason in ("a new reason", "alice@example.com"):
        event = {"event": REFRESH_REFUSED, "reason": reason}
        security_event_logged.send(sender=None, user_id=None, session_id=None, **event)
    assert samples()[counted] - before == 2


@pytest.mark.parametrize("reason", ["expired", "inactive", "password changed"])
def test_a_session_that_is_over_is_refused_with_a_known_reason(
    phone: Phone, committed: Any, reason: str
) -> None:
    if reason == "expired":
        DeviceSession.objects.update(idle_expires_at=timezone.now())
    elif reason == "inactive":
        User.objects.update(is_active=False)
    else:
        User.objects.update(password="another")
    before = samples().get((REFRESHES, f"outcome=refused,reason={reason}"), 0)
    with committed():
        phone.try_refresh()
    assert samples()[REFRESHES, f"outcome=refused,reason={reason}"] - before == 1


def test_the_methods_are_those_of_http() -> None:
    assert {"GET", "POST", "PATCH", "DELETE"} <= METHODS


# --- What a scrape reads


OVERDUE = "authx_oldest_overdue_row_seconds"
UNSENT = "authx_oldest_unsent_notification_seconds", ""


@pytest.mark.portable
def test_a_sweep_is_measured(clock: Clock, phone: Phone) -> None:
    phone.send("POST", "logout")
    clock.forward(days=8)
    swept = "authx_swept_rows_total", "table=sessions"
    before = samples().get(swept, 0)
    sweep()
    after = samples()
    assert after[swept] - before == 1
    assert after["authx_sweep_duration_seconds", ""] > 0
    assert after["authx_sweep_finished_timestamp_seconds", ""] == timezone.now().timestamp()


@pytest.mark.portable
@pytest.mark.parametrize(("hours", "overdue"), [(1, 0), (7 * 24, 0), (7 * 24 + 3, 3), (9 * 24, 48)])
def test_a_session_is_overdue_from_the_end_of_its_retention(
    clock: Clock, phone: Phone, tablet: Phone, hours: int, overdue: int
) -> None:
    phone.send("POST", "logout")
    clock.forward(hours=1)
    tablet.send("POST", "logout")
    clock.forward(hours=hours - 1)
    assert state()[OVERDUE, "table=sessions"] == timedelta(hours=overdue).total_seconds()


@pytest.mark.portable
def test_once_swept_nothing_is_overdue(clock: Clock, phone: Phone) -> None:
    phone.send("POST", "logout")
    clock.forward(days=1)
    phone.sign_in()
    clock.forward(days=199)
    lags = state()
    assert lags[OVERDUE, "table=sessions"] == timedelta(days=193).total_seconds()
    assert lags[OVERDUE, "table=events"] == timedelta(days=20).total_seconds()
    sweep()
    lags = state()
    assert lags[OVERDUE, "table=sessions"] == lags[OVERDUE, "table=events"] == 0


@pytest.mark.portable
def test_the_oldest_unsent_mail_has_an_age(clock: Clock, alice: User) -> None:
    assert state()[UNSENT] == 0
    for _ in range(2):
        record_event(kind=EventKind.PASSWORD_CHANGED, user_id=alice.pk)
        clock.forward(minutes=5)
    assert state()[UNSENT] == 600
    # A failed attempt moves the next one, and not the age.
    Notification.objects.update(due_at=timezone.now() + timedelta(hours=1))
    assert state()[UNSENT] == 600


def test_without_a_database_a_scrape_says_so_and_reports_no_false_zero(db: None) -> None:
    with (
        transaction.atomic(),
        connection.execute_wrapper(fail_every_statement(OperationalError("away"))),
    ):
        found = state()
    assert found["authx_database_up", ""] == 0
    assert {name for name, _ in found} == {"authx_database_up", "authx_rate_limit_store_up"}
    assert state()["authx_database_up", ""] == 1


@pytest.mark.postgresql
def test_a_database_that_accepts_no_writes_is_not_up(db: None) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        assert state()["authx_database_up", ""] == 0
        transaction.set_rollback(True)


def test_without_a_store_a_scrape_says_that_limits_count_for_each_process(
    db: None, settings: Any
) -> None:
    assert state()["authx_rate_limit_store_up", ""] == 1
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": "redis://127.0.0.1:1/0"}
    assert state()["authx_rate_limit_store_up", ""] == 0
    store_at.cache_clear()


def test_a_scrape_takes_a_bounded_number_of_statements(phone: Phone, statements: Any) -> None:
    with statements() as executed:
        state()
    assert len(executed) == 4
    assert PASSWORD not in str(executed.sql)
