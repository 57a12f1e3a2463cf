"""What happens to an account ends its sessions at once, whoever does it and wherever."""

from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import models
from django.db.models.signals import post_save, pre_delete
from django.test.utils import isolate_apps

from authx.errors import CredentialsChangedError
from authx.models import DeviceSession, SecurityEvent
from authx.passwords import check
from authx.sessions import locking
from tests.guessing import guess
from tests.phone import PASSWORD, Phone, error_of

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

NEW_PASSWORD = "another horse entirely, honest"


def assert_refused(phone: Phone) -> None:
    assert error_of(phone.call()) == (HTTPStatus.UNAUTHORIZED, "invalid_token")
    assert error_of(phone.try_refresh()) == (HTTPStatus.BAD_REQUEST, "invalid_grant")


def test_a_password_set_anywhere_ends_every_session(
    alice: User, phone: Phone, tablet: Phone
) -> None:
    alice.set_password(NEW_PASSWORD)
    alice.save()
    assert_refused(phone)
    assert_refused(tablet)
    assert Phone().sign_in(NEW_PASSWORD).is_signed_in


def test_a_password_hash_written_without_any_signal_ends_every_session(
    alice: User, phone: Phone
) -> None:
    User.objects.filter(pk=alice.pk).update(password=make_password(NEW_PASSWORD))
    assert_refused(phone)


def test_a_saved_deactivation_ends_sessions_and_reactivation_revives_none(
    alice: User, phone: Phone
) -> None:
    alice.is_active = False
    alice.save()
    assert_refused(phone)
    alice.is_active = True
    alice.save()
    assert_refused(phone)
    assert DeviceSession.objects.get().revoked_reason == "deactivated"


def test_a_deactivation_in_the_admin_ends_sessions_and_reactivation_revives_none(
    alice: User, phone: Phone, admin_client: Any
) -> None:
    page = f"/admin/auth/user/{alice.pk}/change/"
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    form = {"username": alice.username, **joined}
    assert admin_client.post(page, form).status_code == HTTPStatus.FOUND
    assert_refused(phone)
    assert admin_client.post(page, form | {"is_active": "on"}).status_code == HTTPStatus.FOUND
    assert Phone().sign_in().is_signed_in
    assert_refused(phone)


def test_a_bulk_deactivation_refuses_while_it_lasts(alice: User, phone: Phone) -> None:
    User.objects.update(is_active=False)
    assert_refused(phone)


def test_a_deleted_user_is_refused_without_an_error(alice: User, phone: Phone) -> None:
    alice.delete()
    assert_refused(phone)
    assert DeviceSession.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_deleted_before_the_check_of_the_password_is_refused(alice: User) -> None:
    count_failure = check._count_failure

    def count_for_nobody(user: User) -> Any:
        User.objects.all().delete()
        return count_failure(user)

    with mock.patch.object(check, "_count_failure", count_for_nobody):
        assert error_of(guess(password=PASSWORD)) == (HTTPStatus.BAD_REQUEST, "invalid_grant")


def test_a_user_who_is_deleted_while_the_check_is_repeated_is_refused(alice: User) -> None:
    def delete_changed(user: User, _: str) -> bool:
        User.objects.all().delete()
        raise CredentialsChangedError

    with mock.patch.object(check, "_verify", delete_changed):
        assert error_of(guess(password=PASSWORD)) == (HTTPStatus.BAD_REQUEST, "invalid_grant")


def test_saving_a_user_otherwise_ends_nothing(alice: User, phone: Phone) -> None:
    alice.first_name = "Alice"
    alice.save()
    alice.save(update_fields=["last_name"])
    assert phone.is_signed_in


def test_any_save_of_an_inactive_user_ends_sessions_for_good(alice: User, phone: Phone) -> None:
    # `is_active` may be a property of any other field.
    User.objects.update(is_active=False)
    alice.refresh_from_db()
    alice.save(update_fields=["last_name"])
    User.objects.update(is_active=True)
    assert_refused(phone)


def test_an_upgraded_password_hash_ends_no_session(
    alice: User, phone: Phone, tablet: Phone
) -> None:
    outdated = make_password(PASSWORD, hasher="pbkdf2_sha256")
    User.objects.filter(pk=alice.pk).update(password=outdated)
    alice.refresh_from_db()
    DeviceSession.objects.update(auth_hash=alice.get_session_auth_hash())
    assert Phone(device={}).sign_in().is_signed_in
    alice.refresh_from_db()
    assert alice.password.startswith("md5$")
    assert phone.is_signed_in
    assert tablet.refresh().is_signed_in


def test_a_user_saved_in_another_database_ends_no_session(alice: User, phone: Phone) -> None:
    alice.is_active = False
    alice.set_password(NEW_PASSWORD)
    for signal in (post_save, pre_delete):
        signal.send(User, instance=alice, created=False, using="another")
    assert phone.is_signed_in
    assert not SecurityEvent.objects.filter(kind="password_changed").exists()


@isolate_apps("authx")
def test_the_lock_of_a_user_holds_the_rows_of_its_parent_models() -> None:
    class Account(models.Model):
        class Meta:
            app_label = "authx"

    class Member(Account):
        class Meta:
            app_label = "authx"

    class Guest(Member):
        class Meta:
            app_label = "authx"

    assert list(locking._parents(Guest)) == ["member_ptr", "member_ptr__account_ptr"]
    assert list(locking._parents(Account)) == []
