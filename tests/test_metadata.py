"""The metadata (RFC 8414) tells OAuth clients where everything is, and no lie."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from django.test import override_settings
from django.urls import clear_script_prefix, include, path, set_script_prefix

from tests.phone import CLIENT, Phone, error_of
from tests.services import basic, new_service

PATH = "/.well-known/oauth-authorization-server"
ISSUER = "https://api.example.com"


@pytest.fixture
def issuer(settings: Any) -> str:
    settings.AUTHX = settings.AUTHX | {"ISSUER": ISSUER}
    return ISSUER


def metadata(path: str = PATH, **headers: str) -> dict[str, Any]:
    answer = CLIENT.get(path, headers=headers)
    assert answer.status_code == HTTPStatus.OK
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    body: dict[str, Any] = answer.json()
    return body


def test_the_metadata_name_every_endpoint_and_nothing_else(issuer: str) -> None:
    assert metadata() == {
        "issuer": ISSUER,
        "token_endpoint": f"{ISSUER}/users/token",
        "revocation_endpoint": f"{ISSUER}/users/revoke",
        "introspection_endpoint": f"{ISSUER}/users/introspect",
        "grant_types_supported": ["refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
    }


def test_anyone_reads_it_whatever_they_carry(db: None) -> None:
    assert metadata(authorization="Bearer stale")
    assert metadata(f"{PATH}/")
    assert error_of(CLIENT.post(PATH)) == (405, "method_not_allowed")


def test_unset_the_issuer_is_what_the_client_called_us(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["phone.example"]
    assert metadata(host="phone.example:8443")["issuer"] == "http://phone.example:8443"
    secure = CLIENT.get(PATH, headers={"host": "phone.example"}, secure=True).json()
    assert secure["issuer"] == "https://phone.example"
    assert secure["token_endpoint"] == "https://phone.example/users/token"
    assert error_of(CLIENT.get(PATH, headers={"host": "evil.example"})) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["/shop", "/shop/users", "/sh%C3%B6p"])
def test_an_issuer_with_a_path_is_found_behind_the_well_known_one(settings: Any, path: str) -> None:
    settings.AUTHX = settings.AUTHX | {"ISSUER": ISSUER + path}
    told = metadata(PATH + path)
    assert told["issuer"] == ISSUER + path
    assert told["token_endpoint"] == f"{ISSUER}/users/token"
    for other in ("", "/", "/other", f"{path}/more"):
        assert error_of(CLIENT.get(PATH + other)) == (404, "not_found")


urlpatterns = [path(".well-known/", include("authx.well_known"))]


def test_without_a_token_endpoint_there_is_no_metadata() -> None:
    with override_settings(ROOT_URLCONF=__name__):
        assert error_of(CLIENT.get(PATH)) == (404, "not_found")


def test_under_a_script_prefix_the_endpoints_are_named_with_it(issuer: str) -> None:
    # As a WSGI server does, and Django's test client does not.
    set_script_prefix("/shop")
    try:
        told = metadata()
    finally:
        clear_script_prefix()
    assert told["token_endpoint"] == f"{ISSUER}/shop/users/token"


def test_without_a_path_nothing_is_behind_the_well_known_one(issuer: str) -> None:
    assert error_of(CLIENT.get(f"{PATH}/users")) == (404, "not_found")


@pytest.mark.parametrize(
    "claim", sorted(set(AuthorizationServerMetadata.REGISTRY_KEYS) - {"response_types_supported"})
)
def test_authlib_finds_every_claim_valid(issuer: str, claim: str) -> None:
    told = AuthorizationServerMetadata(metadata())
    getattr(told, f"validate_{claim}")()


def address(told: dict[str, Any], endpoint: str) -> str:
    path: str = urlsplit(told[f"{endpoint}_endpoint"]).path
    return path


def test_each_address_does_what_it_says_by_the_method_it_says(phone: Phone) -> None:
    told = metadata()
    asked = {"authorization": basic((service := new_service()).pk, service.raw_secret)}
    token = {"token": phone.access_token}
    assert CLIENT.post(address(told, "introspection"), token, headers=asked).status_code == 415
    form = "application/x-www-form-urlencoded"
    live = CLIENT.post(
        address(told, "introspection"),
        f"token={phone.access_token}",
        content_type=form,
        headers=asked,
    )
    assert live.json()["active"]
    grant = f"grant_type=refresh_token&refresh_token={phone.refresh_token}"
    phone.pair = CLIENT.post(address(told, "token"), grant, content_type=form).json()
    assert phone.is_signed_in
    revoked = CLIENT.post(
        address(told, "revocation"), f"token={phone.refresh_token}", content_type=form
    )
    assert revoked.status_code == HTTPStatus.OK
    assert not phone.is_signed_in


@pytest.mark.parametrize(
    "grant", ["password", "authorization_code", "client_credentials", "implicit", "urn:x"]
)
def test_a_grant_that_the_metadata_do_not_name_is_unsupported(db: None, grant: str) -> None:
    assert grant not in metadata()["grant_types_supported"]
    answer = CLIENT.post("/users/token", {"grant_type": grant}, content_type="application/json")
    assert error_of(answer) == (400, "unsupported_grant_type")
