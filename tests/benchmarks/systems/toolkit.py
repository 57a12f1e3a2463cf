"""django-oauth-toolkit: a public client with the password grant, tokens kept as digests."""

from urllib.parse import urlencode

from django.db import connection
from oauth2_provider.models import AccessToken, Application, RefreshToken, clear_expired

from tests.benchmarks import names
from tests.benchmarks.copying import copy_row
from tests.benchmarks.operations import Call, Operation, Site, bearer, check, error_body
from tests.benchmarks.systems import Stock, System, Tokens
from tests.benchmarks.users import new_users

FORM = "application/x-www-form-urlencoded"
CHECKSUM = "md5(random()::text) || md5(random()::text)"


class App:
    """The apps of many users, as the toolkit sees them."""

    def __init__(self) -> None:
        self.site = Site()
        self.users = new_users()
        self.sessions = Stock(lambda: error_body(self.signing_in()()))
        self.application = Application.objects.create(
            client_type=Application.CLIENT_PUBLIC,
            authorization_grant_type=Application.GRANT_PASSWORD,
        )

    def granting(self, **grant: str) -> Call:
        form = urlencode(grant | {"client_id": self.application.client_id})
        return self.site.request("POST", "/o/token/", form, kind=FORM)

    def signing_in(self) -> Call:
        username = next(self.users).username
        return self.granting(grant_type="password", username=username, password=names.PASSWORD)

    def refreshing(self) -> Call:
        tokens: Tokens = self.sessions.next()
        return self.granting(grant_type="refresh_token", refresh_token=tokens["refresh_token"])

    def pinging(self) -> Call:
        tokens: Tokens = self.sessions.again()
        return self.site.request("GET", "/ping/", authorization=bearer(tokens["access_token"]))


def sweeping() -> Call:
    """Make pairs whose access token expired as long ago as a refresh token lives."""
    original = RefreshToken.objects.filter(revoked__isnull=True).latest("pk")
    last = AccessToken.objects.latest("pk")
    long_ago = "now() - interval '100 days'"
    copy_row(
        AccessToken,
        original.access_token_id,
        names.SWEPT_ROWS,
        token_checksum=CHECKSUM,
        expires=long_ago,
        source_refresh_token_id="NULL",
        id_token_id="NULL",
    )
    first = AccessToken.objects.filter(pk__gt=last.pk).earliest("pk").pk
    copy_row(
        RefreshToken,
        original.pk,
        names.SWEPT_ROWS,
        token_checksum=CHECKSUM,
        access_token_id=f"{first - 1} + number",
    )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    sweep: Call = clear_expired
    return sweep


def systems() -> dict[str, System]:
    app = App()
    fill, fill_a_few = app.sessions.fill, app.sessions.fill_a_few
    return {
        names.DOT: {
            names.AUTHENTICATE: Operation(app.pinging, check, fill_a_few),
            names.REFRESH: Operation(app.refreshing, check, fill),
            names.SIGN_IN: Operation(app.signing_in, check),
            names.SWEEP: Operation(sweeping),
        }
    }
