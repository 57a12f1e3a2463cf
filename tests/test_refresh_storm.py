"""Apps without single flight and without idempotency keys stay signed in on a slow network."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import pytest
from django.contrib.auth.models import User

from authx.models import DeviceSession
from tests.effort import chosen
from tests.expiry import expire_access_tokens
from tests.lossy_network import DelayingNetwork, running
from tests.node_driver import CLIENTS, needs_node, run_driver
from tests.phone import PASSWORD
from tests.ports import HOST
from tests.refresh_storm import Outcome, Pair, Storm, storm_in_threads
from tests.web_server import QUICK_HASHES, of_this_run, web_server

Driver = Callable[[Storm, str, Sequence[Pair]], list[Outcome]]

# An access token may arrive two delays after its successor was made: within the grace period.
STORM = chosen(
    Storm(groups=1, sessions=2, rounds=2, calls=8, max_delay=0.2, grace_period=0.8, seed=1),
    Storm(groups=5, sessions=20, rounds=2, calls=20, max_delay=3.0, grace_period=10.0, seed=1),
)

pytestmark = [pytest.mark.waits, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@dataclass(frozen=True)
class Report:
    """What came of a storm; a call failed if it did after one refresh and one repeat."""

    rounds: int
    calls: int
    refreshes: int
    sessions_ended: int
    calls_failed: int


@pytest.fixture(scope="module")
def url(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server with the grace period of the storm."""
    changes = {"REFRESH_TOKEN_GRACE_PERIOD": f"{STORM.grace_period * 1000:.0f}ms"}
    variables = of_this_run() | QUICK_HASHES | changes
    with web_server(tmp_path_factory.mktemp("storm"), **variables) as server:
        yield f"http://{HOST}:{server.port}"


def with_axios(storm: Storm, url: str, pairs: Sequence[Pair]) -> list[Outcome]:
    given = {
        "url": url,
        "pairs": pairs,
        "rounds": storm.rounds,
        "calls": storm.calls,
        "pause": storm.pause * 1000,
    }
    outcomes: list[Outcome] = run_driver(
        CLIENTS / "storm.mjs", json.dumps(given), expire=expire_access_tokens
    )
    return outcomes


def in_threads(storm: Storm, url: str, pairs: Sequence[Pair]) -> list[Outcome]:
    return storm_in_threads(storm, url, pairs, expire_access_tokens)


def sign_in_users(url: str, storm: Storm) -> list[Pair]:
    """Sign in one new user a session, each from another address: the rate limits stay in force."""
    pairs = []
    first = User.objects.count()
    for number in range(first, first + storm.sessions):
        user = User.objects.create_user(f"user-{number}", password=PASSWORD)
        with httpx.Client(
            transport=httpx.HTTPTransport(local_address=f"127.0.0.{number + 2}")
        ) as app:
            login = {"username": user.username, "password": PASSWORD}
            response = app.post(f"{url}/users/login", json=login, timeout=30)
        assert response.status_code == HTTPStatus.OK, response.text
        pairs.append(response.json())
    return pairs


def report_of(storm: Storm, url: str, driver: Driver) -> Report:
    """Run a storm, print its report and return it."""
    outcomes: list[Outcome] = []
    slowest = 0.0
    for group in range(storm.groups):
        network = DelayingNetwork(url, max_delay=storm.max_delay, seed=storm.seed + group)
        pairs = sign_in_users(url, storm)
        with running(network):
            outcomes += driver(storm, network.url, pairs)
        slowest = max(slowest, network.slowest_response)
    statuses = Counter(status for _, status in outcomes)
    report = Report(
        rounds=storm.groups * storm.sessions * storm.rounds,
        calls=len(outcomes),
        refreshes=sum(has_refreshed for has_refreshed, _ in outcomes),
        sessions_ended=DeviceSession.objects.filter(revoked_at__isnull=False).count(),
        calls_failed=statuses.total() - statuses[HTTPStatus.OK],
    )
    name, told = driver.__name__, dict(statuses)
    print(f"{name}: {report}, {told}, slowest {slowest:.2f} s")  # noqa: T201 -- the report
    return report


with_each_driver = pytest.mark.parametrize(
    "driver",
    [
        in_threads,
        pytest.param(with_axios, marks=needs_node),
    ],
)


@with_each_driver
def test_an_app_without_single_flight_stays_signed_in(url: str, driver: Driver) -> None:
    report = report_of(STORM, url, driver)
    assert report.calls == report.rounds * STORM.calls
    assert report.refreshes >= report.calls / 2
    assert (report.sessions_ended, report.calls_failed) == (0, 0)
