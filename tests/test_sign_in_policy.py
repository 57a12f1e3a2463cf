"""What a refusal by SIGN_IN_POLICY tells an app, and what is none; see also test_python_api."""

from errno import EACCES
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import OperationalError
from django.http import HttpRequest
from rest_framework.exceptions import APIException

from authx import api
from authx.models import SecurityEvent
from tests.conftest import Clock
from tests.guessing import guess, statuses
from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db


class MoreStepsError(APIException):
    status_code = HTTPStatus.FORBIDDEN
    default_code = "more_steps"
    default_detail = "Verify your address first."


class AwayError(APIException):
    status_code = HTTPStatus.BAD_GATEWAY


class Policy:
    """Refuses by `error`, if there is one."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = list[tuple[Any, HttpRequest | None]]()

    def __call__(self, user: User, request: HttpRequest | None) -> None:
        self.asked.append((user, request))
        if self.error is not None:
            raise self.error


@pytest.fixture
def policy(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Policy:
    policy = Policy()
    policy.error = MoreStepsError()
    monkeypatch.setitem(globals(), "may_sign_in", policy)
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_POLICY": f"{__name__}.may_sign_in"}
    return policy


def recorded() -> list[tuple[str, str]]:
    return list(SecurityEvent.objects.values_list("kind", "reason"))


def test_what_an_app_needs_for_the_next_step_is_in_the_answer(policy: Policy, alice: User) -> None:
    detail = {"detail": "Enter the code.", "challenge": "a1b2", "methods": ["totp", "mail"]}
    policy.error = MoreStepsError(detail, "mfa_required")
    answer = guess(password=PASSWORD)
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert answer.json() == {
        "error": "mfa_required",
        "error_description": "Enter the code.",
        "fields": {"challenge": ["a1b2"], "methods": ["totp", "mail"]},
    }


def test_an_inactive_user_is_refused_without_asking(policy: Policy, alice: User) -> None:
    alice.is_active = False
    alice.save()
    users: list[Any] = [alice, AnonymousUser()]
    for user in users:
        with pytest.raises(api.InvalidCredentialsError):
            api.open_session(user=user)
    assert guess(password=PASSWORD).content == guess("nobody").content
    assert policy.asked == []


@pytest.mark.parametrize(
    "error", [OperationalError("away"), api.ConflictError(), api.OverloadedError()]
)
def test_an_outage_of_the_policy_is_no_refusal(
    policy: Policy, clock: Clock, alice: User, error: Exception
) -> None:
    policy.error = error
    # More often than anybody may try: an outage uses up no attempt.
    assert statuses(6, password=PASSWORD) == [HTTPStatus.SERVICE_UNAVAILABLE] * 6
    assert recorded() == []
    policy.error = None
    assert Phone().sign_in().is_signed_in


@pytest.mark.parametrize(
    "error", [ConnectionError(), AwayError(), PermissionError(EACCES, "Permission denied")]
)
def test_a_server_that_the_policy_does_not_reach_refuses_nobody(
    policy: Policy, alice: User, error: Exception
) -> None:
    policy.error = error
    with pytest.raises(type(error)):
        api.open_session(user=alice)
    assert recorded() == []


def test_an_error_of_python_for_what_is_forbidden_is_a_refusal(policy: Policy, alice: User) -> None:
    policy.error = PermissionError("banned")
    with pytest.raises(PermissionError):
        api.open_session(user=alice)
    assert recorded() == [("sign_in_failed", "refused_by_the_project")]
