"""People read sentences in their language: answers, mails and the admin; machines read English."""

import ast
import gettext
import io
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from babel.messages import Catalog, Message
from django.contrib.auth.models import User
from django.core import mail
from django.core.checks import run_checks
from django.test import Client
from django.utils import translation

from authx.audit.events import record_event
from authx.audit.notifications import send_next_notification
from authx.models import (
    DeviceSession,
    EventKind,
    Notification,
    PasswordFailures,
    SecurityEvent,
)
from authx.passwords.check import check_password
from tests.catalogues import (
    LANGUAGES,
    LOCALE,
    Sentence,
    catalogue_path,
    compiled,
    in_python,
    in_template,
    read_catalogue,
    sentence_of,
    sentences,
)
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone
from tests.shop import BLOCK
from tests.source_code import AUTHX, ROOT, calls_in, offenders

GETTEXT = re.compile(r"(n|p|np)?gettext(_lazy)?|_")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]")


# --- Catalogues


def test_sentences_are_found_wherever_they_are_written() -> None:
    source = 'a = _("x"); b = ngettext("%d y", "%d ys", n); c = pgettext("of z", "z"); d = f("w")'
    found = [Sentence("x"), Sentence("%d y", "%d ys"), Sentence("z", context="of z")]
    assert list(in_python(source)) == found
    template = (
        '{% load i18n %}{% block a %}{% translate "x" %}{% if b %}'
        "{% blocktranslate with c=d.e %}y {{ c }}{% endblocktranslate %}{% endif %}{% endblock %}"
    )
    assert list(in_template(template)) == [Sentence("x"), Sentence("y %(c)s")]
    with pytest.raises(ValueError, match="malformed"):
        list(in_python("_(computed)"))


def test_every_language_has_a_directory_and_no_other_has() -> None:
    assert sorted(path.name for path in LOCALE.iterdir()) == list(LANGUAGES)


def messages(catalogue: Catalog) -> list[Message]:
    return [message for message in catalogue if message.id]


def translations_of(message: Message) -> list[str]:
    """Return the translation of a message, in each plural form."""
    string: Any = message.string
    return [string] if isinstance(string, str) else list(string)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_has_every_sentence_and_no_other(language: str) -> None:
    catalogue = read_catalogue(language)
    assert {sentence_of(message) for message in messages(catalogue)} == set(sentences())
    assert not catalogue.obsolete


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_complete_with_every_plural(language: str) -> None:
    catalogue = read_catalogue(language)
    incomplete = [
        message.id
        for message in messages(catalogue)
        if message.fuzzy
        or not all(translations_of(message))
        or (message.pluralizable and len(translations_of(message)) != catalogue.num_plurals)
    ]
    assert incomplete == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_placeholders_of_its_sentence(language: str) -> None:
    different = []
    for message in messages(read_catalogue(language)):
        strings = translations_of(message)
        expected = sorted(PLACEHOLDER.findall(sentence_of(message).singular))
        different += [one for one in strings if sorted(PLACEHOLDER.findall(one)) != expected]
        # Django's date filter reads these letters.
        if message.context == "date and time":
            assert all(re.search(rf"(?<!\\){letter}", strings[0]) for letter in "jYHiT")
    assert different == []


def content(file: Any) -> dict[Any, str]:
    """Return what a compiled catalogue translates, without its header."""
    read: dict[Any, str] = vars(gettext.GNUTranslations(file))["_catalog"]
    return {key: text for key, text in read.items() if key}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language: str) -> None:
    with catalogue_path(language, "mo").open("rb") as file:
        shipped = content(file)
    assert len(shipped) >= len(sentences())
    assert shipped == content(io.BytesIO(compiled(language)))


def untranslated(source: str) -> list[str]:
    """Return the sentences of validation errors, names and actions that skip gettext."""
    found = []
    for call in calls_in(ast.parse(source)):
        name = ast.unparse(call.func).rpartition(".")[2]
        if name == "ValidationError":
            found += [text for argument in call.args for text in bare_texts(argument)]
        # That of an error response is for machines.
        if GETTEXT.fullmatch(name) or name == "_replace":
            continue
        for word in call.keywords:
            if word.arg in {"verbose_name", "verbose_name_plural", "description"}:
                found += bare_texts(word.value)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("verbose_name"):
            found += bare_texts(node.value)
    return found


def bare_texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts in an expression, without keys and without what gettext gets."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from bare_texts(value)
    elif not isinstance(node, ast.Call):
        for child in ast.iter_child_nodes(node):
            yield from bare_texts(child)


def test_the_rule_on_bare_sentences_sees_them() -> None:
    source = """
raise ValidationError({"field": ["A sentence.", gettext("Another.")]})
class Meta:
    verbose_name = "thing"
    verbose_name_plural = _("things")
admin.action(description="Do it")
"""
    assert untranslated(source) == ["A sentence.", "Do it", "thing"]


def test_no_sentence_for_people_skips_gettext() -> None:
    people = [path for path in AUTHX if "openapi" not in path.parts]
    assert offenders(people, untranslated) == {}


# --- Answers


@pytest.fixture(autouse=True)
def _back_to_english() -> Iterator[None]:
    """Undo what LocaleMiddleware leaves behind: the next request in a thread sets it anew."""
    yield
    translation.deactivate()


@pytest.fixture
def locale_middleware(settings: Any) -> None:
    """Let requests say their language, as Django's documentation puts it."""
    middleware = list(settings.MIDDLEWARE)
    after = middleware.index("django.contrib.sessions.middleware.SessionMiddleware") + 1
    middleware.insert(after, "django.middleware.locale.LocaleMiddleware")
    settings.MIDDLEWARE = middleware


def phone_in(language: str, **device: str) -> Phone:
    client = Client(headers={"accept-language": language})
    return Phone("alice", {"name": "phone", **device}, client=client)


CHARACTERS = {"de": "ASCII-Zeichen", "fr": "caractères", "ja": "文字", "en": "visible ASCII"}


@pytest.mark.django_db
@pytest.mark.parametrize("language", CHARACTERS)
def test_fields_speak_the_language_of_the_request(
    alice: User, locale_middleware: None, language: str
) -> None:
    response = phone_in(language).sign_in().try_refresh(key="short")
    body = response.json()
    assert CHARACTERS[language] in body["fields"]["idempotency_key"][0]
    assert response.headers["Content-Language"] == language
    assert "Accept-Language" in response.headers["Vary"]


@pytest.mark.django_db
def test_sentences_of_drf_and_of_ours_agree_whoever_asked_before(
    alice: User, locale_middleware: None
) -> None:
    said = []
    for language in ("de", "fr", "de"):
        phone = phone_in(language).sign_in()
        login = {"username": "a" * 999, "password": ""}
        refused = phone.client.post("/users/login", login, content_type="application/json").json()
        wrong = {"current_password": "wrong", "new_password": PASSWORD}
        own = phone.send("POST", "password", wrong).json()
        said.append((refused["fields"], own["fields"]))
    assert said[0] == said[2] != said[1]
    assert said[0][1] == {"current_password": ["Das ist nicht das aktuelle Passwort."]}
    assert said[1][1] == {"current_password": ["Ce n’est pas le mot de passe actuel."]}
    assert "999" not in str(said[0][0])


@pytest.mark.django_db
def test_descriptions_codes_and_kinds_stay_english(alice: User, locale_middleware: None) -> None:
    german, english = phone_in("de").sign_in(), phone_in("en").sign_in()
    bodies = [
        phone.try_sign_in("wrong").json() | phone.send("GET", "devices/1").json()
        for phone in (german, english)
    ]
    assert bodies[0] == bodies[1]
    kinds = [event["kind"] for event in german.send("GET", "activity").json()["results"]]
    assert kinds[0] == "sign_in_failed"


@pytest.mark.django_db
def test_without_the_middleware_a_project_speaks_its_own_language(
    alice: User, settings: Any
) -> None:
    settings.LANGUAGE_CODE = "es"
    response = phone_in("de").sign_in().try_refresh(key="short")
    assert "caracteres ASCII" in response.json()["fields"]["idempotency_key"][0]
    assert "Content-Language" not in response.headers


@pytest.mark.django_db
def test_the_security_log_stays_english(
    alice: User, locale_middleware: None, caplog: Any, committed: Any
) -> None:
    with caplog.at_level("INFO", "authx.security"), committed():
        phone_in("de").sign_in().send("POST", "logout")
    names = [vars(record)["event"] for record in caplog.records if "event" in vars(record)]
    assert "session_logout" in names
    assert "abgemeldet" not in caplog.text


# --- Mail

SUBJECTS = {
    "en": "Your account was used on a new device",
    "ar": "تسجيل دخول إلى حسابك من جهاز جديد",
    "de": "Anmeldung auf einem neuen Gerät",
    "es": "Inicio de sesión en un dispositivo nuevo",
    "fr": "Connexion depuis un nouvel appareil",
    "ja": "新しいデバイスからのログインがありました",
    "pt": "Início de sessão num novo dispositivo",
}
TIMES = {
    "en": "5 January 2026, 13:00 CET",
    "ar": "5 يناير 2026، 13:00 CET",
    "de": "5. Januar 2026, 13:00 CET",
    "es": "5 de enero de 2026, 13:00 CET",
    "fr": "5 janvier 2026 à 13:00 CET",
    "ja": "2026年1月5日 13:00 CET",
    "pt": "5 de Janeiro de 2026, 13:00 CET",
}


@pytest.fixture
def addressed(alice: User) -> User:
    alice.email = "alice@example.com"
    alice.save()
    return alice


def language_of(user: User) -> str:
    """Return what a project knows of a user; here it is their first name."""
    return user.first_name


def mail_about_a_new_device(request_language: str = "en") -> Any:
    """Sign in on two devices, and send the mail as a worker does, which has no request."""
    for name in ("phone", "watch"):
        phone_in(request_language, installation_id=name).sign_in()
    with translation.override("en"):
        while send_next_notification():
            pass
    (message,) = mail.outbox
    return message


@pytest.mark.django_db
@pytest.mark.parametrize("language", SUBJECTS)
def test_a_mail_is_in_the_language_of_the_request_that_caused_it(
    clock: Clock, addressed: User, locale_middleware: None, settings: Any, language: str
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    message = mail_about_a_new_device(language)
    assert message.subject == SUBJECTS[language]
    html, _ = message.alternatives[0]
    for text in (message.body, html):
        assert TIMES[language] in text
    direction = "rtl" if language == "ar" else "ltr"
    assert f'<html lang="{language}" dir="{direction}">' in html
    assert message.message()["Content-Language"] == language
    english = [one.singular for one in sentences() if "%" not in one.singular]
    long = [sentence for sentence in english if len(sentence) > 40]
    if language != "en":
        assert [sentence for sentence in long if sentence in message.body] == []


@pytest.mark.django_db
def test_a_mail_is_in_the_language_that_the_project_knows_of_the_user(
    addressed: User, locale_middleware: None, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"USER_LANGUAGE": f"{__name__}.language_of"}
    User.objects.update(first_name="fr")
    assert mail_about_a_new_device("de").subject == SUBJECTS["fr"]


@pytest.mark.django_db
@pytest.mark.parametrize("unknown", ["", "xx", "../../etc"])
def test_a_language_that_the_project_does_not_know_is_that_of_the_request(
    addressed: User, locale_middleware: None, settings: Any, unknown: str
) -> None:
    settings.AUTHX = settings.AUTHX | {"USER_LANGUAGE": f"{__name__}.language_of"}
    User.objects.update(first_name=unknown)
    assert mail_about_a_new_device("de").subject == SUBJECTS["de"]


def test_the_guide_shows_a_function_that_fits() -> None:
    page = (ROOT / "docs" / "notifications.md").read_text()
    (block,) = BLOCK.finditer(page)
    names: dict[str, Any] = {}
    exec(block["code"], names)
    assert names["language_of"](SimpleNamespace(profile=SimpleNamespace(language="de"))) == "de"


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        (None, []),
        (f"{__name__}.language_of", []),
        (f"{__name__}.SUBJECTS", ["authx.E067"]),
        (f"{__name__}.gone", ["authx.E067"]),
        ("no.such.module", ["authx.E067"]),
        ("nodots", ["authx.E067"]),
        (language_of, ["authx.E067"]),
    ],
)
def test_a_function_that_is_not_there_is_reported(settings: Any, path: Any, ids: list[str]) -> None:
    settings.AUTHX = settings.AUTHX | {"USER_LANGUAGE": path}
    assert [message.id for message in run_checks() if message.id == "authx.E067"] == ids


@pytest.mark.django_db
def test_a_dialect_gets_its_language(
    addressed: User, locale_middleware: None, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"USER_LANGUAGE": f"{__name__}.language_of"}
    User.objects.update(first_name="pt-br")
    assert mail_about_a_new_device("de").subject == SUBJECTS["pt"]


@pytest.mark.django_db
def test_without_request_and_knowledge_a_mail_is_in_the_language_of_the_project(
    addressed: User, settings: Any
) -> None:
    settings.LANGUAGE_CODE = "de"
    with translation.override(None):
        addressed.set_password("another horse entirely")
        addressed.save()
    assert Notification.objects.get().language == "de"
    # A language that has since been removed from the project.
    Notification.objects.update(language="xx")
    assert send_next_notification()
    assert mail.outbox[0].subject == "Ihr Passwort wurde geändert"


@pytest.mark.django_db
def test_a_subject_shows_the_name_of_a_device_as_it_is(addressed: User) -> None:
    session = phone_in("en", name="Alice's <phone>").sign_in().pair["device"]["id"]
    row = DeviceSession.objects.get(pk=session)
    record_event(kind=EventKind.TWO_PLACES, session=row)
    while send_next_notification():
        pass
    assert mail.outbox[-1].subject == "Your session on Alice's <phone> was renewed from two places"


# --- Admin


@pytest.mark.django_db
def test_the_admin_speaks_the_language_of_the_operator(
    phone: Phone, operator: Client, locale_middleware: None
) -> None:
    german: Any = {"headers": {"accept-language": "de"}}
    sessions = operator.get("/admin/authx/devicesession/", **german).content.decode()
    for text in ("Gerätesitzungen", "zuletzt verwendet", "Grund für das Ende", "aktiv"):
        assert text.lower() in sessions.lower()
    page = operator.get(f"/admin/authx/devicesession/{phone.session_id}/change/", **german)
    labels = re.findall(r"<label[^>]*>([^<]+):</label>", page.content.decode())
    assert "Installations-ID" in labels
    events = operator.get("/admin/authx/securityevent/", **german).content.decode()
    assert "Sicherheitsereignis" in events
    action = {"action": "revoke_sessions", "_selected_action": [phone.session_id]}
    done = operator.post("/admin/authx/devicesession/", action, follow=True, **german)
    assert "1 Sitzung beendet." in done.content.decode()


@pytest.mark.django_db
def test_unlocking_counts_accounts_in_the_language_of_the_operator(
    alice: User, operator: Client, locale_middleware: None
) -> None:
    check_password(alice, "wrong")
    action = {"action": "unlock", "_selected_action": [str(alice.pk)]}
    arabic: Any = {"headers": {"accept-language": "ar"}}
    done = operator.post("/admin/authx/passwordfailures/", action, follow=True, **arabic)
    assert "تم إلغاء قفل حساب واحد (1)." in done.content.decode()
    assert PasswordFailures.objects.get().count == 0


@pytest.mark.django_db
def test_rows_are_printed_in_the_language_of_the_operator(
    clock: Clock, phone: Phone, alice: User
) -> None:
    check_password(alice, "wrong")
    failures, event = PasswordFailures.objects.get(), SecurityEvent.objects.first()
    unnamed = DeviceSession(pk=phone.session_id)
    with translation.override("de"):
        assert str(event) == "angemeldet, 5. Januar 2026 12:00"
        assert str(failures) == f"1 fehlgeschlagener Passwortversuch von Benutzer {alice.pk}"
        assert str(unnamed) == f"Gerät ({phone.session_id})"
