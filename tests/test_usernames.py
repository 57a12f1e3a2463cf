"""Names as users type them: normalized, in any spelling that leads to one account, and misused."""

from typing import Any

import pytest
from django.contrib.auth.models import User, UserManager

from authx.models import SecurityEvent
from authx.passwords.limits import account_bucket, sign_in_limits
from authx.rest.serializers import LoginSerializer
from authx.usernames import find_user_by_name
from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db


@pytest.fixture
def without_case(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_name(manager: UserManager[User], name: str | None) -> User:
        return manager.get(username__iexact=name)

    monkeypatch.setattr(UserManager, "get_by_natural_key", by_name)


@pytest.mark.parametrize("typed", ["zoe\u0308", "\uff5aoë", "zoë"])
def test_a_name_is_normalized_as_when_it_was_stored(new_user: Any, typed: str) -> None:
    new_user("zoë")
    assert Phone(typed).sign_in().is_signed_in


@pytest.mark.usefixtures("without_case")
def test_a_device_is_known_in_whatever_case_its_user_writes_the_name(alice: User) -> None:
    credential = Phone("alice").sign_in().credential
    guesses = [Phone(name, {}).try_sign_in("wrong") for name in ["Alice", "ALICE"] * 3]
    assert [guess.status_code for guess in guesses] == [400] * 5 + [429]
    assert Phone("aLICE", credential=credential).sign_in().is_signed_in


@pytest.mark.usefixtures("without_case")
def test_a_name_of_two_accounts_signs_in_to_neither_and_is_reported(
    new_user: Any, caplog: Any
) -> None:
    new_user("alice")
    new_user("Alice")
    assert Phone("alice").try_sign_in().status_code == 400
    assert "several users have one natural key" in caplog.text
    assert "alice" not in caplog.text.casefold()


@pytest.mark.parametrize("name", ["seven", "1" * 400, "7.5"])
def test_a_text_where_names_are_numbers_is_unknown(
    monkeypatch: pytest.MonkeyPatch, alice: User, name: str
) -> None:
    monkeypatch.setattr(User, "USERNAME_FIELD", "id")
    assert find_user_by_name(name) is None
    assert find_user_by_name(str(alice.pk)) == alice
    assert len(sign_in_limits(name)) == 1
    assert sign_in_limits(f"00{alice.pk}")[0] == account_bucket(alice.pk)
    # A name that is no text is counted as one.
    assert sign_in_limits(alice.get_username())


def test_the_body_calls_the_name_as_the_user_model_does(
    monkeypatch: pytest.MonkeyPatch, alice: User
) -> None:
    monkeypatch.setattr(User, "USERNAME_FIELD", "email")
    serializer = LoginSerializer(data={"email": "a@example.com", "password": PASSWORD})
    assert list(serializer.fields) == ["email", "password", "device"]
    assert serializer.is_valid()
    assert serializer.validated_data["username"] == "a@example.com"
    assert "email" not in serializer.validated_data
    assert not SecurityEvent.objects.exists()
