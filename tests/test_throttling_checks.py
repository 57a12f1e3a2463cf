"""Settings without which guessing would not be limited are refused, each under an id of its own."""

import inspect
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from authx.checks import throttling
from authx.checks.throttling import check_sharing, check_throttling
from authx.passwords.bulkhead import UNLIMITED
from tests.settings_page import unlisted_keys
from tests.source_code import check_ids_in

OWN = [
    ("authx.E020", {"SIGN_IN_RATES": []}),
    ("authx.E020", {"SIGN_IN_RATES": "5/minute"}),
    ("authx.E020", {"SIGN_IN_RATES_PER_IP": ["often"]}),
    ("authx.E020", {"REFRESH_RATES": ["0/minute"]}),
    ("authx.E020", {"SESSION_RATES": None}),
    ("authx.E020", {"SERVICE_RATES": ["6000"]}),
    ("authx.E020", {"FORGED_TOKEN_RATES": [5]}),
    ("authx.E020", {"SIGN_IN_RATES_PER_SUBNET": ["often"]}),
    ("authx.E020", {"SIGN_IN_RATES_PER_SITE": []}),
    ("authx.E072", {"PASSWORD_CHECKS_AT_ONCE": 0}),
    ("authx.E072", {"PASSWORD_CHECKS_AT_ONCE": "2"}),
    ("authx.E072", {"PASSWORD_CHECKS_AT_ONCE": None}),
    ("authx.E073", {"PASSWORD_CHECK_WAIT": 2}),
    ("authx.E073", {"PASSWORD_CHECK_WAIT": timedelta(seconds=11)}),
    ("authx.E021", {"MAX_PASSWORD_FAILURES": 0}),
    ("authx.E021", {"MAX_PASSWORD_FAILURES": 101}),
    ("authx.E021", {"MAX_PASSWORD_FAILURES": True}),
    ("authx.E023", {"THROTTLE_STORAGE_URL": None}),
    ("authx.E023", {"THROTTLE_STORAGE_URL": "memcached://cache.example.com"}),
    ("authx.E023", {"THROTTLE_STORAGE_URL": "redis://host:port/0"}),
]
PROXIES = [("authx.E022", value) for value in (None, -1, "1", True)]
DEPLOYMENT = [
    ("authx.E024", "AUTHX", {"THROTTLE_STORAGE_URL": "memory://"}),
]


@pytest.fixture(autouse=True)
def _deployed(settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": "redis://redis.example.com/0"}
    settings.ALLOWED_HOSTS = ["api.example.com"]


def ids() -> list[str | None]:
    return [message.id for message in [*check_throttling(), *check_sharing()]]


def test_the_settings_of_this_project_are_clean() -> None:
    assert ids() == []


@pytest.mark.parametrize(("expected", "change"), OWN)
def test_a_setting_of_authx_is_refused(settings: Any, expected: str, change: Any) -> None:
    settings.AUTHX = settings.AUTHX | change
    assert ids() == [expected]


@pytest.mark.parametrize(("expected", "value"), PROXIES)
def test_a_number_of_proxies_that_is_none_is_refused(
    settings: Any, expected: str, value: Any
) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": value}
    assert ids() == [expected]


@pytest.mark.parametrize(("expected", "name", "value"), DEPLOYMENT)
def test_what_a_deployment_needs_is_asked_for(
    settings: Any, expected: str, name: str, value: Any
) -> None:
    setattr(settings, name, value)
    assert ids() == [expected]


@pytest.mark.parametrize(
    "change",
    [
        {"SIGN_IN_RATES": ["1 per 2 hours"]},
        {"MAX_PASSWORD_FAILURES": 1},
        {"PASSWORD_CHECKS_AT_ONCE": 1, "PASSWORD_CHECK_WAIT": timedelta(0)},
        {"PASSWORD_CHECK_WAIT": timedelta(seconds=10)},
        {"MAX_PASSWORD_FAILURES": 100},
        {"THROTTLE_STORAGE_URL": "rediss://user:word@redis.example.com:6380/1"},
    ],
)
def test_a_setting_at_its_very_limit_is_clean(settings: Any, change: dict[str, Any]) -> None:
    settings.AUTHX = settings.AUTHX | change
    assert ids() == []


def test_more_memory_for_passwords_than_there_is_gets_a_warning(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    settings.AUTHX = settings.AUTHX | {"PASSWORD_CHECKS_AT_ONCE": 4}
    monkeypatch.setattr(throttling, "available_memory", lambda: 800 << 20)
    assert ids() == []
    monkeypatch.setattr(throttling, "available_memory", lambda: 799 << 20)
    assert ids() == ["authx.W020"]


def test_a_machine_that_does_not_say_how_much_memory_it_has_gets_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttling, "available_memory", lambda: UNLIMITED)
    assert ids() == ["authx.W021"]


def test_a_machine_on_loopback_may_count_in_memory(settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": "memory://"}
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
    assert ids() == []


def test_the_message_shows_no_password_of_the_store(settings: Any) -> None:
    url = "memcached://somebody:secret@cache.example.com"
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": url}
    assert "secret" not in repr(check_throttling())


def test_every_id_is_used_once_and_has_a_test_here() -> None:
    found = check_ids_in(inspect.getsource(throttling))
    assert set(found.values()) == {1}
    assert set(found) == {case[0] for case in [*OWN, *PROXIES, *DEPLOYMENT]} | {
        "authx.W020",
        "authx.W021",
    }


def test_manage_py_check_runs_them(settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"MAX_PASSWORD_FAILURES": 0}
    with pytest.raises(SystemCheckError, match=r"authx\.E021"):
        call_command("check")


def test_manage_py_check_deploy_runs_the_others(settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": "memory://"}
    with pytest.raises(SystemCheckError, match=r"authx\.E024"):
        call_command("check", "--deploy", "--fail-level", "WARNING")


def test_the_page_of_settings_has_them_beside_their_keys() -> None:
    assert unlisted_keys("AUTHX", OWN) == set()
