"""Projects that move over from another scheme: nobody is signed out before the date."""

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.phone import PASSWORD
from tests.shop import Shop

MAKE_PEOPLE = f"""
from django.contrib.auth.models import User
alice = User.objects.create_user("alice", password={PASSWORD!r})
bob = User.objects.create_user("bob", password={PASSWORD!r})
"""
NAME_VIEW = """
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class NameView(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response(request.user.get_username())
"""
OLD_ADDRESSES = """
from accounts import old_views
from rest_framework.authentication import BasicAuthentication
from shop.name import NameView

urlpatterns += [path("name", NameView.as_view())]
old_login = old_views.OldLoginView.as_view(authentication_classes=[BasicAuthentication])
urlpatterns += [path("old/login", old_login)]
for name in {"OldRefreshView", "OldLogoutView", "OldLogoutAllView"} & set(dir(old_views)):
    urlpatterns += [path("old/" + name, getattr(old_views, name).as_view())]
"""
PHONE = {"installation_id": "phone"}
CREDENTIALS = {"username": "alice", "password": PASSWORD}


@dataclass(frozen=True)
class Scheme:
    """An older scheme: how a project had it, and how it hands out a token to Alice."""

    heading: str
    settings: str
    token: str
    header: str
    # Something else that old versions of the app ask for, with the last token.
    habit: str
    # Where a token of theirs is worth another one.
    renewal: str
    # What they are told of a wrong password, and of a token that is none.
    refusals: tuple[object, object]
    # What is followed once the migration is made.
    migration: str = ""


DRF = Scheme(
    heading="From DRF's TokenAuthentication",
    settings="INSTALLED_APPS += ['rest_framework.authtoken']",
    token="from rest_framework.authtoken.models import Token\n"
    "print(Token.objects.create(user=alice).key)",
    header="Token",
    habit="/users/exchange",
    renewal="/users/exchange",
    refusals=(
        {"non_field_errors": ["Unable to log in with provided credentials."]},
        {"detail": "Invalid token."},
    ),
)
JWT = Scheme(
    heading="From SimpleJWT",
    settings="INSTALLED_APPS += ['rest_framework_simplejwt.token_blacklist']",
    token="from rest_framework_simplejwt.tokens import RefreshToken\n"
    "refresh = RefreshToken.for_user(alice)\n"
    "print(refresh.access_token)\n"
    "print(refresh)",
    header="Bearer",
    habit="/old/OldRefreshView",
    renewal="/old/OldRefreshView",
    refusals=(
        {"detail": "No active account found with the given credentials"},
        {
            "detail": "Given token not valid for any token type",
            "code": "token_not_valid",
            "messages": [
                {
                    "token_class": "AccessToken",
                    "token_type": "access",
                    "message": "Token is invalid",
                }
            ],
        },
    ),
)
KNOX = Scheme(
    heading="From stock Knox",
    settings="INSTALLED_APPS += ['rest_framework', 'knox']",
    token="from knox.models import AuthToken\n"
    "print(AuthToken.objects.create(alice)[1])\n"
    "print(AuthToken.objects.create(bob)[1])",
    header="Token",
    habit="/old/OldLogoutView",
    renewal="/users/exchange",
    refusals=(
        {"detail": "Authentication credentials were not provided."},
        {"detail": "Invalid token."},
    ),
    migration="Its table",
)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def populated(scheme: Scheme, directory: Path) -> tuple[Shop, list[str]]:
    """Return a project of the old scheme with users in it, and the tokens that they hold."""
    shop = Shop(directory)
    shop.append("shop/settings.py", scheme.settings)
    shop.manage("migrate")
    return shop, shop.shell(MAKE_PEOPLE + scheme.token)


def move_over(shop: Shop, scheme: Scheme) -> None:
    """Follow the guide up to the release of the app."""
    shop.follow("Add it", "Move over without signing everyone out", scheme.heading)
    # The guide says it: what is there already is not added twice.
    shop.append("shop/settings.py", "INSTALLED_APPS = list(dict.fromkeys(INSTALLED_APPS))")
    shop.append("shop/name.py", NAME_VIEW)
    shop.append("shop/urls.py", OLD_ADDRESSES)
    shop.announce_sunset(year=2100)
    if scheme.migration:
        shop.manage("makemigrations", "accounts", "--name", "old_tokens")
        shop.follow(scheme.migration)
    shop.manage("migrate")


EVERY_SCHEME = pytest.mark.parametrize(
    "scheme", [DRF, JWT, KNOX], ids=lambda scheme: scheme.heading
)


@EVERY_SCHEME
def test_an_old_token_works_until_the_date_and_is_worth_a_pair(
    scheme: Scheme, tmp_path: Path
) -> None:
    shop, tokens = populated(scheme, tmp_path)
    old, last = ({"Authorization": f"{scheme.header} {tokens[at]}"} for at in (0, -1))
    move_over(shop, scheme)
    with shop.serving() as http:
        assert_works_and_says_until_when(http, old)
        assert old_login(http).status_code == HTTPStatus.OK
        assert refusals(http, scheme) == scheme.refusals
        assert http.post(
            scheme.habit, json=PHONE | {"refresh": tokens[-1]}, headers=last
        ).is_success
        http.post("/users/exchange", json=PHONE, headers=old)  # Its answer is lost.
        pair = http.post("/users/exchange", json=PHONE, headers=old).json()
        assert http.get("/name", headers=bearer(pair["access_token"])).json() == "alice"
        devices = http.get("/users/devices", headers=bearer(pair["access_token"])).json()
        assert [device["installation_id"] for device in devices] == ["phone"]
    shop.announce_sunset(year=2020)
    with shop.serving() as http:
        assert_is_over(http, old)
        again = http.post(scheme.habit, json=PHONE | {"refresh": tokens[-1]}, headers=last)
        assert again.status_code == HTTPStatus.UNAUTHORIZED
        assert http.get("/name", headers=bearer(pair["access_token"])).json() == "alice"


def old_login(http: httpx.Client) -> httpx.Response:
    # DRF and SimpleJWT read the body; projects with stock Knox usually read the header.
    return http.post("/old/login", json=CREDENTIALS, auth=("alice", PASSWORD))


def refusals(http: httpx.Client, scheme: Scheme) -> tuple[object, object]:
    wrong = http.post("/old/login", json=CREDENTIALS | {"password": "wrong"})
    unknown = {"Authorization": f"{scheme.header} unknown"}
    return wrong.json(), http.get("/name", headers=unknown).json()


def assert_works_and_says_until_when(http: httpx.Client, old: dict[str, str]) -> None:
    answer = http.get("/name", headers=old)
    assert answer.json() == "alice"
    assert answer.headers["Deprecation"] == "@1546300800"
    assert answer.headers["Sunset"] == "Fri, 01 Jan 2100 00:00:00 GMT"
    assert answer.links["sunset"]["url"] == "https://example.com/update-the-app"


def assert_is_over(http: httpx.Client, old: dict[str, str]) -> None:
    for refused in (
        http.get("/name", headers=old),
        http.post("/users/exchange", json=PHONE, headers=old),
        old_login(http),
    ):
        assert refused.status_code == HTTPStatus.UNAUTHORIZED
        assert refused.headers["Sunset"] == "Wed, 01 Jan 2020 00:00:00 GMT"


@EVERY_SCHEME
def test_a_sign_out_everywhere_ends_old_tokens(scheme: Scheme, tmp_path: Path) -> None:
    shop, tokens = populated(scheme, tmp_path)
    move_over(shop, scheme)
    old = {"Authorization": f"{scheme.header} {tokens[0]}"}
    body = PHONE | {"refresh": tokens[-1]}
    with shop.serving() as http:
        pair = http.post("/users/exchange", json={}, headers=old).json()
        assert http.post(scheme.renewal, json=body, headers=old).is_success
        ended = http.post("/users/logout-all", json={}, headers=bearer(pair["access_token"]))
        assert ended.is_success
        again = http.post(scheme.renewal, json=body, headers=old)
        assert again.status_code == HTTPStatus.UNAUTHORIZED


# The rows of stock Knox's table, as the database has them.
ROWS = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT * FROM knox_authtoken ORDER BY user_id")
    for row in cursor.fetchall(): print(row)
"""
TABLES = """
from django.db import connection
print(*(table for table in connection.introspection.table_names() if table.startswith("knox")))
"""
DELETE_BOB = (
    "from django.contrib.auth.models import User; User.objects.get(username='bob').delete()"
)


def test_stock_knox_loses_nothing_on_the_way_there_and_back(tmp_path: Path) -> None:
    shop, tokens = populated(KNOX, tmp_path)
    code, rows = shop.code(), shop.shell(ROWS)
    assert len(rows) == 2
    move_over(shop, KNOX)
    assert shop.shell(ROWS) == rows
    shop.manage("makemigrations", "--check", "--dry-run")
    shop.shell(DELETE_BOB)
    assert shop.shell(ROWS) == rows[:1]
    shop.manage("migrate", "authx", "zero")
    shop.go_back_to(code)
    shop.manage("migrate")
    assert shop.shell(
        "from knox.auth import TokenAuthentication\n"
        f"print(TokenAuthentication().authenticate_credentials({tokens[0].encode()!r})[0])"
    ) == ["alice"]


def test_a_new_password_ends_old_tokens_and_old_apps_can_end_everything(tmp_path: Path) -> None:
    shop, (alices, bobs) = populated(KNOX, tmp_path)
    move_over(shop, KNOX)
    old, bob = ({"Authorization": f"Token {token}"} for token in (alices, bobs))
    passwords = {"current_password": PASSWORD, "new_password": "correct horse battery"}
    with shop.serving() as http:
        pair = http.post("/users/exchange", json={}, headers=old).json()
        alice = bearer(pair["access_token"])
        assert http.post("/users/password", json=passwords, headers=alice).is_success
        assert http.get("/name", headers=old).status_code == HTTPStatus.UNAUTHORIZED
        pair = http.post("/users/exchange", json={}, headers=bob).json()
        assert http.post("/old/OldLogoutAllView", headers=bob).status_code == HTTPStatus.NO_CONTENT
        for ended in (bob, bearer(pair["access_token"])):
            assert http.get("/name", headers=ended).status_code == HTTPStatus.UNAUTHORIZED


def test_a_database_that_never_had_stock_knox_works_as_well(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    move_over(shop, KNOX)
    shop.shell(MAKE_PEOPLE)
    with shop.serving() as http:
        assert old_login(http).status_code == HTTPStatus.OK
    assert len(shop.shell(ROWS)) == 1
    shop.shell(DELETE_BOB)
    # After the date the model goes, and what asks for it.
    (shop.root / "accounts" / "models.py").write_text("")
    (shop.root / "shop" / "urls.py").write_text("urlpatterns = []")
    shop.append("shop/settings.py", 'del REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"][0]')
    shop.manage("makemigrations", "accounts")
    shop.manage("migrate")
    assert shop.shell(TABLES) == [""]
