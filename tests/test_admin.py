"""Operators see and end sessions; no page and no printed object shows what must stay secret."""

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from authx.codec import token_codec
from authx.models import DeviceSession, DeviceSessionQuerySet
from authx.sessions.generations import newest_of
from authx.sessions.refresh import refresh_session
from authx.tokens import TokenKind
from tests.phone import Phone, error_of

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

LIST = "/admin/authx/devicesession/"
DELETE_CONFIRMED = {"post": "yes"}


def page_of(phone: Phone, action: str = "change") -> str:
    return f"{LIST}{phone.session_id}/{action}/"


def of_phones() -> DeviceSessionQuerySet:
    """Return the sessions without those of the browsers of operators."""
    return DeviceSession.objects.exclude(platform="browser")


def end(operator: Client, *phones: Phone) -> "ErrorResponse":
    chosen = {"action": "revoke_sessions", "_selected_action": [one.session_id for one in phones]}
    return operator.post(LIST, chosen, follow=True)


def secrets_of(phone: Phone) -> list[str]:
    """Return everything about a phone's session that nobody may read anywhere."""
    session = DeviceSession.objects.get(pk=phone.session_id)
    digests = [session.digest, session.refresh_digest, session.auth_hash, session.user.password]
    packed = [session.access_nonce, session.refresh_nonce, session.recent]
    held = [phone.access_token, phone.refresh_token]
    return [*held, *digests, *(bytes(value).hex() for value in packed if value)]


@pytest.mark.parametrize("query", ["", "?q=phone", "?revoked_reason=", "?platform="])
def test_list_shows_the_sessions_and_no_secret(
    operator: Client, phone: Phone, tablet: Phone, query: str
) -> None:
    phone.refresh()
    response = operator.get(LIST + query)
    html = response.content.decode()
    assert response.status_code == HTTPStatus.OK
    assert page_of(phone) in html
    assert [secret for secret in secrets_of(phone) if secret in html] == []


@pytest.mark.parametrize(
    "column",
    [
        *(f"authx/devicesession/?{name}" for name in ("digest", "refresh_digest", "auth_hash")),
        *(f"authx/devicesession/?{name}" for name in ("recent", "data", "user__password")),
        "authx/passwordfailures/?fingerprint",
        "authx_introspection/service/?digest",
    ],
)
def test_no_column_that_is_not_shown_can_be_spelled_out_by_a_filter(
    operator: Client, phone: Phone, column: str
) -> None:
    response = operator.get(f"/admin/{column}__startswith=a")
    assert response.status_code == HTTPStatus.BAD_REQUEST


def test_what_is_shown_can_be_filtered_by(operator: Client, phone: Phone) -> None:
    for query in ("created_at__year=2026", "last_ip__startswith=1", "user__exact=1"):
        assert operator.get(f"{LIST}?{query}").status_code == HTTPStatus.OK


def test_detail_shows_the_session_and_no_secret(operator: Client, phone: Phone) -> None:
    phone.refresh().call()
    response = operator.get(page_of(phone))
    html = response.content.decode()
    assert response.status_code == HTTPStatus.OK
    assert phone.session_id in html
    assert [secret for secret in secrets_of(phone) if secret in html] == []


def test_detail_escapes_what_a_phone_says_of_itself(operator: Client, alice: User) -> None:
    script = "<script>alert(1)</script>"
    phone = Phone(device={"name": script, "installation_id": script}).sign_in()
    assert script not in operator.get(page_of(phone)).content.decode()
    assert script not in operator.get(LIST).content.decode()


def test_nothing_is_added_by_hand(operator: Client) -> None:
    assert operator.get(f"{LIST}add/").status_code == HTTPStatus.FORBIDDEN
    assert operator.post(f"{LIST}add/", {"name": "x"}).status_code == HTTPStatus.FORBIDDEN
    assert DeviceSession.objects.get().user.get_username() == "operator"


def test_nothing_is_changed_by_hand(operator: Client, phone: Phone) -> None:
    response = operator.post(page_of(phone), {"name": "x", "generation": 7})
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert of_phones().values_list("name", "generation").get() == ("phone", 0)


def test_nothing_is_deleted_by_hand(operator: Client, phone: Phone) -> None:
    chosen = {"action": "delete_selected", "_selected_action": phone.session_id}
    operator.post(LIST, chosen | DELETE_CONFIRMED)
    response = operator.post(page_of(phone, "delete"), DELETE_CONFIRMED)
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert phone.is_signed_in


def test_the_action_ends_the_chosen_sessions_and_says_who_did_it(
    operator: Client, phone: Phone, tablet: Phone
) -> None:
    response = end(operator, phone)
    assert "1 session ended." in response.content.decode()
    assert error_of(phone.call()) == (401, "invalid_token")
    assert error_of(phone.try_refresh()) == (400, "invalid_grant")
    assert tablet.refresh().is_signed_in
    ended = DeviceSession.objects.get(pk=phone.session_id)
    assert ended.revoked_reason == "ended_by_operator"
    who_and_what = LogEntry.objects.values_list("user__username", "object_id").get()
    assert who_and_what == ("operator", phone.session_id)


def test_the_action_counts_and_logs_only_what_it_ended(
    operator: Client, phone: Phone, tablet: Phone
) -> None:
    phone.send("POST", "logout")
    response = end(operator, phone, tablet)
    assert "1 session ended." in response.content.decode()
    assert DeviceSession.objects.get(pk=phone.session_id).revoked_reason == "signed_out"
    assert LogEntry.objects.get().object_id == tablet.session_id


def test_staff_without_permission_sees_and_ends_nothing(phone: Phone) -> None:
    client = Client()
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get(LIST).status_code == HTTPStatus.FORBIDDEN
    assert end(client, phone).status_code == HTTPStatus.FORBIDDEN
    assert phone.is_signed_in


@pytest.mark.parametrize(
    ("permissions", "still_in"),
    [
        (["view_devicesession"], True),
        (["view_devicesession", "change_devicesession", "delete_devicesession"], True),
        (["view_devicesession", "revoke_devicesession"], False),
    ],
)
def test_staff_ends_sessions_by_permission_to_revoke_only(
    phone: Phone, permissions: list[str], *, still_in: bool
) -> None:
    clerk, client = User.objects.create_user("clerk", is_staff=True), Client()
    clerk.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(clerk)
    assert client.get(LIST).status_code == HTTPStatus.OK
    end(client, phone)
    assert phone.is_signed_in is still_in


def test_a_user_with_sessions_can_be_deleted(
    operator: Client, phone: Phone, alice: User, bob: User
) -> None:
    of_bob = Phone("bob").sign_in()
    response = operator.post(f"/admin/auth/user/{alice.pk}/delete/", DELETE_CONFIRMED)
    assert response.status_code == HTTPStatus.FOUND
    assert not User.objects.filter(pk=alice.pk).exists()
    assert of_phones().get().pk == UUID(of_bob.session_id)
    assert error_of(phone.call()) == (401, "invalid_token")
    assert error_of(phone.try_refresh()) == (400, "invalid_grant")


def test_staff_who_may_delete_users_need_no_permission_of_ours(phone: Phone, alice: User) -> None:
    clerk, client = User.objects.create_user("clerk", is_staff=True), Client()
    permissions = Permission.objects.filter(codename__in=["view_user", "delete_user"])
    clerk.user_permissions.set(permissions)
    client.force_login(clerk)
    phone.try_sign_in("not the password")
    chosen = {"action": "delete_selected", "_selected_action": alice.pk} | DELETE_CONFIRMED
    assert client.post("/admin/auth/user/", chosen).status_code == HTTPStatus.FOUND
    assert not User.objects.filter(pk=alice.pk).exists()
    assert not of_phones().exists()
    # On pages of ours, nobody deletes.
    assert client.get(page_of(phone, "delete")).status_code != HTTPStatus.OK


def test_deactivating_in_the_admin_ends_the_sessions_for_good(
    operator: Client, phone: Phone, alice: User
) -> None:
    joined = {"date_joined_0": "2026-01-05", "date_joined_1": "12:00:00"}
    response = operator.post(
        f"/admin/auth/user/{alice.pk}/change/", {"username": "alice", **joined}
    )
    assert response.status_code == HTTPStatus.FOUND
    assert of_phones().get().revoked_reason == "deactivated"
    User.objects.update(is_active=True)
    assert not phone.is_signed_in


@pytest.mark.parametrize("show", [str, repr, "{:}".format, "%s".__mod__])
def test_no_printed_object_holds_a_secret(phone: Phone, show: Any) -> None:
    pair = refresh_session(raw_token=phone.refresh_token)
    phone.pair |= {"access_token": pair.raw_access_token, "refresh_token": pair.raw_refresh_token}
    codec = token_codec()
    token = codec.parse(pair.raw_refresh_token, TokenKind.REFRESH)
    minted, key = next(codec.successors(token, b"nonce")), codec.keys[0]
    held = [pair, token, minted, codec, key, newest_of(pair.session), DeviceSession.objects.get()]
    printed = "\n".join(show(one) for one in held)
    assert phone.session_id in printed
    assert [secret for secret in secrets_of(phone) if secret in printed] == []
    assert token.secret.hex() not in printed
    assert repr(token.secret) not in printed
    assert minted.raw_token not in printed
    assert repr(key.idempotency) not in printed


@pytest.mark.usefixtures("no_grace_period")
def test_no_log_line_holds_a_secret(
    phone: Phone, committed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stolen = phone.refresh_token
    with committed():
        phone.refresh().refresh()
        phone.call()
        phone.try_refresh("axr_forged")
        phone.try_refresh(stolen)
    logged = caplog.text
    assert "authn_token_reuse" in logged
    assert [secret for secret in [stolen, *secrets_of(phone)] if secret in logged] == []


def test_the_index_lists_only_what_the_operator_may_see(phone: Phone) -> None:
    clerk, client = User.objects.create_user("clerk", is_staff=True), Client()
    clerk.user_permissions.set(Permission.objects.filter(codename="view_devicesession"))
    client.force_login(clerk)
    index = client.get("/admin/").content.decode()
    assert "/admin/authx/devicesession/" in index
    assert "model-securityevent" not in index
    assert "model-passwordfailures" not in index
