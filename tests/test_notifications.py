"""Users are told by mail: of a new device, of a theft, of a new password; once each."""

import re
from collections.abc import Callable
from datetime import timedelta
from email import message_from_string
from io import StringIO
from smtplib import SMTPServerDisconnected
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from authx.audit import notifications
from authx.audit.notifications import send_next_notification
from authx.models import Notification, SecurityEvent
from authx.sessions.sweep import sweep
from tasks.alerts import send_notifications
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone, grace_period_over
from tests.processes import Processes, die, exit_code_of

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

NEW_PASSWORD = "another horse entirely"
KILLED = -9


@pytest.fixture
def alice(new_user: Callable[[str], User]) -> User:
    """Somebody with an address."""
    user = new_user("alice")
    user.email = "alice@example.com"
    user.save()
    return user


def use_new_device(phone: Phone, **device: str) -> None:
    device = {"installation_id": "another", "name": "Watch"} | device
    body = {"username": "alice", "password": PASSWORD, "device": device}
    assert phone.send("POST", "login", body, REMOTE_ADDR="192.0.2.7").status_code == 200


def reuse(phone: Phone) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    grace_period_over()
    for _ in range(3):
        phone.try_refresh(stolen)


def change_password(phone: Phone) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    phone.send("POST", "password", body)


def sent() -> list[Any]:
    """Work off what is due, and return all mails of this test."""
    send_notifications()
    return mail.outbox


OCCASIONS = [
    (use_new_device, "Your account was used on a new device", "Watch"),
    (reuse, "One of your devices was signed out", "phone"),
    (change_password, "Your password was changed", "phone"),
]


@pytest.mark.parametrize(("occur", "subject", "device"), OCCASIONS)
def test_each_occasion_is_one_mail_that_says_what_where_when_and_what_to_do(
    clock: Clock, phone: Phone, occur: Any, subject: str, device: str
) -> None:
    occur(phone)
    (message,) = sent()
    assert (message.to, message.subject) == (["alice@example.com"], subject)
    html, kind = message.alternatives[0]
    assert kind == "text/html"
    for text in (message.body, html):
        assert device in text
        assert "5 January 2026, 12:00 UTC" in text
        assert re.search(r"192\.0\.2\.7|127\.0\.0\.1", text)
        assert "list of devices" in text
    assert sent() == [message]
    assert not Notification.objects.exists()


def test_nothing_else_is_mailed(phone: Phone) -> None:
    phone.try_sign_in("wrong password")
    phone.sign_in().refresh().send("POST", "logout")
    assert sent() == []


def test_a_user_without_an_address_is_no_error_and_no_mail(phone: Phone) -> None:
    User.objects.update(email="")
    use_new_device(phone)
    assert sent() == []
    assert not Notification.objects.exists()


def test_a_deleted_user_gets_no_mail(phone: Phone, alice: User) -> None:
    use_new_device(phone)
    alice.delete()
    assert sent() == []
    assert not Notification.objects.exists()


def test_markup_is_escaped_in_html_and_left_alone_in_text(phone: Phone) -> None:
    use_new_device(phone, name="<b>&'Watch'</b>")
    (message,) = sent()
    html, _ = message.alternatives[0]
    assert "<b>&'Watch'</b>" in message.body
    assert "<b>" not in html
    assert "&lt;b&gt;&amp;&#x27;Watch&#x27;&lt;/b&gt;" in html


@pytest.mark.parametrize(
    ("name", "platform", "shown"),
    [
        ("https://evil.example/reset", "iOS", "iOS"),
        ("Reset it at evil.example/reset", "iOS", "iOS"),
        ("www.evil", "iOS", "iOS"),
        ("evil\u3002example", "iOS", "iOS"),
        ("write to help@evil", "", "unknown"),
        ("//evil", "evil.xn--p1ai", "unknown"),
        ("Dr. Smith's phone", "iOS", "Dr. Smith's phone"),
        ("Pixel 9 (v14.2)", "Android", "Pixel 9 (v14.2)"),
    ],
)
def test_an_attacker_cannot_put_a_link_into_a_mail_by_the_name_of_a_device(
    phone: Phone, name: str, platform: str, shown: str
) -> None:
    agent = "evil.example/2.0"
    device = {"name": name, "platform": platform}
    body = {"username": "alice", "password": PASSWORD, "device": device}
    Phone().send("POST", "login", body, headers={"user-agent": agent})
    (message,) = sent()
    assert f"Device: {shown}\n" in message.body
    assert "evil" not in message.body + message.subject + str(message.alternatives)


@pytest.mark.parametrize(
    ("username", "greeted"),
    [
        ("alice", "alice"),
        ("alice@example.com", "alice@example.com"),
        ("evil.example", "alice@example.com"),
        ("bob@evil.example", "alice@example.com"),
    ],
)
def test_whoever_chooses_a_user_name_puts_no_link_into_the_mail_of_another(
    alice: User, phone: Phone, username: str, greeted: str
) -> None:
    use_new_device(phone)
    User.objects.update(username=username, email="alice@example.com")
    (message,) = sent()
    assert message.body.startswith(f"Hello {greeted},")
    assert "evil" not in message.body + str(message.alternatives)


def test_a_user_agent_stands_for_a_device_without_a_name(phone: Phone) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0.0.0 Safari/537.36"
    body = {"username": "alice", "password": PASSWORD}
    Phone().send("POST", "login", body, headers={"user-agent": agent})
    (message,) = sent()
    assert f"Device: {agent}\n" in message.body


def test_a_subject_is_one_line_whatever_a_template_brings(
    phone: Phone, settings: Any, tmp_path: Any
) -> None:
    folder = tmp_path / "authx" / "mail"
    folder.mkdir(parents=True)
    subject = "{{ device }}\nBcc: everybody@example.com\n\n"
    (folder / "new_device_subject.txt").write_text(subject)
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path]}]
    use_new_device(phone)
    (message,) = sent()
    assert message.subject == "Watch Bcc: everybody@example.com"
    assert message.message()["Bcc"] is None


def test_an_address_that_no_header_carries_is_dropped_and_logged(phone: Phone, caplog: Any) -> None:
    User.objects.update(email="alice@example.com\nBcc: everybody@example.com")
    use_new_device(phone)
    assert sent() == []
    assert not Notification.objects.exists()
    (dropped,) = [one for one in caplog.records if "notification_dropped" in one.getMessage()]
    assert dropped.levelname == "ERROR"
    assert "example.com" not in caplog.text


def test_the_same_event_has_the_same_message_id(phone: Phone, settings: Any) -> None:
    settings.DEFAULT_FROM_EMAIL = "The service <service@example.com>"
    use_new_device(phone)
    notice = Notification.objects.get()
    for _ in range(2):
        assert send_next_notification()
        notice.save()
    use_new_device(phone, installation_id="a third")
    first, again, _, other = [message_from_string(str(one.message())) for one in sent()]
    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", first["Message-ID"])


def test_a_mail_server_that_is_away_is_tried_again_later_and_later(
    clock: Clock, phone: Phone, caplog: Any
) -> None:
    use_new_device(phone)
    with mock.patch.object(EmailMultiAlternatives, "send", side_effect=SMTPServerDisconnected):
        for minutes in (2, 4, 8):
            send_notifications()
            assert not send_next_notification()
            clock.forward(minutes=minutes)
    assert [record.levelname for record in caplog.records].count("WARNING") >= 3
    assert len(sent()) == 1


def test_a_mail_that_never_goes_out_is_given_up_and_logged(
    clock: Clock, phone: Phone, caplog: Any
) -> None:
    use_new_device(phone)
    began = timezone.now()
    with mock.patch.object(
        EmailMultiAlternatives, "send", side_effect=ConnectionRefusedError
    ) as send:
        while Notification.objects.exists():
            send_notifications()
            clock.forward(minutes=2)
    assert send.call_count == 9
    assert timedelta(hours=8) < timezone.now() - began < timedelta(hours=9)
    (dropped,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "notification_dropped" in dropped.getMessage()
    assert "ConnectionRefusedError" in dropped.getMessage()


def test_an_unexpected_error_delays_only_its_own_mail(phone: Phone, caplog: Any) -> None:
    use_new_device(phone)
    use_new_device(phone, installation_id="a third")
    plain = notifications.build_message
    failed: list[int] = []

    def fails_once(event: Any, *arguments: Any) -> Any:
        if not failed:
            failed.append(event.pk)
            raise RuntimeError("a template of the project")
        return plain(event, *arguments)

    with mock.patch.object(notifications, "build_message", fails_once):
        send_notifications()
    assert len(sent()) == 1
    assert list(Notification.objects.values_list("event_id", "attempts")) == [(failed[0], 1)]
    assert "new_device, RuntimeError" in caplog.text


def test_a_sender_that_the_mail_server_is_not_sent_drops_no_mail(phone: Phone) -> None:
    use_new_device(phone)
    # As Django's backend for SMTP does for a name with a comma.
    refused = mock.patch.object(EmailMultiAlternatives, "send", side_effect=ValueError("address"))
    with refused:
        send_notifications()
    assert Notification.objects.get().attempts == 1


@pytest.mark.parametrize(("minutes", "is_logged"), [(10, False), (11, True)])
def test_mail_that_has_waited_for_long_is_in_the_log(
    clock: Clock, phone: Phone, caplog: Any, *, minutes: int, is_logged: bool
) -> None:
    use_new_device(phone)
    clock.forward(minutes=minutes)
    with mock.patch.object(EmailMultiAlternatives, "send", side_effect=ConnectionRefusedError):
        send_notifications()
    assert ("mail has been waiting for 11 minutes" in caplog.text) == is_logged


def test_the_sweep_leaves_what_is_still_to_be_mailed(
    clock: Clock, phone: Phone, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"EVENT_RETENTION": timedelta(0)}
    use_new_device(phone)
    clock.forward(hours=23)
    sweep()
    assert len(sent()) == 1
    use_new_device(phone, installation_id="a third")
    clock.forward(hours=25)
    sweep()
    assert not Notification.objects.exists()
    assert not SecurityEvent.objects.exists()


def test_a_backlog_is_worked_off_in_turns(clock: Clock, phone: Phone) -> None:
    use_new_device(phone)
    use_new_device(phone, installation_id="a third")

    def slow(*_: Any) -> None:
        clock.forward(seconds=31)

    with mock.patch.object(EmailMultiAlternatives, "send", slow):
        send_notifications()
    assert Notification.objects.count() == 1
    assert len(sent()) == 1


def test_the_command_sends_what_is_due(phone: Phone) -> None:
    use_new_device(phone)
    assert f"notification of event {Notification.objects.get().pk}" in str(
        Notification.objects.get()
    )
    out = StringIO()
    call_command("send_notifications", stdout=out)
    assert out.getvalue() == "Processed 1 notifications; 0 wait to be sent.\n"
    assert len(mail.outbox) == 1


def test_the_command_says_how_many_mails_wait(phone: Phone, settings: Any) -> None:
    settings.EMAIL_BACKEND = "nothing.EmailBackend"
    use_new_device(phone)
    out = StringIO()
    call_command("send_notifications", stdout=out)
    # The next attempt is not due yet.
    call_command("send_notifications", stdout=out)
    assert out.getvalue().splitlines() == [
        "Processed 1 notifications; 1 wait to be sent.",
        "Processed 0 notifications; 1 wait to be sent.",
    ]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_several_workers_send_each_mail_once(phone: Phone, settings: Any, tmp_path: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    for number in range(10):
        use_new_device(phone, installation_id=f"device {number}")
    with Processes(4) as processes:
        processes.together([(send_notifications, ())] * 4)
    text = "".join(file.read_text() for file in tmp_path.iterdir())
    ids = re.findall("Message-ID: (.+)", text)
    assert (len(ids), len(set(ids))) == (10, 10)
    assert not Notification.objects.exists()


def send_and_die() -> None:
    with mock.patch.object(EmailMultiAlternatives, "send", side_effect=die):
        send_notifications()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_while_it_sends_leaves_the_mail_for_later(
    clock: Clock, phone: Phone
) -> None:
    use_new_device(phone)
    assert exit_code_of(send_and_die) == KILLED
    connection.close()
    assert sent() == []
    clock.forward(minutes=2)
    assert len(sent()) == 1
