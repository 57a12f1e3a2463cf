"""A refused sign-in tells nothing: not by status, headers or words, and not by its work."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import MD5PasswordHasher, PBKDF2PasswordHasher
from django.contrib.auth.models import User

from authx.models import DeviceSession, PasswordFailures, SecurityEvent
from backend.settings import PASSWORD_HASHERS
from tests.conftest import Clock
from tests.guessing import WRONG, guess
from tests.phone import PASSWORD, Phone, error_of

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

pytestmark = pytest.mark.django_db

REFUSAL = b'{"error":"invalid_grant","error_description":"The user name or the password is wrong."}'
Case = tuple[str, str, Callable[[User], Any]]


def as_it_is(_: User) -> None:
    return None


def inactive(_: User) -> None:
    User.objects.update(is_active=False)


def off(user: User) -> None:
    guess()
    PasswordFailures.objects.update(count=100)


def unusable(user: User) -> None:
    user.set_unusable_password()
    user.save()


def gibberish(_: User) -> None:
    User.objects.update(password="not a hash")


def error_headers(response: "ErrorResponse") -> dict[str, str]:
    return dict(response.headers) | {"X-Request-ID": "differs"}


REFUSED: dict[str, Case] = {
    "wrong": ("alice", WRONG, as_it_is),
    "unknown": ("nobody", PASSWORD, as_it_is),
    "unknown and longer than the column": ("x" * 320, PASSWORD, as_it_is),
    "inactive": ("alice", PASSWORD, inactive),
    "inactive and wrong": ("alice", WRONG, inactive),
    "off": ("alice", PASSWORD, off),
    "off and wrong": ("alice", WRONG, off),
    "unusable": ("alice", PASSWORD, unusable),
    "gibberish": ("alice", PASSWORD, gibberish),
    "longest password": ("alice", "x" * 1024, as_it_is),
}


@pytest.fixture
def hashed() -> Iterator[list[str]]:
    """Note the hasher of each password that is hashed."""
    found: list[str] = []

    def noting(hasher: type[Any]) -> Any:
        encode = hasher.encode

        def note(self: Any, password: str, *rest: Any) -> str:
            found.append(self.algorithm)
            encoded: str = encode(self, password, *rest)
            return encoded

        return mock.patch.object(hasher, "encode", note)

    with noting(MD5PasswordHasher), noting(PBKDF2PasswordHasher):
        yield found


@pytest.mark.parametrize("case", REFUSED)
def test_every_refusal_looks_like_a_wrong_password_and_hashes_once(
    alice: User, hashed: list[str], case: str
) -> None:
    username, password, prepare = REFUSED[case]
    expected = guess()
    prepare(alice)
    hashed.clear()
    response = guess(username, password)
    assert hashed == ["md5"]
    assert response.status_code == expected.status_code == HTTPStatus.BAD_REQUEST
    assert response.content == expected.content == REFUSAL
    assert error_headers(response) == error_headers(expected)


@pytest.mark.django_db(transaction=True)
def test_a_wrong_password_and_an_unknown_name_cost_the_same_statements_and_commits(
    alice: User, statements: Any
) -> None:
    def cost(name: str) -> tuple[int, int, int]:
        with statements() as measured:
            assert guess(name).status_code == HTTPStatus.BAD_REQUEST
        return len(measured), len(measured.writes), measured.with_transactions

    guess()
    assert cost("nobody") == cost("alice")


@pytest.mark.django_db(transaction=True)
def test_an_exceeded_limit_is_a_commit_for_a_known_and_for_an_unknown_name(
    clock: Clock, alice: User, settings: Any, statements: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_RATES": ["1/minute"]}
    found = []
    for name in ("alice", "nobody"):
        guess(name)
        with statements() as measured:
            assert guess(name).status_code == HTTPStatus.TOO_MANY_REQUESTS
        found.append([one["sql"] for one in measured.captured_queries if one["sql"] == "COMMIT"])
    assert found[0] == found[1] == ["COMMIT"]
    assert set(SecurityEvent.objects.values_list("user_id", flat=True)) == {alice.pk}


def test_a_success_hashes_once(alice: User, hashed: list[str]) -> None:
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK
    assert hashed == ["md5"]


def test_an_old_hash_is_checked_once_and_then_stored_anew_once(
    alice: User, hashed: list[str]
) -> None:
    User.objects.update(password=PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1))
    hashed.clear()
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK
    assert hashed == ["pbkdf2_sha256", "md5"]


def test_what_is_malformed_or_limited_is_not_hashed(
    clock: Clock, alice: User, hashed: list[str], settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_RATES": ["1/minute"]}
    hashed.clear()
    assert error_of(guess("al\0ice", PASSWORD)) == (400, "invalid_request")
    assert error_of(guess(password="x" * 1025)) == (400, "invalid_request")
    assert [guess().status_code for _ in range(2)] == [400, 429]
    assert hashed == ["md5"]


def test_a_limited_response_is_the_same_for_known_unknown_inactive_and_locked(
    clock: Clock, alice: User, bob: User, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_RATES": ["1/minute"]}
    off(alice)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    names = ["alice", "bob", "nobody"]
    assert [guess(name).status_code for name in names] == [429, 400, 400]
    limited = [guess(name, PASSWORD) for name in names]
    shown = {(a.status_code, a.content, a.headers["Retry-After"]) for a in limited}
    assert len(shown) == 1


def test_a_user_model_may_name_its_users_otherwise(alice: User) -> None:
    # Django's own callers pass the name under the model's USERNAME_FIELD.
    User.objects.update(email="alice@example.com")
    with mock.patch.object(User, "USERNAME_FIELD", "email"):
        assert authenticate(email="alice@example.com", password=PASSWORD) == alice
        assert authenticate(email="alice@example.com", password=WRONG) is None


@pytest.mark.parametrize("credentials", [{"username": "alice"}, {"password": PASSWORD}])
def test_incomplete_credentials_are_refused(
    alice: User, hashed: list[str], credentials: dict[str, Any]
) -> None:
    hashed.clear()
    assert authenticate(**credentials) is None
    assert hashed == []


def test_the_first_hash_is_argon2id_and_an_old_one_becomes_it_without_ending_a_session(
    alice: User, phone: Phone, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = PASSWORD_HASHERS
    alice.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1)
    User.objects.update(password=alice.password)
    DeviceSession.objects.update(auth_hash=alice.get_session_auth_hash())
    assert Phone(device={}).sign_in().is_signed_in
    alice.refresh_from_db()
    assert alice.password.startswith("argon2$argon2id$v=19$m=102400,t=2,p=1$")
    assert phone.refresh().is_signed_in


DEAD: dict[str, Callable[[Phone, Clock], Any]] = {
    "expired": lambda _, clock: clock.forward(days=31),
    "gone": lambda *_: DeviceSession.objects.all().delete(),
    "signed out": lambda phone, _: phone.send("POST", "logout"),
    "inactive": lambda *_: User.objects.update(is_active=False),
    "password changed": lambda *_: User.objects.update(password="another hash"),
    "forged": lambda phone, _: phone.pair.update(access_token="axa_x", refresh_token="axr_x"),
    "of the other kind": lambda phone, _: phone.pair.update(
        access_token=phone.refresh_token, refresh_token=phone.access_token
    ),
}


@pytest.mark.parametrize("way", DEAD)
def test_every_refusal_of_a_token_is_the_same(
    clock: Clock, phone: Phone, tablet: Phone, way: str
) -> None:
    tablet.send("POST", "logout")
    expected = [tablet.call(), tablet.try_refresh()]
    DEAD[way](phone, clock)
    for response, usual in zip([phone.call(), phone.try_refresh()], expected, strict=True):
        assert response.status_code == usual.status_code
        assert response.content == usual.content
        assert error_headers(response) == error_headers(usual)
