"""What the story claims, held against what came."""

from http import HTTPStatus

from backend.local.client import ErrorResponse
from backend.local.device import Device


class DeviationError(Exception):
    """Raised where the service does not do what the story says."""


def expect(what: str, came: object, expected: object) -> None:
    if came != expected:
        raise DeviationError(f"{what}: expected {expected}, came {came}")


def expect_status(what: str, answer: ErrorResponse, expected: HTTPStatus) -> None:
    # Never the body of a success: it may be a pair.
    came = f"{answer.status}" + (
        f" {answer.body}" if answer.status >= HTTPStatus.BAD_REQUEST else ""
    )
    if answer.status != expected:
        raise DeviationError(f"{what}: expected {expected:d}, came {came}")


def expect_alive(device: Device) -> None:
    expect_status(f"the {device.name} refreshes", device.refresh(), HTTPStatus.OK)
    expect_status(f"the {device.name} calls the API", device.call(), HTTPStatus.OK)


def expect_dead(device: Device) -> None:
    expect_status(f"the {device.name}'s access token", device.call(), HTTPStatus.UNAUTHORIZED)
    expect_refused(f"the {device.name}'s refresh token", device.exchange(device.refresh_token))


def expect_refused(what: str, answer: ErrorResponse) -> None:
    expect_status(what, answer, HTTPStatus.BAD_REQUEST)
    expect(f"{what}, error", answer.body["error"], "invalid_grant")
