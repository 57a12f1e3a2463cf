"""SimpleJWT: stateless, with its user query, and with rotation and blacklist."""

from django.core.management import call_command
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from tests.benchmarks import names
from tests.benchmarks.copying import copy_row
from tests.benchmarks.operations import Call, Operation, Site, bearer, check, error_body
from tests.benchmarks.systems import Stock, System, Tokens
from tests.benchmarks.users import new_users


class App:
    """The apps of many users, as SimpleJWT sees them."""

    def __init__(self) -> None:
        self.site = Site()
        self.users = new_users()
        self.sessions = Stock(lambda: error_body(self.signing_in()()))

    def signing_in(self) -> Call:
        credentials = {"username": next(self.users).username, "password": names.PASSWORD}
        return self.site.request("POST", "/token/", credentials)

    def pinging(self, path: str) -> Call:
        tokens: Tokens = self.sessions.again()
        return self.site.request("GET", path, authorization=bearer(tokens["access"]))

    def refreshing(self) -> Call:
        grant = {"refresh": self.sessions.next()["refresh"]}
        return self.site.request("POST", "/token/refresh/", grant)


def sweeping() -> Call:
    original = OutstandingToken._default_manager.latest("pk")
    copy_row(
        OutstandingToken,
        original.pk,
        names.SWEPT_ROWS,
        jti="replace(gen_random_uuid()::text, '-', '')",
        expires_at="now() - interval '1 day'",
    )
    return lambda: call_command("flushexpiredtokens")


def systems() -> dict[str, System]:
    app = App()
    fill, fill_a_few = app.sessions.fill, app.sessions.fill_a_few
    return {
        names.STATELESS: {
            names.AUTHENTICATE: Operation(lambda: app.pinging("/stateless/"), check, fill_a_few)
        },
        names.USER_QUERY: {
            names.AUTHENTICATE: Operation(lambda: app.pinging("/ping/"), check, fill_a_few)
        },
        names.BLACKLIST: {
            names.REFRESH: Operation(app.refreshing, check, fill),
            names.SIGN_IN: Operation(app.signing_in, check),
            names.SWEEP: Operation(sweeping),
        },
    }
