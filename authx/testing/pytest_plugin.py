"""Fixtures: `pytest_plugins = ["authx.testing.pytest_plugin"]` in the conftest.py of the root.

No entry point loads it: pytest would load that in the tests of every project that shares the
environment, and one of these fixtures is used by every test.
"""

from collections.abc import Callable, Iterator

import pytest

from authx.testing.clients import DeviceClient
from authx.testing.clock import follow_python_clock
from authx.testing.limits import count_separately, without_rate_limits


@pytest.fixture(autouse=True)
def _authx_counts_separately() -> Iterator[None]:
    """Let no attempt of one test count in another one, nor in a store that others use."""
    with count_separately():
        yield


@pytest.fixture
def authx_without_rate_limits(_authx_counts_separately: None) -> Iterator[None]:
    """Count nothing and refuse nothing."""
    with without_rate_limits():
        yield


@pytest.fixture
def authx_python_clock() -> Iterator[None]:
    """Let freezegun and time-machine move the clock of authx."""
    with follow_python_clock():
        yield


@pytest.fixture
def device_client(db: None) -> Callable[..., DeviceClient]:
    """Return `DeviceClient`: `device_client(user)` is signed in."""
    return DeviceClient
