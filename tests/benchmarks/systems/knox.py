"""Knox, as it comes: one kind of token, and nothing to refresh."""

from base64 import b64encode

from tests.benchmarks import names
from tests.benchmarks.operations import Call, Operation, Site, check, error_body
from tests.benchmarks.systems import Stock, System, Tokens
from tests.benchmarks.users import new_users


class App:
    """The apps of many users, as Knox sees them."""

    def __init__(self) -> None:
        self.site = Site()
        self.users = new_users()
        self.sessions = Stock(lambda: error_body(self.signing_in()()))
        self.users_with_devices = Stock(self.user_with_devices)

    def signing_in(self, username: str = "") -> Call:
        pair = f"{username or next(self.users).username}:{names.PASSWORD}"
        basic = f"Basic {b64encode(pair.encode()).decode()}"
        return self.site.request("POST", "/login/", authorization=basic)

    def pinging(self, tokens: Tokens) -> Call:
        return self.site.request("GET", "/ping/", authorization=f"Token {tokens['token']}")

    def signing_out_all(self, tokens: Tokens) -> Call:
        return self.site.request("POST", "/logoutall/", authorization=f"Token {tokens['token']}")

    def user_with_devices(self) -> Tokens:
        username = next(self.users).username
        answers: list[Tokens] = [
            error_body(self.signing_in(username)()) for _ in range(names.DEVICES)
        ]
        return answers[-1]


def systems() -> dict[str, System]:
    app = App()
    sessions, users_with_devices = app.sessions, app.users_with_devices
    return {
        names.KNOX: {
            names.AUTHENTICATE: Operation(
                lambda: app.pinging(sessions.again()), check, sessions.fill_a_few
            ),
            names.SIGN_IN: Operation(app.signing_in, check),
            names.SIGN_OUT_ALL: Operation(
                lambda: app.signing_out_all(users_with_devices.next()),
                check,
                users_with_devices.fill,
            ),
        }
    }
