"""What is removed from an event before Sentry's SDK sends it, and what stays."""

import time
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.transport import Transport

from authx.contrib.sentry.apps import SentryConfig
from authx.contrib.sentry.client import LastStep, scrub_when_sent
from authx.contrib.sentry.scrub import FILTERED, scrub
from tests.phone import PASSWORD

KEY = "an-idempotency-key"
HASH = "argon2$argon2id$v=19$m=102400,t=2,p=8$TXdxVnUwVk5zdWd3$jIzBDSp9GasEg2aSwtG56FP6qF"


def text_of(text: str) -> Any:
    return scrub({"message": text})["message"]


def event(module: str) -> dict[str, Any]:
    """Return what is left of an error in a module, in a request."""
    frames = [{"module": "shop.views", "vars": {"amount": "3"}}, {"module": module}]
    caught = {"type": "ValueError", "stacktrace": {"frames": frames}}
    sent = {"url": "http://127.0.0.1/shop", "data": {"basket": "3"}}
    return scrub({"exception": {"values": [caught, {"type": "Cause"}]}, "request": sent})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("bad axr_AbC-_9 and axa_x", "bad axr_[Filtered] and axa_[Filtered]"),
        ("axs_AbC", "axs_[Filtered]"),
        ("Authorization is Bearer abcdefghijklmnop", "Authorization is Bearer [Filtered]"),
        ("redis://user:hunter2@cache:6379/0", "redis://user:[Filtered]@cache:6379/0"),
        (f"row contains ({HASH}, x)", "row contains (argon2$[Filtered] x)"),
        ("digest 0" + "ab" * 32, "digest [Filtered]"),
        (f"/x?password={PASSWORD.replace(' ', '+')}&a=1", "/x?password=[Filtered]&a=1"),
        (f"{{'new_password': '{PASSWORD}', 'a': 1}}", "{'new_password': [Filtered], 'a': 1}"),
        (rf'{{"pass": "a\"{PASSWORD}", "a": 1}}', '{"pass": [Filtered], "a": 1}'),
        (rf"'{{\'secret\': \'{PASSWORD}\', \'a\': 1}}'", r"'{\'secret\': [Filtered], \'a\': 1}'"),
        (f'"passphrase": "{PASSWORD}', '"passphrase": [Filtered]'),
        (f"Idempotency-Key: {KEY}", "Idempotency-Key: [Filtered]"),
    ],
)
def test_a_secret_within_a_text_is_removed(text: str, left: str) -> None:
    assert text_of(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "The refresh token is not valid. Sign in again.",
        "KeyError: 'access_token'",
        "authx.sessions.refresh_session at /srv/app/authx/sessions/refresh.py",
        "SELECT id FROM authx_devicesession WHERE digest = %s",
        "5f3c2a60-2f5d-4f43-9d6e-0c6a0b9b4c11 4bf92f3577b34da6a3ce929d0e0e4736",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert text_of(text) == text


def test_a_secret_key_is_removed(settings: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a.key", [b"an.older.key"]
    assert text_of("'a.key' 'an.older.key'") == f"'{FILTERED}' '{FILTERED}'"


def test_tokens_without_a_prefix_are_found_by_their_length(settings: Any) -> None:
    settings.REST_KNOX = settings.REST_KNOX | {"TOKEN_PREFIX": ""}
    assert text_of("a" * 63 + "1 ax") == FILTERED + " ax"


@pytest.mark.parametrize(
    "name",
    [
        *("password", "old-passwd", "pass", "pwd", "refresh_token", "raw_secret", "credentials"),
        *("Authorization", "Idempotency-Key", "cookies", "csrfmiddlewaretoken", "API_KEY"),
        *("sessionid", "session_key"),
    ],
)
def test_a_value_under_a_name_that_tells_is_removed(name: str) -> None:
    values = {name: ["anything"], "other": {name: {"a": 1}}, "numbers": [1, None]}
    left = {name: FILTERED, "other": {name: FILTERED}, "numbers": [1, None]}
    assert scrub(values) == left


def test_no_value_and_yes_or_no_stay() -> None:
    answers = {"has_password": True, "token": None}
    assert scrub(answers) == answers


def test_a_name_is_searched_too() -> None:
    assert scrub({"extra": {"axr_abc": 1, 7: 1}}) == {"extra": {"axr_[Filtered]": 1, 7: 1}}


def test_source_code_stays() -> None:
    frame = {"context_line": "password = form['password']", "pre_context": ["token = x"]}
    assert scrub(frame) == frame


@pytest.mark.parametrize("module", ["authx.sessions.refresh", "authx", "django.contrib.auth.forms"])
def test_an_error_in_code_with_passwords_has_no_variables_and_no_body(module: str) -> None:
    left = event(module)
    assert left["exception"]["values"][0]["stacktrace"]["frames"] == [
        {"module": "shop.views"},
        {"module": module},
    ]
    assert "data" not in left["request"]


def test_an_error_elsewhere_keeps_its_variables_and_its_body() -> None:
    left = event("authxtra.views")
    assert left["exception"]["values"][0]["stacktrace"]["frames"][0]["vars"] == {"amount": "3"}
    assert left["request"]["data"] == {"basket": "3"}


@pytest.mark.parametrize("part", ["a", "a1", "token", "password=", "Bearer ", "://a:", "\\", "'"])
def test_no_text_of_a_client_takes_long(part: str) -> None:
    text = (part * 100_000)[:100_000]
    began = time.process_time()
    text_of(text)
    text_of("token=" + text)
    assert time.process_time() - began < 1


class Sent(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.events.append(envelope.get_event())


def send(before_send: Any) -> list[Any]:
    sent = Sent()
    options: dict[str, Any] = {"default_integrations": False, "auto_enabling_integrations": False}
    client = sentry_sdk.Client(
        "http://public@127.0.0.1:1/1", transport=sent, before_send=before_send, **options
    )
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)
        for _ in range(2):
            scope.capture_event({"message": "axr_abc"})
    return sent.events


def test_an_event_is_scrubbed_after_the_projects_own_function() -> None:
    first, second = send(lambda event, _: event | {"logger": "axa_added"})
    assert first["message"] == second["message"] == "axr_[Filtered]"
    assert first["logger"] == second["logger"] == "axa_[Filtered]"


def test_the_projects_own_function_may_drop_an_event() -> None:
    assert send(lambda *_: None) == []


def test_the_last_step_is_added_once() -> None:
    sentry_sdk.get_client().options |= {"before_send": None, "before_send_transaction": None}
    assert scrub_when_sent({"message": "a"}, {}) == {"message": "a"}
    step = sentry_sdk.get_client().options["before_send"]
    scrub_when_sent({}, {})
    assert isinstance(step, LastStep)
    assert sentry_sdk.get_client().options["before_send"] is step


def test_without_the_sdk_the_app_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[str] = []
    monkeypatch.setattr("authx.contrib.sentry.client.connect", lambda: connected.append("now"))
    config = SentryConfig.create("authx.contrib.sentry")
    config.ready()
    monkeypatch.setattr("authx.contrib.sentry.apps.find_spec", lambda _: None)
    config.ready()
    assert connected == ["now"]
