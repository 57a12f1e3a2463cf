"""The story of a session, step by step, each one checked as it is told."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus

from backend.local.device import Device, pair_of
from backend.local.expectations import (
    DeviationError,
    expect,
    expect_alive,
    expect_dead,
    expect_refused,
    expect_status,
)

CROWD = 20
# A token that lives longer than this, in seconds, is not waited for.
SHORT = 10
SWEEP_PATIENCE = 20  # seconds
# REFRESH_TOKEN_GRACE_PERIOD, where a stack keeps the default.
GRACE_PERIOD = 10  # seconds


class Story:
    """Who is in it, and what later steps need from earlier ones."""

    def __init__(
        self,
        url: str,
        password: str,
        count_rows: Callable[[], int] | None = None,
        grace_period: int = GRACE_PERIOD,
    ) -> None:
        self.password = password
        # Sessions in the database; None where they are out of sight.
        self.count_rows = count_rows
        self.grace_period = grace_period
        self.phone = Device(url, "phone")
        self.tablet = Device(url, "tablet")
        self.stolen_token = ""
        self.rows_before = 0
        self.not_shown = [] if count_rows else ["the sweep, for its rows are out of sight"]

    def steps(self) -> list[Callable[[], str]]:
        """Return the steps in order; each returns its line or raises DeviationError."""
        return [
            self.sign_in,
            self.renew,
            self.refresh,
            self.lose_an_answer,
            self.refresh_in_parallel,
            self.steal,
            self.sign_out_everywhere,
            *([partial(self.sweep, self.count_rows)] if self.count_rows else []),
        ]

    def sign_in(self) -> str:
        for device in (self.phone, self.tablet):
            answer = device.sign_in("demo", self.password)
            expect_status(f"the {device.name} signs in", answer, HTTPStatus.OK)
        self.stolen_token = self.phone.refresh_token
        devices = self.phone.call("/users/devices")
        expect_status("the list of devices", devices, HTTPStatus.OK)
        names = {device["name"] for device in devices.body}
        expect("missing in the list of devices", {"Demo phone", "Demo tablet"} - names, set())
        return "Phone and tablet sign in; the list of devices shows both."

    def renew(self) -> str:
        lifetime = self.phone.expires_in
        if lifetime > SHORT:
            expect_status("the phone calls the API", self.phone.call(), HTTPStatus.OK)
            self.not_shown.append(f"a token renewing itself, for here it lives {lifetime} s")
            return "The phone calls the API."
        started = time.monotonic()
        # The server rounds down: two seconds more are past the end for sure.
        while time.monotonic() < started + lifetime + 2:
            expect_status("the token in use", self.phone.call(), HTTPStatus.OK)
            time.sleep(0.25)
        expect_status("the unused token", self.tablet.call(), HTTPStatus.UNAUTHORIZED)
        return (
            "The phone calls the API again and again, and its token outlives itself;"
            " the tablet's, unused, has run out."
        )

    def refresh(self) -> str:
        before = {self.phone.access_token, self.phone.refresh_token}
        expect_alive(self.phone)
        expect_alive(self.tablet)
        kept = before & {self.phone.access_token, self.phone.refresh_token}
        expect("tokens kept from the old pair", len(kept), 0)
        return "Both refresh: to each a new pair, both tokens new."

    def lose_an_answer(self) -> str:
        self.phone.lose_refresh()
        answers = [self.phone.exchange(self.phone.refresh_token) for _ in range(2)]
        for answer in answers:
            expect_status("a retry", answer, HTTPStatus.OK)
        expect("different pairs", len({pair_of(answer) for answer in answers}), 1)
        self.phone.keep(answers[0])
        expect_status("the pair of the retry", self.phone.call(), HTTPStatus.OK)
        return "The phone loses an answer; it asks again, twice, and gets the same pair both times."

    def refresh_in_parallel(self) -> str:
        with ThreadPoolExecutor(CROWD) as crowd:
            answers = list(crowd.map(self.phone.exchange, [self.phone.refresh_token] * CROWD))
        for answer in answers:
            expect_status("a parallel refresh", answer, HTTPStatus.OK)
        expect("different pairs", len({pair_of(answer) for answer in answers}), 1)
        self.phone.keep(answers[0])
        return f"{CROWD} parallel refreshes of the phone get one pair."

    def steal(self) -> str:
        # Until then, an old token may come from a request of the phone that was on its way.
        time.sleep(self.grace_period)
        expect_alive(self.phone)
        thief = Device(self.phone.url, "thief")
        expect_refused("the thief's old token", thief.exchange(self.stolen_token))
        expect_dead(self.phone)
        expect_alive(self.tablet)
        return (
            "A thief uses the phone's first refresh token: refused, the phone's session has ended,"
            " the tablet's lives on."
        )

    def sign_out_everywhere(self) -> str:
        answer = self.phone.sign_in("demo", self.password)
        expect_status("the phone signs in again", answer, HTTPStatus.OK)
        expect_alive(self.tablet)
        self.rows_before = self.count_rows() if self.count_rows else 0
        answer = self.tablet.call("/users/logout-all", method="POST")
        expect_status("sign out everywhere", answer, HTTPStatus.OK)
        expect("two sessions or more end", answer.body["revoked"] >= 2, True)  # noqa: FBT003, PLR2004
        expect_dead(self.phone)
        expect_dead(self.tablet)
        return "The phone signs in again; the tablet signs out everywhere: both are out at once."

    def sweep(self, count_rows: Callable[[], int]) -> str:
        deadline = time.monotonic() + SWEEP_PATIENCE
        while rows := count_rows():
            if time.monotonic() > deadline:
                raise DeviationError(f"rows after {SWEEP_PATIENCE} s: expected 0, came {rows}")
            time.sleep(0.25)
        return (
            f"Beat's schedule, not a hand, sweeps the dead rows: {self.rows_before} before, now 0."
        )
