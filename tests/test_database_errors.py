"""Whatever PostgreSQL fails with, the answer is 503: nobody is signed out, nothing is a mystery."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from psycopg import errors

from tests.failing_database import CONTROL
from tests.phone import PASSWORD, Phone, error_of

pytestmark = [pytest.mark.no_cover, pytest.mark.postgresql]


AWAY = [
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.TooManyConnections,
    errors.QueryCanceled,
    errors.LockNotAvailable,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
    errors.DiskFull,
    errors.OutOfMemory,
    errors.IoError,
    errors.ConnectionFailure,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.InvalidPassword,
    errors.OperationalError,
    errors.InterfaceError,
]
REQUESTS = [("GET", "me"), ("POST", "token"), ("POST", "login"), ("POST", "logout")]


def raising(error: type[Exception]) -> Callable[..., Any]:
    """Return a wrapper that fails in the driver, where Django translates what it raises."""

    def wrapper(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        # What the test's own transaction needs goes through.
        if sql.startswith(CONTROL):
            return execute(sql, params, many, context)
        with connection.wrap_database_errors:
            raise error("said by PostgreSQL")

    return wrapper


@pytest.mark.usefixtures("without_limits")
@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_an_error_of_the_database_is_no_refusal(phone: Phone, method: str, path: str) -> None:
    for error in AWAY:
        credentials = {"username": "alice", "password": PASSWORD}
        grant = {"grant_type": "refresh_token", "refresh_token": phone.refresh_token}
        with connection.execute_wrapper(raising(error)):
            response = phone.send(method, path, credentials | grant)
        assert error_of(response) == (503, "temporarily_unavailable"), error
        assert response.headers["Retry-After"] == "5"
        assert b"PostgreSQL" not in response.content
    assert phone.refresh().is_signed_in
