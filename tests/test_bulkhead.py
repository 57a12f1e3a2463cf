"""A flood of sign-ins takes neither the processors nor the threads of everybody else."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest
from django.contrib.auth.models import User

from authx.errors import OverloadedError
from authx.models import PasswordFailures
from authx.passwords import bulkhead
from authx.passwords.bulkhead import (
    Bulkhead,
    available_memory,
    memory_for_hashing,
    place_for_hashing,
)
from backend.gunicorn import threads, warn_of_taken_threads
from tests.conftest import Clock, Statements
from tests.guessing import guess, statuses
from tests.phone import PASSWORD, Phone, error_of
from tests.web_server import until

SECONDS = 5


@contextmanager
def held(place: Callable[[], Any]) -> Iterator[None]:
    """Hold a place in another thread."""
    is_inside, may_leave = threading.Event(), threading.Event()

    def hold() -> None:
        with place():
            is_inside.set()
            may_leave.wait(SECONDS)

    with ThreadPoolExecutor() as pool:
        pool.submit(hold)
        assert is_inside.wait(SECONDS)
        try:
            yield
        finally:
            may_leave.set()


@pytest.fixture
def someone_hashes(settings: Any) -> Callable[[], Any]:
    """Return a context in which somebody else hashes, and nobody more may."""

    @contextmanager
    def someone_hashes() -> Iterator[None]:
        settings.AUTHX = settings.AUTHX | {
            "PASSWORD_CHECKS_AT_ONCE": 1,
            "PASSWORD_CHECK_WAIT": timedelta(0),
        }
        with held(place_for_hashing):
            yield

    return someone_hashes


@pytest.fixture
def full(someone_hashes: Callable[[], Any]) -> Iterator[None]:
    with someone_hashes():
        yield


def test_no_more_than_its_size_are_inside_and_as_many_wait() -> None:
    one, running, most = Bulkhead(2), 0, 0
    lock, refused = threading.Lock(), 0
    start = threading.Barrier(12)

    def enter() -> None:
        nonlocal running, most, refused
        start.wait(SECONDS)
        try:
            with one.place(SECONDS):
                with lock:
                    running += 1
                    most = max(most, running)
                threading.Event().wait(0.2)
                with lock:
                    running -= 1
        except OverloadedError:
            with lock:
                refused += 1

    with ThreadPoolExecutor(12) as pool:
        for _ in range(12):
            pool.submit(enter)
    assert most == 2
    # Two were let in, two waited, and eight were refused at once.
    assert refused == 8


def test_who_waits_for_too_long_is_refused_and_leaves_the_queue() -> None:
    one = Bulkhead(1)
    with held(lambda: one.place(SECONDS)):
        for _ in range(2):
            with pytest.raises(OverloadedError), one.place(0.01):
                pass
    with one.place(0):
        pass


def test_who_waits_gets_the_place_that_becomes_free() -> None:
    one = Bulkhead(1)
    with ThreadPoolExecutor() as pool:
        with held(lambda: one.place(SECONDS)):
            waiting = pool.submit(lambda: one.place(SECONDS).__enter__())
        waiting.result(SECONDS)


@pytest.mark.usefixtures("full")
def test_a_sign_in_that_finds_no_place_is_answered_503(alice: User) -> None:
    answer = guess(password=PASSWORD)
    assert error_of(answer) == (HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.usefixtures("full")
def test_known_and_unknown_names_are_refused_alike(alice: User) -> None:
    assert guess().content == guess("nobody").content


@pytest.mark.usefixtures("full")
def test_what_was_not_checked_is_counted_nowhere(alice: User) -> None:
    assert statuses(6) == [HTTPStatus.SERVICE_UNAVAILABLE] * 6
    assert not PasswordFailures.objects.exists()


def test_attempts_that_found_no_place_leave_the_account_its_own(
    clock: Clock, alice: User, someone_hashes: Callable[[], Any]
) -> None:
    with someone_hashes():
        assert statuses(6) == [HTTPStatus.SERVICE_UNAVAILABLE] * 6
    assert statuses(5) == [HTTPStatus.BAD_REQUEST] * 5


def test_a_flood_that_finds_no_place_is_still_limited_by_its_network(
    clock: Clock, alice: User, settings: Any, someone_hashes: Callable[[], Any]
) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_RATES_PER_IP": ["3/minute"]}
    with someone_hashes():
        assert statuses(4) == [503, 503, 503, 429]


def test_a_password_change_that_finds_no_place_changes_nothing(
    phone: Phone, someone_hashes: Callable[[], Any]
) -> None:
    body = {"current_password": PASSWORD, "new_password": "another horse entirely, honest"}
    with someone_hashes():
        assert phone.send("POST", "password", body).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert phone.sign_in().is_signed_in


@pytest.mark.usefixtures("full")
def test_the_admin_answers_503_too(admin_user: User, client: Any) -> None:
    form = {"username": "admin", "password": "password"}
    answer = client.post("/admin/login/?next=/admin/", form)
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.headers["Retry-After"]


@pytest.mark.parametrize(
    ("places", "threads", "is_warned"),
    [(1, 4, False), (3, 8, False), (2, 4, True), (3, 4, True), (1, 2, True), (1, 1, True)],
)
def test_a_web_server_warns_if_password_checks_can_take_all_threads(
    settings: Any, places: int, threads: int, is_warned: bool
) -> None:
    settings.AUTHX = settings.AUTHX | {"PASSWORD_CHECKS_AT_ONCE": places}
    worker = Mock(**{"cfg.threads": threads})
    warn_of_taken_threads(worker)
    assert worker.log.warning.called is is_warned


def test_a_flood_leaves_threads_to_others_on_a_machine_of_any_size(settings: Any) -> None:
    name = "PASSWORD_CHECKS_AT_ONCE"
    settings.AUTHX = {key: value for key, value in settings.AUTHX.items() if key != name}
    with patch("os.cpu_count", return_value=64), patch("os.sched_getaffinity", lambda _: range(64)):
        assert bulkhead.size() * 2 < threads


def test_who_is_signed_in_is_not_affected(phone: Phone, someone_hashes: Callable[[], Any]) -> None:
    with someone_hashes():
        assert phone.refresh().is_signed_in


@pytest.mark.parametrize(
    ("hasher", "mebibytes"),
    [("Argon2PasswordHasher", 200), ("ScryptPasswordHasher", 32), ("PBKDF2PasswordHasher", 0)],
)
def test_the_memory_of_all_places_is_known(settings: Any, hasher: str, mebibytes: int) -> None:
    settings.PASSWORD_HASHERS = [f"django.contrib.auth.hashers.{hasher}"]
    settings.AUTHX = settings.AUTHX | {"PASSWORD_CHECKS_AT_ONCE": 2}
    assert memory_for_hashing() == mebibytes << 20


@pytest.mark.parametrize(
    ("limit", "machine", "found"),
    [
        ("1048576\n", "MemTotal:  2048 kB\n", 1 << 20),
        ("max\n", "MemTotal:  2048 kB\n", 2 << 20),
        ("4194304\n", "MemTotal:  2048 kB\n", 2 << 20),
        (None, None, float("inf")),
    ],
)
def test_the_memory_of_a_container_or_machine_is_known(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str | None,
    machine: str | None,
    found: float,
) -> None:
    for name, content in {"MEMORY_LIMIT": limit, "MEMORY": machine}.items():
        monkeypatch.setattr(bulkhead, name, tmp_path / name)
        if content is not None:
            (tmp_path / name).write_text(content)
    assert available_memory() == found


def test_a_sign_in_that_cannot_be_checked_is_refused_before_its_queries(
    alice: User, settings: Any, statements: Callable[[], Statements]
) -> None:
    settings.AUTHX = settings.AUTHX | {
        "PASSWORD_CHECKS_AT_ONCE": 1,
        "PASSWORD_CHECK_WAIT": timedelta(seconds=SECONDS),
    }

    def wait_for_a_turn() -> None:
        with place_for_hashing():
            pass

    with ThreadPoolExecutor() as pool:
        with held(place_for_hashing):
            waiting = pool.submit(wait_for_a_turn)
            assert until(lambda: bulkhead._bulkhead(1).is_full, seconds=SECONDS)
            with statements() as sql:
                assert guess(password=PASSWORD).status_code == HTTPStatus.SERVICE_UNAVAILABLE
            assert sql.sql == []
        waiting.result(SECONDS)
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK
