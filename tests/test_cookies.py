"""The API knows no cookie: none is honoured, none is set, so no other site can use anybody's."""

from http import HTTPStatus

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db

COOKIES = [
    "sessionid={session}",
    "sessionid={session}; csrftoken={csrf}",
    "sessionid=spoilt; csrftoken=spoilt",
    "csrftoken=" + "x" * 500,
    "a=b; =; \x7f",
]


@pytest.fixture
def operator(alice: User) -> Client:
    """Alice in her browser, signed in to the admin."""
    alice.is_staff = alice.is_superuser = True
    alice.save()
    client = Client(raise_request_exception=False)
    client.get("/admin/login/")
    client.force_login(alice)
    return client


def test_a_session_of_the_admin_does_not_authenticate_at_the_api(operator: Client) -> None:
    assert operator.get("/admin/").status_code == HTTPStatus.OK
    assert error_of(operator.get("/users/me")) == (401, "unauthorized")
    assert error_of(operator.post("/users/logout-all")) == (401, "unauthorized")


@pytest.mark.parametrize("template", COOKIES)
@pytest.mark.parametrize("path", ["/users/me", "/users/login", "/nothing", "/"])
def test_no_cookie_makes_an_answer_set_one(operator: Client, template: str, path: str) -> None:
    jar = {name: morsel.value for name, morsel in operator.cookies.items()}
    cookie = template.format(session=jar["sessionid"], csrf=jar["csrftoken"])
    response = Phone().client.post(path, {}, "application/json", headers={"cookie": cookie})
    assert response.status_code in {400, 401, 404, 405}
    assert not response.cookies
    assert "Set-Cookie" not in response.headers
    assert "cookie" not in response.headers["Vary"].lower()


def test_signing_in_refreshing_and_calling_sets_no_cookie(phone: Phone) -> None:
    answers = [phone.try_refresh(), phone.call(), phone.try_sign_in(PASSWORD)]
    assert [answer.status_code for answer in answers] == [HTTPStatus.OK] * 3
    assert not any(answer.cookies for answer in answers)


def test_no_csrf_token_is_asked_of_an_app(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    body = {"username": "alice", "password": PASSWORD}
    headers = {"cookie": f"csrftoken={'x' * 32}", "origin": "https://evil.example"}
    response = strict.post("/users/login", body, "application/json", headers=headers)
    assert response.status_code == HTTPStatus.OK
