"""django-allauth headless: an app with the JWT strategy, stateless and with its session."""

from http import HTTPStatus

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.http import HttpResponse

from tests.benchmarks import names
from tests.benchmarks.copying import copy_row
from tests.benchmarks.operations import Call, Operation, Site, bearer, check, error_body
from tests.benchmarks.systems import Stock, System, Tokens
from tests.benchmarks.users import new_users

APP = "/_allauth/app/v1"


class App:
    """The apps of many users, as django-allauth sees them."""

    def __init__(self) -> None:
        self.site = Site()
        self.users = new_users()
        self.sessions = Stock(lambda: error_body(self.signing_in()())["meta"])
        self.users_with_devices = Stock(self.user_with_devices)
        self.ending: list[int] = []

    def signing_in(self, username: str = "") -> Call:
        credentials = {
            "username": username or next(self.users).username,
            "password": names.PASSWORD,
        }
        return self.site.request("POST", f"{APP}/auth/login", credentials)

    def pinging(self, *, stateful: bool) -> Call:
        settings.HEADLESS_JWT_STATEFUL_VALIDATION_ENABLED = stateful
        tokens: Tokens = self.sessions.again()
        return self.site.request("GET", "/ping/", authorization=bearer(tokens["access_token"]))

    def refreshing(self) -> Call:
        grant = {"refresh_token": self.sessions.next()["refresh_token"]}
        return self.site.request("POST", f"{APP}/tokens/refresh", grant)

    def listing(self) -> Call:
        tokens: Tokens = self.users_with_devices.again()
        return self.site.request(
            "GET", f"{APP}/auth/sessions", authorization=bearer(tokens["access_token"])
        )

    def signing_out_all(self) -> Call:
        tokens: Tokens = self.users_with_devices.next()
        self.ending = tokens["sessions"]
        body = {"sessions": self.ending}
        credential = bearer(tokens["access_token"])
        return self.site.request("DELETE", f"{APP}/auth/sessions", body, authorization=credential)

    def check_ended(self, response: HttpResponse) -> None:
        # Whoever ends the own session too is answered so, as is whoever was never signed in.
        assert response.status_code == HTTPStatus.UNAUTHORIZED
        assert not UserSession.objects.filter(pk__in=self.ending).exists()

    def user_with_devices(self) -> Tokens:
        """Return the tokens of the last of a user's devices, and the keys of all sessions."""
        user = next(self.users)
        tokens: Tokens = {}
        for _ in range(names.DEVICES):
            tokens = error_body(self.signing_in(user.username)())["meta"]
        keys = UserSession.objects.filter(user=user).values_list("pk", flat=True)
        return tokens | {"sessions": list(keys)}


def sweeping() -> Call:
    original = Session.objects.latest("expire_date")
    copy_row(
        Session,
        original.pk,
        names.SWEPT_ROWS,
        session_key="replace(gen_random_uuid()::text, '-', '')",
        expire_date="now() - interval '1 day'",
    )
    return lambda: call_command("clearsessions")


def systems() -> dict[str, System]:
    app = App()
    fill, fill_a_few = app.sessions.fill, app.sessions.fill_a_few
    return {
        names.ALLAUTH: {
            names.AUTHENTICATE: Operation(lambda: app.pinging(stateful=False), check, fill_a_few),
            names.REFRESH: Operation(app.refreshing, check, fill),
            names.SIGN_IN: Operation(app.signing_in, check),
            names.LIST_DEVICES: Operation(app.listing, check, app.users_with_devices.fill_a_few),
            names.SIGN_OUT_ALL: Operation(
                app.signing_out_all, app.check_ended, app.users_with_devices.fill
            ),
            names.SWEEP: Operation(sweeping),
        },
        names.ALLAUTH_STATEFUL: {
            names.AUTHENTICATE: Operation(lambda: app.pinging(stateful=True), check, fill_a_few)
        },
    }
