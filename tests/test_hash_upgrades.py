"""A password hash that a sign-in upgrades is no password change; a new password is one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import authenticate
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import MD5PasswordHasher, PBKDF2PasswordHasher, make_password
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import Client

from authx.models import DeviceSession
from authx.passwords.backends import ModelBackend
from tests.phone import PASSWORD, Phone, error_of

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

NEW_PASSWORD = "another horse entirely, honest"


@pytest.fixture
def outdated(alice: User, phone: Phone) -> User:
    """Alice, signed in on her phone, with a hash that the next check upgrades."""
    alice.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    User.objects.filter(pk=alice.pk).update(password=alice.password)
    DeviceSession.objects.update(auth_hash=alice.get_session_auth_hash())
    return alice


def test_the_upgrade_is_known_although_the_model_saves_more_fields(
    outdated: User, phone: Phone
) -> None:
    plain = User.save

    def save(user: User, *, update_fields: Any = None, **named: Any) -> None:
        more = None if update_fields is None else {*update_fields, "first_name"}
        plain(user, update_fields=more, **named)

    with mock.patch.object(User, "save", save):
        Phone(device={}).sign_in()
    assert phone.is_signed_in


def test_a_password_that_a_backend_stores_at_sign_in_ends_other_sessions(
    alice: User, phone: Phone
) -> None:
    def bring_in(_: Any, request: Any, username: str, password: str) -> User:
        user = User.objects.get(username=username)
        user.set_password(password)
        user.save(update_fields=["password"])
        return user

    with mock.patch("authx.passwords.backends.ModelBackend.authenticate", bring_in):
        assert Phone(device={}).sign_in(NEW_PASSWORD).is_signed_in
    assert not phone.is_signed_in


def test_no_transaction_is_open_while_a_password_is_hashed(
    transactional_db: None, alice: User
) -> None:
    seen = []

    def note(*arguments: Any) -> bool:
        seen.append(connection.in_atomic_block)
        return True

    with mock.patch.object(User, "check_password", note):
        assert authenticate(username="alice", password=PASSWORD) == alice
    assert seen == [False]


def test_an_upgrade_that_fails_to_be_stored_moves_no_session(outdated: User, phone: Phone) -> None:
    with (
        mock.patch("authx.passwords.check.update_auth_hash", side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
        transaction.atomic(),
    ):
        authenticate(username="alice", password=PASSWORD)
    assert phone.is_signed_in


def test_a_sign_in_of_an_asynchronous_view_ends_no_session(
    transactional_db: None, outdated: User, phone: Phone
) -> None:
    async def sign_in() -> User | None:
        user = await ModelBackend().aauthenticate(None, username="alice", password=PASSWORD)
        await sync_to_async(connections.close_all)()
        return user

    assert asyncio.run(sign_in()) == outdated
    assert not User.objects.get().password.startswith("pbkdf2")
    assert phone.is_signed_in


@contextmanager
def changed_while_upgrading(user: User) -> Iterator[None]:
    """Change the password of a user once, while a check hashes the old one anew."""
    hashed = MD5PasswordHasher.encode
    changed: list[str] = []

    def encode(hasher: MD5PasswordHasher, password: str, salt: str, *rest: Any) -> str:
        if password == PASSWORD and not changed:
            changed.append(hashed(hasher, NEW_PASSWORD, salt))
            owner = User.objects.get(pk=user.pk)
            owner.set_password(NEW_PASSWORD)
            owner.save()
        return hashed(hasher, password, salt, *rest)

    with mock.patch.object(MD5PasswordHasher, "encode", encode):
        yield
    assert changed


def test_a_sign_in_with_the_old_password_does_not_undo_a_password_change(
    outdated: User, phone: Phone
) -> None:
    with changed_while_upgrading(outdated):
        response = Phone(device={}).try_sign_in()
    assert error_of(response) == (HTTPStatus.BAD_REQUEST, "invalid_grant")
    assert User.objects.get().check_password(NEW_PASSWORD)
    assert not phone.is_signed_in


def test_a_sign_in_to_the_admin_does_not_undo_a_password_change(
    outdated: User, client: Client
) -> None:
    User.objects.update(is_staff=True)
    with changed_while_upgrading(outdated):
        client.post("/admin/login/", {"username": "alice", "password": PASSWORD})
    assert "_auth_user_id" not in client.session
    assert User.objects.get().check_password(NEW_PASSWORD)


def test_a_backend_of_the_project_does_not_undo_a_password_change(
    outdated: User, settings: Any
) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    with changed_while_upgrading(outdated):
        response = Phone(device={}).try_sign_in()
    assert error_of(response) == (HTTPStatus.BAD_REQUEST, "invalid_grant")
    assert User.objects.get().check_password(NEW_PASSWORD)


def test_a_backend_of_the_project_keeps_the_sessions_of_a_user_whose_hash_it_upgrades(
    outdated: User, phone: Phone, settings: Any
) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert Phone(device={}).sign_in().is_signed_in
    assert not User.objects.get().password.startswith("pbkdf2")
    assert phone.is_signed_in


def test_a_check_of_the_users_own_keeps_the_sessions_of_a_user_whose_hash_it_upgrades(
    outdated: User, phone: Phone
) -> None:
    def own_check(user: User, raw_password: str) -> bool:
        return AbstractBaseUser.check_password(user, raw_password)

    with mock.patch.object(User, "check_password", own_check):
        assert Phone(device={}).sign_in().is_signed_in
    assert not User.objects.get().password.startswith("pbkdf2")
    assert phone.is_signed_in


def test_a_change_to_the_same_password_beside_an_upgrade_lets_the_sign_in_succeed(
    outdated: User,
) -> None:
    with changed_while_upgrading(outdated), mock.patch(f"{__name__}.NEW_PASSWORD", PASSWORD):
        assert Phone(device={}).sign_in().is_signed_in


def test_a_password_change_beside_an_upgrade_is_not_refused(outdated: User, phone: Phone) -> None:
    checked: list[User] = []

    def upgrade_once(_: str, user: User) -> None:
        # Another device's sign-in, between the check of the password and the lock.
        if not checked:
            User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD))
        checked.append(user)

    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    with mock.patch("authx.passwords.sign_in.validate_password", upgrade_once):
        response = phone.send("POST", "password", body)
    assert response.status_code == HTTPStatus.OK
    assert len(checked) == 2
    assert Phone(pair=response.json()).is_signed_in


def test_a_user_deleted_during_a_password_change_is_refused(phone: Phone) -> None:
    def delete_meanwhile(*_: Any) -> None:
        User.objects.all().delete()

    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    with mock.patch("authx.passwords.sign_in.validate_password", delete_meanwhile):
        response = phone.send("POST", "password", body)
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert error_of(phone.call())[1] == "invalid_token"
