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
for name in {"OldRefreshView", "OldLogoutView"} & set(dir(old_views)):
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


DRF = Scheme(
    heading="From DRF's TokenAuthentication",
    settings="INSTALLED_APPS += ['rest_framework.authtoken']",
    token="from rest_framework.authtoken.models import Token\n"
    "print(Token.objects.create(user=alice).key)",
    header="Token",
    habit="/users/exchange",
)
JWT = Scheme(
    heading="From SimpleJWT",
    settings="",
    token="from rest_framework_simplejwt.tokens import RefreshToken\n"
    "refresh = RefreshToken.for_user(alice)\n"
    "print(refresh.access_token)\n"
    "print(refresh)",
    header="Bearer",
    habit="/old/OldRefreshView",
)
KNOX = Scheme(
    heading="From stock Knox",
    settings="INSTALLED_APPS += ['rest_framework', 'knox']",
    token="from knox.models import AuthToken\n"
    "print(AuthToken.objects.create(alice)[1])\n"
    "print(AuthToken.objects.create(bob)[1])",
    header="Token",
    habit="/old/OldLogoutView",
)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def populated(scheme: Scheme, directory: Path) -> tuple[Shop, list[str]]:
    """Return a project of the old scheme with people in it, and the tokens that they hold."""
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
    shop.retire(year=2100)
    shop.manage("makemigrations", "accounts")
    shop.manage("migrate")


@pytest.mark.parametrize("scheme", [DRF, JWT, KNOX], ids=lambda scheme: scheme.heading)
def test_an_old_token_works_until_the_date_and_is_worth_a_pair(
    scheme: Scheme, tmp_path: Path
) -> None:
    shop, tokens = populated(scheme, tmp_path)
    old, last = ({"Authorization": f"{scheme.header} {tokens[at]}"} for at in (0, -1))
    move_over(shop, scheme)
    with shop.serving() as http:
        assert_works_and_says_until_when(http, old)
        assert old_login(http).status_code == HTTPStatus.OK
        assert http.post(
            scheme.habit, json=PHONE | {"refresh": tokens[-1]}, headers=last
        ).is_success
        http.post("/users/exchange", json=PHONE, headers=old)  # Its answer is lost.
        pair = http.post("/users/exchange", json=PHONE, headers=old).json()
        assert http.get("/name", headers=bearer(pair["access_token"])).json() == "alice"
        devices = http.get("/users/devices", headers=bearer(pair["access_token"])).json()
        assert [device["installation_id"] for device in devices] == ["phone"]
    shop.retire(year=2020)
    with shop.serving() as http:
        assert_is_over(http, old)
        again = http.post(scheme.habit, json=PHONE | {"refresh": tokens[-1]}, headers=last)
        assert again.status_code == HTTPStatus.UNAUTHORIZED
        assert http.get("/name", headers=bearer(pair["access_token"])).json() == "alice"


def old_login(http: httpx.Client) -> httpx.Response:
    # DRF and SimpleJWT read the body; projects with stock Knox usually read the header.
    return http.post("/old/login", json=CREDENTIALS, auth=("alice", PASSWORD))


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
        assert refused.json()["error"] == "invalid_token"
        assert refused.headers["Sunset"] == "Wed, 01 Jan 2020 00:00:00 GMT"


# The rows of stock Knox's table, as the database has them.
ROWS = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT * FROM knox_authtoken ORDER BY user_id")
    for row in cursor.fetchall(): print(row)
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
