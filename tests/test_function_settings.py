"""Settings that name a function of the project are checked before the function is needed."""

from typing import Any

import pytest

from authx.checks.functions import HINTS, check_functions


@pytest.mark.parametrize("name", HINTS)
@pytest.mark.parametrize("path", ["nowhere.at_all", "tests.backends.HERE", "nodots", 5])
def test_what_is_no_function_is_refused(settings: Any, name: str, path: Any) -> None:
    settings.AUTHX = settings.AUTHX | {name: path}
    (message,) = check_functions()
    assert message.id == "authx.E067"
    assert name in message.msg


@pytest.mark.parametrize("name", HINTS)
def test_a_function_is_clean(settings: Any, name: str) -> None:
    settings.AUTHX = settings.AUTHX | {name: "tests.backends.tenant"}
    assert check_functions() == []
