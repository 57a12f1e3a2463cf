"""Refusals that nobody foresaw, and what of any refusal is kept for the log."""

from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from rest_framework.exceptions import APIException

from authx.models import DeviceSession
from authx.rest.exceptions import exception_handler
from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded; charset=utf-7"


def test_an_exception_of_another_app_keeps_its_status_and_code() -> None:
    class TeapotError(APIException):
        status_code = HTTPStatus.IM_A_TEAPOT
        default_code = "teapot"
        default_detail = "Short and stout."

    response = exception_handler(TeapotError(), {})
    assert response.status_code == HTTPStatus.IM_A_TEAPOT
    assert response.data == {"error": "teapot", "error_description": "Short and stout."}


def test_a_repeated_field_that_no_encoding_carries_is_refused(phone: Phone) -> None:
    body = b"+2AA-=1&+2AA-=2"
    response = phone.client.post("/users/token", body, content_type=FORM)
    assert error_of(response) == (400, "invalid_request")


def test_a_user_agent_with_control_characters_fails_no_sign_in(alice: User) -> None:
    headers = {"user-agent": "app\x00\n/1.0"}
    credentials = {"username": "alice", "password": PASSWORD}
    response = Phone().client.post(
        "/users/login", credentials, headers=headers, content_type="application/json"
    )
    assert response.status_code == HTTPStatus.OK
    assert DeviceSession.objects.get().last_user_agent == "app/1.0"


def test_an_unexpected_error_carries_the_request_id_under_which_it_is_logged(
    phone: Phone, caplog: Any
) -> None:
    with mock.patch(
        "authx.rest.views.account.MeView.respond", side_effect=ZeroDivisionError("secret")
    ):
        response = phone.call()
    assert error_of(response) == (500, "server_error")
    number = response.json()["error_description"].split()[-1].rstrip(".")
    assert number in caplog.text
    assert b"secret" not in response.content


def test_the_reason_of_a_refusal_is_in_the_log_and_not_in_the_answer(
    phone: Phone, caplog: Any
) -> None:
    caplog.set_level("INFO")
    DeviceSession.objects.update(revoked_at="2026-01-01T00:00Z", revoked_reason="replaced")
    answers = [phone.call(), phone.try_refresh()]
    told = [record.getMessage() for record in caplog.records if record.name == "authx.security"]
    assert [one.split()[0] for one in told] == ["authn_token_refused", "session_use_after_expire"]
    assert all(one.endswith("reason=replaced") for one in told)
    assert not any(b"replaced" in answer.content for answer in answers)
