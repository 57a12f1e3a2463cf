"""Spans name security events and, if wanted, the session."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from opentelemetry.sdk.trace import TracerProvider

from authx.audit.logs import SESSION_RENEWED, TOKEN_REFUSED, log_event, log_event_after_commit
from authx.contrib.tracing.apps import TracingConfig
from tests.phone import Phone

SESSION = UUID("5f3c2a60-2f5d-4f43-9d6e-0c6a0b9b4c11")


@pytest.fixture
def span() -> Iterator[Any]:
    """Run the test within a span that is recorded."""
    tracer = TracerProvider().get_tracer(__name__)
    with tracer.start_as_current_span("request") as current:
        yield current


def of_authx(span: Any) -> dict[str, Any]:
    return {name: value for name, value in span.attributes.items() if name.startswith("authx.")}


@pytest.mark.django_db
def test_a_span_names_every_event_of_its_request_and_the_session(
    phone: Phone, committed: Any, span: Any
) -> None:
    with committed():
        phone.refresh()
    log_event(TOKEN_REFUSED)
    assert of_authx(span) == {
        "authx.event.session_renewed": "success",
        "authx.event.authn_token_refused": "failure",
        "authx.session_id": phone.session_id,
    }


@pytest.mark.django_db(transaction=True)
def test_an_event_that_is_logged_after_the_commit_reaches_the_span(span: Any) -> None:
    with transaction.atomic():
        log_event_after_commit(SESSION_RENEWED, user_id=1, session_id=SESSION)
        assert of_authx(span) == {}
    assert of_authx(span)["authx.session_id"] == str(SESSION)


def test_the_session_can_be_left_out(settings: Any, span: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"TRACE_SESSION_ID": False}
    log_event(SESSION_RENEWED, user_id=1, session_id=SESSION)
    assert of_authx(span) == {"authx.event.session_renewed": "success"}


def test_without_the_api_the_app_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[str] = []
    monkeypatch.setattr("authx.contrib.tracing.receivers.connect", lambda: connected.append("now"))
    config = TracingConfig.create("authx.contrib.tracing")
    config.ready()
    monkeypatch.setattr("authx.contrib.tracing.apps.find_spec", lambda _: None)
    config.ready()
    assert connected == ["now"]
