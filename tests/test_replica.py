"""Whatever is driven, no statement about users, sessions or events is asked of a replica."""

import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User, UserManager
from django.core.management import call_command, get_commands
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from authx.api import EventKind, change_password, revoke_session, sessions_of
from authx.audit.links import new_recovery_token, not_me_token
from authx.audit.logs import SESSION_RENEWED
from authx.audit.notifications import send_next_notification
from authx.devices import find_known_device
from authx.models import DeviceSession, PasswordFailures, SecurityEvent, user_manager
from authx.passwords.check import check_password, is_password_locked
from authx.sessions.open import open_session
from authx.sessions.restore import ENDINGS
from authx.sessions.values import Device
from tests.account import BASE, browser, signed_in
from tests.databases import ReplicaManager, replica_asked, use_manager
from tests.phone import CLIENT, PASSWORD, Phone
from tests.services import basic, introspect, new_service, post_introspection
from tests.source_code import AUTHX, offenders

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

NEW = "another long passphrase, never seen"
OURS = re.compile(r"authx_|auth_user\b")


@pytest.fixture
def replica(phone: Phone, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return what is asked of the replica; alice has a phone, and users have a manager for it."""
    use_manager(monkeypatch, ReplicaManager())
    with replica_asked(settings) as asked:
        yield asked


def login_elsewhere() -> None:
    Phone(device={"name": "tablet", "installation_id": "tablet"}).sign_in()


def fail_to_sign_in() -> None:
    for name in ("alice", "nobody"):
        Phone(name).try_sign_in("a wrong password")


def introspect_once(phone: Phone) -> None:
    introspect(new_service(), phone.access_token)
    post_introspection(phone.access_token, basic("nobody", "axs_forged"))


def sign_in_too_often() -> None:
    for name in ("alice", "nobody"):
        answers = [Phone(name).try_sign_in("a wrong password") for _ in range(6)]
        assert answers[-1].status_code == 429


def recovered() -> dict[str, str]:
    """Return what the form of a mailed link sends."""
    return {"token": new_recovery_token(user_manager().get()), "new_password": NEW}


def not_me(phone: Phone) -> None:
    token = not_me_token(SecurityEvent.objects.filter(session_id=phone.session_id)[0])
    assert browser().post(f"{BASE}not-me/", {"token": token}).status_code == 200
    everything = {"token": token, "everything": "yes"}
    assert browser().post(f"{BASE}not-me/", everything).status_code == 200


# By the name of its URL; the number of its methods is that of the API.
ENDPOINTS: dict[str, list[Callable[[Phone], Any]]] = {
    "login": [
        lambda _: login_elsewhere(),
        lambda _: fail_to_sign_in(),
        lambda _: sign_in_too_often(),
    ],
    "token": [lambda phone: phone.refresh(), lambda phone: phone.try_refresh("axr_forged")],
    "revoke": [lambda phone: phone.send("POST", "revoke", {"token": phone.refresh_token})],
    "me": [lambda phone: phone.call()],
    "logout": [lambda phone: phone.send("POST", "logout")],
    "logout-all": [lambda phone: phone.send("POST", "logout-all", {})],
    "password": [
        lambda phone: phone.send(
            "POST", "password", {"current_password": PASSWORD, "new_password": NEW}
        ),
        lambda phone: phone.send(
            "POST", "password", {"current_password": NEW, "new_password": NEW}
        ),
        lambda _: signed_in().post(
            f"{BASE}password/", {"current_password": PASSWORD, "new_password": NEW}
        ),
    ],
    "activity": [
        lambda phone: phone.send("GET", "activity"),
        lambda _: signed_in().get(f"{BASE}activity/"),
    ],
    "devices": [lambda phone: phone.send("GET", "devices"), lambda _: signed_in().get(BASE)],
    "device": [
        lambda phone: phone.send("GET", f"devices/{phone.session_id}"),
        lambda phone: phone.send("PATCH", f"devices/{phone.session_id}", {"name": "new"}),
        lambda phone: phone.send("DELETE", f"devices/{phone.session_id}"),
    ],
    "introspect": [introspect_once],
    "reauthenticate": [
        lambda phone: phone.send("POST", "reauthenticate", {"current_password": PASSWORD}),
        lambda phone: phone.send("POST", "reauthenticate", {"current_password": NEW}),
    ],
    "recover": [
        lambda phone: phone.send("POST", "recover", {"username": "alice"}),
        lambda _: browser().post(f"{BASE}recover/", {"username": "nobody"}),
    ],
    "recover-confirm": [lambda phone: phone.send("POST", "recover/confirm", recovered())],
    "recover-password": [lambda _: browser().post(f"{BASE}recover/password/", recovered())],
    "not-me": [not_me],
    "sign-in": [lambda _: signed_in()],
    "sign-out": [lambda _: signed_in().post(f"{BASE}sign-out/")],
    "end-device": [lambda phone: signed_in().post(f"{BASE}devices/{phone.session_id}/end/")],
    "rename-device": [
        lambda phone: signed_in().post(f"{BASE}devices/{phone.session_id}/rename/", {"name": "x"})
    ],
    "end-others": [lambda _: signed_in().post(f"{BASE}devices/end-others/")],
    "end-all": [lambda _: signed_in().post(f"{BASE}devices/end-all/")],
    "metadata": [lambda _: CLIENT.get("/.well-known/oauth-authorization-server")],
}
ACTS = {
    f"{name} {number}": act for name, acts in ENDPOINTS.items() for number, act in enumerate(acts)
}


@pytest.mark.parametrize("act", ACTS)
def test_no_endpoint_asks_the_replica(phone: Phone, replica: list[str], act: str) -> None:
    ACTS[act](phone)
    assert replica == []


def endpoints(patterns: Any, *, is_ours: bool = False) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            ours = is_ours or str(pattern.app_name or "").startswith("authx")
            yield from endpoints(pattern.url_patterns, is_ours=ours)
        elif is_ours and isinstance(pattern, URLPattern):
            yield str(pattern.name)


def test_every_endpoint_is_among_them() -> None:
    found = set(endpoints(get_resolver().url_patterns))
    metadata = {name for name in found if name.startswith("oauth-authorization-server")}
    assert metadata
    assert found - metadata == set(ENDPOINTS) - {"metadata"}


def run(*words: str) -> None:
    call_command(*words, stdout=io.StringIO())


COMMANDS: dict[str, list[Callable[[str], None]]] = {
    "sweep": [lambda _: run("sweep"), lambda _: run("sweep", "--dry-run")],
    "send_notifications": [lambda _: run("send_notifications")],
    "revoke_sessions": [
        lambda _: run("revoke_sessions", "--user", "alice"),
        lambda _: run("revoke_sessions", "--all"),
        lambda log: run("revoke_sessions", "--ahead-of-database", log),
    ],
    "erase_events": [
        lambda _: run("erase_events", "--user", "alice"),
        lambda _: run("erase_events", "--deleted-user", "4711"),
    ],
    "unlock_password": [lambda _: run("unlock_password", "--user", "alice")],
    "create_service": [lambda _: run("create_service", "billing")],
    "revoke_service": [lambda _: run("revoke_service", str(new_service().pk))],
}
RUNS = {
    f"{name} {number}": act for name, acts in COMMANDS.items() for number, act in enumerate(acts)
}


@pytest.mark.parametrize("act", RUNS)
def test_no_command_asks_the_replica(
    phone: Phone, replica: list[str], act: str, tmp_path: Any
) -> None:
    fail_to_sign_in()
    # A mail that waits.
    login_elsewhere()
    log = tmp_path / "log"
    at = {"timestamp": timezone.now().isoformat()}
    records: list[dict[str, Any]] = [
        {"event": next(iter(ENDINGS)), "session_id": phone.session_id},
        {"event": next(iter(ENDINGS)), "user_id": "1", "reason": "2 sessions"},
        {"event": SESSION_RENEWED.name, "session_id": phone.session_id, "generation": 99},
    ]
    log.write_text("".join(f"{json.dumps(record | at)}\n" for record in records))
    RUNS[act](str(log))
    assert replica == []


def test_every_command_is_among_them() -> None:
    assert {name for name, app in get_commands().items() if str(app).startswith("authx")} == set(
        COMMANDS
    )


def test_a_user_who_has_just_signed_up_may_open_a_session(replica: list[str]) -> None:
    user = User.objects.create_user("carol", password=PASSWORD)
    pair = open_session(user=user, device=Device(installation_id="carols"))
    assert find_known_device(user, pair.raw_device_credential)
    assert not is_password_locked(user)
    assert replica == []


def test_a_mail_asks_no_replica_for_its_address(replica: list[str]) -> None:
    User.objects.update(email="alice@example.com")
    login_elsewhere()
    while send_next_notification():
        pass
    assert replica == []


@pytest.fixture
def operator(phone: Phone) -> Client:
    """Return a browser in which a superuser has signed in by password."""
    User.objects.create_superuser("operator", password=PASSWORD)
    client = Client()
    assert client.login(username="operator", password=PASSWORD)
    return client


def admin_pages() -> dict[str, Any]:
    session, failures = (
        DeviceSession.objects.earliest("created_at"),
        PasswordFailures.objects.latest("count"),
    )
    chosen = {"_selected_action": [str(session.pk)]}
    sessions, of_failures = "/admin/authx/devicesession/", "/admin/authx/passwordfailures/"
    return {
        sessions: None,
        f"{sessions}{session.pk}/change/": None,
        "/admin/authx/securityevent/": None,
        of_failures: None,
        f"{of_failures}{failures.pk}/change/": None,
        "/admin/authx_introspection/service/": None,
        f"{sessions}?": chosen | {"action": "revoke_sessions"},
        f"{of_failures}?": {"action": "unlock", "_selected_action": [str(failures.pk)]},
    }


def test_no_page_of_the_admin_asks_the_replica_for_our_rows(
    operator: Client, replica: list[str]
) -> None:
    fail_to_sign_in()
    for page, body in admin_pages().items():
        answer = operator.get(page) if body is None else operator.post(page, body)
        assert answer.status_code in {200, 302}
    assert [sql for sql in replica if OURS.search(sql)] == []


def test_a_password_that_changes_during_its_check_is_read_again_from_no_replica(
    replica: list[str], alice: User
) -> None:
    # Not what is stored any more; a check upgrades it.
    alice.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    assert check_password(alice, PASSWORD)
    assert replica == []


def test_a_session_without_its_user_asks_the_replica_for_none(
    replica: list[str], alice: User
) -> None:
    session = sessions_of(alice).get()
    changed = change_password(session=session, current_password=PASSWORD, new_password=NEW)
    assert revoke_session(session=changed.session, reason=EventKind.ENDED_BY_OPERATOR)
    assert replica == []


class EmptyManager(UserManager[User]):
    """A project's manager that leaves users out, such as those of another tenant."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


def test_a_manager_that_leaves_users_out_refuses_nobody_whom_the_project_signs_in(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_manager(monkeypatch, EmptyManager())
    pair = open_session(user=alice, device=Device())
    assert pair.session.user_id == alice.pk


def managers(source: str) -> list[str]:
    """Return by which managers of a project a source reads."""
    return re.findall(r"_base_manager|_default_manager|refresh_from_db", source)


def test_the_rule_on_managers_sees_them() -> None:
    source = "user.refresh_from_db()\nget_user_model()._base_manager.get(pk=1)\nall_users()"
    assert managers(source) == ["refresh_from_db", "_base_manager"]


def test_users_are_read_by_two_functions_only() -> None:
    found = offenders(AUTHX, managers)
    # `user_manager`; the other two are about sessions.
    assert set(found) == {
        "authx/models/sessions.py",
        "authx/sessions/dependants.py",
        "authx/testing/expiry.py",
    }
