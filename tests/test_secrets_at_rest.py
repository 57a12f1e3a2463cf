"""What the server keeps lets nobody in; what it refuses costs nothing and changes nothing."""

import json
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any, ClassVar

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from redis import Redis

from authx import tokens
from authx.codec import digest_of, token_codec
from authx.models import DeviceSession
from authx.tokens import RawToken, Token, TokenKind
from backend.celery import app
from tasks import cleanup
from tests.conftest import Clock, Statements
from tests.forging import mint_with
from tests.guessing import altered
from tests.phone import PASSWORD, Phone, error_of
from tests.services import introspect, new_service

# Other tests cover the same lines, at less cost.
pytestmark = pytest.mark.no_cover

INVALID_GRANT = (HTTPStatus.BAD_REQUEST, "invalid_grant")
INVALID_TOKEN = (HTTPStatus.UNAUTHORIZED, "invalid_token")
# What Django puts into a cookie is shorter, and a token longer.
KEY_LENGTH = 40
NEW_PASSWORD = "another horse, another battery"
KINDS = {"axa_": TokenKind.ACCESS, "axr_": TokenKind.REFRESH}
BEARER_REQUESTS = ["GET me", "POST logout", "POST logout-all", "POST password", "GET devices"]
BEARER_REQUESTS += ["GET devices/{id}", "PATCH devices/{id}", "DELETE devices/{id}"]
Query = Callable[[], Statements]
Issued = list[str]


def spellings(raw_token: str) -> Iterator[bytes]:
    """Yield every form in which the secret inside a token could lie around, whole or in part."""
    secret = urlsafe_b64decode(raw_token[4:])[24:56]
    yield from (raw_token.encode(), secret, secret.hex().encode(), secret.hex().upper().encode())
    yield from (b64encode(secret).rstrip(b"="), urlsafe_b64encode(secret).rstrip(b"="))
    # Before the 36th character stand the version, the session and the generation: no secrets.
    yield from (raw_token[start : start + 16].encode() for start in range(36, 85))


def found_in(dump: bytes, issued: Issued) -> list[bytes]:
    """Return the secrets that occur; a password and the cookie of a browser are one in itself."""
    needles = [form for raw in issued if len(raw) > KEY_LENGTH for form in spellings(raw)]
    needles += [cookie.encode() for cookie in issued if len(cookie) <= KEY_LENGTH]
    return [
        needle for needle in (*needles, PASSWORD.encode(), NEW_PASSWORD.encode()) if needle in dump
    ]


def dump_of_tables() -> bytes:
    parts = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            parts += [dump_of(value) for row in cursor.fetchall() for value in row]
    return b"\n".join(parts)


def dump_of_redis() -> bytes:
    read: dict[bytes, Callable[[Redis, bytes], Any]] = {
        b"string": lambda redis, key: redis.get(key),
        b"list": lambda redis, key: redis.lrange(key, 0, -1),
        b"set": lambda redis, key: redis.smembers(key),
        b"zset": lambda redis, key: redis.zrange(key, 0, -1, withscores=True),
        b"hash": lambda redis, key: redis.hgetall(key),
        b"stream": lambda redis, key: redis.xrange(key),
    }
    urls = (
        django_settings.REDIS_URL,
        django_settings.RATE_LIMITS_URL,
        django_settings.CACHE_URL,
    )
    parts = []
    for url in urls:
        with Redis.from_url(url) as redis:
            parts += [key + dump_of(read[redis.type(key)](redis, key)) for key in redis.scan_iter()]
    return b"\n".join(parts)


def dump_of(value: Any) -> bytes:
    """Return a value as bytes, whatever it is, and once more what it carries encoded."""
    if isinstance(value, memoryview | bytes):
        plain = bytes(value)
        with suppress(ValueError, KeyError, TypeError):
            plain += b64decode(json.loads(plain)["body"])
        return plain + plain.hex().encode()
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list | tuple | set):
        return b"\n".join(dump_of(inner) for inner in value)
    return str(value).encode()


class Notebook(Phone):
    """A phone whose every pair is written down, lost answers included."""

    issued: ClassVar[Issued] = []

    def sign_in(self, password: str = PASSWORD) -> "Notebook":
        super().sign_in(password)
        return self.note(self.pair)

    def lose_an_answer(self) -> "Notebook":
        return self.note(self.try_refresh().json())

    def refresh(self, *, key: str = "") -> "Notebook":
        super().refresh(key=key)
        return self.note(self.pair)

    def note(self, pair: dict[str, Any]) -> "Notebook":
        self.issued.extend((pair["access_token"], pair["refresh_token"]))
        return self


@pytest.fixture
def busy_day(clock: Clock, alice: User, bob: User, committed: Any) -> Issued:
    """Let everything happen that hands out, takes in or ends a token; return what was issued."""
    Notebook.issued = []
    with committed():
        phone, tablet, watch, radio, bobs = (
            Notebook(name, {"name": "a device"}).sign_in()
            for name in [alice.username] * 4 + [bob.username]
        )
        installed = Notebook(alice.username, {"installation_id": "one"}).sign_in()
        Notebook(alice.username, {"installation_id": "one"}).sign_in()
        assert not installed.is_signed_in
        assert error_of(phone.try_sign_in("wrong password")) == INVALID_GRANT
        # A lost answer, its access token handed out afresh, and a use that confirms it.
        phone.lose_an_answer()
        clock.forward(minutes=20)
        assert phone.refresh().is_signed_in
        assert phone.refresh().is_signed_in
        # A thief, a sign-out, a revocation, a password changed, an account deactivated.
        stolen = tablet.refresh_token
        assert tablet.refresh().is_signed_in
        assert tablet.refresh().is_signed_in
        clock.forward(seconds=10)
        assert error_of(tablet.try_refresh(stolen)) == INVALID_GRANT
        assert watch.refresh().send("POST", "logout").status_code == HTTPStatus.NO_CONTENT
        assert Phone().send("POST", "revoke", {"token": radio.refresh_token}).json() == {}
        passwords = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        phone.pair = phone.send("POST", "password", passwords).json()
        assert phone.note(phone.pair).refresh().is_signed_in
        assert bobs.refresh().is_signed_in
        bob.is_active = False
        bob.save()
        cleanup.sweep()
        cookie = cookie_of_the_admin()
    service = new_service()
    assert introspect(service, tablet.access_token) == {"active": False}
    return [*Notebook.issued, cookie, str(service.raw_secret)]


def cookie_of_the_admin() -> str:
    """Sign an operator in to the admin, and return what the browser then holds."""
    User.objects.create_superuser("operator", password=PASSWORD)
    browser, form = Client(), {"username": "operator", "password": PASSWORD}
    browser.post("/admin/login/?next=/admin/", form)
    assert browser.get("/admin/").status_code == HTTPStatus.OK
    return browser.cookies["sessionid"].value


def test_after_a_busy_day_no_table_holds_a_secret(busy_day: Issued) -> None:
    assert len(set(busy_day)) > 20
    dump = dump_of_tables()
    assert all(digest.encode() in dump for (digest,) in DeviceSession.objects.values_list("digest"))
    assert found_in(dump, busy_day) == []


@pytest.mark.postgresql
def test_after_a_busy_day_redis_holds_no_secret(busy_day: Issued) -> None:
    with app.connection_for_write():
        cleanup.sweep.delay()
    dump = dump_of_redis()
    assert b"tasks.cleanup.sweep" in dump
    assert found_in(dump, busy_day) == []


def test_after_a_busy_day_the_log_holds_no_secret(
    caplog: pytest.LogCaptureFixture, busy_day: Issued
) -> None:
    log = "\n".join(caplog.handler.format(record) for record in caplog.get_records("setup"))
    assert "authn_token_reuse" in log
    assert found_in(log.encode(), busy_day) == []


def test_the_search_finds_each_form_of_a_secret_in_a_table(busy_day: Issued) -> None:
    forms = list(spellings(busy_day[0]))
    assert found_in(dump_of_tables(), busy_day) == []
    for form in (*forms[:7], forms[-1]):
        if form == forms[1]:
            DeviceSession.objects.update(recent=b"before" + form)
        else:
            User.objects.update(last_name="before" + form.decode())
        assert form in found_in(dump_of_tables(), busy_day)


@pytest.mark.postgresql
def test_the_search_finds_a_secret_in_each_type_of_redis(busy_day: Issued) -> None:
    planted = busy_day[-1]
    body = b64encode(json.dumps([[planted], {}, {}]).encode()).decode()
    with Redis.from_url(django_settings.REDIS_URL) as redis:
        plants: list[Callable[[], Any]] = [
            lambda: redis.set("planted", planted),
            lambda: redis.lpush("planted", planted),
            lambda: redis.sadd("planted", planted),
            lambda: redis.zadd("planted", {planted: 1}),
            lambda: redis.hset("planted", planted, "a value"),
            lambda: redis.xadd("planted", {"field": planted}),
            # A message of Celery.
            lambda: redis.lpush("planted", json.dumps({"body": body})),
        ]
        for plant in plants:
            plant()
            assert planted.encode() in found_in(dump_of_redis(), busy_day)
            redis.delete("planted")
            assert found_in(dump_of_redis(), busy_day) == []


def forgeries_of(raw_token: str) -> list[str]:
    """Return strings that this server never minted, each close to one that it did."""
    token = token_codec().parse(raw_token, KINDS[raw_token[:4]])
    other_kind = {"axa_": "axr_", "axr_": "axa_"}[raw_token[:4]]
    ahead = Token(token.kind, token.session_id, token.generation + 1, tokens.new_secret())
    return [
        raw_token[:-1],
        altered(raw_token),
        raw_token + "A",
        other_kind + raw_token[4:],
        mint_with("somebody else's key", token),
        mint_with("somebody else's key", ahead),
        digest_of(RawToken(raw_token)),
        "garbage",
        "é" * 100,
    ]


@pytest.mark.parametrize("request_line", BEARER_REQUESTS)
def test_a_forged_bearer_token_costs_no_query(
    request_line: str, phone: Phone, statements: Query
) -> None:
    method, path = request_line.format(id=phone.session_id).split()
    for forgery in [*forgeries_of(phone.access_token), phone.refresh_token, ""]:
        with statements() as sql:
            response = Phone(pair={"access_token": forgery}).send(method, path)
        assert error_of(response) == INVALID_TOKEN, forgery
        assert sql.sql == [], forgery
    assert phone.is_signed_in


def test_a_forged_refresh_token_costs_no_query(phone: Phone, statements: Query) -> None:
    for forgery in [*forgeries_of(phone.refresh_token), phone.access_token]:
        with statements() as sql:
            response = phone.try_refresh(forgery)
        assert error_of(response) == INVALID_GRANT, forgery
        assert sql.sql == [], forgery
    assert phone.refresh().is_signed_in


def test_revoking_a_forged_token_costs_no_query(phone: Phone, statements: Query) -> None:
    for forgery in forgeries_of(phone.refresh_token) + forgeries_of(phone.access_token):
        with statements() as sql:
            response = Phone().send("POST", "revoke", {"token": forgery})
        assert (response.status_code, response.json()) == (HTTPStatus.OK, {}), forgery
        assert sql.sql == [], forgery
    assert phone.is_signed_in


REFUSED: dict[str, Callable[[Phone, Clock], Any]] = {
    "expired": lambda _, clock: clock.forward(days=31),
    "gone": lambda *_: DeviceSession.objects.all().delete(),
    "signed out": lambda phone, _: phone.send("POST", "logout"),
    "inactive": lambda *_: User.objects.update(is_active=False),
    "password changed": lambda *_: User.objects.update(password="another hash"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_a_refused_token_writes_nothing(
    way: str, clock: Clock, phone: Phone, statements: Query
) -> None:
    before = phone.pair
    assert phone.refresh().is_signed_in
    REFUSED[way](phone, clock)
    with statements() as sql:
        assert error_of(phone.call()) == INVALID_TOKEN
        assert error_of(phone.try_refresh()) == INVALID_GRANT
        assert error_of(phone.try_refresh(before["refresh_token"])) == INVALID_GRANT
    assert sql.sql
    assert sql.writes == []


def test_a_rotated_access_token_writes_nothing(
    clock: Clock, phone: Phone, statements: Query
) -> None:
    before = Phone(pair=phone.pair)
    phone.refresh()
    clock.forward(seconds=10)
    with statements() as sql:
        assert error_of(before.call()) == INVALID_TOKEN
    assert sql.writes == []
    assert DeviceSession.objects.get().confirmed_at is None


def test_a_digest_written_into_the_database_grants_no_access(phone: Phone) -> None:
    known = token_codec().parse(phone.refresh_token, TokenKind.REFRESH)
    for forgery in ("a string that somebody knows", mint_with("somebody else's key", known)):
        digest = digest_of(RawToken(forgery))
        DeviceSession.objects.update(digest=digest, refresh_digest=digest[::-1])
        assert_lets_nobody_in(phone, forgery, digest)
        DeviceSession.objects.update(digest=digest[::-1], refresh_digest=digest)
        assert_lets_nobody_in(phone, forgery, digest)


def assert_lets_nobody_in(phone: Phone, *presented: str) -> None:
    for raw_token in presented:
        assert error_of(Phone(pair={"access_token": raw_token}).call()) == INVALID_TOKEN
        assert error_of(phone.try_refresh(raw_token)) == INVALID_GRANT
