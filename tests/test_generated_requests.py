"""Whatever is sent, good or bad, the answer is one that the API description promises.

Schemathesis makes the requests up from the description and runs all of its checks on the answers;
some of them send the request again, without a token and with a made-up one. The gate tries the
same few in each run, `make soak` thousands of others.
"""

from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from schemathesis import BaseSchema, Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation

from authx.audit.links import new_recovery_token
from authx.models import DeviceSession
from authx.sessions.open import open_session
from authx.sessions.own_data import storable
from authx.sessions.values import Device, TokenPair
from tests.effort import SOAK, rounds
from tests.phone import PASSWORD
from tests.services import basic, new_service

# Other tests cover the same lines, at less cost.
pytestmark = pytest.mark.no_cover

NEW_PASSWORD = "another horse entirely, honest"
FORM = "application/x-www-form-urlencoded"

GENERATION = {
    # Well-formed in the eyes of the description, but nothing that a database holds: that it is
    # refused is shown by test_errors.py.
    "allow-x00": False,
}
# A field that is too long may make the whole body too long.
REFUSALS = {
    "negative_data_rejection": {"expected-statuses": ["400", "401", "404", "405", "413", "415"]}
}
REFUSED_FOR_WHAT_IT_SAYS = {
    # Made-up credentials and cursors are well-formed and refused all the same; genuine ones are
    # tried below.
    "include-operation-id": [
        f"authx_{name}"
        for name in (
            *("login", "refresh", "change_password", "introspect", "activity"),
            *("reauthenticate", "recover_confirm"),
        )
    ],
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "400", "401", "404"]}},
}

bounded = hypothesis.settings(
    max_examples=rounds(4, 500),
    derandomize=not SOAK,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def is_sendable(_: object, case: Case[Any]) -> bool:
    """Leave out what the description cannot exclude.

    Forms whose values are lists or objects: sent, these are repeated names, which RFC 6749 section
    3.2 forbids; test_errors.py shows that they are refused. Data of a project with long numbers or
    many levels: test_session_data.py shows that it is refused.
    """
    nested = isinstance(case.body, dict) and any(
        isinstance(value, list | dict) for value in case.body.values()
    )
    is_good = case.meta is not None and case.meta.generation.mode.is_positive
    if not is_good or not isinstance(case.body, dict):
        return True
    return not (nested and case.media_type == FORM) and has_storable_data(case.body)


def has_storable_data(body: dict[str, Any]) -> bool:
    device = body.get("device")
    found = [body.get("data"), device.get("data") if isinstance(device, dict) else None]
    try:
        for data in found:
            storable(data)
    except ValueError:
        return False
    return True


def description(**config: Any) -> BaseSchema:
    """Return the description that the application itself serves, and what is made of it."""
    schema = schemathesis.openapi.from_wsgi(
        "/api/schema?format=json", WSGIHandler(), config=SchemathesisConfig.from_dict(config)
    )
    schema.hook("filter_case")(is_sendable)
    return schema


ANY = description(generation=GENERATION, checks=REFUSALS, operations=[REFUSED_FOR_WHAT_IT_SAYS])
GOOD = description(generation=GENERATION | {"mode": "positive"})


@pytest.fixture
def _one_transaction(db: None) -> Iterator[None]:
    """Keep the test's connection through real WSGI requests, as Django's own client does."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def live_pair(alice: User) -> Callable[[], TokenPair]:
    """Return what gives a live pair, whatever the request before did to the user's sessions."""
    pairs: list[TokenPair] = []

    def give() -> TokenPair:
        if not pairs or not is_untouched(pairs[-1]):
            alice.set_password(PASSWORD)
            alice.save()
            pairs.append(open_session(user=alice, device=Device()))
        return pairs[-1]

    return give


def is_untouched(pair: TokenPair) -> bool:
    opened = DeviceSession.objects.filter(pk=pair.session.pk, revoked_at=None)
    return opened.filter(digest=pair.session.digest).exists()


def bearer(pair: TokenPair) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair.raw_access_token}"}


def lacks_token(case: Case[Any]) -> bool:
    """Return whether it was made to lack the header that the test would put back."""
    component = case.meta and case.meta.components.get(ParameterLocation.HEADER)
    return bool(component and component.mode.is_negative and "Authorization" not in case.headers)


def make_genuine(case: Case[Any], pair: TokenPair) -> None:
    """Put what is really known here into the fields of a well-formed request."""
    genuine = {
        "username": "alice",
        "password": PASSWORD,
        "refresh_token": pair.raw_refresh_token,
        "token": pair.raw_refresh_token,
        "current_password": PASSWORD,
        "new_password": NEW_PASSWORD,
    }
    if case.path == "/users/recover/confirm":
        genuine["token"] = new_recovery_token(pair.session.user)
    if isinstance(case.body, dict):
        case.body |= {name: value for name, value in genuine.items() if name in case.body}
    if case.path_parameters:
        case.path_parameters["id"] = str(pair.session.pk)
    # Header and field have to say the same, which no description can tell.
    if "Idempotency-Key" in case.headers and isinstance(case.body, dict):
        case.body.pop("idempotency_key", None)
    # The first page is asked for without one.
    case.query.pop("cursor", None)


def credentials_for(case: Case[Any], pair: TokenPair) -> dict[str, str]:
    """Return what an operation wants to see: a service's credential, or a user's token."""
    if case.path != "/users/introspect":
        return bearer(pair)
    service = new_service()
    return {"Authorization": basic(service.pk, service.raw_secret)}


@ANY.parametrize()
@bounded
@pytest.mark.usefixtures("_one_transaction", "without_limits")
def test_any_request_is_answered_as_described(
    case: Case[Any], live_pair: Callable[[], TokenPair]
) -> None:
    case.call_and_validate(headers={} if lacks_token(case) else bearer(live_pair()))


@GOOD.parametrize()
@bounded
@pytest.mark.usefixtures("_one_transaction", "without_limits")
def test_a_request_as_described_succeeds_whatever_else_it_carries(
    case: Case[Any], live_pair: Callable[[], TokenPair]
) -> None:
    pair = live_pair()
    make_genuine(case, pair)
    response = case.call_and_validate(headers=credentials_for(case, pair))
    assert response.status_code in {200, 202, 204}
