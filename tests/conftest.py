"""What every test may ask for."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import time_machine
from django.conf import settings as settings_of_the_run
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import DateTimeField, Value
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx import clock as shared_clock
from authx.throttling.store import store
from tests.effort import SOAK, rounds
from tests.phone import PASSWORD, Phone
from tests.secrets_watch import _watch, watch
from tests.shop import install_wheel

__all__ = ["_watch", "watch"]

# A test may import the entry point of the web server, which sets a timeout if there is none yet.
settings_of_the_run.DATABASE_TIMEOUT = timedelta(0)
# A test client loads the middleware anew, and WhiteNoise would list every static file each time.
settings_of_the_run.WHITENOISE_AUTOREFRESH = True

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

# The gate tries the same examples in each run; a test that names no number of them takes these.
hypothesis.settings.register_profile(
    "effort",
    max_examples=rounds(25, 500),
    derandomize=not SOAK,
    deadline=None,
    database=None,
)
hypothesis.settings.load_profile("effort")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what SQLite cannot show; put first what waits, so that others run meanwhile."""
    if connection.vendor != "postgresql":
        skip = pytest.mark.skip(reason="only PostgreSQL shows it")
        for item in items:
            if item.get_closest_marker("postgresql"):
                item.add_marker(skip)
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)


@pytest.fixture(autouse=True)
def _quick_hasher(settings: pytest.FixtureRequest) -> None:
    settings.PASSWORD_HASHERS = [  # type: ignore[attr-defined]
        "django.contrib.auth.hashers.MD5PasswordHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    """Start each test with no attempt of another one counted."""
    store()._shared.storage.reset()
    store()._own.storage.reset()


@pytest.fixture
def without_limits(settings: Any) -> None:
    """Let a test sign in and refresh as often as no app would; for promises about other things."""
    many = ["1000000/minute"]
    settings.AUTHX = settings.AUTHX | {
        "SIGN_IN_RATES": many,
        "SIGN_IN_RATES_PER_IP": many,
        "SIGN_IN_RATES_PER_SUBNET": many,
        "SIGN_IN_RATES_PER_SITE": many,
        "REFRESH_RATES": many,
        "SESSION_RATES": many,
        "FORGED_TOKEN_RATES": many,
    }


@pytest.fixture
def no_grace_period(settings: Any) -> None:
    """Take a superseded token for stolen at once; for promises about what follows from that."""
    settings.AUTHX = settings.AUTHX | {"REFRESH_TOKEN_GRACE_PERIOD": timedelta(0)}


@pytest.fixture(autouse=True)
def _one_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the database tell the time that a test's clock shows."""
    monkeypatch.setattr(
        shared_clock, "database_now", lambda: Value(timezone.now(), output_field=DateTimeField())
    )
    # The hottest statement is compiled once, with the database's own clock in it.
    monkeypatch.setattr(shared_clock, "read_at", lambda _: timezone.now())


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory in which the built wheel is installed; one for many projects."""
    site = tmp_path_factory.mktemp("wheel")
    install_wheel(site)
    return site


@pytest.fixture
def new_user(db: None) -> Callable[[str], User]:
    def make(username: str) -> User:
        user: User = get_user_model().objects.create_user(username, password=PASSWORD)
        return user

    return make


@pytest.fixture
def alice(new_user: Callable[[str], User]) -> User:
    return new_user("alice")


@pytest.fixture
def bob(new_user: Callable[[str], User]) -> User:
    return new_user("bob")


@pytest.fixture
def phone(alice: User) -> Phone:
    """Alice's phone, signed in."""
    return Phone(alice.username, {"name": "phone", "installation_id": "phone"}).sign_in()


@pytest.fixture
def tablet(alice: User) -> Phone:
    """Alice's tablet, signed in."""
    return Phone(alice.username, {"name": "tablet", "installation_id": "tablet"}).sign_in()


@pytest.fixture
def operator(db: None) -> Client:
    """Return a browser in which a superuser is signed in."""
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return client


class Clock:
    """The time of day, which a test moves by hand."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller

    def forward(self, **span: float) -> None:
        """Move on by a span, in the words of timedelta."""
        self._traveller.shift(timedelta(**span))


@pytest.fixture
def clock() -> "Clock":  # type: ignore[misc]
    """Stop the clock at noon; ask for it before anything that signs in."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield Clock(traveller)


class Statements(CaptureQueriesContext):
    """SQL of a block, without what opens and closes transactions."""

    CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")

    @property
    def sql(self) -> list[str]:
        found = [query["sql"] for query in self.captured_queries]
        return [sql for sql in found if not sql.startswith(self.CONTROL)]

    @property
    def writes(self) -> list[str]:
        return [sql for sql in self.sql if not sql.startswith("SELECT")]

    @property
    def with_transactions(self) -> int:
        """Return the number of statements, what opens and closes transactions included."""
        return len(self.captured_queries)

    def __len__(self) -> int:
        return len(self.sql)


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Return a context that ends as a commit does, with what waits for one: logs and signals."""
    return partial(django_capture_on_commit_callbacks, execute=True)


@pytest.fixture
def statements() -> Callable[[], Statements]:
    return lambda: Statements(connection)
