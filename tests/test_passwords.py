"""Which passwords will do: long ones, with any characters, that no guesser tries first."""

from http import HTTPStatus

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import get_default_password_validators

from authx.passwords.validation import CommonPasswordValidator, unit_of
from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "password",
    [
        "fourteen chars",
        "12345678901234567890",
        "1q2w3e4r5t6y7u8i9o0p",
        "manchesterunited",
        "Password1234567",
        "!!! Letmein !!! 2024",
        "passwordpassword",
        "QwertyQwertyQwe",
        "123456789012345",
        "aaaaaaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabc",
        "alicealice alice",
    ],
)
def test_short_common_and_personal_passwords_are_refused_and_the_reason_is_given(
    alice: User, phone: Phone, password: str
) -> None:
    User.objects.update(email="alicealice@example.com")
    body = {"current_password": PASSWORD, "new_password": password}
    response = phone.send("POST", "password", body)
    assert error_of(response) == (400, "invalid_request")
    assert response.json()["fields"]["new_password"]


@pytest.mark.parametrize(
    "password",
    [
        "fifteen letters",
        "four words of a thousand" * 42,
        "päßwörter für alle 📱",
        "839201746520183",
        "my password is a horse",
    ],
)
def test_any_characters_will_do_from_fifteen_to_a_thousand(
    alice: User, phone: Phone, password: str
) -> None:
    body = {"current_password": PASSWORD, "new_password": password}
    assert phone.send("POST", "password", body).status_code == HTTPStatus.OK
    assert Phone().sign_in(password).is_signed_in


def test_the_blocklist_is_at_least_as_long_as_nist_asks_for() -> None:
    common = [
        validator.passwords
        for validator in get_default_password_validators()
        if isinstance(validator, CommonPasswordValidator)
    ]
    assert len(common[0]) > 3000
    assert "" not in common[0]


@pytest.mark.parametrize(
    ("password", "unit"), [("abab", "ab"), ("ababa", "ab"), ("abc", "abc"), ("aaa", "a"), ("", "")]
)
def test_the_unit_of_a_password_is_what_it_repeats(password: str, unit: str) -> None:
    assert unit_of(password) == unit
