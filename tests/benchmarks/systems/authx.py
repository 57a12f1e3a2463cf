"""authx, by the HTTP contract that it keeps."""

from typing import Any

from authx.sessions.sweep import sweep
from tests.benchmarks import names
from tests.benchmarks.operations import Call, Operation, Site, bearer, check, error_body
from tests.benchmarks.seeding import ENDED_AGE, add_sessions
from tests.benchmarks.systems import Stock, System, Tokens
from tests.benchmarks.users import new_users


class App:
    """The apps of many users, as authx sees them."""

    def __init__(self) -> None:
        self.site = Site()
        self.users = new_users()
        self.sessions = Stock(self.confirmed)
        self.retried = Stock(self.rotated)
        self.users_with_devices = Stock(self.user_with_devices)

    def signing_in(self, username: str = "", **device: str) -> Call:
        credentials: dict[str, Any] = {
            "username": username or next(self.users).username,
            "password": names.PASSWORD,
        }
        return self.site.request("POST", "/users/login", credentials | {"device": device})

    def signing_in_on_a_phone(self) -> Call:
        username = next(self.users).username
        return self.signing_in(username, name="phone", installation_id=f"phone of {username}")

    def pinging(self, tokens: Tokens) -> Call:
        return self.site.request("GET", "/ping/", authorization=bearer(tokens["access_token"]))

    def refreshing(self, tokens: Tokens) -> Call:
        grant = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        return self.site.request("POST", "/users/token", grant)

    def listing(self, tokens: Tokens) -> Call:
        return self.site.request(
            "GET", "/users/devices", authorization=bearer(tokens["access_token"])
        )

    def signing_out_all(self, tokens: Tokens) -> Call:
        return self.site.request(
            "POST", "/users/logout-all", {}, authorization=bearer(tokens["access_token"])
        )

    def confirmed(self) -> Tokens:
        """Sign a new user in and use the access token, as an app does before it refreshes."""
        tokens: Tokens = error_body(self.signing_in_on_a_phone()())
        check(self.pinging(tokens)())
        return tokens

    def rotated(self) -> Tokens:
        """Return tokens whose refresh token is consumed, although the app does not know."""
        tokens = self.confirmed()
        check(self.refreshing(tokens)())
        return tokens

    def without_installation(self) -> str:
        """Return the id of a session of no installation."""
        session_id: str = error_body(self.signing_in()())["device"]["id"]
        return session_id

    def user_with_devices(self) -> Tokens:
        """Return the tokens of the last of a user's devices."""
        username = next(self.users).username
        tokens: Tokens = {}
        for number in range(names.DEVICES):
            signing_in = self.signing_in(username, name="phone", installation_id=f"phone {number}")
            tokens = error_body(signing_in())
            check(self.pinging(tokens)())
        return tokens


def sweeping(app: App) -> Call:
    add_sessions(app.without_installation(), names.SWEPT_ROWS, age=ENDED_AGE)
    return sweep


def systems() -> dict[str, System]:
    app = App()
    sessions, retried, users_with_devices = app.sessions, app.retried, app.users_with_devices
    return {
        names.AUTHX: {
            names.AUTHENTICATE: Operation(
                lambda: app.pinging(sessions.again()), check, sessions.fill_a_few
            ),
            names.REFRESH: Operation(lambda: app.refreshing(sessions.next()), check, sessions.fill),
            names.RETRY: Operation(lambda: app.refreshing(retried.next()), check, retried.fill),
            names.SIGN_IN: Operation(app.signing_in_on_a_phone, check),
            names.LIST_DEVICES: Operation(
                lambda: app.listing(users_with_devices.again()),
                check,
                users_with_devices.fill_a_few,
            ),
            names.SIGN_OUT_ALL: Operation(
                lambda: app.signing_out_all(users_with_devices.next()),
                check,
                users_with_devices.fill,
            ),
            names.SWEEP: Operation(lambda: sweeping(app)),
        }
    }
