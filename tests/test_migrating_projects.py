"""Projects that move over from another scheme: nobody is signed out before the date."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.curl import run_curl
from tests.phone import PASSWORD
from tests.shop import ROOT, Shop

pytestmark = pytest.mark.waits

USERS = ["alice", "bob", "carol", "dave"]
MIGRATE = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
"""
MAKE_USERS = f"""
from django.contrib.auth.models import User
users = [User.objects.create_user(name, password={PASSWORD!r}) for name in {USERS}]
"""
QUICK_HASHER = "PASSWORD_HASHERS = ['django.contrib.auth.hashers.MD5PasswordHasher']"
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
from accounts.old import views as old_views
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
COMMAND = re.compile(r"^```sh\n(curl \S+/users/exchange .+?)\n```$", re.MULTILINE | re.DOTALL)
Tokens = dict[str, list[str]]


@dataclass(frozen=True, eq=False)
class Scheme:
    """An older scheme: how a project had it, and how it hands out tokens, a line for each user."""

    heading: str
    directory: str
    settings: str
    token: str
    header: str
    # Something else that old versions of the app ask for, with the last token.
    habit: str
    # Where a token of theirs is worth another one.
    renewal: str
    # What they are told of a wrong password, and of a token that is none.
    refusals: tuple[object, object]
    # What drops its table, after what empties it, and what takes its applications away afterwards.
    dropping: tuple[str, ...]
    removal: str
    emptying: str = ""
    # What is followed once the migration is made.
    migration: str = ""


DRF = Scheme(
    heading="From DRF's TokenAuthentication",
    directory="drf",
    settings="INSTALLED_APPS += ['rest_framework.authtoken']",
    token="from rest_framework.authtoken.models import Token\n"
    "for user in users: print(Token.objects.create(user=user).key)",
    header="Token",
    habit="/users/exchange",
    renewal="/users/exchange",
    refusals=(
        {"non_field_errors": ["Unable to log in with provided credentials."]},
        {"detail": "Invalid token."},
    ),
    dropping=("authtoken", "zero"),
    removal="INSTALLED_APPS.remove('rest_framework.authtoken')",
)
JWT = Scheme(
    heading="From SimpleJWT",
    directory="simplejwt",
    settings="INSTALLED_APPS += ['rest_framework_simplejwt.token_blacklist']",
    token="from rest_framework_simplejwt.tokens import RefreshToken\n"
    "for user in users:\n"
    "    refresh = RefreshToken.for_user(user)\n"
    "    print(refresh.access_token, refresh)",
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
    dropping=("token_blacklist", "zero"),
    emptying="from rest_framework_simplejwt.token_blacklist.models import OutstandingToken\n"
    "OutstandingToken.objects.all().delete()",
    removal="INSTALLED_APPS.remove('rest_framework_simplejwt.token_blacklist')",
)
KNOX = Scheme(
    heading="From stock Knox",
    directory="knox",
    settings="INSTALLED_APPS += ['rest_framework', 'knox']",
    token="from knox.models import AuthToken\n"
    "for user in users: print(*(AuthToken.objects.create(user)[1] for _ in range(2)))",
    header="Token",
    habit="/old/OldLogoutView",
    renewal="/users/exchange",
    refusals=(
        {"detail": "Authentication credentials were not provided."},
        {"detail": "Invalid token."},
    ),
    dropping=(),
    removal="",
    migration="The old table",
)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def populate(scheme: Scheme, directory: Path, wheel: Path) -> tuple[Shop, Tokens]:
    """Return a project of the old scheme with users in it, and the tokens that each holds."""
    shop = Shop(directory, wheel)
    shop.append("shop/settings.py", f"{scheme.settings}\n{QUICK_HASHER}")
    lines = shop.shell(MIGRATE + MAKE_USERS + scheme.token)
    return shop, {name: line.split() for name, line in zip(USERS, lines, strict=True)}


def move_over(shop: Shop, scheme: Scheme) -> None:
    """Follow the guide up to the release of the app."""
    shop.follow("Install", "Migrate without logging everyone out", scheme.heading)
    shop.take("accounts/old", ROOT / "docs" / "migrating" / scheme.directory)
    # The guide says it: what is there already is not added twice.
    shop.append("shop/settings.py", "INSTALLED_APPS = list(dict.fromkeys(INSTALLED_APPS))")
    shop.append("shop/name.py", NAME_VIEW)
    shop.append("shop/urls.py", OLD_ADDRESSES)
    shop.announce_sunset(year=2100)
    if scheme.migration:
        shop.manage("makemigrations", "accounts", "--name", "old_tokens")
        shop.follow(scheme.migration)
    shop.manage("migrate")


@dataclass(frozen=True)
class Moved:
    """A project that has moved over, while the old tokens are good, and a client of its server."""

    scheme: Scheme
    shop: Shop
    tokens: Tokens
    http: httpx.Client

    def old(self, user: str) -> dict[str, str]:
        return {"Authorization": f"{self.scheme.header} {self.tokens[user][0]}"}

    def last(self, user: str) -> dict[str, str]:
        return {"Authorization": f"{self.scheme.header} {self.tokens[user][-1]}"}

    def body(self, user: str) -> dict[str, Any]:
        return {"device": PHONE, "refresh": self.tokens[user][-1]}


@pytest.fixture(scope="module")
def populated(
    wheel: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Scheme], tuple[Shop, Tokens]]:
    """Return what gives the project of a scheme; to be copied, not changed."""
    return cache(lambda scheme: populate(scheme, tmp_path_factory.mktemp("populated"), wheel))


@pytest.fixture(scope="module", params=[DRF, JWT, KNOX], ids=lambda scheme: scheme.heading)
def moved(
    request: pytest.FixtureRequest,
    populated: Callable[[Scheme], tuple[Shop, Tokens]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Moved]:
    before, tokens = populated(request.param)
    shop = before.copy(tmp_path_factory.mktemp("moved"))
    move_over(shop, request.param)
    with shop.serving() as http:
        yield Moved(request.param, shop, tokens, http)


def test_an_old_token_works_until_the_date_and_can_be_exchanged_for_a_pair(
    moved: Moved, tmp_path: Path
) -> None:
    old, last, body, http = moved.old("alice"), moved.last("alice"), moved.body("alice"), moved.http
    habit = moved.scheme.habit
    assert_works_and_says_until_when(http, old)
    assert old_login(http).status_code == HTTPStatus.OK
    assert refusals(http, moved.scheme) == moved.scheme.refusals
    assert http.post(habit, json=body, headers=last).is_success
    http.post("/users/exchange", json={"device": PHONE}, headers=old)  # Its answer is lost.
    pair = http.post("/users/exchange", json={"device": PHONE}, headers=old).json()
    assert http.get("/name", headers=bearer(pair["access_token"])).json() == "alice"
    devices = http.get("/users/devices", headers=bearer(pair["access_token"])).json()
    assert [device["current"] for device in devices] == [True]
    later = moved.shop.copy(tmp_path)
    later.announce_sunset(year=2020)
    with later.serving() as http:
        assert_is_over(http, old)
        again = http.post(habit, json=body, headers=last)
        assert again.status_code == HTTPStatus.UNAUTHORIZED
        assert http.get("/name", headers=bearer(pair["access_token"])).json() == "alice"


USER_MODEL = """
from django.contrib.auth.models import AbstractUser
class User(AbstractUser): pass
"""


@pytest.mark.parametrize("scheme", [DRF, JWT, KNOX], ids=lambda scheme: scheme.heading)
def test_the_code_of_the_guide_loads_before_the_model_of_users(
    wheel: Path, scheme: Scheme, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, wheel)
    (shop.root / "people").mkdir()
    shop.append("people/models.py", USER_MODEL)
    shop.append("shop/settings.py", scheme.settings)
    shop.append("shop/settings.py", 'INSTALLED_APPS += ["people"]; AUTH_USER_MODEL = "people.User"')
    shop.follow("Install", "Migrate without logging everyone out", scheme.heading)
    shop.append("shop/settings.py", "INSTALLED_APPS = list(dict.fromkeys(INSTALLED_APPS))")
    shop.take("accounts/old", ROOT / "docs" / "migrating" / scheme.directory)
    shop.manage("check", "--fail-level", "WARNING")


# What is still there when the date has passed: a row of the old scheme for each user.
DELETE_USERS = """
from django.contrib.auth.models import User
from django.db import IntegrityError
try:
    for user in User.objects.order_by("username"): user.delete()
except IntegrityError: print("refused")
print(User.objects.count())
"""


def clean_up(shop: Shop, before: dict[Path, str], scheme: Scheme) -> None:
    """Remove what the guide says, once the date has passed; the old application stays."""
    kept = {path: text for path, text in before.items() if "migrations" not in path.parts}
    migrations = {path: text for path, text in shop.code().items() if "migrations" in path.parts}
    shop.go_back_to(kept | migrations)
    shop.follow("Install")
    shop.append("shop/settings.py", "INSTALLED_APPS = list(dict.fromkeys(INSTALLED_APPS))")


@pytest.mark.parametrize("scheme", [DRF, JWT, KNOX], ids=lambda scheme: scheme.heading)
def test_after_the_date_the_old_scheme_leaves_nothing_behind(
    populated: Callable[[Scheme], tuple[Shop, Tokens]], scheme: Scheme, tmp_path: Path
) -> None:
    before, _ = populated(scheme)
    shop = before.copy(tmp_path / "dropped")
    code = shop.code()
    move_over(shop, scheme)
    clean_up(shop, code, scheme)
    if scheme is KNOX:
        shop.manage("makemigrations", "accounts")
    forgotten = shop.copy(tmp_path / "forgotten")
    shop.shell(scheme.emptying)
    shop.manage("migrate", *scheme.dropping)
    for project in (shop, forgotten):
        project.append("shop/settings.py", scheme.removal)
    shop.manage("check", "--fail-level", "WARNING")
    shop.manage("makemigrations", "--check", "--dry-run")
    assert shop.shell(DELETE_USERS) == ["0"]
    # Why the guide says to drop the table first.
    assert forgotten.shell(DELETE_USERS) == ["refused", str(len(USERS))]


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
        http.post("/users/exchange", json={"device": PHONE}, headers=old),
        old_login(http),
    ):
        assert refused.status_code == HTTPStatus.UNAUTHORIZED
        assert refused.headers["Sunset"] == "Wed, 01 Jan 2020 00:00:00 GMT"


@pytest.mark.parametrize("moved", [DRF], indirect=True, ids=lambda scheme: scheme.heading)
def test_the_command_of_the_guide_exchanges_an_old_token(moved: Moved) -> None:
    (command,) = COMMAND.findall((ROOT / "docs" / "adopt.md").read_text())
    variables = {"OLD_TOKEN": moved.tokens["carol"][0]}
    pair = run_curl(command, str(moved.http.base_url), variables)
    assert pair["device"]["name"] == "My phone"
    assert moved.http.get("/name", headers=bearer(pair["access_token"])).json() == "carol"


def test_a_sign_out_everywhere_ends_old_tokens(moved: Moved) -> None:
    http, old, body = moved.http, moved.old("bob"), moved.body("bob")
    pair = http.post("/users/exchange", json={}, headers=old).json()
    assert http.post(moved.scheme.renewal, json=body, headers=old).is_success
    ended = http.post("/users/logout-all", json={}, headers=bearer(pair["access_token"]))
    assert ended.is_success
    again = http.post(moved.scheme.renewal, json=body, headers=old)
    assert again.status_code == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("moved", [KNOX], indirect=True, ids=lambda scheme: scheme.heading)
def test_a_new_password_ends_old_tokens_and_old_apps_can_end_everything(moved: Moved) -> None:
    http, carol, dave = moved.http, moved.old("carol"), moved.old("dave")
    passwords = {"current_password": PASSWORD, "new_password": "correct horse battery"}
    pair = http.post("/users/exchange", json={}, headers=carol).json()
    new = bearer(pair["access_token"])
    assert http.post("/users/password", json=passwords, headers=new).is_success
    assert http.get("/name", headers=carol).status_code == HTTPStatus.UNAUTHORIZED
    pair = http.post("/users/exchange", json={}, headers=dave).json()
    assert http.post("/old/OldLogoutAllView", headers=dave).status_code == HTTPStatus.NO_CONTENT
    for ended in (dave, bearer(pair["access_token"])):
        assert http.get("/name", headers=ended).status_code == HTTPStatus.UNAUTHORIZED


# The rows of stock Knox's table, as the database has them.
ROWS = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT * FROM knox_authtoken ORDER BY user_id, created")
    for row in cursor.fetchall(): print(row)
"""
TABLES = """
from django.db import connection
print(*(table for table in connection.introspection.table_names() if table.startswith("knox")))
"""
DELETE_BOB = """
from django.contrib.auth.models import User
User.objects.get(username="bob").delete()
"""


def test_stock_knox_loses_nothing_on_the_way_there_and_back(
    populated: Callable[[Scheme], tuple[Shop, Tokens]], tmp_path: Path
) -> None:
    before, tokens = populated(KNOX)
    shop = before.copy(tmp_path)
    code, rows = shop.code(), shop.shell(ROWS)
    assert len(rows) == 2 * len(USERS)
    move_over(shop, KNOX)
    shop.manage("makemigrations", "--check", "--dry-run")
    assert shop.shell(ROWS + DELETE_BOB + ROWS) == [*rows, *rows[:2], *rows[4:]]
    shop.manage("migrate", "authx", "zero")
    shop.go_back_to(code)
    token, _ = tokens["alice"]
    assert shop.shell(
        f"{MIGRATE}from knox.auth import TokenAuthentication\n"
        f"print(TokenAuthentication().authenticate_credentials({token.encode()!r})[0])"
    ) == ["alice"]


def test_a_database_that_never_had_stock_knox_works_as_well(wheel: Path, tmp_path: Path) -> None:
    shop = Shop(tmp_path, wheel)
    shop.append("shop/settings.py", QUICK_HASHER)
    move_over(shop, KNOX)
    shop.shell(MAKE_USERS)
    with shop.serving() as http:
        assert old_login(http).status_code == HTTPStatus.OK
    assert len(shop.shell(ROWS + DELETE_BOB)) == 1
    # After the date the model goes, and what asks for it.
    for name in ("apps.py", "models.py"):
        (shop.root / "accounts" / name).unlink()
    (shop.root / "shop" / "urls.py").write_text("urlpatterns = []")
    shop.append("shop/settings.py", 'del REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"][0]')
    shop.manage("makemigrations", "accounts")
    assert shop.shell(MIGRATE + TABLES) == [""]
