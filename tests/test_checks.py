"""Settings that undo a promise are refused at start-up, each under an id of its own."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Error
from django.core.checks import Warning as CheckWarning
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections

from authx.checks import settings as checks
from authx.checks.settings import check_settings
from tests.settings_page import unlisted_keys, unlisted_settings
from tests.source_code import check_ids_in


def ids() -> list[str | None]:
    return [message.id for message in check_settings()]


OWN = [
    ("authx.E019", {"DEPRECATED_AT": None}),
    ("authx.E019", {"SUNSET_AT": None}),
    ("authx.E019", {"SUNSET_LINK": ""}),
    ("authx.E001", {"DEVICE_LIMITS": 3}),
    ("authx.E002", {"REFRESH_TOKEN_TTL": None}),
    ("authx.E002", {"REFRESH_TOKEN_TTL": 3600}),
    ("authx.E002", {"SESSION_TTL": timedelta(0)}),
    ("authx.E002", {"SESSION_TTL": timedelta.max}),
    ("authx.E003", {"REFRESH_TOKEN_GRACE_PERIOD": timedelta(seconds=-1)}),
    ("authx.E003", {"REFRESH_TOKEN_GRACE_PERIOD": 10}),
    ("authx.E003", {"SWEEP_RETENTION": None}),
    ("authx.E003", {"SWEEP_RETENTION": timedelta.max}),
    ("authx.E003", {"EVENT_RETENTION": None}),
    ("authx.E066", {"TRACE_SESSION_ID": "false"}),
    ("authx.E076", {"REQUEST_START_HEADER": ""}),
    ("authx.E076", {"REQUEST_START_HEADER": "X Start"}),
    ("authx.E076", {"REQUEST_START_HEADER": True}),
    ("authx.E005", {"SESSION_TTL": timedelta(days=29)}),
    ("authx.E005", {"REFRESH_TOKEN_TTL": timedelta(minutes=59)}),
    ("authx.E002", {"STAFF_BROWSER_IDLE_TTL": 1800}),
    ("authx.E002", {"BROWSER_SESSION_TTL": None}),
    ("authx.E080", {"BROWSER_IDLE_TTL": timedelta(days=15)}),
    ("authx.E080", {"STAFF_BROWSER_SESSION_TTL": timedelta(minutes=29)}),
    ("authx.E007", {"REFRESH_TOKEN_GRACE_PERIOD": timedelta(minutes=15)}),
    ("authx.E008", {"RETRY": "always"}),
    ("authx.E008", {"RETRY": None}),
    ("authx.E009", {"SESSION_LIMIT_PER_USER": 0}),
    ("authx.E009", {"SESSION_LIMIT_PER_USER": None}),
    ("authx.E009", {"SWEEP_BATCH_SIZE": 0}),
    ("authx.E009", {"SWEEP_BATCH_SIZE": 2.5}),
    ("authx.E075", {"MAX_SESSION_DATA_BYTES": 1}),
    ("authx.E075", {"MAX_SESSION_DATA_BYTES": 32 * 1024 + 1}),
    ("authx.E075", {"MAX_SESSION_DATA_BYTES": "2048"}),
    ("authx.E010", {"REFRESH_TOKEN_PREFIX": "axa_"}),
    ("authx.E011", {"REFRESH_TOKEN_PREFIX": "refresh_too"}),
    ("authx.E011", {"REFRESH_TOKEN_PREFIX": "axr "}),
    ("authx.E065", {"ISSUER": None}),
    ("authx.E065", {"ISSUER": "api.example.com"}),
    ("authx.E065", {"ISSUER": "http://api.example.com"}),
    ("authx.E065", {"ISSUER": "https://api.example.com/"}),
    ("authx.E065", {"ISSUER": "https://api.example.com/a/"}),
    ("authx.E065", {"ISSUER": "https://api.example.com?a"}),
    ("authx.E065", {"ISSUER": "https://api.example.com/a#b"}),
    ("authx.E065", {"ISSUER": "https://user@api.example.com"}),
    ("authx.E065", {"ISSUER": "http://localhost.example.com"}),
    ("authx.E018", {"REALM": 'a "b"'}),
    ("authx.E018", {"REALM": "two\nlines"}),
    ("authx.E018", {"REALM": None}),
    ("authx.W001", {"REFRESH_TOKEN_GRACE_PERIOD": timedelta(seconds=61)}),
]

KNOX = [
    ("authx.E002", {"TOKEN_TTL": None}),
    ("authx.E002", {"AUTO_REFRESH_MAX_TTL": None}),
    ("authx.E002", {"TOKEN_TTL": timedelta(seconds=-1)}),
    ("authx.E004", {"MIN_REFRESH_INTERVAL": -1}),
    ("authx.E004", {"MIN_REFRESH_INTERVAL": None}),
    ("authx.E004", {"MIN_REFRESH_INTERVAL": timedelta(seconds=60)}),
    ("authx.E005", {"TOKEN_TTL": timedelta(minutes=61)}),
    ("authx.E006", {"MIN_REFRESH_INTERVAL": 900}),
    ("authx.E010", {"TOKEN_PREFIX": "axr_"}),
    ("authx.E011", {"TOKEN_PREFIX": "äxa_"}),
    ("authx.E013", {"AUTH_HEADER_PREFIX": "Token"}),
    ("authx.E014", {"SECURE_HASH_ALGORITHM": "hashlib.md5"}),
    ("authx.E014", {"SECURE_HASH_ALGORITHM": "hashlib.sha1"}),
    ("authx.W002", {"AUTO_REFRESH_MAX_TTL": timedelta(minutes=61)}),
]

DJANGO = [
    ("authx.E012", "KNOX_TOKEN_MODEL", "knox.AuthToken"),
    ("authx.E016", "USE_TZ", False),
    ("authx.E017", "SECRET_KEY_FALLBACKS", ["older", ""]),
    ("authx.W003", "MIGRATION_MODULES", {}),
    ("authx.E074", "DEFAULT_FROM_EMAIL", "Shop, Inc. <shop@example.com>"),
    ("authx.E074", "DEFAULT_FROM_EMAIL", "shop@example.com\nBcc: all@example.com"),
]


def test_the_settings_of_this_project_are_clean() -> None:
    assert check_settings() == []


def test_a_project_that_sets_nothing_of_ours_is_clean(settings: Any) -> None:
    del settings.AUTHX
    del settings.REST_KNOX
    assert ids() == []


@pytest.mark.parametrize(("expected", "change"), OWN)
def test_a_setting_of_authx_is_refused(settings: Any, expected: str, change: Any) -> None:
    settings.AUTHX = settings.AUTHX | change
    assert ids() == [expected]


@pytest.mark.parametrize(("expected", "change"), KNOX)
def test_a_setting_of_knox_is_refused(settings: Any, expected: str, change: Any) -> None:
    settings.REST_KNOX = settings.REST_KNOX | change
    assert ids() == [expected]


@pytest.mark.parametrize(("expected", "name", "value"), DJANGO)
def test_a_setting_of_django_is_refused(
    settings: Any, expected: str, name: str, value: Any
) -> None:
    setattr(settings, name, value)
    assert ids() == [expected]


@pytest.mark.django_db
@pytest.mark.parametrize("vendor", ["mysql", "oracle", "microsoft"])
def test_a_database_without_what_the_tables_need_is_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch, vendor: str
) -> None:
    monkeypatch.setattr(connections["default"], "vendor", vendor)
    assert ids() == ["authx.E070"]
    with pytest.raises(SystemCheckError, match=r"authx\.E070"):
        call_command("migrate", "--plan", skip_checks=False)


@pytest.mark.parametrize(
    "change",
    [
        {"REFRESH_TOKEN_TTL": timedelta(days=180)},
        {"REFRESH_TOKEN_GRACE_PERIOD": timedelta(0)},
        {"REFRESH_TOKEN_GRACE_PERIOD": timedelta(seconds=60)},
        {"SWEEP_RETENTION": timedelta(0)},
        {"SWEEP_RETENTION": timedelta(days=3650)},
        {"EVENT_RETENTION": timedelta(0)},
        {"SESSION_LIMIT_PER_USER": 1},
        {"SWEEP_BATCH_SIZE": 1},
        {"RETRY": "strict"},
        {"REFRESH_TOKEN_PREFIX": "refresh_ok"},
        {"ISSUER": "https://api.example.com"},
        {"ISSUER": "https://api.example.com:8443/shop/users"},
        {"ISSUER": "http://127.0.0.1:8000"},
    ],
)
def test_a_setting_at_its_very_limit_is_clean(settings: Any, change: dict[str, Any]) -> None:
    settings.AUTHX = settings.AUTHX | change
    assert ids() == []


@pytest.mark.parametrize(
    "change",
    [
        {"TOKEN_TTL": timedelta(hours=1)},
        {"MIN_REFRESH_INTERVAL": 0},
        {"MIN_REFRESH_INTERVAL": 900, "AUTO_REFRESH": False},
        {"AUTH_HEADER_PREFIX": "bearer"},
        {"SECURE_HASH_ALGORITHM": "hashlib.sha256"},
        {"TOKEN_PREFIX": ""},
    ],
)
def test_a_knox_setting_at_its_very_limit_is_clean(settings: Any, change: dict[str, Any]) -> None:
    settings.REST_KNOX = settings.REST_KNOX | change
    assert ids() == []


def test_several_faults_are_all_reported(settings: Any) -> None:
    settings.AUTHX = {
        "SESSION_TTL": None,
        "RETRY": "always",
        "SESSION_LIMIT_PER_USER": 0,
        "X": 1,
        "Y": 2,
    }
    settings.USE_TZ = False
    assert ids() == [
        "authx.E001",
        "authx.E001",
        "authx.E002",
        "authx.E008",
        "authx.E009",
        "authx.E016",
    ]


def test_every_message_says_what_to_do_and_is_as_grave_as_its_id(settings: Any) -> None:
    settings.AUTHX = {"X": 1, "REFRESH_TOKEN_GRACE_PERIOD": timedelta(seconds=61)}
    error, caution = sorted(check_settings(), key=lambda message: str(message.id))
    assert (type(error), type(caution)) == (Error, CheckWarning)
    assert error.hint
    assert caution.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [("TOKEN_PREFIX", None), ("AUTH_HEADER_PREFIX", None)],
)
def test_a_knox_setting_of_the_wrong_type_is_refused_rather_than_a_crash(
    settings: Any, name: str, value: Any
) -> None:
    # Mutated, not assigned: Knox's own listener would crash first.
    settings.REST_KNOX = dict(settings.REST_KNOX)
    settings.REST_KNOX[name] = value
    assert ids()


def test_a_prefix_of_the_wrong_type_is_refused_rather_than_a_crash(settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"REFRESH_TOKEN_PREFIX": None}
    assert ids() == ["authx.E011"]


def test_the_id_counter_sees_an_id_used_twice() -> None:
    source = "_error(1, 't', 'h')\n_error(1, 't', 'h')\nCheckWarning('t', id='authx.W001')"
    assert check_ids_in(source) == {"authx.E001": 2, "authx.W001": 1}


def test_every_id_is_used_once_and_has_a_test_here() -> None:
    found = check_ids_in(Path(checks.__file__).read_text())
    tested = {case[0] for case in [*OWN, *KNOX, *DJANGO]} | {"authx.E070"}
    assert set(found.values()) == {1}
    assert set(found) == tested


def test_manage_py_check_runs_ours(settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"RETRY": "always"}
    with pytest.raises(SystemCheckError, match=r"authx\.E008"):
        call_command("check")


def test_the_page_of_settings_has_them_beside_their_keys() -> None:
    assert unlisted_keys("AUTHX", OWN) == set()
    assert unlisted_keys("REST_KNOX", KNOX) == set()
    assert unlisted_settings(DJANGO) == set()
